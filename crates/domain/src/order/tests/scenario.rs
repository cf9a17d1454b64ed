//! Made-up orders and what people do to them: the input of the properties.
//!
//! A [`Step`] says what somebody does in words that fit any order ("the driver completes their second task with a wrong
//! code"); [`Step::command`] turns it into a command for the order at hand. Most steps are what the right party would
//! do, so that runs get far; the rest come from anybody, for anything.

use proptest::prelude::*;

use super::*;
use crate::ids::{AdminId, Id};
use crate::offer::Withdrawal;
use crate::party::Party;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Span::days(20_000) + Span::seconds(second)
}

pub(super) fn seller(n: u8) -> MerchantId {
    MerchantId::from_uuid(uuid::Uuid::from_u128(100 + u128::from(n)))
}

pub(super) fn driver(n: u8) -> DriverId {
    DriverId::from_uuid(uuid::Uuid::from_u128(200 + u128::from(n)))
}

fn offer_id(n: u32) -> OfferId {
    OfferId::from_uuid(uuid::Uuid::from_u128(300 + u128::from(n)))
}

pub(super) fn stop(n: i32, window: Option<(Timestamp, Timestamp)>) -> NewStop {
    let place = Place::new(f64::from(n) / 1000.0 + 6.4551, 3.3942).expect("on the globe");
    NewStop { place, contact: Contact::default(), service_seconds: None, window }
}

/// A fast order with `sellers` pickups, of which the first `unconfirmed` have yet to be confirmed.
pub(super) fn fast(sellers: u8, unconfirmed: u8) -> NewOrder {
    let pickup = |n: u8| NewPickup {
        seller: seller(n),
        needs_confirmation: n < unconfirmed,
        ready_at: None,
        stop: stop(n.into(), None),
    };
    NewOrder {
        id: OrderId::from_uuid(uuid::Uuid::from_u128(0x0193_5555_7000_8000_0000_0000_0000_0000)),
        merchant: seller(99),
        customer: None,
        reference: Some("A-17".to_owned()),
        speed: Speed::Fast,
        size: 1,
        priority: 0,
        pickups: (0..sellers).map(pickup).collect(),
        delivery: stop(50, None),
        codes: CodeRule::default(),
        entropy: (0..=u32::from(sellers)).map(|n| 1111 * (n + 1)).collect(),
        zone: ZoneId::from_uuid(uuid::Uuid::from_u128(400)),
        rules: ZoneRules::default(),
        travel_seconds: 900,
    }
}

/// A slow order for the time from one to two hours after [`at`] zero.
pub(super) fn slow(sellers: u8, unconfirmed: u8) -> NewOrder {
    let mut order = fast(sellers, unconfirmed);
    order.speed = Speed::Slow;
    order.delivery.window = Some((at(3600), at(7200)));
    order
}

/// The order as placed at [`at`] zero, with its first event.
pub(super) fn placed(new: NewOrder) -> (Order, Event) {
    let event = new.place(at(0)).expect("a valid order");
    let Event::Placed { order } = &event else { unreachable!("an order begins by being placed") };
    ((**order).clone(), event)
}

pub(super) fn new_order() -> impl Strategy<Value = NewOrder> {
    (any::<bool>(), 1..=4u8, 0..=4u8, any::<[bool; 2]>(), prop::option::of(0..4000i64)).prop_map(
        |(is_fast, sellers, unconfirmed, [pickup, delivery], ready)| {
            let mut new = if is_fast { fast(sellers, unconfirmed) } else { slow(sellers, unconfirmed) };
            new.codes = CodeRule { pickup, delivery };
            new.pickups[0].ready_at = ready.map(at);
            if !is_fast {
                new.pickups[0].stop.window = Some((at(1800), at(5400)));
            }
            new
        },
    )
}

/// Which driver: the one who has the order or is being asked, or anybody.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who {
    Right,
    Any(u8),
}

/// Which task: the first that is not over yet, or any, present or not.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    Next,
    Any(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Tried {
    Right,
    Wrong,
    Nothing,
}

#[derive(Debug, Clone)]
pub(super) enum Deed {
    Confirm(u8, Option<i64>),
    Reject(u8),
    LapseConfirmation,
    Offer(u8, i64),
    Accept(Who),
    Decline(Who, i64),
    KeepSilent(Who, i64),
    Withdraw(Option<u32>),
    AssignByHand(u8),
    Unassign,
    LoseDriver(Who),
    FindDriver(Who),
    Prioritise(i16),
    ChangeZone(u8),
    Depart(Who, Which),
    Arrive(Who, Which),
    Complete(Who, Which, Tried),
    Fail(Who, Which, FailReason),
    UnlockCode(Which),
    Cancel,
    GiveUp,
}

/// Something done so many seconds after what was done before.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) after: i64,
    pub(super) deed: Deed,
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![9 => Just(Who::Right), 1 => (0..4u8).prop_map(Who::Any)]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![4 => Just(Which::Next), 1 => (0..10usize).prop_map(Which::Any)]
}

fn reason() -> impl Strategy<Value = FailReason> {
    use FailReason::{
        Accident, CustomerAbsent, CustomerRefused, Damaged, Lost, NotReady, Other, StoreClosed, VehicleBreakdown,
        WrongAddress,
    };
    prop::sample::select(vec![
        CustomerAbsent,
        CustomerRefused,
        WrongAddress,
        Damaged,
        Lost,
        StoreClosed,
        NotReady,
        VehicleBreakdown,
        Accident,
        Other,
    ])
}

fn deed() -> impl Strategy<Value = Deed> {
    let tried = prop_oneof![6 => Just(Tried::Right), 3 => Just(Tried::Wrong), 1 => Just(Tried::Nothing)];
    prop_oneof![
        6 => (0..5u8, prop::option::of(0..8000i64)).prop_map(|(s, ready)| Deed::Confirm(s, ready)),
        2 => (0..5u8).prop_map(Deed::Reject),
        1 => Just(Deed::LapseConfirmation),
        8 => (0..4u8, 1..60i64).prop_map(|(d, open)| Deed::Offer(d, open)),
        6 => who().prop_map(Deed::Accept),
        2 => (who(), 0..300i64).prop_map(|(w, pause)| Deed::Decline(w, pause)),
        2 => (who(), 0..300i64).prop_map(|(w, pause)| Deed::KeepSilent(w, pause)),
        1 => prop::option::of(0..4u32).prop_map(Deed::Withdraw),
        2 => (0..4u8).prop_map(Deed::AssignByHand),
        1 => Just(Deed::Unassign),
        2 => who().prop_map(Deed::LoseDriver),
        1 => who().prop_map(Deed::FindDriver),
        1 => (-3..3i16).prop_map(Deed::Prioritise),
        1 => (0..3u8).prop_map(Deed::ChangeZone),
        6 => (who(), which()).prop_map(|(w, t)| Deed::Depart(w, t)),
        6 => (who(), which()).prop_map(|(w, t)| Deed::Arrive(w, t)),
        14 => (who(), which(), tried).prop_map(|(w, t, c)| Deed::Complete(w, t, c)),
        1 => (who(), which(), reason()).prop_map(|(w, t, r)| Deed::Fail(w, t, r)),
        1 => which().prop_map(Deed::UnlockCode),
        1 => Just(Deed::Cancel),
        1 => Just(Deed::GiveUp),
    ]
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let after = prop_oneof![8 => 0..30i64, 2 => 30..900i64, 1 => 900..5000i64];
    let one = (after, deed()).prop_map(|(after, deed)| vec![Step { after, deed }]);
    let guesses = Just(vec![Step { after: 1, deed: Deed::Complete(Who::Right, Which::Next, Tried::Wrong) }; 6]);
    prop::collection::vec(prop_oneof![30 => one, 1 => guesses], 0..50).prop_map(|steps| steps.concat())
}

impl Who {
    fn of(self, order: &Order) -> DriverId {
        let right = order.offer.map(|o| o.driver).or(order.assignment.map(|a| a.driver));
        match self {
            Self::Right => right.unwrap_or(driver(0)),
            Self::Any(n) => driver(n),
        }
    }
}

impl Which {
    fn of(self, order: &Order) -> TaskId {
        let next = order.tasks.iter().find(|t| !t.status.is_final()).map(|t| t.id);
        match self {
            Self::Next => next.unwrap_or(order.tasks[0].id),
            Self::Any(n) => Task::id_of(order.id, n),
        }
    }
}

impl Step {
    /// The command for this order. `n` names what the command brings with it: offers and the driver's own ids.
    pub(super) fn command(&self, order: &Order, n: u32, now: Timestamp) -> Command {
        let open = order.offer.map_or(offer_id(n), |o| o.id);
        let commitment = Window::new(now, now + Span::hours(1)).expect("ends after it starts");
        match self.deed {
            Deed::Confirm(s, ready) => Command::Confirm { seller: seller(s), ready_at: ready.map(at) },
            Deed::Reject(s) => Command::Reject { seller: seller(s), reason: "sold out".to_owned() },
            Deed::LapseConfirmation => Command::LapseConfirmation,
            Deed::Offer(d, seconds) => Command::Offer(Offer {
                id: offer_id(n),
                driver: driver(d),
                made_at: now,
                deadline: now + Span::seconds(seconds),
                commitment,
                lane: None,
            }),
            Deed::Accept(who) => Command::Accept { offer: open, driver: who.of(order) },
            Deed::Decline(who, pause) | Deed::KeepSilent(who, pause) => Command::Decline {
                offer: open,
                driver: who.of(order),
                cool_until: now + Span::seconds(pause),
                silent: matches!(self.deed, Deed::KeepSilent(..)),
            },
            Deed::Withdraw(other) => {
                Command::Withdraw { offer: other.map_or(open, offer_id), why: Withdrawal::DriverUnavailable }
            }
            Deed::AssignByHand(d) => Command::AssignByHand { driver: driver(d), commitment, lane: None },
            Deed::Unassign => Command::Unassign { reason: ReleaseReason::ByHand },
            Deed::LoseDriver(who) => Command::LoseDriver { driver: who.of(order), reason: ReleaseReason::DriverLost },
            Deed::FindDriver(who) => Command::FindDriver { driver: who.of(order) },
            Deed::ChangeZone(n) => {
                Command::ChangeZone { zone: ZoneId::from_uuid(uuid::Uuid::from_u128(400 + u128::from(n))) }
            }
            Deed::Prioritise(priority) => Command::Prioritise { priority },
            Deed::Depart(who, which) => Command::Depart { driver: who.of(order), task: which.of(order) },
            Deed::Arrive(who, which) => Command::Arrive { driver: who.of(order), task: which.of(order) },
            Deed::Complete(who, which, tried) => complete(order, who, which, tried, n),
            Deed::Fail(who, which, reason) => Command::Fail {
                driver: who.of(order),
                task: which.of(order),
                reason,
                note: Some("rang twice".to_owned()),
                cool_until: now + Span::minutes(5),
            },
            Deed::UnlockCode(which) => Command::UnlockCode { task: which.of(order) },
            Deed::Cancel => Command::Cancel {
                by: Party::Admin(AdminId::from_uuid(uuid::Uuid::from_u128(500))),
                reason: "changed their mind".to_owned(),
            },
            Deed::GiveUp => Command::GiveUp,
        }
    }
}

fn complete(order: &Order, who: Who, which: Which, tried: Tried, n: u32) -> Command {
    let task = which.of(order);
    let right = order.task(task).and_then(|t| t.code.as_ref()).map(|code| code.digits().to_owned());
    let code = match tried {
        Tried::Right => right,
        Tried::Wrong => Some("12345678".to_owned()),
        Tried::Nothing => None,
    };
    let proof = Some(Proof { received_by: Some("a neighbour".to_owned()), ..Proof::default() });
    Command::Complete { driver: who.of(order), task, code, proof, command: Some(format!("c{n}")) }
}
