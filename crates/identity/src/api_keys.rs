//! Keys with which merchants' programs call: shown once, kept as a digest, good until they are revoked.

pub(crate) mod routes;
pub(crate) mod store;

use std::time::{Duration, Instant};

use dashmap::DashMap;
use posthaste_domain::Span;
use posthaste_domain::ids::{AccountId, ApiKeyId};
use posthaste_http::auth::{Caller, Credential, KeyScope, KeyScopes, LoginProof, Role};
use posthaste_protocol::accounts::{ApiKeyCreated, ApiKeyView, CreateApiKey, KeyWorld};
use posthaste_protocol::problem::FieldError;
use posthaste_storage::idempotency::{FirstAnswer, Once};
use serde_json::json;

use crate::accounts::{party, wrong_name};
use crate::audit::{Entry, Origin};
use crate::refused::Refused;
use crate::{Identity, random};

/// How long what was read of a key is believed. A key that another process revoked is good for as long.
const BELIEVED: Duration = Duration::from_secs(1);
/// Keys remembered at most.
const MOST_REMEMBERED: usize = 10_000;
/// Keys of one merchant that are not revoked, at most.
const MOST_KEYS: usize = 100;
/// A key's use is noted this often, in seconds: not with every request.
const NOTED_EVERY_SECONDS: i64 = 60;

/// Keys that were good when they were last read; since when that is believed, where it still may be.
#[derive(Debug, Default)]
pub(crate) struct Cache(DashMap<Vec<u8>, (Option<Instant>, Caller)>);

fn is_fresh(read_at: Option<Instant>, now: Instant) -> bool {
    read_at.is_some_and(|read_at| now.duration_since(read_at) < BELIEVED)
}

impl Cache {
    fn get(&self, hash: &[u8], now: Instant) -> Option<Caller> {
        self.0.get(hash).filter(|entry| is_fresh(entry.0, now)).map(|entry| entry.1)
    }

    /// Whether the key was good when it was last read, however long ago.
    pub(crate) fn has_seen(&self, hash: &[u8]) -> bool {
        self.0.contains_key(hash)
    }

    fn put(&self, hash: Vec<u8>, caller: Caller, now: Instant) {
        if self.0.len() >= MOST_REMEMBERED {
            self.0.retain(|_, entry| is_fresh(entry.0, now));
        }
        if self.0.len() < MOST_REMEMBERED {
            self.0.insert(hash, (Some(now), caller));
        }
    }

    fn forget(&self, hash: &[u8]) {
        self.0.remove(hash);
    }

    /// Something was revoked: everything is read anew.
    pub(crate) fn forget_all(&self) {
        self.0.iter_mut().for_each(|mut entry| entry.0 = None);
    }
}

/// A new key: made now, or the first answer (status and body) to a request that came again.
#[derive(Debug)]
pub(crate) enum Made {
    Now(ApiKeyCreated),
    Again(u16, String),
}

impl Identity {
    /// Whose key it is.
    pub(crate) async fn admit_key(&self, secret: &str) -> Result<Caller, Refused> {
        let hash = random::digest(secret);
        if let Some(caller) = self.0.api_keys.get(&hash, self.clock().instant()) {
            return Ok(caller);
        }
        let now = self.now();
        let found = store::by_hash(self.pool(), &hash).await?;
        let Some(found) = found else {
            self.0.api_keys.forget(&hash);
            return Err(Refused::Elsewhere(Box::new(unknown())));
        };
        let caller = Caller {
            party: party(Role::Merchant, found.subject),
            role: Role::Merchant,
            // Keys do not end by themselves.
            expires_at: now + Span::days(36_500),
            credential: Credential::Key {
                account: found.account,
                key: found.id,
                scopes: found.scopes.iter().filter_map(|name| KeyScope::named(name)).collect::<KeyScopes>(),
                world: found.world,
            },
        };
        let is_noted = found.last_used_at.is_some_and(|at| now - at < Span::seconds(NOTED_EVERY_SECONDS));
        if !is_noted {
            store::used(self.pool(), found.id, now).await?;
        }
        self.0.api_keys.put(hash, caller, self.clock().instant());
        Ok(caller)
    }

    /// Makes a key. With an idempotency key, the same again is answered as the first time, with the secret: that too wants
    /// a fresh proof.
    pub(crate) async fn create_key(
        &self,
        proof: &LoginProof,
        asked: &CreateApiKey,
        once: Option<&Once>,
        origin: &Origin,
    ) -> Result<Made, Refused> {
        let errors = faults(asked);
        if !errors.is_empty() {
            return Err(Refused::Invalid(errors));
        }
        self.fresh(proof).await?;
        if asked.world == KeyWorld::Test {
            self.test_world().await?;
        }
        let (id, now): (ApiKeyId, _) = (self.clock().id(), self.now());
        let prefix = asked.world.key_prefix();
        let secret = format!("{prefix}{}", random::text(32));
        let key = ApiKeyView {
            id,
            name: asked.name.trim().to_owned(),
            hint: format!("{prefix}…{}", &secret[secret.len() - 4..]),
            world: asked.world,
            scopes: asked.scopes.clone(),
            created_at: now,
            last_used_at: None,
            revoked_at: None,
        };
        let mut transaction = self.pool().connections().begin().await?;
        // The account's lock keeps the count.
        crate::accounts::store::lock(&mut transaction, proof.account).await?;
        let keys = store::list(&mut *transaction, proof.account).await?;
        if keys.iter().filter(|key| key.revoked_at.is_none()).count() >= MOST_KEYS {
            drop(transaction);
            let full = Refused::Conflict("there are 100 keys already: revoke those that are not used");
            return self.made_before(once, full).await;
        }
        store::add(&mut transaction, proof.account, &key, &random::digest(&secret)).await?;
        let entry =
            Entry::new("api_key.created", proof.account).on(id).with(json!({"scopes": key.scopes, "world": key.world}));
        self.audit(&mut transaction, origin, entry).await?;
        let made = ApiKeyCreated { secret: secret.into(), key };
        if let Some(once) = once {
            let body = serde_json::to_string(&made).map_err(|error| Refused::Internal(error.to_string()))?;
            // Keys to requests are forgotten by the product's clock.
            let at = self.clock().now();
            if !once.keep(&mut transaction, self.seal(), (201, &body), at).await? {
                drop(transaction);
                return self.made_before(Some(once), Refused::IdempotencyMismatch).await;
            }
        }
        transaction.commit().await?;
        Ok(Made::Now(made))
    }

    /// What was answered to the same request before; `otherwise` where nothing was.
    async fn made_before(&self, once: Option<&Once>, otherwise: Refused) -> Result<Made, Refused> {
        let Some(once) = once else { return Err(otherwise) };
        match once.first_answer(self.pool(), self.seal()).await? {
            Some(FirstAnswer::Given { status, body }) => Ok(Made::Again(status, body)),
            Some(FirstAnswer::OfAnother) => Err(Refused::IdempotencyMismatch),
            Some(FirstAnswer::Unreadable) => {
                Err(Refused::Conflict("it was made, and its secret can no longer be read: revoke it and make another"))
            }
            None => Err(otherwise),
        }
    }

    /// Whether anybody has a key of the test world.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn has_test_keys(&self) -> Result<bool, Refused> {
        Ok(store::any_of_test_world(self.pool()).await?)
    }

    /// Makes sure that there is a test world.
    async fn test_world(&self) -> Result<(), Refused> {
        match self.0.dispatch.get() {
            Some(dispatch) => dispatch.test_world().await.map_err(|problem| Refused::Elsewhere(Box::new(problem))),
            None => Err(Refused::Conflict("there is no test world on this server: only live keys are made")),
        }
    }

    /// The account's keys, newest first.
    pub(crate) async fn keys(&self, account: AccountId) -> Result<Vec<ApiKeyView>, Refused> {
        Ok(store::list(self.pool().connections(), account).await?)
    }

    /// Refuses a key from now on.
    pub(crate) async fn revoke_key(&self, proof: &LoginProof, id: ApiKeyId, origin: &Origin) -> Result<(), Refused> {
        let mut transaction = self.pool().connections().begin().await?;
        match store::revoke(&mut transaction, proof.account, id, self.now()).await? {
            None => return Err(Refused::NotFound("key")),
            Some(true) => {
                self.audit(&mut transaction, origin, Entry::new("api_key.revoked", proof.account).on(id)).await?;
            }
            Some(false) => {}
        }
        transaction.commit().await?;
        self.0.api_keys.forget_all();
        self.0.revocations.end_key(id);
        Ok(())
    }
}

fn unknown() -> posthaste_protocol::problem::Problem {
    posthaste_protocol::problem::Problem::new(posthaste_protocol::problem::Code::Unauthenticated)
        .detail("the key is not one of this server's, or was revoked")
}

fn faults(asked: &CreateApiKey) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(problem) = wrong_name(&asked.name) {
        errors.push(FieldError { field: "name".to_owned(), problem });
    }
    if asked.scopes.is_empty() || asked.scopes.len() > KeyScope::ALL.len() {
        let names: Vec<_> = KeyScope::ALL.iter().map(|scope| scope.name()).collect();
        errors.push(FieldError {
            field: "scopes".to_owned(),
            problem: format!("must name some of {}", names.join(", ")),
        });
    }
    for (n, name) in asked.scopes.iter().enumerate().take(KeyScope::ALL.len()) {
        let problem = if KeyScope::named(name).is_none() {
            "no such scope"
        } else if asked.scopes[..n].contains(name) {
            "stands there twice"
        } else {
            continue;
        };
        errors.push(FieldError { field: format!("scopes[{n}]"), problem: problem.to_owned() });
    }
    errors
}
