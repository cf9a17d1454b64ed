//! Signatures after Standard Webhooks 1.0: HMAC-SHA256 over `{id}.{timestamp}.{body}`.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How a secret begins when it is shown.
const PREFIX: &str = "whsec_";
/// Bytes of a secret that is made here.
const MADE: usize = 32;

/// What signs the messages of an endpoint: 24 to 64 bytes that its owner knows too. Debug output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Vec<u8>);

/// Text or bytes that are no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret is whsec_ and the base64 of 24 to 64 bytes")]
pub(crate) struct InvalidSecret;

impl Secret {
    /// A new one.
    pub(crate) fn random() -> Self {
        Self(rand::random::<[u8; MADE]>().to_vec())
    }

    /// The bytes, to be sealed.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        // Any length serves as a key of HMAC.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl TryFrom<Vec<u8>> for Secret {
    type Error = InvalidSecret;
    fn try_from(bytes: Vec<u8>) -> Result<Self, InvalidSecret> {
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(InvalidSecret) }
    }
}

impl FromStr for Secret {
    type Err = InvalidSecret;
    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        STANDARD.decode(encoded).map_err(|_| InvalidSecret)?.try_into()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(&self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The `webhook-signature` header: a signature for each secret that is valid, newest first.
/// `timestamp` is in seconds since 1970, of the machine's own time.
pub(crate) fn signatures<'s>(
    secrets: impl IntoIterator<Item = &'s Secret>,
    id: &str,
    timestamp: i64,
    body: &str,
) -> String {
    let all: Vec<_> = secrets.into_iter().map(|secret| secret.sign(id, timestamp, body)).collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// From the test vectors of the specification's reference libraries.
    #[test]
    fn the_published_example_is_signed_as_published() {
        let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let signed = signatures([&secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_make_two_signatures() {
        let (new, old) = (Secret::random(), Secret::random());
        let both = signatures([&new, &old], "whm_1", 7, "{}");
        let alone = [signatures([&new], "whm_1", 7, "{}"), signatures([&old], "whm_1", 7, "{}")];
        assert_eq!(both, alone.join(" "));
        assert_ne!(alone[0], alone[1]);
    }

    proptest! {
        #[test]
        fn a_secret_reads_back_and_only_with_a_length_that_the_specification_allows(bytes: Vec<u8>) {
            let allowed = (24..=64).contains(&bytes.len());
            match Secret::try_from(bytes) {
                Ok(secret) => {
                    prop_assert!(allowed);
                    prop_assert_eq!(secret.to_string().parse(), Ok(secret.clone()));
                    prop_assert_eq!(format!("{secret:?}"), "Secret(…)");
                }
                Err(InvalidSecret) => prop_assert!(!allowed),
            }
        }

        #[test]
        fn any_text_is_a_secret_or_refused(text in ".{0,100}") {
            let _ = text.parse::<Secret>();
        }
    }
}
