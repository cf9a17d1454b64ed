//! Copies of a database by the real program: they work and send nothing, until somebody says that they are the real one.

mod harness;

use std::process::Output;

use harness::private::DataDir;
use harness::shop::Shop;
use harness::*;
use posthaste_client::{Client, Idempotency, ListOrders};
use posthaste_domain::ids::WebhookEndpointId;
use posthaste_protocol::webhooks::{CreateEndpoint, WebhookMessageView, WebhookState};
use posthaste_protocol::zones::RulesView;
use posthaste_storage::testing::TestDatabase;
use serde_json::Value;
use tokio::net::TcpListener;

async fn place(shop: &Client, reference: &str) {
    shop.create_order(&fast_order(reference), Idempotency::Key(reference.to_owned())).await.expect("placed");
}

/// Waits until an endpoint has so many messages.
async fn until_messages(shop: &Client, endpoint: WebhookEndpointId, count: usize) -> Vec<WebhookMessageView> {
    until("it is a message", async || {
        let all = shop.webhook_messages(endpoint, None, None).await.ok()?.items;
        (all.len() >= count).then_some(all)
    })
    .await
}

async fn endpoint(shop: &Client, hooks: &Shop) -> WebhookEndpointId {
    let new = CreateEndpoint { url: hooks.url.clone(), ..CreateEndpoint::default() };
    shop.create_webhook_endpoint(&new).await.expect("an endpoint").endpoint.id
}

async fn health(server: &Server) -> Value {
    // One provider of cryptography for the whole test program; whoever comes second finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let text = reqwest::get(format!("{}/health/ready", server.url)).await.expect("an answer").text().await;
    serde_json::from_str(&text.expect("text")).expect("JSON")
}

fn run(server: &Server, arguments: &[&str]) -> Output {
    program().args(arguments).envs(server.environment()).output().expect("the program runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_copy_works_and_sends_nothing_until_somebody_says_that_it_is_the_real_one() {
    let (database, hooks) = (TestDatabase::new().await, Shop::open().await);
    let (_, party) = merchant();
    let mut first = Server::start(&database.url, 1.0);
    assert_eq!(health(&first).await, serde_json::json!({"status": "ready"}), "a fresh one is real without a word");
    zone(&first.admin(), RulesView::default()).await;
    let shop = first.client(party);
    let endpoint = endpoint(&shop, &hooks).await;
    place(&shop, "real").await;
    hooks.hears_of("real").await;

    // Saved beside the running server, and restored into another database.
    let file = std::env::temp_dir().join(format!("posthaste-copies-{}.backup", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let path = file.display().to_string();
    let saved = run(&first, &["backup", &path]);
    assert!(saved.status.success(), "{}", said(&saved));
    assert!(!run(&first, &["backup", &path]).status.success(), "no file is written over");
    let refused = run(&first, &["restore", &path, "--replace"]);
    assert!(!refused.status.success() && said(&refused).contains("stop it first"), "{}", said(&refused));
    let copied = TestDatabase::new().await;
    let on = |arguments: &[&str]| {
        let environment = first.environment().into_iter().filter(|(name, _)| *name != "DATABASE_URL");
        program().args(arguments).envs(environment).env("DATABASE_URL", &copied.url).output().expect("it runs")
    };
    let refused = on(&["restore", &path]);
    assert!(!refused.status.success() && said(&refused).contains("--replace"), "{}", said(&refused));
    let restored = on(&["restore", &path, "--replace"]);
    assert!(restored.status.success() && said(&restored).contains("go-live"), "{}", said(&restored));
    std::fs::remove_file(&file).expect("removed");

    // Both run. The copy takes orders, and tells nobody.
    let mut copy = Server::start(&copied.url, 1.0);
    assert_eq!(health(&copy).await["outside"], "held");
    assert!(copy.log().iter().any(|line| line.contains("this database is a copy of another")));
    let there = copy.client(party);
    assert_eq!(
        there.all_orders(ListOrders::default()).await.expect("its orders").len(),
        1,
        "what was restored is there"
    );
    place(&there, "copied-1").await;
    until_messages(&there, endpoint, 2).await;
    // A second one becomes a message in a later look than the first: that one would have been sent by now.
    place(&there, "copied-2").await;
    let held = until_messages(&there, endpoint, 3).await;
    assert_eq!(held.iter().filter(|message| message.attempts == 0).count(), 2, "{held:?}");
    place(&shop, "real-2").await;
    hooks.hears_of("real-2").await;
    assert_eq!(hooks.placed(), ["real", "real-2"], "the real one sends on, and the copy nothing");

    // To say so asks what becomes of what was held.
    let asked = run(&copy, &["go-live"]);
    assert!(!asked.status.success() && said(&asked).contains("--discard-held"), "{}", said(&asked));
    assert!(said(&asked).contains("webhooks"), "{}", said(&asked));
    assert!(first.terminate().success());
    let live = run(&copy, &["go-live", "--send-held"]);
    assert!(live.status.success(), "{}", said(&live));
    assert_eq!(health(&copy).await["outside"], "held", "until it is restarted");
    assert!(copy.terminate().success());
    copy.start_again();
    assert!(health(&copy).await.get("outside").is_none());
    hooks.hears_of("copied-1").await;
    hooks.hears_of("copied-2").await;
    assert_eq!(hooks.placed().len(), 4, "each once");
    let again = run(&copy, &["go-live"]);
    assert!(again.status.success() && said(&again).contains("already"), "{}", said(&again));
    assert!(copy.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_data_directory_is_found_out_and_what_it_held_may_be_discarded() {
    let (data, hooks) = (DataDir::new(), Shop::open().await);
    let mut server = Server::start_private(&data, &[]);
    let (_, party) = merchant();
    zone(&server.admin(), RulesView::default()).await;
    let shop = server.client(party);
    let endpoint = endpoint(&shop, &hooks).await;
    place(&shop, "real").await;
    hooks.hears_of("real").await;
    assert!(server.terminate().success());
    server.start_again();
    assert!(health(&server).await.get("outside").is_none(), "a restart changes nothing");
    assert!(server.terminate().success());

    data.replace_by_a_copy(&server);
    server.start_again();
    assert_eq!(health(&server).await["outside"], "held");
    let shop = server.client(party);
    place(&shop, "copied-1").await;
    until_messages(&shop, endpoint, 2).await;
    // Beside the server, on its own Postgres.
    let live = run(&server, &["go-live", "--discard-held"]);
    assert!(live.status.success(), "{}", said(&live));
    assert!(server.terminate().success());
    server.start_again();
    let shop = server.client(party);
    place(&shop, "afterwards").await;
    hooks.hears_of("afterwards").await;
    assert_eq!(hooks.placed(), ["real", "afterwards"], "what was held is not sent");
    let all = until_messages(&shop, endpoint, 3).await;
    assert_eq!(all.iter().filter(|message| message.state == WebhookState::SetAside).count(), 1, "{all:?}");
    assert!(server.terminate().success());
}

/// Emails leave by a mail server where one is configured: those of a copy wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_configuration_holds_waits_and_is_sent_when_it_no_longer_does() {
    let database = TestDatabase::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let smtp = format!("smtp://{}", listener.local_addr().expect("its address"));
    let mail = [("POSTHASTE_SMTP_URL", smtp.as_str()), ("POSTHASTE_MAIL_FROM", "no-reply@example.org")];
    let held = [&mail[..], &[("POSTHASTE_HOLD_OUTSIDE", "true"), ("POSTHASTE_METRICS_LISTEN", "127.0.0.1:0")]].concat();
    let mut server = Server::start_with(&database.url, 1.0, &held);
    assert_eq!(health(&server).await["outside"], "held");
    let figures = format!("http://{}/metrics", server.logged("metrics", "address").expect("its address"));
    let figures = reqwest::get(figures).await.expect("figures").text().await.expect("figures");
    assert!(figures.contains("posthaste_outside_held 1"), "{figures}");
    register_ada(&server).await;
    assert!(server.terminate().success());
    let waiting = "SELECT count(*) FROM jobs WHERE kind = 'email' AND state = 'waiting' AND attempts = 0";
    let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(database.pool.connections()).await.expect("a count");
    assert_eq!(waiting, 1, "it waits, and nobody took it");

    let _server = Server::start_with(&database.url, 1.0, &mail);
    tokio::time::timeout(PATIENCE, listener.accept()).await.expect("the mail server is asked now").expect("it is");
}
