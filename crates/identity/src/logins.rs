//! Logins: signing in, going on with a refresh token that is good for once, and ending.

mod refresh;
pub(crate) mod routes;
pub(crate) mod store;
pub(crate) mod token;

use std::future::Future;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{AccountId, LoginId};
use posthaste_http::auth::{LoginProof, Role};
use posthaste_protocol::accounts::{LogIn, LoginView, Secret, StepUp, SteppedUp};
use serde_json::json;
use sqlx::PgConnection;

use crate::accounts::{self, Account, email_key};
use crate::audit::folding::Same;
use crate::audit::{Entry, Origin};
use crate::password::Place;
use crate::refused::Refused;
use crate::second_factor::Shown;
use crate::{Identity, access_token, random};

/// A login with what it is worked with.
pub(crate) struct Opened {
    pub(crate) account: Account,
    pub(crate) proof: LoginProof,
    pub(crate) access: Secret,
    pub(crate) access_expires_at: Timestamp,
    pub(crate) refresh: Secret,
    pub(crate) refresh_expires_at: Timestamp,
}

/// A login that is about to be committed, or was.
pub(crate) struct Begun {
    pub(crate) account: Account,
    pub(crate) login: LoginId,
    pub(crate) proved_at: Timestamp,
    pub(crate) second_factor: bool,
    pub(crate) refresh: Secret,
    pub(crate) refresh_expires_at: Timestamp,
}

impl Identity {
    /// Notes what nobody in particular tried with an account, or without one. What was typed is not noted: people type
    /// passwords where their email belongs.
    async fn note_attempt(&self, origin: &Origin, act: &'static str, account: Option<&Account>) -> Result<(), Refused> {
        let id = account.map(|account| account.id);
        self.note_folded(origin, Same::about(act, id), Entry::of_nobody(act, id)).await
    }

    /// Signs in.
    pub(crate) async fn log_in(
        &self,
        asked: &LogIn,
        cookie: Option<&Secret>,
        origin: &Origin,
    ) -> Result<Opened, Refused> {
        let place = self.hasher().place()?;
        let email = email_key(&asked.email);
        let known_device = match asked.known_by.as_ref().or(cookie) {
            Some(token) => {
                let (login, hash) = (token::login_of(self.seal(), token), random::digest(token.expose()));
                store::is_known_device(self.pool(), login, &hash, &email).await?
            }
            None => false,
        };
        let look = self.look_up(place, &email, &asked.password);
        let (right, account) = match self.throttled(&email, known_device, origin, look).await {
            Err(Refused::Throttled { seconds }) => {
                let account = accounts::store::by_sign_in(self.pool(), &email).await?;
                self.note_attempt(origin, "login.throttled", account.as_ref()).await?;
                return Err(Refused::Throttled { seconds });
            }
            seen => seen?,
        };
        if !right {
            self.note_attempt(origin, "login.failed", account.as_ref()).await?;
        }
        let account = account.filter(|_| right).ok_or(Refused::WrongCredentials)?;
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
        let opened = match self.open_login(&account, second_factor, origin).await? {
            Some(opened) => opened,
            None => self.check_again(account, &asked.password, second_factor, origin).await?,
        };
        self.throttle().proved(&email, origin.address);
        self.rehash(&opened.account, &asked.password).await;
        Ok(opened)
    }

    /// The account with the email address, and whether the password is its own.
    async fn look_up(&self, place: Place, email: &str, password: &Secret) -> Result<(bool, Option<Account>), Refused> {
        let account = accounts::store::by_sign_in(self.pool(), email).await?;
        let stored = account.as_ref().map(|account| account.password.clone());
        Ok((self.hasher().check_in(place, password, stored).await?, account))
    }

    /// Looks at a password when one may be tried. The try is taken before, so that many at once get no more, and given
    /// back where it was right, or where nobody could look.
    async fn throttled<T>(
        &self,
        email: &str,
        known_device: bool,
        origin: &Origin,
        look: impl Future<Output = Result<(bool, T), Refused>>,
    ) -> Result<(bool, T), Refused> {
        let tried = self.throttle().login(email, origin.address, known_device, self.now());
        let tried = tried.map_err(|seconds| Refused::Throttled { seconds })?;
        let seen = look.await;
        if !matches!(seen, Ok((false, _))) {
            self.throttle().give_back(tried, self.now());
        }
        seen
    }

    /// The password was changed between the check and the login, or only its hash was made anew.
    async fn check_again(
        &self,
        checked: Account,
        password: &Secret,
        second_factor: bool,
        origin: &Origin,
    ) -> Result<Opened, Refused> {
        let stored = self.account(checked.id).await?.password;
        if !self.hasher().check(password, Some(stored.clone())).await? {
            return Err(Refused::WrongCredentials);
        }
        let account = Account { password: stored, ..checked };
        self.open_login(&account, second_factor, origin).await?.ok_or(Refused::Busy)
    }

    /// Keeps the password as passwords are hashed now, where it was hashed with other numbers. The login does not depend
    /// on it.
    async fn rehash(&self, account: &Account, password: &Secret) {
        if !self.hasher().is_outdated(&account.password) {
            return;
        }
        let done = async {
            let new = self.hasher().hash(password).await?;
            Ok::<_, Refused>(accounts::store::rehash(self.pool(), account.id, &account.password, &new).await?)
        };
        if let Err(error) = done.await {
            tracing::warn!(account = %account.id, %error, "a password keeps its old hash");
        }
    }

    /// Opens a login of the account as it was checked; none where it has another password by now.
    async fn open_login(
        &self,
        checked: &Account,
        second_factor: bool,
        origin: &Origin,
    ) -> Result<Option<Opened>, Refused> {
        let mut transaction = self.pool().connections().begin().await?;
        // Read again under a lock: what came meanwhile (a ban, a recovered password, a second factor) wins.
        let account = accounts::store::lock(&mut transaction, checked.id).await?.ok_or(Refused::WrongCredentials)?;
        if let Some(reason) = account.ban_reason {
            return Err(Refused::Banned { reason });
        }
        if account.password != checked.password {
            return Ok(None);
        }
        if account.has_second_factor() && account.totp_confirmed_at != checked.totp_confirmed_at {
            return Err(Refused::SecondFactorRequired);
        }
        let proved_at = self.now();
        let begun = self.begin(&mut transaction, account, proved_at, second_factor, "password", origin).await?;
        transaction.commit().await?;
        self.opened(begun).map(Some)
    }

    /// Begins a login of somebody who has shown who they are, `with` what.
    pub(crate) async fn begin_login(
        &self,
        connection: &mut PgConnection,
        id: AccountId,
        second_factor: bool,
        with: &'static str,
        origin: &Origin,
    ) -> Result<Begun, Refused> {
        // Read again under a lock: a ban that came meanwhile wins.
        let account = accounts::store::lock(connection, id).await?.ok_or(Refused::WrongCredentials)?;
        if let Some(reason) = account.ban_reason {
            return Err(Refused::Banned { reason });
        }
        self.begin(connection, account, self.now(), second_factor, with, origin).await
    }

    /// Begins a login of an account that is locked, whose owner showed at `proved_at` who they are, `with` what.
    pub(crate) async fn begin(
        &self,
        connection: &mut PgConnection,
        account: Account,
        proved_at: Timestamp,
        second_factor: bool,
        with: &'static str,
        origin: &Origin,
    ) -> Result<Begun, Refused> {
        let (now, login): (_, LoginId) = (self.now(), self.clock().id());
        let second_factor = second_factor && account.has_second_factor();
        let ends_at = now + self.settings().login_longest;
        let expires_at = (now + self.settings().login_idle).min(ends_at);
        let id = account.id;
        let new =
            store::NewLogin { id: login, account: id, now, expires_at, ends_at, proved_at, second_factor, origin };
        store::add(connection, &new).await?;
        let refresh = self.hand_out(connection, login, false, now).await?;
        let details = json!({"second_factor": second_factor, "with": with});
        self.audit(connection, origin, Entry::new("login.opened", id).on(login).with(details)).await?;
        Ok(Begun { account, login, proved_at, second_factor, refresh, refresh_expires_at: expires_at })
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

    async fn hand_out(
        &self,
        connection: &mut PgConnection,
        login: LoginId,
        contested: bool,
        now: Timestamp,
    ) -> Result<Secret, Refused> {
        let token = token::make(self.seal(), login);
        store::add_token(connection, &random::digest(token.expose()), login, contested, now).await?;
        Ok(token)
    }

    /// Says to everybody that logins ended. After the commit.
    pub(crate) fn ended(&self, logins: Vec<LoginId>) {
        let until = self.now() + self.longest_token();
        logins.into_iter().for_each(|login| self.0.revocations.add(login, until));
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
        let second_factor = account.has_second_factor() && (second_factor || proof.second_factor);
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
        let look = async { Ok((self.hasher().check(password, Some(account.password.clone())).await?, ())) };
        let (right, ()) = self.throttled(&account.key(), true, origin, look).await?;
        if right {
            return Ok(());
        }
        let entry = Entry::new("proof.failed", account.id).on(account.id);
        self.note_folded(origin, Same::about("proof.failed", Some(account.id)), entry).await?;
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
