//! A recorded day under a policy, in virtual time: what a server and its couriers would do, without sockets and
//! without waiting.
//!
//! The rules are those of the public instances: whole minutes of travel, half of a service before its moment and half
//! after, an order known at its placement with its ready time, no diversion under way. `docs/recorded-days.md` has
//! them in full.
//!
//! - [`world`]: the day as far as it has gone; `views`: as the product's policies see it. [`policy`]: who decides.
//! - [`least_busy`], [`routed`]: the policies of these names. [`named`]: a policy from its name.

pub mod least_busy;
pub mod named;
pub mod policy;
pub mod routed;
mod views;
pub mod world;

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use posthaste_matching::routed::Second;

use crate::instance::Instance;
use crate::trace::TraceRow;
use policy::Policy;
use world::World;

/// Seconds between two looks at the world, unless a policy wants one sooner. The instances count in minutes, so nothing
/// happens between.
pub const TICK: Second = 60;
/// Seconds that drops may take after the last shift has ended.
const LAST_DROPS: Second = 4 * 3600;

/// What came of a day.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// One row per delivered order.
    pub rows: Vec<TraceRow>,
    /// Orders of the day.
    pub orders: usize,
    /// Passes of the policy.
    pub passes: u32,
    /// Processor time of the passes (they run on one thread): their sum.
    pub solving: Duration,
    /// Processor time of the longest pass.
    pub slowest: Duration,
}

/// Plays a day. `progress` is told the minute of the day, and how many orders are delivered, every hour.
pub fn simulate(day: &Instance, policy: &mut dyn Policy, progress: &mut dyn FnMut(Second, usize)) -> Outcome {
    let mut world = World::new(day);
    let (mut passes, mut solving, mut slowest) = (0, Duration::ZERO, Duration::ZERO);
    let (first, last) = (world.first_placement(), world.last_shift_end() + LAST_DROPS);
    let (mut now, mut next) = (first, None);
    while now <= last && !world.is_over() {
        // What waits is looked at again even if nothing happens, as at a server.
        let mut news = world.advance(now) || next.is_some_and(|at| at <= now) || world.has_waiting();
        loop {
            let mut accepted = false;
            if news {
                let started = processor_time();
                let decision = policy.decide(&world);
                let took = processor_time().saturating_sub(started);
                (passes, solving, slowest) = (passes + 1, solving + took, slowest.max(took));
                next = decision.next.filter(|at| *at > now);
                accepted = world.follow(decision);
            }
            // That somebody accepted or left is news.
            news = world.leave() || accepted;
            if !news {
                break;
            }
        }
        if now % 3600 == 0 {
            progress(now / 60, world.delivered());
        }
        let tick = first + ((now - first) / TICK + 1) * TICK;
        now = next.map_or(tick, |at| at.min(tick));
    }
    Outcome { rows: world.rows(), orders: day.orders.len(), passes, solving, slowest }
}

/// Processor time of this thread so far: whatever else the machine does, a pass costs the same.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
