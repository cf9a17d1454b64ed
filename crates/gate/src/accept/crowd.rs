//! Who has how many connections: one address does not keep all of them. Above its own bound an address makes room for itself;
//! when every place is taken, the address with the most makes room. Whoever rests longest goes, never a request under way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Activity, Phase};

/// So long nobody is asked to leave: who has just come is about to say what they want, and who was just answered asks again or
/// becomes a socket.
const UNDISTURBED: Duration = Duration::from_millis(250);

/// A connection, as the others see it.
pub(super) struct Guest {
    pub(super) activity: Arc<Activity>,
    /// It is to make room.
    pub(super) leave: Notify,
}

/// The connections that are open, by the network that they come from.
pub(super) struct Crowd {
    most_of_one: usize,
    open: Mutex<HashMap<IpAddr, Vec<Arc<Guest>>>>,
}

/// A place in the crowd, until it is dropped.
pub(super) struct Entered {
    crowd: Arc<Crowd>,
    network: IpAddr,
    pub(super) guest: Arc<Guest>,
}

impl Crowd {
    pub(super) fn new(most_of_one: usize) -> Self {
        Self { most_of_one: most_of_one.max(1), open: Mutex::default() }
    }

    /// Lets a connection in. None when its address has as many as it may, and none of them rests. `is_bounded` is false for
    /// proxies of one's own: they bring many people.
    pub(super) fn enter(self: &Arc<Self>, network: IpAddr, is_bounded: bool, now: Instant) -> Option<Entered> {
        let guest = Arc::new(Guest { activity: Arc::new(Activity::new()), leave: Notify::new() });
        let mut open = self.open.lock();
        let own = open.entry(network).or_default();
        if is_bounded && own.len() >= self.most_of_one && !send_away(own, now) {
            return None;
        }
        own.push(Arc::clone(&guest));
        Some(Entered { crowd: Arc::clone(self), network, guest })
    }

    /// Asks the longest resting connection of the address with the most to leave. False when none of them rests.
    pub(super) fn make_room(&self, now: Instant) -> bool {
        let mut open = self.open.lock();
        open.values_mut().max_by_key(|guests| guests.len()).is_some_and(|guests| send_away(guests, now))
    }
}

/// Asks the one that rests longest to leave, and forgets it: it counts no longer.
fn send_away(guests: &mut Vec<Arc<Guest>>, now: Instant) -> bool {
    let rest = |guest: &Arc<Guest>| guest.activity.rests_since(now);
    let longest = guests.iter().enumerate().filter_map(|(n, guest)| Some((rest(guest)?, n))).min();
    let Some((_, n)) = longest else { return false };
    guests.swap_remove(n).leave.notify_one();
    true
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut open = self.crowd.open.lock();
        if let Some(guests) = open.get_mut(&self.network) {
            guests.retain(|guest| !Arc::ptr_eq(guest, &self.guest));
            if guests.is_empty() {
                open.remove(&self.network);
            }
        }
    }
}

impl Activity {
    /// Since when nothing is under way; none while a request is answered, and a moment after.
    fn rests_since(&self, now: Instant) -> Option<Instant> {
        let since = self.since();
        (!self.is(Phase::Busy) && now.saturating_duration_since(since) >= UNDISTURBED).then_some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn has_left(entered: &Entered) -> bool {
        let open = entered.crowd.open.lock();
        !open.get(&entered.network).is_some_and(|all| all.iter().any(|guest| Arc::ptr_eq(guest, &entered.guest)))
    }

    #[test]
    fn an_address_above_its_bound_makes_room_for_itself_and_busy_connections_stay() {
        let (crowd, now) = (Arc::new(Crowd::new(2)), Instant::now());
        let later = now + 2 * UNDISTURBED;
        let (first, second) =
            (crowd.enter(address(1), true, now).unwrap(), crowd.enter(address(1), true, now).unwrap());
        let other = crowd.enter(address(2), true, now).unwrap();
        assert!(crowd.enter(address(1), true, now).is_none(), "both have just come");
        first.guest.activity.set(Phase::Busy);
        let third = crowd.enter(address(1), true, later).unwrap();
        assert!(has_left(&second) && !has_left(&first) && !has_left(&other), "the one that rests, of the same address");
        third.guest.activity.set(Phase::Busy);
        assert!(crowd.enter(address(1), true, later).is_none(), "nobody of them rests");
        assert!(crowd.enter(address(1), false, later).is_some(), "a proxy of one's own");
    }

    #[test]
    fn when_all_places_are_taken_the_greediest_address_gives_one_back() {
        let (crowd, now) = (Arc::new(Crowd::new(100)), Instant::now());
        let one = crowd.enter(address(1), true, now).unwrap();
        let many: Vec<_> = (0..10).map(|_| crowd.enter(address(2), true, now).unwrap()).collect();
        assert!(!crowd.make_room(now) && crowd.make_room(now + 2 * UNDISTURBED));
        assert_eq!((has_left(&one), many.iter().filter(|entered| has_left(entered)).count()), (false, 1));
        drop((one, many));
        assert!(crowd.open.lock().is_empty() && !crowd.make_room(now + 2 * UNDISTURBED));
    }
}
