//! Webhooks: endpoints of a merchant, what is on its way to them, and replays.

use posthaste_domain::ids::{WebhookEndpointId, WebhookMessageId};
use posthaste_protocol::page::Page;
use posthaste_protocol::webhooks::{
    CreateEndpoint, EndpointView, EndpointWithSecret, PutEndpoint, ReplayFrom, Replayed, RotateSecret,
    WebhookMessageDetail, WebhookMessageView, WebhookState,
};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use crate::error::ClientError;
use crate::http::Client;

#[derive(Serialize)]
struct Listed<'a> {
    state: Option<WebhookState>,
    cursor: Option<&'a str>,
}

impl Client {
    /// Makes an endpoint. The idempotency key makes it safe to try again: the first secret is shown then.
    pub async fn create_webhook_endpoint(&self, endpoint: &CreateEndpoint) -> Result<EndpointWithSecret, ClientError> {
        self.command(Method::POST, &["v1", "webhooks", "endpoints"], endpoint).await
    }

    /// The caller's endpoints.
    pub async fn webhook_endpoints(&self) -> Result<Page<EndpointView>, ClientError> {
        self.get(&["v1", "webhooks", "endpoints"]).await
    }

    /// One endpoint.
    pub async fn webhook_endpoint(&self, id: WebhookEndpointId) -> Result<EndpointView, ClientError> {
        self.get(&["v1", "webhooks", "endpoints", &id.to_string()]).await
    }

    /// Replaces what the owner of an endpoint chooses.
    pub async fn put_webhook_endpoint(
        &self,
        id: WebhookEndpointId,
        endpoint: &PutEndpoint,
    ) -> Result<EndpointView, ClientError> {
        self.command(Method::PUT, &["v1", "webhooks", "endpoints", &id.to_string()], endpoint).await
    }

    /// Rotates an endpoint's secret. The idempotency key makes it safe to try again: it is rotated once.
    pub async fn rotate_webhook_secret(
        &self,
        id: WebhookEndpointId,
        rotate: &RotateSecret,
    ) -> Result<EndpointWithSecret, ClientError> {
        self.command(Method::POST, &["v1", "webhooks", "endpoints", &id.to_string(), "secret"], rotate).await
    }

    /// Sends to an endpoint again that was paused.
    pub async fn resume_webhook_endpoint(&self, id: WebhookEndpointId) -> Result<EndpointView, ClientError> {
        self.command(Method::POST, &["v1", "webhooks", "endpoints", &id.to_string(), "resume"], &json!({})).await
    }

    /// Sends a test to an endpoint.
    pub async fn test_webhook_endpoint(&self, id: WebhookEndpointId) -> Result<WebhookMessageView, ClientError> {
        self.command(Method::POST, &["v1", "webhooks", "endpoints", &id.to_string(), "test"], &json!({})).await
    }

    /// An endpoint's messages, newest first.
    pub async fn webhook_messages(
        &self,
        id: WebhookEndpointId,
        state: Option<WebhookState>,
        cursor: Option<&str>,
    ) -> Result<Page<WebhookMessageView>, ClientError> {
        let segments = ["v1", "webhooks", "endpoints", &id.to_string(), "messages"];
        self.list(&segments, &Listed { state, cursor }).await
    }

    /// One message with its attempts and body.
    pub async fn webhook_message(&self, id: WebhookMessageId) -> Result<WebhookMessageDetail, ClientError> {
        self.get(&["v1", "webhooks", "messages", &id.to_string()]).await
    }

    /// Sends a message again.
    pub async fn replay_webhook(&self, id: WebhookMessageId) -> Result<WebhookMessageView, ClientError> {
        self.command(Method::POST, &["v1", "webhooks", "messages", &id.to_string(), "replay"], &json!({})).await
    }

    /// Sends again what happened from a point in time on.
    pub async fn replay_webhooks(&self, id: WebhookEndpointId, replay: &ReplayFrom) -> Result<Replayed, ClientError> {
        self.command(Method::POST, &["v1", "webhooks", "endpoints", &id.to_string(), "replay"], replay).await
    }
}
