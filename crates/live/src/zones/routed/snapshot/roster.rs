//! What the roster says of drivers: when shifts end, and who comes soon.

use std::collections::HashSet;

use posthaste_domain::driver::Shift;
use posthaste_domain::ids::DriverId;
use posthaste_domain::order::Speed;
use posthaste_domain::{Span, Timestamp};
use posthaste_geography::VehicleSpeed;
use posthaste_matching::DriverView;

use crate::drivers::Rostered;
use crate::zones::cell::ZoneCell;

/// Drivers whose planned shifts begin within this many seconds are planned for.
const ROSTER_AHEAD_SECONDS: i64 = 1_800;

/// Where the shift of a driver at work has no end of its own, it ends as planned.
pub(super) fn end_as_planned(views: &mut [DriverView], cell: &ZoneCell, now: Timestamp) {
    let roster = cell.roster.lock();
    for view in views.iter_mut() {
        if let Shift::Available { until: until @ None } = &mut view.shift {
            let running = |r: &&Rostered| r.shift.driver == view.id && r.shift.during.contains(now);
            *until = roster.values().find(running).map(|r| r.shift.during.end());
        }
    }
}

/// Drivers whose planned shifts begin soon, as they will be, and when that is: those of whom it is known where. Who
/// should have come and has not is not reckoned with. What is over leaves the roster.
pub(super) fn coming(cell: &ZoneCell, now: Timestamp) -> Vec<(DriverView, Timestamp)> {
    let mut roster = cell.roster.lock();
    roster.retain(|_, r| r.shift.during.end() > now);
    let board = cell.board.lock();
    let at_work: HashSet<DriverId> = board.drivers().filter(|d| d.shift.is_on()).map(|d| d.id).collect();
    drop(board);
    let soon = now + Span::seconds(ROSTER_AHEAD_SECONDS);
    let begins = |r: &&Rostered| r.shift.during.start() > now && r.shift.during.start() <= soon;
    let mut coming: Vec<(DriverView, Timestamp)> = roster
        .values()
        .filter(|r| begins(r) && !at_work.contains(&r.shift.driver))
        .filter_map(|Rostered { driver, shift }| {
            let view = DriverView {
                id: driver.id,
                place: shift.place?,
                shift: Shift::Available { until: Some(shift.during.end()) },
                stale: false,
                vehicle: VehicleSpeed::default(),
                fast: driver.speeds.contains(&Speed::Fast),
                slow: driver.speeds.contains(&Speed::Slow),
                capacity: driver.capacity,
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
