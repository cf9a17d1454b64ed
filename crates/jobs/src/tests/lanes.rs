//! Lanes: one after the other, in their order, whoever does them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use posthaste_clock::Clock;
use posthaste_domain::ids::{Id, JobId};
use posthaste_storage::installation::Outside;
use posthaste_storage::testing::TestDatabase;

use super::{QUICK, count, jobs, look, of, put, until};
use crate::worker::{Ended, Job, Work};
use crate::{Jobs, NewJob, Next, store};

/// What all processes together are doing and have done.
#[derive(Default)]
struct Watched {
    running: BTreeSet<String>,
    jobs: BTreeSet<JobId>,
    done: BTreeMap<String, Vec<u32>>,
    wrong: Vec<String>,
}

#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Watched>>);

impl Work for Watch {
    type Report = ();

    async fn run(&self, job: &Job) -> (Ended, ()) {
        let text = String::from_utf8(job.payload.clone()).unwrap();
        let number: u32 = text.parse().unwrap();
        let lane = job.lane.clone().unwrap_or_default();
        {
            let mut seen = self.0.lock();
            if !seen.jobs.insert(job.id) {
                seen.wrong.push(format!("{} twice at once", job.id));
            }
            if !lane.is_empty() && !seen.running.insert(lane.clone()) {
                seen.wrong.push(format!("two of {lane} at once"));
            }
        }
        tokio::task::yield_now().await;
        let mut seen = self.0.lock();
        seen.jobs.remove(&job.id);
        seen.running.remove(&lane);
        if number.is_multiple_of(3) && job.tries < 3 {
            return (Ended::Retry { after: None, why: "not yet".to_owned() }, ());
        }
        seen.done.entry(lane).or_default().push(number);
        (Ended::Done, ())
    }
}

/// Three processes, jobs that are put while they run, every third of which fails twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_never_run_two_of_a_lane_at_once_and_keep_its_order() {
    let database = TestDatabase::new().await;
    let watch = Watch::default();
    let processes: Vec<_> = (0..3).map(|_| of(&database, &Clock::system(), Outside::Open)).collect();
    let _workers: Vec<_> = processes.iter().map(|process| process.start(&QUICK, watch.clone())).collect();
    let all = 160;
    for n in 0..all {
        let mut new = NewJob::new(n.to_string()).of_group(format!("group {}", n % 4));
        if n % 8 < 6 {
            new = new.in_lane(format!("lane {}", n % 8));
        }
        put(&processes[n as usize % 3], &QUICK, new).await.unwrap();
    }
    until("all are done", async || {
        processes.iter().for_each(|process| process.wake(&QUICK));
        (count(&processes[0], &["done"]).await == i64::from(all)).then_some(())
    })
    .await;
    let seen = watch.0.lock();
    assert_eq!(seen.wrong, Vec::<String>::new());
    for (lane, done) in seen.done.iter().filter(|(lane, _)| !lane.is_empty()) {
        assert!(done.is_sorted(), "{lane}: {done:?}");
        assert_eq!(done.len(), 20, "{lane}");
    }
}

async fn claim_all(jobs: &Jobs) -> Vec<store::Claimed> {
    let due = look(jobs, &QUICK).await.due;
    store::claim(jobs.pool(), &QUICK, &due, jobs.now(&QUICK)).await.unwrap().claimed
}

async fn settle(jobs: &Jobs, claimed: &store::Claimed, next: Next) {
    let mut transaction = jobs.pool().connections().begin().await.unwrap();
    let now = jobs.now(&QUICK);
    assert!(store::settle(&mut transaction, &QUICK, claimed, next, None, now).await.unwrap());
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn who_is_behind_is_looked_at_once_and_again_when_its_turn_comes() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    for n in 0..6 {
        put(&jobs, &QUICK, NewJob::new(n.to_string()).in_lane("lane")).await.unwrap();
    }
    let seen = look(&jobs, &QUICK).await;
    assert_eq!((seen.due.len(), seen.behind.len()), (1, 5));
    assert_eq!(store::mark_behind(jobs.pool(), &QUICK, &seen.behind).await.unwrap(), 5);
    assert!(look(&jobs, &QUICK).await.behind.is_empty());
    for n in 0..6_u32 {
        let claimed = claim_all(&jobs).await;
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].payload, n.to_string().into_bytes());
        assert!(claim_all(&jobs).await.is_empty(), "the next of the lane waits for this one");
        settle(&jobs, &claimed[0], if n.is_multiple_of(2) { Next::Done } else { Next::Dead }).await;
    }
}

/// One that fails keeps its place: nobody passes it, however long it waits.
#[tokio::test]
async fn who_waits_to_be_tried_again_is_not_passed_in_its_lane() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    for n in 0..2 {
        put(&jobs, &QUICK, NewJob::new(n.to_string()).in_lane("lane")).await.unwrap();
    }
    let first = claim_all(&jobs).await;
    settle(&jobs, &first[0], Next::RetryAt(jobs.now(&QUICK) + posthaste_domain::Span::hours(1))).await;
    assert!(claim_all(&jobs).await.is_empty());
}

/// One that comes back to an earlier place of a lane, of which a later one runs: it waits for that, and is next.
#[tokio::test]
async fn who_comes_back_to_its_place_waits_for_what_runs_and_is_next() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    let new = |id: u128, place: i64| {
        let id = JobId::from_uuid(uuid::Uuid::from_u128(id));
        NewJob::new(place.to_string()).with_id(id).in_lane("lane").at_place(place)
    };
    let put_anew = async |new: NewJob| {
        let mut transaction = jobs.pool().connections().begin().await.unwrap();
        jobs.put_anew(&mut transaction, &QUICK, vec![new]).await.unwrap();
        transaction.commit().await.unwrap();
    };
    put_anew(new(1, 1)).await;
    let first = claim_all(&jobs).await;
    settle(&jobs, &first[0], Next::Done).await;
    put_anew(new(2, 2)).await;
    put_anew(new(3, 3)).await;
    let second = claim_all(&jobs).await;
    assert_eq!(second[0].payload, b"2");
    put_anew(new(1, 1)).await;
    let seen = look(&jobs, &QUICK).await;
    assert_eq!((seen.due.len(), seen.behind.len()), (0, 2), "{seen:?}");
    store::mark_behind(jobs.pool(), &QUICK, &seen.behind).await.unwrap();
    settle(&jobs, &second[0], Next::Done).await;
    let again = claim_all(&jobs).await;
    assert_eq!(again.iter().map(|one| one.payload.as_slice()).collect::<Vec<_>>(), [b"1"]);
    // What runs is put anew: its outcome counts no longer.
    put_anew(new(1, 1)).await;
    let mut connection = jobs.pool().connections().acquire().await.unwrap();
    let now = jobs.now(&QUICK);
    assert!(!store::settle(&mut connection, &QUICK, &again[0], Next::Done, None, now).await.unwrap());
    // Taken back, it lets the next one go.
    assert_eq!(jobs.take_back(&mut connection, &QUICK, &[again[0].id]).await.unwrap(), 1);
    assert_eq!(claim_all(&jobs).await[0].payload, b"3");
}

/// Whatever a look believed, the index has the last word.
#[tokio::test]
async fn two_of_a_lane_cannot_run_whoever_tries() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    for n in 0..2 {
        put(&jobs, &QUICK, NewJob::new(n.to_string()).in_lane("lane")).await.unwrap();
    }
    claim_all(&jobs).await;
    let forced = sqlx::query("UPDATE jobs SET state = 'running', leased_until = now() WHERE state = 'waiting'")
        .execute(jobs.pool().connections())
        .await;
    assert_eq!(posthaste_storage::constraint(&forced.unwrap_err()), Some("jobs_lane_runs"));
}

/// One that fails, while one of an earlier place has come back behind it, lets that one go; also where that is only found out
/// afterwards. Nobody would look at either again.
#[tokio::test]
async fn who_waits_again_lets_one_of_an_earlier_place_go_first() {
    let database = TestDatabase::new().await;
    let jobs = jobs(&database);
    let new = |place: i64| NewJob::new(place.to_string()).in_lane("lane").at_place(place);
    for is_marked_late in [false, true] {
        put(&jobs, &QUICK, new(2)).await.unwrap();
        let later = claim_all(&jobs).await;
        put(&jobs, &QUICK, new(1)).await.unwrap();
        let seen = look(&jobs, &QUICK).await;
        assert_eq!((seen.due.len(), seen.behind.len()), (0, 1), "{seen:?}");
        let mark = async || store::mark_behind(jobs.pool(), &QUICK, &seen.behind).await.unwrap();
        let again = Next::RetryAt(jobs.now(&QUICK));
        if is_marked_late {
            settle(&jobs, &later[0], again).await;
            assert_eq!(mark().await, 0, "what it was behind waits, and is later");
        } else {
            assert_eq!(mark().await, 1);
            settle(&jobs, &later[0], again).await;
        }
        for place in ["1", "2"] {
            let next = claim_all(&jobs).await;
            assert_eq!(next.iter().map(|one| one.payload.as_slice()).collect::<Vec<_>>(), [place.as_bytes()]);
            settle(&jobs, &next[0], Next::Done).await;
        }
    }
}
