//! The mark by which a leader sees whether another has led since: the clock's checkpoint, as it wrote it itself.

use parking_lot::Mutex;
use posthaste_domain::Timestamp;
use sqlx::PgConnection;

use super::within;

/// What this leader has written into the clock's checkpoint, or tried to: the present one is among them.
#[derive(Debug)]
pub(crate) struct Marks(Mutex<Vec<i64>>);

impl Marks {
    pub(super) fn new(first: Timestamp) -> Self {
        Self(Mutex::new(vec![first.timestamp_micros()]))
    }

    /// Of who has written nothing.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// This is about to be written. Whether it was is not always known.
    pub(crate) fn trying(&self, at: Timestamp) {
        self.0.lock().push(at.timestamp_micros());
    }

    /// This was written, over all that was there before; or it was not, as it was older.
    pub(crate) fn tried(&self, at: Timestamp, written: bool) {
        let at = at.timestamp_micros();
        self.0.lock().retain(|mark| (*mark == at) == written);
    }

    pub(super) fn knows(&self, at: Timestamp) -> bool {
        self.0.lock().contains(&at.timestamp_micros())
    }
}

/// Leaves a mark: the checkpoint becomes another than it was, by as little as Postgres can tell apart.
pub(super) async fn leave(session: &mut PgConnection) -> Result<Timestamp, sqlx::Error> {
    let left = sqlx::query_scalar!(
        "INSERT INTO clock_checkpoint AS c (at) VALUES (to_timestamp(0))
        ON CONFLICT ON CONSTRAINT clock_checkpoint_pkey DO UPDATE SET at = c.at + interval '1 microsecond'
        RETURNING at"
    );
    within(left.fetch_one(session)).await
}

/// The checkpoint as it is.
pub(super) async fn read(session: &mut PgConnection) -> Result<Timestamp, sqlx::Error> {
    within(sqlx::query_scalar!("SELECT at FROM clock_checkpoint WHERE single").fetch_one(session)).await
}
