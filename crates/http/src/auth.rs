//! Who is calling: roles, what shows them, and the tokens of development (JWT, HS256). Time comes in as an argument.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hmac::{Hmac, KeyInit, Mac};
use posthaste_domain::ids::{AccountId, ApiKeyId, CustomerId, DriverId, LoginId, MerchantId};
use posthaste_domain::party::Party;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::accounts::KeyWorld;
use posthaste_protocol::audience::Audience;
use posthaste_protocol::problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::problem::{Answer, Failure};
use crate::signed_tokens::{Signer, Verifier};

/// Who issues tokens, as in their `iss`.
pub const ISSUER: &str = "posthaste";
/// The shortest secret that is taken. A shorter one can be guessed offline from a single token.
pub const SHORTEST_SECRET: usize = 32;
/// How the secrets of tracking links begin in the test world.
pub const TEST_LINK: &str = "trk_test_";
/// The cookie of refresh tokens. Browsers send it only to the routes that need it, only over TLS (or to the machine
/// itself), and never with a request that another site made.
pub const REFRESH_COOKIE: &str = "__Secure-posthaste_refresh";
/// The cookie of a browser that began to sign in with Google. `__Host-`: no other host, not even of the same domain, can
/// set it.
pub const GOOGLE_COOKIE: &str = "__Host-posthaste_google";
/// How far clocks may be apart: an expired token is taken for this long.
pub const LEEWAY_SECONDS: i64 = 30;

/// What a token's holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Operations.
    Admin,
    /// A shop.
    Merchant,
    /// A driver.
    Driver,
    /// Somebody who orders.
    Customer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Merchant, Self::Driver, Self::Customer];

    /// The role of a party; the program itself has none.
    #[must_use]
    pub fn of(party: Party) -> Option<Self> {
        match party {
            Party::System => None,
            Party::Admin(_) => Some(Self::Admin),
            Party::Merchant(_) => Some(Self::Merchant),
            Party::Driver(_) => Some(Self::Driver),
            Party::Customer(_) => Some(Self::Customer),
        }
    }

    /// The name in tokens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Merchant => "merchant",
            Self::Driver => "driver",
            Self::Customer => "customer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a merchant's key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum KeyScope {
    /// Reading orders, their timelines and links.
    OrdersRead = 1,
    /// Placing, cancelling, confirming and rejecting orders.
    OrdersWrite = 2,
    /// Reading figures.
    InsightRead = 4,
    /// Reading zones.
    ZonesRead = 8,
    /// Reading endpoints of webhooks and their messages.
    WebhooksRead = 16,
    /// Making, changing and removing endpoints of webhooks, their secrets, tests and replays.
    WebhooksWrite = 32,
}

impl KeyScope {
    /// Every scope.
    pub const ALL: [Self; 6] = [
        Self::OrdersRead,
        Self::OrdersWrite,
        Self::InsightRead,
        Self::ZonesRead,
        Self::WebhooksRead,
        Self::WebhooksWrite,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OrdersRead => "orders:read",
            Self::OrdersWrite => "orders:write",
            Self::InsightRead => "insight:read",
            Self::ZonesRead => "zones:read",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
        }
    }

    /// The scope of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// Several scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyScopes(u8);

impl KeyScopes {
    /// Whether the scope is among them.
    #[must_use]
    pub fn hold(self, scope: KeyScope) -> bool {
        self.0 & scope as u8 != 0
    }
}

impl FromIterator<KeyScope> for KeyScopes {
    fn from_iter<I: IntoIterator<Item = KeyScope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |all, scope| all | scope as u8))
    }
}

/// A login, as its access token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginProof {
    /// The account.
    pub account: AccountId,
    /// The login.
    pub login: LoginId,
    /// When password or second factor were last shown.
    pub proved_at: Timestamp,
    /// Whether the second factor was among what was shown.
    pub second_factor: bool,
    /// Whether the account may work, or only look after itself.
    pub may_work: bool,
}

/// By what a caller showed who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A token of `posthaste token`, which only a server in development takes. There is no account behind it.
    Development,
    /// An access token of a login.
    Login(LoginProof),
    /// A merchant's key.
    Key {
        /// The merchant's account.
        account: AccountId,
        /// The key.
        key: ApiKeyId,
        /// What it may be used for.
        scopes: KeyScopes,
        /// Which orders it is for.
        world: KeyWorld,
    },
}

/// Who is calling, as the token proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub party: Party,
    /// In which role.
    pub role: Role,
    /// Until when, in the machine's own time.
    pub expires_at: Timestamp,
    /// By what.
    pub credential: Credential,
}

impl Caller {
    /// The login, if the caller came with one.
    #[must_use]
    pub fn login(&self) -> Option<LoginProof> {
        if let Credential::Login(proof) = self.credential { Some(proof) } else { None }
    }

    /// Whose orders the caller may come near: whoever has no key of the test world is of the live one.
    #[must_use]
    pub fn world(&self) -> KeyWorld {
        if let Credential::Key { world, .. } = self.credential { world } else { KeyWorld::Live }
    }

    /// Whom the audit log names: the account where there is one.
    #[must_use]
    pub fn actor(&self) -> String {
        match self.credential {
            Credential::Development => format!("development token of {}", self.party),
            Credential::Login(proof) => proof.account.to_string(),
            Credential::Key { account, key, .. } => format!("{account} by {key}"),
        }
    }

    /// The merchant, if the caller is one.
    #[must_use]
    pub fn merchant(&self) -> Option<MerchantId> {
        if let Party::Merchant(id) = self.party { Some(id) } else { None }
    }

    /// The driver, if the caller is one.
    #[must_use]
    pub fn driver(&self) -> Option<DriverId> {
        if let Party::Driver(id) = self.party { Some(id) } else { None }
    }

    /// The customer, if the caller is one.
    #[must_use]
    pub fn customer(&self) -> Option<CustomerId> {
        if let Party::Customer(id) = self.party { Some(id) } else { None }
    }

    /// What the caller may see of an order that is its business.
    #[must_use]
    pub fn audience(&self) -> Audience {
        match self.party {
            Party::System | Party::Admin(_) => Audience::Operations,
            Party::Merchant(id) => Audience::Merchant(id),
            Party::Customer(_) => Audience::Customer,
            Party::Driver(id) => Audience::Driver(id),
        }
    }
}

/// The caller that the access check has put into the request; 401 where there is none.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().copied().ok_or_else(|| Code::Unauthenticated.into())
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: Party,
    role: Role,
    iat: i64,
    exp: i64,
    iss: String,
}

/// A secret that is too short to keep anything secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token key has {length} bytes, at least {SHORTEST_SECRET} are needed")]
pub struct WeakKey {
    /// How many bytes were given.
    pub length: usize,
}

/// Only somebody with a role can hold a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is for an admin, a merchant, a driver or a customer")]
pub struct NoRole;

/// What signs and checks tokens and tracking links. Made from configured bytes: there is no default.
#[derive(Clone)]
pub struct Keys {
    signer: Signer,
    verifier: Verifier,
    pub(crate) links: Links,
    /// What [`Self::of_test_world`] signs links with.
    test_links: Links,
}

/// What signs the tracking links of a world, and how they begin.
#[derive(Clone)]
pub(crate) struct Links {
    pub(crate) prefix: &'static str,
    pub(crate) key: Hmac<Sha256>,
}

impl Links {
    /// Links are signed with a key of their own, so that no kind of signature says anything about another.
    fn derived(secret: &[u8], of: &[u8], prefix: &'static str) -> Result<Self, WeakKey> {
        let weak = WeakKey { length: secret.len() };
        let mut derived = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| weak)?;
        derived.update(of);
        let key = Hmac::new_from_slice(&derived.finalize().into_bytes()).map_err(|_| weak)?;
        Ok(Self { prefix, key })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// Keys from at least [`SHORTEST_SECRET`] bytes.
    pub fn new(secret: &[u8]) -> Result<Self, WeakKey> {
        let weak = WeakKey { length: secret.len() };
        if secret.len() < SHORTEST_SECRET {
            return Err(weak);
        }
        let links = Links::derived(secret, b"posthaste tracking links, version 1", "trk_")?;
        let test_links = Links::derived(secret, b"posthaste tracking links of the test world, version 1", TEST_LINK)?;
        Ok(Self { signer: Signer::hs256(secret), verifier: Verifier::hs256(secret), links, test_links })
    }

    /// The same keys with the links of the test world: neither world reads the other's.
    #[must_use]
    pub fn of_test_world(&self) -> Self {
        Self { links: self.test_links.clone(), ..self.clone() }
    }

    /// A token for `party`, valid from `now` (the machine's own time) for `valid_for`.
    pub fn mint(&self, party: Party, now: Timestamp, valid_for: Span) -> Result<String, NoRole> {
        let role = Role::of(party).ok_or(NoRole)?;
        let iat = now.timestamp();
        let exp = iat.saturating_add(valid_for.num_seconds());
        let claims = Claims { sub: party, role, iat, exp, iss: ISSUER.to_owned() };
        self.signer.sign(&claims).map_err(|_| NoRole)
    }

    /// Who holds the token at `now` (the machine's own time), or why it is not accepted.
    pub fn verify(&self, token: &str, now: Timestamp) -> Answer<Caller> {
        let refused = |detail: &str| Failure::from(Problem::new(Code::Unauthenticated).detail(detail));
        let foreign = "the token is not one of this server's";
        let claims: Claims = self.verifier.read(token).map_err(|error| {
            tracing::debug!(%error, "a token was refused");
            refused(foreign)
        })?;
        if claims.iss != ISSUER {
            return Err(refused(foreign));
        }
        if claims.exp.saturating_add(LEEWAY_SECONDS) < now.timestamp() {
            return Err(Code::TokenExpired.into());
        }
        if claims.iat > now.timestamp().saturating_add(LEEWAY_SECONDS) {
            return Err(refused("the token is from the future"));
        }
        if Role::of(claims.sub) != Some(claims.role) {
            return Err(refused("the token's role is not its subject's"));
        }
        let expires_at = Timestamp::from_timestamp(claims.exp, 0).unwrap_or(Timestamp::MAX_UTC);
        Ok(Caller { party: claims.sub, role: claims.role, expires_at, credential: Credential::Development })
    }
}

/// The token of a request: `Authorization: Bearer …`, or where `query` is given (sockets: browsers cannot set
/// headers there) its `access_token`.
pub fn bearer<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Answer<&'a str> {
    let missing = || Failure::from(Problem::new(Code::Unauthenticated).detail("send `authorization: Bearer <token>`"));
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let text = value.to_str().map_err(|_| missing())?;
        let (scheme, token) = text.split_once(' ').ok_or_else(missing)?;
        return if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(missing()) };
    }
    let parameters = query.into_iter().flat_map(|q| q.split('&'));
    parameters.filter_map(|p| p.strip_prefix("access_token=")).find(|t| !t.is_empty()).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_domain::ids::Id;
    use uuid::Uuid;

    fn keys() -> Keys {
        Keys::new(&[7; 32]).unwrap()
    }

    fn driver() -> Party {
        Party::Driver(DriverId::from_uuid(Uuid::from_u128(5)))
    }

    fn now() -> Timestamp {
        Timestamp::from_timestamp(1_777_777_777, 0).unwrap()
    }

    #[test]
    fn a_token_names_its_holder_and_end() {
        let token = keys().mint(driver(), now(), Span::hours(1)).unwrap();
        let caller = keys().verify(&token, now()).unwrap();
        let expires_at = now() + Span::hours(1);
        let credential = Credential::Development;
        assert_eq!(caller, Caller { party: driver(), role: Role::Driver, expires_at, credential });
    }

    #[test]
    fn an_expired_token_is_told_apart_from_a_wrong_one() {
        let token = keys().mint(driver(), now(), Span::minutes(1)).unwrap();
        let code = |t: &str, at| keys().verify(t, at).unwrap_err().problem().code;
        assert_eq!(code(&token, now() + Span::minutes(2)), Code::TokenExpired);
        assert!(keys().verify(&token, now() + Span::seconds(60 + LEEWAY_SECONDS)).is_ok());
        assert_eq!(code("a.b.c", now()), Code::Unauthenticated);
        assert_eq!(code("", now()), Code::Unauthenticated);
    }

    #[test]
    fn a_token_of_another_key_or_from_the_future_is_refused() {
        let foreign = Keys::new(&[8; 32]).unwrap().mint(driver(), now(), Span::hours(1)).unwrap();
        assert_eq!(keys().verify(&foreign, now()).unwrap_err().problem().code, Code::Unauthenticated);
        let early = keys().mint(driver(), now() + Span::hours(1), Span::hours(1)).unwrap();
        assert_eq!(keys().verify(&early, now()).unwrap_err().problem().code, Code::Unauthenticated);
    }

    #[test]
    fn a_token_whose_role_is_not_its_subjects_is_refused() {
        let claims = Claims {
            sub: driver(),
            role: Role::Admin,
            iat: now().timestamp(),
            exp: now().timestamp() + 60,
            iss: ISSUER.to_owned(),
        };
        let token = keys().signer.sign(&claims).unwrap();
        assert_eq!(keys().verify(&token, now()).unwrap_err().problem().code, Code::Unauthenticated);
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        let token = keys().mint(driver(), now(), Span::hours(1)).unwrap();
        let body = token.split('.').nth(1).unwrap();
        // {"typ":"JWT","alg":"none"}
        let unsigned = format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{body}.");
        assert_eq!(keys().verify(&unsigned, now()).unwrap_err().problem().code, Code::Unauthenticated);
    }

    #[test]
    fn the_program_itself_gets_no_token_and_a_short_secret_no_keys() {
        assert_eq!(keys().mint(Party::System, now(), Span::hours(1)), Err(NoRole));
        assert_eq!(Keys::new(b"secret").unwrap_err(), WeakKey { length: 6 });
    }

    #[test]
    fn a_token_in_the_query_counts_only_where_it_is_allowed() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers, Some("zone_id=1&access_token=abc")).unwrap(), "abc");
        assert!(bearer(&headers, None).is_err() && bearer(&headers, Some("access_token=")).is_err());
        headers.insert(header::AUTHORIZATION, "bearer xyz".parse().unwrap());
        assert_eq!(bearer(&headers, Some("access_token=abc")).unwrap(), "xyz");
        headers.insert(header::AUTHORIZATION, "Basic eHl6".parse().unwrap());
        assert!(bearer(&headers, Some("access_token=abc")).is_err());
    }
}
