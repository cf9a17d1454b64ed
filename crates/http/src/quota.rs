//! How often somebody may ask: one number for each caller, in a table of bounded size.
//!
//! The generic cell rate algorithm: all that is kept of a caller is the instant at which their quota is whole again.
//! Whoever's is whole is forgotten. When a table is full of callers whose quota is not, those who come new share one
//! quota among them: memory stays bounded under any number of addresses, and whoever was there before keeps their own.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use posthaste_protocol::problem::{Code, Problem};

use crate::problem::Failure;

/// What quotas are counted over.
pub const WINDOW: Duration = Duration::from_secs(60);
/// The policies in force on an answer (draft-ietf-httpapi-ratelimit-headers).
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of the quota.
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Parts of a table, each behind a lock of its own.
const SHARDS: usize = 64;
/// A part that is full is looked through for callers to forget at most this often.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Requests in a minute, for each caller; 0 is no limit. A whole minute's worth may come at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// For one account or key.
    pub caller_per_minute: u32,
    /// For one address, of requests without a token that is accepted. IPv6 counts by /64.
    pub address_per_minute: u32,
}

impl Default for Quotas {
    /// A caller: 200 a second, sustained; more than any till, far less than what would slow others down. An address: 20
    /// a second, as offices share one.
    fn default() -> Self {
        Self { caller_per_minute: 12_000, address_per_minute: 1_200 }
    }
}

/// How a caller stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    policy: &'static str,
    /// Requests in [`WINDOW`].
    pub quota: u32,
    /// Requests that would be let through now.
    pub left: u32,
    /// When the quota is whole again.
    pub whole_in: Duration,
    /// When the next request is let through; none where that is now.
    pub refused_for: Option<Duration>,
}

impl Standing {
    /// Writes the headers of an answer.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let policy = format!("\"{}\";q={};w={}", self.policy, self.quota, WINDOW.as_secs());
        let left = format!("\"{}\";r={};t={}", self.policy, self.left, whole_seconds(self.whole_in));
        for (name, value) in [(RATELIMIT_POLICY, policy), (RATELIMIT, left)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }

    /// Nothing, or the refusal of a request that was one too many.
    pub fn admit(&self) -> Result<(), Failure> {
        let Some(wait) = self.refused_for else { return Ok(()) };
        let detail = format!("{} requests in {} s are let through", self.quota, WINDOW.as_secs());
        let seconds = u32::try_from(whole_seconds(wait)).unwrap_or(u32::MAX).max(1);
        Err(Problem::new(Code::RateLimited).detail(detail).retry_after(seconds).into())
    }
}

/// Rounded up: nobody is told to come back too early.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// Counts the requests of callers who are told apart by `K`.
#[derive(Debug)]
pub struct Limiter<K> {
    policy: &'static str,
    per_minute: u32,
    began: Instant,
    hasher: RandomState,
    shards: Box<[Mutex<Shard<K>>]>,
    most_in_shard: usize,
}

#[derive(Debug)]
struct Shard<K> {
    /// When the quota of each is whole again, since the limiter began.
    whole_at: HashMap<K, Duration>,
    /// The same for all who found no place.
    others_whole_at: Duration,
    swept_at: Duration,
}

impl<K: Copy + Eq + Hash> Limiter<K> {
    /// A limiter that lets `per_minute` requests of each caller through (0: all of them) and remembers at most about
    /// `most` callers.
    #[must_use]
    pub fn new(policy: &'static str, per_minute: u32, most: usize, now: Instant) -> Self {
        let shard = || {
            let (whole_at, zero) = (HashMap::new(), Duration::ZERO);
            Mutex::new(Shard { whole_at, others_whole_at: zero, swept_at: zero })
        };
        let shards = (0..SHARDS).map(|_| shard()).collect();
        let most_in_shard = most.div_ceil(SHARDS).max(1);
        Self { policy, per_minute, began: now, hasher: RandomState::new(), shards, most_in_shard }
    }

    /// Counts a request. None where there is no limit.
    pub fn take(&self, caller: K, now: Instant) -> Option<Standing> {
        self.ask(caller, now, 1)
    }

    /// How the caller stands, without counting anything.
    pub fn look(&self, caller: K, now: Instant) -> Option<Standing> {
        self.ask(caller, now, 0)
    }

    fn ask(&self, caller: K, now: Instant, requests: u32) -> Option<Standing> {
        let each = WINDOW.checked_div(self.per_minute)?;
        let now = now.saturating_duration_since(self.began);
        #[expect(clippy::cast_possible_truncation, reason = "a remainder of 64")]
        let shard = (self.hasher.hash_one(caller) % SHARDS as u64) as usize;
        let mut shard = self.shards[shard].lock();
        let whole_at = shard.place(caller, now, self.most_in_shard, requests > 0);
        let before = (*whole_at).max(now);
        let after = before + each * requests;
        let refused_for = (after - now).checked_sub(WINDOW).filter(|wait| !wait.is_zero());
        let then = if refused_for.is_some() { before } else { after };
        if requests > 0 {
            *whole_at = then;
        }
        let whole_in = then - now;
        let left = WINDOW.saturating_sub(whole_in).as_nanos() / each.as_nanos().max(1);
        let left = u32::try_from(left).unwrap_or(u32::MAX).min(self.per_minute);
        Some(Standing { policy: self.policy, quota: self.per_minute, left, whole_in, refused_for })
    }

    /// How many callers are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().whole_at.len()).sum()
    }
}

impl<K: Copy + Eq + Hash> Shard<K> {
    /// Where the caller's instant is kept: their own place, or that of all who found none.
    fn place(&mut self, caller: K, now: Duration, most: usize, make: bool) -> &mut Duration {
        if self.whole_at.len() >= most && now >= self.swept_at + SWEEP_EVERY && !self.whole_at.contains_key(&caller) {
            self.swept_at = now;
            self.whole_at.retain(|_, whole_at| *whole_at > now);
        }
        let room = make && self.whole_at.len() < most;
        if room {
            return self.whole_at.entry(caller).or_insert(Duration::ZERO);
        }
        self.whole_at.get_mut(&caller).unwrap_or(&mut self.others_whole_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(limiter: &Limiter<u64>, caller: u64, now: Instant) -> bool {
        limiter.take(caller, now).unwrap().refused_for.is_none()
    }

    #[test]
    fn a_minutes_worth_is_let_through_and_then_one_as_each_comes_back() {
        let start = Instant::now();
        let limiter = Limiter::new("caller", 60, 1000, start);
        assert_eq!((0..100).filter(|_| taken(&limiter, 1, start)).count(), 60);
        let refused = limiter.take(1, start).unwrap();
        assert_eq!((refused.left, refused.refused_for), (0, Some(Duration::from_secs(1))));
        assert!(taken(&limiter, 2, start), "another caller is not concerned");
        let later = start + Duration::from_secs(3);
        assert_eq!((0..10).filter(|_| taken(&limiter, 1, later)).count(), 3);
        let much_later = start + Duration::from_secs(1000);
        assert_eq!((0..100).filter(|_| taken(&limiter, 1, much_later)).count(), 60);
    }

    #[test]
    fn the_headers_say_what_is_left_and_when_it_is_whole_again() {
        let start = Instant::now();
        let limiter = Limiter::new("caller", 120, 1000, start);
        let told = |standing: Standing| {
            let mut headers = HeaderMap::new();
            standing.tell(&mut headers);
            headers[RATELIMIT].to_str().unwrap().to_owned()
        };
        let mut headers = HeaderMap::new();
        let first = limiter.take(1, start).unwrap();
        first.tell(&mut headers);
        assert_eq!(headers[RATELIMIT_POLICY], "\"caller\";q=120;w=60");
        assert_eq!(told(first), "\"caller\";r=119;t=1");
        assert_eq!(told(limiter.take(1, start).unwrap()), "\"caller\";r=118;t=1");
        assert_eq!(told(limiter.look(1, start).unwrap()), "\"caller\";r=118;t=1");
        assert_eq!(told(limiter.take(1, start + Duration::from_secs(9)).unwrap()), "\"caller\";r=119;t=1");
        for _ in 0..200 {
            limiter.take(2, start);
        }
        assert_eq!(told(limiter.look(2, start).unwrap()), "\"caller\";r=0;t=60");
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let start = Instant::now();
        let limiter = Limiter::new("caller", 1, 10, start);
        limiter.take(1, start).unwrap().admit().unwrap();
        let refused = limiter.take(1, start).unwrap().admit().unwrap_err();
        assert_eq!((refused.problem().code, refused.problem().retry_after_seconds), (Code::RateLimited, Some(60)));
        assert!(limiter.take(1, start + Duration::from_secs(60)).unwrap().admit().is_ok());
    }

    #[test]
    fn no_limit_counts_nothing() {
        let limiter = Limiter::new("caller", 0, 10, Instant::now());
        assert!((0..100).all(|_| limiter.take(1, Instant::now()).is_none()));
        assert_eq!(limiter.remembered(), 0);
    }

    #[test]
    fn a_million_strangers_take_bounded_memory_and_nobodys_place() {
        let start = Instant::now();
        let limiter = Limiter::new("address", 10, 6400, start);
        assert!(taken(&limiter, 7, start));
        let let_through = (1000..1_001_000).filter(|caller| taken(&limiter, *caller, start)).count();
        assert!(limiter.remembered() <= 6400, "{}", limiter.remembered());
        assert!(let_through <= 6400 + SHARDS * 10, "strangers without a place share a quota: {let_through}");
        assert_eq!((0..20).filter(|_| taken(&limiter, 7, start)).count(), 9, "their quota is still their own");
        let later = start + WINDOW;
        assert!(taken(&limiter, 2_000_000, later), "room is made once quotas are whole");
        for caller in 0..64_000 {
            limiter.take(caller, later + WINDOW);
        }
        assert!(limiter.remembered() <= 6400);
    }
}
