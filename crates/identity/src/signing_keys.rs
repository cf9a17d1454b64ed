//! The keys that sign access tokens: Ed25519, with names, rotated without anybody noticing.
//!
//! A new key is published at once and signs a little later, when everybody who checks has seen it. The one before is
//! kept for checking until nothing that it signed can be valid. Several processes on one database share them.

pub(crate) mod store;

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthaste_domain::{Span, Timestamp};
use posthaste_http::auth::LEEWAY_SECONDS;
use posthaste_http::signed_tokens::{ED25519_BYTES, Signer, Verifier};
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use posthaste_storage::sealed::Seal;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::access_token::TYPE;
use crate::refused::Refused;
use crate::settings::Settings;

const PURPOSE: &str = "signing key";

/// One key.
pub(crate) struct SigningKey {
    pub(crate) id: String,
    pub(crate) signs_from: Timestamp,
    public: Vec<u8>,
    signer: Signer,
    verifier: Verifier,
}

/// The keys in force. Cheap to clone.
#[derive(Clone, Default)]
pub struct SigningKeys(Arc<ArcSwap<Vec<SigningKey>>>);

/// A key of the published set (RFC 8037).
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PublicKey {
    /// `OKP`.
    #[schema(example = "OKP")]
    kty: &'static str,
    /// `Ed25519`.
    #[schema(example = "Ed25519")]
    crv: &'static str,
    /// `EdDSA`.
    #[schema(example = "EdDSA")]
    alg: &'static str,
    /// `sig`.
    #[schema(example = "sig")]
    #[serde(rename = "use")]
    usage: &'static str,
    /// Its name, as in tokens' headers.
    #[schema(example = "2026-05-01-1")]
    kid: String,
    /// The key itself.
    #[schema(example = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")]
    x: String,
}

/// The published keys (RFC 7517).
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct KeySet {
    /// Every key whose tokens may be valid now or soon.
    pub keys: Vec<PublicKey>,
}

impl SigningKeys {
    /// A token that says `claims`, by the newest key that may sign.
    pub(crate) fn sign(&self, now: Timestamp, claims: &impl Serialize) -> Result<String, Refused> {
        let keys = self.0.load();
        let ready = keys.iter().filter(|key| key.signs_from <= now).max_by_key(|key| key.signs_from);
        let key = ready.or(keys.first()).ok_or_else(|| Refused::Internal("there is no signing key".to_owned()))?;
        key.signer.sign(claims).map_err(|error| Refused::Internal(error.to_string()))
    }

    /// What the token says, if the key of this name has signed it.
    pub(crate) fn read<T: DeserializeOwned>(&self, id: &str, token: &str) -> Option<T> {
        let keys = self.0.load();
        keys.iter().find(|key| key.id == id)?.verifier.read(token).ok()
    }

    /// What is published.
    #[must_use]
    pub fn published(&self) -> KeySet {
        let keys = self.0.load();
        let public = |key: &SigningKey| PublicKey {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            usage: "sig",
            kid: key.id.clone(),
            x: URL_SAFE_NO_PAD.encode(&key.public),
        };
        KeySet { keys: keys.iter().map(public).collect() }
    }

    /// Reads the keys anew; makes the first, or the next where the last has signed for long enough.
    pub(crate) async fn refresh(
        &self,
        pool: &Pool,
        seal: &Seal,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let rows = store::all(pool).await?;
        let newest = rows.iter().map(|row| row.signs_from).max();
        let is_due = newest.is_none_or(|signs_from| signs_from + settings.signing_key <= now);
        let rows = if is_due {
            rotate(pool, seal, settings, now, newest).await?;
            store::all(pool).await?
        } else {
            rows
        };
        store::remove_retired(pool, now - settings.access_token - Span::seconds(2 * LEEWAY_SECONDS)).await?;
        let mut keys = Vec::new();
        for row in rows {
            let damaged = || Refused::Internal("a stored signing key is damaged".to_owned());
            let seed = seal.open(PURPOSE, row.id.as_bytes(), &row.secret)?;
            let seed: [u8; ED25519_BYTES] = seed.as_slice().try_into().map_err(|_| damaged())?;
            Ed25519KeyPair::from_seed_and_public_key(&seed, &row.public).map_err(|_| damaged())?;
            keys.push(SigningKey {
                signer: Signer::ed25519(&seed, TYPE, &row.id),
                verifier: Verifier::ed25519(&row.public, TYPE),
                public: row.public,
                id: row.id,
                signs_from: row.signs_from,
            });
        }
        self.0.store(Arc::new(keys));
        Ok(())
    }
}

/// Whether this secret opens what the database keeps: the signing keys are the first that a server seals. None where there
/// are none yet.
///
/// # Errors
///
/// Those of the database.
pub async fn opens(pool: &Pool, seal: &Seal) -> Result<Option<bool>, StorageError> {
    let rows = store::all(pool).await?;
    let newest = rows.last();
    Ok(newest.map(|row| seal.open(PURPOSE, row.id.as_bytes(), &row.secret).is_ok()))
}

/// Makes the next key. Where somebody else did so since `newest` was read, theirs is taken.
pub(crate) async fn rotate(
    pool: &Pool,
    seal: &Seal,
    settings: &Settings,
    now: Timestamp,
    newest: Option<Timestamp>,
) -> Result<bool, Refused> {
    let damaged = |_| Refused::Internal("a signing key could not be made".to_owned());
    let seed: [u8; 32] = rand::random();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(damaged)?;
    let id = crate::random::text(12);
    let secret = seal.seal(PURPOSE, id.as_bytes(), &seed)?;
    let signs_from = if newest.is_none() { now } else { now + settings.publish_before };
    let new = store::Row { id, signs_from, public: pair.public_key().as_ref().to_vec(), secret };
    let made = store::add(pool, &new, now, newest).await?;
    if made {
        tracing::info!(key = new.id, %signs_from, "a new signing key");
    }
    Ok(made)
}
