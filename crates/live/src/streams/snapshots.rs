//! What the streams of the live system begin with.

use std::sync::Arc;

use posthaste_domain::ids::{CustomerId, DriverId, MerchantId, OrderId};
use posthaste_protocol::audience::Audience;
use posthaste_protocol::orders::OrderView;
use posthaste_protocol::socket::{ServerMessage, Snapshot, Step};
use posthaste_protocol::tracking::FollowedOrder;
use posthaste_storage::orders::ListFilter;
use posthaste_streams::{Answering, Beginning, CannotFollow, Scope, Snapshots, Subject, Topic, View};

use super::topics::Of;
use crate::orders::TrackedOrder;
use crate::system::Doors;
use crate::{Refused, views};

/// Orders in a snapshot at most.
const MOST_ORDERS: u32 = 1000;
/// Orders in a customer's at most: each asks its driver when it is expected.
const MOST_ORDERS_OF_CUSTOMER: u32 = 100;

impl From<Refused> for CannotFollow {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFound(what) => Self::NotFound(what),
            Refused::Unavailable(why) => Self::Unavailable(why),
            other => Self::Broken(other.to_string().into()),
        }
    }
}

/// Makes what streams begin with.
pub(crate) struct FromMemory(pub(crate) Arc<Doors>);

impl Snapshots for FromMemory {
    fn snapshot(&self, of: Subject) -> Answering<'_, Snapshot> {
        let doors = &*self.0;
        Box::pin(async move {
            let view = match of {
                Subject::Operations(view) => return Ok(operations(doors, view).await?),
                Subject::Topic(topic) => Of::topic(topic),
            };
            Ok(match view {
                Some(Of::Driver(id)) => driver(doors, id).await?,
                Some(Of::Merchant(id)) => merchant(doors, id).await?,
                Some(Of::Customer(id)) => customer(doors, id).await?,
                Some(Of::Tracking(_)) | None => return Err(CannotFollow::NotFound("order".into())),
            })
        })
    }

    fn beginning(&self, of: Topic, last: Option<u64>) -> Answering<'_, Beginning> {
        let doors = &*self.0;
        Box::pin(async move {
            match Of::topic(of) {
                Some(Of::Tracking(order)) => Ok(tracking(doors, order, last).await?),
                _ => Err(CannotFollow::NotFound("order".into())),
            }
        })
    }
}

async fn driver(doors: &Doors, id: DriverId) -> Result<Snapshot, Refused> {
    // Both as the driver's actor has them at one moment.
    let (live, work) = doors.drivers.at_work(id).await?;
    Ok(Snapshot::Driver { driver: views::driver(&live), route: views::route(id, &work) })
}

async fn merchant(doors: &Doors, id: MerchantId) -> Result<Snapshot, Refused> {
    let filter = ListFilter { merchant: Some(id), ..ListFilter::default() };
    let orders = doors.live_orders(filter, MOST_ORDERS).await?;
    Ok(Snapshot::Merchant { orders: orders.iter().map(|o| OrderView::of(o, Audience::Merchant(id))).collect() })
}

async fn customer(doors: &Doors, id: CustomerId) -> Result<Snapshot, Refused> {
    let filter = ListFilter { customer: Some(id), ..ListFilter::default() };
    let live = doors.live_orders(filter, MOST_ORDERS_OF_CUSTOMER).await?;
    let mut orders = Vec::with_capacity(live.len());
    for order in &live {
        let (driver, eta) = (doors.drivers.of_order(order).await, doors.orders.eta(order).await);
        orders.push(FollowedOrder::of(order, driver.as_ref().map(views::followed_driver), eta));
    }
    Ok(Snapshot::Customer { orders })
}

async fn operations(doors: &Doors, view: View) -> Result<Snapshot, Refused> {
    let shows_zone = |zone| view.shows(&Scope::of_zone(zone));
    let zones = doors.zones.list().iter().filter(|z| shows_zone(z.zone.id)).map(views::zone).collect();
    let drivers = doors
        .drivers
        .on_shift()
        .into_iter()
        .filter(|live| view.shows(&Scope::of_driver(&live.driver, live.position.map(|fix| fix.place))))
        .map(|live| views::driver(&live))
        .collect();
    let zone = if let View::Zone(zone) = view { Some(zone) } else { None };
    let orders = doors.live_orders(ListFilter { zone, ..ListFilter::default() }, MOST_ORDERS).await?;
    let orders = orders
        .iter()
        .filter(|order| view.shows(&Scope::of_order(order)))
        .map(|order| OrderView::of(order, Audience::Operations))
        .collect();
    Ok(Snapshot::Operations { zones, drivers, orders })
}

/// The missed steps come from Postgres, so a tracking stream resumes across restarts.
async fn tracking(doors: &Doors, id: OrderId, last: Option<u64>) -> Result<Beginning, Refused> {
    let order = doors.orders.tracked(id).await?;
    if let Some(from) = last.filter(|from| *from <= order.version) {
        let missed = views::steps(&doors.timeline(id, from).await?).into_iter();
        let message = |step| ServerMessage::Step(Step { step, driver_name: None, eta: None });
        return Ok(Beginning::Resumed(missed.map(|step| (step.seq, message(step))).collect()));
    }
    let tracked = TrackedOrder::of(order, doors).await?;
    let tracking = views::tracking(&tracked);
    Ok(Beginning::Fresh { seq: tracked.order.version, snapshot: Snapshot::Tracking { tracking } })
}
