//! How often something may be tried. Pure: buckets that fill again with time, which comes in.
//!
//! Failed logins empty three of them: that of account and address together, that of the address, and that of the
//! account. The last would let a stranger lock somebody out, so it does not count for a device that has a refresh token
//! of the account; and a password that was recovered by a code empties nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use parking_lot::Mutex;
use posthaste_domain::Timestamp;
use posthaste_http::address::ClientAddress;

/// Buckets kept at most. When there are more, full ones go, then the ones that fill soonest: an attacker with endless
/// addresses frees his own places, not the memory of the machine.
const MOST: usize = 100_000;

/// How large a bucket is, and how fast it fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) burst: f64,
    pub(crate) per_minute: f64,
}

/// Failed logins of one account from one address.
const PAIR: Rate = Rate { burst: 5.0, per_minute: 1.0 };
/// Failed logins from one address: an office behind one address has many people.
const ADDRESS: Rate = Rate { burst: 50.0, per_minute: 10.0 };
/// Failed logins of one account from everywhere.
const ACCOUNT: Rate = Rate { burst: 50.0, per_minute: 2.0 };
/// Codes that are sent to one receiver, and asked for from one address.
const CODES: Rate = Rate { burst: 5.0, per_minute: 0.1 };
const CODES_ADDRESS: Rate = Rate { burst: 30.0, per_minute: 1.0 };
/// Texts to one number, and to a range of a thousand numbers: whoever earns by texts to numbers of his own has many.
const NUMBER: Rate = Rate { burst: 5.0, per_minute: 0.1 };
const NUMBER_RANGE: Rate = Rate { burst: 20.0, per_minute: 1.0 };
/// Digits of a number that do not tell its range.
const RANGE_DIGITS: usize = 3;
/// Wrong second factors of one account. 5 tries and then 12 an hour: guessing one takes years.
const FACTOR: Rate = Rate { burst: 5.0, per_minute: 0.2 };

/// Sign-ins with Google that begin from one address: an office behind one address has many people.
const GOOGLE: Rate = Rate { burst: 30.0, per_minute: 10.0 };

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    seen: Timestamp,
}

/// Buckets of one kind.
#[derive(Debug)]
struct Buckets<K> {
    rate: Rate,
    buckets: HashMap<K, Bucket>,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(rate: Rate) -> Self {
        Self { rate, buckets: HashMap::new() }
    }

    fn left(&self, bucket: Bucket, now: Timestamp) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a span of milliseconds is far below 2^52")]
        let minutes = (now - bucket.seen).num_milliseconds().max(0) as f64 / 60_000.0;
        (bucket.left + minutes * self.rate.per_minute).min(self.rate.burst)
    }

    /// Seconds until there is one again; none where there is.
    fn wait(&self, key: &K, now: Timestamp) -> Option<u32> {
        let left = self.buckets.get(key).map_or(self.rate.burst, |bucket| self.left(*bucket, now));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and an hour")]
        let seconds = ((1.0 - left) / self.rate.per_minute * 60.0).ceil() as u32;
        (left < 1.0).then(|| seconds.max(1))
    }

    fn take(&mut self, key: &K, now: Timestamp) {
        let left = self.buckets.get(key).map_or(self.rate.burst, |bucket| self.left(*bucket, now));
        if self.buckets.len() >= MOST && !self.buckets.contains_key(key) {
            self.tidy(now);
        }
        self.buckets.insert(key.clone(), Bucket { left: (left - 1.0).max(0.0), seen: now });
    }

    fn tidy(&mut self, now: Timestamp) {
        let rate = self.rate;
        let full = |bucket: &Bucket| {
            #[expect(clippy::cast_precision_loss, reason = "a span of milliseconds is far below 2^52")]
            let minutes = (now - bucket.seen).num_milliseconds().max(0) as f64 / 60_000.0;
            bucket.left + minutes * rate.per_minute
        };
        self.buckets.retain(|_, bucket| full(bucket) < rate.burst);
        for limit in [0.75, 0.5, 0.25, 0.0] {
            if self.buckets.len() < MOST {
                return;
            }
            self.buckets.retain(|_, bucket| full(bucket) < rate.burst * limit);
        }
    }
}

/// One address, or a network of IPv6, of which one customer has many addresses.
fn network(address: IpAddr) -> IpAddr {
    ClientAddress(address).network()
}

#[derive(Debug)]
struct All {
    pairs: Buckets<(String, IpAddr)>,
    addresses: Buckets<IpAddr>,
    accounts: Buckets<String>,
    codes: Buckets<String>,
    code_addresses: Buckets<IpAddr>,
    numbers: Buckets<String>,
    number_ranges: Buckets<String>,
    factors: Buckets<String>,
    google: Buckets<IpAddr>,
}

/// All that is counted. In memory: a restart begins anew.
#[derive(Debug)]
pub(crate) struct Throttle(Mutex<All>);

impl Default for Throttle {
    fn default() -> Self {
        Self(Mutex::new(All {
            pairs: Buckets::new(PAIR),
            addresses: Buckets::new(ADDRESS),
            accounts: Buckets::new(ACCOUNT),
            codes: Buckets::new(CODES),
            code_addresses: Buckets::new(CODES_ADDRESS),
            numbers: Buckets::new(NUMBER),
            number_ranges: Buckets::new(NUMBER_RANGE),
            factors: Buckets::new(FACTOR),
            google: Buckets::new(GOOGLE),
        }))
    }
}

impl Throttle {
    /// Seconds that a login of `email` from `address` has to wait. A known device does not wait for the account.
    pub(crate) fn login(&self, email: &str, address: IpAddr, known_device: bool, now: Timestamp) -> Option<u32> {
        let all = self.0.lock();
        let network = network(address);
        let pair = all.pairs.wait(&(email.to_owned(), network), now);
        let here = all.addresses.wait(&network, now);
        let anywhere = if known_device { None } else { all.accounts.wait(&email.to_owned(), now) };
        pair.max(here).max(anywhere)
    }

    /// Notes a failed one.
    pub(crate) fn login_failed(&self, email: &str, address: IpAddr, now: Timestamp) {
        let mut all = self.0.lock();
        let network = network(address);
        all.pairs.take(&(email.to_owned(), network), now);
        all.addresses.take(&network, now);
        all.accounts.take(&email.to_owned(), now);
    }

    /// Notes that somebody showed who he is: what others tried does not count against the account any more.
    pub(crate) fn proved(&self, email: &str, address: IpAddr) {
        let mut all = self.0.lock();
        all.pairs.buckets.remove(&(email.to_owned(), network(address)));
        all.accounts.buckets.remove(email);
    }

    /// Takes one code to be sent to `receiver`; or the seconds to wait.
    pub(crate) fn code(&self, receiver: &str, address: IpAddr, now: Timestamp) -> Result<(), u32> {
        let mut all = self.0.lock();
        let network = network(address);
        let wait = all.codes.wait(&receiver.to_owned(), now).max(all.code_addresses.wait(&network, now));
        if let Some(seconds) = wait {
            return Err(seconds);
        }
        all.codes.take(&receiver.to_owned(), now);
        all.code_addresses.take(&network, now);
        Ok(())
    }

    /// Takes one text to be sent to a number; or the seconds to wait.
    pub(crate) fn text(&self, number: &str, now: Timestamp) -> Result<(), u32> {
        let range = number.get(..number.len().saturating_sub(RANGE_DIGITS)).unwrap_or(number).to_owned();
        let number = number.to_owned();
        let mut all = self.0.lock();
        if let Some(seconds) = all.numbers.wait(&number, now).max(all.number_ranges.wait(&range, now)) {
            return Err(seconds);
        }
        all.numbers.take(&number, now);
        all.number_ranges.take(&range, now);
        Ok(())
    }

    /// Takes one try at the account's second factor; or the seconds to wait.
    pub(crate) fn factor(&self, account: &str, now: Timestamp) -> Result<(), u32> {
        let mut all = self.0.lock();
        if let Some(seconds) = all.factors.wait(&account.to_owned(), now) {
            return Err(seconds);
        }
        all.factors.take(&account.to_owned(), now);
        Ok(())
    }

    /// Takes one sign-in with Google from `address`; or the seconds to wait.
    pub(crate) fn google(&self, address: IpAddr, now: Timestamp) -> Result<(), u32> {
        let (mut all, network) = (self.0.lock(), network(address));
        if let Some(seconds) = all.google.wait(&network, now) {
            return Err(seconds);
        }
        all.google.take(&network, now);
        Ok(())
    }

    /// The second factor was right.
    pub(crate) fn factor_proved(&self, account: &str) {
        self.0.lock().factors.buckets.remove(account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_domain::Span;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn a_stranger_slows_himself_down_and_not_the_owner() {
        let (throttle, now) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        for _ in 0..5 {
            assert_eq!(throttle.login("ada", address(1), false, now), None);
            throttle.login_failed("ada", address(1), now);
        }
        assert_eq!(throttle.login("ada", address(1), false, now), Some(60));
        assert_eq!(throttle.login("ada", address(2), false, now), None, "elsewhere the owner gets in");
        assert_eq!(throttle.login("bob", address(1), false, now), None);
        assert_eq!(throttle.login("ada", address(1), false, now + Span::seconds(61)), None);
    }

    #[test]
    fn an_attack_from_everywhere_is_slowed_down_but_for_known_devices() {
        let (throttle, now) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        (1..=50).for_each(|n| throttle.login_failed("ada", address(n), now));
        assert!(throttle.login("ada", address(99), false, now).is_some());
        assert_eq!(throttle.login("ada", address(99), true, now), None);
        throttle.proved("ada", address(99));
        assert_eq!(throttle.login("ada", address(98), false, now), None);
    }

    #[test]
    fn one_address_may_not_try_everybody() {
        let (throttle, now) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        (0..50).for_each(|n| throttle.login_failed(&format!("somebody {n}"), address(1), now));
        assert!(throttle.login("another", address(1), true, now).is_some());
        let neighbours = ["2001:db8::1", "2001:db8::ffff:1"].map(|text| network(text.parse().unwrap()));
        assert_eq!(neighbours[0], neighbours[1], "a network of IPv6 is one address");
    }

    #[test]
    fn memory_is_bounded_and_who_is_throttled_stays_so() {
        let mut buckets = Buckets::new(PAIR);
        let now = Timestamp::UNIX_EPOCH;
        (0..6).for_each(|_| buckets.take(&0, now));
        (1..=(2 * MOST)).for_each(|n| buckets.take(&n, now));
        assert!(buckets.buckets.len() <= MOST);
        assert!(buckets.wait(&0, now).is_some());
    }

    #[test]
    fn texts_are_few_to_a_number_and_to_numbers_beside_each_other() {
        let (throttle, now) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        assert_eq!((0..9).filter(|_| throttle.text("+4930123456", now).is_ok()).count(), 5);
        assert!(throttle.text("+4930123456", now + Span::minutes(9)).is_err());
        assert!(throttle.text("+4930123456", now + Span::minutes(11)).is_ok());
        let neighbours = (0..200).filter(|n| throttle.text(&format!("+88215551{n:03}"), now).is_ok()).count();
        assert_eq!(neighbours, 20, "a range that is all one's own");
        assert!(throttle.text("+4940123456", now).is_ok(), "others are not slowed down");
    }

    #[test]
    fn codes_and_second_factors_are_few() {
        let (throttle, now) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        assert_eq!((0..9).filter(|_| throttle.code("ada", address(1), now).is_ok()).count(), 5);
        assert_eq!((0..9).filter(|_| throttle.factor("acc", now).is_ok()).count(), 5);
        throttle.factor_proved("acc");
        assert!(throttle.factor("acc", now).is_ok());
    }
}
