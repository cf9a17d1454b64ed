//! A posthaste server as a process of its own, and what a client needs to talk to it.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use posthaste_domain::Span;
use posthaste_domain::ids::{DriverId, Id, MerchantId, OrderId};
use posthaste_domain::party::Party;
use posthaste_http::auth::Keys;
use posthaste_protocol::drivers::DriverView;
use posthaste_protocol::orders::OrderView;
use posthaste_protocol::zones::ZoneView;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Outcome;
use crate::database::{CONNECTIONS, Database};
use crate::http::{Connection, request};
use crate::{process, stage};

/// Signs the tokens of a run.
pub(crate) const SECRET: &str = "a key for the length of one run of the load program";
/// How long a server may take to answer its first request.
const PATIENCE: Duration = Duration::from_secs(120);
/// Connections that set the stage beside each other.
const HANDS: usize = 32;

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    keys: Keys,
}

impl Server {
    /// Starts `posthaste serve` on the database. The program is looked for beside this one.
    pub(crate) async fn start(database: &Database) -> Outcome<Self> {
        let program = beside("posthaste")?;
        let address = free_address()?;
        let child = Command::new(&program)
            .args(["serve", "--log", "warn", "--listen", &address.to_string(), "--database-url", database.url()])
            .args(["--token-key", SECRET, "--database-connections", &CONNECTIONS.to_string()])
            // One token places all orders here: what is measured is the server, not its patience.
            .args(["--requests-per-minute", "0", "--address-requests-per-minute", "0"])
            .args(["--mode", "development"])
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}; build it with cargo build --release", program.display()))?;
        let keys = Keys::new(SECRET.as_bytes())?;
        let mut server = Self { child, address, keys };
        answers(&mut server.child, address, "/health/ready").await?;
        Ok(server)
    }

    fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Processor time used so far.
    pub(crate) fn cpu(&self) -> Duration {
        process::cpu(self.pid(), false)
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        process::resident(self.pid())
    }

    pub(crate) fn token(&self, party: Party) -> Outcome<String> {
        Ok(self.keys.mint(party, chrono::Utc::now(), Span::hours(12))?)
    }

    pub(crate) fn admin(&self) -> Outcome<String> {
        self.token(Party::Admin(Id::from_uuid(Uuid::from_u128(1))))
    }

    /// The path of an order's tracking socket.
    pub(crate) fn tracking_path(&self, order: OrderId) -> String {
        format!("/v1/ws/track/{}", self.keys.tracking_token(order))
    }

    /// One request of operations.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        connection: &mut Connection,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Outcome<T> {
        connection.send(&request(method, path, &self.admin()?, &body.to_string())).await?.json()
    }

    /// Makes the zone of the stage.
    pub(crate) async fn make_zone(&self) -> Outcome<ZoneView> {
        let mut connection = Connection::open(self.address).await?;
        self.ask(&mut connection, "POST", "/v1/zones", &serde_json::to_value(stage::zone())?).await
    }

    /// Drivers on shift, each with an order in hand. Dispatch stays out of it: they do not serve the orders' speed,
    /// operations assign them.
    pub(crate) async fn pairs(&self, zone: &ZoneView, count: usize) -> Outcome<Vec<(DriverId, OrderId)>> {
        let mut hands = JoinSet::new();
        for hand in 0..HANDS.min(count) {
            let (address, admin, zone) = (self.address, self.admin()?, zone.id);
            hands.spawn(async move {
                let mut connection = Connection::open(address).await?;
                let mut made = Vec::new();
                for n in (hand..count).step_by(HANDS.min(count)) {
                    let body = json!({"name": "Dana Driver", "vehicle": "bicycle", "capacity": 1000, "zones": [zone],
                        "speeds": ["slow"]});
                    let sent = request("POST", "/v1/drivers", &admin, &body.to_string());
                    let driver = connection.send(&sent).await?.json::<DriverView>()?.id;
                    let (lat, lng) = (52.4 + 0.2 * (n % 97) as f64 / 97.0, 13.1 + 0.6 * (n % 89) as f64 / 89.0);
                    let shift = json!({"state": "available", "place": {"lat": lat, "lng": lng}});
                    let path = format!("/v1/drivers/{driver}/shift");
                    connection.send(&request("PUT", &path, &admin, &shift.to_string())).await?.json::<Value>()?;
                    let sent = request("POST", "/v1/orders", &admin, &order_body(n, false));
                    let order = connection.send(&sent).await?.json::<OrderView>()?.id;
                    let path = format!("/v1/orders/{order}/assign");
                    let body = json!({"driver_id": driver}).to_string();
                    connection.send(&request("POST", &path, &admin, &body)).await?.json::<Value>()?;
                    made.push((driver, order));
                }
                Outcome::Ok(made)
            });
        }
        let mut pairs = Vec::new();
        while let Some(made) = hands.join_next().await {
            pairs.extend(made??);
        }
        Ok(pairs)
    }
}

/// The body of a new fast order, of [`stage::merchant`]'s.
pub(crate) fn order_body(n: usize, needs_confirmation: bool) -> String {
    let merchant: MerchantId = stage::merchant(n);
    let (lat, lng) = (52.35 + 0.3 * (n % 89) as f64 / 89.0, 13.05 + 0.7 * (n % 97) as f64 / 97.0);
    let contact = |note: &str| {
        json!({"name": "Erika Mustermann", "phone": "+49 30 901820",
            "address": "Unter den Linden 77, 10117 Berlin", "note": note})
    };
    json!({
        "speed": "fast",
        "merchant_id": merchant,
        "reference": format!("R-{n:08}"),
        "needs_confirmation": needs_confirmation,
        "pickups": [{"merchant_id": merchant, "lat": lat, "lng": lng, "contact": contact("back door")}],
        "delivery": {"lat": lat + 0.01, "lng": lng + 0.01, "contact": contact("third floor, left")},
    })
    .to_string()
}

/// A program that lies where this one lies.
fn beside(name: &str) -> Outcome<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

/// An address on this machine that nobody uses now.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Waits until a server answers a request well.
pub(crate) async fn answers(child: &mut Child, address: SocketAddr, path: &str) -> Outcome<()> {
    let waiting = async {
        loop {
            if let Some(status) = child.try_wait()? {
                return Err(format!("the server ended with {status}").into());
            }
            if let Ok(mut connection) = Connection::open(address).await
                && let Ok(answer) = connection.send(&request("GET", path, "", "")).await
                && answer.status < 500
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await?
}
