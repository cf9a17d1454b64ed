//! The table for another program: one line for each day and contender, full precision, nothing averaged over days.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::Comparison;
use super::figures::FIGURES;

/// The table as CSV.
#[must_use]
pub fn csv(comparison: &Comparison) -> String {
    let mut text = String::from("day,policy,orders,deliverable,delivered");
    for figure in FIGURES {
        text.push(',');
        text.push_str(figure.name);
    }
    text.push_str(",late_share,passes,slowest_pass_ms\n");
    for (day, cells) in comparison.days.iter().zip(&comparison.cells) {
        for (name, cell) in comparison.contenders.iter().zip(cells) {
            let score = &cell.score;
            let (day, name) = (quoted(day), quoted(name));
            // Writing to a string cannot fail.
            let _ = write!(text, "{day},{name},{},{},{}", score.orders, score.deliverable, score.delivered);
            let late = (score.delivered > 0).then_some(score.late_share);
            for value in FIGURES.iter().map(|figure| (figure.of)(cell)).chain([late]) {
                text.push_str(&value.map_or_else(|| ",".to_owned(), |value| format!(",{value:.6}")));
            }
            let _ = match cell.effort {
                Some(effort) => writeln!(text, ",{},{:.3}", effort.passes, effort.slowest.as_secs_f64() * 1e3),
                None => writeln!(text, ",,"),
            };
        }
    }
    text
}

/// A cell of text, in quotes where it needs them.
fn quoted(text: &str) -> Cow<'_, str> {
    if text.contains(['"', ',', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::sample;

    #[test]
    fn every_day_and_contender_has_a_line_with_as_many_cells_as_the_header() {
        let text = csv(&sample());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        let header: Vec<&str> = lines[0].split(',').collect();
        assert!(header.starts_with(&["day", "policy", "orders"]) && header.contains(&"solver_cpu_seconds"), "{text}");
        assert_eq!(lines[1].split(',').count(), header.len());
        assert!(lines[1].starts_with("tiny,least_busy,3,3,3,") && lines[1].ends_with(",7,56.000"), "{text}");
        assert!(lines[2].starts_with("tiny,<theirs>,3,3,1,17.000000,") && lines[2].ends_with(",,"), "{text}");
    }

    #[test]
    fn names_with_commas_and_quotes_are_quoted_and_unknown_figures_are_empty() {
        let text = csv(&sample());
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("\"<b>&\"\"2\"\",\",<theirs>,3,3,0,,,,,,0.000000,,180.000000,,,,,"), "{last}");
    }
}
