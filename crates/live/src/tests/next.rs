//! A driver says which of their stops they do next.

use posthaste_clock::testing::eventually;
use posthaste_domain::ids::{DriverId, Id, TaskId};
use posthaste_domain::order::{Rejected, Status, TaskKind};
use posthaste_domain::party::Party;
use posthaste_estimates::{Observation, Quantity, Question, Sample};

use super::routed::{stage, work_of};
use super::stage::{Stage, place};
use crate::drivers::{NextChosen, Work};
use crate::orders::PlaceOrder;
use crate::{Cause, Refused};

async fn choose(stage: &Stage, driver: DriverId, task: Option<TaskId>) -> Result<NextChosen, Refused> {
    stage.system.drivers().choose_next(driver, task, Cause::new(Party::Driver(driver), "test")).await
}

/// An order from a shop that nobody would go to first.
fn far_order(stage: &Stage) -> PlaceOrder {
    let mut order = stage.fast_order();
    order.pickups[0].stop.place = place(52.13, 13.13);
    order.delivery.place = place(52.14, 13.14);
    order
}

fn is_first(work: &Work, driver: DriverId, task: TaskId) -> bool {
    let view = crate::views::route(driver, work);
    let first = view.stops.first();
    let planned = work.planned.as_ref().and_then(|p| p.stops.first());
    first.is_some_and(|s| s.task.id == task && s.chosen && s.planned_at == planned.map(|p| p.at))
        && planned.is_some_and(|p| p.chosen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chosen_stop_comes_first_until_it_is_done_and_the_rest_is_planned_around_it() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.099)).await;
    let near = stage.place(stage.fast_order()).await;
    stage.accepted(near.id).await;
    let far = stage.place(far_order(&stage)).await;
    stage.system.orders().assign(far.id, driver, super::stage::admin()).await.expect("by hand");
    let (far_pickup, _) = stage.task(far.id, TaskKind::Pickup).await;
    work_of(&stage, driver, |w| w.planned.as_ref().is_some_and(|p| p.stops.len() == 4 && p.stops[0].order == near.id))
        .await;
    let chosen = choose(&stage, driver, Some(far_pickup)).await.expect("chosen");
    assert!(chosen.changed);
    let work = work_of(&stage, driver, |w| is_first(w, driver, far_pickup)).await;
    assert_eq!(work.planned.as_ref().map(|p| p.reason), Some(posthaste_protocol::words::RouteReason::Chosen));
    assert_eq!(crate::views::route(driver, &work).stops.len(), 4);
    // Saying it twice changes nothing; nor does a restart of their actor, or of everything.
    assert!(!choose(&stage, driver, Some(far_pickup)).await.expect("chosen before").changed);
    stage.system.drivers().door.present(driver).unwrap().kill();
    eventually("they are reloaded with their choice", async || {
        stage.system.drivers().work(driver).await.ok().filter(|work| work.chosen == Some(far_pickup))
    })
    .await;
    stage.checkpoint().await;
    let stage = stage.crash_and_restart().await;
    work_of(&stage, driver, |w| is_first(w, driver, far_pickup)).await;
    stage.complete(driver, far.id, TaskKind::Pickup).await.expect("picked up");
    let work = work_of(&stage, driver, |w| w.planned.as_ref().is_some_and(|p| p.stops.len() == 3)).await;
    assert_eq!(work.chosen, None);
    assert!(crate::views::route(driver, &work).stops.iter().all(|s| !s.chosen));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_that_is_taken_back_leaves_the_plan_to_itself() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.099)).await;
    let near = stage.place(stage.fast_order()).await;
    stage.accepted(near.id).await;
    let far = stage.place(far_order(&stage)).await;
    stage.system.orders().assign(far.id, driver, super::stage::admin()).await.expect("by hand");
    let (far_pickup, _) = stage.task(far.id, TaskKind::Pickup).await;
    choose(&stage, driver, Some(far_pickup)).await.expect("chosen");
    work_of(&stage, driver, |w| is_first(w, driver, far_pickup)).await;
    assert!(choose(&stage, driver, None).await.expect("taken back").changed);
    assert!(!choose(&stage, driver, None).await.expect("there is none").changed);
    work_of(&stage, driver, |w| w.planned.as_ref().is_some_and(|p| p.stops[0].order == near.id)).await;
    // Gone with its order, too.
    choose(&stage, driver, Some(far_pickup)).await.expect("chosen again");
    stage.system.orders().unassign(far.id, super::stage::admin()).await.expect("unassigned");
    let work = work_of(&stage, driver, |w| w.in_hand.len() == 1).await;
    assert_eq!(work.chosen, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_next_is_refused_and_changes_nothing() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.099)).await;
    let order = stage.place(stage.fast_order()).await;
    stage.accepted(order.id).await;
    let other = stage.driver_on_shift(place(52.1, 13.099)).await;
    let ((pickup, _), (door, _)) =
        (stage.task(order.id, TaskKind::Pickup).await, stage.task(order.id, TaskKind::Delivery).await);
    let unknown = TaskId::from_uuid(uuid::Uuid::from_u128(7));
    assert!(matches!(choose(&stage, driver, Some(unknown)).await, Err(Refused::NotFound(ref what)) if what == "task"));
    assert!(matches!(choose(&stage, other, Some(pickup)).await, Err(Refused::NotFound(ref what)) if what == "task"));
    let not_due = |answer| matches!(answer, Err(Refused::Order(Rejected::TaskNotDue(_))));
    assert!(not_due(choose(&stage, driver, Some(door)).await), "before its pickup");
    stage.complete(driver, order.id, TaskKind::Pickup).await.expect("picked up");
    work_of(&stage, driver, |w| w.in_hand.iter().any(|o| o.status() == Status::PickedUp)).await;
    assert!(not_due(choose(&stage, driver, Some(pickup)).await), "done already");
    assert!(choose(&stage, driver, Some(door)).await.expect("its turn").changed);
    stage.complete(driver, order.id, TaskKind::Delivery).await.expect("delivered");
    work_of(&stage, driver, |w| w.in_hand.is_empty()).await;
    let over = choose(&stage, driver, Some(door)).await;
    assert!(matches!(over, Err(Refused::Order(Rejected::Ended(Status::Delivered)))), "{over:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_that_breaks_a_promise_says_so() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let near = stage.place(stage.fast_order()).await;
    stage.accepted(near.id).await;
    let mut far = stage.fast_order();
    far.delivery.place = place(52.005, 13.005);
    let far = stage.place(far).await;
    stage.system.orders().assign(far.id, driver, super::stage::admin()).await.expect("by hand");
    for id in [near.id, far.id] {
        stage.complete(driver, id, TaskKind::Pickup).await.expect("picked up");
    }
    work_of(&stage, driver, |w| w.in_hand.iter().all(|o| o.status() == Status::PickedUp)).await;
    let (door, _) = stage.task(near.id, TaskKind::Delivery).await;
    assert_eq!(choose(&stage, driver, Some(door)).await.expect("harmless").late, []);
    let (door, _) = stage.task(far.id, TaskKind::Delivery).await;
    assert_eq!(choose(&stage, driver, Some(door)).await.expect("costly").late, [near.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_is_reckoned_with_what_was_learned_of_a_shop() {
    let stage = stage().await;
    let driver = stage.driver_on_shift(place(52.1, 13.1)).await;
    let aboard = stage.place(stage.fast_order()).await;
    stage.accepted(aboard.id).await;
    stage.complete(driver, aboard.id, TaskKind::Pickup).await.expect("picked up");
    let mut late = stage.fast_order();
    late.pickups[0].ready_at = Some(stage.now());
    let late = stage.place(late).await;
    stage.system.orders().assign(late.id, driver, super::stage::admin()).await.expect("by hand");
    let (shop, _) = stage.task(late.id, TaskKind::Pickup).await;
    work_of(&stage, driver, |w| w.in_hand.len() == 2).await;
    assert_eq!(choose(&stage, driver, Some(shop)).await.expect("as stated").late, []);
    let learned = stage.system.learned();
    let question = Question::of_seller(Quantity::Lateness, stage.zone, Some(stage.merchant), stage.now());
    let seen = Observation { question, sample: Sample::exact(2 * 3600) };
    learned.tell(&[seen; 64]);
    eventually("it is learned", async || (learned.quantiles(question).median() >= 3600).then_some(())).await;
    choose(&stage, driver, None).await.expect("taken back");
    work_of(&stage, driver, |w| w.planned.as_ref().is_some_and(|p| p.stops[0].order == aboard.id)).await;
    assert_eq!(choose(&stage, driver, Some(shop)).await.expect("as learned").late, [aboard.id]);
}
