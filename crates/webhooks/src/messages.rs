//! Messages: events on their way to endpoints, tests, and replays.

pub(crate) mod body;
pub(crate) mod routes;
pub(crate) mod store;
pub(crate) mod tests_sent;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{WebhookEndpointId, WebhookMessageId};
use posthaste_http::auth::Caller;
use posthaste_protocol::webhooks::{ReplayFrom, Replayed, WebhookMessageDetail, WebhookMessageView};

use crate::endpoints::{self, reach};
use crate::messages::store::New;
use crate::{Refused, Webhooks, types};

/// Messages that one replay sends again. More would hold the endpoint's row for seconds.
const MOST_REPLAYED: i64 = 20_000;
/// Attempts that are shown of a message.
const MOST_SHOWN: i64 = 100;

impl Webhooks {
    pub(crate) async fn message(&self, caller: &Caller, id: WebhookMessageId) -> Result<WebhookMessageDetail, Refused> {
        let found = store::get(self.pool(), id, reach(caller)).await?;
        let (message, merchant) = found.ok_or(Refused::NotFound("message"))?;
        let tried = store::attempts(self.pool(), id, MOST_SHOWN).await?;
        let body = body::of(self.pool(), &message, merchant).await?;
        Ok(WebhookMessageDetail { message, tried, body })
    }

    /// A message that says nothing, to see whether it arrives. It waits for no order's.
    pub(crate) async fn test(&self, caller: &Caller, id: WebhookEndpointId) -> Result<WebhookMessageView, Refused> {
        self.tests().take(id, reach(caller), std::time::Instant::now())?;
        let now = self.now();
        let new = New {
            id: self.clock().id(),
            endpoint: id,
            order: None,
            sequence: 0,
            kind: types::TEST.to_owned(),
            at: now,
        };
        let mut transaction = self.pool().connections().begin().await?;
        let state = endpoints::store::lock(&mut transaction, id, reach(caller)).await?;
        if state.ok_or(Refused::NotFound("endpoint"))? != "active" {
            return Err(Refused::Conflict("the endpoint is not active: resume it or switch it on"));
        }
        store::add(self.jobs(), &mut transaction, std::slice::from_ref(&new), now).await?;
        transaction.commit().await?;
        self.wake();
        let found = store::get(self.pool(), new.id, None).await?;
        found.map(|(message, _)| message).ok_or(Refused::NotFound("message"))
    }

    /// Sends a message again. Later ones of its order that wait still come after it.
    pub(crate) async fn replay(&self, caller: &Caller, id: WebhookMessageId) -> Result<WebhookMessageView, Refused> {
        let missing = || Refused::NotFound("message");
        let (message, _) = store::get(self.pool(), id, reach(caller)).await?.ok_or_else(missing)?;
        let (endpoint, now) = (message.endpoint_id, self.now());
        let mut transaction = self.pool().connections().begin().await?;
        endpoints::store::lock(&mut transaction, endpoint, reach(caller)).await?.ok_or_else(missing)?;
        if !store::replay_one(self.jobs(), &mut transaction, id, now).await? {
            return Err(missing());
        }
        transaction.commit().await?;
        self.wake();
        let found = store::get(self.pool(), id, reach(caller)).await?;
        found.map(|(message, _)| message).ok_or_else(missing)
    }

    /// Sends again what happened from a point in time on, each order's events in their order.
    pub(crate) async fn replay_from(
        &self,
        caller: &Caller,
        id: WebhookEndpointId,
        asked: &ReplayFrom,
    ) -> Result<Replayed, Refused> {
        let to = asked.to.unwrap_or(Timestamp::MAX_UTC);
        if to <= asked.from {
            return Err(Refused::field("to", "must lie after `from`"));
        }
        let mut transaction = self.pool().connections().begin().await?;
        let state = endpoints::store::lock(&mut transaction, id, reach(caller)).await?;
        state.ok_or(Refused::NotFound("endpoint"))?;
        let times = (asked.from, to);
        let (only, now) = (asked.only_set_aside, self.now());
        let found = store::replay_from(self.jobs(), &mut transaction, id, times, only, MOST_REPLAYED, now).await?;
        let Some(messages) = found else {
            let problem = format!("more than {MOST_REPLAYED} messages: choose a shorter time");
            return Err(Refused::field("from", problem));
        };
        transaction.commit().await?;
        self.wake();
        Ok(Replayed { messages })
    }
}
