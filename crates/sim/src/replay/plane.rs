//! The plane of a recorded day and the globe: near latitude 0, longitude 0, where one degree is as long both ways.

use serde_json::json;

/// Metres in a degree, as the server's plane distance has it.
pub const METERS_PER_DEGREE: f64 = 111_320.0;
/// Metres of zone around the outermost point.
const MARGIN_METERS: f64 = 500.0;

/// A point of the plane, in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// East.
    pub x: f64,
    /// North.
    pub y: f64,
}

impl Point {
    /// Latitude on the globe.
    #[must_use]
    pub fn lat(self) -> f64 {
        self.y / METERS_PER_DEGREE
    }

    /// Longitude on the globe.
    #[must_use]
    pub fn lng(self) -> f64 {
        self.x / METERS_PER_DEGREE
    }

    /// The point of a place on the globe.
    #[must_use]
    pub fn of(lat: f64, lng: f64) -> Self {
        Self { x: lng * METERS_PER_DEGREE, y: lat * METERS_PER_DEGREE }
    }

    /// Straight distance in metres.
    #[must_use]
    pub fn meters_to(self, other: Self) -> f64 {
        (other.x - self.x).hypot(other.y - self.y)
    }

    /// The point that lies `share` of the way to `other`.
    #[must_use]
    pub fn towards(self, other: Self, share: f64) -> Self {
        let share = share.clamp(0.0, 1.0);
        Self { x: self.x + (other.x - self.x) * share, y: self.y + (other.y - self.y) * share }
    }
}

/// A GeoJSON rectangle around all points, with a margin.
#[must_use]
pub fn area_around(points: impl Iterator<Item = Point>) -> serde_json::Value {
    let (mut west, mut south, mut east, mut north) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
    for point in points {
        (west, south) = (west.min(point.x), south.min(point.y));
        (east, north) = (east.max(point.x), north.max(point.y));
    }
    let low = Point { x: west - MARGIN_METERS, y: south - MARGIN_METERS };
    let high = Point { x: east + MARGIN_METERS, y: north + MARGIN_METERS };
    let ring = [
        [low.lng(), low.lat()],
        [high.lng(), low.lat()],
        [high.lng(), high.lat()],
        [low.lng(), high.lat()],
        [low.lng(), low.lat()],
    ];
    json!({ "type": "Polygon", "coordinates": [ring] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_comes_back_from_the_globe_to_the_millimetre() {
        for point in [Point { x: 11_491.0, y: 2_806.0 }, Point { x: 0.0, y: 32_793.0 }] {
            let back = Point::of(point.lat(), point.lng());
            assert!(point.meters_to(back) < 0.001);
        }
    }

    #[test]
    fn the_area_holds_every_point_and_closes_its_ring() {
        let points = [Point { x: 11_000.0, y: 300.0 }, Point { x: 20.0, y: 9_000.0 }];
        let area = area_around(points.into_iter());
        let ring = area["coordinates"][0].as_array().unwrap();
        assert_eq!(ring.first(), ring.last());
        let (low, high) = (&ring[0], &ring[2]);
        for point in points {
            assert!(low[0].as_f64().unwrap() < point.lng() && point.lng() < high[0].as_f64().unwrap());
            assert!(low[1].as_f64().unwrap() < point.lat() && point.lat() < high[1].as_f64().unwrap());
        }
    }
}
