//! Against sockets that misbehave.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use posthaste_domain::Span;
use reqwest::dns::{Name, Resolving};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ACT: Operation = Operation::new("stand-in", "act").unguarded();
const LOOK: Operation = Operation::new("stand-in", "look").unguarded().repeatable();
/// Longer than anything here takes, where it is not about time.
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(200);

/// What a server does with a request that it has read.
#[derive(Debug, Clone, Copy)]
enum How {
    /// Writes this and hangs up.
    Says(&'static str),
    /// Writes this and nothing more.
    SaysAndHangs(&'static str),
    /// Writes this and never stops talking.
    Endless(&'static str),
}

struct Server {
    url: Url,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(how: How) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/texts", listener.local_addr().unwrap())).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(answer(connection, how));
            }
        });
        Self { url, asked }
    }
}

/// Reads the head, which is enough to have been asked, and answers.
async fn answer(mut connection: TcpStream, how: How) -> std::io::Result<()> {
    let mut read = Vec::new();
    while !read.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match connection.read(&mut buffer).await? {
            0 => return Ok(()),
            n => read.extend_from_slice(&buffer[..n]),
        }
    }
    let (How::Says(text) | How::SaysAndHangs(text) | How::Endless(text)) = how;
    connection.write_all(text.as_bytes()).await?;
    match how {
        How::Says(_) => connection.shutdown().await,
        How::SaysAndHangs(_) => std::future::pending().await,
        How::Endless(_) => loop {
            connection.write_all(&[b'x'; 4096]).await?;
        },
    }
}

/// A resolver that finds nothing, or never ends.
struct Nowhere(bool);

impl Resolve for Nowhere {
    fn resolve(&self, _: Name) -> Resolving {
        let is_silent = self.0;
        Box::pin(async move {
            if is_silent {
                std::future::pending::<()>().await;
            }
            Err("the name is unknown".into())
        })
    }
}

fn client() -> Client {
    Client::connecting_within(LONG).without_proxy().build().unwrap()
}

async fn ask(operation: Operation, url: &Url, reads: Reads, within: Duration) -> Outcome<Response> {
    let client = client();
    client.send(operation, client.post(url.clone()).body("hello"), reads, Budget::of(within)).await
}

async fn asked(operation: Operation, how: How, reads: Reads) -> Outcome<Response> {
    let within = if matches!(how, How::SaysAndHangs(_)) { SHORT } else { LONG };
    ask(operation, &Server::start(how).await.url, reads, within).await
}

fn never_sent(what: &str, outcome: Outcome<Response>) {
    let Outcome::Refused(refusal) = outcome else { panic!("{what}: {outcome:?}") };
    assert_eq!((refusal.scope, refusal.is_permanent, refusal.code), (Scope::Service, false, None), "{what}");
    assert!(refusal.why.starts_with("cannot connect: ") && refusal.answer.is_none(), "{what}: {}", refusal.why);
}

#[tokio::test]
async fn what_never_got_a_connection_was_never_sent() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", gone.local_addr().unwrap())).unwrap();
    drop(gone);
    never_sent("nobody listens", ask(ACT, &url, Reads::Status, LONG).await);

    // It answers a handshake of TLS with something else.
    let plain = Server::start(How::Says("HTTP/1.1 400 What\r\n\r\n")).await;
    let mut secure = plain.url.clone();
    secure.set_scheme("https").unwrap();
    let hello = TcpListener::bind("127.0.0.1:0").await.unwrap();
    secure.set_port(Some(hello.local_addr().unwrap().port())).unwrap();
    tokio::spawn(async move {
        let (mut connection, _) = hello.accept().await.unwrap();
        connection.write_all(b"220 not your protocol\r\n").await.unwrap();
        let _ = connection.read_to_end(&mut Vec::new()).await;
    });
    never_sent("no TLS", ask(ACT, &secure, Reads::Status, LONG).await);

    for is_silent in [false, true] {
        let client = Client::connecting_within(SHORT).for_strangers(Nowhere(is_silent)).build().unwrap();
        let request = client.post(Url::parse("http://shop.example/").unwrap());
        never_sent("no name", client.send(ACT, request, Reads::Status, Budget::of(LONG)).await);
    }

    let client = client();
    let nonsense = client.post(plain.url.clone()).header("x", "\u{0}");
    let Outcome::Refused(refusal) = client.send(ACT, nonsense, Reads::Status, Budget::of(LONG)).await else { panic!() };
    assert_eq!((refusal.scope, refusal.is_permanent), (Scope::Request, true), "it cannot be written");
    assert_eq!(plain.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_was_sent_and_got_no_answer_may_have_happened() {
    for (how, why) in [
        (How::SaysAndHangs(""), "no answer within 200 ms"),
        (How::SaysAndHangs("HTTP/1.1 200 OK\r\ncontent-"), "no answer within 200 ms"),
        (How::Says(""), "the connection broke: "),
        (How::Says("HTTP/1.1 200 OK\r\ncontent-"), "the connection broke: "),
        (How::Says("220 mail.example ESMTP\r\n\r\n"), "the connection broke: "),
    ] {
        for operation in [ACT, LOOK] {
            match asked(operation, how, Reads::Body(100)).await {
                Outcome::Unknown(Unknown { code: None, why: said, answer: None, .. }) if said.starts_with(why) => {}
                other => panic!("{how:?}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn an_answer_whose_body_is_cut_off_or_too_long_is_no_answer_unless_the_status_says_all() {
    for (how, why) in [
        (How::Says("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"), "the connection broke: "),
        (How::SaysAndHangs("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"), "no answer within 200 ms"),
        (How::Says("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello!"), "answered too much"),
        (How::Endless("HTTP/1.1 200 OK\r\n\r\n"), "answered too much"),
    ] {
        match asked(ACT, how, Reads::Body(5)).await {
            Outcome::Unknown(Unknown { code: Some(200), why: said, .. }) if said.starts_with(why) => {}
            other => panic!("{how:?}: {other:?}"),
        }
        let done = asked(ACT, how, Reads::Status).await;
        assert!(matches!(&done, Outcome::Done(response) if response.body.is_empty()), "{how:?}: {done:?}");
    }
    let whole = How::Says("HTTP/1.1 201 Created\r\nx-id: 7\r\ncontent-length: 5\r\n\r\nhello");
    let Outcome::Done(response) = asked(ACT, whole, Reads::Body(5)).await else { panic!() };
    assert_eq!(
        (response.status.as_u16(), &response.body[..], &response.headers["x-id"]),
        (201, &b"hello"[..], &"7".parse().unwrap())
    );
}

#[tokio::test]
async fn a_status_says_what_is_refused_and_for_how_long() {
    // Of the service or of the request, for good, for how many seconds.
    for (how, scope, is_permanent, code, seconds) in [
        (
            How::Says("HTTP/1.1 429 No\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"),
            Scope::Service,
            false,
            429,
            Some(7),
        ),
        (How::Says("HTTP/1.1 401 Who\r\ncontent-length: 0\r\n\r\n"), Scope::Service, false, 401, None),
        (How::Says("HTTP/1.1 408 Slow\r\ncontent-length: 0\r\n\r\n"), Scope::Service, false, 408, None),
        (How::Says("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"), Scope::Request, false, 403, None),
        (How::Says("HTTP/1.1 409 No\r\ncontent-length: 0\r\n\r\n"), Scope::Request, false, 409, None),
        (How::Says("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"), Scope::Request, true, 404, None),
        // A body that is cut off, hangs, or never ends keeps nobody from what its head said.
        (How::Says("HTTP/1.1 400 No\r\ncontent-length: 50\r\n\r\nhello"), Scope::Request, true, 400, None),
        (How::SaysAndHangs("HTTP/1.1 400 No\r\ncontent-length: 50\r\n\r\nhello"), Scope::Request, true, 400, None),
        (How::Endless("HTTP/1.1 400 No\r\n\r\n"), Scope::Request, true, 400, None),
    ] {
        let outcome = asked(ACT, how, Reads::Body(5)).await;
        let Outcome::Refused(refusal) = outcome else { panic!("{how:?}: {outcome:?}") };
        assert_eq!((refusal.scope, refusal.is_permanent, refusal.code), (scope, is_permanent, Some(code)), "{how:?}");
        assert_eq!(refusal.retry_after, seconds.map(Duration::from_secs), "{how:?}");
        let body = refusal.answer.unwrap().body;
        assert!(body.len() <= MOST_OF_A_REFUSAL, "{how:?}: {}", body.len());
        assert!(matches!(how, How::Endless(_)) == (body.len() == MOST_OF_A_REFUSAL), "{how:?}: {}", body.len());
    }
}

#[tokio::test]
async fn trouble_of_a_server_leaves_unknown_what_it_did_and_refuses_what_may_be_repeated() {
    let how = How::Says("HTTP/1.1 503 Oh\r\nretry-after: 9\r\ncontent-length: 5\r\n\r\nhello");
    let outcome = asked(ACT, how, Reads::Body(5)).await;
    let Outcome::Unknown(unknown) = &outcome else { panic!("{outcome:?}") };
    assert_eq!((unknown.code, unknown.why.as_str()), (Some(503), "answered 503 Service Unavailable"));
    assert_eq!(unknown.retry_after, Some(Duration::from_secs(9)));
    assert_eq!(&unknown.answer.as_ref().unwrap().body[..], b"hello");
    assert!(!outcome.reached());
    let outcome = asked(LOOK, how, Reads::Body(5)).await;
    assert!(matches!(&outcome, Outcome::Refused(r) if r.scope == Scope::Service && r.code == Some(503)), "{outcome:?}");
}

#[tokio::test]
async fn nobody_is_followed_elsewhere() {
    let elsewhere = Server::start(How::Says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    let location = format!("HTTP/1.1 307 There\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url);
    let outcome = asked(ACT, How::Says(location.leak()), Reads::Status).await;
    assert!(matches!(&outcome, Outcome::Refused(r) if r.scope == Scope::Service && r.code == Some(307)), "{outcome:?}");
    assert_eq!(elsewhere.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn one_that_keeps_failing_is_not_dialled_and_its_other_classes_are() {
    const SEND: Operation = Operation::new("stand-in", "send");
    let server = Server::start(How::Says("HTTP/1.1 429 No\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n")).await;
    let client = client();
    let send = async |operation| {
        client.send(operation, client.post(server.url.clone()), Reads::Status, Budget::of(LONG)).await
    };
    let failures = Limits::default().failures as usize;
    for _ in 0..failures {
        assert_eq!(send(SEND).await.code(), Some(429));
    }
    let Outcome::Refused(refusal) = send(SEND).await else { panic!() };
    assert!(refusal.code.is_none() && refusal.why.contains("left alone"), "{refusal:?}");
    let asked = refusal.retry_after.unwrap();
    assert!(
        asked > Duration::from_secs(60) && asked <= Duration::from_secs(120),
        "it asked for two minutes: {asked:?}"
    );
    assert_eq!(server.asked.load(Ordering::Relaxed), failures);
    assert_eq!(send(Operation::new("stand-in", "look up")).await.code(), Some(429));
    assert_eq!(server.asked.load(Ordering::Relaxed), failures + 1);
}

/// What is logged, as it would be written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_stand_in_nothing_that_is_logged_or_returned_in_words() {
    let log = Log::default();
    let kept = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("posthaste_outside=trace")
        .with_ansi(false)
        .with_writer(move || kept.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let limits = Limits { failures: 1, pause: Span::milliseconds(1), ..Limits::default() };
    let mut said = String::new();
    for how in [
        How::Says("HTTP/1.1 200 s3cret\r\nx: s3cret\r\ncontent-length: 6\r\n\r\ns3cret"),
        How::Says("HTTP/1.1 200 s3cret\r\nx: s3cret\r\ncontent-length: 60\r\n\r\ns3cret"),
        How::Says("HTTP/1.1 400 s3cret\r\nx: s3cret\r\ncontent-length: 6\r\n\r\ns3cret"),
        How::Says("HTTP/1.1 503 s3cret\r\nretry-after: s3cret\r\ncontent-length: 6\r\n\r\ns3cret"),
        How::Says("HTTP/1.1 307 s3cret\r\nlocation: /s3cret?s3cret\r\ncontent-length: 6\r\n\r\ns3cret"),
        How::Says("s3cret\r\n\r\n"),
        How::Says("HTTP/1.1 200 OK\r\ns3cret"),
        How::Says(""),
        How::SaysAndHangs("HTTP/1.1 200 OK\r\ns3cret"),
    ] {
        for is_there in [true, false] {
            let server = Server::start(how).await;
            let mut url = server.url.clone();
            if !is_there {
                url.set_port(Some(1)).unwrap();
            }
            url.set_username("us").unwrap();
            url.set_password(Some("s3cret")).unwrap();
            url.set_query(Some("key=s3cret"));
            url.set_fragment(Some("s3cret"));
            let client = Client::connecting_within(LONG).without_proxy().limits(limits).build().unwrap();
            let request = client.post(url).header("x-key", "s3cret").bearer_auth("s3cret").body("s3cret");
            let operation = Operation::new("stand-in", "send");
            let outcome = client.send(operation, request, Reads::Body(100), Budget::of(SHORT)).await;
            if let Outcome::Done(response) = &outcome {
                assert_eq!((&response.headers["x"], &response.body[..]), (&"s3cret".parse().unwrap(), &b"s3cret"[..]));
            }
            said.push_str(&format!("{outcome:?}\n{client:?}\n"));
        }
    }
    let logged = String::from_utf8(log.0.lock().clone()).unwrap();
    for part in ["an outside service was called", "code=400", "class=\"send\"", "left alone"] {
        assert!(logged.contains(part), "the log is read: no {part} in {logged}");
    }
    assert!(said.contains("Unknown") && said.contains("Refused") && said.contains("Done"), "{said}");
    assert!(!logged.contains("s3cret"), "{logged}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn the_budget_bounds_all_of_a_call() {
    let began = Instant::now();
    let outcome = asked(ACT, How::SaysAndHangs("HTTP/1.1 200 OK\r\n\r\n"), Reads::Body(10)).await;
    assert!(matches!(outcome, Outcome::Unknown(_)));
    assert!(began.elapsed() >= SHORT && began.elapsed() < LONG / 2, "{:?}", began.elapsed());
}
