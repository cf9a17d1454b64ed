//! Accounts: who may sign in, and what they are to the dispatcher. Making, changing, activating and banning them.

mod delete;
pub(crate) mod export;
pub(crate) mod manage;
pub(crate) mod profile;
pub(crate) mod register;
pub(crate) mod routes;
pub(crate) mod standing;
pub(crate) mod store;

use posthaste_domain::ids::{AccountId, AdminId, CustomerId, DriverId, Id, MerchantId};
use posthaste_domain::party::Party;
use posthaste_domain::{Span, Timestamp};
use posthaste_http::auth::Role;
use posthaste_notifications::Message;
use posthaste_protocol::accounts::AccountView;
use posthaste_storage::StorageError;
use posthaste_storage::pool::Pool;
use serde_json::Value;
use uuid::Uuid;

use crate::google::Linked;

/// Whether there is an admin who may work.
///
/// # Errors
///
/// Those of the database.
pub async fn has_admin(pool: &Pool) -> Result<bool, StorageError> {
    let asked = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM accounts WHERE role = 'admin' AND banned_at IS NULL) AS "has_admin!""#
    );
    Ok(asked.fetch_one(pool.connections()).await?)
}

/// How long a telephone number has been the account's before it recovers the password. Shorter, and who got at an account
/// for a moment has taken it before its owner has read that the number was changed; longer, and who has a new number and
/// forgets the password waits for nothing.
const YOUNGEST_NUMBER: Span = Span::hours(24);

/// The longest name.
pub(crate) const LONGEST_NAME: usize = 100;

/// An account as stored. The password's hash is part of it: no debug output.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) party: Party,
    pub(crate) created_at: Timestamp,
    pub(crate) email: String,
    /// What the email address is found by, where no code has shown that it is the holder's own.
    pub(crate) email_claim: Option<String>,
    pub(crate) name: String,
    pub(crate) phone: Option<String>,
    pub(crate) phone_verified_at: Option<Timestamp>,
    pub(crate) password: String,
    pub(crate) activated_at: Option<Timestamp>,
    pub(crate) banned_at: Option<Timestamp>,
    pub(crate) ban_reason: Option<String>,
    pub(crate) profile: Value,
    /// Sealed.
    pub(crate) totp_secret: Option<Vec<u8>>,
    pub(crate) totp_confirmed_at: Option<Timestamp>,
    pub(crate) totp_step: i64,
    /// Whether its owner set the password. Where not, `password` is the hash of a secret that nobody knows.
    pub(crate) has_password: bool,
    pub(crate) google: Option<Linked>,
}

impl Account {
    pub(crate) fn role(&self) -> Role {
        Role::of(self.party).unwrap_or(Role::Customer)
    }

    pub(crate) fn has_second_factor(&self) -> bool {
        self.totp_confirmed_at.is_some()
    }

    /// What its holder is called, and chooses no password from.
    pub(crate) fn called(&self) -> Vec<String> {
        vec![self.email.clone(), self.name.clone()]
    }

    /// The telephone number that recovers the password at `now`: one that was verified, a day ago or with the registration.
    pub(crate) fn recovery_phone(&self, now: Timestamp) -> Option<&str> {
        let verified_at = self.phone_verified_at?;
        self.phone.as_deref().filter(|_| recovers(self.created_at, verified_at, now))
    }

    /// Whether the number came with the registration and waits to be verified.
    pub(crate) fn registered_with(&self, phone: &str) -> bool {
        self.phone_verified_at.is_none() && self.phone.as_deref() == Some(phone)
    }

    /// What the account is found by, and no other: its email address, or its number while the address is only claimed.
    pub(crate) fn key(&self) -> String {
        let by_number = self.phone.clone().filter(|_| self.email_claim.is_some());
        by_number.unwrap_or_else(|| email_key(&self.email))
    }

    /// Something to tell the account's holder, by the way that was shown to be theirs.
    pub(crate) fn message(&self, subject: &str, text: String) -> Message {
        match &self.phone {
            Some(phone) if self.email_claim.is_some() => Message::text(phone, text),
            _ => Message::email(&self.email, subject, text),
        }
    }

    pub(crate) fn view(&self) -> AccountView {
        AccountView {
            id: self.id,
            party: self.party,
            email: self.email.clone(),
            email_verified: self.email_claim.is_none(),
            name: self.name.clone(),
            phone: self.phone.clone(),
            phone_verified: self.phone_verified_at.is_some(),
            created_at: self.created_at,
            activated_at: self.activated_at,
            banned_at: self.banned_at,
            ban_reason: self.ban_reason.clone(),
            second_factor: self.has_second_factor(),
            has_password: self.has_password,
            google: self.google.as_ref().map(Linked::view),
            profile: self.profile.clone(),
        }
    }
}

/// Whether a number that was verified at a time recovers the password at `now`: the one that the account was made with at
/// once, any other when its owner had the time to hear of it.
fn recovers(created_at: Timestamp, verified_at: Timestamp, now: Timestamp) -> bool {
    verified_at <= created_at || now - verified_at >= YOUNGEST_NUMBER
}

/// The party of a role.
pub(crate) fn party(role: Role, subject: Uuid) -> Party {
    match role {
        Role::Admin => Party::Admin(AdminId::from_uuid(subject)),
        Role::Merchant => Party::Merchant(MerchantId::from_uuid(subject)),
        Role::Driver => Party::Driver(DriverId::from_uuid(subject)),
        Role::Customer => Party::Customer(CustomerId::from_uuid(subject)),
    }
}

/// The number in a party's id.
pub(crate) fn subject(party: Party) -> Uuid {
    match party {
        Party::System => Uuid::nil(),
        Party::Admin(id) => id.uuid(),
        Party::Merchant(id) => id.uuid(),
        Party::Driver(id) => id.uuid(),
        Party::Customer(id) => id.uuid(),
    }
}

/// What an email address is found by: providers that tell capitals apart are not met in the wild.
pub(crate) fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// The longest parts of an email address, before and behind the `@`, in characters.
const LONGEST_LOCAL: usize = 64;
const LONGEST_DOMAIN: usize = 190;
/// The longest email address, in characters.
pub(crate) const LONGEST_EMAIL: usize = LONGEST_LOCAL + 1 + LONGEST_DOMAIN;
/// What telephone numbers look like, as a regular expression.
pub(crate) const FORM_OF_PHONES: &str = "^\\+[1-9][0-9]{7,14}$";

/// What is wrong with an email address. Whether it exists is shown by the code that comes back.
pub(crate) fn wrong_email(email: &str) -> Option<&'static str> {
    const WRONG: &str = "must be an email address, as in ada@example.org";
    let Some((local, domain)) = email.trim().rsplit_once('@') else { return Some(WRONG) };
    let local_fits = (1..=LONGEST_LOCAL).contains(&local.len())
        && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b))
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let domain_fits = domain.len() <= LONGEST_DOMAIN && domain.contains('.') && domain.split('.').all(label);
    (!local_fits || !domain_fits).then_some(WRONG)
}

/// What is wrong with a telephone number (E.164).
pub(crate) fn wrong_phone(phone: &str) -> Option<&'static str> {
    let digits = phone.strip_prefix('+').unwrap_or_default();
    let fits =
        (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    (!fits).then_some("must be in international form: + and 8 to 15 digits")
}

/// What is wrong with a name.
pub(crate) fn wrong_name(name: &str) -> Option<String> {
    let length = name.trim().chars().count();
    let control = name.chars().any(char::is_control);
    (length == 0 || length > LONGEST_NAME || control).then(|| format!("must have 1 to {LONGEST_NAME} characters"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_and_numbers_have_their_form() {
        for right in ["ada@example.org", "a.b+c@sub.example.co", " Ada@Example.ORG "] {
            assert_eq!(wrong_email(right), None, "{right}");
        }
        for wrong in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@localhost",
            "a b@example.org",
            "a@b@c",
            "a@-b.org",
            "a@b..org",
            ".a@b.org",
            "a\r\nBcc: x@y.org",
            "ada@example.org>",
        ] {
            assert!(wrong_email(wrong).is_some(), "{wrong}");
        }
        assert_eq!(wrong_phone("+4930123456"), None);
        for wrong in ["", "4930123456", "+49 30 123456", "+0123456789", "+12345", "+1234567890123456"] {
            assert!(wrong_phone(wrong).is_some(), "{wrong}");
        }
        assert_eq!(email_key(" Ada@Example.ORG "), "ada@example.org");
    }

    #[test]
    fn a_new_number_recovers_nothing_for_a_day_and_the_one_of_the_registration_at_once() {
        let created = Timestamp::UNIX_EPOCH;
        assert!(recovers(created, created, created), "the account was made with it");
        let changed = created + Span::days(400);
        for (hours, expected) in [(0, false), (1, false), (23, false), (24, true), (1000, true)] {
            assert_eq!(recovers(created, changed, changed + Span::hours(hours)), expected, "{hours}");
        }
    }

    proptest! {
        #[test]
        fn a_number_that_recovers_does_not_stop_to(verified in 0_i64..10_000_000, age in 0_i64..1_000_000, more in 0_i64..1_000_000) {
            let at = |seconds| Timestamp::UNIX_EPOCH + Span::seconds(seconds);
            let now = |age| recovers(at(0), at(verified), at(verified + age));
            prop_assert!(!now(age) || now(age + more));
            prop_assert_eq!(now(age), verified == 0 || age >= 86_400);
        }

        #[test]
        fn no_text_makes_the_checks_panic(text in ".{0,300}") {
            let _ = (wrong_email(&text), wrong_phone(&text), wrong_name(&text));
        }
    }
}
