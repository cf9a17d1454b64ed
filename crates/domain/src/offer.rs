//! One order offered to one driver until a deadline.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::calendar::Lane;
use crate::ids::{DriverId, Id as _, OfferId, OrderId};
use crate::window::Window;

/// An open offer. It is part of its order's state, so no crash can leave an offer without an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The offer.
    pub id: OfferId,
    /// The driver who may take it.
    pub driver: DriverId,
    /// When it was made.
    pub made_at: Timestamp,
    /// The instant after which silence counts as a decline.
    pub deadline: Timestamp,
    /// The driver's time that accepting it commits.
    pub commitment: Window,
    /// The lane it rides in, for an order that shares the driver's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Lane,
}

impl Offer {
    /// The id of the offer that an order makes with its event number `seq`: the order's id with the number folded in, as
    /// its tasks' ids are, so that the order of an offer is found whoever has forgotten it.
    #[must_use]
    pub fn id_of(order: OrderId, seq: u64) -> OfferId {
        OfferId::from_uuid(uuid::Uuid::from_u128(order.uuid().as_u128() ^ u128::from(seq)))
    }

    /// The order whose event number `seq` made this offer: the reverse of [`Self::id_of`].
    #[must_use]
    pub fn order_of(offer: OfferId, seq: u64) -> OrderId {
        OrderId::from_uuid(uuid::Uuid::from_u128(offer.uuid().as_u128() ^ u128::from(seq)))
    }
}

/// Why an offer ended without the driver's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawal {
    /// The order was canceled or ended otherwise.
    OrderEnded,
    /// The driver went off shift, on a break, or silent.
    DriverUnavailable,
    /// Operations gave the order to somebody.
    AssignedByHand,
}

/// A driver who is not asked again about an order for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoolDown {
    /// The driver.
    pub driver: DriverId,
    /// The end of the pause.
    pub until: Timestamp,
}
