//! The trace of a replay: one row per delivered order, from the server's instants.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use posthaste_domain::Timestamp;

use crate::error::DayError;
use crate::instance::Instance;

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

/// Reads a trace of a day. What the day does not know, what stands there twice, and what is no number is refused;
/// whether the couriers could have moved so is not checked.
pub fn read(path: &Path, day: &Instance) -> Result<Vec<TraceRow>, DayError> {
    let text = std::fs::read_to_string(path).map_err(|source| DayError::File { path: path.to_owned(), source })?;
    parse(&text, day).map_err(|problem| DayError::Instance { file: path.display().to_string(), problem })
}

/// Reads a trace from its text: columns in any order, the trip and the place in it may be missing.
fn parse(text: &str, day: &Instance) -> Result<Vec<TraceRow>, String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header: Vec<&str> = lines.next().ok_or("is empty")?.1.split(',').map(unquoted).collect();
    let column = |name: &str| header.iter().position(|column| *column == name);
    let needed = |name: &str| column(name).ok_or_else(|| format!("has no column {name:?}"));
    let names = [needed("order")?, needed("courier")?];
    let times = [needed("assigned_at")?, needed("picked_up_at")?, needed("delivered_at")?];
    let (bundle, seq) = (column("bundle"), column("seq"));
    let orders: HashMap<&str, usize> = day.orders.iter().map(|o| (o.name.as_str(), o.restaurant)).collect();
    let couriers: HashSet<&str> = day.couriers.iter().map(|c| c.name.as_str()).collect();
    let mut seen = HashSet::new();
    let mut rows = Vec::new();
    for (number, line) in lines {
        let wrong = |problem: String| format!("line {}: {problem}", number + 1);
        let cells: Vec<&str> = line.split(',').map(unquoted).collect();
        let cell = |index: usize| cells.get(index).copied().unwrap_or_default();
        let minute = |index: usize| {
            let minute = cell(index).parse::<f64>().ok().filter(|minute| minute.is_finite());
            minute.ok_or_else(|| wrong(format!("{} is no number: {:?}", header[index], cell(index))))
        };
        let [order, courier] = names.map(cell);
        let restaurant = *orders.get(order).ok_or_else(|| wrong(format!("the day has no order {order:?}")))?;
        if !couriers.contains(courier) {
            return Err(wrong(format!("the day has no courier {courier:?}")));
        }
        if !seen.insert(order) {
            return Err(wrong(format!("order {order:?} stands there twice")));
        }
        let [assigned_at, picked_up_at, delivered_at] = [minute(times[0])?, minute(times[1])?, minute(times[2])?];
        // What a courier picks up at one restaurant at one moment is one trip.
        let trip = || format!("{courier} {picked_up_at} {restaurant}");
        rows.push(TraceRow {
            order: order.to_owned(),
            courier: courier.to_owned(),
            restaurant,
            assigned_at,
            picked_up_at,
            delivered_at,
            bundle: bundle.map(cell).filter(|name| !name.is_empty()).map_or_else(trip, ToOwned::to_owned),
            seq: seq.and_then(|index| cell(index).parse().ok()).unwrap_or_default(),
        });
    }
    Ok(rows)
}

/// A cell without the quotes that some programs put around it. Names of a day have no commas.
fn unquoted(cell: &str) -> &str {
    cell.trim().trim_matches('"')
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
    fn a_trace_that_was_written_reads_back_and_may_leave_the_trips_out() {
        let day = crate::instance::tiny();
        let rows = with_trips(vec![delivered("o1", "c1", 0, 10.5, 30.25), delivered("o3", "c1", 0, 10.5, 31.0)]);
        assert_eq!(parse(&csv(&rows), &day), Ok(rows));
        let bare =
            "delivered_at,order,courier,picked_up_at,assigned_at\n30,o1,\"c1\",10,5\n\n31,o3,c1,10,5\n40,o2,c1,33,5\n";
        let read = parse(bare, &day).unwrap();
        assert_eq!((read[0].delivered_at, read[2].picked_up_at, read[1].assigned_at), (30.0, 33.0, 5.0));
        assert_eq!(read[0].bundle, read[1].bundle);
        assert_ne!(read[0].bundle, read[2].bundle);
    }

    #[test]
    fn what_a_trace_has_wrong_is_said_with_its_line() {
        let wrong = |line: &str| {
            let text = format!("order,courier,assigned_at,picked_up_at,delivered_at\no1,c1,1,2,3\n{line}\n");
            parse(&text, &crate::instance::tiny()).unwrap_err()
        };
        assert_eq!(wrong("o9,c1,1,2,3"), "line 3: the day has no order \"o9\"");
        assert_eq!(wrong("o2,c9,1,2,3"), "line 3: the day has no courier \"c9\"");
        assert_eq!(wrong("o1,c1,1,2,3"), "line 3: order \"o1\" stands there twice");
        assert_eq!(wrong("o2,c1,1,soon,3"), "line 3: picked_up_at is no number: \"soon\"");
        assert_eq!(wrong("o2,c1,1,2"), "line 3: delivered_at is no number: \"\"");
        assert_eq!(parse("order\n", &crate::instance::tiny()), Err("has no column \"courier\"".to_owned()));
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
