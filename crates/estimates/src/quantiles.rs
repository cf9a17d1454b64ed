//! A distribution as a table of its quantiles.

use serde::{Deserialize, Serialize};

/// How many equally likely values stand for a distribution. A quantile's rank is right but for one part.
pub(crate) const PARTS: usize = 64;

/// Equally likely values, ascending: the quantiles in the middle of `PARTS` equal parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<i32>", try_from = "Vec<i32>")]
pub struct Quantiles([i32; PARTS]);

impl From<Quantiles> for Vec<i32> {
    fn from(Quantiles(values): Quantiles) -> Self {
        values.into()
    }
}

impl TryFrom<Vec<i32>> for Quantiles {
    type Error = &'static str;

    fn try_from(values: Vec<i32>) -> Result<Self, Self::Error> {
        let values: [i32; PARTS] = values.try_into().map_err(|_| "another number of values")?;
        if values.is_sorted() { Ok(Self(values)) } else { Err("values that do not ascend") }
    }
}

impl Quantiles {
    /// One value, for certain.
    #[must_use]
    pub fn certain(value: i32) -> Self {
        Self([value; PARTS])
    }

    /// From values with weights, in any order; only their proportion matters. Of nothing it is a certain 0.
    #[must_use]
    pub(crate) fn of(mut atoms: Vec<(i32, f64)>) -> Self {
        atoms.sort_unstable_by_key(|(value, _)| *value);
        let whole: f64 = atoms.iter().map(|(_, weight)| weight).sum();
        let Some(last) = atoms.last().map(|(value, _)| *value) else { return Self::certain(0) };
        let mut table = [last; PARTS];
        let mut atoms = atoms.into_iter();
        let mut below = 0.0;
        let mut value = i32::MIN;
        for (part, slot) in table.iter_mut().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let rank = whole * (part as f64 + 0.5) / PARTS as f64;
            while below < rank {
                let Some((next, weight)) = atoms.next() else { break };
                below += weight;
                value = next;
            }
            *slot = value.min(last);
        }
        Self(table)
    }

    /// The value that a share of all (0 to 1) does not exceed.
    #[must_use]
    pub fn at(&self, share: f64) -> i32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a small table"
        )]
        let part = (share.clamp(0.0, 1.0) * PARTS as f64).ceil().max(1.0) as usize;
        self.0[part - 1]
    }

    /// The middle one: as many values lie above as below.
    #[must_use]
    pub fn median(&self) -> i32 {
        self.at(0.5)
    }

    /// The equally likely values, ascending.
    #[must_use]
    pub fn values(&self) -> &[i32; PARTS] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_greater_share_is_never_a_smaller_value(
            atoms in prop::collection::vec((-900..9000i32, 0.01..5.0f64), 1..80), one in 0.0..1.0f64, other in 0.0..1.0f64
        ) {
            let quantiles = Quantiles::of(atoms);
            prop_assert!(quantiles.values().is_sorted());
            prop_assert!(quantiles.at(one.min(other)) <= quantiles.at(one.max(other)));
        }

        /// With as many samples as one likes, a quantile is the samples' own, but for one part of the table.
        #[test]
        fn quantiles_are_those_of_the_values(values in prop::collection::vec(-900..9000i32, 1..300), share in 0.05..0.95f64) {
            let quantiles = Quantiles::of(values.iter().map(|v| (*v, 1.0)).collect());
            let mut sorted = values;
            sorted.sort_unstable();
            let exact = |share: f64| sorted[((sorted.len() as f64 * share).ceil().max(1.0) as usize - 1).min(sorted.len() - 1)];
            let part = 1.0 / PARTS as f64;
            prop_assert!(exact(share - part) <= quantiles.at(share) && quantiles.at(share) <= exact((share + part).min(1.0)));
        }
    }

    #[test]
    fn nothing_and_one_value_are_certain() {
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::certain(0));
        assert_eq!(Quantiles::of(vec![(7, 0.3)]), Quantiles::certain(7));
        assert_eq!(Quantiles::of(vec![(0, 1.0), (600, 1.0)]).median(), 0);
        assert_eq!(Quantiles::of(vec![(0, 1.0), (600, 1.1)]).median(), 600);
    }
}
