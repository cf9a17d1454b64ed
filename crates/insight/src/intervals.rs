//! Sets of time: sorted, apart from each other, each from its start (inside) to its end (outside).

use posthaste_domain::{Span, Timestamp};

/// From an instant (inside) to a later one (outside).
pub type Interval = (Timestamp, Timestamp);

/// The set that the intervals cover, in whatever order and however they overlap. Empty and reversed ones cover nothing.
#[must_use]
pub fn union(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.retain(|(start, end)| start < end);
    intervals.sort_unstable();
    let mut set: Vec<Interval> = Vec::with_capacity(intervals.len());
    for (start, end) in intervals {
        match set.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => set.push((start, end)),
        }
    }
    set
}

/// What lies in both sets.
#[must_use]
pub fn intersection(a: &[Interval], b: &[Interval]) -> Vec<Interval> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut both = Vec::new();
    while let (Some(one), Some(other)) = (a.peek(), b.peek()) {
        let (start, end) = (one.0.max(other.0), one.1.min(other.1));
        if start < end {
            both.push((start, end));
        }
        if one.1 <= other.1 {
            a.next()
        } else {
            b.next()
        };
    }
    both
}

/// How much of a set lies between two instants.
#[must_use]
pub fn length_within(set: &[Interval], from: Timestamp, to: Timestamp) -> Span {
    set.iter().map(|(start, end)| (*end).min(to) - (*start).max(from)).filter(|part| *part > Span::zero()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Span::minutes(minute)
    }

    fn set(parts: &[(i64, i64)]) -> Vec<Interval> {
        union(parts.iter().map(|(start, end)| (at(*start), at(*end))).collect())
    }

    #[test]
    fn what_overlaps_or_touches_is_one() {
        assert_eq!(set(&[(5, 9), (0, 3), (3, 4), (8, 12), (7, 7), (20, 19)]), [(at(0), at(4)), (at(5), at(12))]);
    }

    #[test]
    fn a_length_is_cut_at_both_ends() {
        assert_eq!(length_within(&set(&[(0, 10), (20, 30)]), at(5), at(22)), Span::minutes(7));
        assert_eq!(length_within(&set(&[(0, 10)]), at(10), at(22)), Span::zero());
    }

    proptest! {
        /// Minute for minute, the sets are what they say.
        #[test]
        fn sets_hold_the_minutes_that_they_should(
            a in prop::collection::vec((0i64..60, 0i64..60), 0..8),
            b in prop::collection::vec((0i64..60, 0i64..60), 0..8),
        ) {
            let holds = |parts: &[(i64, i64)], m: i64| parts.iter().any(|(start, end)| *start <= m && m < *end);
            let (left, right) = (set(&a), set(&b));
            let both = intersection(&left, &right);
            for m in 0..60 {
                let in_set = |set: &[Interval]| length_within(set, at(m), at(m + 1)) == Span::minutes(1);
                prop_assert_eq!(in_set(&left), holds(&a, m));
                prop_assert_eq!(in_set(&both), holds(&a, m) && holds(&b, m));
            }
            prop_assert!(both.windows(2).all(|w| w[0].1 <= w[1].0));
        }
    }
}
