//! How a replay goes, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use posthaste_client::Counters;
use posthaste_domain::order::Status;

use crate::server_clock::ServerClock;
use crate::status_line::Progress;
use posthaste_backtest::trace::{TraceRow, minute_of};

/// Errors kept in words.
const MOST_ERRORS: usize = 20;

/// Counts of a running replay. Shared with whoever wants to watch.
#[derive(Debug, Default)]
pub struct ReplayStats {
    pub(crate) orders: AtomicU64,
    pub(crate) placed: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) declined: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) released: AtomicU64,
    pub(crate) picked_up: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) on_duty: AtomicU64,
    pub(crate) sockets: Arc<Counters>,
    /// Microseconds of real time that a pickup's answer took lately: the slowest, fading.
    answer_micros: AtomicU64,
    errors: AtomicU64,
    first_errors: Mutex<Vec<String>>,
    clock: Mutex<Option<(ServerClock, posthaste_domain::Timestamp)>>,
}

impl ReplayStats {
    pub(crate) fn begin(&self, clock: ServerClock, minute_zero: posthaste_domain::Timestamp, orders: usize) {
        *self.clock.lock() = Some((clock, minute_zero));
        self.orders.store(orders as u64, Ordering::Relaxed);
    }

    /// Notes how long an answer took.
    pub(crate) fn answered_after(&self, real: Duration) {
        let micros = u64::try_from(real.as_micros()).unwrap_or(u64::MAX);
        let fading = |known: u64| Some(micros.max(known - known / 8));
        // The closure never gives up, so there is always an update.
        let _ = self.answer_micros.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fading);
    }

    /// How long an answer may take, by those before it.
    pub(crate) fn slow_answer(&self) -> Duration {
        Duration::from_micros(self.answer_micros.load(Ordering::Relaxed))
    }

    /// Notes something that should not happen.
    pub(crate) fn error(&self, what: &str, error: &dyn fmt::Display) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let text = format!("{what}: {error}");
        tracing::warn!(%text, "replay");
        let mut kept = self.first_errors.lock();
        if kept.len() < MOST_ERRORS {
            kept.push(text);
        }
    }

    /// How many things went wrong so far.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// The first of them in words.
    #[must_use]
    pub fn first_errors(&self) -> Vec<String> {
        self.first_errors.lock().clone()
    }
}

pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Progress for ReplayStats {
    fn line(&self) -> String {
        let n = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let minute = match &*self.clock.lock() {
            Some((clock, zero)) => minute_of(clock.now(), *zero),
            None => return "setting up".to_owned(),
        };
        let sockets = self.sockets.read();
        format!(
            "minute {minute:.0} · placed {}/{} · assigned {} · on board {} · delivered {} · couriers {} · reconnects {} · errors {}",
            n(&self.placed),
            n(&self.orders),
            n(&self.accepted),
            n(&self.picked_up).saturating_sub(n(&self.delivered)),
            n(&self.delivered),
            n(&self.on_duty),
            sockets.reconnects,
            self.errors(),
        )
    }
}

/// What came of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayReport {
    /// The day's directory name.
    pub instance: String,
    /// Orders of the day.
    pub orders: usize,
    /// Orders by the status they ended in. Those still waiting at the end of the day were canceled.
    pub by_status: BTreeMap<Status, usize>,
    /// Orders that the server did not take.
    pub not_placed: usize,
    /// Mean minutes from placement to the door, over delivered orders.
    pub click_to_door_mean: f64,
    /// Its 90th percentile.
    pub click_to_door_p90: f64,
    /// Mean minutes from ready to pickup, over delivered orders.
    pub ready_to_pickup_mean: f64,
    /// Offers declined because the pickup would have come after the end of the shift.
    pub declined: u64,
    /// Offers that were gone when the answer came.
    pub missed: u64,
    /// Orders given back because the pickup would have come after the end of the shift.
    pub released: u64,
    /// Sockets that were made again.
    pub reconnects: u64,
    /// Things that should not have happened.
    pub errors: u64,
    /// The first of them in words.
    pub first_errors: Vec<String>,
    /// Product seconds per real second.
    pub speed: f64,
    /// How long it took here.
    pub elapsed: Duration,
    /// Where the trace is.
    pub trace_file: PathBuf,
}

impl ReplayReport {
    /// Whether every order is in a final status.
    #[must_use]
    pub fn all_accounted_for(&self) -> bool {
        let settled: usize = self.by_status.iter().filter(|(status, _)| status.is_final()).map(|(_, n)| n).sum();
        settled + self.not_placed == self.orders && self.not_placed == 0
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        writeln!(f, "{}: {} orders at {} times real time in {seconds:.0} s", self.instance, self.orders, self.speed)?;
        let statuses: Vec<_> = self.by_status.iter().map(|(status, n)| format!("{} {n}", status.name())).collect();
        writeln!(f, "  {}", statuses.join(", "))?;
        if self.not_placed > 0 {
            writeln!(f, "  not placed: {}", self.not_placed)?;
        }
        writeln!(
            f,
            "  click to door: mean {:.2} min, p90 {:.2} min; ready to pickup: mean {:.2} min",
            self.click_to_door_mean, self.click_to_door_p90, self.ready_to_pickup_mean
        )?;
        writeln!(
            f,
            "  declined {}, missed {}, given back {}, reconnects {}, errors {}",
            self.declined, self.missed, self.released, self.reconnects, self.errors
        )?;
        for error in &self.first_errors {
            writeln!(f, "    {error}")?;
        }
        write!(f, "  trace: {}", self.trace_file.display())
    }
}

/// Mean and 90th percentile (linear between ranks); zero for none.
#[must_use]
pub fn mean_and_p90(mut values: Vec<f64>) -> (f64, f64) {
    if values.is_empty() {
        return (0.0, 0.0);
    }
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a count of orders")]
    let (count, rank) = (values.len() as f64, (values.len() - 1) as f64 * 0.9);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the list")]
    let low = rank.floor() as usize;
    let high = (low + 1).min(values.len() - 1);
    let p90 = values[low] + (values[high] - values[low]) * (rank - rank.floor());
    (values.iter().sum::<f64>() / count, p90)
}

/// Click to door and ready to pickup of the delivered orders, in minutes: `times` gives placement and ready.
pub(crate) fn spans(rows: &[TraceRow], times: impl Fn(&str) -> Option<(f64, f64)>) -> (Vec<f64>, Vec<f64>) {
    rows.iter()
        .filter_map(|row| {
            let (placed, ready) = times(&row.order)?;
            Some((row.delivered_at - placed, row.picked_up_at - ready))
        })
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_lies_between_its_ranks() {
        let (mean, p90) = mean_and_p90((1..=11).map(f64::from).collect());
        assert!((mean - 6.0).abs() < 1e-9 && (p90 - 10.0).abs() < 1e-9);
        assert_eq!(mean_and_p90(Vec::new()), (0.0, 0.0));
    }
}
