//! Secrets that nobody can guess.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthaste_domain::code::as_meant;
use rand::RngExt;
use sha2::{Digest, Sha256};

/// Letters and digits that are not taken for each other when they are read aloud or written down.
const READABLE: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz234567890";

/// What shows a second factor: an authenticator's code, or a recovery code.
pub(crate) const FORM_OF_SECOND_FACTORS: &str = "^([0-9]{6}|[A-Za-z0-9]{5}-?[A-Za-z0-9]{5})$";

/// `bytes` random bytes as text.
pub(crate) fn text(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    rand::rng().fill(&mut random[..]);
    URL_SAFE_NO_PAD.encode(random)
}

/// Six random digits.
pub(crate) fn six_digits() -> String {
    format!("{:06}", rand::rng().random_range(0..1_000_000u32))
}

/// What a code of [`eight_letters`] looks like as people type it, as a regular expression.
pub(crate) const FORM_OF_EIGHT_LETTERS: &str = "^[ -]*([A-Za-z0-9][ -]*){8}$";

/// Eight random letters and digits, 40 bits, to be read and typed: `XXXX-XXXX`.
pub(crate) fn eight_letters() -> String {
    let letter = || READABLE[rand::rng().random_range(0..READABLE.len())].to_ascii_uppercase() as char;
    let half = || (0..4).map(|_| letter()).collect::<String>();
    format!("{}-{}", half(), half())
}

/// A code as it is compared, however somebody typed it, with an O for the 0 that it was read as.
pub(crate) fn folded(code: &str) -> String {
    as_meant(code).replace('o', "0")
}

/// A code of 50 random bits, for writing down: `xxxxx-xxxxx`.
pub(crate) fn recovery_code() -> String {
    let letter = || READABLE[rand::rng().random_range(0..READABLE.len())] as char;
    let half = || (0..5).map(|_| letter()).collect::<String>();
    format!("{}-{}", half(), half())
}

/// A password of 100 random bits that can be typed.
#[must_use]
pub fn password() -> String {
    format!("{}-{}", recovery_code(), recovery_code())
}

/// What is stored of a secret of 256 random bits: nobody finds the secret from it, so it needs neither salt nor cost.
pub(crate) fn digest(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_shape_and_differ() {
        assert!((0..100).all(|_| six_digits().len() == 6 && six_digits().bytes().all(|b| b.is_ascii_digit())));
        for _ in 0..100 {
            let code = eight_letters();
            assert!(code.len() == 9 && code.as_bytes()[4] == b'-', "{code}");
            assert!(!code.contains(['I', 'L', 'O', '1']), "{code}");
            let typed = code.to_lowercase().replace('-', " ").replace('0', "O");
            assert_eq!((folded(&typed).len(), folded(&typed)), (8, folded(&code)));
        }
        assert_eq!(folded(" 123 456 "), "123456");
        let codes: std::collections::HashSet<_> = (0..100).map(|_| recovery_code()).collect();
        assert!(codes.len() == 100 && codes.iter().all(|c| c.len() == 11 && c.as_bytes()[5] == b'-'));
        assert_eq!(text(32).len(), 43);
    }
}
