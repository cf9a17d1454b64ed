//! What the roster says of drivers: when shifts end, and who comes soon.

use std::collections::HashSet;

use posthaste_domain::driver::Shift;
use posthaste_domain::ids::DriverId;
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::VehicleSpeed;

use super::{DriverInput, RosteredShift};
use crate::views::DriverView;

/// Drivers whose planned shifts begin within this many seconds are planned for.
const ROSTER_AHEAD_SECONDS: i64 = 1_800;

/// Where the shift of a driver at work has no end of its own, it ends as planned.
pub(super) fn end_as_planned(drivers: &mut [DriverInput], roster: &[RosteredShift], now: Timestamp) {
    for DriverInput { view, .. } in drivers {
        if let Shift::Available { until: until @ None } = &mut view.shift {
            let running = |shift: &&RosteredShift| shift.driver == view.id && shift.during.contains(now);
            *until = roster.iter().find(running).map(|shift| shift.during.end());
        }
    }
}

/// Drivers whose planned shifts begin soon, as they will be, and when that is: those of whom it is known where. Who
/// should have come and has not is not reckoned with.
pub(super) fn coming(
    roster: &[RosteredShift],
    drivers: &[DriverInput],
    now: Timestamp,
) -> Vec<(DriverView, Timestamp)> {
    let at_work: HashSet<DriverId> = drivers.iter().filter(|d| d.view.shift.is_on()).map(|d| d.view.id).collect();
    let soon = now + Span::seconds(ROSTER_AHEAD_SECONDS);
    let begins = |shift: &&RosteredShift| shift.during.start() > now && shift.during.start() <= soon;
    let mut coming: Vec<(DriverView, Timestamp)> = roster
        .iter()
        .filter(|shift| begins(shift) && !at_work.contains(&shift.driver))
        .filter_map(|shift| {
            let view = DriverView {
                id: shift.driver,
                place: shift.place?,
                shift: Shift::Available { until: Some(shift.during.end()) },
                stale: false,
                vehicle: VehicleSpeed::default(),
                fast: shift.fast,
                slow: shift.slow,
                capacity: shift.capacity,
                open_orders: 0,
                commitments: Vec::new(),
            };
            Some((view, shift.during.start()))
        })
        .collect();
    coming.sort_by_key(|(view, start)| (*start, view.id));
    let mut known = HashSet::new();
    coming.retain(|(view, _)| known.insert(view.id));
    coming
}
