//! Whether somebody whom a request names is there, and may act.

use posthaste_domain::party::Party;

use super::store;
use crate::Identity;
use crate::refused::Refused;

/// How a party stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No account is theirs.
    Unknown,
    /// Their account waits to be activated.
    Waiting,
    /// They were shut out.
    Banned,
    /// They may act.
    Acting,
}

impl Identity {
    /// Whether tokens of development are taken, whose holders nobody knows.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.settings().development
    }

    /// How a party stands. In development people come with tokens and without accounts: whom nobody knows is taken for acting
    /// there.
    ///
    /// # Errors
    ///
    /// The database is away.
    pub async fn standing(&self, party: Party) -> Result<Standing, Refused> {
        let mut connection = self.pool().connections().acquire().await?;
        let Some(account) = store::of_party(&mut connection, party).await? else {
            return Ok(if self.settings().development { Standing::Acting } else { Standing::Unknown });
        };
        Ok(if account.ban_reason.is_some() {
            Standing::Banned
        } else if account.activated_at.is_none() && matches!(party, Party::Merchant(_) | Party::Driver(_)) {
            Standing::Waiting
        } else {
            Standing::Acting
        })
    }
}
