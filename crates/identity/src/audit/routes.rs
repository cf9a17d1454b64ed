//! Reading the audit log.

use axum::Json;
use axum::extract::State;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::Id;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::Query;
use posthaste_http::pages::{self, Cursor};
use posthaste_http::problem::Answer;
use posthaste_protocol::accounts::AuditEntryView;
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::FieldError;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::Identity;
use crate::audit::LONGEST_SUBJECT;
use crate::refused::Refused;

/// Which entries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// On whom or what, as in `acc_…`.
    subject: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on the page, 1 to 100; 20 where absent.
    #[param(example = "20")]
    limit: Option<String>,
}

pub(crate) const LIST: Rule = Rule::get("/v1/audit", Access::ADMIN).reads_persons();

/// Read the audit log
///
/// Administrative and security acts, newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "accounts", params(Asked),
    responses((status = 200, body = Page<AuditEntryView>)))]
pub(crate) async fn list(
    State(identity): State<Identity>,
    Query(asked): Query<Asked>,
) -> Answer<Json<Page<AuditEntryView>>> {
    let mut errors = Vec::new();
    let limit = pages::limit(asked.limit.as_deref(), &mut errors);
    let cursor = pages::cursor(asked.cursor.as_deref(), &mut errors);
    if asked.subject.as_ref().is_some_and(|subject| subject.chars().count() > LONGEST_SUBJECT) {
        let problem = format!("longer than {LONGEST_SUBJECT} characters");
        errors.push(FieldError { field: "subject".to_owned(), problem });
    }
    if !errors.is_empty() {
        return Err(Refused::Invalid(errors).into());
    }
    let before = cursor.map_or((end_of_time(), Uuid::max()), |cursor| (cursor.at, cursor.id));
    let entries = super::store::list(identity.pool(), asked.subject.as_deref(), before, i64::from(limit) + 1)
        .await
        .map_err(Refused::from)?;
    let (items, next_cursor) = pages::cut(entries, limit, |entry| Cursor { at: entry.at, id: entry.id.uuid() });
    Ok(Json(Page { items, next_cursor }))
}

/// Later than anything, and still an instant that Postgres knows.
pub(crate) fn end_of_time() -> Timestamp {
    Timestamp::from_timestamp(253_402_300_799, 0).unwrap_or(Timestamp::UNIX_EPOCH)
}
