//! A new order: from what was sent to what the live system takes.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthaste_domain::contact::Contact;
use posthaste_domain::ids::MerchantId;
use posthaste_domain::order::{CodeRule, InvalidOrder, NewPickup, NewStop};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_http::auth::KeyScope;
use posthaste_http::contract::{Access, Rule};
use posthaste_http::extract::Json as Body;
use posthaste_http::idempotency::{IdempotencyKey, replayed};
use posthaste_http::problem::Answer;
use posthaste_identity::Standing;
use posthaste_live::orders::PlaceOrder;
use posthaste_live::{Once, Refused};
use posthaste_protocol::orders::{ContactView, CreateOrder, CreatePickup, OrderView, WindowView};
use posthaste_protocol::problem::Code;
use posthaste_protocol::problem::FieldError;

use crate::Dispatch;
use crate::access::Admitted;
use crate::refusals::refused;
use crate::texts::{all_right, wrong};

const PATH: &str = "/v1/orders";
/// The highest priority that a merchant says: one step, to put what is urgent before what is not. More would let a merchant go
/// before everybody whenever it likes.
const MOST_OF_MERCHANTS: i16 = 1;

pub(crate) const PLACE: Rule = Rule::post("/v1/orders", Access::ADMIN_OR_OWNER)
    .key(KeyScope::OrdersWrite)
    .whole_at_once()
    .codes(&[Code::OutsideServiceArea]);

/// Place an order
///
/// A merchant places orders of its own, operations for any `merchant_id`. The answer comes after the order is
/// stored. With an `Idempotency-Key`, sending the same again gives the first answer and places nothing.
#[utoipa::path(post, path = "/v1/orders", tag = "orders",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Names this request: 1 to 255 visible ASCII characters. Kept for a day.")),
    request_body(content = CreateOrder, example = json!({
        "speed": "fast",
        "pickups": [{"lat": 52.5163, "lng": 13.3777, "contact": {"name": "Bakery at the Gate"}}],
        "delivery": {"lat": 52.5208, "lng": 13.4094, "contact": {"name": "Ada", "note": "third floor"}},
        "reference": "A-1001",
    })),
    responses((status = 201, body = OrderView, headers(
        ("location" = String, description = "Path of the order."),
        ("idempotent-replayed" = String, description = "`true` when this is the first answer to the same key."),
    ))))]
pub(crate) async fn place(
    State(app): State<Dispatch>,
    admitted: Admitted,
    IdempotencyKey(key): IdempotencyKey,
    Body { value, bytes }: Body<CreateOrder>,
) -> Answer<Response> {
    let order = read(value, admitted.caller.merchant())?;
    let running = key.as_deref().map(|key| app.in_flight().enter(admitted.caller.party, key)).transpose()?;
    let idempotency = key.map(|key| admitted.idempotency(key, PATH, &bytes));
    let wrong = named(&app, &order, admitted.caller.merchant()).await?;
    let placed = if wrong.is_empty() {
        app.live().place_order(order, idempotency, admitted.cause()).await
    } else {
        app.live().replay_order(Refused::InvalidOrder(wrong), idempotency).await
    };
    let placed = placed.map_err(refused)?;
    drop(running);
    Ok(match placed {
        Once::New(order) => {
            let location = format!("{PATH}/{}", order.id);
            let view = OrderView::of(&order, admitted.caller.audience());
            (StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(view)).into_response()
        }
        Once::Replayed { status, body } => replayed(status, body, PATH),
    })
}

/// Whom the order names and who is not there, or may not act: nobody is sent to a shop that was shut out, and no order stands in
/// the list of a customer whom nobody knows. `caller` is the merchant who sent it.
async fn named(app: &Dispatch, order: &PlaceOrder, caller: Option<MerchantId>) -> Answer<Vec<InvalidOrder>> {
    let mut asked: Vec<(String, Party)> = Vec::new();
    if caller.is_none() {
        asked.push(("merchant_id".to_owned(), Party::Merchant(order.merchant)));
    }
    for (n, pickup) in order.pickups.iter().enumerate() {
        if Some(pickup.seller) != caller && pickup.seller != order.merchant {
            asked.push((format!("pickups[{n}].merchant_id"), Party::Merchant(pickup.seller)));
        }
    }
    let customer = order.customer.filter(|_| !app.identity().is_development());
    asked.extend(customer.map(|customer| ("customer_id".to_owned(), Party::Customer(customer))));
    let mut wrong = Vec::new();
    for (field, party) in asked {
        let problem = match app.identity().standing(party).await? {
            Standing::Acting => continue,
            Standing::Unknown => "is nobody's: there is no such account",
            // Why somebody else may not work is not told.
            Standing::Waiting | Standing::Banned => "may not work here at present",
        };
        wrong.push(InvalidOrder { field, problem: problem.to_owned() });
    }
    Ok(wrong)
}

/// What the live system takes, or every field that is wrong. `caller` is the merchant who sent it.
fn read(new: CreateOrder, caller: Option<MerchantId>) -> Answer<PlaceOrder> {
    let mut errors = Vec::new();
    let owner = owner(&new, caller, &mut errors);
    let confirms = new.needs_confirmation;
    let pickups: Vec<_> = new
        .pickups
        .into_iter()
        .enumerate()
        .filter_map(|(n, pickup)| read_pickup(n, pickup, (owner, caller), confirms, &mut errors))
        .collect();
    if caller.is_some() && !(0..=MOST_OF_MERCHANTS).contains(&new.priority) {
        let problem = format!("must be 0 to {MOST_OF_MERCHANTS} of a merchant: more is for operations to say");
        errors.push(wrong("priority", problem));
    }
    let door = new.delivery;
    let delivery = stop("delivery", (door.lat, door.lng), door.contact, door.service_seconds, door.window, &mut errors);
    let (Some(merchant), Some(delivery), true) = (owner, delivery, errors.is_empty()) else {
        all_right(errors)?;
        return Err(posthaste_protocol::problem::Code::Invalid.into());
    };
    Ok(PlaceOrder {
        merchant,
        customer: new.customer_id,
        reference: new.reference,
        speed: new.speed,
        size: new.size,
        priority: new.priority,
        pickups,
        delivery,
        codes: CodeRule { pickup: new.codes.pickup, delivery: new.codes.delivery },
    })
}

fn owner(new: &CreateOrder, caller: Option<MerchantId>, errors: &mut Vec<FieldError>) -> Option<MerchantId> {
    match (caller, new.merchant_id) {
        (Some(own), None) => Some(own),
        (Some(own), Some(named)) if own == named => Some(own),
        (Some(_), Some(_)) => {
            errors.push(wrong("merchant_id", "is another merchant: leave it out"));
            None
        }
        (None, None) => {
            errors.push(wrong("merchant_id", "is required: say whose order it is"));
            None
        }
        (None, named) => named,
    }
}

/// By default every seller but the order's owner has to confirm: who hands an order in knows of it.
fn read_pickup(
    n: usize,
    pickup: CreatePickup,
    (owner, caller): (Option<MerchantId>, Option<MerchantId>),
    confirms: Option<bool>,
    errors: &mut Vec<FieldError>,
) -> Option<NewPickup> {
    let path = format!("pickups[{n}]");
    let place = (pickup.lat, pickup.lng);
    let stop = stop(&path, place, pickup.contact, pickup.service_seconds, pickup.window, errors)?;
    let seller = pickup.merchant_id.or(owner)?;
    // A merchant answers for itself alone; operations for all.
    let is_others = caller.is_some() && caller != Some(seller);
    let needs_confirmation = is_others || confirms.unwrap_or(Some(seller) != owner);
    Some(NewPickup { seller, needs_confirmation, ready_at: pickup.ready_at, stop })
}

fn stop(
    path: &str,
    (lat, lng): (f64, f64),
    contact: ContactView,
    service_seconds: Option<u32>,
    window: Option<WindowView>,
    errors: &mut Vec<FieldError>,
) -> Option<NewStop> {
    if Place::new(lat, 0.0).is_err() {
        errors.push(wrong(format!("{path}.lat"), "must lie between -90 and 90"));
    }
    if Place::new(0.0, lng).is_err() {
        errors.push(wrong(format!("{path}.lng"), "must lie between -180 and 180"));
    }
    let place = Place::new(lat, lng).ok()?;
    let window = window.map(|w| (w.start, w.end));
    Some(NewStop { place, contact: Contact::from(contact), service_seconds, window })
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_domain::ids::Id;

    fn merchant(n: u128) -> MerchantId {
        MerchantId::from_uuid(uuid::Uuid::from_u128(n))
    }

    fn order(json: serde_json::Value) -> CreateOrder {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn every_place_off_the_globe_is_named() {
        let sent = order(serde_json::json!({
            "speed": "fast", "pickups": [{"lat": 1, "lng": 1}, {"lat": 91, "lng": 181}], "delivery": {"lat": -91, "lng": 0}
        }));
        let failure = read(sent, Some(merchant(1))).unwrap_err();
        let fields: Vec<_> = failure.problem().errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["pickups[1].lat", "pickups[1].lng", "delivery.lat"]);
    }

    #[test]
    fn operations_say_whose_order_it_is_and_a_merchant_orders_for_itself() {
        let sent = |merchant: Option<MerchantId>| {
            order(serde_json::json!({
                "speed": "fast", "pickups": [{"lat": 1, "lng": 1}], "delivery": {"lat": 1, "lng": 1}, "merchant_id": merchant
            }))
        };
        assert_eq!(read(sent(None), None).unwrap_err().problem().errors[0].field, "merchant_id");
        assert_eq!(
            read(sent(Some(merchant(2))), Some(merchant(1))).unwrap_err().problem().errors[0].field,
            "merchant_id"
        );
        assert_eq!(read(sent(Some(merchant(2))), None).unwrap().merchant, merchant(2));
        assert_eq!(read(sent(None), Some(merchant(1))).unwrap().merchant, merchant(1));
    }

    #[test]
    fn other_sellers_confirm_and_the_owner_does_not_unless_said_otherwise() {
        let sent = |needs: Option<bool>| {
            order(serde_json::json!({
                "speed": "fast", "delivery": {"lat": 1, "lng": 1}, "needs_confirmation": needs,
                "pickups": [{"lat": 1, "lng": 1}, {"lat": 1, "lng": 1, "merchant_id": merchant(2)}],
            }))
        };
        let confirms = |needs| {
            let order = read(sent(needs), Some(merchant(1))).unwrap();
            order.pickups.iter().map(|p| p.needs_confirmation).collect::<Vec<_>>()
        };
        assert_eq!(confirms(None), [false, true]);
        assert_eq!(confirms(Some(true)), [true, true]);
        assert_eq!(confirms(Some(false)), [false, true], "nobody is committed by another");
        let mut by_operations = sent(Some(false));
        by_operations.merchant_id = Some(merchant(1));
        let order = read(by_operations, None).unwrap();
        assert!(order.pickups.iter().all(|pickup| !pickup.needs_confirmation));
    }
}
