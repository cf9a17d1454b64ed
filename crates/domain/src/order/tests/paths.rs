//! What `tests/paths/run` counts the instructions of: the order's own work on the way to the journal.

use super::scenario::{at, driver, fast, placed};
use super::*;
use crate::offer::Offer;
use crate::window::Window;

/// How often each is gone: what stands in `tests/paths/counts.json` is a hundredth.
const TIMES: usize = 100;

#[inline(never)]
fn counted_placing(orders: Vec<NewOrder>) -> Vec<Event> {
    orders.into_iter().map(|new| new.place(at(0)).expect("a valid order")).collect()
}

#[test]
#[ignore = "counted by tests/paths/run"]
fn placing() {
    assert_eq!(counted_placing(vec![fast(1, 0); TIMES]).len(), TIMES);
}

/// From the offer to the door, as the order's actor does it: the order is copied, decides, and takes in what it decided.
#[inline(never)]
fn counted_delivering(order: &Order, commands: &[Command]) -> Order {
    let mut order = order.clone();
    for command in commands {
        let before = order.clone();
        for event in before.decide(command, at(60)).unwrap_or_else(|why| panic!("{command:?}: {why}")) {
            order.apply(&event, at(60));
        }
    }
    order
}

#[test]
#[ignore = "counted by tests/paths/run"]
fn delivering() {
    let (order, _) = placed(fast(1, 0));
    let driver = driver(1);
    let commitment = Window::new(at(60), at(3600)).expect("ends after it starts");
    let id = OfferId::from_uuid(order.id.uuid());
    let offer = Offer { id, driver, made_at: at(60), deadline: at(90), commitment, lane: None };
    let mut commands = vec![Command::Offer(offer), Command::Accept { offer: id, driver }];
    for task in &order.tasks {
        let code = task.code.as_ref().map(|code| code.digits().to_owned());
        commands.push(Command::Depart { driver, task: task.id });
        commands.push(Command::Arrive { driver, task: task.id });
        commands.push(Command::Complete { driver, task: task.id, code, proof: None, command: Some("7".to_owned()) });
    }
    for _ in 0..TIMES {
        assert_eq!(counted_delivering(&order, &commands).status(), Status::Delivered);
    }
}
