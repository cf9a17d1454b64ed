//! What is known of a device's clock: by how much it is behind ours.
//!
//! A position was measured before it arrived, so what a clock is behind by is at most what lies between: the smallest seen
//! is nearest to the truth. A position that comes alone was measured just now, as far as anybody knows, and teaches at
//! once; a batch may have waited in a tunnel. Times that do not fit what was learned are those of a queue, or of a clock
//! that was set: the latter when they go on with the pace of ours.

use super::{INSISTS, SECOND, TOLERANCE};

/// Clocks that show another zone's time are up to 26 hours off. One that is off by more was never set, or is none at all
/// and need not keep pace with ours: what it measures alone counts as now.
const MOST_OFFSET: i64 = 26 * 3600 * SECOND;
/// How much two times may differ in pace whatever the time between them: they may be in whole seconds, and overtake.
const UNEVEN: i64 = 1_500_000;
/// A clock that was set is told from a queue that runs empty by the time that goes by meanwhile.
const LEAST_RUN: i64 = SECOND;

/// Of instants and spans in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DeviceClock {
    /// What it is behind ours by, at most; negative where it is ahead. None as long as nobody knows.
    offset: Option<i64>,
    /// Its time at the newest position that was believed.
    pub(super) newest: Option<i64>,
    /// Times that do not fit.
    run: Option<Run>,
}

/// When positions come, by our clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: i64,
    /// When the driver was where they are believed to be; the earliest instant where nobody knows.
    pub(super) known: i64,
    /// For how long positions are kept.
    pub(super) kept_for: i64,
}

/// Times that go on with the pace of our clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// When the first came.
    began: i64,
    /// The first and the last of them by the device's clock.
    first: i64,
    last: i64,
    /// The least that the clock is behind by.
    least: i64,
    times: u8,
}

impl DeviceClock {
    /// Hears positions that came together at `now`, by what they are behind. Says what is to be added to the device's
    /// times, nothing where they are right, and whether they can be compared with those that came before.
    pub(super) fn hear(&mut self, behind: impl Iterator<Item = i64>, moment: Moment) -> (i64, bool) {
        let least_fitting = self.offset.unwrap_or(0).saturating_sub(TOLERANCE);
        let (mut fitting, mut ahead) = ((0_usize, i64::MAX), (0_usize, i64::MAX));
        for behind in behind {
            let (count, least) = if behind < least_fitting { &mut ahead } else { &mut fitting };
            (*count, *least) = (*count + 1, behind.min(*least));
        }
        // Nobody measures what is still to come: either the clock is ahead, or this one time is odd.
        let least = if ahead.0 > fitting.0 { ahead.1 } else { fitting.1 };
        match ahead.0 + fitting.0 {
            0 => (shift(self.offset), true),
            count => self.learn(least, count == 1, moment),
        }
    }

    fn learn(&mut self, behind: i64, is_alone: bool, Moment { now, known, kept_for }: Moment) -> (i64, bool) {
        // An old batch says where somebody was after what is known; what lies before it comes of a clock that is behind.
        let tells = is_alone || behind <= TOLERANCE || now.saturating_sub(behind) < known.saturating_sub(TOLERANCE);
        match self.offset {
            Some(offset) if behind.saturating_sub(offset).saturating_abs() <= TOLERANCE => {
                self.offset = Some(offset.min(behind));
                let is_newer = self.newest.is_none_or(|newest| now.saturating_sub(behind) >= newest);
                match is_newer {
                    true => self.run = None,
                    // Set back by a little, if it goes on like that.
                    false => self.insists(behind, now).into_iter().for_each(|least| _ = self.set(least)),
                }
                (shift(self.offset), true)
            }
            None if tells => self.set(behind),
            None if behind > kept_for => (behind, false),
            Some(offset) if is_alone && offset.saturating_abs() > MOST_OFFSET => self.set(behind),
            _ => match self.insists(behind, now) {
                Some(least) => self.set(least),
                None if behind < self.offset.unwrap_or(i64::MIN) => (behind, false),
                None => (shift(self.offset), true),
            },
        }
    }

    /// The clock is another from now on.
    fn set(&mut self, behind: i64) -> (i64, bool) {
        *self = Self { offset: Some(behind), newest: None, run: None };
        (shift(self.offset), true)
    }

    /// What the clock is behind by, where it has said so often enough.
    fn insists(&mut self, behind: i64, now: i64) -> Option<i64> {
        let time = now.saturating_sub(behind);
        let run = match self.run.filter(|run| run.goes_on(time, now)) {
            Some(run) => Run {
                last: run.last.max(time),
                least: run.least.min(behind),
                times: run.times.saturating_add(u8::from(time > run.last)),
                ..run
            },
            None => Run { began: now, first: time, last: time, least: behind, times: 1 },
        };
        self.run = Some(run);
        (run.times >= INSISTS && now - run.began >= LEAST_RUN).then_some(run.least)
    }
}

impl Run {
    fn goes_on(&self, time: i64, now: i64) -> bool {
        let (passed, told) = (now - self.began, time.saturating_sub(self.first));
        time >= self.last.saturating_sub(UNEVEN) && told.saturating_sub(passed).saturating_abs() <= passed / 2 + UNEVEN
    }
}

/// What is to be added to the times of a clock: nothing where it is right.
fn shift(offset: Option<i64>) -> i64 {
    offset.filter(|offset| offset.saturating_abs() > TOLERANCE).unwrap_or(0)
}
