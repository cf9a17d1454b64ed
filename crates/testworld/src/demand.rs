//! How many test drivers a zone needs.

use posthaste_live::zones::ZoneBoard;

/// Test drivers of one zone at most: what one process can carry on the side. More orders than they can take wait.
pub(crate) const MOST_IN_ZONE: usize = 20;

/// How many more are to come on shift: one for each order that waits and finds nobody free. Who was asked and said no is
/// free too: an order that nobody is to take calls nobody.
pub(crate) fn missing(board: &ZoneBoard) -> usize {
    let on_shift = board.drivers_total;
    let free = board.drivers.iter().filter(|driver| driver.open_orders == 0).count();
    board.waiting_total.saturating_sub(free).min(MOST_IN_ZONE.saturating_sub(on_shift))
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_domain::driver::Shift;
    use posthaste_domain::ids::{DriverId, Id};
    use posthaste_domain::place::Place;
    use posthaste_live::zones::DriverOnBoard;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn board(loads: &[u32], waiting: usize) -> ZoneBoard {
        let driver = |open_orders: &u32| DriverOnBoard {
            id: DriverId::from_uuid(Uuid::nil()),
            shift: Shift::Available { until: None },
            stale: false,
            open_orders: *open_orders,
            committed_seconds: 0,
            place: Place::new(0.0, 0.0).unwrap(),
        };
        ZoneBoard {
            drivers_total: loads.len(),
            waiting_total: waiting,
            drivers: loads.iter().map(driver).collect(),
            waiting: Vec::new(),
        }
    }

    #[test]
    fn one_comes_for_each_order_that_finds_nobody_free() {
        assert_eq!(missing(&board(&[], 0)), 0);
        assert_eq!(missing(&board(&[], 3)), 3);
        assert_eq!(missing(&board(&[1, 0], 3)), 2);
        assert_eq!(missing(&board(&[0, 0], 1)), 0);
        assert_eq!(missing(&board(&[], 500)), MOST_IN_ZONE);
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_may_be(loads in prop::collection::vec(0..3u32, 0..=MOST_IN_ZONE), waiting in 0..1000usize) {
            let missing = missing(&board(&loads, waiting));
            prop_assert!(loads.len() + missing <= MOST_IN_ZONE);
            prop_assert!(missing <= waiting);
        }
    }
}
