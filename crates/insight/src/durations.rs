//! Many durations in three numbers.

use posthaste_domain::Span;
use posthaste_protocol::insight::Durations;

/// Mean, median and ninth decile; none of nothing. Percentiles are by nearest rank, so each is a duration that somebody
/// met: the least one that the share of all does not exceed.
#[must_use]
pub fn durations(mut spans: Vec<Span>) -> Option<Durations> {
    if spans.is_empty() {
        return None;
    }
    spans.sort_unstable();
    let count = i64::try_from(spans.len()).ok()?;
    let sum: i64 = spans.iter().map(Span::num_milliseconds).sum();
    let rank = |percent: usize| spans[(spans.len() * percent).div_ceil(100).max(1) - 1].num_milliseconds();
    Some(Durations {
        count: spans.len() as u64,
        mean_seconds: seconds(sum / count),
        p50_seconds: seconds(rank(50)),
        p90_seconds: seconds(rank(90)),
    })
}

/// Whole seconds, rounded half up.
#[must_use]
pub fn seconds(milliseconds: i64) -> i64 {
    (milliseconds + 500).div_euclid(1000)
}

/// The part of a whole that is not nothing, to four decimals.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts and seconds, far below 2^52")]
pub fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64 * 10_000.0).round() / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seconds: &[i64]) -> Option<Durations> {
        durations(seconds.iter().copied().map(Span::seconds).collect())
    }

    #[test]
    fn percentiles_are_durations_that_somebody_met() {
        let ten: Vec<i64> = (1..=10).rev().map(|n| n * 60).collect();
        assert_eq!(of(&ten), Some(Durations { count: 10, mean_seconds: 330, p50_seconds: 300, p90_seconds: 540 }));
        assert_eq!(of(&[7]), Some(Durations { count: 1, mean_seconds: 7, p50_seconds: 7, p90_seconds: 7 }));
        assert_eq!(of(&[10, 20]), Some(Durations { count: 2, mean_seconds: 15, p50_seconds: 10, p90_seconds: 20 }));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_share_of_nothing_is_unknown() {
        assert_eq!((share(1, 3), share(0, 5), share(0, 0)), (Some(0.3333), Some(0.0), None));
    }
}
