//! Who may come in: accounts, logins, second factors and keys.
//!
//! - [`accounts`]: registering, changing, activating, banning, exporting, deleting. `challenges`: codes that are sent out and come back.
//! - `logins`: signing in, refresh tokens that are good for once, ending. `revocations`: logins that ended before their
//!   access tokens, for every request and socket to ask.
//! - `access_token` and [`signing_keys`]: what shows a login, and what signs it. `password`: argon2id, few at once.
//!   `throttle`: how often something may be tried.
//! - `second_factor`: authenticators and recovery codes. `api_keys`: what merchants' programs call with.
//! - `google`: signing in with Google, and linking. `cookies`: secrets that browsers keep.
//! - `audit`: who did what, written with what it tells of.
//! - `refused`: everything that is refused, and its problem. `letters`: what people are written.
//!
//! Times are the machine's own (`Clock::wall`): tokens, phones and authenticators do not follow the product's clock.
//! Who may use which route is not said here but in the one table of access, in the gate.

mod access_token;
pub mod accounts;
mod api_keys;
mod audit;
mod challenges;
mod cookies;
mod google;
mod letters;
mod limits;
mod logins;
mod password;
mod random;
mod refused;
mod revocations;
mod routes;
mod second_factor;
mod settings;
pub mod signing_keys;
mod throttle;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_clock::duty::{Duty, Runs};
use posthaste_domain::party::Party;
use posthaste_domain::{Span, Timestamp};
use posthaste_http::auth::{Caller, Credential, Keys, LEEWAY_SECONDS};
use posthaste_http::problem::{Answer, Failure};
use posthaste_notifications::Notifications;
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use posthaste_storage::sealed::Seal;
use sqlx::PgConnection;
use tokio::task::JoinHandle;

pub use access_token::LONGEST as LONGEST_ACCESS_TOKEN;
pub use accounts::manage::{Dispatch, Later, NewDriver};
pub use accounts::standing::Standing;
pub use accounts::store::Deleted;
pub use audit::folding::Same;
pub use audit::{Entry, Origin};
pub use google::settings::{GOOGLE, GoogleSettings, WrongSetting};
pub use limits::LIMITS;
pub use random::password as random_password;
pub use refused::Refused;
pub use revocations::{Revocations, Watch};
pub use routes::routes;
pub use second_factor::SecondFactorGiven;
pub use settings::{Hashing, Settings};

use crate::api_keys::Cache;
use crate::audit::folding::Folding;
use crate::google::provider::Provider;
use crate::password::Hasher;
use crate::signing_keys::SigningKeys;
use crate::throttle::Throttle;

/// How often signing keys are read anew: shorter than a new one is published before it signs.
const KEYS_EVERY: Duration = Duration::from_secs(15);
/// How often what was repeated is looked at, to be written into the audit log.
const REPEATS_EVERY: Duration = Duration::from_secs(15);
/// How often what has ended is removed.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// Everything about who may come in. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    pool: Pool,
    clock: Clock,
    seal: Seal,
    /// Checks tokens of development.
    keys: Keys,
    notifications: Notifications,
    settings: Settings,
    signing: SigningKeys,
    revocations: Revocations,
    hasher: Hasher,
    throttle: Throttle,
    folding: Folding,
    api_keys: Cache,
    google: Option<Provider>,
    dispatch: OnceLock<Arc<dyn Dispatch>>,
}

/// What identity is made from.
pub struct Parts {
    /// The database.
    pub pool: Pool,
    /// The clock.
    pub clock: Clock,
    /// What is kept so that the database cannot read it.
    pub seal: Seal,
    /// The keys of development's tokens.
    pub keys: Keys,
    /// Who sends codes.
    pub notifications: Notifications,
    /// The numbers.
    pub settings: Settings,
}

/// What identity does beside requests. Ends when it is dropped.
#[derive(Debug)]
pub struct Upkeep(Vec<JoinHandle<()>>);

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Identity {
    /// Loads the signing keys (or makes the first) and the logins that were just ended.
    ///
    /// # Errors
    ///
    /// [`Refused`] where the database cannot be read, or was sealed with another secret.
    pub async fn open(parts: Parts) -> Result<Self, Refused> {
        let Parts { pool, clock, seal, keys, notifications, settings } = parts;
        let hashing = settings.hashing;
        let google = settings.google.clone().map(|google| Provider::new(google, clock.clone())).transpose();
        let google = google.map_err(|error| Refused::Internal(format!("an HTTP client: {error}")))?;
        // The hash that unknown accounts are checked against is made here.
        let hasher = tokio::task::spawn_blocking(move || Hasher::new(hashing)).await;
        let hasher = hasher.map_err(|error| Refused::Internal(error.to_string()))??;
        let identity = Self(Arc::new(Inner {
            pool,
            clock,
            seal,
            keys,
            notifications,
            settings,
            signing: SigningKeys::default(),
            revocations: Revocations::default(),
            hasher,
            throttle: Throttle::default(),
            folding: Folding::default(),
            api_keys: Cache::default(),
            google,
            dispatch: OnceLock::new(),
        }));
        identity.refresh_keys().await?;
        identity.look_for_revocations(identity.now() - identity.longest_token()).await?;
        Ok(identity)
    }

    /// Says who takes drivers on and takes their work back. Once.
    pub fn connect(&self, dispatch: Arc<dyn Dispatch>) {
        let _ = self.0.dispatch.set(dispatch);
    }

    /// Begins what is done beside requests: new signing keys, revocations of other processes, removal of what ended.
    #[must_use]
    pub fn start(&self) -> Upkeep {
        let every = |work: Work| {
            let (identity, last) = (self.clone(), Arc::new(parking_lot::Mutex::new(self.now())));
            self.clock().duties().every(work.duty(), move || {
                let (identity, last) = (identity.clone(), Arc::clone(&last));
                async move {
                    let (since, now) = (*last.lock(), identity.now());
                    identity.work(work, since, now).await?;
                    *last.lock() = now;
                    Ok::<_, Refused>(())
                }
            })
        };
        Upkeep([Work::Keys, Work::Revocations, Work::Repeats, Work::Tidy].map(every).into())
    }

    async fn work(&self, work: Work, last: Timestamp, now: Timestamp) -> Result<(), Refused> {
        match work {
            Work::Keys => self.refresh_keys().await,
            Work::Revocations => self.look_for_revocations(last - revocations::LOOK_BACK).await,
            Work::Repeats => self.write_repeats(now).await,
            Work::Tidy => {
                self.0.revocations.tidy(now);
                self.throttle().tidy(now);
                challenges::store::forget(self.pool(), now - Span::days(1)).await?;
                logins::store::forget(self.pool(), now).await?;
                google::store::forget(self.pool(), now).await?;
                self.forget_audit().await?;
                Ok(())
            }
        }
    }

    /// Reads the signing keys anew; makes the next one when it is due.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    pub async fn refresh_keys(&self) -> Result<(), Refused> {
        self.0.signing.refresh(self.pool(), self.seal(), self.settings(), self.now()).await
    }

    /// Makes the next signing key now.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    pub async fn rotate_keys(&self, origin: &Origin) -> Result<(), Refused> {
        let rows = signing_keys::store::all(self.pool()).await?;
        let newest = rows.iter().map(|row| row.signs_from).max();
        signing_keys::rotate(self.pool(), self.seal(), self.settings(), self.now(), newest).await?;
        let mut connection = self.pool().connections().acquire().await?;
        self.audit(&mut connection, origin, Entry::new("signing_key.rotated", "system")).await?;
        self.refresh_keys().await
    }

    async fn look_for_revocations(&self, since: Timestamp) -> Result<(), Refused> {
        let now = self.now();
        for login in logins::store::revoked_since(self.pool(), since).await? {
            if !self.0.revocations.has(login) {
                self.0.revocations.add(login, now + self.longest_token());
            }
        }
        for key in api_keys::store::ended_since(self.pool(), since).await? {
            self.0.revocations.end_key(key);
        }
        Ok(())
    }

    /// How long after a login's end one of its access tokens may still be good by itself.
    fn longest_token(&self) -> Span {
        self.settings().access_token + Span::seconds(2 * LEEWAY_SECONDS)
    }

    /// Who calls with this token, or why it is not accepted.
    ///
    /// # Errors
    ///
    /// The problem that the caller is answered.
    pub async fn admit(&self, token: &str) -> Answer<Caller> {
        if token.starts_with("ph_") {
            return self.admit_key(token).await.map_err(Failure::from);
        }
        self.admit_login(token)
    }

    /// Whether the token is a key that was never seen to be good, and has to be looked up.
    #[must_use]
    pub fn is_unseen_key(&self, token: &str) -> bool {
        token.starts_with("ph_") && !self.0.api_keys.has_seen(&random::digest(token))
    }

    /// The same for tokens that end by themselves: access tokens, and in development those of `posthaste token`.
    ///
    /// # Errors
    ///
    /// The problem that the caller is answered.
    pub fn admit_login(&self, token: &str) -> Answer<Caller> {
        let now = self.now();
        if self.settings().development && access_token::is_foreign(token) {
            return self.0.keys.verify(token, now);
        }
        let caller = access_token::verify(&self.0.signing, token, now)?;
        match caller.credential {
            Credential::Login(proof) if self.0.revocations.has(proof.login) => Err(Refused::LoginEnded.into()),
            _ => Ok(caller),
        }
    }

    /// What the caller came with shows lately enough who they are, for what is sensitive. A key is shown with every
    /// request; tokens of development are as good as the machine that they come from.
    ///
    /// # Errors
    ///
    /// The problem that the caller is answered.
    pub async fn show_fresh(&self, caller: &Caller) -> Answer<()> {
        match caller.credential {
            Credential::Login(proof) => Ok(self.fresh(&proof).await?),
            Credential::Development | Credential::Key { .. } => Ok(()),
        }
    }

    /// The end of what the caller came with, for a socket to wait for.
    #[must_use]
    pub fn watch(&self, caller: &Caller) -> Watch {
        match caller.credential {
            Credential::Development => Watch::never(),
            Credential::Login(proof) => self.0.revocations.watch(proof.login),
            Credential::Key { key, .. } => self.0.revocations.watch_key(key),
        }
    }

    /// The parties that are shut out.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn banned(&self) -> Result<Vec<Party>, Refused> {
        Ok(accounts::store::banned(self.pool()).await?)
    }

    /// Puts an email (a text, where that is how somebody registered) to a party into the outbox, in somebody else's transaction; [`wake`](Self::wake) after its commit.
    /// False where the party has no account, or is shut out, or this server sends nothing of the kind.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn write_to(
        &self,
        connection: &mut PgConnection,
        party: Party,
        subject: &str,
        text: &str,
    ) -> Result<bool, StorageError> {
        let account = accounts::store::of_party(connection, party).await?;
        let Some(account) = account.filter(|account| account.banned_at.is_none()) else { return Ok(false) };
        let message = account.message(subject, text.to_owned());
        if !self.notifications().carries(message.channel) {
            return Ok(false);
        }
        self.notifications().put(connection, &message).await?;
        Ok(true)
    }

    /// Something was put into the outbox: it is sent now.
    pub fn wake(&self) {
        self.notifications().wake();
    }

    /// Writes an entry of the audit log for what is done elsewhere.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn note(&self, origin: &Origin, entry: Entry) -> Result<(), Refused> {
        let mut connection = self.pool().connections().acquire().await?;
        self.audit(&mut connection, origin, entry).await
    }

    pub(crate) async fn audit(
        &self,
        connection: &mut PgConnection,
        origin: &Origin,
        entry: Entry,
    ) -> Result<(), Refused> {
        Ok(audit::store::add(connection, self.clock().id(), self.now(), origin, &entry).await?)
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.wall()
    }

    pub(crate) fn seal(&self) -> &Seal {
        &self.0.seal
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn notifications(&self) -> &Notifications {
        &self.0.notifications
    }

    /// How many times a password was hashed, for those who watch the load: each takes tens of milliseconds of a core.
    #[must_use]
    pub fn passwords_hashed(&self) -> u64 {
        self.0.hasher.hashed()
    }

    pub(crate) fn hasher(&self) -> &Hasher {
        &self.0.hasher
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }
}

#[derive(Debug, Clone, Copy)]
enum Work {
    Keys,
    Revocations,
    Repeats,
    Tidy,
}

impl Work {
    fn duty(self) -> Duty {
        let (name, period, runs, does) = match self {
            Self::Keys => {
                ("identity.keys", KEYS_EVERY, Runs::Everywhere, "reads signing keys, and makes the next in time")
            }
            Self::Revocations => {
                let does = "reads which logins other processes have ended";
                ("identity.revocations", revocations::LOOK_EVERY, Runs::Everywhere, does)
            }
            Self::Repeats => (
                "identity.repeats",
                REPEATS_EVERY,
                Runs::Everywhere,
                "writes entries of the audit log that were folded",
            ),
            Self::Tidy => {
                ("identity.tidy", TIDY_EVERY, Runs::Leader, "removes challenges, logins and entries that ended")
            }
        };
        Duty { name, world: None, does, period, trigger: None, runs }
    }
}

/// Whether two digests are the same, in a time that does not say where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}
