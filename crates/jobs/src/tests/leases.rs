//! Whoever dies over a job, and clocks that run fast.

use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_domain::Span;
use posthaste_domain::ids::{Id, JobId};
use posthaste_storage::installation::Outside;
use posthaste_storage::testing::TestDatabase;

use super::{QUICK, Script, count, jobs, look, of, put, until, until_state};
use crate::{Jobs, Kind, NewJob, Next, groups, store};

/// The time of all leases passes.
async fn leases_end(jobs: &Jobs) {
    sqlx::query("UPDATE jobs SET leased_until = now() WHERE state = 'running'")
        .execute(jobs.pool().connections())
        .await
        .unwrap();
}

async fn claim(jobs: &Jobs) -> store::Claim {
    let due = look(jobs, &QUICK).await.due;
    store::claim(jobs.pool(), &QUICK, &due, jobs.now(&QUICK)).await.unwrap()
}

#[tokio::test]
async fn what_a_killed_worker_was_doing_is_done_by_another_after_its_lease() {
    let database = TestDatabase::new().await;
    let (one, other) = (jobs(&database), jobs(&database));
    let (first, second) = (Script::default(), Script::default());
    let id = put(&one, &QUICK, NewJob::new("hangs")).await.unwrap();
    let killed = one.start(&QUICK, first.clone());
    until("it runs", async || (!first.said.lock().is_empty()).then_some(())).await;
    drop(killed);
    sqlx::query("UPDATE jobs SET payload = 'now it goes'").execute(one.pool().connections()).await.unwrap();
    let _worker = other.start(&QUICK, second.clone());
    // A look of the other has passed it by.
    let passed = put(&other, &QUICK, NewJob::new("passes")).await.unwrap();
    until_state(&other, passed, "done").await;
    assert_eq!(*second.said.lock(), ["passes"], "the lease of the first is not over");
    leases_end(&other).await;
    other.wake(&QUICK);
    until_state(&other, id, "done").await;
    assert_eq!(other.get(id).await.unwrap().attempts, 2, "at least once");
}

#[tokio::test]
async fn who_comes_late_settles_nothing() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    let id = put(&jobs, &QUICK, NewJob::new("one")).await.unwrap();
    let late = claim(&jobs).await;
    assert!(claim(&jobs).await.claimed.is_empty(), "it is somebody's");
    leases_end(&jobs).await;
    let newest = claim(&jobs).await;
    assert_eq!((late.claimed[0].id, newest.claimed[0].id), (id, id));
    let mut connection = jobs.pool().connections().acquire().await.unwrap();
    let now = jobs.now(&QUICK);
    for next in [Next::Done, Next::Dead, Next::RetryAt(now)] {
        assert!(!store::settle(&mut connection, &QUICK, &late.claimed[0], next, None, now).await.unwrap());
    }
    assert!(store::settle(&mut connection, &QUICK, &newest.claimed[0], Next::Done, None, now).await.unwrap());
    assert!(!store::settle(&mut connection, &QUICK, &newest.claimed[0], Next::Done, None, now).await.unwrap());
}

#[tokio::test]
async fn a_job_that_ends_every_process_is_given_up() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    let id = put(&jobs, &QUICK, NewJob::new("kills")).await.unwrap();
    for _ in 0..QUICK.most_tries() {
        assert_eq!(claim(&jobs).await.claimed.len(), 1);
        leases_end(&jobs).await;
    }
    let last = claim(&jobs).await;
    assert!(last.claimed.is_empty() && last.given_up[0].0 == id, "{last:?}");
    let seen = jobs.get(id).await.unwrap();
    assert_eq!((seen.state.as_str(), seen.attempts), ("dead", 4));
}

#[tokio::test]
async fn what_is_too_late_is_given_up_with_no_attempt() {
    let database = TestDatabase::new().await;
    let (jobs, script) = (jobs(&database), Script::default());
    let late = put(&jobs, &QUICK, NewJob::new("late").give_up_at(jobs.now(&QUICK))).await.unwrap();
    let good = put(&jobs, &QUICK, NewJob::new("good").give_up_at(jobs.now(&QUICK) + Span::hours(1))).await.unwrap();
    let _worker = jobs.start(&QUICK, script.clone());
    until_state(&jobs, late, "dead").await;
    until_state(&jobs, good, "done").await;
    let seen = jobs.get(late).await.unwrap();
    assert_eq!((seen.attempts, seen.last_error.as_deref()), (0, Some("too late")));
    assert_eq!(*script.said.lock(), ["good"]);
}

/// An hour of product time in a tenth of a second: what is due in three is done, and leases are as long as ever.
#[tokio::test]
async fn at_a_fast_clock_due_times_come_sooner_and_leases_do_not_shrink() {
    let database = TestDatabase::new().await;
    let clock = Clock::at_speed(10_000.0, None).unwrap();
    let (jobs, script) = (of(&database, &clock, Outside::Open), Script::default());
    let hangs = put(&jobs, &QUICK, NewJob::new("hangs")).await.unwrap();
    let later = put(&jobs, &QUICK, NewJob::new("later").due_at(clock.now() + Span::hours(3))).await.unwrap();
    let began = std::time::Instant::now();
    let _worker = jobs.start(&QUICK, script.clone());
    until_state(&jobs, later, "done").await;
    assert!(began.elapsed() < Duration::from_secs(25));
    // More product time than the lease is long has passed.
    assert!(jobs.now(&QUICK) - jobs.get(hangs).await.unwrap().created_at > Span::hours(2));
    let left: f64 =
        sqlx::query_scalar("SELECT extract(epoch FROM leased_until - now())::float8 FROM jobs WHERE id = $1")
            .bind(hangs.uuid())
            .fetch_one(jobs.pool().connections())
            .await
            .unwrap();
    assert!(left > 0.0 && left <= QUICK.lease().as_secs_f64(), "{left}");
    let other = of(&database, &clock, Outside::Open);
    assert!(claim(&other).await.claimed.is_empty(), "nobody takes it over");
}

/// A run that is broken off at once.
static HASTY: Kind = Kind { name: "test.hasty", longest: Duration::from_millis(20), ..QUICK };

#[tokio::test]
async fn a_run_that_takes_too_long_is_broken_off() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    let id: JobId = put(&jobs, &HASTY, NewJob::new("hangs")).await.unwrap();
    let _worker = jobs.start(&HASTY, Script::default());
    until_state(&jobs, id, "dead").await;
    assert!(jobs.get(id).await.unwrap().last_error.unwrap().contains("longer"));
}

#[tokio::test]
async fn who_stops_ends_what_is_under_way_in_its_time_and_begins_nothing() {
    let database = TestDatabase::new().await;
    let (jobs, script) = (jobs(&database), Script::default());
    let worker = jobs.start(&QUICK, script.clone());
    let hangs = put(&jobs, &QUICK, NewJob::new("hangs")).await.unwrap();
    until("it runs", async || (!script.said.lock().is_empty()).then_some(())).await;
    let began = std::time::Instant::now();
    worker.stop(Duration::from_millis(50)).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    put(&jobs, &QUICK, NewJob::new("nobody's")).await.unwrap();
    assert_eq!((count(&jobs, &["waiting"]).await, super::state(&jobs, hangs).await.as_str()), (1, "running"));
}

/// Its run was never heard of again, and meanwhile its group was held: it is left alone until that is opened, and not looked at
/// again and again.
#[tokio::test]
async fn what_a_held_or_quiet_group_had_under_way_waits_with_it() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    put(&jobs, &QUICK, NewJob::new("one").of_group("group")).await.unwrap();
    assert_eq!(claim(&jobs).await.claimed.len(), 1);
    leases_end(&jobs).await;
    let mut connection = jobs.pool().connections().acquire().await.unwrap();
    let later = jobs.now(&QUICK) + Span::hours(1);
    for (held, quiet_until) in [(true, None), (false, Some(later))] {
        groups::set(&mut connection, &QUICK, "group", held, quiet_until).await.unwrap();
        let seen = look(&jobs, &QUICK).await;
        assert!(seen.due.is_empty() && seen.behind.is_empty(), "{seen:?}");
    }
    groups::open(&mut connection, &QUICK, "group").await.unwrap();
    assert_eq!(claim(&jobs).await.claimed.len(), 1);
}
