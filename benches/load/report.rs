//! What came out: figures, and ratios with the mark that each has to reach.

use std::time::Duration;

use serde::Serialize;

/// The mark of a ratio.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mark {
    /// The ratio must not be lower.
    AtLeast(f64),
    /// The ratio must not be higher.
    AtMost(f64),
}

impl Mark {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(mark) => value >= mark,
            Self::AtMost(mark) => value <= mark,
        }
    }
}

#[derive(Debug, Serialize)]
struct Line {
    what: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<Mark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

/// The result of a scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    scenario: &'static str,
    lines: Vec<Line>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self { scenario, lines: Vec::new(), notes: Vec::new() }
    }

    /// A figure without a mark.
    pub(crate) fn figure(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.lines.push(Line { what: what.into(), value, unit, mark: None, met: None });
    }

    /// A span of time, in milliseconds.
    pub(crate) fn time(&mut self, what: impl Into<String>, time: Duration) {
        self.figure(what, time.as_secs_f64() * 1e3, "ms");
    }

    /// A figure or ratio with its mark.
    pub(crate) fn mark(&mut self, what: impl Into<String>, value: f64, unit: &'static str, mark: Mark) {
        self.lines.push(Line { what: what.into(), value, unit, mark: Some(mark), met: Some(mark.met(value)) });
    }

    /// Something to know about the figures.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn print(&self, json: bool) -> serde_json::Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!("\n{}", self.scenario);
        for line in &self.lines {
            let value = format!("{} {}", figure(line.value), line.unit);
            let verdict = match (line.mark, line.met) {
                (Some(Mark::AtLeast(mark)), Some(met)) => format!("mark: at least {} {}", figure(mark), word(met)),
                (Some(Mark::AtMost(mark)), Some(met)) => format!("mark: at most {} {}", figure(mark), word(met)),
                _ => String::new(),
            };
            println!("  {:<64} {value:>18}  {verdict}", line.what);
        }
        for note in &self.notes {
            println!("  note: {note}");
        }
        Ok(())
    }
}

fn word(met: bool) -> &'static str {
    if met { "- met" } else { "- MISSED" }
}

fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Spans of time, sorted when asked for a quantile.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn extend(&mut self, times: impl IntoIterator<Item = Duration>) {
        self.0.extend(times);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time that this share of all stays below; zero when there are none.
    pub(crate) fn quantile(&mut self, share: f64) -> Duration {
        self.0.sort_unstable();
        let place = ((self.0.len() as f64 * share) as usize).min(self.0.len().saturating_sub(1));
        self.0.get(place).copied().unwrap_or_default()
    }
}

/// The middle one of figures from several rounds.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
