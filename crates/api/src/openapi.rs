//! The API document: generated from the routes, completed from the table of access.

mod limits;
mod postman;

pub(crate) use self::limits::of_messages as limits_of_messages;

use std::sync::LazyLock;

use posthaste_http::openapi::limits::FieldLimit;
use posthaste_http::openapi::{
    COOKIES, answers, components, examples, problems, requires_token, share_problems, takes_cookie, takes_nothing,
};
use posthaste_protocol::problem::Code;
use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{HttpMethod, Operation, ParameterIn};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Access, Rule};
use crate::{
    AppState, assignments, asyncapi, clock, drivers, export, health, insight, orders, problems, shadow, sockets,
    tracking, zones,
};

/// What the document says about the whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "posthaste",
        description = "Real-time delivery dispatch. Errors are RFC 9457 problems with stable codes, whose `type` leads to a page \
                       that says what to do; times are RFC 3339 and in requests of the years 2000 to 2200, money is minor units with a currency, \
                       coordinates are `lat` and `lng` in degrees. The sockets have a document of their own: \
                       [`/asyncapi.json`](/asyncapi.json), and [`/docs/sockets`](/docs/sockets) to look at."
    ),
    servers(
        (url = "/", description = "Where this document was read."),
        (url = "http://{host}", description = "Wherever a server runs.",
            variables(("host" = (default = "127.0.0.1:8080", description = "Host and port.")))),
    ),
    tags(
        (name = "orders", description = "What a customer receives at one door."),
        (name = "assignments", description = "Orders given and taken by hand."),
        (name = "tracking", description = "One order, for the holder of its link."),
        (name = "drivers", description = "Who carries."),
        (name = "drivers at work", description = "The REST twins of what a driver does over his socket."),
        (name = "zones", description = "Where the service is, and by which rules."),
        (name = "insight", description = "How deliveries went."),
        (name = "webhooks", description = "Merchants' programs are told of events: see `docs/webhooks.md`."),
        (name = "accounts", description = "Who may come in: accounts, sessions, second factor, keys."),
        (name = "sockets", description = "Live streams."),
        (name = "server", description = "The server itself."),
    )
)]
struct Frame;

/// Every route with its documentation.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Frame::openapi())
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::version))
        .routes(routes!(asyncapi::read))
        .routes(routes!(asyncapi::show))
        .routes(routes!(problems::show))
        .routes(routes!(clock::read))
        .routes(routes!(orders::place, orders::list))
        .routes(routes!(orders::read))
        .routes(routes!(orders::cancel))
        .routes(routes!(orders::confirm))
        .routes(routes!(orders::reject))
        .routes(routes!(orders::timeline))
        .routes(routes!(orders::decision))
        .routes(routes!(orders::tracking_link))
        .routes(routes!(orders::unlock_code))
        .routes(routes!(assignments::assign))
        .routes(routes!(assignments::unassign))
        .routes(routes!(assignments::prioritise))
        .routes(routes!(tracking::read))
        .routes(routes!(drivers::create, drivers::list))
        .routes(routes!(drivers::read))
        .routes(routes!(drivers::work::shift))
        .routes(routes!(drivers::roster::plan_shift, drivers::roster::planned_shifts))
        .routes(routes!(drivers::roster::drop_shift))
        .routes(routes!(drivers::work::route))
        .routes(routes!(drivers::work::choose_next, drivers::work::undo_next))
        .routes(routes!(drivers::positions::report))
        .routes(routes!(drivers::positions::heartbeat))
        .routes(routes!(drivers::work::accept))
        .routes(routes!(drivers::work::decline))
        .routes(routes!(drivers::work::departed))
        .routes(routes!(drivers::work::arrived))
        .routes(routes!(drivers::work::picked_up))
        .routes(routes!(drivers::work::delivered))
        .routes(routes!(drivers::work::returned))
        .routes(routes!(drivers::work::failed))
        .routes(routes!(zones::create, zones::list))
        .routes(routes!(zones::read, zones::replace, zones::remove))
        .routes(routes!(zones::board))
        .routes(routes!(shadow::compare))
        .routes(routes!(shadow::plans))
        .routes(routes!(insight::performance))
        .routes(routes!(insight::times))
        .routes(routes!(export::export))
        .merge(posthaste_webhooks::routes())
        .routes(routes!(sockets::driver))
        .routes(routes!(sockets::merchant))
        .routes(routes!(sockets::operations))
        .routes(routes!(sockets::track))
        .merge(posthaste_identity::routes())
}

/// The document, and limits that were said of fields that are not there.
static DOCUMENT: LazyLock<(utoipa::openapi::OpenApi, Vec<FieldLimit>)> = LazyLock::new(|| {
    let mut document = routes().into_openapi();
    let homeless = complete(&mut document);
    (document, homeless)
});

/// The document of the API.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    DOCUMENT.0.clone()
}

/// The document as a collection for Postman.
#[must_use]
pub fn postman() -> serde_json::Value {
    postman::collection(&serde_json::to_value(&DOCUMENT.0).unwrap_or_default())
}

/// The operations of a path item with their methods.
fn operations(item: &mut utoipa::openapi::PathItem) -> Vec<(HttpMethod, &mut Operation)> {
    let all = [
        (HttpMethod::Get, &mut item.get),
        (HttpMethod::Put, &mut item.put),
        (HttpMethod::Post, &mut item.post),
        (HttpMethod::Delete, &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| operation.as_mut().map(|o| (method, o))).collect()
}

/// Adds to every operation what follows from its shape and from who may use it, and the limits of every field. Returns
/// those whose field is not there.
fn complete(document: &mut utoipa::openapi::OpenApi) -> Vec<FieldLimit> {
    components(document);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let name = match method {
                HttpMethod::Get => "GET",
                HttpMethod::Put => "PUT",
                HttpMethod::Post => "POST",
                _ => "DELETE",
            };
            let rule = name.parse().ok().and_then(|method| Rule::of(&method, path));
            let access = rule.map_or(Access::Roles(&[]), |rule| rule.access);
            let is_sensitive = rule.is_some_and(|rule| rule.sensitive);
            let is_limited = !path.starts_with("/health/");
            let mut codes = possible(path, name, operation, rule);
            codes.extend(is_sensitive.then_some(Code::StepUpRequired));
            codes.extend(rule.and_then(|rule| rule.key).map(|_| Code::ScopeRequired));
            problems(operation, &codes);
            answers(operation, is_limited);
            operation.operation_id = operation.operation_id.take().map(|handler| operation_name(path, &handler));
            let roles: Vec<_> = match access {
                Access::Roles(grants) => grants.iter().map(|(role, _)| role.name()).collect(),
                Access::Account(roles) => roles.iter().map(|role| role.name()).collect(),
                Access::Public | Access::Link => Vec::new(),
            };
            let [refresh, google] = COOKIES;
            match path.as_str() {
                "/v1/sessions/refresh" | "/v1/sessions/end" => takes_cookie(operation, refresh),
                "/v1/sessions/google/callback" | "/v1/sessions/google/confirm" => takes_cookie(operation, google),
                _ => {}
            }
            if matches!(access, Access::Public | Access::Link) {
                takes_nothing(operation);
            } else {
                requires_token(operation);
                let before = operation.description.take().map_or_else(String::new, |text| format!("{text}\n\n"));
                let key = rule.and_then(|rule| rule.key);
                let key = key.map_or_else(String::new, |scope| format!(" Keys need `{}`.", scope.name()));
                let fresh = if is_sensitive { " Signed in, with a proof of the last ten minutes." } else { "" };
                operation.description = Some(format!("{before}For: {}.{key}{fresh}", roles.join(", ")));
            }
        }
    }
    let homeless = posthaste_http::openapi::limits::write(document, &limits::all());
    examples::write(document);
    share_problems(document);
    homeless
}

/// The noun of the path and the handler's name: unique, and good names for generated clients.
fn operation_name(path: &str, handler: &str) -> String {
    let noun = path.trim_start_matches("/v1").split('/').find(|part| !part.is_empty()).unwrap_or_default();
    let noun = noun.trim_start_matches('.').trim_end_matches(".json").replace(['-', '.'], "_");
    format!("{noun}_{handler}")
}

/// The codes that an operation may answer with.
fn possible(path: &str, method: &str, operation: &Operation, rule: Option<&Rule>) -> Vec<Code> {
    let access = rule.map_or(Access::Roles(&[]), |rule| rule.access);
    let mut codes = vec![Code::Timeout, Code::HeadTooLarge, Code::Internal, Code::Unavailable];
    if !path.starts_with("/health/") {
        codes.push(Code::RateLimited);
    }
    if let Access::Roles(_) | Access::Account(_) = access {
        codes.extend([Code::Unauthenticated, Code::TokenExpired, Code::LoginEnded, Code::Forbidden]);
    }
    if let Access::Roles(_) = access {
        codes.push(Code::NotActivated);
    }
    if rule.is_some_and(|rule| rule.wants_second_factor_of_admins()) {
        codes.push(Code::SecondFactorMissing);
    }
    let given = operation.parameters.as_deref().unwrap_or_default();
    let given: Vec<_> = given.iter().filter_map(|p| if let RefOr::T(p) = p { Some(p) } else { None }).collect();
    if given.iter().any(|p| matches!(p.parameter_in, ParameterIn::Query)) || path.starts_with("/v1/ws/") {
        codes.extend([Code::Malformed, Code::Invalid]);
    }
    if path.starts_with("/v1/ws/") {
        codes.push(Code::UpgradeRequired);
    }
    if given.iter().any(|p| p.name == "Idempotency-Key") {
        codes.push(Code::Invalid);
        // What drivers do at work takes the id of a command there, which may come again however it likes.
        if operation.tags.as_deref().unwrap_or_default() != ["drivers at work"] {
            codes.extend([Code::IdempotencyRunning, Code::IdempotencyMismatch]);
        }
    }
    if path.contains('{') {
        codes.extend([Code::Malformed, Code::NotFound]);
    }
    if ["/v1/ws/driver", "/v1/insight/times"].contains(&path) {
        codes.push(Code::NotFound);
    }
    if operation.request_body.is_some() {
        codes.extend([Code::Malformed, Code::TooLarge, Code::UnsupportedMediaType, Code::Invalid]);
    }
    codes.extend_from_slice(conflicts(path, method));
    codes
}

/// Codes that belong to what a route does.
fn conflicts(path: &str, method: &str) -> &'static [Code] {
    let last = path.rsplit('/').next().unwrap_or_default();
    match (method, last) {
        ("POST", "orders") => &[Code::OutsideServiceArea],
        ("POST", "endpoints" | "test" | "resume") => &[Code::Conflict],
        ("POST" | "PUT", "zones") => &[Code::Conflict],
        ("PUT" | "DELETE", "{id}") => &[Code::Conflict],
        ("POST", "shifts") => &[Code::Conflict],
        ("POST", "cancel") => &[Code::OrderEnded, Code::GoodsOnBoard],
        ("POST", "confirm" | "reject" | "unlock-code") if path.starts_with("/v1/orders/") => {
            &[Code::Conflict, Code::OrderEnded]
        }
        ("POST", "assign") => &[Code::Conflict, Code::OrderEnded, Code::DriverBusy, Code::GoodsOnBoard],
        ("POST", "unassign") => &[Code::Conflict, Code::OrderEnded, Code::GoodsOnBoard],
        ("PUT", "priority") => &[Code::OrderEnded],
        ("PUT", "shift") => &[Code::Conflict],
        ("PUT" | "DELETE", "next") => &[Code::Conflict, Code::OrderEnded],
        ("POST", "accept") => &[Code::OfferGone, Code::DriverBusy, Code::OrderEnded],
        ("POST", "decline") => &[Code::OfferGone],
        ("POST", "departed" | "arrived" | "failed") => &[Code::Conflict, Code::OrderEnded],
        ("POST", "picked_up" | "delivered" | "returned") => {
            &[Code::Conflict, Code::OrderEnded, Code::CodeRequired, Code::WrongCode, Code::CodeLocked]
        }
        _ => accounts(path, method),
    }
}

/// The same for accounts.
fn accounts(path: &str, method: &str) -> &'static [Code] {
    match (method, path) {
        ("GET", "/dev/mail") => &[Code::NotFound],
        ("POST", "/v1/accounts" | "/v1/password/forgot") => &[Code::RateLimited],
        ("POST", "/v1/accounts/verify" | "/v1/password/reset") => &[Code::NotFound, Code::WrongCode, Code::Conflict],
        ("POST", "/v1/sessions") => &[
            Code::WrongCredentials,
            Code::SecondFactorRequired,
            Code::WrongCode,
            Code::Banned,
            Code::RateLimited,
            Code::Forbidden,
        ],
        ("POST", "/v1/sessions/refresh") => &[Code::LoginEnded, Code::Banned, Code::Forbidden],
        ("POST", "/v1/sessions/end") => &[Code::Forbidden],
        ("POST", "/v1/account/password" | "/v1/account/email" | "/v1/account/phone") => {
            &[Code::WrongCredentials, Code::StepUpRequired, Code::Conflict, Code::RateLimited]
        }
        ("POST", "/v1/account/email/verify" | "/v1/account/phone/verify") => {
            &[Code::NotFound, Code::WrongCode, Code::Conflict]
        }
        ("POST", "/v1/account/step-up") => {
            &[Code::WrongCredentials, Code::SecondFactorRequired, Code::WrongCode, Code::Conflict, Code::RateLimited]
        }
        ("PUT", _) if path.starts_with("/v1/account/profile/") => &[Code::Conflict],
        ("POST", "/v1/account/second-factor/confirm") => {
            &[Code::StepUpRequired, Code::Conflict, Code::WrongCode, Code::RateLimited]
        }
        ("POST", "/v1/account/second-factor") => {
            &[Code::StepUpRequired, Code::Conflict, Code::WrongCredentials, Code::RateLimited]
        }
        ("POST", "/v1/account/recovery-codes") => {
            &[Code::StepUpRequired, Code::WrongCredentials, Code::Conflict, Code::RateLimited]
        }
        ("POST", "/v1/account/keys") => &[Code::StepUpRequired, Code::Conflict],
        ("DELETE", "/v1/account") => {
            &[Code::StepUpRequired, Code::WrongCredentials, Code::Conflict, Code::Banned, Code::RateLimited]
        }
        ("GET", "/v1/account/export") => &[Code::StepUpRequired],
        ("DELETE", "/v1/account/second-factor") => {
            &[Code::StepUpRequired, Code::WrongCredentials, Code::Conflict, Code::RateLimited]
        }
        ("POST", "/v1/sessions/google") => &[Code::NotFound],
        ("GET", "/v1/sessions/google/callback") => &[Code::SignInFailed, Code::NotFound],
        ("POST", "/v1/sessions/google/confirm") => &[
            Code::SignInFailed,
            Code::SecondFactorRequired,
            Code::WrongCode,
            Code::Banned,
            Code::NotFound,
            Code::LinkRequired,
        ],
        ("POST", "/v1/account/google") => {
            &[Code::StepUpRequired, Code::WrongCredentials, Code::RateLimited, Code::NotFound]
        }
        ("POST", "/v1/account/google/confirm") => &[Code::SignInFailed, Code::Banned, Code::NotFound, Code::Conflict],
        ("DELETE", "/v1/account/google") => {
            &[Code::StepUpRequired, Code::WrongCredentials, Code::Conflict, Code::RateLimited]
        }
        ("POST", "/v1/accounts/{id}/activate" | "/v1/accounts/{id}/ban") => &[Code::StepUpRequired, Code::Conflict],
        ("POST", "/v1/accounts/{id}/unban") => &[Code::StepUpRequired],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_one_of_a_field() {
        let homeless: Vec<_> = DOCUMENT.1.iter().map(|(schema, field, _)| format!("{schema}.{field}")).collect();
        assert!(homeless.is_empty(), "no such fields: {homeless:?}");
    }
}
