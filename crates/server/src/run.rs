//! A running server: database, clock, live system, routes; and how it stops.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use posthaste_clock::Clock;
use posthaste_gate::{Begun, Beside, Build, Ground, Key, Plan, Process, World, Worlds};
use posthaste_http::auth::Keys;
use posthaste_http::browsers::Browsers;
use posthaste_http::limits::Limits;
use posthaste_http::quota::Quotas;
use posthaste_identity::Upkeep;
use posthaste_live::stopping::{LONGEST_STOP, Leave};
use posthaste_live::{Retention, Settings, System};
use posthaste_notifications::worker::Worker;
use posthaste_protocol::accounts::KeyWorld;
use posthaste_testworld::Tables;
use posthaste_webhooks::Allowed;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Fatal;
use crate::configuration::Configuration;
use crate::copies::Reminder;
use crate::database::Database;
use crate::metrics::Figures;
use crate::token_key::TokenKey;
use crate::{accounts, copies, database, token_key};

/// How long the database may be away, once the server stops, before nothing waits for it any more. A private Postgres that
/// died is back by then, but for one that has much to recover; longer keeps everybody waiting who waits for the next start.
const AWAY: Duration = Duration::from_secs(2);

/// A running server.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What signs its tokens.
    pub(crate) keys: Keys,
    clock: Clock,
    database: Database,
    stop: oneshot::Sender<Leave>,
    serving: JoinHandle<()>,
    figures: Option<Figures>,
    /// What the live world does beside requests.
    beside: Beside,
    /// What the process does: letters that are sent, keys that are rotated, what is said again.
    upkeep: (Worker, Upkeep, Option<Reminder>),
    trimming: JoinHandle<()>,
}

impl Server {
    /// Starts everything. The address was taken first, so that a second server on it fails before it touches data. Who
    /// connects before everything has started waits.
    pub(crate) async fn start(configuration: &Configuration, listener: std::net::TcpListener) -> Result<Self, Fatal> {
        let secret = token_key::found_or_drafted(configuration)?;
        secret.keys()?;
        let database = Database::lead(configuration).await?;
        Self::on(configuration, listener, secret, database, None).await
    }

    /// The same on a database that it leads already, with what is served of its figures already.
    pub(crate) async fn on(
        configuration: &Configuration,
        listener: std::net::TcpListener,
        mut secret: TokenKey,
        database: Database,
        figures: Option<Figures>,
    ) -> Result<Self, Fatal> {
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let keys = secret.keys()?;
        if let Err(error) = secret.settle(configuration, &database.pool).await {
            database.close(&Leave::InOrder.budget()).await?;
            return Err(error);
        }
        let outside = copies::outside(configuration, &database).await?;
        let newest = posthaste_storage::clock::load(&database.pool).await?;
        let clock = Clock::at_speed(configuration.program.clock_speed, newest)?;
        let settings = Settings {
            checkpoint_every: Duration::from_secs(u64::from(configuration.dispatch.checkpoint_seconds)),
            track_retention_days: configuration.dispatch.track_retention_days,
            retention: Retention {
                contacts_days: accounts::kept(configuration.dispatch.contact_retention_days),
                proofs_days: accounts::kept(configuration.dispatch.proof_retention_days),
            },
            trial: None,
            ..Settings::default()
        };
        let allowed = Allowed {
            private: configuration.webhooks.webhook_private_addresses,
            plain_http: configuration.webhooks.webhook_plain_http,
        };
        let begun = Begun::begin(Ground {
            key: Key::first(KeyWorld::Live),
            pool: database.pool.clone(),
            clock: clock.clone(),
            settings,
            reach: System::reach,
            keys: keys.clone(),
            seal: secret.seal(),
            allowed,
            outside,
        });
        let begun = begun.await?;
        let schemas = database.schemas().filter(|_| configuration.dispatch.test_world);
        let test_world = schemas.map(|schemas| Plan {
            tables: Tables { schemas, older: database::older(configuration) },
            reach: System::reach,
            seal: secret.seal(),
            allowed,
            outside,
        });
        let outbox = accounts::notifications(configuration, begun.jobs())?;
        let identity = accounts::identity(configuration, &database.pool, &clock, &secret, outbox.clone()).await?;
        let build = Build { version: env!("CARGO_PKG_VERSION"), commit: option_env!("POSTHASTE_BUILD_COMMIT") };
        let process = Process::new(identity.clone(), limits(configuration), build, clock.clone());
        let World { app: state, beside } = begun.open(&process)?;
        let reminder = outside.is_held().then(|| copies::remind(&database));
        let upkeep = (outbox.start(), identity.start(), reminder);
        let figures = match (figures, configuration.program.metrics_listen) {
            (None, Some(listen)) => Some(Figures::serve(listen).await?),
            (figures, _) => figures,
        };
        if let Some(figures) = &figures {
            copies::measure(outside);
            figures.leads(state.clone());
        }
        let (stop, stopped) = oneshot::channel();
        let told = async move { stopped.await.unwrap_or(Leave::InOrder) };
        let serving = tokio::spawn(posthaste_gate::serve(listener, Worlds::new(state, test_world), told));
        tracing::info!(%address, clock_speed = clock.speed(), "serving");
        let trimming = crate::memory::keep_trimmed(&clock);
        Ok(Self { address, keys, clock, database, stop, serving, figures, beside, upkeep, trimming })
    }

    /// Waits until another server leads the database.
    pub(crate) async fn lost_the_lead(&self) {
        self.database.lost().await;
    }

    /// Stops at once, as another server leads the database; says why it ends.
    pub(crate) async fn leave_to_another(self) -> Fatal {
        if let Err(error) = self.stop(Leave::AtOnce).await {
            tracing::warn!(error, "not everything was closed");
        }
        "another server has taken the database over".into()
    }

    /// Product seconds in a real second.
    pub(crate) fn speed(&self) -> f64 {
        self.clock.speed()
    }

    /// Stops. In order: sockets hear that the server is going away, requests under way are answered, what was being
    /// committed is committed, positions are checkpointed. At once: sockets hear it, and that is all. Each part has its time
    /// ([`Leave::budget`]); while the database is away, none of them waits for it.
    pub(crate) async fn stop(self, how: Leave) -> Result<(), Fatal> {
        tracing::info!(?how, "stopping");
        let (began, budget) = (Instant::now(), how.budget());
        let refusing = tokio::spawn(self.database.refuse_when_away(AWAY));
        let _ = self.stop.send(how);
        if how == Leave::InOrder {
            self.database.leaving().await;
        }
        match tokio::time::timeout(LONGEST_STOP, self.serving).await {
            Ok(outcome) => outcome?,
            Err(_) => tracing::warn!("not everything ended in time"),
        }
        drop(self.figures);
        self.beside.stop(budget.messages).await;
        drop(self.upkeep);
        self.trimming.abort();
        refusing.abort();
        self.database.close(&budget).await?;
        tracing::info!(took = ?began.elapsed(), "stopped");
        crate::telemetry::flush(budget.traces).await;
        Ok(())
    }
}

/// Limits of the edge, as the configuration says.
pub(crate) fn limits(configuration: &Configuration) -> Limits {
    let serving = &configuration.serving;
    let mut limits = Limits::default();
    (limits.sockets, limits.concurrent_requests) = (serving.sockets, serving.concurrent_requests);
    limits.connections.most = serving.connections;
    limits.quotas = Quotas {
        caller_per_minute: serving.requests_per_minute,
        address_per_minute: serving.address_requests_per_minute,
    };
    limits.proxies = configuration.proxies.clone();
    limits.browsers = Browsers { origins: configuration.origins.clone(), hsts_seconds: serving.hsts_seconds };
    limits
}

/// Waits for Ctrl-C or the signal by which service managers stop programs.
pub(crate) async fn told_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(signal) => signal,
            Err(error) => {
                tracing::warn!(%error, "only Ctrl-C stops the server");
                let _ = interrupt.await;
                return;
            }
        };
        tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}
