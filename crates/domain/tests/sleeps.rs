//! No test sleeps. What takes real time is waited for as a condition (`posthaste_clock::testing`), what follows the product's
//! time comes when the clock is moved (`posthaste_clock::manual`), and an absence is proven by what comes after it. This test
//! reads the sources of all tests and fails where one sleeps, or takes a time-out for a proof that nothing comes.
//!
//! Whoever adds to [`EXCEPTIONS`] says why neither a condition nor the clock will do.

mod sources;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use sources::{is_of_tests, own_tests, relative, rust_files};

/// Files of tests that sleep, how often, and why that is right there.
const EXCEPTIONS: &[(&str, usize, &str)] = &[
    (
        "crates/gate/tests/api/hang_ups.rs",
        2,
        "callers are gone at moments of their own: a race is spread, nothing is proven by it",
    ),
    (
        "crates/client/tests/sockets.rs",
        1,
        "a device moves faster than positions are sent: the client's pace is real time",
    ),
    ("crates/clock/src/manual/tests.rs", 2, "sleeping by a clock that is set by hand is what is tested"),
    ("crates/live/src/tests/interleaved.rs", 2, "commands meet at moments of their own: a race is spread"),
    (
        "crates/live/src/tests/outcomes.rs",
        3,
        "callers hang up and actors are killed at moments of their own: a race is spread",
    ),
    ("crates/live/src/tests/storm.rs", 7, "a storm blows when it likes; what it leaves is checked"),
    ("crates/sim/src/server_clock.rs", 1, "sleeping by the server's clock is what is tested"),
    (
        "crates/postgres/src/tests.rs",
        2,
        "below the clock: a helper that waits for a condition; a process that lives until it is killed",
    ),
    ("crates/storage/src/lead/tests.rs", 2, "below the clock: helpers that wait for a condition"),
    ("crates/storage/src/nodes/tests.rs", 1, "below the clock: for how long Postgres is away is real time"),
    ("crates/storage/src/restoring.rs", 1, "below the clock: it waits for a condition"),
    (
        "crates/postgres/src/testing/tests.rs",
        2,
        "below the clock: a helper that waits for a condition; the database's own watchdog",
    ),
    ("crates/storage/src/tests/feed.rs", 1, "below the clock: a helper that waits for a condition"),
    ("tests/faults.rs", 3, "load of shops, and kills at moments of their own"),
    ("tests/harness/terminal.rs", 1, "a terminal that is closed is waited for without a runtime"),
    ("tests/private_postgres.rs", 1, "load of shops"),
    ("tests/restarts.rs", 3, "load of shops"),
];

/// The part of a source that is a test; none where there is none.
fn tests_of<'s>(path: &str, source: &'s str) -> &'s str {
    if is_of_tests(path) { source } else { own_tests(source).1 }
}

/// How often it sleeps, or takes a time-out for a proof.
fn sleeps(tests: &str) -> usize {
    let code: String = tests.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let called = |name: &str| code.match_indices(name).filter(|(at, _)| !code[..*at].ends_with(is_name)).count();
    // `timeout(…).await.is_err()`: nothing came in that time.
    let proofs = code.match_indices("timeout(").filter(|(at, name)| {
        let after: String = after_the_bracket(&code[at + name.len()..]).split_whitespace().collect();
        after.starts_with(".await.is_err()")
    });
    called("sleep(") + called("sleep_until(") + proofs.count()
}

/// What comes after the bracket that was opened last is closed.
fn after_the_bracket(code: &str) -> &str {
    let mut open = 1;
    let closed = code.find(|c| {
        open += i32::from(c == '(') - i32::from(c == ')');
        open == 0
    });
    closed.map_or("", |at| &code[at + 1..])
}

#[test]
fn no_test_sleeps_but_those_that_say_why() {
    let all = ["crates", "tests", "benches"].into_iter().flat_map(rust_files);
    let others = all.filter(|path| !path.ends_with(file!()));
    let count = |path: PathBuf| {
        let name = relative(&path);
        let count = sleeps(tests_of(&name, &fs::read_to_string(&path).expect("a source")));
        (name, count)
    };
    let found: BTreeMap<_, _> = others.map(count).filter(|(_, count)| *count > 0).collect();
    let known: BTreeMap<_, _> = EXCEPTIONS.iter().map(|(path, count, _)| ((*path).to_owned(), *count)).collect();
    assert_eq!(
        found, known,
        "left: what sleeps; right: what may. Wait with `posthaste_clock::testing::eventually`, or move the clock"
    );
}

#[test]
fn the_reader_sees_what_sleeps_and_only_in_tests() {
    let product = "fn f() { tokio::time::sleep(PAUSE).await }\n";
    let module = format!("{product}#[cfg(test)]\nmod tests {{ fn g() {{ std::thread::sleep(LONG); }} }}");
    assert_eq!(sleeps(tests_of("crates/live/src/door.rs", product)), 0);
    assert_eq!(sleeps(tests_of("crates/live/src/door.rs", &module)), 1);
    assert_eq!(sleeps(tests_of("crates/live/src/door/tests.rs", product)), 1);
    assert_eq!(sleeps(tests_of("tests/faults.rs", "sleep_until(then).await; clock.sleep(span).await")), 2);
    assert_eq!(sleeps("pg_sleep(1); // sleep(2)"), 0, "another's, and a remark");
    assert_eq!(sleeps("let nothing =\n    timeout(SOON, socket.next())\n        .await.is_err();"), 1);
    assert_eq!(sleeps("timeout(PATIENCE, async { while ping().await.is_err() {} }).await.expect(\"it answers\");"), 0);
}
