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
    assert_eq!(order.gives_up_at, at(600 + 4 * 3600));
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

/// Ways at six metres a second, and a degree of latitude is 111 km.
fn ways(from: Place, to: Place) -> Leg {
    let meters = from.meters_to(to);
    Leg { meters, seconds: (meters / 6.0).ceil() as u32 }
}

fn fields_along(new: NewOrder) -> Vec<(String, String)> {
    let Err(wrong) = new.place_along(&ways, at(0)) else { return Vec::new() };
    wrong.into_iter().map(|wrong| (wrong.field, wrong.problem)).collect()
}

fn place(lat: f64, lng: f64) -> Place {
    Place::new(lat, lng).expect("on the globe")
}

#[test]
fn a_door_beyond_reach_is_refused_with_its_distance() {
    let to = |lat, lng| fields_along(changed(fast(2, 0), |o| o.delivery.place = place(lat, lng)));
    assert_eq!(to(6.72, 3.3942), []);
    let [(field, problem)] = &to(6.73, 3.3942)[..] else { panic!("one field is wrong") };
    assert_eq!(field, "delivery");
    assert!(problem.starts_with("is 30.6 km of way from the first pickup through all, at most 30 km"), "{problem}");
    let [(_, swapped)] = &to(3.3942, 6.4551)[..] else { panic!("one field is wrong") };
    assert!(swapped.ends_with("are its latitude and longitude swapped?"), "{swapped}");
    let by_a_detour = changed(fast(2, 0), |o| o.pickups[1].stop.place = place(6.62, 3.3942));
    assert_eq!(fields_along(by_a_detour)[0].0, "delivery", "the way leads through all pickups");
}

#[test]
fn only_windows_make_an_order_last_longer_than_four_hours() {
    let slow_hand = |o: &mut NewOrder| {
        o.pickups.iter_mut().for_each(|p| p.stop.service_seconds = Some(3600));
        o.delivery.service_seconds = Some(3600);
    };
    assert_eq!(fields_along(changed(fast(2, 0), slow_hand)), []);
    let long = fields_along(changed(fast(4, 0), slow_hand));
    assert!(long[0].0 == "pickups" && long[0].1.starts_with("ways and services take 3"), "{long:?}");
    let in_windows = changed(slow(4, 0), |o| {
        slow_hand(o);
        o.delivery.window = Some((at(3600), at(9 * 3600)));
    });
    assert_eq!(fields_along(in_windows), []);
}

#[test]
fn a_window_that_cannot_be_met_is_refused_with_the_earliest_time() {
    // The door is 5.5 km off: 927 s, or 463 s for the quickest.
    let ready = |seconds| fields_along(changed(slow(1, 0), |o| o.pickups[0].ready_at = Some(at(seconds))));
    assert_eq!(ready(7200 - 120 - 464), []);
    let [(field, problem)] = &ready(7200 - 120 - 463)[..] else { panic!("one field is wrong") };
    assert_eq!((field.as_str(), problem.contains(&at(7200).to_string())), ("delivery.window", true), "{problem}");
    let named: Vec<_> = ready(7200).into_iter().map(|(field, _)| field).collect();
    assert_eq!(named, ["pickups[0].ready_at", "delivery.window"]);
}

#[test]
fn goods_that_are_ready_after_their_pickup_closes_are_refused() {
    let late = changed(slow(2, 0), |o| {
        o.pickups[1].stop.window = Some((at(600), at(1200)));
        o.pickups[1].ready_at = Some(at(1200));
    });
    assert_eq!(fields_along(late)[0].0, "pickups[1].ready_at");
}

#[test]
fn pickups_that_no_driver_reaches_both_of_are_refused_in_whatever_order_they_are_given() {
    let far_apart = |first: (i64, i64), second: (i64, i64)| {
        fields_along(changed(slow(2, 0), |o| {
            o.pickups[1].stop.place = place(6.5551, 3.3942);
            o.pickups[0].stop.window = Some((at(first.0), at(first.1)));
            o.pickups[1].stop.window = Some((at(second.0), at(second.1)));
        }))
    };
    // 11 km, 927 s for the quickest, after a service of 120 s.
    assert_eq!(far_apart((600, 900), (600, 1700)), []);
    assert_eq!(far_apart((600, 1700), (600, 900)), [], "the second may come first");
    let apart = far_apart((600, 900), (600, 900));
    assert_eq!(apart[0].0, "pickups[1].window", "{apart:?}");
}

#[test]
fn a_fast_order_waits_for_a_driver_from_when_it_is_ready() {
    let ready = 9 * 3600;
    let (order, _) = placed(changed(fast(2, 0), |o| o.pickups[1].ready_at = Some(at(ready))));
    assert_eq!(order.gives_up_at, at(ready + 4 * 3600));
}

#[test]
fn a_seller_who_says_when_it_is_ready_moves_promise_and_give_up_with_it() {
    let after = |first: Option<i64>, said: i64, now: i64| {
        let (mut order, _) = placed(changed(fast(2, 1), |o| o.pickups[0].ready_at = first.map(at)));
        let command = Command::Confirm { seller: seller(0), ready_at: Some(at(said)) };
        let (promise, end) = (order.promised_at, order.gives_up_at);
        for event in order.decide(&command, at(now)).expect("they may") {
            order.apply(&event, at(now));
        }
        assert_eq!(order.promised_at - promise, order.gives_up_at - end);
        (order.promised_at - promise).num_seconds()
    };
    assert_eq!(after(None, 1200, 60), 1200);
    assert_eq!(after(Some(600), 1200, 60), 600);
    assert_eq!(after(Some(1200), 600, 60), -600, "sooner, too");
    assert_eq!(after(Some(1200), 0, 60), -1140, "but not sooner than now");
    assert_eq!(after(None, 0, 60), 0);
}

#[test]
fn a_seller_cannot_be_ready_when_the_windows_are_over() {
    let (order, _) = placed(slow(2, 1));
    let confirm = |ready| order.decide(&Command::Confirm { seller: seller(0), ready_at: Some(at(ready)) }, at(0));
    assert!(confirm(7199).is_ok());
    assert_eq!(confirm(7200), Err(Rejected::ReadyTooLate { before: at(7200) }));
    let far = (MOST_DAYS_AHEAD + 1) * 86_400;
    let (order, _) = placed(fast(2, 1));
    let refused = order.decide(&Command::Confirm { seller: seller(0), ready_at: Some(at(far)) }, at(0));
    assert_eq!(refused, Err(Rejected::ReadyTooLate { before: at(MOST_DAYS_AHEAD * 86_400) }));
}
