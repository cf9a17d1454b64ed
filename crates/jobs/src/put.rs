//! Putting jobs, in the transaction of what asks for them; and taking back what is not wanted any more.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, JobId};
use posthaste_storage::StorageError;
use posthaste_storage::sealed::Unsealable;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::kind::Kind;
use crate::{Jobs, store};

/// Bytes of a payload at most, unsealed. What is larger lies in a table of its own, and the job names it.
pub const MOST_PAYLOAD: usize = 128 * 1024;
/// Bytes of a lane, group or key at most.
pub const MOST_NAME: usize = 200;

/// A job that is put.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewJob {
    id: Option<JobId>,
    payload: Vec<u8>,
    lane: Option<String>,
    place: Option<i64>,
    group: String,
    key: Option<String>,
    due_at: Option<Timestamp>,
    give_up_at: Option<Timestamp>,
}

impl NewJob {
    /// A job with what its kind needs to know; due at once, in no lane, of no group.
    #[must_use]
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..Self::default() }
    }

    /// The same with an id of one's own: of what it is about, where that has one job.
    #[must_use]
    pub fn with_id(self, id: JobId) -> Self {
        Self { id: Some(id), ..self }
    }

    /// The same after all of its kind and lane that were put before. Who puts into one lane from two transactions at once says
    /// [in which order](Self::at_place), or does not mind.
    #[must_use]
    pub fn in_lane(self, lane: impl Into<String>) -> Self {
        Self { lane: Some(lane.into()), ..self }
    }

    /// The same at a place in its lane, the smallest first. In one lane, either all say their place or none.
    #[must_use]
    pub fn at_place(self, place: i64) -> Self {
        Self { place: Some(place), ..self }
    }

    /// The same on the time of a group.
    #[must_use]
    pub fn of_group(self, group: impl Into<String>) -> Self {
        Self { group: group.into(), ..self }
    }

    /// The same, unless one of its kind and key waits or runs already.
    #[must_use]
    pub fn with_key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// The same, not before an instant of the kind's clock.
    #[must_use]
    pub fn due_at(self, at: Timestamp) -> Self {
        Self { due_at: Some(at), ..self }
    }

    /// The same, of no use any more from an instant of the kind's clock on.
    #[must_use]
    pub fn give_up_at(self, at: Timestamp) -> Self {
        Self { give_up_at: Some(at), ..self }
    }

    fn check(&self) -> Result<(), PutError> {
        if self.payload.len() > MOST_PAYLOAD {
            return Err(PutError::TooLong { what: "payload", most: MOST_PAYLOAD });
        }
        let names =
            [("lane", self.lane.as_deref()), ("group", Some(self.group.as_str())), ("key", self.key.as_deref())];
        for (what, name) in names {
            if name.is_some_and(|name| name.len() > MOST_NAME) {
                return Err(PutError::TooLong { what, most: MOST_NAME });
            }
        }
        Ok(())
    }
}

/// Why a job could not be put. The caller's transaction is of no use any more where the database is why.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Something of it is too long.
    #[error("the {what} of a job has at most {most} bytes")]
    TooLong {
        /// What: payload, lane, group or key.
        what: &'static str,
        /// Bytes that it may have.
        most: usize,
    },
    /// The machine has no randomness to seal with.
    #[error(transparent)]
    Sealed(#[from] Unsealable),
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<PutError> for StorageError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Storage(error) => error,
            error => Self::corrupt("job", error),
        }
    }
}

/// Jobs as they are written: a column of each.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) ids: Vec<Uuid>,
    pub(crate) lanes: Vec<Option<String>>,
    pub(crate) places: Vec<Option<i64>>,
    pub(crate) groups: Vec<String>,
    pub(crate) keys: Vec<Option<String>>,
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) due_at: Vec<Timestamp>,
    pub(crate) give_up_at: Vec<Option<Timestamp>>,
}

impl Jobs {
    /// Puts a job, in the transaction of what asks for it. Its id; none where one with its key waits or runs already. After the
    /// commit, [`wake`](Self::wake).
    ///
    /// # Errors
    ///
    /// [`PutError`].
    pub async fn put(
        &self,
        connection: &mut PgConnection,
        kind: &'static Kind,
        new: NewJob,
    ) -> Result<Option<JobId>, PutError> {
        Ok(self.put_all(connection, kind, vec![new]).await?.pop())
    }

    /// Puts jobs, in one statement; the ids of those that were put.
    ///
    /// # Errors
    ///
    /// As of [`put`](Self::put): all of them or none.
    pub async fn put_all(
        &self,
        connection: &mut PgConnection,
        kind: &'static Kind,
        all: Vec<NewJob>,
    ) -> Result<Vec<JobId>, PutError> {
        let columns = self.columns(kind, all)?;
        Ok(store::insert(connection, kind, &columns, self.now(kind)).await?)
    }

    /// Puts jobs that have an id, or, where one of that id is there in whatever state, begins with it anew: due as it says, from
    /// the beginning of the schedule. What is running of it counts no longer.
    ///
    /// # Errors
    ///
    /// As of [`put`](Self::put).
    pub async fn put_anew(
        &self,
        connection: &mut PgConnection,
        kind: &'static Kind,
        all: Vec<NewJob>,
    ) -> Result<(), PutError> {
        let columns = self.columns(kind, all)?;
        store::begin_anew(connection, kind, &columns, self.now(kind)).await?;
        let lanes: Vec<_> = columns.lanes.into_iter().flatten().collect();
        Ok(store::open_lanes(connection, kind.name, &lanes).await?)
    }

    /// Takes jobs of a kind back, whatever their state: what they were about is no more. What runs is not broken off, and counts
    /// no longer.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn take_back(
        &self,
        connection: &mut PgConnection,
        kind: &'static Kind,
        ids: &[JobId],
    ) -> Result<u64, StorageError> {
        let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
        let lanes = store::remove(connection, kind.name, &ids).await?;
        let count = lanes.len() as u64;
        let lanes: Vec<_> = lanes.into_iter().flatten().collect();
        store::open_lanes(connection, kind.name, &lanes).await?;
        Ok(count)
    }

    fn columns(&self, kind: &Kind, all: Vec<NewJob>) -> Result<Columns, PutError> {
        let (mut columns, now) = (Columns::default(), self.now(kind));
        for new in all {
            new.check()?;
            let id: JobId = new.id.unwrap_or_else(|| self.clock().id());
            let payload = match kind.sealed_for {
                Some(purpose) => self.seal().seal(purpose, id.uuid().as_bytes(), &new.payload)?,
                None => new.payload,
            };
            columns.ids.push(id.uuid());
            columns.lanes.push(new.lane);
            columns.places.push(new.place);
            columns.groups.push(new.group);
            columns.keys.push(new.key);
            columns.payloads.push(payload);
            columns.due_at.push(new.due_at.unwrap_or(now));
            columns.give_up_at.push(new.give_up_at);
        }
        Ok(columns)
    }
}
