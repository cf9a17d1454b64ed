//! Logins: signing in, going on with a refresh token that is good for once, and ending.

pub(crate) mod routes;
pub(crate) mod store;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{AccountId, LoginId};
use posthaste_http::auth::{LoginProof, Role};
use posthaste_protocol::accounts::{LogIn, LoginView, Secret, StepUp, SteppedUp};
use serde_json::json;
use sqlx::PgConnection;

use crate::accounts::{self, Account, email_key};
use crate::audit::{Entry, Origin};
use crate::refused::Refused;
use crate::second_factor::Shown;
use crate::{Identity, access_token, letters, random};

/// How often a refresh token is taken within the grace.
pub(crate) const USES_IN_GRACE: i16 = 3;

/// A login with what it is worked with.
pub(crate) struct Opened {
    pub(crate) account: Account,
    pub(crate) proof: LoginProof,
    pub(crate) access: Secret,
    pub(crate) access_expires_at: Timestamp,
    pub(crate) refresh: Secret,
    pub(crate) refresh_expires_at: Timestamp,
}

/// A login that is about to be committed.
pub(crate) struct Begun {
    pub(crate) account: Account,
    login: LoginId,
    proved_at: Timestamp,
    second_factor: bool,
    refresh: Secret,
    refresh_expires_at: Timestamp,
}

impl Identity {
    /// Signs in.
    pub(crate) async fn log_in(
        &self,
        asked: &LogIn,
        cookie: Option<&Secret>,
        origin: &Origin,
    ) -> Result<Opened, Refused> {
        let place = self.hasher().place()?;
        let (now, email) = (self.now(), email_key(&asked.email));
        let known_device = match cookie {
            Some(token) => store::is_known_device(self.pool(), &random::digest(token.expose()), &email).await?,
            None => false,
        };
        if let Some(seconds) = self.throttle().login(&email, origin.address, known_device, now) {
            return Err(Refused::Throttled { seconds });
        }
        let account = accounts::store::by_sign_in(self.pool(), &email).await?;
        let stored = account.as_ref().map(|account| account.password.clone());
        let right = self.hasher().check_in(place, &asked.password, stored).await?;
        let Some(account) = account.filter(|_| right) else {
            self.throttle().login_failed(&email, origin.address, now);
            // The address that was typed is not noted: people type passwords there.
            self.note(origin, Entry::new("login.failed", "nobody")).await?;
            return Err(Refused::WrongCredentials);
        };
        if let Some(reason) = account.ban_reason {
            return Err(Refused::Banned { reason });
        }
        let second_factor = match (&asked.code, account.has_second_factor()) {
            (_, false) => false,
            (None, true) => return Err(Refused::SecondFactorRequired),
            (Some(code), true) => {
                self.show_second_factor(account.id, code, origin).await?;
                true
            }
        };
        self.throttle().proved(&email, origin.address);
        self.open_login(account.id, second_factor, origin).await
    }

    async fn open_login(&self, id: AccountId, second_factor: bool, origin: &Origin) -> Result<Opened, Refused> {
        let mut transaction = self.pool().connections().begin().await?;
        let begun = self.begin_login(&mut transaction, id, second_factor, "password", origin).await?;
        transaction.commit().await?;
        self.opened(begun)
    }

    /// Begins a login of somebody who has shown who he is, `with` what.
    pub(crate) async fn begin_login(
        &self,
        connection: &mut PgConnection,
        id: AccountId,
        second_factor: bool,
        with: &'static str,
        origin: &Origin,
    ) -> Result<Begun, Refused> {
        let (now, login): (_, LoginId) = (self.now(), self.clock().id());
        // Read again under a lock: a ban that came meanwhile wins.
        let account = accounts::store::lock(connection, id).await?.ok_or(Refused::WrongCredentials)?;
        if let Some(reason) = account.ban_reason {
            return Err(Refused::Banned { reason });
        }
        let ends_at = now + self.settings().login_longest;
        let expires_at = (now + self.settings().login_idle).min(ends_at);
        let new = store::NewLogin { id: login, account: id, now, expires_at, ends_at, second_factor, origin };
        store::add(connection, &new).await?;
        let refresh = self.hand_out(connection, login, now).await?;
        let details = json!({"second_factor": second_factor, "with": with});
        self.audit(connection, origin, Entry::new("login.opened", id).on(login).with(details)).await?;
        Ok(Begun { account, login, proved_at: now, second_factor, refresh, refresh_expires_at: expires_at })
    }

    /// What a login is worked with. After the commit.
    pub(crate) fn opened(&self, begun: Begun) -> Result<Opened, Refused> {
        let Begun { account, login, proved_at, second_factor, refresh, refresh_expires_at } = begun;
        let may_work = self.may_work(&account, second_factor);
        let proof = LoginProof { account: account.id, login, proved_at, second_factor, may_work };
        let (access, access_expires_at) =
            access_token::mint(&self.0.signing, account.party, &proof, self.now(), self.settings().access_token)?;
        Ok(Opened { account, proof, access, access_expires_at, refresh, refresh_expires_at })
    }

    /// Whether the account may do more than look after itself.
    fn may_work(&self, account: &Account, second_factor: bool) -> bool {
        match account.role() {
            Role::Customer => true,
            Role::Merchant | Role::Driver => account.activated_at.is_some(),
            Role::Admin => !self.settings().admins_need_second_factor || second_factor,
        }
    }

    async fn hand_out(&self, connection: &mut PgConnection, login: LoginId, now: Timestamp) -> Result<Secret, Refused> {
        let token = Secret(format!("phr_{}", random::text(32)));
        store::add_token(connection, &random::digest(token.expose()), login, now).await?;
        Ok(token)
    }

    /// Trades a refresh token for the next one. One that was used before ends the login: either the one who used it
    /// first or this one has stolen it. Only within the grace the same token is taken again, as a page that was clicked
    /// twice sends it twice.
    pub(crate) async fn refresh(&self, token: &Secret, origin: &Origin) -> Result<Opened, Refused> {
        let now = self.now();
        let mut transaction = self.pool().connections().begin().await?;
        let held = store::lock_token(&mut transaction, &random::digest(token.expose())).await?;
        let held = held.ok_or(Refused::LoginEnded)?;
        if held.revoked || held.expires_at <= now {
            return Err(Refused::LoginEnded);
        }
        let account = accounts::store::get(&mut *transaction, held.account).await?.ok_or(Refused::LoginEnded)?;
        if let Some(reason) = account.ban_reason {
            return Err(Refused::Banned { reason });
        }
        let again = held
            .used_at
            .is_some_and(|used_at| now - used_at > self.settings().refresh_grace || held.uses >= USES_IN_GRACE);
        if again {
            self.end_reused(transaction, &account, held.login, origin).await?;
            return Err(Refused::LoginEnded);
        }
        store::use_token(&mut transaction, &held, now).await?;
        let expires_at = (now + self.settings().login_idle).min(held.ends_at);
        store::touch(&mut transaction, held.login, now, expires_at, origin).await?;
        let refresh = self.hand_out(&mut transaction, held.login, now).await?;
        transaction.commit().await?;
        let (login, proved_at, second_factor) = (held.login, held.proved_at, held.second_factor);
        self.opened(Begun { account, login, proved_at, second_factor, refresh, refresh_expires_at: expires_at })
    }

    async fn end_reused(
        &self,
        mut transaction: sqlx::Transaction<'static, sqlx::Postgres>,
        account: &Account,
        login: LoginId,
        origin: &Origin,
    ) -> Result<(), Refused> {
        let now = self.now();
        let ended = store::revoke(&mut transaction, account.id, Some(login), None, "reused", now).await?;
        let entry = Entry::new("login.reused", "nobody").on(login).with(json!({"account": account.id}));
        self.audit(&mut transaction, origin, entry).await?;
        let what = "One of your sessions was ended: its refresh token was used a second time, which happens when \
                    somebody has stolen it. Sign in again.";
        self.notifications().put(&mut transaction, &letters::notice(account, what, origin)).await?;
        transaction.commit().await?;
        self.notifications().wake();
        self.ended(ended);
        Ok(())
    }

    /// Says to everybody that logins ended. After the commit.
    pub(crate) fn ended(&self, logins: Vec<LoginId>) {
        let until = self.now() + self.longest_token();
        logins.into_iter().for_each(|login| self.0.revocations.add(login, until));
    }

    /// Signs out with the refresh token. One that is unknown or over is fine: nobody is signed in with it.
    pub(crate) async fn log_out(&self, token: &Secret, origin: &Origin) -> Result<(), Refused> {
        let mut transaction = self.pool().connections().begin().await?;
        let Some(held) = store::lock_token(&mut transaction, &random::digest(token.expose())).await? else {
            return Ok(());
        };
        let now = self.now();
        let ended = store::revoke(&mut transaction, held.account, Some(held.login), None, "logged_out", now).await?;
        if !ended.is_empty() {
            self.audit(&mut transaction, origin, Entry::new("login.ended", held.account).on(held.login)).await?;
        }
        transaction.commit().await?;
        self.ended(ended);
        Ok(())
    }

    /// Ends one login of the account, or all but one.
    pub(crate) async fn end_logins(
        &self,
        account: AccountId,
        one: Option<LoginId>,
        but: Option<LoginId>,
        origin: &Origin,
    ) -> Result<usize, Refused> {
        let mut transaction = self.pool().connections().begin().await?;
        let ended = store::revoke(&mut transaction, account, one, but, "revoked", self.now()).await?;
        for login in &ended {
            self.audit(&mut transaction, origin, Entry::new("login.revoked", account).on(login)).await?;
        }
        transaction.commit().await?;
        let count = ended.len();
        self.ended(ended);
        Ok(count)
    }

    /// The account's logins that are not over, newest first.
    pub(crate) async fn logins(&self, proof: &LoginProof) -> Result<Vec<LoginView>, Refused> {
        let mut logins = store::list(self.pool(), proof.account, self.now()).await?;
        logins.iter_mut().for_each(|login| login.current = login.id == proof.login);
        Ok(logins)
    }

    /// Shows again who one is; the new token says that it was just now.
    pub(crate) async fn step_up(
        &self,
        proof: &LoginProof,
        shown: &StepUp,
        origin: &Origin,
    ) -> Result<SteppedUp, Refused> {
        let account = accounts::store::get(self.pool().connections(), proof.account).await?;
        let account = account.ok_or(Refused::LoginEnded)?;
        let second_factor = match (account.has_second_factor(), &shown.code, &shown.password) {
            (true, None, _) => return Err(Refused::SecondFactorRequired),
            (true, Some(code), _) => self.show_second_factor(account.id, code, origin).await? != Shown::Nothing,
            (false, _, Some(password)) => {
                self.show_password(&account, password, origin).await?;
                false
            }
            (false, _, None) => return Err(Refused::field("password", "is required: there is no second factor")),
        };
        let now = self.now();
        let second_factor = second_factor || proof.second_factor;
        let mut transaction = self.pool().connections().begin().await?;
        if !store::prove(&mut transaction, proof.login, now, second_factor).await? {
            return Err(Refused::LoginEnded);
        }
        self.audit(&mut transaction, origin, Entry::new("login.stepped_up", account.id).on(proof.login)).await?;
        transaction.commit().await?;
        let may_work = self.may_work(&account, second_factor);
        let proof = LoginProof { proved_at: now, second_factor, may_work, ..*proof };
        let (access_token, access_expires_at) =
            access_token::mint(&self.0.signing, account.party, &proof, now, self.settings().access_token)?;
        Ok(SteppedUp { access_token, access_expires_at })
    }

    /// The password of a signed-in account, throttled like a login.
    pub(crate) async fn show_password(
        &self,
        account: &Account,
        password: &Secret,
        origin: &Origin,
    ) -> Result<(), Refused> {
        if !account.has_password {
            return Err(Refused::Conflict(
                "the account has no password: set one (POST /v1/password/forgot), or sign in with Google again",
            ));
        }
        let (now, email) = (self.now(), account.key());
        if let Some(seconds) = self.throttle().login(&email, origin.address, true, now) {
            return Err(Refused::Throttled { seconds });
        }
        if self.hasher().check(password, Some(account.password.clone())).await? {
            return Ok(());
        }
        self.throttle().login_failed(&email, origin.address, now);
        self.note(origin, Entry::new("proof.failed", account.id)).await?;
        Err(Refused::WrongCredentials)
    }

    /// What is sensitive wants a proof of the last minutes, with the second factor where there is one.
    pub(crate) async fn fresh(&self, proof: &LoginProof) -> Result<(), Refused> {
        if self.now() - proof.proved_at > self.settings().fresh_proof {
            return Err(Refused::StepUpRequired);
        }
        if proof.second_factor {
            return Ok(());
        }
        // It may have been turned on after this login began.
        let account = accounts::store::get(self.pool().connections(), proof.account).await?;
        let account = account.ok_or(Refused::LoginEnded)?;
        if account.has_second_factor() { Err(Refused::StepUpRequired) } else { Ok(()) }
    }
}
