//! Forgetting the people of an order that is over. What was done, when, by whom of those who work, and for which money,
//! stays; who it was for does not.
//!
//! State and events forget alike, so that the history still leads to the state, and the state back to the first one. The
//! version stays as it was: nothing happened to the order.

use std::sync::Arc;

use super::task::{FailReason, Task, TaskKind};
use super::{Event, Order};
use crate::contact::Contact;

/// What stands where somebody's own words were.
pub const FORGOTTEN_WORDS: &str = "forgotten";
/// Why an order ended, in words of the machine's own.
const OWN_WORDS: [&str; 2] = [NO_DRIVER_IN_TIME, NOT_CONFIRMED_IN_TIME];
/// Nobody took it in time.
pub(super) const NO_DRIVER_IN_TIME: &str = "no_driver_in_time";
/// A seller kept silent.
pub(super) const NOT_CONFIRMED_IN_TIME: &str = "not confirmed in time";

/// What of an order is about people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Personal {
    /// Who is asked for at each stop and where exactly the door is, where drivers set out from, and what people wrote: why
    /// it was rejected or canceled, and how it failed.
    Contacts,
    /// What was shown at hand-overs.
    Proofs,
}

impl Personal {
    /// All of it.
    pub const ALL: [Self; 2] = [Self::Contacts, Self::Proofs];

    /// Its name, in settings, figures and storage.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Proofs => "proofs",
        }
    }

    /// The names of the events that may hold some of it.
    #[must_use]
    pub fn events(self) -> &'static [&'static str] {
        match self {
            Self::Contacts => &["placed", "seller_rejected", "departed", "failed", "canceled"],
            // The first event of one that was stored with what came at once holds the state of then.
            Self::Proofs => &["placed", "picked_up", "delivered"],
        }
    }
}

impl Order {
    /// Forgets what is about people. The version stays. Doing so again changes nothing.
    pub fn forget(&mut self, what: Personal) {
        self.tasks.iter_mut().for_each(|task| task.forget(what));
        if let (Personal::Contacts, Some(words)) = (what, &mut self.ended_because) {
            forget_words(words);
        }
    }
}

impl Event {
    /// Forgets what is about people. Doing so again changes nothing.
    pub fn forget(&mut self, what: Personal) {
        match (self, what) {
            (Self::Placed { order }, _) => Arc::make_mut(order).forget(what),
            (Self::SellerRejected { reason, .. }, Personal::Contacts) => forget_words(reason),
            (Self::Canceled { reason, returns, .. }, Personal::Contacts) => {
                forget_words(reason);
                returns.iter_mut().for_each(|task| task.forget(what));
            }
            (Self::Failed { note, returns, .. }, Personal::Contacts) => {
                *note = None;
                returns.iter_mut().for_each(|task| task.forget(what));
            }
            (Self::Departed { from, .. }, Personal::Contacts) => *from = None,
            (Self::PickedUp { proof, .. } | Self::Delivered { proof, .. }, Personal::Proofs) => *proof = None,
            _ => {}
        }
    }
}

impl Task {
    fn forget(&mut self, what: Personal) {
        match what {
            Personal::Contacts => {
                self.contact = Contact::default();
                if self.kind == TaskKind::Delivery {
                    self.place = self.place.coarse();
                }
                if let Some(departure) = &mut self.departure {
                    departure.from = None;
                }
            }
            Personal::Proofs => self.proof = None,
        }
    }
}

/// Replaces what somebody wrote; what the machine says of itself stays.
fn forget_words(words: &mut String) {
    let is_own = OWN_WORDS.contains(&words.as_str()) || FailReason::ALL.iter().any(|reason| reason.name() == words);
    if !is_own {
        FORGOTTEN_WORDS.clone_into(words);
    }
}
