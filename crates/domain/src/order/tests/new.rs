//! What may be handed in: every wrong field is named, and nothing else.

use super::scenario::{at, fast, placed, seller, slow};
use super::*;

/// The fields that are named when `new` is handed in at [`at`] zero.
fn wrong_fields(new: NewOrder) -> Vec<String> {
    new.place(at(0)).expect_err("something is wrong").into_iter().map(|wrong| wrong.field).collect()
}

fn changed(mut new: NewOrder, change: impl FnOnce(&mut NewOrder)) -> NewOrder {
    change(&mut new);
    new
}

#[test]
fn every_wrong_field_is_named() {
    let far = at(MOST_DAYS_AHEAD * 86_400 + 60);
    let long = "x".repeat(MOST_TEXT + 1);
    let cases: Vec<(&str, NewOrder, &[&str])> = vec![
        ("a slow order without a window", changed(slow(1, 0), |o| o.delivery.window = None), &["delivery.window"]),
        ("a past window", changed(slow(1, 0), |o| o.delivery.window = Some((at(-60), at(0)))), &["delivery.window"]),
        (
            "a reversed window",
            changed(slow(1, 0), |o| o.delivery.window = Some((at(7200), at(3600)))),
            &["delivery.window"],
        ),
        (
            "an empty window",
            changed(slow(1, 0), |o| o.delivery.window = Some((at(3600), at(3600)))),
            &["delivery.window"],
        ),
        (
            "a window within one microsecond",
            changed(slow(1, 0), |o| {
                let nanos = |nanos| at(3600) + Span::nanoseconds(nanos);
                o.delivery.window = Some((nanos(123_456_100), nanos(123_456_300)));
            }),
            &["delivery.window"],
        ),
        (
            "a window too far ahead",
            changed(slow(1, 0), |o| o.delivery.window = Some((at(3600), far))),
            &["delivery.window"],
        ),
        (
            "a fast order with a window",
            changed(fast(1, 0), |o| o.delivery.window = Some((at(3600), at(7200)))),
            &["delivery.window"],
        ),
        (
            "a fast order with a window at a pickup",
            changed(fast(2, 0), |o| o.pickups[1].stop.window = Some((at(3600), at(7200)))),
            &["pickups[1].window"],
        ),
        (
            "a reversed window at a pickup",
            changed(slow(2, 0), |o| o.pickups[1].stop.window = Some((at(7200), at(3600)))),
            &["pickups[1].window"],
        ),
        (
            "a pickup after the delivery",
            changed(slow(2, 0), |o| o.pickups[1].stop.window = Some((at(7200), at(9000)))),
            &["pickups[1].window"],
        ),
        ("no pickup", changed(fast(1, 0), |o| o.pickups.clear()), &["pickups"]),
        ("too many pickups", fast(21, 0), &["pickups"]),
        ("a seller twice", changed(fast(3, 0), |o| o.pickups[2].seller = seller(0)), &["pickups"]),
        ("no size", changed(fast(1, 0), |o| o.size = 0), &["size"]),
        ("too large", changed(fast(1, 0), |o| o.size = MOST_SIZE + 1), &["size"]),
        ("a long reference", changed(fast(1, 0), |o| o.reference = Some(long.clone())), &["reference"]),
        (
            "a long note",
            changed(fast(1, 0), |o| o.delivery.contact.note = Some(long.clone())),
            &["delivery.contact.note"],
        ),
        (
            "a long service",
            changed(fast(1, 0), |o| o.pickups[0].stop.service_seconds = Some(3601)),
            &["pickups[0].service_seconds"],
        ),
        ("ready too late", changed(fast(1, 0), |o| o.pickups[0].ready_at = Some(far)), &["pickups[0].ready_at"]),
        (
            "several at once",
            changed(slow(2, 0), |o| {
                o.size = 0;
                o.delivery.window = None;
                o.pickups[0].stop.window = Some((at(7200), at(3600)));
                o.pickups[1].stop.contact.name = Some(long.clone());
            }),
            &["size", "pickups[1].contact.name", "delivery.window", "pickups[0].window"],
        ),
    ];
    for (what, new, expected) in cases {
        assert_eq!(wrong_fields(new), expected, "{what}");
    }
}

#[test]
fn what_lies_at_a_limit_is_fine() {
    let edge = changed(slow(20, 20), |o| {
        o.size = MOST_SIZE;
        o.reference = Some("é".repeat(MOST_TEXT));
        o.delivery.service_seconds = Some(3600);
        o.delivery.window = Some((at(-60), at(MOST_DAYS_AHEAD * 86_400)));
    });
    assert_eq!(edge.place(at(0)).map(|event| event.name()), Ok("placed"));
}

#[test]
fn a_fast_order_is_promised_after_services_way_and_slack() {
    let (order, _) = placed(changed(fast(2, 0), |o| o.pickups[1].ready_at = Some(at(600))));
    assert_eq!(order.promised_at, at(600 + 3 * 120 + 900 + 600));
    assert_eq!(order.gives_up_at, at(4 * 3600));
    assert_eq!(order.window(), None);
}

#[test]
fn a_slow_order_is_promised_by_the_end_of_its_window() {
    let (order, _) = placed(changed(slow(1, 0), |o| o.pickups[0].stop.window = Some((at(1800), at(5400)))));
    assert_eq!((order.promised_at, order.gives_up_at), (at(7200), at(7200)));
    assert_eq!(order.window(), Window::new(at(1800), at(7200)).ok(), "from its earliest task to its last");
}

#[test]
fn each_hand_over_has_a_code_of_its_own_where_one_is_asked_for() {
    let (order, _) = placed(fast(2, 0));
    let digits: Vec<_> = order.tasks.iter().map(|t| t.code.as_ref().map(Code::digits)).collect();
    assert_eq!(digits, [Some("1111"), Some("2222"), Some("3333")]);
    let (order, _) = placed(changed(fast(2, 0), |o| o.codes = CodeRule { pickup: false, delivery: true }));
    let digits: Vec<_> = order.tasks.iter().map(|t| t.code.as_ref().map(Code::digits)).collect();
    assert_eq!(digits, [None, None, Some("3333")], "the code does not depend on which others there are");
}

#[test]
fn an_order_waits_for_the_sellers_who_have_yet_to_confirm() {
    assert_eq!(placed(fast(2, 0)).0.status(), Status::Confirmed);
    let (order, _) = placed(fast(2, 1));
    assert_eq!(order.status(), Status::Pending);
    assert_eq!(order.deadlines(), [(Deadline::Confirmation, at(900)), (Deadline::GiveUp, at(4 * 3600))]);
}
