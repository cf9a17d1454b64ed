//! Codes that are sent out and come back: six digits, good for minutes, once, and for few tries.

pub(crate) mod store;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{ChallengeId, Id};
use posthaste_protocol::accounts::{CodeSent, Secret};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::Identity;
use crate::refused::Refused;

/// Wrong codes that a challenge takes. With six digits, a guesser has one chance in 200,000.
pub(crate) const TRIES: u8 = 5;

/// What is done when the code comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "snake_case")]
pub(crate) enum Purpose {
    /// An account is made.
    Register(Box<Registration>),
    /// The password is replaced.
    Recover,
    /// The email address is replaced.
    ChangeEmail { email: String },
    /// The telephone number is set.
    VerifyPhone { phone: String },
}

/// An account that is not there yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registration {
    pub(crate) role: posthaste_http::auth::Role,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) phone: Option<String>,
    /// Whether the code went to the telephone number, and not to the email address.
    #[serde(default)]
    pub(crate) by_phone: bool,
    /// The password's hash.
    pub(crate) password: String,
}

impl Purpose {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "register",
            Self::Recover => "recover",
            Self::ChangeEmail { .. } => "change_email",
            Self::VerifyPhone { .. } => "verify_phone",
        }
    }
}

/// A challenge whose code was right.
pub(crate) struct Passed {
    pub(crate) id: ChallengeId,
    pub(crate) account: Option<posthaste_domain::ids::AccountId>,
    pub(crate) purpose: Purpose,
}

impl Identity {
    /// Makes a challenge; the code is to be sent in the same transaction.
    pub(crate) async fn challenge(
        &self,
        connection: &mut PgConnection,
        account: Option<posthaste_domain::ids::AccountId>,
        purpose: &Purpose,
        now: Timestamp,
    ) -> Result<(CodeSent, Secret), Refused> {
        let id: ChallengeId = self.clock().id();
        let (code, expires_at) = (Secret(crate::random::six_digits()), now + self.settings().code);
        let hash = self.code_hash(id, &code);
        store::add(connection, id, account, purpose, &hash, now, expires_at, TRIES).await?;
        Ok((CodeSent { challenge_id: id, expires_at }, code))
    }

    fn code_hash(&self, id: ChallengeId, code: &Secret) -> [u8; 32] {
        self.seal().digest("challenge", &[id.uuid().as_bytes(), code.expose().trim().as_bytes()])
    }

    /// Whether the code is the one of the challenge. A try is used up before anything is compared, so that many at once
    /// do not get more tries.
    pub(crate) async fn pass(
        &self,
        id: ChallengeId,
        purpose: &'static str,
        code: &Secret,
        now: Timestamp,
    ) -> Result<Passed, Refused> {
        let tried = store::take_try(self.pool(), id, purpose, now).await?;
        let tried = tried.ok_or(Refused::NotFound("code: it was used, has ended, or never was. Ask for a new one"))?;
        if !crate::same(&self.code_hash(id, code), &tried.hash) {
            return Err(Refused::WrongCode { left: Some(tried.left) });
        }
        Ok(Passed { id, account: tried.account, purpose: tried.purpose })
    }
}
