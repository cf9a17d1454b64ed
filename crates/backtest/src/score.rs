//! What a day came to, in the figures that the public scorer prints: means over delivered orders, in minutes.

use std::collections::HashMap;

use crate::instance::{Instance, OrderRow, Parameters};
use crate::trace::TraceRow;

/// Minutes from placement to the door that are promised.
pub const TARGET_MINUTES: f64 = 40.0;
/// What a courier earns for an order.
pub const PAY_PER_ORDER: f64 = 10.0;
/// What a courier earns at least for an hour of their shift.
pub const PAY_PER_HOUR: f64 = 15.0;
/// Minutes that count for an order that could have been delivered and was not.
pub const UNDELIVERED_MINUTES: f64 = 180.0;

/// The figures of a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Orders of the day.
    pub orders: usize,
    /// Orders that any dispatcher could have delivered.
    pub deliverable: usize,
    /// Orders delivered.
    pub delivered: usize,
    /// Placement to door, mean.
    pub click_to_door: f64,
    /// Placement to door, 90th percentile.
    pub click_to_door_p90: f64,
    /// Ready to picked up, mean.
    pub ready_to_pickup: f64,
    /// Ready to door, mean.
    pub ready_to_door: f64,
    /// Minutes over [`TARGET_MINUTES`], mean over all delivered.
    pub lateness: f64,
    /// Share of the delivered that took longer than [`TARGET_MINUTES`].
    pub late_share: f64,
    /// Minutes above what no dispatcher could avoid, mean over the deliverable; an order that was not delivered
    /// counts [`UNDELIVERED_MINUTES`].
    pub excess: f64,
    /// Orders to a pickup, mean.
    pub bundle: f64,
    /// Orders per hour of shift.
    pub orders_per_driver_hour: f64,
    /// Pay per delivered order.
    pub cost_per_order: f64,
}

fn travel(instance: &Instance, from: crate::Point, to: crate::Point) -> f64 {
    (from.meters_to(to) / instance.parameters.meters_per_minute).ceil()
}

/// Placement to door if a courier stood at the restaurant the moment the order is ready.
fn unavoidable(day: &Instance, order: &OrderRow) -> f64 {
    let Parameters { pickup_service_minutes: pickup, dropoff_service_minutes: dropoff, .. } = day.parameters;
    let way = travel(day, day.restaurants[order.restaurant].place, order.place);
    (order.ready_time - order.placement_time).max(pickup / 2.0) + pickup / 2.0 + way + dropoff / 2.0
}

/// Whether some courier's shift is still on when the order could first be picked up.
fn is_deliverable(day: &Instance, order: &OrderRow) -> bool {
    let half = day.parameters.pickup_service_minutes / 2.0;
    let earliest = order.ready_time.max(order.placement_time + half);
    let restaurant = day.restaurants[order.restaurant].place;
    day.couriers
        .iter()
        .any(|c| earliest <= c.off_time && c.on_time + travel(day, c.place, restaurant) + half <= c.off_time)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    if count == 0.0 { 0.0 } else { sum / count }
}

/// The value below which a share of all lies, with linear interpolation.
#[must_use]
pub fn percentile(mut values: Vec<f64>, percent: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "a count of orders")]
    let rank = last as f64 * percent / 100.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index between 0 and the last")]
    let below = rank.floor() as usize;
    values[below] + (values[(below + 1).min(last)] - values[below]) * rank.fract()
}

/// Scores a trace. Rows of orders that the day does not have are left out.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of orders")]
pub fn score(day: &Instance, rows: &[TraceRow]) -> Score {
    let orders: HashMap<&str, &OrderRow> = day.orders.iter().map(|o| (o.name.as_str(), o)).collect();
    let done: Vec<(&TraceRow, &OrderRow)> =
        rows.iter().filter_map(|r| orders.get(r.order.as_str()).map(|o| (r, *o))).collect();
    let click: Vec<f64> = done.iter().map(|(r, o)| r.delivered_at - o.placement_time).collect();
    let over = || click.iter().map(|minutes| (minutes - TARGET_MINUTES).max(0.0));
    let deliverable = day.orders.iter().filter(|o| is_deliverable(day, o)).count();
    let missing = deliverable.saturating_sub(done.len()) as f64;
    let above: f64 = done.iter().map(|(r, o)| r.delivered_at - o.placement_time - unavoidable(day, o)).sum();
    let trips: std::collections::HashSet<&str> = rows.iter().map(|r| r.bundle.as_str()).collect();
    let mut carried: HashMap<&str, f64> = HashMap::new();
    for (row, _) in &done {
        *carried.entry(row.courier.as_str()).or_default() += 1.0;
    }
    let hours: f64 = day.couriers.iter().map(|c| (c.off_time - c.on_time) / 60.0).sum();
    let pay: f64 = day
        .couriers
        .iter()
        .map(|c| {
            let orders = carried.get(c.name.as_str()).copied().unwrap_or(0.0);
            (PAY_PER_ORDER * orders).max(PAY_PER_HOUR * (c.off_time - c.on_time) / 60.0)
        })
        .sum();
    let delivered = done.len() as f64;
    let per_delivered = |sum: f64| if delivered == 0.0 { 0.0 } else { sum / delivered };
    Score {
        orders: day.orders.len(),
        deliverable,
        delivered: done.len(),
        click_to_door: mean(click.iter().copied()),
        click_to_door_p90: percentile(click.clone(), 90.0),
        ready_to_pickup: mean(done.iter().map(|(r, o)| r.picked_up_at - o.ready_time)),
        ready_to_door: mean(done.iter().map(|(r, o)| r.delivered_at - o.ready_time)),
        lateness: mean(over()),
        late_share: mean(click.iter().map(|minutes| if *minutes > TARGET_MINUTES { 1.0 } else { 0.0 })),
        excess: (above + UNDELIVERED_MINUTES * missing) / (deliverable.max(1) as f64),
        bundle: if trips.is_empty() { 0.0 } else { delivered / trips.len() as f64 },
        orders_per_driver_hour: if hours == 0.0 { 0.0 } else { delivered / hours },
        cost_per_order: per_delivered(pay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::tiny;

    fn row(order: &str, courier: &str, picked: f64, dropped: f64) -> TraceRow {
        TraceRow {
            order: order.to_owned(),
            courier: courier.to_owned(),
            restaurant: 0,
            assigned_at: picked - 5.0,
            picked_up_at: picked,
            delivered_at: dropped,
            bundle: format!("{courier}-{picked}"),
            seq: 1,
        }
    }

    #[test]
    fn a_day_is_scored_by_what_could_not_be_avoided_and_what_is_missing() {
        // o1: placed 5, ready 15 at (600, 0), door (0, 100): 609 m, 3 minutes; at best 10 + 2 + 3 + 2 = 17 minutes.
        let one = score(&tiny(), &[row("o1", "c1", 16.0, 24.0)]);
        assert_eq!((one.orders, one.deliverable, one.delivered), (3, 3, 1));
        assert_eq!((one.click_to_door, one.ready_to_pickup, one.ready_to_door), (19.0, 1.0, 9.0));
        assert!((one.excess - (2.0 + 2.0 * UNDELIVERED_MINUTES) / 3.0).abs() < 1e-9);
        // c1 works an hour, c2 80 minutes: 15 and 20 are guaranteed.
        assert_eq!((one.cost_per_order, one.bundle), (35.0, 1.0));
        let late = score(&tiny(), &[row("o1", "c1", 16.0, 55.0)]);
        assert_eq!((late.lateness, late.late_share), (10.0, 1.0));
    }

    #[test]
    fn a_percentile_lies_between_its_neighbours() {
        assert_eq!(percentile(vec![4.0, 1.0, 2.0, 3.0], 50.0), 2.5);
        assert_eq!(percentile(vec![], 90.0), 0.0);
    }

    #[test]
    fn a_day_without_deliveries_has_figures_too() {
        let none = score(&tiny(), &[]);
        assert_eq!((none.delivered, none.click_to_door, none.cost_per_order), (0, 0.0, 0.0));
        assert_eq!(none.excess, UNDELIVERED_MINUTES);
    }
}
