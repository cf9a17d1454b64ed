//! A day of the real program's own, exported beside it, and played by everything that plays recorded days.

mod harness;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::private::DataDir;
use harness::*;
use posthaste_client::Idempotency;
use posthaste_domain::ids::OrderId;
use posthaste_domain::order::{Status, TaskKind};
use posthaste_domain::party::Party;
use posthaste_protocol::drivers::PositionBatch;
use posthaste_protocol::orders::{CompleteTask, ContactView, CreateOrder};
use posthaste_protocol::zones::RulesView;

/// What nobody may read in an exported day.
const SECRETS: [&str; 5] = ["Bakery at the Gate", "Ada", "+4930123456", "third floor", "Dana"];

fn told(mut order: CreateOrder) -> CreateOrder {
    let contact = |name: &str| ContactView {
        name: Some(name.to_owned()),
        phone: Some("+4930123456".to_owned()),
        note: Some("third floor".to_owned()),
        ..ContactView::default()
    };
    order.pickups[0].contact = contact("Bakery at the Gate");
    order.delivery.contact = contact("Ada");
    order
}

/// Runs the program beside the server, on its data.
fn posthaste(server: &Server, arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_posthaste"))
        .args(arguments)
        .env_remove("DATABASE_URL")
        .envs(server.environment())
        .output()
        .expect("the program runs");
    println!("{arguments:?}: {}", said(&output));
    output
}

/// One order is delivered, one is canceled and one waits. Gives the day on which that was.
async fn day(server: &Server) -> String {
    let admin = server.admin();
    let zone = zone(&admin, RulesView::default()).await;
    let (shop, driver) = (server.client(merchant().1), driver(&admin, zone).await);
    let courier = server.client(Party::Driver(driver));
    courier.set_shift(driver, &on_shift(52.101, 13.101)).await.expect("on shift");
    let positions = PositionBatch { positions: vec![position(52.1012, 13.1012)] };
    courier.report_positions(driver, &positions).await.expect("taken");
    let order = shop.create_order(&told(fast_order("A-1")), Idempotency::Automatic).await.expect("placed");
    let offer =
        until("an offer", || async { courier.driver_route(driver).await.ok()?.offers.first().map(|offer| offer.id) });
    courier.accept_offer(driver, offer.await).await.expect("accepted");
    let order = until_status(&shop, order.id, Status::Assigned).await;
    for kind in [TaskKind::Pickup, TaskKind::Delivery] {
        let task = order.tasks.iter().find(|task| task.kind == kind).expect("a task").id;
        courier.task_arrived(driver, task).await.expect("there");
        let done = CompleteTask { code: code(&order, kind), ..CompleteTask::default() };
        match kind {
            TaskKind::Pickup => courier.task_picked_up(driver, task, &done).await.expect("aboard"),
            _ => courier.task_delivered(driver, task, &done).await.expect("delivered"),
        };
    }
    until_status(&shop, order.id, Status::Delivered).await;
    shop.create_order(&told(fast_order("A-2")), Idempotency::Automatic).await.expect("placed");
    let canceled = shop.create_order(&told(fast_order("A-3")), Idempotency::Automatic).await.expect("placed");
    shop.cancel_order(canceled.id, "changed my mind").await.expect("canceled");
    order.placed_at.format("%Y-%m-%d").to_string()
}

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("it is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exported_day_names_nobody_and_is_played_by_all_that_play_days() {
    let data = DataDir::new();
    let mut server = Server::start_private(&data, &[]);
    let date = day(&server).await;
    let scratch = Scratch(std::env::temp_dir().join(format!("posthaste-days-{}", id::<OrderId>())));
    let at = |name: &str| scratch.0.join(name).display().to_string();
    let mine = at("mine");
    let export = ["export-day", &mine, "--date", &date, "--utc-offset", "+00:00"];

    let told = posthaste(&server, &export);
    assert!(told.status.success());
    let summary = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(summary.trim(), "2 orders of 1 restaurants, 1 couriers; 1 canceled or rejected orders are left out");
    let mut all = String::new();
    for file in ["instance_parameters.txt", "couriers.txt", "restaurants.txt", "orders.txt"] {
        all.push_str(&text(&Path::new(&mine).join(file)));
    }
    for secret in SECRETS.into_iter().chain(["A-1", "ord_", "drv_", "mer_", "52.1", "13.1"]) {
        assert!(!all.contains(secret), "{secret} stands in the day:\n{all}");
    }
    let again = posthaste(&server, &export);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("is there already"));
    let unknown = posthaste(&server, &["export-day", &at("none"), "--date", &date, "--zone", "Nowhere"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no zone \"Nowhere\"; there is Centre"));
    let empty = posthaste(&server, &["export-day", &at("none"), "--date", "2020-02-29", "--utc-offset", "-03:00"]);
    assert!(String::from_utf8_lossy(&empty.stderr).contains("no order was placed on 2020-02-29"));

    // Without its server, too: its Postgres is started for it.
    assert!(server.terminate().success());
    let alone = at("alone");
    assert!(posthaste(&server, &["export-day", &alone, "--date", &date, "--utc-offset", "+00:00"]).status.success());
    assert_eq!(text(&Path::new(&alone).join("orders.txt")), text(&Path::new(&mine).join("orders.txt")));

    let lines = |name: &str| text(&scratch.0.join(name)).lines().count();
    assert!(posthaste(&server, &["simulate", "--mdrp", &mine, "--trace", &at("simulated.csv")]).status.success());
    assert!(posthaste(&server, &["compare", "--days", &mine, "--html", &at("page.html")]).status.success());
    assert_eq!(lines("simulated.csv"), 3, "both orders are brought");
    assert!(lines("page.html") > 10);
}
