//! Signing in to the real program, in production and in development.

mod harness;
#[path = "provider/provider.rs"]
mod provider;

use std::io::Write;
use std::process::Stdio;

use harness::*;
use posthaste_client::{Client, Event, Idempotency, Token};
use posthaste_domain::Span;
use posthaste_domain::party::Party;
use posthaste_protocol::accounts::{
    Activate, LogIn, RefreshIn, Register, RegisterAs, Secret, StepUp, Verify, VerifyBy,
};
use posthaste_protocol::google::{BeginGoogle, ConfirmGoogle, EndedBy};
use posthaste_protocol::problem::Code;
use posthaste_protocol::socket::{ServerMessage, close};
use posthaste_protocol::zones::RulesView;
use posthaste_storage::testing::TestDatabase;
use provider::{Browser, PUBLIC, Provider};
use reqwest::{Url, header};

const PASSWORD: &str = "correct horse battery";

fn nobody(server: &Server) -> Client {
    Client::new(&server.url, Token::None).expect("a client")
}

fn log_in(email: &str) -> LogIn {
    LogIn {
        email: email.to_owned(),
        password: PASSWORD.into(),
        code: None,
        known_by: None,
        refresh_in: RefreshIn::Body,
    }
}

/// `posthaste admin create` on the server's database; what it says beside its output.
fn create_admin(server: &Server, email: &str) -> String {
    create_admin_with(server, email, &[])
}

fn create_admin_with(server: &Server, email: &str, more: &[(&str, &str)]) -> String {
    let mut command = program()
        .args(["admin", "create", "--email", email, "--password-stdin"])
        .envs(server.environment())
        .envs(more.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    writeln!(command.stdin.take().expect("its input"), "{PASSWORD}").expect("written");
    let ended = command.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success() && ended.stdout.is_empty(), "{said}");
    said
}

async fn the_code_for(server: &Server, email: &str) -> Secret {
    until("the code is mailed", || async {
        let text = reqwest::get(format!("{}/dev/mail", server.url)).await.ok()?.text().await.ok()?;
        let letter = text.split("\n----\n\n").find(|letter| letter.starts_with(&format!("Email to: {email}\n")))?;
        let (_, body) = letter.split_once("\n\n")?;
        Some(Secret(body.split(' ').next()?.to_owned()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_registers_is_activated_and_goes_on_after_a_kill() {
    let database = TestDatabase::new().await;
    let mut server = Server::start(&database.url, 1.0);
    create_admin(&server, "root@example.org");
    let root = nobody(&server).log_in(&log_in("root@example.org")).await.expect("signed in");
    let root = nobody(&server).with_token(root.access_token.expose());
    zone(&root, RulesView::default()).await;

    let register = Register {
        verify_by: VerifyBy::Email,
        role: RegisterAs::Merchant,
        email: "shop@example.org".to_owned(),
        password: PASSWORD.into(),
        name: "Bakery".to_owned(),
        phone: None,
    };
    let sent = nobody(&server).register(&register).await.expect("a code is sent");
    let code = the_code_for(&server, "shop@example.org").await;
    let verify = Verify { challenge_id: sent.challenge_id, code };
    let account = nobody(&server).verify(&verify).await.expect("an account");
    root.activate(account.id, &Activate::default()).await.expect("activated");
    let tokens = nobody(&server).log_in(&log_in("shop@example.org")).await.expect("signed in");

    server.kill_9();
    server.start_again();
    let shop = nobody(&server).with_token(tokens.access_token.expose());
    let order = shop.create_order(&fast_order("A-1"), Idempotency::Key("A-1".into())).await.expect("placed");
    assert_eq!(Some(order.merchant_id), if let Party::Merchant(id) = tokens.party { Some(id) } else { None });
    let next = nobody(&server).refresh(tokens.refresh_token.expect("in the body")).await.expect("refreshed");
    nobody(&server).log_out(next.refresh_token.expect("in the body")).await.expect("signed out");

    server.kill_9();
    server.start_again();
    let refused = nobody(&server).with_token(next.access_token.expose()).account().await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::LoginEnded), "what was ended stays so over a kill");
    let audit = root.with_token(root_token(&server).await).audit().await.expect("the audit log");
    assert!(audit.items.iter().any(|entry| entry.act == "account.activated"));
    for secret in [PASSWORD, next.access_token.expose(), verify.code.expose()] {
        assert!(server.log().iter().all(|line| !line.contains(secret)), "the log holds no secret");
    }
}

async fn root_token(server: &Server) -> String {
    let tokens = nobody(server).log_in(&log_in("root@example.org")).await.expect("signed in");
    tokens.access_token.expose().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_production_only_those_who_signed_in_get_in() {
    let database = TestDatabase::new().await;
    let server = Server::start_in(&database.url, "production");
    let refused = server.admin().zones().await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Unauthenticated));
    let made = program()
        .args(["token", "admin"])
        .envs(server.environment())
        .env("POSTHASTE_MODE", "production")
        .output()
        .expect("the program runs");
    assert!(!made.status.success() && made.stdout.is_empty());
    assert!(String::from_utf8_lossy(&made.stderr).contains("POSTHASTE_MODE=development"));
    // Admins have a second factor there, which the command shows beside its output: with it they are in.
    let said = create_admin(&server, "root@example.org");
    let code = said.lines().map(str::trim).find(|line| line.len() == 11 && line.as_bytes()[5] == b'-');
    assert!(said.contains("Or type the secret: ") && said.contains('█'), "{said}");
    let refused = nobody(&server).log_in(&log_in("root@example.org")).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::SecondFactorRequired));
    let with_code = LogIn { code: code.map(Into::into), ..log_in("root@example.org") };
    let root = nobody(&server).log_in(&with_code).await.expect("signed in");
    assert!(root.may_work);
    let root = nobody(&server).with_token(root.access_token.expose());
    assert!(root.zones().await.expect("an admin reads zones").is_empty());
    // Who was an admin before is led.
    let off = [("POSTHASTE_ADMIN_SECOND_FACTOR", "false")];
    create_admin_with(&server, "old@example.org", &off);
    let old = nobody(&server).log_in(&log_in("old@example.org")).await.expect("signed in");
    assert!(!old.may_work);
    let refused = nobody(&server).with_token(old.access_token.expose()).zones().await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::SecondFactorMissing));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_outlives_its_tokens_where_its_source_has_new_ones() {
    let database = TestDatabase::new().await;
    let server = Server::start(&database.url, 1.0);
    zone(&server.admin(), RulesView::default()).await;
    let merchant = Party::Merchant(id());
    // The server takes a token for half a minute after its end: what is left of these is three seconds.
    let short = move || token_for(merchant, Span::seconds(-27));
    let mut dies = nobody(&server).with_token(short()).merchant_socket();
    let mut lives = nobody(&server).with_token(Token::source(short)).merchant_socket();
    let closed =
        dies.wait_for(PATIENCE, |event| if let Event::Closed { code, .. } = event { code } else { None }).await;
    assert_eq!(closed, Some(close::TOKEN_EXPIRED), "a fixed token ends the socket");
    until("the other has had several", || async { (lives.stats().renewals >= 6).then_some(()) }).await;
    let shop = nobody(&server).with_token(Token::source(short));
    let order = shop.create_order(&fast_order("A-1"), Idempotency::Automatic).await.expect("placed");
    let heard = lives.wait_for(PATIENCE, |event| match event {
        Event::Message { message: ServerMessage::Order(seen), .. } if seen.order.id == order.id => Some(true),
        Event::Disconnected { .. } | Event::Closed { .. } => Some(false),
        _ => None,
    });
    assert_eq!(heard.await, Some(true), "it was connected all the time");
    assert_eq!(lives.stats().connects, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_signs_in_with_google_over_a_kill_of_the_server() {
    let Some(google) = Provider::start() else { return };
    let database = TestDatabase::new().await;
    let settings = [
        ("POSTHASTE_PUBLIC_URL", PUBLIC),
        ("POSTHASTE_GOOGLE_CLIENT_ID", "posthaste"),
        ("POSTHASTE_GOOGLE_CLIENT_SECRET", "a secret of tests"),
        ("POSTHASTE_GOOGLE_ISSUER", &google.issuer),
    ];
    let mut server = Server::start_with(&database.url, 1.0, &settings);
    let return_to = format!("{PUBLIC}/app");
    let begin = BeginGoogle { return_to, register_as: Some(RegisterAs::Customer), ended_by: EndedBy::App };
    let begun = nobody(&server).begin_google(&begin).await.expect("begun");
    let back = Browser::new().sign_in(begun.authorization_url.expose(), "ada@example.org").await;

    server.kill_9();
    server.start_again();
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a browser");
    let page = browser.get(format!("{}{back}", server.url)).send().await.expect("an answer");
    let page = Url::parse(page.headers()[header::LOCATION].to_str().expect("text")).expect("a page");
    let code = page.query_pairs().find(|(name, _)| name == "google_code").expect("a code").1.into_owned();
    let confirm = ConfirmGoogle {
        state: begun.state.clone(),
        secret: begun.secret,
        google_code: Some(Secret(code.clone())),
        code: None,
        refresh_in: RefreshIn::Body,
    };
    let tokens = nobody(&server).confirm_google(&confirm).await.expect("signed in");
    let again = nobody(&server).confirm_google(&confirm).await.unwrap_err();
    assert_eq!(again.code(), Some(Code::SignInFailed), "once");
    let ada = nobody(&server).with_token(tokens.access_token.expose());
    let account = ada.account().await.expect("an account");
    assert_eq!((account.has_password, account.google.map(|google| google.email)), (false, Some(account.email)));
    assert_eq!(
        ada.unlink_google(&StepUp::default()).await.unwrap_err().code(),
        Some(Code::Conflict),
        "the only way in"
    );
    for secret in [&code, begun.state.expose(), tokens.access_token.expose(), "a secret of tests"] {
        assert!(server.log().iter().all(|line| !line.contains(secret)), "the log holds no secret");
    }
}
