//! The properties of a plan (`PROPERTIES.md`), one function each. Slow on purpose: every one asks every driver.

use posthaste_domain::ids::DriverId;
use posthaste_domain::window::Window;
use posthaste_geography::TravelModel;

use crate::board::Board;
use crate::decision::{Choice, Decision};
use crate::plan::{Plan, precedence};
use crate::rule::Question;
use crate::scan;
use crate::views::{DriverView, OrderView};

/// A property that does not hold, in words.
pub type Broken = String;

/// All properties of one plan, made on a board that looked like `before`.
///
/// # Errors
/// The first property that does not hold.
pub fn plan(before: &Board, orders: &[OrderView], plan: &Plan, travel: &dyn TravelModel) -> Result<(), Broken> {
    answers_each_order_once(orders, plan)?;
    holds_no_time_twice(before, orders, plan)?;
    stays_within_capacity(before, orders, plan)?;
    let mut board = Roster { drivers: before.drivers().cloned().collect() };
    for turn in &plan.decisions {
        let order = &orders[turn.given];
        let question = Question { order, now: plan.at, travel, radius_meters: before.radius_meters() };
        match (&turn.decision.chosen, &turn.decision.later) {
            (Some(choice), None) => {
                chooses_only_the_able(&question, &board, choice)?;
                prefers_the_least_busy(&question, &board, choice)?;
                asks_nobody_too_early(&question, choice, true)?;
                board.hold(choice, order);
            }
            (None, Some(later)) => {
                prefers_the_least_busy(&question, &board, later)?;
                asks_nobody_too_early(&question, later, false)?;
            }
            (None, None) => leaves_only_what_nobody_can_take(&question, &board, &turn.decision)?,
            (Some(_), Some(_)) => return Err(format!("{} is to be asked about now and later", order.id)),
        }
    }
    Ok(())
}

/// Property 1.
///
/// # Errors
/// When it does not hold.
pub fn answers_each_order_once(orders: &[OrderView], plan: &Plan) -> Result<(), Broken> {
    let mut given: Vec<usize> = plan.decisions.iter().map(|turn| turn.given).collect();
    let in_turn =
        plan.decisions.windows(2).all(|pair| precedence(&orders[pair[0].given]) <= precedence(&orders[pair[1].given]));
    given.sort_unstable();
    let complete = given.iter().copied().eq(0..orders.len());
    let right = plan.decisions.iter().all(|t| orders.get(t.given).is_some_and(|order| t.decision.order == order.id));
    if complete && in_turn && right { Ok(()) } else { Err(format!("orders answered out of turn: {given:?}")) }
}

/// Property 2.
///
/// # Errors
/// When it does not hold.
fn chooses_only_the_able(question: &Question<'_>, roster: &Roster, choice: &Choice) -> Result<(), Broken> {
    let Some(driver) = roster.find(choice.driver) else { return Err(format!("{} is not on the board", choice.driver)) };
    match question.judge(driver) {
        Ok(fit) if fit.choice() == *choice => Ok(()),
        Ok(fit) => Err(format!("{:?} was given as {choice:?}", fit.choice())),
        Err(reason) => Err(format!("{} cannot take {}: {reason:?}", choice.driver, question.order.id)),
    }
}

/// Property 3.
///
/// # Errors
/// When it does not hold.
pub fn holds_no_time_twice(before: &Board, orders: &[OrderView], plan: &Plan) -> Result<(), Broken> {
    let mut held: Vec<(DriverId, Window)> = Vec::new();
    for turn in &plan.decisions {
        let Some(choice) = &turn.decision.chosen else { continue };
        let earlier = held.iter().filter(|(driver, _)| *driver == choice.driver).map(|(_, window)| *window);
        let own = before.driver(choice.driver).into_iter().flat_map(|d| d.commitments.iter().map(|c| c.window));
        if let Some(other) = earlier.chain(own).find(|window| window.overlaps(choice.commitment)) {
            let order = orders[turn.given].id;
            return Err(format!("{order} holds {:?} of {}, over {other:?}", choice.commitment, choice.driver));
        }
        held.push((choice.driver, choice.commitment));
    }
    Ok(())
}

/// Property 4: at every instant at which anything begins, asked one by one.
///
/// # Errors
/// When it does not hold.
pub fn stays_within_capacity(before: &Board, orders: &[OrderView], plan: &Plan) -> Result<(), Broken> {
    for driver in before.drivers() {
        let given: Vec<(Window, u64)> = plan
            .decisions
            .iter()
            .filter_map(|turn| turn.decision.chosen.map(|choice| (turn, choice)))
            .filter(|(_, choice)| choice.driver == driver.id)
            .map(|(turn, choice)| (choice.commitment, u64::from(orders[turn.given].size)))
            .collect();
        let begins = driver.commitments.iter().map(|c| c.window).chain(given.iter().map(|(w, _)| *w));
        for at in begins.map(Window::start).chain([plan.at]) {
            let new: u64 = given.iter().filter(|(w, _)| w.contains(at)).map(|(_, size)| size).sum();
            let there = driver.commitments.iter().filter(|c| c.takes_room_at(at, plan.at));
            let aboard = new + there.map(|c| u64::from(c.size)).sum::<u64>();
            if new > 0 && aboard > u64::from(driver.capacity) {
                return Err(format!("{} would have {aboard} aboard at {at}, {} fit", driver.id, driver.capacity));
            }
        }
    }
    Ok(())
}

/// Property 7.
///
/// # Errors
/// When it does not hold.
fn asks_nobody_too_early(question: &Question<'_>, choice: &Choice, asked: bool) -> Result<(), Broken> {
    let starts = choice.commitment.start();
    let has_to = question.fixed_window().is_some() || starts <= question.now;
    if has_to == asked { Ok(()) } else { Err(format!("{} is to leave at {starts}: asked {asked}", choice.driver)) }
}

/// Property 5.
///
/// # Errors
/// When it does not hold.
fn prefers_the_least_busy(question: &Question<'_>, roster: &Roster, choice: &Choice) -> Result<(), Broken> {
    let best = scan::choose(question, &roster.drivers).map(|fit| fit.choice());
    if best == Some(*choice) { Ok(()) } else { Err(format!("{choice:?} was chosen, {best:?} is preferred")) }
}

/// Property 6.
///
/// # Errors
/// When it does not hold.
fn leaves_only_what_nobody_can_take(
    question: &Question<'_>,
    roster: &Roster,
    decision: &Decision,
) -> Result<(), Broken> {
    if let Some(fit) = scan::choose(question, &roster.drivers) {
        return Err(format!("{} was left, though {:?} could take it", question.order.id, fit.choice()));
    }
    let expected = scan::explain(question, &roster.drivers).counts;
    if decision.counts == expected {
        Ok(())
    } else {
        Err(format!("{} was explained by {:?} instead of {expected:?}", question.order.id, decision.counts))
    }
}

/// Drivers without an index, on which the plan is made again.
struct Roster {
    drivers: Vec<DriverView>,
}

impl Roster {
    fn find(&self, id: DriverId) -> Option<&DriverView> {
        self.drivers.iter().find(|driver| driver.id == id)
    }

    fn hold(&mut self, choice: &Choice, order: &OrderView) {
        if let Some(driver) = self.drivers.iter_mut().find(|driver| driver.id == choice.driver) {
            driver.hold(order.id, choice.commitment, order.size);
        }
    }
}
