//! What operations see who look at a part: all of it, numbered without gaps, and drivers in each of their zones.

use std::time::Duration;

use posthaste_clock::testing::eventually_shown;
use posthaste_domain::ids::{DriverId, Id, ZoneId};
use posthaste_domain::order::NewStop;
use posthaste_protocol::drivers::PositionView;
use posthaste_protocol::socket::{Hello, PositionUpdate, ServerMessage, Snapshot};

use super::stage::{Stage, place};
use super::streams::{next, read};
use crate::streams::{Closed, Scope, Subscription, View};

impl Stage {
    /// Takes a position: with those who look at it when this returns.
    async fn moves(&self, driver: DriverId, lat: f64, lng: f64) {
        let presence = self.system.drivers().presence(driver).await.unwrap();
        presence.said(place(lat, lng));
    }

    async fn looks_at(&self, view: View) -> (Subscription, u64, Snapshot) {
        let mut desk = self.system.streams().open(view).await.unwrap();
        let first = desk.begin(Hello::default()).await.unwrap();
        let (seq, ServerMessage::Snapshot(snapshot)) = read(&first[0]) else { panic!("a snapshot") };
        (desk, seq.unwrap(), *snapshot)
    }

    fn alert(&self, text: &str, scope: Scope) {
        let alert = posthaste_protocol::socket::Alert {
            kind: posthaste_protocol::words::AlertKind::OrderWaiting,
            text: text.to_owned(),
            order_id: None,
            driver_id: None,
            zone_id: None,
        };
        self.system.doors.streams.tell_operations(ServerMessage::Alert(alert), scope);
    }

    /// Waits until the stream of a view has come so far.
    async fn has_come_to(&self, view: View, seq: u64) {
        let stream = self.system.streams().open(view).await.unwrap();
        eventually_shown(&format!("the stream has come to {seq}"), async || match stream.seq() {
            come if come >= seq => Ok(()),
            come => Err(come),
        })
        .await;
    }
}

/// A zone that nobody made: nothing is told of it but what a test says.
fn nobodys_zone(n: u128) -> ZoneId {
    ZoneId::from_uuid(uuid::Uuid::from_u128(n))
}

/// Reads until everything has come that was on its way; gives the number of the last.
async fn settled(stage: &Stage, desk: &mut Subscription) -> u64 {
    stage.alert("settled", Scope::default());
    loop {
        for (seq, message) in next(desk).await {
            if matches!(&message, ServerMessage::Alert(alert) if alert.text == "settled") {
                return seq.unwrap();
            }
        }
    }
}

/// The next position that comes; messages before it are skipped.
async fn position(desk: &mut Subscription) -> PositionView {
    loop {
        for (_, message) in next(desk).await {
            if let ServerMessage::Position(PositionUpdate::Driver(position)) = message {
                return position;
            }
        }
    }
}

/// The next message that tells of the driver.
async fn told_of(desk: &mut Subscription, id: DriverId) {
    loop {
        for (_, message) in next(desk).await {
            if matches!(&message, ServerMessage::Driver(driver) if driver.id == id) {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_of_two_zones_is_seen_by_those_who_look_at_either_and_by_nobody_who_looks_at_another() {
    let stage = Stage::open().await;
    let (second, third) = (stage.zone("East", 13.4).await, nobodys_zone(8));
    let driver = stage.driver_of(vec![stage.zone, second], 10).await;
    let (mut first_desk, ..) = stage.looks_at(View::Zone(stage.zone)).await;
    let (mut second_desk, ..) = stage.looks_at(View::Zone(second)).await;
    let (third_desk, ..) = stage.looks_at(View::Zone(third)).await;
    stage.goes_on_shift(driver, place(52.1, 13.1)).await;
    for desk in [&mut first_desk, &mut second_desk] {
        told_of(desk, driver).await;
    }
    stage.moves(driver, 52.11, 13.45).await;
    for desk in [&mut first_desk, &mut second_desk] {
        assert_eq!(position(desk).await.lng, 13.45);
    }
    let (_, _, Snapshot::Operations { drivers, .. }) = stage.looks_at(View::Zone(second)).await else {
        panic!("theirs")
    };
    assert_eq!(drivers.len(), 1, "as the snapshot says");
    assert_eq!(third_desk.queue().waiting(), 0);
    assert_eq!(third_desk.seq(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_who_leaves_a_box_is_seen_to_leave_and_not_followed_outside() {
    let stage = Stage::open().await;
    let driver = stage.driver_of(vec![stage.zone], 10).await;
    stage.goes_on_shift(driver, place(52.1, 13.1)).await;
    let view = View::Box { west: 13.05, south: 52.05, east: 13.15, north: 52.15 };
    let (mut desk, _, Snapshot::Operations { drivers, .. }) = stage.looks_at(view).await else { panic!("theirs") };
    assert_eq!(drivers.len(), 1);
    settled(&stage, &mut desk).await;
    stage.moves(driver, 52.1, 13.16).await;
    assert_eq!(position(&mut desk).await.lng, 13.16, "the first place outside");
    stage.moves(driver, 52.1, 13.18).await;
    assert_eq!(desk.queue().waiting(), 0, "outside is not in view");
    stage.moves(driver, 52.1, 13.14).await;
    assert_eq!(position(&mut desk).await.lng, 13.14, "and in view again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_with_its_door_in_a_box_is_in_the_snapshot_of_the_box_and_so_is_what_happens_to_it() {
    let stage = Stage::open().await;
    let view = View::Box { west: 13.105, south: 52.105, east: 13.2, north: 52.2 };
    let away = NewStop { place: place(52.01, 13.01), ..stage.fast_order().delivery };
    let (mut desk, ..) = stage.looks_at(view).await;
    let seq = settled(&stage, &mut desk).await;
    stage.place(crate::orders::PlaceOrder { delivery: away, ..stage.fast_order() }).await;
    let order = stage.place(stage.fast_order()).await;
    let got = next(&mut desk).await;
    let ServerMessage::Order(first) = &got[0].1 else { panic!("{got:?}") };
    assert_eq!((got[0].0, first.order.id), (Some(seq + 1), order.id), "the other lies elsewhere, and leaves no gap");
    let (_, _, Snapshot::Operations { orders, .. }) = stage.looks_at(view).await else { panic!("theirs") };
    assert_eq!(orders.iter().map(|o| o.id).collect::<Vec<_>>(), [order.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_for_longer_than_messages_are_kept_gets_a_snapshot_and_others_what_they_missed() {
    let stage = Stage::open().await;
    let view = View::Zone(nobodys_zone(8));
    let (desk, seq, _) = stage.looks_at(view).await;
    let hello = |last: u64| Hello { epoch: Some(desk.epoch().to_owned()), last_seq: Some(last) };
    for n in 0..1500 {
        stage.alert(&n.to_string(), Scope::of_zone(nobodys_zone(8)));
        stage.alert("elsewhere", Scope::of_zone(nobodys_zone(9)));
    }
    stage.has_come_to(view, seq + 1500).await;
    let mut back = stage.system.streams().open(view).await.unwrap();
    let frames = back.begin(hello(seq + 1500 - 1024)).await.unwrap();
    assert!(matches!(read(&frames[0]).1, ServerMessage::Resumed(r) if r.to == seq + 1500));
    let missed: Vec<_> = frames[1..].iter().map(read).collect();
    assert_eq!(missed.len(), 1024);
    for (n, (number, message)) in missed.into_iter().enumerate() {
        let ServerMessage::Alert(alert) = message else { panic!("{message:?}") };
        assert_eq!((number, alert.text), (Some(seq + 477 + n as u64), (476 + n).to_string()));
    }
    let mut late = stage.system.streams().open(view).await.unwrap();
    let frames = late.begin(hello(seq + 1500 - 1025)).await.unwrap();
    assert_eq!(frames.len(), 1);
    let (number, ServerMessage::Snapshot(_)) = read(&frames[0]) else { panic!("a snapshot") };
    assert_eq!(number, Some(seq + 1500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_said_no_hello_before_all_streams_began_anew_is_told_so() {
    let stage = Stage::open().await;
    let mut late = stage.system.streams().open(View::All).await.unwrap();
    let mut shop = stage.system.streams().open(crate::streams::merchant(stage.merchant)).await.unwrap();
    stage.system.streams().start_anew();
    for stream in [&mut late, &mut shop] {
        stream.begin(Hello::default()).await.unwrap();
        let mut frames = Vec::new();
        let waited = tokio::time::timeout(Duration::from_secs(10), stream.next(&mut frames)).await;
        assert_eq!(waited, Ok(Err(Closed::BegunAnew)));
    }
}
