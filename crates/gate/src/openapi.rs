//! The API document: generated from the routes, completed from the table of access.

mod limits;
mod postman;

use std::sync::LazyLock;

use posthaste_http::contract::{Access, Quota, Repeats, Routes, Rule, TakenCookie};
use posthaste_http::openapi::limits::FieldLimit;
use posthaste_http::openapi::{
    COOKIES, answers, components, examples, problems, requires_token, share_problems, takes_cookie, takes_nothing,
};
use posthaste_protocol::problem::Code;
use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{HttpMethod, Operation, ParameterIn};
use utoipa_axum::routes;

use crate::access::rule_of;
use crate::{AppState, asyncapi, duties, export, health, problems};

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
        (name = "drivers at work", description = "The REST twins of what a driver does over their socket."),
        (name = "zones", description = "Where the service is, and by which rules."),
        (name = "insight", description = "How deliveries went."),
        (name = "webhooks", description = "Merchants' programs are told of events: see `docs/webhooks.md`."),
        (name = "accounts", description = "Who may come in: accounts, sessions, second factor, keys."),
        (name = "sockets", description = "Live streams."),
        (name = "server", description = "The server itself."),
    )
)]
struct Frame;

/// Every route with its contract and its documentation, and with what it reaches, where that is there. A context's routes are
/// made for that context alone.
pub(crate) fn routes(app: Option<&AppState>) -> Routes<AppState> {
    Routes::with_openapi(Frame::openapi())
        .with([health::LIVE], routes!(health::live))
        .with([health::READY], routes!(health::ready))
        .with([health::VERSION], routes!(health::version))
        .with([asyncapi::READ], routes!(asyncapi::read))
        .with([asyncapi::SHOW], routes!(asyncapi::show))
        .with([problems::SHOW], routes!(problems::show))
        .with([duties::LIST], routes!(duties::list))
        .merge(posthaste_jobs::routes().given(app.map(|app| app.jobs().clone())))
        .merge(posthaste_dispatch_api::routes().given(app.map(|app| app.dispatch().clone())))
        .with([export::EXPORT], routes!(export::export))
        .merge(posthaste_webhooks::routes().given(app.map(|app| app.webhooks().clone())))
        .merge(posthaste_dispatch_api::sockets::routes().given(app.map(|app| app.dispatch().clone())))
        .merge(posthaste_identity::routes().given(app.map(|app| app.identity().clone())))
}

/// The document, and limits that were said of fields that are not there.
static DOCUMENT: LazyLock<(utoipa::openapi::OpenApi, Vec<FieldLimit>)> = LazyLock::new(|| {
    let mut document = routes(None).into_router().into_openapi();
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
            let Some(rule) = name.parse().ok().and_then(|method| rule_of(&method, path)) else { continue };
            problems(operation, &possible(operation, rule));
            answers(operation, rule.quota == Quota::Counted);
            operation.operation_id = operation.operation_id.take().map(|handler| operation_name(path, &handler));
            let roles: Vec<_> = match rule.access {
                Access::Roles(grants) => grants.iter().map(|(role, _)| role.name()).collect(),
                Access::Account(roles) => roles.iter().map(|role| role.name()).collect(),
                Access::Public | Access::Link => Vec::new(),
            };
            let [refresh, google] = COOKIES;
            match rule.cookie {
                Some(TakenCookie::Refresh) => takes_cookie(operation, refresh),
                Some(TakenCookie::Google) => takes_cookie(operation, google),
                None => {}
            }
            if rule.access.wants_token() {
                requires_token(operation);
                let before = operation.description.take().map_or_else(String::new, |text| format!("{text}\n\n"));
                let key = rule.key.map_or_else(String::new, |scope| format!(" Keys need `{}`.", scope.name()));
                let fresh = if rule.sensitive { " Signed in, with a proof of the last ten minutes." } else { "" };
                operation.description = Some(format!("{before}For: {}.{key}{fresh}", roles.join(", ")));
            } else {
                takes_nothing(operation);
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

/// The codes that an operation may answer with: those of its shape, of its access, and of what it does.
fn possible(operation: &Operation, rule: &Rule) -> Vec<Code> {
    let mut codes = vec![Code::Timeout, Code::HeadTooLarge, Code::Internal, Code::Unavailable];
    let mut when = |is_so: bool, those: &[Code]| codes.extend(those.iter().filter(|_| is_so));
    when(rule.quota == Quota::Counted, &[Code::RateLimited]);
    when(rule.access.wants_token(), &[Code::Unauthenticated, Code::TokenExpired, Code::LoginEnded, Code::Forbidden]);
    when(matches!(rule.access, Access::Roles(_)), &[Code::NotActivated]);
    when(rule.wants_second_factor_of_admins(), &[Code::SecondFactorMissing]);
    let given = operation.parameters.as_deref().unwrap_or_default();
    let given: Vec<_> = given.iter().filter_map(|p| if let RefOr::T(p) = p { Some(p) } else { None }).collect();
    let asks = given.iter().any(|p| matches!(p.parameter_in, ParameterIn::Query));
    when(asks || rule.socket, &[Code::Malformed, Code::Invalid]);
    when(rule.socket, &[Code::UpgradeRequired]);
    let has_key = given.iter().any(|p| p.name == "Idempotency-Key");
    when(has_key, &[Code::Invalid]);
    when(has_key && rule.repeats == Repeats::Request, &[Code::IdempotencyRunning, Code::IdempotencyMismatch]);
    when(rule.path.contains('{'), &[Code::Malformed, Code::NotFound]);
    let has_body = operation.request_body.is_some();
    when(has_body, &[Code::Malformed, Code::TooLarge, Code::UnsupportedMediaType, Code::Invalid]);
    when(true, rule.codes);
    when(rule.sensitive, &[Code::StepUpRequired]);
    when(rule.key.is_some(), &[Code::ScopeRequired]);
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handler_has_its_contract_and_no_route_is_there_twice() {
        assert_eq!(routes(None).faults(), [""; 0]);
    }

    #[test]
    fn every_limit_is_one_of_a_field() {
        let homeless: Vec<_> = DOCUMENT.1.iter().map(|(schema, field, _)| format!("{schema}.{field}")).collect();
        assert!(homeless.is_empty(), "no such fields: {homeless:?}");
    }
}
