//! The sockets, over real connections.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use axum::http::StatusCode;
use futures_util::{SinkExt, StreamExt};
use posthaste_clock::Clock;
use posthaste_domain::Span;
use posthaste_domain::ids::DriverId;
use posthaste_domain::party::Party;
use posthaste_http::limits::{Limits, SocketLimits};
use posthaste_live::stopping::Leave;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::stage::{Stage, driver_token, keys};

/// How long anything may take: the machine may be busy with all the other tests.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) stage: Stage,
    pub(crate) address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn new() -> Self {
        Self::with(SocketLimits::default()).await
    }

    async fn with(socket: SocketLimits) -> Self {
        Self::limited(Limits { socket, ..Limits::default() }).await
    }

    pub(crate) async fn limited(limits: Limits) -> Self {
        Self::on(Stage::with(limits).await).await
    }

    pub(crate) async fn on(stage: Stage) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
            Leave::InOrder
        };
        let serving = tokio::spawn(posthaste_gate::serve(listener, stage.worlds.clone(), shutdown));
        Self { stage, address, stop, serving }
    }

    pub(crate) async fn try_connect(&self, path: &str, token: Option<&str>) -> Result<Socket, Error> {
        self.try_connect_with(path, token, &[]).await
    }

    async fn try_connect_with(
        &self,
        path: &str,
        token: Option<&str>,
        headers: &[(&'static str, &str)],
    ) -> Result<Socket, Error> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        connect_async(request).await.map(|(stream, _)| Socket { stream, path: path.to_owned() })
    }

    /// A driver whose device says which trace it is a part of; with the id of the session.
    pub(crate) async fn driver_in_trace(&self, name: &str, traceparent: &str) -> (String, Socket) {
        let token = driver_token(&self.stage.driver(name).await);
        let headers = [("traceparent", traceparent)];
        let mut socket = self.try_connect_with("/v1/ws/driver", Some(&token), &headers).await.unwrap();
        let welcome = socket.next().await;
        socket.say("hello", None, json!({})).await;
        socket.until("snapshot").await;
        (welcome["data"]["session"].as_str().unwrap().to_owned(), socket)
    }

    /// Connects, is welcomed and says hello; gives the socket and the first frame after that.
    pub(crate) async fn begin(&self, path: &str, token: Option<&str>, hello: Value) -> (Socket, Value, Value) {
        let mut socket = self.try_connect(path, token).await.unwrap();
        let welcome = socket.next().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        socket.say("hello", None, hello).await;
        let first = socket.next().await;
        (socket, welcome, first)
    }

    pub(crate) async fn driver(&self, name: &str) -> (String, Socket) {
        let id = self.stage.driver(name).await;
        let (socket, _, first) = self.begin("/v1/ws/driver", Some(&driver_token(&id)), json!({})).await;
        assert_eq!((&first["type"], &first["data"]["of"]), (&json!("snapshot"), &json!("driver")), "{first}");
        (id, socket)
    }
}

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The path that it was opened on.
    path: String,
}

/// What the server sends is what the document of the sockets says of this path.
fn assert_documented(path: &str, frame: &Value) {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(posthaste_gate::asyncapi::document);
    let name = path.split(['/', '?']).nth(3).unwrap();
    let kind = frame["type"].as_str().unwrap();
    let known = &DOCUMENT["channels"][name]["messages"][format!("server_{kind}")];
    assert!(known.is_object(), "the document knows no {kind} on {name}: {frame}");
    let payload = &DOCUMENT["components"]["messages"][format!("server_{kind}")]["payload"];
    for field in payload["required"].as_array().unwrap() {
        assert!(!frame[field.as_str().unwrap()].is_null(), "{kind} without {field}: {frame}");
    }
    for field in frame.as_object().unwrap().keys() {
        assert!(payload["properties"][field].is_object(), "{kind} with {field}: {frame}");
    }
}

impl Socket {
    pub(crate) async fn say(&mut self, kind: &str, id: Option<&str>, data: Value) {
        let mut frame = json!({"type": kind, "data": data});
        if let Some(id) = id {
            frame["id"] = json!(id);
        }
        self.raw(frame.to_string()).await;
    }

    async fn raw(&mut self, text: impl Into<String>) {
        self.stream.send(Message::text(text.into())).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Value {
        match timeout(PATIENCE, self.stream.next()).await.expect("a frame in time") {
            Some(Ok(Message::Text(text))) => {
                let frame = serde_json::from_str(text.as_str()).unwrap();
                assert_documented(&self.path, &frame);
                frame
            }
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// The next message, however long it takes; none when the connection has ended.
    pub(crate) async fn try_next(&mut self) -> Option<Value> {
        while let Some(Ok(message)) = self.stream.next().await {
            if let Message::Text(text) = message {
                return Some(serde_json::from_str(text.as_str()).unwrap());
            }
        }
        None
    }

    /// The next message of a kind; others are skipped.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// The answer to the command with this id.
    pub(crate) async fn answer(&mut self, id: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["id"] == id {
                return message;
            }
        }
    }

    /// Reads until the server closes; gives the code.
    pub(crate) async fn closed(&mut self) -> u16 {
        self.closed_because().await.0
    }

    /// Reads until the server closes; gives the code and the reason.
    async fn closed_because(&mut self) -> (u16, String) {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("a close in time") {
                Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
                Some(Ok(_)) => {}
                other => panic!("expected a close with a code, got {other:?}"),
            }
        }
    }
}

fn status(refused: Result<Socket, Error>) -> StatusCode {
    match refused {
        Err(Error::Http(response)) => StatusCode::from_u16(response.status().as_u16()).unwrap(),
        Err(error) => panic!("expected a refusal, got {error}"),
        Ok(_) => panic!("expected a refusal, got a connection"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_refused_before_the_upgrade_to_those_who_may_not() {
    let server = Server::new().await;
    let merchant = Some(server.stage.merchant.as_str());
    for path in ["/v1/ws/driver", "/v1/ws/merchant", "/v1/ws/operations"] {
        assert_eq!(status(server.try_connect(path, None).await), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(status(server.try_connect(path, Some("x")).await), StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(status(server.try_connect("/v1/ws/driver", merchant).await), StatusCode::FORBIDDEN);
    assert_eq!(status(server.try_connect("/v1/ws/operations", merchant).await), StatusCode::FORBIDDEN);
    assert_eq!(status(server.try_connect("/v1/ws/track/trk_x", None).await), StatusCode::NOT_FOUND);
    let unknown = driver_token("drv_01jd8v7cjxfm9sxv0q3e0b5z1c");
    assert_eq!(status(server.try_connect("/v1/ws/driver", Some(&unknown)).await), StatusCode::NOT_FOUND);
    let admin = Some(server.stage.admin.as_str());
    let bad = "/v1/ws/operations?bbox=1,2,3";
    assert_eq!(status(server.try_connect(bad, admin).await), StatusCode::UNPROCESSABLE_ENTITY);
    let none = "/v1/ws/operations?zone_id=zon_01jd8v7cjxfm9sxv0q3e0b5z1c";
    assert_eq!(status(server.try_connect(none, admin).await), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_passes_its_token_in_the_query() {
    let server = Server::new().await;
    let path = format!("/v1/ws/merchant?access_token={}", server.stage.merchant);
    let (_, welcome, first) = server.begin(&path, None, json!({})).await;
    assert!(welcome["data"]["heartbeat_seconds"].as_u64().is_some_and(|s| s > 0));
    assert_eq!(first["data"]["of"], "merchant");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_offered_accepted_and_delivered_over_the_drivers_socket_and_followed_on_the_others() {
    let server = Server::new().await;
    let (driver, mut socket) = server.driver("Grace Hopper").await;
    let (mut desk, ..) = server.begin("/v1/ws/operations", Some(&server.stage.admin), json!({})).await;
    let (mut shop, ..) = server.begin("/v1/ws/merchant", Some(&server.stage.merchant), json!({})).await;
    let order = server.stage.order().await;
    let id = order["id"].as_str().unwrap();
    let link = server.stage.get(&format!("/v1/orders/{id}/tracking-link"), &server.stage.customer).await;
    let track = format!("/v1/ws/track/{}", link.body["token"].as_str().unwrap());
    let (mut tracker, _, first) = server.begin(&track, None, json!({})).await;
    assert_eq!(first["data"]["tracking"]["order_id"], id);

    let offer = socket.until("offer").await;
    assert_eq!(offer["data"]["order"]["id"], id);
    socket.say("accept", Some("c1"), json!({"offer_id": offer["data"]["id"]})).await;
    let ack = socket.answer("c1").await;
    assert_eq!((&ack["type"], &ack["data"]["changed"]), (&json!("ack"), &json!(true)), "{ack}");
    socket.say("accept", Some("c1"), json!({"offer_id": offer["data"]["id"]})).await;
    assert_eq!(socket.answer("c1").await["data"]["changed"], false);

    let (pickup, door) = (&order["tasks"][0], &order["tasks"][1]);
    socket.say("departed", Some("c2"), json!({"task_id": pickup["id"]})).await;
    socket.say("arrived", Some("c3"), json!({"task_id": pickup["id"]})).await;
    socket.say("picked_up", Some("c4"), json!({"task_id": pickup["id"], "code": "x"})).await;
    let wrong = socket.answer("c4").await;
    assert_eq!((&wrong["type"], &wrong["data"]["code"]), (&json!("error"), &json!("wrong_code")), "{wrong}");
    socket.say("picked_up", Some("c5"), json!({"task_id": pickup["id"], "code": pickup["code"]})).await;
    assert_eq!(socket.answer("c5").await["type"], "ack");

    socket.say("position", Some("p1"), json!({"lat": 52.518, "lng": 13.39})).await;
    assert_eq!(socket.answer("p1").await["data"]["changed"], true);
    let seen = tracker.until("position").await;
    assert_eq!(seen["data"]["lat"], 52.518);
    assert!(seen["data"].get("driver_id").is_none(), "{seen}");

    for (n, kind) in ["departed", "arrived", "delivered"].into_iter().enumerate() {
        let mut data = json!({"task_id": door["id"]});
        if kind == "delivered" {
            data["code"] = door["code"].clone();
        }
        let id = format!("d{n}");
        socket.say(kind, Some(&id), data).await;
        assert_eq!(socket.answer(&id).await["type"], "ack");
    }
    for follower in [&mut desk, &mut shop] {
        loop {
            let changed = follower.until("order").await;
            if changed["data"]["order"]["status"] == "delivered" {
                assert_eq!(changed["data"]["order"]["driver_id"], driver.as_str());
                break;
            }
        }
    }
    loop {
        let step = tracker.until("step").await;
        if step["data"]["step"]["status"] == "delivered" {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_gets_what_it_missed_and_a_stranger_a_snapshot() {
    let server = Server::new().await;
    let token = Some(server.stage.merchant.as_str());
    let (mut shop, welcome, snapshot) = server.begin("/v1/ws/merchant", token, json!({})).await;
    let (epoch, seq) = (&welcome["data"]["epoch"], &snapshot["seq"]);
    server.stage.order().await;
    let seen = shop.until("order").await;
    assert_eq!(seen["seq"].as_u64(), seq.as_u64().map(|n| n + 1));
    drop(shop);
    let missed = server.stage.order().await;
    let (mut shop, _, first) =
        server.begin("/v1/ws/merchant", token, json!({"epoch": epoch, "last_seq": seen["seq"]})).await;
    assert_eq!(first["type"], "resumed", "{first}");
    let next = shop.until("order").await;
    assert_eq!(
        (&next["data"]["order"]["id"], next["seq"].as_u64()),
        (&missed["id"], seen["seq"].as_u64().map(|n| n + 1))
    );
    let (_, _, first) = server.begin("/v1/ws/merchant", token, json!({"epoch": "other", "last_seq": 1})).await;
    assert_eq!((&first["type"], first["data"]["orders"].as_array().unwrap().len()), (&json!("snapshot"), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_said_and_the_connection_goes_on() {
    let server = Server::new().await;
    let (_, mut socket) = server.driver("Grace").await;
    let task = json!({"task_id": "tsk_01jd8v7cjxfm9sxv0q3e0b5z1c"});
    socket.raw("not json").await;
    assert_eq!(socket.until("error").await["data"]["code"], "malformed");
    socket.say("fly", Some("a"), json!({})).await;
    assert_eq!(socket.answer("a").await["data"]["code"], "malformed");
    socket.say("arrived", Some("b"), json!({"task": "x"})).await;
    let unknown = socket.answer("b").await;
    assert_eq!(
        (&unknown["data"]["code"], &unknown["data"]["errors"][0]["field"]),
        (&json!("invalid"), &json!("data.task"))
    );
    socket.say("position", Some("c"), json!({"lat": 99, "lng": 0})).await;
    assert_eq!(socket.answer("c").await["data"]["errors"][0]["field"], "data.lat");
    socket.say("arrived", Some("d"), task).await;
    assert_eq!(socket.answer("d").await["data"]["code"], "not_found");
    socket.say("hello", Some("e"), json!({})).await;
    assert_eq!(socket.answer("e").await["data"]["code"], "conflict");
    socket.say("positions", Some("f"), json!({"positions": []})).await;
    assert_eq!(socket.answer("f").await["data"]["code"], "invalid");
    socket.say("heartbeat", Some("g"), json!({})).await;
    assert_eq!(socket.answer("g").await["type"], "ack");
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_of_a_batch_are_acknowledged_and_the_newest_counts() {
    let server = Server::new().await;
    let (driver, mut socket) = server.driver("Grace").await;
    let now = Clock::system().now();
    let at = |seconds: i64, lat: f64| json!({"lat": lat, "lng": 13.4, "at": now - Span::seconds(seconds)});
    let batch = json!({"positions": [at(0, 52.53), at(9, 52.51), at(5, 52.52)]});
    socket.say("positions", Some("b1"), batch).await;
    assert_eq!(socket.answer("b1").await["type"], "ack");
    let seen = server.stage.get(&format!("/v1/drivers/{driver}"), &server.stage.admin).await;
    assert_eq!(seen.body["position"]["lat"], 52.53);
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_come_together_are_taken_in_turn_and_those_with_an_id_are_answered() {
    let server = Server::new().await;
    let (driver, mut socket) = server.driver("Grace").await;
    let now = Clock::system().now();
    let frame = |id: Option<&str>, later: i64, lat: f64| {
        let mut frame =
            json!({"type": "position", "data": {"lat": lat, "lng": 13.4, "at": now + Span::microseconds(later)}});
        if let Some(id) = id {
            frame["id"] = json!(id);
        }
        Message::text(frame.to_string())
    };
    for (id, later, lat) in
        [(None, 1, 52.51), (Some("a"), 5, 52.52), (None, 3, 52.53), (Some("b"), 4, 52.54), (None, 9, 52.55)]
    {
        socket.stream.feed(frame(id, later, lat)).await.unwrap();
    }
    socket.stream.feed(frame(Some("c"), 10, 99.0)).await.unwrap();
    socket.stream.feed(Message::text(r#"{"type":"heartbeat","id":"d"}"#)).await.unwrap();
    socket.stream.flush().await.unwrap();
    assert_eq!(socket.answer("a").await["data"]["changed"], true);
    assert_eq!(socket.answer("b").await["data"]["changed"], false, "older than a");
    assert_eq!(socket.answer("c").await["data"]["errors"][0]["field"], "data.lat");
    assert_eq!(socket.answer("d").await["type"], "ack");
    let seen = server.stage.get(&format!("/v1/drivers/{driver}"), &server.stage.admin).await;
    assert_eq!(seen.body["position"]["lat"], 52.55);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_follow_the_same_all_get_everything_in_order() {
    let many = SocketLimits { of_one_login: 1000, of_one_link: 1000, ..SocketLimits::default() };
    let server = Server::with(many).await;
    let token = Some(server.stage.merchant.as_str());
    let mut shops = Vec::new();
    for _ in 0..70 {
        let (shop, _, first) = server.begin("/v1/ws/merchant", token, json!({})).await;
        shops.push((shop, first["seq"].as_u64().unwrap()));
    }
    let mut placed = Vec::new();
    for _ in 0..4 {
        placed.push(server.stage.order().await["id"].clone());
    }
    for (shop, begun_at) in &mut shops {
        let (mut seq, mut left) = (*begun_at, placed.iter());
        let mut next = left.next();
        while let Some(id) = next {
            let changed = shop.until("order").await;
            seq += 1;
            assert_eq!(changed["seq"], seq, "no gap, and in order");
            if changed["data"]["order"]["id"] == *id && changed["data"]["events"][0]["seq"] == 1 {
                next = left.next();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered_and_so_is_a_good_bye() {
    let server = Server::new().await;
    let (mut shop, ..) = server.begin("/v1/ws/merchant", Some(&server.stage.merchant), json!({})).await;
    shop.stream.send(Message::Ping("there?".into())).await.unwrap();
    let answer = timeout(PATIENCE, shop.stream.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(answer, Message::Pong("there?".into()));
    shop.stream.close(None).await.unwrap();
    let answer = timeout(PATIENCE, shop.stream.next()).await.unwrap();
    assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
    assert!(timeout(PATIENCE, shop.stream.next()).await.unwrap().is_none(), "and the connection is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_no_socket_is_refused_on_a_sockets_path() {
    let server = Server::new().await;
    let answer = server.stage.get("/v1/ws/merchant", &server.stage.merchant).await;
    assert_eq!((answer.status, &answer.body["code"]), (StatusCode::BAD_REQUEST, &json!("malformed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_refused_says_which_is_taken() {
    let server = Server::new().await;
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let ask = async |more: &[(&'static str, &'static str)]| {
        let mut request = format!(
            "GET /v1/ws/merchant HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n",
            server.stage.merchant
        );
        more.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        request.push_str("\r\n");
        let mut stream = BufReader::new(TcpStream::connect(server.address).await.unwrap());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.is_empty()) {
            let mut line = String::new();
            timeout(PATIENCE, stream.read_line(&mut line)).await.unwrap().unwrap();
            lines.push(line.trim_end().to_lowercase());
        }
        let header =
            |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned));
        let status: u16 = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        (status, header("sec-websocket-version"), header("upgrade"))
    };
    let thirteen = || Some("13".to_owned());
    let version = |version| ("sec-websocket-version", version);
    let key_of = |key| ("sec-websocket-key", key);
    let other = (426, thirteen(), Some("websocket".to_owned()));
    for headers in [
        vec![version("8"), key_of(key)],
        vec![key_of(key)],
        vec![version("13"), version("8"), key_of(key)],
        vec![version("13, 8"), key_of(key)],
        vec![version("8")],
    ] {
        assert_eq!(ask(&headers).await, other, "{headers:?}");
    }
    for headers in
        [vec![version("13")], vec![version("13"), key_of("x")], vec![version("13"), key_of(key), key_of(key)]]
    {
        assert_eq!(ask(&headers).await, (400, thirteen(), None), "{headers:?}");
    }
    assert_eq!(ask(&[version("13"), key_of(key)]).await.0, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_only_reads_takes_no_commands() {
    let server = Server::new().await;
    let (mut shop, ..) = server.begin("/v1/ws/merchant", Some(&server.stage.merchant), json!({})).await;
    shop.say("shift", Some("x"), json!({"state": "available"})).await;
    assert_eq!(shop.answer("x").await["data"]["code"], "forbidden");
    shop.say("heartbeat", Some("y"), json!({})).await;
    assert_eq!(shop.answer("y").await["type"], "ack");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_has_its_code() {
    let server = Server::with(SocketLimits {
        heartbeat: Duration::from_secs(1),
        hello_within: Duration::from_millis(200),
        messages_per_second: 10,
        frame_bytes: 4096,
        ..SocketLimits::default()
    })
    .await;
    let (id, mut fast) = server.driver("Grace").await;
    let token = driver_token(&id);
    for _ in 0..25 {
        let _ = fast.stream.send(Message::text(r#"{"type":"heartbeat"}"#)).await;
    }
    assert_eq!(fast.until("error").await["data"]["code"], "rate_limited");
    assert_eq!(fast.closed().await, 4029);

    let mut mute = server.try_connect("/v1/ws/driver", Some(&token)).await.unwrap();
    assert_eq!(mute.closed_because().await, (4008, "no hello".to_owned()));

    let (mut silent, ..) = server.begin("/v1/ws/driver", Some(&token), json!({})).await;
    assert_eq!(silent.closed_because().await, (4008, "silent for too long".to_owned()));

    let (mut long, ..) = server.begin("/v1/ws/driver", Some(&token), json!({})).await;
    long.raw("x".repeat(5000)).await;
    assert_eq!(long.closed().await, 1009);

    let party = Party::Driver(id.parse::<DriverId>().unwrap());
    let wall = Clock::system().wall();
    let short = keys().mint(party, wall - Span::seconds(3600), Span::seconds(3600 - 28)).unwrap();
    let (mut expiring, ..) = server.begin("/v1/ws/driver", Some(&short), json!({})).await;
    let beats = async {
        loop {
            expiring.stream.send(Message::text(r#"{"type":"heartbeat"}"#)).await.unwrap();
            if let Ok(Some(Ok(Message::Close(Some(frame))))) =
                timeout(Duration::from_millis(500), expiring.stream.next()).await
            {
                break u16::from(frame.code);
            }
        }
    };
    assert_eq!(timeout(PATIENCE, beats).await.unwrap(), 4001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_connection_of_a_driver_takes_the_place_of_their_first() {
    let server = Server::new().await;
    let (id, mut first) = server.driver("Grace").await;
    let token = driver_token(&id);
    let (mut second, ..) = server.begin("/v1/ws/driver", Some(&token), json!({})).await;
    let (mut third, ..) = server.begin("/v1/ws/driver", Some(&token), json!({})).await;
    assert_eq!(first.closed().await, 4011);
    for open in [&mut second, &mut third] {
        open.say("heartbeat", Some("h"), json!({})).await;
        assert_eq!(open.answer("h").await["type"], "ack");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_says_so_and_waits_for_its_sockets() {
    let server = Server::new().await;
    let (_, mut driver) = server.driver("Grace").await;
    let (mut shop, ..) = server.begin("/v1/ws/merchant", Some(&server.stage.merchant), json!({})).await;
    assert_eq!(server.stage.app.sockets().open_sockets(), 2);
    server.stop.send(()).unwrap();
    assert_eq!((driver.closed().await, shop.closed().await), (1001, 1001));
    timeout(PATIENCE, server.serving).await.unwrap().unwrap();
    assert_eq!(server.stage.app.sockets().open_sockets(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_without_a_free_seat_is_told_to_come_back() {
    let stage = Stage::with(Limits { sockets: 1, ..Limits::default() }).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(posthaste_gate::serve(listener, stage.app.clone(), std::future::pending()));
    let (stop, _) = oneshot::channel();
    let server = Server { stage, address, stop, serving };
    let token = Some(server.stage.merchant.as_str());
    let (_seated, ..) = server.begin("/v1/ws/merchant", token, json!({})).await;
    assert_eq!(status(server.try_connect("/v1/ws/merchant", token).await), StatusCode::SERVICE_UNAVAILABLE);
}
