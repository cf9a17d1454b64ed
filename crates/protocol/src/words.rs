//! Words on the wire: what can stand where the documents say that one of a few words stands. Each is an enum in both documents,
//! made of the list in the domain, so that a generated client knows them and no document lags behind.
//!
//! More words can come with a new version: a program should pass over what it does not know.

use std::borrow::Cow;

use posthaste_domain::driver::Vehicle as VehicleOfDomain;
use posthaste_domain::order::{self, Event, ReleaseReason};
use posthaste_domain::position::Reason;
use posthaste_domain::zone::Policy as PolicyOfDomain;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The words of values, as they are written.
fn written<T: Serialize>(all: &[T]) -> Vec<serde_json::Value> {
    all.iter().filter_map(|one| serde_json::to_value(one).ok()).collect()
}

macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident = $all:expr, as in $example:literal;)+) => { $(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = concat!($($doc),+).trim();
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some(text))
                    .enum_values(Some(written(&$all)))
                    .examples([$example])
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )+

        /// Each list with its name and its example.
        #[cfg(test)]
        fn all() -> Vec<(&'static str, Vec<serde_json::Value>, &'static str)> {
            vec![$((stringify!($name), written(&$all), $example)),+]
        }
    };
}

words! {
    /// Where an order stands.
    OrderStatus = order::Status::ALL, as in "assigned";
    /// What happened to an order.
    OrderEventName = Event::NAMES, as in "assigned";
    /// What is to be done at a stop.
    TaskKind = order::TaskKind::ALL, as in "pickup";
    /// Where a task stands.
    TaskStatus = order::TaskStatus::ALL, as in "open";
    /// Within its promise, or in its window.
    Speed = order::Speed::ALL, as in "fast";
    /// Why a task cannot be done.
    FailReason = order::FailReason::ALL, as in "customer_absent";
    /// Why a driver no longer has an order.
    ReleasedBecause = ReleaseReason::ALL, as in "driver_lost";
    /// What an order waits for that has an end.
    Deadline = order::Deadline::ALL, as in "offer";
    /// Whether a driver takes work.
    ShiftState = ["offline", "available", "on_break"], as in "available";
    /// What a driver moves with.
    Vehicle = VehicleOfDomain::ALL, as in "bicycle";
    /// How a zone gives orders to drivers.
    Policy = PolicyOfDomain::ALL, as in "least_busy";
    /// In which processes a duty is done, once there are several: in every one, in one of all, in the one that serves the region.
    DutyRuns = ["everywhere", "leader", "region"], as in "region";
    /// How a job stands: it waits for its time or for others, it runs, it was done, or it was given up.
    JobState = ["waiting", "running", "done", "dead"], as in "waiting";
    /// Why a position was not taken.
    LeftOutBecause = Reason::ALL, as in "no_fix";
}

/// How an offer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferOutcome {
    /// The driver took it.
    Accepted,
    /// The driver declined.
    Declined,
    /// The driver kept silent to the deadline.
    Lapsed,
    /// Dispatch took it back.
    Withdrawn,
}

/// What operations should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A driver with work is not heard of.
    DriverSilent,
    /// An order waits for want of a driver.
    OrderWaiting,
    /// Goods are with a driver who is gone.
    OrderStranded,
    /// An order could not be done.
    OrderFailed,
    /// What was served was not what is stored, and was mended.
    StateMended,
    /// An endpoint of a merchant's webhooks is no longer sent to.
    WebhookStopped,
}

impl AlertKind {
    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DriverSilent => "driver_silent",
            Self::OrderWaiting => "order_waiting",
            Self::OrderStranded => "order_stranded",
            Self::OrderFailed => "order_failed",
            Self::StateMended => "state_mended",
            Self::WebhookStopped => "webhook_stopped",
        }
    }
}

/// Why a route is not what was told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteReason {
    /// An order more.
    NewOrder,
    /// An order less.
    OrderGone,
    /// The driver chose their next stop.
    Chosen,
    /// The same stops in another order.
    Resequenced,
    /// The same stops at other times.
    Times,
}

/// Why a driver is advised to wait somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StandbyReason {
    /// Orders are expected there.
    OrdersExpected,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_has_words_once_and_its_example_is_one_of_them() {
        for (name, mut words, example) in all() {
            assert!(words.len() > 1 && words.contains(&example.into()), "{name}: {words:?}");
            let count = words.len();
            words.sort_by_key(ToString::to_string);
            words.dedup();
            assert_eq!(words.len(), count, "{name}");
        }
    }

    #[test]
    fn the_log_calls_alerts_as_the_wire_does() {
        use AlertKind::{DriverSilent, OrderFailed, OrderStranded, OrderWaiting, StateMended, WebhookStopped};
        for kind in [DriverSilent, OrderWaiting, OrderStranded, OrderFailed, StateMended, WebhookStopped] {
            assert_eq!(serde_json::to_value(kind).ok(), Some(kind.name().into()));
        }
    }
}
