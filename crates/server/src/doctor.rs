//! `posthaste doctor` and `posthaste serve --check`: what is wrong, before anything starts or while it runs. Nothing is
//! made, changed or started here.
//!
//! The first looks at an installation, whether a server runs or not. The second asks whether one could start now: that
//! another runs there is fine for the first and wrong for the second. [`Finding`] is what a check comes to.

mod database;
mod finding;
mod machine;
mod settings;

use std::path::Path;

use posthaste_postgres::beside::Seen;

use self::finding::{Finding, Findings};
use crate::Fatal;
use crate::cli::DoctorArgs;
use crate::configuration::{Configuration, ConfigurationError, Mode, Overrides};

/// For whom is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Somebody who wants to know how an installation is.
    HowItIs,
    /// Somebody who is about to start a server.
    MayStart,
}

/// `posthaste doctor`.
pub(crate) async fn doctor(args: DoctorArgs) -> Result<(), Fatal> {
    examine(args.overrides, Asked::HowItIs, args.json).await
}

/// Looks, shows what was found, and fails where something is wrong.
pub(crate) async fn examine(overrides: Overrides, asked: Asked, json: bool) -> Result<(), Fatal> {
    let file = overrides.config.clone();
    let findings = Findings::from(match overrides.resolve("", 1.0, Mode::Production) {
        Ok(configuration) => all(&configuration, file.as_deref(), asked).await,
        Err(error) => vec![unreadable(&error)],
    });
    if json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        print!("{}", findings.lines());
    }
    if findings.is_ok() {
        if !json {
            println!("{}", findings.sum());
        }
        return Ok(());
    }
    Err(findings.sum().into())
}

fn unreadable(error: &ConfigurationError) -> Finding {
    Finding::failed("configuration", crate::telemetry::chain(error))
}

async fn all(configuration: &Configuration, file: Option<&Path>, asked: Asked) -> Vec<Finding> {
    let mut findings = vec![settings::read(configuration, file)];
    findings.extend(settings::logs(configuration));
    findings.extend(file.and_then(machine::configuration_file));
    let runs = database::answers(configuration).await;
    findings.extend(machine::addresses(configuration, asked, runs));
    let seen = if configuration.database.database_url.is_none() {
        let (more, seen) = private(configuration, asked).await;
        findings.extend(more);
        seen
    } else {
        None
    };
    findings.extend(settings::token_key(configuration, seen.as_ref()));
    findings.extend(database::database(configuration, seen.as_ref(), asked).await);
    findings.extend(settings::ways_out(configuration));
    findings.push(machine::open_files(configuration));
    findings
}

/// The data directory and the private Postgres in it.
async fn private(configuration: &Configuration, asked: Asked) -> (Vec<Finding>, Option<Seen>) {
    let mut findings = machine::data_directory(configuration);
    let seen = match database::seen(configuration).await {
        Ok(seen) => seen,
        Err(finding) => {
            findings.push(finding);
            return (findings, None);
        }
    };
    findings.push(machine::owner(&seen, asked));
    findings.push(database::binaries(configuration, &seen).await);
    (findings, Some(seen))
}

#[cfg(test)]
mod tests {
    use posthaste_storage::testing::TestDatabase;

    use super::finding::State;
    use super::*;

    async fn found(overrides: Overrides, asked: Asked) -> Vec<Finding> {
        let configuration = overrides.resolve("", 1.0, Mode::Production).unwrap();
        all(&configuration, None, asked).await
    }

    fn state(findings: &[Finding], check: &str) -> Option<State> {
        findings.iter().filter(|finding| finding.check() == check).map(Finding::state).max()
    }

    fn on(url: &str, listen: std::net::SocketAddr) -> Overrides {
        Overrides::given(&format!(
            "database_url = '{url}'
            listen = '{listen}'
            token_key = 'a key for tests only, longer than thirty-two bytes'"
        ))
    }

    #[tokio::test]
    async fn a_sound_installation_has_nothing_wrong_and_is_not_changed() {
        let database = TestDatabase::new().await;
        let findings = found(on(&database.url, ([127, 0, 0, 1], 0).into()), Asked::MayStart).await;
        let wrong: Vec<_> = findings.iter().filter(|finding| finding.state() == State::Wrong).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        for check in ["configuration", "listen", "database", "migrations", "token key"] {
            assert_eq!(state(&findings, check), Some(State::Ok), "{check}: {findings:?}");
        }
        for check in ["mail", "admin"] {
            assert_eq!(state(&findings, check), Some(State::Warning), "{check}: {findings:?}");
        }
        let nothing = posthaste_storage::installation::standing(&database.pool, None).await.unwrap();
        assert_eq!(nothing, posthaste_storage::installation::Standing::Fresh);
    }

    #[tokio::test]
    async fn each_thing_that_is_wrong_is_found_by_its_name() {
        let database = TestDatabase::new().await;
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let wrong = on(&database.url, taken.local_addr().unwrap()).with(&format!(
            "metrics_listen = '{}'
            token_key = 'short'
            smtp_url = 'http://mail.example.org'
            mail_from = 'no-reply@example.org'
            log = '='",
            taken.local_addr().unwrap()
        ));
        let findings = found(wrong, Asked::MayStart).await;
        for check in ["listen", "metrics", "token key", "mail", "log"] {
            assert_eq!(state(&findings, check), Some(State::Wrong), "{check}: {findings:?}");
        }
        for (url, check) in [("postgres://127.0.0.1:1/nothing", "database"), ("mysql://localhost/x", "database")] {
            let findings = found(on(url, ([127, 0, 0, 1], 0).into()), Asked::HowItIs).await;
            assert_eq!(state(&findings, check), Some(State::Wrong), "{url}: {findings:?}");
        }
        let without = Overrides::given(&format!("database_url = '{}'\nlisten = '127.0.0.1:0'", database.url));
        assert_eq!(state(&found(without, Asked::MayStart).await, "token key"), Some(State::Wrong));
    }

    #[tokio::test]
    async fn a_data_directory_that_is_none_is_wrong_and_one_that_is_not_there_yet_is_not_made() {
        let place = std::env::temp_dir().join(format!("posthaste-doctor-{}", std::process::id()));
        std::fs::write(&place, "a file").unwrap();
        let given = || Overrides::given(&format!("data_dir = '{}'\nlisten = '127.0.0.1:0'", place.display()));
        let wrong = given();
        assert_eq!(state(&found(wrong, Asked::MayStart).await, "data directory"), Some(State::Wrong));
        std::fs::remove_file(&place).unwrap();
        let findings = found(given(), Asked::MayStart).await;
        assert_eq!(state(&findings, "data directory"), Some(State::Ok), "{findings:?}");
        assert!(!place.exists(), "nothing is made");
    }
}
