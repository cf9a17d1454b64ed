//! Access tokens: JWT of type `at+jwt`, signed with Ed25519. Of the claims that RFC 9068 wants, `aud`, `client_id` and
//! `jti` are not there: there is one audience and no registered client, and what ends is the session (`sid`), not a token.

use posthaste_domain::ids::{AccountId, LoginId};
use posthaste_domain::party::Party;
use posthaste_domain::{Span, Timestamp};
use posthaste_http::auth::{Caller, Credential, ISSUER, LEEWAY_SECONDS, LoginProof, Role};
use posthaste_http::problem::Failure;
use posthaste_http::signed_tokens::Claimed;
use posthaste_protocol::accounts::Secret;
use posthaste_protocol::problem::{Code, Problem};
use serde::{Deserialize, Serialize};

use crate::refused::Refused;
use crate::signing_keys::SigningKeys;

/// Longer texts are no tokens of ours.
pub const LONGEST: usize = 2048;
/// What their headers say that they are (RFC 9068).
pub(crate) const TYPE: &str = "at+jwt";

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: AccountId,
    sid: LoginId,
    party: Party,
    work: bool,
    mfa: bool,
    auth_time: i64,
    iat: i64,
    exp: i64,
}

/// A token for the login, good from `now` for `valid_for`.
pub(crate) fn mint(
    keys: &SigningKeys,
    party: Party,
    proof: &LoginProof,
    now: Timestamp,
    valid_for: Span,
) -> Result<(Secret, Timestamp), Refused> {
    let exp = now.timestamp().saturating_add(valid_for.num_seconds());
    let claims = Claims {
        iss: ISSUER.to_owned(),
        sub: proof.account,
        sid: proof.login,
        party,
        work: proof.may_work,
        mfa: proof.second_factor,
        auth_time: proof.proved_at.timestamp(),
        iat: now.timestamp(),
        exp,
    };
    let token = keys.sign(now, &claims)?;
    Ok((token.into(), Timestamp::from_timestamp(exp, 0).unwrap_or(now)))
}

/// Who holds the token at `now`, or why it is not accepted.
pub(crate) fn verify(keys: &SigningKeys, token: &str, now: Timestamp) -> Result<Caller, Failure> {
    let refused = |detail: &str| Failure::from(Problem::new(Code::Unauthenticated).detail(detail));
    let claims = read(keys, token).ok_or_else(|| refused("the token is not one of this server's"))?;
    if claims.exp.saturating_add(LEEWAY_SECONDS) < now.timestamp() {
        return Err(Code::TokenExpired.into());
    }
    if claims.iat > now.timestamp().saturating_add(LEEWAY_SECONDS) {
        return Err(refused("the token is from the future: is a clock wrong?"));
    }
    let role = Role::of(claims.party).ok_or_else(|| refused("the token is for nobody"))?;
    let at = |seconds| Timestamp::from_timestamp(seconds, 0).unwrap_or(Timestamp::UNIX_EPOCH);
    let proof = LoginProof {
        account: claims.sub,
        login: claims.sid,
        proved_at: at(claims.auth_time),
        second_factor: claims.mfa,
        may_work: claims.work,
    };
    Ok(Caller { party: claims.party, role, expires_at: at(claims.exp), credential: Credential::Login(proof) })
}

fn read(keys: &SigningKeys, token: &str) -> Option<Claims> {
    if token.len() > LONGEST {
        return None;
    }
    let claims: Claims = keys.read(&Claimed::of(token)?.key?, token)?;
    (claims.iss == ISSUER).then_some(claims)
}

/// Whether a token is not one of these: development's, or garbage. Says nothing about whether it is any good.
pub(crate) fn is_foreign(token: &str) -> bool {
    token.len() > LONGEST || Claimed::of(token).is_none_or(|claimed| !claimed.is_ed25519())
}
