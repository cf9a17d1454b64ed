//! The server's clock as clients see it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Product time at the server. Clients that act at certain times (a simulator, a replay) follow it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClockView {
    /// The server's present instant.
    pub now: DateTime<Utc>,
    /// Product seconds per real second: 1 in production.
    pub speed: f64,
}
