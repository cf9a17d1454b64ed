//! The server itself: clock, health, version.

use posthaste_protocol::clock::ClockView;
use serde::Deserialize;

use crate::error::ClientError;
use crate::http::{Call, Client};

/// What the server says about itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Version {
    /// The program's version.
    pub version: String,
    /// Whatever else it tells: commit, build.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

impl Client {
    /// The server's clock.
    pub async fn clock(&self) -> Result<ClockView, ClientError> {
        self.get(&["v1", "clock"]).await
    }

    /// What the server says about itself.
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.get(&["version"]).await
    }

    /// Whether the process answers. Asked once, not repeated.
    pub async fn is_live(&self) -> bool {
        self.probe("live").await
    }

    /// Whether the server is ready for work. Asked once, not repeated.
    pub async fn is_ready(&self) -> bool {
        self.probe("ready").await
    }

    /// Waits until the server is ready, at most `limit`.
    pub async fn wait_until_ready(&self, limit: std::time::Duration) -> Result<(), ClientError> {
        let wait = async {
            while !self.is_ready().await {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(limit, wait).await.map_err(|_| ClientError::Timeout)
    }

    async fn probe(&self, what: &str) -> bool {
        let url = self.url(&["health", what]);
        match self.send::<serde_json::Value>(Call { repeatable: false, ..Call::new(reqwest::Method::GET, url) }).await {
            Ok(_) => true,
            // Any body will do: the status says it.
            Err(error) => matches!(error, ClientError::Decode { .. }),
        }
    }
}
