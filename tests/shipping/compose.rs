//! The compose files, read: a service that lacks a key of hardening is found, and so is a secret that is no file.

use serde_json::{Map, Value, json};

use crate::{texts, yaml};

const DEVELOPMENT: &str = "docker/compose.development.yml";
const PRODUCTION: &str = "docker/compose.production.yml";
pub(crate) const STAGING: &str = "docker/compose.staging.yml";
const ALL: [&str; 3] = [DEVELOPMENT, PRODUCTION, STAGING];

/// Keys that every service has. Without one of them it is not what is promised.
const HARDENING: [&str; 8] =
    ["read_only", "cap_drop", "security_opt", "restart", "logging", "mem_limit", "cpus", "pids_limit"];
/// Keys that give a container what it was kept from.
const GIVING: [&str; 9] =
    ["privileged", "devices", "pid", "ipc", "userns_mode", "network_mode", "cgroup_parent", "sysctls", "volumes_from"];

pub(crate) fn services(file: &Value) -> &Map<String, Value> {
    file["services"].as_object().expect("services")
}

/// What is wrong with a service's own hardening.
fn unhardened(name: &str, service: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{name}: {what}"));
        }
    };
    for key in HARDENING {
        must(!service[key].is_null(), &format!("no {key}"));
    }
    for key in GIVING {
        must(service[key].is_null(), &format!("{key} is given"));
    }
    must(service["read_only"] == json!(true), "its root can be written to");
    must(service["cap_drop"] == json!(["ALL"]), "capabilities are not all dropped");
    // Ports below 1024, of the proxy alone.
    let given = &service["cap_add"];
    must(given.is_null() || (name == "proxy" && *given == json!(["NET_BIND_SERVICE"])), "capabilities are given");
    must(texts(&service["security_opt"]) == ["no-new-privileges:true"], "it could gain privileges");
    let log = &service["logging"]["options"];
    must(log["max-size"].is_string() && log["max-file"].is_string(), "its log is not rotated");
    // Caddy's own image has its files as root's: without capabilities that is an account like another.
    must(name == "proxy" || service["user"].as_str().is_some_and(|user| !user.starts_with('0')), "it runs as root");
    for place in texts(&service["tmpfs"]) {
        must(["noexec", "nosuid", "nodev", "size="].iter().all(|word| place.contains(word)), &format!("tmpfs {place}"));
    }
    for volume in texts(&service["volumes"]) {
        must(!volume.contains("docker.sock") && !volume.contains("podman.sock"), "it steers the machine's containers");
    }
    let image = service["image"].as_str().unwrap_or_default();
    must(!image.ends_with(":latest") && image.contains(':'), &format!("the image {image} is anything"));
    wrong
}

/// What in a service's environment is a secret that should be a file.
fn told_secrets(name: &str, service: &Value) -> Vec<String> {
    let environment = service["environment"].as_object().cloned().unwrap_or_default();
    let secret = |name: &str| {
        ["PASSWORD", "TOKEN", "KEY", "SECRET", "SMTP_URL", "DATABASE_URL"].iter().any(|word| name.contains(word))
    };
    let told = environment.keys().filter(|name| secret(name) && !name.ends_with("_FILE"));
    told.map(|told| format!("{name}: {told} is no file")).collect()
}

/// What in a file can be reached from elsewhere and should not.
fn open_ports(file: &Value, public: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, service) in services(file) {
        for port in texts(&service["ports"]) {
            if !port.starts_with("127.0.0.1:") && !public.contains(&name.as_str()) {
                wrong.push(format!("{name}: {port} is open to everybody"));
            }
        }
    }
    wrong
}

/// The networks of a service that lead out of the machine.
pub(crate) fn ways_out<'a>(file: &'a Value, service: &'a Value) -> Vec<&'a str> {
    // Without a word it is on the network that everybody is on.
    if service["networks"].is_null() {
        return vec!["default"];
    }
    let networks = texts(&service["networks"]).into_iter();
    networks.filter(|network| file["networks"][network]["internal"] != json!(true)).collect()
}

fn problems(path: &str, file: &Value) -> Vec<String> {
    let mut wrong: Vec<_> = services(file).iter().flat_map(|(name, service)| unhardened(name, service)).collect();
    if path != DEVELOPMENT {
        wrong.extend(services(file).iter().flat_map(|(name, service)| told_secrets(name, service)));
    }
    wrong.extend(open_ports(file, if path == PRODUCTION { &["proxy"] } else { &[] }));
    wrong
}

#[test]
fn every_service_is_hardened_and_its_secrets_are_files() {
    for path in ALL {
        assert_eq!(problems(path, &yaml(path)), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn a_service_that_lacks_a_key_is_found() {
    for path in ALL {
        let file = yaml(path);
        for name in services(&file).keys() {
            for key in HARDENING {
                let mut worse = file.clone();
                worse["services"][name].as_object_mut().expect("a service").remove(key);
                assert!(!problems(path, &worse).is_empty(), "{path}: {name} without {key}");
            }
        }
    }
}

#[test]
fn what_gives_back_what_was_taken_is_found() {
    let file = yaml(PRODUCTION);
    for (key, value) in [
        ("privileged", json!(true)),
        ("cap_add", json!(["SYS_ADMIN"])),
        ("network_mode", json!("host")),
        ("user", json!("0:0")),
        ("volumes", json!(["/var/run/docker.sock:/var/run/docker.sock"])),
        ("ports", json!(["8080:8080"])),
        ("image", json!("posthaste:latest")),
        ("tmpfs", json!(["/tmp"])),
        ("environment", json!({"POSTHASTE_TOKEN_KEY": "in the open"})),
        ("read_only", json!(false)),
    ] {
        let mut worse = file.clone();
        worse["services"]["server-a"][key] = value;
        assert!(!problems(PRODUCTION, &worse).is_empty(), "{key}");
    }
}

#[test]
fn in_production_the_database_is_reached_by_those_who_need_it_and_reaches_nobody() {
    let file = yaml(PRODUCTION);
    let on = |network: &str| -> Vec<&str> {
        let on = services(&file).iter().filter(|(_, service)| texts(&service["networks"]).contains(&network));
        on.map(|(name, _)| name.as_str()).collect()
    };
    assert_eq!(on("front"), ["proxy"]);
    assert_eq!(on("edge"), ["proxy", "server-a", "server-b"]);
    assert_eq!(on("out"), ["server-a", "server-b"]);
    assert!(!on("back").contains(&"proxy"), "who is asked by the world has not the database");
    for (name, service) in services(&file) {
        let out = ways_out(&file, service);
        let may = match name.as_str() {
            "proxy" => vec!["front"],
            "server-a" | "server-b" => vec!["out"],
            "grafana" => vec!["desk"],
            _ => Vec::new(),
        };
        assert_eq!(out, may, "{name}");
    }
}

#[test]
fn the_servers_of_a_pair_are_the_same_and_have_the_time_to_stop() {
    let file = yaml(PRODUCTION);
    let (first, second) = (&file["services"]["server-a"], &file["services"]["server-b"]);
    assert_eq!(first, second);
    assert_eq!(first["stop_grace_period"], json!("60s"), "a stop takes 40 seconds at most");
    assert_eq!(first["environment"]["POSTHASTE_STANDBY"], json!("true"));
    assert_eq!(first["environment"]["POSTHASTE_NO_MIGRATE"], json!("true"));
    // In an image without a shell only the Dockerfile's own HEALTHCHECK works everywhere.
    assert!(first["healthcheck"].is_null());
    let proxy = &file["services"]["proxy"]["environment"]["PROXY_UPSTREAMS"];
    assert_eq!(*proxy, json!("server-a:8080 server-b:8080"));
    let trusted = &first["environment"]["POSTHASTE_TRUSTED_PROXIES"];
    assert_eq!(
        *trusted, file["networks"]["edge"]["ipam"]["config"][0]["subnet"],
        "the network to the proxy, and no other"
    );
}

#[test]
fn whatever_is_mounted_is_there() {
    let made = ["./secrets/", "./secrets-staging/", "./backups", "./copy"];
    for path in ALL {
        let file = yaml(path);
        for (name, service) in services(&file) {
            for volume in texts(&service["volumes"]) {
                let from = volume.split(':').next().unwrap_or_default();
                if from.starts_with("./") && !made.iter().any(|made| from.starts_with(made)) {
                    assert!(crate::place("docker").join(from).exists(), "{path}: {name}: {from}");
                }
            }
            for secret in texts(&service["secrets"]) {
                assert!(file["secrets"][secret]["file"].is_string(), "{path}: {name}: {secret}");
            }
        }
    }
}

/// Names that the program would refuse: it is asked itself.
#[test]
fn every_setting_in_compose_files_is_one_of_the_program() {
    for path in ALL {
        let file = yaml(path);
        for (name, service) in services(&file) {
            if !service["image"]
                .as_str()
                .is_some_and(|image| image.contains("POSTHASTE_IMAGE") || image.starts_with("posthaste"))
            {
                continue;
            }
            let environment = service["environment"].as_object().expect("settings");
            let environment = environment.keys().map(|name| (name.as_str(), ""));
            let said = crate::harness::program().arg("access").envs(environment).output().expect("it runs");
            assert!(said.status.success(), "{path}: {name}: {}", String::from_utf8_lossy(&said.stderr));
        }
    }
    let refused = crate::harness::program().arg("access").env("POSTHASTE_LISTN", "").output().expect("it runs");
    assert!(!refused.status.success(), "a name that is none is refused");
}
