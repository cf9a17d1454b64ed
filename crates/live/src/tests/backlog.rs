//! A zone with a backlog: hundreds and thousands wait, and whoever is idle and able is asked.

use std::collections::HashMap;
use std::time::Duration;

use posthaste_clock::testing::{eventually, eventually_within};
use posthaste_domain::ids::{DriverId, Id as _, OfferId, OrderId};
use posthaste_domain::offer::Offer;
use posthaste_domain::order::{Event, Recorded, Status, TaskKind, TaskStatus};
use posthaste_domain::party::Party;
use posthaste_domain::window::Window;
use posthaste_domain::zone::Policy;
use posthaste_domain::zone::ZoneRules;
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::orders::ListFilter;
use posthaste_storage::pool;
use posthaste_storage::testing::{TestDatabase, TestServer};
use tokio::task::JoinSet;

use super::routed::undecided;
use super::stage::{Stage, place};
use crate::drivers::DriverCommand;
use crate::orders::PlaceOrder;
use crate::{Cause, Once};

/// Orders placed at the same time.
const AT_ONCE: usize = 32;
/// How long eight drivers of a backlog may take for what they are asked to do (real time), on a machine that is busy
/// with all the other tests. A zone that has stalled never gets there.
const PATIENCE: Duration = Duration::from_secs(120);

fn rules(policy: Policy) -> ZoneRules {
    ZoneRules { policy, offer_seconds: 600, stale_after_seconds: 7200, give_up_seconds: 86_400, ..ZoneRules::default() }
}

/// The `n`th of a backlog: shops and doors all over the middle of the zone, the food of all of them ready.
fn order_of(stage: &Stage, n: usize) -> PlaceOrder {
    let mut order = stage.fast_order();
    let at = |n: usize| f64::from(u32::try_from(n % 100).expect("a small number")) * 0.0005;
    order.pickups[0].stop.place = place(52.08 + at(n * 7), 13.08 + at(n * 13));
    order.delivery.place = place(52.08 + at(n * 7 + 9), 13.08 + at(n * 13 + 17));
    order.priority = i16::from(n.is_multiple_of(4)) - i16::from(n.is_multiple_of(5));
    order
}

/// Places so many, many at a time.
async fn place_all(stage: &Stage, count: usize) -> Vec<OrderId> {
    let mut all = Vec::with_capacity(count);
    let mut placing = JoinSet::new();
    for n in 0..count {
        if placing.len() == AT_ONCE {
            all.extend(placing.join_next().await.map(|placed| placed.expect("it is placed")));
        }
        let (system, order) = (stage.system.clone(), order_of(stage, n));
        let cause = Cause::new(Party::Merchant(stage.merchant), "test");
        placing.spawn(async move {
            match system.orders().place(order, None, cause).await.expect("an order") {
                Once::New(order) => order.id,
                Once::Replayed { .. } => panic!("no key, no replay"),
            }
        });
    }
    while let Some(placed) = placing.join_next().await {
        all.push(placed.expect("it is placed"));
    }
    all
}

/// Drivers who come on shift, one after another, all over the zone.
async fn eight_come(stage: &Stage) -> Vec<DriverId> {
    let mut drivers = Vec::new();
    for n in 0..8 {
        let at = f64::from(n) * 0.005;
        drivers.push(stage.driver_on_shift(place(52.08 + at, 13.12 - at)).await);
    }
    drivers
}

/// Waits until a driver has an offer that is none of these.
async fn next_offer(stage: &Stage, driver: DriverId, but: &[OfferId]) -> OfferId {
    eventually_within(PATIENCE, "an idle driver is asked", async || {
        let work = stage.system.drivers().work(driver).await.expect("work");
        let mut offers = work.offered.iter().filter_map(|order| order.offer.map(|offer| offer.id));
        offers.find(|offer| !but.contains(offer))
    })
    .await
}

/// Does whatever a driver has: accepts every offer, picks up and hands over at once. How many were handed over.
async fn does_all(stage: &Stage, driver: DriverId) -> usize {
    let work = stage.system.drivers().work(driver).await.expect("work");
    for offer in work.offered.iter().filter_map(|order| order.offer) {
        // It may have been withdrawn meanwhile.
        let _ = stage.as_driver(driver, DriverCommand::Accept(offer.id)).await;
    }
    let mut handed_over = 0;
    for order in &work.in_hand {
        let waits = order.pickups().any(|task| !matches!(task.status, TaskStatus::Done));
        if waits {
            stage.complete(driver, order.id, TaskKind::Pickup).await.expect("picked up");
        }
        stage.complete(driver, order.id, TaskKind::Delivery).await.expect("delivered");
        handed_over += 1;
    }
    handed_over
}

/// Drivers work until together they have handed over so many.
async fn work_off(stage: &Stage, drivers: &[DriverId], count: usize) {
    let mut done = 0;
    eventually_within(PATIENCE, "all are handed over", async || {
        loop {
            let before = done;
            for driver in drivers {
                done += does_all(stage, *driver).await;
            }
            if done >= count || done == before {
                return (done >= count).then_some(());
            }
        }
    })
    .await;
}

async fn a_backlog_is_worked_off(policy: Policy, count: usize, handed_over: usize) {
    let stage = Stage::running(rules(policy)).await;
    place_all(&stage, count).await;
    let drivers = eight_come(&stage).await;
    for driver in &drivers {
        next_offer(&stage, *driver, &[]).await;
    }
    work_off(&stage, &drivers, handed_over).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_hundred_and_twenty_waiting_eight_drivers_have_work_until_all_are_handed_over() {
    a_backlog_is_worked_off(Policy::Routed, 120, 120).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_have_they_where_the_usual_policy_decides() {
    a_backlog_is_worked_off(Policy::LeastBusy, 120, 120).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_thousand_waiting_eight_drivers_have_work() {
    a_backlog_is_worked_off(Policy::Routed, 1_000, 80).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_five_thousand_waiting_eight_drivers_have_work() {
    a_backlog_is_worked_off(Policy::Routed, 5_000, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_a_backlog_is_offered_on() {
    let stage = Stage::running(rules(Policy::Routed)).await;
    place_all(&stage, 200).await;
    let drivers = eight_come(&stage).await;
    for driver in &drivers {
        next_offer(&stage, *driver, &[]).await;
    }
    stage.checkpoint().await;
    let stage = stage.crash_and_restart().await;
    work_off(&stage, &drivers, 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_declines_whoever_stands_at_the_shop_of_ten_of_a_thousand_is_asked_on() {
    let stage = Stage::running(rules(Policy::Routed)).await;
    place_all(&stage, 1_000).await;
    let at_a_shop = order_of(&stage, 3).pickups[0].stop.place;
    let driver = stage.driver_on_shift(at_a_shop).await;
    let mut declined = Vec::new();
    for _ in 0..12 {
        let offer = next_offer(&stage, driver, &declined).await;
        stage.as_driver(driver, DriverCommand::Decline(offer)).await.expect("declined");
        declined.push(offer);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_database_leaves_a_backlog_that_is_offered_at_once() {
    let mut server = TestServer::private().await;
    let connected = pool::connect(server.url(), 8).await.expect("a pool");
    pool::migrate(&connected).await.expect("tables");
    let database = TestDatabase { pool: connected, url: server.url().to_owned() };
    let stage = Stage::on(database, rules(Policy::Routed), None).await;
    place_all(&stage, 150).await;
    let drivers = eight_come(&stage).await;
    for driver in &drivers {
        next_offer(&stage, *driver, &[]).await;
    }
    server.stop().await;
    let cause = Cause::new(Party::Merchant(stage.merchant), "test");
    assert!(stage.system.orders().place(stage.fast_order(), None, cause).await.is_err(), "nothing is stored");
    server.start().await;
    // What a driver says is refused until the connections are back.
    eventually("Postgres is back", async || stage.database.pool.ping().await.ok()).await;
    let more = stage.driver_on_shift(place(52.1, 13.1)).await;
    next_offer(&stage, more, &[]).await;
    patiently_work_off(&stage, &drivers, 60).await;
}

/// As [`work_off`], where a command may be refused because an actor is being reloaded.
async fn patiently_work_off(stage: &Stage, drivers: &[DriverId], count: usize) {
    let mut done = 0;
    eventually_within(PATIENCE, "all are handed over", async || {
        for driver in drivers {
            let Ok(work) = stage.system.drivers().work(*driver).await else { continue };
            for offer in work.offered.iter().filter_map(|order| order.offer) {
                let _ = stage.as_driver(*driver, DriverCommand::Accept(offer.id)).await;
            }
            for order in &work.in_hand {
                if order.pickups().any(|task| !matches!(task.status, TaskStatus::Done)) {
                    let _ = stage.complete(*driver, order.id, TaskKind::Pickup).await;
                }
                done += usize::from(stage.complete(*driver, order.id, TaskKind::Delivery).await.is_ok());
            }
        }
        (done >= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_who_stands_at_the_shop_is_asked_as_soon_as_one_who_is_near() {
    let mut asked_after = Vec::new();
    for lng in [13.1, 13.1007] {
        // As long as the service at the shop takes, whoever stood there was not asked.
        let slow_shop = ZoneRules { pickup_service_seconds: 1_200, offer_lead_seconds: 0, ..rules(Policy::Routed) };
        let stage = Stage::with_rules(slow_shop).await;
        let driver = stage.driver_on_shift(place(52.1, lng)).await;
        let order = stage.place(stage.fast_order()).await;
        assert_eq!(stage.offered(order.id).await.0, driver);
        let made_at = stage.order(order.id).await.offer.expect("an offer").made_at;
        asked_after.push((made_at - order.placed_at).num_seconds());
    }
    assert!(asked_after.iter().all(|seconds| *seconds < 300), "{asked_after:?}");
}

/// When a driver had an order or an offer of it.
type Spans = HashMap<DriverId, Vec<(Timestamp, Timestamp)>>;

/// What an order's events say of drivers' time, and until when whom it was not to be offered to; when it expired.
fn read(timeline: &[(Recorded, Status)], busy: &mut Spans, cools: &mut Spans) -> Option<Timestamp> {
    let mut held: Option<(DriverId, Timestamp)> = None;
    let mut expired = None;
    for (recorded, _) in timeline {
        let at = recorded.at;
        let has_it_now = match &recorded.event {
            Event::Offered { offer } => Some(offer.driver),
            Event::Assigned { driver, .. } => Some(*driver),
            Event::OfferDeclined { driver, cool_until, .. } => {
                cools.entry(*driver).or_default().push((at, *cool_until));
                None
            }
            Event::OfferWithdrawn { .. } | Event::Delivered { .. } => None,
            Event::Expired => {
                expired = Some(at);
                None
            }
            _ => continue,
        };
        if let Some((driver, since)) = held.take() {
            busy.entry(driver).or_default().push((since, at));
        }
        held = has_it_now.map(|driver| (driver, at));
    }
    expired
}

/// How many orders expired, and those of them that did while a driver had had nothing to do for `grace` and might have been
/// asked for them.
async fn expired(stage: &Stage, orders: &[OrderId], drivers: &[DriverId], grace: Span) -> (usize, Vec<String>) {
    let (mut busy, mut expired) = (Spans::new(), Vec::new());
    for id in orders {
        let timeline = stage.system.doors.timeline(*id, 0).await.expect("a timeline");
        let mut cools = Spans::new();
        if let Some(at) = read(&timeline, &mut busy, &mut cools) {
            expired.push((*id, at, cools));
        }
    }
    let mut beside = Vec::new();
    for (id, at, cools) in &expired {
        let touches = |(from, to): &(Timestamp, Timestamp)| *from < *at && *at - grace < *to;
        for driver in drivers {
            if ![&busy, cools].iter().any(|spans| spans.get(driver).is_some_and(|spans| spans.iter().any(touches))) {
                beside.push(format!("{id} expired at {at} beside {driver}"));
            }
        }
    }
    (expired.len(), beside)
}

async fn nothing_expires_beside_the_idle(policy: Policy) {
    let short = ZoneRules { give_up_seconds: 240, offer_seconds: 60, cool_down_seconds: 30, ..rules(policy) };
    let stage = Stage::with_rules(short).await;
    let orders = place_all(&stage, 260).await;
    let drivers = eight_come(&stage).await;
    let live = async || {
        let live = stage
            .system
            .doors
            .live_orders(ListFilter { zone: Some(stage.zone), ..ListFilter::default() }, 1_000)
            .await
            .expect("a list");
        live.iter().any(|order| orders.contains(&order.id))
    };
    let mut offers = 0;
    let all = tokio::time::timeout(PATIENCE, async {
        while live().await {
            for driver in &drivers {
                let work = stage.system.drivers().work(*driver).await.expect("work");
                for offer in work.offered.iter().filter_map(|order| order.offer.map(|offer| offer.id)) {
                    offers += 1;
                    let declines = offers % 4 == 0;
                    let answer = if declines { DriverCommand::Decline(offer) } else { DriverCommand::Accept(offer) };
                    // It may have expired meanwhile.
                    let _ = stage.as_driver(*driver, answer).await;
                }
                if let Some(order) = work.in_hand.first() {
                    stage.complete(*driver, order.id, TaskKind::Pickup).await.expect("picked up");
                    stage.complete(*driver, order.id, TaskKind::Delivery).await.expect("delivered");
                }
            }
            // The zone has looked since: it says that what came last, and nobody can carry, waits. Nobody drives faster.
            let too_large = stage.place(PlaceOrder { size: 1000, ..order_of(&stage, 1) }).await;
            undecided(&stage, too_large.id).await;
            stage.advance(Span::seconds(18));
        }
    });
    all.await.expect("every order comes to an end");
    let (expired, beside) = expired(&stage, &orders, &drivers, Span::seconds(75)).await;
    assert!(expired > 0, "too few orders for the drivers: nothing was shown");
    let some: Vec<_> = beside.iter().take(5).collect();
    assert!(beside.is_empty(), "{} times, of {expired} that expired: {some:#?}", beside.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_routes_are_planned_nothing_expires_beside_whoever_is_idle_and_able() {
    nothing_expires_beside_the_idle(Policy::Routed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_least_busy_is_asked_nothing_does_either() {
    nothing_expires_beside_the_idle(Policy::LeastBusy).await;
}

#[test]
fn what_expired_beside_somebody_idle_is_counted() {
    // The count above is worth something only if it counts.
    let at = |minute| Timestamp::UNIX_EPOCH + Span::minutes(minute);
    let recorded = |event, minute| (Recorded { seq: 1, at: at(minute), by: Party::System, event }, Status::Confirmed);
    let driver = DriverId::from_uuid(uuid::Uuid::from_u128(7));
    let offer = OfferId::from_uuid(uuid::Uuid::from_u128(8));
    let declined = Event::OfferDeclined { offer, driver, silent: false, cool_until: at(9) };
    let (mut busy, mut cools) = (Spans::new(), Spans::new());
    let made = Event::Offered {
        offer: Offer {
            id: offer,
            driver,
            made_at: at(1),
            deadline: at(3),
            commitment: Window::new(at(1), at(20)).expect("a window"),
            lane: None,
        },
    };
    let timeline = [recorded(made, 1), recorded(declined, 2), recorded(Event::Expired, 30)];
    assert_eq!(read(&timeline, &mut busy, &mut cools), Some(at(30)));
    assert_eq!((busy[&driver].clone(), cools[&driver].clone()), (vec![(at(1), at(2))], vec![(at(2), at(9))]));
}
