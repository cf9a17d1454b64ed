//! What whoever is on call can do.

use posthaste_domain::ids::{Id, JobId};
use posthaste_storage::testing::TestDatabase;

use super::{QUICK, Script, jobs, put, until_state};
use crate::{Kind, NewJob, Refused};

static PRIVATE: Kind = Kind { name: "test.private", dead_keeps_payload: false, ..QUICK };
static UNKNOWN: Kind = Kind { name: "test.unknown", ..QUICK };

#[tokio::test]
async fn a_dead_job_is_tried_again_or_dropped_and_no_other() {
    let database = TestDatabase::new().await;
    let (one, script) = (jobs(&database), Script::default());
    let worker = one.start(&QUICK, script.clone());
    let dead = put(&one, &QUICK, NewJob::new("always").with_key("key")).await.unwrap();
    until_state(&one, dead, "dead").await;
    assert!(one.get(dead).await.unwrap().can_be_retried);
    sqlx::query("UPDATE jobs SET payload = 'better'").execute(one.pool().connections()).await.unwrap();
    let again = one.retry(dead).await.unwrap();
    assert_ne!(again.state, "dead");
    until_state(&one, dead, "done").await;
    let conflict = |refused: Refused| matches!(refused, Refused::Conflict(_));
    assert!(conflict(one.retry(dead).await.unwrap_err()) && conflict(one.drop_dead(dead).await.unwrap_err()));
    let refused = put(&one, &QUICK, NewJob::new("refused")).await.unwrap();
    until_state(&one, refused, "dead").await;
    one.drop_dead(refused).await.unwrap();
    assert!(matches!(one.drop_dead(refused).await, Err(Refused::NotFound)));
    assert!(matches!(one.retry(JobId::from_uuid(uuid::Uuid::nil())).await, Err(Refused::NotFound)));
    worker.stop(super::PATIENCE).await;
}

#[tokio::test]
async fn nothing_is_tried_of_which_nothing_is_left_or_which_nobody_does() {
    let database = TestDatabase::new().await;
    let one = jobs(&database);
    for kind in [&PRIVATE, &UNKNOWN] {
        let worker = one.start(kind, Script::default());
        let dead = put(&one, kind, NewJob::new("refused")).await.unwrap();
        until_state(&one, dead, "dead").await;
        worker.stop(super::PATIENCE).await;
        let other = jobs(&database);
        other.register(&PRIVATE);
        assert!(!other.get(dead).await.unwrap().can_be_retried, "{}", kind.name);
        assert!(matches!(other.retry(dead).await, Err(Refused::Conflict(_))), "{}", kind.name);
    }
}

#[tokio::test]
async fn a_dead_job_is_not_tried_beside_one_of_its_key() {
    let database = TestDatabase::new().await;
    let one = jobs(&database);
    let worker = one.start(&QUICK, Script::default());
    let dead = put(&one, &QUICK, NewJob::new("refused").with_key("key")).await.unwrap();
    until_state(&one, dead, "dead").await;
    worker.stop(super::PATIENCE).await;
    put(&one, &QUICK, NewJob::new("newer").with_key("key")).await.unwrap();
    assert!(matches!(one.retry(dead).await, Err(Refused::Conflict(_))));
}

#[tokio::test]
async fn jobs_are_listed_by_kind_and_state_page_by_page() {
    let database = TestDatabase::new().await;
    let one = jobs(&database);
    let mut ids = Vec::new();
    for n in 0..6 {
        let kind = if n % 2 == 0 { &QUICK } else { &PRIVATE };
        ids.push(put(&one, kind, NewJob::new("x").of_group("a").in_lane(n.to_string())).await.unwrap());
    }
    ids.sort_unstable();
    ids.reverse();
    let list = async |kind, state, before: Option<JobId>, limit| {
        let found = one.list(kind, state, before.map(Id::uuid), limit).await.unwrap();
        found.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None, None, 10).await, ids);
    let first = list(None, Some("waiting"), None, 4).await;
    assert_eq!(first, ids[..4]);
    assert_eq!(list(None, Some("waiting"), first.last().copied(), 4).await, ids[4..]);
    assert_eq!(list(Some("test.quick"), None, None, 10).await.len(), 3);
    assert_eq!(list(Some("test.quick"), Some("dead"), None, 10).await, []);
    assert_eq!(list(Some("nothing"), None, None, 10).await, []);
    let standings = one.standings().await.unwrap();
    let mine = standings.iter().find(|standing| standing.kind == QUICK.name).unwrap();
    assert_eq!((mine.waiting, mine.running, mine.dead), (3, 0, 0));
    assert!(mine.oldest_due.is_some());
    crate::metrics::measure(&one).await.unwrap();
}
