//! What was learned, by level.

use std::collections::HashMap;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{MerchantId, ZoneId};
use serde::{Deserialize, Serialize};

use crate::mixture::{mix, prior_share};
use crate::samples::{Sample, Samples};
use crate::{Observation, Quantiles, Quantity, prior};

/// Samples kept of one seller or zone in one hour of the day. More makes what changed show later; less makes the ninth
/// decile a guess.
const MOST_OF_AN_HOUR: usize = 32;
/// Samples kept of one seller in all.
const MOST_OF_A_SELLER: usize = 64;
/// Samples kept of one zone in all.
const MOST_OF_A_ZONE: usize = 128;
/// Levels kept at most (some 100 MB, if every one of them were full). Beyond it those that were told nothing for longest
/// are forgotten.
const MOST_LEVELS: usize = 250_000;

/// What is asked: how long something takes, of whom, where and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Question {
    /// What.
    pub quantity: Quantity,
    /// The zone.
    pub zone: ZoneId,
    /// The seller, for what is the seller's.
    pub seller: Option<MerchantId>,
    /// The hour of the day (UTC), 0 to 23.
    pub hour: u8,
}

impl Question {
    /// About a zone at a time.
    #[must_use]
    pub fn of_zone(quantity: Quantity, zone: ZoneId, at: Timestamp) -> Self {
        Self { quantity, zone, seller: None, hour: hour_of(at) }
    }

    /// About a seller in a zone at a time.
    #[must_use]
    pub fn of_seller(quantity: Quantity, zone: ZoneId, seller: Option<MerchantId>, at: Timestamp) -> Self {
        Self { quantity, zone, seller, hour: hour_of(at) }
    }

    /// The levels that answer, narrowest first.
    fn keys(self) -> impl Iterator<Item = Key> {
        let Self { quantity, zone, seller, hour } = self;
        let (narrow, wide) = match seller.filter(|_| quantity.is_the_sellers()) {
            Some(seller) => (Some(Key::SellerHour(quantity, seller, hour)), Some(Key::Seller(quantity, seller))),
            None if quantity.is_the_sellers() => (None, None),
            None => (Some(Key::ZoneHour(quantity, zone, hour)), None),
        };
        narrow.into_iter().chain(wide).chain([Key::Zone(quantity, zone)])
    }
}

/// The hour of the day, UTC. Zones have no time zone of their own; the day's rhythm is the same, read off another dial.
#[must_use]
pub fn hour_of(at: Timestamp) -> u8 {
    u8::try_from(at.timestamp().div_euclid(3600).rem_euclid(24)).unwrap_or(0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    SellerHour(Quantity, MerchantId, u8),
    Seller(Quantity, MerchantId),
    ZoneHour(Quantity, ZoneId, u8),
    Zone(Quantity, ZoneId),
}

impl Key {
    fn most(self) -> usize {
        match self {
            Self::SellerHour(..) | Self::ZoneHour(..) => MOST_OF_AN_HOUR,
            Self::Seller(..) => MOST_OF_A_SELLER,
            Self::Zone(..) => MOST_OF_A_ZONE,
        }
    }

    fn level(self) -> Level {
        match self {
            Self::SellerHour(..) => Level::SellerHour,
            Self::Seller(..) => Level::Seller,
            Self::ZoneHour(..) => Level::ZoneHour,
            Self::Zone(..) => Level::Zone,
        }
    }
}

/// A level of what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// The seller in this hour of the day.
    SellerHour,
    /// The seller.
    Seller,
    /// The zone in this hour of the day.
    ZoneHour,
    /// The zone.
    Zone,
}

impl Level {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SellerHour => "merchant_hour",
            Self::Seller => "merchant",
            Self::ZoneHour => "zone_hour",
            Self::Zone => "zone",
        }
    }
}

/// An answer, with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The distribution.
    pub quantiles: Quantiles,
    /// Samples by level, narrowest first; with how many of them only bound the value from above.
    pub samples: Vec<(Level, usize, usize)>,
    /// The share of the weight that is the prior's: 1 when nothing is known.
    pub prior_share: f64,
}

#[derive(Debug, Default)]
struct Known {
    samples: Samples,
    told: u64,
}

/// What was learned.
#[derive(Debug, Default)]
pub struct Estimates {
    levels: HashMap<Key, Known>,
    told: u64,
    most: Option<usize>,
}

impl Estimates {
    /// Takes in what was seen. Later means newer.
    pub fn tell(&mut self, observation: &Observation) {
        self.told += 1;
        for key in observation.question.keys() {
            let known = self.levels.entry(key).or_default();
            known.samples.push(observation.sample, key.most());
            known.told = self.told;
        }
        self.forget();
    }

    /// How often it was told something.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.told
    }

    /// How many levels are kept.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.levels.len()
    }

    /// The distribution that answers.
    #[must_use]
    pub fn quantiles(&self, question: Question) -> Quantiles {
        mix(self.known(question).map(|(_, samples)| samples), prior::of(question.quantity))
    }

    /// The distribution, with what it rests on.
    #[must_use]
    pub fn explain(&self, question: Question) -> Answer {
        let bounds = |samples: &[Sample]| samples.iter().filter(|s| s.at_most).count();
        Answer {
            quantiles: self.quantiles(question),
            samples: self.known(question).map(|(level, s)| (level, s.len(), bounds(s))).collect(),
            prior_share: prior_share(self.known(question).map(|(_, samples)| samples.len())),
        }
    }

    fn known(&self, question: Question) -> impl Iterator<Item = (Level, &[Sample])> {
        question.keys().map(|key| (key.level(), self.levels.get(&key).map_or(&[][..], |known| known.samples.all())))
    }

    /// Keeps the levels that were told something last, a tenth less than there may be.
    fn forget(&mut self) {
        let most = self.most.unwrap_or(MOST_LEVELS);
        if self.levels.len() <= most {
            return;
        }
        let mut told: Vec<u64> = self.levels.values().map(|known| known.told).collect();
        let keep = most - most / 10;
        told.sort_unstable_by_key(|told| std::cmp::Reverse(*told));
        let oldest = told.get(keep.saturating_sub(1)).copied().unwrap_or(0);
        self.levels.retain(|_, known| known.told >= oldest);
    }

    /// The same, with another limit than `MOST_LEVELS`.
    #[must_use]
    pub fn with_most_levels(most: usize) -> Self {
        Self { most: Some(most), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_domain::ids::Id;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn question(quantity: Quantity, seller: u128, hour: u8) -> Question {
        let seller = Some(MerchantId::from_uuid(Uuid::from_u128(seller)));
        Question { quantity, zone: ZoneId::from_uuid(Uuid::from_u128(1)), seller, hour }
    }

    fn tell(estimates: &mut Estimates, question: Question, value: i32, times: usize) {
        for _ in 0..times {
            estimates.tell(&Observation { question, sample: Sample::exact(value) });
        }
    }

    #[test]
    fn a_merchant_who_is_always_late_is_expected_late_and_others_are_not() {
        let mut estimates = Estimates::default();
        for seller in 10..30 {
            tell(&mut estimates, question(Quantity::Lateness, seller, 12), 0, 12);
        }
        let late = question(Quantity::Lateness, 2, 12);
        assert_eq!(estimates.quantiles(late).median(), 0);
        tell(&mut estimates, late, 600, 8);
        assert_eq!(estimates.quantiles(late).median(), 600);
        // At another hour of the day the seller is the same, though less surely; others are as they were.
        let evening = estimates.explain(question(Quantity::Lateness, 2, 19));
        assert_eq!(evening.quantiles.at(0.9), 600);
        assert_eq!(evening.samples, [(Level::SellerHour, 0, 0), (Level::Seller, 8, 0), (Level::Zone, 128, 0)]);
        assert!(evening.prior_share < 0.05, "{}", evening.prior_share);
        assert_eq!(estimates.quantiles(question(Quantity::Lateness, 11, 12)).at(0.9), 0);
    }

    #[test]
    fn an_unknown_merchant_is_like_those_of_their_zone() {
        let mut estimates = Estimates::default();
        for seller in 10..30 {
            tell(&mut estimates, question(Quantity::PickupExcess, seller, 12), 300, 3);
        }
        assert_eq!(estimates.quantiles(question(Quantity::PickupExcess, 99, 3)).median(), 300);
        assert_eq!(estimates.quantiles(question(Quantity::Lateness, 99, 3)).median(), 0, "another quantity");
    }

    #[test]
    fn who_becomes_punctual_is_believed() {
        let mut estimates = Estimates::default();
        let merchant = question(Quantity::Lateness, 2, 12);
        tell(&mut estimates, merchant, 600, 40);
        tell(&mut estimates, merchant, 0, 30);
        assert_eq!(estimates.quantiles(merchant).median(), 0);
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_the_newest_stays(tells in prop::collection::vec((0..500u128, 0..24u8), 1..400)) {
            let mut estimates = Estimates::with_most_levels(100);
            for (seller, hour) in &tells {
                tell(&mut estimates, question(Quantity::Lateness, *seller, *hour), 60, 1);
                prop_assert!(estimates.levels() <= 100);
            }
            let (seller, hour) = tells[tells.len() - 1];
            let newest = estimates.explain(question(Quantity::Lateness, seller, hour));
            prop_assert!(newest.samples.iter().all(|(_, samples, _)| *samples > 0));
        }
    }
}
