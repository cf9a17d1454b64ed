//! What a crash leaves: everything that was answered, and nothing that was only in memory.

use posthaste_clock::testing::eventually;
use posthaste_domain::Span;
use posthaste_domain::order::{Status, TaskKind};
use posthaste_domain::zone::ZoneRules;
use tokio::task::JoinSet;

use super::stage::{Stage, admin, place, surely};
use crate::Once;
use crate::drivers::DriverCommand;

fn rules() -> ZoneRules {
    ZoneRules { offer_seconds: 20, cool_down_seconds: 600, stale_after_seconds: 7200, ..ZoneRules::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_in_the_middle_of_many_commits_loses_nothing_that_was_answered() {
    let stage = Stage::open().await;
    let mut placing = JoinSet::new();
    for _ in 0..400 {
        let (system, new) = (stage.system.clone(), stage.fast_order());
        placing.spawn(async move {
            match system.orders().place(new, None, admin()).await {
                Ok(Once::New(order)) => Some(order.id),
                Ok(Once::Replayed { .. }) => panic!("no key, no replay"),
                Err(_) => None,
            }
        });
    }
    // Some are answered, and the others are on their way.
    let mut answered = Vec::new();
    while answered.len() < 20 {
        answered.extend(placing.join_next().await.expect("there are more").expect("no panic"));
    }
    let stage = stage.crash_and_restart().await;
    let mut broken_off = 0;
    while let Some(placed) = placing.join_next().await {
        match placed.expect("no panic") {
            Some(order) => answered.push(order),
            None => broken_off += 1,
        }
    }
    assert!(broken_off > 0, "it fell in the middle of what it did: {} were answered", answered.len());
    stage.until_whole().await;
    for order in &answered {
        assert_eq!(stage.order(*order).await.status(), Status::Confirmed);
    }
    assert!(stage.system.orders().live() >= answered.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_since_the_last_checkpoint_are_lost_and_no_others() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let at = async |stage: &Stage| {
        let position = stage.system.drivers().get(driver).await.expect("a driver").position;
        position.map(|position| (position.place.lat(), position.place.lng()))
    };
    stage.checkpoint().await;
    stage.system.drivers().presence(driver).await.expect("a slot").said(place(52.15, 13.15));
    assert_eq!(at(&stage).await, Some((52.15, 13.15)));
    let stage = stage.crash_and_restart().await;
    assert_eq!(at(&stage).await, Some((52.1, 13.1)));
    let stage = stage.crash_and_restart().await;
    assert_eq!(at(&stage).await, Some((52.1, 13.1)), "what was stored once is not lost by a second crash");
    // Nobody has to ask for it: a checkpoint comes by the clock.
    stage.system.drivers().presence(driver).await.expect("a slot").said(place(52.16, 13.16));
    stage.advance(Span::seconds(3));
    stage.duties_done().await;
    let stage = stage.crash_and_restart().await;
    assert_eq!(at(&stage).await, Some((52.16, 13.16)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fell_due_while_nobody_was_there_is_done_at_the_start() {
    let stage = Stage::with_rules(ZoneRules { confirmation_seconds: 20, ..rules() }).await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let mut unconfirmed = stage.fast_order();
    unconfirmed.pickups[0].needs_confirmation = true;
    let unconfirmed = stage.place(unconfirmed).await;
    let order = stage.place(stage.fast_order()).await;
    assert_eq!(stage.offered(order.id).await.0, driver);
    let stage = stage.crash_and_restart_after(Span::minutes(5)).await;
    stage.until_status(unconfirmed.id, Status::Rejected).await;
    let lapsed = stage.until(order.id, |order| !order.cooling.is_empty()).await;
    assert_eq!((lapsed.cooling[0].driver, lapsed.offer), (driver, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_that_rings_while_its_actor_is_reloaded_is_not_lost() {
    for kills_first in [true, false] {
        let stage = Stage::with_rules(rules()).await;
        let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
        let order = stage.place(stage.fast_order()).await;
        assert_eq!(stage.offered(order.id).await.0, driver);
        let actor = stage.system.orders().door.present(order.id).expect("an actor");
        if kills_first {
            actor.kill();
        }
        // The only movement: whoever is loaded after it finds the deadline behind them.
        stage.advance(Span::seconds(20));
        actor.kill();
        let lapsed = stage.until(order.id, |order| !order.cooling.is_empty()).await;
        assert_eq!((lapsed.cooling[0].driver, lapsed.offer), (driver, None), "killed first: {kills_first}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_actors_that_fail_at_once_are_all_reloaded() {
    let stage = Stage::running(ZoneRules { offer_seconds: 3000, give_up_seconds: 36_000, ..rules() }).await;
    let mut drivers = Vec::new();
    for n in 0..3 {
        drivers.push(stage.driver_on_shift(place(52.1 + f64::from(n) / 1000.0, 13.1)).await);
    }
    let mut orders = Vec::new();
    for _ in 0..200 {
        orders.push(stage.place(stage.fast_order()).await.id);
    }
    let doors = &stage.system.doors;
    for order in &orders {
        doors.orders.door.present(*order).expect("an actor").kill();
    }
    for driver in &drivers {
        doors.drivers.door.present(*driver).expect("an actor").kill();
    }
    doors.journal.seat.cell().expect("somebody sits there").kill();
    stage.until_whole().await;
    assert_eq!(stage.system.orders().live(), 200);
    for driver in drivers {
        let offered = eventually("they are asked", async || {
            let work = stage.system.drivers().work(driver).await.ok()?;
            work.offered.first().and_then(|order| order.offer.map(|offer| (order.id, offer.id)))
        });
        let (order, offer) = offered.await;
        surely(async || stage.as_driver(driver, DriverCommand::Accept(offer)).await).await.expect("accepted");
        surely(async || stage.complete(driver, order, TaskKind::Pickup).await).await.expect("picked up");
        surely(async || stage.complete(driver, order, TaskKind::Delivery).await).await.expect("delivered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_whose_clock_is_set_back_puts_deadlines_off_and_no_event_before_another() {
    let stage = Stage::with_rules(rules()).await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    let (_, offer) = stage.offered(order.id).await;
    stage.heard(driver).await;
    stage.set_back(Span::seconds(10));
    stage.advance(Span::milliseconds(29_999));
    let open = stage.system.orders().prioritise(order.id, 1, admin()).await.expect("urgent").order;
    assert_eq!(open.offer.map(|open| open.id), Some(offer), "ten seconds came twice");
    stage.advance(Span::milliseconds(1));
    stage.until(order.id, |order| !order.cooling.is_empty()).await;
    let timeline = stage.system.doors.timeline(order.id, 0).await.expect("a timeline");
    assert!(timeline.is_sorted_by_key(|(recorded, _)| recorded.at), "{timeline:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accept_that_postgres_refuses_takes_the_offer_back_and_the_order_waits_on() {
    let stage = Stage::with_rules(ZoneRules { offer_seconds: 600, ..rules() }).await;
    let near = stage.driver_on_shift(place(52.1, 13.1)).await;
    // Time that memory knows nothing of.
    let taken = "INSERT INTO commitments (order_id, version, driver_id, during)
        VALUES (gen_random_uuid(), 1, $1, tstzrange(now() - interval '1 day', now() + interval '1 day'))";
    let uuid = posthaste_domain::ids::Id::uuid(near);
    sqlx::query(taken).bind(uuid).execute(stage.database.pool.connections()).await.expect("taken");
    let order = stage.place(stage.fast_order()).await;
    let (asked, offer) = stage.offered(order.id).await;
    assert_eq!(asked, near);
    let refused = stage.as_driver(near, DriverCommand::Accept(offer)).await;
    assert!(matches!(refused, Err(crate::Refused::DriverUnsuited(_))), "{refused:?}");
    let withdrawn = stage.until(order.id, |order| order.offer.is_none_or(|open| open.id != offer)).await;
    assert_eq!(withdrawn.assignment, None);
    let timeline = stage.system.doors.timeline(order.id, 0).await.expect("a timeline");
    let is_withdrawn = |event: &posthaste_domain::order::Event| event.name() == "offer_withdrawn";
    assert!(timeline.iter().any(|(recorded, _)| is_withdrawn(&recorded.event)), "{timeline:#?}");
    // Whoever has the time gets it: the one who was refused, once they do.
    let given_back = "UPDATE commitments SET active = false WHERE driver_id = $1";
    sqlx::query(given_back).bind(uuid).execute(stage.database.pool.connections()).await.expect("given back");
    stage.until_in_time(order.id, Span::seconds(1), |order| order.offer.is_some()).await;
    stage.accepted(order.id).await;
    stage.carried_to_the_door(near, order.id).await;
    stage.until_whole().await;
}
