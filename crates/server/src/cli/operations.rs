//! Arguments of the commands that look after an installation.

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
