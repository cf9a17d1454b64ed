//! Whether a new order can be done at all: as a whole, not field by field.
//!
//! What is refused here nobody could do: ways count at twice the usual pace, and pickups are made in the order that suits
//! best. What is merely tight is taken.

use crate::place::Place;
use crate::window::Window;
use crate::{Span, Timestamp};

use super::new::{InvalidOrder, NewStop};

/// The longest way from the first pickup through all others to the door, in metres: 30 km. Shorter refuses doors that a
/// scooter reaches within two hours; longer takes a driver out of their zone for half a day.
pub const FARTHEST_DOOR_METERS: u32 = 30_000;
/// The longest time that an order without windows holds its driver, in seconds: 4 hours. A shift is hardly longer than
/// two of these.
pub const LONGEST_COMMITMENT_SECONDS: u32 = 4 * 3600;
/// The fastest driver is so many times as fast as is usual in their zone.
const QUICKEST: f64 = 2.0;

/// The way from one place to another, as is usual in the zone.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Leg {
    /// Its length.
    pub meters: f64,
    /// How long it takes.
    pub seconds: u32,
}

/// Says how long ways are.
pub type Ways<'w> = &'w dyn Fn(Place, Place) -> Leg;

/// A stop with what it asks for.
struct Stop {
    place: Place,
    service: Span,
    ready_at: Option<Timestamp>,
    window: Option<Window>,
}

/// An order whose fields are each right by themselves.
pub(super) struct Plan<'w> {
    pickups: Vec<Stop>,
    door: Stop,
    ways: Ways<'w>,
    now: Timestamp,
}

impl<'w> Plan<'w> {
    /// An empty plan to this door, from now on.
    pub(super) fn new(
        door: &NewStop,
        window: Option<Window>,
        service_seconds: u32,
        ways: Ways<'w>,
        now: Timestamp,
    ) -> Self {
        Self { pickups: Vec::new(), door: stop(door, window, service_seconds, None), ways, now }
    }

    /// One more pickup, after those before.
    pub(super) fn pickup(
        &mut self,
        new: &NewStop,
        window: Option<Window>,
        service_seconds: u32,
        ready_at: Option<Timestamp>,
    ) {
        self.pickups.push(stop(new, window, service_seconds, ready_at));
    }

    /// Everything that makes it impossible, by the field that asks for it.
    pub(super) fn check(&self) -> Vec<InvalidOrder> {
        if let Some(far) = self.too_far().or_else(|| self.too_long()) {
            return vec![far];
        }
        let mut wrong = self.pickups_missed();
        if wrong.is_empty() {
            wrong = self.pickups_apart();
        }
        wrong.extend(self.door_missed());
        wrong
    }

    fn too_far(&self) -> Option<InvalidOrder> {
        let (to_the_last, last) = self.through_pickups();
        let meters = to_the_last.meters + (self.ways)(last, self.door.place).meters;
        let most = f64::from(FARTHEST_DOOR_METERS);
        if meters <= most {
            return None;
        }
        let swapped = Place::new(self.door.place.lng(), self.door.place.lat()).ok();
        let hint = match swapped.filter(|place| to_the_last.meters + (self.ways)(last, *place).meters <= most) {
            Some(_) => "; are its latitude and longitude swapped?",
            None => "",
        };
        let through = if self.pickups.len() > 1 { "from the first pickup through all" } else { "from the pickup" };
        let problem = format!(
            "is {:.1} km of way {through}, at most {:.0} km can be delivered{hint}",
            (meters / 100.0).ceil() / 10.0,
            most / 1000.0
        );
        Some(InvalidOrder::new("delivery", problem))
    }

    /// Without windows, an order holds its driver for all of its ways and services.
    fn too_long(&self) -> Option<InvalidOrder> {
        if self.pickups.iter().chain([&self.door]).any(|stop| stop.window.is_some()) {
            return None;
        }
        let (to_the_last, last) = self.through_pickups();
        let ways = i64::from(to_the_last.seconds) + i64::from((self.ways)(last, self.door.place).seconds);
        let services: Span = self.pickups.iter().chain([&self.door]).map(|stop| stop.service).sum();
        let needs = Span::seconds(ways) + services;
        let most = Span::seconds(LONGEST_COMMITMENT_SECONDS.into());
        (needs > most).then(|| {
            let (needs, most) = (needs.num_minutes(), most.num_hours());
            let problem = format!("ways and services take {needs} min, at most {most} h are possible without windows");
            InvalidOrder::new("pickups", problem)
        })
    }

    /// The way from the first pickup to the last, in the order given, and where that is.
    fn through_pickups(&self) -> (Leg, Place) {
        let last = self.pickups.last().map_or(self.door.place, |stop| stop.place);
        let legs = self.pickups.windows(2).map(|pair| (self.ways)(pair[0].place, pair[1].place));
        let all = legs.fold(Leg::default(), |sum, leg| Leg {
            meters: sum.meters + leg.meters,
            seconds: sum.seconds.saturating_add(leg.seconds),
        });
        (all, last)
    }

    /// The earliest at which a stop can be served that nothing else has to come before.
    fn begins(&self, stop: &Stop) -> Timestamp {
        let opens = stop.window.map_or(self.now, Window::start);
        stop.ready_at.map_or(self.now, |ready| ready.max(self.now)).max(opens)
    }

    fn quickest(&self, from: &Stop, to: &Stop) -> Span {
        let seconds = f64::from((self.ways)(from.place, to.place).seconds) / QUICKEST;
        #[expect(clippy::cast_possible_truncation, reason = "half of a u32")]
        let seconds = seconds as i64;
        Span::seconds(seconds)
    }

    /// Goods that are ready when their pickup, or the door, is closed.
    fn pickups_missed(&self) -> Vec<InvalidOrder> {
        let mut wrong = Vec::new();
        for (n, stop) in self.pickups.iter().enumerate() {
            let Some(ready) = stop.ready_at else { continue };
            let ends = [("its window", stop.window), ("the delivery's window", self.door.window)];
            if let Some((whose, end)) =
                ends.into_iter().find_map(|(whose, w)| w.map(|w| (whose, w.end())).filter(|w| ready >= w.1))
            {
                let problem = format!("ready at {ready}, when {whose} is over: it ends at {end}");
                wrong.push(InvalidOrder::new(format!("pickups[{n}].ready_at"), problem));
            }
        }
        wrong
    }

    /// Pickups of which each is closed when a driver comes from the other.
    fn pickups_apart(&self) -> Vec<InvalidOrder> {
        let mut wrong = Vec::new();
        for (n, later) in self.pickups.iter().enumerate() {
            for (m, sooner) in self.pickups[..n].iter().enumerate() {
                let (Some(first), Some(second)) = (sooner.window, later.window) else { continue };
                let after = |one: &Stop, other: &Stop| self.begins(one) + one.service + self.quickest(one, other);
                let earliest = after(sooner, later);
                if earliest >= second.end() && after(later, sooner) >= first.end() {
                    let problem = format!(
                        "cannot be met together with that of pickups[{m}]: a driver who comes from there is there at {earliest} at the earliest"
                    );
                    wrong.push(InvalidOrder::new(format!("pickups[{n}].window"), problem));
                    break;
                }
            }
        }
        wrong
    }

    fn door_missed(&self) -> Option<InvalidOrder> {
        let end = self.door.window?.end();
        let earliest = self.earliest_at_the_door();
        (earliest >= end).then(|| {
            let problem = format!("cannot be met: its door can be reached at {earliest} at the earliest");
            InvalidOrder::new("delivery.window", problem)
        })
    }

    /// A time before which nobody is at the door: no pickup is skipped, and the way from the last is not.
    fn earliest_at_the_door(&self) -> Timestamp {
        let from_each =
            self.pickups.iter().map(|stop| self.begins(stop) + stop.service + self.quickest(stop, &self.door));
        let first = self.pickups.iter().map(|stop| self.begins(stop)).min().unwrap_or(self.now);
        let services: Span = self.pickups.iter().map(|stop| stop.service).sum();
        let way = self.pickups.iter().map(|stop| self.quickest(stop, &self.door)).min().unwrap_or_default();
        from_each.fold(first + services + way, Timestamp::max)
    }
}

fn stop(new: &NewStop, window: Option<Window>, service_seconds: u32, ready_at: Option<Timestamp>) -> Stop {
    let service = Span::seconds(new.service_seconds.unwrap_or(service_seconds).into());
    Stop { place: new.place, service, ready_at, window }
}
