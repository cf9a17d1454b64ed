//! What a search has found out about an order and a driver: it holds until the driver's route changes, and a round
//! changes few.

use super::insert::Insertion;
use super::problem::{DriverIndex, OrderIndex};

/// Pairs of an order and a driver that are remembered, at most: some 100 MB. In larger problems nothing is.
const MOST: usize = 1 << 22;
/// In place of a drop-off's: nothing was found below the cost.
const NOWHERE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The route that it is about; 0 for none.
    version: u32,
    pickup_at: u32,
    dropoff_at: u32,
    cost: i64,
}

/// The cheapest place, or that there is none below a cost, for each order and driver.
#[derive(Debug)]
pub(super) struct Memory {
    drivers: usize,
    known: Vec<Known>,
}

impl Memory {
    /// Nothing known yet.
    pub(super) fn new(orders: usize, drivers: usize) -> Self {
        let pairs = orders * drivers;
        Self { drivers, known: if pairs <= MOST { vec![Known::default(); pairs] } else { Vec::new() } }
    }

    /// What is known about a route of this version: `None` when it has to be looked for, else the cheapest place below
    /// the limit, if there is one.
    #[inline]
    pub(super) fn recall(
        &self,
        order: OrderIndex,
        driver: DriverIndex,
        version: u32,
        limit: i64,
    ) -> Option<Option<Insertion>> {
        let known = self.known.get(order as usize * self.drivers + driver as usize)?;
        if known.version != version {
            return None;
        }
        if known.dropoff_at == NOWHERE {
            return (known.cost >= limit).then_some(None);
        }
        let (pickup_at, dropoff_at) = (known.pickup_at as usize, known.dropoff_at as usize);
        Some((known.cost < limit).then_some(Insertion { driver, pickup_at, dropoff_at, cost: known.cost }))
    }

    /// Remembers what was found below a limit.
    pub(super) fn note(
        &mut self,
        order: OrderIndex,
        driver: DriverIndex,
        version: u32,
        limit: i64,
        found: Option<Insertion>,
    ) {
        let Some(known) = self.known.get_mut(order as usize * self.drivers + driver as usize) else { return };
        #[expect(clippy::cast_possible_truncation, reason = "an index in a route")]
        let (pickup_at, dropoff_at, cost) =
            found.map_or((0, NOWHERE, limit), |f| (f.pickup_at as u32, f.dropoff_at as u32, f.cost));
        *known = Known { version, pickup_at, dropoff_at, cost };
    }
}
