//! The settings that the server is started with. They go on its command line, so that a program's new defaults hold
//! for old data too, and no file of the cluster is ever edited.

use std::path::Path;

use super::EmbeddedOptions;

/// Hold for every embedded server.
const ALWAYS: &[(&str, &str)] = &[
    // reachable through the private socket alone
    ("listen_addresses", ""),
    ("port", "5432"),
    ("unix_socket_permissions", "0700"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("lc_messages", "C"),
    ("log_checkpoints", "off"),
    ("log_line_prefix", "%m [%p] %d "),
    // many short statements: compiling them costs more than running them
    ("jit", "off"),
    ("random_page_cost", "1.1"),
];

/// Hold unless an option replaces them: a laptop's share of memory, and checkpoints rare enough not to be felt while
/// recovery after a crash stays within seconds.
const DEFAULTS: &[(&str, &str)] = &[
    ("shared_buffers", "256MB"),
    ("max_wal_size", "1GB"),
    ("min_wal_size", "256MB"),
    ("checkpoint_timeout", "10min"),
    // a hundred thousand live orders mean many small changes of few rows: clean up often
    ("autovacuum_naptime", "15s"),
];

/// A commit that was acknowledged survives the loss of power.
const DURABLE: &[(&str, &str)] = &[("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")];

/// A commit that was acknowledged survives the death of the server, though not of the machine.
const FAST: &[(&str, &str)] = &[("fsync", "off"), ("synchronous_commit", "on"), ("full_page_writes", "off")];

/// The arguments for `postgres`: later ones win.
pub(super) fn arguments(options: &EmbeddedOptions, socket_dir: &Path) -> Vec<String> {
    let mut settings: Vec<(&str, String)> = Vec::new();
    for (name, value) in [ALWAYS, DEFAULTS, if options.durable { DURABLE } else { FAST }].concat() {
        settings.push((name, value.to_owned()));
    }
    // a list to Postgres: quoted, so that a comma in the path does not split it
    let quoted = socket_dir.to_string_lossy().replace('"', "\"\"");
    settings.push(("unix_socket_directories", format!("\"{quoted}\"")));
    settings.push(("max_connections", options.max_connections.to_string()));
    for (name, value) in &options.settings {
        settings.push((name, value.clone()));
    }
    settings.into_iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]).collect()
}
