//! Postgres refuses by itself what must never be stored, whoever writes it.

use posthaste_domain::driver::{Shift, Vehicle};
use posthaste_domain::order::{Speed, Status};
use sqlx::Connection as _;

use crate::testing::TestDatabase;

const ORDER: &str = "INSERT INTO orders (id, version, previous_version, merchant_id, zone_id, placed_at, promised_at, \
    settled_at, status, speed, state) VALUES ";
const DRIVER: &str = "INSERT INTO drivers (id, version, previous_version, created_at, shift_until, capacity, name, \
    vehicle, shift, zones, speeds) VALUES ";
const COMMITMENT: &str = "INSERT INTO commitments (order_id, version, driver_id, during) VALUES ";
const U: &str = "'00000000-0000-0000-0000-000000000001'";
const V: &str = "'00000000-0000-0000-0000-000000000002'";

#[tokio::test]
async fn every_constraint_refuses_what_it_is_there_for() {
    let order = |version: i32, status: &str, settled: &str, speed: &str| {
        format!("{ORDER} ({U}, {version}, 0, {U}, {U}, now(), now(), {settled}, '{status}', '{speed}', '{{}}')")
    };
    let driver = |capacity: i32, vehicle: &str, shift: &str, until: &str, speeds: &str| {
        format!("{DRIVER} ({U}, 1, 0, now(), {until}, {capacity}, 'n', '{vehicle}', '{shift}', '{{}}', '{speeds}')")
    };
    let commitment =
        |order: &str, version: i32, range: &str| format!("{COMMITMENT} ({order}, {version}, {U}, '{range}')");
    let hour = "[2026-01-01 10:00Z,2026-01-01 11:00Z)";
    let event =
        format!("INSERT INTO order_events VALUES ({U}, 1, now(), 'system', 'placed', 'confirmed', NULL, '{{}}')");
    let zone = |id: &str| {
        format!(
            "INSERT INTO zones (id, version, created_at, name, area, rules, travel) VALUES ({id}, 1, now(), 'Z', '{{}}', '{{}}', '{{}}')"
        )
    };
    let key = "INSERT INTO idempotency_keys VALUES ('p', 'k', now(), 201, '', '')".to_owned();
    let cases: &[(&str, Vec<String>)] = &[
        ("orders_pkey", vec![order(1, "confirmed", "NULL", "fast"), order(1, "confirmed", "NULL", "fast")]),
        ("orders_version_moves_on", vec![order(0, "confirmed", "NULL", "fast")]),
        ("orders_status_known", vec![order(1, "lost", "NULL", "fast")]),
        ("orders_speed_known", vec![order(1, "confirmed", "NULL", "warp")]),
        ("orders_settled_when_final", vec![order(1, "delivered", "NULL", "fast")]),
        ("orders_settled_when_final", vec![order(1, "assigned", "now()", "fast")]),
        ("order_events_pkey", vec![event.clone(), event.clone()]),
        ("order_events_seq_positive", vec![event.replace(", 1,", ", 0,")]),
        (
            "commitments_no_overlap",
            vec![commitment(U, 2, hour), commitment(V, 2, "[2026-01-01 10:59Z,2026-01-01 12:00Z)")],
        ),
        ("commitments_during_bounded", vec![commitment(U, 2, "[2026-01-01 10:00Z,)")]),
        ("commitments_during_bounded", vec![commitment(U, 2, "empty")]),
        ("commitments_pkey", vec![commitment(U, 2, hour), commitment(U, 2, "[2026-01-02 10:00Z,2026-01-02 11:00Z)")]),
        (
            "commitments_one_active_per_order",
            vec![commitment(U, 2, hour), commitment(U, 3, "[2026-01-02 10:00Z,2026-01-02 11:00Z)")],
        ),
        ("drivers_capacity_positive", vec![driver(0, "car", "offline", "NULL", "{fast}")]),
        ("drivers_vehicle_known", vec![driver(1, "ufo", "offline", "NULL", "{fast}")]),
        ("drivers_shift_known", vec![driver(1, "car", "asleep", "NULL", "{fast}")]),
        ("drivers_speeds_known", vec![driver(1, "car", "offline", "NULL", "{fast,warp}")]),
        ("drivers_no_end_without_shift", vec![driver(1, "car", "offline", "now()", "{fast}")]),
        (
            "driver_positions_on_the_globe",
            vec![format!("INSERT INTO driver_positions VALUES ({U}, now(), now(), 91, 0)")],
        ),
        ("zones_name_unique", vec![zone(U), zone(V)]),
        ("idempotency_keys_pkey", vec![key.clone(), key]),
        ("clock_checkpoint_one_row", vec!["INSERT INTO clock_checkpoint VALUES (false, now())".into()]),
    ];
    let database = TestDatabase::new().await;
    let mut connection = sqlx::PgConnection::connect(&database.url).await.unwrap();
    for (constraint, statements) in cases {
        let mut transaction = connection.begin().await.unwrap();
        let (last, before) = statements.split_last().unwrap();
        for statement in before {
            sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(&mut *transaction).await.unwrap();
        }
        let refused = sqlx::query(sqlx::AssertSqlSafe(last.clone())).execute(&mut *transaction).await;
        let refused = refused.expect_err(last);
        assert_eq!(crate::error::constraint(&refused), Some(*constraint), "{last}: {refused}");
        transaction.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn every_column_of_every_table_is_explained() {
    let pool = TestDatabase::new().await.pool;
    let bare: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> '_sqlx_migrations'
            AND col_description(c.oid, a.attnum) IS NULL",
    )
    .fetch_all(&pool.0)
    .await
    .unwrap();
    assert_eq!(bare, Vec::<String>::new());
}

#[tokio::test]
async fn every_word_of_the_domain_is_one_that_is_stored() {
    let database = TestDatabase::new().await;
    let mut inserts = Vec::new();
    for (status, speed) in Status::ALL.into_iter().flat_map(|status| Speed::ALL.map(|speed| (status, speed))) {
        let (status, speed) = (status, crate::journal::speed_name(speed));
        let settled = if status.is_final() { "now()" } else { "NULL" };
        let status = status.name();
        let values =
            format!("(gen_random_uuid(), 1, 0, {U}, {U}, now(), now(), {settled}, '{status}', '{speed}', '{{}}')");
        inserts.push(format!("{ORDER}{values}"));
    }
    for vehicle in Vehicle::ALL.map(crate::drivers::vehicle_name) {
        for shift in [Shift::Offline, Shift::Available { until: None }, Shift::OnBreak { until: None }] {
            let shift = shift.name();
            let values = format!(
                "(gen_random_uuid(), 1, 0, now(), NULL, 1, 'n', '{vehicle}', '{shift}', '{{}}', '{{fast,slow}}')"
            );
            inserts.push(format!("{DRIVER}{values}"));
        }
    }
    let mut connection = sqlx::PgConnection::connect(&database.url).await.unwrap();
    for insert in inserts {
        let done = sqlx::query(sqlx::AssertSqlSafe(insert.clone())).execute(&mut connection).await;
        done.unwrap_or_else(|error| panic!("{insert}: {error}"));
    }
}
