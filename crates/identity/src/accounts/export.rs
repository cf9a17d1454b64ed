//! What identity holds about the holder of an account, for themselves: a page at a time, newest first.

use posthaste_domain::ids::Id;
use posthaste_http::auth::LoginProof;
use posthaste_http::pages::Cursor;
use posthaste_protocol::accounts::{AccountView, ApiKeyView, AuditEntryView, LoginView};
use posthaste_protocol::export::ActView;
use uuid::Uuid;

use super::store;
use crate::audit::{Entry, Origin};
use crate::refused::Refused;
use crate::{Identity, api_keys, audit, logins};

impl Identity {
    /// The account of a login.
    ///
    /// # Errors
    ///
    /// Those of the database; [`Refused::LoginEnded`] where the account is gone.
    pub async fn own_account(&self, proof: &LoginProof) -> Result<AccountView, Refused> {
        let account = store::get(self.pool().connections(), proof.account).await?;
        Ok(account.ok_or(Refused::LoginEnded)?.view())
    }

    /// The account's logins with ids below `before`, those that are over too.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn own_logins(&self, proof: &LoginProof, before: Uuid, limit: u32) -> Result<Vec<LoginView>, Refused> {
        let mut found = logins::store::before(self.pool(), proof.account, before, limit).await?;
        found.iter_mut().for_each(|login| login.current = login.id == proof.login);
        Ok(found)
    }

    /// The account's keys with ids below `before`, those that were revoked too.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn own_keys(&self, proof: &LoginProof, before: Uuid, limit: u32) -> Result<Vec<ApiKeyView>, Refused> {
        let keys = api_keys::store::list(self.pool().connections(), proof.account).await?;
        Ok(keys.into_iter().filter(|key| key.id.uuid() < before).take(limit as usize).collect())
    }

    /// What stands in the audit log about the account, before a place in it: what its holder did and what was done to it, as
    /// far as it is theirs to know.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn own_acts(&self, proof: &LoginProof, before: Cursor, limit: u32) -> Result<Vec<ActView>, Refused> {
        let found =
            audit::store::of_account(self.pool(), proof.account, (before.at, before.id), i64::from(limit)).await?;
        let name = proof.account.to_string();
        let view = |entry: AuditEntryView| {
            let is_own = entry.actor == name;
            ActView {
                id: entry.id,
                at: entry.at,
                act: entry.act,
                own: is_own,
                // Where others were when they acted is theirs.
                address: entry.address.filter(|_| is_own),
            }
        };
        Ok(found.into_iter().map(view).collect())
    }

    /// Notes that somebody exports what is kept of them.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn note_export(&self, proof: &LoginProof, origin: &Origin) -> Result<(), Refused> {
        self.note(origin, Entry::new("account.exported", proof.account).on(proof.account)).await
    }
}
