//! What the real program logs while orders are carried in both worlds: whose it is can be told from every line, and
//! every id can be searched for.

mod harness;

use std::collections::BTreeSet;

use harness::*;
use posthaste_client::{Client, Idempotency, Token};
use posthaste_domain::ids::OrderId;
use posthaste_domain::order::Status;
use posthaste_domain::party::Party;
use posthaste_protocol::accounts::{
    Activate, CreateApiKey, KeyWorld, LogIn, RefreshIn, Register, RegisterAs, Secret, Verify, VerifyBy,
};
use posthaste_protocol::webhooks::CreateEndpoint;
use posthaste_protocol::zones::RulesView;
use posthaste_storage::testing::TestDatabase;

const EMAIL: &str = "engineer@example.org";
const PASSWORD: &str = "correct horse battery";
/// How the log is written, and how a line of the test world says so.
const FORMATS: [(&str, &str); 2] = [("json", r#""world":"test""#), ("text", r#"world="test""#)];

/// Orders of both worlds whose stories are over.
struct Told {
    live: OrderId,
    test: BTreeSet<OrderId>,
}

fn nobody(server: &Server) -> Client {
    Client::new(&server.url, Token::None).expect("a client")
}

/// A merchant's program with a key of the test world.
async fn program(server: &Server) -> Client {
    let (email, name) = (EMAIL.to_owned(), "Bakery".to_owned());
    let (role, verify_by) = (RegisterAs::Merchant, VerifyBy::Email);
    let register = Register { role, email: email.clone(), password: PASSWORD.into(), name, phone: None, verify_by };
    let sent = nobody(server).register(&register).await.expect("a code is sent");
    let code = until("the code is mailed", || async {
        let text = reqwest::get(format!("{}/dev/mail", server.url)).await.ok()?.text().await.ok()?;
        text.lines().find_map(|line| line.strip_suffix(" is your code. It is good for 15 minutes.").map(str::to_owned))
    });
    let verify = Verify { challenge_id: sent.challenge_id, code: Secret(code.await) };
    let account = nobody(server).verify(&verify).await.expect("an account");
    server.admin().activate(account.id, &Activate::default()).await.expect("activated");
    let log_in = LogIn { email, password: PASSWORD.into(), code: None, known_by: None, refresh_in: RefreshIn::Body };
    let tokens = nobody(server).log_in(&log_in).await.expect("signed in");
    let scopes = ["orders:read", "orders:write", "webhooks:write"].map(str::to_owned).to_vec();
    let key = CreateApiKey { name: "trying out".to_owned(), scopes, world: KeyWorld::Test };
    let shop = nobody(server).with_token(tokens.access_token.expose());
    let made = shop.create_api_key(&key).await.expect("a test key");
    nobody(server).with_token(made.secret.expose())
}

/// Orders are delivered, fail and find nobody, in both worlds, and nobody takes the webhooks.
async fn story(server: &Server) -> Told {
    zone(&server.admin(), RulesView::default()).await;
    let program = program(server).await;
    let dead = CreateEndpoint { url: "http://127.0.0.1:9/hooks".to_owned(), ..CreateEndpoint::default() };
    program.create_webhook_endpoint(&dead).await.expect("an endpoint");
    let mut test = BTreeSet::new();
    for (reference, end) in [("A-1", Status::Delivered), ("test:store_closed", Status::Failed)] {
        let order = until("the zone is there", || async {
            program.create_order(&fast_order(reference), Idempotency::Key(reference.to_owned())).await.ok()
        });
        let order = order.await;
        until_status(&program, order.id, end).await;
        test.insert(order.id);
    }
    // Nobody works in the live world: it waits, and somebody is to look.
    let live = server.client(Party::Merchant(id()));
    let waiting = live.create_order(&fast_order("L-1"), Idempotency::Automatic).await.expect("placed");
    until("operations are told that it waits", || async {
        server.log().iter().any(|line| line.contains(&format!("order {} waits", waiting.id))).then_some(())
    })
    .await;
    live.cancel_order(waiting.id, "enough").await.expect("canceled");
    Told { live: waiting.id, test }
}

/// What is wrong with a line.
fn faults(line: &str, told: &Told, mark: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    if line.contains("Some(") || line.contains("None") {
        found.push("an option as the program has it");
    }
    let is_of = |id: &OrderId| line.contains(&id.to_string());
    if told.test.iter().any(is_of) && !line.contains(mark) {
        found.push("of the test world, and does not say so");
    }
    if is_of(&told.live) && line.contains(mark) {
        found.push("of the live world, and says that it is the test world's");
    }
    if line.contains(mark) && line.contains("WARN") && line.contains("posthaste_live::streams") {
        found.push("wakes somebody for what is only tried out");
    }
    found
}

#[test]
fn the_checker_sees_each_fault() {
    let (live, test) = (id::<OrderId>(), id::<OrderId>());
    let told = Told { live, test: [test].into() };
    for (format, mark) in FORMATS {
        for wrong in [
            format!("INFO order=Some({test}) {mark}"),
            format!("INFO driver=None {mark}"),
            format!("INFO order={test} placed"),
            format!("INFO order={live} {mark}"),
            format!("WARN posthaste_live::streams: order={test} {mark}"),
        ] {
            assert_eq!(faults(&wrong, &told, mark).len(), 1, "{format}: {wrong}");
        }
        assert!(faults(&format!("INFO {mark} order={test}"), &told, mark).is_empty());
        assert!(faults(&format!("WARN order={live}"), &told, mark).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_says_of_which_world_it_is_and_names_things_plainly() {
    for (format, mark) in FORMATS {
        let database = TestDatabase::new().await;
        let more = [("POSTHASTE_LOG_FORMAT", format), ("POSTHASTE_LOG", "info,posthaste=debug")];
        let mut server = Server::start_with(&database.url, 1.0, &more);
        let told = story(&server).await;
        assert!(server.terminate().success());
        let log = server.log();
        for line in &log {
            assert_eq!(faults(line, &told, mark), Vec::<&str>::new(), "{line}");
        }
        // What was held against it is there: requests, actors, commits, alerts, webhooks.
        let says = |parts: &[&str]| log.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        for test in &told.test {
            let id = test.to_string();
            assert!(says(&["order placed", &id, mark]), "{format}");
        }
        assert!(says(&["has failed", "INFO", mark]), "{format}: an alert of the test world is noted");
        assert!(says(&["committed", mark]) && says(&["a webhook was sent", mark]), "{format}: {log:#?}");
        let id = told.live.to_string();
        let field = if format == "json" { format!(r#""order":"{id}""#) } else { format!("order={id}") };
        assert!(says(&["WARN", "waits", &field]), "{format}: the live alert can be found by its order");
    }
}
