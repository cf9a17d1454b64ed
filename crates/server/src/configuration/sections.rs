//! The settings, a section for each part of the program: what each is called everywhere, what it is, and where its default
//! comes from. The defaults themselves stand in `posthaste.example.toml`, which is read as the file below all others.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::{ConfigurationError, LogFormat, Mode, address, address_in_file, in_default_data_dir};

/// What a setting falls back to that has no default for everybody.
pub(super) struct Fallback<'f> {
    /// The directory of the command under the default one.
    pub(super) subdirectory: &'f str,
    /// The command's own clock.
    pub(super) clock_speed: f64,
    /// Whether the command is one for trying out.
    pub(super) tries_out: bool,
    /// For what the server runs.
    pub(super) mode: Mode,
}

/// A section twice: as it is given, where anything can be left out, and as it is in force. A setting has its default in the
/// example file, or of the command and the mode, or may be absent.
macro_rules! section {
    (
        $(#[$about:meta])* $Section:ident from $Given:ident;
        default in the example: { $($(#[$meta:meta])* $name:ident: $type:ty,)* }
        default by command and mode: { $($(#[$mode_meta:meta])* $mode_name:ident: $mode_type:ty = $by:expr,)* }
        optional: { $($(#[$opt_meta:meta])* $opt_name:ident: $opt_type:ty,)* }
    ) => {
        $(#[$about])*
        #[derive(Clone)]
        pub(crate) struct $Section {
            $(pub(crate) $name: $type,)*
            $(pub(crate) $mode_name: $mode_type,)*
            $(pub(crate) $opt_name: Option<$opt_type>,)*
        }

        $(#[$about])*
        #[derive(Clone, Default, Args, Deserialize)]
        #[serde(default)]
        pub(crate) struct $Given {
            $($(#[$meta])* pub(crate) $name: Option<$type>,)*
            $($(#[$mode_meta])* pub(crate) $mode_name: Option<$mode_type>,)*
            $($(#[$opt_meta])* pub(crate) $opt_name: Option<$opt_type>,)*
        }

        impl $Given {
            /// The names of its settings.
            pub(super) const NAMES: &[&str] =
                &[$(stringify!($name),)* $(stringify!($mode_name),)* $(stringify!($opt_name),)*];

            /// What is said here, or else there.
            pub(super) fn or(self, other: Self) -> Self {
                Self {
                    $($name: self.$name.or(other.$name),)*
                    $($mode_name: self.$mode_name.or(other.$mode_name),)*
                    $($opt_name: self.$opt_name.or(other.$opt_name),)*
                }
            }

            /// The section in force.
            pub(super) fn settle(self, fallback: &Fallback<'_>) -> Result<$Section, ConfigurationError> {
                $(let $mode_name: fn(&Fallback<'_>) -> $mode_type = $by;)*
                let _ = fallback;
                Ok($Section {
                    $($name: self.$name.ok_or_else(|| ConfigurationError::without_default(stringify!($name)))?,)*
                    $($mode_name: self.$mode_name.unwrap_or_else(|| $mode_name(fallback)),)*
                    $($opt_name: self.$opt_name,)*
                })
            }
        }
    };
}

section! {
    /// Where and how the server is reached, and what it bears.
    Serving from ServingGiven;
    default in the example: {
        /// Where to listen: an address and a port. [default: 127.0.0.1:8080]
        #[arg(long, env = "POSTHASTE_LISTEN", value_parser = address)]
        #[serde(deserialize_with = "address_in_file")]
        listen: SocketAddr,
        /// Sockets open at once at most. [default: 100000]
        #[arg(long, env = "POSTHASTE_SOCKETS")]
        sockets: usize,
        /// Requests at once at most; above it callers are told to come back. [default: 4096]
        #[arg(long, env = "POSTHASTE_CONCURRENT_REQUESTS")]
        concurrent_requests: usize,
        /// Connections at once at most, sockets not counted; above it new ones wait. [default: 16384]
        #[arg(long, env = "POSTHASTE_CONNECTIONS")]
        connections: usize,
        /// Requests in a minute for one account or key; above it: 429. 0 is no limit. [default: 12000]
        #[arg(long, env = "POSTHASTE_REQUESTS_PER_MINUTE")]
        requests_per_minute: u32,
        /// Requests in a minute from one address without a token that is accepted. 0 is no limit. [default: 1200]
        #[arg(long, env = "POSTHASTE_ADDRESS_REQUESTS_PER_MINUTE")]
        address_requests_per_minute: u32,
        /// Addresses or networks of your own proxies, separated by commas: what they write into x-forwarded-for is
        /// believed. [default: none]
        #[arg(long, env = "POSTHASTE_TRUSTED_PROXIES", value_delimiter = ',')]
        trusted_proxies: Vec<String>,
        /// Origins whose pages may use the API, separated by commas, as in `https://shop.example.org`. [default: none]
        #[arg(long, env = "POSTHASTE_CORS_ORIGINS", value_delimiter = ',')]
        cors_origins: Vec<String>,
        /// Tell browsers for how many seconds to come over TLS only (strict-transport-security). [default: 0, say nothing]
        #[arg(long, env = "POSTHASTE_HSTS_SECONDS")]
        hsts_seconds: u32,
    }
    default by command and mode: {
        /// `production`, or `development`: there, tokens of `posthaste token` are taken, and emails and texts are written
        /// to the data directory and shown at /dev/mail. [default: production; demo and replay: development]
        #[arg(long, env = "POSTHASTE_MODE")]
        mode: Mode = |fallback| fallback.mode,
    }
    optional: {
        /// Where browsers reach this server, as in `https://api.example.org`. Needed for signing in with Google.
        #[arg(long, env = "POSTHASTE_PUBLIC_URL")]
        public_url: String,
    }
}

section! {
    /// The program itself: where its data are, its secret, its clock, its log and its figures.
    Program from ProgramGiven;
    default in the example: {
        /// What to log, as in `info` or `posthaste_live=debug,info`. [default: info]
        #[arg(long, env = "POSTHASTE_LOG")]
        log: String,
        /// How to log: `text` or `json`. [default: text]
        #[arg(long, env = "POSTHASTE_LOG_FORMAT")]
        log_format: LogFormat,
    }
    default by command and mode: {
        /// Where data lives that has no other place: the private Postgres, the generated token key, the demo's log.
        /// [default: posthaste under the user's data directory]
        #[arg(long, env = "POSTHASTE_DATA_DIR")]
        data_dir: PathBuf = |fallback| in_default_data_dir(fallback.subdirectory),
        /// Product seconds in a real second: 1 in production, more in demos, replays and tests. [default: 1; demo 10]
        #[arg(long, env = "POSTHASTE_CLOCK_SPEED")]
        clock_speed: f64 = |fallback| fallback.clock_speed,
    }
    optional: {
        /// The secret that signs tokens and tracking links: at least 32 bytes of text. Without it one is generated and kept
        /// in the data directory; with a database of your own it must be given.
        #[arg(long, env = "POSTHASTE_TOKEN_KEY", hide_env_values = true)]
        token_key: String,
        /// Where to serve figures for Prometheus (GET /metrics), without tokens: an address that only the network's own may
        /// reach. [default: nowhere]
        #[arg(long, env = "POSTHASTE_METRICS_LISTEN", value_parser = address)]
        #[serde(deserialize_with = "address_in_file")]
        metrics_listen: SocketAddr,
        /// Where to send traces: the base URL of an OTLP collector over HTTP, as in `http://127.0.0.1:4318`.
        /// [default: nowhere]
        #[arg(long, env = "POSTHASTE_OTLP_ENDPOINT")]
        otlp_endpoint: String,
    }
}

section! {
    /// The database, and whether it is the real one.
    Database from DatabaseGiven;
    default in the example: {
        /// Connections to Postgres at most. [default: 16]
        #[arg(long, env = "POSTHASTE_DATABASE_CONNECTIONS")]
        database_connections: u32,
        /// Send nothing to the outside (webhooks, emails, texts), whatever the database: for copies that cannot be told from
        /// what they were copied from, such as snapshots of a machine. [default: false]
        #[arg(long, env = "POSTHASTE_HOLD_OUTSIDE", num_args = 0..=1, default_missing_value = "true")]
        hold_outside: bool,
        /// Refuse to serve on a database that is older than this program, and leave it as it is: `posthaste migrate` is a step
        /// of its own then. [default: false]
        #[arg(long, env = "POSTHASTE_NO_MIGRATE", num_args = 0..=1, default_missing_value = "true")]
        no_migrate: bool,
        /// Run as one of several servers on this database: stand by while another serves, and take over when it is gone. Give it
        /// to each of them. [default: false]
        #[arg(long, env = "POSTHASTE_STANDBY", num_args = 0..=1, default_missing_value = "true")]
        standby: bool,
    }
    default by command and mode: {
        /// Download a Postgres with npm where this machine has none: pinned to one version and its hash, and told first.
        /// [default: false; demo and replay: true]
        #[arg(long, env = "POSTHASTE_POSTGRES_DOWNLOAD", num_args = 0..=1, default_missing_value = "true")]
        postgres_download: bool = |fallback| fallback.tries_out,
    }
    optional: {
        /// The Postgres to use (postgres://…). Without it a private one is started from the machine's binaries.
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database_url: String,
        /// Directory with Postgres' binaries for the private one. [default: searched]
        #[arg(long, env = "POSTHASTE_POSTGRES_BIN")]
        postgres_bin: PathBuf,
    }
}

section! {
    /// Dispatch, and what it keeps.
    Dispatch from DispatchGiven;
    default in the example: {
        /// Write newest positions to Postgres this often, in seconds. [default: 3]
        #[arg(long, env = "POSTHASTE_CHECKPOINT_SECONDS")]
        checkpoint_seconds: u32,
        /// Keep drivers' tracks for this many days. [default: 30]
        #[arg(long, env = "POSTHASTE_TRACK_RETENTION_DAYS")]
        track_retention_days: u32,
        /// Keep whom to ask for at the stops of an order (name, telephone, address, note), its exact door and what people wrote
        /// about it for this many days after it is over. 0 is for ever. [default: 180]
        #[arg(long, env = "POSTHASTE_CONTACT_RETENTION_DAYS")]
        contact_retention_days: u32,
        /// Keep what was shown at hand-overs for this many days after the order is over. 0 is for ever. [default: 180]
        #[arg(long, env = "POSTHASTE_PROOF_RETENTION_DAYS")]
        proof_retention_days: u32,
        /// Let merchants make keys of the test world, where simulated drivers carry orders. Uses a schema `posthaste_test` and
        /// four more connections, from the first such key on. [default: true]
        #[arg(long, env = "POSTHASTE_TEST_WORLD", num_args = 0..=1, default_missing_value = "true")]
        test_world: bool,
    }
    default by command and mode: {}
    optional: {}
}

section! {
    /// Where webhooks may go.
    Webhooks from WebhooksGiven;
    default in the example: {}
    default by command and mode: {
        /// Let webhooks go to private and loopback addresses, and to any port. [default: false; in development true]
        #[arg(long, env = "POSTHASTE_WEBHOOK_PRIVATE_ADDRESSES", num_args = 0..=1, default_missing_value = "true")]
        webhook_private_addresses: bool = |fallback| fallback.mode == Mode::Development,
        /// Let webhooks go over http beside https. [default: false; in development true]
        #[arg(long, env = "POSTHASTE_WEBHOOK_PLAIN_HTTP", num_args = 0..=1, default_missing_value = "true")]
        webhook_plain_http: bool = |fallback| fallback.mode == Mode::Development,
    }
    optional: {}
}

section! {
    /// Who carries emails and texts.
    Notifications from NotificationsGiven;
    default in the example: {
        /// The sender of texts, with the interface of Twilio. [default: `https://api.twilio.com`]
        #[arg(long, env = "POSTHASTE_TWILIO_URL")]
        twilio_url: String,
    }
    default by command and mode: {}
    optional: {
        /// The mail server: smtps://user:password@host, or smtp://user:password@host:587?tls=required.
        #[arg(long, env = "POSTHASTE_SMTP_URL", hide_env_values = true)]
        smtp_url: String,
        /// The address that emails come from, as in `posthaste <no-reply@example.org>`.
        #[arg(long, env = "POSTHASTE_MAIL_FROM")]
        mail_from: String,
        /// The account there. Without it no texts are sent.
        #[arg(long, env = "POSTHASTE_TWILIO_ACCOUNT")]
        twilio_account: String,
        /// Its secret.
        #[arg(long, env = "POSTHASTE_TWILIO_TOKEN", hide_env_values = true)]
        twilio_token: String,
        /// The number that texts come from, as in +4930123456.
        #[arg(long, env = "POSTHASTE_TWILIO_FROM")]
        twilio_from: String,
    }
}

section! {
    /// Who may come in.
    Identity from IdentityGiven;
    default in the example: {
        /// The OpenID provider. Another is for development. [default: `https://accounts.google.com`]
        #[arg(long, env = "POSTHASTE_GOOGLE_ISSUER")]
        google_issuer: String,
        /// How long an access token is good. [default: 10]
        #[arg(long, env = "POSTHASTE_ACCESS_TOKEN_MINUTES")]
        access_token_minutes: u32,
        /// How long a signing key signs before the next one takes over. [default: 30]
        #[arg(long, env = "POSTHASTE_SIGNING_KEY_DAYS")]
        signing_key_days: u32,
        /// Memory for hashing one password, in KiB. Less than the default is for tests. [default: 19456]
        #[arg(long, env = "POSTHASTE_PASSWORD_MEMORY_KIB")]
        password_memory_kib: u32,
        /// Keep entries of the audit log for this many days, at least 90. 0 is for ever. [default: 0]
        #[arg(long, env = "POSTHASTE_AUDIT_RETENTION_DAYS")]
        audit_retention_days: u32,
    }
    default by command and mode: {
        /// Admins work only with a second factor: without one they can but set it up. [default: true in production, false in
        /// development]
        #[arg(long, env = "POSTHASTE_ADMIN_SECOND_FACTOR", num_args = 0..=1, default_missing_value = "true")]
        admin_second_factor: bool = |fallback| fallback.mode == Mode::Production,
    }
    optional: {
        /// The client id of this server at Google. Without it nobody signs in with Google.
        #[arg(long, env = "POSTHASTE_GOOGLE_CLIENT_ID")]
        google_client_id: String,
        /// Its secret.
        #[arg(long, env = "POSTHASTE_GOOGLE_CLIENT_SECRET", hide_env_values = true)]
        google_client_secret: String,
    }
}
