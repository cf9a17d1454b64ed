//! What was learned of how long things take.

use axum::Json;
use axum::extract::State;
use posthaste_domain::ids::{MerchantId, ZoneId};
use posthaste_estimates::{Answer as Learned, Level, Quantity, hour_of};
use posthaste_http::auth::KeyScope;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::Query;
use posthaste_http::problem::Answer;
use posthaste_protocol::insight::{LearnedFrom, LearnedTime, TimesRow, TimesView};
use posthaste_protocol::problem::Code;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Dispatch;
use crate::access::{Admitted, Scope, no_such};
use crate::drivers::unknown;
use crate::orders::query_id;
use crate::refusals::refused;
use crate::texts::{all_right, wrong};

/// Of whom, where and when.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// One zone. All where absent.
    zone_id: Option<String>,
    /// The seller. Where absent, what is believed of one who is not known; for a merchant it is itself.
    merchant_id: Option<String>,
    /// The hour of the day (UTC), 0 to 23. The present one where absent.
    #[param(value_type = Option<u8>, example = 18)]
    hour: Option<String>,
}

pub(crate) const TIMES: Rule =
    Rule::get("/v1/insight/times", Access::ADMIN_OR_OWNER).key(KeyScope::InsightRead).codes(&[Code::NotFound]);

/// Learned times
///
/// How long things take, as dispatch and estimates have it now: quantiles, and how many samples of the seller, the zone
/// and the hour they rest on. What little is known of is answered by the wider level, and in the end by a prior;
/// `prior_share` is how much of the answer is the prior's. A merchant sees its own.
#[utoipa::path(get, path = "/v1/insight/times", tag = "insight", params(Asked),
    responses((status = 200, body = TimesView)))]
pub(crate) async fn times(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Query(asked): Query<Asked>,
) -> Answer<Json<TimesView>> {
    let mut errors = Vec::new();
    let zone: Option<ZoneId> = query_id("zone_id", asked.zone_id.as_deref(), &mut errors);
    let seller: Option<MerchantId> = query_id("merchant_id", asked.merchant_id.as_deref(), &mut errors);
    let hour = match asked.hour.as_deref() {
        None => hour_of(app.clock().now()),
        Some(text) => text.parse().ok().filter(|hour| *hour < 24).unwrap_or_else(|| {
            errors.push(wrong("hour", "must be an hour of the day, 0 to 23"));
            0
        }),
    };
    if let Some(zone) = zone
        && !unknown(app.live(), &[zone]).await.map_err(refused)?.is_empty()
    {
        errors.push(wrong("zone_id", "no such zone"));
    }
    all_right(errors)?;
    let own = admitted.caller.merchant();
    if admitted.scope != Scope::All && (own.is_none() || seller.is_some_and(|seller| Some(seller) != own)) {
        return Err(no_such("merchant"));
    }
    let all = admitted.scope == Scope::All;
    let seller = if all { seller } else { own };
    let zones = app.live().zones().await.map_err(refused)?;
    let mut rows = Vec::new();
    for zone in zones.into_iter().map(|zone| zone.zone).filter(|known| zone.is_none_or(|zone| zone == known.id)) {
        let known = app.live().learned(zone.id, seller, hour).await.map_err(refused)?;
        let times = known.iter().filter(|(quantity, _)| all || quantity.is_the_sellers());
        let times = times.map(|(quantity, learned)| view(*quantity, learned)).collect();
        rows.push(TimesRow { zone_id: zone.id, zone: zone.name.clone(), times });
    }
    Ok(Json(TimesView { merchant_id: seller, hour, rows }))
}

fn view(quantity: Quantity, learned: &Learned) -> LearnedTime {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let from = |(level, samples, at_most): &(Level, usize, usize)| LearnedFrom {
        level: level.name().to_owned(),
        samples: count(*samples),
        at_most: count(*at_most),
    };
    let quantiles = &learned.quantiles;
    LearnedTime {
        quantity: quantity.name().to_owned(),
        unit: quantity.unit().to_owned(),
        p10: quantiles.at(0.1),
        p50: quantiles.median(),
        p75: quantiles.at(0.75),
        p90: quantiles.at(0.9),
        learned_from: learned.samples.iter().map(from).collect(),
        prior_share: (learned.prior_share * 1000.0).round() / 1000.0,
    }
}
