//! Messages on their way past mail servers and senders that misbehave.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use posthaste_clock::Clock;
use posthaste_clock::testing::{eventually, eventually_shown, eventually_within};
use posthaste_domain::Span;
use posthaste_storage::installation::Outside;
use posthaste_storage::sealed::Seal;
use posthaste_storage::testing::TestDatabase;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::{Carrier, Channel, Message, Notifications, TwilioSettings};

/// How a stand-in behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Sound,
    /// Not now.
    Troubled,
    /// Never this one.
    Refusing,
    /// Not this one now.
    Deferring,
    /// Wants a password, and not this one.
    WrongPassword,
    /// Greets with a refusal, in the words of a refused receiver or of refused contents.
    Closed(&'static str),
    /// What is no answer at all.
    Garbage,
    /// Takes the connection and says nothing.
    Silent,
    /// Sound, but takes its time for every line.
    Slow,
}

/// A mail server, or a sender of texts, on a port of its own.
struct StandIn {
    port: u16,
    manner: Arc<Mutex<Manner>>,
    taken: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    async fn start(channel: Channel, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (manner, taken) = (Arc::new(Mutex::new(manner)), Arc::new(Mutex::new(Vec::new())));
        let stand_in = Self { port, manner: Arc::clone(&manner), taken: Arc::clone(&taken) };
        tokio::spawn(async move {
            loop {
                let Ok((connection, _)) = listener.accept().await else { return };
                let (manner, taken) = (*manner.lock().unwrap(), Arc::clone(&taken));
                tokio::spawn(async move {
                    let _ = match channel {
                        Channel::Email => smtp(connection, manner, &taken).await,
                        Channel::Text => http(connection, manner, &taken).await,
                    };
                });
            }
        });
        stand_in
    }

    fn behaves(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

async fn smtp(connection: TcpStream, manner: Manner, taken: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    match manner {
        Manner::Silent => return std::future::pending().await,
        Manner::Garbage => return connection.write_all(b"\xff\xfehello?\r\n\r\n").await,
        Manner::Troubled => return connection.write_all(b"421 too busy\r\n").await,
        Manner::Closed(greeting) => return connection.write_all(greeting.as_bytes()).await,
        Manner::Sound | Manner::Refusing | Manner::Slow | Manner::Deferring | Manner::WrongPassword => {
            connection.write_all(b"220 stand-in\r\n").await?
        }
    }
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer = match line.split([' ', '\r']).next().unwrap_or_default() {
            "EHLO" => "250-stand-in\r\n250 AUTH PLAIN LOGIN\r\n",
            "AUTH" if manner == Manner::WrongPassword => "535 5.7.8 not this password\r\n",
            "AUTH" => "235 welcome\r\n",
            "RCPT" if manner == Manner::Refusing => "550 nobody of that name\r\n",
            "RCPT" if manner == Manner::Deferring && line.contains("odd") => "451 come back later\r\n",
            "DATA" => {
                connection.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    if connection.read_line(&mut text).await? == 0 {
                        return Ok(());
                    }
                }
                taken.lock().unwrap().push(text);
                "250 taken\r\n"
            }
            "QUIT" => return connection.write_all(b"221 bye\r\n").await,
            _ => "250 fine\r\n",
        };
        if manner == Manner::Slow {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        connection.write_all(answer.as_bytes()).await?;
    }
}

async fn http(mut connection: TcpStream, manner: Manner, taken: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut text = String::new();
    let length = |text: &str| {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        Some(body.len() >= length.unwrap_or(0))
    };
    while !length(&text).unwrap_or(false) {
        let mut buffer = [0; 4096];
        let read = connection.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    let (status, body) = match manner {
        Manner::Silent => return std::future::pending().await,
        Manner::Garbage => ("200 OK", "<html>a hotel's welcome page</html>"),
        Manner::Troubled => ("500 Oh", "{}"),
        Manner::Closed(_) | Manner::WrongPassword => ("401 Who", "{}"),
        Manner::Deferring => ("403 Not there", r#"{"code":21408,"message":"not to this country"}"#),
        Manner::Refusing => ("400 No", r#"{"code":21211,"message":"no such number"}"#),
        Manner::Sound | Manner::Slow => {
            taken.lock().unwrap().push(text);
            ("201 Created", r#"{"sid":"SM1","status":"queued"}"#)
        }
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    connection.write_all(answer.as_bytes()).await
}

struct Stage {
    database: TestDatabase,
    outbox: Notifications,
    _worker: crate::worker::Worker,
}

impl Stage {
    async fn new(channel: Channel, port: u16) -> Self {
        Self::on(TestDatabase::new().await, channel, port, Outside::Open)
    }

    fn on(database: TestDatabase, channel: Channel, port: u16, outside: Outside) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let carrier = match channel {
            Channel::Email => {
                Carrier::smtp(&format!("smtp://us:secret@127.0.0.1:{port}"), "posthaste <no-reply@example.org>")
            }
            Channel::Text => Carrier::twilio(TwilioSettings {
                url: format!("http://127.0.0.1:{port}"),
                account: "AC1".to_owned(),
                token: "secret".to_owned(),
                from: "+4930000000".to_owned(),
            }),
        };
        let (email, text) = match channel {
            Channel::Email => (Some(carrier.unwrap()), None),
            Channel::Text => (None, Some(carrier.unwrap())),
        };
        let (pool, seal, clock) = (database.pool.clone(), Seal::new(b"a secret of tests"), Clock::system());
        let outbox = Notifications::new(pool, seal, clock, outside, email, text);
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
        sqlx::query("UPDATE outbox_messages SET next_attempt_at = now() WHERE state = 'waiting'")
            .execute(self.database.pool.connections())
            .await
            .unwrap();
        self.outbox.wake();
    }

    /// How often it was looked at what waits.
    fn looks(&self) -> u64 {
        self.outbox.clock().duties().all().iter().filter(|one| one.duty.trigger.is_some()).map(|one| one.done).sum()
    }

    async fn row(&self) -> (String, i32, Option<String>, bool) {
        sqlx::query_as("SELECT state, attempts, last_error, body IS NULL FROM outbox_messages")
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
        assert!(!error.contains("ada") && !error.contains("+49") && !error.contains("secret"), "{error}");
    }
}

fn email() -> Message {
    Message::email("ada@example.org", "Your code", "123456 is your code")
}

#[tokio::test]
async fn a_mail_server_that_misbehaves_loses_nothing() {
    let server = StandIn::start(Channel::Email, Manner::Troubled).await;
    let stage = Stage::new(Channel::Email, server.port).await;
    stage.send(email()).await;
    stage.failed("421").await;
    server.behaves(Manner::Garbage);
    stage.later().await;
    stage.failed("breaks off").await;
    server.behaves(Manner::Sound);
    stage.later().await;
    stage.until("sent", |row| row.0 == "sent" && row.3).await;
    let taken = server.taken();
    assert_eq!(taken.len(), 1);
    for part in ["To: ada@example.org", "Subject: Your code", "123456 is your code", "Message-ID: <msg_"] {
        assert!(taken[0].contains(part), "{}", taken[0]);
    }
}

#[tokio::test]
async fn what_is_held_waits_and_what_leaves_no_machine_goes_on() {
    for channel in [Channel::Email, Channel::Text] {
        let server = StandIn::start(channel, Manner::Sound).await;
        let held = Stage::on(TestDatabase::new().await, channel, server.port, Outside::Held);
        assert!(held.outbox.carries(channel) && !held.outbox.sends(channel), "nobody takes it out");
        let message = Message { channel, ..email() };
        held.send(message.clone()).await;
        let waits = crate::held::waiting(&held.database.pool).await.unwrap();
        assert!(waits.count == 1 && waits.since.is_some(), "{waits:?}");
        assert_eq!(crate::held::give_up(&held.database.pool, held.outbox.now()).await.unwrap(), 1);
        let (state, attempts, why, gone) = held.row().await;
        assert_eq!((state.as_str(), attempts, gone), ("dead", 0, true));
        assert!(why.unwrap().contains("copy"));
        held.send(message).await;
        let Stage { database, _worker, .. } = held;
        drop(_worker);
        // Said to be the real one: what still waits is sent.
        let open = Stage::on(database, channel, server.port, Outside::Open);
        eventually("it is sent", async || {
            (crate::held::waiting(&open.database.pool).await.unwrap().count == 0).then_some(())
        })
        .await;
        assert_eq!(server.taken().len(), 1, "and what was given up is not");
    }
    let (database, seal) = (TestDatabase::new().await, Seal::new(b"a secret of tests"));
    let mailbox = Some(Carrier::mailbox(std::env::temp_dir()));
    let pool = database.pool.clone();
    let outbox = Notifications::new(pool, seal, Clock::system(), Outside::Held, mailbox, None);
    assert!(outbox.sends(Channel::Email) && !outbox.sends(Channel::Text));
}

#[tokio::test]
async fn a_mail_server_that_is_down_gets_everything_when_it_is_back() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let stage = Stage::new(Channel::Email, port).await;
    stage.send(email()).await;
    stage.failed("cannot be reached").await;
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let _ = smtp(connection, Manner::Sound, &kept).await;
        }
    });
    stage.later().await;
    stage.until("sent", |row| row.0 == "sent").await;
    assert_eq!(taken.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_mail_server_that_is_silent_is_given_up_for_now() {
    let server = StandIn::start(Channel::Email, Manner::Silent).await;
    let stage = Stage::new(Channel::Email, server.port).await;
    stage.send(email()).await;
    stage.failed("no answer").await;
}

#[tokio::test]
async fn a_slow_mail_server_is_waited_for_and_gets_the_message_once() {
    let server = StandIn::start(Channel::Email, Manner::Slow).await;
    let stage = Stage::new(Channel::Email, server.port).await;
    stage.send(email()).await;
    // Others look at the outbox meanwhile.
    stage.outbox.wake();
    stage.until("sent", |row| row.0 == "sent" && row.1 == 1).await;
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn what_is_refused_for_good_is_dead_and_its_text_gone() {
    let server = StandIn::start(Channel::Email, Manner::Refusing).await;
    let stage = Stage::new(Channel::Email, server.port).await;
    stage.send(email()).await;
    stage.until("dead", |row| row.0 == "dead" && row.3 && row.1 == 1).await;
    assert_eq!(stage.outbox.standing(Channel::Email).await.unwrap().dead, 1);
    assert!(server.taken().is_empty());
}

#[tokio::test]
async fn a_mail_server_that_does_not_let_us_in_loses_nothing() {
    let server = StandIn::start(Channel::Email, Manner::WrongPassword).await;
    let stage = Stage::new(Channel::Email, server.port).await;
    stage.send(email()).await;
    stage.failed("535").await;
    // As a greeting these say that nobody is served, not that the message is bad.
    for (greeting, code) in [("554 no service here\r\n", "554"), ("550 not from your address\r\n", "550")] {
        server.behaves(Manner::Closed(greeting));
        stage.later().await;
        stage.failed(code).await;
    }
    // The password was mended.
    server.behaves(Manner::Sound);
    stage.later().await;
    stage.until("sent", |row| row.0 == "sent" && row.3).await;
}

#[tokio::test]
async fn wrong_credentials_of_the_sender_of_texts_lose_nothing() {
    let sender = StandIn::start(Channel::Text, Manner::WrongPassword).await;
    let stage = Stage::new(Channel::Text, sender.port).await;
    stage.send(Message::text("+4930123456", "123456 is your code")).await;
    stage.failed("401").await;
    sender.behaves(Manner::Sound);
    stage.later().await;
    stage.until("sent", |row| row.0 == "sent").await;
}

#[tokio::test]
async fn receivers_that_are_put_off_do_not_keep_others_waiting() {
    let server = StandIn::start(Channel::Email, Manner::Deferring).await;
    let stage = Stage::new(Channel::Email, server.port).await;
    for n in 0..12 {
        stage.send(Message::email(format!("odd{n}@example.org"), "Your code", "123456 is your code")).await;
    }
    let count = |state: &'static str| {
        let pool = stage.database.pool.connections();
        async move {
            let sql = "SELECT count(*) FROM outbox_messages WHERE state = $1 AND (state <> 'waiting' OR last_error LIKE '%451')";
            sqlx::query_scalar::<_, i64>(sql).bind(state).fetch_one(pool).await.unwrap()
        }
    };
    eventually("all are put off", async || (count("waiting").await >= 12).then_some(())).await;
    stage.send(email()).await;
    let sent = async || (count("sent").await >= 1).then_some(());
    eventually_within(Duration::from_secs(10), "a sound one is sent, the breaker is not open", sent).await;
}

#[tokio::test]
async fn a_code_that_has_ended_is_not_sent_any_more() {
    let server = StandIn::start(Channel::Email, Manner::Sound).await;
    let stage = Stage::new(Channel::Email, server.port).await;
    stage.send(email().useful_for(Span::zero())).await;
    stage.until("dead", |row| row.0 == "dead" && row.2.as_deref() == Some("too late")).await;
    assert!(server.taken().is_empty());
}

#[tokio::test]
async fn a_sender_of_texts_that_misbehaves_loses_nothing() {
    let sender = StandIn::start(Channel::Text, Manner::Troubled).await;
    let stage = Stage::new(Channel::Text, sender.port).await;
    stage.send(Message::text("+4930123456", "123456 is your code")).await;
    stage.failed("500").await;
    for (manner, why) in [(Manner::Garbage, "no confirmation"), (Manner::Silent, "no answer")] {
        sender.behaves(manner);
        stage.later().await;
        stage.failed(why).await;
    }
    sender.behaves(Manner::Sound);
    stage.later().await;
    stage.until("sent", |row| row.0 == "sent" && row.3).await;
    let taken = sender.taken();
    assert_eq!(taken.len(), 1);
    for part in [
        "POST /2010-04-01/Accounts/AC1/Messages.json",
        "To=%2B4930123456&From=%2B4930000000&Body=123456+is+your+code",
        // AC1:secret
        "Basic QUMxOnNlY3JldA==",
    ] {
        assert!(taken[0].contains(part), "{}", taken[0]);
    }
}

#[tokio::test]
async fn a_number_that_does_not_exist_is_not_tried_again() {
    let sender = StandIn::start(Channel::Text, Manner::Refusing).await;
    let stage = Stage::new(Channel::Text, sender.port).await;
    stage.send(Message::text("+4930123456", "123456 is your code")).await;
    stage.until("dead", |row| row.0 == "dead" && row.1 == 1).await;
}

#[tokio::test]
async fn after_failures_in_a_row_the_server_is_left_alone_and_attempts_are_saved() {
    let server = StandIn::start(Channel::Email, Manner::Troubled).await;
    let stage = Stage::new(Channel::Email, server.port).await;
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
    let stage = Stage::new(Channel::Email, gone.local_addr().unwrap().port()).await;
    stage.send(email()).await;
    let stored: String = sqlx::query_scalar("SELECT encode(body, 'escape') FROM outbox_messages")
        .fetch_one(stage.database.pool.connections())
        .await
        .unwrap();
    assert!(!stored.contains("123456") && !stored.contains("ada"), "{stored}");
    assert_eq!(format!("{:?}", email()), "Message(email, …)");
}
