//! The dashboard and the alert rules: every figure and label that they name is one that the source exports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::{place, read, yaml};

/// A figure: what it is, and the lines that keep it.
struct Figure {
    kind: &'static str,
    sources: String,
}

type Figures = BTreeMap<String, Figure>;

/// All source files under a directory.
fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory").map_while(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(path).expect("a source file"));
        }
    }
}

/// The name that a macro is given first: a text, or a constant of the same file.
fn name(source: &str, arguments: &str) -> Option<String> {
    let first = arguments.trim_start();
    if let Some(text) = first.strip_prefix('"') {
        return text.split('"').next().map(str::to_owned);
    }
    let constant = first.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()?;
    let (_, value) = source.split_once(&format!("const {constant}: &str = \""))?;
    value.split('"').next().map(str::to_owned)
}

/// What the program exports: everything that it describes.
fn exported() -> Figures {
    let mut files = Vec::new();
    sources(&place("crates"), &mut files);
    let mut figures = Figures::new();
    for source in &files {
        for (word, kind) in
            [("describe_counter!(", "counter"), ("describe_gauge!(", "gauge"), ("describe_histogram!(", "histogram")]
        {
            for (at, _) in source.match_indices(word) {
                if let Some(name) =
                    name(source, &source[at + word.len()..]).filter(|name| name.starts_with("posthaste_"))
                {
                    figures.insert(name, Figure { kind, sources: String::new() });
                }
            }
        }
    }
    for (name, figure) in &mut figures {
        figure.sources = files.iter().map(|source| around(source, &format!("\"{name}\""))).collect();
    }
    figures
}

/// The lines around a text, wherever it stands: labels are given where a figure is kept, or just before.
fn around(source: &str, text: &str) -> String {
    let lines: Vec<_> = source.lines().collect();
    let places = lines.iter().enumerate().filter(|(_, line)| line.contains(text)).map(|(number, _)| number);
    let around = places.flat_map(|number| &lines[number.saturating_sub(8)..lines.len().min(number + 4)]);
    around.copied().collect::<Vec<_>>().join("\n")
}

/// Figures named in an expression, each with where its name ends.
fn named(expression: &str) -> Vec<(String, usize)> {
    let letter = |letter: char| letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit();
    let mut named = Vec::new();
    for (at, _) in expression.match_indices("posthaste_") {
        let rest = &expression[at..];
        let size = rest.find(|next| !letter(next)).unwrap_or(rest.len());
        named.push((rest[..size].to_owned(), at + size));
    }
    named
}

/// Labels that an expression selects or groups by.
fn labels(expression: &str) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    for (open, close) in [("{", '}'), ("by (", ')')] {
        for part in expression.split(open).skip(1) {
            let inside = part.split(close).next().unwrap_or_default();
            let each = inside.split(',').map(|one| one.split(['=', '!']).next().unwrap_or_default().trim());
            labels.extend(each.filter(|label| !label.is_empty()).map(str::to_owned));
        }
    }
    labels
}

/// What is wrong with an expression.
fn problems(figures: &Figures, expression: &str) -> Vec<String> {
    let (mut wrong, mut known) = (Vec::new(), String::new());
    for (name, end) in named(expression) {
        let parts = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let of_parts = parts.and_then(|base| figures.get(base)).filter(|figure| figure.kind == "histogram");
        let Some(figure) = of_parts.or_else(|| figures.get(&name).filter(|figure| figure.kind != "histogram")) else {
            wrong.push(format!("{name} is not exported"));
            continue;
        };
        known.push_str(&figure.sources);
        let before = expression[..end - name.len()].trim_end_matches('(');
        if figure.kind == "gauge" && (before.ends_with("rate") || before.ends_with("increase")) {
            wrong.push(format!("{name} is no counter"));
        }
        if figure.kind == "counter" && before.ends_with("delta") {
            wrong.push(format!("{name} is a counter"));
        }
    }
    // Prometheus' own.
    let own = ["le", "job", "instance"];
    for label in labels(expression) {
        if !own.contains(&label.as_str()) && !known.contains(&format!("\"{label}\"")) {
            wrong.push(format!("no figure of it has the label {label}: {expression}"));
        }
    }
    wrong
}

/// All texts under that name, anywhere in it.
fn all(value: &Value, name: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                match value {
                    Value::String(text) if field == name => found.push(text.clone()),
                    _ => all(value, name, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| all(item, name, found)),
        _ => {}
    }
}

fn expressions(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    all(value, "expr", &mut found);
    found
}

#[test]
fn rules_and_dashboard_name_what_is_exported() {
    let figures = exported();
    assert!(figures.len() > 30, "{:?}", figures.keys());
    let dashboard: Value = serde_json::from_str(&read("docker/grafana/posthaste.json")).expect("JSON");
    for (file, value) in [("alerts", yaml("docker/prometheus/alerts.yml")), ("dashboard", dashboard)] {
        let expressions = expressions(&value);
        assert!(expressions.len() > 10, "{file}: {}", expressions.len());
        let wrong: Vec<_> = expressions.iter().flat_map(|expression| problems(&figures, expression)).collect();
        assert_eq!(wrong, Vec::<String>::new(), "{file}");
    }
}

#[test]
fn an_expression_that_names_nothing_is_found() {
    let figures = exported();
    for wrong in [
        "posthaste_commit_second_bucket",
        "rate(posthaste_sockets[5m])",
        "delta(posthaste_mended_total[5m])",
        "posthaste_commit_seconds > 1",
        "sum(posthaste_jobs{stat=\"dead\"})",
        "sum by (color) (posthaste_orders)",
        "sum by (duty) (posthaste_orders)",
        "posthaste_orders_bucket",
    ] {
        assert!(!problems(&figures, wrong).is_empty(), "{wrong}");
    }
    for right in ["sum by (le) (rate(posthaste_commit_seconds_bucket[5m]))", "sum(posthaste_jobs{state=\"dead\"})"] {
        assert_eq!(problems(&figures, right), Vec::<String>::new());
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    let file = yaml("docker/prometheus/alerts.yml");
    let rules = file["groups"][0]["rules"].as_array().expect("rules");
    let mut names = BTreeSet::new();
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        assert!(names.insert(name), "{name} twice");
        assert!(["page", "look"].contains(&rule["labels"]["severity"].as_str().unwrap_or_default()), "{name}");
        assert!(rule["annotations"]["summary"].is_string() && rule["annotations"]["do"].is_string(), "{name}");
    }
}

#[test]
fn prometheus_asks_every_server_of_production() {
    let (asked, production) = (yaml("docker/prometheus/prometheus.yml"), yaml("docker/compose.production.yml"));
    let targets = crate::texts(&asked["scrape_configs"][0]["static_configs"][0]["targets"]);
    let listens =
        production["services"]["server-a"]["environment"]["POSTHASTE_METRICS_LISTEN"].as_str().expect("an address");
    let port = listens.rsplit(':').next().expect("a port");
    assert_eq!(targets, [format!("server-a:{port}"), format!("server-b:{port}")]);
}
