//! A merchant's program that takes webhooks.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::until;

/// A merchant's program that takes whatever comes.
pub struct Shop {
    /// Where it listens.
    pub url: String,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Shop {
    /// Opens it, on a port of its own.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("its address"));
        let taken = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let (mut text, mut part) = (Vec::new(), [0; 4096]);
                    while let Ok(read @ 1..) = connection.read(&mut part).await {
                        text.extend_from_slice(&part[..read]);
                        if let Some(body) = body(&text) {
                            kept.lock().expect("a lock").push(body);
                            let _ = connection.write_all(b"HTTP/1.1 204 Taken\r\nconnection: close\r\n\r\n").await;
                            return;
                        }
                    }
                });
            }
        });
        Self { url, taken }
    }

    /// The references of the orders whose placing it was told of, in the order in which it was.
    pub fn placed(&self) -> Vec<String> {
        let taken = self.taken.lock().expect("a lock");
        let placed = taken.iter().filter(|body| body["type"] == "order.placed");
        placed.filter_map(|body| body["data"]["order"]["reference"].as_str().map(str::to_owned)).collect()
    }

    /// Waits until it is told of the order with this reference.
    pub async fn hears_of(&self, reference: &str) {
        until(&format!("it is told of {reference}"), async || {
            self.placed().iter().any(|told| told == reference).then_some(())
        })
        .await;
    }
}

/// The body of a request, where it is whole.
fn body(text: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(text).ok()?;
    serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
}
