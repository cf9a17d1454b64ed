//! A second world in the same database: the same tables in a schema of their own, and no way from there to the first.

use std::collections::BTreeSet;
use std::path::Path;

use posthaste_domain::zone::Zone;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::story::{at, id};
use crate::lead::Lead;
use crate::migrations::Older;
use crate::pool::{Pool, Schemas, migrate};
use crate::testing::TestDatabase;
use crate::zones;
use crate::{orders, tracks};

const SCHEMA: &str = "another_world";

async fn worlds() -> (TestDatabase, Pool) {
    let database = TestDatabase::new().await;
    let pool = Schemas::of(&database.url).unwrap().connect(SCHEMA, 2).await.unwrap();
    migrate(&pool).await.unwrap();
    (database, pool)
}

fn zone(n: u128, name: &str, version: u64) -> Zone {
    Zone {
        id: id(n),
        region: id(9),
        name: name.into(),
        area: json!({}),
        rules: posthaste_domain::zone::ZoneRules::default(),
        travel: posthaste_domain::zone::Travel::default(),
        created_at: at(0),
        version,
    }
}

/// Tables, indexes, sequences and functions of a schema, by kind and name.
async fn inventory(pool: &Pool, schema: &str) -> BTreeSet<String> {
    let names = sqlx::query_scalar(
        "SELECT relkind::text || ' ' || relname FROM pg_class WHERE relnamespace = $1::text::regnamespace
        UNION ALL SELECT 'constraint ' || conname FROM pg_constraint WHERE connamespace = $1::text::regnamespace
        UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = $1::text::regnamespace
            AND prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql')",
    );
    let names: Vec<String> = names.bind(schema).fetch_all(&pool.0).await.unwrap();
    names.into_iter().collect()
}

#[tokio::test]
async fn another_schema_has_all_tables_again_and_nothing_leads_out_of_it() {
    let (database, pool) = worlds().await;
    let (first, second) = (inventory(&database.pool, "public").await, inventory(&pool, SCHEMA).await);
    assert!(first.len() > 100, "{first:?}");
    assert_eq!(first, second);
    let path: Vec<String> =
        sqlx::query_scalar("SELECT unnest(current_schemas(false))::text").fetch_all(&pool.0).await.unwrap();
    assert_eq!(path, [SCHEMA]);
    let outward: Vec<String> = sqlx::query_scalar(
        "SELECT conname::text FROM pg_constraint k JOIN pg_class a ON a.oid = k.conrelid
            JOIN pg_class b ON b.oid = k.confrelid WHERE a.relnamespace <> b.relnamespace
        UNION ALL SELECT tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
            JOIN pg_proc f ON f.oid = t.tgfoid WHERE NOT t.tgisinternal AND c.relnamespace <> f.pronamespace
        UNION ALL SELECT a.relname::text FROM pg_inherits i JOIN pg_class a ON a.oid = i.inhrelid
            JOIN pg_class b ON b.oid = i.inhparent WHERE a.relnamespace <> b.relnamespace",
    )
    .fetch_all(&pool.0)
    .await
    .unwrap();
    assert_eq!(outward, Vec::<String>::new());
    // Migrating again, and connecting to what is there, changes nothing.
    migrate(&pool).await.unwrap();
    Schemas::of(&database.url).unwrap().connect(SCHEMA, 1).await.unwrap().ping().await.unwrap();
    assert_eq!(inventory(&pool, SCHEMA).await, second);
}

#[tokio::test]
async fn what_is_missing_in_another_schema_is_not_found_in_the_first() {
    let (database, pool) = worlds().await;
    zones::insert(&database.pool, &zone(1, "Centre", 1), None).await.unwrap();
    assert_eq!(zones::served(&pool).await.unwrap(), []);
    zones::insert(&pool, &zone(2, "Centre", 1), None).await.unwrap();
    assert_eq!(zones::served(&database.pool).await.unwrap(), [zone(1, "Centre", 1)]);
    assert_eq!(zones::served(&pool).await.unwrap(), [zone(2, "Centre", 1)]);
    assert!(tracks::maintain(&pool, at(0), 30).await.unwrap().made > 0, "partitions are made where their table is");
    let made: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'public.tracks'::regclass")
        .fetch_one(&pool.0)
        .await
        .unwrap();
    assert_eq!(made, 1, "the first has its default alone");
    sqlx::raw_sql("DROP TABLE zones CASCADE").execute(&pool.0).await.unwrap();
    assert!(zones::served(&pool).await.is_err());
    assert_eq!(zones::served(&database.pool).await.unwrap().len(), 1);
}

/// None of them names a schema, and none needs another than its own.
#[tokio::test]
async fn every_query_can_be_run_in_another_schema() {
    let (_database, pool) = worlds().await;
    let mut connection = pool.0.acquire().await.unwrap();
    let mut seen = 0;
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.sqlx")).unwrap() {
        let described: Value = serde_json::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        let query = described["query"].as_str().unwrap();
        assert!(!query.contains("public."), "{query}");
        let prepare = format!("PREPARE q{seen} AS {query}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
        seen += 1;
    }
    assert!(seen > 25);
}

#[tokio::test]
async fn mirrored_zones_stand_as_the_others_do_even_where_names_changed_hands() {
    let (_database, pool) = worlds().await;
    zones::mirror(&pool, &[zone(1, "North", 1), zone(2, "South", 1), zone(3, "West", 1)], &[], at(1)).await.unwrap();
    assert_eq!(zones::served(&pool).await.unwrap().len(), 3);
    let swapped = [zone(1, "South", 4), zone(2, "West", 2)];
    zones::mirror(&pool, &swapped, &[id(3)], at(2)).await.unwrap();
    assert_eq!(zones::served(&pool).await.unwrap(), swapped);
    assert_eq!(zones::get(&pool, id(3)).await.unwrap().unwrap().deleted_at, Some(at(2)));
    // One that is served again.
    zones::mirror(&pool, &[zone(3, "East", 2)], &[], at(3)).await.unwrap();
    assert_eq!(zones::served(&pool).await.unwrap().len(), 3);
}

#[tokio::test]
async fn old_orders_are_forgotten_with_all_that_was_written_for_them_and_live_ones_never() {
    let (_database, pool) = worlds().await;
    let fill = "INSERT INTO orders (id, version, previous_version, merchant_id, zone_id, placed_at, promised_at, settled_at,
            status, speed, state)
        SELECT uuid(lpad(n::text, 32, '0')), 1, 0, uuid(lpad((n % 2)::text, 32, '0')), gen_random_uuid(),
            '2026-11-20Z'::timestamptz + n * interval '1 minute', now(),
            CASE WHEN n <> 3 THEN '2026-11-20Z'::timestamptz + (n + 5) * interval '1 minute' END,
            CASE WHEN n <> 3 THEN 'delivered' ELSE 'pending' END, 'fast', '{}' FROM generate_series(1, 10) AS n;
        INSERT INTO order_events (order_id, seq, at, by, name, status, payload)
            SELECT id, 1, placed_at, 'system', 'placed', 'pending', '{}' FROM orders;
        INSERT INTO order_sellers SELECT id, merchant_id, placed_at FROM orders;
        INSERT INTO decisions (order_id, at, summary, detail) SELECT id, now(), '', '{}' FROM orders;
        INSERT INTO commitments SELECT id, 1, gen_random_uuid(), tstzrange(placed_at, placed_at + interval '1 hour') FROM orders";
    sqlx::raw_sql(fill).execute(&pool.0).await.unwrap();
    let counts = orders::count_live(&pool, id(1)).await.unwrap();
    assert_eq!((counts.all, counts.merchants), (1, 1));
    assert_eq!(orders::count_live(&pool, id(0)).await.unwrap().merchants, 0);
    // Settled before minute 12: those placed in minutes 1 to 6, but for the one that is live.
    assert_eq!(orders::forget_settled(&pool, at(12), 3).await.unwrap(), 3);
    assert_eq!(orders::forget_settled(&pool, at(12), 100).await.unwrap(), 2);
    assert_eq!(orders::forget_settled(&pool, at(12), 100).await.unwrap(), 0);
    for table in ["orders", "order_events", "order_sellers", "decisions", "commitments"] {
        let count = format!("SELECT count(*) FROM {table}");
        let left: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&pool.0).await.unwrap();
        assert_eq!(left, 5, "{table}");
    }
}

#[tokio::test]
async fn who_writes_to_another_schema_as_a_leader_keeps_others_out_and_is_kept_out_by_them() {
    let database = TestDatabase::new().await;
    let soon = std::time::Duration::from_millis(300);
    let lead = Lead::take(&database.url, soon, Older::Migrate).await.unwrap();
    let schemas = lead.schemas();
    let pool = schemas.connect(SCHEMA, 2).await.unwrap();
    migrate(&pool).await.unwrap();
    drop(lead);
    assert!(Lead::take(&database.url, soon, Older::Migrate).await.is_err(), "its connections may still write");
    pool.close().await;
    let _next = Lead::take(&database.url, std::time::Duration::from_secs(10), Older::Migrate).await.unwrap();
    let refused = tokio::time::timeout(std::time::Duration::from_secs(20), schemas.connect(SCHEMA, 1)).await;
    assert!(matches!(refused, Ok(Err(_))), "it does not lead any more");
}
