//! Who is asking how deliveries went: one question each, so that nobody keeps the others from theirs.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use posthaste_domain::party::Party;
use posthaste_http::problem::Answer;
use posthaste_protocol::problem::{Code, Problem};

/// Those whose question is being answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asking(Arc<Mutex<HashSet<Party>>>);

/// A question that is being answered, until it is dropped.
#[derive(Debug)]
pub(crate) struct Question {
    asking: Asking,
    party: Party,
}

impl Asking {
    /// Begins somebody's question; 429 while another one of theirs is being answered.
    pub(crate) fn begin(&self, party: Party) -> Answer<Question> {
        if self.0.lock().insert(party) {
            return Ok(Question { asking: self.clone(), party });
        }
        let busy = "another question of yours is being answered: wait for it";
        Err(Problem::new(Code::RateLimited).detail(busy).retry_after(1).into())
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.asking.0.lock().remove(&self.party);
    }
}

#[cfg(test)]
mod tests {
    use posthaste_domain::ids::Id;

    use super::*;

    #[test]
    fn everybody_asks_one_question_at_a_time() {
        let (asking, party) = (Asking::default(), |n| Party::Merchant(Id::from_uuid(uuid::Uuid::from_u128(n))));
        let first = asking.begin(party(1)).unwrap();
        assert!(asking.begin(party(1)).is_err() && asking.begin(party(2)).is_ok());
        drop(first);
        assert!(asking.begin(party(1)).is_ok());
    }
}
