//! Pages of orders.

use axum::Json;
use axum::extract::State;
use posthaste_domain::Timestamp;
use posthaste_domain::ids::{Id, OrderId};
use posthaste_domain::order::{Speed, Status};
use posthaste_http::auth::KeyScope;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::Query;
use posthaste_http::pages::{self, Cursor};
use posthaste_http::problem::Answer;
use posthaste_protocol::instant;
use posthaste_protocol::orders::OrderView;
use posthaste_protocol::page::Page;
use posthaste_protocol::problem::FieldError;
use posthaste_storage::orders::{self as stored, ListFilter};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Dispatch;
use crate::access::{Admitted, Scope};
use crate::refusals::unread;
use crate::texts::{all_right, wrong};

/// Which orders. All that is given must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// In one of these statuses, parted by commas.
    #[param(example = "confirmed,offered")]
    status: Option<String>,
    /// `fast` or `slow`.
    #[param(example = "fast")]
    speed: Option<String>,
    /// In this zone.
    zone_id: Option<String>,
    /// Worked by this driver; of orders that ended, by whom they were worked then.
    driver_id: Option<String>,
    /// Owned by this merchant, or with a part that it sells.
    merchant_id: Option<String>,
    /// For this customer.
    customer_id: Option<String>,
    /// With this name of the merchant's own.
    reference: Option<String>,
    /// Placed at this time or later.
    #[param(example = "2026-05-01T00:00:00Z")]
    placed_after: Option<String>,
    /// Placed before this time.
    #[param(example = "2026-05-02T00:00:00Z")]
    placed_before: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on the page, 1 to 100; 20 where absent.
    #[param(example = "20")]
    limit: Option<String>,
}

pub(crate) const LIST: Rule = Rule::get("/v1/orders", Access::WHOM_IT_CONCERNS).key(KeyScope::OrdersRead);

/// List orders
///
/// Newest first. A merchant sees its own and those it sells a part of, a driver and a customer their own.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", params(Asked),
    responses((status = 200, body = Page<OrderView>)))]
pub(crate) async fn list(
    State(app): State<Dispatch>,
    admitted: Admitted,
    Query(asked): Query<Asked>,
) -> Answer<Json<Page<OrderView>>> {
    let mut errors = Vec::new();
    let mut filter = asked.filter(&mut errors);
    let limit = pages::limit(asked.limit.as_deref(), &mut errors);
    let cursor = pages::cursor(asked.cursor.as_deref(), &mut errors);
    all_right(errors)?;
    if !narrow(&mut filter, &admitted) {
        return Ok(Json(Page { items: Vec::new(), next_cursor: None }));
    }
    let after = cursor.map(|c| stored::Cursor { placed_at: c.at, id: OrderId::from_uuid(c.id) });
    let page = stored::list(app.pool(), &filter, after, limit).await.map_err(unread)?;
    let audience = admitted.caller.audience();
    Ok(Json(Page {
        items: page.orders.iter().map(|order| OrderView::of(order, audience)).collect(),
        next_cursor: page.next.map(|c| Cursor { at: c.placed_at, id: c.id.uuid() }.encode()),
    }))
}

/// Leaves in the filter only what is the caller's business. False when that is nothing.
fn narrow(filter: &mut ListFilter, admitted: &Admitted) -> bool {
    if admitted.scope == Scope::All {
        return true;
    }
    let caller = &admitted.caller;
    only(&mut filter.merchant, caller.merchant())
        && only(&mut filter.driver, caller.driver())
        && only(&mut filter.customer, caller.customer())
}

fn only<I: PartialEq + Copy>(asked: &mut Option<I>, own: Option<I>) -> bool {
    let Some(own) = own else { return true };
    let fits = asked.is_none_or(|asked| asked == own);
    *asked = Some(own);
    fits
}

impl Asked {
    fn filter(&self, errors: &mut Vec<FieldError>) -> ListFilter {
        ListFilter {
            merchant: id("merchant_id", self.merchant_id.as_deref(), errors),
            customer: id("customer_id", self.customer_id.as_deref(), errors),
            driver: id("driver_id", self.driver_id.as_deref(), errors),
            zone: id("zone_id", self.zone_id.as_deref(), errors),
            statuses: statuses(self.status.as_deref(), errors),
            speed: speed(self.speed.as_deref(), errors),
            reference: self.reference.clone(),
            placed_from: time("placed_after", self.placed_after.as_deref(), errors),
            placed_before: time("placed_before", self.placed_before.as_deref(), errors),
        }
    }
}

/// Reads an id of a query.
pub(crate) fn id<I: std::str::FromStr<Err: ToString>>(
    field: &str,
    given: Option<&str>,
    errors: &mut Vec<FieldError>,
) -> Option<I> {
    given?.parse().map_err(|error: I::Err| errors.push(wrong(field, error.to_string()))).ok()
}

fn statuses(given: Option<&str>, errors: &mut Vec<FieldError>) -> Vec<Status> {
    let names = given.into_iter().flat_map(|list| list.split(','));
    let mut statuses = Vec::new();
    for name in names {
        match Status::from_name(name.trim()) {
            Some(status) => statuses.push(status),
            None => errors.push(wrong("status", format!("no order has the status {name:?}"))),
        }
    }
    statuses
}

fn speed(given: Option<&str>, errors: &mut Vec<FieldError>) -> Option<Speed> {
    match given? {
        "fast" => Some(Speed::Fast),
        "slow" => Some(Speed::Slow),
        _ => {
            errors.push(wrong("speed", "must be fast or slow"));
            None
        }
    }
}

/// Reads a time of a query.
pub(crate) fn time(field: &str, given: Option<&str>, errors: &mut Vec<FieldError>) -> Option<Timestamp> {
    // A plus sign that was not encoded has become a space on its way.
    let text = given?.replace(' ', "+");
    instant::parse(&text).map_err(|invalid| errors.push(wrong(field, invalid.to_string()))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_filter_is_named() {
        let asked = Asked {
            status: Some("confirmed,lost".into()),
            speed: Some("medium".into()),
            zone_id: Some("drv_1".into()),
            placed_after: Some("yesterday".into()),
            ..Asked::default()
        };
        let mut errors = Vec::new();
        asked.filter(&mut errors);
        let fields: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["zone_id", "status", "speed", "placed_after"]);
    }

    #[test]
    fn a_time_whose_plus_sign_was_not_encoded_is_understood() {
        let mut errors = Vec::new();
        let read = time("placed_after", Some("2026-05-01T12:00:00 02:00"), &mut errors);
        assert_eq!((read.map(|t| t.to_rfc3339()), errors.len()), (Some("2026-05-01T10:00:00+00:00".to_owned()), 0));
    }

    #[test]
    fn asking_for_others_gives_nothing_and_not_ones_own() {
        let (mut theirs, mut open) = (Some(1), None);
        assert!(!only(&mut theirs, Some(2)));
        assert!(only(&mut open, Some(2)) && open == Some(2));
    }
}
