//! Whom to ask for at a stop.

use serde::{Deserialize, Serialize};

/// A person or counter at a stop. All of it is optional text, shown to the driver who works the order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Name of the person or shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Telephone number, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Street address in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What the driver should know (gate code, floor).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
