//! Staging is silent: its compose file has no way out, and a server with its settings, on a copy, calls nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use posthaste_client::{Client, Idempotency, Token};
use posthaste_protocol::accounts::{Register, RegisterAs, VerifyBy};
use posthaste_protocol::webhooks::CreateEndpoint;
use posthaste_protocol::zones::RulesView;
use posthaste_storage::testing::TestDatabase;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::compose::{STAGING, services, ways_out};
use crate::harness::{Server, fast_order, merchant, until, zone};
use crate::{read, yaml};

/// Settings by which a server would call somebody.
const CALLING: [&str; 6] = ["SMTP", "TWILIO", "GOOGLE", "OTLP", "POSTGRES_DOWNLOAD", "MAIL_FROM"];

/// What in the file would let staging be heard outside.
fn heard(file: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, service) in services(file) {
        let out = ways_out(file, service);
        if !out.is_empty() && name != "proxy" {
            wrong.push(format!("{name} has a way out: {out:?}"));
        }
        if !service["extra_hosts"].is_null() || !service["dns"].is_null() {
            wrong.push(format!("{name} knows others"));
        }
        for setting in service["environment"].as_object().into_iter().flatten().map(|(name, _)| name) {
            if CALLING.iter().any(|calls| setting.contains(calls)) {
                wrong.push(format!("{name} is told whom to call: {setting}"));
            }
        }
        for secret in file["secrets"].as_object().into_iter().flatten() {
            if !secret.1["file"].as_str().is_some_and(|file| file.starts_with("./secrets-staging/")) {
                wrong.push(format!("{} is not its own", secret.0));
            }
        }
    }
    let server = &file["services"]["server"]["environment"];
    if server["POSTHASTE_HOLD_OUTSIDE"] != json!("true") {
        wrong.push("nothing is held".to_owned());
    }
    // An authority would be asked for a certificate, and would publish that there is a staging.
    if file["services"]["proxy"]["environment"]["PROXY_TLS"] != json!("internal") {
        wrong.push("the proxy asks an authority".to_owned());
    }
    wrong
}

#[test]
fn staging_has_no_way_out_and_secrets_of_its_own() {
    let file = yaml(STAGING);
    assert_eq!(heard(&file), Vec::<String>::new());
    let worse = |pointer: &str, value: Value| {
        let mut worse = file.clone();
        *worse.pointer_mut(pointer).expect("it is there") = value;
        worse
    };
    for worse in [
        worse("/services/server/environment/POSTHASTE_HOLD_OUTSIDE", json!("false")),
        worse("/services/server/networks", json!(["edge", "back", "front"])),
        worse("/services/server/networks", Value::Null),
        worse("/services/postgres/networks", json!(["front"])),
        worse("/networks/back/internal", json!(false)),
        worse("/services/proxy/environment/PROXY_TLS", json!("you@example.org")),
        worse("/secrets/token_key/file", json!("./secrets/token_key")),
        worse(
            "/services/server/environment",
            json!({"POSTHASTE_HOLD_OUTSIDE": "true", "POSTHASTE_SMTP_URL_FILE": "/x"}),
        ),
    ] {
        assert!(!heard(&worse).is_empty(), "{worse}");
    }
}

/// Somebody outside, who counts who calls them.
struct Outsider {
    address: String,
    calls: Arc<AtomicUsize>,
}

impl Outsider {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = connection.write_all(b"HTTP/1.1 204 Taken\r\nconnection: close\r\n\r\n").await;
            }
        });
        Self { address, calls }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// Does what makes a server call: a merchant's order with a webhook, and a registration with an email.
async fn act(server: &Server, hooks: &Outsider, name: &str) {
    let (_, party) = merchant();
    let shop = server.client(party);
    let new = CreateEndpoint { url: format!("http://{}/hook", hooks.address), ..CreateEndpoint::default() };
    let endpoint = shop.create_webhook_endpoint(&new).await.expect("an endpoint").endpoint.id;
    for number in 1..=2_usize {
        // The second becomes a message in a later look than the first: that one would have been sent by now.
        let reference = format!("{name}-{number}");
        shop.create_order(&fast_order(&reference), Idempotency::Key(reference.clone())).await.expect("placed");
        until("it is a message", async || {
            let all = shop.webhook_messages(endpoint, None, None).await.ok()?.items;
            (all.len() >= number).then_some(())
        })
        .await;
    }
    let new = Register {
        role: RegisterAs::Customer,
        email: format!("{name}@example.org"),
        password: "correct horse battery".into(),
        name: "Ada".to_owned(),
        phone: None,
        verify_by: VerifyBy::Email,
    };
    Client::new(&server.url, Token::None).expect("a client").register(&new).await.expect("registered");
}

/// The mail server is one that staging does not even know of: somebody careless wrote it into its environment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_the_settings_of_staging_calls_nobody() {
    let (database, hooks, mail) = (TestDatabase::new().await, Outsider::open().await, Outsider::open().await);
    let smtp = format!("smtp://{}", mail.address);
    let careless = [("POSTHASTE_SMTP_URL", smtp.as_str()), ("POSTHASTE_MAIL_FROM", "no-reply@example.org")];

    // As in production, to see that these would be calls.
    let mut server = Server::start_with(&database.url, 1.0, &careless);
    zone(&server.admin(), RulesView::default()).await;
    act(&server, &hooks, "real").await;
    until("both are called", async || (hooks.calls() > 0 && mail.calls() > 0).then_some(())).await;
    assert!(server.terminate().success());

    let file = yaml(STAGING);
    let settings = file["services"]["server"]["environment"].as_object().expect("settings");
    // Files with secrets and addresses are those of the test.
    let own = settings.iter().filter(|(name, _)| !name.ends_with("_FILE") && !name.ends_with("LISTEN"));
    let own = own.map(|(name, value)| (name.as_str(), value.as_str().expect("a text")));
    let staging: Vec<_> = own.chain(careless).collect();
    let before = (hooks.calls(), mail.calls());
    let mut server = Server::start_with(&database.url, 1.0, &staging);
    act(&server, &hooks, "staged").await;
    // Its end waits for what is being sent.
    assert!(server.terminate().success());
    assert_eq!((hooks.calls(), mail.calls()), before);
    let waiting = "SELECT count(*) FROM jobs WHERE kind = 'email' AND state = 'waiting' AND attempts = 0";
    let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(database.pool.connections()).await.expect("a count");
    assert!(waiting >= 1, "there was something to send");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_starts_with_a_key_of_its_own_once_the_others_values_are_out() {
    let database = TestDatabase::new().await;
    drop(Server::start(&database.url, 1.0));
    let own = [("POSTHASTE_TOKEN_KEY", "another key for tests only, longer than thirty-two bytes")];
    let mut command = crate::harness::program();
    command.args(["serve", "--listen", "127.0.0.1:0"]).env("DATABASE_URL", &database.url).envs(own);
    let refused = command.env("POSTHASTE_MODE", "development").output().expect("it runs");
    assert!(!refused.status.success(), "it does not open what another key sealed");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("sealed with"), "{refused:?}");

    let statements = read("docker/staging/own-secrets.sql");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(database.pool.connections()).await.expect("they run");
    // It serves, or this fails.
    drop(Server::start_with(&database.url, 1.0, &own));
}

#[test]
fn what_staging_takes_out_is_what_the_page_on_keys_says() {
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let page = squeezed(&read("docs/how-to/rotate-keys.md"));
    let statements = read("docker/staging/own-secrets.sql");
    let statements: String = statements.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    for statement in statements.split(';').map(squeezed).filter(|statement| !statement.is_empty()) {
        assert!(page.contains(&statement), "{statement}");
    }
}
