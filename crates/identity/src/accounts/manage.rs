//! What owners change about their accounts, and what admins do with them.

use std::future::Future;
use std::pin::Pin;

use posthaste_domain::driver::Vehicle;
use posthaste_domain::ids::{AccountId, ChallengeId, DriverId, ZoneId};
use posthaste_domain::order::Speed;
use posthaste_domain::party::Party;
use posthaste_http::auth::{Caller, LoginProof, Role};
use posthaste_notifications::Channel;
use posthaste_protocol::accounts::{AccountView, Activate, ChangeEmail, ChangePassword, CodeSent, Secret, SetPhone};
use posthaste_protocol::problem::Problem;
use serde_json::json;
use sqlx::PgConnection;

use super::{Account, store, wrong_email, wrong_phone};
use crate::audit::{Entry, Origin};
use crate::challenges::{self, Purpose};
use crate::logins::{self, Opened};
use crate::refused::Refused;
use crate::{Identity, letters, password};

/// The longest reason of a ban, in characters.
pub(crate) const LONGEST_REASON: usize = 500;

/// A driver as their account describes them.
#[derive(Debug, Clone)]
pub struct NewDriver {
    /// Who they are to be.
    pub id: DriverId,
    /// The name customers see.
    pub name: String,
    /// The vehicle.
    pub vehicle: Vehicle,
    /// Units of size that fit at once.
    pub capacity: u32,
    /// Zones served.
    pub zones: Vec<ZoneId>,
    /// Speeds served.
    pub speeds: Vec<Speed>,
}

/// An answer that takes a while.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who gives drivers work and takes it back: the live system, which identity does not know.
pub trait Dispatch: Send + Sync + 'static {
    /// Takes a driver on. Doing so again changes nothing.
    fn take_on(&self, driver: NewDriver, by: Party, request_id: String) -> Later<'_, Result<(), Problem>>;
    /// Whether there is such a driver.
    fn knows(&self, driver: DriverId) -> Later<'_, Result<bool, Problem>>;
    /// What somebody waits for of a party's: a driver's shift and orders in hand, a merchant's orders under way. None where
    /// there is nothing. In words for the party.
    fn open_work(&self, party: Party) -> Later<'_, Result<Option<String>, Problem>>;
    /// Somebody was shut out, or let in again, or is gone: open work is to go back, webhooks stop or go on.
    fn bans_changed(&self);
    /// Makes sure that there is a test world for keys to be made for, or says why there is none.
    fn test_world(&self) -> Later<'_, Result<(), Problem>>;
}

impl Identity {
    /// One account.
    pub(crate) async fn account(&self, id: AccountId) -> Result<Account, Refused> {
        store::get(self.pool().connections(), id).await?.ok_or(Refused::NotFound("account"))
    }

    /// One account, which nobody else changes until the transaction ends.
    pub(crate) async fn locked(connection: &mut PgConnection, id: AccountId) -> Result<Account, Refused> {
        store::lock(connection, id).await?.ok_or(Refused::NotFound("account"))
    }

    /// Changes the password, with proof of the old one. Every login ends, and a new one begins: whoever has tokens of
    /// this one, whoever that is, has nothing.
    pub(crate) async fn change_password(
        &self,
        proof: &LoginProof,
        asked: &ChangePassword,
        origin: &Origin,
    ) -> Result<Opened, Refused> {
        let account = self.account(proof.account).await?;
        if let Some(problem) = password::wrong(&asked.new_password, &account.email) {
            return Err(Refused::field("new_password", problem));
        }
        self.show_owner(proof, &account, Some(&asked.password), origin).await?;
        self.hasher().judge("new_password", &asked.new_password, account.called()).await?;
        let (now, hash) = (self.now(), self.hasher().hash(&asked.new_password).await?);
        let mut transaction = self.pool().connections().begin().await?;
        let found = store::lock(&mut transaction, account.id).await?;
        let found = found.filter(|found| found.password == account.password);
        let found = found.ok_or(Refused::Conflict("the password was changed meanwhile"))?;
        challenges::store::end(&mut transaction, account.id, &challenges::OPEN, now).await?;
        store::set_password(&mut transaction, account.id, &hash).await?;
        let ended = logins::store::revoke(&mut transaction, account.id, None, None, "password_changed", now).await?;
        if !ended.contains(&proof.login) {
            return Err(Refused::LoginEnded);
        }
        self.audit(&mut transaction, origin, Entry::new("password.changed", account.id).on(account.id)).await?;
        let what = "Your password was changed. All other sessions were ended.";
        self.notifications().put(&mut transaction, &letters::notice(&account, what, origin)).await?;
        let proved_at = if found.has_second_factor() { proof.proved_at } else { now };
        let begun = self.begin(&mut transaction, found, proved_at, proof.second_factor, "password", origin).await?;
        transaction.commit().await?;
        self.notifications().wake();
        self.ended(ended);
        self.opened(begun)
    }

    /// Begins to change the email address: a code goes to the new one.
    pub(crate) async fn change_email(
        &self,
        proof: &LoginProof,
        asked: &ChangeEmail,
        origin: &Origin,
    ) -> Result<CodeSent, Refused> {
        if let Some(problem) = wrong_email(&asked.email) {
            return Err(Refused::field("email", problem));
        }
        let account = self.account(proof.account).await?;
        self.show_owner(proof, &account, Some(&asked.password), origin).await?;
        let email = asked.email.trim().to_owned();
        self.may_send(Channel::Email, "change_email", &super::email_key(&email), origin)?;
        let is_known = store::by_key(self.pool(), &email).await?.is_some();
        let mut transaction = self.pool().connections().begin().await?;
        let purpose = Purpose::ChangeEmail { email: email.clone() };
        let (sent, code) = self.challenge(&mut transaction, Some(account.id), &purpose, origin).await?;
        let letter = if is_known {
            letters::already_registered(&email, origin)
        } else {
            letters::verify_email(&email, &code, self.settings().code)
        };
        self.notifications().put(&mut transaction, &letter).await?;
        transaction.commit().await?;
        self.notifications().wake();
        Ok(sent)
    }

    /// What every change of what an account is recovered by wants, as each of them is worth a new password: the password,
    /// however lately somebody signed in, and where the second factor is on, that too and lately. A stolen access token
    /// is not enough.
    pub(crate) async fn show_owner(
        &self,
        proof: &LoginProof,
        account: &Account,
        password: Option<&Secret>,
        origin: &Origin,
    ) -> Result<(), Refused> {
        if account.has_second_factor() {
            self.fresh(proof).await?;
        }
        let password = password.ok_or_else(|| Refused::field("password", "is required: it shows that it is you"))?;
        self.show_password(account, password, origin).await
    }

    /// The same of an account that may have no password: whoever has none has signed in with Google lately.
    pub(crate) async fn show_owner_or_fresh(
        &self,
        proof: &LoginProof,
        account: &Account,
        password: Option<&Secret>,
        origin: &Origin,
    ) -> Result<(), Refused> {
        if account.has_password {
            self.show_owner(proof, account, password, origin).await
        } else {
            self.fresh(proof).await
        }
    }

    /// Begins to set the telephone number: a code goes to it. With the same proof as a change of the email address, but
    /// for the number that came with the registration: whoever chose it had the password.
    pub(crate) async fn set_phone(
        &self,
        proof: &LoginProof,
        asked: &SetPhone,
        origin: &Origin,
    ) -> Result<CodeSent, Refused> {
        if let Some(problem) = wrong_phone(&asked.phone) {
            return Err(Refused::field("phone", problem));
        }
        let account = self.account(proof.account).await?;
        if account.registered_with(&asked.phone) && asked.password.is_none() {
            self.fresh(proof).await?;
        } else {
            self.show_owner(proof, &account, asked.password.as_ref(), origin).await?;
        }
        self.may_send(Channel::Text, "verify_phone", &asked.phone, origin)?;
        let mut transaction = self.pool().connections().begin().await?;
        let purpose = Purpose::VerifyPhone { phone: asked.phone.clone() };
        let (sent, code) = self.challenge(&mut transaction, Some(proof.account), &purpose, origin).await?;
        let letter = letters::code_by_text(&asked.phone, &code, self.settings().code);
        self.notifications().put(&mut transaction, &letter).await?;
        transaction.commit().await?;
        self.notifications().wake();
        Ok(sent)
    }

    /// Changes email address or telephone number once the code came back.
    pub(crate) async fn confirm(
        &self,
        proof: &LoginProof,
        purpose: &'static str,
        id: ChallengeId,
        code: &Secret,
        origin: &Origin,
    ) -> Result<AccountView, Refused> {
        let now = self.now();
        let passed = self.pass(id, purpose, code, origin).await?;
        if passed.account != Some(proof.account) {
            return Err(Refused::WrongCode { left: None });
        }
        let mut transaction = self.pool().connections().begin().await?;
        let account = Self::locked(&mut transaction, proof.account).await?;
        if !challenges::store::done(&mut transaction, passed.id, now).await? {
            return Err(Refused::Conflict("the code was used already"));
        }
        let ended;
        match passed.purpose {
            Purpose::ChangeEmail { email } => {
                if !store::set_email(&mut transaction, account.id, &email).await? {
                    return Err(Refused::Conflict("another account has this email address"));
                }
                challenges::store::end(&mut transaction, account.id, &challenges::OPEN_FOR_EMAIL, now).await?;
                let but = Some(proof.login);
                ended = logins::store::revoke(&mut transaction, account.id, None, but, "email_changed", now).await?;
                // As it was read before: to the old address.
                let what = "The email address of your account was changed: this one is not its address any more.";
                self.notifications().put(&mut transaction, &letters::notice(&account, what, origin)).await?;
                self.audit(&mut transaction, origin, Entry::new("email.changed", account.id).on(account.id)).await?;
            }
            Purpose::VerifyPhone { phone } => {
                challenges::store::end(&mut transaction, account.id, &challenges::OPEN_FOR_PHONE, now).await?;
                if !store::set_phone(&mut transaction, account.id, &phone, now).await? {
                    return Err(Refused::Conflict("another account is registered with this number"));
                }
                let but = Some(proof.login);
                ended = logins::store::revoke(&mut transaction, account.id, None, but, "phone_changed", now).await?;
                let what = "The telephone number of your account was changed. In a day the password can be replaced with \
                            a code that is sent to the new one.";
                self.notifications().put(&mut transaction, &letters::notice(&account, what, origin)).await?;
                self.audit(&mut transaction, origin, Entry::new("phone.verified", account.id).on(account.id)).await?;
            }
            Purpose::Register(_) | Purpose::Recover => {
                return Err(Refused::Internal("a challenge has another purpose".to_owned()));
            }
        }
        transaction.commit().await?;
        self.notifications().wake();
        self.ended(ended);
        Ok(self.account(proof.account).await?.view())
    }

    /// Lets a merchant or driver work. A driver is taken on by the dispatcher as their profile says, unless they are to
    /// be one who is there already.
    pub(crate) async fn activate(
        &self,
        caller: &Caller,
        id: AccountId,
        asked: &Activate,
        origin: &Origin,
    ) -> Result<AccountView, Refused> {
        let account = self.account(id).await?;
        if account.banned_at.is_some() {
            return Err(Refused::Conflict("the account is shut out"));
        }
        let party = asked.party.unwrap_or(account.party);
        if Role::of(party) != Some(account.role()) {
            return Err(Refused::field("party", "is of another role than the account"));
        }
        if account.activated_at.is_some() {
            let same = party == account.party;
            return if same { Ok(account.view()) } else { Err(Refused::Conflict("it is activated as somebody else")) };
        }
        if let Party::Driver(driver) = party {
            self.employ(caller, &account, driver, asked.party.is_some(), origin).await?;
        }
        let mut transaction = self.pool().connections().begin().await?;
        let activated = store::activate(&mut transaction, id, party, self.now()).await?;
        if let Some(why) = activated.refusal() {
            drop(transaction);
            let found = self.account(id).await?;
            let same = found.activated_at.is_some() && found.banned_at.is_none() && found.party == party;
            return if same { Ok(found.view()) } else { Err(Refused::Conflict(why)) };
        }
        let entry = Entry::new("account.activated", caller.actor()).on(id).with(json!({"party": party}));
        self.audit(&mut transaction, origin, entry).await?;
        self.notifications().put(&mut transaction, &letters::activated(&account)).await?;
        transaction.commit().await?;
        self.notifications().wake();
        Ok(self.account(id).await?.view())
    }

    async fn employ(
        &self,
        caller: &Caller,
        account: &Account,
        driver: DriverId,
        is_there: bool,
        origin: &Origin,
    ) -> Result<(), Refused> {
        let elsewhere = |problem: Problem| Refused::Elsewhere(Box::new(problem));
        let dispatch = self.0.dispatch.get();
        let dispatch = dispatch.ok_or_else(|| Refused::Internal("nobody takes drivers on".to_owned()))?;
        if is_there {
            let known = dispatch.knows(driver).await.map_err(elsewhere)?;
            return if known { Ok(()) } else { Err(Refused::field("party", "no such driver")) };
        }
        let profile = super::profile::driver(&account.profile).ok_or(Refused::Conflict(
            "the driver has not said yet what they drive and where: see PUT /v1/account/profile/driver",
        ))?;
        let new = NewDriver {
            id: driver,
            name: account.name.clone(),
            vehicle: profile.vehicle,
            capacity: profile.capacity,
            zones: profile.zones,
            speeds: profile.speeds,
        };
        dispatch.take_on(new, caller.party, origin.request_id.clone()).await.map_err(elsewhere)
    }

    /// Shuts an account out: logins, keys and sockets end at once, and a driver's open work goes back.
    pub(crate) async fn ban(
        &self,
        caller: &Caller,
        id: AccountId,
        reason: &str,
        origin: &Origin,
    ) -> Result<AccountView, Refused> {
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
            return Err(Refused::field("reason", format!("must have 1 to {LONGEST_REASON} characters")));
        }
        if caller.login().is_some_and(|proof| proof.account == id) {
            return Err(Refused::Conflict("nobody shuts themselves out"));
        }
        let now = self.now();
        let mut transaction = self.pool().connections().begin().await?;
        let account = Self::locked(&mut transaction, id).await?;
        store::set_ban(&mut transaction, id, Some((reason, account.banned_at.unwrap_or(now)))).await?;
        let ended = logins::store::revoke(&mut transaction, id, None, None, "banned", now).await?;
        let entry = Entry::new("account.banned", caller.actor()).on(id).with(json!({"reason": reason}));
        self.audit(&mut transaction, origin, entry).await?;
        if account.banned_at.is_none() {
            self.notifications().put(&mut transaction, &letters::banned(&account, reason)).await?;
        }
        transaction.commit().await?;
        self.notifications().wake();
        self.ended(ended);
        self.0.api_keys.forget_all();
        if let Some(dispatch) = self.0.dispatch.get() {
            dispatch.bans_changed();
        }
        Ok(self.account(id).await?.view())
    }

    /// Lets an account in again. It signs in anew.
    pub(crate) async fn unban(&self, caller: &Caller, id: AccountId, origin: &Origin) -> Result<AccountView, Refused> {
        let mut transaction = self.pool().connections().begin().await?;
        let account = Self::locked(&mut transaction, id).await?;
        if account.banned_at.is_some() {
            store::set_ban(&mut transaction, id, None).await?;
            self.audit(&mut transaction, origin, Entry::new("account.unbanned", caller.actor()).on(id)).await?;
        }
        transaction.commit().await?;
        if let Some(dispatch) = self.0.dispatch.get() {
            dispatch.bans_changed();
        }
        Ok(self.account(id).await?.view())
    }
}
