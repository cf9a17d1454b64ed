//! Insight on the wire: how deliveries went.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use posthaste_domain::ids::{MerchantId, ZoneId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a row stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A zone in an hour of product time (UTC).
    #[default]
    Hour,
    /// A zone on a day of product time (UTC).
    Day,
    /// A zone in all of the time asked for.
    Zone,
}

impl By {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Zone => "zone",
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text that names no kind of row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be hour, day or zone")]
pub struct InvalidBy;

impl FromStr for By {
    type Err = InvalidBy;
    fn from_str(text: &str) -> Result<Self, InvalidBy> {
        [Self::Hour, Self::Day, Self::Zone].into_iter().find(|by| by.name() == text).ok_or(InvalidBy)
    }
}

/// What became of the orders placed. The others add up to `placed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderCounts {
    /// Orders placed.
    pub placed: u64,
    /// Handed over.
    pub delivered: u64,
    /// Canceled, whether or not goods had to go back.
    pub canceled: u64,
    /// Every seller said no, or nothing in time.
    pub rejected: u64,
    /// No driver was found in time.
    pub expired: u64,
    /// Could not be done, whether or not goods had to go back.
    pub failed: u64,
    /// Not at an end yet.
    pub live: u64,
}

/// Delivered orders and their promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OnTime {
    /// Delivered at or before the promised time.
    pub orders: u64,
    /// Their share of the delivered orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// Delivered orders and what was estimated for them at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Calibration {
    /// Delivered orders that had an estimate.
    pub orders: u64,
    /// Of these, delivered at or before the time that was as likely to be met as not.
    pub by_p50: u64,
    /// Of these, delivered at or before the time that nine of ten were to meet.
    pub by_p90: u64,
    /// `by_p50` by `orders`: 0.5 where estimates are right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_share: Option<f64>,
    /// `by_p90` by `orders`: 0.9 where estimates are right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_share: Option<f64>,
}

/// Estimates held against what came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EstimateFigures {
    /// Those made when orders were placed.
    pub placed: Calibration,
    /// Those made when their drivers got them; of several drivers the last.
    pub assigned: Calibration,
}

/// How long something took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Durations {
    /// How many were measured.
    pub count: u64,
    /// The mean, in whole seconds.
    pub mean_seconds: i64,
    /// Half took at most this.
    pub p50_seconds: i64,
    /// Nine of ten took at most this.
    pub p90_seconds: i64,
}

/// What became of the offers made. The others add up to `made`, but for one that is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OfferCounts {
    /// Drivers asked.
    pub made: u64,
    /// They took it.
    pub accepted: u64,
    /// They said no.
    pub declined: u64,
    /// They kept silent to the deadline.
    pub lapsed: u64,
    /// Taken back by the system.
    pub withdrawn: u64,
    /// `declined` by `made`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declined_share: Option<f64>,
    /// `lapsed` by `made`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lapsed_share: Option<f64>,
}

/// Goods picked up together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Bundling {
    /// Times that a driver collected something at a place: pickups there by one driver, each within half a minute of the
    /// one before and nothing handed over in between, are one trip.
    pub trips: u64,
    /// Pickups on them.
    pub pickups: u64,
    /// `pickups` by `trips`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_trip: Option<f64>,
}

/// How drivers' time was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriverTime {
    /// Time on shift and not on a break, of all drivers who serve the zone.
    pub on_shift_seconds: i64,
    /// Of this, with at least one order in hand.
    pub in_hand_seconds: i64,
    /// `in_hand_seconds` by `on_shift_seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utilisation: Option<f64>,
}

/// How deliveries went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// Orders by what became of them.
    pub orders: OrderCounts,
    /// Promises kept.
    pub on_time: OnTime,
    /// Estimates held against what came.
    #[serde(default)]
    pub estimates: EstimateFigures,
    /// From placing to the door, of fast orders (a slow one waits for its window).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click_to_door: Option<Durations>,
    /// From ready to picked up, of each pickup whose ready time is known; none of them below 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_to_pickup: Option<Durations>,
    /// Offers by what became of them.
    pub offers: OfferCounts,
    /// Goods picked up together.
    pub bundling: Bundling,
    /// Drivers' time; left out for merchants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drivers: Option<DriverTime>,
}

/// One zone in one span of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PerformanceRow {
    /// The zone.
    #[schema(value_type = String, example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub zone_id: ZoneId,
    /// Its name.
    #[schema(example = "Centre")]
    pub zone: String,
    /// The span's start. Orders placed in the span count in it, whatever happened to them later.
    pub from: DateTime<Utc>,
    /// The span's end.
    pub to: DateTime<Utc>,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// How deliveries went, per zone and span of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PerformanceView {
    /// The start, moved back to the whole hour or day.
    pub from: DateTime<Utc>,
    /// The end, moved on to the whole hour or day.
    pub to: DateTime<Utc>,
    /// What a row stands for.
    pub by: By,
    /// By span, then by zone. Where nothing was placed and nobody was on shift there is no row.
    pub rows: Vec<PerformanceRow>,
    /// All of it together: not sums of the rows, a driver who serves two zones counts once.
    pub total: Figures,
}

/// Samples that an answer rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LearnedFrom {
    /// `merchant_hour`, `merchant`, `zone_hour` or `zone`: whose, and whether in this hour of the day alone.
    #[schema(example = "merchant_hour")]
    pub level: String,
    /// How many are kept: the newest.
    pub samples: u32,
    /// Of these, how many say only that it was so long or less, as nobody waited to see.
    pub at_most: u32,
}

/// How long something takes, as it is believed now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LearnedTime {
    /// `lateness` (after the stated ready time), `preparation` (from placing to ready, where no time is stated),
    /// `pickup_excess` and `dropoff_excess` (beyond the task's service), `pace` (of ways, by the zone's travel model) or
    /// `reach` (from placed and ready to a driver's arrival at the first pickup).
    #[schema(example = "lateness")]
    pub quantity: String,
    /// `seconds` or, for the pace, `thousandths` of the model's time.
    #[schema(example = "seconds")]
    pub unit: String,
    /// One in ten is less.
    pub p10: i32,
    /// Half are less.
    pub p50: i32,
    /// Three of four are less.
    pub p75: i32,
    /// Nine of ten are less.
    pub p90: i32,
    /// The samples, the narrowest level first: it counts most.
    pub learned_from: Vec<LearnedFrom>,
    /// How much of the answer is what was believed before anything was seen: 1 for all of it.
    pub prior_share: f64,
}

/// How long things take in a zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimesRow {
    /// The zone.
    #[schema(value_type = String, example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub zone_id: ZoneId,
    /// Its name.
    #[schema(example = "Centre")]
    pub zone: String,
    /// One for each quantity; for a merchant those that are its own.
    pub times: Vec<LearnedTime>,
}

/// What was learned of a seller in an hour of the day, zone by zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimesView {
    /// The seller; absent for one who is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub merchant_id: Option<MerchantId>,
    /// The hour of the day, UTC.
    pub hour: u8,
    /// A row for each zone that is served, by name.
    pub rows: Vec<TimesRow>,
}
