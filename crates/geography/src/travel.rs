//! How far and how long: one interface, and the straight line as the model that always answers.
//!
//! A model rounds up to whole seconds, so that two machines that plan the same order agree on every number.

use posthaste_domain::place::Place;
use posthaste_domain::zone::{Distance, Travel};
use serde::{Deserialize, Serialize};

/// Metres in a degree of either axis, in the plane that recorded days are laid in.
pub const PLANE_METERS_PER_DEGREE: f64 = 111_320.0;
/// Relative slack that keeps a bound below what it bounds, whatever the rounding of its arithmetic.
const SLACK: f64 = 1e-9;

/// How fast a vehicle is, as a factor on its zone's speed: 1 is as fast as the zone says, 2 twice as fast.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct VehicleSpeed(f64);

/// A factor that is no speed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a vehicle's speed factor must lie between 0.01 and 100, got {0}")]
pub struct InvalidSpeed(pub f64);

impl VehicleSpeed {
    /// As fast as the zone says.
    pub const NORMAL: Self = Self(1.0);

    /// A speed from a factor between 0.01 and 100.
    ///
    /// # Errors
    /// [`InvalidSpeed`] outside that, or when it is not a number.
    pub fn new(factor: f64) -> Result<Self, InvalidSpeed> {
        if (0.01..=100.0).contains(&factor) { Ok(Self(factor)) } else { Err(InvalidSpeed(factor)) }
    }

    /// The factor.
    #[must_use]
    pub fn factor(self) -> f64 {
        self.0
    }
}

impl Default for VehicleSpeed {
    fn default() -> Self {
        Self::NORMAL
    }
}

impl TryFrom<f64> for VehicleSpeed {
    type Error = InvalidSpeed;
    fn try_from(factor: f64) -> Result<Self, InvalidSpeed> {
        Self::new(factor)
    }
}

impl From<VehicleSpeed> for f64 {
    fn from(speed: VehicleSpeed) -> Self {
        speed.0
    }
}

/// Travel between places. Answers must not depend on when they are asked.
pub trait TravelModel: Send + Sync {
    /// Metres to travel.
    fn meters(&self, from: Place, to: Place) -> f64;

    /// Whole seconds to travel, rounded up; 0 at the same place.
    fn seconds(&self, from: Place, to: Place, vehicle: VehicleSpeed) -> u32;

    /// Seconds that [`seconds`](Self::seconds) never falls below for places at least this great-circle distance
    /// apart. Lets a search by distance stop early; 0 is always right and always slow.
    fn least_seconds(&self, straight_meters: f64, vehicle: VehicleSpeed) -> u32;
}

/// A zone's travel model: a straight line, lengthened by a factor, at a speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StraightLine {
    /// Which straight line.
    pub distance: Distance,
    /// How much longer streets are than the straight line; 1.3 to 1.4 in most cities.
    pub detour_factor: f64,
    /// Speed of a vehicle of factor 1, in metres per second.
    pub speed_meters_per_second: f64,
    /// Round travel times up to a multiple of this many seconds; none means whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_up_to_seconds: Option<u32>,
}

/// What a zone's settings hold about travel. With a second model this becomes a tagged choice.
pub type TravelSettings = StraightLine;

/// Travel settings outside what can be run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} must lie between {least} and {most}, got {given}")]
pub struct InvalidTravel {
    /// The field, as the API names it.
    pub field: &'static str,
    /// The least value that can be run.
    pub least: f64,
    /// The greatest value that can be run.
    pub most: f64,
    /// What was given.
    pub given: f64,
}

impl Default for StraightLine {
    fn default() -> Self {
        Self {
            distance: Distance::GreatCircle,
            detour_factor: 1.35,
            speed_meters_per_second: 6.0,
            round_up_to_seconds: None,
        }
    }
}

impl From<&Travel> for StraightLine {
    fn from(travel: &Travel) -> Self {
        Self {
            distance: travel.distance,
            detour_factor: travel.detour_factor,
            speed_meters_per_second: travel.meters_per_second,
            round_up_to_seconds: travel.round_up_to_seconds,
        }
    }
}

impl StraightLine {
    /// The least and the greatest detour factor.
    pub const DETOUR_FACTOR: (f64, f64) = (1.0, 10.0);
    /// The least and the greatest speed.
    pub const SPEED_METERS_PER_SECOND: (f64, f64) = (0.1, 100.0);
    /// The least and the greatest step of rounding, in seconds.
    pub const ROUND_UP_TO_SECONDS: (f64, f64) = (1.0, 3_600.0);

    /// The model of the recorded days: a plane, no detour, whole minutes rounded up, speed in metres a minute.
    #[must_use]
    pub fn recorded_day(meters_per_minute: f64) -> Self {
        Self {
            distance: Distance::Plane,
            detour_factor: 1.0,
            speed_meters_per_second: meters_per_minute / 60.0,
            round_up_to_seconds: Some(60),
        }
    }

    /// The model of a time at which ways take `thousandths` of what it says; at least 1.
    #[must_use]
    pub fn at_pace(self, thousandths: i32) -> Self {
        let factor = f64::from(thousandths.max(1)) / 1000.0;
        Self { speed_meters_per_second: self.speed_meters_per_second / factor, ..self }
    }

    /// Checks every number; all that are wrong are returned.
    ///
    /// # Errors
    /// One [`InvalidTravel`] for each wrong number.
    pub fn check(&self) -> Result<(), Vec<InvalidTravel>> {
        let step = f64::from(self.round_up_to_seconds.unwrap_or(1));
        let bounds = [
            ("detour_factor", self.detour_factor, Self::DETOUR_FACTOR),
            ("meters_per_second", self.speed_meters_per_second, Self::SPEED_METERS_PER_SECOND),
            ("round_up_to_seconds", step, Self::ROUND_UP_TO_SECONDS),
        ];
        let wrong: Vec<InvalidTravel> = bounds
            .into_iter()
            .filter(|(_, given, (least, most))| !(*least..=*most).contains(given))
            .map(|(field, given, (least, most))| InvalidTravel { field, least, most, given })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    fn rounded(&self, meters: f64, vehicle: VehicleSpeed) -> u32 {
        let step = f64::from(self.round_up_to_seconds.unwrap_or(1).max(1));
        let steps = meters / (self.speed_meters_per_second * vehicle.factor() * step);
        // A recorded distance of exactly n minutes must not become n + 1 by the last bits of its coordinates.
        ((steps - SLACK * steps.max(1.0)).ceil().max(0.0) * step) as u32
    }
}

impl TravelModel for StraightLine {
    fn meters(&self, from: Place, to: Place) -> f64 {
        let straight = match self.distance {
            Distance::GreatCircle => from.meters_to(to),
            Distance::Plane => (to.lat() - from.lat()).hypot(to.lng() - from.lng()) * PLANE_METERS_PER_DEGREE,
        };
        straight * self.detour_factor
    }

    fn seconds(&self, from: Place, to: Place, vehicle: VehicleSpeed) -> u32 {
        self.rounded(self.meters(from, to), vehicle)
    }

    /// A degree in the plane is longer than any degree on the globe, so the great circle bounds both distances.
    fn least_seconds(&self, straight_meters: f64, vehicle: VehicleSpeed) -> u32 {
        let meters = straight_meters * self.detour_factor * (1.0 - SLACK) - 1e-6;
        self.rounded(meters.max(0.0), vehicle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(lat: f64, lng: f64) -> Place {
        Place::new(lat, lng).unwrap()
    }

    fn in_the_plane(x: i32, y: i32) -> Place {
        place(f64::from(y) / PLANE_METERS_PER_DEGREE, f64::from(x) / PLANE_METERS_PER_DEGREE)
    }

    proptest! {
        #[test]
        fn a_recorded_day_travels_in_the_minutes_it_was_recorded_with(
            a in (0..15_000i32, 0..15_000i32), b in (0..15_000i32, 0..15_000i32), speed in 200..600i64
        ) {
            let (dx, dy) = (i64::from(a.0 - b.0), i64::from(a.1 - b.1));
            let squared = dx * dx + dy * dy;
            let minutes = (0i64..).find(|minutes| (minutes * speed).pow(2) >= squared).unwrap();
            let model = StraightLine::recorded_day(speed as f64);
            let seconds = model.seconds(in_the_plane(a.0, a.1), in_the_plane(b.0, b.1), VehicleSpeed::NORMAL);
            prop_assert_eq!(i64::from(seconds), minutes * 60);
        }

        #[test]
        fn the_bound_never_exceeds_what_it_bounds(
            a in (-60.0..60.0f64, -179.0..179.0f64), d in (-0.2..0.2f64, -0.2..0.2f64),
            plane: bool, detour in 1.0..2.0f64, step in prop::option::of(1..120u32), factor in 0.2..3.0f64
        ) {
            let (from, to) = (place(a.0, a.1), place(a.0 + d.0, a.1 + d.1));
            let distance = if plane { Distance::Plane } else { Distance::GreatCircle };
            let model = StraightLine {
                distance, detour_factor: detour, speed_meters_per_second: 7.3, round_up_to_seconds: step
            };
            let vehicle = VehicleSpeed::new(factor).unwrap();
            prop_assert!(model.least_seconds(from.meters_to(to), vehicle) <= model.seconds(from, to, vehicle));
        }
    }

    #[test]
    fn a_multiple_of_a_minute_stays_that_multiple() {
        let model = StraightLine::recorded_day(320.0);
        assert_eq!(model.seconds(in_the_plane(100, 0), in_the_plane(100 + 960, 0), VehicleSpeed::NORMAL), 180);
        assert_eq!(model.seconds(in_the_plane(100, 0), in_the_plane(100 + 961, 0), VehicleSpeed::NORMAL), 240);
        assert_eq!(model.seconds(in_the_plane(7, 9), in_the_plane(7, 9), VehicleSpeed::NORMAL), 0);
    }

    #[test]
    fn settings_are_read_with_defaults_and_checked() {
        let settings: TravelSettings = serde_json::from_str(r#"{"speed_meters_per_second":0}"#).unwrap();
        assert_eq!(settings.detour_factor, 1.35);
        assert_eq!(settings.check().unwrap_err()[0].field, "meters_per_second");
        assert!(TravelSettings::default().check().is_ok());
        assert!(serde_json::from_str::<VehicleSpeed>("0").is_err());
    }
}
