//! Several policies over several days, side by side: simulated here, or read from traces that a replay or another
//! program wrote.
//!
//! - [`run`](run::run): plays and scores everything, days at the same time.
//! - [`figures`]: the columns, and what each means. [`text`], [`csv`], [`html`]: the same table for a terminal, for
//!   another program, and as a page with charts.

mod chart;
pub mod csv;
pub mod figures;
pub mod html;
pub mod run;
pub mod text;

use std::path::PathBuf;
use std::time::Duration;

use crate::score::Score;
use crate::simulate::named::Named;

/// Who is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contender {
    /// The name in the table.
    pub name: String,
    /// Where its days come from.
    pub source: Source,
}

/// Where a contender's days come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A policy, simulated.
    Simulated(Named),
    /// Traces in a directory, one for each day, named after it: `DAY.csv`.
    Traces(PathBuf),
}

/// What a policy's passes cost on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Processor time of all passes.
    pub solving: Duration,
    /// Passes.
    pub passes: u32,
    /// Processor time of the longest.
    pub slowest: Duration,
}

/// One contender's day.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Its figures.
    pub score: Score,
    /// Minutes from placement to door of the delivered orders, ascending.
    pub click_to_door: Vec<f64>,
    /// What it cost; unknown for traces.
    pub effort: Option<Effort>,
}

/// All days of all contenders.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The days, as they were given.
    pub days: Vec<String>,
    /// Who was compared, as they were given.
    pub contenders: Vec<String>,
    /// A row for each day, in it a cell for each contender.
    pub cells: Vec<Vec<Cell>>,
}

impl Comparison {
    /// A contender's days.
    pub fn days_of(&self, contender: usize) -> impl Iterator<Item = &Cell> + Clone {
        self.cells.iter().map(move |day| &day[contender])
    }

    /// Orders that a contender delivered over all days, and orders that there were.
    #[must_use]
    pub fn delivered(&self, contender: usize) -> (usize, usize) {
        self.days_of(contender).fold((0, 0), |(done, all), cell| (done + cell.score.delivered, all + cell.score.orders))
    }
}

/// A comparison of the tiny day, with names that need to be escaped.
#[cfg(test)]
pub(crate) fn sample() -> Comparison {
    let day = crate::instance::tiny();
    let outcome = |named: Named| {
        crate::simulate::simulate(
            &day,
            &mut *named.for_day(&day, posthaste_matching::routed::Budget::default()),
            &mut |_, _| {},
        )
    };
    let least_busy = outcome(Named::LeastBusy);
    let effort = Effort { solving: Duration::from_millis(1234), passes: 7, slowest: Duration::from_millis(56) };
    let full = run::cell(&day, &least_busy.rows, Some(effort));
    let partly = run::cell(&day, &least_busy.rows[..1], None);
    let nothing = run::cell(&day, &[], None);
    Comparison {
        days: vec!["tiny".to_owned(), "<b>&\"2\",".to_owned()],
        contenders: vec!["least_busy".to_owned(), "<theirs>".to_owned()],
        cells: vec![vec![full.clone(), partly], vec![full, nothing]],
    }
}
