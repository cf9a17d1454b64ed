//! The routes of jobs, for whoever is on call.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use posthaste_domain::ids::{Id, JobId};
use posthaste_http::auth::Caller;
use posthaste_http::contract::{Access, Routes, Rule};
use posthaste_http::extract::{Path, Query};
use posthaste_http::openapi::limits::{FieldLimit, Limit};
use posthaste_http::pages::{self, Cursor};
use posthaste_http::problem::Answer;
use posthaste_protocol::jobs::{JobKindView, JobView};
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::{Code, FieldError};
use posthaste_protocol::words;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::dead::STATES;
use crate::put::MOST_NAME;
use crate::{Jobs, Refused};

/// The limits of jobs.
pub const LIMITS: &[FieldLimit] = &[("query", "kind", Limit::Characters(0, MOST_NAME))];

/// Which jobs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// Of this kind. All where absent.
    #[param(example = "email")]
    kind: Option<String>,
    /// Of this state. All where absent.
    #[param(value_type = Option<words::JobState>, example = "dead")]
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on the page, 1 to 100.
    #[param(value_type = Option<u32>, example = 20)]
    limit: Option<String>,
}

pub(crate) const LIST: Rule = Rule::get("/v1/jobs", Access::ADMIN);

/// Jobs
///
/// What is to be done later, is being done, or ended and is still kept; newest first. What is in them is not shown.
#[utoipa::path(get, path = "/v1/jobs", tag = "server", params(Listed), responses((status = 200, body = Page<JobView>)))]
pub(crate) async fn list_jobs(
    State(jobs): State<Jobs>,
    _: Caller,
    Query(listed): Query<Listed>,
) -> Answer<Json<Page<JobView>>> {
    let mut wrong = Vec::new();
    let mut say = |field: &str, problem: String| wrong.push(FieldError { field: field.to_owned(), problem });
    if listed.state.as_deref().is_some_and(|state| !STATES.contains(&state)) {
        say("state", format!("must be one of {}", STATES.join(", ")));
    }
    if listed.kind.as_deref().is_some_and(|kind| kind.chars().count() > MOST_NAME) {
        say("kind", format!("has at most {MOST_NAME} characters"));
    }
    let limit = pages::limit(listed.limit.as_deref(), &mut wrong);
    let cursor = pages::cursor(listed.cursor.as_deref(), &mut wrong);
    if !wrong.is_empty() {
        return Err(Refused::Invalid(wrong).into());
    }
    let before = cursor.map(|cursor| cursor.id);
    let found = jobs.list(listed.kind.as_deref(), listed.state.as_deref(), before, limit + 1).await;
    let place = |job: &JobView| Cursor { at: job.created_at, id: job.id.uuid() };
    let (items, next_cursor) = pages::cut(found.map_err(Refused::from)?, limit, place);
    Ok(Json(Page { items, next_cursor }))
}

pub(crate) const KINDS: Rule = Rule::get("/v1/jobs/kinds", Access::ADMIN);

/// How each kind stands
///
/// How many jobs of it wait, run or are dead, since when the longest due one could have begun, and when the next is put where it
/// is done again and again. On one page.
#[utoipa::path(get, path = "/v1/jobs/kinds", tag = "server", responses((status = 200, body = Page<JobKindView>)))]
pub(crate) async fn job_kinds(State(jobs): State<Jobs>, _: Caller) -> Answer<Json<Page<JobKindView>>> {
    let standings = jobs.standings().await.map_err(Refused::from)?;
    Ok(Json(Page { items: standings.into_iter().map(Into::into).collect(), next_cursor: None }))
}

pub(crate) const READ: Rule = Rule::get("/v1/jobs/{id}", Access::ADMIN);

/// One job
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "server",
    params(("id" = String, Path, description = "The job.", example = "job_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 200, body = JobView)))]
pub(crate) async fn read_job(State(jobs): State<Jobs>, _: Caller, Path(id): Path<JobId>) -> Answer<Json<JobView>> {
    Ok(Json(jobs.get(id).await?))
}

pub(crate) const RETRY: Rule = Rule::post("/v1/jobs/{id}/retry", Access::ADMIN).codes(&[Code::Conflict]);

/// Try a dead job again
///
/// At once, and from the beginning of its schedule. Not where its contents are gone, as with emails and texts
/// (`can_be_retried`).
#[utoipa::path(post, path = "/v1/jobs/{id}/retry", tag = "server",
    params(("id" = String, Path, description = "The job.", example = "job_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 202, body = JobView)))]
pub(crate) async fn retry_job(
    State(jobs): State<Jobs>,
    _: Caller,
    Path(id): Path<JobId>,
) -> Answer<(StatusCode, Json<JobView>)> {
    Ok((StatusCode::ACCEPTED, Json(jobs.retry(id).await?)))
}

pub(crate) const DROP: Rule = Rule::delete("/v1/jobs/{id}", Access::ADMIN).codes(&[Code::Conflict]);

/// Drop a dead job
///
/// It is not tried again, and nothing of it is kept.
#[utoipa::path(delete, path = "/v1/jobs/{id}", tag = "server",
    params(("id" = String, Path, description = "The job.", example = "job_01jd8v7cjxfm9sxv0q3e0b5z1c")),
    responses((status = 204)))]
pub(crate) async fn drop_job(State(jobs): State<Jobs>, _: Caller, Path(id): Path<JobId>) -> Answer<StatusCode> {
    jobs.drop_dead(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The routes.
pub fn routes() -> Routes<Jobs> {
    Routes::default()
        .with([LIST], routes!(list_jobs))
        .with([KINDS], routes!(job_kinds))
        .with([READ, DROP], routes!(read_job, drop_job))
        .with([RETRY], routes!(retry_job))
}
