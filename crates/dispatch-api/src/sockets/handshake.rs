//! From a request to a connection that is ours alone (RFC 6455, 4.2): after the answer the TCP stream is taken out of
//! the HTTP server, so that frames are read and written with nothing in between.

use std::future::Future;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use posthaste_http::problem::Failure;
use posthaste_http::request_id::sent_step;
use posthaste_live::World;
use posthaste_protocol::problem::{Code, Problem};
use posthaste_protocol::trace::TraceParent;
use tokio::net::TcpStream;
use tungstenite::handshake::derive_accept_key;

use crate::Dispatch;

/// Takes an upgraded connection out of the HTTP server that carried it, with what was read from it already; none where it is
/// not one of that server's.
pub type TakeOut = fn(hyper::upgrade::Upgraded) -> Option<(TcpStream, Bytes)>;

/// A request that asks for a WebSocket, and the right to its connection.
pub(crate) struct Handshake {
    accept: HeaderValue,
    connection: OnUpgrade,
    take_out: TakeOut,
    /// The step of a trace that the caller says all of it follows.
    pub(super) after: Option<TraceParent>,
}

/// A connection after the handshake, and what was read from it already.
pub(super) struct Upgraded {
    pub(super) stream: TcpStream,
    pub(super) read: Bytes,
}

impl FromRequestParts<Dispatch> for Handshake {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &Dispatch) -> Result<Self, Response> {
        let asks = parts.method == Method::GET
            && parts.version >= Version::HTTP_11
            && names(parts, &CONNECTION, "upgrade")
            && names(parts, &UPGRADE, "websocket");
        if !asks {
            return Err(refusal(Code::Malformed, "connect with a WebSocket handshake"));
        }
        // Which version it speaks comes first: another may have another key.
        if only(parts, &SEC_WEBSOCKET_VERSION) != Some(OUR_VERSION) {
            return Err(refusal(Code::UpgradeRequired, "the handshake must name Sec-WebSocket-Version 13, once"));
        }
        let key = only(parts, &SEC_WEBSOCKET_KEY).filter(|key| is_key(key)).ok_or_else(|| {
            refusal(Code::Malformed, "the handshake must have one Sec-WebSocket-Key: 16 bytes in base64")
        })?;
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
            .map_err(|_| refusal(Code::Malformed, "connect with a WebSocket handshake"))?;
        let connection = parts
            .extensions
            .remove::<OnUpgrade>()
            .ok_or_else(|| refusal(Code::Malformed, "this connection cannot become a WebSocket"))?;
        let take_out = state.take_out();
        Ok(Self { accept, connection, take_out, after: sent_step(&parts.headers) })
    }
}

/// The version of the protocol that is spoken here.
const OUR_VERSION: &str = "13";

/// Refuses a handshake, and says which would be taken (RFC 6455, 4.2.2 and 4.4; RFC 9110, 15.5.22).
fn refusal(code: Code, detail: &str) -> Response {
    let mut response = Failure::from(Problem::new(code).detail(detail)).into_response();
    let headers = response.headers_mut();
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(OUR_VERSION));
    if code == Code::UpgradeRequired {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    response
}

/// The value of a header that is there once.
fn only<'p>(parts: &'p Parts, header: &HeaderName) -> Option<&'p str> {
    let mut values = parts.headers.get_all(header).into_iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| value.trim())
}

/// Whether it is 16 bytes in base64.
fn is_key(key: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.strip_suffix("==").is_some_and(|digits| digits.len() == 22 && digits.bytes().all(is_digit))
}

/// Whether a header's list holds a word.
fn names(parts: &Parts, header: &HeaderName, word: &str) -> bool {
    let values = parts.headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

impl Handshake {
    /// Answers, and gives the connection to `serve` once the answer is out, in its world.
    pub(super) fn upgrade<F>(self, world: &World, serve: impl FnOnce(Upgraded) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (connection, take_out) = (self.connection, self.take_out);
        world.spawn(async move {
            match connection.await.map(take_out) {
                Ok(Some((stream, read))) => serve(Upgraded { stream, read }).await,
                Ok(None) => tracing::error!("a socket's connection is not one of this server's"),
                Err(error) => tracing::debug!(%error, "a connection ended before it became a socket"),
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        assert!(is_key("dGhlIHNhbXBsZSBub25jZQ=="));
        for wrong in [
            "",
            "x",
            "==",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=a",
            "dGhlIHNhbXBsZSBub2-jZQ==",
            "dGhlIHNhbXBsZSBub25jZQA=",
        ] {
            assert!(!is_key(wrong), "{wrong}");
        }
    }
}
