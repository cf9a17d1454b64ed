//! What `tests/paths/run` counts the instructions of: a position from the report to the trackers' frames, and a step from
//! the commit to the frames of all who follow the order.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use posthaste_clock::Clock;
use posthaste_domain::contact::Contact;
use posthaste_domain::driver::{Driver, Shift, Vehicle};
use posthaste_domain::ids::{DriverId, Id, MerchantId, RegionId, ZoneId};
use posthaste_domain::order::{CodeRule, Command, Event, NewOrder, NewPickup, NewStop, Order, Recorded, Speed, Status};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::position::{Report, Taken};
use posthaste_domain::window::Window;
use posthaste_domain::zone::{NewZone, Travel, Zone, ZoneRules};
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::VehicleSpeed;
use posthaste_matching::DriverView;
use posthaste_protocol::socket::{Hello, Snapshot};
use posthaste_streams::{Answering, Beginning, Snapshots, Topic};

use super::publish::publish_order;
use super::{Follower, Streams, Subject, Subscription, View, merchant, tracking};
use crate::keeper::Seat;
use crate::presence::{Presence, Summary};
use crate::zones::{LiveZone, ZoneCell, ZoneConfig};

/// How often each is gone: what stands in `tests/paths/counts.json` is a hundredth.
const TIMES: usize = 100;

fn id<T: Id>(n: u128) -> T {
    T::from_uuid(uuid::Uuid::from_u128(n))
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + Span::days(20_000)
}

fn place(n: usize) -> Place {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    Place::new(52.5 + n as f64 * 0.0003, 13.4).expect("on the globe")
}

fn driver() -> Driver {
    Driver {
        id: id(2),
        name: "Ravi".to_owned(),
        vehicle: Vehicle::Bicycle,
        capacity: 3,
        zones: vec![id(1)],
        speeds: vec![Speed::Fast, Speed::Slow],
        shift: Shift::Available { until: None },
        next_task: None,
        region: RegionId::FIRST,
        created_at: now(),
        version: 1,
    }
}

/// An order of merchant 3 that driver 2 has.
fn order() -> Order {
    let stop = |n| NewStop { place: place(n), contact: Contact::default(), service_seconds: None, window: None };
    let seller: MerchantId = id(3);
    let new = NewOrder {
        id: id(4),
        merchant: seller,
        customer: None,
        reference: Some("A-17".to_owned()),
        speed: Speed::Fast,
        size: 1,
        priority: 0,
        pickups: vec![NewPickup { seller, needs_confirmation: false, ready_at: None, stop: stop(1) }],
        delivery: stop(2),
        codes: CodeRule::default(),
        entropy: vec![4711, 815],
        zone: id(1),
        rules: ZoneRules::default(),
        travel_seconds: 900,
    };
    let Event::Placed { order } = new.place(now()).expect("a valid order") else {
        unreachable!("that is how it begins")
    };
    let commitment = Window::new(now(), now() + Span::hours(1)).expect("ends after it starts");
    stepped(&order, &Command::AssignByHand { driver: id(2), commitment, lane: None }).0
}

/// What the order's actor has committed.
fn stepped(order: &Order, command: &Command) -> (Order, Vec<(Recorded, Status)>) {
    let mut order = order.clone();
    let mut events = Vec::new();
    for event in order.decide(command, now()).expect("a command that is possible") {
        order.apply(&event, now());
        events.push((Recorded { seq: order.version, at: now(), by: Party::Driver(id(2)), event }, order.status()));
    }
    (order, events)
}

/// Streams that begin with nothing.
struct Nothing;

impl Snapshots for Nothing {
    fn snapshot(&self, _: Subject) -> Answering<'_, Snapshot> {
        Box::pin(std::future::ready(Ok(Snapshot::Merchant { orders: Vec::new() })))
    }

    fn beginning(&self, _: Topic, _: Option<u64>) -> Answering<'_, Beginning> {
        // The order was placed and given to its driver.
        let snapshot = Snapshot::Merchant { orders: Vec::new() };
        Box::pin(std::future::ready(Ok(Beginning::Fresh { seq: 2, snapshot })))
    }
}

/// What never waits for anything.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

/// Somebody who follows a subject, and reads at once.
struct Follows(Subscription);

impl Follows {
    fn of(streams: &Streams, subject: Subject) -> Self {
        let mut subscription = at_once(streams.open(subject)).expect("at once").expect("a place to follow from");
        at_once(subscription.begin(Hello::default())).expect("at once").expect("it begins");
        Self(subscription)
    }

    fn read(&mut self) -> usize {
        let mut frames = Vec::new();
        at_once(self.0.next(&mut frames)).map_or(0, |outcome| {
            outcome.expect("who reads at once is not closed");
            frames.len()
        })
    }
}

fn streams() -> Streams {
    let streams = Streams::new(Clock::system(), Seat::default());
    let nothing: Arc<dyn Snapshots> = Arc::new(Nothing);
    streams.register(&super::KINDS, &nothing);
    streams
}

/// A tracker of the order, its merchant, and a desk that looks at everything.
fn followers(streams: &Streams) -> Vec<Follows> {
    let subjects = [tracking(id(4)).into(), merchant(id(3)).into(), View::All.into()];
    subjects.map(|subject| Follows::of(streams, subject)).into()
}

#[inline(never)]
fn counted_showing_steps(
    streams: &Streams,
    steps: &[(Order, Vec<(Recorded, Status)>)],
    followers: &mut [Follows],
) -> usize {
    let shown = steps.iter().map(|(order, events)| {
        publish_order(streams.hub(), order, events, None);
        followers.iter_mut().map(Follows::read).sum::<usize>()
    });
    shown.sum()
}

#[test]
#[ignore = "counted by tests/paths/run"]
fn showing_steps() {
    let streams = streams();
    let mut followers = followers(&streams);
    let order = order();
    let task = order.tasks[0].id;
    let mut steps = vec![stepped(&order, &Command::Depart { driver: id(2), task })];
    for n in 1..TIMES {
        // Which step it is makes no difference here; that its number is the next one does.
        let (mut order, mut events) = steps[n - 1].clone();
        order.version += 1;
        events[0].0.seq += 1;
        steps.push((order, events));
    }
    assert_eq!(counted_showing_steps(&streams, &steps, &mut followers), TIMES * 3);
}

/// A zone with some drivers on its board, of whom one moves.
fn zone() -> ZoneCell {
    let wanted = NewZone {
        name: "Centre".to_owned(),
        area: serde_json::Value::Null,
        rules: ZoneRules::default(),
        travel: Travel::default(),
    };
    let zone = Arc::new(Zone::new(id(1), RegionId::FIRST, wanted, now()));
    let zone = LiveZone { zone, square_kilometers: 1.0, cells: 1 };
    let cell = ZoneCell::new(id::<ZoneId>(1), 52.5, ZoneConfig::new(zone, false), Arc::default());
    for n in 0..200 {
        cell.upsert_driver(DriverView {
            id: id::<DriverId>(2 + n as u128),
            place: place(n),
            shift: Shift::Available { until: None },
            stale: false,
            vehicle: VehicleSpeed::NORMAL,
            fast: true,
            slow: true,
            capacity: 3,
            open_orders: 0,
            commitments: Vec::new(),
        });
    }
    cell
}

#[inline(never)]
fn counted_positions(presence: &Presence, reports: &[Report], at: Timestamp, followers: &mut [Follows]) -> usize {
    let mut believed = 0;
    for (second, report) in (0..).zip(reports) {
        let taken = presence.report_all(std::slice::from_ref(report), at + Span::seconds(second));
        believed += usize::from(taken.is_some_and(|taken| matches!(taken.last, Taken::Believed { .. })));
        followers.iter_mut().for_each(|follower| assert_eq!(follower.read(), 1));
    }
    believed
}

#[test]
#[ignore = "counted by tests/paths/run"]
fn positions() {
    let clock = Clock::system();
    let streams = streams();
    let summary = Summary { driver: Arc::new(driver()), stale: false, open_orders: 1 };
    let clocks = (clock.clone(), clock.clone());
    let presence = Presence::new(summary, None, (Span::days(1), false), clocks, streams.clone(), Box::new(|| ()));
    presence.set_boards(vec![Arc::new(zone())]);
    presence.set_followers(vec![Follower::Tracking(id(4)), Follower::Merchant(id(3))]);
    let mut followers = followers(&streams);
    // Ten metres in a second.
    let report = |n: usize| Report {
        place: Place::new(52.5 + 0.00009 * f64::from(u8::try_from(n).expect("few")), 13.4).expect("on the globe"),
        at: None,
        heading_degrees: Some(90.0),
        speed_meters_per_second: Some(10.0),
        accuracy_meters: Some(8.0),
    };
    let reports: Vec<_> = (0..TIMES).map(report).collect();
    assert_eq!(counted_positions(&presence, &reports, clock.now(), &mut followers), TIMES);
}
