//! What orders show, told as stories: an order is placed at minute 0, its way is ten minutes by the model.

use std::sync::Arc;

use posthaste_domain::contact::Contact;
use posthaste_domain::ids::{DriverId, Id, MerchantId, ZoneId};
use posthaste_domain::order::{CodeRule, Command, Event, NewOrder, NewPickup, NewStop, Order, Speed};
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::zone::ZoneRules;
use posthaste_domain::{Span, Timestamp};
use posthaste_estimates::{Quantity, Sample, observations};
use posthaste_geography::{Distance, StraightLine, travel::PLANE_METERS_PER_DEGREE};
use uuid::Uuid;

/// Noon, plus minutes.
fn at(minutes: i64) -> Timestamp {
    "2026-05-04T12:00:00Z".parse::<Timestamp>().unwrap() + Span::minutes(minutes)
}

fn id<T: Id>(n: u128) -> T {
    T::from_uuid(Uuid::from_u128(n))
}

/// So many metres along the equator.
fn place(meters: f64) -> Place {
    Place::new(0.0, meters / PLANE_METERS_PER_DEGREE).unwrap()
}

/// A metre is a second, on a plane.
fn model() -> StraightLine {
    StraightLine {
        distance: Distance::Plane,
        detour_factor: 1.0,
        speed_meters_per_second: 1.0,
        round_up_to_seconds: None,
    }
}

struct Story(Order);

impl Story {
    /// Ready at a minute, if that is said; pickups take two minutes, hand-overs three, by what their tasks say.
    fn placed(ready: Option<i64>) -> Self {
        Self::with_window(ready, None)
    }

    fn with_window(ready: Option<i64>, window: Option<(i64, i64)>) -> Self {
        let stop = |meters, service, window: Option<(i64, i64)>| NewStop {
            place: place(meters),
            contact: Contact::default(),
            service_seconds: Some(service),
            window: window.map(|(from, to)| (at(from), at(to))),
        };
        let seller: MerchantId = id(7);
        let new = NewOrder {
            id: id(1),
            merchant: seller,
            customer: None,
            reference: None,
            speed: if window.is_some() { Speed::Slow } else { Speed::Fast },
            size: 1,
            priority: 0,
            pickups: vec![NewPickup {
                seller,
                needs_confirmation: false,
                ready_at: ready.map(at),
                stop: stop(0.0, 120, None),
            }],
            delivery: stop(600.0, 180, window),
            codes: CodeRule { pickup: false, delivery: false },
            entropy: vec![1, 2],
            zone: id(9),
            rules: ZoneRules::default(),
            travel_seconds: 600,
        };
        let Ok(Event::Placed { order }) = new.place(at(0)) else { panic!("not placed") };
        let commitment = Window::new(at(0), at(90)).unwrap();
        let given = Command::AssignByHand { driver: id::<DriverId>(5), commitment, lane: None };
        Self(Arc::unwrap_or_clone(order)).then(0, &given)
    }

    fn then(mut self, minute: i64, command: &Command) -> Self {
        for event in self.0.decide(command, at(minute)).unwrap() {
            self.apply(event, minute);
        }
        self
    }

    fn apply(&mut self, event: Event, minute: i64) {
        self.0.apply(&event, at(minute));
    }

    fn departs(mut self, task: usize, minute: i64, from: Option<Place>) -> Self {
        let task = self.0.tasks[task].id;
        self.apply(Event::Departed { task, from }, minute);
        self
    }

    fn arrives(self, task: usize, minute: i64) -> Self {
        let command = Command::Arrive { driver: id(5), task: self.0.tasks[task].id };
        self.then(minute, &command)
    }

    fn done(self, task: usize, minute: i64) -> Self {
        let task = self.0.tasks[task].id;
        self.then(minute, &Command::Complete { driver: id(5), task, code: None, proof: None, command: None })
    }

    /// What is seen of a quantity.
    fn shows(&self, quantity: Quantity) -> Vec<Sample> {
        let all = observations(&self.0, &model());
        assert!(all.iter().all(|o| o.question.zone == id::<ZoneId>(9)));
        assert!(all.iter().filter(|o| o.question.quantity.is_the_sellers()).all(|o| o.question.seller == Some(id(7))));
        all.into_iter().filter(|o| o.question.quantity == quantity).map(|o| o.sample).collect()
    }

    fn shows_of_its_pickup(&self) -> [Vec<Sample>; 3] {
        [Quantity::Lateness, Quantity::Preparation, Quantity::PickupExcess].map(|quantity| self.shows(quantity))
    }
}

fn minutes(minutes: i32) -> Sample {
    Sample::exact(minutes * 60)
}

#[test]
fn a_driver_who_waits_shows_when_goods_were_ready() {
    // Ready at 10, they say. The driver is there at 9 and away at 22: two minutes of that are the hand-over.
    let late = Story::placed(Some(10)).arrives(0, 9).done(0, 22);
    assert_eq!(late.shows_of_its_pickup(), [vec![minutes(10)], vec![], vec![]]);
    // Not stated: twenty minutes after placing.
    let unstated = Story::placed(None).arrives(0, 9).done(0, 22);
    assert_eq!(unstated.shows_of_its_pickup(), [vec![], vec![minutes(20)], vec![]]);
}

#[test]
fn a_driver_who_need_not_wait_shows_that_it_was_ready_by_then() {
    let by_then = Story::placed(Some(10)).arrives(0, 16).done(0, 18);
    assert_eq!(by_then.shows_of_its_pickup(), [vec![Sample::at_most(360)], vec![], vec![minutes(0)]]);
    let unstated = Story::placed(None).arrives(0, 16).done(0, 19);
    assert_eq!(unstated.shows_of_its_pickup(), [vec![], vec![Sample::at_most(960)], vec![minutes(1)]]);
}

#[test]
fn goods_that_are_ready_when_they_should_be_are_not_late() {
    let early = Story::placed(Some(10)).arrives(0, 6).done(0, 12);
    assert_eq!(early.shows_of_its_pickup(), [vec![minutes(0)], vec![], vec![]]);
    // Only the hand-over was told: before the stated time and its service, so not late; after it, by then.
    assert_eq!(Story::placed(Some(10)).done(0, 11).shows_of_its_pickup(), [vec![minutes(0)], vec![], vec![]]);
    let only_done = Story::placed(Some(10)).done(0, 17);
    assert_eq!(only_done.shows_of_its_pickup(), [vec![Sample::at_most(300)], vec![], vec![]]);
}

#[test]
fn who_takes_long_when_all_is_ready_is_slow_to_hand_over() {
    let slow = Story::placed(Some(10)).arrives(0, 30).done(0, 40);
    assert_eq!(slow.shows_of_its_pickup(), [vec![], vec![], vec![minutes(8)]]);
}

#[test]
fn a_button_that_was_forgotten_shows_nothing() {
    let forgotten = Story::placed(Some(10)).arrives(0, 9).done(0, 1000);
    assert_eq!(forgotten.shows_of_its_pickup(), [vec![], vec![], vec![]]);
}

#[test]
fn a_hand_over_at_the_door_counts_from_when_it_could_begin() {
    let quick = Story::placed(None).done(0, 20).arrives(1, 30).done(1, 34);
    assert_eq!(quick.shows(Quantity::DropoffExcess), [minutes(1)]);
    let before_its_window = Story::with_window(None, Some((60, 120))).done(0, 20).arrives(1, 50).done(1, 65);
    assert_eq!(before_its_window.shows(Quantity::DropoffExcess), [minutes(2)]);
    assert_eq!(before_its_window.shows(Quantity::Preparation), [], "a window says nothing of preparation");
    assert_eq!(before_its_window.shows(Quantity::Reach), []);
    let only_done = Story::placed(None).done(0, 20).done(1, 34);
    assert_eq!(only_done.shows(Quantity::DropoffExcess), []);
}

#[test]
fn a_way_is_measured_from_where_the_driver_was() {
    let way = |from: Option<f64>, minutes: i64| {
        let story = Story::placed(None).done(0, 20).departs(1, 20, from.map(place));
        story.arrives(1, 20 + minutes).done(1, 25 + minutes).shows(Quantity::Pace)
    };
    assert_eq!(way(Some(0.0), 12), [Sample::exact(1200)]);
    assert_eq!(way(None, 12), [], "nobody knows from where");
    assert_eq!(way(Some(570.0), 1), [], "next door");
    assert_eq!((way(Some(0.0), 60), way(Some(0.0), 1)), (vec![], vec![]), "no way takes so long, or so little");
    let turned_round =
        Story::placed(None).done(0, 20).departs(1, 20, Some(place(0.0))).departs(1, 24, Some(place(120.0)));
    assert_eq!(turned_round.arrives(1, 32).done(1, 35).shows(Quantity::Pace), [Sample::exact(1000)]);
}

#[test]
fn how_soon_a_driver_comes_counts_from_when_they_could() {
    assert_eq!(Story::placed(Some(10)).arrives(0, 16).done(0, 18).shows(Quantity::Reach), [minutes(6)]);
    assert_eq!(Story::placed(Some(10)).arrives(0, 6).done(0, 12).shows(Quantity::Reach), [minutes(-4)]);
    assert_eq!(Story::placed(None).done(0, 9).shows(Quantity::Reach), [minutes(7)]);
    assert_eq!(Story::placed(None).shows(Quantity::Reach), []);
}
