//! The dispatcher of a zone that plans routes: has plans made, and carries them out.

use std::collections::HashMap;
use std::sync::Arc;

use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::window::Window;
use posthaste_domain::zone::Policy;
use posthaste_domain::{Span, Timestamp};
use posthaste_matching::routed::input::{Intended, Whereabouts};
use posthaste_matching::routed::outcome::{IDLE_SECONDS, Step, Why};
use posthaste_protocol::words::RouteReason;
use posthaste_storage::decisions::NewDecision;
use posthaste_storage::journal::Entry;
use posthaste_storage::shadow::{Meant, NewPlan};
use ractor::ActorRef;
use serde_json::Value;

use super::{Dispatcher, DispatcherMsg};
use crate::drivers::{DriverMsg, PlannedRoute, PlannedStop};
use crate::zones::routed::{ZonePlan, input, solve};

/// An order on a planned route holds its driver's time at least this long.
const SHORTEST_HOLD_SECONDS: i64 = 60;
/// A driver is told again when a planned time has moved by more than this.
const TOLD_AGAIN_SECONDS: i64 = 60;

/// What the dispatcher of a zone that plans routes remembers; all of it can be made again.
#[derive(Default)]
pub(super) struct Plans {
    /// The plan that is being made, or the newest.
    generation: u64,
    solving: bool,
    /// There was news while a plan was being made.
    pub(super) again: bool,
    whereabouts: Whereabouts,
    intended: Intended,
    /// What each driver was told last.
    told: HashMap<DriverId, Vec<PlannedStop>>,
    /// When the next plan comes for those who have nothing to do.
    looks_at_the_idle: Option<Timestamp>,
}

impl Dispatcher {
    /// Starts a plan on a thread of its own, unless one is under way.
    pub(super) fn plan_routes(&self, myself: &ActorRef<DispatcherMsg>, state: &mut Plans) {
        if state.solving {
            state.again = true;
            return;
        }
        state.generation += 1;
        let now = self.doors.clock.now();
        let input = input(&self.cell, now, state.generation);
        let snapshot = input.snapshot(&mut state.whereabouts, &state.intended);
        if snapshot.is_empty() {
            state.intended.clear();
            return;
        }
        state.solving = true;
        let myself = myself.clone();
        crate::world::spawn(async move {
            let message = match tokio::task::spawn_blocking(move || solve(&snapshot)).await {
                Ok(plan) => DispatcherMsg::Planned(Box::new(plan)),
                Err(_) => DispatcherMsg::PlanLost,
            };
            let _ = myself.cast(message);
        });
    }

    /// Carries out a plan, as far as the world is still the one that it was made for.
    pub(super) fn carry_out(&self, state: &mut Plans, plan: ZonePlan) {
        state.solving = false;
        let ZonePlan { outcome: plan, mut reasons } = plan;
        if plan.generation != state.generation {
            return;
        }
        let now = self.doors.clock.now();
        tracing::debug!(
            zone = %self.cell.id,
            generation = plan.generation,
            offers = plan.steps.len(),
            waits = plan.waits.len(),
            moved = plan.moved.len(),
            "a plan of routes"
        );
        let in_shadow = self.cell.config.load().rules.shadow.is_some();
        let mut decided = Vec::new();
        for step in plan.steps {
            let detail = reasons.remove(&step.order).unwrap_or_default();
            let record = in_shadow.then(|| self.decided(&step, detail.clone(), plan.made_at));
            if self.offer(step, detail, now) {
                decided.extend(record);
            }
        }
        self.record_plans(decided);
        for (driver, stops) in plan.routes {
            self.tell_route(&mut state.told, driver, stops, plan.generation, plan.made_at);
        }
        {
            let work = self.cell.work.lock();
            state.told.retain(|driver, _| work.contains_key(driver));
        }
        state.intended = plan.intended;
        for (driver, standby) in plan.standby {
            let _ = self.doors.drivers.door.tell(driver, DriverMsg::Standby(standby));
        }
        self.look_at_the_idle(state, now);
        let mut records = Vec::new();
        for wait in plan.waits {
            let Why::Nobody(nobody) = wait.why else { continue };
            let detail = || reasons.remove(&wait.order).unwrap_or_default();
            records.extend(self.to_record(wait.order, nobody.summary, detail, now, false));
        }
        if !records.is_empty() {
            self.doors.journal.note(Entry::decisions(records));
        }
        if let Some(next) = plan.next {
            let cell = Arc::clone(&self.cell);
            self.doors.alarms.set(next, move || cell.dispatch(DispatcherMsg::Wake));
        }
    }

    /// Where idle drivers are sent ahead of work, a plan comes now and then even if nothing happens.
    fn look_at_the_idle(&self, state: &mut Plans, now: Timestamp) {
        let sends = self.cell.config.load().rules.send_ahead;
        if !sends || state.looks_at_the_idle.is_some_and(|at| at > now) {
            return;
        }
        let at = now + Span::seconds(IDLE_SECONDS);
        state.looks_at_the_idle = Some(at);
        let cell = Arc::clone(&self.cell);
        self.doors.alarms.set(at, move || cell.dispatch(DispatcherMsg::Wake));
    }

    /// A step as it is recorded beside what the policy in the shadow meant.
    fn decided(&self, step: &Step, detail: Value, at: Timestamp) -> NewPlan {
        NewPlan {
            order: step.order,
            zone: self.cell.id,
            at,
            policy: Policy::Routed,
            decided: true,
            meant: Some(Meant {
                driver: step.driver,
                offer_at: at,
                pickup_at: step.picked_up,
                dropoff_at: step.handed_over,
            }),
            summary: step.reasons.summary.clone(),
            detail,
        }
    }

    /// Asks a driver for an order that the plan gives them, if nobody was asked meanwhile; says whether they were.
    fn offer(&self, step: Step, detail: Value, now: Timestamp) -> bool {
        let view = {
            let mut waiting = self.cell.waiting.lock();
            let Some(entry) = waiting.get_mut(&step.order).filter(|w| w.asked.is_none()) else { return false };
            if self.doors.is_measured() {
                crate::metrics::dispatched(entry.noticed.elapsed());
            }
            entry.asked = Some((step.driver, std::time::Instant::now()));
            entry.view.clone()
        };
        let starts = step.leaves.max(now);
        let ends = step.handed_over.max(step.picked_up).max(starts + Span::seconds(SHORTEST_HOLD_SECONDS));
        let Ok(commitment) = Window::new(starts, ends) else { return false };
        let decision = NewDecision {
            order: step.order,
            driver: Some(step.driver),
            at: now,
            summary: step.reasons.summary,
            detail,
        };
        self.propose(&view, step.driver, commitment, Some(step.route), decision);
        true
    }

    /// Tells a driver their route when it is not what they were told, or its times are not.
    fn tell_route(
        &self,
        told: &mut HashMap<DriverId, Vec<PlannedStop>>,
        driver: DriverId,
        stops: Vec<PlannedStop>,
        generation: u64,
        made_at: Timestamp,
    ) {
        let Some(reason) = change(told.get(&driver).map_or(&[], Vec::as_slice), &stops) else { return };
        told.insert(driver, stops.clone());
        let route = Arc::new(PlannedRoute { generation, reason, made_at, stops });
        let _ = self.doors.drivers.door.tell(driver, DriverMsg::Route(route));
    }
}

/// Why a route is not what the driver was told, in the words of the socket protocol; nothing when it is.
fn change(told: &[PlannedStop], new: &[PlannedStop]) -> Option<RouteReason> {
    let has = |stops: &[PlannedStop], order: OrderId| stops.iter().any(|s| s.order == order);
    if new.iter().any(|s| !has(told, s.order)) {
        return Some(RouteReason::NewOrder);
    }
    let chosen = |stops: &[PlannedStop]| stops.iter().find(|s| s.chosen).map(|s| (s.order, s.kind));
    if chosen(new).is_some() && chosen(new) != chosen(told) {
        return Some(RouteReason::Chosen);
    }
    // What was done is gone from the new route, and no change.
    let mut left = told.iter().filter(|s| new.iter().any(|n| (n.order, n.kind) == (s.order, s.kind)));
    let in_order = new.iter().all(|n| left.next().is_some_and(|s| (s.order, s.kind) == (n.order, n.kind)));
    if !in_order {
        return Some(RouteReason::Resequenced);
    }
    let moved = |n: &PlannedStop| {
        let old = told.iter().find(|s| (s.order, s.kind) == (n.order, n.kind));
        old.is_none_or(|s| (s.at - n.at).abs() > Span::seconds(TOLD_AGAIN_SECONDS))
    };
    new.iter().any(moved).then_some(RouteReason::Times)
}

#[cfg(test)]
mod tests {
    use posthaste_domain::Timestamp;
    use posthaste_domain::ids::Id as _;
    use posthaste_domain::order::TaskKind::{self, Delivery, Pickup};
    use posthaste_protocol::words::RouteReason;

    use super::{OrderId, PlannedStop, Span, change};

    fn stop(order: u8, kind: TaskKind, minute: i64) -> PlannedStop {
        let order = OrderId::at(Timestamp::UNIX_EPOCH, [order; 10]);
        PlannedStop { order, kind, at: Timestamp::UNIX_EPOCH + Span::minutes(minute), chosen: false }
    }

    #[test]
    fn a_driver_is_told_why_their_route_is_another_and_nothing_when_it_is_not() {
        let told = [stop(1, Pickup, 1), stop(2, Pickup, 5), stop(1, Delivery, 9), stop(2, Delivery, 13)];
        assert_eq!(change(&[], &told), Some(RouteReason::NewOrder));
        assert_eq!(change(&told, &told), None);
        assert_eq!(change(&told, &told[1..]), None, "what is done is no change");
        assert_eq!(change(&told, &told[2..]), None);
        let more = [&told[..], &[stop(3, Pickup, 20), stop(3, Delivery, 30)]].concat();
        assert_eq!(change(&told, &more), Some(RouteReason::NewOrder));
        let mut other = told;
        other.swap(2, 3);
        assert_eq!(change(&told, &other), Some(RouteReason::Resequenced));
        other[2].chosen = true;
        assert_eq!(change(&told, &other), Some(RouteReason::Chosen));
        assert_eq!(change(&other, &other), None, "said once");
        let mut later = told;
        later[3].at += Span::seconds(60);
        assert_eq!(change(&told, &later), None, "a minute is nothing");
        later[3].at += Span::seconds(1);
        assert_eq!(change(&told, &later), Some(RouteReason::Times));
    }
}
