//! Users' journeys through the real program, over real sockets.

mod harness;

use std::time::Duration;

use harness::*;
use posthaste_client::{Event, Idempotency, OperationsView};
use posthaste_clock::testing::eventually;
use posthaste_domain::ids::{CustomerId, Id as _};
use posthaste_domain::order::{Status, TaskKind};
use posthaste_domain::party::Party;
use posthaste_protocol::orders::CreateOrder;
use posthaste_protocol::problem::Code;
use posthaste_protocol::socket::{PositionUpdate, ServerMessage, Snapshot};
use posthaste_protocol::trace::TraceParent;
use posthaste_protocol::zones::RulesView;
use posthaste_storage::testing::TestDatabase;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_placed_carried_and_followed_to_the_door() {
    let database = TestDatabase::new().await;
    let mut server = Server::start(&database.url, 10.0);
    let admin = server.admin();
    let zone = zone(&admin, RulesView::default()).await;
    let dana = driver(&admin, zone).await;
    let (_, shop) = merchant();
    let shop = server.client(shop);
    let ada = CustomerId::at(posthaste_domain::Timestamp::UNIX_EPOCH, [7; 10]);
    let mut at_home = server.client(Party::Customer(ada)).customer_socket();

    let mut phone = server.client(Party::Driver(dana)).driver_socket();
    let hands = phone.commands();
    hands.shift(on_shift(52.1, 13.09)).await.expect("on shift");
    let adas = CreateOrder { customer_id: Some(ada), ..fast_order("A-1") };
    let order = shop.create_order(&adas, Idempotency::Key("A-1".into())).await.expect("placed");
    let again = shop.create_order(&adas, Idempotency::Key("A-1".into())).await.expect("replayed");
    assert_eq!(order, again, "the same key gives the first answer");
    let other = shop.create_order(&fast_order("A-2"), Idempotency::Key("A-1".into())).await.unwrap_err();
    assert_eq!(other.code(), Some(Code::IdempotencyMismatch));

    let link = shop.tracking_link(order.id).await.expect("a link");
    let mut follower = server.client(Party::Driver(dana)).with_token("").tracking_socket(&link.token);
    let offer = phone
        .wait_for(PATIENCE, |event| work_of(event).offers.into_iter().next())
        .await
        .expect("an offer comes over the socket");
    assert_eq!(offer.order.id, order.id);
    assert!(offer.order.tasks.iter().all(|t| t.code.is_none()), "drivers never see codes");
    hands.accept(offer.id).await.expect("accepted");

    let order = shop.order(order.id).await.expect("the order");
    let pickup = order.tasks.iter().find(|t| t.kind == TaskKind::Pickup).expect("a pickup").id;
    let door = order.tasks.iter().find(|t| t.kind == TaskKind::Delivery).expect("a door").id;
    hands.departed(pickup).await.expect("departed");
    hands.arrived(pickup).await.expect("arrived");
    let wrong = hands.picked_up(pickup, Some("999999".into()), None).await.unwrap_err();
    assert_eq!(wrong.problem().and_then(|p| p.attempts_left), Some(4), "{wrong}");
    hands.picked_up(pickup, code(&order, TaskKind::Pickup), None).await.expect("picked up");
    hands.position(position(52.105, 13.105));
    let seen = follower
        .wait_for(PATIENCE, |event| match event {
            Event::Position(PositionUpdate::Tracking(p)) => Some(p.lat),
            _ => None,
        })
        .await
        .expect("the customer sees the driver move");
    assert!((seen - 52.105).abs() < 1e-6);
    hands.departed(door).await.expect("departed for the door");
    let tracking = shop.tracking(&link.token).await.expect("the tracking view");
    assert_eq!(tracking.status, Status::EnrouteToDropoff);
    let code = tracking.delivery_code.clone();
    assert!(code.is_some() && tracking.eta.is_some() && tracking.driver.is_some(), "{tracking:?}");
    hands.delivered(door, code, None).await.expect("delivered");
    follower
        .wait_for(PATIENCE, |event| match event {
            Event::Message { message: ServerMessage::Step(step), .. } if step.step.status == Status::Delivered => {
                Some(())
            }
            Event::Snapshot(snapshot) => match *snapshot {
                Snapshot::Tracking { tracking } if tracking.status == Status::Delivered => Some(()),
                _ => None,
            },
            _ => None,
        })
        .await
        .expect("the customer sees the delivery");
    at_home
        .wait_for(PATIENCE, |event| match event {
            Event::Message { message: ServerMessage::Order(told), .. } if told.order.status == Status::Delivered => {
                Some(())
            }
            _ => None,
        })
        .await
        .expect("and so does the socket of all their orders");
    let timeline = shop.order_timeline(order.id).await.expect("the timeline");
    assert_eq!(timeline.last().map(|e| e.status), Some(Status::Delivered));
    let decision = shop.order_decision(order.id).await.expect("the decision");
    assert_eq!(decision.driver_id, Some(dana));
    let after = shop.tracking(&link.token).await.expect("still there");
    assert!(after.driver.is_none() && after.delivery_code.is_none(), "nothing live is shown after the end");
    let (_, rival) = merchant();
    let hidden = server.client(rival).order(order.id).await.unwrap_err();
    assert_eq!(hidden.code(), Some(Code::NotFound), "others' orders look like none");
    assert!(server.terminate().success(), "a clean stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_says_so_to_its_sockets() {
    let database = TestDatabase::new().await;
    let mut server = Server::start(&database.url, 1.0);
    let admin = server.admin();
    let zone = zone(&admin, RulesView::default()).await;
    let dana = driver(&admin, zone).await;
    let mut phone = server.client(Party::Driver(dana)).driver_socket();
    phone.wait_for(PATIENCE, |event| matches!(event, Event::Snapshot(_)).then_some(())).await.expect("connected");
    assert!(server.terminate().success());
    let code = phone
        .wait_for(PATIENCE, |event| match event {
            Event::Disconnected { code, .. } => Some(code),
            _ => None,
        })
        .await
        .expect("the end is told");
    assert_eq!(code, Some(posthaste_protocol::socket::close::GOING_AWAY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_is_remembered_over_a_kill() {
    let database = TestDatabase::new().await;
    let mut server = Server::start(&database.url, 1.0);
    zone(&server.admin(), RulesView::default()).await;
    let (_, shop) = merchant();
    let shop = server.client(shop);
    let key = || Idempotency::Key("K-1".into());
    let first = shop.create_order(&fast_order("K-1"), key()).await.expect("placed");
    server.kill_9();
    server.start_again();
    let again = shop.create_order(&fast_order("K-1"), key()).await.expect("replayed");
    assert_eq!((again.id, again.placed_at), (first.id, first.placed_at));
    let other = shop.create_order(&fast_order("K-2"), key()).await.unwrap_err();
    assert_eq!(other.code(), Some(Code::IdempotencyMismatch));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_whose_network_eats_sockets_does_everything_over_rest() {
    let database = TestDatabase::new().await;
    let server = Server::start(&database.url, 10.0);
    let admin = server.admin();
    let zone = zone(&admin, RulesView::default()).await;
    let dana = driver(&admin, zone).await;
    let (_, shop) = merchant();
    let shop = server.client(shop);
    let hands = server.client(Party::Driver(dana));
    hands.set_shift(dana, &on_shift(52.1, 13.1)).await.expect("on shift");
    let order = shop.create_order(&fast_order("R-1"), Idempotency::Automatic).await.expect("placed");
    let offer = until("an offer", || async {
        let route = hands.driver_route(dana).await.ok()?;
        route.offers.into_iter().next()
    })
    .await;
    hands.accept_offer(dana, offer.id).await.expect("accepted");
    let old = posthaste_protocol::drivers::PositionBatch {
        positions: vec![
            posthaste_protocol::drivers::PositionReport { at: Some(now()), ..position(52.103, 13.1) },
            posthaste_protocol::drivers::PositionReport {
                at: Some(now() - posthaste_domain::Span::seconds(30)),
                ..position(52.102, 13.1)
            },
        ],
    };
    hands.report_positions(dana, &old).await.expect("safe");
    let order = shop.order(order.id).await.expect("the order");
    for kind in [TaskKind::Pickup, TaskKind::Delivery] {
        let task = order.tasks.iter().find(|t| t.kind == kind).expect("a task").id;
        hands.task_arrived(dana, task).await.expect("arrived");
        let done = posthaste_protocol::orders::CompleteTask { code: code(&order, kind), proof: None };
        match kind {
            TaskKind::Pickup => hands.task_picked_up(dana, task, &done).await.expect("picked up"),
            _ => hands.task_delivered(dana, task, &done).await.expect("delivered"),
        };
    }
    assert_eq!(shop.order(order.id).await.expect("the order").status, Status::Delivered);
    tokio::time::timeout(Duration::from_secs(5), admin.board(zone)).await.expect("in time").expect("the board");
}

/// A stand-in for a collector of traces: what is posted to it, in full.
fn collector() -> (String, std::sync::mpsc::Receiver<(String, Vec<u8>)>) {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let (sender, posted) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                loop {
                    let (mut first, mut length) = (String::new(), 0);
                    loop {
                        let mut line = String::new();
                        match reader.read_line(&mut line) {
                            Ok(0) | Err(_) => return,
                            Ok(_) if line == "\r\n" => break,
                            Ok(_) => {}
                        }
                        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().expect("a length");
                        }
                        if first.is_empty() {
                            first = line;
                        }
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).expect("the body");
                    let _ = reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                    let _ = sender.send((first, body));
                }
            });
        }
    });
    (url, posted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_does_is_counted_for_prometheus_and_traced_to_a_collector() {
    let database = TestDatabase::new().await;
    let (collector, posted) = collector();
    let environment = [("POSTHASTE_METRICS_LISTEN", "127.0.0.1:0"), ("POSTHASTE_OTLP_ENDPOINT", &collector)];
    let mut server = Server::start_with(&database.url, 10.0, &environment);
    let admin = server.admin();
    let zone = zone(&admin, RulesView::default()).await;
    let dana = driver(&admin, zone).await;
    let (_, shop) = merchant();
    let shop = server.client(shop);
    for n in 0..3 {
        shop.create_order(&fast_order(&format!("M-{n}")), Idempotency::Key(format!("M-{n}"))).await.expect("placed");
    }
    let address = server.logged("metrics", "address").expect("where metrics are");
    let read = async || get(&address, "/metrics", "").await;
    let figure_in = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}: {text}"));
        line.trim().parse::<f64>().expect("a figure")
    };
    let until = async |holds: &dyn Fn(&str) -> bool| {
        eventually("figures that come true", async || {
            let text = read().await;
            assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
            holds(&text).then_some(text)
        })
        .await
    };
    // The zone hears of orders by message.
    let text = until(&|text| figure_in(text, "posthaste_orders_waiting ") > 2.5).await;
    let figure = |name: &str| figure_in(&text, name);
    let placed = r#"posthaste_http_requests_total{route="/v1/orders",method="POST",status="201"} "#;
    assert!((figure(placed) - 3.0).abs() < 1e-9);
    assert!((figure(r#"posthaste_orders{status="confirmed"} "#) - 3.0).abs() < 1e-9);
    let seconds = r#"posthaste_http_request_seconds_count{route="/v1/orders",method="POST"} "#;
    assert!((figure(seconds) - 3.0).abs() < 1e-9);
    assert!(figure("posthaste_commit_seconds_count ") >= 3.0);
    assert!(figure("posthaste_commit_entries_sum ") >= 3.0);
    for actor in ["journal", "hub", "zone", "dispatcher"] {
        assert!(figure(&format!("posthaste_mailbox_depth{{actor=\"{actor}\"}} ")) >= 0.0);
    }
    assert!(figure(r#"posthaste_feed_behind{consumer="webhooks"} "#) >= 0.0);
    assert!((figure("posthaste_feed_in_doubt ") - 0.0).abs() < 1e-9);
    assert!((figure("posthaste_sockets ") - 0.0).abs() < 1e-9);
    assert!(!text.contains("M-0"), "no figure names what somebody sent");
    let mut phone = server.client(Party::Driver(dana)).driver_socket();
    phone.commands().shift(on_shift(52.1, 13.09)).await.expect("on shift");
    phone.wait_for(PATIENCE, |event| work_of(event).offers.into_iter().next()).await.expect("an offer");
    let text = until(&|text| text.contains("posthaste_dispatch_seconds_count ")).await;
    assert!(figure_in(&text, "posthaste_dispatch_seconds_count ") >= 1.0);
    assert!((figure_in(&text, "posthaste_sockets ") - 1.0).abs() < 1e-9);
    drop(phone);
    // Whether the phone says good-bye depends on what is under way when it is dropped.
    let causes = ["client_left", "connection_lost"];
    let ended = causes.map(|cause| format!("posthaste_sockets_closed_total{{code=\"none\",cause=\"{cause}\"}} "));
    let text = until(&|text| ended.iter().any(|line| text.contains(line))).await;
    let counted = ended.iter().find(|line| text.contains(*line)).expect("one of them");
    assert!((figure_in(&text, counted) - 1.0).abs() < 1e-9);
    // Two callers who trace, of whom one records.
    let followed = asked_in_trace(&server, "01").await;
    assert!(followed.ends_with("-01"), "{followed}");
    let ignored = asked_in_trace(&server, "00").await;
    assert!(ignored.ends_with("-00"), "{ignored}");
    assert!(server.terminate().success());
    let mut spans = Vec::new();
    while let Ok((path, body)) = posted.try_recv() {
        assert!(path.starts_with("POST /v1/traces "), "{path}");
        spans.extend(body);
    }
    // Ids go over the wire as they are: 16 bytes of the trace, 8 of a step.
    let holds = |bytes: &[u8]| spans.windows(bytes.len()).any(|part| part == bytes);
    let step: TraceParent = followed.parse().expect("what was answered");
    assert!(holds(&TRACED.to_be_bytes()), "the caller's trace");
    assert!(holds(&0x00f0_67aa_0ba9_0201_u64.to_be_bytes()), "the caller's step, as the one before");
    assert!(holds(&step.step.get().to_be_bytes()), "the step that the answer named");
    assert!(!holds(&(TRACED - 1).to_be_bytes()), "a trace that its caller does not record");
    let spans = String::from_utf8_lossy(&spans).into_owned();
    assert!(spans.contains("/v1/orders") && spans.contains("request_id") && spans.contains("posthaste"));
}

/// The trace of whoever records, as `asked_in_trace` sends it.
const TRACED: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4701;

/// Asks as a step of a trace with these flags; the step that the answer says it was.
async fn asked_in_trace(server: &Server, flags: &str) -> String {
    let sent = format!("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e47{flags}-00f067aa0ba902{flags}-{flags}\r\n");
    let answer = get(server.url.trim_start_matches("http://"), "/version", &sent).await;
    let told = answer.lines().find_map(|line| line.strip_prefix("traceparent: "));
    told.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// What is answered, head and body.
async fn get(address: &str, path: &str, headers: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("told");
    text
}

/// An order whose door is a little west of the others'.
fn order_in_the_west(reference: &str) -> CreateOrder {
    let mut order = fast_order(reference);
    (order.pickups[0].lng, order.delivery.lng) = (13.02, 13.03);
    order
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desk_that_looks_at_a_part_reads_on_without_a_gap_while_more_happens_elsewhere() {
    let database = TestDatabase::new().await;
    let server = Server::start(&database.url, 10.0);
    let admin = server.admin();
    zone(&admin, RulesView::default()).await;
    let shop = server.client(merchant().1);
    let west = OperationsView::Box { min_lng: 13.0, min_lat: 52.0, max_lng: 13.05, max_lat: 52.2 };
    let mut desk = admin.operations_socket(west);
    desk.wait_for(PATIENCE, |event| matches!(event, Event::Snapshot(_)).then_some(())).await.expect("a snapshot");
    let mut last = None;
    for n in 0..8 {
        for elsewhere in 0..3 {
            let order = fast_order(&format!("E-{n}-{elsewhere}"));
            shop.create_order(&order, Idempotency::Automatic).await.expect("placed");
        }
        let order = order_in_the_west(&format!("W-{n}"));
        last = Some(shop.create_order(&order, Idempotency::Automatic).await.expect("placed").id);
    }
    let (mut seen, mut numbers) = (Vec::new(), Vec::new());
    desk.wait_for(PATIENCE, |event| {
        let Event::Message { seq, message, .. } = event else { return None };
        numbers.push(seq);
        let ServerMessage::Order(changed) = message else { return None };
        seen.push(changed.order.reference.clone().unwrap_or_default());
        (Some(changed.order.id) == last).then_some(())
    })
    .await
    .expect("the last order");
    seen.dedup();
    assert_eq!(seen, (0..8).map(|n| format!("W-{n}")).collect::<Vec<_>>());
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    let stats = desk.stats();
    assert_eq!((stats.connects, stats.gaps, stats.snapshots), (1, 0, 1));
}
