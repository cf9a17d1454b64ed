//! What the fleet's history says, for everybody who asks how long something takes.
//!
//! [`Learned`] is told each order that is over, after its commit, and answers from memory. Nothing of it is stored: it
//! follows from the orders, and `Learned::recall` reads the newest of them back after a start, in the background. Until
//! that is done the priors speak.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use parking_lot::Mutex;
use posthaste_domain::ids::{MerchantId, ZoneId};
use posthaste_domain::order::{Order, Speed, Task};
use posthaste_domain::{Span, Timestamp};
use posthaste_estimates::observe::hour_of_pickup;
use posthaste_estimates::{Answer, Estimates, Observation, Quantiles, Quantity, Question, observations};
use posthaste_geography::StraightLine;
use posthaste_storage::orders::{Before, settled};

use crate::system::Doors;

/// How old an answer may be when more has been learned since (real time). Less sorts samples again for every order.
const FRESH_FOR: Duration = Duration::from_secs(2);
/// Answers kept; beyond it they are made anew.
const MOST_ANSWERS: usize = 50_000;
/// History that a start reads back.
const RECALLED: Span = Span::days(14);
/// Orders that a start reads back at most: some seconds of one core.
const MOST_RECALLED: usize = 20_000;
/// Orders read back at once. They are read from their text between two awaits.
const CHUNK: u32 = 250;
/// Paces that differ less than this from the zone's travel model, in thousandths, are its rounding and that of stamps.
const SAME_PACE: i32 = 50;
/// Thousandths beyond which no pace is believed by those who plan.
const PACES: std::ops::RangeInclusive<i32> = 500..=3000;

struct Given {
    told: u64,
    at: Instant,
    quantiles: Quantiles,
}

/// What was learned.
#[derive(Default)]
pub struct Learned {
    known: Mutex<Estimates>,
    told: AtomicU64,
    answers: DashMap<Question, Given>,
}

impl Learned {
    /// An order is over: what it shows counts from now on.
    pub(crate) fn settled(&self, order: &Order, travel: &StraightLine) {
        self.tell(&observations(order, travel));
    }

    pub(crate) fn tell(&self, seen: &[Observation]) {
        if seen.is_empty() {
            return;
        }
        let mut known = self.known.lock();
        seen.iter().for_each(|observation| known.tell(observation));
        self.told.store(known.told(), Ordering::Release);
    }

    /// How long something takes.
    #[must_use]
    pub fn quantiles(&self, question: Question) -> Quantiles {
        let told = self.told.load(Ordering::Acquire);
        if let Some(given) = self.answers.get(&question)
            && (given.told == told || given.at.elapsed() < FRESH_FOR)
        {
            return given.quantiles;
        }
        let quantiles = self.known.lock().quantiles(question);
        if self.answers.len() >= MOST_ANSWERS {
            self.answers.clear();
        }
        self.answers.insert(question, Given { told, at: Instant::now(), quantiles });
        quantiles
    }

    /// How long something takes, and what is known of it.
    #[must_use]
    pub fn explain(&self, question: Question) -> Answer {
        self.known.lock().explain(question)
    }

    /// When a pickup's goods are said to be ready, or the order was placed, and by how many seconds they are later. None
    /// for an order that waits for its window and whose seller says nothing.
    pub(crate) fn ready(&self, order: &Order, task: &Task) -> Option<(Timestamp, Quantiles)> {
        match task.ready_at {
            Some(ready) => Some((ready, self.of_seller(Quantity::Lateness, order, task))),
            None if order.speed == Speed::Fast => {
                Some((order.placed_at, self.of_seller(Quantity::Preparation, order, task)))
            }
            None => None,
        }
    }

    pub(crate) fn of_seller(&self, quantity: Quantity, order: &Order, task: &Task) -> Quantiles {
        self.quantiles(Question::of_seller(quantity, order.zone, task.seller, hour_of_pickup(order, task)))
    }

    pub(crate) fn of_zone(&self, quantity: Quantity, zone: ZoneId, at: Timestamp) -> Quantiles {
        self.quantiles(Question::of_zone(quantity, zone, at))
    }

    /// The time to plan with for a pickup's goods: as likely sooner as later. None where they are believed to be there.
    pub(crate) fn likely_ready(&self, order: &Order, task: &Task) -> Option<Timestamp> {
        let (from, late) = self.ready(order, task)?;
        let late = late.median().max(0);
        (late > 0 || task.ready_at.is_some()).then(|| from + Span::seconds(i64::from(late)))
    }

    /// The service to plan with: never less than the task says. What is seen ends with the hand-over; how soon a driver
    /// leaves after it is not, so a short one proves nothing.
    pub(crate) fn likely_service(&self, order: &Order, task: &Task, now: Timestamp) -> Span {
        let excess = match task.kind {
            posthaste_domain::order::TaskKind::Pickup => self.of_seller(Quantity::PickupExcess, order, task),
            _ => self.of_zone(Quantity::DropoffExcess, order.zone, now),
        };
        Span::seconds(i64::from(task.service_seconds) + i64::from(excess.median().max(0)))
    }

    /// The zone's travel model at the pace that drivers have at this hour.
    pub(crate) fn likely_travel(&self, zone: ZoneId, model: StraightLine, now: Timestamp) -> StraightLine {
        let pace = self.of_zone(Quantity::Pace, zone, now).median();
        if (pace - 1000).abs() < SAME_PACE { model } else { model.at_pace(pace.clamp(*PACES.start(), *PACES.end())) }
    }

    /// What is known of each quantity for a seller in a zone at an hour.
    #[must_use]
    pub fn known(&self, zone: ZoneId, seller: Option<MerchantId>, hour: u8) -> Vec<(Quantity, Answer)> {
        let of = |quantity| (quantity, self.explain(Question { quantity, zone, seller, hour }));
        Quantity::ALL.into_iter().map(of).collect()
    }

    /// Reads back the newest orders that were over before `start`. What comes in meanwhile is newer and already counts.
    pub(crate) async fn recall(doors: std::sync::Weak<Doors>, start: Timestamp) {
        let (mut before, mut read) = (Before::time(start), 0);
        let mut seen: Vec<Vec<Observation>> = Vec::new();
        while read < MOST_RECALLED {
            let Some(doors) = doors.upgrade() else { return };
            let orders = match settled(&doors.pool, before, start - RECALLED, CHUNK).await {
                Ok(orders) => orders,
                Err(error) => {
                    tracing::warn!(%error, "history not read back: estimates begin with what is known so far");
                    break;
                }
            };
            read += orders.len();
            seen.extend(orders.iter().map(|order| observations(order, &doors.zones.travel(order.zone))));
            match orders.last().and_then(Before::order) {
                Some(last) => before = last,
                None => break,
            }
        }
        let Some(doors) = doors.upgrade() else { return };
        // Oldest first: the newest stay.
        for observations in seen.iter().rev() {
            doors.learned.tell(observations);
        }
        tracing::info!(orders = read, "what was learned is back");
    }
}

impl std::fmt::Debug for Learned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learned").field("told", &self.told).finish_non_exhaustive()
    }
}

/// Shared by everything that estimates.
pub(crate) type SharedLearned = Arc<Learned>;
