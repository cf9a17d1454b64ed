//! Deleting one's own account: everything about its holder goes in one commit, at once and for good, and the ids stay, so
//! that orders, decisions and the audit log add up. What others keep of the party (a driver's name and tracks, a merchant's
//! endpoints) is forgotten after that commit, by whoever knows them, until it is noted here that nothing is left.

use posthaste_domain::Span;
use posthaste_http::auth::{LoginProof, Role};
use posthaste_protocol::accounts::StepUp;

use super::store;
use super::store::Deleted;
use crate::audit::{Entry, Origin};
use crate::refused::Refused;
use crate::{Identity, letters};

/// Deleted accounts that are looked at together.
const AT_ONCE: i64 = 100;
/// For how long after it was deleted a party is forgotten again and again: what was under way with its tokens, or waited in
/// memory to be written, comes in by then.
const SETTLES: Span = Span::minutes(1);

impl Identity {
    /// Deletes the account of whoever asks, with the proof that a new password wants. Refused while they have work that
    /// somebody waits for, and to the last admin.
    pub(crate) async fn delete_account(
        &self,
        proof: &LoginProof,
        shown: &StepUp,
        origin: &Origin,
    ) -> Result<(), Refused> {
        let account = self.account(proof.account).await?;
        self.show_owner_or_fresh(proof, &account, shown.password.as_ref(), origin).await?;
        if let Some(dispatch) = self.0.dispatch.get() {
            let open = dispatch.open_work(account.party).await;
            if let Some(open) = open.map_err(|problem| Refused::Elsewhere(Box::new(problem)))? {
                return Err(Refused::OpenWork(open));
            }
        }
        let mut transaction = self.pool().connections().begin().await?;
        if account.role() == Role::Admin && !store::has_another_admin(&mut transaction, account.id).await? {
            return Err(Refused::Conflict("nobody else is an admin: make another one first (posthaste admin create)"));
        }
        let account = store::lock(&mut transaction, account.id).await?.ok_or(Refused::LoginEnded)?;
        if let Some(reason) = account.ban_reason {
            return Err(Refused::Banned { reason });
        }
        // As it was read before: to the address that it had.
        self.notifications().put(&mut transaction, &letters::deleted(&account, origin)).await?;
        let ended = store::delete(&mut transaction, account.id, self.now()).await?;
        self.audit(&mut transaction, origin, Entry::new("account.deleted", account.id).on(account.id)).await?;
        transaction.commit().await?;
        self.notifications().wake();
        self.ended(ended.logins);
        self.0.api_keys.forget_all();
        ended.keys.into_iter().for_each(|key| self.0.revocations.end_key(key));
        if let Some(dispatch) = self.0.dispatch.get() {
            dispatch.bans_changed();
        }
        Ok(())
    }

    /// Deleted accounts of whose parties something may be kept elsewhere, the longest deleted first, after one of them.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn to_forget(&self, after: Option<&Deleted>) -> Result<Vec<Deleted>, Refused> {
        Ok(store::to_forget(self.pool(), after, AT_ONCE).await?)
    }

    /// Everything that was kept elsewhere of a deleted account's party was just forgotten. Once that has been so for a
    /// minute, it is not asked for again.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn forgotten(&self, deleted: &Deleted) -> Result<bool, Refused> {
        let now = self.now();
        Ok(now - deleted.at >= SETTLES && store::forgotten(self.pool(), deleted.account, now).await?)
    }

    /// Removes audit entries that are older than they are to be kept, where that ends; how many.
    pub(crate) async fn forget_audit(&self) -> Result<u64, Refused> {
        let Some(days) = self.settings().audit_days else { return Ok(0) };
        let before = self.now() - Span::days(i64::from(days));
        let removed = crate::audit::store::forget(self.pool(), before).await?;
        metrics::counter!("posthaste_forgotten_total", "what" => "audit_entries").increment(removed);
        Ok(removed)
    }
}
