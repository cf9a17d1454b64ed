//! Making one connection.

use std::time::Duration;

use posthaste_protocol::problem::{Code, Problem};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::error::ClientError;
use crate::token::Token;

/// Bytes read at once: small, so that thousands of sockets are cheap; a longer frame grows the buffer.
const READ_BUFFER_BYTES: usize = 4096;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where and as whom to connect.
pub(super) struct Dialer {
    pub(super) url: String,
    pub(super) token: Token,
}

/// Why there is no connection.
pub(super) enum NotConnected {
    /// The server answered no.
    Refused(Box<Problem>),
    /// It did not answer.
    Unreachable(String),
}

impl Dialer {
    /// Connects once; says with which token.
    pub(super) async fn dial(&self, limit: Duration) -> Result<(Socket, Option<String>), NotConnected> {
        let unreachable = |e: tungstenite::Error| NotConnected::Unreachable(e.to_string());
        let mut request = self.url.as_str().into_client_request().map_err(unreachable)?;
        let token = self.token.current();
        if let Some(token) = &token {
            let value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| NotConnected::Refused(Box::new(Problem::new(Code::Unauthenticated))))?;
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
        let connecting = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
        match tokio::time::timeout(limit, connecting).await {
            Ok(Ok((socket, _))) => Ok((socket, token)),
            Ok(Err(tungstenite::Error::Http(response))) => {
                let body = response.body().clone().unwrap_or_default();
                match crate::http::refused(response.status(), response.headers(), &body) {
                    ClientError::Problem(problem) => Err(NotConnected::Refused(problem)),
                    other => Err(NotConnected::Unreachable(other.to_string())),
                }
            }
            Ok(Err(error)) => Err(unreachable(error)),
            Err(_) => Err(NotConnected::Unreachable("no connection in time".to_owned())),
        }
    }

    /// Whether the refusal will stay as it is, so that trying again is of no use.
    pub(super) fn is_final(&self, problem: &Problem) -> bool {
        match problem.code {
            Code::Unauthenticated | Code::TokenExpired | Code::LoginEnded => !self.token.renews(),
            Code::Forbidden
            | Code::NotActivated
            | Code::SecondFactorMissing
            | Code::Banned
            | Code::NotFound
            | Code::MethodNotAllowed
            | Code::Malformed
            | Code::Invalid => true,
            _ => false,
        }
    }
}
