//! An aligned table for a terminal.

use posthaste_protocol::insight::{By, Durations, Figures, PerformanceView};

/// What is shown where nothing is known.
const UNKNOWN: &str = "-";

/// A column: the group that begins with it, its title, and whether it holds words (to the left) or numbers.
struct Column {
    group: &'static str,
    title: &'static str,
    words: bool,
}

const fn number(group: &'static str, title: &'static str) -> Column {
    Column { group, title, words: false }
}

const FIGURES: [Column; 17] = [
    number("orders", "placed"),
    number("", "done"),
    number("", "canc"),
    number("", "fail"),
    number("", "live"),
    number("", "on time"),
    number("", "in p90"),
    number("click to door", "p50"),
    number("", "p90"),
    number("ready to pickup", "mean"),
    number("", "p90"),
    number("drivers", "hours"),
    number("", "used"),
    number("pickups", "a trip"),
    number("offers", "made"),
    number("", "decl"),
    number("", "lapsed"),
];

/// The table: a line for each row, and one for all of them.
pub(super) fn table(view: &PerformanceView) -> String {
    let (from, to) = (view.from.format("%Y-%m-%d %H:%M"), view.to.format("%Y-%m-%d %H:%M"));
    let title = format!("Orders placed from {from} to {to} UTC, with what became of them");
    if view.rows.is_empty() {
        return format!("{title}\n\nNothing was placed, and nobody was on shift.\n");
    }
    let span = match view.by {
        By::Hour => Some(("hour", "%Y-%m-%d %H:%M")),
        By::Day => Some(("day", "%Y-%m-%d")),
        By::Zone => None,
    };
    let word = |title| Column { group: "", title, words: true };
    let columns: Vec<Column> =
        span.map(|(title, _)| word(title)).into_iter().chain([word("zone")]).chain(FIGURES).collect();
    let mut lines: Vec<Vec<String>> = Vec::with_capacity(view.rows.len() + 1);
    for row in &view.rows {
        let start = span.map(|(_, format)| row.from.format(format).to_string());
        lines.push(start.into_iter().chain([row.zone.clone()]).chain(figures(&row.figures)).collect());
    }
    let all = span.map(|_| "all".to_owned()).into_iter().chain([if span.is_some() { "" } else { "all" }.to_owned()]);
    lines.push(all.chain(figures(&view.total)).collect());
    format!("{title}\n\n{}", aligned(&columns, &lines))
}

fn figures(figures: &Figures) -> Vec<String> {
    let Figures { orders, on_time, estimates, click_to_door, ready_to_pickup, offers, bundling, drivers } = figures;
    let clock = |known: &Option<Durations>, which: fn(&Durations) -> i64| {
        known.as_ref().map_or_else(|| UNKNOWN.to_owned(), |d| minutes(which(d)))
    };
    vec![
        orders.placed.to_string(),
        orders.delivered.to_string(),
        orders.canceled.to_string(),
        (orders.failed + orders.expired + orders.rejected).to_string(),
        orders.live.to_string(),
        percent(on_time.share),
        percent(estimates.placed.p90_share),
        clock(click_to_door, |d| d.p50_seconds),
        clock(click_to_door, |d| d.p90_seconds),
        clock(ready_to_pickup, |d| d.mean_seconds),
        clock(ready_to_pickup, |d| d.p90_seconds),
        drivers.map_or_else(|| UNKNOWN.to_owned(), |d| hours(d.on_shift_seconds)),
        percent(drivers.and_then(|d| d.utilisation)),
        bundling.per_trip.map_or_else(|| UNKNOWN.to_owned(), |n| format!("{n:.2}")),
        offers.made.to_string(),
        percent(offers.declined_share),
        percent(offers.lapsed_share),
    ]
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| UNKNOWN.to_owned(), |share| format!("{:.1}%", share * 100.0))
}

/// Minutes and seconds; hours where there are any.
fn minutes(seconds: i64) -> String {
    let (hours, rest) = (seconds / 3600, seconds % 3600);
    if hours > 0 {
        return format!("{hours}:{:02}:{:02}", rest / 60, rest % 60);
    }
    format!("{}:{:02}", rest / 60, rest % 60)
}

#[expect(clippy::cast_precision_loss, reason = "hours of shift")]
fn hours(seconds: i64) -> String {
    format!("{:.1}", seconds as f64 / 3600.0)
}

fn aligned(columns: &[Column], lines: &[Vec<String>]) -> String {
    let length = |text: &str| text.chars().count();
    let mut widths: Vec<usize> = columns.iter().map(|column| length(column.title)).collect();
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(length(cell));
        }
    }
    let gap = |column: &Column| if column.group.is_empty() { "  " } else { "   " };
    let mut groups = String::new();
    let mut place = 0;
    for (n, (column, width)) in columns.iter().zip(&widths).enumerate() {
        place += if n == 0 { 0 } else { gap(column).len() };
        if !column.group.is_empty() {
            groups.push_str(&" ".repeat(place.saturating_sub(length(&groups))));
            groups.push_str(column.group);
            groups.push(' ');
        }
        place += width;
    }
    let mut text = format!("{}\n", groups.trim_end());
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    for line in std::iter::once(&titles).chain(lines) {
        let mut row = String::new();
        for (n, ((column, width), cell)) in columns.iter().zip(&widths).zip(line).enumerate() {
            row.push_str(if n == 0 { "" } else { gap(column) });
            let padding = " ".repeat(width.saturating_sub(length(cell)));
            row.push_str(&if column.words { format!("{cell}{padding}") } else { format!("{padding}{cell}") });
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use posthaste_domain::ids::{Id, ZoneId};
    use posthaste_protocol::insight::{
        Calibration, DriverTime, EstimateFigures, OfferCounts, OnTime, OrderCounts, PerformanceRow,
    };

    pub(crate) fn view() -> PerformanceView {
        let figures = Figures {
            estimates: EstimateFigures {
                placed: Calibration {
                    orders: 9,
                    by_p50: 4,
                    by_p90: 7,
                    p50_share: Some(0.4444),
                    p90_share: Some(0.7778),
                },
                ..EstimateFigures::default()
            },
            orders: OrderCounts {
                placed: 12,
                delivered: 9,
                canceled: 1,
                expired: 1,
                failed: 1,
                ..OrderCounts::default()
            },
            on_time: OnTime { orders: 8, share: Some(0.8889) },
            click_to_door: Some(Durations { count: 9, mean_seconds: 1452, p50_seconds: 1400, p90_seconds: 3725 }),
            offers: OfferCounts { made: 14, declined: 2, declined_share: Some(0.1429), ..OfferCounts::default() },
            drivers: Some(DriverTime { on_shift_seconds: 5400, in_hand_seconds: 2700, utilisation: Some(0.5) }),
            ..Figures::default()
        };
        let at = |text: &str| text.parse().unwrap();
        let row = PerformanceRow {
            zone_id: ZoneId::from_uuid(uuid::Uuid::from_u128(1)),
            zone: "Zürich, \"West\"".to_owned(),
            from: at("2026-11-20T10:00:00Z"),
            to: at("2026-11-20T11:00:00Z"),
            figures,
        };
        PerformanceView { from: row.from, to: row.to, by: By::Hour, rows: vec![row], total: figures }
    }

    #[test]
    fn every_number_ends_below_its_title() {
        let text = table(&view());
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let end = |line: &str, word: &str| line.find(word).map(|start| line[..start].chars().count() + word.len());
        for (title, cell) in
            [("on time", "88.9%"), ("in p90", "77.8%"), ("p50", "23:20"), ("hours", "1.5"), ("used", "50.0%")]
        {
            assert_eq!(end(lines[1], title), end(lines[2], cell), "{title}\n{text}");
        }
        assert!(lines[2].contains("1:02:05") && lines[3].starts_with("all"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() < 160), "{text}");
    }

    #[test]
    fn nothing_is_said_in_words() {
        let text = table(&PerformanceView { rows: Vec::new(), ..view() });
        assert!(text.ends_with("Nothing was placed, and nobody was on shift.\n"), "{text}");
    }
}
