//! What follows a commit never depends on who asked: callers hang up in any moment, connections to Postgres break before and
//! after a commit, actors are killed; then everything that is stored lives, and nobody was left without word.

use std::time::Duration;

use posthaste_clock::testing::{eventually, eventually_shown};
use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::order::{Command, FailReason, Status, TaskKind};
use posthaste_domain::party::Party;
use posthaste_domain::zone::ZoneRules;
use posthaste_domain::zone::{NewZone, Travel};
use posthaste_protocol::audience::Audience;
use posthaste_protocol::socket::{Hello, ServerMessage};
use posthaste_storage::testing::Cut;

use super::stage::{Stage, admin, place, square_at};
use super::streams::read;
use crate::drivers::{DriverCommand, RegisterDriver};
use crate::orders::Idempotency;
use crate::streams::{Subject, Subscription, View};
use crate::{Cause, Once, Refused};

fn rules() -> ZoneRules {
    ZoneRules { offer_seconds: 3000, stale_after_seconds: 7200, give_up_seconds: 7200, ..ZoneRules::default() }
}

fn key(stage: &Stage, name: &str) -> Idempotency {
    let mut fingerprint = [0; 32];
    fingerprint[..name.len().min(32)].copy_from_slice(&name.as_bytes()[..name.len().min(32)]);
    Idempotency {
        principal: stage.merchant.to_string(),
        key: name.to_owned(),
        fingerprint: fingerprint.into(),
        audience: Audience::Merchant(stage.merchant),
    }
}

/// Does something again as long as nobody can say whether it was done.
async fn surely<T, F: Future<Output = Result<T, Refused>>>(mut act: impl FnMut() -> F) -> T {
    super::stage::surely(async || act().await).await.unwrap_or_else(|refused| panic!("{refused}"))
}

/// Reads what a stream brings until it has told of the order's event `last`, and says which events of it came.
async fn events_until(stream: &mut Subscription, order: OrderId, last: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while seen.last() != Some(&last) {
            let mut frames = Vec::new();
            stream.next(&mut frames).await.expect("it stays open");
            for message in frames.iter().map(|frame| read(frame).1) {
                match message {
                    ServerMessage::Step(step) => seen.push(step.step.seq),
                    ServerMessage::Order(changed) if changed.order.id == order => {
                        seen.extend(changed.events.iter().map(|event| event.seq));
                    }
                    _ => {}
                }
            }
        }
    });
    let in_time = waited.await.is_ok();
    assert!(in_time, "never told of {last}: {seen:?}");
    seen
}

async fn follow(stage: &Stage, subject: impl Into<Subject>) -> Subscription {
    let mut stream = stage.system.streams().open(subject).await.expect("a stream");
    stream.begin(Hello::default()).await.expect("it begins");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_whose_callers_hang_up_at_any_moment_are_offered_like_others() {
    let stage = Stage::running(rules()).await;
    for n in 0..60u32 {
        let (orders, key) = (stage.system.orders().clone(), key(&stage, &format!("hang-up-{n}")));
        let mut new = stage.fast_order();
        new.reference = Some(format!("hang-up-{n}"));
        let cause = Cause::new(Party::Merchant(stage.merchant), "test");
        let placing = tokio::spawn(async move { orders.place(new, Some(key), cause).await });
        tokio::time::sleep(Duration::from_micros(u64::from(n) * 150)).await;
        placing.abort();
    }
    // Sent again as documented, each is there once.
    for n in 0..60u32 {
        let mut new = stage.fast_order();
        new.reference = Some(format!("hang-up-{n}"));
        let placed = surely(|| {
            let cause = Cause::new(Party::Merchant(stage.merchant), "test");
            stage.system.orders().place(new.clone(), Some(key(&stage, &format!("hang-up-{n}"))), cause)
        });
        placed.await;
    }
    stage.until_whole().await;
    assert_eq!(stage.system.orders().live(), 60);
    let board = stage.system.zones().board(stage.zone).expect("a board");
    assert_eq!(board.waiting_total, 60, "every one of them waits where dispatch looks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_commit_is_cut_lives_if_it_is_stored_and_is_told_of_once() {
    for cut in [Cut::Before, Cut::After] {
        let (stage, relay) = Stage::behind_a_relay(rules()).await;
        let mut operations = follow(&stage, View::All).await;
        let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
        let mut new = stage.fast_order();
        new.reference = Some("the-victim".to_owned());
        relay.cut("the-victim", cut);
        let placed = surely(|| {
            let cause = Cause::new(Party::Merchant(stage.merchant), "test");
            stage.system.orders().place(new.clone(), Some(key(&stage, "victim")), cause)
        });
        let id = match placed.await {
            Once::New(order) => order.id,
            Once::Replayed { body, .. } => {
                let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
                body["id"].as_str().expect("an id").parse().expect("an id")
            }
        };
        assert_eq!(relay.cuts(), 1, "{cut:?}");
        assert_eq!(stage.offered(id).await.0, driver, "{cut:?}");
        stage.until_whole().await;
        assert_eq!(events_until(&mut operations, id, 2).await, [1, 2], "{cut:?}: told once, without a gap");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_commit_is_cut_is_told_to_everybody_and_answered_as_what_it_was() {
    for cut in [Cut::Before, Cut::After] {
        let (stage, relay) = Stage::behind_a_relay(rules()).await;
        let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
        let order = stage.place(stage.fast_order()).await.id;
        let (mut tracker, mut merchant, mut operations) = (
            follow(&stage, crate::streams::tracking(order)).await,
            follow(&stage, crate::streams::merchant(stage.merchant)).await,
            follow(&stage, View::All).await,
        );
        let began = stage.order(order).await.version;
        let mut steps = Vec::new();
        // Each step's event is in its statement by its name.
        let (_, offer) = stage.offered(order).await;
        steps.push(("\"assigned\"", DriverCommand::Accept(offer)));
        relay.cut(b"assigned", cut);
        let (_, command) = steps.pop().expect("one");
        surely(|| stage.as_driver(driver, command.clone())).await;
        let (pickup, code) = stage.task(order, TaskKind::Pickup).await;
        let (door, door_code) = stage.task(order, TaskKind::Delivery).await;
        let complete = |task, kind, code| DriverCommand::Complete { task, kind, code, proof: None };
        for (name, command) in [
            ("departed", DriverCommand::Depart(pickup)),
            ("arrived", DriverCommand::Arrive(pickup)),
            ("picked_up", complete(pickup, TaskKind::Pickup, code)),
            ("delivered", complete(door, TaskKind::Delivery, door_code)),
        ] {
            let before = relay.cuts();
            relay.cut(name, cut);
            surely(|| stage.as_driver(driver, command.clone())).await;
            assert_eq!(relay.cuts(), before + 1, "{name} {cut:?}");
        }
        let stored = stage.until_status(order, Status::Delivered).await;
        stage.until_whole().await;
        for stream in [&mut tracker, &mut merchant, &mut operations] {
            let seen = events_until(stream, order, stored.version).await;
            let seen: Vec<u64> = seen.into_iter().filter(|seq| *seq > began).collect();
            assert_eq!(seen, (began + 1..=stored.version).collect::<Vec<_>>(), "{cut:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zones_are_served_as_they_are_stored_whatever_became_of_the_answer() {
    for cut in [Cut::Before, Cut::After] {
        let (stage, relay) = Stage::behind_a_relay(rules()).await;
        let zone = |name: &str, west| NewZone {
            name: name.to_owned(),
            area: square_at(west),
            rules: ZoneRules::default(),
            travel: Travel::default(),
        };
        let zones = stage.system.zones();
        relay.cut("a-new-zone", cut);
        let made = surely(|| zones.create(zone("a-new-zone", 15.0), Some(key(&stage, "zone")), admin()));
        made.await;
        let id = zones.at(place(52.1, 15.1)).expect("it takes orders");
        relay.cut("renamed", cut);
        surely(|| zones.replace(id, zone("renamed", 15.0), admin())).await;
        surely(|| zones.replace(id, zone("renamed again", 15.0), admin())).await;
        assert_eq!(zones.get(id).expect("the zone").zone.name, "renamed again", "{cut:?}");
        relay.cut(posthaste_domain::ids::Id::uuid(id).as_bytes(), cut);
        eventually_shown("it is removed", async || match zones.remove(id, admin()).await {
            Ok(()) | Err(Refused::NotFound(_)) => Ok(()),
            Err(other) => Err(other),
        })
        .await;
        assert!(zones.at(place(52.1, 15.1)).is_none(), "{cut:?}: a removed zone takes no orders");
        let stored = posthaste_storage::zones::served(&stage.database.pool).await.expect("zones");
        let served: Vec<_> = zones.list().iter().map(|zone| (zone.zone.id, zone.zone.version)).collect();
        assert_eq!(served, stored.iter().map(|zone| (zone.id, zone.version)).collect::<Vec<_>>(), "{cut:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zones_whose_changers_hang_up_can_be_changed_again() {
    let stage = Stage::running(rules()).await;
    for n in 0..20u32 {
        let west = 14.0 + f64::from(n);
        let id = stage.zone(&format!("zone {n}"), west).await;
        let put = NewZone {
            name: format!("renamed {n}"),
            area: square_at(west),
            rules: ZoneRules::default(),
            travel: Travel::default(),
        };
        let (zones, first) = (stage.system.zones().clone(), put.clone());
        let changing = tokio::spawn(async move { zones.replace(id, first, admin()).await });
        tokio::time::sleep(Duration::from_micros(u64::from(n) * 200)).await;
        changing.abort();
        let again = stage.system.zones().replace(id, put, admin()).await;
        assert!(again.is_ok(), "{n}: {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drivers_and_their_shifts_are_what_is_stored_whatever_became_of_the_answer() {
    for cut in [Cut::Before, Cut::After] {
        let (stage, relay) = Stage::behind_a_relay(rules()).await;
        let drivers = stage.system.drivers();
        let new = RegisterDriver {
            id: None,
            name: "Cut Driver".to_owned(),
            vehicle: posthaste_domain::driver::Vehicle::Bicycle,
            capacity: 1,
            zones: vec![stage.zone],
            speeds: vec![posthaste_domain::order::Speed::Fast],
        };
        relay.cut("Cut Driver", cut);
        let registered = surely(|| drivers.register(new.clone(), Some(key(&stage, "driver")), admin())).await;
        let id: DriverId = match registered {
            Once::New(driver) => driver.id,
            Once::Replayed { body, .. } => {
                let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
                body["id"].as_str().expect("an id").parse().expect("an id")
            }
        };
        let mut own = follow(&stage, crate::streams::driver(id)).await;
        relay.cut("shift_changed", cut);
        surely(|| drivers.shift(id, Shift::Available { until: None }.into(), admin())).await;
        let told = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let mut frames = Vec::new();
                own.next(&mut frames).await.expect("it stays open");
                let is_shift =
                    |frame| matches!(read(frame).1, ServerMessage::Shift(shift) if Shift::from(shift).is_on());
                if frames.iter().any(is_shift) {
                    return;
                }
            }
        });
        told.await.expect("their own stream says so");
        assert!(drivers.get(id).await.expect("a driver").driver.shift.is_on(), "{cut:?}");
        let (start, end) = (stage.in_minutes(60), stage.in_minutes(120));
        relay.cut("planned_shifts", cut);
        let planned = surely(|| drivers.plan_shift(id, (start, end), None, Some(key(&stage, "plan")), admin()));
        planned.await;
        let shifts = drivers.planned_shifts(id).await.expect("shifts");
        assert_eq!(shifts.len(), 1, "{cut:?}");
        let on = |stage: &Stage| stage.system.doors.zones.cell(stage.zone).expect("a zone").roster.lock().len();
        until("the shift is on the roster", || on(&stage) == 1).await;
        relay.cut(posthaste_domain::ids::Id::uuid(shifts[0].id).as_bytes(), cut);
        eventually_shown("it is dropped", async || match drivers.drop_shift(id, shifts[0].id, admin()).await {
            Ok(()) | Err(Refused::NotFound(_)) => Ok(()),
            Err(other) => Err(other),
        })
        .await;
        until("the shift is off the roster", || on(&stage) == 0).await;
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    eventually(what, async || holds().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_nobody_brought_to_life_is_found_by_the_reconciler() {
    let stage = Stage::running(rules()).await;
    let mut operations = follow(&stage, View::All).await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = stage.place(stage.fast_order()).await;
    stage.offered(order.id).await;
    // As if whoever placed it had ended between the commit and what follows it.
    let doors = &stage.system.doors;
    let actor = doors.orders.door.present(order.id).expect("an actor");
    doors.orders.door.leave(order.id, &actor.get_cell());
    actor.stop(None);
    assert!(!stage.system.differences().await.expect("what is stored").is_empty(), "it is missed");
    doors.doubt();
    stage.until_whole().await;
    let alert = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let mut frames = Vec::new();
            operations.next(&mut frames).await.expect("it stays open");
            let is_mended = |frame| matches!(read(frame).1, ServerMessage::Alert(alert) if alert.kind == posthaste_protocol::words::AlertKind::StateMended);
            if frames.iter().any(is_mended) {
                return;
            }
        }
    });
    alert.await.expect("operations are told");
    let (_, offer) = stage.offered(order.id).await;
    stage.as_driver(driver, DriverCommand::Accept(offer)).await.expect("accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_killed_after_its_commit_tells_what_it_had_not_told() {
    let stage = Stage::running(rules()).await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let mut merchant = follow(&stage, crate::streams::merchant(stage.merchant)).await;
    for _ in 0..12 {
        let order = stage.place(stage.fast_order()).await.id;
        stage.accepted(order).await;
        let (task, _) = stage.task(order, TaskKind::Pickup).await;
        let actor = stage.system.orders().door.present(order).expect("an actor");
        // Killed somewhere between the decision and the telling.
        let (drivers, cause) = (stage.system.drivers().clone(), Cause::new(Party::Driver(driver), "test"));
        let failing = DriverCommand::Fail { task, reason: FailReason::StoreClosed, note: None };
        let asked = tokio::spawn(async move { drivers.command(driver, failing, None, cause).await });
        tokio::time::sleep(Duration::from_micros(400)).await;
        actor.kill();
        let _ = asked.await;
        let failing = DriverCommand::Fail { task, reason: FailReason::StoreClosed, note: None };
        surely(|| stage.as_driver(driver, failing.clone())).await;
        let stored = stage.until_status(order, Status::Failed).await;
        assert_eq!(events_until(&mut merchant, order, stored.version).await, (1..=stored.version).collect::<Vec<_>>());
    }
    stage.until_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_whose_commit_is_cut_frees_its_driver() {
    for cut in [Cut::Before, Cut::After] {
        let (stage, relay) = Stage::behind_a_relay(rules()).await;
        let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
        let order = stage.place(stage.fast_order()).await.id;
        stage.offered(order).await;
        relay.cut("canceled", cut);
        let cancel = Command::Cancel { by: Party::System, reason: "closed".to_owned() };
        surely(|| stage.system.orders().command(order, cancel.clone(), admin())).await;
        stage.until_status(order, Status::Canceled).await;
        let next = stage.place(stage.fast_order()).await.id;
        assert_eq!(stage.offered(next).await.0, driver, "{cut:?}");
        stage.until_whole().await;
    }
}
