//! Every command of a driver, sent again under its id: done once, and answered as done, however often, after a restart, and
//! whatever has become of the order since.

use std::sync::Arc;

use posthaste_domain::driver::Shift;
use posthaste_domain::ids::{DriverId, OrderId, TaskId};
use posthaste_domain::order::{Command, FailReason, TaskKind};
use posthaste_domain::party::Party;
use posthaste_domain::zone::ZoneRules;

use super::stage::{Stage, admin, place};
use crate::drivers::{DriverCommand, ShiftChange};
use crate::{Cause, Refused};

/// What a driver sent, and under which id.
#[derive(Debug, Clone)]
enum Sent {
    Command(DriverCommand),
    Shift(ShiftChange),
    Next(Option<TaskId>),
}

impl Sent {
    /// Whether it changed something.
    async fn to(&self, stage: &Stage, driver: DriverId, id: &str) -> Result<bool, Refused> {
        let cause = Cause::new(Party::Driver(driver), format!("request/{id}")).under(Some(id));
        let drivers = stage.system.drivers();
        match self.clone() {
            Self::Command(command) => Ok(drivers.command(driver, command, Some(id.to_owned()), cause).await?.changed),
            Self::Shift(change) => Ok(drivers.shift(driver, change, cause).await?.1),
            Self::Next(task) => Ok(drivers.choose_next(driver, task, cause).await?.changed),
        }
    }
}

/// A driver who sends, and remembers what was taken.
struct Phone {
    driver: DriverId,
    sent: Vec<(String, Sent)>,
}

impl Phone {
    async fn send(&mut self, stage: &Stage, name: &str, what: Sent) {
        let id = format!("{}-{}", name, self.sent.len());
        assert!(what.to(stage, self.driver, &id).await.unwrap_or_else(|e| panic!("{name}: {e}")), "{name}: it changes");
        assert!(
            !what.to(stage, self.driver, &id).await.unwrap_or_else(|e| panic!("{name} again: {e}")),
            "{name}: once"
        );
        self.sent.push((id, what));
    }

    /// Sends all of it again.
    async fn send_again(&self, stage: &Stage, when: &str) {
        for (id, what) in &self.sent {
            match what.to(stage, self.driver, id).await {
                Ok(changed) => assert!(!changed, "{id} {when}: done a second time"),
                Err(refused) => panic!("{id} {when}: {refused}"),
            }
        }
    }
}

fn complete(task: TaskId, kind: TaskKind, code: Option<String>) -> Sent {
    Sent::Command(DriverCommand::Complete { task, kind, code, proof: None })
}

fn fail(task: TaskId, reason: FailReason) -> Sent {
    Sent::Command(DriverCommand::Fail { task, reason, note: None })
}

async fn placed(stage: &Stage) -> OrderId {
    stage.place(stage.fast_order()).await.id
}

async fn canceled(stage: &Stage, order: OrderId) {
    let cancel = Command::Cancel { by: Party::System, reason: "over".to_owned() };
    stage.system.orders().command(order, cancel, admin()).await.expect("canceled");
}

async fn a_day(stage: &Stage, phone: &mut Phone) {
    let offer = async |order| stage.offered(order).await.1;
    // Declined.
    let order = placed(stage).await;
    let declined = DriverCommand::Decline(offer(order).await);
    phone.send(stage, "decline", Sent::Command(declined)).await;
    canceled(stage, order).await;
    // Carried to the door.
    let order = placed(stage).await;
    let accept = DriverCommand::Accept(offer(order).await);
    phone.send(stage, "accept", Sent::Command(accept)).await;
    let (pickup, code) = stage.task(order, TaskKind::Pickup).await;
    let (door, door_code) = stage.task(order, TaskKind::Delivery).await;
    phone.send(stage, "do_next", Sent::Next(Some(pickup))).await;
    phone.send(stage, "undo_next", Sent::Next(None)).await;
    phone.send(stage, "departed", Sent::Command(DriverCommand::Depart(pickup))).await;
    phone.send(stage, "arrived", Sent::Command(DriverCommand::Arrive(pickup))).await;
    phone.send(stage, "picked_up", complete(pickup, TaskKind::Pickup, code)).await;
    phone.send(stage, "delivered", complete(door, TaskKind::Delivery, door_code)).await;
    // The vehicle breaks down; the order goes on without them.
    let order = placed(stage).await;
    let accept = DriverCommand::Accept(offer(order).await);
    phone.send(stage, "accept", Sent::Command(accept)).await;
    let (pickup, _) = stage.task(order, TaskKind::Pickup).await;
    phone.send(stage, "failed breakdown", fail(pickup, FailReason::VehicleBreakdown)).await;
    canceled(stage, order).await;
    // The shop is closed: the order ends.
    let order = placed(stage).await;
    let accept = DriverCommand::Accept(offer(order).await);
    phone.send(stage, "accept", Sent::Command(accept)).await;
    let (pickup, _) = stage.task(order, TaskKind::Pickup).await;
    phone.send(stage, "failed closed", fail(pickup, FailReason::StoreClosed)).await;
    // Nobody opens: the goods go back.
    let order = placed(stage).await;
    let accept = DriverCommand::Accept(offer(order).await);
    phone.send(stage, "accept", Sent::Command(accept)).await;
    let (pickup, code) = stage.task(order, TaskKind::Pickup).await;
    phone.send(stage, "picked_up", complete(pickup, TaskKind::Pickup, code)).await;
    let (door, _) = stage.task(order, TaskKind::Delivery).await;
    phone.send(stage, "failed absent", fail(door, FailReason::CustomerAbsent)).await;
    let (back, code) = stage.task(order, TaskKind::Return).await;
    phone.send(stage, "returned", complete(back, TaskKind::Return, code)).await;
    // To and fro.
    let on_break = Shift::OnBreak { until: None };
    phone.send(stage, "break", Sent::Shift(on_break.into())).await;
    phone.send(stage, "back", Sent::Shift(Shift::Available { until: None }.into())).await;
    phone.send(stage, "break again", Sent::Shift(on_break.into())).await;
    phone.send(stage, "back again", Sent::Shift(Shift::Available { until: None }.into())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_a_driver_is_done_once_under_its_id_across_a_restart_too() {
    let rules =
        ZoneRules { offer_seconds: 3000, cool_down_seconds: 0, stale_after_seconds: 7200, ..ZoneRules::default() };
    let stage = Stage::with_rules(rules).await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let mut phone = Phone { driver, sent: Vec::new() };
    a_day(&stage, &mut phone).await;
    phone.send_again(&stage, "later").await;
    let before = stage.system.drivers().get(driver).await.expect("a driver").driver;
    let stage = stage.crash_and_restart().await;
    phone.send_again(&stage, "after a restart").await;
    phone.send_again(&stage, "once more").await;
    let after = stage.system.drivers().get(driver).await.expect("a driver").driver;
    assert_eq!(Arc::as_ref(&before), Arc::as_ref(&after), "nothing has changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_code_counts_once_however_often_its_command_comes_and_in_what_order() {
    let stage = Stage::open().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let order = placed(&stage).await;
    stage.accepted(order).await;
    let (pickup, right) = stage.task(order, TaskKind::Pickup).await;
    let wrong = if right.as_deref() == Some("0000") { "1111" } else { "0000" };
    let attempt = |id: &'static str| {
        let what = complete(pickup, TaskKind::Pickup, Some(wrong.to_owned()));
        let stage = &stage;
        async move { what.to(stage, driver, id).await.expect_err("a wrong code") }
    };
    for (id, left) in [("a", 4), ("b", 3), ("a", 3), ("c", 2), ("b", 2), ("a", 2), ("c", 2)] {
        let refused = attempt(id).await;
        assert!(matches!(refused, Refused::WrongCode { attempts_left } if attempts_left == left), "{id}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_never_done_is_not_answered_as_done() {
    let stage = Stage::open().await;
    let (driver, other) =
        (stage.driver_on_shift(place(52.1, 13.1)).await, stage.driver_on_shift(place(52.15, 13.15)).await);
    let order = placed(&stage).await;
    let (asked, offer) = stage.offered(order).await;
    assert_eq!(asked, driver);
    stage.as_driver(driver, DriverCommand::Decline(offer)).await.expect("declined");
    for (who, command) in [
        (other, DriverCommand::Decline(offer)),
        (other, DriverCommand::Accept(offer)),
        (driver, DriverCommand::Accept(offer)),
    ] {
        let answer = stage.as_driver(who, command.clone()).await;
        assert!(matches!(answer, Err(Refused::Order(_))), "{command:?}: {answer:?}");
    }
}
