//! Where a driver is: a latest-wins slot that his socket writes and everybody else reads when needed.

use posthaste_domain::Timestamp;
use posthaste_domain::ids::DriverId;
use posthaste_domain::place::Place;

/// One position from a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fix {
    /// Where.
    pub place: Place,
    /// The device's time.
    pub at: Timestamp,
    /// Degrees from north.
    pub heading_degrees: Option<f32>,
    /// Metres per second.
    pub speed_meters_per_second: Option<f32>,
    /// Radius of uncertainty in metres.
    pub accuracy_meters: Option<f32>,
}

/// A driver's slot.
pub struct Presence {
    driver: DriverId,
}

impl Presence {
    /// Whose it is.
    #[must_use]
    pub fn driver(&self) -> DriverId {
        self.driver
    }

    /// A sign of life without a position.
    pub fn heartbeat(&self) {
        todo!()
    }

    /// Takes a position: visible to dispatch and trackers when this returns. False when a newer one is known.
    pub fn report(&self, fix: Fix) -> bool {
        let _ = fix;
        todo!()
    }

    /// The newest position.
    #[must_use]
    pub fn newest(&self) -> Option<Fix> {
        todo!()
    }
}
