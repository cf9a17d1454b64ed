//! The table for a terminal: days below each other, columns aligned, the means at the end.

use std::fmt::Write as _;

use super::figures::FIGURES;
use super::{Cell, Comparison};

/// Spaces between two columns.
const GAP: &str = "  ";

/// The table.
#[must_use]
pub fn table(comparison: &Comparison) -> String {
    let mut blocks: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    for (day, cells) in comparison.days.iter().zip(&comparison.cells) {
        let line = |(name, cell): (&String, &Cell)| {
            let delivered = format!("{} of {}", cell.score.delivered, cell.score.orders);
            let figures = FIGURES.iter().map(|figure| figure.show((figure.of)(cell)));
            [name.clone(), delivered].into_iter().chain(figures).collect()
        };
        blocks.push((day.clone(), comparison.contenders.iter().zip(cells).map(line).collect()));
    }
    let mean = |(contender, name): (usize, &String)| {
        let (delivered, orders) = comparison.delivered(contender);
        let figures = FIGURES.iter().map(|figure| figure.show(figure.mean(comparison, contender)));
        [name.clone(), format!("{delivered} of {orders}")].into_iter().chain(figures).collect()
    };
    if comparison.days.len() < 2 {
        return written(&blocks);
    }
    let heading = format!("mean of {} days (delivered: all together)", comparison.days.len());
    blocks.push((heading, comparison.contenders.iter().enumerate().map(mean).collect()));
    written(&blocks)
}

fn written(blocks: &[(String, Vec<Vec<String>>)]) -> String {
    let heading = |line: usize| -> Vec<String> {
        let first = ["", ["", "delivered"][line]];
        first.into_iter().chain(FIGURES.iter().map(|figure| figure.heading[line])).map(ToOwned::to_owned).collect()
    };
    // A heading of one word stands right above its figures.
    let (mut above, mut below) = (heading(0), heading(1));
    for (above, below) in above.iter_mut().zip(&mut below).filter(|(_, below)| below.is_empty()) {
        std::mem::swap(above, below);
    }
    let lines = || [&above, &below].into_iter().chain(blocks.iter().flat_map(|(_, lines)| lines));
    let width = |column: usize| lines().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..above.len()).map(width).collect();
    let mut text = aligned(&above, &widths) + &aligned(&below, &widths);
    for (heading, lines) in blocks {
        text.push_str(heading);
        text.push('\n');
        for line in lines {
            text.push_str(&aligned(line, &widths));
        }
    }
    text
}

fn aligned(line: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
        // Writing to a string cannot fail.
        let _ = if column == 0 { write!(text, "{GAP}{cell:<width$}") } else { write!(text, "{GAP}{cell:>width$}") };
    }
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::sample;

    #[test]
    fn every_day_has_its_lines_and_the_means_come_last() {
        let text = table(&sample());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2], "tiny");
        assert!(lines[3].trim_start().starts_with("least_busy") && lines[3].contains("3 of 3"), "{text}");
        assert!(lines[4].contains("<theirs>") && lines[4].contains("1 of 3") && lines[4].contains("17.00"), "{text}");
        assert_eq!(lines[8], "mean of 2 days (delivered: all together)");
        assert!(lines[9].contains("6 of 6") && lines[9].contains("1.2"), "{text}");
        // Nothing was delivered, so nothing is said of it but what it costs.
        assert!(lines[7].contains("0 of 3") && lines[7].contains("–") && lines[7].contains("180.00"), "{text}");
    }

    #[test]
    fn one_day_has_no_mean() {
        let mut one = sample();
        one.days.truncate(1);
        one.cells.truncate(1);
        assert_eq!(table(&one).lines().count(), 5);
    }

    #[test]
    fn columns_are_aligned() {
        let text = table(&sample());
        let ends = |line: &str| line.trim_end().chars().count();
        let full: Vec<&str> = text.lines().filter(|line| line.contains(" of ") && line.starts_with("  ")).collect();
        assert!(full.len() == 6 && full.iter().all(|line| ends(line) == ends(full[0])), "{text}");
        let of = |line: &str| line.chars().collect::<Vec<_>>().windows(4).position(|w| w == [' ', 'o', 'f', ' ']);
        assert!(full.iter().all(|line| of(line) == of(full[0])), "{text}");
    }
}
