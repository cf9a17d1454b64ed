//! Every message of the socket protocol.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{DriverId, OfferId, OrderId, SessionId, TaskId, ZoneId};
use posthaste_domain::order::FailReason;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::declare::{Described, messages, misfit};
use super::envelope::{Header, write};
use crate::accounts::Secret;
use crate::clock::ClockView;
use crate::drivers::{
    DriverView, OfferView, PositionBatch, PositionReport, PositionView, PositionsTaken, RouteView, ShiftView,
};
use crate::orders::{EtaView, OrderView, ProofView, TimelineEntry};
use crate::problem::Problem;
use crate::tracking::{FollowedOrder, OrderPosition, TrackingDriver, TrackingPosition, TrackingStep, TrackingView};
use crate::words::{self, AlertKind, OfferOutcome};
use crate::zones::ZoneView;

messages! {
    /// From the server.
    ServerMessage {
        /// First message of every connection.
        "welcome" => Welcome(Welcome),
        /// The missed messages follow.
        "resumed" => Resumed(Resumed),
        /// The present state of what the socket follows; the stream goes on from the envelope's `seq`.
        "snapshot" => Snapshot(Box<Snapshot>),
        /// The command with this id is done.
        "ack" => Ack(Ack),
        /// The command with this id was refused; or, without id, a frame was not understood.
        "error" => Error(Problem),
        /// Drivers: an order is offered.
        "offer" => Offer(Box<OfferView>),
        /// Drivers: an offer is no longer open.
        "offer_ended" => OfferEnded(OfferEnded),
        /// Drivers: the route changed; this is all of it.
        "route" => Route(Box<RouteView>),
        /// Drivers: the shift changed by other means than this socket.
        "shift" => Shift(ShiftView),
        /// Merchants, operations and customers who are signed in: an order changed; this is all of it.
        "order" => Order(Box<OrderChanged>),
        /// Who has a tracking link: the order took a step.
        "step" => Step(Step),
        /// Customers, merchants, operations: a driver moved. Latest wins; has no `seq`.
        "position" => Position(PositionUpdate),
        /// Operations: a driver changed.
        "driver" => Driver(Box<DriverView>),
        /// Operations: a zone was made or changed.
        "zone" => Zone(Box<ZoneView>),
        /// Operations, and merchants about their own: somebody should look.
        "alert" => Alert(Alert),
    }
}

messages! {
    /// From a client.
    ClientMessage {
        /// First message of a client: where it was, or nothing.
        "hello" => Hello(Hello),
        /// Alive. Any other message counts as one.
        "heartbeat" => Heartbeat(Heartbeat),
        /// A new access token, before the old one ends. The connection stays.
        "token" => Token(NewToken),
        /// Drivers: shift change.
        "shift" => Shift(ShiftView),
        /// Drivers: where I am. Not answered unless it has an id.
        "position" => Position(PositionReport),
        /// Drivers: where I was. Answered when safe.
        "positions" => Positions(PositionBatch),
        /// Drivers: take an offer.
        "accept" => Accept(OfferAnswer),
        /// Drivers: decline an offer.
        "decline" => Decline(OfferAnswer),
        /// Drivers: on the way to a task.
        "departed" => Departed(TaskRef),
        /// Drivers: at the place of a task.
        "arrived" => Arrived(TaskRef),
        /// Drivers: a pickup is done.
        "picked_up" => PickedUp(TaskDone),
        /// Drivers: the delivery is done.
        "delivered" => Delivered(TaskDone),
        /// Drivers: a return is done.
        "returned" => Returned(TaskDone),
        /// Drivers: a task cannot be done.
        "failed" => Failed(TaskFailed),
        /// Drivers: this stop comes next.
        "do_next" => DoNext(TaskRef),
        /// Drivers: no stop has to come next.
        "undo_next" => UndoNext(Nothing),
    }
}

/// First message of every connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Welcome {
    /// This connection.
    #[schema(value_type = String, example = "ses_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub session: SessionId,
    /// Names the numbering that `seq` belongs to; a new one when the numbering starts anew.
    pub epoch: String,
    /// The `seq` of the stream's newest message.
    pub seq: u64,
    /// Send something at least this often (real seconds).
    pub heartbeat_seconds: u32,
    /// The server's clock.
    pub clock: ClockView,
    /// What the socket takes.
    pub limits: Limits,
}

/// What a socket takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Bytes of one frame.
    pub frame_bytes: u32,
    /// Positions in one batch.
    pub batch_positions: u32,
    /// Messages in a real second, sustained.
    pub messages_per_second: u32,
}

/// First message of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hello {
    /// The epoch of the last connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// The last `seq` seen in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<u64>,
}

/// Nothing but a sign of life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {}

/// Nothing to add.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The missed messages follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resumed {
    /// The last `seq` that the client had.
    pub from: u64,
    /// The `seq` of the last missed message.
    pub to: u64,
}

/// The present state of what a socket follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Snapshot {
    /// A driver's socket.
    Driver {
        /// The driver.
        driver: DriverView,
        /// Stops and offers.
        route: RouteView,
    },
    /// A tracking socket.
    Tracking {
        /// The order.
        tracking: TrackingView,
    },
    /// A merchant's socket.
    Merchant {
        /// Its live orders, newest first, at most 1,000.
        orders: Vec<OrderView>,
    },
    /// A customer's socket.
    Customer {
        /// Their live orders, newest first, at most 100.
        orders: Vec<FollowedOrder>,
    },
    /// A socket of operations.
    Operations {
        /// Zones in view.
        zones: Vec<ZoneView>,
        /// Drivers in view.
        drivers: Vec<DriverView>,
        /// Live orders in view, newest first, at most 1,000.
        orders: Vec<OrderView>,
    },
}

/// A command is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ack {
    /// False when it had been done before and nothing changed.
    pub changed: bool,
    /// The instant that the server recorded for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// Orders whose promise is likely to be broken by it: after a choice of the next stop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, example = json!([]))]
    pub late: Vec<OrderId>,
    /// How positions were taken: after a batch, and after a single one that was not believed or has another time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<Box<PositionsTaken>>,
}

impl Ack {
    /// Done, or done before, at this instant.
    #[must_use]
    pub fn new(changed: bool, at: Option<Timestamp>) -> Self {
        Self { changed, at, late: Vec::new(), positions: None }
    }
}

/// An offer is no longer open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferEnded {
    /// The offer.
    #[schema(value_type = String, example = "ofr_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub offer_id: OfferId,
    /// Its order.
    #[schema(value_type = String, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: OrderId,
    /// How it ended.
    pub outcome: OfferOutcome,
}

/// An order changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OrderChanged {
    /// What happened, oldest first.
    pub events: Vec<TimelineEntry>,
    /// The order now.
    pub order: OrderView,
    /// To customers: when the hand-over at the door is expected now; absent when the order is over or on its way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<EtaView>,
    /// To customers: the driver, from assignment to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<TrackingDriver>,
}

/// The order took a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// The step.
    pub step: TrackingStep,
    /// Whether a driver has the order in hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_name: Option<String>,
    /// When the hand-over at the door is expected now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<EtaView>,
}

/// A driver moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum PositionUpdate {
    /// To merchants and operations: who it is.
    Driver(PositionView),
    /// To customers who are signed in: of which of their orders it is the driver, and where.
    Order(OrderPosition),
    /// To who has a tracking link: only where.
    Tracking(TrackingPosition),
}

/// Somebody should look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// What it is about.
    pub kind: AlertKind,
    /// In words.
    pub text: String,
    /// The order, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub order_id: Option<OrderId>,
    /// The driver, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "drv_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub driver_id: Option<DriverId>,
    /// The zone, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub zone_id: Option<ZoneId>,
}

/// A new access token for a connection that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Of whom the connection belongs to.
    pub access_token: Secret,
}

/// A driver answers an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferAnswer {
    /// The offer.
    #[schema(value_type = String, example = "ofr_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub offer_id: OfferId,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskRef {
    /// The task.
    #[schema(value_type = String, example = "tsk_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub task_id: TaskId,
}

/// A task is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskDone {
    /// The task.
    #[schema(value_type = String, example = "tsk_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub task_id: TaskId,
    /// The code, where one is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What else is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofView>,
}

/// A task cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskFailed {
    /// The task.
    #[schema(value_type = String, example = "tsk_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub task_id: TaskId,
    /// Why.
    #[schema(value_type = words::FailReason)]
    pub reason: FailReason,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
