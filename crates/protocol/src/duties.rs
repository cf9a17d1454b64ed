//! What is done by the clock, on the wire.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words;

/// Something that is done by the clock, and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DutyView {
    /// Its name.
    #[schema(example = "live.checkpoint")]
    pub name: String,
    /// Whose it is: of the live world or of the test world.
    #[schema(value_type = crate::accounts::KeyWorld)]
    pub world: String,
    /// What it does.
    #[schema(example = "writes the newest positions, tracks and the clock's reading")]
    pub does: String,
    /// How often it is done, in seconds of real time; what is woken by something else is done at the latest after so long.
    #[schema(example = 3.0)]
    pub period_seconds: f64,
    /// What wakes it before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "a message is written")]
    pub trigger: Option<String>,
    /// In which processes it is done.
    #[schema(value_type = words::DutyRuns)]
    pub runs: String,
    /// Whether it is being done now.
    pub running: bool,
    /// When it was done last, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// How long that took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 12)]
    pub took_ms: Option<u64>,
    /// What was wrong the last time; absent where it went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "the database is away")]
    pub problem: Option<String>,
    /// How often it was done since the start.
    #[schema(example = 240)]
    pub done: u64,
    /// How often it failed since the start.
    #[schema(example = 0)]
    pub failed: u64,
}
