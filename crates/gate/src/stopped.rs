//! Merchants hear that nothing more is sent to one of their endpoints: over their sockets as soon as they are connected,
//! and by email, once for each stop.

use std::pin::Pin;

use posthaste_domain::party::Party;
use posthaste_identity::Identity;
use posthaste_live::streams::{Streams, alert_merchant};
use posthaste_protocol::webhooks::{EndpointState, EndpointView};
use posthaste_storage::StorageError;
use posthaste_webhooks::{Connection, Owners};

/// Tells merchants over their sockets and by email.
pub struct Telling {
    /// Knows the way to sockets.
    pub streams: Streams,
    /// Knows the way to mailboxes.
    pub identity: Identity,
}

fn how(endpoint: &EndpointView) -> &'static str {
    if endpoint.state == EndpointState::Paused { "paused" } else { "disabled" }
}

/// What the email says. `url` is the merchant's own text, one line of printable ASCII.
fn letter(endpoint: &EndpointView) -> (String, String) {
    let (id, url, how) = (endpoint.id, &endpoint.url, how(endpoint));
    let why = endpoint.state_reason.as_deref().unwrap_or_default();
    let next = if endpoint.state == EndpointState::Paused {
        format!(
            "Events are collected and nothing is sent. When the endpoint works again: \
             POST /v1/webhooks/endpoints/{id}/resume, and all of it goes out, in order."
        )
    } else {
        "Events pass by from now on. Switch it on again with `enabled` when it works.".to_owned()
    };
    let text =
        format!("Your webhook endpoint {id} ({url}) is {how} since {}.\n\n{why}\n\n{next}", endpoint.state_since);
    (format!("A webhook endpoint is {how}"), text)
}

impl Owners for Telling {
    fn stopped(&self, endpoint: EndpointView) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(std::future::ready(alert(&self.streams, endpoint)))
    }

    fn write_to<'a>(
        &'a self,
        connection: &'a mut Connection,
        endpoint: EndpointView,
    ) -> Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send + 'a>> {
        Box::pin(async move {
            let (subject, text) = letter(&endpoint);
            let owner = Party::Merchant(endpoint.merchant_id);
            if !self.identity.write_to(connection, owner, &subject, &text).await? {
                tracing::info!(endpoint = %endpoint.id, "a webhook stopped and its owner cannot be written to");
            }
            Ok(())
        })
    }

    fn written(&self) {
        self.identity.wake();
    }
}

/// Tells merchants over their sockets alone: what stops in the test world is worth no letter.
pub struct OverSockets(pub Streams);

impl Owners for OverSockets {
    fn stopped(&self, endpoint: EndpointView) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(std::future::ready(alert(&self.0, endpoint)))
    }

    fn write_to<'a>(
        &'a self,
        _: &'a mut Connection,
        _: EndpointView,
    ) -> Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn written(&self) {}
}

/// Whether it is as sure as it can be that the merchant's sockets hear of it.
fn alert(streams: &Streams, endpoint: EndpointView) -> bool {
    let how = how(&endpoint);
    let why = endpoint.state_reason.unwrap_or_default();
    let text = format!("webhook endpoint {} ({}) is {how}: {why}", endpoint.id, endpoint.url);
    alert_merchant(streams, endpoint.merchant_id, posthaste_protocol::words::AlertKind::WebhookStopped, text)
}
