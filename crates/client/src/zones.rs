//! Zones over REST.

use posthaste_domain::ids::ZoneId;
use posthaste_protocol::page::Page;
use posthaste_protocol::zones::{BoardView, PutZone, ZoneView};
use reqwest::Method;

use crate::error::ClientError;
use crate::http::{Call, Client, json};

impl Client {
    /// Makes a zone. The idempotency key makes it safe to try again.
    pub async fn create_zone(&self, zone: &PutZone) -> Result<ZoneView, ClientError> {
        self.command(Method::POST, &["v1", "zones"], zone).await
    }

    /// Every zone.
    pub async fn zones(&self) -> Result<Vec<ZoneView>, ClientError> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let query = serde_json::json!({ "cursor": cursor });
            let page: Page<ZoneView> = self.list(&["v1", "zones"], &query).await?;
            all.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// One zone.
    pub async fn zone(&self, id: ZoneId) -> Result<ZoneView, ClientError> {
        self.get(&["v1", "zones", &id.to_string()]).await
    }

    /// Replaces a zone.
    pub async fn replace_zone(&self, id: ZoneId, zone: &PutZone) -> Result<ZoneView, ClientError> {
        let url = self.url(&["v1", "zones", &id.to_string()]);
        self.send(Call { body: Some(json(zone)), ..Call::new(Method::PUT, url) }).await
    }

    /// Removes a zone.
    pub async fn delete_zone(&self, id: ZoneId) -> Result<(), ClientError> {
        let url = self.url(&["v1", "zones", &id.to_string()]);
        let _: serde_json::Value = self.send(Call::new(Method::DELETE, url)).await?;
        Ok(())
    }

    /// What the zone's dispatcher sees.
    pub async fn board(&self, id: ZoneId) -> Result<BoardView, ClientError> {
        self.get(&["v1", "zones", &id.to_string(), "board"]).await
    }
}
