//! Accounts and logins over REST. What uses something up (codes, refresh tokens, tries) is sent once.

use posthaste_domain::ids::{AccountId, ApiKeyId, LoginId};
use posthaste_protocol::accounts::{
    AccountView, Activate, All, ApiKeyCreated, ApiKeyView, AuditEntryView, Ban, ChangePassword, CodeSent, CreateApiKey,
    LogIn, LoginView, Refresh, Register, Secret, StepUp, SteppedUp, Tokens, Verify,
};
use posthaste_protocol::export::ExportEntry;
use posthaste_protocol::google::{BeginGoogle, ConfirmGoogle, ConfirmGoogleLink, GoogleBegun, LinkGoogle};
use posthaste_protocol::page::Page;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::http::{Call, Client, json};

impl Client {
    async fn once_only<B: Serialize, T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &B,
    ) -> Result<T, ClientError> {
        let call = Call::new(Method::POST, self.url(segments));
        self.send(Call { body: Some(json(body)), repeatable: false, ..call }).await
    }

    /// Asks for an account; a code goes to the email address.
    pub async fn register(&self, register: &Register) -> Result<CodeSent, ClientError> {
        self.once_only(&["v1", "accounts"], register).await
    }

    /// Sends the code of a registration back.
    pub async fn verify(&self, verify: &Verify) -> Result<AccountView, ClientError> {
        self.once_only(&["v1", "accounts", "verify"], verify).await
    }

    /// Signs in. Ask for the refresh token in the body: this client keeps no cookies.
    pub async fn log_in(&self, log_in: &LogIn) -> Result<Tokens, ClientError> {
        self.once_only(&["v1", "sessions"], log_in).await
    }

    /// Trades a refresh token for the next one.
    pub async fn refresh(&self, refresh_token: Secret) -> Result<Tokens, ClientError> {
        let body = Refresh { refresh_token: Some(refresh_token) };
        self.once_only(&["v1", "sessions", "refresh"], &body).await
    }

    /// Signs out.
    pub async fn log_out(&self, refresh_token: Secret) -> Result<(), ClientError> {
        let body = Refresh { refresh_token: Some(refresh_token) };
        let _: serde_json::Value = self.once_only(&["v1", "sessions", "end"], &body).await?;
        Ok(())
    }

    /// One's own account.
    pub async fn account(&self) -> Result<AccountView, ClientError> {
        self.get(&["v1", "account"]).await
    }

    /// One's sessions that are not over.
    pub async fn sessions(&self) -> Result<Vec<LoginView>, ClientError> {
        let all: All<LoginView> = self.get(&["v1", "account", "sessions"]).await?;
        Ok(all.items)
    }

    /// Ends one of them.
    pub async fn end_session(&self, id: LoginId) -> Result<(), ClientError> {
        let url = self.url(&["v1", "account", "sessions", &id.to_string()]);
        let _: serde_json::Value = self.send(Call::new(Method::DELETE, url)).await?;
        Ok(())
    }

    /// Ends all others, and with `including_this` the one of this client too.
    pub async fn end_sessions(&self, including_this: bool) -> Result<(), ClientError> {
        let mut url = self.url(&["v1", "account", "sessions"]);
        if including_this {
            url.query_pairs_mut().append_pair("including_this", "true");
        }
        let _: serde_json::Value = self.send(Call::new(Method::DELETE, url)).await?;
        Ok(())
    }

    /// Shows again who one is.
    pub async fn step_up(&self, step_up: &StepUp) -> Result<SteppedUp, ClientError> {
        self.once_only(&["v1", "account", "step-up"], step_up).await
    }

    /// Changes one's password. Every session ends; the tokens are those of the one that begins.
    pub async fn change_password(&self, change: &ChangePassword) -> Result<Tokens, ClientError> {
        self.once_only(&["v1", "account", "password"], change).await
    }

    /// Begins to sign in with Google. Say that an app ends it: this client keeps no cookies.
    pub async fn begin_google(&self, begin: &BeginGoogle) -> Result<GoogleBegun, ClientError> {
        self.once_only(&["v1", "sessions", "google"], begin).await
    }

    /// Signs in with Google, once the browser came back.
    pub async fn confirm_google(&self, confirm: &ConfirmGoogle) -> Result<Tokens, ClientError> {
        self.once_only(&["v1", "sessions", "google", "confirm"], confirm).await
    }

    /// Begins to link one's Google account.
    pub async fn link_google(&self, link: &LinkGoogle) -> Result<GoogleBegun, ClientError> {
        self.once_only(&["v1", "account", "google"], link).await
    }

    /// Links it, once the browser came back.
    pub async fn confirm_google_link(&self, confirm: &ConfirmGoogleLink) -> Result<AccountView, ClientError> {
        self.once_only(&["v1", "account", "google", "confirm"], confirm).await
    }

    /// Takes the link away, with the password.
    pub async fn unlink_google(&self, shown: &StepUp) -> Result<(), ClientError> {
        self.take_away(&["v1", "account", "google"], shown).await
    }

    /// Deletes one's account, at once and for good, with the password.
    pub async fn delete_account(&self, shown: &StepUp) -> Result<(), ClientError> {
        self.take_away(&["v1", "account"], shown).await
    }

    /// A page of everything that is kept of one, from the first on or after a cursor.
    pub async fn export(&self, cursor: Option<&str>) -> Result<Page<ExportEntry>, ClientError> {
        let mut url = self.url(&["v1", "account", "export"]);
        url.query_pairs_mut().append_pair("limit", "100");
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        self.send(Call::new(Method::GET, url)).await
    }

    async fn take_away(&self, segments: &[&str], shown: &StepUp) -> Result<(), ClientError> {
        let call = Call::new(Method::DELETE, self.url(segments));
        let call = Call { body: Some(json(shown)), repeatable: false, ..call };
        let _: serde_json::Value = self.send(call).await?;
        Ok(())
    }

    /// Makes a key for programs. The idempotency key makes it safe to try again: the first secret is shown then.
    pub async fn create_api_key(&self, key: &CreateApiKey) -> Result<ApiKeyCreated, ClientError> {
        self.command(Method::POST, &["v1", "account", "keys"], key).await
    }

    /// One's keys.
    pub async fn api_keys(&self) -> Result<Vec<ApiKeyView>, ClientError> {
        let all: All<ApiKeyView> = self.get(&["v1", "account", "keys"]).await?;
        Ok(all.items)
    }

    /// Revokes one of them.
    pub async fn revoke_api_key(&self, id: ApiKeyId) -> Result<(), ClientError> {
        let url = self.url(&["v1", "account", "keys", &id.to_string()]);
        let _: serde_json::Value = self.send(Call::new(Method::DELETE, url)).await?;
        Ok(())
    }

    /// Lets a merchant or driver work.
    pub async fn activate(&self, id: AccountId, activate: &Activate) -> Result<AccountView, ClientError> {
        self.command(Method::POST, &["v1", "accounts", &id.to_string(), "activate"], activate).await
    }

    /// Shuts an account out.
    pub async fn ban(&self, id: AccountId, ban: &Ban) -> Result<AccountView, ClientError> {
        self.command(Method::POST, &["v1", "accounts", &id.to_string(), "ban"], ban).await
    }

    /// The newest entries of the audit log.
    pub async fn audit(&self) -> Result<Page<AuditEntryView>, ClientError> {
        self.get(&["v1", "audit"]).await
    }
}
