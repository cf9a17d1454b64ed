//! The second factor: time-based codes (RFC 6238, SHA-1, six digits, thirty seconds, as authenticators expect), and
//! recovery codes for who has lost the authenticator.

pub(crate) mod routes;
pub(crate) mod store;

use hmac::{Hmac, KeyInit, Mac};
use posthaste_domain::Timestamp;
use posthaste_domain::code::as_meant;
use posthaste_domain::ids::{AccountId, Id};
use posthaste_http::auth::LoginProof;
use posthaste_protocol::accounts::{RecoveryCodes, SecondFactorOffer, Secret, StepUp};
use qrcode::QrCode;
use qrcode::render::{svg, unicode};
use serde_json::json;
use sha1::Sha1;
use sqlx::PgConnection;

use crate::accounts;
use crate::audit::{Entry, Origin};
use crate::refused::Refused;
use crate::{Identity, letters, random};

const STEP_SECONDS: i64 = 30;
/// Steps before and after the present one whose codes are taken: phones' clocks are not exact.
const DRIFT: i64 = 1;
/// Bytes of a secret: as many as the digest has.
const SECRET: usize = 20;
/// How many recovery codes there are.
const RECOVERY_CODES: usize = 10;
const PURPOSE: &str = "second factor";
const BASE_32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// No second factor is on.
    Nothing,
    /// The authenticator's code.
    Code,
    /// A recovery code, which is used up now.
    Recovery,
}

/// A second factor that is on, as it is shown this once.
#[derive(Debug, Clone)]
pub struct SecondFactorGiven {
    /// The secret in base 32, for typing.
    pub secret: Secret,
    /// The same as an address that authenticators read.
    pub uri: Secret,
    /// The address as a QR code of half blocks, dark on light, for a terminal.
    pub qr_text: Secret,
    /// Codes for who has lost the authenticator.
    pub recovery_codes: Vec<Secret>,
}

fn base_32(bytes: &[u8]) -> String {
    let bit = |n: usize| bytes.get(n / 8).map_or(0, |byte| byte >> (7 - n % 8) & 1);
    let digits = (bytes.len() * 8).div_ceil(5);
    (0..digits).map(|d| BASE_32[(0..5).fold(0, |value, n| value << 1 | usize::from(bit(d * 5 + n)))] as char).collect()
}

/// The code of a step.
fn code(secret: &[u8], step: i64) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).ok()?;
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let at = usize::from(digest[19] & 0x0F);
    let number = u32::from_be_bytes(digest[at..at + 4].try_into().ok()?) & 0x7FFF_FFFF;
    Some(format!("{:06}", number % 1_000_000))
}

/// The step that a code belongs to: around now, and after `used`, so that no code is good for twice.
fn step_of(secret: &[u8], given: &str, now: Timestamp, used: i64) -> Option<i64> {
    let present = now.timestamp().div_euclid(STEP_SECONDS);
    let mut found = None;
    // All are computed, whichever it is.
    for step in present - DRIFT..=present + DRIFT {
        if code(secret, step).is_some_and(|code| crate::same(code.as_bytes(), given.as_bytes())) && step > used {
            found = Some(step);
        }
    }
    found
}

fn uri(secret: &[u8], email: &str) -> String {
    let name: String = email
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._@".contains(&b) {
                (b as char).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect();
    format!("otpauth://totp/posthaste:{name}?secret={}&issuer=posthaste&digits=6&period=30", base_32(secret))
}

impl Identity {
    fn recovery_hash(&self, account: AccountId, code: &str) -> [u8; 32] {
        self.seal().digest("recovery code", &[account.uuid().as_bytes(), as_meant(code).as_bytes()])
    }

    /// Checks a code of the authenticator, or a recovery code, of an account that has a second factor.
    pub(crate) async fn show_second_factor(
        &self,
        id: AccountId,
        given: &Secret,
        origin: &Origin,
    ) -> Result<Shown, Refused> {
        let (now, account) = (self.now(), self.account(id).await?);
        let Some(sealed) = account.totp_secret.as_ref().filter(|_| account.has_second_factor()) else {
            return Ok(Shown::Nothing);
        };
        let wait = self.throttle().factor(&id.to_string(), now);
        wait.map_err(|seconds| Refused::Throttled { seconds })?;
        let secret = self.seal().open(PURPOSE, id.uuid().as_bytes(), sealed)?;
        let given = as_meant(given.expose());
        let shown = if let Some(step) = step_of(&secret, &given, now, account.totp_step) {
            // Two at once with the same code: one of them.
            store::use_step(self.pool(), id, step).await?.then_some(Shown::Code)
        } else {
            let hash = self.recovery_hash(id, &given);
            store::use_recovery_code(self.pool(), id, &hash, now).await?.then_some(Shown::Recovery)
        };
        let Some(shown) = shown else {
            self.note(origin, Entry::new("second_factor.failed", "nobody").on(id)).await?;
            return Err(Refused::WrongCode { left: None });
        };
        self.throttle().factor_proved(&id.to_string());
        if shown == Shown::Recovery {
            let mut transaction = self.pool().connections().begin().await?;
            self.audit(&mut transaction, origin, Entry::new("recovery_code.used", id).on(id)).await?;
            let what = "One of your recovery codes was used to sign in.";
            self.notifications().put(&mut transaction, &letters::notice(&account, what, origin)).await?;
            transaction.commit().await?;
            self.notifications().wake();
        }
        Ok(shown)
    }

    /// A new secret. It counts once a code came back; until then nothing has changed. Whoever turns it on can keep the
    /// account's owner out, so it wants the password; who has none has signed in with Google lately.
    pub(crate) async fn offer_second_factor(
        &self,
        proof: &LoginProof,
        shown: &StepUp,
        origin: &Origin,
    ) -> Result<SecondFactorOffer, Refused> {
        let account = self.account(proof.account).await?;
        if account.has_second_factor() {
            return Err(Refused::Conflict("it is on already: turn it off first"));
        }
        self.show_owner_or_fresh(proof, &account, shown.password.as_ref(), origin).await?;
        let secret: [u8; SECRET] = rand::random();
        let sealed = self.seal().seal(PURPOSE, account.id.uuid().as_bytes(), &secret)?;
        if !store::offer(self.pool(), account.id, &sealed).await? {
            return Err(Refused::Conflict("it is on already: turn it off first"));
        }
        let uri = uri(&secret, &account.email);
        let qr = QrCode::new(uri.as_bytes()).map_err(|error| Refused::Internal(format!("a QR code: {error}")))?;
        let qr_svg = qr.render::<svg::Color<'_>>().min_dimensions(240, 240).build();
        Ok(SecondFactorOffer { secret: base_32(&secret).into(), uri: uri.into(), qr_svg: qr_svg.into() })
    }

    /// Turns it on with a first code; gives the recovery codes.
    pub(crate) async fn confirm_second_factor(
        &self,
        proof: &LoginProof,
        given: &Secret,
        origin: &Origin,
    ) -> Result<RecoveryCodes, Refused> {
        self.fresh(proof).await?;
        let (now, account) = (self.now(), self.account(proof.account).await?);
        if account.has_second_factor() {
            return Err(Refused::Conflict("it is on already"));
        }
        let sealed = account.totp_secret.as_ref().ok_or(Refused::Conflict("ask for a secret first"))?;
        let wait = self.throttle().factor(&account.id.to_string(), now);
        wait.map_err(|seconds| Refused::Throttled { seconds })?;
        let secret = self.seal().open(PURPOSE, account.id.uuid().as_bytes(), sealed)?;
        let step = step_of(&secret, &as_meant(given.expose()), now, account.totp_step);
        let step = step.ok_or(Refused::WrongCode { left: None })?;
        self.throttle().factor_proved(&account.id.to_string());
        let mut transaction = self.pool().connections().begin().await?;
        let found = accounts::store::lock(&mut transaction, account.id).await?;
        if found.is_none_or(|found| found.totp_secret != account.totp_secret || found.has_second_factor()) {
            return Err(Refused::Conflict("another secret was asked for meanwhile"));
        }
        store::confirm(&mut transaction, account.id, step, now).await?;
        crate::logins::store::prove(&mut transaction, proof.login, now, true).await?;
        let codes = self.new_recovery_codes(&mut transaction, account.id).await?;
        self.audit(&mut transaction, origin, Entry::new("second_factor.on", account.id).on(account.id)).await?;
        let what = "The second factor was turned on for your account.";
        self.notifications().put(&mut transaction, &letters::notice(&account, what, origin)).await?;
        transaction.commit().await?;
        self.notifications().wake();
        Ok(codes)
    }

    /// A second factor that is on from the start, for an account that is being made: who is shown it has it.
    pub(crate) async fn give_second_factor(
        &self,
        connection: &mut PgConnection,
        account: &accounts::Account,
    ) -> Result<SecondFactorGiven, Refused> {
        let secret: [u8; SECRET] = rand::random();
        let sealed = self.seal().seal(PURPOSE, account.id.uuid().as_bytes(), &secret)?;
        store::give(connection, account.id, &sealed, self.now()).await?;
        let codes = self.new_recovery_codes(connection, account.id).await?;
        let uri = uri(&secret, &account.email);
        let qr = QrCode::new(uri.as_bytes()).map_err(|error| Refused::Internal(format!("a QR code: {error}")))?;
        let qr_text = qr.render::<unicode::Dense1x2>().build();
        let (secret, uri, qr_text) = (base_32(&secret).into(), uri.into(), qr_text.into());
        Ok(SecondFactorGiven { secret, uri, qr_text, recovery_codes: codes.recovery_codes })
    }

    async fn new_recovery_codes(
        &self,
        connection: &mut PgConnection,
        account: AccountId,
    ) -> Result<RecoveryCodes, Refused> {
        let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| random::recovery_code()).collect();
        let hashes: Vec<Vec<u8>> = codes.iter().map(|code| self.recovery_hash(account, code).to_vec()).collect();
        store::replace_recovery_codes(connection, account, &hashes).await?;
        Ok(RecoveryCodes { recovery_codes: codes.into_iter().map(Secret).collect() })
    }

    /// New recovery codes; the old ones are of no use any more. Each is worth the second factor, so they want what turning it
    /// on does, and the factor itself.
    pub(crate) async fn renew_recovery_codes(
        &self,
        proof: &LoginProof,
        shown: &StepUp,
        origin: &Origin,
    ) -> Result<RecoveryCodes, Refused> {
        let account = self.account(proof.account).await?;
        self.show_owner_or_fresh(proof, &account, shown.password.as_ref(), origin).await?;
        let mut transaction = self.pool().connections().begin().await?;
        let account = Self::locked(&mut transaction, proof.account).await?;
        if !account.has_second_factor() {
            return Err(Refused::Conflict("there is no second factor"));
        }
        let codes = self.new_recovery_codes(&mut transaction, account.id).await?;
        self.audit(&mut transaction, origin, Entry::new("recovery_codes.renewed", account.id).on(account.id)).await?;
        let what = "The recovery codes of your account were replaced: the old ones are of no use any more.";
        self.notifications().put(&mut transaction, &letters::notice(&account, what, origin)).await?;
        transaction.commit().await?;
        self.notifications().wake();
        Ok(codes)
    }

    /// Turns it off, with the same proof.
    pub(crate) async fn drop_second_factor(
        &self,
        proof: &LoginProof,
        shown: &StepUp,
        origin: &Origin,
    ) -> Result<(), Refused> {
        let account = self.account(proof.account).await?;
        if !account.has_second_factor() {
            return Ok(());
        }
        self.show_owner_or_fresh(proof, &account, shown.password.as_ref(), origin).await?;
        let mut transaction = self.pool().connections().begin().await?;
        let account = Self::locked(&mut transaction, proof.account).await?;
        if !account.has_second_factor() {
            return Ok(());
        }
        store::drop(&mut transaction, account.id).await?;
        let entry = Entry::new("second_factor.off", account.id).on(account.id).with(json!({"login": proof.login}));
        self.audit(&mut transaction, origin, entry).await?;
        let what = "The second factor was turned off for your account.";
        self.notifications().put(&mut transaction, &letters::notice(&account, what, origin)).await?;
        transaction.commit().await?;
        self.notifications().wake();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn codes_are_those_of_the_specification() {
        // RFC 6238, appendix B, the last six of eight digits.
        for (seconds, expected) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (2_000_000_000, "279037")]
        {
            assert_eq!(code(SECRET, seconds / 30).unwrap(), expected);
            assert_eq!(step_of(SECRET, expected, at(seconds), 0), Some(seconds / 30));
        }
    }

    #[test]
    fn a_clock_may_be_a_step_off_and_no_code_is_good_for_twice() {
        let given = code(SECRET, 1000).unwrap();
        assert_eq!(step_of(SECRET, &given, at(1000 * 30 + 59), 999), Some(1000));
        assert_eq!(step_of(SECRET, &given, at(1000 * 30 - 1), 999), Some(1000));
        assert_eq!(step_of(SECRET, &given, at(1000 * 30 + 60), 999), None);
        assert_eq!(step_of(SECRET, &given, at(1000 * 30), 1000), None);
        assert_eq!(step_of(SECRET, "", at(1000 * 30), 0), None);
    }

    #[test]
    fn the_secret_is_written_as_authenticators_read_it() {
        assert_eq!(base_32(SECRET), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(base_32(b"foob"), "MZXW6YQ");
        assert!(uri(SECRET, "a+b@c.org").contains("posthaste:a%2Bb@c.org?secret=GEZ"));
    }
}
