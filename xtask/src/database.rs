//! `cargo xtask db`: a private Postgres to try things on; and the one that other tasks work with.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::task::Poll;

use clap::Args;
use posthaste_postgres::{Download, EmbeddedOptions, EmbeddedPostgres, beside};
use tokio::signal::unix::{SignalKind, signal};

use crate::files::Temporary;
use crate::workspace::{Outcome, chain, program, root, typed};

/// Start a private Postgres, say where it is, and open psql on it. It stops with psql, or at Ctrl-C.
///
/// It listens on no port, only on a socket of its own. Without --dir nothing is left of it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask db --migrate                 an empty database of today's schema, to try a query on
  cargo xtask db --dir target/db           one that is there again next time
  cargo xtask db --no-psql                 for a program: DATABASE_URL is on the standard output")]
pub(crate) struct Options {
    /// Keep its files in this directory. [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Run the files of migrations/ in a database that has none. It is for psql then: a server migrates its own, and notes
    /// which.
    #[arg(long)]
    migrate: bool,
    /// Do not open psql.
    #[arg(long)]
    no_psql: bool,
}

/// Runs a private Postgres for as long as `work` takes. A Ctrl-C ends `work` or what that waits for, never this program
/// before the server is stopped and its files are gone.
pub(crate) fn with_postgres<T>(
    dir: Option<&Path>,
    work: impl AsyncFnOnce(&EmbeddedPostgres) -> Outcome<T>,
) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let temporary = if dir.is_none() { Some(Temporary::new("postgres")?) } else { None };
    let data_dir = dir.or(temporary.as_ref().map(|place| place.0.as_path())).ok_or("no place")?.join("postgres");
    runtime.block_on(async {
        // Whoever listens once for a signal is not ended by it any more.
        let _listening = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let settings = [("shared_buffers", "64MB"), ("min_wal_size", "32MB"), ("max_wal_size", "256MB")];
        let server = EmbeddedPostgres::start(EmbeddedOptions {
            durable: dir.is_some(),
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            download: Download::aloud(),
            ..EmbeddedOptions::new(data_dir)
        })
        .await?;
        let worked = work(&server).await;
        let home = server.home().to_owned();
        server.stop().await?;
        if dir.is_none() {
            let _ = fs::remove_dir_all(home);
        }
        worked
    })
}

/// Waits until somebody wants an end of this, by one of these signals.
async fn told_to_end<const N: usize>(signals: [SignalKind; N]) -> Outcome {
    let mut listening = signals.into_iter().map(signal).collect::<Result<Vec<_>, _>>()?;
    std::future::poll_fn(|context| {
        let told = listening.iter_mut().any(|one| one.poll_recv(context).is_ready());
        if told { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    Ok(())
}

/// Runs a program to its end, which is also there when somebody wants one.
pub(crate) async fn run_to_its_end(command: Command) -> Outcome {
    let words = typed(&command);
    let mut running = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
    tokio::select! {
        status = running.wait() => match status? {
            status if status.success() => Ok(()),
            status => Err(format!("`{words}` failed ({status})").into()),
        },
        told = told_to_end([SignalKind::interrupt(), SignalKind::terminate()]) => {
            told?;
            Err("interrupted".into())
        }
    }
}

/// Runs the files of `migrations/` in their order, each as a whole or not at all.
pub(crate) async fn migrate(server: &EmbeddedPostgres) -> Outcome {
    for file in migrations(&root().join("migrations"))? {
        let ran = server.run(fs::read_to_string(&file)?).await;
        ran.map_err(|error| format!("{}: {}", file.display(), chain(&error)))?;
    }
    Ok(())
}

/// The files of migrations, in their order.
fn migrations(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
    // Their names begin with a number of four digits.
    files.sort();
    if files.is_empty() { Err(format!("no migrations in {}", directory.display()).into()) } else { Ok(files) }
}

pub(crate) fn run(options: &Options) -> Outcome {
    with_postgres(options.dir.as_deref(), async |server| {
        if options.migrate {
            migrate(server).await?;
        }
        println!("DATABASE_URL={}", server.url());
        let psql = if options.no_psql || !std::io::stdin().is_terminal() {
            None
        } else {
            beside::tool("psql", None, 0).await?
        };
        let Some(psql) = psql else {
            eprintln!("Ctrl-C stops it.");
            return told_to_end([SignalKind::interrupt(), SignalKind::terminate()]).await;
        };
        // A Ctrl-C is psql's: it breaks off a statement.
        let mut psql = tokio::process::Command::from(program(psql)).arg(server.url()).kill_on_drop(true).spawn()?;
        tokio::select! {
            ended = psql.wait() => Ok(ended.map(drop)?),
            told = told_to_end([SignalKind::terminate()]) => told,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_come_in_the_order_of_their_numbers() {
        let files = migrations(&root().join("migrations")).unwrap();
        let numbers: Vec<u32> = files
            .iter()
            .map(|file| file.file_name().unwrap().to_str().unwrap().split_once('_').unwrap().0.parse().unwrap())
            .collect();
        assert!(numbers.is_sorted() && numbers.first() == Some(&1), "{numbers:?}");
    }

    #[test]
    fn a_database_gets_the_migrations_and_goes_without_a_trace() {
        let home = with_postgres(None, async |server| {
            migrate(server).await?;
            server.run("INSERT INTO clock_checkpoint DEFAULT VALUES").await.unwrap_err();
            server.run("SELECT id, version, state FROM orders").await?;
            Ok(server.home().to_owned())
        });
        assert!(!home.unwrap().exists());
    }

    #[test]
    fn a_statement_that_is_refused_ends_the_work_and_the_server() {
        let refused = with_postgres(None, async |server| {
            server.run("SELECT 1 FROM nowhere").await?;
            Ok(())
        });
        let refused = chain(&*refused.unwrap_err());
        assert!(refused.contains("\"nowhere\" does not exist"), "{refused}");
    }
}
