//! Access tokens: JWT of type `at+jwt`, signed with Ed25519. Written and read here in full: there is one algorithm, so
//! nothing in a token can choose another. Of the claims that RFC 9068 wants, `aud`, `client_id` and `jti` are not there:
//! there is one audience and no registered client, and what ends is the session (`sid`), not a token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthaste_domain::ids::{AccountId, LoginId};
use posthaste_domain::party::Party;
use posthaste_domain::{Span, Timestamp};
use posthaste_http::auth::{Caller, Credential, ISSUER, LEEWAY_SECONDS, LoginProof, Role};
use posthaste_http::problem::Failure;
use posthaste_protocol::accounts::Secret;
use posthaste_protocol::problem::{Code, Problem};
use serde::{Deserialize, Serialize};

use crate::refused::Refused;
use crate::signing_keys::SigningKeys;

/// Longer texts are no tokens of ours.
pub const LONGEST: usize = 2048;

#[derive(Serialize, Deserialize)]
struct Head {
    alg: String,
    typ: String,
    kid: String,
}

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
    let token = keys.sign(now, |kid| {
        let head = Head { alg: "EdDSA".to_owned(), typ: "at+jwt".to_owned(), kid: kid.to_owned() };
        format!("{}.{}", part(&head), part(&claims))
    })?;
    Ok((token.into(), Timestamp::from_timestamp(exp, 0).unwrap_or(now)))
}

fn part(of: &impl Serialize) -> String {
    // Plain structs without maps: this cannot fail.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(of).unwrap_or_default())
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
    let (message, signature) = token.rsplit_once('.')?;
    let (head, claims) = message.split_once('.')?;
    let head: Head = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
    if head.alg != "EdDSA" || head.typ != "at+jwt" {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    if !keys.signed(&head.kid, message.as_bytes(), &signature) {
        return None;
    }
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    (claims.iss == ISSUER).then_some(claims)
}

/// Whether a token is not one of these: development's, or garbage. Says nothing about whether it is any good.
pub(crate) fn is_foreign(token: &str) -> bool {
    let head = token.split('.').next().filter(|head| head.len() <= LONGEST);
    let head = head.and_then(|head| URL_SAFE_NO_PAD.decode(head).ok());
    head.and_then(|head| serde_json::from_slice::<Head>(&head).ok()).is_none_or(|head| head.alg != "EdDSA")
}
