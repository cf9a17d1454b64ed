//! Every figure, a line for each row, for spreadsheets and scripts. Unknown values are empty.

use posthaste_protocol::insight::{Durations, PerformanceRow, PerformanceView};

/// The titles of the columns, in the order of [`cells`].
const TITLES: &str = "zone_id,zone,from,to,placed,delivered,canceled,rejected,expired,failed,live,on_time,on_time_share,\
    click_to_door_count,click_to_door_mean_seconds,click_to_door_p50_seconds,click_to_door_p90_seconds,\
    ready_to_pickup_count,ready_to_pickup_mean_seconds,ready_to_pickup_p50_seconds,ready_to_pickup_p90_seconds,\
    on_shift_seconds,in_hand_seconds,utilisation,trips,pickups,pickups_per_trip,\
    offers_made,offers_accepted,offers_declined,offers_lapsed,offers_withdrawn,declined_share,lapsed_share,\
    placed_estimates,placed_by_p50,placed_by_p90,placed_p50_share,placed_p90_share,\
    assigned_estimates,assigned_by_p50,assigned_by_p90,assigned_p50_share,assigned_p90_share";

pub(super) fn csv(view: &PerformanceView) -> String {
    let mut text = format!("{TITLES}\n");
    for row in &view.rows {
        text.push_str(&cells(row).join(","));
        text.push('\n');
    }
    text
}

fn cells(row: &PerformanceRow) -> Vec<String> {
    let figures = &row.figures;
    let (orders, offers, bundling) = (figures.orders, figures.offers, figures.bundling);
    let drivers = figures.drivers;
    let mut cells = vec![row.zone_id.to_string(), quoted(&row.zone), row.from.to_rfc3339(), row.to.to_rfc3339()];
    let counts = [
        orders.placed,
        orders.delivered,
        orders.canceled,
        orders.rejected,
        orders.expired,
        orders.failed,
        orders.live,
        figures.on_time.orders,
    ];
    cells.extend(counts.map(|count| count.to_string()));
    cells.push(known(figures.on_time.share));
    cells.extend(durations(figures.click_to_door));
    cells.extend(durations(figures.ready_to_pickup));
    cells.push(known(drivers.map(|d| d.on_shift_seconds)));
    cells.push(known(drivers.map(|d| d.in_hand_seconds)));
    cells.push(known(drivers.and_then(|d| d.utilisation)));
    cells.extend([bundling.trips.to_string(), bundling.pickups.to_string(), known(bundling.per_trip)]);
    let counts = [offers.made, offers.accepted, offers.declined, offers.lapsed, offers.withdrawn];
    cells.extend(counts.map(|count| count.to_string()));
    cells.extend([known(offers.declined_share), known(offers.lapsed_share)]);
    for held in [figures.estimates.placed, figures.estimates.assigned] {
        cells.extend([held.orders, held.by_p50, held.by_p90].map(|count| count.to_string()));
        cells.extend([known(held.p50_share), known(held.p90_share)]);
    }
    cells
}

fn durations(durations: Option<Durations>) -> [String; 4] {
    [
        durations.map_or(0, |d| d.count).to_string(),
        known(durations.map(|d| d.mean_seconds)),
        known(durations.map(|d| d.p50_seconds)),
        known(durations.map(|d| d.p90_seconds)),
    ]
}

fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// A name as a cell: in quotes where it holds what would end the cell.
fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n', '\r']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_cell_for_each_title() {
        let view = super::super::table::tests::view();
        assert_eq!(cells(&view.rows[0]).len(), TITLES.split(',').count());
        let text = csv(&view);
        let (titles, line) = text.trim_end().split_once('\n').unwrap();
        assert_eq!(titles, TITLES);
        let (id, rest) = line.split_once(',').unwrap();
        assert!(id.starts_with("zon_"), "{line}");
        let rest = rest.strip_prefix(r#""Zürich, ""West""","#).expect(line);
        assert!(rest.contains("+00:00,12,9,1,0,1,1,0,8,0.8889,9,1452,1400,3725,0,,,,5400,2700,0.5,0,0,,14,"), "{rest}");
    }
}
