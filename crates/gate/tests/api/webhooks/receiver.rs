//! A receiver on a real socket that behaves as a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a receiver does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Takes it.
    Take,
    /// Answers this status.
    Status(u16),
    /// Answers 503 and asks to be left alone for so many seconds.
    Busy(u32),
    /// Refuses what concerns this order.
    RefuseOrder(String),
    /// Never answers.
    Silent,
    /// Hangs up in the middle of its answer's head.
    HangUp,
    /// Answers this status and a body that never ends.
    Endless(u16),
    /// Sends elsewhere, to itself.
    Redirect,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) body: Value,
    /// Whether it was answered with 204.
    pub(crate) kept: bool,
}

struct Inner {
    behaviour: Mutex<Behaviour>,
    taken: Mutex<Vec<Taken>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    inner: Arc<Inner>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            behaviour: Mutex::new(Behaviour::Take),
            taken: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let inner = Arc::clone(&serving);
                tokio::spawn(async move {
                    let open = inner.now.fetch_add(1, Ordering::SeqCst) + 1;
                    inner.most.fetch_max(open, Ordering::SeqCst);
                    // A sender that goes away is no concern of a receiver's.
                    let _ = serve(&inner, connection).await;
                    inner.now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, inner }
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.inner.behaviour.lock() = behaviour;
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.inner.taken.lock().clone()
    }

    pub(crate) fn forget(&self) {
        self.inner.taken.lock().clear();
    }

    pub(crate) fn kinds(&self) -> Vec<String> {
        self.taken().iter().map(|taken| taken.body["type"].as_str().unwrap().to_owned()).collect()
    }

    /// The numbers of an order's events that it kept, as they came.
    pub(crate) fn of(&self, order: &str) -> Vec<u64> {
        let mine = self.taken().into_iter().filter(|taken| taken.kept && taken.body["data"]["order_id"] == *order);
        mine.filter_map(|taken| taken.body["data"]["sequence"].as_u64()).collect()
    }

    /// Connections that were open at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.inner.most.load(Ordering::SeqCst)
    }
}

/// Serves one request and closes.
async fn serve(inner: &Inner, mut connection: TcpStream) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let (head, length, at) = loop {
        let mut chunk = [0; 4096];
        let read = connection.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(at) = text.find("\r\n\r\n") {
            let length = header(&text[..at], "content-length").parse::<usize>().unwrap();
            break (text[..at].to_owned(), length, at + 4);
        }
    };
    while bytes.len() < at + length {
        let mut chunk = [0; 4096];
        let read = connection.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
    let body: Value = serde_json::from_slice(&bytes[at..at + length]).unwrap();
    let behaviour = inner.behaviour.lock().clone();
    let kept = match &behaviour {
        Behaviour::Take => true,
        Behaviour::RefuseOrder(order) => body["data"]["order_id"] != *order.as_str(),
        _ => false,
    };
    let path = head.split_whitespace().nth(1).unwrap().to_owned();
    inner.taken.lock().push(Taken { id: header(&head, "webhook-id"), path, body, kept });
    if kept {
        return connection.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    }
    answer(&behaviour, &mut connection).await
}

async fn answer(behaviour: &Behaviour, connection: &mut TcpStream) -> std::io::Result<()> {
    let plain = |status: u16, more: &str| {
        format!("HTTP/1.1 {status} Whatever\r\nconnection: close\r\n{more}content-length: 2\r\n\r\nno")
    };
    match behaviour {
        Behaviour::Take | Behaviour::RefuseOrder(_) => connection.write_all(plain(500, "").as_bytes()).await,
        Behaviour::Status(status) => connection.write_all(plain(*status, "").as_bytes()).await,
        Behaviour::Busy(seconds) => {
            connection.write_all(plain(503, &format!("retry-after: {seconds}\r\n")).as_bytes()).await
        }
        Behaviour::Redirect => connection.write_all(plain(308, "location: /elsewhere\r\n").as_bytes()).await,
        Behaviour::Silent => std::future::pending().await,
        Behaviour::HangUp => connection.write_all(b"HTTP/1.1 20").await,
        Behaviour::Endless(status) => {
            let head = format!("HTTP/1.1 {status} Whatever\r\ntransfer-encoding: chunked\r\n\r\n");
            connection.write_all(head.as_bytes()).await?;
            loop {
                connection.write_all(b"400\r\n").await?;
                connection.write_all(&[b'a'; 0x400]).await?;
                connection.write_all(b"\r\n").await?;
            }
        }
    }
}

fn header(head: &str, name: &str) -> String {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
    line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}
