//! `posthaste backup` and `posthaste restore`: Postgres' own programs, with the checks that one forgets at night.

mod address;
mod archive;
mod tools;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Instant;

use posthaste_live::stopping::Leave;
use posthaste_storage::installation;
use posthaste_storage::pool;
use posthaste_storage::restoring::{Target, unknown_migrations};
use posthaste_storage::sealed::Seal;
use posthaste_testworld::SCHEMA;

use self::address::Address;
use self::archive::Contents;
use self::tools::Tool;
use crate::cli::{BackupArgs, RestoreArgs};
use crate::configuration::{Configuration, Mode};
use crate::database::{Reached, explained};
use crate::{Fatal, copies, telemetry, token_key};

/// Where the program's tables are.
const SCHEMAS: [&str; 2] = ["public", SCHEMA];

/// Saves the database into a file.
pub(crate) async fn backup(args: BackupArgs) -> Result<(), Fatal> {
    let configuration = configured(args.overrides)?;
    if args.file.exists() {
        return Err(format!("{} exists already: name another file", args.file.display()).into());
    }
    let reached = Reached::beside(&configuration).await?;
    let saved = save(&configuration, &reached, &args.file).await;
    reached.leave(&Leave::InOrder.budget()).await?;
    for line in saved? {
        eprintln!("{line}");
    }
    Ok(())
}

fn configured(overrides: crate::configuration::Overrides) -> Result<Configuration, Fatal> {
    let configuration = overrides.resolve("", 1.0, Mode::Production)?;
    telemetry::to_stderr(&configuration.logging("error"))?;
    Ok(configuration)
}

async fn save(configuration: &Configuration, reached: &Reached, file: &Path) -> Result<Vec<String>, Fatal> {
    let began = Instant::now();
    let mut target = Target::connect(&reached.url).await.map_err(|error| explained(configuration, &error))?;
    if target.tables(&SCHEMAS).await? == 0 {
        return Err("there is nothing to save: no server has run on this database".into());
    }
    let tool = Tool::find("pg_dump", configuration, target.major_version().await?).await?;
    target.close().await;
    let draft = Draft::new(file)?;
    let draft_path = draft.path.display().to_string();
    let dump = ["--format=custom", "--no-owner", "--no-privileges", "--verbose", "--file", &draft_path];
    tool.run(&dump, Some(&Address::parse(&reached.url)?), "saving").await?;
    // Read back: what cannot be read is no backup.
    let contents = Contents::of(&Tool::find("pg_restore", configuration, tool.major).await?, &draft.path).await?;
    let bytes = draft.keep(file)?;
    let key = match &configuration.program.token_key {
        Some(_) => "the token key that is configured (token_key)".to_owned(),
        None => token_key::file(configuration).display().to_string(),
    };
    Ok(vec![
        format!(
            "{}: {}, {} tables, in {:.1} s",
            file.display(),
            size(bytes),
            contents.tables,
            began.elapsed().as_secs_f64()
        ),
        format!("Not in it: {key}. Keep that apart: without it sealed values, tokens and links are lost."),
    ])
}

/// A file that gets its name when it is whole. For its owner alone: there are people in it.
struct Draft {
    path: PathBuf,
}

impl Draft {
    fn new(file: &Path) -> Result<Self, Fatal> {
        let mut name = file.as_os_str().to_owned();
        name.push(".partial");
        let path = PathBuf::from(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        Ok(Self { path })
    }

    /// Gives it its name; how large it is.
    fn keep(self, file: &Path) -> Result<u64, Fatal> {
        let bytes = std::fs::metadata(&self.path)?.len();
        std::fs::rename(&self.path, file)?;
        Ok(bytes)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Fills the database from a file.
pub(crate) async fn restore(args: RestoreArgs) -> Result<(), Fatal> {
    let configuration = configured(args.overrides)?;
    if !args.file.is_file() {
        return Err(format!("{} is no file", args.file.display()).into());
    }
    // The file first: what cannot be read or is of a newer program changes nothing.
    let tool = Tool::find("pg_restore", &configuration, 0).await?;
    let contents = Contents::of(&tool, &args.file).await?;
    if let Some(newer) = unknown_migrations(&contents.migrations).last() {
        return Err(format!(
            "{} was made by a newer posthaste (its migration {newer} is not known to this one): restore it with that \
             version. Nothing was changed",
            args.file.display()
        )
        .into());
    }
    let reached = Reached::alone(&configuration).await?;
    let restored = fill(&configuration, &reached, &args.file, args.replace, &contents).await;
    reached.leave(&Leave::InOrder.budget()).await?;
    for line in restored? {
        eprintln!("{line}");
    }
    Ok(())
}

async fn fill(
    configuration: &Configuration,
    reached: &Reached,
    file: &Path,
    replace: bool,
    contents: &Contents,
) -> Result<Vec<String>, Fatal> {
    let began = Instant::now();
    let mut target = Target::connect(&reached.url).await.map_err(|error| explained(configuration, &error))?;
    let major = target.major_version().await?;
    if contents.major.is_some_and(|from| from > major) {
        tracing::warn!(from = contents.major, to = major, "the backup is of a newer Postgres");
    }
    let tool = Tool::find("pg_restore", configuration, major).await?;
    if target.keep_servers_out().await.is_err() {
        return Err("a server runs on this database: stop it first. Nothing was changed".into());
    }
    let tables = target.tables(&SCHEMAS).await?;
    if tables > 0 && !replace {
        return Err(format!(
            "this database is not empty ({tables} tables): with --replace all that is in the schemas {} is removed for \
             good, and the backup takes its place. Nothing was changed",
            SCHEMAS.join(" and ")
        )
        .into());
    }
    if tables > 0 {
        target.clear().await?;
    }
    let list = contents.write_list(file)?;
    let (list_path, path) = (list.path.display().to_string(), file.display().to_string());
    let options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", "--verbose"];
    let arguments = [&options[..], &["--use-list", &list_path, &path]].concat();
    let done = tool.run(&arguments, Some(&Address::parse(&reached.url)?), "restoring").await;
    done.map_err(|error| format!("{error}\nNothing of the backup was kept: the database is empty now"))?;
    let connections = pool::connect(&reached.url, 2).await?;
    let settled = settle(configuration, &connections).await;
    connections.close().await;
    target.close().await;
    let mut lines = vec![
        format!("{} tables of {}, in {:.1} s", contents.tables, contents.made_at, began.elapsed().as_secs_f64()),
        format!(
            "It is a copy until somebody says otherwise: a server on it works, and holds webhooks, emails and texts. Say \
             that it is the real one with {}.",
            copies::HOW
        ),
    ];
    lines.extend(settled?);
    Ok(lines)
}

/// Brings what was restored up to date, as a copy. What is to be said about its token key.
async fn settle(configuration: &Configuration, connections: &pool::Pool) -> Result<Option<String>, Fatal> {
    pool::migrate(connections).await?;
    installation::mark_as_copy(connections).await?;
    let opens = match token_key::known(configuration)? {
        Some(secret) => posthaste_identity::signing_keys::opens(connections, &Seal::new(secret.as_bytes())).await?,
        None => Some(false),
    };
    Ok((opens == Some(false)).then(|| {
        format!(
            "It needs the token key that it was made with: as {} or as token_key (POSTHASTE_TOKEN_KEY).",
            token_key::file(configuration).display()
        )
    }))
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 1.0 { format!("{} kB", bytes.div_ceil(1000)) } else { format!("{megabytes:.1} MB") }
}
