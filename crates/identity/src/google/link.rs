//! Linking one's Google account to the account that one is signed in to, and taking the link away. Never by an email
//! address that happens to be the same: with a fresh proof of the account here, and Google's word for the one there.

use posthaste_http::auth::LoginProof;
use posthaste_protocol::accounts::{AccountView, StepUp};
use posthaste_protocol::google::{BeginGoogle, LinkGoogle};
use serde_json::json;

use super::{Ending, Linked, OVER, Start, UNVERIFIED, store};
use crate::audit::{Entry, Origin};
use crate::refused::Refused;
use crate::{Identity, letters};

impl Identity {
    /// Begins to link. It is a way into the account for good, so it wants what a new password wants.
    pub(crate) async fn begin_link(
        &self,
        proof: &LoginProof,
        asked: &LinkGoogle,
        origin: &Origin,
    ) -> Result<Start, Refused> {
        self.google()?;
        let account = self.account(proof.account).await?;
        self.show_owner_or_fresh(proof, &account, asked.password.as_ref(), origin).await?;
        let begin = BeginGoogle { return_to: asked.return_to.clone(), register_as: None, ended_by: asked.ended_by };
        self.begin_google(&begin, Some((proof.account, proof.login)), origin).await
    }

    /// Links, in the login that began it.
    pub(crate) async fn confirm_link(
        &self,
        proof: &LoginProof,
        ending: &Ending<'_>,
        origin: &Origin,
    ) -> Result<AccountView, Refused> {
        let issuer = self.google()?.settings.issuer.clone();
        let mut pending = self.pending(ending).await?;
        if pending.row.link != Some((proof.account, proof.login)) {
            return Err(Refused::SignInFailed(OVER));
        }
        let vouched = self.vouched(&mut pending, ending, origin).await?;
        let email = vouched.email.ok_or(Refused::SignInFailed(UNVERIFIED))?;
        let linked = Linked { issuer, subject: vouched.subject, email, linked_at: self.now() };
        let mut transaction = self.pool().connections().begin().await?;
        self.take(&mut transaction, &pending.row.state_hash).await?;
        let account = Self::locked(&mut transaction, proof.account).await?;
        if let Some(reason) = account.ban_reason {
            return Err(Refused::Banned { reason });
        }
        match &account.google {
            Some(there) if there.subject == linked.subject && there.issuer == linked.issuer => {
                transaction.commit().await?;
                return Ok(self.account(proof.account).await?.view());
            }
            Some(_) => return Err(Refused::Conflict("another Google account is linked: take that link away first")),
            None => {}
        }
        if !store::link(&mut transaction, account.id, &linked).await? {
            return Err(Refused::Conflict("this Google account is linked to another account"));
        }
        let entry = Entry::new("google.linked", account.id).on(account.id).with(json!({"login": proof.login}));
        self.audit(&mut transaction, origin, entry).await?;
        self.notifications().put(&mut transaction, &letters::google_linked(&account, &linked.email, origin)).await?;
        transaction.commit().await?;
        self.notifications().wake();
        Ok(self.account(proof.account).await?.view())
    }

    /// Takes the link away, unless it is the only way in. Whoever takes ways in away can keep the account's owner out, so it
    /// wants the password.
    pub(crate) async fn unlink_google(
        &self,
        proof: &LoginProof,
        shown: &StepUp,
        origin: &Origin,
    ) -> Result<(), Refused> {
        let account = self.account(proof.account).await?;
        if account.google.is_none() {
            return Ok(());
        }
        self.show_owner_or_fresh(proof, &account, shown.password.as_ref(), origin).await?;
        let mut transaction = self.pool().connections().begin().await?;
        let account = Self::locked(&mut transaction, proof.account).await?;
        if account.google.is_none() {
            return Ok(());
        }
        if !account.has_password {
            return Err(Refused::Conflict("it is the only way in: set a password first (POST /v1/password/forgot)"));
        }
        store::unlink(&mut transaction, account.id).await?;
        let entry = Entry::new("google.unlinked", account.id).on(account.id).with(json!({"login": proof.login}));
        self.audit(&mut transaction, origin, entry).await?;
        let what = "Your account can no longer be signed in to with Google.";
        self.notifications().put(&mut transaction, &letters::notice(&account, what, origin)).await?;
        transaction.commit().await?;
        self.notifications().wake();
        Ok(())
    }
}
