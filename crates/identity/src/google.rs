//! Signing in with Google (OpenID Connect: authorization code, PKCE, nonce).
//!
//! A sign-in **begins** with a row that holds what it will be checked by, and a secret that the browser keeps in a
//! cookie. The browser **returns** with a state and a code; nothing happens yet but that the code is kept. Whoever began
//! it **ends** it: only then is the code traded for an ID token. So every refusal is the answer to a request of the page,
//! one that is only for now can be sent again, and a second factor is asked for as at any other sign-in.
//!
//! `claims`: what is believed. `provider`: Google over HTTP. `settings`: for whom and which pages. `link`: linking and
//! unlinking. An account is found by Google's subject alone; an email address never opens one.

pub(crate) mod claims;
pub(crate) mod link;
pub(crate) mod provider;
pub(crate) mod routes;
pub(crate) mod settings;
pub(crate) mod store;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthaste_domain::ids::{AccountId, LoginId};
use posthaste_domain::{Span, Timestamp};
use posthaste_http::auth::Role;
use posthaste_outside::Url;
use posthaste_protocol::accounts::{RegisterAs, Secret};
use posthaste_protocol::google::{BeginGoogle, ConfirmGoogle, EndedBy, GoogleView};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;

use crate::accounts::{self, Account, LONGEST_NAME, wrong_email};
use crate::audit::{Entry, Origin};
use crate::challenges::Registration;
use crate::google::claims::Vouched;
use crate::google::provider::{Begun, Failed, Provider, Returned};
use crate::logins::Opened;
use crate::refused::Refused;
use crate::{Identity, letters, random};

/// How long a sign-in may take, from the first click to its end.
pub(crate) const GOOD_FOR: Span = Span::minutes(10);
/// The longest code or state that is read, in bytes. Google says 256 for codes.
pub(crate) const LONGEST_CODE: usize = 2048;
const PURPOSE: &str = "google sign-in";
const NOT_OFFERED: &str = "sign-in: this server offers none with Google (google_client_id is not set)";
const OVER: &str = "it is over, was ended already, or began in another browser: begin again";
const NOT_BELIEVED: &str = "Google did not vouch for you: begin again";
const UNVERIFIED: &str = "Google has not verified your email address";

/// Somebody at Google who may come in to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// To be shown; nothing is found by it.
    pub(crate) email: String,
    pub(crate) linked_at: Timestamp,
}

impl Linked {
    pub(crate) fn view(&self) -> GoogleView {
        GoogleView { email: self.email.clone(), linked_at: self.linked_at }
    }
}

/// What a sign-in is checked by, and how far it is. Sealed in the database.
#[derive(Serialize, Deserialize)]
pub(crate) struct Details {
    nonce: String,
    verifier: String,
    return_to: String,
    ended_by: EndedBy,
    register_as: Option<RegisterAs>,
    stage: Stage,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// Google has not sent the browser back yet.
    Begun,
    /// It came back. The code stays here where a browser ends the sign-in; an app has it from the link.
    Returned { code: Option<String> },
    /// Google vouched for somebody.
    Vouched(Vouched),
}

/// A sign-in whose secret was shown.
pub(crate) struct Pending {
    pub(crate) row: store::SignIn,
    pub(crate) details: Details,
}

/// Where the browser goes next, and what it keeps.
pub(crate) struct Start {
    pub(crate) url: Url,
    pub(crate) state: Secret,
    pub(crate) secret: Secret,
    pub(crate) expires_at: Timestamp,
}

/// What Google sent the browser back with.
pub(crate) struct CameBack<'a> {
    pub(crate) state: &'a str,
    pub(crate) code: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) issuer: Option<&'a str>,
}

/// What is shown to end a sign-in.
pub(crate) struct Ending<'a> {
    pub(crate) state: &'a Secret,
    /// From the cookie, or an app's body.
    pub(crate) secret: Option<&'a Secret>,
    pub(crate) code: Option<&'a Secret>,
}

fn sealed(identity: &Identity, state_hash: &[u8], details: &Details) -> Result<Vec<u8>, Refused> {
    let text = serde_json::to_vec(details).map_err(|error| Refused::Internal(error.to_string()))?;
    Ok(identity.seal().seal(PURPOSE, state_hash, &text)?)
}

fn opened(identity: &Identity, row: &store::SignIn) -> Result<Details, Refused> {
    let text = identity.seal().open(PURPOSE, &row.state_hash, &row.details)?;
    serde_json::from_slice(&text).map_err(|error| Refused::Internal(format!("a sign-in's details: {error}")))
}

impl From<Failed> for Refused {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unavailable => Self::GoogleUnavailable,
            Failed::Refused => Self::SignInFailed(NOT_BELIEVED),
        }
    }
}

impl Identity {
    pub(crate) fn google(&self) -> Result<&Provider, Refused> {
        self.0.google.as_ref().ok_or(Refused::NotFound(NOT_OFFERED))
    }

    /// Begins to sign in, or to link where `link` says to which account and in which login.
    pub(crate) async fn begin_google(
        &self,
        asked: &BeginGoogle,
        link: Option<(AccountId, LoginId)>,
        origin: &Origin,
    ) -> Result<Start, Refused> {
        let (google, now) = (self.google()?, self.now());
        let page = google.settings.page(&asked.return_to);
        let return_to = page.map_err(|problem| Refused::field("return_to", problem))?;
        let wait = self.throttle().google(origin.address, now);
        wait.map_err(|seconds| Refused::Throttled { seconds })?;
        let [state, nonce, verifier, secret] = std::array::from_fn(|_| random::text(32));
        // The digest of a text of RFC 7636's letters, as S256 has it.
        let challenge = URL_SAFE_NO_PAD.encode(random::digest(&verifier));
        let begun = Begun { state: &state, nonce: &nonce, challenge: &challenge };
        let url = google.authorization_url(begun).await?;
        let (ended_by, register_as, return_to) = (asked.ended_by, asked.register_as, String::from(return_to));
        let details = Details { nonce, verifier, return_to, ended_by, register_as, stage: Stage::Begun };
        let state_hash = random::digest(&state);
        let (details, expires_at) = (sealed(self, &state_hash, &details)?, now + GOOD_FOR);
        let browser_hash = random::digest(&secret);
        store::add(self.pool(), &store::SignIn { state_hash, browser_hash, link, expires_at, details }, now).await?;
        Ok(Start { url, state: state.into(), secret: secret.into(), expires_at })
    }

    /// The browser is back from Google: says which page it goes to. Once for each sign-in.
    pub(crate) async fn returned_from_google(
        &self,
        came: &CameBack<'_>,
        cookie: Option<&Secret>,
    ) -> Result<Url, Refused> {
        let (google, now) = (self.google()?, self.now());
        let texts = [Some(came.state), came.code, came.error, came.issuer];
        let fits = texts.into_iter().flatten().all(|text| text.len() <= LONGEST_CODE);
        let row = if fits { store::get(self.pool(), &random::digest(came.state), now).await? } else { None };
        let row = row.ok_or(Refused::SignInFailed(OVER))?;
        let mut details = opened(self, &row)?;
        let in_browser = details.ended_by == EndedBy::Browser;
        if in_browser && !is_of(&row, cookie) {
            return Err(Refused::SignInFailed(OVER));
        }
        // Checked when it began; checked again, as the list of pages may have become shorter.
        let page = google.settings.page(&details.return_to);
        let mut page = page.map_err(|_| Refused::SignInFailed("its page is not allowed any more: begin again"))?;
        let speaks_for_another = came.issuer.is_some_and(|issuer| issuer != google.settings.issuer);
        let code = came.code.filter(|_| came.error.is_none() && !speaks_for_another);
        let outcome = match (code, came.error) {
            (Some(_), _) => "returned",
            (None, Some("access_denied")) => "denied",
            (None, _) => "failed",
        };
        page.query_pairs_mut().append_pair("google", outcome).append_pair("state", came.state);
        let Some(code) = code else {
            let mut connection = self.pool().connections().acquire().await.map_err(Refused::from)?;
            store::take(&mut connection, &row.state_hash).await?;
            return Ok(page);
        };
        details.stage = Stage::Returned { code: in_browser.then(|| code.to_owned()) };
        let kept = sealed(self, &row.state_hash, &details)?;
        if !store::returned(self.pool(), &row.state_hash, &kept, now).await? {
            return Err(Refused::SignInFailed(OVER));
        }
        if !in_browser {
            page.query_pairs_mut().append_pair("google_code", code);
        }
        Ok(page)
    }

    /// The sign-in that is to be ended, where its secret was shown.
    async fn pending(&self, ending: &Ending<'_>) -> Result<Pending, Refused> {
        let state = ending.state.expose();
        let fits = state.len() <= LONGEST_CODE;
        let row = if fits { store::get(self.pool(), &random::digest(state), self.now()).await? } else { None };
        let row = row.filter(|row| is_of(row, ending.secret)).ok_or(Refused::SignInFailed(OVER))?;
        let details = opened(self, &row)?;
        Ok(Pending { row, details })
    }

    /// Whom Google vouches for. Asked once; a second try, with a second factor, finds the answer.
    async fn vouched(&self, pending: &mut Pending, ending: &Ending<'_>, origin: &Origin) -> Result<Vouched, Refused> {
        let given = ending.code.map(Secret::expose).filter(|code| code.len() <= LONGEST_CODE);
        let code = match (&pending.details.stage, pending.details.ended_by, given) {
            (Stage::Vouched(vouched), _, _) => return Ok(vouched.clone()),
            (Stage::Returned { code: Some(code) }, EndedBy::Browser, _) => code.clone(),
            (Stage::Returned { .. }, EndedBy::App, Some(code)) => code.to_owned(),
            _ => return Err(Refused::SignInFailed("Google has not sent the browser back yet")),
        };
        let Details { verifier, nonce, .. } = &pending.details;
        let answered = self.google()?.exchange(Returned { code: &code, verifier, nonce }, self.now()).await;
        if matches!(answered, Err(Failed::Refused)) {
            let mut transaction = self.pool().connections().begin().await?;
            store::take(&mut transaction, &pending.row.state_hash).await?;
            let entry = Entry::new("login.failed", "nobody").with(json!({"with": "google"}));
            self.audit(&mut transaction, origin, entry).await?;
            transaction.commit().await?;
        }
        let vouched = answered?;
        pending.details.stage = Stage::Vouched(vouched.clone());
        let kept = sealed(self, &pending.row.state_hash, &pending.details)?;
        store::keep(self.pool(), &pending.row.state_hash, &kept).await?;
        Ok(vouched)
    }

    /// Ends a sign-in: somebody who is known signs in, somebody new is registered and signs in.
    pub(crate) async fn confirm_google(
        &self,
        asked: &ConfirmGoogle,
        ending: &Ending<'_>,
        origin: &Origin,
    ) -> Result<Opened, Refused> {
        let google = self.google()?;
        let mut pending = self.pending(ending).await?;
        if pending.row.link.is_some() {
            return Err(Refused::SignInFailed("it began to link an account: POST /v1/account/google/confirm"));
        }
        let vouched = self.vouched(&mut pending, ending, origin).await?;
        let issuer = &google.settings.issuer;
        let Some(id) = store::account_of(self.pool(), issuer, &vouched.subject).await? else {
            let new = self.newcomer(&pending, vouched).await?;
            return self.register_by_google(new, &pending.row.state_hash, origin).await;
        };
        let account = self.account(id).await?;
        if let Some(reason) = account.ban_reason {
            return Err(Refused::Banned { reason });
        }
        let second_factor = match (&asked.code, account.has_second_factor()) {
            (_, false) => false,
            (None, true) => return Err(Refused::SecondFactorRequired),
            (Some(code), true) => {
                self.show_second_factor(id, code, origin).await?;
                true
            }
        };
        let mut transaction = self.pool().connections().begin().await?;
        self.take(&mut transaction, &pending.row.state_hash).await?;
        let begun = self.begin_login(&mut transaction, id, second_factor, "google", origin).await?;
        // Read with the account under lock: an unlinking that came meanwhile wins.
        if begun.account.google.as_ref().is_none_or(|linked| linked.subject != vouched.subject) {
            return Err(Refused::SignInFailed(OVER));
        }
        transaction.commit().await?;
        self.opened(begun)
    }

    async fn take(&self, connection: &mut PgConnection, state_hash: &[u8]) -> Result<(), Refused> {
        let taken = store::take(connection, state_hash).await?;
        if taken { Ok(()) } else { Err(Refused::SignInFailed(OVER)) }
    }

    /// The account of somebody new, who has a verified address that no account has.
    async fn newcomer(&self, pending: &Pending, vouched: Vouched) -> Result<Account, Refused> {
        let email = vouched.email.filter(|email| wrong_email(email).is_none());
        let email = email.ok_or(Refused::SignInFailed(UNVERIFIED))?.trim().to_owned();
        if let Some(there) = accounts::store::by_key(self.pool(), &email).await? {
            // The same person in another window was faster: their account is there now.
            let is_his = there.google.is_some_and(|linked| linked.subject == vouched.subject);
            return Err(if is_his { Refused::SignInFailed(OVER) } else { Refused::LinkRequired });
        }
        let role = match pending.details.register_as {
            Some(RegisterAs::Customer) => Role::Customer,
            Some(RegisterAs::Merchant) => Role::Merchant,
            Some(RegisterAs::Driver) => Role::Driver,
            None => return Err(Refused::NotFound("account with this Google account: begin again with `register_as`")),
        };
        let password = self.hasher().hash(&Secret(random::text(32))).await?;
        let name = name_of(vouched.name.as_deref(), &email);
        let linked_at = self.now();
        let issuer = self.google()?.settings.issuer.clone();
        let google = Linked { issuer, subject: vouched.subject, email: email.clone(), linked_at };
        let registration = Registration { role, email, name, phone: None, by_phone: false, password };
        let account = self.new_account(self.clock().id(), registration);
        Ok(Account { has_password: false, google: Some(google), ..account })
    }

    async fn register_by_google(
        &self,
        account: Account,
        state_hash: &[u8],
        origin: &Origin,
    ) -> Result<Opened, Refused> {
        let (id, role) = (account.id, account.role());
        let mut transaction = self.pool().connections().begin().await?;
        self.take(&mut transaction, state_hash).await?;
        if !accounts::store::add(&mut transaction, &account).await? {
            // Somebody registered meanwhile: with the same address, or the same person in another window.
            transaction.rollback().await?;
            let Some(Linked { issuer, subject, .. }) = &account.google else { return Err(Refused::LinkRequired) };
            let is_his = store::account_of(self.pool(), issuer, subject).await?.is_some();
            return Err(if is_his { Refused::SignInFailed(OVER) } else { Refused::LinkRequired });
        }
        let entry = Entry::new("account.registered", id).on(id).with(json!({"role": role, "with": "google"}));
        self.audit(&mut transaction, origin, entry).await?;
        let what = "An account was made with this address, by signing in with Google.";
        self.notifications().put(&mut transaction, &letters::notice(&account, what, origin)).await?;
        let begun = self.begin_login(&mut transaction, id, false, "google", origin).await?;
        transaction.commit().await?;
        self.notifications().wake();
        self.opened(begun)
    }
}

/// Whether who asks holds the secret of the browser or app that began.
fn is_of(row: &store::SignIn, secret: Option<&Secret>) -> bool {
    secret.is_some_and(|secret| crate::same(&random::digest(secret.expose()), &row.browser_hash))
}

/// A name that an account can have: Google's, made to fit, or what stands before the @.
fn name_of(given: Option<&str>, email: &str) -> String {
    let fit = |text: &str| {
        let plain: String = text.chars().filter(|c| !c.is_control()).collect();
        plain.trim().chars().take(LONGEST_NAME).collect::<String>().trim().to_owned()
    };
    let name = given.map(fit).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| fit(email.split('@').next().unwrap_or(email)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_challenge_is_the_one_of_the_specification() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = URL_SAFE_NO_PAD.encode(random::digest(verifier));
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    proptest! {
        #[test]
        fn whatever_somebody_is_called_the_name_fits(given in proptest::option::of(".{0,300}")) {
            let name = name_of(given.as_deref(), "ada@example.org");
            prop_assert_eq!(accounts::wrong_name(&name), None);
        }
    }
}
