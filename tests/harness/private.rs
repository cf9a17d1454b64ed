//! A data directory for a program that runs a Postgres of its own, and what may happen to that.

use std::path::PathBuf;
use std::process::Command;

use posthaste_domain::ids::OrderId;

use super::{Server, id, until};

/// What the harness writes in an address's place where the program has a Postgres of its own.
pub(super) const SCHEME: &str = "private:";

/// A data directory of one test. Removed when dropped, with what still runs in it: to be made before the server.
pub struct DataDir {
    path: PathBuf,
    /// Where Postgres' files are, once that is known: as root they may be elsewhere.
    home: std::sync::OnceLock<PathBuf>,
}

impl DataDir {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("posthaste-private-{}", id::<OrderId>()));
        Self { path, home: std::sync::OnceLock::new() }
    }

    pub(super) fn url(&self) -> String {
        format!("{SCHEME}{}", self.path.display())
    }

    fn home(&self, server: &Server) -> &PathBuf {
        self.home.get_or_init(|| server.logged("embedded Postgres is ready", "home").expect("it says where").into())
    }

    fn cluster(&self, server: &Server) -> PathBuf {
        self.home(server).join("data")
    }

    /// The process number of its Postgres, where that lives.
    pub fn postmaster(&self, server: &Server) -> Option<i32> {
        let cluster = self.cluster(server);
        pid_in(&cluster).filter(|pid| serves(*pid, &cluster))
    }

    /// Kills its Postgres as a crash would.
    pub fn kill_postgres(&self, server: &Server) -> i32 {
        let pid = self.postmaster(server).expect("it runs");
        signal(pid, "KILL");
        pid
    }

    /// Kills its Postgres in a way that it cannot be started again until what this gives is called.
    pub fn kill_postgres_for_good(&self, server: &Server) -> impl FnOnce() + use<> {
        let (cluster, aside) = (self.cluster(server), self.home(server).join("aside"));
        let pid = self.postmaster(server).expect("it runs");
        std::fs::rename(&cluster, &aside).expect("set aside");
        signal(pid, "KILL");
        move || std::fs::rename(aside, cluster).expect("put back")
    }

    /// Puts a copy of its files in the place of its Postgres' files, which does not run.
    pub fn replace_by_a_copy(&self, server: &Server) {
        let (cluster, aside) = (self.cluster(server), self.home(server).join("aside"));
        std::fs::rename(&cluster, &aside).expect("set aside");
        let copied = Command::new("cp").arg("-a").args([&aside, &cluster]).status().expect("cp runs");
        assert!(copied.success());
        std::fs::remove_dir_all(&aside).expect("removed");
    }

    /// Waits until another Postgres than that one runs.
    pub async fn until_started_again(&self, server: &Server, after: i32) {
        until("Postgres is started again", async || self.postmaster(server).filter(|pid| *pid != after)).await;
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        let homes = [self.home.get().cloned(), Some(self.path.join("postgres"))];
        for home in homes.into_iter().flatten() {
            for cluster in [home.join("data"), home.join("aside")] {
                if let Some(pid) = pid_in(&cluster).filter(|pid| serves(*pid, &cluster)) {
                    signal(pid, "KILL");
                }
            }
            let _ = std::fs::remove_dir_all(home);
        }
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn pid_in(cluster: &std::path::Path) -> Option<i32> {
    std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
}

/// Whether the process works there, and is no other that was given a dead one's number.
fn serves(pid: i32, cluster: &std::path::Path) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == cluster)
}

fn signal(pid: i32, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
}
