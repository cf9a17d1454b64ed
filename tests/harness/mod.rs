//! The real program on a real Postgres, and people who use it.

#![allow(clippy::allow_attributes, dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod private;
pub mod python;
pub mod receiver;
pub mod shop;
pub mod terminal;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use posthaste_client::{Client, ClientError, Event, Idempotency, Token};
use posthaste_clock::Clock;
use posthaste_clock::testing::Looks;
use posthaste_domain::driver::Vehicle;
use posthaste_domain::ids::{AdminId, DriverId, MerchantId, OrderId, ZoneId};
use posthaste_domain::order::{Speed, Status, TaskKind};
use posthaste_domain::party::Party;
use posthaste_domain::{Span, Timestamp};
use posthaste_http::auth::Keys;
use posthaste_protocol::accounts::{Register, RegisterAs, VerifyBy};
use posthaste_protocol::drivers::{CreateDriver, OfferView, PositionReport, RouteView, ShiftState, ShiftView};
use posthaste_protocol::orders::{
    CodesView, ContactView, CreateDelivery, CreateOrder, CreatePickup, OrderView, PlaceView,
};
use posthaste_protocol::problem::Code;
use posthaste_protocol::socket::{ServerMessage, Snapshot};
use posthaste_protocol::zones::{PutZone, RulesView, TravelView};
use serde_json::json;

const KEY: &str = "a key for tests only, longer than thirty-two bytes";

/// How long anything may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program, running.
pub struct Server {
    child: Child,
    pub url: String,
    database_url: String,
    clock_speed: f64,
    port: u16,
    mode: &'static str,
    /// The socket that it was given, which is open whether it runs or not.
    socket: Option<TcpListener>,
    more: Vec<(String, String)>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log.lock().expect("the log");
            for line in log.iter().rev().take(60).rev() {
                eprintln!("server: {line}");
            }
        }
    }
}

impl Server {
    /// Starts the program on a free port and waits until it serves.
    pub fn start(database_url: &str, clock_speed: f64) -> Self {
        Self::start_on(database_url, clock_speed, 0, "development", None, &[])
    }

    /// Starts it as a service manager does that holds the socket itself.
    pub fn start_given(database_url: &str, socket: TcpListener) -> Self {
        Self::start_on(database_url, 1.0, 0, "development", Some(socket), &[])
    }

    /// The same, with something more in its environment.
    pub fn start_with(database_url: &str, clock_speed: f64, more: &[(&str, &str)]) -> Self {
        Self::start_on(database_url, clock_speed, 0, "development", None, more)
    }

    /// Starts it at the world's own pace, in a mode.
    pub fn start_in(database_url: &str, mode: &'static str) -> Self {
        Self::start_on(database_url, 1.0, 0, mode, None, &[])
    }

    /// Starts it as one of several servers on that database, and waits until it stands by.
    pub fn start_node(database_url: &str, more: &[(&str, &str)]) -> Self {
        let more = [&[("POSTHASTE_STANDBY", "true")], more].concat();
        Self::start_on(database_url, 1.0, free_port(), "development", None, &more)
    }

    /// Starts it on a Postgres of its own in that directory.
    pub fn start_private(data: &private::DataDir, more: &[(&str, &str)]) -> Self {
        Self::start_on(&data.url(), 1.0, 0, "development", None, more)
    }

    /// What other commands of the program need to work on the same data.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        environment(&self.database_url, self.mode)
    }

    fn start_on(
        database_url: &str,
        clock_speed: f64,
        port: u16,
        mode: &'static str,
        socket: Option<TcpListener>,
        more: &[(&str, &str)],
    ) -> Self {
        let mut command = program();
        if let Some(socket) = &socket {
            let given = FdMapping { parent_fd: socket.try_clone().expect("a copy").into(), child_fd: 3 };
            command.fd_mappings(vec![given]).expect("one of each").env("LISTEN_FDS", "1");
        }
        let mut child = command
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--clock-speed", &clock_speed.to_string(), "--database-connections", "12"])
            .envs(environment(database_url, mode))
            .env("POSTHASTE_POSTGRES_DOWNLOAD", "true")
            .env("POSTHASTE_WEBHOOK_PRIVATE_ADDRESSES", "true")
            .env("POSTHASTE_WEBHOOK_PLAIN_HTTP", "true")
            .env("POSTHASTE_LOG", "info,posthaste_dispatch_api::sockets=debug")
            .env("POSTHASTE_LOG_FORMAT", "json")
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (sender, address) = std::sync::mpsc::channel();
        let stderr = child.stderr.take().expect("its log");
        let lines = Arc::clone(&log);
        let is_node = more.iter().any(|(name, _)| *name == "POSTHASTE_STANDBY");
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let stands_by = (is_node && line.contains("\"standing by\"")).then(|| format!("127.0.0.1:{port}"));
                if let Some(address) = stands_by.or_else(|| serves_at(&line)) {
                    let _ = sender.send(address);
                }
                lines.lock().expect("the log").push(line);
            }
        });
        let address = match address.recv_timeout(PATIENCE) {
            Ok(address) => address,
            Err(_) => panic!("the program does not serve: {:#?}", log.lock().expect("the log")),
        };
        let port = address.rsplit(':').next().and_then(|p| p.parse().ok()).expect("a port");
        Self {
            child,
            url: format!("http://{address}"),
            database_url: database_url.to_owned(),
            clock_speed,
            port,
            mode,
            socket,
            more: more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            log,
        }
    }

    /// How often it has said so in its log.
    pub fn times_logged(&self, message: &str) -> usize {
        let lines = self.log.lock().expect("the log");
        let entries = lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        entries.filter(|entry| entry["message"] == message).count()
    }

    /// Sends a signal, as in `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill").success());
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_some()
    }

    /// Waits for its end by itself.
    pub async fn until_ended(&mut self) -> std::process::ExitStatus {
        let mut looks = Looks::within(PATIENCE);
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status;
            }
            looks.again("the program ends").await;
        }
    }

    /// Ends the program as a power cut would.
    pub fn kill_9(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Starts it again on the same address and data.
    pub fn start_again(&mut self) {
        let socket = self.socket.take();
        let more: Vec<_> = self.more.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let again = Self::start_on(&self.database_url, self.clock_speed, self.port, self.mode, socket, &more);
        let old = std::mem::replace(self, again);
        self.log.lock().expect("the log").splice(0..0, old.log.lock().expect("the log").drain(..));
    }

    /// Asks the program to stop, as a service manager does, and waits for its end.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.signal("TERM");
        self.child.wait().expect("its end")
    }

    /// What the program has logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("the log").clone()
    }

    /// A field of the first line with that message.
    pub fn logged(&self, message: &str, field: &str) -> Option<String> {
        let lines = self.log.lock().expect("the log");
        let mut entries = lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        entries.find(|entry| entry["message"] == message).and_then(|entry| entry[field].as_str().map(str::to_owned))
    }

    pub fn client(&self, party: Party) -> Client {
        Client::new(&self.url, Token::from(token(party))).expect("a client").with_timeout(Duration::from_secs(10))
    }

    pub fn admin(&self) -> Client {
        self.client(Party::Admin(id::<AdminId>()))
    }
}

/// The address that the program serves, where a line of its log says so, as JSON or as text.
fn serves_at(line: &str) -> Option<String> {
    let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else {
        let (_, address) = line.split_once(": serving address=")?;
        return address.split_whitespace().next().map(str::to_owned);
    };
    entry["address"].as_str().filter(|_| entry["message"] == "serving").map(str::to_owned)
}

/// What the program is told of a database and its mode.
pub fn environment(database_url: &str, mode: &str) -> Vec<(&'static str, String)> {
    let mut environment = vec![
        ("POSTHASTE_TOKEN_KEY", KEY.to_owned()),
        ("POSTHASTE_MODE", mode.to_owned()),
        // Hashing in an unoptimised program would take long.
        ("POSTHASTE_PASSWORD_MEMORY_KIB", "64".to_owned()),
    ];
    let data_dir = if let Some(place) = database_url.strip_prefix(private::SCHEME) {
        place.to_owned()
    } else {
        environment.push(("DATABASE_URL", database_url.to_owned()));
        let database = database_url.rsplit('/').next().unwrap_or_default().split('?').next().unwrap_or_default();
        std::env::temp_dir().join(format!("posthaste-{database}")).display().to_string()
    };
    environment.push(("POSTHASTE_DATA_DIR", data_dir));
    environment
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port()
}

/// The program. Settings of whoever runs the tests are none of its.
pub fn program() -> Command {
    // Another one where a test is told to fill a database with a release.
    let program = std::env::var_os("POSTHASTE_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_posthaste").into());
    let mut command = Command::new(program);
    command.env_remove("DATABASE_URL");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("POSTHASTE_") {
            command.env_remove(name);
        }
    }
    command
}

/// A fresh id.
pub fn id<I: posthaste_domain::ids::Id>() -> I {
    Clock::system().id()
}

/// A token of the server's own key.
pub fn token(party: Party) -> String {
    token_for(party, Span::hours(2))
}

pub fn token_for(party: Party, valid_for: Span) -> String {
    let keys = Keys::new(KEY.as_bytes()).expect("long enough");
    keys.mint(party, Clock::system().wall(), valid_for).expect("a token")
}

/// A square zone around 52.1, 13.1.
pub async fn zone(admin: &Client, rules: RulesView) -> ZoneId {
    let area = json!({"type": "Polygon", "coordinates":
        [[[13.0, 52.0], [13.2, 52.0], [13.2, 52.2], [13.0, 52.2], [13.0, 52.0]]]});
    let put = PutZone { name: "Centre".to_owned(), area, rules, travel: TravelView::default() };
    admin.create_zone(&put).await.expect("a zone").id
}

/// What a program said.
pub fn said(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A customer registers, and is written to.
pub async fn register_ada(server: &Server) {
    let new = Register {
        role: RegisterAs::Customer,
        email: "ada@example.org".to_owned(),
        password: "correct horse battery".into(),
        name: "Ada".to_owned(),
        phone: None,
        verify_by: VerifyBy::Email,
    };
    Client::new(&server.url, Token::None).expect("a client").register(&new).await.expect("registered");
}

pub fn fast_order(reference: &str) -> CreateOrder {
    CreateOrder {
        speed: Speed::Fast,
        pickups: vec![CreatePickup {
            merchant_id: None,
            lat: 52.1,
            lng: 13.1,
            contact: ContactView::default(),
            ready_at: None,
            window: None,
            service_seconds: None,
        }],
        delivery: CreateDelivery {
            lat: 52.11,
            lng: 13.11,
            contact: ContactView::default(),
            window: None,
            service_seconds: None,
        },
        merchant_id: None,
        customer_id: None,
        reference: Some(reference.to_owned()),
        size: 1,
        priority: 0,
        codes: CodesView::default(),
        needs_confirmation: None,
    }
}

pub async fn driver(admin: &Client, zone: ZoneId) -> DriverId {
    let new = CreateDriver {
        name: "Dana Driver".to_owned(),
        vehicle: Vehicle::Bicycle,
        capacity: 10,
        zones: vec![zone],
        speeds: vec![Speed::Fast, Speed::Slow],
    };
    admin.create_driver(&new).await.expect("a driver").id
}

pub fn on_shift(lat: f64, lng: f64) -> ShiftView {
    ShiftView { state: ShiftState::Available, until: None, place: Some(PlaceView { lat, lng }), hand_back: false }
}

pub fn position(lat: f64, lng: f64) -> PositionReport {
    PositionReport { lat, lng, at: None, accuracy_meters: None, heading_degrees: None, speed_meters_per_second: None }
}

/// Waits until `check` gives something.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    let mut looks = Looks::within(PATIENCE);
    loop {
        if let Some(found) = check().await {
            return found;
        }
        looks.again(what).await;
    }
}

pub async fn until_status(client: &Client, order: OrderId, status: Status) -> OrderView {
    let what = format!("{order} is {}", status.name());
    until(&what, || async { client.order(order).await.ok().filter(|o| o.status == status) }).await
}

/// Places an order, again and again with the same key, until it is acknowledged.
pub async fn place_surely(client: &Client, order: &CreateOrder, key: &str) -> OrderView {
    until("the order is acknowledged", || async {
        match client.create_order(order, Idempotency::Key(key.to_owned())).await {
            Ok(order) => Some(order),
            Err(error) if error.is_temporary() || error.code() == Some(Code::IdempotencyRunning) => None,
            Err(error) => panic!("the order was refused: {error}"),
        }
    })
    .await
}

/// What a driver was told that they have to do.
#[derive(Default)]
pub struct Work {
    pub offers: Vec<OfferView>,
    pub route: Option<RouteView>,
}

/// Reads a driver's event: what it says about their work.
pub fn work_of(event: Event) -> Work {
    match event {
        Event::Snapshot(snapshot) => match *snapshot {
            Snapshot::Driver { route, .. } => Work { offers: route.offers.clone(), route: Some(route) },
            _ => Work::default(),
        },
        Event::Message { message: ServerMessage::Offer(offer), .. } => Work { offers: vec![*offer], route: None },
        Event::Message { message: ServerMessage::Route(route), .. } => {
            Work { offers: route.offers.clone(), route: Some(*route) }
        }
        _ => Work::default(),
    }
}

/// The code of an order's open task of a kind, as its merchant sees it.
pub fn code(order: &OrderView, kind: TaskKind) -> Option<String> {
    order.tasks.iter().find(|t| t.kind == kind && !t.status.is_final()).and_then(|t| t.code.clone())
}

pub fn merchant() -> (MerchantId, Party) {
    let merchant = id::<MerchantId>();
    (merchant, Party::Merchant(merchant))
}

pub fn now() -> Timestamp {
    Clock::system().wall()
}

/// Whether a command's refusal means that it had already been done or lost its chance, which is no fault here.
pub fn is_settled(error: &ClientError) -> bool {
    matches!(error.code(), Some(Code::OfferGone | Code::OrderEnded | Code::Conflict | Code::NotFound))
}
