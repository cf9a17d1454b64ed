//! What the plan before intended, as far as it still can be: a new plan starts from there.

use posthaste_domain::Span;
use posthaste_domain::order::TaskKind;

use super::builder::Builder;
use crate::routed::problem::DriverIndex;
use crate::routed::{Act, Vehicle};
use crate::views::DriverView;

impl Builder<'_> {
    /// Puts the hand-overs that come after what the driver is locked to into the sequence that the last plan had. What it
    /// does not know, as after a restart, goes where its door lies least out of the way.
    pub(super) fn as_intended(&self, view: &DriverView, route: &mut Vec<Act>, driver: &Vehicle) {
        let intended = self.intended.get(&view.id).map_or(&[][..], Vec::as_slice);
        let meant = |act: &Act| {
            let order = self.orders[act.order() as usize];
            intended.iter().position(|known| *known == (order, TaskKind::Delivery))
        };
        let place = |act: &Act| {
            let order = &self.jobs[act.order() as usize];
            let index = if matches!(act, Act::Pickup(_)) { order.last_pickup } else { order.dropoff };
            self.places.all[index as usize]
        };
        let tail = route.split_off(driver.locked_acts as usize);
        let start = route.last().map_or(view.place, place);
        let (mut known, unknown): (Vec<Act>, Vec<Act>) = tail.into_iter().partition(|act| meant(act).is_some());
        known.sort_by_key(meant);
        for act in unknown {
            let here = place(&act);
            let detour = |at: usize| {
                let from = if at == 0 { start } else { place(&known[at - 1]) };
                let on = known.get(at).map(place);
                let back = on.map_or(Span::zero(), |on| self.way(here, on) - self.way(from, on));
                self.way(from, here) + back
            };
            let at = (0..=known.len()).min_by_key(|at| detour(*at)).unwrap_or(0);
            known.insert(at, act);
        }
        route.extend(known);
    }

    /// Puts what was planned before onto the routes, as far as it still is to be done.
    pub(super) fn put_intended(&mut self) {
        let mut placed: Vec<bool> = vec![false; self.orders.len()];
        for act in self.routes.iter().flatten() {
            placed[act.order() as usize] = true;
        }
        for (d, driver) in self.drivers.iter().enumerate() {
            let Some(acts) = self.intended.get(driver) else { continue };
            let mine = DriverIndex::try_from(d).unwrap_or(DriverIndex::MAX);
            let mut route = Vec::new();
            for (order, kind) in acts {
                let Some(number) = self.index.get(order).copied() else { continue };
                let may = self.jobs[number as usize].pinned.is_none_or(|p| p == mine)
                    && !self.jobs[number as usize].barred.contains(&mine);
                if !may || placed[number as usize] {
                    continue;
                }
                route.push(if *kind == TaskKind::Pickup { Act::Pickup(number) } else { Act::Dropoff(number) });
            }
            // Only what has both its acts.
            let whole =
                |act: &Act| route.contains(&Act::Pickup(act.order())) && route.contains(&Act::Dropoff(act.order()));
            let whole: Vec<Act> = route.iter().copied().filter(whole).collect();
            self.routes[d].extend(whole);
        }
    }
}
