//! The policy in a zone's shadow, over REST.

use chrono::{DateTime, Utc};
use posthaste_domain::ids::ZoneId;
use posthaste_protocol::page::Page;
use posthaste_protocol::shadow::{ShadowPlanView, ShadowView};
use serde::Serialize;

use crate::error::ClientError;
use crate::http::Client;

/// Which time to compare. Absent fields take the server's defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AskShadow {
    /// The start, in product time.
    pub from: Option<DateTime<Utc>>,
    /// The end, in product time.
    pub to: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    cursor: Option<&'a str>,
}

impl Client {
    /// How the policy in the zone's shadow compares with the one that decides.
    pub async fn shadow(&self, zone: ZoneId, asked: &AskShadow) -> Result<ShadowView, ClientError> {
        self.list(&["v1", "zones", &zone.to_string(), "shadow"], asked).await
    }

    /// Plans of both policies, newest first.
    pub async fn shadow_plans(&self, zone: ZoneId, cursor: Option<&str>) -> Result<Page<ShadowPlanView>, ClientError> {
        self.list(&["v1", "zones", &zone.to_string(), "shadow", "plans"], &Listed { cursor }).await
    }
}
