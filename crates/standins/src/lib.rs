//! Local servers that speak the protocols of outside services, for tests and for trying out: nothing leaves the machine, what
//! was sent can be read, and each can be told to misbehave.
//!
//! - [`StandIns`]: all of them, running. [`rules`]: how they misbehave, for whom, how often. [`kept`]: what was sent, bounded.
//! - `smtp`: a mail server (RFC 5321), without TLS. `texts`: a sender of texts with the interface of Twilio's Messages.
//! - `desk`: what was sent, as JSON and as a page, and the rules, over HTTP.
//!
//! Official clients are run against them (`tests/stand_ins.rs`), so that they do not merely repeat what this project
//! believes. They listen on loopback unless told otherwise: there is no password at the desk.

mod desk;
pub mod kept;
pub mod rules;
mod smtp;
mod texts;

pub use texts::BUSY_FOR;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use posthaste_clock::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::kept::{Keeping, Kind, Sent};
use crate::rules::{Manner, Rule, Rules, TooMany};

/// The account at the sender of texts, and its secret.
pub const ACCOUNT: &str = "AC00000000000000000000000000000000";
/// The secret of [`ACCOUNT`].
pub const TOKEN: &str = "stand-in";
/// The number that texts come from: at Twilio, the one that test credentials may send from.
pub const FROM: &str = "+15005550006";

/// Where stand-ins listen.
#[derive(Debug, Clone, Copy)]
pub struct Listen {
    /// On which address of this machine.
    pub ip: IpAddr,
    /// The mail server's port; a free one where it is 0.
    pub smtp: u16,
    /// The port of everything over HTTP; a free one where it is 0.
    pub http: u16,
}

impl Default for Listen {
    /// On loopback, on free ports.
    fn default() -> Self {
        Self { ip: Ipv4Addr::LOCALHOST.into(), smtp: 0, http: 0 }
    }
}

/// What the servers share.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sent: Mutex<Keeping>,
    rules: Mutex<Rules>,
    clock: Clock,
}

impl Shared {
    fn new() -> Self {
        Self(Arc::new(Inner { sent: Mutex::default(), rules: Mutex::default(), clock: Clock::system() }))
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn keep(&self, sent: Sent) {
        self.0.sent.lock().keep(sent);
    }

    pub(crate) fn sent(&self) -> parking_lot::MutexGuard<'_, Keeping> {
        self.0.sent.lock()
    }

    pub(crate) fn rules(&self) -> parking_lot::MutexGuard<'_, Rules> {
        self.0.rules.lock()
    }
}

/// The stand-ins, running. They end when this is dropped.
#[derive(Debug)]
pub struct StandIns {
    smtp: SocketAddr,
    http: SocketAddr,
    shared: Shared,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for StandIns {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl StandIns {
    /// Starts them on loopback, on free ports.
    ///
    /// # Errors
    ///
    /// Where they cannot listen.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(Listen::default()).await
    }

    /// Starts them there.
    ///
    /// # Errors
    ///
    /// Where they cannot listen, with the address.
    pub async fn start_at(listen: Listen) -> io::Result<Self> {
        let (smtp, http) = (bind(listen.ip, listen.smtp).await?, bind(listen.ip, listen.http).await?);
        let (smtp_at, http_at) = (smtp.local_addr()?, http.local_addr()?);
        let shared = Shared::new();
        let routes = desk::routes(shared.clone()).merge(texts::routes(shared.clone()));
        let tasks = [
            tokio::spawn(smtp::serve(smtp, shared.clone())),
            tokio::spawn(async move {
                // It ends with an error never, and otherwise when it is aborted.
                let _ = axum::serve(http, routes).await;
            }),
        ];
        Ok(Self { smtp: smtp_at, http: http_at, shared, tasks })
    }

    /// Where the mail server listens.
    #[must_use]
    pub fn smtp(&self) -> SocketAddr {
        self.smtp
    }

    /// Where everything over HTTP listens.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The address of the sender of texts, and of the desk (`/messages`, `/rules`).
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// From now on they misbehave so.
    ///
    /// # Errors
    ///
    /// [`TooMany`] where there are too many rules.
    pub fn rule(&self, rule: Rule) -> Result<(), TooMany> {
        self.shared.rules().add(rule)
    }

    /// From now on they do so with everybody, and forget other rules; well, where there is none.
    pub fn behave(&self, manner: Option<Manner>) {
        let mut rules = self.shared.rules();
        rules.clear();
        if let Some(manner) = manner {
            // The first of them.
            let _ = rules.add(Rule::everybody(manner));
        }
    }

    /// What was sent, oldest first.
    #[must_use]
    pub fn sent(&self, kind: Kind) -> Vec<Sent> {
        self.shared.sent().all().filter(|sent| sent.kind == kind).cloned().collect()
    }
}

async fn bind(ip: IpAddr, port: u16) -> io::Result<TcpListener> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{ip}:{port}: {error}"));
    TcpListener::bind((ip, port)).await.map_err(named)
}
