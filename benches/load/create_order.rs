//! Creating orders over REST: token checked, body validated, answered when the order is durable; beside a handler
//! that does the same checks and then one insert for each request.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use posthaste_domain::contact::Contact;
use posthaste_domain::ids::{Id, OrderId, ZoneId};
use posthaste_domain::order::{CodeRule, Event, NewOrder, NewPickup, NewStop};
use posthaste_domain::party::Party;
use posthaste_domain::place::Place;
use posthaste_domain::zone::ZoneRules;
use posthaste_http::auth::Keys;
use posthaste_protocol::audience::Audience;
use posthaste_protocol::orders::{ContactView, CreateOrder, OrderView};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::process::Command;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::database::{CONNECTIONS, Database};
use crate::http::{Connection, request};
use crate::report::{Mark, Report, Times, median};
use crate::server::{SECRET, Server, answers, free_address, order_body};
use crate::{Outcome, journal, process, stage};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// Seconds of each side in each round.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Rounds; the middle one of each side counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

#[derive(Default)]
struct Side {
    rates: Vec<f64>,
    cpu: Vec<f64>,
    times: Times,
}

pub(crate) async fn run(options: Options) -> Outcome<Report> {
    let database = Database::start().await?;
    let server = Server::start(&database).await?;
    server.make_zone().await?;
    let address = free_address()?;
    let mut peer = Command::new(std::env::current_exe()?)
        .args(["part", "insert-orders", database.url(), &address.to_string()])
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    answers(&mut peer, address, "/").await?;
    let peer_pid = peer.id().unwrap_or_default();
    // Merchants place their orders themselves: what operations do is in the audit log, too.
    let tokens = (0..stage::MERCHANTS).map(|n| server.token(Party::Merchant(stage::merchant(n))));
    let tokens: Arc<[String]> = tokens.collect::<Outcome<_>>()?;
    let span = Duration::from_secs_f64(options.seconds);
    let counter = Arc::new(AtomicUsize::new(0));
    let (mut ours, mut theirs) = (Side::default(), Side::default());
    for round in 0..=options.rounds {
        for (name, side, address) in [("ours", &mut ours, server.address), ("one insert each", &mut theirs, address)] {
            let pid_cpu = || if address == server.address { server.cpu() } else { process::cpu(peer_pid, false) };
            let before = pid_cpu();
            let (times, time) = send(address, &tokens, options.connections, span, &counter).await?;
            let cpu = pid_cpu().saturating_sub(before).as_secs_f64() * 1e6 / times.len() as f64;
            let rate = times.len() as f64 / time.as_secs_f64();
            eprintln!("round {round}, {name}: {rate:.0} orders a second, {cpu:.0} us of the server each");
            if round > 0 {
                side.rates.push(rate);
                side.cpu.push(cpu);
                side.times.extend(times);
            }
        }
    }
    let (rate, peer_rate) = (median(ours.rates), median(theirs.rates));
    let mut report = Report::new("create-order: orders over REST, durable");
    let what = format!("over the handler with one insert each, {} connections", options.connections);
    report.mark(what, rate / peer_rate, "x", Mark::AtLeast(3.0));
    for (name, rate, side) in
        [("ours", rate, (ours.cpu, ours.times)), ("one insert each", peer_rate, (theirs.cpu, theirs.times))]
    {
        let (cpu, mut times) = side;
        report.figure(format!("{name}: orders a second"), rate, "/s");
        report.figure(format!("{name}: processor time of the server each"), median(cpu), "us");
        report.time(format!("{name}: answer p50"), times.quantile(0.5));
        report.time(format!("{name}: answer p99"), times.quantile(0.99));
    }
    report.note(format!(
        "both have {CONNECTIONS} connections to one Postgres, fsync on; client, servers and Postgres share the machine"
    ));
    Ok(report)
}

/// Sends orders on every connection until the time is over. The time to each answer.
async fn send(
    address: SocketAddr,
    tokens: &Arc<[String]>,
    connections: usize,
    span: Duration,
    counter: &Arc<AtomicUsize>,
) -> Outcome<(Vec<Duration>, Duration)> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..connections {
        let (stop, counter, tokens) = (Arc::clone(&stop), Arc::clone(counter), Arc::clone(tokens));
        callers.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut times = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let n = counter.fetch_add(1, Ordering::Relaxed);
                let request = request("POST", "/v1/orders", &tokens[n % tokens.len()], &order_body(n, true));
                let start = Instant::now();
                let answer = connection.send(&request).await?;
                if answer.status != 201 {
                    return Err(format!("status {}: {}", answer.status, String::from_utf8_lossy(&answer.body)).into());
                }
                times.push(start.elapsed());
            }
            Outcome::Ok(times)
        });
    }
    let start = Instant::now();
    tokio::time::sleep(span).await;
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    while let Some(done) = callers.join_next().await {
        times.extend(done??);
    }
    Ok((times, start.elapsed()))
}

/// The peer: the same handler, with one insert for each request.
#[derive(Clone)]
struct Peer {
    pool: PgPool,
    keys: Arc<Keys>,
}

/// Serves the peer until it is ended.
pub(crate) async fn serve_peer(url: &str, address: SocketAddr) -> Outcome<()> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false).connect(url).await?;
    let peer = Peer { pool, keys: Arc::new(Keys::new(SECRET.as_bytes())?) };
    let router = Router::new().route("/v1/orders", axum::routing::post(insert)).with_state(peer);
    let listener = tokio::net::TcpListener::bind(address).await?.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

async fn insert(State(peer): State<Peer>, headers: HeaderMap, Json(body): Json<CreateOrder>) -> Response {
    match insert_order(&peer, &headers, body).await {
        Ok(view) => (StatusCode::CREATED, Json(view)).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn insert_order(peer: &Peer, headers: &HeaderMap, body: CreateOrder) -> Outcome<OrderView> {
    let now = chrono::Utc::now();
    let token = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
    let caller = peer.keys.verify(token.ok_or("no token")?, now).map_err(|_| "not accepted")?;
    let merchant = body.merchant_id.ok_or("no merchant")?;
    let stop = |lat, lng, c: ContactView, service_seconds| -> Outcome<NewStop> {
        let contact = Contact { name: c.name, phone: c.phone, address: c.address, note: c.note };
        Ok(NewStop { place: Place::new(lat, lng)?, contact, service_seconds, window: None })
    };
    let mut pickups = Vec::new();
    for pickup in body.pickups {
        pickups.push(NewPickup {
            seller: pickup.merchant_id.unwrap_or(merchant),
            needs_confirmation: body.needs_confirmation.unwrap_or(false),
            ready_at: pickup.ready_at,
            stop: stop(pickup.lat, pickup.lng, pickup.contact, pickup.service_seconds)?,
        });
    }
    let door = body.delivery;
    let new = NewOrder {
        id: OrderId::from_uuid(Uuid::now_v7()),
        merchant,
        customer: body.customer_id,
        reference: body.reference,
        speed: body.speed,
        size: body.size,
        priority: body.priority,
        entropy: vec![4711; pickups.len() + 1],
        pickups,
        delivery: stop(door.lat, door.lng, door.contact, door.service_seconds)?,
        codes: CodeRule { pickup: body.codes.pickup, delivery: body.codes.delivery },
        zone: ZoneId::from_uuid(Uuid::from_u128(7)),
        rules: ZoneRules::default(),
        travel_seconds: 900,
    };
    let event = new.place(now).map_err(|wrong| format!("{wrong:?}"))?;
    let Event::Placed { order } = &event else { return Err("not placed".into()) };
    let state = serde_json::to_string(order)?;
    let query = sqlx::query(journal::INSERT_ONE).bind(order.id.uuid()).bind(order.merchant.uuid());
    let query = query.bind(order.zone.uuid()).bind(order.customer.map(Id::uuid)).bind(order.placed_at);
    let query = query.bind(&order.reference).bind(state).bind(caller.party.to_string()).bind(journal::FIRST_EVENT);
    query.bind(stage::REQUEST).execute(&peer.pool).await?;
    Ok(OrderView::of(order, Audience::Merchant(merchant)))
}
