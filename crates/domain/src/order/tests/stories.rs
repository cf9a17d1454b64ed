//! Single stories, told step by step.

use super::scenario::{at, driver, fast, placed, seller};
use super::*;
use crate::offer::Withdrawal;

/// An order on its way: every command has to be possible.
struct Story {
    order: Order,
    now: Timestamp,
}

impl Story {
    fn of(new: NewOrder) -> Self {
        Self { order: placed(new).0, now: at(0) }
    }

    /// Assigned to the driver by hand.
    fn assigned(new: NewOrder, to: DriverId) -> Self {
        let commitment = Window::new(at(0), at(3600)).expect("ends after it starts");
        Self::of(new).then(Command::AssignByHand { driver: to, commitment, lane: None })
    }

    fn then(mut self, command: Command) -> Self {
        let events = self.order.decide(&command, self.now).unwrap_or_else(|why| panic!("{command:?}: {why}"));
        self.order = after(&self.order, &events, self.now);
        self
    }

    fn after_seconds(mut self, seconds: i64) -> Self {
        self.now += Span::seconds(seconds);
        self
    }

    fn refused(&self, command: &Command) -> Rejected {
        self.order.decide(command, self.now).expect_err("it is refused")
    }

    fn changes_nothing(&self, command: &Command) {
        assert_eq!(self.order.decide(command, self.now), Ok(Vec::new()), "{command:?}");
    }

    fn task(&self, n: usize) -> TaskId {
        self.order.tasks[n].id
    }

    fn complete(&self, n: usize, command: &str, right: bool) -> Command {
        let code = self.order.tasks[n].code.as_ref().map(|code| code.digits().to_owned());
        Command::Complete {
            driver: driver(1),
            task: self.task(n),
            code: if right { code } else { Some("0000".to_owned()) },
            proof: None,
            command: Some(command.to_owned()),
        }
    }
}

fn cancel() -> Command {
    Command::Cancel { by: Party::System, reason: "a test".to_owned() }
}

#[test]
fn a_driver_who_sets_out_for_another_pickup_is_no_longer_at_the_first() {
    let story = Story::assigned(fast(2, 0), driver(1));
    let (first, second) = (story.task(0), story.task(1));
    let story = story
        .then(Command::Arrive { driver: driver(1), task: first })
        .then(Command::Depart { driver: driver(1), task: second });
    assert_eq!(story.order.status(), Status::EnrouteToPickup);
    assert_eq!(story.order.tasks[0].status, TaskStatus::Assigned);
    assert_eq!(story.order.tasks[0].arrived_at, None);
}

#[test]
fn the_next_driver_has_not_arrived_where_the_first_did() {
    let story = Story::assigned(fast(1, 0), driver(1));
    let pickup = story.task(0);
    let story = story
        .then(Command::Arrive { driver: driver(1), task: pickup })
        .then(Command::Unassign { reason: ReleaseReason::ByHand });
    assert_eq!(story.order.status(), Status::Confirmed);
    assert_eq!(story.order.tasks[0].arrived_at, None);
}

#[test]
fn the_answer_to_a_canceled_order_is_that_it_is_canceled() {
    let story = Story::of(fast(2, 2)).then(cancel());
    let ended = Rejected::Ended(Status::Canceled);
    assert_eq!(story.refused(&Command::Confirm { seller: seller(0), ready_at: None }), ended);
    assert_eq!(story.refused(&Command::Reject { seller: seller(0), reason: String::new() }), ended);
}

#[test]
fn an_order_is_canceled_once_however_often_it_is_asked() {
    let story = Story::of(fast(1, 0)).then(cancel());
    story.changes_nothing(&cancel());

    let story = Story::assigned(fast(1, 0), driver(1));
    let (pick_up, deliver) = (story.complete(0, "c1", true), story.complete(1, "c2", true));
    let returning = story.then(pick_up.clone()).then(cancel());
    assert_eq!(returning.order.status(), Status::Returning);
    returning.changes_nothing(&cancel());

    let delivered = Story::assigned(fast(1, 0), driver(1)).then(pick_up).then(deliver);
    assert_eq!(delivered.refused(&cancel()), Rejected::Ended(Status::Delivered));
}

#[test]
fn a_seller_who_answers_twice_is_heard_once() {
    let confirm = |n| Command::Confirm { seller: seller(n), ready_at: None };
    let reject = |n| Command::Reject { seller: seller(n), reason: "sold out".to_owned() };
    let story = Story::of(fast(2, 2)).then(confirm(0)).then(reject(1));
    story.changes_nothing(&confirm(0));
    story.changes_nothing(&reject(1));
    assert_eq!(story.refused(&reject(0)), Rejected::AlreadyAnswered);
    assert_eq!(story.refused(&confirm(1)), Rejected::AlreadyAnswered);
    assert_eq!(story.order.status(), Status::Confirmed);
}

#[test]
fn silence_to_the_deadline_rejects() {
    let story = Story::of(fast(2, 2)).after_seconds(899);
    assert_eq!(story.refused(&Command::LapseConfirmation), Rejected::NotDue);
    let story = story.after_seconds(1).then(Command::LapseConfirmation);
    assert_eq!(story.order.status(), Status::Rejected);
    assert_eq!(story.order.ended_because.as_deref(), Some("not confirmed in time"));
}

#[test]
fn nothing_is_unlocked_on_an_order_that_is_over() {
    let story = Story::assigned(fast(1, 0), driver(1));
    let wrong = story.complete(0, "c1", false);
    let story = story.then(wrong).then(cancel());
    let unlock = Command::UnlockCode { task: story.task(0) };
    assert_eq!(story.refused(&unlock), Rejected::Ended(Status::Canceled));
}

#[test]
fn wrong_codes_lock_the_task_for_a_while() {
    let mut story = Story::assigned(fast(1, 0), driver(1));
    for attempt in 0..CODE_ATTEMPTS {
        let wrong = story.complete(0, &format!("c{attempt}"), false);
        story = story.then(wrong);
        assert_eq!(story.order.status(), Status::Assigned);
    }
    let right = story.complete(0, "c9", true);
    let until = story.now + Span::seconds(CODE_LOCK_SECONDS);
    assert_eq!(story.refused(&right), Rejected::CodeLocked { until });
    let story = story.after_seconds(CODE_LOCK_SECONDS).then(right);
    assert_eq!(story.order.status(), Status::PickedUp);
}

#[test]
fn an_unlocked_task_takes_codes_again_at_once() {
    let mut story = Story::assigned(fast(1, 0), driver(1));
    for attempt in 0..CODE_ATTEMPTS {
        let wrong = story.complete(0, &format!("c{attempt}"), false);
        story = story.then(wrong);
    }
    let (right, unlock) = (story.complete(0, "c9", true), Command::UnlockCode { task: story.task(0) });
    let story = story.then(unlock).then(right);
    assert_eq!(story.order.status(), Status::PickedUp);
}

#[test]
fn the_same_wrong_code_sent_again_counts_once() {
    let story = Story::assigned(fast(1, 0), driver(1));
    let wrong = story.complete(0, "c1", false);
    let story = story.then(wrong.clone());
    story.changes_nothing(&wrong);
    assert_eq!(story.order.tasks[0].wrong_codes, 1);
}

#[test]
fn goods_on_board_go_back_to_their_sellers() {
    let story = Story::assigned(fast(2, 0), driver(1));
    let pick_up = story.complete(0, "c1", true);
    let story = story.then(pick_up).then(cancel());
    assert_eq!(story.order.status(), Status::Returning);
    assert_eq!(story.order.tasks.last().and_then(|t| t.seller), Some(seller(0)));
    let bring_back = story.complete(3, "c2", true);
    let story = story.then(bring_back);
    assert_eq!(story.order.status(), Status::Returned);
    assert_eq!(story.order.ended_because.as_deref(), Some("a test"));
}

#[test]
fn an_order_with_an_empty_hand_goes_to_another_driver_after_a_breakdown() {
    let story = Story::assigned(fast(1, 0), driver(1));
    let breakdown = |story: &Story| Command::Fail {
        driver: driver(1),
        task: story.task(0),
        reason: FailReason::VehicleBreakdown,
        note: None,
        cool_until: story.now + Span::minutes(5),
    };
    let (fail, pick_up) = (breakdown(&story), story.complete(0, "c1", true));
    let story = story.then(fail);
    assert_eq!(story.order.status(), Status::Confirmed);
    assert_eq!(story.order.cooling.len(), 1, "the driver is not asked again for a while");

    let story = Story::assigned(fast(1, 0), driver(1)).then(pick_up);
    let fail = Command::Fail {
        driver: driver(1),
        task: story.task(1),
        reason: FailReason::VehicleBreakdown,
        note: None,
        cool_until: story.now,
    };
    assert_eq!(story.then(fail).order.status(), Status::Failed, "what is on board cannot change hands by itself");
}

#[test]
fn an_offer_is_over_at_its_deadline() {
    let offer = Offer {
        id: crate::ids::Id::from_uuid(uuid::Uuid::from_u128(1)),
        driver: driver(1),
        made_at: at(0),
        deadline: at(30),
        commitment: Window::new(at(0), at(1800)).expect("ends after it starts"),
        lane: None,
    };
    let story = Story::of(fast(1, 0)).then(Command::Offer(offer));
    let accept = Command::Accept { offer: offer.id, driver: driver(1) };
    let silent = Command::Decline { offer: offer.id, driver: driver(1), cool_until: at(330), silent: true };
    assert_eq!(story.refused(&silent), Rejected::NotDue);
    let story = story.after_seconds(30);
    assert_eq!(story.refused(&accept), Rejected::OfferGone);
    let story = story.then(silent);
    assert_eq!(story.order.status(), Status::Confirmed);
    let withdraw = Command::Withdraw { offer: offer.id, why: Withdrawal::OrderEnded };
    assert_eq!(story.refused(&withdraw), Rejected::OfferGone);
}
