//! A place on the globe, and distance over it.

use serde::{Deserialize, Serialize};

/// Mean radius of the Earth in metres (IUGG).
pub const EARTH_RADIUS_METERS: f64 = 6_371_008.8;

/// No degree of latitude or longitude is longer than this, in metres.
pub const METERS_OF_A_DEGREE: f64 = 111_200.0;

/// A WGS 84 position in degrees. Always finite and on the globe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawPlace")]
pub struct Place {
    lat: f64,
    lng: f64,
}

#[derive(Deserialize)]
struct RawPlace {
    lat: f64,
    lng: f64,
}

/// Coordinates that are not on the globe.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("lat must lie between -90 and 90 and lng between -180 and 180, got lat {lat}, lng {lng}")]
pub struct InvalidPlace {
    /// The latitude that was given.
    pub lat: f64,
    /// The longitude that was given.
    pub lng: f64,
}

impl TryFrom<RawPlace> for Place {
    type Error = InvalidPlace;
    fn try_from(raw: RawPlace) -> Result<Self, InvalidPlace> {
        Self::new(raw.lat, raw.lng)
    }
}

impl Place {
    /// The greatest latitude, in degrees; the least is as far below zero.
    pub const MOST_LAT: f64 = 90.0;
    /// The greatest longitude, in degrees; the least is as far below zero.
    pub const MOST_LNG: f64 = 180.0;

    /// A place from degrees, refused when not finite or outside the globe.
    pub fn new(lat: f64, lng: f64) -> Result<Self, InvalidPlace> {
        let on_globe =
            (-Self::MOST_LAT..=Self::MOST_LAT).contains(&lat) && (-Self::MOST_LNG..=Self::MOST_LNG).contains(&lng);
        if on_globe { Ok(Self { lat, lng }) } else { Err(InvalidPlace { lat, lng }) }
    }

    /// About where it is: to two decimals of a degree, about a kilometre.
    #[must_use]
    pub fn coarse(self) -> Self {
        let coarse = |degrees: f64| (degrees * 100.0).round() / 100.0;
        Self { lat: coarse(self.lat), lng: coarse(self.lng) }
    }

    /// Latitude in degrees.
    #[must_use]
    pub fn lat(self) -> f64 {
        self.lat
    }

    /// Longitude in degrees.
    #[must_use]
    pub fn lng(self) -> f64 {
        self.lng
    }

    /// Great-circle distance in metres (haversine).
    #[must_use]
    pub fn meters_to(self, other: Self) -> f64 {
        let (lat_a, lat_b) = (self.lat.to_radians(), other.lat.to_radians());
        let half_lat = (lat_b - lat_a) / 2.0;
        let half_lng = (other.lng - self.lng).to_radians() / 2.0;
        let h = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lng.sin().powi(2);
        2.0 * EARTH_RADIUS_METERS * h.sqrt().min(1.0).asin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place() -> impl Strategy<Value = Place> {
        (-90.0..=90.0f64, -180.0..=180.0f64).prop_filter_map("on the globe", |(lat, lng)| Place::new(lat, lng).ok())
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_bounded(a in place(), b in place()) {
            prop_assert!((a.meters_to(b) - b.meters_to(a)).abs() < 1e-6);
            prop_assert!(a.meters_to(b) <= EARTH_RADIUS_METERS * std::f64::consts::PI + 1.0);
        }
    }

    #[test]
    fn one_degree_of_latitude_is_about_111_kilometres() {
        let (a, b) = (Place::new(0.0, 0.0).unwrap(), Place::new(1.0, 0.0).unwrap());
        assert!((a.meters_to(b) - 111_195.0).abs() < 1.0);
    }

    #[test]
    fn coordinates_off_the_globe_are_refused_in_json_too() {
        assert!(Place::new(f64::NAN, 0.0).is_err());
        assert!(serde_json::from_str::<Place>(r#"{"lat":91.0,"lng":0.0}"#).is_err());
    }
}
