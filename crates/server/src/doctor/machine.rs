//! What the machine is like: addresses, directories, disk, files' modes, limits.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use posthaste_postgres::beside::Seen;

use super::Asked;
use super::finding::Finding;
use crate::configuration::Configuration;
use crate::listening::taken;
use crate::run::limits;
use crate::token_key;

/// Less room than this ends a server within the day, or at once.
const LITTLE_ROOM: u128 = 1 << 30;
const NO_ROOM: u128 = 100 << 20;
/// Open files beside sockets, connections and the database's: the log, time zones, Postgres.
const OTHER_FILES: u64 = 100;

/// Whether the addresses can be listened on, or a server of ours does.
pub(super) fn addresses(configuration: &Configuration, asked: Asked, runs: bool) -> Vec<Finding> {
    let mut findings = vec![match free(configuration.serving.listen, "--listen (POSTHASTE_LISTEN)") {
        Ok(()) if asked == Asked::HowItIs => {
            Finding::ok("listen", format!("nothing runs on {}", configuration.serving.listen))
        }
        Ok(()) => Finding::ok("listen", format!("{} is free", configuration.serving.listen)),
        Err(_) if runs && asked == Asked::HowItIs => {
            Finding::ok("listen", format!("a server answers on {}, and is ready", configuration.serving.listen))
        }
        Err(problem) if asked == Asked::MayStart => {
            let hint = "where a service manager holds the socket, this is right: see `posthaste doctor`";
            Finding::wrong("listen", problem, hint)
        }
        Err(problem) => Finding::wrong(
            "listen",
            problem,
            "or it is this server, and is not ready: GET /health/ready and its log say why",
        ),
    }];
    if let Some(listen) = configuration.program.metrics_listen {
        findings.push(match free(listen, "--metrics-listen (POSTHASTE_METRICS_LISTEN)") {
            Ok(()) => Finding::ok("metrics", format!("{listen} is free")),
            Err(_) if runs && asked == Asked::HowItIs => Finding::ok("metrics", format!("{listen} is in use")),
            Err(problem) => Finding::failed("metrics", problem),
        });
    }
    findings
}

fn free(address: SocketAddr, setting: &str) -> Result<(), String> {
    TcpListener::bind(address).map(drop).map_err(|error| taken(setting, address, &error))
}

/// Whether the data directory can be written to, and how much room there is.
pub(super) fn data_directory(configuration: &Configuration) -> Vec<Finding> {
    let wanted = &configuration.program.data_dir;
    let mend = "name another with --data-dir (POSTHASTE_DATA_DIR)";
    // What is not there yet is made in the nearest that is.
    let absolute = std::path::absolute(wanted).unwrap_or_else(|_| wanted.clone());
    let Some(existing) = absolute.ancestors().find(|place| place.exists()) else {
        return vec![Finding::wrong("data directory", format!("{} cannot be made", wanted.display()), mend)];
    };
    if !existing.is_dir() {
        return vec![Finding::wrong("data directory", format!("{} is no directory", existing.display()), mend)];
    }
    if let Err(error) = access(existing, AccessFlags::W_OK | AccessFlags::X_OK) {
        let problem = format!("{} cannot be written to: {}", existing.display(), error.desc());
        return vec![Finding::wrong("data directory", problem, mend)];
    }
    let made = if existing == absolute { "" } else { " (made at the first start)" };
    let mut findings = vec![Finding::ok("data directory", format!("{}{made}", wanted.display()))];
    if let Ok(room) = statvfs(existing) {
        findings.push(disk(u128::from(room.blocks_available()) * u128::from(room.fragment_size()), existing));
    }
    findings
}

fn disk(free: u128, place: &Path) -> Finding {
    let says = format!("{:.1} GB free for {}", free as f64 / 1e9, place.display());
    let mend = "make room, or name another directory with --data-dir (POSTHASTE_DATA_DIR)";
    match free {
        ..NO_ROOM => Finding::wrong("disk", says, mend),
        NO_ROOM..LITTLE_ROOM => Finding::warning("disk", says, mend),
        _ => Finding::ok("disk", says),
    }
}

/// Who owns the private Postgres.
pub(super) fn owner(seen: &Seen, asked: Asked) -> Finding {
    let Some(owner) = seen.owner else {
        return Finding::ok("owner", format!("nobody uses {}", seen.home.display()));
    };
    let process = owner.0.map(|pid| format!(" (process {pid})")).unwrap_or_default();
    let says = format!("{} is in use by a posthaste{process}", seen.home.display());
    match asked {
        Asked::HowItIs => Finding::ok("owner", says),
        Asked::MayStart => Finding::wrong("owner", says, "stop it first, or name another directory with --data-dir"),
    }
}

/// Whether others may read the configuration's file, which holds secrets.
pub(super) fn configuration_file(file: &Path) -> Option<Finding> {
    private_file("configuration", file)
}

/// Whether others may read the generated secret.
pub(super) fn key_file(configuration: &Configuration) -> Option<Finding> {
    private_file("token key", &token_key::file(configuration))
}

fn private_file(check: &'static str, file: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        let says = format!("others may read {} (mode {mode:03o})", file.display());
        Finding::warning(check, says, format!("chmod 600 {}", file.display()))
    })
}

/// Whether as many files may be open as the configuration has sockets and connections.
pub(super) fn open_files(configuration: &Configuration) -> Finding {
    let limits = limits(configuration);
    let wanted = limits.sockets as u64
        + limits.connections.most as u64
        + u64::from(configuration.database.database_connections)
        + OTHER_FILES;
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) => files(soft, wanted),
        Err(error) => {
            Finding::warning("open files", format!("the limit is not known: {}", error.desc()), "look at `ulimit -n`")
        }
    }
}

fn files(limit: u64, wanted: u64) -> Finding {
    if limit >= wanted {
        return Finding::ok("open files", format!("{limit} may be open, {wanted} at most will"));
    }
    let mend =
        format!("raise the limit (`ulimit -n {wanted}`, or LimitNOFILE= of a unit), or lower sockets and connections");
    Finding::warning("open files", format!("{limit} may be open, of {wanted} that sockets and connections allow"), mend)
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn little_room_is_a_warning_and_none_is_wrong() {
        let place = Path::new("/srv");
        let states = [0, NO_ROOM - 1, NO_ROOM, LITTLE_ROOM - 1, LITTLE_ROOM].map(|free| disk(free, place).state());
        assert_eq!(states, [State::Wrong, State::Wrong, State::Warning, State::Warning, State::Ok]);
    }

    #[test]
    fn fewer_files_than_sockets_are_a_warning() {
        assert_eq!(files(1024, 116_000).state(), State::Warning);
        assert_eq!(files(200_000, 116_000).state(), State::Ok);
    }

    #[test]
    fn secrets_that_others_may_read_are_named_with_the_command_that_mends_it() {
        let file = std::env::temp_dir().join(format!("posthaste-mode-{}", std::process::id()));
        std::fs::write(&file, "secret").unwrap();
        let with = |mode| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            configuration_file(&file)
        };
        assert_eq!(with(0o600), None);
        let found = format!("{:?}", with(0o644).expect("found"));
        assert!(found.contains("644") && found.contains("chmod 600"), "{found}");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(configuration_file(&file), None, "what is not there is not read");
    }
}
