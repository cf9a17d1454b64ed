//! How deliveries went, over REST.

use chrono::{DateTime, Utc};
use posthaste_domain::ids::{MerchantId, ZoneId};
use posthaste_protocol::insight::{By, PerformanceView, TimesView};
use serde::Serialize;

use crate::error::ClientError;
use crate::http::Client;

/// Which performance to tell. Absent fields take the server's defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AskPerformance {
    /// The start, in product time.
    pub from: Option<DateTime<Utc>>,
    /// The end, in product time.
    pub to: Option<DateTime<Utc>>,
    /// Only this zone.
    pub zone_id: Option<ZoneId>,
    /// What a row stands for.
    pub by: By,
}

/// Whose learned times to tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AskTimes {
    /// Only this zone.
    pub zone_id: Option<ZoneId>,
    /// The seller; absent, one who is not known.
    pub merchant_id: Option<MerchantId>,
    /// The hour of the day (UTC); absent, the present one.
    pub hour: Option<u8>,
}

impl Client {
    /// What was learned of how long things take.
    pub async fn times(&self, asked: &AskTimes) -> Result<TimesView, ClientError> {
        self.list(&["v1", "insight", "times"], asked).await
    }

    /// How deliveries went, per zone and span of time.
    pub async fn performance(&self, asked: &AskPerformance) -> Result<PerformanceView, ClientError> {
        self.list(&["v1", "insight", "performance"], asked).await
    }
}
