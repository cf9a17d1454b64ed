//! Acts that anybody can repeat without end: guesses, codes asked for. The log is kept for ever, so nobody is to make it
//! grow as they like. Of the same act about the same account from the same site, the first is written at once, and all that
//! is about no account counts as the same, whatever was typed; what more
//! comes within a minute is counted, and written as one entry when the minute is over. A process that is killed forgets
//! what it has counted and not written, never a first one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use parking_lot::Mutex;
use posthaste_domain::ids::AccountId;
use posthaste_domain::{Span, Timestamp};
use posthaste_http::address::ClientAddress;
use serde_json::json;
use sqlx::PgConnection;

use super::{Entry, Origin};
use crate::Identity;
use crate::refused::Refused;

/// For how long repeats are counted. Longer is fewer entries, and later ones.
const MINUTE: Span = Span::seconds(60);
/// Different ones at once. Above it, those that come new are counted together: a thousand sites write no more than this
/// in a minute.
const MOST: usize = 1000;

/// What makes two acts of one site the same. Of a fixed size, as what strangers type is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Same {
    /// The act.
    pub act: &'static str,
    /// The account that it is about; all that is about no account is the same.
    pub about: Option<AccountId>,
    /// What else tells it apart: the purpose of a code, a route.
    pub kind: &'static str,
}

impl Same {
    /// An act about an account, or about none.
    #[must_use]
    pub fn about(act: &'static str, about: Option<AccountId>) -> Self {
        Self { act, about, kind: "" }
    }
}

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    what: Same,
    site: IpAddr,
}

#[derive(Debug, Clone)]
struct Repeats {
    first: Timestamp,
    last: Timestamp,
    more: u32,
    origin: Origin,
    entry: Option<Entry>,
}

/// What is counted at present.
#[derive(Debug, Default)]
pub(crate) struct Folding(Mutex<HashMap<Key, Repeats>>);

impl Folding {
    /// Counts an act. Its key where it is the first one, and to be written.
    fn count(&self, what: Same, origin: &Origin, now: Timestamp) -> Option<Key> {
        let mut all = self.0.lock();
        let mut key = Key { what, site: ClientAddress(origin.address).site() };
        if all.len() >= MOST && !all.contains_key(&key) {
            key = Key { what: Same { about: None, ..what }, site: Ipv4Addr::UNSPECIFIED.into() };
        }
        if let Some(repeats) = all.get_mut(&key) {
            (repeats.more, repeats.last) = (repeats.more + 1, now);
            return None;
        }
        let repeats = Repeats { first: now, last: now, more: 0, origin: origin.clone(), entry: None };
        all.insert(key, repeats);
        Some(key)
    }

    /// Notes what was written of the first one.
    fn written(&self, key: &Key, entry: Entry) {
        if let Some(repeats) = self.0.lock().get_mut(key) {
            repeats.entry = Some(entry);
        }
    }

    /// Those whose minute is over; what was not repeated is forgotten.
    fn due(&self, now: Timestamp) -> Vec<(Key, Repeats)> {
        let mut all = self.0.lock();
        let is_over = |repeats: &Repeats| now - repeats.first >= MINUTE;
        all.retain(|_, repeats| repeats.more > 0 || !is_over(repeats));
        all.iter().filter(|(_, repeats)| is_over(repeats)).map(|(key, repeats)| (*key, repeats.clone())).collect()
    }

    fn forget(&self, key: &Key) {
        self.0.lock().remove(key);
    }
}

impl Identity {
    /// Writes an entry that may come again and again, unless it has just been written: `what` says what is the same.
    ///
    /// # Errors
    ///
    /// The database is away.
    pub async fn note_folded(&self, origin: &Origin, what: Same, entry: Entry) -> Result<(), Refused> {
        let Some(key) = self.0.folding.count(what, origin, self.now()) else { return Ok(()) };
        let noted = self.note(origin, entry.clone()).await;
        match noted {
            Ok(()) => self.0.folding.written(&key, entry),
            Err(_) => self.0.folding.forget(&key),
        }
        noted
    }

    /// The same in the transaction of what the entry tells of.
    pub(crate) async fn note_folded_with(
        &self,
        connection: &mut PgConnection,
        origin: &Origin,
        what: Same,
        entry: Entry,
    ) -> Result<(), Refused> {
        let Some(key) = self.0.folding.count(what, origin, self.now()) else { return Ok(()) };
        let noted = self.audit(connection, origin, entry.clone()).await;
        match noted {
            Ok(()) => self.0.folding.written(&key, entry),
            Err(_) => self.0.folding.forget(&key),
        }
        noted
    }

    /// Writes what was repeated.
    pub(crate) async fn write_repeats(&self, now: Timestamp) -> Result<(), Refused> {
        for (key, repeats) in self.0.folding.due(now) {
            let entry = repeats.entry.unwrap_or_else(|| Entry::new(key.what.act, "nobody"));
            let counted = json!({"more": repeats.more, "since": repeats.first, "until": repeats.last});
            let details = match (entry.details.clone(), counted) {
                (serde_json::Value::Object(mut details), serde_json::Value::Object(counted)) => {
                    details.extend(counted);
                    details.into()
                }
                (_, counted) => counted,
            };
            self.note(&repeats.origin, entry.with(details)).await?;
            self.0.folding.forget(&key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: u128 = 1;
    const BOB: u128 = 2;

    fn id(n: u128) -> AccountId {
        posthaste_domain::ids::Id::from_uuid(uuid::Uuid::from_u128(n))
    }

    fn failed(n: u128) -> Same {
        Same::about("login.failed", Some(id(n)))
    }

    #[test]
    fn guesses_at_nobody_are_one_entry_a_site_whatever_was_typed() {
        let (folding, now) = (Folding::default(), Timestamp::UNIX_EPOCH);
        let nobody = || folding.count(Same::about("login.failed", None), &from(1), now);
        assert!(nobody().is_some());
        assert!((0..1000).all(|_| nobody().is_none()));
    }

    fn from(n: u32) -> Origin {
        Origin { address: Ipv4Addr::from(n).into(), ..Origin::local() }
    }

    #[test]
    fn the_first_is_written_and_the_rest_of_its_minute_is_counted() {
        let (folding, start) = (Folding::default(), Timestamp::UNIX_EPOCH);
        let key = folding.count(failed(ADA), &from(1), start).unwrap();
        folding.written(&key, Entry::new("login.failed", "nobody").on("ada"));
        for second in 1..40 {
            assert!(folding.count(failed(ADA), &from(1), start + Span::seconds(second)).is_none());
        }
        assert!(folding.count(failed(BOB), &from(1), start).is_some());
        assert!(folding.count(failed(ADA), &from(2), start).is_some());
        assert!(folding.count(Same::about("code.failed", Some(id(ADA))), &from(1), start).is_some());
        assert!(folding.due(start + Span::seconds(59)).is_empty());
        let due = folding.due(start + MINUTE);
        assert_eq!(due.len(), 1, "{due:?}");
        let (key, repeats) = &due[0];
        assert_eq!((repeats.more, repeats.last), (39, start + Span::seconds(39)));
        assert_eq!(folding.due(start + MINUTE).len(), 1, "until it is written it is due");
        folding.forget(key);
        assert!(folding.due(start + MINUTE).is_empty() && folding.0.lock().is_empty());
        assert!(folding.count(failed(ADA), &from(1), start + MINUTE).is_some(), "and then it is a first one");
    }

    #[test]
    fn a_flood_from_everywhere_writes_a_bounded_number_and_loses_none() {
        let (folding, now) = (Folding::default(), Timestamp::UNIX_EPOCH);
        let written = (0..50_000).filter(|n| folding.count(failed(ADA), &from(*n), now).is_some()).count();
        assert!(written <= MOST + 1, "{written}");
        let counted: u32 = folding.due(now + MINUTE).iter().map(|(_, repeats)| repeats.more).sum();
        assert_eq!(counted as usize + written, 50_000);
    }
}
