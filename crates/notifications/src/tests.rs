//! Messages on their way past mail servers and senders that misbehave.

use std::net::SocketAddr;
use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_clock::testing::{eventually, eventually_shown, eventually_within};
use posthaste_domain::Span;
use posthaste_jobs::Jobs;
use posthaste_standins::kept::{Kind, Sent};
use posthaste_standins::rules::{Manner, Rule};
use posthaste_standins::{ACCOUNT, FROM, Listen, StandIns, TOKEN};
use posthaste_storage::installation::Outside;
use posthaste_storage::sealed::Seal;
use posthaste_storage::testing::TestDatabase;
use tokio::net::TcpListener;

use crate::{Carrier, Channel, Message, Notifications, TwilioSettings};

/// A mail server that takes nobody, and one that refuses every receiver.
const BUSY: Manner = Manner::Closed { code: 421 };
const NOBODY: Manner = Manner::Refuses { code: 550 };

/// A mail server, or a sender of texts.
struct StandIn {
    all: StandIns,
    channel: Channel,
}

impl StandIn {
    async fn start(channel: Channel, manner: impl Into<Option<Manner>>) -> Self {
        let stand_in = Self { all: StandIns::start().await.unwrap(), channel };
        stand_in.behaves(manner);
        stand_in
    }

    /// So, or well.
    fn behaves(&self, manner: impl Into<Option<Manner>>) {
        self.all.behave(manner.into());
    }

    fn address(&self) -> SocketAddr {
        match self.channel {
            Channel::Email => self.all.smtp(),
            Channel::Text => self.all.http(),
        }
    }

    fn taken(&self) -> Vec<Sent> {
        self.all.sent(match self.channel {
            Channel::Email => Kind::Email,
            Channel::Text => Kind::Text,
        })
    }
}

struct Stage {
    database: TestDatabase,
    outbox: Notifications,
    _worker: crate::worker::Worker,
}

impl Stage {
    async fn new(channel: Channel, address: SocketAddr) -> Self {
        Self::on(TestDatabase::new().await, channel, address, Outside::Open)
    }

    fn on(database: TestDatabase, channel: Channel, address: SocketAddr, outside: Outside) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let carrier = match channel {
            Channel::Email => Carrier::smtp(&format!("smtp://us:secret@{address}"), "posthaste <no-reply@example.org>"),
            Channel::Text => Carrier::twilio(TwilioSettings {
                url: format!("http://{address}"),
                account: ACCOUNT.to_owned(),
                token: TOKEN.to_owned(),
                from: FROM.to_owned(),
            }),
        };
        let (email, text) = match channel {
            Channel::Email => (Some(carrier.unwrap()), None),
            Channel::Text => (None, Some(carrier.unwrap())),
        };
        let (pool, seal, clock) = (database.pool.clone(), Seal::new(b"a secret of tests"), Clock::system());
        let outbox = Notifications::new(Jobs::new(pool, seal, clock, outside), email, text);
        let worker = outbox.start();
        Self { database, outbox, _worker: worker }
    }

    async fn send(&self, message: Message) {
        let mut connection = self.database.pool.connections().acquire().await.unwrap();
        self.outbox.put(&mut connection, &message).await.unwrap();
        self.outbox.wake();
    }

    /// Time passes: what waits for its next attempt is due.
    async fn later(&self) {
        sqlx::query("UPDATE jobs SET due_at = now() WHERE state = 'waiting'")
            .execute(self.database.pool.connections())
            .await
            .unwrap();
        self.outbox.wake();
    }

    /// How often it was looked at what waits.
    fn looks(&self) -> u64 {
        self.outbox
            .jobs()
            .clock()
            .duties()
            .all()
            .iter()
            .filter(|one| one.duty.trigger.is_some())
            .map(|one| one.done)
            .sum()
    }

    async fn row(&self) -> (String, i32, Option<String>, bool) {
        sqlx::query_as("SELECT CASE state WHEN 'running' THEN 'waiting' ELSE state END, attempts, last_error, payload IS NULL FROM jobs")
            .fetch_one(self.database.pool.connections())
            .await
            .unwrap()
    }

    /// Waits until the only message is as described.
    async fn until(&self, what: &str, is: impl Fn(&(String, i32, Option<String>, bool)) -> bool) {
        eventually_shown(what, async || {
            let row = self.row().await;
            if is(&row) { Ok(()) } else { Err(row) }
        })
        .await;
    }

    async fn failed(&self, why: &str) {
        let settled =
            |row: &(String, i32, Option<String>, bool)| row.2.as_deref().is_some_and(|text| text.contains(why));
        self.until(why, settled).await;
        let (state, _, error, gone) = self.row().await;
        assert_eq!((state.as_str(), gone), ("waiting", false), "nothing is lost");
        let error = error.unwrap();
        assert!(!error.contains("ada") && !error.contains("+49"), "{error}");
        assert!(!error.contains("secret") && !error.contains(TOKEN) && !error.contains(ACCOUNT), "{error}");
    }
}

fn email() -> Message {
    Message::email("ada@example.org", "Your code", "123456 is your code")
}

#[tokio::test]
async fn a_mail_server_that_misbehaves_loses_nothing() {
    let server = StandIn::start(Channel::Email, BUSY).await;
    let stage = Stage::new(Channel::Email, server.address()).await;
    stage.send(email()).await;
    stage.failed("421").await;
    server.behaves(Manner::Garbage);
    stage.later().await;
    stage.failed("breaks off").await;
    server.behaves(None);
    stage.later().await;
    stage.until("sent", |row| row.0 == "done" && row.3).await;
    let taken = server.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].to, ["ada@example.org"]);
    for part in ["To: ada@example.org", "Subject: Your code", "123456 is your code", "Message-ID: <msg_"] {
        assert!(taken[0].text.contains(part), "{}", taken[0].text);
    }
}

#[tokio::test]
async fn what_is_held_waits_and_what_leaves_no_machine_goes_on() {
    for channel in [Channel::Email, Channel::Text] {
        let server = StandIn::start(channel, None).await;
        let held = Stage::on(TestDatabase::new().await, channel, server.address(), Outside::Held);
        assert!(held.outbox.carries(channel) && !held.outbox.sends(channel), "nobody takes it out");
        let message = match channel {
            Channel::Email => email(),
            Channel::Text => Message::text("+4930123456", "123456 is your code"),
        };
        held.send(message.clone()).await;
        let waits = crate::held::waiting(&held.database.pool).await.unwrap();
        assert!(waits.count == 1 && waits.since.is_some(), "{waits:?}");
        assert_eq!(crate::held::give_up(&held.database.pool, chrono::Utc::now()).await.unwrap(), 1);
        let (state, attempts, why, gone) = held.row().await;
        assert_eq!((state.as_str(), attempts, gone), ("dead", 0, true));
        assert!(why.unwrap().contains("copy"));
        held.send(message).await;
        let Stage { database, _worker, .. } = held;
        drop(_worker);
        // Said to be the real one: what still waits is sent.
        let open = Stage::on(database, channel, server.address(), Outside::Open);
        eventually("it is sent", async || {
            (crate::held::waiting(&open.database.pool).await.unwrap().count == 0).then_some(())
        })
        .await;
        assert_eq!(server.taken().len(), 1, "and what was given up is not");
    }
    let (database, seal) = (TestDatabase::new().await, Seal::new(b"a secret of tests"));
    let mailbox = Some(Carrier::mailbox(std::env::temp_dir()));
    let pool = database.pool.clone();
    let jobs = Jobs::new(pool, seal, Clock::system(), Outside::Held);
    let outbox = Notifications::new(jobs, mailbox, None);
    assert!(outbox.sends(Channel::Email) && !outbox.sends(Channel::Text));
}

#[tokio::test]
async fn a_mail_server_that_is_down_gets_everything_when_it_is_back() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let stage = Stage::new(Channel::Email, address).await;
    stage.send(email()).await;
    stage.failed("cannot be reached").await;
    let back = StandIns::start_at(Listen { smtp: address.port(), ..Listen::default() }).await.unwrap();
    stage.later().await;
    stage.until("sent", |row| row.0 == "done").await;
    assert_eq!(back.sent(Kind::Email).len(), 1);
}

#[tokio::test]
async fn a_mail_server_that_is_silent_is_given_up_for_now() {
    let server = StandIn::start(Channel::Email, Manner::Silent).await;
    let stage = Stage::new(Channel::Email, server.address()).await;
    stage.send(email()).await;
    stage.failed("no answer").await;
}

#[tokio::test]
async fn a_slow_mail_server_is_waited_for_and_gets_the_message_once() {
    let server = StandIn::start(Channel::Email, Manner::Slow { millis: 100 }).await;
    let stage = Stage::new(Channel::Email, server.address()).await;
    stage.send(email()).await;
    // Others look at the outbox meanwhile.
    stage.outbox.wake();
    stage.until("sent", |row| row.0 == "done" && row.1 == 1).await;
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn what_is_refused_for_good_is_dead_and_its_text_gone() {
    let server = StandIn::start(Channel::Email, NOBODY).await;
    let stage = Stage::new(Channel::Email, server.address()).await;
    stage.send(email()).await;
    stage.until("dead", |row| row.0 == "dead" && row.3 && row.1 == 1).await;
    assert_eq!(stage.outbox.standing(Channel::Email).await.unwrap().dead, 1);
    assert!(server.taken().is_empty());
}

#[tokio::test]
async fn a_mail_server_that_does_not_let_us_in_loses_nothing() {
    let server = StandIn::start(Channel::Email, Manner::WrongPassword).await;
    let stage = Stage::new(Channel::Email, server.address()).await;
    stage.send(email()).await;
    stage.failed("535").await;
    // As a greeting these say that nobody is served, not that the message is bad.
    for code in [554, 550] {
        server.behaves(Manner::Closed { code });
        stage.later().await;
        stage.failed(&code.to_string()).await;
    }
    // The password was mended.
    server.behaves(None);
    stage.later().await;
    stage.until("sent", |row| row.0 == "done" && row.3).await;
}

#[tokio::test]
async fn wrong_credentials_of_the_sender_of_texts_lose_nothing() {
    let sender = StandIn::start(Channel::Text, Manner::WrongPassword).await;
    let stage = Stage::new(Channel::Text, sender.address()).await;
    stage.send(Message::text("+4930123456", "123456 is your code")).await;
    stage.failed("401").await;
    sender.behaves(None);
    stage.later().await;
    stage.until("sent", |row| row.0 == "done").await;
}

#[tokio::test]
async fn receivers_that_are_put_off_do_not_keep_others_waiting() {
    let server = StandIn::start(Channel::Email, None).await;
    server.all.rule(Rule { to: "odd*".to_owned(), ..Rule::everybody(Manner::Refuses { code: 451 }) }).unwrap();
    let stage = Stage::new(Channel::Email, server.address()).await;
    for n in 0..12 {
        stage.send(Message::email(format!("odd{n}@example.org"), "Your code", "123456 is your code")).await;
    }
    let count = |state: &'static str| {
        let pool = stage.database.pool.connections();
        async move {
            let sql = "SELECT count(*) FROM jobs WHERE state = $1 AND (state <> 'waiting' OR last_error LIKE '%451')";
            sqlx::query_scalar::<_, i64>(sql).bind(state).fetch_one(pool).await.unwrap()
        }
    };
    eventually("all are put off", async || (count("waiting").await >= 12).then_some(())).await;
    stage.send(email()).await;
    let sent = async || (count("done").await >= 1).then_some(());
    eventually_within(Duration::from_secs(10), "a sound one is sent, the breaker is not open", sent).await;
}

#[tokio::test]
async fn a_code_that_has_ended_is_not_sent_any_more() {
    let server = StandIn::start(Channel::Email, None).await;
    let stage = Stage::new(Channel::Email, server.address()).await;
    stage.send(email().useful_for(Span::zero())).await;
    stage.until("dead", |row| row.0 == "dead" && row.2.as_deref() == Some("too late")).await;
    assert!(server.taken().is_empty());
}

#[tokio::test]
async fn a_sender_of_texts_that_misbehaves_loses_nothing() {
    let sender = StandIn::start(Channel::Text, Manner::Closed { code: 500 }).await;
    let stage = Stage::new(Channel::Text, sender.address()).await;
    stage.send(Message::text("+4930123456", "123456 is your code")).await;
    stage.failed("500").await;
    for (manner, why) in [(Manner::Garbage, "no confirmation"), (Manner::Silent, "no answer")] {
        sender.behaves(manner);
        stage.later().await;
        stage.failed(why).await;
    }
    sender.behaves(None);
    stage.later().await;
    stage.until("sent", |row| row.0 == "done" && row.3).await;
    let taken = sender.taken();
    assert_eq!(taken.len(), 1);
    let Sent { from, to, text, .. } = &taken[0];
    assert_eq!(
        (from.as_str(), to.as_slice(), text.as_str()),
        (FROM, &["+4930123456".to_owned()][..], "123456 is your code")
    );
}

#[tokio::test]
async fn what_was_taken_and_not_confirmed_comes_again_and_an_email_can_be_told() {
    for (channel, why) in [(Channel::Email, "breaks off"), (Channel::Text, "the connection broke")] {
        let server = StandIn::start(channel, Manner::TakesAndCuts).await;
        let stage = Stage::new(channel, server.address()).await;
        let message = match channel {
            Channel::Email => email(),
            Channel::Text => Message::text("+4930123456", "123456 is your code"),
        };
        stage.send(message).await;
        stage.failed(why).await;
        server.behaves(None);
        stage.later().await;
        stage.until("sent", |row| row.0 == "done" && row.1 == 2).await;
        let taken = server.taken();
        assert_eq!(taken.len(), 2, "it may have arrived, and may not");
        assert_eq!(taken[0].header("message-id"), taken[1].header("message-id"));
        assert!(channel == Channel::Text || taken[0].header("message-id").is_some());
    }
}

#[tokio::test]
async fn a_sender_of_texts_that_is_too_busy_is_asked_when_it_said() {
    let sender = StandIn::start(Channel::Text, Manner::Closed { code: 429 }).await;
    let stage = Stage::new(Channel::Text, sender.address()).await;
    stage.send(Message::text("+4930123456", "123456 is your code")).await;
    stage.failed("429").await;
    // The first wait of the outbox's own is 5 s.
    let waits: i32 = sqlx::query_scalar("SELECT extract(epoch FROM due_at - now())::int FROM jobs")
        .fetch_one(stage.database.pool.connections())
        .await
        .unwrap();
    let asked = i32::from(posthaste_standins::BUSY_FOR);
    assert!((asked - 60..=asked).contains(&waits), "{waits} s");
}

#[tokio::test]
async fn a_number_that_does_not_exist_is_not_tried_again() {
    let sender = StandIn::start(Channel::Text, Manner::Refuses { code: 21211 }).await;
    let stage = Stage::new(Channel::Text, sender.address()).await;
    stage.send(Message::text("+4930123456", "123456 is your code")).await;
    stage.until("dead", |row| row.0 == "dead" && row.1 == 1).await;
}

#[tokio::test]
async fn after_failures_in_a_row_the_server_is_left_alone_and_attempts_are_saved() {
    let server = StandIn::start(Channel::Email, BUSY).await;
    let stage = Stage::new(Channel::Email, server.address()).await;
    stage.send(email()).await;
    eventually("five attempts", async || {
        // What is being tried just then sets its next attempt itself: said again until it counts.
        stage.later().await;
        (stage.row().await.1 >= 5).then_some(())
    })
    .await;
    for _ in 0..10 {
        // The look that this wakes has seen it, and the one under way before it has not.
        let looks = stage.looks();
        stage.later().await;
        eventually("it was looked at", async || {
            stage.outbox.wake();
            (stage.looks() > looks + 1).then_some(())
        })
        .await;
    }
    assert_eq!(stage.row().await.1, 5, "the breaker is open");
}

#[tokio::test]
async fn a_message_waits_unreadable() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = Stage::new(Channel::Email, gone.local_addr().unwrap()).await;
    stage.send(email()).await;
    let stored: String = sqlx::query_scalar("SELECT encode(payload, 'escape') FROM jobs")
        .fetch_one(stage.database.pool.connections())
        .await
        .unwrap();
    assert!(!stored.contains("123456") && !stored.contains("ada"), "{stored}");
    assert_eq!(format!("{:?}", email()), "Message(email, …)");
}

#[tokio::test]
async fn what_the_release_before_has_left_is_sent_under_its_id() {
    let server = StandIn::start(Channel::Email, None).await;
    let database = TestDatabase::new().await;
    let (id, plain) = (uuid::Uuid::now_v7(), serde_json::to_vec(&email()).unwrap());
    let body = Seal::new(b"a secret of tests").seal("outbox", id.as_bytes(), &plain).unwrap();
    let insert =
        "INSERT INTO outbox_messages (id, channel, state, created_at, next_attempt_at, give_up_at, attempts, body)
        VALUES ($1, 'email', 'waiting', now(), now(), now() + interval '1 day', 3, $2)";
    sqlx::query(insert).bind(id).bind(body).execute(database.pool.connections()).await.unwrap();
    for (state, ended) in [("sent", "1 day"), ("dead", "100 days")] {
        let insert = "INSERT INTO outbox_messages (id, channel, state, created_at, next_attempt_at, give_up_at, attempts, ended_at)
            VALUES (gen_random_uuid(), 'text', $1, now(), now(), now(), 1, now() - $2::interval)";
        sqlx::query(insert).bind(state).bind(ended).execute(database.pool.connections()).await.unwrap();
    }
    assert_eq!(crate::held::waiting(&database.pool).await.unwrap().count, 1);
    let stage = Stage::on(database, Channel::Email, server.address(), Outside::Open);
    let row = async || -> Vec<(String, String, i32)> {
        let rows = sqlx::query_as("SELECT kind, state, attempts FROM jobs ORDER BY kind, state");
        rows.fetch_all(stage.database.pool.connections()).await.unwrap()
    };
    let wanted = [("email", "done", 4), ("text", "dead", 1), ("text", "done", 1)];
    let wanted = wanted.map(|(kind, state, attempts)| (kind.to_owned(), state.to_owned(), attempts));
    eventually_shown("all are taken over, and what waited is sent", async || {
        let rows = row().await;
        if rows == wanted { Ok(()) } else { Err(rows) }
    })
    .await;
    let taken = server.taken();
    let message: posthaste_domain::ids::MessageId = posthaste_domain::ids::Id::from_uuid(id);
    assert_eq!(taken.len(), 1);
    assert!(taken[0].text.contains(&format!("Message-ID: <{message}")), "{}", taken[0].text);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox_messages")
        .fetch_one(stage.database.pool.connections())
        .await
        .unwrap();
    assert_eq!(left, 0);
}
