//! Passwords: what one must be, and argon2id on threads of its own, few at once. `guessing` says which are guessed first.

mod guessing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use posthaste_protocol::accounts::Secret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refused::Refused;
use crate::settings::Hashing;

/// The shortest and the longest password, in characters. What is longer only costs time.
pub(crate) const SHORTEST: usize = 10;
/// See [`SHORTEST`].
pub(crate) const LONGEST: usize = 200;
/// How long a login waits for its turn at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is seen at once to be wrong with a new password. Whether it is easy to guess takes longer: [`Hasher::judge`].
#[must_use]
pub(crate) fn wrong(password: &Secret, email: &str) -> Option<String> {
    let text = password.expose();
    let length = text.chars().count();
    if !(SHORTEST..=LONGEST).contains(&length) {
        return Some(format!("must have {SHORTEST} to {LONGEST} characters"));
    }
    let first = text.chars().next();
    if text.chars().all(|c| Some(c) == first) {
        return Some("must not be one character over and over".to_owned());
    }
    text.eq_ignore_ascii_case(email).then(|| "must not be the email address".to_owned())
}

/// A place among those whose password is hashed or will be.
#[derive(Debug)]
pub(crate) struct Place(OwnedSemaphorePermit);

/// Hashes passwords and checks them. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hasher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    argon2: Argon2<'static>,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// The hash of nothing that anybody knows: what unknown accounts' passwords are checked against.
    decoy: String,
    hashed: AtomicU64,
}

impl Hasher {
    /// # Errors
    ///
    /// [`Refused::Internal`] where argon2 does not take the numbers.
    pub(crate) fn new(hashing: Hashing) -> Result<Self, Refused> {
        let refused = |error: argon2::Error| Refused::Internal(format!("the password hashing: {error}"));
        let params = Params::new(hashing.memory_kib, hashing.passes, 1, None).map_err(refused)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash(&argon2, &crate::random::text(32))?;
        Ok(Self(Arc::new(Inner {
            argon2,
            running: Arc::new(Semaphore::new(hashing.at_once.max(1))),
            waiting: Arc::new(Semaphore::new(hashing.at_once.max(1) + hashing.waiting)),
            decoy,
            hashed: AtomicU64::new(0),
        })))
    }

    /// Refuses a new password that is guessed first: then `field` is wrong. `about` is what its owner is called.
    pub(crate) async fn judge(
        &self,
        field: &'static str,
        password: &Secret,
        about: Vec<String>,
    ) -> Result<(), Refused> {
        let password = password.clone();
        let found = self.run(self.place()?, move |_| guessing::guessed_first(password.expose(), &about)).await?;
        found.map_or(Ok(()), |why| Err(Refused::field(field, why)))
    }

    /// The hash of a new password, with its parameters.
    pub(crate) async fn hash(&self, password: &Secret) -> Result<String, Refused> {
        let password = password.clone();
        self.run(self.place()?, move |inner| inner.hash(password.expose())).await?
    }

    /// Whether the password is the one of the hash. Without a hash it takes as long, and is not.
    pub(crate) async fn check(&self, password: &Secret, stored: Option<String>) -> Result<bool, Refused> {
        self.check_in(self.place()?, password, stored).await
    }

    /// The same for who has a place already, and read the hash only then: a flood does not reach the database.
    pub(crate) async fn check_in(
        &self,
        place: Place,
        password: &Secret,
        stored: Option<String>,
    ) -> Result<bool, Refused> {
        let password = password.clone();
        self.run(place, move |inner| {
            inner.hashed.fetch_add(1, Ordering::Relaxed);
            let known = stored.is_some();
            let stored = stored.as_deref().unwrap_or(&inner.decoy);
            let parsed =
                PasswordHash::new(stored).map_err(|_| Refused::Internal("a stored password hash".to_owned()))?;
            Ok(inner.argon2.verify_password(password.expose().as_bytes(), &parsed).is_ok() && known)
        })
        .await?
    }

    /// Whether a hash was made with other numbers than those of now, and takes another time to check.
    pub(crate) fn is_outdated(&self, stored: &str) -> bool {
        // `$argon2id$v=19$m=…,t=…,p=…`
        let numbers = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        numbers(stored) != numbers(&self.0.decoy)
    }

    /// How many times argon2 ran.
    pub(crate) fn hashed(&self) -> u64 {
        self.0.hashed.load(Ordering::Relaxed)
    }

    /// Takes a place; refuses at once where too many wait. Taken before the database is asked anything, a place keeps a
    /// flood of logins away from that too.
    pub(crate) fn place(&self) -> Result<Place, Refused> {
        Arc::clone(&self.0.waiting).try_acquire_owned().map(Place).map_err(|_| Refused::Busy)
    }

    /// Does the work when it is its turn.
    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        // Both are given back when the work is done, not when the caller has lost patience: threads cannot be stopped,
        // and those whose callers hang up would be more than may run at once.
        let Place(place) = place;
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.0.running).acquire_owned()).await;
        let turn = turn.map_err(|_| Refused::Busy)?.map_err(|_| Refused::Busy)?;
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&inner);
            drop((turn, place));
            done
        });
        done.await.map_err(|error| Refused::Internal(format!("hashing failed: {error}")))
    }
}

impl Inner {
    fn hash(&self, password: &str) -> Result<String, Refused> {
        self.hashed.fetch_add(1, Ordering::Relaxed);
        hash(&self.argon2, password)
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, Refused> {
    let salt: [u8; 16] = rand::random();
    let hash = argon2.hash_password_with_salt(password.as_bytes(), &salt);
    Ok(hash.map_err(|error| Refused::Internal(format!("hashing failed: {error}")))?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Hashing = Hashing { memory_kib: 8, passes: 1, at_once: 2, waiting: 2 };

    #[tokio::test]
    async fn a_password_is_known_again_and_another_is_not() {
        let hasher = Hasher::new(CHEAP).unwrap();
        let stored = hasher.hash(&"correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
        assert_ne!(hasher.hash(&"correct horse".into()).await.unwrap(), stored, "each has a salt of its own");
        assert!(hasher.check(&"correct horse".into(), Some(stored.clone())).await.unwrap());
        assert!(!hasher.check(&"battery staple".into(), Some(stored)).await.unwrap());
        assert!(!hasher.check(&"correct horse".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_of_other_numbers_is_told_and_still_checked() {
        let (old, new) = (Hasher::new(CHEAP).unwrap(), Hasher::new(Hashing { passes: 2, ..CHEAP }).unwrap());
        let stored = old.hash(&"correct horse".into()).await.unwrap();
        assert!(new.is_outdated(&stored) && !old.is_outdated(&stored));
        assert!(new.check(&"correct horse".into(), Some(stored)).await.unwrap());
        assert!(!new.is_outdated(&new.hash(&"correct horse".into()).await.unwrap()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn ten_thousand_at_once_are_refused_beyond_the_few_that_fit() {
        let hasher = Hasher::new(Hashing { memory_kib: 4096, ..CHEAP }).unwrap();
        let checks = (0..10_000).map(|_| {
            let hasher = hasher.clone();
            tokio::spawn(async move { hasher.check(&"guess".into(), None).await })
        });
        let (mut checked, mut busy) = (0, 0);
        for check in checks.collect::<Vec<_>>() {
            match check.await.unwrap() {
                Ok(known) => {
                    assert!(!known);
                    checked += 1;
                }
                Err(Refused::Busy) => busy += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(checked >= 4 && busy > 5_000, "{checked} checked, {busy} told to come back");
        assert!(!hasher.check(&"guess".into(), None).await.unwrap(), "and afterwards all is well");
    }

    #[tokio::test]
    async fn a_password_that_is_guessed_first_is_refused_by_name_and_not_hashed() {
        let hasher = Hasher::new(CHEAP).unwrap();
        let about = vec!["shop@example.org".to_owned()];
        for common in ["1234567890", "password123", "qwertyuiop", "Password1!"] {
            let judged = hasher.judge("new_password", &common.into(), about.clone()).await;
            assert!(matches!(judged, Err(Refused::Invalid(fields)) if fields[0].field == "new_password"), "{common}");
        }
        hasher.judge("new_password", &"correct horse battery".into(), about).await.unwrap();
        assert_eq!(hasher.hashed(), 0);
    }

    #[test]
    fn a_new_password_that_is_no_secret_is_refused() {
        for wrong_one in ["short", "aaaaaaaaaaaa", "a@b.example", &"x".repeat(LONGEST + 1)] {
            assert!(wrong(&wrong_one.into(), "A@b.example").is_some(), "{wrong_one}");
        }
        assert_eq!(wrong(&"correct horse".into(), "a@b.example"), None);
    }
}
