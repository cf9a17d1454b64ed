//! What the pages tell a newcomer to paste, pasted: the README's tour twice, and the guides.

mod harness;

use harness::terminal::{Checkout, Said, Terminal, blocks, blocks_of};
use posthaste_storage::testing::TestDatabase;

const TOUR: &str = "A tour in five minutes";
const DAYS: &str = "A recorded day";

/// Whether this machine has what the pages say that their reader needs. The workflow installs it, and does not go without.
fn has_a_readers_tools() -> bool {
    let there = |tool: &&str| std::process::Command::new(tool).arg("--version").output().is_ok();
    let missing: Vec<_> = ["jq", "curl"].into_iter().filter(|tool| !there(tool)).collect();
    assert!(missing.is_empty() || std::env::var_os("CI").is_none(), "{missing:?} must be installed");
    if !missing.is_empty() {
        eprintln!("SKIPPED: {missing:?} are not installed, which the pages' commands use");
    }
    missing.is_empty()
}

/// The problems that a block was answered with, by code.
fn problems(said: &Said) -> Vec<String> {
    let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
    let codes = said.errors.lines().filter_map(read).filter_map(|problem| problem["code"].as_str().map(str::to_owned));
    codes.collect()
}

/// Nothing went wrong that was not meant to, and no value was missing.
fn went_well(said: &Said, meant: &[&str]) {
    assert_eq!(problems(said), meant, "{said:#?}");
    for trouble in ["curl: (3)", "jq: error", "command not found", "no token", "parse error"] {
        assert!(!said.errors.contains(trouble), "{said:#?}");
    }
    assert!(!said.out.lines().any(|line| line == "null"), "{said:#?}");
}

/// The server that a page has somebody start in the first terminal.
async fn serve(checkout: &Checkout, directory: &str, block: &str) -> Terminal {
    let mut terminal = checkout.terminal(directory);
    terminal.begin(block);
    checkout.until_served().await;
    terminal
}

/// Takes the tour from its first word to its last.
async fn tour(checkout: &Checkout, directory: &str) {
    let blocks = blocks("README.md", Some(TOUR));
    let (start, rest) = blocks.split_first().expect("the first terminal's block");
    let first = serve(checkout, directory, start).await;
    let mut second = checkout.terminal(directory);
    let (mut first, mut done) = (Some(first), String::new());
    for block in rest {
        let said = second.paste(block);
        if block.contains("pkill") {
            checkout.until_gone().await;
            drop(first.take());
            first = Some(serve(checkout, directory, start).await);
        }
        let meant: &[&str] = match () {
            () if block.contains("12345") => &["wrong_code"],
            () if block.contains("\"size\": 0") => &["invalid"],
            () => &[],
        };
        went_well(&said, meant);
        done.push_str(&said.out);
    }
    assert!(done.contains(" delivered by drv_"), "the order's story comes to its end: {done}");
    assert!(done.trim_end().ends_with("\"status\": \"delivered\",\n  \"reference\": \"A-1001\"\n}"), "{done}");
}

#[test]
fn blocks_are_those_of_their_section_and_language() {
    let page = "```sh\nbefore\n```\n## Here\n```sh\na\nb\n```\n```console\n$ c\n```\n### Within\n```sh\nd\n```\n## There\n```sh\ne\n```\n";
    assert_eq!(blocks_of(page, Some("Here")), ["a\nb\n", "d\n"]);
    assert_eq!(blocks_of(page, None).len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tour_works_twice_from_anywhere_and_leaves_nothing_behind() {
    if !has_a_readers_tools() {
        return;
    }
    let database = TestDatabase::new().await;
    let checkout = Checkout::new(&database.url);
    let before = checkout.files();
    tour(&checkout, ".").await;
    tour(&checkout, "crates/domain").await;
    assert_eq!(checkout.files(), before, "files are left in the checkout");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_day_is_tried_as_the_readme_says() {
    let database = TestDatabase::new().await;
    let checkout = Checkout::new(&database.url);
    let before = checkout.files();
    let mut terminal = checkout.terminal(".");
    terminal.paste("export PATH=\"$PWD/target/release:$PATH\"; unset DATABASE_URL POSTHASTE_LISTEN\n");
    let [commands] = &blocks("README.md", Some(DAYS))[..] else { panic!("one block of commands") };
    let said: Vec<_> = commands.lines().map(|command| terminal.paste(&format!("{command}\n"))).collect();
    let [simulated, compared, replayed] = &said[..] else { panic!("three commands") };
    let trace = terminal
        .paste("wc -l < \"$TMPDIR/trace.csv\"; wc -l < \"$TMPDIR/replayed.csv\"; wc -c < \"$TMPDIR/compare.html\"\n");
    let sizes: Vec<u32> = trace.out.lines().map(|line| line.trim().parse().expect("a number")).collect();
    let [simulated_lines, replayed_lines, page] = sizes[..] else { panic!("{trace:?}") };
    // A line for each of its orders, and the header.
    assert_eq!(simulated_lines, 41, "{simulated:?}");
    assert!(replayed_lines > 30, "{replayed:?}");
    assert!(compared.out.contains("example") && page > 4_000, "{compared:?}");
    assert_eq!(checkout.files(), before, "files are left in the checkout");
}

/// Follows a guide against a server in development, and gives what it showed.
async fn follow(page: &str) -> String {
    let database = TestDatabase::new().await;
    let checkout = Checkout::new(&database.url);
    let _server = serve(&checkout, ".", "POSTHASTE_MODE=development target/release/posthaste serve\n").await;
    let mut terminal = checkout.terminal(".");
    terminal.paste("export PATH=\"$PWD/target/release:$PATH\"\n");
    let blocks = blocks(page, None);
    assert!(blocks.len() > 5, "{page} has blocks to paste");
    let mut shown = String::new();
    for block in &blocks {
        let said = terminal.paste(block);
        // The test world follows a new zone within a second; until then there is none at the pickup.
        let meant = if block.contains("until ORDER=") { problems(&said) } else { Vec::new() };
        assert!(meant.iter().all(|code| code == "outside_service_area"), "{said:?}");
        went_well(&said, &meant.iter().map(String::as_str).collect::<Vec<_>>());
        shown.push_str(&said.out);
        shown.push('\n');
    }
    shown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merchants_engineer_comes_from_no_account_to_webhooks_and_a_live_key() {
    if !has_a_readers_tools() {
        return;
    }
    let shown = follow("docs/how-to/integrate-a-merchant.md").await;
    for word in ["idempotent-replayed: true", "order.delivered", "\"party\":\"mer_"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert!(shown.trim_end().ends_with('0'), "the live world has no orders of theirs: {shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drivers_app_comes_from_no_account_to_a_delivery() {
    if !has_a_readers_tools() {
        return;
    }
    let shown = follow("docs/how-to/write-a-drivers-app.md").await;
    assert!(shown.contains("\"party\":\"drv_"), "{shown}");
    assert!(shown.contains("\"status\":\"delivered\"") || shown.contains("\"order_status\":\"delivered\""), "{shown}");
}
