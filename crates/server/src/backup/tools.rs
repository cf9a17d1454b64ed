//! Postgres' own programs for backups: where they are, and how they are run.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::Stdio;

use posthaste_postgres::beside;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::address::Address;
use crate::Fatal;
use crate::configuration::Configuration;

/// Lines of what a program said that an error quotes.
const QUOTED: usize = 5;

/// A program of Postgres'.
#[derive(Debug, Clone)]
pub(super) struct Tool {
    name: &'static str,
    program: PathBuf,
    /// The major version of Postgres that it is good for, at least.
    pub(super) major: u32,
}

impl Tool {
    /// The program for a Postgres of this major version: beside the configured binaries, or anywhere on the machine.
    pub(super) async fn find(name: &'static str, configuration: &Configuration, major: u32) -> Result<Self, Fatal> {
        let configured = configuration.database.postgres_bin.clone();
        let beside = match configured {
            Some(directory) => beside::tool(name, Some(directory), major).await?,
            None => None,
        };
        let program = match beside {
            Some(program) => Some(program),
            None => beside::tool(name, None, major).await?,
        };
        program.map(|program| Self { name, program, major }).ok_or_else(|| {
            let version = if major > 0 { format!(" of version {major} or newer") } else { String::new() };
            let package = if major > 0 { format!("postgresql-client-{major}") } else { "postgresql-client".to_owned() };
            format!(
                "no `{name}`{version} was found: install Postgres\' client programs (`apt install {package}` on Debian or \
                 Ubuntu, `dnf install postgresql`, `brew install libpq`), or name their directory with --postgres-bin \
                 (POSTHASTE_POSTGRES_BIN)"
            )
            .into()
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // What is in the environment for other programs is not meant for this one.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs it, and gives what it wrote.
    pub(super) async fn output(&self, arguments: &[&str]) -> Result<String, Fatal> {
        let output = self.command(arguments).output().await.map_err(|error| self.not_run(&error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("{}: {}", self.name, String::from_utf8_lossy(&output.stderr).trim()).into())
    }

    /// Runs it on a database, and shows how far it is.
    pub(super) async fn run(&self, arguments: &[&str], on: Option<&Address>, doing: &str) -> Result<(), Fatal> {
        let mut command = self.command(arguments);
        if let Some(address) = on {
            command.arg("--dbname").arg(&address.url).env("PGAPPNAME", "posthaste");
            if let Some(password) = &address.password {
                command.env("PGPASSWORD", password);
            }
        }
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(|error| self.not_run(&error))?;
        let (mut last, mut progress) = (VecDeque::new(), Progress::new(doing));
        if let Some(stderr) = child.stderr.take() {
            let mut lines = BufReader::new(stderr).lines();
            while let Some(line) = lines.next_line().await? {
                match table(&line) {
                    Some(table) => progress.show(table),
                    None if line.contains("error:") || line.contains("detail:") => last.push_back(line),
                    None => {}
                }
                if last.len() > QUOTED {
                    last.pop_front();
                }
            }
        }
        let status = child.wait().await?;
        progress.end();
        if status.success() {
            return Ok(());
        }
        let said: Vec<_> = last.into_iter().collect();
        Err(format!("{} ended with {status}: {}", self.name, said.join("; ")).into())
    }

    fn not_run(&self, error: &std::io::Error) -> Fatal {
        format!("{} cannot be run: {error}", self.program.display()).into()
    }
}

/// The table whose data a line of these programs is about.
fn table(line: &str) -> Option<&str> {
    let (_, rest) =
        line.split_once("dumping contents of table ").or_else(|| line.split_once("processing data for table "))?;
    Some(rest.trim().trim_matches('"'))
}

/// What is being done, on one line of a terminal, or line by line elsewhere.
struct Progress {
    doing: String,
    count: usize,
    rewrites: bool,
}

impl Progress {
    fn new(doing: &str) -> Self {
        Self { doing: doing.to_owned(), count: 0, rewrites: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, table: &str) {
        self.count += 1;
        if self.rewrites {
            eprint!("\r\x1b[2K{} {} ({})", self.doing, table, self.count);
        } else {
            eprintln!("{} {table}", self.doing);
        }
    }

    fn end(&self) {
        if self.rewrites && self.count > 0 {
            eprint!("\r\x1b[2K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_say_which_table_they_are_at() {
        assert_eq!(table("pg_dump: dumping contents of table \"public.orders\""), Some("public.orders"));
        assert_eq!(table("pg_restore: processing data for table \"public.orders\""), Some("public.orders"));
        assert_eq!(table("pg_dump: reading schemas"), None);
    }
}
