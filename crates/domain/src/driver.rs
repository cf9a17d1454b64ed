//! A driver: what they can carry, whom they serve, and whether they are on shift.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{DriverId, RegionId, TaskId, ZoneId};
use crate::order::Speed;

/// What the driver moves with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vehicle {
    /// On foot.
    Foot,
    /// Bicycle.
    Bicycle,
    /// Scooter or motorbike.
    Motorbike,
    /// Car.
    Car,
    /// Van.
    Van,
}

impl Vehicle {
    /// Every vehicle.
    pub const ALL: [Self; 5] = [Self::Foot, Self::Bicycle, Self::Motorbike, Self::Car, Self::Van];
}

/// Whether the driver takes work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Shift {
    /// Not working.
    #[default]
    Offline,
    /// Taking work.
    Available {
        /// When the driver means to stop: no pickup is planned after it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Working, not taking new work for now.
    OnBreak {
        /// When the driver means to stop.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
}

impl Shift {
    /// Whether new work may be offered.
    #[must_use]
    pub fn takes_work(self) -> bool {
        matches!(self, Self::Available { .. })
    }

    /// Whether the driver is at work at all.
    #[must_use]
    pub fn is_on(self) -> bool {
        !matches!(self, Self::Offline)
    }

    /// The planned end of the shift.
    #[must_use]
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::Offline => None,
            Self::Available { until } | Self::OnBreak { until } => until,
        }
    }

    /// The state's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Available { .. } => "available",
            Self::OnBreak { .. } => "on_break",
        }
    }

    /// What a driver asks for, checked against the present state.
    ///
    /// A change to the present state is fine and changes nothing; a break is only taken from work; a
    /// shift cannot end in the past. Orders in hand do not hold a driver on shift: going offline
    /// stops new work, and what was assigned is still carried to the door.
    pub fn decide(self, wanted: Self, now: Timestamp) -> Result<Option<Self>, ShiftRefused> {
        if let Some(until) = wanted.until()
            && until <= now
        {
            return Err(ShiftRefused::EndsInThePast { until });
        }
        match (self, wanted) {
            (Self::Offline, Self::OnBreak { .. }) => Err(ShiftRefused::NotOnShift),
            (present, wanted) if present == wanted => Ok(None),
            (_, wanted) => Ok(Some(wanted)),
        }
    }
}

/// A shift change that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ShiftRefused {
    /// A break needs a shift.
    #[error("a break can only be taken on shift")]
    NotOnShift,
    /// The planned end lies in the past.
    #[error("the shift would end at {until}, which is past")]
    EndsInThePast {
        /// The end that was asked for.
        until: Timestamp,
    },
}

/// A driver as registered. The live position and the calendar are not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// The driver.
    pub id: DriverId,
    /// The name customers see.
    pub name: String,
    /// The vehicle.
    pub vehicle: Vehicle,
    /// How many units of size fit at once.
    pub capacity: u32,
    /// The zones they serve.
    pub zones: Vec<ZoneId>,
    /// The speeds they serve.
    pub speeds: Vec<Speed>,
    /// Shift.
    pub shift: Shift,
    /// The stop that they said they do next. It counts while it is open and theirs; what it was before means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_task: Option<TaskId>,
    /// The region of all of these zones.
    pub region: RegionId,
    /// When they were registered.
    pub created_at: Timestamp,
    /// Counts the changes of this record.
    pub version: u64,
}

impl Driver {
    /// What a driver is called who is gone for good and was forgotten.
    pub const FORGOTTEN: &str = "former driver";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    #[test]
    fn a_break_needs_a_shift() {
        let refused = Shift::Offline.decide(Shift::OnBreak { until: None }, now());
        assert_eq!(refused, Err(ShiftRefused::NotOnShift));
    }

    #[test]
    fn asking_for_the_present_state_changes_nothing() {
        let on = Shift::Available { until: Some(now() + Span::hours(4)) };
        assert_eq!(on.decide(on, now()), Ok(None));
        assert_eq!(on.decide(Shift::Offline, now()), Ok(Some(Shift::Offline)));
    }

    #[test]
    fn a_shift_cannot_end_in_the_past() {
        let wanted = Shift::Available { until: Some(now()) };
        assert_eq!(Shift::Offline.decide(wanted, now()), Err(ShiftRefused::EndsInThePast { until: now() }));
    }
}
