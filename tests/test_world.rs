//! A merchant's engineer tries their program in the test world of the real program, which is killed meanwhile.

mod harness;

use harness::*;
use posthaste_client::{Client, Idempotency, Token};
use posthaste_domain::order::Status;
use posthaste_protocol::accounts::{
    Activate, CreateApiKey, KeyWorld, LogIn, RefreshIn, Register, RegisterAs, Secret, Verify, VerifyBy,
};
use posthaste_protocol::problem::Code;
use posthaste_protocol::zones::RulesView;
use posthaste_storage::testing::TestDatabase;

const EMAIL: &str = "engineer@example.org";
const PASSWORD: &str = "correct horse battery";

fn nobody(server: &Server) -> Client {
    Client::new(&server.url, Token::None).expect("a client")
}

/// The code in the newest letter to the engineer.
async fn code_by_mail(server: &Server) -> Secret {
    until("the code is mailed", || async {
        let text = reqwest::get(format!("{}/dev/mail", server.url)).await.ok()?.text().await.ok()?;
        let letter = text.split("\n----\n\n").find(|letter| letter.starts_with(&format!("Email to: {EMAIL}\n")))?;
        let (_, body) = letter.split_once("\n\n")?;
        Some(Secret(body.split(' ').next()?.to_owned()))
    })
    .await
}

/// A merchant who works, signed in.
async fn signed_in(server: &Server) -> Client {
    let (email, password) = (EMAIL.to_owned(), Secret::from(PASSWORD));
    let name = "Bakery".to_owned();
    let register =
        Register { role: RegisterAs::Merchant, email, password, name, phone: None, verify_by: VerifyBy::Email };
    let sent = nobody(server).register(&register).await.expect("a code is sent");
    let verify = Verify { challenge_id: sent.challenge_id, code: code_by_mail(server).await };
    let account = nobody(server).verify(&verify).await.expect("an account");
    server.admin().activate(account.id, &Activate::default()).await.expect("activated");
    let (email, password) = (EMAIL.to_owned(), Secret::from(PASSWORD));
    let log_in = LogIn { email, password, code: None, known_by: None, refresh_in: RefreshIn::Body };
    let tokens = nobody(server).log_in(&log_in).await.expect("signed in");
    nobody(server).with_token(tokens.access_token.expose())
}

fn test_key() -> CreateApiKey {
    let scopes = ["orders:read", "orders:write"].map(str::to_owned).to_vec();
    CreateApiKey { name: "trying out".to_owned(), scopes, world: KeyWorld::Test }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_orders_are_carried_over_a_kill_and_live_operations_see_none() {
    let database = TestDatabase::new().await;
    let mut server = Server::start(&database.url, 1.0);
    zone(&server.admin(), RulesView::default()).await;
    let shop = signed_in(&server).await;
    let made = shop.create_api_key(&test_key()).await.expect("a test key");
    let key = made.secret.expose().to_owned();
    assert!(key.starts_with("ph_test_"));
    let program = nobody(&server).with_token(&key);
    let order = program.create_order(&fast_order("A-1"), Idempotency::Key("A-1".into())).await.expect("placed");
    until_status(&program, order.id, Status::EnrouteToDropoff).await;

    server.kill_9();
    server.start_again();
    until("the test world opens by itself", || async {
        let lines = server.log();
        let opened = lines.iter().filter(|line| line.contains("the test world is open")).count();
        (opened >= 2).then_some(())
    })
    .await;
    let program = nobody(&server).with_token(&key);
    until_status(&program, order.id, Status::Delivered).await;
    let refused = server.admin().order(order.id).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::NotFound));
    assert!(server.log().iter().all(|line| !line.contains(&key[8..])), "the log holds no secret");
    let stopped = server.terminate();
    assert!(stopped.success(), "{stopped}");
    until("it says that it has stopped", || async { server.logged("stopped", "message") }).await;

    let server = Server::start_with(&database.url, 1.0, &[("POSTHASTE_TEST_WORLD", "false")]);
    let refused = nobody(&server).with_token(&key).order(order.id).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Unauthenticated));
    let log_in = LogIn {
        email: EMAIL.to_owned(),
        password: PASSWORD.into(),
        code: None,
        known_by: None,
        refresh_in: RefreshIn::Body,
    };
    let tokens = nobody(&server).log_in(&log_in).await.expect("signed in");
    let shop = nobody(&server).with_token(tokens.access_token.expose());
    let refused = shop.create_api_key(&test_key()).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Conflict));
}
