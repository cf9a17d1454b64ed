//! A look and a claim cost as much with a hundred thousand jobs that wait as with a hundred.

use std::path::Path;

use posthaste_storage::testing::TestDatabase;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::QUICK;

/// Of nobody and due, of a group that is held, of lanes of which the first waits for its next try, and far in the future.
const QUEUE: &str = "
INSERT INTO jobs (id, kind, lane, place, group_name, state, behind, due_at, attempts, tries, claim, created_at)
SELECT gen_random_uuid(), 'test.quick', CASE WHEN n % 4 = 1 THEN 'lane ' || n % 10000 END, n,
    CASE n % 4 WHEN 0 THEN '' WHEN 1 THEN 'group ' || n % 50 WHEN 2 THEN 'held' ELSE 'far' END,
    'waiting', n % 4 = 1 AND n >= 10000, now() + CASE n % 4 WHEN 1 THEN interval '1 hour' WHEN 3 THEN interval '1 year'
        ELSE - n * interval '1 second' END, 0, 0, 0, now()
FROM generate_series(1, 100000) AS n;
INSERT INTO job_groups VALUES ('test.quick', 'held', true);
ANALYZE jobs; ANALYZE job_groups;";

/// Rows of `jobs` that a plan has read, of every node that reads them.
fn rows_read(node: &serde_json::Value) -> f64 {
    let number = |field: &str| node[field].as_f64().unwrap_or(0.0);
    let own = if node["Relation Name"] == "jobs" && node["Node Type"] != "ModifyTable" {
        (number("Actual Rows") + number("Rows Removed by Filter")) * number("Actual Loops")
    } else {
        0.0
    };
    own + node["Plans"].as_array().into_iter().flatten().map(rows_read).sum::<f64>()
}

fn scans_all(node: &serde_json::Value) -> bool {
    (node["Node Type"] == "Seq Scan" && node["Relation Name"] == "jobs")
        || node["Plans"].as_array().into_iter().flatten().any(scans_all)
}

/// The query of this crate in which all of these words stand.
fn query(words: &[&str]) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.sqlx");
    let mut found = Vec::new();
    for file in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let described: serde_json::Value = serde_json::from_str(&text).unwrap();
        let query = described["query"].as_str().unwrap();
        if words.iter().all(|word| query.contains(word)) {
            found.push(query.to_owned());
        }
    }
    assert_eq!(found.len(), 1, "one query has {words:?}");
    found.remove(0)
}

#[tokio::test]
async fn a_hundred_thousand_jobs_that_wait_make_no_look_longer() {
    let database = TestDatabase::new().await;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql(QUEUE).execute(&mut connection).await.unwrap();
    let ids = "ARRAY(SELECT id FROM jobs WHERE kind = 'test.quick' AND group_name = '' LIMIT 12)";
    let at_once = QUICK.at_once * 4;
    let cases = [
        (query(&["is_behind!"]), format!("'test.quick', now(), {at_once}, 16, '{{}}'"), 1_000.0),
        (query(&["min(greatest(g.due_at"]), "'test.quick', now()".to_owned(), 200.0),
        (
            query(&["is_lost"]),
            format!("'test.quick', {ids}, array_fill(0::bigint, ARRAY[12]), now(), 30, 4, 0, true, '', ''"),
            200.0,
        ),
        (query(&["blocked AS"]), format!("'test.quick', {ids}"), 200.0),
    ];
    for (n, (query, arguments, most)) in cases.into_iter().enumerate() {
        let prepare = format!("SET plan_cache_mode = force_generic_plan; PREPARE q{n} AS {query}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut connection).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let arguments = arguments.replace(ids, &id_list(&mut transaction).await);
        let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE q{n}({arguments})");
        let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *transaction).await.unwrap();
        transaction.rollback().await.unwrap();
        let plan: serde_json::Value = rows[0].get(0);
        let root = &plan[0]["Plan"];
        assert!(!scans_all(root), "{query}\n{root:#}");
        let read = rows_read(root);
        assert!(read > 0.0 && read < most, "{read} rows of 100,000 are read by {query}\n{root:#}");
    }
}

/// Twelve jobs that are due, as an array.
async fn id_list(connection: &mut PgConnection) -> String {
    let ids: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM jobs WHERE group_name = '' LIMIT 12").fetch_all(connection).await.unwrap();
    let ids: Vec<_> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    format!("'{{{}}}'", ids.join(","))
}
