//! The first event of an order as it is stored: without the state, which stands in the order's row.

use posthaste_domain::order::{AtFirst, Event, Order};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The payload of a first event that leaves the state to the order's row.
#[derive(Serialize)]
#[serde(tag = "type", rename = "placed")]
pub(crate) struct StoredPlaced {
    #[serde(flatten)]
    pub(crate) first: AtFirst,
}

/// A payload as far as it says whether it holds the state.
#[derive(Deserialize)]
struct Payload<'p> {
    #[serde(rename = "type")]
    kind: &'p str,
    #[serde(borrow)]
    order: Option<&'p RawValue>,
}

/// Whether a payload is that of a first event without the state.
pub(super) fn leaves_the_state_to_the_row(payload: &str) -> Result<bool, serde_json::Error> {
    let Payload { kind, order } = serde_json::from_str(payload)?;
    Ok(kind == "placed" && order.is_none())
}

/// Reads a first event, with the state or without; `state` is the order's present one.
pub(super) fn read(payload: &str, state: &str) -> Result<Event, serde_json::Error> {
    if !leaves_the_state_to_the_row(payload)? {
        return serde_json::from_str(payload);
    }
    let first: AtFirst = serde_json::from_str(payload)?;
    let order: Order = serde_json::from_str(state)?;
    Ok(Event::Placed { order: order.as_placed(&first).into() })
}
