//! How often something may be tried. Pure: buckets that fill again with time, which comes in.
//!
//! A try is taken before anybody looks whether it is right, so that many at once get no more than one after the other;
//! it is given back where it was right. Logins take from those of account and network together, of the network, and of
//! the account. The last would let strangers lock somebody out, so it does not count for a device that has a refresh
//! token of the account; and a password that was recovered by a code empties nothing.
//!
//! Who has one address of IPv6 has a /64 of them, and for little money a /48. What is counted for somebody's account or
//! mailbox is counted by /48; addresses by /64, and by /48 with more room.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use parking_lot::Mutex;
use posthaste_domain::Timestamp;
use posthaste_http::address::ClientAddress;
use sha2::{Digest, Sha256};

/// Buckets kept at most. When there are more, full ones go, then the ones that fill soonest: an attacker with endless
/// addresses frees their own places, not the memory of the machine.
const MOST: usize = 100_000;

/// How large a bucket is, and how fast it fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) burst: f64,
    pub(crate) per_minute: f64,
}

/// Failed logins of one account from one site.
const PAIR: Rate = Rate { burst: 5.0, per_minute: 1.0 };
/// Failed logins from one address: an office behind one address has many people.
const ADDRESS: Rate = Rate { burst: 50.0, per_minute: 10.0 };
/// Failed logins from one site, a /48 of IPv6.
const SITE: Rate = Rate { burst: 200.0, per_minute: 40.0 };
/// Failed logins of one account from everywhere. Who wants to keep it empty needs five sites; more would let many
/// machines guess faster.
const ACCOUNT: Rate = Rate { burst: 50.0, per_minute: 5.0 };
/// Codes of one purpose that are sent to one receiver, asked for from one site and from everywhere.
const CODES: Rate = Rate { burst: 5.0, per_minute: 0.1 };
const CODES_RECEIVER: Rate = Rate { burst: 30.0, per_minute: 0.5 };
/// Codes of any purpose that are asked for from one address, and from one site.
const CODES_ADDRESS: Rate = Rate { burst: 30.0, per_minute: 1.0 };
const CODES_SITE: Rate = Rate { burst: 120.0, per_minute: 4.0 };
/// New passwords of strangers that are judged, from one address and from one site. One takes up to some tens of
/// milliseconds: higher, and one address keeps a core busy; lower, and an office of people who register waits.
const JUDGED: Rate = Rate { burst: 40.0, per_minute: 10.0 };
const JUDGED_SITE: Rate = Rate { burst: 160.0, per_minute: 40.0 };
/// Wrong codes from one address, and from one site. Each code takes five tries; without these, whoever asks for many codes
/// of many accounts has five tries at each of them. An address has 308 tries on the first day and 288 on others: at a
/// million codes, one that is right in nine years. Lower, and an office of people who mistype waits.
const WRONG_CODES: Rate = Rate { burst: 20.0, per_minute: 0.2 };
const WRONG_CODES_SITE: Rate = Rate { burst: 80.0, per_minute: 0.8 };
/// Texts to one number, and to a range of a thousand numbers: whoever earns by texts to numbers of their own has many.
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

impl Rate {
    /// What a bucket would hold now if it had no rim.
    fn filled(self, bucket: &Bucket, now: Timestamp) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a span of milliseconds is far below 2^52")]
        let minutes = (now - bucket.seen).num_milliseconds().max(0) as f64 / 60_000.0;
        bucket.left + minutes * self.per_minute
    }
}

/// Buckets of one kind.
#[derive(Debug)]
struct Buckets<K> {
    rate: Rate,
    buckets: HashMap<K, Bucket>,
}

impl<K: Hash + Eq + Copy> Buckets<K> {
    fn new(rate: Rate) -> Self {
        Self { rate, buckets: HashMap::new() }
    }

    fn left(&self, bucket: Bucket, now: Timestamp) -> f64 {
        self.rate.filled(&bucket, now).min(self.rate.burst)
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
        self.buckets.insert(*key, Bucket { left: (left - 1.0).max(0.0), seen: now });
    }

    /// Puts back what was taken.
    fn give_back(&mut self, key: &K, now: Timestamp) {
        if let Some(bucket) = self.buckets.get(key).copied() {
            let left = self.left(bucket, now) + 1.0;
            if left < self.rate.burst {
                self.buckets.insert(*key, Bucket { left, seen: now });
            } else {
                self.buckets.remove(key);
            }
        }
    }

    /// Forgets those that are full again, and gives back the room of a flood that is over.
    fn forget_full(&mut self, now: Timestamp) {
        let rate = self.rate;
        self.buckets.retain(|_, bucket| rate.filled(bucket, now) < rate.burst);
        if self.buckets.capacity() > 4 * self.buckets.len().max(1024) {
            self.buckets.shrink_to_fit();
        }
    }

    fn tidy(&mut self, now: Timestamp) {
        let rate = self.rate;
        let full = |bucket: &Bucket| rate.filled(bucket, now);
        self.buckets.retain(|_, bucket| full(bucket) < rate.burst);
        for limit in [0.75, 0.5, 0.25, 0.0] {
            if self.buckets.len() < MOST {
                return;
            }
            self.buckets.retain(|_, bucket| full(bucket) < rate.burst * limit);
        }
    }
}

/// What is counted by where it comes from: the address, and with more room the site that it belongs to.
#[derive(Debug)]
struct Origins {
    addresses: Buckets<IpAddr>,
    sites: Buckets<IpAddr>,
}

impl Origins {
    fn new(address: Rate, site: Rate) -> Self {
        Self { addresses: Buckets::new(address), sites: Buckets::new(site) }
    }

    /// Seconds until there is one again from both; none where there is.
    fn wait(&self, from: ClientAddress, now: Timestamp) -> Option<u32> {
        self.addresses.wait(&from.network(), now).max(self.sites.wait(&from.site(), now))
    }

    fn take(&mut self, from: ClientAddress, now: Timestamp) {
        self.addresses.take(&from.network(), now);
        self.sites.take(&from.site(), now);
    }

    /// Takes one where there is one; or the seconds to wait.
    fn try_take(&mut self, from: ClientAddress, now: Timestamp) -> Result<(), u32> {
        if let Some(seconds) = self.wait(from, now) {
            return Err(seconds);
        }
        self.take(from, now);
        Ok(())
    }

    fn give_back(&mut self, from: ClientAddress, now: Timestamp) {
        self.addresses.give_back(&from.network(), now);
        self.sites.give_back(&from.site(), now);
    }

    fn forget_full(&mut self, now: Timestamp) {
        self.addresses.forget_full(now);
        self.sites.forget_full(now);
    }
}

/// Whom something is counted for: what was typed is not kept, and takes the same room whatever it was.
type Who = [u8; 16];

fn who(typed: &str) -> Who {
    let mut short = Who::default();
    short.copy_from_slice(&Sha256::digest(typed.as_bytes())[..16]);
    short
}

/// A try that was taken, to be given back where it was right.
#[derive(Debug)]
#[must_use]
pub(crate) struct Try {
    account: Who,
    from: ClientAddress,
    known_device: bool,
}

/// A try at a code that was taken, to be given back where it was not wrong.
#[derive(Debug)]
#[must_use]
pub(crate) struct Guess(ClientAddress);

#[derive(Debug)]
struct All {
    pairs: Buckets<(Who, IpAddr)>,
    logins: Origins,
    accounts: Buckets<Who>,
    codes: Buckets<(&'static str, Who, IpAddr)>,
    code_receivers: Buckets<(&'static str, Who)>,
    code_origins: Origins,
    judged: Origins,
    wrong_codes: Origins,
    numbers: Buckets<Who>,
    number_ranges: Buckets<Who>,
    factors: Buckets<Who>,
    google: Buckets<IpAddr>,
}

/// All that is counted. In memory: a restart begins anew.
#[derive(Debug)]
pub(crate) struct Throttle(Mutex<All>);

impl Default for Throttle {
    fn default() -> Self {
        Self(Mutex::new(All {
            pairs: Buckets::new(PAIR),
            logins: Origins::new(ADDRESS, SITE),
            accounts: Buckets::new(ACCOUNT),
            codes: Buckets::new(CODES),
            code_receivers: Buckets::new(CODES_RECEIVER),
            code_origins: Origins::new(CODES_ADDRESS, CODES_SITE),
            judged: Origins::new(JUDGED, JUDGED_SITE),
            wrong_codes: Origins::new(WRONG_CODES, WRONG_CODES_SITE),
            numbers: Buckets::new(NUMBER),
            number_ranges: Buckets::new(NUMBER_RANGE),
            factors: Buckets::new(FACTOR),
            google: Buckets::new(GOOGLE),
        }))
    }
}

impl Throttle {
    /// Takes one try of `email` from `address`; or the seconds to wait. A known device does not wait for the account.
    pub(crate) fn login(&self, email: &str, address: IpAddr, known_device: bool, now: Timestamp) -> Result<Try, u32> {
        let mut all = self.0.lock();
        let from = ClientAddress(address);
        let account = who(email);
        let (pair, here) = ((account, from.site()), all.logins.wait(from, now));
        let anywhere = if known_device { None } else { all.accounts.wait(&account, now) };
        if let Some(seconds) = all.pairs.wait(&pair, now).max(here).max(anywhere) {
            return Err(seconds);
        }
        all.pairs.take(&pair, now);
        all.logins.take(from, now);
        if !known_device {
            all.accounts.take(&account, now);
        }
        Ok(Try { account, from, known_device })
    }

    /// Gives back a try that was right, or that nobody had the time to look at.
    pub(crate) fn give_back(&self, tried: Try, now: Timestamp) {
        let Try { account, from, known_device } = tried;
        let mut all = self.0.lock();
        all.logins.give_back(from, now);
        if !known_device {
            all.accounts.give_back(&account, now);
        }
        all.pairs.give_back(&(account, from.site()), now);
    }

    /// Notes that somebody showed who they are: what others tried does not count against the account any more.
    pub(crate) fn proved(&self, email: &str, address: IpAddr) {
        let mut all = self.0.lock();
        let account = who(email);
        all.pairs.buckets.remove(&(account, ClientAddress(address).site()));
        all.accounts.buckets.remove(&account);
    }

    /// Takes one code for `purpose` to be sent to `receiver`; or the seconds to wait. Purposes are counted apart, so that
    /// somebody who is asked to register again and again can still recover their password.
    pub(crate) fn code(
        &self,
        purpose: &'static str,
        receiver: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), u32> {
        let (mut all, from) = (self.0.lock(), ClientAddress(address));
        let (here, anywhere) = ((purpose, who(receiver), from.site()), (purpose, who(receiver)));
        let asking = all.code_origins.wait(from, now);
        let wait = all.codes.wait(&here, now).max(all.code_receivers.wait(&anywhere, now)).max(asking);
        if let Some(seconds) = wait {
            return Err(seconds);
        }
        all.codes.take(&here, now);
        all.code_receivers.take(&anywhere, now);
        all.code_origins.take(from, now);
        Ok(())
    }

    /// Takes one new password to be judged, from `address`; or the seconds to wait.
    pub(crate) fn judge(&self, address: IpAddr, now: Timestamp) -> Result<(), u32> {
        self.0.lock().judged.try_take(ClientAddress(address), now)
    }

    /// Takes one try at a code that was sent, from `address`; or the seconds to wait.
    pub(crate) fn guess(&self, address: IpAddr, now: Timestamp) -> Result<Guess, u32> {
        let from = ClientAddress(address);
        self.0.lock().wrong_codes.try_take(from, now)?;
        Ok(Guess(from))
    }

    /// Gives back a try at a code that was right, or that nothing was compared with.
    pub(crate) fn not_wrong(&self, Guess(from): Guess, now: Timestamp) {
        self.0.lock().wrong_codes.give_back(from, now);
    }

    /// Takes one text to be sent to a number; or the seconds to wait.
    pub(crate) fn text(&self, number: &str, now: Timestamp) -> Result<(), u32> {
        let range = number.get(..number.len().saturating_sub(RANGE_DIGITS)).unwrap_or(number);
        let (range, number) = (who(range), who(number));
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
        if let Some(seconds) = all.factors.wait(&who(account), now) {
            return Err(seconds);
        }
        all.factors.take(&who(account), now);
        Ok(())
    }

    /// Takes one sign-in with Google from `address`; or the seconds to wait.
    pub(crate) fn google(&self, address: IpAddr, now: Timestamp) -> Result<(), u32> {
        let (mut all, network) = (self.0.lock(), ClientAddress(address).network());
        if let Some(seconds) = all.google.wait(&network, now) {
            return Err(seconds);
        }
        all.google.take(&network, now);
        Ok(())
    }

    /// Forgets what has filled again: whatever strangers made here ends by time, and not only when there is too much of it.
    pub(crate) fn tidy(&self, now: Timestamp) {
        let mut all = self.0.lock();
        let All {
            pairs,
            logins,
            accounts,
            codes,
            code_receivers,
            code_origins,
            judged,
            wrong_codes,
            numbers,
            number_ranges,
            factors,
            google,
        } = &mut *all;
        pairs.forget_full(now);
        codes.forget_full(now);
        code_receivers.forget_full(now);
        google.forget_full(now);
        for by_origin in [logins, code_origins, judged, wrong_codes] {
            by_origin.forget_full(now);
        }
        for by_text in [accounts, numbers, number_ranges, factors] {
            by_text.forget_full(now);
        }
    }

    /// The second factor was right.
    pub(crate) fn factor_proved(&self, account: &str) {
        self.0.lock().factors.buckets.remove(&who(account));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_domain::Span;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    /// The `n`th /64 of a /48.
    fn corner(n: u128) -> IpAddr {
        IpAddr::from(((0x2001_0db8_0001 << 16 | n) << 64 | 1).to_be_bytes())
    }

    #[test]
    fn what_was_counted_ends_by_time() {
        let (throttle, start) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        for n in 0..50 {
            let typed = "x".repeat(250_000) + &n.to_string();
            assert!(fails(&throttle, &typed, address(1), start));
            throttle.code("recover", &typed, address(n), start).unwrap();
        }
        throttle.text("+491701234567", start).unwrap();
        throttle.factor("account", start).unwrap();
        throttle.google(address(1), start).unwrap();
        throttle.judge(address(1), start).unwrap();
        let _wrong = throttle.guess(address(1), start).unwrap();
        throttle.tidy(start + Span::seconds(1));
        let kept = format!("{throttle:?}").len();
        assert!((1_000..100_000).contains(&kept), "keys are of a fixed size: {kept}");
        throttle.tidy(start + Span::days(1));
        let left = format!("{throttle:?}");
        assert_eq!(left.matches("seen:").count(), 0, "{left}");
    }

    fn fails(throttle: &Throttle, email: &str, address: IpAddr, now: Timestamp) -> bool {
        throttle.login(email, address, false, now).is_ok()
    }

    fn wait(throttle: &Throttle, email: &str, address: IpAddr, now: Timestamp) -> Option<u32> {
        match throttle.login(email, address, false, now) {
            Ok(tried) => {
                throttle.give_back(tried, now);
                None
            }
            Err(seconds) => Some(seconds),
        }
    }

    #[test]
    fn a_stranger_slows_themselves_down_and_not_the_owner() {
        let (throttle, now) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        assert_eq!((0..30).filter(|_| fails(&throttle, "ada", address(1), now)).count(), 5);
        assert_eq!(wait(&throttle, "ada", address(1), now), Some(60));
        assert_eq!(wait(&throttle, "ada", address(2), now), None, "elsewhere the owner gets in");
        assert_eq!(wait(&throttle, "bob", address(1), now), None);
        assert_eq!(wait(&throttle, "ada", address(1), now + Span::seconds(61)), None);
    }

    #[test]
    fn what_was_right_costs_nothing() {
        let (throttle, now) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        for _ in 0..500 {
            let tried = throttle.login("ada", address(1), false, now).unwrap();
            throttle.give_back(tried, now);
        }
        assert!(throttle.0.lock().pairs.buckets.is_empty(), "nothing is remembered of it");
        assert!(fails(&throttle, "ada", address(1), now));
        let tried = throttle.login("ada", address(1), false, now).unwrap();
        throttle.give_back(tried, now);
        assert_eq!((0..30).filter(|_| fails(&throttle, "ada", address(1), now)).count(), 4, "wrong ones still count");
    }

    #[test]
    fn an_attack_from_everywhere_is_slowed_down_but_for_known_devices() {
        let (throttle, now) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        (1..=50).for_each(|n| assert!(fails(&throttle, "ada", address(n), now)));
        assert!(wait(&throttle, "ada", address(99), now).is_some());
        let tried = throttle.login("ada", address(99), true, now).unwrap();
        throttle.give_back(tried, now);
        assert!(wait(&throttle, "ada", address(98), now).is_some(), "which gives nothing back to others");
        throttle.proved("ada", address(99));
        assert_eq!(wait(&throttle, "ada", address(98), now), None);
    }

    #[test]
    fn who_has_a_whole_site_of_addresses_locks_nobody_out() {
        let (throttle, start) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        for minute in 0..600 {
            for n in 0..100 {
                let _ = throttle.login("ada", corner(minute * 100 + n), false, start + Span::minutes(minute as i64));
            }
        }
        let now = start + Span::minutes(600);
        assert_eq!(wait(&throttle, "ada", address(1), now), None, "the owner gets in");
        let others = (0..2000).filter(|n| fails(&throttle, &format!("somebody {n}"), corner(*n), now)).count();
        assert!(others <= 200, "nor do they try everybody: {others}");
    }

    #[test]
    fn one_address_may_not_try_everybody() {
        let (throttle, now) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        (0..50).for_each(|n| assert!(fails(&throttle, &format!("somebody {n}"), address(1), now)));
        assert!(throttle.login("another", address(1), true, now).is_err());
        let neighbours = ["2001:db8::1", "2001:db8::ffff:1"].map(|text| ClientAddress(text.parse().unwrap()).network());
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
        let code = |n| throttle.code("recover", "ada", address(n), now).is_ok();
        assert_eq!((0..9).filter(|_| code(1)).count(), 5);
        assert_eq!((0..9).filter(|_| throttle.factor("acc", now).is_ok()).count(), 5);
        throttle.factor_proved("acc");
        assert!(throttle.factor("acc", now).is_ok());
        assert_eq!((2..100).filter(|n| code(*n)).count(), 25, "from everywhere there are thirty");
    }

    #[test]
    fn wrong_codes_are_few_from_one_address_and_from_one_site() {
        let (throttle, start) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        let wrong = |from: IpAddr, now| throttle.guess(from, now).is_ok();
        assert_eq!((0..100).filter(|_| wrong(address(1), start)).count(), 20);
        assert_eq!(throttle.guess(address(1), start).unwrap_err(), 300, "one in five minutes");
        assert!(wrong(address(2), start), "others are not slowed down");
        let day = (1..=24 * 60).filter(|minute| wrong(address(1), start + Span::minutes(*minute))).count();
        assert_eq!(day, 288, "and 20 at once: one in a million takes nine years");
        // A /64 counts as one address, a /48 as one site.
        let neighbour = |n: u128| IpAddr::from(((0x2001_0db8_0001_u128 << 80) | n).to_be_bytes());
        assert_eq!((0..100).filter(|n| wrong(neighbour(*n), start)).count(), 20);
        let site = (1..1000).filter(|n| wrong(corner(*n), start)).count();
        assert_eq!(site, 60, "eighty for the site");
    }

    #[test]
    fn strangers_have_few_passwords_judged() {
        let (throttle, now) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        assert_eq!((0..100).filter(|_| throttle.judge(address(1), now).is_ok()).count(), 40);
        assert_eq!(throttle.judge(address(1), now), Err(6));
        assert_eq!((0..1000).filter(|n| throttle.judge(corner(*n), now).is_ok()).count(), 160, "of one site");
    }

    #[test]
    fn a_right_code_costs_nothing() {
        let (throttle, now) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        for _ in 0..500 {
            let guess = throttle.guess(address(1), now).unwrap();
            throttle.not_wrong(guess, now);
        }
        assert!(throttle.0.lock().wrong_codes.addresses.buckets.is_empty(), "nothing is remembered of it");
        assert!(throttle.0.lock().wrong_codes.sites.buckets.is_empty());
        let _wrong = throttle.guess(address(1), now).unwrap();
        let right = throttle.guess(address(1), now).unwrap();
        throttle.not_wrong(right, now);
        let more = (0..100).filter(|_| throttle.guess(address(1), now).is_ok()).count();
        assert_eq!(more, 19, "wrong ones still count");
    }

    #[test]
    fn a_stranger_who_asks_for_codes_leaves_some_to_their_receiver() {
        let (throttle, start) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        let mut asked = 0;
        for minute in 0..600 {
            let now = start + Span::minutes(minute);
            asked += [address(1), corner(1), corner(2)]
                .into_iter()
                .filter(|from| throttle.code("recover", "ada", *from, now).is_ok())
                .count();
        }
        assert!((100..=140).contains(&asked), "two sites, each five and then one in ten minutes: {asked}");
        let now = start + Span::minutes(600);
        assert_eq!(throttle.code("recover", "ada", address(2), now), Ok(()));
        assert_eq!((0..9).filter(|_| throttle.code("register", "ada", address(3), now).is_ok()).count(), 5);
        assert!(throttle.code("register", "ada", address(3), now).is_err());
        assert_eq!(throttle.code("recover", "ada", address(3), now), Ok(()), "each purpose has its own");
    }
}
