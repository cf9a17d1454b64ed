//! A policy in a zone's shadow: how it compares, and every plan. The rules are `posthaste_insight::shadow`'s, the reads
//! `posthaste_storage::shadow`'s.

use axum::Json;
use axum::extract::State;
use posthaste_domain::ids::ZoneId;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::{Path, Query};
use posthaste_http::pages::{self, Cursor};
use posthaste_http::problem::Answer;
use posthaste_insight::Range;
use posthaste_insight::range::InvalidRange;
use posthaste_insight::shadow::Comparison;
use posthaste_protocol::insight::By;
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::Code;
use posthaste_protocol::shadow::{MeantView, ShadowPlanView, ShadowView};
use posthaste_storage::shadow as stored;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::Dispatch;
use crate::access::Admitted;
use crate::orders::query_time;
use crate::refusals::{refused, unread};
use crate::texts::{all_right, wrong};

/// The most plans that one comparison is made from: about a second of reading.
const MOST_PLANS: usize = 200_000;

/// What is asked about.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// The start, in product time. A day before `to` where absent.
    #[param(example = "2026-05-01T00:00:00Z")]
    from: Option<String>,
    /// The end, in product time. Now where absent.
    #[param(example = "2026-05-02T00:00:00Z")]
    to: Option<String>,
}

pub(crate) const COMPARE: Rule = Rule::get("/v1/zones/{id}/shadow", Access::ADMIN);

/// How the policy in the shadow compares
///
/// Of orders that the zone's dispatcher planned in a time: what the deciding policy and the one in the shadow meant on
/// the same input, with planned times reckoned alike, and how the orders went. Plans are kept for 30 days.
#[utoipa::path(get, path = "/v1/zones/{id}/shadow", tag = "zones",
    params(("id" = String, Path, description = "The zone.", example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c"), Asked),
    responses((status = 200, body = ShadowView)))]
pub(crate) async fn compare(
    State(app): State<Dispatch>,
    _: Admitted,
    Path(id): Path<ZoneId>,
    Query(asked): Query<Asked>,
) -> Answer<Json<ShadowView>> {
    let zone = app.live().zone(id).await.map_err(refused)?;
    let mut errors = Vec::new();
    let from = query_time("from", asked.from.as_deref(), &mut errors);
    let to = query_time("to", asked.to.as_deref(), &mut errors);
    all_right(std::mem::take(&mut errors))?;
    let invalid = |invalid: InvalidRange| errors.push(wrong("from", invalid.to_string()));
    let range = Range::new(from, to, By::Zone, app.clock().now()).map_err(invalid);
    all_right(errors)?;
    let Ok(range) = range else { return Err(Code::Internal.into()) };
    let mut comparison = Comparison::default();
    let each = |plan: stored::Outcome| {
        let meant = plan.meant.map(|m| (m.driver, m.dropoff_at));
        comparison.plan(plan.order, plan.decided, meant, plan.placed_at, plan.delivered_at);
    };
    let times = (range.from(), range.to());
    if !stored::for_each_planned(app.pool(), id, times, MOST_PLANS, each).await.map_err(unread)? {
        all_right(vec![wrong("from", format!("more than {MOST_PLANS} plans: ask about less time"))])?;
    }
    Ok(Json(ShadowView {
        zone_id: id,
        from: range.from(),
        to: range.to(),
        policy: zone.zone.rules.policy,
        shadow: zone.zone.rules.shadow,
        figures: comparison.finish(),
    }))
}

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on the page, 1 to 100.
    #[param(value_type = Option<u32>, example = 20)]
    limit: Option<String>,
}

pub(crate) const PLANS: Rule = Rule::get("/v1/zones/{id}/shadow/plans", Access::ADMIN);

/// Plans of both policies
///
/// What the deciding policy and the one in the shadow planned for orders of the zone, newest first, with reasons. An
/// order has a plan of the deciding policy for each time that a driver was asked, and plans of the other until it would
/// have asked, each time that it meant somebody else.
#[utoipa::path(get, path = "/v1/zones/{id}/shadow/plans", tag = "zones",
    params(("id" = String, Path, description = "The zone.", example = "zon_01jd8v7cjxfm9sxv0q3e0b5z1c"), Listed),
    responses((status = 200, body = Page<ShadowPlanView>)))]
pub(crate) async fn plans(
    State(app): State<Dispatch>,
    _: Admitted,
    Path(id): Path<ZoneId>,
    Query(listed): Query<Listed>,
) -> Answer<Json<Page<ShadowPlanView>>> {
    app.live().zone(id).await.map_err(refused)?;
    let mut errors = Vec::new();
    let limit = pages::limit(listed.limit.as_deref(), &mut errors);
    let cursor = pages::cursor(listed.cursor.as_deref(), &mut errors);
    all_right(errors)?;
    let before = cursor.map(|c| (c.at, i64::try_from(c.id.as_u128()).unwrap_or(i64::MAX)));
    let plans = stored::list(app.pool(), id, before, limit + 1).await.map_err(unread)?;
    let place = |p: &stored::Plan| Cursor { at: p.plan.at, id: Uuid::from_u128(u128::from(p.id.unsigned_abs())) };
    let (plans, next_cursor) = pages::cut(plans, limit, place);
    Ok(Json(Page { items: plans.into_iter().map(|p| view(p.plan)).collect(), next_cursor }))
}

fn view(plan: stored::NewPlan) -> ShadowPlanView {
    ShadowPlanView {
        order_id: plan.order,
        at: plan.at,
        policy: plan.policy,
        decided: plan.decided,
        meant: plan.meant.map(|m| MeantView {
            driver_id: m.driver,
            offer_at: m.offer_at,
            pickup_at: m.pickup_at,
            dropoff_at: m.dropoff_at,
        }),
        summary: plan.summary,
        detail: plan.detail,
    }
}
