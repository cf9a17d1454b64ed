//! What every operation of the API document has in common: problems and the security scheme.

pub mod examples;
pub mod limits;

use std::collections::BTreeMap;

use posthaste_protocol::problem::{Code, Problem};
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};

use crate::auth::{GOOGLE_COOKIE, REFRESH_COOKIE};
use crate::problem::PROBLEM_JSON;

/// Name of the security scheme in the document.
pub const BEARER: &str = "bearer";
/// Names of the security schemes of cookies in the document: that of refresh tokens, and that of a sign-in with Google.
pub const COOKIES: [&str; 2] = ["refresh_cookie", "google_cookie"];

/// Adds the security scheme and the schema of problems.
pub fn components(document: &mut OpenApi) {
    let parts = document.components.get_or_insert_with(Components::new);
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The access token of a login (`POST /v1/sessions`), or a merchant's key (`ph_live_…`) where the route takes one."))
        .build();
    parts.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    let [refresh, google] = COOKIES;
    let cookies = [
        (
            refresh,
            REFRESH_COOKIE,
            "The refresh token of a login in a browser, set by `POST /v1/sessions`: only for `/v1/sessions/refresh` and \
             `/v1/sessions/end`. Native apps send it in the body instead.",
        ),
        (
            google,
            GOOGLE_COOKIE,
            "Says that the browser is the one that began to sign in with Google. Apps have a secret.",
        ),
    ];
    for (scheme, name, description) in cookies {
        let cookie = ApiKeyValue::with_description(name, description);
        parts.add_security_scheme(scheme, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
    for (name, kind, description, example) in HEADERS {
        let schema = ObjectBuilder::new().schema_type(kind.clone()).build();
        let example = match kind {
            Type::Integer => example.parse::<u64>().ok().map(Into::into),
            _ => Some((*example).into()),
        };
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(*description)).example(example);
        parts.headers.insert((*name).to_owned(), RefOr::T(header.build()));
    }
    let mut schemas = vec![("Problem".to_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    for (name, schema) in schemas {
        parts.schemas.entry(name).or_insert(schema);
    }
}

/// Headers of answers: name, kind, what it says, an example.
const HEADERS: &[(&str, Type, &str, &str)] = &[
    (
        "x-request-id",
        Type::String,
        "The request's id: the caller's own where it sent a sound one. It finds the request in the log.",
        "req_5f3a9c0e7d1b24680000002a",
    ),
    (
        "traceparent",
        Type::String,
        "W3C Trace Context: the trace of the request, the caller's where it sent one, and the step of it that this was; the last digit says whether it is recorded.",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    ),
    (
        "RateLimit-Policy",
        Type::String,
        "The quota that the request was counted against: of the `caller`, or without an accepted token of the `address`; `q` requests in `w` seconds. Not sent where no limit is set.",
        "\"caller\";q=12000;w=60",
    ),
    (
        "RateLimit",
        Type::String,
        "What is left of it: `r` requests now, and the whole quota again in `t` seconds.",
        "\"caller\";r=11999;t=1",
    ),
    ("Retry-After", Type::Integer, "After how many seconds to try again.", "1"),
];

/// Adds to every answer the headers that it comes with, and a description where it has none. Limited: how its caller
/// stands is told.
pub fn answers(operation: &mut Operation, is_limited: bool) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            response.description = in_words(status).to_owned();
        }
        let mut add = |name: &str| {
            let header = RefOr::Ref(Ref::new(format!("#/components/headers/{name}")));
            response.headers.entry(name.to_owned()).or_insert(header);
        };
        add("x-request-id");
        add("traceparent");
        if is_limited {
            add("RateLimit-Policy");
            add("RateLimit");
        }
        match status.as_str() {
            "408" | "429" | "503" => add("Retry-After"),
            _ => {}
        }
    }
}

/// Writes each problem that several operations answer with once, under a name made of its codes.
pub fn share_problems(document: &mut OpenApi) {
    let mut shared: BTreeMap<String, RefOr<Response>> = BTreeMap::new();
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            for response in operation.responses.responses.values_mut() {
                let RefOr::T(problem) = response else { continue };
                if !problem.content.contains_key(PROBLEM_JSON) {
                    continue;
                }
                let codes: Vec<_> = problem.description.split('`').skip(1).step_by(2).collect();
                let names = [codes.join("."), format!("{}.unlimited", codes.join("."))];
                let name = names.into_iter().find(|name| shared.get(name).is_none_or(|there| there == response));
                if let Some(name) = name {
                    let reference = RefOr::Ref(Ref::new(format!("#/components/responses/{name}")));
                    shared.insert(name, std::mem::replace(response, reference));
                }
            }
        }
    }
    document.components.get_or_insert_with(Components::new).responses.extend(shared);
}

/// What a status means where nothing more is to be said.
fn in_words(status: &str) -> &'static str {
    match status {
        "200" => "What was asked for.",
        "201" => "It was made.",
        "202" => "It was taken.",
        "204" => "It was done.",
        _ => "The answer.",
    }
}

/// Says that the operation needs a token.
pub fn requires_token(operation: &mut Operation) {
    operation.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
}

/// Says that the operation is for everybody, unless it takes a cookie.
pub fn takes_nothing(operation: &mut Operation) {
    operation.security.get_or_insert_default();
}

/// Says that the operation takes a cookie, of this security scheme, or the same in the body.
pub fn takes_cookie(operation: &mut Operation, scheme: &str) {
    let without = SecurityRequirement::default();
    operation.security = Some(vec![SecurityRequirement::new(scheme, Vec::<String>::new()), without]);
}

/// Adds an answer for each status among `codes`, with an example problem and the codes that come with it.
pub fn problems(operation: &mut Operation, codes: &[Code]) {
    let mut statuses: Vec<u16> = codes.iter().map(|c| c.status()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    for status in statuses {
        let mut with: Vec<Code> = Vec::new();
        for code in codes.iter().copied().filter(|code| code.status() == status) {
            if !with.contains(&code) {
                with.push(code);
            }
        }
        let description = with.iter().map(|c| format!("`{}`: {}", c.name(), c.title())).collect::<Vec<_>>().join(". ");
        let example = with.first().and_then(|c| serde_json::to_value(Problem::new(*c)).ok());
        let content =
            ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name("Problem")))).example(example).build();
        let response = ResponseBuilder::new().description(description).content(PROBLEM_JSON, content).build();
        operation.responses.responses.entry(status.to_string()).or_insert(RefOr::T(response));
    }
}
