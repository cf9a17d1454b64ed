//! Merchants hear that nothing more is sent to one of their endpoints: over their sockets, as soon as they are connected.

use std::pin::Pin;

use posthaste_live::System;
use posthaste_protocol::webhooks::{EndpointState, EndpointView};
use posthaste_webhooks::Owners;

/// Tells merchants over their sockets.
pub struct OverSockets(pub System);

impl Owners for OverSockets {
    fn stopped(&self, endpoint: EndpointView) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        let why = endpoint.state_reason.unwrap_or_default();
        let how = if endpoint.state == EndpointState::Paused { "paused" } else { "disabled" };
        let text = format!("webhook endpoint {} ({}) is {how}: {why}", endpoint.id, endpoint.url);
        Box::pin(std::future::ready(self.0.streams().alert_merchant(endpoint.merchant_id, "webhook_stopped", text)))
    }
}
