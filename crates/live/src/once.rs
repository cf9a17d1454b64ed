//! What is made once for an idempotency key, however often it is asked for.

use serde::{Deserialize, Serialize};

/// What became of a request to make something.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Once<T> {
    /// It was made now, and is in Postgres.
    New(T),
    /// The key was used before with the same request: the first answer, as it was rendered then.
    Replayed {
        /// Its HTTP status.
        status: u16,
        /// Its body.
        body: String,
    },
}

impl<T> Once<T> {
    /// A first answer, as it is stored.
    pub(crate) fn replayed((status, body): (u16, String)) -> Self {
        Self::Replayed { status, body }
    }
}
