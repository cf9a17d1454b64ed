//! Who did something: the author of an event.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{AdminId, CustomerId, DriverId, EXAMPLE, MerchantId};

/// The author of a command or event. Its wire form is the id itself, or `system`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// The program: a deadline that passed, a pass of the dispatcher.
    System,
    /// Operations.
    Admin(AdminId),
    /// A merchant.
    Merchant(MerchantId),
    /// A customer.
    Customer(CustomerId),
    /// A driver.
    Driver(DriverId),
}

/// Text that names no party.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be `system` or the id of an admin, merchant, customer or driver, like mer_{EXAMPLE}")]
pub struct InvalidParty;

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Admin(id) => id.fmt(f),
            Self::Merchant(id) => id.fmt(f),
            Self::Customer(id) => id.fmt(f),
            Self::Driver(id) => id.fmt(f),
        }
    }
}

impl FromStr for Party {
    type Err = InvalidParty;
    fn from_str(text: &str) -> Result<Self, InvalidParty> {
        let party = match text.split('_').next() {
            Some("system") if text == "system" => Some(Self::System),
            Some("adm") => text.parse().ok().map(Self::Admin),
            Some("mer") => text.parse().ok().map(Self::Merchant),
            Some("cus") => text.parse().ok().map(Self::Customer),
            Some("drv") => text.parse().ok().map(Self::Driver),
            _ => None,
        };
        party.ok_or(InvalidParty)
    }
}

impl Serialize for Party {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Party {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;

    #[test]
    fn every_party_reads_back_from_its_wire_form() {
        let id = uuid::Uuid::from_u128(7);
        let all = [
            Party::System,
            Party::Admin(Id::from_uuid(id)),
            Party::Merchant(Id::from_uuid(id)),
            Party::Customer(Id::from_uuid(id)),
            Party::Driver(Id::from_uuid(id)),
        ];
        for party in all {
            assert_eq!(party.to_string().parse(), Ok(party));
            assert_eq!(serde_json::from_str::<Party>(&serde_json::to_string(&party).unwrap()).unwrap(), party);
        }
    }

    #[test]
    fn who_is_no_party_is_refused() {
        for text in ["", "system_", "somebody", "ord_00000000000000000000000007", "drv_7"] {
            assert_eq!(text.parse::<Party>(), Err(InvalidParty), "{text}");
        }
    }
}
