//! What needs a database and no routes.

use posthaste_clock::Clock;
use posthaste_domain::Span;
use posthaste_http::auth::{Keys, LEEWAY_SECONDS};
use posthaste_jobs::Jobs;
use posthaste_notifications::Notifications;
use posthaste_storage::installation::Outside;
use posthaste_storage::sealed::Seal;
use posthaste_storage::testing::TestDatabase;

use serde_json::json;

use crate::audit::folding::Same;
use crate::{Entry, Hashing, Identity, Origin, Parts, Settings, Standing};

async fn open(database: &TestDatabase, settings: Settings) -> Identity {
    let (pool, clock, seal) = (database.pool.clone(), Clock::system(), Seal::new(b"a secret of tests"));
    let jobs = Jobs::new(pool.clone(), seal.clone(), clock.clone(), Outside::Open);
    let notifications = Notifications::new(jobs, None, None);
    let settings = Settings { hashing: Hashing { memory_kib: 8, passes: 1, at_once: 1, waiting: 1 }, ..settings };
    let keys = Keys::new(&[7; 32]).unwrap();
    Identity::open(Parts { pool, clock, seal, keys, notifications, settings }).await.unwrap()
}

fn published(identity: &Identity) -> Vec<String> {
    let set = serde_json::to_value(identity.0.signing.published()).unwrap();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_start_at_once_have_one_key_and_both_see_the_next() {
    let database = TestDatabase::new().await;
    let (one, other) = tokio::join!(open(&database, Settings::default()), open(&database, Settings::default()));
    assert_eq!((published(&one).len(), published(&one)), (1, published(&other)));
    one.rotate_keys(&Origin::local()).await.unwrap();
    other.refresh_keys().await.unwrap();
    assert_eq!((published(&one).len(), published(&one)), (2, published(&other)));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_by_themselves_and_go_when_nothing_they_signed_can_be_valid() {
    let database = TestDatabase::new().await;
    let settings = Settings {
        signing_key: Span::zero(),
        publish_before: Span::zero(),
        // Retired keys go at once.
        access_token: Span::seconds(-2 * LEEWAY_SECONDS),
        ..Settings::default()
    };
    let identity = open(&database, settings).await;
    let first = published(&identity);
    identity.refresh_keys().await.unwrap();
    let second = published(&identity);
    assert_ne!(first.last(), second.last(), "the next one is there");
    identity.refresh_keys().await.unwrap();
    identity.refresh_keys().await.unwrap();
    let later = published(&identity);
    assert!(!later.contains(&first[0]) && later.len() <= 3, "{first:?} {later:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_repeated_within_a_minute_is_one_entry_with_a_count() {
    let database = TestDatabase::new().await;
    let identity = open(&database, Settings::default()).await;
    let origin = Origin::local();
    for _ in 0..25 {
        let entry = Entry::new("login.failed", "nobody").with(json!({"kind": "guess"}));
        identity.note_folded(&origin, Same::about("login.failed", None), entry).await.unwrap();
    }
    let written = async || -> Vec<serde_json::Value> {
        let query = sqlx::query_scalar("SELECT details FROM audit_log WHERE act = 'login.failed' ORDER BY at, id");
        query.fetch_all(database.pool.connections()).await.unwrap()
    };
    identity.write_repeats(identity.now()).await.unwrap();
    assert_eq!(written().await.len(), 1, "the minute is not over");
    for _ in 0..2 {
        identity.write_repeats(identity.now() + Span::seconds(61)).await.unwrap();
    }
    let details = written().await;
    assert_eq!(details.len(), 2, "{details:?}");
    assert_eq!((&details[1]["more"], &details[1]["kind"]), (&json!(24), &json!("guess")), "{details:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_nobody_knows_may_not_be_named_but_in_development() {
    let database = TestDatabase::new().await;
    let nobody =
        posthaste_domain::party::Party::Merchant(posthaste_domain::ids::Id::from_uuid(uuid::Uuid::from_u128(9)));
    let identity = open(&database, Settings::default()).await;
    assert_eq!(identity.standing(nobody).await.unwrap(), Standing::Unknown);
    let identity = open(&database, Settings { development: true, ..Settings::default() }).await;
    assert_eq!(identity.standing(nobody).await.unwrap(), Standing::Acting);
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_entries_end_by_days_and_nothing_of_the_last_quarter_is_removed_whoever_asks() {
    let database = TestDatabase::new().await;
    let identity = open(&database, Settings { audit_days: Some(90), ..Settings::default() }).await;
    let pool = database.pool.connections();
    let add = "INSERT INTO audit_log (id, at, act, actor, details)
        SELECT gen_random_uuid(), now() - make_interval(days => $1), 'a.test', 'nobody', '{}'";
    for days in [0, 88, 91, 400] {
        sqlx::query(add).bind(days).execute(pool).await.unwrap();
    }
    let forever = open(&database, Settings::default()).await;
    assert_eq!(forever.forget_audit().await.unwrap(), 0, "kept, where nothing else is said");
    assert_eq!(identity.forget_audit().await.unwrap(), 2);
    assert_eq!(identity.forget_audit().await.unwrap(), 0);
    for change in ["DELETE FROM audit_log", "UPDATE audit_log SET actor = 'somebody'", "TRUNCATE audit_log"] {
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query("SELECT set_config('posthaste.audit_retention', 'on', true)")
            .execute(&mut *transaction)
            .await
            .unwrap();
        assert!(sqlx::query(change).execute(&mut *transaction).await.is_err(), "{change}");
    }
    sqlx::query(add).bind(400).execute(pool).await.unwrap();
    assert!(sqlx::query("DELETE FROM audit_log WHERE at < now() - interval '1 year'").execute(pool).await.is_err());
}
