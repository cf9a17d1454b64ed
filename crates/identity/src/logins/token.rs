//! Refresh tokens: 256 random bits, beside the login that they belong to and a proof that this server made them. A used
//! one that was forgotten long ago is still known for what it is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthaste_domain::ids::{Id, LoginId};
use posthaste_protocol::accounts::Secret;
use posthaste_storage::sealed::Seal;
use uuid::Uuid;

const PREFIX: &str = "phr_";
/// What tokens look like, as a regular expression: those of now, and those from before they named their login.
pub(crate) const FORM: &str = "^phr_([A-Za-z0-9_-]{43}|[A-Za-z0-9_-]{86})$";
const PURPOSE: &str = "refresh token";
/// Bytes of the login, of what is random, and of the proof.
const LOGIN: usize = 16;
const RANDOM: usize = 32;
const PROOF: usize = 16;

fn proof(seal: &Seal, body: &[u8]) -> [u8; 32] {
    seal.digest(PURPOSE, &[body])
}

/// A new token of a login.
pub(crate) fn make(seal: &Seal, login: LoginId) -> Secret {
    let random: [u8; RANDOM] = rand::random();
    let body = [login.uuid().as_bytes(), &random[..]].concat();
    let token = [&body[..], &proof(seal, &body)[..PROOF]].concat();
    Secret(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(token)))
}

/// The login of a token that this server made; none for anything else, and for tokens from before they said so.
pub(crate) fn login_of(seal: &Seal, token: &Secret) -> Option<LoginId> {
    let bytes = URL_SAFE_NO_PAD.decode(token.expose().strip_prefix(PREFIX)?).ok()?;
    let (body, given) = bytes.split_at_checked(LOGIN + RANDOM)?;
    let login = Uuid::from_slice(body.get(..LOGIN)?).ok()?;
    crate::same(&proof(seal, body)[..PROOF], given).then(|| LoginId::from_uuid(login))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_login_and_nobody_else_can_make_one() {
        let (seal, other) = (Seal::new(b"a secret of tests"), Seal::new(b"another secret"));
        let login = LoginId::from_uuid(Uuid::from_u128(7));
        let token = make(&seal, login);
        assert_eq!(login_of(&seal, &token), Some(login));
        assert_eq!(login_of(&other, &token), None);
        assert_ne!(make(&seal, login), token);
        let text = token.expose().to_owned();
        for n in PREFIX.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[n] = if changed[n] == b'A' { b'B' } else { b'A' };
            assert_eq!(login_of(&seal, &Secret(String::from_utf8(changed).unwrap())), None, "{n}");
        }
        for wrong in ["", "phr_", "phr_x", &text[4..], &text[..text.len() - 1], &format!("{text}AAAA")] {
            assert_eq!(login_of(&seal, &Secret(wrong.to_owned())), None, "{wrong}");
        }
    }
}
