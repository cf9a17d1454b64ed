use std::sync::Arc;

use posthaste_domain::ids::{Id, OfferId, OrderId, TaskId, ZoneId};
use posthaste_domain::offer::{Offer, Withdrawal};
use posthaste_domain::order::{
    AssignedBy, CodeRule, Estimate, FailReason, NewOrder, NewPickup, NewStop, Proof, ReleaseReason, Speed, TaskStatus,
    Times,
};
use posthaste_domain::place::Place;
use posthaste_domain::window::Window;
use posthaste_domain::zone::ZoneRules;
use posthaste_domain::{Span, Timestamp};

use super::*;
use crate::orders::OrderView;

fn id<T: Id>(n: u128) -> T {
    T::from_uuid(uuid::Uuid::from_u128(n))
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + Span::days(20_000)
}

fn stop(name: &str) -> NewStop {
    let contact = posthaste_domain::contact::Contact { name: Some(name.to_owned()), ..Default::default() };
    NewStop { place: Place::new(52.5163, 13.3777).unwrap(), contact, service_seconds: None, window: None }
}

/// An order of merchant 1 for customer 3, of which merchant 2 sells a part.
pub(super) fn order() -> Order {
    let pickup =
        |n: u128, name: &str| NewPickup { seller: id(n), needs_confirmation: false, ready_at: None, stop: stop(name) };
    let new = NewOrder {
        id: id::<OrderId>(10),
        merchant: id(1),
        customer: Some(id(3)),
        reference: Some("A-17".to_owned()),
        speed: Speed::Fast,
        size: 1,
        priority: 0,
        pickups: vec![pickup(1, "own counter"), pickup(2, "other counter")],
        delivery: stop("the door"),
        codes: CodeRule::default(),
        entropy: vec![1, 2, 3],
        zone: id(4),
        rules: ZoneRules::default(),
        travel_seconds: 900,
    };
    let event = new.place(now()).unwrap();
    let Event::Placed { order } = event else { panic!("{event:?}") };
    (*order).clone()
}

fn window() -> Window {
    Window::new(now(), now() + Span::minutes(20)).unwrap()
}

/// One of every kind, with every field filled.
fn every_event(order: &Order) -> Vec<Event> {
    let (driver, offer, task) = (id::<DriverId>(5), id::<OfferId>(6), order.tasks[0].id);
    let made = Offer { id: offer, driver, made_at: now(), deadline: now(), commitment: window(), lane: Some(1) };
    let estimate = Some(Estimate { p50: now(), p90: now() });
    let proof = Some(Proof::default());
    let (reason, cool_until) = (ReleaseReason::DriverLost, now());
    let why = Withdrawal::OrderEnded;
    let times = Times { promised_at: now(), gives_up_at: now() };
    vec![
        Event::Placed { order: Arc::new(order.clone()) },
        Event::SellerConfirmed { seller: id(1), ready_at: Some(now()), times: Some(times) },
        Event::SellerRejected { seller: id(1), reason: "sold out".to_owned(), automatic: false },
        Event::Offered { offer: made },
        Event::OfferDeclined { offer, driver, silent: false, cool_until },
        Event::OfferWithdrawn { offer, driver, why },
        Event::Assigned {
            driver,
            offer: Some(offer),
            by: AssignedBy::Hand,
            commitment: window(),
            lane: Some(1),
            estimate,
        },
        Event::Unassigned { driver, reason, cool_until },
        Event::Escalated { driver, reason },
        Event::EscalationEnded { driver },
        Event::Prioritised { priority: 1 },
        Event::ZoneChanged { from: id::<ZoneId>(7), zone: id(8) },
        Event::Departed { task, from: Some(order.tasks[0].place) },
        Event::Arrived { task },
        Event::CodeRefused { task, command: Some("c".to_owned()) },
        Event::CodeUnlocked { task },
        Event::PickedUp { task, proof: proof.clone() },
        Event::Delivered { task, proof },
        Event::Returned { task },
        Event::Failed {
            task,
            reason: FailReason::CustomerAbsent,
            note: Some("rang".to_owned()),
            returns: order.tasks.clone(),
        },
        Event::Canceled { by: Party::Customer(id(3)), reason: "twice".to_owned(), returns: order.tasks.clone() },
        Event::Expired,
    ]
}

#[test]
fn every_field_of_every_event_has_its_audience() {
    let order = order();
    let all = every_event(&order);
    let names: Vec<_> = all.iter().map(Event::name).collect();
    assert_eq!(names, Event::NAMES, "one of every kind");
    assert_eq!(EVENTS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    for event in all.iter().filter(|event| event.name() != "placed") {
        let Ok(Value::Object(data)) = serde_json::to_value(event) else { panic!("{event:?}") };
        let mut written: Vec<_> = data.keys().map(String::as_str).filter(|name| !INNER.contains(name)).collect();
        let mut said: Vec<_> = EVENTS.iter().find(|(name, _)| *name == event.name()).unwrap().1.to_vec();
        let mut said: Vec<_> = said.drain(..).map(|(field, _)| field).collect();
        written.sort_unstable();
        said.sort_unstable();
        assert_eq!(written, said, "{}: who may see this field? Say so in EVENTS", event.name());
    }
}

#[test]
fn who_was_only_asked_and_who_works_in_operations_has_no_name_outside() {
    let order = order();
    let outside = [Audience::Merchant(id(1)), Audience::Merchant(id(2)), Audience::Customer];
    for event in every_event(&order) {
        let asked = ["offered", "offer_declined", "offer_withdrawn"].contains(&event.name());
        for (by, is_hidden) in [(Party::Admin(id(9)), true), (Party::Driver(id(5)), asked)] {
            let recorded = Recorded { seq: 2, at: now(), by, event: event.clone() };
            for audience in outside {
                let entry = timeline_entry(&recorded, Status::Assigned, &order, audience);
                assert_eq!(entry.by == Party::System, is_hidden, "{entry:?}");
                let told = serde_json::to_string(&entry.data).unwrap();
                assert!(!(asked && told.contains("drv_")), "{told}");
                assert!(!told.contains("adm_"), "{told}");
            }
        }
    }
}

#[test]
fn who_follows_their_order_sees_what_a_customer_sees_but_for_which_driver_it_is() {
    let mut order = order();
    let driver = id::<DriverId>(5);
    let (by, lane) = (AssignedBy::Hand, None);
    order.apply(&Event::Assigned { driver, offer: None, by, commitment: window(), lane, estimate: None }, now());
    let [customers, followers] = [Audience::Customer, Audience::Follower].map(|who| OrderView::of(&order, who));
    assert_eq!((customers.driver_id, followers.driver_id), (Some(driver), None));
    assert_eq!(OrderView { driver_id: None, ..customers }, followers);
    for event in every_event(&order) {
        for by in [Party::Driver(driver), Party::Merchant(id(1)), Party::System] {
            let recorded = Recorded { seq: 2, at: now(), by, event: event.clone() };
            let entry = |who| timeline_entry(&recorded, Status::Assigned, &order, who);
            let (customers, followers) = (entry(Audience::Customer), entry(Audience::Follower));
            assert!(!serde_json::to_string(&followers).unwrap().contains("drv_"), "{followers:?}");
            let mut data = customers.data.clone();
            data.remove("driver");
            assert_eq!(
                (data, customers.by != followers.by),
                (followers.data, matches!(customers.by, Party::Driver(_)))
            );
        }
    }
}

#[test]
fn a_seller_of_a_part_sees_that_part() {
    let order = order();
    let view = OrderView::of(&order, Audience::Merchant(id(2)));
    assert_eq!(view.tasks.iter().map(|task| task.merchant_id).collect::<Vec<_>>(), [Some(id(2))]);
    assert_eq!((view.customer_id, view.reference), (None, None));
    assert!(view.tasks[0].code.is_some() && view.tasks[0].contact.name.is_some());
    let of_another =
        Recorded { seq: 3, at: now(), by: Party::System, event: Event::Arrived { task: order.tasks[0].id } };
    let entry = timeline_entry(&of_another, Status::Assigned, &order, Audience::Merchant(id(2)));
    assert_eq!(entry.data, Map::new());
}

#[test]
fn a_driver_sees_contacts_while_the_stop_is_theirs_to_do() {
    let mut order = order();
    let (driver, other) = (id::<DriverId>(5), id::<DriverId>(50));
    let contacts = |order: &Order, driver| {
        let view = OrderView::of(order, Audience::Driver(driver));
        assert!(view.customer_id.is_none() && view.tasks.iter().all(|task| task.code.is_none()));
        view.tasks.iter().map(|task| task.contact.name.is_some()).collect::<Vec<_>>()
    };
    let offer = Offer { id: id(6), driver, made_at: now(), deadline: now(), commitment: window(), lane: None };
    order.apply(&Event::Offered { offer }, now());
    assert_eq!(contacts(&order, driver), [false; 3], "while they are asked");
    let (offer, by, estimate) = (Some(id(6)), AssignedBy::Offer, None);
    order.apply(&Event::Assigned { driver, offer, by, commitment: window(), lane: None, estimate }, now());
    assert_eq!((contacts(&order, driver), contacts(&order, other)), (vec![true; 3], vec![false; 3]));
    for n in 0..2 {
        let task = order.tasks[n].id;
        order.apply(&Event::Departed { task, from: None }, now());
        order.apply(&Event::Arrived { task }, now());
        order.apply(&Event::PickedUp { task, proof: None }, now());
    }
    assert_eq!(contacts(&order, driver), [false, false, true]);
    let task: TaskId = order.delivery().unwrap().id;
    order.apply(&Event::Delivered { task, proof: Some(Proof::default()) }, now());
    assert_eq!(order.delivery().unwrap().status, TaskStatus::Done);
    let view = OrderView::of(&order, Audience::Driver(driver));
    assert_eq!(contacts(&order, driver), [false; 3], "afterwards");
    assert_eq!((view.tasks[2].lat, view.tasks[2].lng), (52.52, 13.38), "nor whose door it was");
    assert!(view.tasks[2].proof.is_none());
}
