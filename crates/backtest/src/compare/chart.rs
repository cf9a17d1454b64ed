//! Charts as inline SVG. Colours come from the page's style: a series has the class `s0`, `s1` and so on.

use std::fmt::Write as _;

use super::html::escape;

/// Colours that the page's style has.
pub(super) const COLOURS: usize = 8;
/// Size of the drawing, in its own units: its width, and where the plot begins and ends.
const WIDTH: f64 = 1080.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 22.0;
const FLOOR: f64 = 294.0;
/// Below the plot: one line of text, two of them, names aslant.
const ONE_LINE: f64 = 28.0;
const TWO_LINES: f64 = 46.0;
const ASLANT: f64 = 70.0;
/// Bars narrower than this have their value in a tooltip only.
const LABELLED_BAR: f64 = 24.0;
const WIDEST_BAR: f64 = 44.0;
/// Days whose names fit below their bars; with more they are written aslant.
const NAMES_SIDE_BY_SIDE: usize = 8;

/// Bars in groups.
pub(super) struct Bars<'a> {
    /// What is shown, for those who cannot see it.
    pub(super) label: &'a str,
    /// Names of the groups.
    pub(super) groups: &'a [String],
    /// Names of the series.
    pub(super) series: &'a [String],
    /// A value for each group and series.
    pub(super) values: Vec<Vec<Option<f64>>>,
    /// A line across; its name stands in the legend, where no bar is in its way.
    pub(super) mark: Option<f64>,
}

/// Lines that rise from 0 to at most 1.
pub(super) struct Curves<'a> {
    /// What is shown, for those who cannot see it.
    pub(super) label: &'a str,
    /// Names of the series.
    pub(super) series: &'a [String],
    /// Points of each series: a value, and the share up to it.
    pub(super) points: Vec<Vec<(f64, f64)>>,
    /// Where the plot ends.
    pub(super) end: f64,
    /// A line upwards, with its name.
    pub(super) mark: (f64, &'a str),
}

/// A step of a scale that has about five of them up to the end: 1, 2, 2.5 or 5 times a power of ten.
fn step(end: f64) -> f64 {
    let rough = (end / 5.0).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    let nice = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|nice| nice * power >= rough * 0.999);
    nice.unwrap_or(10.0) * power
}

/// The colour of a series.
pub(super) fn class(series: usize) -> String {
    format!("s{}", series % COLOURS)
}

fn open(label: &str, below: f64) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\">", FLOOR + below, escape(label))
}

/// Lines across with their values, from 0 up to the end.
fn scale(svg: &mut String, end: f64, show: impl Fn(f64) -> String, y: impl Fn(f64) -> f64) {
    let step = step(end);
    let mut value = 0.0;
    while value <= end * 1.0001 {
        let at = y(value);
        let (right, text) = (WIDTH - RIGHT, show(value));
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            LEFT - 8.0,
            at + 4.0,
        );
        value += step;
    }
}

/// A number of a scale: no digits that say nothing.
fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Bars<'_> {
    /// The chart.
    #[expect(clippy::cast_precision_loss, reason = "a few days and policies")]
    pub(super) fn svg(&self) -> String {
        let highest = self.values.iter().flatten().flatten().copied().fold(1e-9, f64::max);
        let highest = self.mark.map_or(highest, |at| highest.max(at));
        let end = (highest / step(highest)).ceil() * step(highest);
        let y = |value: f64| FLOOR - (FLOOR - TOP) * (value / end).clamp(0.0, 1.0);
        let below = if self.groups.len() <= NAMES_SIDE_BY_SIDE { ONE_LINE } else { ASLANT };
        let mut svg = open(self.label, below);
        scale(&mut svg, end, plain, y);
        let group_width = (WIDTH - LEFT - RIGHT) / self.groups.len().max(1) as f64;
        let bar = (group_width * 0.84 / self.series.len().max(1) as f64).min(WIDEST_BAR);
        // Over the bars and the line across.
        let mut labels = String::new();
        for (group, (name, values)) in self.groups.iter().zip(&self.values).enumerate() {
            let middle = LEFT + group_width * (group as f64 + 0.5);
            let first = middle - bar * self.series.len() as f64 / 2.0;
            for (series, value) in values.iter().enumerate() {
                let left = first + bar * series as f64;
                let Some(value) = *value else { continue };
                let (top, centre) = (y(value), left + bar / 2.0);
                let title = format!("{name} · {}: {value:.2}", self.series[series]);
                let _ = write!(
                    svg,
                    "<rect class=\"fill {}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"1.5\">\
                     <title>{}</title></rect>",
                    class(series),
                    left + bar * 0.06,
                    bar * 0.88,
                    (FLOOR - top).max(0.5),
                    escape(&title),
                );
                if bar >= LABELLED_BAR {
                    let (y, digits) = (top - 4.0, if value < 10.0 { 2 } else { 1 });
                    let _ = write!(
                        labels,
                        "<text class=\"value\" x=\"{centre:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{value:.digits$}</text>"
                    );
                }
            }
            self.name(&mut svg, name, middle);
        }
        if let Some(at) = self.mark {
            let (at, right) = (y(at), WIDTH - RIGHT);
            let _ = write!(svg, "<line class=\"mark\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        }
        svg + &labels + "</svg>"
    }

    fn name(&self, svg: &mut String, name: &str, middle: f64) {
        let y = FLOOR + 18.0;
        let name = escape(name);
        let _ = if self.groups.len() <= NAMES_SIDE_BY_SIDE {
            write!(svg, "<text class=\"name\" x=\"{middle:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{name}</text>")
        } else {
            write!(
                svg,
                "<text class=\"name\" text-anchor=\"end\" transform=\"translate({:.1} {:.1}) rotate(-25)\">{name}</text>",
                middle + 10.0,
                FLOOR + 14.0,
            )
        };
    }
}

impl Curves<'_> {
    /// The chart.
    pub(super) fn svg(&self) -> String {
        let y = |share: f64| FLOOR - (FLOOR - TOP) * share.clamp(0.0, 1.0);
        let x = |value: f64| LEFT + (WIDTH - LEFT - RIGHT) * (value / self.end).clamp(0.0, 1.0);
        let mut svg = open(self.label, TWO_LINES);
        scale(&mut svg, 1.0, |share| format!("{:.0} %", share * 100.0), y);
        let mut value = 0.0;
        while value <= self.end {
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x(value),
                FLOOR + 18.0,
                plain(value),
            );
            value += 10.0 * (self.end / 200.0).ceil();
        }
        let (at, name) = self.mark;
        let _ = write!(
            svg,
            "<line class=\"mark\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{FLOOR}\"/>\
             <text class=\"marked\" x=\"{1:.1}\" y=\"{2}\">{3}</text>\
             <text class=\"tick\" x=\"{4}\" y=\"{5}\" text-anchor=\"end\">minutes from placement to door</text>",
            x(at),
            x(at) + 6.0,
            FLOOR - 8.0,
            escape(name),
            WIDTH - RIGHT,
            FLOOR + TWO_LINES - 6.0,
        );
        for (series, points) in self.points.iter().enumerate() {
            let mut path = String::new();
            for (value, share) in points {
                let _ = write!(path, "{}{:.1} {:.1}", if path.is_empty() { "M" } else { "L" }, x(*value), y(*share));
            }
            let dash = if series < COLOURS { "" } else { " dashed" };
            let _ = write!(
                svg,
                "<path class=\"line {}{dash}\" d=\"{path}\"><title>{}</title></path>",
                class(series),
                escape(&self.series[series]),
            );
        }
        svg + "</svg>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_steps_that_people_count_in() {
        for (end, wanted) in [(126.7, 50.0), (110.9, 25.0), (100.0, 20.0), (5.0, 1.0), (0.9, 0.2), (7.0, 2.0)] {
            assert!((step(end) - wanted).abs() < 1e-9, "{end}: {}", step(end));
        }
        assert_eq!((plain(20.0), plain(0.2), plain(0.0)), ("20".to_owned(), "0.2".to_owned(), "0".to_owned()));
    }

    #[test]
    fn a_bar_is_as_high_as_its_value_and_what_is_unknown_has_none() {
        let names = ["a".to_owned(), "b".to_owned()];
        let values = vec![vec![Some(50.0), Some(100.0)], vec![None, Some(0.0)]];
        let svg = Bars { label: "x", groups: &names, series: &names, values, mark: None }.svg();
        let heights: Vec<f64> = svg
            .split("<rect")
            .skip(1)
            .map(|rect| rect.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        let plot = FLOOR - TOP;
        assert_eq!(heights, [plot / 2.0, plot, 0.5]);
    }
}
