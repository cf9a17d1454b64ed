//! What is wrong is refused by name, and what wins over what.

use super::*;

fn file(text: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("posthaste-{}-{}.toml", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let path = file("listen = \"127.0.0.1:9000\"\ncheckpoint_seconds = 7\n");
    let flags = Overrides { config: Some(path), ..Overrides::given("checkpoint_seconds = 9") };
    let configuration = flags.resolve("", 1.0, Mode::Production).unwrap();
    assert_eq!(configuration.serving.listen.port(), 9000);
    assert_eq!(configuration.dispatch.checkpoint_seconds, 9);
    assert_eq!(configuration.dispatch.track_retention_days, 30);
}

#[test]
fn a_name_that_does_not_exist_is_refused() {
    let flags = Overrides { config: Some(file("lisen = \"127.0.0.1:9000\"\n")), ..Overrides::default() };
    let refused = flags.resolve("", 1.0, Mode::Production).unwrap_err();
    assert!(crate::telemetry::chain(&refused).contains("lisen"), "{refused}");
}

#[test]
fn what_is_wrong_is_said_without_the_programs_types() {
    for (text, said) in [
        ("clock_speed = \"fast\"", "a number"),
        ("clock_speed = 0.0", "clock_speed is wrong: a clock speed lies between"),
        ("database_connections = -1", "a whole number"),
        ("database_connections = \"many\"", "a whole number"),
        ("sockets = 1.5", "a whole number"),
        ("test_world = \"yes\"", "true or false"),
        ("data_dir = 7", "a path in quotation marks"),
        ("smtp_url = 7", "a text in quotation marks"),
        ("cors_origins = \"*\"", "a list in brackets"),
        ("listen = \"localhost:18388\"", "127.0.0.1:18388"),
        ("listen = \"18388\"", "127.0.0.1:18388"),
        ("metrics_listen = \"here\"", "127.0.0.1:8080"),
        ("mode = \"staging\"", "production"),
        ("lisen = \"127.0.0.1:1\"", "listen"),
    ] {
        let path = file(text);
        let flags = Overrides { config: Some(path.clone()), ..Overrides::default() };
        let refused = flags.resolve("", 1.0, Mode::Production).unwrap_err();
        std::fs::remove_file(path).unwrap();
        let refused = crate::telemetry::chain(&refused);
        assert!(refused.contains(said), "{text}: {refused}");
        let name = text.split(' ').next().unwrap();
        assert!(refused.contains(name), "the setting is named: {refused}");
        for theirs in ["f64", "u32", "usize", "SocketAddr", "syntax"] {
            assert!(!refused.contains(theirs), "{text}: {refused}");
        }
    }
}

#[test]
fn every_setting_has_one_name_everywhere_and_stands_in_the_example_and_the_documentation() {
    use clap::CommandFactory;
    let command = crate::cli::Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let read = |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (example, documented) = (read("../../posthaste.example.toml"), read("../../docs/operations.md"));
    let documented = documented.replace("`, `_", "`, `twilio_");
    for argument in serve.get_arguments().filter(|argument| argument.get_env().is_some()) {
        let name = argument.get_id().as_str();
        let environment = argument.get_env().unwrap().to_string_lossy().into_owned();
        let expected = format!("POSTHASTE_{}", name.to_uppercase());
        assert!(environment == expected || environment == "DATABASE_URL", "{environment}");
        assert_eq!(argument.get_long(), Some(name.replace('_', "-").as_str()));
        if name != "config" {
            assert!(example.contains(&format!("{name} = ")), "{name} is not in the example");
            assert!(documented.contains(&format!("`{name}`")), "{name} is not in operations.md");
        }
    }
}

/// What other crates have as their defaults is what the example says, and what stands there behind a `#` can be said.
#[test]
fn the_example_file_is_the_defaults() {
    let plain = Overrides::default().resolve("", 1.0, Mode::Production).unwrap();
    let limits = posthaste_http::limits::Limits::default();
    let Serving { sockets, concurrent_requests, connections, .. } = plain.serving;
    let of_limits = (limits.sockets, limits.concurrent_requests, limits.connections.most);
    assert_eq!((sockets, concurrent_requests, connections), of_limits);
    let quotas = (plain.serving.requests_per_minute, plain.serving.address_requests_per_minute);
    assert_eq!(quotas, (limits.quotas.caller_per_minute, limits.quotas.address_per_minute));
    assert_eq!(plain.identity.password_memory_kib, posthaste_identity::Hashing::default().memory_kib);
    assert_eq!(plain.identity.google_issuer, posthaste_identity::GOOGLE);
    let said: String = EXAMPLE
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line))
        .filter(|line| is_said(line))
        .fold(String::new(), |text, line| text + line + "\n");
    let all = Overrides::given(&said).or(Overrides::default());
    assert!(all.program.data_dir.is_some() && all.notifications.smtp_url.is_some() && all.serving.mode.is_some());
}

/// Whether a line of the example sets something.
fn is_said(line: &str) -> bool {
    let name = line.split(" = ").next().unwrap_or_default();
    line.contains(" = ") && SECTIONS.iter().copied().flatten().any(|known| *known == name)
}

#[test]
fn items_of_a_list_are_refused_by_name() {
    let flags = |proxy: &str, origin: &str| {
        Overrides::given(&format!("trusted_proxies = ['{proxy}']\ncors_origins = ['{origin}']"))
    };
    let sound = flags("10.0.0.0/8", "https://shop.example.org").resolve("", 1.0, Mode::Production).unwrap();
    assert_eq!((sound.proxies.len(), sound.origins.len()), (1, 1));
    for (proxy, origin, name) in [("10.0.0.0/99", "", "trusted_proxies"), ("", "*", "cors_origins")] {
        let refused = flags(proxy, origin).resolve("", 1.0, Mode::Production).unwrap_err().to_string();
        assert!(refused.starts_with(name), "{refused}");
    }
}

#[test]
fn signing_in_with_google_needs_all_of_its_settings_and_tls() {
    let some = |text: &str| Some(text.to_owned());
    let flags = |secret: Option<String>, url: Option<String>, issuer: Option<String>| {
        let mut given = Overrides::given("google_client_id = 'posthaste'");
        given.identity.google_client_secret = secret;
        given.serving.public_url = url;
        given.identity.google_issuer = issuer;
        given
    };
    let (secret, url) = (some("s3cret"), some("https://api.example.org"));
    let sound = flags(secret.clone(), url.clone(), None).resolve("", 1.0, Mode::Production).unwrap();
    assert!(sound.google.is_some());
    let local = some("http://127.0.0.1:4000");
    let development = flags(secret.clone(), local.clone(), local.clone()).resolve("", 1.0, Mode::Development);
    assert!(development.unwrap().google.is_some());
    assert!(Overrides::default().resolve("", 1.0, Mode::Production).unwrap().google.is_none());
    for (flags, name) in [
        (flags(None, url.clone(), None), "google_client_secret"),
        (flags(secret.clone(), None, None), "public_url"),
        (flags(secret.clone(), local.clone(), None), "public_url"),
        (flags(secret.clone(), url.clone(), local), "google_issuer"),
    ] {
        let refused = flags.resolve("", 1.0, Mode::Production).unwrap_err().to_string();
        assert!(refused.starts_with(name) && !refused.contains("s3cret"), "{refused}");
    }
}

#[test]
fn numbers_outside_their_bounds_are_refused_by_name() {
    let flags = Overrides::given("checkpoint_seconds = 0");
    assert!(
        flags.resolve("", 1.0, Mode::Production).unwrap_err().to_string().starts_with("checkpoint_seconds must lie")
    );
}

#[test]
fn admins_need_a_second_factor_in_production_unless_it_is_said_otherwise() {
    let of = |mode, said| {
        let mut flags = Overrides::default();
        flags.identity.admin_second_factor = said;
        flags.resolve("", 1.0, mode).unwrap().identity.admin_second_factor
    };
    assert_eq!((of(Mode::Production, None), of(Mode::Development, None)), (true, false));
    assert_eq!((of(Mode::Production, Some(false)), of(Mode::Development, Some(true))), (false, true));
}

#[test]
fn what_is_kept_of_people_ends_and_the_audit_log_only_where_it_is_said() {
    let plain = Overrides::default().resolve("", 1.0, Mode::Production).unwrap();
    let kept = (plain.dispatch.contact_retention_days, plain.dispatch.proof_retention_days);
    assert_eq!((kept, plain.identity.audit_retention_days), ((180, 180), 0));
    let of = |contacts: u32, audit: u32| {
        Overrides::given(&format!("contact_retention_days = {contacts}\naudit_retention_days = {audit}"))
    };
    assert!(of(0, 90).resolve("", 1.0, Mode::Production).is_ok());
    let refused = of(1, 89).resolve("", 1.0, Mode::Production).unwrap_err().to_string();
    assert!(refused.starts_with("audit_retention_days must lie between 90"), "{refused}");
}

#[test]
fn webhooks_reach_the_developers_own_machine_in_development_alone() {
    let both = |given: Option<bool>, mode| {
        let mut flags = Overrides::default();
        (flags.webhooks.webhook_private_addresses, flags.webhooks.webhook_plain_http) = (given, given);
        let resolved = flags.resolve("", 1.0, mode).unwrap().webhooks;
        (resolved.webhook_private_addresses, resolved.webhook_plain_http)
    };
    assert_eq!(both(None, Mode::Production), (false, false));
    assert_eq!(both(None, Mode::Development), (true, true));
    assert_eq!(both(Some(false), Mode::Development), (false, false));
    assert_eq!(both(Some(true), Mode::Production), (true, true));
}
