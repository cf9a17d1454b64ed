//! Orders, drivers and a zone to put under load.

use std::sync::Arc;

use posthaste_clock::Clock;
use posthaste_domain::contact::Contact;
use posthaste_domain::ids::{CustomerId, Id, MerchantId, OrderId, ZoneId};
use posthaste_domain::order::{CodeRule, Command, Event, NewOrder, NewPickup, NewStop, Order, Recorded, Speed};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::zone::ZoneRules;
use posthaste_live::Once;
use posthaste_live::orders::PlaceOrder;
use posthaste_live::{Cause, Settings, System};
use posthaste_protocol::zones::{PutZone, RulesView, TravelView};
use posthaste_storage::journal::{Correlation, Entry};
use posthaste_storage::pool::Pool;
use serde_json::json;
use uuid::Uuid;

use crate::Outcome;

/// The request id that commands carry, as in production.
pub(crate) const REQUEST: &str = "req_01jd8v7cjxfm9sxv0q3e0b5z1c";

/// Callers that cancel orders beside each other.
const CALLERS: usize = 512;

/// A system on the pool, at ordinary speed.
pub(crate) async fn system(pool: Pool) -> Outcome<System> {
    Ok(System::start(pool, Clock::system(), Settings::default()).await?)
}

/// The body that makes the zone all orders lie in.
pub(crate) fn zone() -> PutZone {
    let area = json!({"type": "Polygon", "coordinates":
        [[[13.0, 52.3], [13.8, 52.3], [13.8, 52.7], [13.0, 52.7], [13.0, 52.3]]]});
    // Long enough that nothing ends by itself while it is measured.
    let rules = RulesView {
        give_up_seconds: 86_400,
        confirmation_seconds: 86_400,
        offer_seconds: 3_600,
        ..RulesView::default()
    };
    PutZone { name: "Berlin".to_owned(), area, rules, travel: TravelView::default() }
}

/// Makes the zone.
pub(crate) async fn make_zone(system: &System) -> Outcome<ZoneId> {
    make_zone_called(system, &zone().name).await
}

/// The same under another name: zones may lie over each other.
pub(crate) async fn make_zone_called(system: &System, name: &str) -> Outcome<ZoneId> {
    let zone = PutZone { name: name.to_owned(), ..zone() };
    match system.zones().create(zone.into(), None, admin()).await? {
        Once::New(zone) => Ok(zone.zone.id),
        Once::Replayed { .. } => Err("a zone without a key was replayed".into()),
    }
}

pub(crate) fn admin() -> Cause {
    Cause::new(Party::Admin(Id::from_uuid(Uuid::from_u128(1))), REQUEST)
}

/// Merchants who place orders.
pub(crate) const MERCHANTS: usize = 1000;

/// One of a thousand merchants.
pub(crate) fn merchant(n: usize) -> MerchantId {
    MerchantId::from_uuid(Uuid::from_u128((n % MERCHANTS) as u128 + 1))
}

fn stop(n: usize, note: &str) -> NewStop {
    // Spread over the zone.
    let (row, column) = ((n / 97) % 89, n % 97);
    NewStop {
        place: Place::new(52.35 + 0.3 * row as f64 / 89.0, 13.05 + 0.7 * column as f64 / 97.0)
            .unwrap_or_else(|_| unreachable!("inside the zone")),
        contact: Contact {
            name: Some("Erika Mustermann".into()),
            phone: Some("+49 30 901820".into()),
            address: Some("Unter den Linden 77, 10117 Berlin".into()),
            note: Some(note.into()),
        },
        service_seconds: None,
        window: None,
    }
}

/// A fast order with one pickup, as a merchant hands it in. One that `awaits` its seller's word is not dispatched.
pub(crate) fn place(n: usize, awaits: bool) -> PlaceOrder {
    let new = new_order(n, awaits, ZoneId::from_uuid(Uuid::nil()));
    PlaceOrder {
        merchant: new.merchant,
        customer: new.customer,
        reference: new.reference,
        speed: new.speed,
        size: new.size,
        priority: new.priority,
        pickups: new.pickups,
        delivery: new.delivery,
        codes: new.codes,
    }
}

fn new_order(n: usize, awaits: bool, zone: ZoneId) -> NewOrder {
    let merchant = merchant(n);
    NewOrder {
        id: OrderId::from_uuid(Uuid::now_v7()),
        merchant,
        customer: Some(CustomerId::from_uuid(Uuid::now_v7())),
        reference: Some(format!("R-{n:08}")),
        speed: Speed::Fast,
        size: 1,
        priority: 0,
        pickups: vec![NewPickup {
            seller: merchant,
            needs_confirmation: awaits,
            ready_at: None,
            stop: stop(n, "back door"),
        }],
        delivery: stop(n * 31 + 7, "third floor, left"),
        codes: CodeRule::default(),
        entropy: vec![n as u32, 815],
        zone,
        rules: ZoneRules { give_up_seconds: 86_400, confirmation_seconds: 86_400, ..ZoneRules::default() },
        travel_seconds: 900,
    }
}

/// An order as it is stored when it was just placed.
pub(crate) fn order(n: usize, awaits: bool, zone: ZoneId) -> Order {
    match new_order(n, awaits, zone).place(chrono::Utc::now()) {
        Ok(Event::Placed { order }) => Arc::unwrap_or_clone(order),
        other => unreachable!("an order that is right in every field was not placed: {other:?}"),
    }
}

/// The step that stores a new order.
pub(crate) fn entry(order: &Order) -> Entry {
    let order = Arc::new(order.clone());
    let event = Event::Placed { order: Arc::clone(&order) };
    let recorded = Recorded { seq: 1, at: order.placed_at, by: Party::Merchant(order.merchant), event };
    let status = order.status();
    Entry::order(0, order, [(recorded, status)]).correlation(Some(Correlation { request: REQUEST.into(), trace: None }))
}

/// Cancels every live order, many at once.
pub(crate) async fn cancel_all(system: &System, pool: &Pool) -> Outcome<()> {
    let mut ids = Vec::new();
    posthaste_storage::orders::for_each_live(pool, None, |order| ids.push(order.id)).await?;
    let ids = Arc::new(ids);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (ids, system) = (Arc::clone(&ids), system.clone());
        callers.spawn(async move {
            for id in ids.iter().skip(caller).step_by(CALLERS) {
                let by = admin().by;
                let command = Command::Cancel { by, reason: "no longer wanted".to_owned() };
                system.orders().command(*id, command, admin()).await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}
