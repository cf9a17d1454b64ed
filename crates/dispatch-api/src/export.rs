//! What dispatch keeps of somebody, for themselves: entries of each kind, after where a page ended. Each is made by the view that
//! shows the same thing elsewhere, for the same audience.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, Id, OrderId};
use posthaste_domain::order::Order;
use posthaste_domain::party::Party;
use posthaste_http::pages::Cursor;
use posthaste_http::problem::Answer;
use posthaste_live::Refused;
use posthaste_protocol::audience::Audience;
use posthaste_protocol::drivers::PlannedShiftView;
use posthaste_protocol::export::{DriverEventView, ExportEntry, TrackPointView, TrackView, doer};
use posthaste_protocol::orders::OrderView;
use posthaste_storage::drivers::DriverRecorded;
use posthaste_storage::orders::{self as stored, ListFilter};
use posthaste_storage::tracks::TrackPoint;
use posthaste_storage::{drivers, roster, tracks};
use uuid::Uuid;

use crate::Dispatch;
use crate::refusals::{refused, unread};

/// Points of a track in one entry.
const POINTS: u32 = 100;

/// An entry, and where a page that ends with it goes on.
pub type Found = (Cursor, ExportEntry);

/// A party's orders, the newest first.
///
/// # Errors
///
/// Those of the database.
pub async fn orders(app: &Dispatch, party: Party, audience: Audience, after: Cursor, limit: u32) -> Answer<Vec<Found>> {
    let mut filter = ListFilter::default();
    match party {
        Party::Merchant(id) => filter.merchant = Some(id),
        Party::Customer(id) => filter.customer = Some(id),
        Party::Driver(id) => filter.driver = Some(id),
        Party::Admin(_) | Party::System => return Ok(Vec::new()),
    }
    let after = stored::Cursor { placed_at: after.at, id: OrderId::from_uuid(after.id) };
    let page = stored::list(app.pool(), &filter, Some(after), limit).await.map_err(unread)?;
    let entry = |order: &Order| {
        let view = OrderView::of(order, audience);
        (Cursor { at: order.placed_at, id: order.id.uuid() }, view.into())
    };
    Ok(page.orders.iter().map(entry).collect())
}

/// The driver, once they were taken on.
///
/// # Errors
///
/// What the live system refuses.
pub async fn driver(app: &Dispatch, driver: DriverId) -> Answer<Vec<Found>> {
    let live = match app.live().driver(driver).await {
        Ok(live) => posthaste_live::views::driver(&live),
        // They were not taken on yet.
        Err(Refused::NotFound(_)) => return Ok(Vec::new()),
        Err(error) => return Err(refused(error)),
    };
    Ok(vec![(Cursor { at: live.created_at, id: driver.uuid() }, live.into())])
}

/// The shifts that a driver is planned for.
///
/// # Errors
///
/// Those of the database.
pub async fn planned_shifts(app: &Dispatch, driver: DriverId, after: Cursor, limit: u32) -> Answer<Vec<Found>> {
    let found = roster::before(app.pool(), driver, after.id, limit).await.map_err(unread)?;
    let entry = |shift| ExportEntry::from(PlannedShiftView::of(shift));
    Ok(found.iter().map(|it| (Cursor { at: it.created_at, id: it.id.uuid() }, entry(it))).collect())
}

/// What a driver did, and what was done to them.
///
/// # Errors
///
/// Those of the database.
pub async fn driver_events(app: &Dispatch, driver: DriverId, after: Cursor, limit: u32) -> Answer<Vec<Found>> {
    let before = u64::try_from(after.id.as_u128()).unwrap_or(u64::MAX);
    let found = drivers::history_before(app.pool(), driver, before, limit).await.map_err(unread)?;
    let id = |it: &DriverRecorded| Uuid::from_u128(it.seq.into());
    Ok(found.iter().map(|it| (Cursor { at: it.at, id: id(it) }, event(it, driver))).collect())
}

/// Where a driver was: entries of points that follow each other.
///
/// # Errors
///
/// Those of the database.
pub async fn tracks(app: &Dispatch, driver: DriverId, after: Cursor, limit: u32) -> Answer<Vec<Found>> {
    let most = limit.saturating_mul(POINTS);
    let points = tracks::before(app.pool(), driver, after.at, most).await.map_err(unread)?;
    Ok(points.chunks(POINTS as usize).map(track).collect())
}

fn event(recorded: &DriverRecorded, reader: DriverId) -> ExportEntry {
    let mut data = match serde_json::to_value(&recorded.event) {
        Ok(serde_json::Value::Object(data)) => data,
        _ => serde_json::Map::new(),
    };
    data.remove("type");
    let (seq, at, event) = (recorded.seq, recorded.at, recorded.event.name().to_owned());
    DriverEventView { seq, at, by: doer(recorded.by, Party::Driver(reader)), event, data }.into()
}

/// One entry of points that follow each other.
fn track(points: &[TrackPoint]) -> Found {
    let last = points.last().map_or(Timestamp::UNIX_EPOCH, |point| point.at);
    let view = |point: &TrackPoint| TrackPointView {
        at: point.at,
        lat: point.place.lat(),
        lng: point.place.lng(),
        heading_degrees: point.heading_degrees,
        speed_meters_per_second: point.speed_meters_per_second,
    };
    let points = points.iter().map(view).collect();
    (Cursor { at: last, id: Uuid::nil() }, TrackView { points }.into())
}
