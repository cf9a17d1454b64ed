//! Arguments of the commands that look after an installation.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use crate::configuration::Overrides;

/// Looks at an installation.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// For programs, as JSON: {"ok", "findings": [{"check", "state", "says", "mend"}]}.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Brings the database up to date.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Say what would run, how long it takes and what it locks, and change nothing.
    #[arg(long)]
    pub(crate) check: bool,
    /// With --check: no statement runs longer, and nothing waits longer for what it locks.
    #[arg(long, requires = "check", value_name = "TIME", value_parser = super::duration, default_value = "10s")]
    pub(crate) at_most: std::time::Duration,
    /// For programs, as JSON: {"pending": [{"migration", "about", "outcome", "milliseconds", "locks"}]}, for each world.
    #[arg(long, requires = "check")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Asks a server how it is.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Where it is. [default: where the configuration says that it listens]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Saves the database.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write; it must not be there yet.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Fills the database.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// A file that `backup` (or `pg_dump --format=custom`) has written.
    pub(crate) file: PathBuf,
    /// Remove what is in the database first, for good.
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Says that a database is the real one.
#[derive(Debug, Args)]
pub(crate) struct GoLiveArgs {
    /// What waited in the copy is sent.
    #[arg(long, conflicts_with = "discard_held")]
    pub(crate) send_held: bool,
    /// What waited in the copy is not sent: webhooks are set aside, emails and texts given up.
    #[arg(long)]
    pub(crate) discard_held: bool,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// Runs stand-ins.
#[derive(Debug, Args)]
pub(crate) struct StandInsArgs {
    /// The address of this machine to listen on. Whoever reaches it reads what was sent.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) listen: IpAddr,
    /// The mail server's port; 0 for a free one.
    #[arg(long, default_value_t = 2525)]
    pub(crate) smtp_port: u16,
    /// The port of the sender of texts, of /messages and /rules; 0 for a free one.
    #[arg(long, default_value_t = 2580)]
    pub(crate) http_port: u16,
}
