//! Jobs on the wire: what is to be done later, as whoever is on call sees it.

use chrono::{DateTime, Utc};
use posthaste_domain::ids::JobId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words;

/// A job. What is in it is not shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// The job.
    #[schema(value_type = String, example = "job_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: JobId,
    /// What is to be done.
    #[schema(example = "email")]
    pub kind: String,
    /// How it stands.
    #[schema(value_type = words::JobState)]
    pub state: String,
    /// Jobs of one kind and lane run one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c ord_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub lane: Option<String>,
    /// Whose time it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "whe_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub group: Option<String>,
    /// While it waits or runs, no other of its kind and key is put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "schedule")]
    pub key: Option<String>,
    /// When it is done, at the earliest; of one that ended, when it was.
    pub due_at: DateTime<Utc>,
    /// While it runs: when somebody else may take it over, in real time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased_until: Option<DateTime<Utc>>,
    /// How often it was begun.
    #[schema(example = 3)]
    pub attempts: u32,
    /// What the last failed run met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "the mail server cannot be reached")]
    pub last_error: Option<String>,
    /// When it was put.
    pub created_at: DateTime<Utc>,
    /// When it was done or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether it is dead and there is something to try again.
    #[schema(example = true)]
    pub can_be_retried: bool,
}

/// How a kind of jobs stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobKindView {
    /// Its name.
    #[schema(example = "email")]
    pub kind: String,
    /// Jobs that wait for their time, or for others.
    #[schema(example = 3)]
    pub waiting: u64,
    /// Jobs that run.
    #[schema(example = 1)]
    pub running: u64,
    /// Jobs that were given up, and are still kept.
    #[schema(example = 0)]
    pub dead: u64,
    /// When the longest due could have begun, or the next can; absent where none waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_due_at: Option<DateTime<Utc>>,
    /// Where it is done again and again: how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<JobScheduleView>,
}

/// How a kind of jobs is done again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobScheduleView {
    /// How often, in seconds.
    #[schema(example = 3600)]
    pub every_seconds: u64,
    /// When the next is put.
    pub next_at: DateTime<Utc>,
    /// When the last was put; absent where none was yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<DateTime<Utc>>,
}
