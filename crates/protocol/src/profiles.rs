//! Profiles on the wire: what accounts of each role have beside their names.

use chrono::NaiveDate;
use posthaste_domain::driver::Vehicle;
use posthaste_domain::ids::ZoneId;
use posthaste_domain::order::Speed;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words;

/// A customer's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerProfile {
    /// Where things are brought to; at most 50.
    pub addresses: Vec<Address>,
}

/// An address with the point that it is at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// What its owner calls it.
    #[schema(example = "home")]
    pub label: String,
    /// In words.
    #[schema(example = "Chaussee 1, 10115 Berlin")]
    pub address: String,
    /// Latitude in degrees.
    #[schema(example = 52.5163)]
    pub lat: f64,
    /// Longitude in degrees.
    #[schema(example = 13.3777)]
    pub lng: f64,
    /// What a driver should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "second bell")]
    pub note: Option<String>,
}

/// A merchant's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MerchantProfile {
    /// Where things are fetched; at most 50.
    pub stores: Vec<Store>,
}

/// A store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Its name.
    #[schema(example = "Ada's bakery")]
    pub name: String,
    /// Where it is, in words.
    #[schema(example = "Chaussee 1, 10115 Berlin")]
    pub address: String,
    /// Latitude in degrees.
    #[schema(example = 52.5163)]
    pub lat: f64,
    /// Longitude in degrees.
    #[schema(example = 13.3777)]
    pub lng: f64,
    /// When it is open, in its own local time.
    #[serde(default)]
    pub hours: Vec<OpenHours>,
}

/// Hours of one day of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenHours {
    /// The day.
    pub day: Day,
    /// `HH:MM`.
    #[schema(example = "09:00")]
    pub opens: String,
    /// `HH:MM`, later than `opens`; `24:00` is the end of the day.
    #[schema(example = "18:00")]
    pub closes: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "days of the week say what they are")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

fn one() -> u32 {
    1
}

fn both_speeds() -> Vec<Speed> {
    vec![Speed::Fast, Speed::Slow]
}

/// A driver's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DriverProfile {
    /// `foot`, `bicycle`, `motorbike`, `car` or `van`.
    #[schema(value_type = words::Vehicle)]
    pub vehicle: Vehicle,
    /// Units of size that fit at once.
    #[serde(default = "one")]
    pub capacity: u32,
    /// Zones that the driver means to serve, 1 to 50.
    #[schema(value_type = Vec<String>)]
    pub zones: Vec<ZoneId>,
    /// Speeds; both by default.
    #[serde(default = "both_speeds")]
    #[schema(value_type = Vec<words::Speed>)]
    pub speeds: Vec<Speed>,
    /// What they have shown: which papers, not the papers themselves.
    #[serde(default)]
    pub documents: Vec<Document>,
}

/// A document that a driver has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Which.
    #[schema(example = "driving licence")]
    pub kind: String,
    /// Its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The last day that it is good.
    #[serde(default, deserialize_with = "crate::instant::read_day_option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub expires_on: Option<NaiveDate>,
}
