//! Names in the environment that look like settings and are none: a letter left out must not be a setting left out.

use std::collections::BTreeSet;

use clap::CommandFactory;

use crate::Fatal;
use crate::cli::Cli;

/// What the program's own names begin with.
const PREFIX: &str = "POSTHASTE_";
/// What images are built with: the program's own are of another time than its start.
const BUILD: &str = "POSTHASTE_BUILD_";

/// Refuses names that no command knows.
pub(crate) fn check() -> Result<(), Fatal> {
    let given = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    match unknown(given, &known()).as_slice() {
        [] => Ok(()),
        wrong => Err(wrong.join("; ").into()),
    }
}

/// The names that some command reads: those of its arguments, so that there is no second list.
fn known() -> BTreeSet<String> {
    fn add(command: &clap::Command, names: &mut BTreeSet<String>) {
        let own = command.get_arguments().filter_map(clap::Arg::get_env);
        names.extend(own.map(|name| name.to_string_lossy().into_owned()));
        command.get_subcommands().for_each(|command| add(command, names));
    }
    let mut names = BTreeSet::new();
    add(&Cli::command(), &mut names);
    names.extend(crate::configuration::secret_files());
    names
}

/// What is wrong with each name that is not known, with the nearest that is.
fn unknown(given: impl Iterator<Item = String>, known: &BTreeSet<String>) -> Vec<String> {
    let mut wrong: Vec<_> =
        given.filter(|name| name.starts_with(PREFIX) && !known.contains(name) && !is_of_others(name)).collect();
    wrong.sort_unstable();
    wrong.into_iter().map(|name| said(&name, known)).collect()
}

fn said(name: &str, known: &BTreeSet<String>) -> String {
    let own = |name: &str| name.strip_prefix(PREFIX).map(str::to_owned);
    let likeness = |known: &str| strsim::jaro_winkler(known, name.trim_start_matches(PREFIX));
    let nearest = known.iter().filter_map(|known| own(known)).max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let meant = nearest.map(|nearest| format!(": is {PREFIX}{nearest} meant?")).unwrap_or_default();
    format!("the environment has {name}, which is no setting{meant}")
}

/// What builds of images and platforms that run containers put beside settings.
fn is_of_others(name: &str) -> bool {
    name.starts_with(BUILD)
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.contains("_PORT_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(names: &[&str]) -> Vec<String> {
        unknown(names.iter().map(|name| (*name).to_owned()), &known())
    }

    #[test]
    fn a_name_that_is_nearly_one_is_refused_with_the_one_that_is_meant() {
        for (name, meant) in [
            ("POSTHASTE_LISTN", "POSTHASTE_LISTEN"),
            ("POSTHASTE_TOKENKEY", "POSTHASTE_TOKEN_KEY"),
            ("POSTHASTE_SMTP", "POSTHASTE_SMTP_URL"),
            ("POSTHASTE_DATADIR", "POSTHASTE_DATA_DIR"),
        ] {
            let said = wrong(&[name]);
            assert!(said.len() == 1 && said[0].contains(name) && said[0].contains(&format!("is {meant} ")), "{said:?}");
        }
        assert_eq!(wrong(&["POSTHASTE_B", "HOME", "POSTHASTE_A"]).len(), 2, "all of them at once");
    }

    #[test]
    fn settings_and_what_others_put_there_are_taken() {
        let known: Vec<_> = known().into_iter().collect();
        assert!(known.len() > 30 && known.contains(&"POSTHASTE_TOKEN".to_owned()), "{known:?}");
        assert_eq!(wrong(&known.iter().map(String::as_str).collect::<Vec<_>>()), Vec::<String>::new());
        // A service that is called posthaste, and one that is called posthaste-db.
        let platforms = [
            "POSTHASTE_SERVICE_HOST",
            "POSTHASTE_SERVICE_PORT",
            "POSTHASTE_SERVICE_PORT_HTTP",
            "POSTHASTE_PORT",
            "POSTHASTE_PORT_8080_TCP",
            "POSTHASTE_PORT_8080_TCP_ADDR",
            "POSTHASTE_DB_SERVICE_HOST",
            "POSTHASTE_DB_PORT_5432_TCP_PROTO",
            "POSTHASTE_BUILD_COMMIT",
        ];
        assert_eq!(wrong(&platforms), Vec::<String>::new());
    }

    /// What is excused as somebody else's must be no setting's own name: its misspellings would be excused too.
    #[test]
    fn no_setting_is_named_like_what_others_put_there() {
        let named: Vec<_> = known().into_iter().filter(|name| is_of_others(name)).collect();
        assert_eq!(named, Vec::<String>::new());
    }
}
