//! From what a merchant hands in to an order: the rules of creation. Every wrong field is named.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::contact::Contact;
use crate::ids::{CustomerId, MerchantId, OrderId, ZoneId};
use crate::place::Place;
use crate::window::Window;
use crate::zone::ZoneRules;
use crate::{Span, Timestamp, whole_micros};

use super::event::Event;
use super::feasible::{Leg, Plan, Ways};
use super::task::{Code, Task, TaskKind, TaskStatus};
use super::{Estimates, Order, Speed};

/// The most pickups of one order.
pub const MOST_PICKUPS: usize = 20;
/// The most units of size of one order.
pub const MOST_SIZE: u32 = 1000;
/// The farthest ahead a window or a ready time may lie, in days.
pub const MOST_DAYS_AHEAD: i64 = 60;
/// The longest text in any field, in characters.
pub const MOST_TEXT: usize = 500;
/// The longest service, in seconds.
pub const MOST_SERVICE_SECONDS: u32 = 3600;

/// Which hand-overs need a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeRule {
    /// The seller tells the driver a code.
    pub pickup: bool,
    /// The customer tells the driver a code.
    pub delivery: bool,
}

impl Default for CodeRule {
    fn default() -> Self {
        Self { pickup: true, delivery: true }
    }
}

/// A place to go to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewStop {
    /// Where.
    pub place: Place,
    /// Whom to ask for.
    pub contact: Contact,
    /// Time from arrival to leaving; the zone's default where `None`.
    pub service_seconds: Option<u32>,
    /// When, for slow orders: start and end as given, not yet checked.
    pub window: Option<(Timestamp, Timestamp)>,
}

/// One seller's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewPickup {
    /// The seller.
    pub seller: MerchantId,
    /// Whether the seller has yet to confirm.
    pub needs_confirmation: bool,
    /// When it should be ready.
    pub ready_at: Option<Timestamp>,
    /// Where.
    pub stop: NewStop,
}

/// What is handed in, with what the caller adds: ids, randomness, the zone's numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOrder {
    /// The new order's id.
    pub id: OrderId,
    /// Who hands it in.
    pub merchant: MerchantId,
    /// For whom.
    pub customer: Option<CustomerId>,
    /// The merchant's own name for it.
    pub reference: Option<String>,
    /// Fast or slow.
    pub speed: Speed,
    /// Units of a vehicle's capacity.
    pub size: u32,
    /// Higher goes first.
    pub priority: i16,
    /// One per seller.
    pub pickups: Vec<NewPickup>,
    /// The door.
    pub delivery: NewStop,
    /// Which hand-overs need a code.
    pub codes: CodeRule,
    /// One random number per task, for the codes: pickups, then delivery.
    pub entropy: Vec<u32>,
    /// The zone of the first pickup.
    pub zone: ZoneId,
    /// The zone's rules.
    pub rules: ZoneRules,
    /// Estimated travel from the first pickup through all to the door, in seconds.
    pub travel_seconds: u32,
}

/// One field that is wrong, by its path in the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidOrder {
    /// Path of the field, as in `pickups[1].ready_at`.
    pub field: String,
    /// What is wrong with it, in words.
    pub problem: String,
}

impl InvalidOrder {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// A stop's place in the request. It becomes text only where something is wrong there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    Delivery,
    Pickup(usize),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivery => f.write_str("delivery"),
            Self::Pickup(n) => write!(f, "pickups[{n}]"),
        }
    }
}

impl NewOrder {
    /// The first event of the order, or every field that is wrong, where nothing is known of ways: places are as near to
    /// each other as may be.
    pub fn place(self, now: Timestamp) -> Result<Event, Vec<InvalidOrder>> {
        self.place_along(&|_, _| Leg::default(), now)
    }

    /// The first event of the order, or every field that is wrong: alone, or with others and the ways between.
    pub fn place_along(self, ways: Ways<'_>, now: Timestamp) -> Result<Event, Vec<InvalidOrder>> {
        let mut wrong = Vec::new();
        self.check_shape(&mut wrong);
        let delivery_window = self.check_window(Path::Delivery, &self.delivery, now, &mut wrong);
        let mut pickup_windows = Vec::new();
        for (n, pickup) in self.pickups.iter().enumerate() {
            let window = self.check_window(Path::Pickup(n), &pickup.stop, now, &mut wrong);
            if let (Some(window), Some(door)) = (window, delivery_window)
                && window.start() >= door.end()
            {
                let problem = format!("starts after the delivery's window ends at {}", door.end());
                wrong.push(InvalidOrder::new(format!("pickups[{n}].window"), problem));
            }
            pickup_windows.push(window);
            let latest = now + Span::days(MOST_DAYS_AHEAD);
            if pickup.ready_at.is_some_and(|ready| ready > latest) {
                wrong.push(InvalidOrder::new(format!("pickups[{n}].ready_at"), format!("lies after {latest}")));
            }
        }
        if wrong.is_empty() {
            wrong = self.check_whole(delivery_window, &pickup_windows, ways, now);
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let order = self.build(delivery_window, pickup_windows, now);
        Ok(Event::Placed { order: Arc::new(order) })
    }

    /// What is wrong with the order although nothing is wrong with any of its fields.
    fn check_whole(
        &self,
        delivery_window: Option<Window>,
        pickup_windows: &[Option<Window>],
        ways: Ways<'_>,
        now: Timestamp,
    ) -> Vec<InvalidOrder> {
        let mut plan = Plan::new(&self.delivery, delivery_window, self.rules.delivery_service_seconds, ways, now);
        for (pickup, window) in self.pickups.iter().zip(pickup_windows) {
            let ready_at = pickup.ready_at.map(whole_micros);
            plan.pickup(&pickup.stop, *window, self.rules.pickup_service_seconds, ready_at);
        }
        plan.check()
    }

    fn check_shape(&self, wrong: &mut Vec<InvalidOrder>) {
        if self.pickups.is_empty() || self.pickups.len() > MOST_PICKUPS {
            wrong.push(InvalidOrder::new("pickups", format!("an order has 1 to {MOST_PICKUPS} pickups")));
        }
        if self.size == 0 || self.size > MOST_SIZE {
            wrong.push(InvalidOrder::new("size", format!("must lie between 1 and {MOST_SIZE}")));
        }
        if self.reference.as_ref().is_some_and(|r| r.chars().count() > MOST_TEXT) {
            wrong.push(InvalidOrder::new("reference", format!("longer than {MOST_TEXT} characters")));
        }
        let mut sellers: Vec<_> = self.pickups.iter().map(|p| p.seller).collect();
        sellers.sort();
        if sellers.windows(2).any(|pair| pair[0] == pair[1]) {
            wrong.push(InvalidOrder::new("pickups", "each seller has one pickup"));
        }
        for (path, stop) in std::iter::once((Path::Delivery, &self.delivery))
            .chain(self.pickups.iter().enumerate().map(|(n, p)| (Path::Pickup(n), &p.stop)))
        {
            check_texts(path, &stop.contact, wrong);
            if stop.service_seconds.is_some_and(|s| s > MOST_SERVICE_SECONDS) {
                wrong.push(InvalidOrder::new(format!("{path}.service_seconds"), "longer than an hour"));
            }
        }
    }

    fn check_window(
        &self,
        path: Path,
        stop: &NewStop,
        now: Timestamp,
        wrong: &mut Vec<InvalidOrder>,
    ) -> Option<Window> {
        let field = || format!("{path}.window");
        let Some((start, end)) = stop.window else {
            if self.speed == Speed::Slow && path == Path::Delivery {
                wrong.push(InvalidOrder::new(field(), "a slow order needs a window"));
            }
            return None;
        };
        if self.speed == Speed::Fast {
            wrong.push(InvalidOrder::new(field(), "a fast order has no window; it is delivered as soon as possible"));
            return None;
        }
        let (start, end) = (whole_micros(start), whole_micros(end));
        let window = match Window::new(start, end) {
            Ok(window) => window,
            Err(reversed) => {
                wrong.push(InvalidOrder::new(field(), reversed.to_string()));
                return None;
            }
        };
        if end <= now {
            wrong.push(InvalidOrder::new(field(), format!("the window is past: it ended at {end}")));
            return None;
        }
        if end > now + Span::days(MOST_DAYS_AHEAD) {
            wrong.push(InvalidOrder::new(field(), format!("more than {MOST_DAYS_AHEAD} days ahead")));
            return None;
        }
        Some(window)
    }

    fn build(self, delivery_window: Option<Window>, pickup_windows: Vec<Option<Window>>, now: Timestamp) -> Order {
        let confirm_by = now + Span::seconds(i64::from(self.rules.confirmation_seconds));
        let mut entropy = self.entropy.iter().copied();
        let mut code = |wanted: bool| {
            let number = entropy.next().unwrap_or_default();
            wanted.then(|| Code::from_entropy(number))
        };
        let mut tasks = Vec::with_capacity(self.pickups.len() + 1);
        for (n, (pickup, window)) in self.pickups.into_iter().zip(pickup_windows).enumerate() {
            let service_seconds = pickup.stop.service_seconds.unwrap_or(self.rules.pickup_service_seconds);
            let mut task = task(self.id, n, TaskKind::Pickup, pickup.stop, window);
            task.seller = Some(pickup.seller);
            task.ready_at = pickup.ready_at.map(whole_micros);
            task.service_seconds = service_seconds;
            task.code = code(self.codes.pickup);
            if pickup.needs_confirmation {
                task.status = TaskStatus::AwaitingConfirmation;
                task.confirm_by = Some(confirm_by);
            }
            tasks.push(task);
        }
        let service_seconds = self.delivery.service_seconds.unwrap_or(self.rules.delivery_service_seconds);
        let mut door = task(self.id, tasks.len(), TaskKind::Delivery, self.delivery, delivery_window);
        door.service_seconds = service_seconds;
        door.code = code(self.codes.delivery);
        if tasks.iter().any(|t| t.status == TaskStatus::AwaitingConfirmation) {
            door.status = TaskStatus::AwaitingConfirmation;
        }
        tasks.push(door);
        let promised_at =
            delivery_window.map_or_else(|| promise(&tasks, &self.rules, self.travel_seconds, now), Window::end);
        let gives_up_at = delivery_window
            .map_or_else(|| ready(&tasks, now) + Span::seconds(i64::from(self.rules.give_up_seconds)), Window::end);
        Order {
            id: self.id,
            version: 1,
            merchant: self.merchant,
            customer: self.customer,
            zone: self.zone,
            reference: self.reference,
            speed: self.speed,
            size: self.size,
            priority: self.priority,
            placed_priority: None,
            placed_at: now,
            promised_at,
            estimates: Estimates::default(),
            gives_up_at,
            placed_times: None,
            placed_zone: None,
            tasks,
            offer: None,
            assignment: None,
            escalated: None,
            cooling: Vec::new(),
            settled_at: None,
            ended_because: None,
        }
    }
}

/// Ready, every service, the way, and the zone's slack.
fn promise(tasks: &[Task], rules: &ZoneRules, travel_seconds: u32, now: Timestamp) -> Timestamp {
    let service: u32 = tasks.iter().map(|t| t.service_seconds).sum();
    let seconds = i64::from(service) + i64::from(travel_seconds) + i64::from(rules.promise_slack_seconds);
    ready(tasks, now) + Span::seconds(seconds)
}

/// When all of it can be picked up: what is ready already, now.
fn ready(tasks: &[Task], now: Timestamp) -> Timestamp {
    tasks.iter().filter_map(|t| t.ready_at).fold(now, Timestamp::max)
}

fn check_texts(path: Path, contact: &Contact, wrong: &mut Vec<InvalidOrder>) {
    let texts =
        [("name", &contact.name), ("phone", &contact.phone), ("address", &contact.address), ("note", &contact.note)];
    for (name, text) in texts {
        if text.as_ref().is_some_and(|t| t.chars().count() > MOST_TEXT) {
            let problem = format!("longer than {MOST_TEXT} characters");
            wrong.push(InvalidOrder::new(format!("{path}.contact.{name}"), problem));
        }
    }
}

fn task(order: OrderId, index: usize, kind: TaskKind, stop: NewStop, window: Option<Window>) -> Task {
    Task {
        id: Task::id_of(order, index),
        kind,
        status: TaskStatus::Open,
        seller: None,
        place: stop.place,
        contact: stop.contact,
        window,
        ready_at: None,
        service_seconds: 0,
        confirm_by: None,
        code: None,
        wrong_codes: 0,
        wrong_commands: Vec::new(),
        locked_until: None,
        departure: None,
        arrived_at: None,
        done_at: None,
        proof: None,
    }
}
