//! Registering, and having a forgotten password replaced. What is answered, and how fast, is the same whether somebody
//! has the email address or not.

use std::time::Duration;

use posthaste_domain::ids::AccountId;
use posthaste_http::auth::Role;
use posthaste_notifications::{Channel, Message};
use posthaste_protocol::accounts::{
    AccountView, CodeSent, ForgotPassword, Register, RegisterAs, ResetPassword, Secret, SendBy, Verify, VerifyBy,
};
use posthaste_protocol::problem::FieldError;
use serde_json::json;
use tokio::time::Instant;

use super::{Account, email_key, party, store, wrong_email, wrong_name, wrong_phone};
use crate::audit::{Entry, Origin};
use crate::challenges::{self, Purpose, Registration};
use crate::refused::Refused;
use crate::{Identity, SecondFactorGiven, letters, password};

/// What is answered about an email address comes this long after it was asked, so that nothing can be learned from how
/// long a mail more or less takes to be written.
const EVEN: Duration = Duration::from_millis(150);
const NO_EMAIL: &str = "this server sends no email yet: set smtp_url and mail_from";
const NO_TEXTS: &str = "this server sends no texts";

fn faults(asked: &Register) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut note = |field: &str, problem: Option<String>| {
        errors.extend(problem.map(|problem| FieldError { field: field.to_owned(), problem }));
    };
    note("email", wrong_email(&asked.email).map(str::to_owned));
    note("password", password::wrong(&asked.password, &asked.email));
    note("name", wrong_name(&asked.name));
    let phone = match (&asked.phone, asked.verify_by) {
        (Some(phone), _) => wrong_phone(phone).map(str::to_owned),
        (None, VerifyBy::Phone) => Some("is required to be verified by a text".to_owned()),
        (None, VerifyBy::Email) => None,
    };
    note("phone", phone);
    errors
}

impl Identity {
    /// Begins to register: a code goes to the email address, or to the telephone number.
    pub(crate) async fn register(&self, asked: &Register, origin: &Origin) -> Result<CodeSent, Refused> {
        let errors = faults(asked);
        if !errors.is_empty() {
            return Err(Refused::Invalid(errors));
        }
        let about = vec![asked.email.trim().to_owned(), asked.name.clone()];
        self.judge(&asked.password, about, origin).await?;
        let number = asked.phone.as_deref().filter(|_| asked.verify_by == VerifyBy::Phone);
        let key = number.map_or_else(|| email_key(&asked.email), str::to_owned);
        let channel = if number.is_some() { Channel::Text } else { Channel::Email };
        self.may_send(channel, "register", &key, origin)?;
        let even = Instant::now() + EVEN;
        let password = self.hasher().hash(&asked.password).await?;
        let even = even.max(Instant::now() + EVEN / 3);
        let role = match asked.role {
            RegisterAs::Customer => Role::Customer,
            RegisterAs::Merchant => Role::Merchant,
            RegisterAs::Driver => Role::Driver,
        };
        let email = asked.email.trim().to_owned();
        let (name, phone) = (asked.name.trim().to_owned(), asked.phone.clone());
        let is_known = store::by_key(self.pool(), &key).await?.is_some();
        let by_phone = number.is_some();
        let registration = Registration { role, email: email.clone(), name, phone, by_phone, password };
        let purpose = Purpose::Register(Box::new(registration));
        let mut transaction = self.pool().connections().begin().await?;
        let (sent, code) = self.challenge(&mut transaction, None, &purpose, origin).await?;
        let letter = match (number, is_known) {
            (None, false) => letters::verify_email(&email, &code, self.settings().code),
            (None, true) => letters::already_registered(&email, origin),
            (Some(number), false) => letters::code_by_text(number, &code, self.settings().code),
            (Some(number), true) => letters::already_registered_by_text(number),
        };
        self.notifications().put(&mut transaction, &letter).await?;
        transaction.commit().await?;
        self.notifications().wake();
        tokio::time::sleep_until(even).await;
        Ok(sent)
    }

    /// Makes the account once the code came back.
    pub(crate) async fn verify(&self, asked: &Verify, origin: &Origin) -> Result<AccountView, Refused> {
        let now = self.now();
        let passed = self.pass(asked.challenge_id, "register", &asked.code, origin).await?;
        let Purpose::Register(registration) = passed.purpose else {
            return Err(Refused::Internal("a challenge has another purpose".to_owned()));
        };
        let id: AccountId = self.clock().id();
        let account = self.new_account(id, *registration);
        let mut transaction = self.pool().connections().begin().await?;
        if !challenges::store::done(&mut transaction, passed.id, now).await?
            || !store::add(&mut transaction, &account).await?
        {
            return Err(Refused::Conflict("there is an account with this email address or number already: sign in"));
        }
        let by = if account.email_claim.is_some() { "phone" } else { "email" };
        let entry =
            Entry::new("account.registered", id).on(id).with(json!({"role": account.role(), "verified_by": by}));
        self.audit(&mut transaction, origin, entry).await?;
        transaction.commit().await?;
        Ok(account.view())
    }

    pub(crate) fn new_account(&self, id: AccountId, registration: Registration) -> Account {
        let Registration { role, email, name, phone, by_phone, password } = registration;
        let now = self.now();
        let subject = posthaste_domain::ids::Id::uuid(self.clock().id::<AccountId>());
        Account {
            id,
            party: party(role, subject),
            created_at: now,
            email_claim: by_phone.then(|| email_key(&email)),
            email,
            name,
            phone,
            phone_verified_at: by_phone.then_some(now),
            password,
            activated_at: matches!(role, Role::Customer | Role::Admin).then_some(now),
            banned_at: None,
            ban_reason: None,
            profile: json!({}),
            totp_secret: None,
            totp_confirmed_at: None,
            totp_step: 0,
            has_password: true,
            google: None,
        }
    }

    /// Makes an admin, without a code: whoever can run the program on the database may.
    ///
    /// # Errors
    ///
    /// [`Refused`] where the address is wrong or taken, or the password no secret.
    pub async fn create_admin(&self, email: &str, name: &str, password: &Secret) -> Result<AccountView, Refused> {
        Ok(self.make_admin(email, name, password, false).await?.0)
    }

    /// The same, with a second factor that is on.
    ///
    /// # Errors
    ///
    /// Those of [`create_admin`](Self::create_admin).
    pub async fn create_admin_with_second_factor(
        &self,
        email: &str,
        name: &str,
        password: &Secret,
    ) -> Result<(AccountView, Option<SecondFactorGiven>), Refused> {
        self.make_admin(email, name, password, true).await
    }

    async fn make_admin(
        &self,
        email: &str,
        name: &str,
        password: &Secret,
        with_second_factor: bool,
    ) -> Result<(AccountView, Option<SecondFactorGiven>), Refused> {
        let asked = Register {
            role: RegisterAs::Customer,
            email: email.to_owned(),
            password: password.clone(),
            name: name.to_owned(),
            phone: None,
            verify_by: VerifyBy::Email,
        };
        let errors = faults(&asked);
        if !errors.is_empty() {
            return Err(Refused::Invalid(errors));
        }
        let about = vec![email.trim().to_owned(), name.to_owned()];
        self.hasher().judge("password", password, about).await?;
        let hash = self.hasher().hash(password).await?;
        let id: AccountId = self.clock().id();
        let (email, name) = (email.trim().to_owned(), name.trim().to_owned());
        let registration =
            Registration { role: Role::Admin, email, name, phone: None, by_phone: false, password: hash };
        let account = self.new_account(id, registration);
        let mut transaction = self.pool().connections().begin().await?;
        if !store::add(&mut transaction, &account).await? {
            return Err(Refused::Conflict("there is an account with this email address already"));
        }
        let mut given = None;
        if with_second_factor {
            given = Some(self.give_second_factor(&mut transaction, &account).await?);
        }
        let entry = Entry::new("admin.created", "system").on(id).with(json!({"second_factor": with_second_factor}));
        self.audit(&mut transaction, &Origin::local(), entry).await?;
        transaction.commit().await?;
        Ok((self.account(id).await?.view(), given))
    }

    /// Sends a code with which a forgotten password is replaced, if there is such an account.
    pub(crate) async fn forgot(&self, asked: &ForgotPassword, origin: &Origin) -> Result<CodeSent, Refused> {
        let is_number = wrong_phone(asked.email.trim()).is_none();
        if let Some(problem) = wrong_email(&asked.email).filter(|_| !is_number) {
            return Err(Refused::field("email", problem));
        }
        let by_text = is_number || asked.send_by == SendBy::Text;
        let (channel, purpose) = if by_text { (Channel::Text, "recover by text") } else { (Channel::Email, "recover") };
        self.may_be_asked(channel, purpose, &email_key(&asked.email), origin)?;
        let even = Instant::now() + EVEN;
        let account = store::by_sign_in(self.pool(), &asked.email).await?;
        let mut transaction = self.pool().connections().begin().await?;
        let id = account.as_ref().map(|account| account.id);
        let (sent, code) = self.challenge(&mut transaction, id, &Purpose::Recover, origin).await?;
        let good_for = self.settings().code;
        let letter: Option<Message> = account.and_then(|account| {
            if !by_text {
                // An address that is only claimed may be somebody else's.
                let own = account.email_claim.is_none();
                return own.then(|| letters::recover(&account.email, &code, good_for));
            }
            let phone = account.recovery_phone(self.now())?;
            // Whoever knows several addresses of a number may not send it more texts for that; nobody is told.
            self.throttle().text(phone, self.now()).ok()?;
            Some(letters::code_by_text(phone, &code, good_for))
        });
        if let Some(letter) = letter {
            self.notifications().put(&mut transaction, &letter).await?;
        }
        transaction.commit().await?;
        self.notifications().wake();
        tokio::time::sleep_until(even).await;
        Ok(sent)
    }

    /// Replaces a forgotten password once the code came back. Every login ends: whoever else was signed in is out, and a
    /// Google account that they may have linked with it. Whoever has a password for the first time keeps theirs.
    pub(crate) async fn reset_password(&self, asked: &ResetPassword, origin: &Origin) -> Result<(), Refused> {
        // Before a try is used up.
        if let Some(problem) = password::wrong(&asked.password, "") {
            return Err(Refused::field("password", problem));
        }
        self.judge(&asked.password, Vec::new(), origin).await?;
        let now = self.now();
        let passed = self.pass(asked.challenge_id, "recover", &asked.code, origin).await?;
        let id = passed.account.ok_or(Refused::WrongCode { left: None })?;
        let called = self.account(id).await?.called();
        self.hasher().judge("password", &asked.password, called).await?;
        let hash = self.hasher().hash(&asked.password).await?;
        let mut transaction = self.pool().connections().begin().await?;
        let account = Self::locked(&mut transaction, id).await?;
        if !challenges::store::done(&mut transaction, passed.id, now).await? {
            return Err(Refused::Conflict("the code was used already"));
        }
        challenges::store::end(&mut transaction, id, &challenges::OPEN, now).await?;
        store::set_password(&mut transaction, id, &hash).await?;
        let ended = crate::logins::store::revoke(&mut transaction, id, None, None, "password_recovered", now).await?;
        self.audit(&mut transaction, origin, Entry::new("password.recovered", id).on(id)).await?;
        let mut what =
            "Your password was replaced with a code that was sent to you. All sessions were ended.".to_owned();
        if account.has_password && account.google.is_some() {
            crate::google::store::unlink(&mut transaction, id).await?;
            self.audit(&mut transaction, origin, Entry::new("google.unlinked", id).on(id)).await?;
            what.push_str(" Your account can no longer be signed in to with Google, until you link it again.");
        }
        self.notifications().put(&mut transaction, &letters::notice(&account, &what, origin)).await?;
        transaction.commit().await?;
        self.notifications().wake();
        self.ended(ended);
        self.throttle().proved(&account.key(), origin.address);
        self.throttle().proved(&email_key(&account.email), origin.address);
        Ok(())
    }

    /// Refuses a password of somebody who has shown nothing yet where it is one that is guessed first: not too many, as
    /// each takes a while.
    async fn judge(&self, password: &Secret, about: Vec<String>, origin: &Origin) -> Result<(), Refused> {
        let wait = self.throttle().judge(origin.address, self.now());
        wait.map_err(|seconds| Refused::Throttled { seconds })?;
        self.hasher().judge("password", password, about).await
    }

    /// A code may be sent to `receiver`: there is somebody who carries it, and not too many were.
    pub(crate) fn may_send(
        &self,
        channel: Channel,
        purpose: &'static str,
        receiver: &str,
        origin: &Origin,
    ) -> Result<(), Refused> {
        self.may_be_asked(channel, purpose, receiver, origin)?;
        if channel == Channel::Email {
            return Ok(());
        }
        self.throttle().text(receiver, self.now()).map_err(|seconds| Refused::Throttled { seconds })
    }

    /// A code may be asked for, by a name that is not where it goes.
    fn may_be_asked(
        &self,
        channel: Channel,
        purpose: &'static str,
        name: &str,
        origin: &Origin,
    ) -> Result<(), Refused> {
        if !self.notifications().carries(channel) {
            return Err(Refused::NotOffered(if channel == Channel::Email { NO_EMAIL } else { NO_TEXTS }));
        }
        let wait = self.throttle().code(purpose, name, origin.address, self.now());
        wait.map_err(|seconds| Refused::Throttled { seconds })
    }
}
