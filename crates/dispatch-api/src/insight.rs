//! How deliveries went. The rules are `posthaste_insight`'s, the reads `posthaste_storage::performance`'s.

mod questions;
mod times;

pub(crate) use questions::Questions;
pub(crate) use times::{__path_times, TIMES, times};

use axum::Json;
use axum::extract::State;
use posthaste_domain::Span;
use posthaste_domain::ids::ZoneId;
use posthaste_http::auth::KeyScope;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::Query;
use posthaste_http::problem::Answer;
use posthaste_insight::range::InvalidRange;
use posthaste_insight::{Performance, Range};
use posthaste_protocol::insight::{By, PerformanceRow, PerformanceView};
use posthaste_protocol::problem::FieldError;
use posthaste_storage::performance as stored;
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::IntoParams;

use crate::Dispatch;
use crate::access::{Admitted, Scope};
use crate::orders::{query_id, query_time};
use crate::refusals::unread;
use crate::texts::{all_right, wrong};

/// The most orders that one answer is made from. More would not be read within the time that a request has.
const MOST_ORDERS: u64 = 100_000;
/// How long after the end an order may be settled that was placed before the start and was in hand within: what a driver
/// has in hand for longer than that is not seen in a time that lies wholly inside.
const LONGEST_IN_HAND: Span = Span::days(1);
/// Answers made at once; others wait. Each keeps a connection to Postgres and part of a core busy that dispatch wants.
static ANSWERS: Semaphore = Semaphore::const_new(2);

/// What is asked about.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// The start, in product time. A day before `to` where absent, by `day` a week.
    #[param(example = "2026-05-01T00:00:00Z")]
    from: Option<String>,
    /// The end, in product time. Now where absent.
    #[param(example = "2026-05-02T00:00:00Z")]
    to: Option<String>,
    /// One zone. All where absent.
    zone_id: Option<String>,
    /// What a row stands for: a zone in an `hour`, on a `day`, or the whole `zone`. `hour` where absent.
    #[param(example = "hour")]
    by: Option<String>,
}

impl Asked {
    fn zone(&self, errors: &mut Vec<FieldError>) -> Option<ZoneId> {
        query_id("zone_id", self.zone_id.as_deref(), errors)
    }

    fn range(&self, app: &Dispatch, errors: &mut Vec<FieldError>) -> Option<Range> {
        let before = errors.len();
        let from = query_time("from", self.from.as_deref(), errors);
        let to = query_time("to", self.to.as_deref(), errors);
        let by = match self.by.as_deref().map_or(Ok(By::default()), str::parse) {
            Ok(by) => by,
            Err(invalid) => {
                errors.push(wrong("by", invalid.to_string()));
                By::default()
            }
        };
        if errors.len() > before {
            return None;
        }
        let invalid = |invalid: InvalidRange| errors.push(wrong("from", invalid.to_string()));
        Range::new(from, to, by, app.clock().now()).map_err(invalid).ok()
    }
}

pub(crate) const PERFORMANCE: Rule =
    Rule::get("/v1/insight/performance", Access::ADMIN_OR_OWNER).key(KeyScope::InsightRead);

/// Delivery performance
///
/// On-time share, click-to-door, ready-to-pickup, utilisation, bundling and offers, per zone and hour (or day, or in
/// all). An order counts in the hour in which it was placed, with everything that happened to it later; drivers' time
/// counts when it passed. Hours and days are those of UTC. At most 31 days by hour, 92 else. A merchant sees its own
/// orders, and nothing of drivers' time.
#[utoipa::path(get, path = "/v1/insight/performance", tag = "insight", params(Asked),
    responses((status = 200, body = PerformanceView)))]
pub(crate) async fn performance(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Query(asked): Query<Asked>,
) -> Answer<Json<PerformanceView>> {
    let mut errors = Vec::new();
    let zone = asked.zone(&mut errors);
    let range = asked.range(&app, &mut errors);
    let names = stored::zone_names(app.pool()).await.map_err(unread)?;
    if zone.is_some_and(|zone| !names.contains_key(&zone)) {
        errors.push(wrong("zone_id", "no such zone"));
    }
    all_right(errors)?;
    let Some(range) = range else { return Err(posthaste_protocol::problem::Code::Internal.into()) };
    let with_drivers = admitted.scope == Scope::All;
    let performance = told(&app, &admitted, range, zone).await?;
    let (rows, total) = performance.finish(with_drivers);
    let name = |zone| names.get(&zone).cloned().unwrap_or_default();
    let rows = rows.into_iter().map(|row| PerformanceRow {
        zone_id: row.zone,
        zone: name(row.zone),
        from: row.from,
        to: row.to,
        figures: row.figures,
    });
    Ok(Json(PerformanceView { from: range.from(), to: range.to(), by: range.by(), rows: rows.collect(), total }))
}

/// Everything that the caller may know of the range, told.
async fn told(app: &Dispatch, admitted: &Admitted, range: Range, zone: Option<ZoneId>) -> Answer<Performance> {
    let (pool, from, to) = (app.pool(), range.from(), range.to());
    // Never closed: a permit comes when another answer is done, or the request's own time ends.
    let _own = app.questions().begin(admitted.caller.party)?;
    let _permit = ANSWERS.acquire().await;
    let mut performance = Performance::new(range, zone, app.clock().now());
    let all = admitted.scope == Scope::All;
    let owner = admitted.caller.merchant();
    if !all && owner.is_none() {
        return Err(posthaste_protocol::problem::Code::Forbidden.into());
    }
    let owner = owner.filter(|_| !all);
    let mut each = |history: stored::History| performance.order(&history.order, &history.events);
    let mut complete =
        stored::for_each_placed(pool, (from, to), owner, MOST_ORDERS, &mut each).await.map_err(unread)?;
    if complete && all {
        complete = stored::for_each_carried_over(pool, from, to + LONGEST_IN_HAND, MOST_ORDERS, &mut each)
            .await
            .map_err(unread)?;
    }
    if !complete {
        all_right(vec![wrong("from", format!("more than {MOST_ORDERS} orders: ask about less time"))])?;
    }
    if all {
        let each = |shifts: stored::Shifts| performance.driver(shifts.driver, &shifts.zones, &shifts.changes);
        stored::for_each_shift(pool, from, to, each).await.map_err(unread)?;
    }
    Ok(performance)
}
