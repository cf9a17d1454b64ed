//! A database that the release before has filled, brought up to date by this one: `tests/upgrades/before.backup`.
//!
//! What it holds is of the year 2090, and the clock of the product goes on from there: it is as old in ten years as today.
//!
//! With each release the file is made anew, by the program of that release:
//!
//! ```sh
//! POSTHASTE_TEST_PROGRAM=…/posthaste cargo test --test upgrades -- --ignored --exact fill
//! ```

mod harness;

use std::path::PathBuf;
use std::process::Command;

use chrono::TimeDelta;
use harness::shop::Shop;
use harness::*;
use posthaste_client::{Client, Idempotency, ListDrivers, ListOrders};
use posthaste_domain::order::{Status, TaskKind};
use posthaste_domain::party::Party;
use posthaste_postgres::beside;
use posthaste_protocol::drivers::PlanShift;
use posthaste_protocol::orders::CompleteTask;
use posthaste_protocol::webhooks::{CreateEndpoint, PutEndpoint};
use posthaste_protocol::zones::RulesView;
use posthaste_storage::testing::TestServer;
use serde_json::Value;
use sqlx::Connection as _;

/// Product seconds in a real one: at the machine's own pace the clock is the machine's, and not what was stored of it.
const SPEED: f64 = 1.5;
/// What it is set to.
const LATER: &str = "UPDATE clock_checkpoint SET at = '2090-01-01 12:00:00+00'";

/// Nobody listens there (the port of the discard service).
const NOBODY: &str = "http://127.0.0.1:9/hook";
/// The orders of the file, by their references, with how they stand.
const ORDERS: [(&str, Status); 4] = [
    ("delivered", Status::Delivered),
    ("canceled", Status::Canceled),
    ("aboard", Status::PickedUp),
    ("waits", Status::Confirmed),
];

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/upgrades/before.backup")
}

/// An admin says that the driver did a task of an order.
async fn done(admin: &Client, order: &posthaste_protocol::orders::OrderView, kind: TaskKind) {
    let driver = order.driver_id.expect("its driver");
    let task = order.tasks.iter().find(|task| task.kind == kind).expect("a task").id;
    let complete = CompleteTask { code: code(order, kind), proof: None };
    admin.task_departed(driver, task).await.expect("departed");
    admin.task_arrived(driver, task).await.expect("arrived");
    match kind {
        TaskKind::Pickup => admin.task_picked_up(driver, task, &complete).await,
        _ => admin.task_delivered(driver, task, &complete).await,
    }
    .expect("done");
}

/// Fills a database as the tests here expect it, and writes the file. By command: see above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "made by the program of the release before"]
async fn fill() {
    let _ = std::fs::remove_file(file());
    // Empty: a database of tests has the tables of this release.
    let database = TestServer::private().await;
    let mail = [("POSTHASTE_SMTP_URL", "smtp://127.0.0.1:9"), ("POSTHASTE_MAIL_FROM", "no-reply@example.org")];
    let mut server = Server::start_with(database.url(), SPEED, &mail);
    assert!(server.terminate().success());
    let mut connection = sqlx::PgConnection::connect(database.url()).await.expect("the database");
    let set = sqlx::query(LATER).execute(&mut connection).await.expect("set");
    assert_eq!(set.rows_affected(), 1);
    connection.close().await.expect("closed");
    server.start_again();
    let admin = server.admin();
    let zone = zone(&admin, RulesView::default()).await;
    let (driver, planned) = (driver(&admin, zone).await, driver(&admin, zone).await);
    let start = admin.clock().await.expect("the time").now + TimeDelta::days(300);
    let shift = PlanShift { start, end: start + TimeDelta::hours(4), place: None };
    admin.plan_shift(planned, &shift).await.expect("planned");
    let shop = server.client(merchant().1);
    let endpoint = CreateEndpoint { url: NOBODY.to_owned(), ..CreateEndpoint::default() };
    shop.create_webhook_endpoint(&endpoint).await.expect("an endpoint");
    for (reference, status) in ORDERS {
        let placed = shop.create_order(&fast_order(reference), Idempotency::Key(reference.to_owned())).await;
        let order = placed.expect("placed").id;
        match status {
            Status::Canceled => drop(shop.cancel_order(order, "no more").await.expect("canceled")),
            Status::Confirmed => {}
            status => {
                admin.set_shift(driver, &on_shift(52.1, 13.1)).await.expect("a shift");
                admin.assign_order(order, driver).await.expect("assigned");
                let order = admin.order(order).await.expect("it");
                done(&admin, &order, TaskKind::Pickup).await;
                if status == Status::Delivered {
                    done(&admin, &order, TaskKind::Delivery).await;
                }
                let on_break = posthaste_protocol::drivers::ShiftView {
                    state: posthaste_protocol::drivers::ShiftState::OnBreak,
                    ..on_shift(52.1, 13.1)
                };
                admin.set_shift(driver, &on_break).await.expect("a break");
            }
        }
        until_status(&admin, order, status).await;
    }
    register_ada(&server).await;
    let endpoint = shop.webhook_endpoints().await.expect("endpoints").items[0].id;
    until("each order is a message", async || {
        let all = shop.webhook_messages(endpoint, None, None).await.ok()?.items;
        let placed = all.iter().filter(|message| message.kind == "order.placed").count();
        (placed == ORDERS.len()).then_some(())
    })
    .await;
    let saved = program().arg("backup").arg(file()).envs(server.environment()).output().expect("it runs");
    assert!(saved.status.success(), "{}", said(&saved));
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_release_before_has_stored_is_brought_up_to_date_and_goes_on() {
    // Empty: a database of tests has the tables of this release.
    let (database, hooks) = (TestServer::private().await, Shop::open().await);
    let run = |arguments: &[&str]| {
        let environment = environment(database.url(), "development");
        program().args(arguments).envs(environment).output().expect("it runs")
    };
    // Not by `posthaste restore`, which brings it up to date at once.
    let options = ["--no-owner", "--no-privileges", "--exit-on-error", "--dbname", database.url()];
    let pg_restore = beside::tool("pg_restore", None, 0).await.expect("looked for").expect("it is there");
    let restored = Command::new(pg_restore).args(options).arg(file()).output().expect("it runs");
    assert!(restored.status.success(), "{}", said(&restored));

    // A server that is to migrate nothing says so; the step says what it would do, and does it.
    let refused = run(&["serve", "--no-migrate", "--listen", "127.0.0.1:0"]);
    assert!(!refused.status.success() && said(&refused).contains("posthaste migrate"), "{}", said(&refused));
    let pending = || {
        let checked = run(&["migrate", "--check", "--json"]);
        let steps: Value = serde_json::from_slice(&checked.stdout).unwrap_or_else(|_| panic!("{}", said(&checked)));
        steps.to_string().matches("\"migration\":").count()
    };
    assert!(pending() > 0, "the file is of the release before");
    let migrated = run(&["migrate"]);
    assert!(migrated.status.success(), "{}", said(&migrated));
    assert_eq!(pending(), 0);

    // All of it is there, and nothing goes out of a copy.
    let more = [("POSTHASTE_SMTP_URL", "smtp://127.0.0.1:9"), ("POSTHASTE_MAIL_FROM", "no-reply@example.org")];
    let mut server = Server::start_with(database.url(), SPEED, &more);
    let admin = server.admin();
    let orders = admin.all_orders(ListOrders::default()).await.expect("orders");
    let mut stand: Vec<_> =
        orders.iter().map(|order| (order.reference.clone().unwrap_or_default(), order.status)).collect();
    stand.sort();
    let mut expected = ORDERS.map(|(reference, status)| (reference.to_owned(), status));
    expected.sort();
    assert_eq!(stand, expected);
    let drivers = admin.all_drivers(ListDrivers::default()).await.expect("drivers");
    let aboard = orders.iter().find(|order| order.status == Status::PickedUp).expect("one aboard");
    let carrier = aboard.driver_id.expect("its driver");
    let planned = drivers.iter().find(|driver| driver.id != carrier).expect("the other").id;
    assert_eq!(admin.planned_shifts(planned).await.expect("shifts").len(), 1);
    assert!(admin.order_timeline(aboard.id).await.expect("its events").len() > 4);
    let shop = server.client(Party::Merchant(aboard.merchant_id));
    let endpoint = shop.webhook_endpoints().await.expect("endpoints").items[0].id;
    assert!(hooks.placed().is_empty());

    // A key of the release before is known, and gives its answer again.
    let again = shop.create_order(&fast_order("waits"), Idempotency::Key("waits".to_owned())).await.expect("again");
    assert_eq!(orders.iter().find(|order| order.id == again.id).map(|order| order.status), Some(Status::Confirmed));
    // What was aboard is delivered, and what waits gets a driver.
    done(&admin, &admin.order(aboard.id).await.expect("it"), TaskKind::Delivery).await;
    until_status(&admin, aboard.id, Status::Delivered).await;
    admin.set_shift(planned, &on_shift(52.1, 13.1)).await.expect("a shift");
    until_status(&admin, again.id, Status::Offered).await;

    // The real one from now on: each message arrives once, those of the release before too.
    let to = PutEndpoint {
        url: hooks.url.clone(),
        description: String::new(),
        types: vec!["order.placed".to_owned()],
        enabled: true,
    };
    shop.put_webhook_endpoint(endpoint, &to).await.expect("changed");
    assert!(server.terminate().success());
    let live = run(&["go-live", "--send-held"]);
    assert!(live.status.success(), "{}", said(&live));
    let server = Server::start_with(database.url(), SPEED, &more);
    let shop = server.client(Party::Merchant(aboard.merchant_id));
    shop.create_order(&fast_order("after"), Idempotency::Key("after".to_owned())).await.expect("placed");
    for (reference, _) in ORDERS {
        hooks.hears_of(reference).await;
    }
    hooks.hears_of("after").await;
    assert_eq!(hooks.placed().len(), ORDERS.len() + 1, "each once: {:?}", hooks.placed());
    // The email of whoever registered then is in the queue of today; its code ends by the time of people, so it may be too late.
    let emails = "SELECT count(*) FROM jobs WHERE kind = 'email'";
    let pool = sqlx::PgPool::connect(database.url()).await.expect("the database");
    until("the email is taken over", || async {
        let count: i64 = sqlx::query_scalar(emails).fetch_one(&pool).await.ok()?;
        (count == 1).then_some(())
    })
    .await;
}
