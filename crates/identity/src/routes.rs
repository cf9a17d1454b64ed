//! Every route of identity, for the router of the api crate, which also says who may use which.

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use posthaste_http::auth::{Caller, Credential, LoginProof};
use posthaste_http::problem::{Answer, Failure};
use posthaste_protocol::problem::{Code, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::refused::Refused;
use crate::signing_keys::KeySet;
use crate::{Identity, accounts, api_keys, audit, google, logins, second_factor};

/// Messages that `/dev/mail` shows.
const SHOWN: usize = 50;

/// The caller's login: his own account can be reached by nothing else.
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

/// The keys that sign access tokens
///
/// For whoever checks tokens of this server (RFC 7517). Read it again when a token names a key that is not there.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "accounts", responses((status = 200, body = KeySet)))]
async fn key_set(State(identity): State<Identity>) -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=60")], Json(identity.0.signing.published())).into_response()
}

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
pub fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(key_set))
        .routes(routes!(mail))
        .routes(routes!(accounts::routes::register, accounts::routes::list))
        .routes(routes!(accounts::routes::verify))
        .routes(routes!(accounts::routes::forgot))
        .routes(routes!(accounts::routes::reset))
        .routes(routes!(accounts::routes::read))
        .routes(routes!(accounts::routes::activate))
        .routes(routes!(accounts::routes::ban))
        .routes(routes!(accounts::routes::unban))
        .routes(routes!(accounts::routes::read_own, accounts::routes::delete_own))
        .routes(routes!(accounts::routes::change_password))
        .routes(routes!(accounts::routes::change_email))
        .routes(routes!(accounts::routes::verify_email))
        .routes(routes!(accounts::routes::set_phone))
        .routes(routes!(accounts::routes::verify_phone))
        .routes(routes!(accounts::routes::customer_profile))
        .routes(routes!(accounts::routes::merchant_profile))
        .routes(routes!(accounts::routes::driver_profile))
        .routes(routes!(logins::routes::open))
        .routes(routes!(logins::routes::refresh))
        .routes(routes!(logins::routes::end))
        .routes(routes!(logins::routes::list_sessions, logins::routes::end_others))
        .routes(routes!(logins::routes::end_one))
        .routes(routes!(logins::routes::step_up))
        .routes(routes!(google::routes::begin_google))
        .routes(routes!(google::routes::returned_from_google))
        .routes(routes!(google::routes::confirm_google))
        .routes(routes!(google::routes::begin_link, google::routes::unlink_google))
        .routes(routes!(google::routes::confirm_link))
        .routes(routes!(second_factor::routes::offer, second_factor::routes::remove))
        .routes(routes!(second_factor::routes::confirm))
        .routes(routes!(second_factor::routes::recovery_codes))
        .routes(routes!(api_keys::routes::create_key, api_keys::routes::list_keys))
        .routes(routes!(api_keys::routes::revoke_key))
        .routes(routes!(audit::routes::list))
}
