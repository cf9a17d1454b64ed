//! ID tokens: what Google says of somebody, and whether it is to be believed. Pure; the present comes in.
//!
//! One algorithm, RS256, which every provider has and Google uses. Everything that OpenID Connect Core 1.0, section 3.1.3.7, asks for is asked here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthaste_domain::Timestamp;
use posthaste_http::auth::LEEWAY_SECONDS;
use posthaste_http::signed_tokens::{Claimed, Unread, Verifier};
use serde::{Deserialize, Serialize};

/// Longer texts are no ID tokens.
const LONGEST: usize = 16 * 1024;
/// Keys that are kept of a provider: Google has two or three.
const MOST_KEYS: usize = 32;
/// The longest subject (OpenID Connect Core, section 2), in bytes.
const LONGEST_SUBJECT: usize = 255;

/// Keys that a provider signs with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys(Vec<Key>);

#[derive(Debug, Clone)]
struct Key {
    id: Option<String>,
    verifier: Verifier,
}

/// What must stand in a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
}

/// Somebody whom the provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vouched {
    /// Who they are to the provider: this alone never changes.
    pub(crate) subject: String,
    /// Their address, where the provider has verified it. Another is not even read.
    pub(crate) email: Option<String>,
    /// What they are called.
    pub(crate) name: Option<String>,
}

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Untrusted {
    #[error("it is no ID token")]
    Malformed,
    #[error("it is not signed with RS256")]
    Algorithm,
    #[error("it is signed with a key that is not the issuer's")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is another issuer's")]
    Issuer,
    #[error("it is for somebody else")]
    Audience,
    #[error("its time is over")]
    Expired,
    #[error("it is from the future")]
    FromTheFuture,
    #[error("it answers another sign-in")]
    Nonce,
    #[error("it names nobody")]
    Subject,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nonce: Option<String>,
    email: Option<String>,
    // Some providers write texts and numbers here: only `true` is true.
    #[serde(default)]
    email_verified: serde_json::Value,
    name: Option<String>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct RsaKey {
    kty: String,
    n: String,
    e: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
}

impl Keys {
    /// The keys of a set that sign with RS256. Others are none of ours; none where the text is no set.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let set: KeySet = serde_json::from_slice(text).ok()?;
        let keys = set.keys.into_iter().filter_map(|key| {
            let key: RsaKey = serde_json::from_value(key).ok()?;
            let signs = key.kty == "RSA"
                && key.purpose.is_none_or(|purpose| purpose == "sig")
                && key.alg.is_none_or(|alg| alg == "RS256");
            let part = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
            signs.then_some(())?;
            Some(Key { id: key.kid, verifier: Verifier::rs256(&part(&key.n)?, &part(&key.e)?) })
        });
        Some(Self(keys.take(MOST_KEYS).collect()))
    }

    /// The key that a token names. One that names none can only mean the only one.
    fn find(&self, id: Option<&str>) -> Option<&Key> {
        match (id, self.0.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(_), keys) => keys.iter().find(|key| key.id.as_deref() == id),
        }
    }
}

/// Whom the token vouches for at `now`, or why it is not believed.
pub(crate) fn read(token: &str, keys: &Keys, expected: Expected<'_>, now: Timestamp) -> Result<Vouched, Untrusted> {
    let claims = signed(token, keys)?;
    if claims.iss != expected.issuer {
        return Err(Untrusted::Issuer);
    }
    let (for_us, alone) = match &claims.aud {
        Audience::One(one) => (one == expected.client_id, true),
        Audience::Several(several) => (several.iter().any(|one| one == expected.client_id), several.len() == 1),
    };
    let asked_by_us = claims.azp.as_ref().map_or(alone, |azp| azp == expected.client_id);
    if !for_us || !asked_by_us {
        return Err(Untrusted::Audience);
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
    let (now, leeway) = (now.timestamp() as f64, LEEWAY_SECONDS as f64);
    if claims.exp + leeway <= now {
        return Err(Untrusted::Expired);
    }
    if claims.iat > now + leeway {
        return Err(Untrusted::FromTheFuture);
    }
    if !claims.nonce.is_some_and(|nonce| crate::same(nonce.as_bytes(), expected.nonce.as_bytes())) {
        return Err(Untrusted::Nonce);
    }
    let fits = (1..=LONGEST_SUBJECT).contains(&claims.sub.len()) && !claims.sub.chars().any(char::is_control);
    if !fits {
        return Err(Untrusted::Subject);
    }
    let email = claims.email.filter(|_| claims.email_verified == serde_json::Value::Bool(true));
    Ok(Vouched { subject: claims.sub, email, name: claims.name })
}

/// The claims of a token that one of the keys has signed.
fn signed(token: &str, keys: &Keys) -> Result<Claims, Untrusted> {
    if token.len() > LONGEST {
        return Err(Untrusted::Malformed);
    }
    let claimed = Claimed::of(token).ok_or(Untrusted::Malformed)?;
    if !claimed.is_rs256() {
        return Err(Untrusted::Algorithm);
    }
    let key = keys.find(claimed.key.as_deref()).ok_or(Untrusted::UnknownKey)?;
    key.verifier.read(token).map_err(|unread| match unread {
        Unread::Malformed => Untrusted::Malformed,
        Unread::Kind => Untrusted::Algorithm,
        Unread::Signature => Untrusted::Signature,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use proptest::prelude::*;
    use ring::rand::SystemRandom;
    use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
    use serde_json::{Value, json};

    const NOW: i64 = 1_800_000_000;
    const EXPECTED: Expected<'_> = Expected { issuer: "https://google.example", client_id: "us", nonce: "n-1" };

    /// Keys of tests, good for nothing else.
    static SIGNER: LazyLock<RsaKeyPair> =
        LazyLock::new(|| RsaKeyPair::from_pkcs8(include_bytes!("../../../../tests/provider/signing.pk8")).unwrap());

    fn part(of: &Value) -> String {
        URL_SAFE_NO_PAD.encode(of.to_string())
    }

    fn sign(head: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", part(head), part(claims));
        let mut signature = vec![0; SIGNER.public().modulus_len()];
        SIGNER.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn keys() -> Keys {
        let public: ring::rsa::PublicKeyComponents<Vec<u8>> = SIGNER.public().into();
        let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
        let set = json!({"keys": [
            {"kty": "EC", "kid": "other", "crv": "P-256"},
            {"kty": "RSA", "kid": "seals", "use": "enc", "n": n, "e": e},
            {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": n, "e": e},
        ]});
        Keys::read(set.to_string().as_bytes()).unwrap()
    }

    fn claims() -> Value {
        json!({"iss": "https://google.example", "sub": "1084", "aud": "us", "exp": NOW + 3600, "iat": NOW,
            "nonce": "n-1", "email": "ada@example.org", "email_verified": true, "name": "Ada"})
    }

    fn with(changes: Value) -> Value {
        let mut claims = claims();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn tried(head: &Value, claims: &Value) -> Result<Vouched, Untrusted> {
        read(&sign(head, claims), &keys(), EXPECTED, Timestamp::from_timestamp(NOW, 0).unwrap())
    }

    #[test]
    fn a_token_that_is_right_in_everything_is_believed() {
        let head = json!({"alg": "RS256", "kid": "one", "typ": "JWT"});
        let vouched = tried(&head, &claims()).unwrap();
        assert_eq!((vouched.subject.as_str(), vouched.email.as_deref()), ("1084", Some("ada@example.org")));
        assert!(tried(&json!({"alg": "RS256"}), &claims()).is_ok(), "there is one key, which needs no name");
        for fine in [
            json!({"aud": ["us"]}),
            json!({"aud": ["us", "them"], "azp": "us"}),
            json!({"exp": NOW - 29}),
            json!({"iat": NOW + 30}),
            json!({"hd": "example.org", "at_hash": "x"}),
        ] {
            assert!(tried(&head, &with(fine.clone())).is_ok(), "{fine}");
        }
    }

    #[test]
    fn a_token_that_is_wrong_in_anything_is_not() {
        let head = json!({"alg": "RS256", "kid": "one"});
        for (change, why) in [
            (json!({"iss": "https://google.example/"}), Untrusted::Issuer),
            (json!({"iss": "https://evil.example"}), Untrusted::Issuer),
            (json!({"aud": "them"}), Untrusted::Audience),
            (json!({"aud": []}), Untrusted::Audience),
            (json!({"aud": ["us", "them"]}), Untrusted::Audience),
            (json!({"aud": ["us", "them"], "azp": "them"}), Untrusted::Audience),
            (json!({"azp": "them"}), Untrusted::Audience),
            (json!({"exp": NOW - 30}), Untrusted::Expired),
            (json!({"iat": NOW + 31}), Untrusted::FromTheFuture),
            (json!({"nonce": "n-2"}), Untrusted::Nonce),
            (json!({"nonce": null}), Untrusted::Nonce),
            (json!({"sub": ""}), Untrusted::Subject),
            (json!({"sub": "x".repeat(256)}), Untrusted::Subject),
            (json!({"exp": "tomorrow"}), Untrusted::Malformed),
            (json!({"sub": 7}), Untrusted::Malformed),
        ] {
            assert_eq!(tried(&head, &with(change.clone())), Err(why), "{change}");
        }
        for (head, why) in [
            (json!({"alg": "none"}), Untrusted::Malformed),
            (json!({"alg": "HS256", "kid": "one"}), Untrusted::Algorithm),
            (json!({"alg": "RS256", "kid": "two"}), Untrusted::UnknownKey),
            (json!({"alg": "RS256", "kid": "seals"}), Untrusted::UnknownKey),
            (json!({"kid": "one"}), Untrusted::Malformed),
        ] {
            assert_eq!(tried(&head, &claims()), Err(why), "{head}");
        }
    }

    #[test]
    fn an_address_that_nobody_verified_is_not_read() {
        let head = json!({"alg": "RS256", "kid": "one"});
        for unverified in [json!(false), json!("true"), json!(1), Value::Null] {
            let vouched = tried(&head, &with(json!({"email_verified": unverified}))).unwrap();
            assert_eq!(vouched.email, None, "{unverified}");
        }
    }

    #[test]
    fn what_is_no_key_set_is_told_from_an_empty_one() {
        assert!(Keys::read(b"<html>").is_none() && Keys::read(b"{}").is_none());
        let useless = json!({"keys": [7, {"kty": "RSA"}, {"kty": "RSA", "n": "?", "e": "AQAB"}]});
        assert!(Keys::read(useless.to_string().as_bytes()).unwrap().0.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_byte_of_a_token_can_be_changed(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
            let sound = sign(&json!({"alg": "RS256", "kid": "one"}), &claims());
            let at = at.index(sound.len());
            let changed = format!("{}{to}{}", &sound[..at], &sound[at + 1..]);
            prop_assume!(changed != sound);
            let now = Timestamp::from_timestamp(NOW, 0).unwrap();
            prop_assert!(read(&changed, &keys(), EXPECTED, now).is_err());
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".{0,200}", parts in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
            let now = Timestamp::from_timestamp(NOW, 0).unwrap();
            for text in [&text, &parts] {
                prop_assert!(read(text, &keys(), EXPECTED, now).is_err());
            }
        }
    }
}
