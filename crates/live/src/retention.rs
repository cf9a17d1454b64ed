//! For how long orders that are over hold what is about people, and the round that forgets it after that, by product time.
//! It takes no input, and doing it again changes nothing.

use posthaste_domain::order::Personal;
use posthaste_domain::{Span, Timestamp};
use posthaste_storage::StorageError;

use crate::Refused;
use crate::system::{Doors, System};

/// Orders whose people are forgotten in one commit: some milliseconds of locks.
const AT_ONCE: u32 = 200;
/// Commits in one round: what the first one finds is not done in one go.
const MOST_COMMITS: u32 = 100;

/// For how many days orders that are over hold what is about people; none where that does not end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Whom to ask for at the stops, the exact door, and what people wrote.
    pub contacts_days: Option<u32>,
    /// What was shown at hand-overs.
    pub proofs_days: Option<u32>,
}

impl Retention {
    /// Orders that were settled before this have nothing of the kind any more.
    fn ends(self, what: Personal, now: Timestamp) -> Option<Timestamp> {
        let days = match what {
            Personal::Contacts => self.contacts_days,
            Personal::Proofs => self.proofs_days,
        };
        days.map(|days| now - Span::days(i64::from(days)))
    }
}

impl System {
    /// For how long orders that are over hold what is about people.
    #[must_use]
    pub fn retention(&self) -> Retention {
        self.doors.settings.retention
    }

    /// Forgets what orders hold of people longer than they are to at `now`; how many orders it took for contacts and for
    /// proofs. Upkeep does so every ten minutes.
    ///
    /// # Errors
    ///
    /// Those of the database: what was taken by then is forgotten.
    pub async fn forget_people(&self, now: Timestamp) -> Result<[u64; 2], Refused> {
        Ok(forget(&self.doors, now, AT_ONCE, MOST_COMMITS).await?)
    }
}

pub(crate) async fn upkeep(doors: &Doors) -> Result<(), StorageError> {
    forget(doors, doors.clock.now(), AT_ONCE, MOST_COMMITS).await.map(drop)
}

async fn forget(doors: &Doors, now: Timestamp, at_once: u32, most_commits: u32) -> Result<[u64; 2], StorageError> {
    let mut taken = [0; 2];
    for (what, taken) in Personal::ALL.into_iter().zip(&mut taken) {
        let Some(before) = doors.settings.retention.ends(what, now) else { continue };
        for _ in 0..most_commits {
            let orders = posthaste_storage::orders::forget_people(&doors.pool, what, before, at_once).await?;
            *taken += orders;
            if doors.is_measured() {
                crate::metrics::forgotten(what, orders);
            }
            if orders < u64::from(at_once) {
                break;
            }
        }
        if *taken > 0 {
            tracing::info!(what = what.name(), orders = *taken, "what orders held of people is forgotten");
        }
    }
    Ok(taken)
}
