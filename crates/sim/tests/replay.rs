//! A tiny day, replayed against a tiny server over real sockets, ends as the rules of the day say.

mod tiny_server;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use posthaste_backtest::Instance;
use posthaste_backtest::Point;
use posthaste_domain::order::Status;
use posthaste_domain::zone::Policy;
use posthaste_sim::Tokens;
use posthaste_sim::replay::{self, ReplayOptions};
use tiny_server::TinyServer;

/// Product seconds per real second: the day takes some seconds.
const SPEED: f64 = 1200.0;

/// A directory with a made-up day, gone at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("posthaste-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            std::fs::write(path.join(file), text).unwrap();
        }
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const PARAMETERS: &str = "meters_per_minute\tpickup service minutes\tdropoff service minutes\n300\t4\t4\n";
const RESTAURANTS: &str = "restaurant\tx\ty\nr1\t600\t0\nr2\t0\t800\n";

fn options(directory: &Directory, base_url: String) -> ReplayOptions {
    ReplayOptions {
        instance_dir: directory.0.clone(),
        base_url,
        tokens: Tokens::new(|party| party.to_string()),
        trace_file: directory.0.join("trace.csv"),
        policy: Policy::LeastBusy,
        send_ahead: false,
        progress: false,
        stats: Arc::default(),
    }
}

/// Checks the trace of a day in which every courier carries one order at a time; how many were delivered.
fn assert_feasible(day: &Instance, trace: &str) -> usize {
    const TOLERANCE: f64 = 0.01;
    let way = |a: Point, b: Point| (a.meters_to(b) / day.parameters.meters_per_minute).ceil();
    let mut rows: Vec<Vec<&str>> = trace.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let number = |text: &str| text.parse::<f64>().unwrap();
    rows.sort_by(|a, b| number(a[3]).total_cmp(&number(b[3])));
    let mut where_and_when: HashMap<&str, (Point, f64)> =
        day.couriers.iter().map(|c| (c.name.as_str(), (c.place, c.on_time))).collect();
    for row in &rows {
        let order = day.orders.iter().find(|o| o.name == row[0]).unwrap();
        let courier = day.couriers.iter().find(|c| c.name == row[1]).unwrap();
        let (assigned, picked_up, delivered) = (number(row[2]), number(row[3]), number(row[4]));
        let restaurant = day.restaurants[order.restaurant].place;
        let (place, free) = where_and_when[row[1]];
        assert!(assigned + TOLERANCE >= order.placement_time && assigned <= courier.off_time, "{row:?}");
        assert!(picked_up + TOLERANCE >= order.ready_time && picked_up <= courier.off_time, "{row:?}");
        let arrival = free.max(assigned) + way(place, restaurant);
        assert!(picked_up + TOLERANCE >= arrival + 2.0, "{row:?}: picked up before {}", arrival + 2.0);
        let arrival = picked_up + 2.0 + way(restaurant, order.place);
        assert!(delivered + TOLERANCE >= arrival + 2.0, "{row:?}: delivered before {}", arrival + 2.0);
        where_and_when.insert(row[1], (order.place, delivered + 2.0));
    }
    rows.len()
}

#[tokio::test]
async fn a_day_is_delivered_within_its_rules_though_every_connection_breaks_once() {
    let couriers = "courier\tx\ty\ton_time\toff_time\nc1\t0\t0\t0\t60\nc2\t900\t0\t3\t70\n";
    let orders = "order\tx\ty\tplacement_time\trestaurant\tready_time\n\
        o1\t0\t100\t2\tr1\t8\no2\t600\t600\t4\tr2\t10\no3\t900\t900\t4\tr1\t25\no4\t300\t0\t20\tr2\t30\n";
    let files = [
        ("instance_parameters.txt", PARAMETERS),
        ("restaurants.txt", RESTAURANTS),
        ("couriers.txt", couriers),
        ("orders.txt", orders),
    ];
    let directory = Directory::new("replay", &files);
    let (server, url) = TinyServer::start(SPEED).await;
    let report = replay::run(options(&directory, url)).await.unwrap();
    assert_eq!(report.errors, 0, "{report}");
    assert_eq!(report.by_status.get(&Status::Delivered), Some(&4), "{report}");
    assert!(report.all_accounted_for());
    assert_eq!((server.broken(), report.reconnects), (2, 2));
    let trace = std::fs::read_to_string(&report.trace_file).unwrap();
    let day = Instance::read(&directory.0).unwrap();
    assert_eq!(assert_feasible(&day, &trace), 4);
}

#[tokio::test]
async fn what_nobody_can_pick_up_before_the_end_of_the_shift_is_declined_and_accounted_for() {
    let couriers = "courier\tx\ty\ton_time\toff_time\nc1\t0\t0\t0\t20\n";
    let orders = "order\tx\ty\tplacement_time\trestaurant\tready_time\no1\t0\t100\t2\tr1\t8\no2\t600\t600\t4\tr2\t40\n";
    let files = [
        ("instance_parameters.txt", PARAMETERS),
        ("restaurants.txt", RESTAURANTS),
        ("couriers.txt", couriers),
        ("orders.txt", orders),
    ];
    let directory = Directory::new("replay-late", &files);
    let (_server, url) = TinyServer::start(SPEED).await;
    let report = replay::run(options(&directory, url)).await.unwrap();
    assert_eq!(report.errors, 0, "{report}");
    assert_eq!(report.by_status.get(&Status::Delivered), Some(&1), "{report}");
    assert_eq!(report.by_status.get(&Status::Canceled), Some(&1), "{report}");
    assert!(report.declined > 0 && report.all_accounted_for());
}
