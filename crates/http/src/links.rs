//! Tracking links: whoever holds one may follow one order. Nothing is stored: the token is the order's id and a
//! signature over it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use posthaste_domain::ids::{Id, OrderId};
use uuid::Uuid;

use crate::auth::Keys;

/// What tracking links' secrets look like, as a regular expression.
pub const FORM: &str = "^trk_(test_)?[A-Za-z0-9_-]{43}$";
/// Bytes of the signature that are kept: 128 bits cannot be guessed, and the link stays short.
const SIGNATURE_BYTES: usize = 16;

impl Keys {
    /// The secret of the order's tracking link.
    #[must_use]
    pub fn tracking_token(&self, order: OrderId) -> String {
        let mut signature = self.links.key.clone();
        signature.update(order.uuid().as_bytes());
        let mut bytes = [0u8; 16 + SIGNATURE_BYTES];
        bytes[..16].copy_from_slice(order.uuid().as_bytes());
        bytes[16..].copy_from_slice(&signature.finalize().into_bytes()[..SIGNATURE_BYTES]);
        format!("{}{}", self.links.prefix, URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The order of a tracking link, if it is one of ours. Takes the same time wherever the first difference is.
    #[must_use]
    pub fn tracked_order(&self, token: &str) -> Option<OrderId> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(self.links.prefix)?).ok()?;
        if bytes.len() != 16 + SIGNATURE_BYTES {
            return None;
        }
        let (order, signature) = bytes.split_at(16);
        let mut expected = self.links.key.clone();
        expected.update(order);
        expected.verify_truncated_left(signature).ok()?;
        Some(OrderId::from_uuid(Uuid::from_slice(order).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_its_order_and_no_other() {
        let keys = Keys::new(&[7; 32]).unwrap();
        let order = OrderId::from_uuid(Uuid::from_u128(99));
        let token = keys.tracking_token(order);
        assert_eq!(keys.tracked_order(&token), Some(order));
        assert_eq!(Keys::new(&[8; 32]).unwrap().tracked_order(&token), None);
        for at in keys.links.prefix.len()..token.len() {
            let mut forged: Vec<u8> = token.bytes().collect();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(keys.tracked_order(std::str::from_utf8(&forged).unwrap()), None);
        }
        for short in ["", "trk_", "trk_AAAA", &token[..token.len() - 2]] {
            assert_eq!(keys.tracked_order(short), None);
        }
    }

    #[test]
    fn a_link_of_one_world_opens_nothing_in_the_other() {
        let live = Keys::new(&[7; 32]).unwrap();
        let test = live.of_test_world();
        let order = OrderId::from_uuid(Uuid::from_u128(99));
        let token = test.tracking_token(order);
        assert!(token.starts_with("trk_test_"));
        assert_eq!((test.tracked_order(&token), live.tracked_order(&token)), (Some(order), None));
        assert_eq!(test.tracked_order(&live.tracking_token(order)), None);
        // Nor with its mark taken off or put on.
        assert_eq!(live.tracked_order(&token.replacen("trk_test_", "trk_", 1)), None);
        assert_eq!(test.tracked_order(&live.tracking_token(order).replacen("trk_", "trk_test_", 1)), None);
    }
}
