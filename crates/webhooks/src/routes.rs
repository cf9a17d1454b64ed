//! Every route of webhooks, for the router of the api crate, which also says who may use which.

use axum::Json;
use axum::extract::FromRef;
use posthaste_http::problem::Answer;
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::FieldError;
use posthaste_protocol::webhooks::EventType;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{Refused, Webhooks, endpoints, messages, types};

/// All fields are right, or the problem that names those that are not.
pub(crate) fn all_right(wrong: Vec<FieldError>) -> Result<(), Refused> {
    if wrong.is_empty() { Ok(()) } else { Err(Refused::Invalid(wrong)) }
}

/// Types of events
///
/// What endpoints may choose, on one page. New ones are added; those that are there stay.
#[utoipa::path(get, path = "/v1/webhooks/types", tag = "webhooks",
    responses((status = 200, body = Page<EventType>)))]
async fn types() -> Answer<Json<Page<EventType>>> {
    Ok(Json(Page { items: types::all(), next_cursor: None }))
}

/// The routes.
pub fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Webhooks: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(types))
        .routes(routes!(endpoints::routes::create_endpoint, endpoints::routes::list_endpoints))
        .routes(routes!(
            endpoints::routes::read_endpoint,
            endpoints::routes::replace_endpoint,
            endpoints::routes::delete_endpoint
        ))
        .routes(routes!(endpoints::routes::rotate_secret))
        .routes(routes!(endpoints::routes::resume_endpoint))
        .routes(routes!(messages::routes::send_test))
        .routes(routes!(messages::routes::list_messages))
        .routes(routes!(messages::routes::replay_messages))
        .routes(routes!(messages::routes::read_message))
        .routes(routes!(messages::routes::replay_message))
}
