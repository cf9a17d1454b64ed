//! Samples of several levels and a prior, as one distribution.
//!
//! A level with `n` samples speaks with `n / (n + k)` of the weight, and leaves the rest to the wider one: `k` is what the
//! wider level's word is worth in samples ([`PSEUDO_COUNT`]). So a level that knows nothing says what the wider one says,
//! one that knows much says what it saw, and every quantile moves smoothly between, which shrinking means would not give.

use crate::quantiles::Quantiles;
use crate::samples::Sample;

/// What the word of the wider level is worth, in samples. Half the weight is a level's own from this many samples on. Less
/// lets one bad evening rule a merchant's hour; more lets a merchant who is always late look punctual for weeks.
pub(crate) const PSEUDO_COUNT: f64 = 6.0;

/// The distribution of the levels, narrowest first, before the prior's equally likely values.
pub(crate) fn mix<'s>(levels: impl Iterator<Item = &'s [Sample]>, prior: &[i32]) -> Quantiles {
    let mut atoms: Vec<(Sample, f64)> = Vec::new();
    let mut left = 1.0;
    for level in levels {
        let whole = count(level.len()) + PSEUDO_COUNT;
        atoms.extend(level.iter().map(|sample| (*sample, left / whole)));
        left *= PSEUDO_COUNT / whole;
    }
    let each = left / count(prior.len());
    atoms.extend(prior.iter().map(|value| (Sample::exact(*value), each)));
    Quantiles::of(resolved(atoms))
}

/// The share of the weight that is the prior's, for levels of these sizes.
pub(crate) fn prior_share(sizes: impl Iterator<Item = usize>) -> f64 {
    sizes.map(|n| PSEUDO_COUNT / (count(n) + PSEUDO_COUNT)).product()
}

/// Values for what was only seen not to exceed something: its weight goes to all that is not greater, in proportion
/// (redistribution to the left, which is the Kaplan-Meier estimate read from the other end).
fn resolved(mut atoms: Vec<(Sample, f64)>) -> Vec<(i32, f64)> {
    // Greatest first; among equals the bounds, as "at most" includes the value itself.
    atoms.sort_unstable_by_key(|(sample, _)| std::cmp::Reverse((sample.value, sample.at_most)));
    let mut below: f64 = atoms.iter().map(|(_, weight)| weight).sum();
    let mut scale = 1.0;
    let mut values = Vec::with_capacity(atoms.len());
    let last_exact = atoms.iter().rposition(|(sample, _)| !sample.at_most);
    for (n, (sample, weight)) in atoms.into_iter().enumerate() {
        below -= weight;
        if sample.at_most && last_exact.is_some_and(|last| n < last) {
            scale *= (below + weight) / below;
        } else {
            values.push((sample.value, weight * scale));
        }
    }
    values
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(values: &[i32]) -> Vec<Sample> {
        values.iter().map(|v| Sample::exact(*v)).collect()
    }

    proptest! {
        #[test]
        fn without_samples_the_prior_speaks(prior in prop::collection::vec(-900..900i32, 1..30)) {
            let alone = Quantiles::of(prior.iter().map(|v| (*v, 1.0)).collect());
            prop_assert_eq!(mix([].into_iter(), &prior), alone);
            prop_assert_eq!(mix([&[][..], &[][..]].into_iter(), &prior), alone);
        }

        /// However wrong the prior, enough samples outvote it.
        #[test]
        fn with_many_samples_the_samples_speak(values in prop::collection::vec(-500..5000i32, 200..400), share in 0.1..0.9f64) {
            let mixed = mix([&exact(&values)[..]].into_iter(), &[100_000]);
            let mut sorted = values;
            sorted.sort_unstable();
            let exact = |share: f64| sorted[((sorted.len() as f64 * share) as usize).min(sorted.len() - 1)];
            // The prior has 3 % at the most, and a part of the table is 1.6 %.
            prop_assert!(exact(share - 0.02) <= mixed.at(share), "{} of {:?}", mixed.at(share), sorted);
            prop_assert!(mixed.at(share) <= exact(share + 0.05));
        }

        #[test]
        fn no_weight_is_lost_to_what_was_not_seen(
            samples in prop::collection::vec((0..1000i32, any::<bool>(), 0.1..3.0f64), 1..60)
        ) {
            let atoms: Vec<_> =
                samples.iter().map(|(value, at_most, weight)| (Sample { value: *value, at_most: *at_most }, *weight)).collect();
            let before: f64 = atoms.iter().map(|(_, weight)| weight).sum();
            let after: f64 = resolved(atoms).iter().map(|(_, weight)| weight).sum();
            prop_assert!((before - after).abs() < 1e-6 * before, "{before} became {after}");
        }

        /// A bound says nothing that the exact values below it do not say.
        #[test]
        fn a_bound_never_raises_a_quantile_above_what_exact_values_at_the_bounds_would_give(
            samples in prop::collection::vec((0..1000i32, any::<bool>()), 1..60), share in 0.0..1.0f64
        ) {
            let bounded: Vec<_> = samples.iter().map(|(value, at_most)| Sample { value: *value, at_most: *at_most }).collect();
            let taken: Vec<_> = samples.iter().map(|(value, _)| Sample::exact(*value)).collect();
            let (bounded, taken) = (mix([&bounded[..]].into_iter(), &[0]), mix([&taken[..]].into_iter(), &[0]));
            prop_assert!(bounded.at(share) <= taken.at(share));
        }
    }

    #[test]
    fn a_driver_who_came_late_themselves_proves_no_lateness() {
        let came_late = vec![Sample::at_most(1200); 50];
        assert_eq!(mix([&came_late[..]].into_iter(), &[0]).at(0.99), 0);
        let mut waited_for = came_late;
        waited_for.extend(vec![Sample::exact(600); 10]);
        // Those who waited say ten minutes; those who did not see it share their opinion, and the prior's.
        assert_eq!(mix([&waited_for[..]].into_iter(), &[0]).median(), 600);
    }

    #[test]
    fn six_samples_have_half_the_weight() {
        assert!((prior_share([6].into_iter()) - 0.5).abs() < 1e-9);
        assert!((prior_share([6, 18].into_iter()) - 0.125).abs() < 1e-9);
        let six = exact(&[600; 6]);
        assert_eq!((mix([&six[..]].into_iter(), &[0]).at(0.49), mix([&six[..]].into_iter(), &[0]).at(0.52)), (0, 600));
    }
}
