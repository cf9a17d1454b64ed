//! What is done again and again: once, whoever looks and however often it starts.

use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_domain::Span;
use posthaste_storage::installation::Outside;
use posthaste_storage::testing::TestDatabase;

use super::{QUICK, Script, count, jobs, of, until};
use crate::{Jobs, Kind, tidy};

/// Every hour of product time.
static HOURLY: Kind = Kind { name: "test.hourly", every: Some(Span::hours(1)), ..QUICK };

async fn keep(jobs: &Jobs) {
    jobs.keep_schedule(&HOURLY, Span::hours(1)).await.unwrap();
}

/// So much time passes, as far as the schedule is concerned.
async fn passes(jobs: &Jobs, hours: f64) {
    sqlx::query("UPDATE job_schedules SET next_at = next_at - make_interval(secs => $1 * 3600)")
        .bind(hours)
        .execute(jobs.pool().connections())
        .await
        .unwrap();
}

/// What was put is done at once.
async fn done(jobs: &Jobs) {
    sqlx::query("UPDATE jobs SET state = 'done', ended_at = now(), kept_until = now() + interval '1 day' WHERE state = 'waiting'")
        .execute(jobs.pool().connections())
        .await
        .unwrap();
}

#[tokio::test]
async fn among_three_processes_it_is_put_once_for_each_period_that_was_missed_or_not() {
    let database = TestDatabase::new().await;
    let three = || [jobs(&database), jobs(&database), jobs(&database)];
    let all = async |processes: &[Jobs; 3]| {
        let [a, b, c] = processes;
        tokio::join!(keep(a), keep(b), keep(c));
    };
    let processes = three();
    all(&processes).await;
    assert_eq!(count(&processes[0], &["waiting"]).await, 0, "it begins after its period");
    passes(&processes[0], 1.5).await;
    all(&processes).await;
    all(&processes).await;
    assert_eq!(count(&processes[0], &["waiting"]).await, 1);
    // While it is not done, the next is left out.
    passes(&processes[0], 1.0).await;
    all(&processes).await;
    assert_eq!(count(&processes[0], &["waiting"]).await, 1);
    done(&processes[0]).await;
    all(&processes).await;
    assert_eq!(count(&processes[0], &["waiting"]).await, 0);
    // Down for a week, and all start again: once.
    passes(&processes[0], 7.0 * 24.0).await;
    let restarted = three();
    all(&restarted).await;
    done(&restarted[0]).await;
    all(&restarted).await;
    assert_eq!(count(&restarted[0], &["waiting", "done"]).await, 2);
    // The clock is set back by half an hour: not again before its time.
    passes(&restarted[0], -0.5).await;
    all(&restarted).await;
    assert_eq!(count(&restarted[0], &["waiting", "done"]).await, 2);
    // By a year: not never.
    passes(&restarted[0], -24.0 * 365.0).await;
    all(&restarted).await;
    passes(&restarted[0], 1.01).await;
    all(&restarted).await;
    assert_eq!(count(&restarted[0], &["waiting"]).await, 1);
}

/// Three workers over a clock at which an hour is a third of a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_do_it_once_an_hour_of_the_products_time() {
    let database = TestDatabase::new().await;
    let clock = Clock::at_speed(10_000.0, None).unwrap();
    let (script, began) = (Script::default(), clock.now());
    let processes: Vec<_> = (0..3).map(|_| of(&database, &clock, Outside::Open)).collect();
    let workers: Vec<_> = processes.iter().map(|process| process.start(&HOURLY, script.clone())).collect();
    until("it was done three times", async || (script.said.lock().len() >= 3).then_some(())).await;
    for worker in workers {
        worker.stop(Duration::from_secs(10)).await;
    }
    let hours = (clock.now() - began).num_hours();
    let done = script.said.lock().len();
    assert!(i64::try_from(done).unwrap() <= hours, "{done} times in {hours} hours");
}

#[tokio::test]
async fn rows_of_ended_jobs_go_when_their_time_is_over_and_others_stay() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    for text in ["old", "young", "waits"] {
        super::put(&jobs, &QUICK, crate::NewJob::new(text)).await.unwrap();
    }
    for (text, kept) in [("old", "-1 second"), ("young", "1 hour")] {
        sqlx::query(
            "UPDATE jobs SET state = 'done', ended_at = now(), kept_until = now() + $1::interval WHERE payload = $2",
        )
        .bind(kept)
        .bind(text.as_bytes())
        .execute(jobs.pool().connections())
        .await
        .unwrap();
    }
    assert_eq!(tidy::tidy(jobs.pool()).await.unwrap(), 1);
    assert_eq!((count(&jobs, &["done"]).await, count(&jobs, &["waiting"]).await), (1, 1));
}

/// The queue's own upkeep is such a job.
#[tokio::test]
async fn the_queue_tidies_itself_up_by_its_own_schedule() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    let _upkeep = jobs.start_upkeep();
    let find = async |seen: fn(&crate::dead::Standing) -> bool| {
        let all = jobs.standings().await.unwrap();
        all.iter().any(|one| one.kind == tidy::TIDY.name && seen(one)).then_some(())
    };
    until("its next time is known", async || find(|one| one.schedule.is_some()).await).await;
    passes(&jobs, 1.0).await;
    jobs.wake(&tidy::TIDY);
    until("it was done", async || (count(&jobs, &["done"]).await == 1).then_some(())).await;
}
