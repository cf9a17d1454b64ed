//! A policy from its name: `least_busy`, `routed`, and what `routed` may do as suffixes, as in
//! `routed+send-ahead+interleave`.

use std::fmt;
use std::str::FromStr;

use posthaste_matching::routed::Budget;

use super::least_busy::LeastBusy;
use super::policy::Policy;
use super::routed::{Routed, Rules};
use crate::instance::Instance;

/// Lets couriers pick up elsewhere while they carry.
const INTERLEAVE: &str = "interleave";
/// Lets idle couriers be sent to a restaurant ahead of work.
const SEND_AHEAD: &str = "send-ahead";

/// A policy and what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// The driver with the fewest open orders, one order at a time.
    LeastBusy,
    /// Routes for everybody, planned ahead.
    Routed {
        /// Couriers may pick up elsewhere while they carry.
        interleave: bool,
        /// Idle couriers may be sent to a restaurant ahead of work.
        send_ahead: bool,
    },
}

/// A name of no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no policy {0:?} to simulate; there are least_busy and routed, the latter also with +interleave and \
     +send-ahead"
)]
pub struct UnknownPolicy(pub String);

impl FromStr for Named {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        let unknown = || UnknownPolicy(text.to_owned());
        let mut parts = text.split('+');
        match (parts.next(), parts.collect::<Vec<_>>().as_slice()) {
            (Some("least_busy"), []) => Ok(Self::LeastBusy),
            (Some("routed"), rules) => {
                let given = |rule: &str| rules.contains(&rule);
                if rules.iter().any(|rule| ![INTERLEAVE, SEND_AHEAD].contains(rule)) {
                    return Err(unknown());
                }
                Ok(Self::Routed { interleave: given(INTERLEAVE), send_ahead: given(SEND_AHEAD) })
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeastBusy => f.write_str("least_busy"),
            Self::Routed { interleave, send_ahead } => {
                f.write_str("routed")?;
                for (_, rule) in [(*send_ahead, SEND_AHEAD), (*interleave, INTERLEAVE)].iter().filter(|(on, _)| *on) {
                    write!(f, "+{rule}")?;
                }
                Ok(())
            }
        }
    }
}

impl Named {
    /// The policy, fresh for a day. The budget is `routed`'s; `least_busy` does not search.
    #[must_use]
    pub fn for_day(self, day: &Instance, budget: Budget) -> Box<dyn Policy> {
        match self {
            Self::LeastBusy => Box::new(LeastBusy::new(day)),
            Self::Routed { interleave, send_ahead } => {
                Box::new(Routed::new(day, Rules { interleave, send_ahead }, budget))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_rules_reads_in_any_order_and_is_written_in_one() {
        for (text, written) in [
            ("least_busy", "least_busy"),
            ("routed", "routed"),
            ("routed+interleave", "routed+interleave"),
            ("routed+interleave+send-ahead", "routed+send-ahead+interleave"),
        ] {
            assert_eq!(text.parse::<Named>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn an_unknown_name_is_named_with_those_there_are() {
        for wrong in ["nearest", "", "routed+fast", "least_busy+interleave", "routed+"] {
            let error = wrong.parse::<Named>().unwrap_err().to_string();
            assert!(error.contains(&format!("{wrong:?}")) && error.contains("least_busy and routed"), "{error}");
        }
    }
}
