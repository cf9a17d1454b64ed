//! Who is silent: from beats that were seen to who may be expelled. Pure: when it was comes in as an argument, by a clock of
//! this process that only goes forward. Clocks of two machines are never compared.
//!
//! A judge must have looked all the while itself. Where its own looks failed or were far apart (Postgres was away, the
//! process stood still), it begins to watch anew: nobody is expelled by who came back first.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

/// For how long the same beat must have been seen. Shorter expels who is only slow (a beat each [`BEAT_EVERY`], and a second
/// for an answer); longer is how long nobody is served.
///
/// [`BEAT_EVERY`]: super::BEAT_EVERY
pub const SILENT_FOR: Duration = Duration::from_millis(2500);
/// For how long the lock of its first session must have been seen free, without a beat: its process is dead. A node that
/// lives takes the lock again within 50 ms after that session broke.
pub const UNLOCKED_FOR: Duration = Duration::from_millis(500);
/// How far apart looks of one's own may be.
pub const LOOKS_WITHIN: Duration = Duration::from_secs(1);

/// What one look shows of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub node: Uuid,
    /// Its beat.
    pub beat: i64,
    /// Whether the lock that its first session holds is free. Never so for a node that has none.
    pub is_unlocked: bool,
}

/// Why a node may be expelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its process is dead: its first session is gone, and it does not come back.
    Dead,
    /// It does not beat: it hangs, or its network is gone.
    Silent,
}

/// A node that may be expelled, where its beat is still this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Which.
    pub node: Uuid,
    /// The beat that was seen all the while.
    pub beat: i64,
    /// Why.
    pub why: Why,
}

/// Since when the same was seen of a node.
#[derive(Debug, Clone, Copy)]
struct Watched {
    beat: i64,
    since: Instant,
    unlocked_since: Option<Instant>,
}

/// Watches the other nodes.
#[derive(Debug, Default)]
pub struct Judge {
    looked: Option<Instant>,
    watched: HashMap<Uuid, Watched>,
}

impl Judge {
    /// What a look shows that was asked for and answered then, after a beat of one's own that succeeded; who may be expelled
    /// by it.
    ///
    /// What is seen was so somewhere between question and answer. So a span begins with an answer and ends with a question.
    pub fn look(&mut self, asked: Instant, answered: Instant, seen: &[Sighting]) -> Vec<Verdict> {
        let is_continued = self.looked.is_some_and(|looked| answered.saturating_duration_since(looked) < LOOKS_WITHIN);
        if !is_continued {
            self.watched.clear();
        }
        self.looked = Some(answered);
        let before = std::mem::take(&mut self.watched);
        let mut verdicts = Vec::new();
        for sighting in seen {
            let same = before.get(&sighting.node).filter(|watched| watched.beat == sighting.beat);
            let since = same.map_or(answered, |watched| watched.since);
            let unlocked_since =
                sighting.is_unlocked.then(|| same.and_then(|watched| watched.unlocked_since).unwrap_or(answered));
            self.watched.insert(sighting.node, Watched { beat: sighting.beat, since, unlocked_since });
            let lasts = |since: Instant, long: Duration| asked.saturating_duration_since(since) >= long;
            let why = if unlocked_since.is_some_and(|since| lasts(since, UNLOCKED_FOR)) {
                Why::Dead
            } else if lasts(since, SILENT_FOR) {
                Why::Silent
            } else {
                continue;
            };
            verdicts.push(Verdict { node: sighting.node, beat: sighting.beat, why });
        }
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NODE: Uuid = Uuid::from_u128(7);

    /// Looks that are answered at once, by milliseconds since the beginning.
    struct Looks(Instant, Judge);

    impl Looks {
        fn new() -> Self {
            Self(Instant::now(), Judge::default())
        }

        fn at(&mut self, ms: u64, beat: i64, is_unlocked: bool) -> Option<Why> {
            let now = self.0 + Duration::from_millis(ms);
            let verdicts = self.1.look(now, now, &[Sighting { node: NODE, beat, is_unlocked }]);
            assert!(verdicts.iter().all(|verdict| (verdict.node, verdict.beat) == (NODE, beat)), "{verdicts:?}");
            verdicts.first().map(|verdict| verdict.why)
        }
    }

    #[test]
    fn who_is_seen_silent_for_two_and_a_half_seconds_may_be_expelled_and_not_before() {
        let mut looks = Looks::new();
        for ms in (0..2500).step_by(250) {
            assert_eq!(looks.at(ms, 3, false), None, "{ms}");
        }
        assert_eq!(looks.at(2500, 3, false), Some(Why::Silent));
        assert_eq!(looks.at(2600, 4, false), None, "it beat");
    }

    #[test]
    fn a_process_that_is_dead_is_known_by_its_lock_at_two_looks_half_a_second_apart() {
        let mut looks = Looks::new();
        assert_eq!(looks.at(0, 3, false), None);
        assert_eq!(looks.at(250, 3, true), None);
        assert_eq!(looks.at(500, 3, true), None);
        assert_eq!(looks.at(750, 3, true), Some(Why::Dead));
    }

    #[test]
    fn a_node_that_took_its_lock_again_or_beat_between_is_not_dead() {
        let mut looks = Looks::new();
        assert_eq!(looks.at(0, 3, true), None);
        assert_eq!(looks.at(250, 3, false), None, "taken again");
        assert_eq!(looks.at(600, 3, true), None);
        assert_eq!(looks.at(900, 4, true), None, "it beat");
        assert_eq!(looks.at(1300, 4, true), None);
        assert_eq!(looks.at(1400, 4, true), Some(Why::Dead));
    }

    #[test]
    fn who_could_not_look_for_a_second_begins_anew() {
        let mut looks = Looks::new();
        for ms in [0, 700, 1400, 2100] {
            assert_eq!(looks.at(ms, 3, false), None);
        }
        assert_eq!(looks.at(3100, 3, true), None, "a second without a look: Postgres was away, or this process stood");
        assert_eq!(looks.at(3500, 3, true), None);
        assert_eq!(looks.at(3600, 3, true), Some(Why::Dead));
        assert_eq!(looks.at(60_000, 3, true), None);
    }

    #[test]
    fn a_slow_answer_counts_for_nobodys_silence() {
        let mut judge = Judge::default();
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let seen = [Sighting { node: NODE, beat: 1, is_unlocked: false }];
        for n in 0..4 {
            // Asked and answered 800 ms apart: what is seen may be of the whole of it.
            assert_eq!(judge.look(at(n * 900), at(n * 900 + 800), &seen), [], "{n}");
        }
        // 3,600 - 800 ms of silence for sure.
        assert_eq!(judge.look(at(3600), at(3610), &seen).len(), 1);
    }

    #[derive(Debug, Clone)]
    struct Step {
        gap_ms: u64,
        takes_ms: u64,
        beats: bool,
        is_unlocked: bool,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = (0_u64..1500, 0_u64..600, prop::bool::weighted(0.2), any::<bool>());
        let step =
            step.prop_map(|(gap_ms, takes_ms, beats, is_unlocked)| Step { gap_ms, takes_ms, beats, is_unlocked });
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        /// Whatever happened: who is named was silent, or unlocked, for as long as is said, at looks without a hole.
        #[test]
        fn nobody_is_named_who_was_not_watched_for_long_enough(steps in steps()) {
            let begin = Instant::now();
            let (mut judge, mut now, mut beat) = (Judge::default(), begin, 0);
            let mut told: Vec<(Instant, Instant, i64, bool)> = Vec::new();
            for step in steps {
                let asked = now + Duration::from_millis(step.gap_ms);
                now = asked + Duration::from_millis(step.takes_ms);
                beat += i64::from(step.beats);
                let sighting = Sighting { node: NODE, beat, is_unlocked: step.is_unlocked };
                let verdicts = judge.look(asked, now, &[sighting]);
                told.push((asked, now, beat, step.is_unlocked));
                // The looks from the end back, while nothing was missed and the same was seen.
                let mut same: Vec<_> = vec![*told.last().expect("one")];
                for one in told.iter().rev().skip(1) {
                    let later = same[same.len() - 1];
                    if later.1 - one.1 >= LOOKS_WITHIN || one.2 != beat {
                        break;
                    }
                    same.push(*one);
                }
                let silent = asked.saturating_duration_since(same[same.len() - 1].1);
                let unlocked = same.iter().take_while(|one| one.3).last();
                let unlocked = unlocked.map_or(Duration::ZERO, |one| asked.saturating_duration_since(one.1));
                let expected = if unlocked >= UNLOCKED_FOR {
                    Some(Why::Dead)
                } else if silent >= SILENT_FOR {
                    Some(Why::Silent)
                } else {
                    None
                };
                prop_assert_eq!(verdicts.first().map(|verdict| verdict.why), expected);
            }
        }
    }
}
