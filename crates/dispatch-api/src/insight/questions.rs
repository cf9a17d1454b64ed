//! Who is asking how deliveries went: one question each, so that nobody keeps the others from theirs.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use posthaste_domain::party::Party;
use posthaste_http::problem::Answer;
use posthaste_protocol::problem::{Code, Problem};

/// Those whose question is being answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Questions(Arc<Mutex<HashSet<Party>>>);

/// A question that is being answered, until it is dropped.
#[derive(Debug)]
pub(crate) struct Question {
    open: Questions,
    party: Party,
}

impl Questions {
    /// Begins somebody's question; 429 while another one of theirs is being answered.
    pub(crate) fn begin(&self, party: Party) -> Answer<Question> {
        if self.0.lock().insert(party) {
            return Ok(Question { open: self.clone(), party });
        }
        let busy = "another question of yours is being answered: wait for it";
        Err(Problem::new(Code::RateLimited).detail(busy).retry_after(1).into())
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.open.0.lock().remove(&self.party);
    }
}

#[cfg(test)]
mod tests {
    use posthaste_domain::ids::Id;

    use super::*;

    #[test]
    fn everybody_asks_one_question_at_a_time() {
        let (questions, party) = (Questions::default(), |n| Party::Merchant(Id::from_uuid(uuid::Uuid::from_u128(n))));
        let first = questions.begin(party(1)).unwrap();
        assert!(questions.begin(party(1)).is_err() && questions.begin(party(2)).is_ok());
        drop(first);
        assert!(questions.begin(party(1)).is_ok());
    }
}
