//! Dependencies between the crates run one way. This test reads them from cargo and fails on any other edge.
//!
//! A new crate is added to [`ALLOWED`] with what it may use. Packages outside `crates/` (programs that measure)
//! may use everything, and nothing may use them.

mod sources;

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;
use sources::{code, is_of_tests, relative, rust_files};

/// Every crate, lower ones first, with the crates that it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("posthaste-domain", &[]),
    ("posthaste-geography", &["posthaste-domain"]),
    ("posthaste-estimates", &["posthaste-domain", "posthaste-geography"]),
    ("posthaste-matching", &["posthaste-domain", "posthaste-geography"]),
    ("posthaste-backtest", &["posthaste-domain", "posthaste-geography", "posthaste-matching"]),
    ("posthaste-protocol", &["posthaste-domain"]),
    ("posthaste-trace", &["posthaste-protocol"]),
    ("posthaste-insight", &["posthaste-domain", "posthaste-protocol"]),
    ("posthaste-clock", &["posthaste-domain"]),
    ("posthaste-postgres", &[]),
    // For the databases of tests.
    ("posthaste-storage", &["posthaste-domain", "posthaste-postgres"]),
    ("posthaste-outside", &["posthaste-domain", "posthaste-clock"]),
    // Of others' tests and of the command `posthaste stand-ins`: no product code stands on it.
    ("posthaste-standins", &["posthaste-domain", "posthaste-clock"]),
    ("posthaste-streams", &["posthaste-domain", "posthaste-protocol", "posthaste-clock"]),
    (
        "posthaste-live",
        &[
            "posthaste-domain",
            "posthaste-geography",
            "posthaste-estimates",
            "posthaste-matching",
            "posthaste-protocol",
            "posthaste-trace",
            "posthaste-clock",
            "posthaste-storage",
            "posthaste-streams",
        ],
    ),
    ("posthaste-http", &["posthaste-domain", "posthaste-protocol", "posthaste-trace"]),
    (
        "posthaste-jobs",
        &["posthaste-domain", "posthaste-protocol", "posthaste-clock", "posthaste-storage", "posthaste-http"],
    ),
    (
        "posthaste-notifications",
        &[
            "posthaste-domain",
            "posthaste-clock",
            "posthaste-storage",
            "posthaste-outside",
            "posthaste-standins",
            "posthaste-jobs",
        ],
    ),
    (
        "posthaste-webhooks",
        &[
            "posthaste-domain",
            "posthaste-protocol",
            "posthaste-trace",
            "posthaste-clock",
            "posthaste-storage",
            "posthaste-outside",
            "posthaste-http",
            "posthaste-jobs",
        ],
    ),
    (
        "posthaste-identity",
        &[
            "posthaste-domain",
            "posthaste-protocol",
            "posthaste-clock",
            "posthaste-storage",
            "posthaste-outside",
            "posthaste-jobs",
            "posthaste-notifications",
            "posthaste-http",
        ],
    ),
    (
        "posthaste-testworld",
        &["posthaste-domain", "posthaste-protocol", "posthaste-clock", "posthaste-storage", "posthaste-live"],
    ),
    (
        "posthaste-dispatch-api",
        &[
            "posthaste-domain",
            "posthaste-insight",
            "posthaste-estimates",
            "posthaste-protocol",
            "posthaste-trace",
            "posthaste-clock",
            "posthaste-storage",
            "posthaste-live",
            "posthaste-http",
            "posthaste-identity",
        ],
    ),
    (
        "posthaste-gate",
        &[
            "posthaste-domain",
            "posthaste-protocol",
            "posthaste-clock",
            "posthaste-storage",
            "posthaste-jobs",
            "posthaste-notifications",
            "posthaste-live",
            "posthaste-http",
            "posthaste-dispatch-api",
            "posthaste-webhooks",
            "posthaste-identity",
            "posthaste-testworld",
        ],
    ),
    ("posthaste-client", &["posthaste-domain", "posthaste-protocol"]),
    (
        "posthaste-sim",
        &[
            "posthaste-domain",
            "posthaste-geography",
            "posthaste-backtest",
            "posthaste-protocol",
            "posthaste-clock",
            "posthaste-client",
        ],
    ),
    (
        "posthaste",
        &[
            "posthaste-domain",
            "posthaste-insight",
            "posthaste-geography",
            "posthaste-matching",
            "posthaste-backtest",
            "posthaste-protocol",
            "posthaste-trace",
            "posthaste-clock",
            "posthaste-postgres",
            "posthaste-storage",
            "posthaste-outside",
            "posthaste-standins",
            "posthaste-jobs",
            "posthaste-notifications",
            "posthaste-live",
            "posthaste-http",
            "posthaste-webhooks",
            "posthaste-identity",
            "posthaste-testworld",
            "posthaste-dispatch-api",
            "posthaste-gate",
            "posthaste-client",
            "posthaste-sim",
        ],
    ),
];

/// Folders whose code reaches the live system as `dyn Live` alone, and the files in them that start, keep or stop it.
const OUTSIDE_OF_LIVE: &[&str] = &["dispatch-api", "gate", "testworld", "identity", "webhooks", "notifications"];
const ASSEMBLE: &[&str] = &[
    "crates/gate/src/state.rs",
    "crates/gate/src/serve.rs",
    "crates/gate/src/world.rs",
    "crates/gate/src/worlds/opening.rs",
];

/// Crates of values and functions of values.
const PURE: &[&str] =
    &["posthaste-domain", "posthaste-geography", "posthaste-estimates", "posthaste-matching", "posthaste-insight"];
/// What would bring I/O into them.
const IMPURE: &[&str] = &["tokio", "sqlx", "sqlx-core", "axum", "ractor", "hyper", "reqwest"];

/// What opens connections to others.
const CLIENTS: &[&str] = &["posthaste-outside", "reqwest", "lettre", "hyper-util", "tokio-tungstenite", "ureq", "curl"];
/// Crates of the product that use such a thing, and why that is right in a copy of a database, which must do nothing
/// towards the outside until somebody says that it is the real one (`storage::installation::Outside`).
const REACH_OUTSIDE: &[(&str, &str)] = &[
    ("posthaste-outside", "calls for others, who ask `Outside` before"),
    ("posthaste-webhooks", "held: `Outside` is asked before a message is claimed"),
    ("posthaste-notifications", "held: `Outside` is asked before a channel is begun"),
    ("posthaste-identity", "asks Google, who is told nothing that was not theirs"),
    ("posthaste-gate", "serves connections that others open, and hands `Outside` on to the queue of each world"),
    ("posthaste-client", "is for those who use a server"),
    ("posthaste", "describes the figures of calls"),
];

/// Files of the live system that make what is shown: everything else in it speaks of what the domain has.
const MAKE_VIEWS: &[&str] =
    &["crates/live/src/views.rs", "crates/live/src/streams/snapshots.rs", "crates/live/src/streams/publish.rs"];

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

/// Every package of the workspace: whether it lies in `crates/`, and the workspace packages that it uses,
/// for its tests and build script too.
fn workspace() -> BTreeMap<String, (bool, Vec<String>)> {
    let metadata = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo writes JSON");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let crates = format!("{}/crates/", text(&metadata["workspace_root"]));
    let packages = metadata["packages"].as_array().expect("a list");
    packages
        .iter()
        .map(|package| {
            let uses = package["dependencies"].as_array().expect("a list").iter();
            let uses = uses.filter(|used| used["path"].is_string()).map(|used| text(&used["name"])).collect();
            (text(&package["name"]), (text(&package["manifest_path"]).starts_with(&crates), uses))
        })
        .collect()
}

#[test]
fn dependencies_run_one_way() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, (in_crates, uses)) in workspace() {
        let may_use = match (in_crates, allowed.get(name.as_str())) {
            (true, Some(may_use)) => may_use.to_vec(),
            (true, None) => {
                wrong.push(format!("{name} is new: say in this test what it may use"));
                continue;
            }
            (false, _) => allowed.keys().copied().collect(),
        };
        let forbidden = uses.iter().filter(|used| !may_use.contains(&used.as_str()));
        wrong.extend(forbidden.map(|used| format!("{name} must not use {used}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A crate that begins to send something asks whether it may: its author is asked here.
#[test]
fn who_reaches_outside_is_known() {
    let metadata = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo writes JSON");
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().expect("a list") {
        let name = package["name"].as_str().expect("a name");
        let mut uses = package["dependencies"].as_array().expect("a list").iter();
        let is_known = ALLOWED.iter().any(|(known, _)| *known == name);
        if is_known && uses.any(|used| used["kind"].is_null() && CLIENTS.iter().any(|client| used["name"] == *client)) {
            found.push(name.to_owned());
        }
    }
    assert!(found.len() > 3, "the dependencies were read: {found:?}");
    let unknown: Vec<_> = found.iter().filter(|name| REACH_OUTSIDE.iter().all(|(known, _)| known != name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} can reach outside: ask `Outside`, and say so in this test");
}

/// Stand-ins are for tests and for one command: nothing that serves or sends is made with them.
#[test]
fn stand_ins_are_in_no_crate_but_the_program() {
    let metadata = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    let uses = |package: &Value, kinds: fn(&Value) -> bool| {
        let mut uses = package["dependencies"].as_array().expect("a list").iter();
        uses.any(|used| used["name"] == "posthaste-standins" && kinds(&used["kind"]))
    };
    let tested = packages.iter().filter(|package| uses(package, |kind| kind == "dev")).count();
    assert!(tested > 0, "the dependencies were read");
    let built: Vec<_> = packages.iter().filter(|package| uses(package, Value::is_null)).map(|p| &p["name"]).collect();
    assert_eq!(built, ["posthaste"]);
}

/// The table itself has no way round: each crate uses only crates above it.
#[test]
fn the_allowed_edges_have_no_cycle() {
    for (n, (name, may_use)) in ALLOWED.iter().enumerate() {
        for used in *may_use {
            assert!(
                ALLOWED[..n].iter().any(|(lower, _)| lower == used),
                "{name} may use {used}, which is not below it"
            );
        }
    }
}

/// `cargo xtask sqlx` has to run where storage does not compile, and at once.
#[test]
fn the_task_runner_needs_nothing_whose_queries_are_checked() {
    let tree = cargo(&["tree", "--package", "xtask", "--edges", "normal", "--prefix", "none", "--offline"]);
    let used: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(used.contains(&"posthaste-postgres") && used.contains(&"clap"), "the tree was read");
    let ours: Vec<_> = used.iter().filter(|used| used.starts_with("posthaste")).collect();
    assert!(ours.iter().all(|used| **used == "posthaste-postgres"), "{ours:?}");
    assert!(!used.iter().any(|used| used.starts_with("sqlx")), "it brings in sqlx");
}

#[test]
fn pure_crates_bring_in_no_io() {
    for name in PURE {
        let tree =
            cargo(&["tree", "--package", name, "--edges", "normal", "--prefix", "none", "--offline", "--all-features"]);
        let used: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(used.contains(name) && used.contains(&"serde"), "the tree of {name} was read");
        let impure: Vec<_> = used.into_iter().filter(|used| IMPURE.contains(used)).collect();
        assert!(impure.is_empty(), "{name} brings in {impure:?}");
    }
}

/// What works only because both sides share memory is found here, not when the system moves to another machine.
#[test]
fn the_live_system_is_reached_through_one_trait() {
    let all = OUTSIDE_OF_LIVE.iter().flat_map(|name| rust_files(&format!("crates/{name}/src")));
    let names_system = |line: &str| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let imports = line.contains("posthaste_live") && words.any(|word| word == "System");
        imports || line.contains(".system()")
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for path in all.filter(|path| !path.ends_with("tests.rs")) {
        let (name, text) = (relative(&path), std::fs::read_to_string(&path).expect("a source"));
        let assembles = ASSEMBLE.contains(&name.as_str());
        let lines = text.lines().enumerate().filter(|(_, line)| names_system(line));
        let lines: Vec<_> = lines.map(|(n, _)| format!("{name}:{}", n + 1)).collect();
        seen += usize::from(assembles && !lines.is_empty());
        wrong.extend(lines.into_iter().filter(|_| !assembles));
    }
    assert_eq!(seen, ASSEMBLE.len(), "each file that assembles was read, and does");
    assert!(wrong.is_empty(), "these go past `Live`:\n{}", wrong.join("\n"));
}

/// What is shown of an order or a driver is made for somebody, where it goes out: actors do not hand views to each other.
#[test]
fn the_live_system_makes_views_at_its_edge() {
    // The uses of one statement may stand on several lines.
    let names_view = |statement: &str| {
        let mut words = statement.split(|c: char| !c.is_alphanumeric() && c != '_');
        statement.contains("posthaste_protocol::") && words.any(|word| word.ends_with("View"))
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for path in rust_files("crates/live/src") {
        let name = relative(&path);
        let text = std::fs::read_to_string(&path).expect("a source");
        if !is_of_tests(&name) && code(&text).split(';').any(names_view) {
            let makes_views = MAKE_VIEWS.contains(&name.as_str());
            seen += usize::from(makes_views);
            wrong.extend((!makes_views).then_some(name));
        }
    }
    assert_eq!(seen, MAKE_VIEWS.len(), "each file that makes views was read, and does");
    assert!(wrong.is_empty(), "these make views, or take them:\n{}", wrong.join("\n"));
}
