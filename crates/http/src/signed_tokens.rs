//! Signed tokens (JWT, RFC 7519): the one place where one is signed, or a signature looked at.
//!
//! Each use pins its algorithm, so that nothing in a token can choose another: HS256 for development's tokens, Ed25519
//! for access tokens, RS256 for what Google says. Formats are `jsonwebtoken`'s, the arithmetic is `ring`'s, which TLS
//! brings anyway; no other algorithm is even compiled. Times and other claims are looked at where they mean something,
//! with the present as an argument: here only whether the one who says so has the key.

mod ring_provider;

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of an Ed25519 seed and of its public half.
pub const ED25519_BYTES: usize = 32;

/// Why a token is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It has no form that is known.
    #[error("it is no signed token")]
    Malformed,
    /// It names another algorithm than the one of its use, or another type.
    #[error("it is of another kind")]
    Kind,
    /// Its signature is not the key's.
    #[error("its signature is wrong")]
    Signature,
}

/// A key that cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key cannot sign")]
pub struct CannotSign;

/// Signs tokens with one key.
#[derive(Clone)]
pub struct Signer {
    key: EncodingKey,
    header: Header,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    /// HMAC with SHA-256, by a secret that whoever checks has as well.
    #[must_use]
    pub fn hs256(secret: &[u8]) -> Self {
        ring_provider::install();
        Self { key: EncodingKey::from_secret(secret), header: Header::new(Algorithm::HS256) }
    }

    /// Ed25519, by its seed. `typ` and `kid` stand in the header of each token.
    #[must_use]
    pub fn ed25519(seed: &[u8; ED25519_BYTES], typ: &str, kid: &str) -> Self {
        ring_provider::install();
        let header = Header { typ: Some(typ.to_owned()), kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        Self { key: EncodingKey::from_ed_der(seed), header }
    }

    /// A token that says `claims`.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, CannotSign> {
        jsonwebtoken::encode(&self.header, claims, &self.key).map_err(|_| CannotSign)
    }
}

/// Reads tokens of one key.
#[derive(Clone)]
pub struct Verifier {
    typ: Option<&'static str>,
    key: DecodingKey,
    validation: Validation,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({:?}, …)", self.validation.algorithms)
    }
}

impl Verifier {
    fn new(algorithm: Algorithm, typ: Option<&'static str>, key: DecodingKey) -> Self {
        ring_provider::install();
        // This one, and nothing in a token can choose another.
        let mut validation = Validation::new(algorithm);
        // What a token says of time and of whom it is for is looked at by who knows the present.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self { typ, key, validation }
    }

    /// HMAC with SHA-256.
    #[must_use]
    pub fn hs256(secret: &[u8]) -> Self {
        Self::new(Algorithm::HS256, None, DecodingKey::from_secret(secret))
    }

    /// Ed25519, by the public key; only tokens of type `typ`.
    #[must_use]
    pub fn ed25519(public: &[u8], typ: &'static str) -> Self {
        Self::new(Algorithm::EdDSA, Some(typ), DecodingKey::from_ed_der(public))
    }

    /// RSA with SHA-256 (PKCS #1 v1.5), by modulus and exponent, big-endian.
    #[must_use]
    pub fn rs256(modulus: &[u8], exponent: &[u8]) -> Self {
        Self::new(Algorithm::RS256, None, DecodingKey::from_rsa_raw_components(modulus, exponent))
    }

    /// What the token says, if the key has signed it.
    pub fn read<T: DeserializeOwned>(&self, token: &str) -> Result<T, Unread> {
        let read = jsonwebtoken::decode::<T>(token, &self.key, &self.validation).map_err(|error| unread(&error))?;
        let right_type = self.typ.is_none_or(|typ| read.header.typ.as_deref() == Some(typ));
        // Extensions that must be understood (RFC 7515, section 4.1.11): none is.
        if !right_type || read.header.crit.is_some() {
            return Err(Unread::Kind);
        }
        Ok(read.claims)
    }
}

fn unread(error: &jsonwebtoken::errors::Error) -> Unread {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => Unread::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => Unread::Kind,
        _ => Unread::Malformed,
    }
}

/// How a token says that it is signed. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    algorithm: Algorithm,
    /// The name of the key.
    pub key: Option<String>,
}

impl Claimed {
    /// What stands in the header; none where the text is no token, or names an algorithm that nobody knows.
    #[must_use]
    pub fn of(token: &str) -> Option<Self> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        Some(Self { algorithm: header.alg, key: header.kid })
    }

    /// Whether it says Ed25519.
    #[must_use]
    pub fn is_ed25519(&self) -> bool {
        self.algorithm == Algorithm::EdDSA
    }

    /// Whether it says RSA with SHA-256.
    #[must_use]
    pub fn is_rs256(&self) -> bool {
        self.algorithm == Algorithm::RS256
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::{Value, json};

    use super::*;

    const SEED: [u8; ED25519_BYTES] = [7; ED25519_BYTES];

    fn public() -> Vec<u8> {
        Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap().public_key().as_ref().to_vec()
    }

    fn signed() -> String {
        Signer::ed25519(&SEED, "at+jwt", "one").sign(&json!({"sub": "ada"})).unwrap()
    }

    #[test]
    fn what_was_signed_is_read_and_names_its_key() {
        let claims: Value = Verifier::ed25519(&public(), "at+jwt").read(&signed()).unwrap();
        assert_eq!(claims, json!({"sub": "ada"}));
        let claimed = Claimed::of(&signed()).unwrap();
        assert!(claimed.is_ed25519() && !claimed.is_rs256());
        assert_eq!(claimed.key.as_deref(), Some("one"));
        let secret = [9; 40];
        let token = Signer::hs256(&secret).sign(&json!({"sub": "ada"})).unwrap();
        assert_eq!(Verifier::hs256(&secret).read::<Value>(&token), Ok(json!({"sub": "ada"})));
    }

    #[test]
    fn no_use_takes_the_tokens_of_another() {
        // The classic: what is public as a key of one algorithm is the secret of the other.
        let forged = Signer::hs256(&public()).sign(&json!({"sub": "mallory"})).unwrap();
        assert_eq!(Verifier::ed25519(&public(), "at+jwt").read::<Value>(&forged), Err(Unread::Kind));
        assert_eq!(Verifier::hs256(&public()).read::<Value>(&signed()), Err(Unread::Kind));
        assert_eq!(Verifier::rs256(&public(), &[1, 0, 1]).read::<Value>(&signed()), Err(Unread::Kind));
        assert_eq!(Verifier::ed25519(&public(), "other+jwt").read::<Value>(&signed()), Err(Unread::Kind));
        assert_eq!(Verifier::ed25519(&[1; 32], "at+jwt").read::<Value>(&signed()), Err(Unread::Signature));
    }

    #[test]
    fn what_is_unsigned_or_asks_for_extensions_is_not_read() {
        let verifier = Verifier::hs256(&[9; 40]);
        let body = URL_SAFE_NO_PAD.encode(r#"{"sub":"mallory"}"#);
        for head in [r#"{"alg":"none"}"#, r#"{"alg":"HS256"}"#, r#"{"typ":"JWT"}"#, "{}", "[]", ""] {
            let unsigned = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(head));
            assert!(verifier.read::<Value>(&unsigned).is_err(), "{head}");
        }
        let mut signer = Signer::hs256(&[9; 40]);
        signer.header.crit = Some(vec!["b64".to_owned()]);
        assert_eq!(verifier.read::<Value>(&signer.sign(&json!({})).unwrap()), Err(Unread::Kind));
    }

    proptest! {
        #[test]
        fn no_byte_of_a_token_can_be_changed(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
            let sound = signed();
            let at = at.index(sound.len());
            let changed = format!("{}{to}{}", &sound[..at], &sound[at + 1..]);
            prop_assume!(changed != sound);
            prop_assert!(Verifier::ed25519(&public(), "at+jwt").read::<Value>(&changed).is_err());
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".{0,200}", parts in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
            for text in [&text, &parts] {
                prop_assert!(Verifier::ed25519(&public(), "at+jwt").read::<Value>(text).is_err());
                prop_assert!(Verifier::rs256(&public(), &[1, 0, 1]).read::<Value>(text).is_err());
            }
        }
    }
}
