//! The checkpoint: the clock's reading, the newest positions, and the points of tracks since the last one.
//!
//! The three stand apart: none keeps another from being written. One statement holds many drivers, and what the database
//! will not take of one costs only them: the statement is halved until what is refused stands alone, and is left out.
//! What could not be written for another reason goes back into the slots, for the next checkpoint.

use posthaste_domain::{Span, Timestamp};
use posthaste_storage::StorageError;
use posthaste_storage::positions::Position;

use crate::system::Doors;

/// How many pauses between checkpoints the kept clock is ahead: a checkpoint may come late.
const CHECKPOINTS_AHEAD: f64 = 3.0;

/// Writes one checkpoint.
///
/// # Errors
///
/// The first of those for which something is left to the next one.
pub(crate) async fn write(doors: &Doors) -> Result<(), StorageError> {
    let clock = posthaste_storage::clock::save(&doors.pool, clock_horizon(doors)).await;
    let (mut newest, mut points) = (Vec::new(), Vec::new());
    for presence in doors.drivers.presences.iter() {
        let (position, track) = presence.take_dirty();
        newest.extend(position);
        points.extend(track);
    }
    let (later, newest) = Table::Newest.write(doors, newest).await;
    for position in later {
        if let Some(presence) = doors.drivers.presences.get(&position.driver) {
            presence.mark_dirty();
        }
    }
    let (later, tracks) = Table::Tracks.write(doors, points).await;
    for track in later.chunk_by(|a, b| a.driver == b.driver) {
        if let Some(presence) = doors.drivers.presences.get(&track[0].driver) {
            presence.put_back(track);
        }
    }
    clock?;
    newest.or(tracks).map_or(Ok(()), Err)
}

/// Where positions go.
#[derive(Debug, Clone, Copy)]
enum Table {
    Newest,
    Tracks,
}

impl Table {
    async fn statement(self, doors: &Doors, positions: &[Position]) -> Result<u64, StorageError> {
        match self {
            Self::Newest => posthaste_storage::positions::checkpoint(&doors.pool, positions).await,
            Self::Tracks => posthaste_storage::tracks::append(&doors.pool, positions).await,
        }
    }

    /// Writes what can be written; gives back what may be written later, in its order, and why it was not now.
    async fn write(self, doors: &Doors, positions: Vec<Position>) -> (Vec<Position>, Option<StorageError>) {
        let mut parts = vec![positions];
        let (mut later, mut why) = (Vec::new(), None);
        // The last part is the first in order: halves are put back in reverse.
        while let Some(mut part) = parts.pop() {
            let Err(error) = self.statement(doors, &part).await else { continue };
            if !error.is_about_values() {
                later.append(&mut part);
                later.extend(parts.drain(..).rev().flatten());
                why = Some(error);
            } else if let [position] = part[..] {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    table = ?self,
                    driver = %position.driver,
                    at = %position.at,
                    "a position that cannot be stored was left out"
                );
            } else {
                let second = part.split_off(part.len() / 2);
                parts.extend([second, part]);
            }
        }
        (later, why)
    }
}

/// An instant that no time handed out before the next checkpoint lies after: where the clock goes on after a crash. At
/// the machine's own pace that is the present, as the machine's clock goes on by itself.
fn clock_horizon(doors: &Doors) -> Timestamp {
    let (now, speed) = (doors.clock.now(), doors.clock.speed());
    if speed <= 1.0 {
        return now;
    }
    let ahead = doors.settings.checkpoint_every.mul_f64(CHECKPOINTS_AHEAD * speed);
    Span::from_std(ahead).map_or(now, |ahead| now + ahead)
}
