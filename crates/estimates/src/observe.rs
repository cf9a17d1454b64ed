//! What an order that is over shows.
//!
//! A driver's stamps say when they set out, arrived and were done. Whether goods were ready is not stamped: it shows
//! only where the driver waited for them. So a pickup that took clearly longer than its service says was a wait, and
//! its end less the service is when the goods were ready; a driver who came after the stated time and did not wait
//! shows only that the goods were ready *at most* so late. Where a driver comes long after the stated time and it still
//! takes long, the hand-over is slow.

use posthaste_domain::order::{Order, Speed, Task, TaskKind, TaskStatus};
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::{TravelModel, VehicleSpeed};

use crate::samples::Sample;
use crate::{Quantity, Question};

/// A pickup that takes this much longer than its service waited for goods, in seconds. Less takes every slow hand-over for
/// late goods; more makes short waits look like service.
const WAITED_SECONDS: i64 = 120;
/// This long after their stated time goods are there, in seconds: what still takes long is the hand-over.
const SURELY_READY_SECONDS: i64 = 15 * 60;
/// And this long after placing, where no time is stated.
const SURELY_PREPARED_SECONDS: i64 = 60 * 60;
/// Nothing that is told took longer, in seconds; what did is a forgotten button.
const MOST_SECONDS: i64 = 3 * 3600;
/// Ways shorter than this by the model say more about doors and stamps than about roads.
const LEAST_WAY_SECONDS: i64 = 60;
/// Outside of these thousandths of the model's time it was no way: a position that was wrong, a stamp that came late.
const PACES: std::ops::RangeInclusive<i64> = 250..=4000;

/// Something seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// What it answers.
    pub question: Question,
    /// What was seen.
    pub sample: Sample,
}

/// What an order shows, by its zone's travel model. Absurd values are left out.
#[must_use]
pub fn observations(order: &Order, travel: &impl TravelModel) -> Vec<Observation> {
    let mut seen = Seen { order, all: Vec::new() };
    for task in order.tasks.iter().filter(|task| task.status == TaskStatus::Done) {
        match task.kind {
            TaskKind::Pickup => seen.pickup(task),
            TaskKind::Delivery => seen.dropoff(task),
            TaskKind::Return => {}
        }
        seen.way(task, travel);
    }
    seen.reach();
    seen.all
}

/// The instant whose hour a pickup belongs to: when its goods are said to be ready, its window opens, or it was placed.
#[must_use]
pub fn hour_of_pickup(order: &Order, task: &Task) -> Timestamp {
    task.ready_at.or(task.window.map(|w| w.start())).unwrap_or(order.placed_at)
}

/// When the driver came, where they said so before they said that they were done.
fn arrival(task: &Task) -> Option<Timestamp> {
    task.arrived_at.filter(|at| task.done_at.is_some_and(|done| *at < done))
}

fn service(task: &Task) -> Span {
    Span::seconds(i64::from(task.service_seconds))
}

struct Seen<'o> {
    order: &'o Order,
    all: Vec<Observation>,
}

impl Seen<'_> {
    fn push(&mut self, question: Question, value: i64, at_most: bool) {
        if let Ok(value) = i32::try_from(value)
            && i64::from(value.abs()) <= MOST_SECONDS
        {
            self.all.push(Observation { question, sample: Sample { value, at_most } });
        }
    }

    fn sellers(&mut self, quantity: Quantity, task: &Task, value: Span, at_most: bool) {
        let question = Question::of_seller(quantity, self.order.zone, task.seller, hour_of_pickup(self.order, task));
        self.push(question, value.num_seconds(), at_most);
    }

    fn pickup(&mut self, task: &Task) {
        let Some(done) = task.done_at else { return };
        let arrived = arrival(task);
        // What begins when goods are placed and prepared, and how long after it they are surely there.
        let (quantity, from, surely) = match task.ready_at {
            Some(ready) => (Quantity::Lateness, ready, SURELY_READY_SECONDS),
            None if self.order.speed == Speed::Fast => {
                (Quantity::Preparation, self.order.placed_at, SURELY_PREPARED_SECONDS)
            }
            None => return,
        };
        let handed_from = done - service(task);
        let Some(arrived) = arrived else {
            // The driver told only the end: the goods were ready by then.
            let by = (handed_from - from).max(Span::zero());
            self.sellers(quantity, task, by, by > Span::zero());
            return;
        };
        let stated = task.ready_at.is_some();
        let begins = if stated { arrived.max(from) } else { arrived };
        let over = done - begins - service(task);
        let waited = over > Span::seconds(WAITED_SECONDS);
        if arrived - from >= Span::seconds(surely) {
            self.sellers(Quantity::PickupExcess, task, over, false);
        } else if waited {
            self.sellers(quantity, task, handed_from - from, false);
        } else {
            let by = (arrived - from).max(Span::zero());
            self.sellers(quantity, task, by, by > Span::zero());
            // Until the stated time a driver parks and asks: only what they did after it would be seen.
            if arrived >= from {
                self.sellers(Quantity::PickupExcess, task, over, false);
            }
        }
    }

    fn dropoff(&mut self, task: &Task) {
        let (Some(arrived), Some(done)) = (arrival(task), task.done_at) else { return };
        let begins = task.window.map_or(arrived, |window| arrived.max(window.start()));
        let question = Question::of_zone(Quantity::DropoffExcess, self.order.zone, done);
        self.push(question, (done - begins - service(task)).num_seconds(), false);
    }

    fn way(&mut self, task: &Task, travel: &impl TravelModel) {
        let (Some(departure), Some(arrived)) = (task.departure, arrival(task)) else { return };
        let Some(from) = departure.from else { return };
        let model = i64::from(travel.seconds(from, task.place, VehicleSpeed::NORMAL));
        if model < LEAST_WAY_SECONDS {
            return;
        }
        let pace = (arrived - departure.at).num_milliseconds() / model;
        if PACES.contains(&pace) {
            self.push(Question::of_zone(Quantity::Pace, self.order.zone, departure.at), pace, false);
        }
    }

    /// How soon a driver came for an order that was wanted as soon as possible.
    fn reach(&mut self) {
        if self.order.speed == Speed::Slow {
            return;
        }
        let pickups = self.order.pickups().filter(|task| task.status == TaskStatus::Done);
        let first = pickups.filter_map(|task| Some((arrival(task).or(task.done_at.map(|d| d - service(task)))?, task)));
        let Some((arrived, task)) = first.min_by_key(|(arrived, _)| *arrived) else { return };
        let from = task.ready_at.map_or(self.order.placed_at, |ready| ready.max(self.order.placed_at));
        let question = Question::of_zone(Quantity::Reach, self.order.zone, self.order.placed_at);
        self.push(question, (arrived - from).num_seconds(), false);
    }
}
