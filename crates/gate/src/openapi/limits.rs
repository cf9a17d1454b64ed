//! What the document says that fields may hold: what all contexts share, and their own lists.

use posthaste_http::openapi::limits::{FieldLimit, Limit, names};
use posthaste_http::{idempotency, pages};
use posthaste_protocol::problem;

const SHARED: &[FieldLimit] = &[
    ("header", "Idempotency-Key", Limit::Form(idempotency::FORM)),
    ("path", "code", Limit::OneOf(|| names(problem::Code::ALL))),
    ("query", "cursor", Limit::Form(pages::FORM_OF_CURSORS)),
    ("query", "limit", Limit::Whole(1, pages::MOST as i64)),
];

/// Every limit of the API.
pub(super) fn all() -> Vec<FieldLimit> {
    let dispatch = posthaste_dispatch_api::LIMITS.as_slice();
    [SHARED, dispatch, posthaste_webhooks::LIMITS, posthaste_jobs::LIMITS, posthaste_identity::LIMITS].concat()
}
