//! Positions that a device collected, handed in together.

use std::sync::Arc;

use posthaste_domain::Span;
use posthaste_domain::ids::DriverId;
use posthaste_domain::position::{Reason, Report, Taken};
use posthaste_storage::positions::Position;
use serde::{Deserialize, Serialize};

use super::Drivers;
use crate::Refused;
use crate::metrics::PositionTally;
use crate::presence::Fix;

/// Positions in one batch at most.
pub const MOST_POSITIONS: usize = 500;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Whether anything of it was new: the driver moved, or the track has more.
    pub changed: bool,
    /// How each was taken, in the order in which they were given.
    pub taken: Vec<Taken>,
    /// By how much the device's clock is behind ours (negative: ahead), where it is off by more than half a minute.
    pub clock_behind: Option<Span>,
}

impl Drivers {
    /// Stores positions that a device collected, in any order; answered when they are in Postgres. None stands for one
    /// whose place is none. The newest that is believed becomes the present position if it is newer than what is known,
    /// older ones are kept for the track; an odd one costs only itself.
    pub async fn positions(&self, id: DriverId, given: &[Option<Report>]) -> Result<Received, Refused> {
        let presence = self.presence(id).await?;
        let doors = self.doors()?;
        let now = doors.clock.now();
        let mut order: Vec<usize> = (0..given.len()).filter(|n| given[*n].is_some()).collect();
        // One without a time counts as now. Of several at one time the last that was given counts.
        order.sort_by_key(|n| given[*n].map(|report| report.at.map_or((true, now), |at| (false, at))));
        let batch: Vec<Report> = order.iter().filter_map(|n| given[*n]).collect();

        let weighed = presence.weigh(&batch, now);
        // A batch that is sent again has the same points.
        let point = |(report, taken): (&Report, &Taken)| match *taken {
            Taken::Believed { measured: at, .. } | Taken::Kept { at } => Some(Fix::new(report, at).position(id, now)),
            Taken::LeftOut(_) => None,
        };
        let points: Vec<Position> = batch.iter().zip(&weighed).filter_map(point).collect();
        let newest = |(report, taken): (&Report, &Taken)| match *taken {
            Taken::Believed { at, .. } => Some(Fix::new(report, at).position(id, now)),
            _ => None,
        };
        let newest = batch.iter().zip(&weighed).rev().find_map(newest);
        let (slot, carried) = (Arc::clone(&presence), doors.carried.clone());
        let storing = async move {
            let new = posthaste_storage::tracks::append(&doors.pool, &points).await?;
            if let Some(newest) = newest {
                posthaste_storage::positions::checkpoint(&doors.pool, &[newest]).await?;
            }
            Ok((new, slot.stored(&batch, now)))
        };
        let (new, (in_order, clock_behind)) = carried.through(storing).await?;
        let is_moved = in_order.iter().any(|taken| matches!(taken, Taken::Believed { .. }));
        let mut taken = vec![Taken::LeftOut(Reason::NotAPlace); given.len()];
        order.into_iter().zip(&in_order).for_each(|(n, how)| taken[n] = *how);
        let mut tally = PositionTally::default();
        taken.iter().for_each(|taken| tally.add(*taken));
        presence.count(&tally);
        Ok(Received { changed: new > 0 || is_moved, taken, clock_behind })
    }
}
