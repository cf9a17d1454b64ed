//! Values that the database keeps without being able to read them: sealed with a key that comes from the
//! configuration, so that a stolen backup holds no authenticator's secret, no signing key and no code on its way.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// Seals and opens values, and makes keyed digests. Each purpose has a key of its own, derived from one secret.
#[derive(Clone)]
pub struct Seal {
    root: hmac::Key,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

/// A value that was not sealed with this secret for this purpose and owner, or was changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value cannot be opened: was the configured secret changed?")]
pub struct Unsealable;

impl Seal {
    /// From the configured secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let configured = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&configured, b"posthaste values at rest, version 1");
        Self { root: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }

    fn key(&self, purpose: &str) -> Option<LessSafeKey> {
        let key = hmac::sign(&self.root, purpose.as_bytes());
        UnboundKey::new(&AES_256_GCM, key.as_ref()).ok().map(LessSafeKey::new)
    }

    /// Seals `value` for a purpose; `owner` is what it belongs to, without which it cannot be opened.
    ///
    /// # Errors
    ///
    /// [`Unsealable`] when the machine has no randomness to give.
    pub fn seal(&self, purpose: &str, owner: &[u8], value: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| Unsealable)?;
        let mut sealed = value.to_vec();
        let key = self.key(purpose).ok_or(Unsealable)?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner), &mut sealed)
            .map_err(|_| Unsealable)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what [`seal`](Self::seal) made for the same purpose and owner.
    ///
    /// # Errors
    ///
    /// [`Unsealable`] for anything else.
    pub fn open(&self, purpose: &str, owner: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(Unsealable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealable)?;
        let mut body = body.to_vec();
        let key = self.key(purpose).ok_or(Unsealable)?;
        let opened = key.open_in_place(nonce, Aad::from(owner), &mut body).map_err(|_| Unsealable)?;
        Ok(opened.to_vec())
    }

    /// A digest that nobody can compute without the secret: short codes cannot be found from it by trying them all.
    #[must_use]
    pub fn digest(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&self.root, purpose.as_bytes()).as_ref());
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            // The length first: no two lists of parts run together to the same bytes.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_sealed_opens_for_its_purpose_and_owner_only(value: Vec<u8>, owner: [u8; 16], flip in 0usize..400) {
            let seal = Seal::new(b"a secret");
            let sealed = seal.seal("totp", &owner, &value).unwrap();
            prop_assert_eq!(seal.open("totp", &owner, &sealed), Ok(value));
            prop_assert_eq!(seal.open("other", &owner, &sealed), Err(Unsealable));
            prop_assert_eq!(seal.open("totp", b"somebody else", &sealed), Err(Unsealable));
            prop_assert_eq!(Seal::new(b"another").open("totp", &owner, &sealed), Err(Unsealable));
            let mut changed = sealed.clone();
            changed[flip % sealed.len()] ^= 1;
            prop_assert_eq!(seal.open("totp", &owner, &changed), Err(Unsealable));
            prop_assert_eq!(seal.open("totp", &owner, &sealed[..flip % sealed.len()]), Err(Unsealable));
        }
    }

    #[test]
    fn digests_of_different_lists_differ_and_no_secret_is_shown() {
        let seal = Seal::new(b"a secret");
        assert_ne!(seal.digest("code", &[b"ab", b"c"]), seal.digest("code", &[b"a", b"bc"]));
        assert_ne!(seal.digest("code", &[b"a"]), seal.digest("other", &[b"a"]));
        assert_eq!(format!("{seal:?}"), "Seal(…)");
    }
}
