//! Logins that were ended before their access tokens: in memory, so that every request and every socket can ask.
//!
//! An access token is not looked up. What makes a ban reach it at once is this list: filled by whoever ends a login, and
//! twice a second from the database, for what other processes end. A login stands in it until its last access token has
//! ended by itself.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use posthaste_domain::ids::{ApiKeyId, LoginId};
use posthaste_domain::{Span, Timestamp};
use posthaste_http::auth::LEEWAY_SECONDS;
use tokio::sync::watch;

/// How often what other processes ended is looked for. A ban is to reach sockets within a second.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How far back is looked: another process's clock may be as far behind as tokens allow, and this one's before, and a
/// commit becomes visible later than its own instant says.
pub(crate) const LOOK_BACK: Span = Span::seconds(2 * LEEWAY_SECONDS + 20);

/// The list. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Revocations(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Until when it has to be remembered.
    ended: DashMap<LoginId, Timestamp>,
    watched: DashMap<LoginId, watch::Sender<bool>>,
    /// Keys are looked up with every request: only those who stay have to hear of their end.
    watched_keys: DashMap<ApiKeyId, watch::Sender<bool>>,
}

/// Somebody who waits for a login's end: a socket.
#[derive(Debug, Clone)]
pub struct Watch(Option<watch::Receiver<bool>>);

impl Watch {
    /// For what cannot be revoked.
    #[must_use]
    pub fn never() -> Self {
        Self(None)
    }

    /// Comes back when the login is ended before its time.
    pub async fn revoked(&mut self) {
        if let Some(receiver) = &mut self.0
            && receiver.wait_for(|ended| *ended).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

impl Revocations {
    /// Whether the login was ended.
    #[must_use]
    pub fn has(&self, login: LoginId) -> bool {
        self.0.ended.contains_key(&login)
    }

    /// Notes that it was; sockets hear of it at once.
    pub(crate) fn add(&self, login: LoginId, remember_until: Timestamp) {
        self.0.ended.insert(login, remember_until);
        if let Some(watched) = self.0.watched.get(&login) {
            watched.send_replace(true);
        }
    }

    /// Waits for the end of a login.
    #[must_use]
    pub fn watch(&self, login: LoginId) -> Watch {
        let receiver = self.0.watched.entry(login).or_insert_with(|| watch::channel(false).0).subscribe();
        // It may have been ended between the check of the token and now.
        if self.has(login) {
            self.0.watched.entry(login).and_modify(|watched| {
                watched.send_replace(true);
            });
        }
        Watch(Some(receiver))
    }

    /// Says that a key is not good any more, to those who wait for its end. To be said again for a while: somebody may
    /// begin to wait just after they were let in.
    pub(crate) fn end_key(&self, key: ApiKeyId) {
        if let Some((_, watched)) = self.0.watched_keys.remove(&key) {
            watched.send_replace(true);
        }
    }

    /// Waits for the end of a key.
    #[must_use]
    pub fn watch_key(&self, key: ApiKeyId) -> Watch {
        Watch(Some(self.0.watched_keys.entry(key).or_insert_with(|| watch::channel(false).0).subscribe()))
    }

    /// Forgets what does not matter any more.
    pub(crate) fn tidy(&self, now: Timestamp) {
        self.0.ended.retain(|_, until| *until > now);
        self.0.watched.retain(|_, watched| watched.receiver_count() > 0);
        self.0.watched_keys.retain(|_, watched| watched.receiver_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use posthaste_domain::ids::Id;

    fn login(n: u128) -> LoginId {
        LoginId::from_uuid(uuid::Uuid::from_u128(n))
    }

    /// Whether whoever watches has heard of nothing so far: what ends is told at once.
    fn hears_nothing(watch: &mut Watch) -> bool {
        pin!(watch.revoked()).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn who_watches_hears_of_the_end_before_and_after() {
        let (list, now) = (Revocations::default(), Timestamp::UNIX_EPOCH);
        let (mut one, mut other) = (list.watch(login(1)), list.watch(login(2)));
        list.add(login(1), now + Span::minutes(1));
        one.revoked().await;
        list.watch(login(1)).revoked().await;
        assert!(hears_nothing(&mut other));
        assert!(list.has(login(1)) && !list.has(login(2)));
        list.tidy(now + Span::minutes(2));
        assert!(!list.has(login(1)));
        list.add(login(2), now);
        other.revoked().await;
    }

    #[tokio::test]
    async fn a_key_that_is_good_again_is_waited_for_anew() {
        let list = Revocations::default();
        let (key, other) =
            (ApiKeyId::from_uuid(uuid::Uuid::from_u128(1)), ApiKeyId::from_uuid(uuid::Uuid::from_u128(2)));
        let (mut one, mut two, mut bystander) = (list.watch_key(key), list.watch_key(key), list.watch_key(other));
        list.end_key(key);
        one.revoked().await;
        two.revoked().await;
        let mut again = list.watch_key(key);
        assert!(hears_nothing(&mut again) && hears_nothing(&mut bystander));
        list.end_key(key);
        again.revoked().await;
    }
}
