//! The plane of a recorded day and the globe: near latitude 0, longitude 0, where one degree is as long both ways.

/// Metres in a degree, as the server's plane distance has it.
pub const METERS_PER_DEGREE: f64 = 111_320.0;

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
}
