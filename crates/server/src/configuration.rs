//! Configuration: defaults, then a file, then files of secrets and the environment, then flags; the later wins. A setting is a line in its section
//! (`sections`), one in `posthaste.example.toml`, which is where defaults stand, and one in `docs/operations.md`.

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
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

mod secrets;
mod sections;

pub(crate) use secrets::names as secret_files;
use sections::Fallback;
pub(crate) use sections::{
    Database, DatabaseGiven, Dispatch, DispatchGiven, Identity, IdentityGiven, Notifications, NotificationsGiven,
    Program, ProgramGiven, Serving, ServingGiven, Webhooks, WebhooksGiven,
};

/// The defaults: the file that shows every setting.
const EXAMPLE: &str = include_str!("../../../posthaste.example.toml");
/// The names of all settings, by section.
const SECTIONS: [&[&str]; 7] = [
    ServingGiven::NAMES,
    ProgramGiven::NAMES,
    DatabaseGiven::NAMES,
    DispatchGiven::NAMES,
    WebhooksGiven::NAMES,
    NotificationsGiven::NAMES,
    IdentityGiven::NAMES,
];
/// The database refuses to remove younger entries of the audit log.
const LEAST_AUDIT_DAYS: u32 = 90;

/// What flags and environment say. Everything is optional; `posthaste.example.toml` shows the same names in a file.
#[derive(Clone, Default, Args)]
pub(crate) struct Overrides {
    /// A configuration file (TOML), with the names of these flags, `-` written as `_`.
    #[arg(long, env = "POSTHASTE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where and how the server is reached, and what it bears.
    #[command(flatten)]
    pub(crate) serving: ServingGiven,
    /// The program itself: where its data are, its secret, its clock, its log and its figures.
    #[command(flatten)]
    pub(crate) program: ProgramGiven,
    /// The database, and whether it is the real one.
    #[command(flatten)]
    pub(crate) database: DatabaseGiven,
    /// Dispatch, and what it keeps.
    #[command(flatten)]
    pub(crate) dispatch: DispatchGiven,
    /// Where webhooks may go.
    #[command(flatten)]
    pub(crate) webhooks: WebhooksGiven,
    /// Who carries emails and texts.
    #[command(flatten)]
    pub(crate) notifications: NotificationsGiven,
    /// Who may come in.
    #[command(flatten)]
    pub(crate) identity: IdentityGiven,
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

/// The configuration in force, a section for each part of the program.
#[derive(Clone)]
pub(crate) struct Configuration {
    /// Where and how the server is reached, and what it bears.
    pub(crate) serving: Serving,
    /// The program itself: where its data are, its secret, its clock, its log and its figures.
    pub(crate) program: Program,
    /// The database, and whether it is the real one.
    pub(crate) database: Database,
    /// Dispatch, and what it keeps.
    pub(crate) dispatch: Dispatch,
    /// Where webhooks may go.
    pub(crate) webhooks: Webhooks,
    /// Who carries emails and texts.
    pub(crate) notifications: Notifications,
    /// Who may come in.
    pub(crate) identity: Identity,
    /// Networks of one's own proxies: `trusted_proxies`, read.
    pub(crate) proxies: Vec<Network>,
    /// Origins whose pages may use the API: `cors_origins`, read.
    pub(crate) origins: Vec<Origin>,
    /// Who sends texts, where an account is named.
    pub(crate) twilio: Option<TwilioSettings>,
    /// How people sign in with Google, where a client is named.
    pub(crate) google: Option<GoogleSettings>,
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
    /// A file with a secret cannot be used.
    #[error("{name} {problem}")]
    Secret {
        /// The variable that names it.
        name: String,
        /// What is wrong with it.
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

impl ConfigurationError {
    /// The example file, which holds the defaults, does not say it. A test reads all of it.
    fn without_default(name: &'static str) -> Self {
        Self::Value { name, problem: "has no default in the example file".to_owned() }
    }
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
        let all = self
            .or(secrets::read(|name| std::env::var_os(name))?)
            .or(file)
            .or(parse(EXAMPLE, Path::new("posthaste.example.toml"))?);
        let tries_out = mode == Mode::Development;
        let mode = all.serving.mode.unwrap_or(mode);
        let fallback = Fallback { subdirectory, clock_speed, tries_out, mode };
        let (notifications, identity) = (all.notifications.settle(&fallback)?, all.identity.settle(&fallback)?);
        let serving = all.serving.settle(&fallback)?;
        let origins = each("cors_origins", &serving.cors_origins)?;
        let mut configuration = Configuration {
            proxies: each("trusted_proxies", &serving.trusted_proxies)?,
            twilio: twilio(&notifications)?,
            google: google(&identity, serving.public_url.as_deref(), &origins, mode)?,
            origins,
            serving,
            program: all.program.settle(&fallback)?,
            database: all.database.settle(&fallback)?,
            dispatch: all.dispatch.settle(&fallback)?,
            webhooks: all.webhooks.settle(&fallback)?,
            notifications,
            identity,
        };
        // Left empty is left out.
        for text in [
            &mut configuration.database.database_url,
            &mut configuration.program.otlp_endpoint,
            &mut configuration.notifications.smtp_url,
        ] {
            *text = text.take().filter(|text| !text.is_empty());
        }
        configuration.check()?;
        Ok(configuration)
    }

    /// What is said here, or else there.
    fn or(self, other: Self) -> Self {
        Self {
            config: self.config.or(other.config),
            serving: self.serving.or(other.serving),
            program: self.program.or(other.program),
            database: self.database.or(other.database),
            dispatch: self.dispatch.or(other.dispatch),
            webhooks: self.webhooks.or(other.webhooks),
            notifications: self.notifications.or(other.notifications),
            identity: self.identity.or(other.identity),
        }
    }
}

#[cfg(test)]
impl Overrides {
    /// As if this were said in a file.
    pub(crate) fn given(text: &str) -> Self {
        parse(text, Path::new("given")).unwrap()
    }

    /// The same, with what is said here before that.
    pub(crate) fn with(self, text: &str) -> Self {
        Self::given(text).or(self)
    }
}

/// Whom texts are sent by, where an account is named.
fn twilio(given: &Notifications) -> Result<Option<TwilioSettings>, ConfigurationError> {
    let needed = |name: &'static str, value: &Option<String>| {
        let problem = "is needed with twilio_account".to_owned();
        value.clone().ok_or(ConfigurationError::Value { name, problem })
    };
    let Some(account) = given.twilio_account.clone() else { return Ok(None) };
    let token = needed("twilio_token", &given.twilio_token)?;
    let from = needed("twilio_from", &given.twilio_from)?;
    Ok(Some(TwilioSettings { url: given.twilio_url.clone(), account, token, from }))
}

/// How people sign in with Google, where a client is named. Pages of `origins` may be gone back to.
fn google(
    given: &Identity,
    public_url: Option<&str>,
    origins: &[Origin],
    mode: Mode,
) -> Result<Option<GoogleSettings>, ConfigurationError> {
    let said = |value: Option<&str>| value.filter(|value| !value.is_empty()).map(str::to_owned);
    let needed = |name, value: Option<&str>| {
        let problem = "is needed with google_client_id".to_owned();
        said(value).ok_or(ConfigurationError::Value { name, problem })
    };
    let Some(id) = said(given.google_client_id.as_deref()) else { return Ok(None) };
    let secret = needed("google_client_secret", given.google_client_secret.as_deref())?;
    let public_url = needed("public_url", public_url)?;
    let issuer = said(Some(&given.google_issuer)).unwrap_or_else(|| posthaste_identity::GOOGLE.to_owned());
    let origins: Vec<String> = origins.iter().map(|origin| origin.as_str().to_owned()).collect();
    let plain_http = mode == Mode::Development;
    GoogleSettings::new(&id, secret.into(), &issuer, &public_url, &origins, plain_http)
        .map(Some)
        .map_err(|wrong| ConfigurationError::Value { name: wrong.name, problem: wrong.problem })
}

impl Configuration {
    /// Whether nobody but who builds and tries may come near.
    pub(crate) fn is_development(&self) -> bool {
        self.serving.mode == Mode::Development
    }

    /// The same for a command that logs no more than this.
    pub(crate) fn logging(&self, log: &str) -> Self {
        let program = Program { log: log.to_owned(), ..self.program.clone() };
        Self { program, ..self.clone() }
    }

    fn check(&self) -> Result<(), ConfigurationError> {
        let between = |name, given: u32, least, most| {
            let problem = format!("must lie between {least} and {most}, got {given}");
            if (least..=most).contains(&given) { Ok(()) } else { Err(ConfigurationError::Value { name, problem }) }
        };
        Clock::at_speed(self.program.clock_speed, None).map_err(|error| {
            let problem = format!("is wrong: {error}");
            ConfigurationError::Value { name: "clock_speed", problem }
        })?;
        between("database_connections", self.database.database_connections, 4, 1000)?;
        if self.database.standby && self.database.database_url.is_none() {
            let problem = "needs database_url: a private Postgres is one server's".to_owned();
            return Err(ConfigurationError::Value { name: "standby", problem });
        }
        between("checkpoint_seconds", self.dispatch.checkpoint_seconds, 1, 300)?;
        between("track_retention_days", self.dispatch.track_retention_days, 1, 3650)?;
        between("contact_retention_days", self.dispatch.contact_retention_days, 0, 36_500)?;
        between("proof_retention_days", self.dispatch.proof_retention_days, 0, 36_500)?;
        if self.identity.audit_retention_days > 0 {
            between("audit_retention_days", self.identity.audit_retention_days, LEAST_AUDIT_DAYS, 36_500)?;
        }
        between("access_token_minutes", self.identity.access_token_minutes, 1, 60)?;
        between("signing_key_days", self.identity.signing_key_days, 1, 365)?;
        between("password_memory_kib", self.identity.password_memory_kib, 8, 1024 * 1024)?;
        if self.notifications.smtp_url.is_some() && self.notifications.mail_from.is_none() {
            let problem = "is needed with smtp_url".to_owned();
            return Err(ConfigurationError::Value { name: "mail_from", problem });
        }
        Ok(())
    }
}

/// Every item of a list, or which of them is wrong.
fn each<T: FromStr<Err: Display>>(name: &'static str, list: &[String]) -> Result<Vec<T>, ConfigurationError> {
    let items = list.iter().filter(|item| !item.trim().is_empty());
    let wrong = |error: T::Err| ConfigurationError::Value { name, problem: format!("is wrong: {error}") };
    items.map(|item| item.trim().parse().map_err(wrong)).collect()
}

fn read(path: &Path) -> Result<Overrides, ConfigurationError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigurationError::Unreadable { path: path.to_owned(), source })?;
    parse(&text, path)
}

/// What a file says, each section by itself: names that no section knows are refused first.
fn parse(text: &str, path: &Path) -> Result<Overrides, ConfigurationError> {
    fn section<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigurationError> {
        toml::from_str(text).map_err(|error| wrong(path, &error.to_string()))
    }
    let all: toml::Table = section(text, path)?;
    let known = || SECTIONS.iter().copied().flatten().copied();
    if let Some(name) = all.keys().find(|name| known().all(|known| known != *name)) {
        let likeness = |known: &str| strsim::jaro_winkler(known, name);
        let nearest = known().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default();
        return Err(wrong(path, &format!("{name} is no setting: is {nearest} meant?")));
    }
    Ok(Overrides {
        config: None,
        serving: section(text, path)?,
        program: section(text, path)?,
        database: section(text, path)?,
        dispatch: section(text, path)?,
        webhooks: section(text, path)?,
        notifications: section(text, path)?,
        identity: section(text, path)?,
    })
}

fn wrong(path: &Path, problem: &str) -> ConfigurationError {
    ConfigurationError::Wrong { path: path.to_owned(), problem: plain(problem) }
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
