//! What can be told about a process from outside: whether it lives, and whether it serves a given cluster.

use std::path::Path;
use std::{fs, process::Command};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Whose process a number from a pid file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// No such process, or one that has ended and only waits to be reaped.
    Dead,
    /// It is the server of the cluster in question.
    Ours,
    /// Another program that was given the number of a dead server.
    Foreign,
    /// Alive, and the system does not let us look closer.
    Unknown,
}

/// Says whether `pid` is the server of the cluster in `cluster`.
pub(super) fn identify(pid: i32, cluster: &Path) -> Identity {
    if !is_alive(pid) {
        return Identity::Dead;
    }
    if cfg!(target_os = "linux") { identify_by_proc(pid, cluster) } else { identify_by_ps(pid, cluster) }
}

/// Whether the process exists and has not ended.
pub(crate) fn is_alive(pid: i32) -> bool {
    let exists = match kill(Pid::from_raw(pid), None) {
        Ok(()) | Err(Errno::EPERM) => true,
        Err(_) => false,
    };
    exists && !is_zombie(pid)
}

/// Sends a signal, and says whether it was delivered.
pub(super) fn signal(pid: i32, signal: Signal) -> bool {
    kill(Pid::from_raw(pid), signal).is_ok()
}

/// Every process that works in the cluster's directory, as all processes of a server do. Linux only: elsewhere none.
pub(super) fn working_in(cluster: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == cluster))
        .collect()
}

fn is_zombie(pid: i32) -> bool {
    // "pid (name) state …", and the name may hold anything
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(')').map(|(_, rest)| rest.trim_start().starts_with(['Z', 'X'])))
        .unwrap_or(false)
}

fn identify_by_proc(pid: i32, cluster: &Path) -> Identity {
    if let Ok(cwd) = fs::read_link(format!("/proc/{pid}/cwd")) {
        return if cwd == cluster { Identity::Ours } else { Identity::Foreign };
    }
    match fs::read(format!("/proc/{pid}/cmdline")) {
        // ending just now
        Ok(line) if line.is_empty() => Identity::Unknown,
        Ok(line) => identify_by_arguments(&String::from_utf8_lossy(&line).replace('\0', " "), cluster),
        Err(_) => Identity::Unknown,
    }
}

fn identify_by_ps(pid: i32, cluster: &Path) -> Identity {
    match Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output() {
        Ok(output) if output.status.success() => {
            identify_by_arguments(&String::from_utf8_lossy(&output.stdout), cluster)
        }
        _ => Identity::Unknown,
    }
}

fn identify_by_arguments(line: &str, cluster: &Path) -> Identity {
    if line.contains("postgres") && line.contains(&format!("-D {}", cluster.display())) {
        Identity::Ours
    } else {
        Identity::Foreign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_alive_and_foreign_to_any_cluster() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert_eq!(identify(me, Path::new("/no/such/cluster")), Identity::Foreign);
    }

    #[test]
    fn an_ended_process_that_nobody_reaped_is_dead() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while is_alive(pid) && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(identify(pid, Path::new("/no/such/cluster")), Identity::Dead);
        child.wait().unwrap();
    }

    #[test]
    fn a_command_line_tells_a_server_from_another_program() {
        let cluster = Path::new("/srv/data");
        assert_eq!(identify_by_arguments("/usr/bin/postgres -D /srv/data -c x=y", cluster), Identity::Ours);
        assert_eq!(identify_by_arguments("vim /srv/data", cluster), Identity::Foreign);
    }
}
