//! The five kinds of socket: what each may send, over the one [`Connection`].

use std::time::Duration;

use posthaste_domain::ids::{OfferId, TaskId, ZoneId};
use posthaste_domain::order::FailReason;
use posthaste_protocol::accounts::Secret;
use posthaste_protocol::drivers::{PositionBatch, PositionReport, ShiftView};
use posthaste_protocol::orders::ProofView;
use posthaste_protocol::socket::{Ack, ClientMessage, NewToken, Nothing, OfferAnswer, TaskDone, TaskFailed, TaskRef};

use crate::connection::{CommandSender, Connection, Event, SocketOptions, SocketStats};
use crate::error::ClientError;
use crate::http::Client;
use crate::token::Token;

macro_rules! socket {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name {
            connection: Connection,
        }

        impl $name {
            /// The next event; `None` after [`Event::Closed`].
            pub async fn next(&mut self) -> Option<Event> {
                self.connection.next().await
            }

            /// The next event, if one is there already.
            pub fn try_next(&mut self) -> Option<Event> {
                self.connection.try_next()
            }

            /// Reads events until `wanted` makes something of one, at most `limit` long.
            pub async fn wait_for<T>(
                &mut self,
                limit: Duration,
                wanted: impl FnMut(Event) -> Option<T>,
            ) -> Option<T> {
                self.connection.wait_for(limit, wanted).await
            }

            /// What has happened to the socket so far.
            #[must_use]
            pub fn stats(&self) -> SocketStats {
                self.connection.stats()
            }

            /// Drops the connection without a word, as a tunnel does, and comes back after `away`.
            pub fn lose_signal(&self, away: Duration) {
                self.connection.lose_signal(away);
            }

            /// Closes politely.
            pub async fn close(self) {
                self.connection.close().await;
            }
        }
    };
}

socket! {
    /// A driver's socket: offers and the route come in, everything that the driver does goes out.
    DriverSocket
}

socket! {
    /// A merchant's socket: its orders as they change, and where their drivers are.
    MerchantSocket
}

socket! {
    /// A customer's socket: all their orders as they change, and where the drivers are who have them.
    CustomerSocket
}

socket! {
    /// A socket of operations: a zone or a box on the map, with its orders and drivers.
    OperationsSocket
}

socket! {
    /// A socket by tracking link: the order's steps, and where the driver is.
    TrackingSocket
}

/// What a socket of operations looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OperationsView {
    /// One zone.
    Zone(ZoneId),
    /// Everything inside a box of degrees.
    Box {
        /// Western edge.
        min_lng: f64,
        /// Southern edge.
        min_lat: f64,
        /// Eastern edge.
        max_lng: f64,
        /// Northern edge.
        max_lat: f64,
    },
}

impl Client {
    /// Opens the driver's socket of the token's driver.
    #[must_use]
    pub fn driver_socket(&self) -> DriverSocket {
        self.driver_socket_with(SocketOptions::default())
    }

    /// The same with options.
    #[must_use]
    pub fn driver_socket_with(&self, options: SocketOptions) -> DriverSocket {
        DriverSocket { connection: self.open(&["v1", "ws", "driver"], None, options) }
    }

    /// Opens the socket of the token's merchant.
    #[must_use]
    pub fn merchant_socket(&self) -> MerchantSocket {
        self.merchant_socket_with(SocketOptions::default())
    }

    /// The same with options.
    #[must_use]
    pub fn merchant_socket_with(&self, options: SocketOptions) -> MerchantSocket {
        MerchantSocket { connection: self.open(&["v1", "ws", "merchant"], None, options) }
    }

    /// Opens the socket of the token's customer.
    #[must_use]
    pub fn customer_socket(&self) -> CustomerSocket {
        self.customer_socket_with(SocketOptions::default())
    }

    /// The same with options.
    #[must_use]
    pub fn customer_socket_with(&self, options: SocketOptions) -> CustomerSocket {
        CustomerSocket { connection: self.open(&["v1", "ws", "customer"], None, options) }
    }

    /// Opens a socket of operations.
    #[must_use]
    pub fn operations_socket(&self, view: OperationsView) -> OperationsSocket {
        self.operations_socket_with(view, SocketOptions::default())
    }

    /// The same with options.
    #[must_use]
    pub fn operations_socket_with(&self, view: OperationsView, options: SocketOptions) -> OperationsSocket {
        let (name, value) = match view {
            OperationsView::Zone(zone) => ("zone_id", zone.to_string()),
            OperationsView::Box { min_lng, min_lat, max_lng, max_lat } => {
                ("bbox", format!("{min_lng},{min_lat},{max_lng},{max_lat}"))
            }
        };
        OperationsSocket { connection: self.open(&["v1", "ws", "operations"], Some((name, &value)), options) }
    }

    /// Opens the tracking socket of a link's token. Needs no bearer token.
    #[must_use]
    pub fn tracking_socket(&self, link: &str) -> TrackingSocket {
        self.tracking_socket_with(link, SocketOptions::default())
    }

    /// The same with options.
    #[must_use]
    pub fn tracking_socket_with(&self, link: &str, options: SocketOptions) -> TrackingSocket {
        // The link is what opens it; it belongs to no token, and none is renewed over it.
        TrackingSocket { connection: self.with_token(Token::None).open(&["v1", "ws", "track", link], None, options) }
    }

    fn open(&self, segments: &[&str], query: Option<(&str, &str)>, options: SocketOptions) -> Connection {
        Connection::open(self.socket_url(segments, query).to_string(), self.token().clone(), options)
    }
}

impl DriverSocket {
    /// What the driver can do. Clone it to act while another task reads the events.
    #[must_use]
    pub fn commands(&self) -> DriverCommands {
        DriverCommands { sender: self.connection.sender().clone() }
    }
}

/// Everything that a driver can do over their socket. Every answered command is done once, however often
/// the connection breaks in between.
#[derive(Clone)]
pub struct DriverCommands {
    sender: CommandSender,
}

impl DriverCommands {
    /// Hands a new access token in before the old one ends, so that the connection stays.
    pub async fn renew_token(&self, access_token: impl Into<Secret>) -> Result<Ack, ClientError> {
        let access_token = access_token.into();
        self.sender.command(ClientMessage::Token(NewToken { access_token })).await
    }

    /// Changes the shift.
    pub async fn shift(&self, shift: ShiftView) -> Result<Ack, ClientError> {
        self.sender.command(ClientMessage::Shift(shift)).await
    }

    /// Sets the present position; the newest wins, nothing is answered.
    pub fn position(&self, report: PositionReport) {
        self.sender.position(report);
    }

    /// Hands in positions collected while there was no signal; answered when they are safe.
    pub async fn positions(&self, positions: Vec<PositionReport>) -> Result<Ack, ClientError> {
        self.sender.command(ClientMessage::Positions(PositionBatch { positions })).await
    }

    /// Takes an offer.
    pub async fn accept(&self, offer_id: OfferId) -> Result<Ack, ClientError> {
        self.sender.command(ClientMessage::Accept(OfferAnswer { offer_id })).await
    }

    /// Declines an offer.
    pub async fn decline(&self, offer_id: OfferId) -> Result<Ack, ClientError> {
        self.sender.command(ClientMessage::Decline(OfferAnswer { offer_id })).await
    }

    /// Sets out for a task.
    pub async fn departed(&self, task_id: TaskId) -> Result<Ack, ClientError> {
        self.sender.command(ClientMessage::Departed(TaskRef { task_id })).await
    }

    /// Is at a task.
    pub async fn arrived(&self, task_id: TaskId) -> Result<Ack, ClientError> {
        self.sender.command(ClientMessage::Arrived(TaskRef { task_id })).await
    }

    /// Has picked up.
    pub async fn picked_up(
        &self,
        task_id: TaskId,
        code: Option<String>,
        proof: Option<ProofView>,
    ) -> Result<Ack, ClientError> {
        self.sender.command(ClientMessage::PickedUp(TaskDone { task_id, code, proof })).await
    }

    /// Has delivered.
    pub async fn delivered(
        &self,
        task_id: TaskId,
        code: Option<String>,
        proof: Option<ProofView>,
    ) -> Result<Ack, ClientError> {
        self.sender.command(ClientMessage::Delivered(TaskDone { task_id, code, proof })).await
    }

    /// Has brought back.
    pub async fn returned(
        &self,
        task_id: TaskId,
        code: Option<String>,
        proof: Option<ProofView>,
    ) -> Result<Ack, ClientError> {
        self.sender.command(ClientMessage::Returned(TaskDone { task_id, code, proof })).await
    }

    /// Cannot do a task.
    pub async fn failed(&self, task_id: TaskId, reason: FailReason, note: Option<String>) -> Result<Ack, ClientError> {
        self.sender.command(ClientMessage::Failed(TaskFailed { task_id, reason, note })).await
    }

    /// Does this stop next. The answer names orders that are likely to be late for it.
    pub async fn do_next(&self, task_id: TaskId) -> Result<Ack, ClientError> {
        self.sender.command(ClientMessage::DoNext(TaskRef { task_id })).await
    }

    /// Takes that back.
    pub async fn undo_next(&self) -> Result<Ack, ClientError> {
        self.sender.command(ClientMessage::UndoNext(Nothing {})).await
    }
}
