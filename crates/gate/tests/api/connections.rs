//! Clients that are slow, greedy, or there when the server stops.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use posthaste_clock::testing::eventually;
use posthaste_http::limits::{ConnectionLimits, Limits, SocketLimits};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::sockets::Server;
use crate::stage::order_body;

const PATIENCE: Duration = Duration::from_secs(20);

async fn server(connections: ConnectionLimits) -> Server {
    Server::limited(Limits { connections, ..Limits::default() }).await
}

async fn connect(server: &Server, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is reset is closed too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("closed in time");
    String::from_utf8(bytes).unwrap()
}

/// One answer that has a length.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if length.is_some_and(|length| body.len() >= length.parse::<usize>().unwrap()) {
                    return text;
                }
            }
            let read = stream.read_buf(&mut bytes).await.unwrap();
            assert!(read > 0, "closed after {text:?}");
        }
    };
    timeout(PATIENCE, reading).await.expect("an answer in time")
}

/// What the HTTP library refuses by itself is a problem like every other.
fn assert_problem(answer: &str, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let problem: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer:?}"));
    assert_eq!(problem["code"], code, "{answer}");
    assert!(head.starts_with(&format!("HTTP/1.1 {} ", problem["status"])), "{answer}");
    for line in ["content-type: application/problem+json".to_owned(), format!("content-length: {}", body.len())] {
        assert!(head.lines().any(|told| told == line), "{line}: {answer}");
    }
    let id = problem["request_id"].as_str().unwrap();
    assert!(head.lines().any(|told| told == format!("x-request-id: {id}")), "{answer}");
}

const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_half_a_head_is_cut_off_in_time() {
    let head_within = Duration::from_millis(300);
    let server = server(ConnectionLimits { head_within, ..ConnectionLimits::default() }).await;
    for text in ["", "GET /health/li", "GET /health/live HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let began = Instant::now();
        let mut stream = connect(&server, text).await;
        assert_eq!(rest(&mut stream).await, "");
        assert!(began.elapsed() >= head_within, "{text:?}");
    }
    // Not more time for sending a little now and then, nor for having sent a whole one before.
    let mut stream = connect(&server, LIVE).await;
    answer(&mut stream).await;
    let began = Instant::now();
    eventually("it is cut off", async || stream.write_all(b"x").await.err()).await;
    assert!(began.elapsed() >= head_within);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_with_too_much_in_it_is_refused() {
    let server = server(ConnectionLimits::default()).await;
    let many: String = (0..101).map(|n| format!("x-{n}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "x".repeat(17 * 1024));
    for headers in [many, long] {
        let mut stream = connect(&server, &format!("GET /health/live HTTP/1.1\r\n{headers}\r\n")).await;
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
        assert_problem(&answer, "head_too_large");
    }
    let mut stream = connect(&server, "GET /health/live HTTP/1.1\r\nno colon here\r\n\r\n").await;
    assert_problem(&rest(&mut stream).await, "malformed");
    let fine: String = (0..90).map(|n| format!("x-{n}: 1\r\n")).collect();
    let mut stream = connect(&server, &format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{fine}\r\n")).await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_rests_between_requests_and_is_let_go_after_long() {
    let (head_within, idle) = (Duration::from_millis(100), Duration::from_millis(600));
    let server = server(ConnectionLimits { head_within, idle, ..ConnectionLimits::default() }).await;
    let mut stream = connect(&server, LIVE).await;
    for _ in 0..3 {
        answer(&mut stream).await;
        // Longer than a head may take: one that was begun later is cut off.
        assert_eq!(rest(&mut connect(&server, "GET /health/li").await).await, "");
        stream.write_all(LIVE.as_bytes()).await.unwrap();
    }
    answer(&mut stream).await;
    let began = Instant::now();
    assert_eq!(rest(&mut stream).await, "");
    assert!(began.elapsed() >= idle - Duration::from_millis(50), "{:?}", began.elapsed());
}

/// The head of a request whose body is still to come.
fn head_of(path: &str, token: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_allowed_wait_for_those_at_work_and_sockets_are_not_among_them() {
    let server = server(ConnectionLimits { most: 1, ..ConnectionLimits::default() }).await;
    let (_, mut socket) = server.driver("Grace").await;
    let mut first = connect(&server, &head_of("/v1/orders", "x", 2)).await;
    let mut second = connect(&server, LIVE).await;
    let mut byte = [0];
    // The server has answered this often, and not the second.
    for n in 0..20 {
        let id = format!("beat-{n}");
        socket.say("heartbeat", Some(&id), json!({})).await;
        socket.answer(&id).await;
    }
    assert!(second.try_read(&mut byte).is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "it waits");
    first.write_all(b"{}").await.unwrap();
    answer(&mut first).await;
    assert!(answer(&mut second).await.starts_with("HTTP/1.1 200 "), "the first rests, and makes room");
    assert_eq!(rest(&mut first).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_does_not_keep_every_connection() {
    let server = server(ConnectionLimits { most: 30, ..ConnectionLimits::default() }).await;
    let mut resting = Vec::new();
    for _ in 0..60 {
        let mut stream = connect(&server, LIVE).await;
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "), "each new one finds room");
        resting.push(stream);
    }
    assert_eq!(rest(&mut resting[0]).await, "", "whoever rests longest made it");
    resting[59].write_all(LIVE.as_bytes()).await.unwrap();
    assert!(answer(&mut resting[59]).await.starts_with("HTTP/1.1 200 "), "the newest are still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_come_take_nobodys_place() {
    let server = Server::limited(Limits { concurrent_requests: 4, ..Limits::default() }).await;
    let mut mute = Vec::new();
    for _ in 0..40 {
        mute.push(connect(&server, &format!("{}{{", head_of("/v1/sessions", "x", 200))).await);
    }
    for _ in 0..20 {
        let mut stream = connect(&server, "GET /v1/clock HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 401 "), "there is room for it");
    }
    drop(mute);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leaves_the_connection_good_or_says_that_it_ends() {
    let server = server(ConnectionLimits::default()).await;
    let body = order_body().to_string();
    // By nobody, by somebody who may not, for something that is not there, and of another kind; head and body apart.
    let text = head_of("/v1/orders", &server.stage.merchant, body.len()).replace("application/json", "text/plain");
    for (head, status) in [
        (head_of("/v1/orders", "x", body.len()), "401"),
        (head_of("/v1/orders", &server.stage.customer, body.len()), "403"),
        (head_of("/v1/nowhere", &server.stage.merchant, body.len()), "404"),
        (text, "415"),
    ] {
        let mut stream = connect(&server, &head).await;
        tokio::task::yield_now().await;
        stream.write_all(body.as_bytes()).await.unwrap();
        let refused = answer(&mut stream).await;
        assert!(refused.starts_with(&format!("HTTP/1.1 {status} ")), "{refused}");
        stream.write_all(LIVE.as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "), "after {status}");
    }
    let mut stream = connect(&server, &head_of("/v1/orders", "x", 100_000_000)).await;
    let refused = rest(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 413 ") && refused.contains("connection: close"), "at once: {refused}");
    assert_problem(&refused, "too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_finished_when_the_server_stops() {
    let server = server(ConnectionLimits::default()).await;
    let body = order_body().to_string();
    let (first, second) = body.split_at(body.len() / 2);
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        server.stage.merchant,
        body.len()
    );
    let mut resting = connect(&server, LIVE).await;
    answer(&mut resting).await;
    let mut placing = connect(&server, &format!("{head}{first}")).await;
    // The server has read the head when it asks for nothing more than the rest: give it the time to.
    let mut probe = connect(&server, LIVE).await;
    answer(&mut probe).await;
    server.stop.send(()).unwrap();
    assert_eq!(rest(&mut resting).await, "", "who only rests is let go at once");
    eventually("nobody new is let in", async || TcpStream::connect(server.address).await.err()).await;
    placing.write_all(second.as_bytes()).await.unwrap();
    let answer = rest(&mut placing).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    timeout(PATIENCE, server.serving).await.expect("it ends").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_login_and_one_link_have_so_many_sockets_and_the_oldest_makes_room() {
    let socket = SocketLimits { of_one_login: 2, of_one_link: 2, ..SocketLimits::default() };
    let server = Server::limited(Limits { socket, ..Limits::default() }).await;
    let order = server.stage.order().await;
    let path = format!("/v1/orders/{}/tracking-link", order["id"].as_str().unwrap());
    let link = server.stage.get(&path, &server.stage.customer).await.body["token"].as_str().unwrap().to_owned();
    let track = format!("/v1/ws/track/{link}");
    for (path, token) in [
        ("/v1/ws/merchant", Some(server.stage.merchant.as_str())),
        ("/v1/ws/operations", Some(server.stage.admin.as_str())),
        (track.as_str(), None),
    ] {
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(server.begin(path, token, json!({})).await.0);
        }
        assert_eq!(open[0].closed().await, 4011, "{path}");
        for socket in &mut open[1..] {
            socket.say("heartbeat", Some("h"), json!({})).await;
            assert_eq!(socket.answer("h").await["type"], "ack", "{path}: the others stay");
        }
    }
    // Somebody else's are counted for themselves.
    let other = Some(server.stage.other_merchant.as_str());
    server.begin("/v1/ws/merchant", other, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_never_say_hello_are_counted_like_others() {
    let socket = SocketLimits { of_one_login: 2, of_one_link: 2, ..SocketLimits::default() };
    let server = Server::limited(Limits { socket, ..Limits::default() }).await;
    let order = server.stage.order().await;
    let path = format!("/v1/orders/{}/tracking-link", order["id"].as_str().unwrap());
    let link = server.stage.get(&path, &server.stage.customer).await.body["token"].as_str().unwrap().to_owned();
    let driver = crate::stage::driver_token(&server.stage.driver("Grace").await);
    for (path, token) in [
        ("/v1/ws/merchant", Some(server.stage.merchant.as_str())),
        ("/v1/ws/driver", Some(driver.as_str())),
        (&format!("/v1/ws/track/{link}"), None),
    ] {
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut socket = server.try_connect(path, token).await.unwrap();
            assert_eq!(socket.next().await["type"], "welcome", "{path}");
            open.push(socket);
        }
        assert_eq!(open[0].closed().await, 4011, "{path}: the oldest, at once");
        open[1].say("hello", None, json!({})).await;
        assert_ne!(open[1].next().await["type"], "error", "{path}: the others stay");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_its_host_once() {
    let server = Server::new().await;
    for (head, is_right) in [
        ("GET /version HTTP/1.1\r\nhost: a\r\n\r\n", true),
        ("GET /version HTTP/1.0\r\n\r\n", true),
        ("GET /version HTTP/1.1\r\n\r\n", false),
        ("GET /version HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", false),
        ("GET /version HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", false),
    ] {
        let answer = answer(&mut connect(&server, head).await).await;
        let status = answer.split(' ').nth(1);
        assert_eq!(status, Some(if is_right { "200" } else { "400" }), "{head:?}: {answer}");
        assert!(is_right || answer.contains("names its host once"), "{answer}");
    }
}
