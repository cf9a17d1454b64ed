//! Accounts, logins, second factor and keys on the wire. What is secret is never shown by debug output.

use std::fmt;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::{AccountId, ApiKeyId, AuditId, ChallengeId, LoginId};
use posthaste_domain::party::Party;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::google::GoogleView;

/// Text that is proof of something: a password, a code, a token. Debug output never shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// As what somebody registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegisterAs {
    /// Somebody who orders.
    Customer,
    /// A shop.
    Merchant,
    /// A driver.
    Driver,
}

/// Where the code of a registration is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerifyBy {
    /// To the email address.
    #[default]
    Email,
    /// To the telephone number, as a text.
    Phone,
}

/// Asks for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// As what: `customer`, `merchant` or `driver`.
    pub role: RegisterAs,
    /// The email address.
    pub email: String,
    /// The password: 10 to 200 characters, and none of those that are guessed first.
    #[schema(value_type = String, format = Password)]
    pub password: Secret,
    /// How the account's holder is called, 1 to 100 characters.
    pub name: String,
    /// A telephone number in international form: `+` and 8 to 15 digits. Required with `verify_by: phone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Where the code goes: `email` (where left out) or `phone`.
    #[serde(default)]
    pub verify_by: VerifyBy,
}

/// A code is on its way to whom it belongs, if there is anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CodeSent {
    /// Goes back together with the code.
    #[schema(value_type = String, example = "chl_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub challenge_id: ChallengeId,
    /// Until when the code is good.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// A code that came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// What the code was asked for.
    #[schema(value_type = String, example = "chl_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub challenge_id: ChallengeId,
    /// The six digits.
    #[schema(value_type = String)]
    pub code: Secret,
}

/// How a recovery code is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SendBy {
    /// To the email address.
    #[default]
    Email,
    /// As a text, where the account has a telephone number that was verified a day ago, or when it was registered.
    Text,
}

/// Asks for a code with which a forgotten password is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgotPassword {
    /// The account's email address, or the telephone number that it was registered with: then the code goes there.
    pub email: String,
    /// `email` or `text`.
    #[serde(default)]
    pub send_by: SendBy,
}

/// Replaces a forgotten password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPassword {
    /// What the code was asked for.
    #[schema(value_type = String, example = "chl_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub challenge_id: ChallengeId,
    /// The eight letters and digits, however they are typed: in capitals or not, with hyphens and spaces or without.
    #[schema(value_type = String)]
    pub code: Secret,
    /// The new password.
    #[schema(value_type = String, format = Password)]
    pub password: Secret,
}

/// Where the refresh token goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefreshIn {
    /// Into a cookie that scripts cannot read: for browsers.
    #[default]
    Cookie,
    /// Into the answer's body: for native apps, which keep it in the device's key store.
    Body,
}

/// Signs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// The account's email address, or the telephone number that it was registered with.
    pub email: String,
    /// Its password.
    #[schema(value_type = String, format = Password)]
    pub password: Secret,
    /// Where a second factor is on: the authenticator's six digits, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub code: Option<Secret>,
    /// The last refresh token that this device had of the account, also when it is used up: it shows that the device is
    /// known, and guessers elsewhere do not hold it up. Browsers show theirs by the cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub known_by: Option<Secret>,
    /// `cookie` or `body`.
    #[serde(default)]
    pub refresh_in: RefreshIn,
}

/// Trades a refresh token for a new one and a new access token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The token; absent where the cookie has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub refresh_token: Option<Secret>,
}

/// What a login is worked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    /// Goes into `Authorization: Bearer …`.
    #[schema(value_type = String, example = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9…")]
    pub access_token: Secret,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    pub access_expires_at: Timestamp,
    /// Where the body was asked for: good for one refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub refresh_token: Option<Secret>,
    /// Until when the login can be refreshed.
    #[schema(value_type = String, format = DateTime)]
    pub refresh_expires_at: Timestamp,
    /// The login.
    #[schema(value_type = String, example = "lgn_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub login_id: LoginId,
    /// The account.
    #[schema(value_type = String, example = "acc_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub account_id: AccountId,
    /// Who the account is to the dispatcher.
    #[schema(value_type = String, example = "mer_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub party: Party,
    /// Whether it may work: merchants and drivers when an admin has activated them, admins with the second factor
    /// where it is required. Until then only the account itself can be reached, and by admins only what sets the second
    /// factor up (`second_factor_missing` on everything else).
    pub may_work: bool,
}

/// A login of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginView {
    /// The login.
    #[schema(value_type = String, example = "lgn_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: LoginId,
    /// What the device calls itself.
    #[schema(example = "Firefox on Linux")]
    pub device: String,
    /// The network address that it was last used from.
    #[schema(example = "203.0.113.7")]
    pub address: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last refreshed.
    #[schema(value_type = String, format = DateTime)]
    pub last_used_at: Timestamp,
    /// When it ends unless it is used before.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Whether this very request came with it.
    pub current: bool,
}

/// All that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct All<T> {
    /// Newest first.
    pub items: Vec<T>,
}

/// Servers before this field had no accounts without one.
fn yes() -> bool {
    true
}

/// An account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    /// The account.
    #[schema(value_type = String, example = "acc_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: AccountId,
    /// Who it is to the dispatcher; the prefix says the role.
    #[schema(value_type = String, example = "mer_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub party: Party,
    /// The email address.
    #[schema(example = "ada@example.org")]
    pub email: String,
    /// Whether a code sent to the address came back.
    pub email_verified: bool,
    /// How its holder is called.
    #[schema(example = "Ada Lovelace")]
    pub name: String,
    /// The telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "+4930123456")]
    pub phone: Option<String>,
    /// Whether a code sent to the number came back.
    pub phone_verified: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When an admin let it work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub activated_at: Option<Timestamp>,
    /// Since when it may not come in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub banned_at: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ban_reason: Option<String>,
    /// Whether the second factor is on.
    pub second_factor: bool,
    /// Whether it has a password. Where not, its holder signs in with Google alone, or sets one by way of
    /// `/v1/password/forgot`.
    #[serde(default = "yes")]
    pub has_password: bool,
    /// The Google account that its holder signs in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google: Option<GoogleView>,
    /// What its role has beside that.
    #[schema(value_type = Object)]
    pub profile: serde_json::Value,
}

/// Changes a password, with proof of the old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present one.
    #[schema(value_type = String, format = Password)]
    pub password: Secret,
    /// The new one.
    #[schema(value_type = String, format = Password)]
    pub new_password: Secret,
    /// Where the refresh token of the session that begins goes: `cookie` or `body`.
    #[serde(default)]
    pub refresh_in: RefreshIn,
}

/// Changes the email address, with proof of the password; a code goes to the new address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeEmail {
    /// The password.
    #[schema(value_type = String, format = Password)]
    pub password: Secret,
    /// The new address.
    pub email: String,
}

/// Sets the telephone number, with proof of the password; a code goes to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPhone {
    /// In international form: `+` and 8 to 15 digits.
    pub phone: String,
    /// The password. Not asked for where the number is the one that came with the registration and was not verified yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub password: Option<Secret>,
}

/// Shows again who one is: the second factor where it is on, the password where it is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepUp {
    /// The authenticator's six digits, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub code: Option<Secret>,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub password: Option<Secret>,
}

/// A new access token for the same login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SteppedUp {
    /// Goes into `Authorization: Bearer …`.
    #[schema(value_type = String, example = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9…")]
    pub access_token: Secret,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    pub access_expires_at: Timestamp,
}

/// A secret for an authenticator. It counts once a first code came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecondFactorOffer {
    /// The secret in base 32, for typing.
    #[schema(value_type = String, example = "JBSWY3DPEHPK3PXP")]
    pub secret: Secret,
    /// The same as an address that authenticators read.
    #[schema(value_type = String, example = "otpauth://totp/posthaste:ada@example.org?secret=JBSWY3DPEHPK3PXP&issuer=posthaste")]
    pub uri: Secret,
    /// The address as a QR code: an SVG image.
    #[schema(value_type = String, example = "<svg xmlns=\"http://www.w3.org/2000/svg\">…</svg>")]
    pub qr_svg: Secret,
}

/// The authenticator's six digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FactorCode {
    /// The code.
    #[schema(value_type = String)]
    pub code: Secret,
}

/// Codes for who has lost the authenticator: each is good for once. Shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecoveryCodes {
    /// The codes.
    #[schema(value_type = Vec<String>, example = json!(["k3n8q-x7w2m"]))]
    pub recovery_codes: Vec<Secret>,
}

/// Lets a merchant or driver work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// Who it is to the dispatcher, where that is somebody who is there already: `mer_…` or `drv_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub party: Option<Party>,
}

/// Shuts an account out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ban {
    /// Why, 1 to 500 characters. The holder is told.
    pub reason: String,
}

/// Which world a key is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyWorld {
    /// Real orders.
    #[default]
    Live,
    /// A world of its own for trying things out: the same zones, simulated drivers, nobody else's orders.
    Test,
}

impl KeyWorld {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// How the secrets of its keys begin.
    #[must_use]
    pub fn key_prefix(self) -> &'static str {
        match self {
            Self::Live => "ph_live_",
            Self::Test => "ph_test_",
        }
    }
}

/// Makes a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// What its owner calls it, 1 to 100 characters.
    #[schema(example = "backend")]
    pub name: String,
    /// What it may be used for: `orders:read`, `orders:write`, `insight:read`, `zones:read`,
    /// `webhooks:read`, `webhooks:write`.
    pub scopes: Vec<String>,
    /// `live`, or `test` for orders of the test world, which simulated drivers carry.
    #[serde(default)]
    pub world: KeyWorld,
}

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKeyView {
    /// The key's id.
    #[schema(value_type = String, example = "key_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: ApiKeyId,
    /// What its owner calls it.
    #[schema(example = "backend")]
    pub name: String,
    /// Its beginning and end, to tell it from others.
    #[schema(example = "ph_live_3kXa…Q9")]
    pub hint: String,
    /// Whether it is for live orders or for those of the test world.
    #[serde(default)]
    pub world: KeyWorld,
    /// What it may be used for.
    #[schema(example = json!(["orders:read", "orders:write"]))]
    pub scopes: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    /// Since when it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

/// A new key. Its secret is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKeyCreated {
    /// Goes into `Authorization: Bearer …`.
    #[schema(value_type = String, example = "ph_live_3kXa2mVfTn5Zp8RwYb1Cd4Ee7Gh0JkLmNoPqRsTuVQ9")]
    pub secret: Secret,
    /// What is kept of it.
    pub key: ApiKeyView,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntryView {
    /// The entry.
    #[schema(value_type = String, example = "aud_01jd8v7cjxfm9sxv0q3e0b5z1c")]
    pub id: AuditId,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What, as in `account.banned`.
    #[schema(example = "account.banned")]
    pub act: String,
    /// Who: an account, the holder of a development token, `system`, or `nobody`.
    #[schema(example = "system")]
    pub actor: String,
    /// On whom or what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// From which network address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Under which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "req_5f3a9c0e7d1b24680000002a")]
    pub request_id: Option<String>,
    /// What else belongs to it.
    #[schema(value_type = Object)]
    pub details: serde_json::Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown_by_debug_output() {
        let log_in = LogIn {
            email: "a@b.example".to_owned(),
            password: "correct horse".into(),
            code: Some("123456".into()),
            known_by: None,
            refresh_in: RefreshIn::Body,
        };
        let shown = format!("{log_in:?}");
        assert!(!shown.contains("correct") && !shown.contains("123456"), "{shown}");
    }
}
