//! How long things take, learned from orders that are over, and what that says of those that are not.
//!
//! - [`observe`]: what a settled order shows of its seller, its zone and its hour.
//! - [`Estimates`] keeps the newest of these and answers a [`Question`] with [`Quantiles`]; where little is known the
//!   wider level speaks, and in the end the [`prior`].
//! - [`journey`]: the time at a door, as a range, from the parts of the way to it.
//!
//! Values and functions of values: no clock, no I/O, no randomness. `docs/estimates.md` says in words what is measured
//! and what is not.

pub mod journey;
pub mod observe;
pub mod prior;

mod estimates;
mod mixture;
mod quantiles;
mod samples;

pub use estimates::{Answer, Estimates, Level, Question, hour_of};
pub use observe::{Observation, observations};
pub use quantiles::Quantiles;
pub use samples::Sample;

use serde::{Deserialize, Serialize};

/// What is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Seconds by which goods are ready later than their seller said; not below 0.
    Lateness,
    /// Seconds from placing to ready, where the seller does not say.
    Preparation,
    /// Seconds that a pickup takes beyond what its task says, from when it could begin.
    PickupExcess,
    /// Seconds that a hand-over at the door takes beyond what its task says.
    DropoffExcess,
    /// A way's time in thousandths of what the zone's travel model says.
    Pace,
    /// Seconds from when an order is placed and said to be ready to a driver's arrival at its first pickup; negative
    /// where the driver is there before.
    Reach,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Lateness, Self::Preparation, Self::PickupExcess, Self::DropoffExcess, Self::Pace, Self::Reach];

    /// Whether it is the seller's, and learned for each; else it is the zone's.
    #[must_use]
    pub fn is_the_sellers(self) -> bool {
        matches!(self, Self::Lateness | Self::Preparation | Self::PickupExcess)
    }

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lateness => "lateness",
            Self::Preparation => "preparation",
            Self::PickupExcess => "pickup_excess",
            Self::DropoffExcess => "dropoff_excess",
            Self::Pace => "pace",
            Self::Reach => "reach",
        }
    }

    /// What a value counts.
    #[must_use]
    pub fn unit(self) -> &'static str {
        if self == Self::Pace { "thousandths" } else { "seconds" }
    }
}
