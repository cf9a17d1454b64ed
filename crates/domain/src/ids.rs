//! Typed ids: UUIDv7 inside, a prefixed TypeID string on the wire (`ord_01jd…`).
//!
//! The wire form follows the TypeID specification 0.3 (a prefix, an underscore, and the 128 bits in
//! Crockford's base 32, lower case, 26 characters), so ids sort by time as text too.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Serialize, de};
use uuid::Uuid;

use crate::Timestamp;

/// The digits of the wire form, in their order.
pub const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters after the underscore of the wire form.
pub const TEXT_LENGTH: usize = 26;
/// What such characters look like, for words about ids.
pub const EXAMPLE: &str = "01jd8v7cjxfm9sxv0q3e0b5z1c";

/// Text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an id like {prefix}_{EXAMPLE}")]
pub struct InvalidId {
    /// The prefix that was expected, without the underscore.
    pub prefix: &'static str,
}

/// What all typed ids have in common.
pub trait Id: Copy + Eq + Ord + std::hash::Hash + fmt::Display + fmt::Debug + Send + Sync + 'static {
    /// The prefix of the wire form, without the underscore.
    const PREFIX: &'static str;
    /// Wraps a UUID.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The UUID inside, as the database stores it.
    fn uuid(self) -> Uuid;
    /// A UUIDv7 id for the instant `now` and ten bytes of randomness.
    fn at(now: Timestamp, entropy: [u8; 10]) -> Self {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        Self::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &entropy).into_uuid())
    }
}

/// What each byte stands for as a digit; [`NO_DIGIT`] where it is none.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut n = 0;
    while n < ALPHABET.len() {
        digits[ALPHABET[n] as usize] = n as u8;
        n += 1;
    }
    digits
};
const NO_DIGIT: u8 = u8::MAX;

/// The wire form, written in one piece: every order has a dozen ids, and they are most of what is read and written.
struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    fn of(prefix: &str, uuid: Uuid) -> Self {
        let mut text = [b'_'; N];
        let (start, digits) = text.split_at_mut(N - TEXT_LENGTH);
        start[..prefix.len()].copy_from_slice(prefix.as_bytes());
        let mut value = uuid.as_u128();
        for slot in digits.iter_mut().rev() {
            *slot = ALPHABET[(value & 31) as usize];
            value >>= 5;
        }
        Self(text)
    }

    /// Prefix and digits are ASCII.
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Whether a text is an id with this prefix.
#[must_use]
pub fn is_id(prefix: &str, text: &str) -> bool {
    decode(prefix, text).is_some()
}

fn decode(prefix: &str, text: &str) -> Option<Uuid> {
    let digits = text.strip_prefix(prefix)?.strip_prefix('_')?.as_bytes();
    if digits.len() != TEXT_LENGTH || digits[0] > b'7' {
        return None;
    }
    let mut value: u128 = 0;
    for digit in digits {
        let bits = DIGITS[usize::from(*digit)];
        if bits == NO_DIGIT {
            return None;
        }
        value = (value << 5) | u128::from(bits);
    }
    Some(Uuid::from_u128(value))
}

/// Reads an id where the text lies, without a copy of it.
struct Reader<T>(PhantomData<T>);

impl<T: Id + FromStr<Err = InvalidId>> de::Visitor<'_> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an id like {}_{EXAMPLE}", T::PREFIX)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl Id for $name {
            const PREFIX: &'static str = $prefix;
            fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
            fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl $name {
            fn text(self) -> Text<{ $prefix.len() + 1 + TEXT_LENGTH }> {
                Text::of($prefix, self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text().as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text().as_str())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                decode($prefix, text).map(Self).ok_or(InvalidId { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.text().as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Reader(PhantomData))
            }
        }
    };
}

id!(/// One order: what a customer receives at one door.
    OrderId, "ord");
id!(/// One task of an order: a pickup, the delivery, or a return.
    TaskId, "tsk");
id!(/// One offer of an order to a driver.
    OfferId, "ofr");
id!(/// A driver.
    DriverId, "drv");
id!(/// A zone: a named service area.
    ZoneId, "zon");
id!(/// A region: zones that share drivers. See [`crate::region`].
    RegionId, "reg");
id!(/// A merchant.
    MerchantId, "mer");
id!(/// A customer.
    CustomerId, "cus");
id!(/// A person of operations.
    AdminId, "adm");
id!(/// A planned shift of a driver.
    ShiftId, "shf");
id!(/// A socket session.
    SessionId, "ses");
id!(/// An endpoint: where a merchant's program is told of events.
    WebhookEndpointId, "whe");
id!(/// A webhook message: one event on its way to one endpoint.
    WebhookMessageId, "whm");
id!(/// An account: who signs in.
    AccountId, "acc");
id!(/// A login: one account on one device, from signing in to signing out.
    LoginId, "lgn");
id!(/// A code that was sent out and may come back.
    ChallengeId, "chl");
id!(/// A key with which a merchant's programs call.
    ApiKeyId, "key");
id!(/// An email or text on its way out.
    MessageId, "msg");
id!(/// An entry of the audit log.
    AuditId, "aud");
id!(/// A job: something to be done later.
    JobId, "job");

impl RegionId {
    /// The region of everything that nobody has put into another one.
    pub const FIRST: Self = Self(Uuid::nil());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_wire_form_reads_back(bits: u128) {
            let id = OrderId::from_uuid(Uuid::from_u128(bits));
            prop_assert_eq!(id.to_string().parse::<OrderId>(), Ok(id));
        }

        #[test]
        fn ids_sort_as_text_like_as_numbers(a: u128, b: u128) {
            let (a, b) = (DriverId::from_uuid(Uuid::from_u128(a)), DriverId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn any_text_is_read_or_refused_without_panic(text in ".{0,40}") {
            let _ = text.parse::<OrderId>();
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let driver = DriverId::from_uuid(Uuid::from_u128(7)).to_string();
        let refused = driver.parse::<OrderId>().unwrap_err();
        assert_eq!(refused, InvalidId { prefix: "ord" });
        assert_eq!(refused.to_string(), "must be an id like ord_01jd8v7cjxfm9sxv0q3e0b5z1c");
        assert!(is_id("ord", &format!("ord_{EXAMPLE}")), "the example is one");
    }
}
