//! What a command would do to an order: the rules, in one place.

use crate::calendar::Lane;
use crate::ids::{DriverId, TaskId};
use crate::{Timestamp, whole_micros};

use super::command::{Command, Rejected};
use super::event::{AssignedBy, Event, ReleaseReason};
use super::forget::NOT_CONFIRMED_IN_TIME;
use super::status::Status;
use super::task::{FailReason, Task, TaskKind, TaskStatus};
use super::{Deadline, Order, ready};

type Decided = Result<Vec<Event>, Rejected>;

pub(super) fn decide(order: &Order, command: &Command, now: Timestamp) -> Decided {
    match command {
        Command::Confirm { seller, ready_at } => confirm(order, *seller, *ready_at, now),
        Command::Reject { seller, reason } => reject(order, *seller, reason),
        Command::LapseConfirmation => lapse_confirmation(order, now),
        Command::Offer(offer) => {
            need_status(order, |s| s == Status::Confirmed)?;
            Ok(vec![Event::Offered { offer: *offer }])
        }
        Command::Accept { offer, driver } => accept(order, *offer, *driver, now),
        Command::Decline { offer, driver, cool_until, silent } => {
            let open = open_offer(order, *offer, *driver)?;
            if *silent && now < open.deadline {
                return Err(Rejected::NotDue);
            }
            Ok(vec![Event::OfferDeclined { offer: *offer, driver: *driver, silent: *silent, cool_until: *cool_until }])
        }
        Command::Withdraw { offer, why } => match order.offer {
            Some(open) if open.id == *offer => {
                Ok(vec![Event::OfferWithdrawn { offer: open.id, driver: open.driver, why: *why }])
            }
            _ => Err(Rejected::OfferGone),
        },
        Command::AssignByHand { driver, commitment, lane } => assign_by_hand(order, *driver, *commitment, *lane),
        Command::Unassign { reason } => unassign(order, *reason, now),
        Command::LoseDriver { driver, reason } => lose_driver(order, *driver, *reason, now),
        Command::FindDriver { driver } => {
            let theirs = order.escalated.is_some() && order.working_driver() == Some(*driver);
            Ok(if theirs { vec![Event::EscalationEnded { driver: *driver }] } else { Vec::new() })
        }
        Command::Prioritise { priority } => {
            not_ended(order)?;
            let changed = *priority != order.priority;
            Ok(if changed { vec![Event::Prioritised { priority: *priority }] } else { Vec::new() })
        }
        Command::Depart { driver, task } => depart(order, *driver, *task),
        Command::Arrive { driver, task } => arrive(order, *driver, *task),
        Command::Complete { driver, task, code, proof, command } => {
            let task = drivers_task(order, *driver, *task)?;
            if task.status == TaskStatus::Done {
                return Ok(Vec::new());
            }
            due(order, task)?;
            if let Some(refused) = check_code(task, code.as_deref(), command.as_ref(), now)? {
                return Ok(refused);
            }
            Ok(vec![match task.kind {
                TaskKind::Pickup => Event::PickedUp { task: task.id, proof: proof.clone() },
                TaskKind::Delivery => Event::Delivered { task: task.id, proof: proof.clone() },
                TaskKind::Return => Event::Returned { task: task.id },
            }])
        }
        Command::Fail { driver, task, reason, note, cool_until } => {
            let task = drivers_task(order, *driver, *task)?;
            due(order, task)?;
            Ok(vec![fail(order, task, *reason, note.clone(), *driver, *cool_until)])
        }
        Command::UnlockCode { task } => {
            let task = order.task(*task).ok_or(Rejected::UnknownTask(*task))?;
            not_ended(order)?;
            let locked = task.wrong_codes > 0 || task.locked_until.is_some();
            Ok(if locked { vec![Event::CodeUnlocked { task: task.id }] } else { Vec::new() })
        }
        Command::ChangeZone { zone } => {
            if *zone == order.zone {
                return Ok(Vec::new());
            }
            need_status(order, Status::is_waiting)?;
            Ok(vec![Event::ZoneChanged { from: order.zone, zone: *zone }])
        }
        Command::Cancel { by, reason } => {
            // Canceled before, whatever has become of the goods since.
            if order.delivery().is_some_and(|t| t.status == TaskStatus::Canceled) {
                return Ok(Vec::new());
            }
            need_status(order, |s| s != Status::Returning)?;
            let returns = returns(order);
            Ok(vec![Event::Canceled { by: *by, reason: reason.clone(), returns }])
        }
        Command::GiveUp => {
            let due = order.deadlines().iter().any(|(d, at)| *d == Deadline::GiveUp && *at <= now);
            if !due {
                return Err(Rejected::NotDue);
            }
            Ok(vec![Event::Expired])
        }
    }
}

fn not_ended(order: &Order) -> Result<(), Rejected> {
    let status = order.status();
    if status.is_final() { Err(Rejected::Ended(status)) } else { Ok(()) }
}

fn need_status(order: &Order, allowed: impl Fn(Status) -> bool) -> Result<(), Rejected> {
    not_ended(order)?;
    let status = order.status();
    if allowed(status) { Ok(()) } else { Err(Rejected::NotNow(status)) }
}

fn sellers_tasks(order: &Order, seller: crate::ids::MerchantId) -> Result<Vec<&Task>, Rejected> {
    let tasks: Vec<_> = order.tasks.iter().filter(|t| t.kind == TaskKind::Pickup && t.seller == Some(seller)).collect();
    if tasks.is_empty() { Err(Rejected::NotASeller(seller)) } else { Ok(tasks) }
}

/// A seller whose part ended with the order hears that, whatever they answered before.
fn still_wanted(order: &Order, tasks: &[&Task]) -> Result<(), Rejected> {
    let ended = |t: &&Task| matches!(t.status, TaskStatus::Canceled | TaskStatus::Expired | TaskStatus::Failed);
    if tasks.iter().any(ended) { Err(Rejected::Ended(order.status())) } else { Ok(()) }
}

fn confirm(order: &Order, seller: crate::ids::MerchantId, ready_at: Option<Timestamp>, now: Timestamp) -> Decided {
    let tasks = sellers_tasks(order, seller)?;
    still_wanted(order, &tasks)?;
    if tasks.iter().all(|t| t.status != TaskStatus::AwaitingConfirmation) {
        let rejected = tasks.iter().any(|t| t.status == TaskStatus::Rejected);
        return if rejected { Err(Rejected::AlreadyAnswered) } else { Ok(Vec::new()) };
    }
    let ready_at = ready_at.map(whole_micros);
    ready_at.map_or(Ok(()), |ready| ready::check(order, &tasks, ready, now))?;
    let times = ready_at.and_then(|ready| ready::moved(order, seller, ready, now));
    Ok(vec![Event::SellerConfirmed { seller, ready_at, times }])
}

fn reject(order: &Order, seller: crate::ids::MerchantId, reason: &str) -> Decided {
    let tasks = sellers_tasks(order, seller)?;
    still_wanted(order, &tasks)?;
    if tasks.iter().all(|t| t.status != TaskStatus::AwaitingConfirmation) {
        let rejected = tasks.iter().all(|t| t.status == TaskStatus::Rejected);
        return if rejected { Ok(Vec::new()) } else { Err(Rejected::AlreadyAnswered) };
    }
    Ok(vec![Event::SellerRejected { seller, reason: reason.to_owned(), automatic: false }])
}

fn lapse_confirmation(order: &Order, now: Timestamp) -> Decided {
    let mut silent: Vec<_> = order
        .tasks
        .iter()
        .filter(|t| t.confirmation_due().is_some_and(|due| due <= now))
        .filter_map(|t| t.seller)
        .collect();
    silent.sort();
    silent.dedup();
    if silent.is_empty() {
        return Err(Rejected::NotDue);
    }
    let reason = NOT_CONFIRMED_IN_TIME.to_owned();
    Ok(silent
        .into_iter()
        .map(|seller| Event::SellerRejected { seller, reason: reason.clone(), automatic: true })
        .collect())
}

fn open_offer(order: &Order, offer: crate::ids::OfferId, driver: DriverId) -> Result<crate::offer::Offer, Rejected> {
    order.offer.filter(|open| open.id == offer && open.driver == driver).ok_or(Rejected::OfferGone)
}

fn accept(order: &Order, offer: crate::ids::OfferId, driver: DriverId, now: Timestamp) -> Decided {
    if order.assignment.is_some_and(|a| a.offer == Some(offer) && a.driver == driver) {
        return Ok(Vec::new());
    }
    let open = open_offer(order, offer, driver)?;
    if open.deadline <= now {
        return Err(Rejected::OfferGone);
    }
    let by = AssignedBy::Offer;
    Ok(vec![Event::Assigned {
        driver,
        offer: Some(offer),
        by,
        commitment: open.commitment,
        lane: open.lane,
        estimate: None,
    }])
}

fn assign_by_hand(order: &Order, driver: DriverId, commitment: crate::window::Window, lane: Lane) -> Decided {
    need_status(order, |s| s != Status::Pending)?;
    if let Some(has) = order.assignment {
        if has.driver == driver {
            return Ok(Vec::new());
        }
        if order.goods_on_board() && order.escalated.is_none() {
            return Err(Rejected::GoodsOnBoard);
        }
    }
    let mut events = Vec::new();
    if let Some(open) = order.offer {
        let why = crate::offer::Withdrawal::AssignedByHand;
        events.push(Event::OfferWithdrawn { offer: open.id, driver: open.driver, why });
    }
    events.push(Event::Assigned { driver, offer: None, by: AssignedBy::Hand, commitment, lane, estimate: None });
    Ok(events)
}

fn unassign(order: &Order, reason: ReleaseReason, now: Timestamp) -> Decided {
    not_ended(order)?;
    let Some(assignment) = order.assignment else { return Err(Rejected::NotNow(order.status())) };
    if order.goods_on_board() {
        return Err(Rejected::GoodsOnBoard);
    }
    Ok(vec![Event::Unassigned { driver: assignment.driver, reason, cool_until: now }])
}

fn lose_driver(order: &Order, driver: DriverId, reason: ReleaseReason, now: Timestamp) -> Decided {
    not_ended(order)?;
    if order.assignment.is_none_or(|a| a.driver != driver) {
        return Err(Rejected::NotYours);
    }
    Ok(match (order.goods_on_board(), order.escalated) {
        (false, _) => vec![Event::Unassigned { driver, reason, cool_until: now }],
        (true, None) => vec![Event::Escalated { driver, reason }],
        (true, Some(_)) => Vec::new(),
    })
}

fn drivers_task(order: &Order, driver: DriverId, task: TaskId) -> Result<&Task, Rejected> {
    if order.assignment.is_none_or(|a| a.driver != driver) {
        return Err(Rejected::NotYours);
    }
    order.task(task).ok_or(Rejected::UnknownTask(task))
}

/// The driver's task, if they may work on it now.
pub(super) fn due_task(order: &Order, driver: DriverId, task: TaskId) -> Result<&Task, Rejected> {
    let task = drivers_task(order, driver, task)?;
    due(order, task)?;
    Ok(task)
}

/// Whether the driver may work on the task now.
fn due(order: &Order, task: &Task) -> Result<(), Rejected> {
    not_ended(order)?;
    match task.status {
        TaskStatus::Assigned | TaskStatus::EnRoute | TaskStatus::Arrived => {}
        TaskStatus::Done => return Err(Rejected::TaskNotDue("it is already done".into())),
        _ => return Err(Rejected::TaskNotDue("it is not in the driver's hands".into())),
    }
    let picked_up = order.pickups().all(|t| t.status == TaskStatus::Done);
    if task.kind == TaskKind::Delivery && !picked_up {
        return Err(Rejected::TaskNotDue("not everything has been picked up".into()));
    }
    Ok(())
}

fn depart(order: &Order, driver: DriverId, task: TaskId) -> Decided {
    let task = drivers_task(order, driver, task)?;
    if matches!(task.status, TaskStatus::EnRoute | TaskStatus::Arrived | TaskStatus::Done) {
        return Ok(Vec::new());
    }
    due(order, task)?;
    Ok(vec![Event::Departed { task: task.id, from: None }])
}

fn arrive(order: &Order, driver: DriverId, task: TaskId) -> Decided {
    let task = drivers_task(order, driver, task)?;
    if matches!(task.status, TaskStatus::Arrived | TaskStatus::Done) {
        return Ok(Vec::new());
    }
    due(order, task)?;
    Ok(vec![Event::Arrived { task: task.id }])
}

/// `Ok(None)`: the code is right or not needed. `Ok(Some(_))`: wrong, with what that changes.
fn check_code(
    task: &Task,
    code: Option<&str>,
    command: Option<&String>,
    now: Timestamp,
) -> Result<Option<Vec<Event>>, Rejected> {
    let Some(expected) = &task.code else { return Ok(None) };
    let is_wrong = code.is_some_and(|code| !expected.matches(code));
    if is_wrong && command.is_some_and(|command| task.wrong_commands.contains(command)) {
        return Ok(Some(Vec::new()));
    }
    if let Some(until) = task.locked_until.filter(|until| *until > now) {
        return Err(Rejected::CodeLocked { until });
    }
    if code.is_none() {
        return Err(Rejected::CodeRequired);
    }
    if !is_wrong {
        return Ok(None);
    }
    Ok(Some(vec![Event::CodeRefused { task: task.id, command: command.cloned() }]))
}

fn fail(
    order: &Order,
    task: &Task,
    reason: FailReason,
    note: Option<String>,
    driver: DriverId,
    cool_until: Timestamp,
) -> Event {
    if reason.is_the_drivers() && !order.goods_on_board() && task.kind != TaskKind::Return {
        let reason = match reason {
            FailReason::Accident => ReleaseReason::Accident,
            _ => ReleaseReason::VehicleBreakdown,
        };
        return Event::Unassigned { driver, reason, cool_until };
    }
    let goods_can_go_back = !reason.destroys_goods() && !reason.is_the_drivers() && task.kind != TaskKind::Return;
    let returns = if goods_can_go_back { returns(order) } else { Vec::new() };
    Event::Failed { task: task.id, reason, note, returns }
}

/// The tasks that bring back what is on board, one per seller already picked up from.
fn returns(order: &Order) -> Vec<Task> {
    order
        .pickups()
        .filter(|t| t.status == TaskStatus::Done)
        .enumerate()
        .map(|(n, pickup)| Task {
            id: Task::id_of(order.id, order.tasks.len() + n),
            kind: TaskKind::Return,
            status: TaskStatus::Assigned,
            seller: pickup.seller,
            place: pickup.place,
            contact: pickup.contact.clone(),
            window: None,
            ready_at: None,
            service_seconds: pickup.service_seconds,
            confirm_by: None,
            code: None,
            wrong_codes: 0,
            wrong_commands: Vec::new(),
            locked_until: None,
            departure: None,
            arrived_at: None,
            done_at: None,
            proof: None,
        })
        .collect()
}
