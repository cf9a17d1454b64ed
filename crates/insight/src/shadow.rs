//! Two policies on the same orders: the one that decides, and the one in its shadow.
//!
//! Of the deciding policy the first plan of an order counts, as the world went on from there; of the policy in the
//! shadow the last, which is the one that it would have acted on.

use std::collections::HashMap;

use posthaste_domain::ids::{DriverId, OrderId};
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::shadow::ShadowFigures;

use crate::durations::durations;

/// Planned hand-overs closer than this are the same.
const SAME: Span = Span::minutes(1);

/// Who was meant for an order, and when they were to hand it over.
pub type Meant = (DriverId, Timestamp);

#[derive(Default)]
struct Pair {
    decided: Option<Meant>,
    shadow: Option<Meant>,
    placed_at: Timestamp,
    delivered_at: Option<Timestamp>,
}

/// Plans of both, told in the order in which they were made.
#[derive(Default)]
pub struct Comparison {
    orders: HashMap<OrderId, Pair>,
}

impl Comparison {
    /// What the deciding policy (`decided`) or the one in the shadow planned for an order.
    pub fn plan(
        &mut self,
        order: OrderId,
        decided: bool,
        meant: Option<Meant>,
        placed_at: Timestamp,
        delivered_at: Option<Timestamp>,
    ) {
        let pair = self.orders.entry(order).or_default();
        (pair.placed_at, pair.delivered_at) = (placed_at, delivered_at);
        if decided {
            pair.decided = pair.decided.or(meant);
        } else {
            pair.shadow = meant;
        }
    }

    /// The figures.
    #[must_use]
    pub fn finish(self) -> ShadowFigures {
        let mut figures = ShadowFigures { orders: self.orders.len() as u64, ..ShadowFigures::default() };
        let (mut as_decided, mut in_shadow, mut as_it_was) = (Vec::new(), Vec::new(), Vec::new());
        for pair in self.orders.into_values() {
            let (decided, shadow) = match (pair.decided, pair.shadow) {
                (Some(decided), Some(shadow)) => (decided, shadow),
                (one, other) => {
                    figures.only_decided += u64::from(one.is_some());
                    figures.only_shadow += u64::from(other.is_some());
                    continue;
                }
            };
            figures.compared += 1;
            figures.same_driver += u64::from(decided.0 == shadow.0);
            figures.sooner_in_shadow += u64::from(decided.1 - shadow.1 >= SAME);
            figures.later_in_shadow += u64::from(shadow.1 - decided.1 >= SAME);
            as_decided.push(decided.1 - pair.placed_at);
            in_shadow.push(shadow.1 - pair.placed_at);
            as_it_was.extend(pair.delivered_at.map(|at| at - pair.placed_at));
        }
        figures.decided_click_to_door = durations(as_decided);
        figures.shadow_click_to_door = durations(in_shadow);
        figures.delivered_click_to_door = durations(as_it_was);
        figures
    }
}

#[cfg(test)]
mod tests {
    use posthaste_domain::ids::Id;

    use super::*;

    fn order(n: u128) -> OrderId {
        OrderId::from_uuid(uuid::Uuid::from_u128(n))
    }

    fn meant(driver: u128, minute: i64) -> Option<Meant> {
        Some((DriverId::from_uuid(uuid::Uuid::from_u128(driver)), at(minute)))
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Span::minutes(minute)
    }

    #[test]
    fn the_first_decision_and_the_last_thought_count() {
        let mut told = Comparison::default();
        told.plan(order(1), false, meant(7, 30), at(0), None);
        told.plan(order(1), true, meant(8, 25), at(0), None);
        told.plan(order(1), false, meant(8, 20), at(0), None);
        told.plan(order(1), true, meant(9, 60), at(0), Some(at(26)));
        let figures = told.finish();
        assert_eq!((figures.orders, figures.compared, figures.same_driver), (1, 1, 1));
        assert_eq!((figures.sooner_in_shadow, figures.later_in_shadow), (1, 0));
        let minutes = |d: Option<posthaste_protocol::insight::Durations>| d.map(|d| d.mean_seconds / 60);
        assert_eq!(minutes(figures.decided_click_to_door), Some(25));
        assert_eq!(minutes(figures.shadow_click_to_door), Some(20));
        assert_eq!(minutes(figures.delivered_click_to_door), Some(26));
    }

    #[test]
    fn an_order_with_a_driver_on_one_side_only_is_counted_apart() {
        let mut told = Comparison::default();
        told.plan(order(1), false, None, at(0), None);
        told.plan(order(1), true, meant(1, 10), at(0), None);
        told.plan(order(2), false, meant(1, 10), at(0), None);
        told.plan(order(3), false, None, at(0), None);
        let figures = told.finish();
        assert_eq!((figures.orders, figures.compared), (3, 0));
        assert_eq!((figures.only_decided, figures.only_shadow), (1, 1));
        assert_eq!(figures.decided_click_to_door, None);
    }

    #[test]
    fn less_than_a_minute_is_the_same() {
        let mut told = Comparison::default();
        let (driver, handed_over) = meant(1, 10).unwrap();
        told.plan(order(1), true, Some((driver, handed_over)), at(0), None);
        told.plan(order(1), false, Some((driver, handed_over + Span::seconds(59))), at(0), None);
        told.plan(order(2), true, Some((driver, handed_over)), at(0), None);
        told.plan(order(2), false, Some((driver, handed_over + Span::seconds(60))), at(0), None);
        let figures = told.finish();
        assert_eq!((figures.sooner_in_shadow, figures.later_in_shadow), (0, 1));
    }
}
