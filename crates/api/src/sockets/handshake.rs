//! From a request to a connection that is ours alone (RFC 6455, 4.2): after the answer the TCP stream is taken out of
//! the HTTP server, so that frames are read and written with nothing in between.

use std::future::Future;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use posthaste_http::problem::Failure;
use posthaste_http::request_id::sent_step;
use posthaste_protocol::problem::{Code, Problem};
use posthaste_protocol::trace::TraceParent;
use tokio::net::TcpStream;
use tungstenite::handshake::derive_accept_key;

use crate::accept::Connection;

/// A request that asks for a WebSocket, and the right to its connection.
pub(crate) struct Handshake {
    accept: HeaderValue,
    connection: OnUpgrade,
    /// The step of a trace that the caller says all of it follows.
    pub(super) after: Option<TraceParent>,
}

/// A connection after the handshake, and what was read from it already.
pub(super) struct Upgraded {
    pub(super) stream: TcpStream,
    pub(super) read: Bytes,
}

impl<S: Send + Sync> FromRequestParts<S> for Handshake {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let refusal = || Failure::from(Problem::new(Code::Malformed).detail("connect with a WebSocket handshake"));
        let asks = parts.method == Method::GET
            && names(parts, &CONNECTION, "upgrade")
            && names(parts, &UPGRADE, "websocket")
            && parts.headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version.as_bytes() == b"13");
        let key = parts.headers.get(SEC_WEBSOCKET_KEY).filter(|_| asks).ok_or_else(refusal)?;
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| refusal())?;
        let connection = parts.extensions.remove::<OnUpgrade>().ok_or_else(refusal)?;
        Ok(Self { accept, connection, after: sent_step(&parts.headers) })
    }
}

/// Whether a header's list holds a word.
fn names(parts: &Parts, header: &HeaderName, word: &str) -> bool {
    let values = parts.headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

impl Handshake {
    /// Answers, and gives the connection to `serve` once the answer is out.
    pub(super) fn upgrade<F>(self, serve: impl FnOnce(Upgraded) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let connection = self.connection;
        tokio::spawn(async move {
            match connection.await.map(hyper::upgrade::Upgraded::downcast::<TokioIo<Connection>>) {
                Ok(Ok(parts)) => {
                    serve(Upgraded { stream: parts.io.into_inner().into_stream(), read: parts.read_buf }).await
                }
                Ok(Err(_)) => tracing::error!("a socket's connection is not one of this server's"),
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
