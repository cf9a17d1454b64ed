//! The comparison as a page: one file, readable without a network, in light and dark.

use std::fmt::Write as _;

use super::chart::{Bars, COLOURS, Curves, class};
use super::figures::{FIGURES, Figure};
use super::{Cell, Comparison};
use crate::score::TARGET_MINUTES;

const STYLE: &str = include_str!("page.css");
/// The name of the line at [`TARGET_MINUTES`].
const PROMISED: &str = "promised: 40 minutes";
/// The curves of click-to-door go this far at least and at most, in minutes.
const SHORTEST_CURVE: f64 = 60.0;
const LONGEST_CURVE: f64 = 180.0;

/// Text between tags and in attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The page. `how` says in a sentence how the figures were made.
#[must_use]
pub fn page(comparison: &Comparison, how: &str) -> String {
    let (days, contenders) = (comparison.days.len(), comparison.contenders.len());
    let orders = comparison.delivered(0).1;
    let counted = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let lead = format!(
        "{} over {} with {}. Minutes, means over delivered orders.",
        counted(contenders, "policy").replace("policys", "policies"),
        counted(days, "recorded day"),
        counted(orders, "order"),
    );
    let mut body = format!("<header><h1>Policies side by side</h1><p>{lead} {}</p></header>\n", escape(how));
    section(&mut body, "All days", "", &means(comparison));
    section(
        &mut body,
        "Click to door",
        "Mean minutes from placement to the door, by day. Where orders were not delivered, the bar is lower than it \
         deserves: see excess.",
        &bars(comparison, 0, Some(TARGET_MINUTES)),
    );
    let excess = FIGURES.iter().position(|figure| figure.name == "excess").unwrap_or(0);
    section(
        &mut body,
        "Excess",
        "Mean minutes above what no dispatcher could have avoided, by day; an order that could have been delivered and \
         was not counts 180.",
        &bars(comparison, excess, None),
    );
    section(
        &mut body,
        "How long everybody waited",
        "Share of all orders of all days that were at the door within so many minutes. A curve that ends below 100 % \
         left orders undelivered, or had some later than is shown.",
        &curves(comparison),
    );
    section(&mut body, "Day by day", "The best of a day is bold.", &by_day(comparison));
    section(&mut body, "What the columns mean", "", &meanings());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>posthaste compare</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn section(body: &mut String, title: &str, about: &str, content: &str) {
    let about = if about.is_empty() { String::new() } else { format!("<p class=\"about\">{about}</p>\n") };
    // Writing to a string cannot fail.
    let _ = writeln!(body, "<section>\n<h2>{title}</h2>\n{about}{content}\n</section>");
}

fn swatch(contender: usize) -> String {
    let dashed = if contender < COLOURS { "" } else { " again" };
    format!("<span class=\"swatch {}{dashed}\"></span>", class(contender))
}

/// Which colour is whom, with what is to be said of each, if anything, and what else there is.
fn legend(comparison: &Comparison, about: &[String], also: &str) -> String {
    let entry = |(n, name): (usize, &String)| {
        let about = about.get(n).map(|about| format!(" <span class=\"said\">{about}</span>")).unwrap_or_default();
        format!("<li>{}{}{about}</li>", swatch(n), escape(name))
    };
    let entries: String = comparison.contenders.iter().enumerate().map(entry).collect();
    let also = if also.is_empty() { String::new() } else { format!("<li>{also}</li>") };
    format!("<ul class=\"legend\">{entries}{also}</ul>\n")
}

fn bars(comparison: &Comparison, figure: usize, mark: Option<f64>) -> String {
    let figure = &FIGURES[figure];
    let values = comparison.cells.iter().map(|day| day.iter().map(figure.of).collect()).collect();
    let chart = Bars {
        label: &format!("Bars by day and policy. {}", figure.meaning),
        groups: &comparison.days,
        series: &comparison.contenders,
        values,
        mark,
    };
    let promised = format!("<span class=\"dash\"></span><span class=\"said\">{PROMISED}</span>");
    let legend = legend(comparison, &[], &mark.map(|_| promised).unwrap_or_default());
    format!("{legend}<div class=\"chart\">{}</div>", chart.svg())
}

/// Shares of all orders at the door within so many minutes.
#[expect(clippy::cast_precision_loss, reason = "counts of orders")]
fn curves(comparison: &Comparison) -> String {
    let mut late: f64 = SHORTEST_CURVE;
    let (mut points, mut within) = (Vec::new(), Vec::new());
    let pooled = |contender: usize| {
        let mut minutes: Vec<f64> =
            comparison.days_of(contender).flat_map(|cell| cell.click_to_door.iter().copied()).collect();
        minutes.sort_by(f64::total_cmp);
        minutes
    };
    let all: Vec<Vec<f64>> = (0..comparison.contenders.len()).map(pooled).collect();
    for minutes in &all {
        late = late.max(crate::score::percentile(minutes.clone(), 98.0));
    }
    let end = ((late / 10.0).ceil() * 10.0).min(LONGEST_CURVE);
    for (contender, minutes) in all.iter().enumerate() {
        let orders = comparison.delivered(contender).1.max(1) as f64;
        let share = |limit: f64| minutes.partition_point(|m| *m <= limit) as f64 / orders;
        points.push((0..=end as u32).map(f64::from).map(|minute| (minute, share(minute))).collect());
        within.push(format!("{:.1} % within {TARGET_MINUTES:.0} minutes", share(TARGET_MINUTES) * 100.0));
    }
    let chart = Curves {
        label: "Cumulative share of all orders by minutes from placement to door, one curve for each policy.",
        series: &comparison.contenders,
        points,
        end,
        mark: (TARGET_MINUTES, PROMISED),
    };
    format!("{}<div class=\"chart\">{}</div>", legend(comparison, &within, ""), chart.svg())
}

fn head(first: &str) -> String {
    let cell = |figure: &Figure| {
        let heading = figure.heading.join("<br>");
        let heading = heading.trim_end_matches("<br>");
        format!("<th scope=\"col\" title=\"{}\">{heading}</th>", escape(figure.meaning))
    };
    let figures: String = FIGURES.iter().map(cell).collect();
    format!("<thead><tr><th scope=\"col\">{first}</th><th scope=\"col\">delivered</th>{figures}</tr></thead>")
}

/// Lines of a table, one for each contender: who, delivered of all, and the values of each figure.
fn lines(comparison: &Comparison, delivered: &[(usize, usize)], values: &[Vec<Option<f64>>]) -> String {
    let best: Vec<Vec<bool>> = FIGURES.iter().zip(values).map(|(figure, values)| figure.best(values)).collect();
    let mut text = String::new();
    for (n, name) in comparison.contenders.iter().enumerate() {
        let (done, of) = delivered[n];
        let missing =
            if done < of { format!(" <span class=\"missing\">−{}</span>", of - done) } else { String::new() };
        let _ = write!(text, "<tr><th scope=\"row\">{}{}</th><td>{done}{missing}</td>", swatch(n), escape(name));
        for (figure, (values, best)) in FIGURES.iter().zip(values.iter().zip(&best)) {
            let class = if best[n] { " class=\"best\"" } else { "" };
            let _ = write!(text, "<td{class}>{}</td>", figure.show(values[n]));
        }
        text.push_str("</tr>\n");
    }
    text
}

fn means(comparison: &Comparison) -> String {
    let contenders = 0..comparison.contenders.len();
    let delivered: Vec<(usize, usize)> = contenders.clone().map(|n| comparison.delivered(n)).collect();
    let values: Vec<Vec<Option<f64>>> =
        FIGURES.iter().map(|figure| contenders.clone().map(|n| figure.mean(comparison, n)).collect()).collect();
    let lines = lines(comparison, &delivered, &values);
    let note = "<p class=\"about below\">Means of the days' figures, each day counting the same; delivered is the sum, and in \
                red how many were not. The best is bold.</p>";
    format!("<div class=\"wide\"><table>{}<tbody>{lines}</tbody></table></div>{note}", head("policy"))
}

fn by_day(comparison: &Comparison) -> String {
    let mut body = String::new();
    for (day, cells) in comparison.days.iter().zip(&comparison.cells) {
        let delivered: Vec<(usize, usize)> = cells.iter().map(|c: &Cell| (c.score.delivered, c.score.orders)).collect();
        let values: Vec<Vec<Option<f64>>> =
            FIGURES.iter().map(|figure| cells.iter().map(figure.of).collect()).collect();
        let orders = cells.first().map_or(0, |cell| cell.score.orders);
        let _ = write!(
            body,
            "<tbody><tr class=\"day\"><th scope=\"rowgroup\" colspan=\"{}\">{} <span>{orders} orders</span></th></tr>\n{}</tbody>",
            FIGURES.len() + 2,
            escape(day),
            lines(comparison, &delivered, &values),
        );
    }
    format!("<div class=\"wide\"><table>{}{body}</table></div>", head("day and policy"))
}

fn meanings() -> String {
    let mut list = String::from(
        "<dl><dt>delivered</dt><dd>Orders that came to their door. Those that did not flatter every mean over \
         delivered orders; in red how many.</dd>\n",
    );
    for figure in FIGURES {
        let [above, below] = figure.heading;
        let heading = format!("{above} {below}");
        let _ = writeln!(list, "<dt>{}</dt><dd>{}</dd>", heading.trim(), escape(figure.meaning));
    }
    list + "</dl>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::sample;

    #[test]
    fn the_page_needs_nothing_but_itself() {
        let page = page(&sample(), "By a test.");
        for elsewhere in ["http:", "https:", "src=", "<link", "<script", "@import", "url("] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
        assert!(page.contains("By a test.") && page.contains("prefers-color-scheme: dark"));
        assert_eq!(page.matches("<svg").count(), 3);
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }

    #[test]
    fn names_are_escaped_wherever_they_stand() {
        let page = page(&sample(), "<how>");
        assert!(!page.contains("<theirs>") && !page.contains("<b>&") && !page.contains("<how>"));
        assert!(page.contains("&lt;theirs&gt;") && page.contains("&lt;b&gt;&amp;&quot;2&quot;,"));
        assert_eq!(escape("a'b<c>&\"d"), "a&#39;b&lt;c&gt;&amp;&quot;d");
    }

    #[test]
    fn the_table_has_the_figures_and_says_how_many_are_missing() {
        let page = page(&sample(), "");
        assert!(page.contains("<td class=\"best\">17.00</td>"), "the lower mean is bold");
        assert!(page.contains("<td>1 <span class=\"missing\">−2</span></td>"));
        assert!(FIGURES.iter().all(|figure| page.contains(&escape(figure.meaning))));
    }

    #[test]
    fn a_curve_rises_to_the_share_that_was_delivered() {
        let svg = curves(&sample());
        let ends: Vec<&str> = svg.split(" d=\"").skip(1).map(|path| path.split('"').next().unwrap()).collect();
        let last = |path: &str| path.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        // All six orders, and one of six.
        let (top, sixth) = (last(ends[0]), last(ends[1]));
        assert!((top - 22.0).abs() < 0.1, "{top}");
        assert!((sixth - (294.0 - 272.0 / 6.0)).abs() < 0.1, "{sixth}");
    }
}
