//! A server that a test plays by hand: it hands over each connection, and the test says what it does.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use posthaste_client::protocol::clock::ClockView;
use posthaste_client::protocol::drivers::{DriverView, RouteView, ShiftState, ShiftView};
use posthaste_client::protocol::socket::{
    Ack, ClientMessage, Header, Hello, Limits, ServerMessage, Snapshot, Welcome, decode_client, encode_server,
};
use posthaste_client::{Client, DriverSocket, Event, SocketOptions};
use posthaste_domain::driver::Vehicle;
use posthaste_domain::ids::{DriverId, Id, OfferId, OrderId, SessionId};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// No step of any test takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct FakeServer {
    listener: TcpListener,
    pub(crate) client: Client,
}

/// One connection, seen from the server.
pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
    pub(crate) authorization: Option<String>,
    pub(crate) path: String,
}

impl FakeServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = Client::new(format!("http://{address}"), "driver-token").unwrap();
        Self { listener, client }
    }

    pub(crate) fn driver(&self) -> DriverSocket {
        self.client.driver_socket_with(quick())
    }

    /// The next connection, before anything was said on it.
    pub(crate) async fn accept(&self) -> Peer {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await.expect("a connection in time");
        let (stream, _) = accepted.unwrap();
        let (mut authorization, mut path) = (None, String::new());
        #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
        let look = |request: &Request, response: Response| {
            authorization = request.headers().get("authorization").map(|v| v.to_str().unwrap().to_owned());
            path = request.uri().to_string();
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, look).await.unwrap();
        Peer { socket, authorization, path }
    }

    /// The next connection, welcomed; with what the client said to it.
    pub(crate) async fn welcome(&self, epoch: &str, seq: u64) -> (Peer, Hello) {
        let mut peer = self.accept().await;
        peer.send(ServerMessage::Welcome(welcome(epoch, seq))).await;
        match peer.hear().await {
            (_, ClientMessage::Hello(hello)) => (peer, hello),
            (_, other) => panic!("expected hello, got {}", other.kind()),
        }
    }
}

impl Peer {
    pub(crate) async fn send(&mut self, message: ServerMessage) {
        self.say(message, Header::default()).await;
    }

    pub(crate) async fn stream(&mut self, seq: u64, message: ServerMessage) {
        self.say(message, Header { seq: Some(seq), ..Header::default() }).await;
    }

    pub(crate) async fn answer(&mut self, id: Option<String>, message: ServerMessage) {
        self.say(message, Header { id, ..Header::default() }).await;
    }

    async fn say(&mut self, message: ServerMessage, header: Header) {
        self.socket.send(Message::text(encode_server(&message, &header))).await.unwrap();
    }

    /// The client's next message that is not a heartbeat.
    pub(crate) async fn hear(&mut self) -> (Header, ClientMessage) {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a message in time");
            if let Message::Text(text) = frame.expect("an open connection").unwrap() {
                match decode_client(text.as_str()).unwrap() {
                    (_, ClientMessage::Heartbeat(_)) => {}
                    heard => return heard,
                }
            }
        }
    }

    /// The client's next message, heartbeats included.
    pub(crate) async fn hear_any(&mut self) -> ClientMessage {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a message in time");
            if let Message::Text(text) = frame.expect("an open connection").unwrap() {
                return decode_client(text.as_str()).unwrap().1;
            }
        }
    }

    pub(crate) async fn close(mut self, code: u16) {
        use tokio_tungstenite::tungstenite::protocol::CloseFrame;
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).await.unwrap();
        while self.socket.next().await.is_some_and(|frame| frame.is_ok()) {}
    }
}

/// Options with short waits.
pub(crate) fn quick() -> SocketOptions {
    SocketOptions {
        first_wait: Duration::from_millis(5),
        most_wait: Duration::from_millis(50),
        command_timeout: PATIENCE,
        ..SocketOptions::default()
    }
}

pub(crate) fn welcome(epoch: &str, seq: u64) -> Welcome {
    Welcome {
        session: SessionId::from_uuid(uuid::Uuid::now_v7()),
        epoch: epoch.to_owned(),
        seq,
        heartbeat_seconds: 1,
        clock: ClockView { now: chrono::Utc::now(), speed: 1.0 },
        limits: Limits { frame_bytes: 65536, batch_positions: 500, messages_per_second: 20 },
    }
}

pub(crate) fn driver_id() -> DriverId {
    DriverId::from_uuid(uuid::Uuid::from_u128(7))
}

pub(crate) fn snapshot() -> ServerMessage {
    let driver = DriverView {
        id: driver_id(),
        name: "Ada".to_owned(),
        vehicle: Vehicle::Bicycle,
        capacity: 4,
        zones: Vec::new(),
        speeds: Vec::new(),
        shift: shift(),
        stale: false,
        open_orders: 0,
        position: None,
        created_at: chrono::Utc::now(),
    };
    let route = RouteView { driver_id: driver_id(), stops: Vec::new(), plan: None, standby: None, offers: Vec::new() };
    ServerMessage::Snapshot(Box::new(Snapshot::Driver { driver, route }))
}

pub(crate) fn shift() -> ShiftView {
    ShiftView { state: ShiftState::Available, until: None, place: None, hand_back: false }
}

pub(crate) fn offer_id() -> OfferId {
    OfferId::from_uuid(uuid::Uuid::from_u128(9))
}

/// Some message of the stream.
pub(crate) fn news(number: u64) -> ServerMessage {
    use posthaste_client::protocol::socket::OfferEnded;
    let order_id = OrderId::from_uuid(uuid::Uuid::from_u128(u128::from(number)));
    ServerMessage::OfferEnded(OfferEnded {
        offer_id: offer_id(),
        order_id,
        outcome: posthaste_protocol::words::OfferOutcome::Lapsed,
    })
}

pub(crate) fn done() -> ServerMessage {
    ServerMessage::Ack(Ack::new(true, Some(chrono::Utc::now())))
}

/// The numbers of the next `count` messages of the stream.
pub(crate) async fn numbers(socket: &mut DriverSocket, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let seq = socket.wait_for(PATIENCE, |event| match event {
            Event::Message { seq, .. } => Some(seq),
            _ => None,
        });
        numbers.push(seq.await.expect("a message in time"));
    }
    numbers
}
