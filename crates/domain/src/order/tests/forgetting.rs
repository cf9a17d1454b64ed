//! What is about people is forgotten everywhere, and state, events and first state still belong together.

use super::*;

/// What people's words in the made-up orders begin with: what they do, and what stands in contacts.
const WORDS: [&str; 5] = ["sold out", "rang twice", "changed their mind", "a neighbour", "Ada "];

/// The order with somebody at each stop.
fn with_people(mut new: NewOrder) -> NewOrder {
    let somebody = || Contact {
        name: Some("Ada Lovelace".to_owned()),
        phone: Some("Ada +4930123456".to_owned()),
        address: Some("Ada street 1".to_owned()),
        note: Some("Ada lives on the third floor".to_owned()),
    };
    new.pickups.iter_mut().for_each(|pickup| pickup.stop.contact = somebody());
    new.delivery.contact = somebody();
    new
}

fn text<T: Serialize>(of: &T) -> String {
    serde_json::to_string(of).expect("can be written")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_history_that_has_forgotten_leads_to_the_state_that_has(new in new_order(), steps in steps()) {
        let new = with_people(new);
        let kept = placed(new.clone()).0.at_first().expect("an order that was just placed");
        let run = play(new, &steps, |_, _, _, _, _| Ok(()))?;
        prop_assert!(text(&run.order).contains("Ada "), "there is something to forget");
        for which in [&[Personal::Contacts][..], &[Personal::Proofs], &Personal::ALL] {
            let mut forgotten = run.order.clone();
            which.iter().for_each(|what| forgotten.forget(*what));
            let (mut first, mut history) = (run.placed.clone(), run.history.clone());
            which.iter().for_each(|what| first.forget(*what));
            for (event, _) in &mut history {
                let before = event.clone();
                which.iter().for_each(|what| event.forget(*what));
                let named = which.iter().any(|what| what.events().contains(&event.name()));
                prop_assert!(named || *event == before, "{} is not among those that may", event.name());
            }
            let mut replayed = first.clone();
            history.iter().for_each(|(event, at)| replayed.apply(&json(event), *at));
            prop_assert_eq!(&replayed, &forgotten);
            prop_assert_eq!(forgotten.as_placed(&kept), first);
            let same = |o: &Order| (o.version, o.status(), o.settled_at, o.deadlines());
            prop_assert_eq!(same(&forgotten), same(&run.order));
            if which == Personal::ALL {
                let all: String = history.iter().map(|(event, _)| text(event)).collect();
                let all = all + &text(&forgotten);
                prop_assert!(WORDS.iter().all(|word| !all.contains(word)), "{}", all);
            }
            let mut twice = forgotten.clone();
            which.iter().for_each(|what| twice.forget(*what));
            prop_assert_eq!(&twice, &forgotten);
            // A legal order stays one: a proof is of what was handed over, and need not be there.
            prop_assert_eq!(legal::state(&forgotten), Ok(()));
        }
    }
}

#[test]
fn the_door_is_about_where_it_was_and_what_the_machine_said_stays() {
    let (mut order, _) = placed(with_people(fast(1, 0)));
    let door = order.delivery().expect("a door").place;
    let events = order.decide(&Command::GiveUp, at(1_000_000)).expect("given up");
    events.iter().for_each(|event| order.apply(event, at(1_000_000)));
    let ended = order.ended_because.clone();
    assert!(ended.is_some());
    order.forget(Personal::Contacts);
    assert_eq!(order.ended_because, ended);
    let coarse = order.delivery().expect("a door").place;
    assert_eq!((coarse.lat(), coarse.lng()), (6.51, 3.39), "{door:?}");
    assert_eq!(coarse.coarse(), coarse);
    order.ended_because = Some("Ada has moved away".to_owned());
    order.forget(Personal::Contacts);
    assert_eq!(order.ended_because.as_deref(), Some(FORGOTTEN_WORDS));
}

#[test]
fn where_a_driver_set_out_from_is_forgotten_with_the_door_that_it_may_be() {
    let from = Some(Place::new(52.5, 13.4).expect("on the globe"));
    let mut departed = Event::Departed { task: placed(fast(1, 0)).0.tasks[0].id, from };
    departed.forget(Personal::Proofs);
    assert!(matches!(departed, Event::Departed { from: Some(_), .. }));
    departed.forget(Personal::Contacts);
    assert!(matches!(departed, Event::Departed { from: None, .. }));
}
