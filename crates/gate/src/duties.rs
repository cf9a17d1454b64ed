//! What is done by the clock, for whoever is on call.

use axum::Json;
use axum::extract::State;
use posthaste_dispatch_api::access::Admitted;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::problem::Answer;
use posthaste_protocol::duties::DutyView;
use posthaste_protocol::page::Page;

use crate::AppState;

pub(crate) const LIST: Rule = Rule::get("/v1/duties", Access::ADMIN);

/// What is done beside requests
///
/// Each duty of this process: how often it is done and what wakes it before that, where it runs, when it was done last, and what
/// was wrong with it, if something was. On one page.
#[utoipa::path(get, path = "/v1/duties", tag = "server", responses((status = 200, body = Page<DutyView>)))]
pub(crate) async fn list(State(app): State<AppState>, _: Admitted) -> Answer<Json<Page<DutyView>>> {
    let view = |standing: posthaste_clock::duty::Standing| DutyView {
        name: standing.duty.name.to_owned(),
        world: standing.duty.world.unwrap_or("live").to_owned(),
        does: standing.duty.does.to_owned(),
        period_seconds: standing.duty.period.as_secs_f64(),
        trigger: standing.duty.trigger.map(str::to_owned),
        runs: standing.duty.runs.name().to_owned(),
        running: standing.is_running,
        ended_at: standing.ended_at,
        took_ms: standing.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        problem: standing.problem,
        done: standing.done,
        failed: standing.failed,
    };
    let items = app.dispatch().clock().duties().all().into_iter().map(view).collect();
    Ok(Json(Page { items, next_cursor: None }))
}
