//! The units of systemd, read; and that the program tells the manager what the unit says that it does.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use posthaste_storage::testing::TestDatabase;

use crate::harness::{PATIENCE, Server};
use crate::read;

/// The directives of a unit, in their order.
fn directives(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).collect()
}

/// What the unit must say, without which it is not what is promised.
const HARDENING: [(&str, &str); 26] = [
    ("Type", "notify"),
    ("WatchdogSec", "30"),
    ("TimeoutStopSec", "45"),
    ("Restart", "on-failure"),
    ("User", "posthaste"),
    ("NoNewPrivileges", "true"),
    ("CapabilityBoundingSet", ""),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "true"),
    ("PrivateTmp", "true"),
    ("PrivateDevices", "true"),
    ("ProtectProc", "invisible"),
    ("ProtectClock", "true"),
    ("ProtectHostname", "true"),
    ("ProtectKernelTunables", "true"),
    ("ProtectKernelModules", "true"),
    ("ProtectKernelLogs", "true"),
    ("ProtectControlGroups", "true"),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
    ("RestrictNamespaces", "true"),
    ("RestrictSUIDSGID", "true"),
    ("LockPersonality", "true"),
    ("MemoryDenyWriteExecute", "true"),
    ("SystemCallFilter", "@system-service"),
    ("UMask", "0077"),
    ("MemoryMax", "2G"),
];

fn problems(unit: &str) -> Vec<String> {
    let said = directives(unit);
    let missing = HARDENING.iter().filter(|line| !said.contains(line));
    let mut wrong: Vec<_> = missing.map(|(name, value)| format!("no {name}={value}")).collect();
    for (name, value) in said {
        let (variable, value) = value.split_once('=').unwrap_or((value, ""));
        if name == "Environment" && (variable.contains("KEY") || variable.contains("URL")) && !value.starts_with("%d/")
        {
            wrong.push(format!("{variable} is told to everybody who may look at the unit"));
        }
    }
    wrong
}

#[test]
fn the_service_is_hardened_and_a_missing_line_is_found() {
    let unit = read("docker/systemd/posthaste.service");
    assert_eq!(problems(&unit), Vec::<String>::new());
    for (name, value) in HARDENING {
        assert!(!problems(&unit.replace(&format!("\n{name}={value}\n"), "\n")).is_empty(), "{name}");
    }
    assert!(!problems(&format!("{unit}\nEnvironment=POSTHASTE_TOKEN_KEY=in-the-open\n")).is_empty());
}

#[test]
fn the_socket_is_for_the_proxy_alone_and_the_service_takes_it() {
    let (socket, service) = (read("docker/systemd/posthaste.socket"), read("docker/systemd/posthaste.service"));
    let listens = directives(&socket).into_iter().find(|(name, _)| *name == "ListenStream").expect("an address").1;
    assert!(listens.starts_with("127.0.0.1:"), "{listens}");
    assert!(directives(&service).contains(&("Requires", "posthaste.socket")));
}

#[test]
fn nothing_is_updated_that_nobody_switched_on() {
    let service = read("docker/systemd/posthaste-update.service");
    assert!(!service.contains("[Install]"), "the timer alone starts it");
    assert!(directives(&service).contains(&("ExecStart", "/srv/posthaste/docker/update")));
    assert!(directives(&read("docker/systemd/posthaste-update.timer")).contains(&("WantedBy", "timers.target")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manager_hears_that_the_program_serves_and_then_that_it_lives() {
    let directory = std::env::temp_dir().join(format!("posthaste-manager-{}", std::process::id()));
    let _ = std::fs::remove_file(&directory);
    let manager = UnixDatagram::bind(&directory).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a time");
    let database = TestDatabase::new().await;
    let asks = [("NOTIFY_SOCKET", directory.to_str().expect("a path")), ("WATCHDOG_USEC", "200000")];
    let mut server = Server::start_with(&database.url, 1.0, &asks);
    let mut text = [0; 64];
    let mut heard = || {
        let size = manager.recv(&mut text).expect("the manager hears");
        String::from_utf8_lossy(&text[..size]).into_owned()
    };
    let (mut serves, mut lives) = (false, 0);
    // After it serves, ten times within a second, or nearly so: the machine may have others to serve.
    while lives < 10 {
        match heard().as_str() {
            "READY=1" => (serves, lives) = (true, 0),
            "WATCHDOG=1" => lives += 1,
            other => panic!("{other}"),
        }
    }
    assert!(serves, "it serves first");
    assert!(server.terminate().success());
    while heard() != "STOPPING=1" {}
    manager.set_read_timeout(Some(Duration::from_millis(1))).expect("a time");
    while manager.recv(&mut text).is_ok() {}
    std::fs::remove_file(directory).expect("removed");
}
