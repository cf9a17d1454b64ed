//! What every operation of the API document has in common: problems and the security scheme.

use posthaste_protocol::problem::{Code, Problem};
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

use crate::problem::PROBLEM_JSON;

/// Name of the security scheme in the document.
pub const BEARER: &str = "bearer";

/// Adds the security scheme and the schema of problems.
pub fn components(document: &mut OpenApi) {
    let parts = document.components.get_or_insert_with(Components::new);
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A token of this server, as `posthaste token` makes them."))
        .build();
    parts.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    let mut schemas = vec![("Problem".to_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    for (name, schema) in schemas {
        parts.schemas.entry(name).or_insert(schema);
    }
}

/// Says that the operation needs a token.
pub fn requires_token(operation: &mut Operation) {
    operation.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
}

/// Adds an answer for each status among `codes`, with an example problem and the codes that come with it.
pub fn problems(operation: &mut Operation, codes: &[Code]) {
    let mut statuses: Vec<u16> = codes.iter().map(|c| c.status()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    for status in statuses {
        let with: Vec<Code> = codes.iter().copied().filter(|c| c.status() == status).collect();
        let description = with.iter().map(|c| format!("`{}`: {}", c.name(), c.title())).collect::<Vec<_>>().join(". ");
        let example = with.first().and_then(|c| serde_json::to_value(Problem::new(*c)).ok());
        let content =
            ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name("Problem")))).example(example).build();
        let response = ResponseBuilder::new().description(description).content(PROBLEM_JSON, content).build();
        operation.responses.responses.entry(status.to_string()).or_insert(RefOr::T(response));
    }
}
