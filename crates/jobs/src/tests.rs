//! The queue on a real Postgres: several workers, some of which die, and clocks that run fast.

mod lanes;
mod leases;
mod on_call;
mod plans;
mod schedules;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use posthaste_clock::Clock;
use posthaste_clock::testing::eventually_within;
use posthaste_domain::Span;
use posthaste_domain::ids::{Id, JobId};
use posthaste_storage::installation::Outside;
use posthaste_storage::sealed::Seal;
use posthaste_storage::testing::TestDatabase;

use crate::worker::{Ended, Job, Work};
use crate::{Jobs, Kind, NewJob, PutError, Retries, Times, groups, store};

const PATIENCE: Duration = Duration::from_secs(30);

/// Tried again at once, three times.
pub(super) static QUICK: Kind = Kind {
    name: "test.quick",
    duty: "test.quick",
    does: "is quick",
    times: Times::Product,
    sealed_for: None,
    at_once: 12,
    of_group: 4,
    longest: Duration::from_secs(20),
    retries: Retries { seconds: &[0, 0, 0], jitter: 0.0, longest_asked: Span::hours(1) },
    done_kept: Some(Span::days(1)),
    dead_kept: Some(Span::days(1)),
    dead_keeps_payload: true,
    every: None,
};

/// What a job says, and whether it is to fail.
type Said = Arc<Mutex<Vec<String>>>;

/// Does what the payload says: `fails …` fails for the first time, `refused …` for ever, `hangs …` does not end; else it is done.
#[derive(Clone, Default)]
pub(super) struct Script {
    pub(super) said: Said,
    pub(super) inside: bool,
}

impl Work for Script {
    type Report = ();

    async fn run(&self, job: &Job) -> (Ended, ()) {
        let text = String::from_utf8(job.payload.clone()).unwrap();
        self.said.lock().push(text.clone());
        let why = "as it was told".to_owned();
        let ended = match text.split(' ').next().unwrap_or_default() {
            "fails" if job.tries == 1 => Ended::Retry { after: None, why },
            "always" => Ended::Retry { after: None, why },
            "refused" => Ended::Dead { why },
            "breaks" => panic!("as it was told"),
            "hangs" => std::future::pending().await,
            _ => Ended::Done,
        };
        (ended, ())
    }

    fn stays_inside(&self) -> bool {
        self.inside
    }
}

pub(super) fn of(database: &TestDatabase, clock: &Clock, outside: Outside) -> Jobs {
    Jobs::new(database.pool.clone(), Seal::new(b"a secret of tests"), clock.clone(), outside)
}

pub(super) fn jobs(database: &TestDatabase) -> Jobs {
    of(database, &Clock::system(), Outside::Open)
}

pub(super) async fn put(jobs: &Jobs, kind: &'static Kind, new: NewJob) -> Option<JobId> {
    let mut connection = jobs.pool().connections().acquire().await.unwrap();
    let id = jobs.put(&mut connection, kind, new).await.unwrap();
    jobs.wake(kind);
    id
}

/// Waits until something is so.
pub(super) async fn until<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, ask).await
}

pub(super) async fn state(jobs: &Jobs, id: JobId) -> String {
    jobs.get(id).await.map_or_else(|_| "gone".to_owned(), |job| job.state)
}

pub(super) async fn until_state(jobs: &Jobs, id: JobId, wanted: &str) {
    until(wanted, async || (state(jobs, id).await == wanted).then_some(())).await;
}

pub(super) async fn count(jobs: &Jobs, states: &[&str]) -> i64 {
    let states: Vec<_> = states.iter().map(|state| (*state).to_owned()).collect();
    sqlx::query_scalar("SELECT count(*) FROM jobs WHERE state = ANY($1)")
        .bind(states)
        .fetch_one(jobs.pool().connections())
        .await
        .unwrap()
}

/// What is due, by the names of the rows' payloads.
pub(super) async fn look(jobs: &Jobs, kind: &'static Kind) -> store::Seen {
    store::look(jobs.pool(), kind, jobs.now(kind), &[]).await.unwrap()
}

#[tokio::test]
async fn what_is_put_is_done_once_it_is_committed_and_never_where_it_was_not() {
    let database = TestDatabase::new().await;
    let (jobs, script) = (jobs(&database), Script::default());
    let _worker = jobs.start(&QUICK, script.clone());
    let mut undone = database.pool.connections().begin().await.unwrap();
    let never = jobs.put(&mut undone, &QUICK, NewJob::new("never")).await.unwrap().unwrap();
    undone.rollback().await.unwrap();
    let mut transaction = database.pool.connections().begin().await.unwrap();
    let id = jobs.put(&mut transaction, &QUICK, NewJob::new("once")).await.unwrap().unwrap();
    transaction.commit().await.unwrap();
    jobs.wake(&QUICK);
    until_state(&jobs, id, "done").await;
    assert_eq!(*script.said.lock(), ["once"]);
    assert_eq!(state(&jobs, never).await, "gone");
    let seen = jobs.get(id).await.unwrap();
    assert_eq!((seen.attempts, seen.last_error, seen.can_be_retried), (1, None, false));
}

#[tokio::test]
async fn what_fails_is_tried_again_and_given_up_in_the_end() {
    let database = TestDatabase::new().await;
    let (jobs, script) = (jobs(&database), Script::default());
    let _worker = jobs.start(&QUICK, script.clone());
    let once = put(&jobs, &QUICK, NewJob::new("fails once")).await.unwrap();
    let always = put(&jobs, &QUICK, NewJob::new("always")).await.unwrap();
    let refused = put(&jobs, &QUICK, NewJob::new("refused")).await.unwrap();
    until_state(&jobs, once, "done").await;
    until_state(&jobs, always, "dead").await;
    until_state(&jobs, refused, "dead").await;
    let attempts = async |id| jobs.get(id).await.unwrap().attempts;
    assert_eq!((attempts(once).await, attempts(always).await, attempts(refused).await), (2, 4, 1));
    assert_eq!(jobs.get(always).await.unwrap().last_error.as_deref(), Some("as it was told"));
}

/// A kind whose end somebody else keeps: it must come to one.
static KEPT_ELSEWHERE: Kind = Kind { name: "test.kept_elsewhere", dead_kept: None, ..QUICK };

#[tokio::test]
async fn a_run_that_panics_counts_as_failed_and_is_given_up_like_others() {
    let database = TestDatabase::new().await;
    let (jobs, script) = (jobs(&database), Script::default());
    let _workers = (jobs.start(&QUICK, script.clone()), jobs.start(&KEPT_ELSEWHERE, script.clone()));
    let id = put(&jobs, &QUICK, NewJob::new("breaks")).await.unwrap();
    until_state(&jobs, id, "dead").await;
    let seen = jobs.get(id).await.unwrap();
    assert_eq!((seen.attempts, seen.last_error.as_deref()), (4, Some("it broke off by a fault of the program")));
    let elsewhere = put(&jobs, &KEPT_ELSEWHERE, NewJob::new("breaks elsewhere")).await.unwrap();
    until_state(&jobs, elsewhere, "gone").await;
    let runs = script.said.lock().iter().filter(|said| *said == "breaks elsewhere").count();
    assert_eq!(runs, 4);
    let after = put(&jobs, &QUICK, NewJob::new("goes on")).await.unwrap();
    until_state(&jobs, after, "done").await;
}

#[tokio::test]
async fn of_one_key_one_waits_or_runs_and_another_may_follow() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    let put = async || put(&jobs, &QUICK, NewJob::new("one").with_key("key")).await;
    let first = put().await.unwrap();
    assert_eq!(put().await, None, "one waits");
    let mut seen = look(&jobs, &QUICK).await;
    let claim = store::claim(jobs.pool(), &QUICK, &[seen.due.remove(0)], jobs.now(&QUICK)).await.unwrap();
    assert_eq!((claim.claimed[0].id, put().await), (first, None), "one runs");
    let mut connection = jobs.pool().connections().acquire().await.unwrap();
    let now = jobs.now(&QUICK);
    assert!(store::settle(&mut connection, &QUICK, &claim.claimed[0], crate::Next::Done, None, now).await.unwrap());
    assert!(put().await.is_some(), "it is done");
}

#[tokio::test]
async fn what_is_too_long_is_refused_by_name_and_nothing_is_put() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    let mut connection = jobs.pool().connections().acquire().await.unwrap();
    let long = "x".repeat(crate::put::MOST_NAME + 1);
    for (named, new) in [
        ("payload", NewJob::new(vec![0; crate::put::MOST_PAYLOAD + 1])),
        ("lane", NewJob::default().in_lane(long.clone())),
        ("group", NewJob::default().of_group(long.clone())),
        ("key", NewJob::default().with_key(long.clone())),
    ] {
        match jobs.put(&mut connection, &QUICK, new).await {
            Err(PutError::TooLong { what, .. }) => assert_eq!(what, named),
            other => panic!("{named}: {other:?}"),
        }
    }
    let full = "x".repeat(crate::put::MOST_NAME);
    let most = NewJob::new(vec![0; crate::put::MOST_PAYLOAD]).in_lane(&full).of_group(&full).with_key(&full);
    jobs.put(&mut connection, &SEALED, most).await.unwrap().unwrap();
    assert_eq!(count(&jobs, &["waiting"]).await, 1);
}

/// As `QUICK`, but nobody reads it in the database.
static SEALED: Kind = Kind { name: "test.sealed", sealed_for: Some("tests"), dead_keeps_payload: false, ..QUICK };

#[tokio::test]
async fn a_sealed_payload_waits_unreadable_and_goes_with_its_end() {
    let database = TestDatabase::new().await;
    let (jobs, script) = (jobs(&database), Script::default());
    let id = put(&jobs, &SEALED, NewJob::new("refused secret")).await.unwrap();
    let stored = async || -> Option<String> {
        let payload = sqlx::query_scalar("SELECT encode(payload, 'escape') FROM jobs WHERE id = $1").bind(id.uuid());
        payload.fetch_one(jobs.pool().connections()).await.unwrap()
    };
    assert!(!stored().await.unwrap().contains("secret"));
    let worker = jobs.start(&SEALED, script.clone());
    until_state(&jobs, id, "dead").await;
    assert_eq!((stored().await, script.said.lock().as_slice()), (None, &["refused secret".to_owned()][..]));
    worker.stop(PATIENCE).await;
    // Of another secret: it cannot be done, ever.
    let other = Jobs::new(database.pool.clone(), Seal::new(b"another"), Clock::system(), Outside::Open);
    let id = put(&jobs, &SEALED, NewJob::new("secret")).await.unwrap();
    let _worker = other.start(&SEALED, script);
    until_state(&jobs, id, "dead").await;
    assert!(jobs.get(id).await.unwrap().last_error.unwrap().contains("another secret"));
}

#[tokio::test]
async fn a_group_that_hangs_keeps_nobody_else_waiting() {
    let database = TestDatabase::new().await;
    let (jobs, script) = (jobs(&database), Script::default());
    for n in 0..30 {
        put(&jobs, &QUICK, NewJob::new(format!("hangs {n}")).of_group("slow")).await.unwrap();
    }
    let _worker = jobs.start(&QUICK, script.clone());
    until("as many hang as may", async || (script.said.lock().len() >= 4).then_some(())).await;
    for n in 0..30 {
        let id = put(&jobs, &QUICK, NewJob::new(format!("quick {n}")).of_group("other")).await.unwrap();
        let mine = put(&jobs, &QUICK, NewJob::new(format!("mine {n}"))).await.unwrap();
        until_state(&jobs, id, "done").await;
        until_state(&jobs, mine, "done").await;
    }
    assert_eq!(script.said.lock().iter().filter(|text| text.starts_with("hangs")).count(), 4);
}

#[tokio::test]
async fn a_group_is_held_or_quiet_until_it_is_opened() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    let id = put(&jobs, &QUICK, NewJob::new("one").of_group("a")).await.unwrap();
    put(&jobs, &QUICK, NewJob::new("two").of_group("b")).await.unwrap();
    let mut connection = jobs.pool().connections().acquire().await.unwrap();
    let ids = async || look(&jobs, &QUICK).await.due.into_iter().map(|due| due.group).collect::<Vec<_>>();
    assert_eq!(ids().await, ["a", "b"]);
    let before = look(&jobs, &QUICK).await.due;
    groups::set(&mut connection, &QUICK, "a", true, None).await.unwrap();
    assert_eq!(ids().await, ["b"]);
    let claim = store::claim(jobs.pool(), &QUICK, &before[..1], jobs.now(&QUICK)).await.unwrap();
    assert!(claim.claimed.is_empty(), "held since it was looked at");
    groups::set(&mut connection, &QUICK, "a", false, None).await.unwrap();
    assert_eq!(ids().await, ["a", "b"]);
    let now = jobs.now(&QUICK);
    groups::set(&mut connection, &QUICK, "a", false, Some(now + Span::hours(1))).await.unwrap();
    groups::set(&mut connection, &QUICK, "b", true, None).await.unwrap();
    assert_eq!(ids().await, Vec::<String>::new());
    let next = store::next_due(jobs.pool(), &QUICK, now).await.unwrap();
    assert_eq!(next, Some(now + Span::hours(1)), "and then it is looked at again");
    let later = store::look(jobs.pool(), &QUICK, now + Span::hours(1), &[]).await.unwrap();
    assert_eq!(later.due.iter().map(|due| due.id).collect::<Vec<_>>(), [id]);
}

#[tokio::test]
async fn what_waits_far_in_the_future_is_left_alone_until_it_is_hurried() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    let at = jobs.now(&QUICK) + Span::days(20 * 365);
    put(&jobs, &QUICK, NewJob::new("far").of_group("a").due_at(at)).await.unwrap();
    assert!(look(&jobs, &QUICK).await.due.is_empty());
    assert_eq!(store::next_due(jobs.pool(), &QUICK, jobs.now(&QUICK)).await.unwrap(), Some(at));
    let mut connection = jobs.pool().connections().acquire().await.unwrap();
    groups::hurry(&mut connection, &QUICK, "a", jobs.now(&QUICK)).await.unwrap();
    assert_eq!(look(&jobs, &QUICK).await.due.len(), 1);
}

/// A restored copy: what waits there waits, but for what is nobody's business outside; it is done once it may.
#[tokio::test]
async fn what_is_held_waits_with_no_attempt() {
    let database = TestDatabase::new().await;
    let (open, held) = (jobs(&database), of(&database, &Clock::system(), Outside::Held));
    let (outside, inside) = (Script::default(), Script { inside: true, ..Script::default() });
    let waits = put(&held, &QUICK, NewJob::new("outside")).await.unwrap();
    let worker = held.start(&QUICK, outside.clone());
    let local = held.start(&SEALED, inside);
    // Each look of the one is after one of the other.
    for n in 0..3 {
        held.wake(&QUICK);
        let done = put(&held, &SEALED, NewJob::new(format!("inside {n}"))).await.unwrap();
        until_state(&held, done, "done").await;
    }
    assert_eq!(held.get(waits).await.unwrap().attempts, 0);
    assert_eq!(crate::held::waiting(&database.pool, &[&QUICK]).await.unwrap().count, 1);
    worker.stop(PATIENCE).await;
    local.stop(PATIENCE).await;
    let _worker = open.start(&QUICK, outside);
    until_state(&open, waits, "done").await;
    // And what is given up there is not done.
    let dropped = put(&held, &QUICK, NewJob::new("given up").due_at(held.now(&QUICK) + Span::days(1))).await.unwrap();
    assert_eq!(crate::held::give_up(&database.pool, &[&QUICK], held.now(&QUICK)).await.unwrap(), 1);
    let seen = open.get(dropped).await.unwrap();
    assert_eq!((seen.state.as_str(), seen.can_be_retried), ("dead", false));
    assert!(seen.last_error.unwrap().contains("copy"));
}
