//! Over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream as Caller;
use std::time::{Duration, Instant};

use crate::kept::Kind;
use crate::rules::{Manner, Rule};
use crate::smtp::session::LONGEST_MESSAGE;
use crate::{Listen, StandIns};

/// Says all of it at once and gives back what was answered until they hang up.
async fn talk(stand_ins: &StandIns, said: impl Into<Vec<u8>>) -> String {
    let (at, said) = (stand_ins.smtp(), said.into());
    tokio::task::spawn_blocking(move || {
        let mut caller = Caller::connect(at).unwrap();
        caller.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        caller.write_all(&said).unwrap();
        let mut answered = Vec::new();
        caller.read_to_end(&mut answered).unwrap();
        String::from_utf8_lossy(&answered).into_owned()
    })
    .await
    .unwrap()
}

fn codes(answered: &str) -> Vec<&str> {
    answered.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).map(|line| &line[..3]).collect()
}

const BEGIN: &str = "EHLO here\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n";

#[tokio::test]
async fn a_message_is_kept_as_it_was_before_its_dots_were_doubled() {
    let stand_ins = StandIns::start().await.unwrap();
    let text = "Subject: dots\r\n\r\n..\r\n...\r\n.x\r\na.\r\n\n.\r\nlast\r\n.\r\nQUIT\r\n";
    let answered = talk(&stand_ins, format!("{BEGIN}{text}")).await;
    assert_eq!(
        codes(&answered),
        ["220", "250", "250", "250", "354", "250", "221"],
        "all of it in one piece: {answered}"
    );
    let sent = stand_ins.sent(Kind::Email);
    assert_eq!(sent.len(), 1);
    assert_eq!(
        sent[0].text, "Subject: dots\r\n\r\n.\r\n..\r\nx\r\na.\r\n\n.\r\nlast\r\n",
        "a lone line feed ends nothing"
    );
    assert_eq!((sent[0].from.as_str(), sent[0].to.as_slice()), ("a@b.c", &["d@e.f".to_owned()][..]));
    assert_eq!(sent[0].header("subject").as_deref(), Some("dots"));
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_not_kept() {
    let stand_ins = StandIns::start().await.unwrap();
    let text = format!("{}\r\n", "x".repeat(1000)).repeat(LONGEST_MESSAGE / 1000);
    let answered = talk(&stand_ins, format!("{BEGIN}{text}.\r\nQUIT\r\n")).await;
    assert_eq!(codes(&answered).last_chunk(), Some(&["552", "221"]));
    assert_eq!(stand_ins.sent(Kind::Email), []);
    // A command that never ends.
    assert_eq!(codes(&talk(&stand_ins, "x".repeat(4096)).await), ["220"]);
}

#[tokio::test]
async fn it_misbehaves_as_it_is_told() {
    let stand_ins = StandIns::start().await.unwrap();
    let whole = format!("{BEGIN}hello\r\n.\r\nQUIT\r\n");
    for (manner, ends, kept) in [
        (Manner::Closed { code: 554 }, &["554"][..], 0),
        (Manner::Refuses { code: 550 }, &["220", "250", "250", "550", "503"], 0),
        (Manner::RefusesContents { code: 554 }, &["220", "250", "250", "250", "354", "554", "221"], 0),
        (Manner::TakesAndCuts, &["220", "250", "250", "250", "354"], 1),
        (Manner::Slow { millis: 20 }, &["220", "250", "250", "250", "354", "250", "221"], 1),
    ] {
        stand_ins.shared.sent().clear();
        stand_ins.behave(Some(manner));
        let began = Instant::now();
        let answered = talk(&stand_ins, whole.clone()).await;
        assert!(codes(&answered).starts_with(ends), "{manner:?}: {answered}");
        assert_eq!(stand_ins.sent(Kind::Email).len(), kept, "{manner:?}");
        let is_slow = matches!(manner, Manner::Slow { .. });
        assert!(!is_slow || began.elapsed() >= Duration::from_millis(7 * 20), "{:?}", began.elapsed());
    }
    stand_ins.behave(Some(Manner::Garbage));
    assert!(talk(&stand_ins, "").await.contains("hello?"));
    stand_ins.behave(None);
    stand_ins.rule(Rule { times: Some(1), ..Rule::everybody(Manner::WrongPassword) }).unwrap();
    for code in ["535", "235"] {
        let answered = talk(&stand_ins, "EHLO here\r\nAUTH PLAIN AHVzAHNlY3JldA==\r\nQUIT\r\n").await;
        assert_eq!(codes(&answered), ["220", "250", code, "221"], "only once is it wrong");
    }
}

#[tokio::test]
async fn it_can_take_a_message_and_say_nothing_more_or_nothing_at_all() {
    let stand_ins = StandIns::start().await.unwrap();
    for (manner, kept, said) in [(Manner::TakesAndHangs, 1, 5), (Manner::Silent, 0, 0)] {
        stand_ins.shared.sent().clear();
        stand_ins.behave(Some(manner));
        let at = stand_ins.smtp();
        let answered = tokio::task::spawn_blocking(move || {
            let mut caller = Caller::connect(at).unwrap();
            caller.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            caller.write_all(format!("{BEGIN}hello\r\n.\r\n").as_bytes()).unwrap();
            let mut answered = Vec::new();
            let error = caller.read_to_end(&mut answered).unwrap_err();
            assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{error}");
            String::from_utf8_lossy(&answered).into_owned()
        });
        let answered = answered.await.unwrap();
        assert_eq!(codes(&answered).len(), said, "{manner:?}: {answered}");
        assert_eq!(stand_ins.sent(Kind::Email).len(), kept, "{manner:?}");
    }
}

#[tokio::test]
async fn they_listen_on_loopback_unless_told_otherwise_and_say_where_they_cannot() {
    let stand_ins = StandIns::start().await.unwrap();
    assert!(stand_ins.smtp().ip().is_loopback() && stand_ins.url().starts_with("http://127.0.0.1:"));
    let taken = Listen { smtp: stand_ins.smtp().port(), ..Listen::default() };
    let error = StandIns::start_at(taken).await.unwrap_err();
    assert!(error.to_string().contains(&stand_ins.smtp().to_string()), "{error}");
}
