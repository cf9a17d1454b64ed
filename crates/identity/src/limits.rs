//! What the API document says that fields may hold.

use posthaste_domain::ids::{AdminId, CustomerId, DriverId, Id, MerchantId, ZoneId};
use posthaste_domain::order::{MOST_SIZE, Speed};
use posthaste_http::auth::KeyScope;
use posthaste_http::openapi::limits::{FieldLimit, Limit};

use crate::accounts::manage::LONGEST_REASON;
use crate::accounts::profile::{FORM_OF_TIMES, LONGEST, MOST};
use crate::accounts::{FORM_OF_PHONES, LONGEST_EMAIL, LONGEST_NAME};
use crate::google::LONGEST_CODE;
use crate::google::settings::LONGEST_PAGE;
use crate::logins::token;
use crate::{audit, challenges, password, random};

const ANYBODY: Limit = Limit::Id(&[AdminId::PREFIX, MerchantId::PREFIX, DriverId::PREFIX, CustomerId::PREFIX]);
const CODE: Limit = Limit::Form(challenges::FORM);
/// What goes to Google and comes back.
const CARRIED: Limit = Limit::Characters(0, LONGEST_CODE);
const EMAIL: Limit = Limit::Characters(3, LONGEST_EMAIL);
const NAME: Limit = Limit::Characters(1, LONGEST_NAME);
const PASSWORD: Limit = Limit::Characters(password::SHORTEST, password::LONGEST);
const PHONE: Limit = Limit::Form(FORM_OF_PHONES);
const REFRESH_TOKEN: Limit = Limit::Form(token::FORM);
const SECOND_FACTOR: Limit = Limit::Form(random::FORM_OF_SECOND_FACTORS);
const TEXT: Limit = Limit::Characters(1, LONGEST);

fn scopes() -> Vec<String> {
    KeyScope::ALL.iter().map(|scope| scope.name().to_owned()).collect()
}

/// The limits of accounts.
pub const LIMITS: &[FieldLimit] = &[
    ("*", "party", ANYBODY),
    ("*", "profile", Limit::Like(|| serde_json::json!({"stores": []}))),
    ("Activate", "party", Limit::Id(&[MerchantId::PREFIX, DriverId::PREFIX])),
    ("Register", "email", EMAIL),
    ("Register", "password", PASSWORD),
    ("Register", "name", NAME),
    ("Register", "phone", PHONE),
    ("ForgotPassword", "email", EMAIL),
    ("ResetPassword", "code", Limit::Form(random::FORM_OF_EIGHT_LETTERS)),
    ("ResetPassword", "password", PASSWORD),
    ("Verify", "code", CODE),
    ("LogIn", "email", EMAIL),
    ("LogIn", "code", SECOND_FACTOR),
    ("LogIn", "known_by", REFRESH_TOKEN),
    ("StepUp", "code", SECOND_FACTOR),
    ("FactorCode", "code", CODE),
    ("Refresh", "refresh_token", REFRESH_TOKEN),
    ("ChangePassword", "new_password", PASSWORD),
    ("ChangeEmail", "email", EMAIL),
    ("SetPhone", "phone", PHONE),
    ("SetPhone", "password", PASSWORD),
    ("Ban", "reason", Limit::Characters(1, LONGEST_REASON)),
    ("CreateApiKey", "name", NAME),
    ("CreateApiKey", "scopes", Limit::Entries(1, KeyScope::ALL.len())),
    ("CreateApiKey", "scopes[]", Limit::OneOf(scopes)),
    ("CustomerProfile", "addresses", Limit::Entries(0, MOST)),
    ("Address", "label", TEXT),
    ("Address", "address", TEXT),
    ("Address", "note", Limit::Characters(0, LONGEST)),
    ("MerchantProfile", "stores", Limit::Entries(0, MOST)),
    ("Store", "name", TEXT),
    ("Store", "address", TEXT),
    ("Store", "hours", Limit::Entries(0, MOST)),
    ("OpenHours", "opens", Limit::Form(FORM_OF_TIMES)),
    ("OpenHours", "closes", Limit::Form(FORM_OF_TIMES)),
    ("DriverProfile", "capacity", Limit::Between(1.0, MOST_SIZE as f64)),
    ("DriverProfile", "zones", Limit::Entries(1, MOST)),
    ("DriverProfile", "zones[]", Limit::Id(&[ZoneId::PREFIX])),
    ("DriverProfile", "speeds", Limit::Entries(1, Speed::ALL.len())),
    ("DriverProfile", "documents", Limit::Entries(0, MOST)),
    ("Document", "kind", TEXT),
    ("Document", "number", Limit::Characters(0, LONGEST)),
    ("BeginGoogle", "return_to", Limit::Address(LONGEST_PAGE)),
    ("LinkGoogle", "return_to", Limit::Address(LONGEST_PAGE)),
    ("LinkGoogle", "password", PASSWORD),
    ("ConfirmGoogle", "state", CARRIED),
    ("ConfirmGoogle", "secret", CARRIED),
    ("ConfirmGoogle", "google_code", CARRIED),
    ("ConfirmGoogle", "code", SECOND_FACTOR),
    ("ConfirmGoogleLink", "state", CARRIED),
    ("ConfirmGoogleLink", "secret", CARRIED),
    ("ConfirmGoogleLink", "google_code", CARRIED),
    ("query", "state", CARRIED),
    ("query", "code", CARRIED),
    ("query", "error", CARRIED),
    ("query", "iss", CARRIED),
    ("query", "email", EMAIL),
    ("query", "waiting", Limit::OneOf(|| vec!["true".to_owned(), "false".to_owned()])),
    ("query", "subject", Limit::Characters(1, audit::LONGEST_SUBJECT)),
];
