//! Every route of identity, for the router of the gate, which also says who may use which.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use posthaste_http::auth::{Caller, Credential, LoginProof};
use posthaste_http::contract::{Access, Routes, Rule};
use posthaste_http::problem::{Answer, Failure};
use posthaste_protocol::problem::{Code, Problem};
use utoipa_axum::routes;

use crate::refused::Refused;
use crate::signing_keys::KeySet;
use crate::{Identity, accounts, api_keys, audit, google, logins, second_factor};

/// Messages that `/dev/mail` shows.
const SHOWN: usize = 50;

/// The caller's login: their own account can be reached by nothing else.
pub(crate) fn own(caller: &Caller) -> Result<LoginProof, Refused> {
    caller.login().ok_or(Refused::Forbidden("sign in with an account for this"))
}

/// A fresh proof, from whoever has an account. Tokens of development are as good as the machine that they come from.
pub(crate) async fn sensitive(identity: &Identity, caller: &Caller) -> Result<(), Refused> {
    match caller.credential {
        Credential::Login(proof) => identity.fresh(&proof).await,
        Credential::Development => Ok(()),
        Credential::Key { .. } => Err(Refused::Forbidden("not with a key")),
    }
}

const KEY_SET: Rule = Rule::get("/.well-known/jwks.json", Access::Public);

/// The keys that sign access tokens
///
/// For whoever checks tokens of this server (RFC 7517). Read it again when a token names a key that is not there.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "accounts", responses((status = 200, body = KeySet)))]
async fn key_set(State(identity): State<Identity>) -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=60")], Json(identity.0.signing.published())).into_response()
}

const MAIL: Rule = Rule::get("/dev/mail", Access::Public).codes(&[Code::NotFound]);

/// What was sent, in development
///
/// Emails and texts that were written to the data directory, newest first, as text. Not there in production.
#[utoipa::path(get, path = "/dev/mail", tag = "server",
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn mail(State(identity): State<Identity>) -> Answer<String> {
    let settings = identity.settings();
    let Some(directory) = settings.mailbox.clone().filter(|_| settings.development) else {
        return Err(Problem::new(Code::NotFound).detail("there is no such path").into());
    };
    let newest = posthaste_notifications::carrier::read_mailbox(directory, SHOWN).await;
    let texts = newest.map_err(|error| Failure::from(Refused::Internal(format!("the mailbox: {error}"))))?;
    Ok(texts.join("\n----\n\n"))
}

/// The routes.
pub fn routes() -> Routes<Identity> {
    Routes::default()
        .with([KEY_SET], routes!(key_set))
        .with([MAIL], routes!(mail))
        .with(
            [accounts::routes::REGISTER, accounts::routes::LIST],
            routes!(accounts::routes::register, accounts::routes::list),
        )
        .with([accounts::routes::VERIFY], routes!(accounts::routes::verify))
        .with([accounts::routes::FORGOT], routes!(accounts::routes::forgot))
        .with([accounts::routes::RESET], routes!(accounts::routes::reset))
        .with([accounts::routes::READ], routes!(accounts::routes::read))
        .with([accounts::routes::ACTIVATE], routes!(accounts::routes::activate))
        .with([accounts::routes::BAN], routes!(accounts::routes::ban))
        .with([accounts::routes::UNBAN], routes!(accounts::routes::unban))
        .with(
            [accounts::routes::READ_OWN, accounts::routes::DELETE_OWN],
            routes!(accounts::routes::read_own, accounts::routes::delete_own),
        )
        .with([accounts::routes::CHANGE_PASSWORD], routes!(accounts::routes::change_password))
        .with([accounts::routes::CHANGE_EMAIL], routes!(accounts::routes::change_email))
        .with([accounts::routes::VERIFY_EMAIL], routes!(accounts::routes::verify_email))
        .with([accounts::routes::SET_PHONE], routes!(accounts::routes::set_phone))
        .with([accounts::routes::VERIFY_PHONE], routes!(accounts::routes::verify_phone))
        .with([accounts::routes::CUSTOMER_PROFILE], routes!(accounts::routes::customer_profile))
        .with([accounts::routes::MERCHANT_PROFILE], routes!(accounts::routes::merchant_profile))
        .with([accounts::routes::DRIVER_PROFILE], routes!(accounts::routes::driver_profile))
        .with([logins::routes::OPEN], routes!(logins::routes::open))
        .with([logins::routes::REFRESH], routes!(logins::routes::refresh))
        .with([logins::routes::END], routes!(logins::routes::end))
        .with(
            [logins::routes::LIST_SESSIONS, logins::routes::END_OTHERS],
            routes!(logins::routes::list_sessions, logins::routes::end_others),
        )
        .with([logins::routes::END_ONE], routes!(logins::routes::end_one))
        .with([logins::routes::STEP_UP], routes!(logins::routes::step_up))
        .with([google::routes::BEGIN_GOOGLE], routes!(google::routes::begin_google))
        .with([google::routes::RETURNED_FROM_GOOGLE], routes!(google::routes::returned_from_google))
        .with([google::routes::CONFIRM_GOOGLE], routes!(google::routes::confirm_google))
        .with(
            [google::routes::BEGIN_LINK, google::routes::UNLINK_GOOGLE],
            routes!(google::routes::begin_link, google::routes::unlink_google),
        )
        .with([google::routes::CONFIRM_LINK], routes!(google::routes::confirm_link))
        .with(
            [second_factor::routes::OFFER, second_factor::routes::REMOVE],
            routes!(second_factor::routes::offer, second_factor::routes::remove),
        )
        .with([second_factor::routes::CONFIRM], routes!(second_factor::routes::confirm))
        .with([second_factor::routes::RECOVERY_CODES], routes!(second_factor::routes::recovery_codes))
        .with(
            [api_keys::routes::CREATE_KEY, api_keys::routes::LIST_KEYS],
            routes!(api_keys::routes::create_key, api_keys::routes::list_keys),
        )
        .with([api_keys::routes::REVOKE_KEY], routes!(api_keys::routes::revoke_key))
        .with([audit::routes::LIST], routes!(audit::routes::list))
}
