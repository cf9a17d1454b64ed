//! How a position that a device reports is taken: believed, kept for the track, or left out for a reason.
//!
//! Devices report positions without a fix, measures that mean "unknown", times of clocks that are wrong, and places where
//! nobody can be by now. [`Whereabouts`] is what is known of one driver, of fixed size; [`Whereabouts::begin`] looks at the
//! times of what came together, [`Whereabouts::take`] at each position of it. Nothing here knows a clock: the instant of
//! arrival is an argument.
//!
//! - A position without a fix (0, 0) is never believed; a measure that says nothing costs only itself ([`Report::new`]).
//! - The positions of one device are in the order of its own times; of several at one time the last that came counts.
//!   How far its clock is off is learned (`device_clock`), so that a slow clock moves its driver at once.
//! - A jump that nobody can drive is believed when the device insists on it.
//! - A coarse position replaces a finer one as soon as the driver may have come farther than it is off.

mod device_clock;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::place::{METERS_OF_A_DEGREE, Place};
use crate::{Span, Timestamp};
use device_clock::{DeviceClock, Moment};

/// How far a clock may be off, or a position late, before its time is doubted. Less, and slow networks look like wrong
/// clocks; more, and wrong clocks show where somebody was long before.
const TOLERANCE: i64 = 30 * SECOND;
/// A second in microseconds, the unit of instants in here.
const SECOND: i64 = 1_000_000;
/// What a device says so many times is believed although it looks wrong. Two come of one mistake now and then; each one
/// more leaves a driver who is right unseen for longer.
const INSISTS: u8 = 3;
/// Around 0, 0 there is only the sea, 500 km of it: this near, in degrees, a device had no fix.
const NO_FIX_DEGREES: f64 = 0.1;
/// Nobody is faster, in metres per second: a fast car, with something to spare for times in whole seconds.
const MOST_METERS_PER_SECOND: f64 = 70.0;
/// A jump this short is believed whatever the time: fixes under bridges and times of phones are that bad.
const SHORT_JUMP_METERS: f64 = 5_000.0;
/// A place that was said and not measured may be this far off: another of the seller's branches, home instead of work.
const SAID_WRONGLY_METERS: f64 = 50_000.0;
/// How far a driver comes in a city, in metres per second, while nothing is heard of them.
const USUAL_METERS_PER_SECOND: f64 = 15.0;
/// What is as accurate as this, in metres, is always good enough to replace what is known.
const FINE_METERS: f32 = 100.0;
/// What a device means when it does not say how accurate it is, in metres.
const UNKNOWN_METERS: f32 = 50.0;
/// How accurate a place is that was said, in metres.
const SAID_METERS: f32 = 1_000.0;
/// A radius beyond this, in metres, says nothing more: it is a mark for "unknown", or of no use.
const MOST_ACCURACY_METERS: f32 = 5_000.0;
/// A speed beyond this, in metres per second, was not measured.
const MOST_SPEED: f32 = 100.0;

/// What a device said of where it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where.
    pub place: Place,
    /// When, by the device's own clock; none where it did not say.
    pub at: Option<Timestamp>,
    /// Direction of movement in degrees from north, from 0 to below 360.
    pub heading_degrees: Option<f32>,
    /// Metres per second.
    pub speed_meters_per_second: Option<f32>,
    /// Radius of uncertainty in metres, above zero.
    pub accuracy_meters: Option<f32>,
}

/// What a device says it measured besides the place.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measures {
    /// Direction of movement in degrees from north.
    pub heading_degrees: Option<f32>,
    /// Metres per second.
    pub speed_meters_per_second: Option<f32>,
    /// Radius of uncertainty in metres.
    pub accuracy_meters: Option<f32>,
}

impl Report {
    /// A report, without the measures that say nothing: −1 and other marks of "unknown", and what cannot be.
    #[must_use]
    pub fn new(place: Place, at: Option<Timestamp>, measures: Measures) -> Self {
        Self {
            place,
            at,
            heading_degrees: measures
                .heading_degrees
                .filter(|degrees| (0.0..=360.0).contains(degrees))
                .map(|degrees| if degrees < 360.0 { degrees } else { 0.0 }),
            speed_meters_per_second: measures
                .speed_meters_per_second
                .filter(|speed| (0.0..=MOST_SPEED).contains(speed)),
            accuracy_meters: measures.accuracy_meters.filter(|meters| meters.is_finite() && *meters > 0.0),
        }
    }

    /// Whether the device had no fix: receivers and programs then say 0, 0, or something close to it.
    #[must_use]
    pub fn is_without_fix(&self) -> bool {
        self.place.lat().abs() < NO_FIX_DEGREES && self.place.lng().abs() < NO_FIX_DEGREES
    }

    fn accuracy(&self) -> f32 {
        self.accuracy_meters.map_or(UNKNOWN_METERS, |meters| meters.min(MOST_ACCURACY_METERS))
    }
}

/// Why a position was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its place is not on the globe.
    NotAPlace,
    /// The device had no fix: 0, 0.
    NoFix,
    /// Its time is far ahead of the others that came with it.
    OddTime,
    /// Older than tracks are kept.
    TooOld,
    /// Older than what is known. In a batch it is kept for the track instead.
    Older,
    /// It came before.
    Repeated,
    /// Far less accurate than what is known, which is fresh.
    Coarse,
    /// Nobody can be there by now; believed when the device insists.
    Jump,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::NotAPlace,
        Self::NoFix,
        Self::OddTime,
        Self::TooOld,
        Self::Older,
        Self::Repeated,
        Self::Coarse,
        Self::Jump,
    ];

    /// Its name on the wire and in figures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAPlace => "not_a_place",
            Self::NoFix => "no_fix",
            Self::OddTime => "odd_time",
            Self::TooOld => "too_old",
            Self::Older => "older",
            Self::Repeated => "repeated",
            Self::Coarse => "coarse",
            Self::Jump => "jump",
        }
    }
}

/// How a position is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taken {
    /// The driver is there.
    Believed {
        /// The instant that it counts as, by our clock: after everything believed before.
        at: Timestamp,
        /// When it was measured, by our clock, as far as that is known; often the same.
        measured: Timestamp,
        /// Whether the device's clock says another time.
        corrected: bool,
    },
    /// The driver was there before: for the track alone.
    Kept {
        /// The instant that it counts as, by our clock.
        at: Timestamp,
    },
    /// Not taken.
    LeftOut(Reason),
}

/// How the times of positions that came together are read. Made by [`Whereabouts::begin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    now: i64,
    /// What is older is not kept.
    oldest: i64,
    /// Added to the device's times.
    shift: i64,
    /// Whether the device's times can be compared with those of what came before.
    in_order: bool,
}

impl Delivery {
    /// By how much the device's clock is behind ours (negative: ahead), where it is off by more than half a minute.
    #[must_use]
    pub fn clock_behind(&self) -> Option<Span> {
        (self.shift != 0).then(|| Span::microseconds(self.shift))
    }
}

/// What is known of where a driver is, and of the clock of their device.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Whereabouts {
    believed: Option<Believed>,
    clock: DeviceClock,
    doubted: Option<Doubted>,
}

/// The position that is believed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Believed {
    place: Place,
    /// By our clock.
    at: i64,
    /// Radius in metres.
    accuracy: f32,
    origin: Origin,
}

/// How it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Somebody said so.
    Said,
    /// A device did, at a time that cannot be compared with its others.
    Measured,
    /// A device did, at the clock's newest time.
    Newest,
}

/// A place to which the device jumped.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Doubted {
    place: Place,
    at: i64,
    device: Option<i64>,
    times: u8,
}

fn micros(at: Timestamp) -> i64 {
    at.timestamp_micros()
}

fn instant(micros: i64) -> Timestamp {
    Timestamp::from_timestamp_micros(micros).unwrap_or_default()
}

/// To a centimetre: numbers are not always read to the last digit.
fn is_the_same(a: Place, b: Place) -> bool {
    (a.lat() - b.lat()).abs().max((a.lng() - b.lng()).abs()) < 1e-7
}

/// Whether somebody can be at `to` so many microseconds after or before they were at `from`, give or take `slack` metres.
fn can_reach(from: Place, to: Place, micros: i64, slack: f64) -> bool {
    // Degrees of latitude are longest: where even they would be near enough, the exact distance need not be known.
    let (lat, lng) = (to.lat() - from.lat(), to.lng() - from.lng());
    if lat.hypot(lng) * METERS_OF_A_DEGREE <= slack {
        return true;
    }
    #[expect(clippy::cast_precision_loss, reason = "an error of nanoseconds in centuries")]
    let seconds = micros.unsigned_abs() as f64 / 1e6;
    from.meters_to(to) <= slack + seconds * MOST_METERS_PER_SECOND
}

impl Whereabouts {
    /// Of a driver who was known to be there before a restart.
    #[must_use]
    pub fn recalled(place: Place, at: Timestamp) -> Self {
        let believed = Believed { place, at: micros(at), accuracy: UNKNOWN_METERS, origin: Origin::Measured };
        Self { believed: Some(believed), ..Self::default() }
    }

    /// Somebody said where the driver is at `now`; the instant that it counts as. What a device measures replaces it.
    pub fn said(&mut self, place: Place, now: Timestamp) -> Timestamp {
        instant(self.believe(Believed { place, at: micros(now), accuracy: SAID_METERS, origin: Origin::Said }))
    }

    /// Begins to take positions that came together at `now`: learns of the device's clock what their times say. What is
    /// older than `kept_for` is left out.
    pub fn begin<'a>(
        &mut self,
        reports: impl IntoIterator<Item = &'a Report>,
        now: Timestamp,
        kept_for: Span,
    ) -> Delivery {
        let now = micros(now);
        let kept_for = kept_for.num_microseconds().unwrap_or(i64::MAX);
        // How long ago they were measured by the device's clock, if that were ours.
        let ages = reports.into_iter().filter(|report| !report.is_without_fix());
        let ages = ages.filter_map(|report| report.at).map(|at| now.saturating_sub(micros(at)));
        let known = self.believed.map_or(i64::MIN, |known| known.at);
        let (shift, in_order) = self.clock.hear(ages, Moment { now, known, kept_for });
        Delivery { now, oldest: now.saturating_sub(kept_for), shift, in_order }
    }

    /// Takes a position of `delivery`. Those of a batch are to come in the order of their times.
    pub fn take(&mut self, delivery: &Delivery, report: &Report) -> Taken {
        if report.is_without_fix() {
            return Taken::LeftOut(Reason::NoFix);
        }
        let device = report.at.map(micros);
        let read = device.map_or(delivery.now, |at| at.saturating_add(delivery.shift));
        if read > delivery.now.saturating_add(TOLERANCE) {
            return Taken::LeftOut(Reason::OddTime);
        }
        let at = read.min(delivery.now);
        if at < delivery.oldest {
            return Taken::LeftOut(Reason::TooOld);
        }
        // Most times are right as they are, and need not be made anew.
        let given = device.zip(report.at);
        let device = device.filter(|_| delivery.in_order);
        if let Some(known) = self.believed {
            if self.is_older(&known, at, device) {
                let can_be = can_reach(known.place, report.place, at - known.at, known.slack(report));
                return match (can_be, known.says_more_than(report, at)) {
                    (_, true) => Taken::LeftOut(Reason::Coarse),
                    (false, _) => Taken::LeftOut(Reason::Jump),
                    (true, false) => Taken::Kept { at: instant(at) },
                };
            }
            if let Some(reason) = self.doubt(&known, report, at, device) {
                return Taken::LeftOut(reason);
            }
        }
        let origin = if device.is_some() { Origin::Newest } else { Origin::Measured };
        self.clock.newest = device.or(self.clock.newest);
        let counts_as = self.believe(Believed { place: report.place, at, accuracy: report.accuracy(), origin });
        let measured = given.filter(|(micros, _)| *micros == at).map_or_else(|| instant(at), |(_, given)| given);
        let at = if counts_as == at { measured } else { instant(counts_as) };
        Taken::Believed { at, measured, corrected: report.at.is_some() && delivery.shift != 0 }
    }

    /// Remembers it; the instant that it counts as.
    fn believe(&mut self, believed: Believed) -> i64 {
        let at = self.believed.map_or(believed.at, |known| believed.at.max(known.at.saturating_add(1)));
        self.believed = Some(Believed { at, ..believed });
        self.doubted = None;
        at
    }

    /// By the device's own times where both have one; else by ours, which are only so exact.
    fn is_older(&self, known: &Believed, at: i64, device: Option<i64>) -> bool {
        let newest = device.zip(self.clock.newest);
        let is_before = newest.is_some_and(|(device, newest)| device < newest);
        let is_after = newest.is_some() && !is_before && known.origin == Origin::Newest;
        is_before || !is_after && at < known.at.saturating_sub(TOLERANCE)
    }

    /// Why a position that is not older is not believed.
    fn doubt(&mut self, known: &Believed, report: &Report, at: i64, device: Option<i64>) -> Option<Reason> {
        let is_same = known.origin == Origin::Newest && device.is_some() && device == self.clock.newest;
        if is_same && is_the_same(known.place, report.place) {
            return Some(Reason::Repeated);
        }
        if known.says_more_than(report, at) {
            return Some(Reason::Coarse);
        }
        if can_reach(known.place, report.place, at - known.at, known.slack(report)) || self.insists(report, at, device)
        {
            return None;
        }
        Some(Reason::Jump)
    }

    /// Whether the device has said often enough that it is there.
    fn insists(&mut self, report: &Report, at: i64, device: Option<i64>) -> bool {
        let near = self.doubted.filter(|d| can_reach(d.place, report.place, at - d.at, SHORT_JUMP_METERS));
        // The same once more, as by a request that is sent again, is not said again.
        let times = near.map_or(1, |d| d.times + u8::from(device.is_none() || d.device != device));
        self.doubted = Some(Doubted { place: report.place, at, device, times });
        times >= INSISTS
    }
}

impl Believed {
    /// How far a report may be off whatever the time, in metres.
    fn slack(&self, report: &Report) -> f64 {
        let jump = if self.origin == Origin::Said { SAID_WRONGLY_METERS } else { SHORT_JUMP_METERS };
        jump + f64::from(self.accuracy.max(FINE_METERS)) + f64::from(report.accuracy().max(FINE_METERS))
    }

    /// Whether the driver is still sure to be nearer to here than a coarse report knows.
    fn says_more_than(&self, report: &Report, at: i64) -> bool {
        let accuracy = report.accuracy();
        if accuracy <= FINE_METERS {
            return false;
        }
        #[expect(clippy::cast_precision_loss, reason = "an error of nanoseconds in centuries")]
        let seconds = at.abs_diff(self.at) as f64 / 1e6;
        f64::from(accuracy) > f64::from(self.accuracy) + seconds * USUAL_METERS_PER_SECOND
    }
}
