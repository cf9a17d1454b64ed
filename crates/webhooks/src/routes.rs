//! Every route of webhooks, for the router of the gate, which also says who may use which.

use axum::Json;
use posthaste_http::auth::KeyScope;
use posthaste_http::contract::{Access, Routes, Rule};
use posthaste_http::problem::Answer;
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::FieldError;
use posthaste_protocol::webhooks::EventType;
use utoipa_axum::routes;

use crate::{Refused, Webhooks, endpoints, messages, types};

/// All fields are right, or the problem that names those that are not.
pub(crate) fn all_right(wrong: Vec<FieldError>) -> Result<(), Refused> {
    if wrong.is_empty() { Ok(()) } else { Err(Refused::Invalid(wrong)) }
}

const TYPES: Rule = Rule::get("/v1/webhooks/types", Access::ADMIN_OR_OWNER).key(KeyScope::WebhooksRead);

/// Types of events
///
/// What endpoints may choose, on one page. New ones are added; those that are there stay.
#[utoipa::path(get, path = "/v1/webhooks/types", tag = "webhooks",
    responses((status = 200, body = Page<EventType>)))]
async fn types() -> Answer<Json<Page<EventType>>> {
    Ok(Json(Page { items: types::all(), next_cursor: None }))
}

/// The routes.
pub fn routes() -> Routes<Webhooks> {
    Routes::default()
        .with([TYPES], routes!(types))
        .with(
            [endpoints::routes::CREATE_ENDPOINT, endpoints::routes::LIST_ENDPOINTS],
            routes!(endpoints::routes::create_endpoint, endpoints::routes::list_endpoints),
        )
        .with(
            [endpoints::routes::READ_ENDPOINT, endpoints::routes::REPLACE_ENDPOINT, endpoints::routes::DELETE_ENDPOINT],
            routes!(
                endpoints::routes::read_endpoint,
                endpoints::routes::replace_endpoint,
                endpoints::routes::delete_endpoint
            ),
        )
        .with([endpoints::routes::ROTATE_SECRET], routes!(endpoints::routes::rotate_secret))
        .with([endpoints::routes::RESUME_ENDPOINT], routes!(endpoints::routes::resume_endpoint))
        .with([messages::routes::SEND_TEST], routes!(messages::routes::send_test))
        .with([messages::routes::LIST_MESSAGES], routes!(messages::routes::list_messages))
        .with([messages::routes::REPLAY_MESSAGES], routes!(messages::routes::replay_messages))
        .with([messages::routes::READ_MESSAGE], routes!(messages::routes::read_message))
        .with([messages::routes::REPLAY_MESSAGE], routes!(messages::routes::replay_message))
}
