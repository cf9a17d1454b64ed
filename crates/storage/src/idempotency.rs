//! First answers of creating requests. A record is written in the same commit as what the request created.
//!
//! An answer that holds a secret is kept sealed ([`Once`]): whoever asks again with the same key gets it, and the
//! database alone shows it to nobody.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use posthaste_domain::party::Party;
use posthaste_domain::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::error::StorageError;
use crate::pool::Pool;
use crate::sealed::Seal;

/// For how long a key is remembered, in hours of product time. Longer costs rows; shorter lets a client that was
/// offline create the same thing twice.
pub const KEPT_HOURS: i64 = 24;

/// What a request is known again by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The digest of what it means: this one is kept.
    meant: [u8; 32],
    /// The digest that earlier versions kept of the same request. It can go when none of their keys is remembered any more.
    earlier: [u8; 32],
}

impl Fingerprint {
    /// What is kept of it.
    #[must_use]
    pub fn kept(&self) -> Vec<u8> {
        self.meant.to_vec()
    }

    /// Whether what was kept is of the same request.
    #[must_use]
    pub fn is_of(&self, kept: &[u8]) -> bool {
        kept == self.meant || kept == self.earlier
    }
}

impl From<[[u8; 32]; 2]> for Fingerprint {
    fn from([meant, earlier]: [[u8; 32]; 2]) -> Self {
        Self { meant, earlier }
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(always: [u8; 32]) -> Self {
        Self { meant: always, earlier: always }
    }
}

/// The first answer to a request with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// Who asked: keys of two callers never meet.
    pub principal: String,
    /// The key.
    pub key: String,
    /// Digest of the request: the same key with another request is refused.
    pub fingerprint: Vec<u8>,
    /// HTTP status of the answer.
    pub status: u16,
    /// Body of the answer.
    pub response: String,
    /// When it was given.
    pub at: Timestamp,
}

/// The answer that was given to this caller's request with this key, if there was one in the last
/// [`KEPT_HOURS`] (or earlier, where [`forget`] did not run since).
pub async fn find(pool: &Pool, principal: &str, key: &str) -> Result<Option<IdempotencyRecord>, StorageError> {
    let row = sqlx::query!(
        "SELECT fingerprint, status, response, created_at FROM idempotency_keys WHERE principal = $1 AND key = $2",
        principal,
        key,
    )
    .fetch_optional(&pool.0)
    .await?;
    row.map(|row| {
        Ok(IdempotencyRecord {
            principal: principal.to_owned(),
            key: key.to_owned(),
            fingerprint: row.fingerprint,
            status: u16::try_from(row.status).map_err(|e| StorageError::corrupt("idempotency key's status", e))?,
            response: row.response,
            at: row.created_at,
        })
    })
    .transpose()
}

/// Keeps an answer in the transaction that makes what it tells of. A key that was used before breaks
/// `idempotency_keys_pkey`: what that means is the caller's to say.
pub(crate) async fn keep(connection: &mut PgConnection, answer: &IdempotencyRecord) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO idempotency_keys (principal, key, created_at, status, fingerprint, response)
            VALUES ($1, $2, $3, $4, $5, $6)",
        answer.principal,
        answer.key,
        answer.at,
        i16::try_from(answer.status).unwrap_or(i16::MAX),
        answer.fingerprint,
        answer.response,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What sealed answers are sealed for.
const PURPOSE: &str = "first answer";

/// A request with an idempotency key, whose answer holds a secret.
#[derive(Debug, Clone)]
pub struct Once {
    principal: String,
    key: String,
    fingerprint: Fingerprint,
}

/// What is there under a key that was used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstAnswer {
    /// The answer to this very request.
    Given {
        /// Its HTTP status.
        status: u16,
        /// Its body.
        body: String,
    },
    /// The key stands for another request.
    OfAnother,
    /// The answer was sealed with another secret than the configured one.
    Unreadable,
}

impl Once {
    /// A request of `principal`; `fingerprint` is that of what was asked.
    #[must_use]
    pub fn new(principal: Party, key: String, fingerprint: impl Into<Fingerprint>) -> Self {
        Self { principal: principal.to_string(), key, fingerprint: fingerprint.into() }
    }

    /// What the answer belongs to: it opens for nothing else. Neither part can hold a space.
    fn owner(&self) -> Vec<u8> {
        format!("{} {}", self.principal, self.key).into_bytes()
    }

    /// What was answered under the key, if it was used in the last [`KEPT_HOURS`].
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn first_answer(&self, pool: &Pool, seal: &Seal) -> Result<Option<FirstAnswer>, StorageError> {
        let Some(found) = find(pool, &self.principal, &self.key).await? else { return Ok(None) };
        if !self.fingerprint.is_of(&found.fingerprint) {
            return Ok(Some(FirstAnswer::OfAnother));
        }
        let sealed = STANDARD.decode(found.response.as_bytes()).ok();
        let opened = sealed.and_then(|sealed| seal.open(PURPOSE, &self.owner(), &sealed).ok());
        let body = opened.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(Some(body.map_or(FirstAnswer::Unreadable, |body| FirstAnswer::Given { status: found.status, body })))
    }

    /// Keeps the answer in the transaction that makes what it tells of. False where the key was used before: the
    /// transaction is of no use any more.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn keep(
        &self,
        connection: &mut PgConnection,
        seal: &Seal,
        (status, body): (u16, &str),
        at: Timestamp,
    ) -> Result<bool, StorageError> {
        let sealed = seal.seal(PURPOSE, &self.owner(), body.as_bytes());
        let sealed = sealed.map_err(|error| StorageError::corrupt("an answer to be sealed", error))?;
        let (principal, key, fingerprint) = (self.principal.clone(), self.key.clone(), self.fingerprint.kept());
        let response = STANDARD.encode(sealed);
        let record = IdempotencyRecord { principal, key, fingerprint, status, response, at };
        match keep(connection, &record).await {
            Ok(()) => Ok(true),
            Err(error) if crate::constraint(&error) == Some("idempotency_keys_pkey") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Forgets keys older than [`KEPT_HOURS`]; says how many.
pub async fn forget(pool: &Pool, now: Timestamp) -> Result<u64, StorageError> {
    let oldest = now - Span::hours(KEPT_HOURS);
    let done = sqlx::query!("DELETE FROM idempotency_keys WHERE created_at < $1", oldest).execute(&pool.0).await?;
    Ok(done.rows_affected())
}

/// Forgets what was answered to a caller.
pub async fn forget_of(pool: &Pool, principal: Party) -> Result<(), StorageError> {
    sqlx::query!("DELETE FROM idempotency_keys WHERE principal = $1", principal.to_string()).execute(&pool.0).await?;
    Ok(())
}
