//! Codes that are sent out and come back: six digits, good for minutes, once, and for few tries.

pub(crate) mod store;

use posthaste_domain::code::as_meant;
use posthaste_domain::ids::{AccountId, ChallengeId, Id};
use posthaste_protocol::accounts::{CodeSent, Secret};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;

use crate::Identity;
use crate::audit::folding::Same;
use crate::audit::{Entry, Origin};
use crate::refused::Refused;

/// What a code looks like, as a regular expression.
pub(crate) const FORM: &str = "^[0-9]{6}$";
/// Wrong codes that a challenge takes. With six digits, a guesser has one chance in 200,000.
pub(crate) const TRIES: u8 = 5;

/// What is open for an account, by what it was sent for: all of it, what was sent to a mailbox or about one, to a phone.
pub(crate) const OPEN: [&str; 3] = ["recover", "change_email", "verify_phone"];
pub(crate) const OPEN_FOR_EMAIL: [&str; 2] = ["recover", "change_email"];
pub(crate) const OPEN_FOR_PHONE: [&str; 2] = ["recover", "verify_phone"];

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
    pub(crate) account: Option<AccountId>,
    pub(crate) purpose: Purpose,
}

impl Identity {
    /// Makes a challenge; the code is to be sent in the same transaction.
    pub(crate) async fn challenge(
        &self,
        connection: &mut PgConnection,
        account: Option<AccountId>,
        purpose: &Purpose,
        origin: &Origin,
    ) -> Result<(CodeSent, Secret), Refused> {
        let now = self.now();
        let id: ChallengeId = self.clock().id();
        let (code, expires_at) = (Secret(crate::random::six_digits()), now + self.settings().code);
        let hash = self.code_hash(id, &code);
        store::add(connection, id, account, purpose, &hash, now, expires_at, TRIES).await?;
        let entry = about("code.requested", account, purpose.name());
        let same = Same { kind: purpose.name(), ..Same::about("code.requested", account) };
        self.note_folded_with(connection, origin, same, entry).await?;
        Ok((CodeSent { challenge_id: id, expires_at }, code))
    }

    fn code_hash(&self, id: ChallengeId, code: &Secret) -> [u8; 32] {
        self.seal().digest("challenge", &[id.uuid().as_bytes(), as_meant(code.expose()).as_bytes()])
    }

    /// Whether the code is the one of the challenge. A try is used up before anything is compared, so that many at once
    /// do not get more tries; one of the address too, which has it back unless the code was wrong.
    pub(crate) async fn pass(
        &self,
        id: ChallengeId,
        purpose: &'static str,
        code: &Secret,
        origin: &Origin,
    ) -> Result<Passed, Refused> {
        let guess = self.throttle().guess(origin.address, self.now());
        let guess = guess.map_err(|seconds| Refused::Throttled { seconds })?;
        let tried = store::take_try(self.pool(), id, purpose, self.now()).await;
        let compared = matches!(tried, Ok(Some(_)));
        let right = matches!(&tried, Ok(Some(tried)) if crate::same(&self.code_hash(id, code), &tried.hash));
        if right || !compared {
            self.throttle().not_wrong(guess, self.now());
        }
        let tried = tried?;
        if !right {
            let account = tried.as_ref().and_then(|tried| tried.account);
            let same = Same { kind: purpose, ..Same::about("code.failed", account) };
            self.note_folded(origin, same, about("code.failed", account, purpose)).await?;
        }
        let tried = tried.ok_or(Refused::NotFound("code: it was used, has ended, or never was. Ask for a new one"))?;
        if !right {
            return Err(Refused::WrongCode { left: Some(tried.left) });
        }
        Ok(Passed { id, account: tried.account, purpose: tried.purpose })
    }
}

/// What nobody in particular did with a code, of an account where there is one.
fn about(act: &'static str, account: Option<AccountId>, purpose: &str) -> Entry {
    Entry::of_nobody(act, account).with(json!({"purpose": purpose}))
}
