//! The trace of a replay: one row per delivered order, from the server's instants.

use std::collections::HashMap;
use std::fmt::Write as _;

use posthaste_domain::Timestamp;

/// One delivered order. Minutes count from minute 0 of the day.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceRow {
    /// The order's name in the files.
    pub order: String,
    /// The courier's name in the files.
    pub courier: String,
    /// Index of the restaurant.
    pub restaurant: usize,
    /// When the courier got it.
    pub assigned_at: f64,
    /// When it was picked up.
    pub picked_up_at: f64,
    /// When it was dropped.
    pub delivered_at: f64,
    /// The pickup trip.
    pub bundle: String,
    /// Its place among the drops of the trip, from 1.
    pub seq: usize,
}

/// Pickups of one courier at one restaurant within this many minutes, with no drop between, are one trip.
const SAME_PICKUP_MINUTES: f64 = 0.5;

/// Minutes of the day of an instant.
#[must_use]
pub fn minute_of(at: Timestamp, minute_zero: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a day are exact in a double")]
    let micros = (at - minute_zero).num_microseconds().unwrap_or(i64::MAX) as f64;
    micros / 60e6
}

/// Finds the trips: sets every row's bundle and place in it, and puts the rows in order of time.
#[must_use]
pub fn with_trips(mut rows: Vec<TraceRow>) -> Vec<TraceRow> {
    rows.sort_by(|a, b| {
        (&a.courier, a.picked_up_at).partial_cmp(&(&b.courier, b.picked_up_at)).unwrap_or(std::cmp::Ordering::Equal)
    });
    let mut trips: Vec<Vec<TraceRow>> = Vec::new();
    for row in rows {
        match trips.last_mut() {
            Some(trip) if belongs(trip, &row) => trip.push(row),
            _ => trips.push(vec![row]),
        }
    }
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut all = Vec::new();
    for mut trip in trips {
        trip.sort_by(|a, b| a.delivered_at.total_cmp(&b.delivered_at));
        let courier = trip[0].courier.clone();
        let number = numbers.entry(courier.clone()).or_default();
        *number += 1;
        for (n, row) in trip.iter_mut().enumerate() {
            row.bundle = format!("{courier}-{number}");
            row.seq = n + 1;
        }
        all.append(&mut trip);
    }
    all.sort_by(|a, b| a.picked_up_at.total_cmp(&b.picked_up_at));
    all
}

fn belongs(trip: &[TraceRow], row: &TraceRow) -> bool {
    let first = &trip[0];
    let before_any_drop = trip.iter().all(|other| row.picked_up_at < other.delivered_at);
    first.courier == row.courier
        && first.restaurant == row.restaurant
        && row.picked_up_at - first.picked_up_at <= SAME_PICKUP_MINUTES
        && before_any_drop
}

/// The trace as CSV.
#[must_use]
pub fn csv(rows: &[TraceRow]) -> String {
    let mut text = String::from("order,courier,assigned_at,picked_up_at,delivered_at,bundle,seq\n");
    for r in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{},{},{:.6},{:.6},{:.6},{},{}",
            r.order, r.courier, r.assigned_at, r.picked_up_at, r.delivered_at, r.bundle, r.seq
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(order: &str, courier: &str, restaurant: usize, picked: f64, dropped: f64) -> TraceRow {
        TraceRow {
            order: order.to_owned(),
            courier: courier.to_owned(),
            restaurant,
            assigned_at: picked - 5.0,
            picked_up_at: picked,
            delivered_at: dropped,
            bundle: String::new(),
            seq: 0,
        }
    }

    #[test]
    fn orders_picked_up_together_are_one_trip_in_order_of_their_drops() {
        let rows = with_trips(vec![
            delivered("o1", "c1", 0, 10.0, 30.0),
            delivered("o2", "c1", 0, 10.01, 20.0),
            delivered("o3", "c1", 0, 40.0, 50.0),
            delivered("o4", "c2", 0, 10.0, 25.0),
        ]);
        let seen: Vec<_> = rows.iter().map(|r| (r.order.as_str(), r.bundle.as_str(), r.seq)).collect();
        assert!(seen.contains(&("o2", "c1-1", 1)) && seen.contains(&("o1", "c1-1", 2)), "{seen:?}");
        assert!(seen.contains(&("o3", "c1-2", 1)) && seen.contains(&("o4", "c2-1", 1)), "{seen:?}");
    }

    #[test]
    fn a_drop_or_another_restaurant_between_ends_the_trip() {
        let rows = with_trips(vec![
            delivered("o1", "c1", 0, 10.0, 10.2),
            delivered("o2", "c1", 0, 10.3, 20.0),
            delivered("o3", "c1", 1, 10.4, 21.0),
        ]);
        let trips: std::collections::HashSet<_> = rows.iter().map(|r| r.bundle.clone()).collect();
        assert_eq!(trips.len(), 3);
    }

    #[test]
    fn the_file_has_the_columns_that_a_scorer_reads() {
        let text = csv(&with_trips(vec![delivered("o1", "c1", 0, 10.5, 30.25)]));
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("order,courier,assigned_at,picked_up_at,delivered_at,bundle,seq"));
        assert_eq!(lines.next(), Some("o1,c1,5.500000,10.500000,30.250000,c1-1,1"));
        assert_eq!(minute_of(Timestamp::UNIX_EPOCH + posthaste_domain::Span::seconds(90), Timestamp::UNIX_EPOCH), 1.5);
    }
}
