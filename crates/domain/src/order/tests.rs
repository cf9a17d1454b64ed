//! Properties of the order machine: what holds whatever is asked of it, by whom and when.

mod forgetting;
mod legal;
mod new;
mod paths;
mod scenario;
mod stories;

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use self::scenario::{Deed, Step, Tried, Which, Who, at, driver, fast, new_order, placed, steps};
use super::*;
use crate::Span;
use crate::contact::Contact;
use crate::ids::Id;
use crate::party::Party;
use crate::place::Place;
use crate::zone::ZoneRules;

/// A run: the order as it was placed, what was done to it, what happened, and how it ended.
struct Run {
    placed: Order,
    history: Vec<(Event, Timestamp)>,
    order: Order,
}

/// Applies the events at `now`.
fn after(order: &Order, events: &[Event], now: Timestamp) -> Order {
    let mut after = order.clone();
    for event in events {
        after.apply(event, now);
    }
    after
}

/// Plays the steps, and calls `check` with the state before, the command, what it decided, and the state after.
fn play(
    new: NewOrder,
    steps: &[Step],
    mut check: impl FnMut(&Order, &Command, &Result<Vec<Event>, Rejected>, &Order, Timestamp) -> Result<(), TestCaseError>,
) -> Result<Run, TestCaseError> {
    let (mut order, first) = placed(new);
    let mut run = Run { placed: order.clone(), history: vec![(first, at(0))], order: order.clone() };
    let mut now = at(0);
    for (n, step) in steps.iter().enumerate() {
        now += Span::seconds(step.after);
        let command = step.command(&order, u32::try_from(n).expect("few steps"), now);
        let decided = order.decide(&command, now);
        let events = decided.clone().unwrap_or_default();
        let next = after(&order, &events, now);
        check(&order, &command, &decided, &next, now)?;
        run.history.extend(events.into_iter().map(|event| (event, now)));
        order = next;
    }
    run.order = order;
    Ok(run)
}

fn driver_of(command: &Command) -> Option<DriverId> {
    match command {
        Command::Accept { driver, .. }
        | Command::Decline { driver, .. }
        | Command::Depart { driver, .. }
        | Command::Arrive { driver, .. }
        | Command::Complete { driver, .. }
        | Command::Fail { driver, .. } => Some(*driver),
        _ => None,
    }
}

fn json<T: Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("can be written");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_commands_reaches_an_illegal_state(new in new_order(), steps in steps()) {
        prop_assert_eq!(legal::state(&placed(new.clone()).0), Ok(()));
        play(new, &steps, |before, command, decided, after, _| {
            let events = decided.as_deref().unwrap_or_default();
            prop_assert_eq!(legal::step(before, after, events), Ok(()), "{:?} on {:#?}", command, before);
            prop_assert_eq!(legal::state(after), Ok(()), "{:?} on {:#?}", command, before);
            Ok(())
        })?;
    }

    #[test]
    fn replaying_the_events_gives_the_state_again(new in new_order(), steps in steps()) {
        let run = play(new, &steps, |_, _, _, _, _| Ok(()))?;
        let mut replayed = run.placed.clone();
        for (event, at) in &run.history {
            replayed.apply(&json(event), *at);
        }
        prop_assert_eq!(&replayed, &run.order);
        prop_assert_eq!(run.order.version, run.history.len() as u64);
    }

    #[test]
    fn every_state_of_an_order_leads_back_to_the_first(new in new_order(), steps in steps()) {
        let first = placed(new.clone()).0;
        let kept = first.at_first().expect("an order that was just placed");
        play(new, &steps, |before, _, _, after, _| {
            prop_assert_eq!(&after.as_placed(&json(&kept)), &first);
            // Only the first state says that it is the first.
            prop_assert_eq!(after.at_first().is_some(), after == &first, "{:#?} after {:#?}", after, before);
            Ok(())
        })?;
    }

    #[test]
    fn order_and_events_read_back_from_json(new in new_order(), steps in steps()) {
        let run = play(new, &steps, |_, _, _, _, _| Ok(()))?;
        prop_assert_eq!(json(&run.order), run.order);
        for (seq, (event, at)) in (1..).zip(run.history) {
            let by = Party::Driver(driver(1));
            let recorded = Recorded { seq, at, by, event };
            prop_assert_eq!(json(&recorded), recorded);
        }
    }

    #[test]
    fn a_driver_who_says_it_twice_changes_nothing_the_second_time(new in new_order(), steps in steps()) {
        play(new, &steps, |_, command, decided, after, now| {
            let again = after.decide(command, now);
            match command {
                Command::Accept { .. } | Command::Depart { .. } | Command::Arrive { .. } | Command::Complete { .. }
                    if decided.is_ok() =>
                {
                    prop_assert_eq!(&again, &Ok(Vec::new()), "{:?} after {:?}", command, decided);
                }
                _ if driver_of(command).is_some() => {
                    prop_assert!(again.as_ref().map_or(true, Vec::is_empty), "{:?} then {:?}", command, again);
                }
                _ => {}
            }
            Ok(())
        })?;
    }

    /// Whatever a driver has done is answered as done for ever after, unless it can be done anew.
    #[test]
    fn what_a_driver_did_is_known_as_done_whatever_comes_after(new in new_order(), steps in steps()) {
        let (first, event) = placed(new.clone());
        let record = |seq, at, by, event: &Event| Recorded { seq, at, by, event: event.clone() };
        let mut history = vec![record(1, first.placed_at, Party::System, &event)];
        let mut done: Vec<Command> = Vec::new();
        play(new, &steps, |_, command, decided, after, now| {
            let events = decided.as_deref().unwrap_or_default();
            let by = driver_of(command).map_or(Party::System, Party::Driver);
            history.extend(events.iter().map(|event| record(after.version, now, by, event)));
            let was_refused = events.iter().any(|event| matches!(event, Event::CodeRefused { .. }));
            // Silence is nothing that is said again.
            let is_silence = matches!(command, Command::Decline { silent: true, .. });
            if driver_of(command).is_some() && !events.is_empty() && !was_refused && !is_silence {
                done.push(command.clone());
            }
            for command in &done {
                let known = after.decide(command, now).is_ok() || done_before(history.iter(), command).is_some();
                prop_assert!(known, "{:?} on {:#?}", command, after);
            }
            Ok(())
        })?;
    }

    /// And what nobody did is not.
    #[test]
    fn what_was_not_done_is_not_known_as_done(new in new_order(), steps in steps()) {
        play(new, &steps, |before, command, decided, _, _| {
            if decided.is_err() {
                let Event::Placed { order } = placed(fast(1, 0)).1 else { return Ok(()) };
                let only = Recorded { seq: 1, at: before.placed_at, by: Party::System, event: Event::Placed { order } };
                prop_assert_eq!(done_before([only].iter(), command), None);
            }
            Ok(())
        })?;
    }

    /// The status follows from the tasks: take everything else away, and it is the same.
    #[test]
    fn the_status_is_a_function_of_the_tasks(new in new_order(), steps in steps()) {
        play(new, &steps, |_, _, _, after, _| {
            let (mut bare, _) = placed(fast(1, 0));
            bare.tasks.clone_from(&after.tasks);
            prop_assert_eq!(bare.status(), after.status());
            prop_assert_eq!(status(&json(&after.tasks)), after.status());
            Ok(())
        })?;
    }

    /// Only the driver who has the order, or is being asked, moves it.
    #[test]
    fn nobody_works_on_another_drivers_order(new in new_order(), steps in steps()) {
        play(new, &steps, |before, command, decided, _, _| {
            let moved = decided.as_ref().is_ok_and(|events| !events.is_empty());
            if let (Some(driver), true) = (driver_of(command), moved) {
                let theirs = before.offer.map(|o| o.driver).or(before.working_driver());
                prop_assert_eq!(Some(driver), theirs);
            }
            Ok(())
        })?;
    }

    /// A deadline that has passed can be acted on, and then no longer runs; one that has not cannot.
    #[test]
    fn deadlines_act_when_they_are_due_and_not_before(new in new_order(), steps in steps()) {
        play(new, &steps, |_, _, _, order, now| {
            for deadline in [Deadline::Confirmation, Deadline::Offer, Deadline::GiveUp] {
                let running = order.deadlines().into_iter().find(|(d, _)| *d == deadline).map(|(_, at)| at);
                let command = match (deadline, order.offer) {
                    (Deadline::Confirmation, _) => Command::LapseConfirmation,
                    (Deadline::GiveUp, _) => Command::GiveUp,
                    (Deadline::Offer, Some(Offer { id: offer, driver, .. })) => {
                        Command::Decline { offer, driver, cool_until: now, silent: true }
                    }
                    (Deadline::Offer, None) => continue,
                };
                let decided = order.decide(&command, now);
                prop_assert_eq!(decided.is_ok(), running.is_some_and(|at| at <= now), "{:?}", deadline);
                let Ok(events) = decided else { continue };
                let then = after(order, &events, now).deadlines();
                prop_assert!(!then.contains(&(deadline, running.expect("it ran"))));
            }
            Ok(())
        })?;
    }
}

/// The checks above say something only when they refuse what is not legal.
#[test]
fn an_order_that_breaks_a_rule_is_found_out() {
    let steps = |deeds: &[Deed]| deeds.iter().map(|deed| Step { after: 1, deed: deed.clone() }).collect::<Vec<_>>();
    let after = |deeds: &[Deed]| play(fast(2, 0), &steps(deeds), |_, _, _, _, _| Ok(())).expect("a run").order;
    let waiting = after(&[]);
    let offered = after(&[Deed::Offer(1, 60)]);
    let assigned = after(&[Deed::Offer(1, 60), Deed::Accept(Who::Right)]);
    let done = |n| vec![Deed::Complete(Who::Right, Which::Next, Tried::Right); n];
    let aboard = after(&[vec![Deed::AssignByHand(1)], done(2)].concat());
    let delivered = after(&[vec![Deed::AssignByHand(1)], done(3)].concat());
    for order in [&waiting, &offered, &assigned, &aboard, &delivered] {
        assert_eq!(legal::state(order), Ok(()));
    }
    assert_eq!((aboard.status(), delivered.status()), (Status::PickedUp, Status::Delivered));
    type Case<'o> = (&'static str, &'o Order, fn(&mut Order));
    let cases: [Case<'_>; 18] = [
        ("offered without an offer", &offered, |o| o.offer = None),
        ("both offered and assigned", &offered, |o| {
            let window = Window::new(at(0), at(60)).expect("a window");
            o.assignment =
                Some(Assignment { driver: driver(1), offer: None, at: at(0), commitment: window, lane: None });
        }),
        ("underway without a driver", &assigned, |o| o.assignment = None),
        ("delivered by nobody", &delivered, |o| o.assignment = None),
        ("one task that was not offered", &offered, |o| o.tasks[1].status = TaskStatus::Open),
        ("one task in nobody's hands", &assigned, |o| o.tasks[1].status = TaskStatus::Open),
        ("escalated with nothing aboard", &assigned, |o| {
            o.escalated = Some(Escalation { since: at(0), reason: ReleaseReason::DriverLost });
        }),
        ("a driver who cools down twice", &waiting, |o| {
            o.cooling = vec![crate::offer::CoolDown { driver: driver(1), until: at(60) }; 2];
        }),
        ("two doors", &waiting, |o| o.tasks[1].kind = TaskKind::Delivery),
        ("a task that is another order's", &waiting, |o| o.tasks.swap(0, 1)),
        ("done without a time", &aboard, |o| o.tasks[0].done_at = None),
        ("arrived where nobody has been", &waiting, |o| o.tasks[0].arrived_at = Some(at(1))),
        ("shown before it is handed over", &assigned, |o| o.tasks[0].proof = Some(Proof::default())),
        ("in two places", &assigned, |o| {
            o.tasks[0].status = TaskStatus::EnRoute;
            o.tasks[1].status = TaskStatus::EnRoute;
        }),
        ("at the door with half of it", &assigned, |o| o.tasks[2].status = TaskStatus::EnRoute),
        ("too many wrong codes", &assigned, |o| o.tasks[0].wrong_codes = CODE_ATTEMPTS),
        ("settled and not over", &assigned, |o| o.settled_at = Some(at(1))),
        ("a reason to end that has not ended", &waiting, |o| o.ended_because = Some("no reason".to_owned())),
    ];
    for (what, order, breaks) in cases {
        let mut broken = (*order).clone();
        breaks(&mut broken);
        assert!(legal::state(&broken).is_err(), "{what} is legal");
    }
    let change = |change: fn(&mut Order)| {
        let mut changed = waiting.clone();
        changed.version += 1;
        change(&mut changed);
        legal::step(&waiting, &changed, &[Event::Prioritised { priority: 1 }])
    };
    assert_eq!(change(|o| o.priority = 1), Ok(()));
    let changes: [fn(&mut Order); 5] = [
        |o| o.version += 1,
        |o| o.promised_at += Span::seconds(1),
        |o| o.gives_up_at += Span::seconds(1),
        |o| o.zone = ZoneId::from_uuid(uuid::Uuid::from_u128(401)),
        |o| o.tasks.truncate(2),
    ];
    assert!(changes.into_iter().all(|c| change(c).is_err()));
}

/// The properties above say something only when the runs get everywhere.
#[test]
fn the_runs_reach_every_status_and_every_event() {
    let mut runner = TestRunner::deterministic();
    let (mut statuses, mut names, mut refusals) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..800 {
        let new = new_order().new_tree(&mut runner).expect("an order").current();
        let steps = steps().new_tree(&mut runner).expect("steps").current();
        let run = play(new, &steps, |_, _, decided, after, _| {
            statuses.insert(after.status());
            if let Err(rejected) = decided {
                let name = format!("{rejected:?}");
                refusals.insert(name.split(['(', ' ']).next().unwrap_or_default().to_owned());
            }
            Ok(())
        });
        names.extend(run.expect("nothing is checked").history.iter().map(|(event, _)| event.name()));
    }
    let missed: Vec<_> = Status::ALL.into_iter().filter(|status| !statuses.contains(status)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
    assert_eq!(names.len(), 22, "{names:?}");
    let expected = [
        "AlreadyAnswered",
        "CodeLocked",
        "CodeRequired",
        "Ended",
        "GoodsOnBoard",
        "NotASeller",
        "NotDue",
        "NotNow",
        "NotYours",
        "OfferGone",
        "ReadyTooLate",
        "TaskNotDue",
        "UnknownTask",
    ];
    assert_eq!(refusals.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
