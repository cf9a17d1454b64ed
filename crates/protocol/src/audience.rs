//! Who is looking, and what of an order they may see: one set of rules, for answers, sockets and webhooks alike.
//!
//! What a rule does not name is shown to operations alone.

use posthaste_domain::ids::{DriverId, MerchantId};
use posthaste_domain::order::{Event, Order, Recorded, Status, Task, TaskKind};
use posthaste_domain::party::Party;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::orders::{DecisionView, PlaceView, TimelineEntry};

/// Parts of an event that are for the database alone: its first state, its name, what repetition is known by.
const INNER: [&str; 4] = ["type", "returns", "command", "from"];

/// Who is looking at orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audience {
    /// Operations: everything.
    Operations,
    /// A merchant: what is its own of an order, all of it or its part.
    Merchant(MerchantId),
    /// The customer of the order.
    Customer,
    /// The customer, as they follow their orders: with no more of a driver than a tracking link shows.
    Follower,
    /// A driver: what they are asked to do, and what they have to do.
    Driver(DriverId),
}

/// How somebody stands to one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// Operations.
    Operations,
    /// The merchant whose order it is.
    Owner,
    /// A merchant who sells a part of another's order.
    Seller(MerchantId),
    /// The customer.
    Customer,
    /// The customer who follows it.
    Follower,
    /// The driver who has it, until it is settled.
    Carrier,
    /// A driver who is asked, or who had it when it ended.
    Bystander,
}

impl Audience {
    /// As whom they look at this order.
    #[must_use]
    pub fn of(self, order: &Order) -> Viewer {
        match self {
            Self::Operations => Viewer::Operations,
            Self::Merchant(id) if id == order.merchant => Viewer::Owner,
            Self::Merchant(id) => Viewer::Seller(id),
            Self::Customer => Viewer::Customer,
            Self::Follower => Viewer::Follower,
            Self::Driver(id) if order.working_driver() == Some(id) => Viewer::Carrier,
            Self::Driver(_) => Viewer::Bystander,
        }
    }
}

impl Viewer {
    /// Whether the task is theirs to know of: a seller of a part knows its own.
    #[must_use]
    pub fn sees_task(self, task: &Task) -> bool {
        match self {
            Self::Seller(id) => task.seller == Some(id),
            _ => true,
        }
    }

    /// Whether they may see the code, to tell it or to compare it. Drivers are told it at the door.
    #[must_use]
    pub fn sees_code(self, order: &Order, task: &Task) -> bool {
        let at_door = task.kind == TaskKind::Delivery;
        match self {
            Self::Operations => true,
            Self::Owner => at_door || task.seller == Some(order.merchant),
            Self::Seller(id) => task.seller == Some(id),
            Self::Customer | Self::Follower => at_door,
            Self::Carrier | Self::Bystander => false,
        }
    }

    /// Whether they may see name, telephone, address and note: a driver while the task is theirs to do.
    #[must_use]
    pub fn sees_contact(self, task: &Task) -> bool {
        match self {
            Self::Operations | Self::Owner => true,
            Self::Seller(id) => task.seller == Some(id),
            Self::Customer | Self::Follower => task.kind == TaskKind::Delivery,
            Self::Carrier => !task.status.is_final(),
            Self::Bystander => false,
        }
    }

    /// Whether they may see what was shown at the hand-over.
    #[must_use]
    pub fn sees_proof(self, task: &Task) -> bool {
        match self {
            Self::Operations | Self::Owner => true,
            Self::Seller(id) => task.seller == Some(id),
            Self::Bystander => false,
            Self::Customer | Self::Follower => task.kind == TaskKind::Delivery,
            Self::Carrier => true,
        }
    }

    /// Whether they may see who the customer is.
    #[must_use]
    pub fn sees_customer(self) -> bool {
        matches!(self, Self::Operations | Self::Owner | Self::Customer | Self::Follower)
    }

    /// Whether they may know which driver it is.
    #[must_use]
    pub fn sees_driver(self) -> bool {
        self != Self::Follower
    }

    /// Whether they may see the merchant's own name for the order: a driver asks for it at the counter.
    #[must_use]
    pub fn sees_reference(self) -> bool {
        !matches!(self, Self::Seller(_))
    }

    /// Whether they may see that the goods are with a driver who is gone.
    #[must_use]
    pub fn sees_escalation(self) -> bool {
        matches!(self, Self::Operations | Self::Owner | Self::Seller(_))
    }

    /// Where the task is. Who had an order keeps it in their list, but no longer whose door it was: the place is then to two
    /// decimals, about a kilometre.
    #[must_use]
    pub fn place(self, order: &Order, task: &Task) -> PlaceView {
        let is_over = self == Self::Bystander && order.status().is_final();
        PlaceView::from(if is_over { task.place.coarse() } else { task.place })
    }
}

/// To whom a field of an event is shown, beside operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// To nobody else.
    Operations,
    /// To the owner.
    Owner,
    /// To the owner and the customer.
    Customer,
    /// To whoever may see the order's timeline; of a task, to whoever may see that task.
    All,
}

/// A field of an event's data, and to whom it is shown.
pub type Field = (&'static str, Shown);

/// What the timeline shows of each kind of event. A field that is not here is shown to operations alone, and a test fails
/// until somebody has said to whom.
pub const EVENTS: &[(&str, &[Field])] = &[
    ("placed", &[]),
    ("seller_confirmed", &[("seller", Shown::Customer), ("ready_at", Shown::Customer), ("times", Shown::Owner)]),
    ("seller_rejected", &[("seller", Shown::Customer), ("reason", Shown::Customer), ("automatic", Shown::Customer)]),
    ("offered", &[("offer", Shown::Operations)]),
    (
        "offer_declined",
        &[
            ("offer", Shown::Operations),
            ("driver", Shown::Operations),
            ("silent", Shown::Operations),
            ("cool_until", Shown::Operations),
        ],
    ),
    ("offer_withdrawn", &[("offer", Shown::Operations), ("driver", Shown::Operations), ("why", Shown::Operations)]),
    (
        "assigned",
        &[
            ("driver", Shown::All),
            ("by", Shown::Owner),
            ("offer", Shown::Owner),
            ("commitment", Shown::Owner),
            ("estimate", Shown::Customer),
            ("lane", Shown::Operations),
        ],
    ),
    ("unassigned", &[("driver", Shown::All), ("reason", Shown::Owner), ("cool_until", Shown::Operations)]),
    ("escalated", &[("driver", Shown::Owner), ("reason", Shown::Owner)]),
    ("escalation_ended", &[("driver", Shown::Owner)]),
    ("prioritised", &[("priority", Shown::Owner)]),
    ("zone_changed", &[("zone", Shown::Owner)]),
    ("departed", &[("task", Shown::All)]),
    ("arrived", &[("task", Shown::All)]),
    ("code_refused", &[("task", Shown::Owner)]),
    ("code_unlocked", &[("task", Shown::Owner)]),
    ("picked_up", &[("task", Shown::All), ("proof", Shown::All)]),
    ("delivered", &[("task", Shown::All), ("proof", Shown::All)]),
    ("returned", &[("task", Shown::All)]),
    ("failed", &[("task", Shown::All), ("reason", Shown::Customer), ("note", Shown::Owner)]),
    ("canceled", &[("by", Shown::Customer), ("reason", Shown::Customer)]),
    ("expired", &[]),
];

impl Viewer {
    /// Whether a field of an event of this name is shown to them.
    #[must_use]
    pub fn sees_field(self, event: &str, field: &str) -> bool {
        if self == Self::Operations {
            return true;
        }
        if field == "driver" && !self.sees_driver() {
            return false;
        }
        let fields = EVENTS.iter().find(|(name, _)| *name == event).map_or(&[][..], |(_, fields)| *fields);
        let shown = fields.iter().find(|(name, _)| *name == field).map_or(Shown::Operations, |(_, shown)| *shown);
        match shown {
            Shown::Operations => false,
            Shown::Owner => self == Self::Owner,
            Shown::Customer => matches!(self, Self::Owner | Self::Customer | Self::Follower),
            Shown::All => true,
        }
    }

    /// Who did it, as they may know it: people of operations have no names outside, nor has who was only asked.
    fn actor(self, by: Party, event: &Event) -> Party {
        let only_asked =
            matches!(event, Event::Offered { .. } | Event::OfferDeclined { .. } | Event::OfferWithdrawn { .. });
        let known = match (self, by) {
            (Self::Operations, _) => true,
            (_, Party::Admin(_)) => false,
            (_, Party::Driver(_)) => self.sees_driver() && !only_asked,
            (Self::Seller(id), by) => by == Party::Merchant(id),
            _ => true,
        };
        if known { by } else { Party::System }
    }
}

/// The entry of a recorded event in the order's timeline, as somebody may see it, without what only the database needs.
#[must_use]
pub fn timeline_entry(recorded: &Recorded, status: Status, order: &Order, audience: Audience) -> TimelineEntry {
    let (viewer, event) = (audience.of(order), &recorded.event);
    TimelineEntry {
        seq: recorded.seq,
        at: recorded.at,
        by: viewer.actor(recorded.by, event),
        event: event.name().to_owned(),
        status,
        data: data(viewer, event, order),
    }
}

/// What else belongs to the event, as they may see it.
fn data(viewer: Viewer, event: &Event, order: &Order) -> Map<String, Value> {
    let mut data = match event {
        Event::Placed { .. } => return Map::new(),
        event => match serde_json::to_value(event) {
            Ok(Value::Object(data)) => data,
            _ => return Map::new(),
        },
    };
    INNER.iter().for_each(|inner| drop(data.remove(*inner)));
    if viewer == Viewer::Operations {
        return data;
    }
    let name = event.name();
    data.retain(|field, _| viewer.sees_field(name, field));
    if let Some(id) = event.task() {
        let task = order.task(id);
        if !task.is_some_and(|task| viewer.sees_task(task)) {
            return Map::new();
        }
        if !task.is_some_and(|task| viewer.sees_proof(task)) {
            data.remove("proof");
        }
    }
    if let (Some(by), Event::Canceled { by: party, .. }) = (data.get_mut("by"), event) {
        *by = Value::String(viewer.actor(*party, event).to_string());
    }
    data
}

/// What `audience` may see of a recorded decision about the order: the numbers are for operations. Others learn how many
/// drivers were passed over for which reason, and who it is that has the order.
#[must_use]
pub fn decision(recorded: DecisionView, order: &Order, audience: Audience) -> DecisionView {
    if audience.of(order) == Viewer::Operations {
        return recorded;
    }
    let count = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_u64()?));
    let counts = recorded.detail.get("counts").and_then(|counts| counts.as_array());
    let counts: Vec<_> = counts.into_iter().flatten().filter_map(count).collect();
    let passed: Vec<_> = counts.iter().map(|(why, many)| format!("{many} {}", why.replace('_', " "))).collect();
    let summary = match (recorded.driver_id, passed.is_empty()) {
        (Some(_), _) => "a driver was chosen".to_owned(),
        (None, true) => "no driver yet".to_owned(),
        (None, false) => format!("no driver: {}", passed.join(", ")),
    };
    DecisionView {
        driver_id: recorded.driver_id.filter(|chosen| order.assignment.is_some_and(|has| has.driver == *chosen)),
        detail: json!({ "counts": counts }),
        summary,
        ..recorded
    }
}

#[cfg(test)]
mod paths;
#[cfg(test)]
mod tests;
