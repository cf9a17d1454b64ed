//! What a legal order is: every rule that must hold in every state, and between two states.

use std::collections::HashSet;

use super::*;

macro_rules! must {
    ($rule:literal, $holds:expr) => {
        if !$holds {
            return Err($rule);
        }
    };
}

/// Whether the driver can be at, or on the way to, this task.
fn in_hand(status: TaskStatus) -> bool {
    matches!(status, TaskStatus::Assigned | TaskStatus::EnRoute | TaskStatus::Arrived)
}

/// Checks one state, and names the first rule that it breaks.
pub(super) fn state(order: &Order) -> Result<(), &'static str> {
    driver_and_offer(order)?;
    tasks(order)?;
    returns(order)?;
    codes(order)?;
    ending(order)?;
    deadlines(order)
}

fn driver_and_offer(order: &Order) -> Result<(), &'static str> {
    let status = order.status();
    let live = || order.tasks.iter().filter(|t| !t.status.is_final());
    must!("an order is offered or assigned, never both", order.offer.is_none() || order.assignment.is_none());
    must!("offered means that an offer is open", (status == Status::Offered) == order.offer.is_some());
    if !status.is_final() {
        must!("underway means that a driver has it", status.is_underway() == order.assignment.is_some());
    }
    must!(
        "nobody delivers or brings back what they do not have",
        !matches!(status, Status::Delivered | Status::Returned) || order.assignment.is_some()
    );
    must!(
        "an order that waited to its end has no driver",
        !matches!(status, Status::Rejected | Status::Expired) || order.assignment.is_none()
    );
    must!(
        "the tasks of an offered order are offered, of no other",
        live().all(|t| (t.status == TaskStatus::Offered) == order.offer.is_some())
    );
    must!(
        "the tasks of a driver's order are in their hands, of no other",
        live().all(|t| in_hand(t.status) == status.is_underway())
    );
    must!(
        "escalated means that a driver has goods aboard",
        order.escalated.is_none() || (status.is_underway() && order.goods_on_board())
    );
    let drivers: HashSet<_> = order.cooling.iter().map(|c| c.driver).collect();
    must!("a driver cools down once", drivers.len() == order.cooling.len());
    Ok(())
}

fn tasks(order: &Order) -> Result<(), &'static str> {
    let of = |kind| order.tasks.iter().filter(move |t| t.kind == kind);
    must!("an order has one delivery", of(TaskKind::Delivery).count() == 1);
    must!("an order has a pickup", of(TaskKind::Pickup).count() > 0);
    for (n, task) in order.tasks.iter().enumerate() {
        must!("a task's id follows from its order", task.id == Task::id_of(order.id, n));
        must!("pickups and returns have a seller", task.seller.is_some() == (task.kind != TaskKind::Delivery));
        must!("done has a time, nothing else has", (task.status == TaskStatus::Done) == task.done_at.is_some());
        must!(
            "who is there, or was, has arrived",
            !matches!(task.status, TaskStatus::Arrived | TaskStatus::Done) || task.arrived_at.is_some()
        );
        must!(
            "nobody has arrived at what nobody has",
            task.arrived_at.is_none()
                || !matches!(
                    task.status,
                    TaskStatus::AwaitingConfirmation | TaskStatus::Open | TaskStatus::Offered | TaskStatus::Rejected
                )
        );
        must!("what is handed over was handed over once", task.proof.is_none() || task.status == TaskStatus::Done);
    }
    let visited = order.tasks.iter().filter(|t| matches!(t.status, TaskStatus::EnRoute | TaskStatus::Arrived));
    must!("a driver is in one place", visited.count() <= 1);
    let at_the_door = of(TaskKind::Delivery)
        .any(|t| matches!(t.status, TaskStatus::EnRoute | TaskStatus::Arrived | TaskStatus::Done));
    must!(
        "nobody goes to the door before everything is on board",
        !at_the_door || order.pickups().all(|t| t.status == TaskStatus::Done)
    );
    let awaited = of(TaskKind::Pickup).any(|t| t.status == TaskStatus::AwaitingConfirmation);
    must!("pending means that a seller has yet to answer", (order.status() == Status::Pending) == awaited);
    must!(
        "only a seller who was given a time is waited for",
        order.tasks.iter().all(|t| t.kind == TaskKind::Delivery
            || t.status != TaskStatus::AwaitingConfirmation
            || t.confirmation_due().is_some())
    );
    let all_said_no = of(TaskKind::Pickup).all(|t| t.status == TaskStatus::Rejected);
    must!("rejected means that every seller said no", (order.status() == Status::Rejected) == all_said_no);
    Ok(())
}

fn returns(order: &Order) -> Result<(), &'static str> {
    let returns: Vec<_> = order.tasks.iter().filter(|t| t.kind == TaskKind::Return).collect();
    if returns.is_empty() {
        let status = order.status();
        return match status {
            Status::Returning | Status::Returned => Err("returning needs something to bring back"),
            _ => Ok(()),
        };
    }
    let back: Vec<_> = returns.iter().map(|t| t.seller).collect();
    let taken: Vec<_> = order.pickups().filter(|t| t.status == TaskStatus::Done).map(|t| t.seller).collect();
    must!("what goes back is what was picked up", back == taken);
    must!("what goes back was not delivered", order.delivery().is_some_and(|t| t.status != TaskStatus::Done));
    must!("returned means that all of it is back", {
        let all_back = returns.iter().all(|t| t.status == TaskStatus::Done);
        all_back == (order.status() == Status::Returned)
    });
    Ok(())
}

fn codes(order: &Order) -> Result<(), &'static str> {
    for task in &order.tasks {
        let tried = task.wrong_codes > 0 || task.locked_until.is_some();
        must!("wrong codes are limited", task.wrong_codes < CODE_ATTEMPTS);
        must!("codes are wrong only where there is one", task.code.is_some() || !tried);
        must!("what is done is not locked", task.status != TaskStatus::Done || !tried);
    }
    Ok(())
}

fn ending(order: &Order) -> Result<(), &'static str> {
    let status = order.status();
    must!("settled means final", order.settled_at.is_some() == status.is_final());
    must!("final means that every task is over", order.tasks.iter().all(|t| t.status.is_final()) == status.is_final());
    let ended_otherwise = status == Status::Returning || (status.is_final() && status != Status::Delivered);
    must!("what ends otherwise has a reason", order.ended_because.is_some() == ended_otherwise);
    Ok(())
}

fn deadlines(order: &Order) -> Result<(), &'static str> {
    let (status, running) = (order.status(), order.deadlines());
    let time_of = |wanted| running.iter().find(|(deadline, _)| *deadline == wanted).map(|(_, at)| *at);
    let distinct: HashSet<_> = running.iter().map(|(deadline, _)| *deadline).collect();
    must!("a deadline runs once", distinct.len() == running.len());
    let confirmation = order.tasks.iter().filter_map(Task::confirmation_due).min();
    must!("confirmation is due while a seller is waited for", time_of(Deadline::Confirmation) == confirmation);
    must!("an answer is due while an offer is open", time_of(Deadline::Offer) == order.offer.map(|o| o.deadline));
    let waits = matches!(status, Status::Pending | Status::Confirmed | Status::Offered);
    must!("waiting has an end until a driver has it", time_of(Deadline::GiveUp) == waits.then_some(order.gives_up_at));
    Ok(())
}

/// Checks what a command did: `before`, with `events`, became `after`.
pub(super) fn step(before: &Order, after: &Order, events: &[Event]) -> Result<(), &'static str> {
    must!("every event counts", after.version == before.version + events.len() as u64);
    must!("nothing happens after the end", !before.status().is_final() || events.is_empty());
    must!("no event, no change", !events.is_empty() || before == after);
    must!("what was placed stays", {
        let placed = |o: &Order| (o.id, o.merchant, o.speed, o.size, o.placed_at);
        placed(before) == placed(after)
    });
    must!("an order's zone changes only where it is moved", {
        let moved = events.iter().any(|event| matches!(event, Event::ZoneChanged { .. }));
        moved == (before.zone != after.zone) && (!moved || before.status().is_waiting())
    });
    must!("promise and give-up change together, with a seller's ready time, and not where windows are the promise", {
        let by = |time: fn(&Order) -> Timestamp| time(after) - time(before);
        let moved = events.iter().any(|event| matches!(event, Event::SellerConfirmed { times: Some(_), .. }));
        let (promise, end) = (by(|o| o.promised_at), by(|o| o.gives_up_at));
        promise == end && (promise != Span::zero()) == moved && (!moved || before.window().is_none())
    });
    must!("no task goes away", before.tasks.len() <= after.tasks.len());
    must!(
        "a task that is over stays as it is",
        before.tasks.iter().zip(&after.tasks).all(|(was, is)| !was.status.is_final() || was == is)
    );
    must!("the way from status to status exists", leads_to(before.status()).contains(&after.status()));
    Ok(())
}

/// Where an order can stand after one command, from where it stood.
fn leads_to(from: Status) -> &'static [Status] {
    use Status::{
        ArrivedAtDropoff, ArrivedAtPickup, Assigned, Canceled, Confirmed, Delivered, EnrouteToDropoff, EnrouteToPickup,
        Expired, Failed, Offered, Pending, PickedUp, Rejected, Returned, Returning,
    };
    match from {
        Pending => &[Pending, Confirmed, Rejected, Canceled, Expired],
        Confirmed => &[Confirmed, Offered, Assigned, Canceled, Expired],
        Offered => &[Offered, Confirmed, Assigned, Canceled, Expired],
        Assigned => &[Assigned, EnrouteToPickup, ArrivedAtPickup, PickedUp, Confirmed, Canceled, Failed],
        EnrouteToPickup | ArrivedAtPickup => {
            &[EnrouteToPickup, ArrivedAtPickup, PickedUp, Assigned, Confirmed, Canceled, Failed, Returning]
        }
        PickedUp => &[PickedUp, EnrouteToDropoff, ArrivedAtDropoff, Delivered, Failed, Returning],
        EnrouteToDropoff => &[PickedUp, EnrouteToDropoff, ArrivedAtDropoff, Delivered, Failed, Returning],
        ArrivedAtDropoff => &[PickedUp, ArrivedAtDropoff, Delivered, Failed, Returning],
        Returning => &[Returning, Returned, Failed],
        Delivered => &[Delivered],
        Rejected => &[Rejected],
        Canceled => &[Canceled],
        Expired => &[Expired],
        Failed => &[Failed],
        Returned => &[Returned],
    }
}
