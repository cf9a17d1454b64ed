//! Endpoints: where a merchant's program is told of events, of which, and with which secrets.

mod muted;
pub(crate) mod routes;
pub(crate) mod store;

use posthaste_domain::ids::{Id, MerchantId, WebhookEndpointId};
use posthaste_domain::{Span, Timestamp};
use posthaste_http::auth::Caller;
use posthaste_protocol::problem::FieldError;
use posthaste_protocol::webhooks::{CreateEndpoint, EndpointView, EndpointWithSecret, PutEndpoint, RotateSecret};
use posthaste_storage::StorageError;
use posthaste_storage::idempotency::{FirstAnswer, Once};

use crate::signing::Secret;
use crate::{Refused, Webhooks, types};

/// Endpoints of one merchant. Each costs a message for every event.
const MOST_ENDPOINTS: usize = 10;
/// Characters of a description.
pub(crate) const MOST_DESCRIPTION: usize = 200;
/// Hours for which two secrets may be valid.
pub(crate) const MOST_OVERLAP_HOURS: u32 = 168;
/// What secrets are sealed for.
const PURPOSE: &str = "webhook secret";

/// Whose endpoints somebody may reach: a merchant's own, or everybody's.
pub(crate) fn reach(caller: &Caller) -> Option<MerchantId> {
    caller.merchant()
}

/// A secret is shown: now, or with the first answer (status and body) to a request that came again.
#[derive(Debug)]
pub(crate) enum Shown {
    Now(Box<EndpointWithSecret>),
    Again(u16, String),
}

/// What an owner chooses.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) url: String,
    pub(crate) description: String,
    pub(crate) types: Vec<String>,
}

impl Webhooks {
    fn choice(&self, url: &str, description: String, mut types: Vec<String>) -> Result<Choice, Refused> {
        let mut errors = Vec::new();
        let mut wrong = |field: String, problem: String| errors.push(FieldError { field, problem });
        if let Err(problem) = self.allowed().new_url(url) {
            wrong("url".to_owned(), problem);
        }
        if description.chars().count() > MOST_DESCRIPTION {
            wrong("description".to_owned(), format!("longer than {MOST_DESCRIPTION} characters"));
        }
        if types.len() > types::MOST {
            wrong("types".to_owned(), format!("must name at most {}, each once", types::MOST));
        }
        for (n, kind) in types.iter().enumerate().take(types::MOST) {
            if !types::exists(kind) {
                wrong(format!("types[{n}]"), "is no type of event: GET /v1/webhooks/types lists them".to_owned());
            }
        }
        if !errors.is_empty() {
            return Err(Refused::Invalid(errors));
        }
        types.sort();
        types.dedup();
        Ok(Choice { url: url.to_owned(), description, types })
    }

    pub(crate) fn sealed(&self, id: WebhookEndpointId, secret: &Secret) -> Result<Vec<u8>, Refused> {
        Ok(self.seal().seal(PURPOSE, id.uuid().as_bytes(), secret.bytes())?)
    }

    /// A secret as it is kept; none where it was sealed with another key.
    pub(crate) fn unsealed(&self, id: WebhookEndpointId, sealed: &[u8]) -> Option<Secret> {
        self.seal().open(PURPOSE, id.uuid().as_bytes(), sealed).ok()?.try_into().ok()
    }

    /// Makes an endpoint. With an idempotency key, the same again is answered as the first time, with the secret.
    pub(crate) async fn create(
        &self,
        caller: &Caller,
        asked: CreateEndpoint,
        once: Option<&Once>,
    ) -> Result<Shown, Refused> {
        let merchant = match (reach(caller), asked.merchant_id) {
            (Some(own), None) => own,
            (Some(own), Some(named)) if own == named => own,
            (Some(_), Some(_)) => return Err(Refused::field("merchant_id", "is another merchant: leave it out")),
            (None, Some(named)) => named,
            (None, None) => return Err(Refused::field("merchant_id", "is required: say for which merchant")),
        };
        let choice = self.choice(&asked.url, asked.description, asked.types)?;
        let id: WebhookEndpointId = self.clock().id();
        let secret = Secret::random();
        let sealed = self.sealed(id, &secret)?;
        let mut transaction = self.pool().connections().begin().await?;
        let now = self.now();
        let made = store::create(&mut transaction, id, merchant, &choice, &sealed, now, MOST_ENDPOINTS).await?;
        let Some(endpoint) = made else {
            drop(transaction);
            return self.shown_before(once, Refused::Conflict("a merchant has 10 endpoints at most")).await;
        };
        self.show(transaction, once, 201, EndpointWithSecret { endpoint, secret: secret.to_string() }).await
    }

    /// Commits what a secret is shown for, with the answer where a key may ask for it again.
    async fn show(
        &self,
        mut transaction: sqlx::Transaction<'static, sqlx::Postgres>,
        once: Option<&Once>,
        status: u16,
        made: EndpointWithSecret,
    ) -> Result<Shown, Refused> {
        if let Some(once) = once {
            let body = serde_json::to_string(&made).map_err(|error| StorageError::corrupt("an answer", error))?;
            if !once.keep(&mut transaction, self.seal(), (status, &body), self.now()).await? {
                drop(transaction);
                return self.shown_before(Some(once), Refused::IdempotencyMismatch).await;
            }
        }
        transaction.commit().await?;
        Ok(Shown::Now(Box::new(made)))
    }

    /// What was answered to the same request before; `otherwise` where nothing was.
    async fn shown_before(&self, once: Option<&Once>, otherwise: Refused) -> Result<Shown, Refused> {
        let Some(once) = once else { return Err(otherwise) };
        match once.first_answer(self.pool(), self.seal()).await? {
            Some(FirstAnswer::Given { status, body }) => Ok(Shown::Again(status, body)),
            Some(FirstAnswer::OfAnother) => Err(Refused::IdempotencyMismatch),
            Some(FirstAnswer::Unreadable) => {
                Err(Refused::Conflict("it was done, and its secret can no longer be read: rotate it"))
            }
            None => Err(otherwise),
        }
    }

    pub(crate) async fn endpoint(&self, caller: &Caller, id: WebhookEndpointId) -> Result<EndpointView, Refused> {
        let found = store::get(self.pool(), id, reach(caller)).await?;
        found.ok_or(Refused::NotFound("endpoint"))
    }

    pub(crate) async fn replace(
        &self,
        caller: &Caller,
        id: WebhookEndpointId,
        asked: PutEndpoint,
    ) -> Result<EndpointView, Refused> {
        self.endpoint(caller, id).await?;
        let choice = self.choice(&asked.url, asked.description, asked.types)?;
        let replaced = store::replace(self.pool(), id, reach(caller), &choice, asked.enabled, self.now()).await?;
        self.wake();
        replaced.ok_or(Refused::NotFound("endpoint"))
    }

    pub(crate) async fn delete(&self, caller: &Caller, id: WebhookEndpointId) -> Result<(), Refused> {
        let deleted = store::delete(self.pool(), id, reach(caller), self.now()).await?;
        if deleted { Ok(()) } else { Err(Refused::NotFound("endpoint")) }
    }

    /// A new secret. The present one stays valid for the overlap; an older one than that ends at once, so that two are
    /// valid and never three.
    pub(crate) async fn rotate(
        &self,
        caller: &Caller,
        id: WebhookEndpointId,
        asked: &RotateSecret,
        once: Option<&Once>,
    ) -> Result<Shown, Refused> {
        if asked.overlap_hours > MOST_OVERLAP_HOURS {
            return Err(Refused::field("overlap_hours", format!("must lie between 0 and {MOST_OVERLAP_HOURS}")));
        }
        self.endpoint(caller, id).await?;
        let secret = Secret::random();
        let sealed = self.sealed(id, &secret)?;
        let until = (asked.overlap_hours > 0).then(|| self.now() + Span::hours(i64::from(asked.overlap_hours)));
        let mut transaction = self.pool().connections().begin().await?;
        let rotated = store::rotate(&mut transaction, id, reach(caller), &sealed, until).await?;
        let endpoint = rotated.ok_or(Refused::NotFound("endpoint"))?;
        self.show(transaction, once, 200, EndpointWithSecret { endpoint, secret: secret.to_string() }).await
    }

    /// Sends again to an endpoint that was paused. What waits goes out at once, each order's events in their order.
    pub(crate) async fn resume(&self, caller: &Caller, id: WebhookEndpointId) -> Result<EndpointView, Refused> {
        self.endpoint(caller, id).await?;
        let resumed = store::resume(self.pool(), id, self.now()).await?;
        self.wake();
        resumed.ok_or(Refused::Conflict("the endpoint is not paused"))
    }
}

/// The secrets that sign now, newest first.
pub(crate) fn valid(
    current: Option<Secret>,
    previous: Option<(Option<Secret>, Timestamp)>,
    now: Timestamp,
) -> Option<Vec<Secret>> {
    let mut secrets = vec![current?];
    secrets.extend(previous.filter(|(_, until)| now < *until).and_then(|(secret, _)| secret));
    Some(secrets)
}
