//! The roster: when drivers are planned to work.

use serde::{Deserialize, Serialize};

use crate::ids::{DriverId, ShiftId};
use crate::place::Place;
use crate::window::Window;
use crate::{Span, Timestamp, whole_micros};

/// A planned shift is at most this long, in hours.
pub const MOST_HOURS: i64 = 24;
/// A planned shift begins at most this many days ahead.
pub const MOST_DAYS_AHEAD: i64 = 400;

/// A shift that a driver is planned to work. Whether they do is another matter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PlannedShift {
    /// The shift.
    pub id: ShiftId,
    /// Whose it is.
    pub driver: DriverId,
    /// From its start to its end. Two of a driver never overlap.
    pub during: Window,
    /// Where they start.
    pub place: Option<Place>,
    /// When it was planned.
    pub created_at: Timestamp,
}

/// Why a shift cannot be planned so: the field, and what is wrong with it.
pub type WrongShift = (&'static str, String);

/// The time of a planned shift, checked.
///
/// # Errors
/// What is wrong with it.
pub fn planned(start: Timestamp, end: Timestamp, now: Timestamp) -> Result<Window, WrongShift> {
    // As exact as Postgres keeps it, so that it reads back as it was answered.
    let (start, end) = (whole_micros(start), whole_micros(end));
    let Ok(during) = Window::new(start, end) else { return Err(("end", "must be after start".to_owned())) };
    if end <= now {
        return Err(("end", "is past".to_owned()));
    }
    if end - start > Span::hours(MOST_HOURS) {
        return Err(("end", format!("must be within {MOST_HOURS} hours of start")));
    }
    if start > now + Span::days(MOST_DAYS_AHEAD) {
        return Err(("start", format!("must be within {MOST_DAYS_AHEAD} days")));
    }
    Ok(during)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_planned_forwards_and_for_no_longer_than_a_day() {
        let at = |hour| Timestamp::UNIX_EPOCH + Span::hours(hour);
        let field = |start, end| planned(at(start), at(end), at(10)).map_err(|(field, _)| field);
        assert_eq!(field(9, 17), Ok(Window::new(at(9), at(17)).unwrap()));
        assert_eq!(field(17, 17), Err("end"));
        assert_eq!(field(2, 10), Err("end"));
        assert_eq!(field(12, 37), Err("end"));
        assert_eq!(field(24 * 402, 24 * 402 + 8), Err("start"));
    }
}
