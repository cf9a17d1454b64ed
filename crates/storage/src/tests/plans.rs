//! Every query that the program runs finds an index.

use std::path::Path;

use posthaste_domain::order::{Speed, Status};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, QueryBuilder, Row as _};

use super::story::{at, id};
use crate::orders::{Cursor, ListFilter, list_query};
use crate::testing::TestDatabase;

/// Tables that stay small, whatever happens: reading all of one is fine.
const SMALL: [&str; 8] = [
    "zones",
    "clock_checkpoint",
    "tracks_odd",
    "signing_keys",
    "installation",
    "feed_cursors",
    "nodes",
    "region_leases",
];

/// The lines of a plan.
async fn plan(connection: &mut PgConnection, explain: String) -> Vec<String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

fn scans_of_large_tables(plan: &[String]) -> Vec<&String> {
    plan.iter()
        .filter(|line| {
            let scanned = line.split_once("Seq Scan on ").and_then(|(_, rest)| rest.split_whitespace().next());
            scanned.is_some_and(|table| !SMALL.contains(&table))
        })
        .collect()
}

/// All queries that are checked at compile time lie in `.sqlx`: each is planned as its connection would plan it in
/// the long run, for any arguments. Where an index can serve, Postgres must use one when it is told to.
#[tokio::test]
async fn every_query_finds_an_index() {
    let database = TestDatabase::new().await;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let settings = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan";
    sqlx::raw_sql(settings).execute(&mut connection).await.unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.sqlx");
    let mut seen = 0;
    for file in std::fs::read_dir(&directory).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let described: Value = serde_json::from_str(&text).unwrap();
        let query = described["query"].as_str().unwrap();
        let parameters = described["describe"]["parameters"]["Left"].as_array().map_or(0, Vec::len);
        let name = format!("q{seen}");
        sqlx::raw_sql(AssertSqlSafe(format!("PREPARE {name} AS {query}"))).execute(&mut connection).await.unwrap();
        let arguments =
            if parameters == 0 { String::new() } else { format!("({})", vec!["NULL"; parameters].join(", ")) };
        let plan = plan(&mut connection, format!("EXPLAIN (COSTS OFF) EXECUTE {name}{arguments}")).await;
        assert_eq!(scans_of_large_tables(&plan), Vec::<&String>::new(), "{query}\n{}", plan.join("\n"));
        seen += 1;
    }
    assert!(seen > 25, "only {seen} queries in {}", directory.display());
}

/// Twenty thousand orders, one in ten live, as a planner would meet them.
const TOWN: &str = "
INSERT INTO orders (id, version, previous_version, merchant_id, zone_id, customer_id, driver_id, placed_at,
    promised_at, settled_at, status, speed, reference, state)
SELECT gen_random_uuid(), 1, 0, uuid(lpad((n % 50)::text, 32, '0')), uuid(lpad((n % 20)::text, 32, '0')),
    uuid(lpad((n % 999)::text, 32, '0')), uuid(lpad((n % 99)::text, 32, '0')),
    '2026-11-20Z'::timestamptz + n * interval '1 second', now(),
    CASE WHEN n % 10 > 0 THEN now() END,
    CASE WHEN n % 10 = 0 THEN CASE WHEN n % 1000 = 0 THEN 'pending' ELSE 'assigned' END
        WHEN n % 101 = 0 THEN 'failed' ELSE 'delivered' END,
    'fast', 'R' || n % 7000, '{}'
FROM generate_series(1, 20000) AS n;
INSERT INTO order_sellers SELECT id, uuid(lpad('77', 32, '0')), placed_at FROM orders WHERE random() < 0.05;
ANALYZE orders; ANALYZE order_sellers;";

/// The one dynamic query, in the shapes that the program's lists have: each by the index that was made for it.
#[tokio::test]
async fn every_list_of_orders_uses_its_index() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    sqlx::raw_sql(TOWN).execute(&pool.0).await.unwrap();
    let all = ListFilter::default;
    let cases: Vec<(&str, ListFilter)> = vec![
        ("orders_by_time", all()),
        ("orders_by_time", ListFilter { speed: Some(Speed::Fast), ..all() }),
        ("orders_by_time", ListFilter { placed_from: Some(at(10)), placed_before: Some(at(20)), ..all() }),
        ("orders_of_merchant", ListFilter { merchant: Some(id(7)), ..all() }),
        ("order_sellers_of_merchant", ListFilter { merchant: Some(id(0x77)), ..all() }),
        ("orders_of_customer", ListFilter { customer: Some(id(7)), ..all() }),
        ("orders_of_driver", ListFilter { driver: Some(id(7)), ..all() }),
        ("orders_of_zone", ListFilter { zone: Some(id(7)), ..all() }),
        ("orders_by_reference", ListFilter { reference: Some("R7".into()), ..all() }),
        ("orders_by_settled_status", ListFilter { statuses: vec![Status::Failed], ..all() }),
        ("orders_live", ListFilter { statuses: vec![Status::Pending, Status::Confirmed], ..all() }),
        ("orders_live_of_zone", ListFilter { zone: Some(id(7)), statuses: vec![Status::Pending], ..all() }),
    ];
    for (index, filter) in cases {
        for cursor in [None, Some(Cursor { placed_at: at(200), id: id(5) })] {
            let mut sql = QueryBuilder::new("EXPLAIN (COSTS OFF) ");
            list_query(&mut sql, &filter, cursor, 50);
            let rows = sql.build().fetch_all(&pool.0).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(scans_of_large_tables(&plan), Vec::<&String>::new(), "{filter:?}\n{}", plan.join("\n"));
            let used =
                plan.iter().any(|line| line.contains(&format!(" {index} ")) || line.ends_with(&format!(" {index}")));
            assert!(used, "{filter:?}, {index}:\n{}", plan.join("\n"));
        }
    }
}
