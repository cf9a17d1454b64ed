//! Over real sockets, one request each.

use std::io::{Read, Write};
use std::net::TcpStream as Caller;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::kept::Kind;
use crate::rules::{Manner, Rule};
use crate::{ACCOUNT, StandIns, TOKEN};

struct Asked {
    status: u16,
    head: String,
    body: String,
}

impl Asked {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// None where the connection ended, or nothing came, without an answer.
async fn ask(stand_ins: &StandIns, method: &str, path: &str, headers: &str, body: &str) -> Option<Asked> {
    let at = stand_ins.url().trim_start_matches("http://").to_owned();
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    tokio::task::spawn_blocking(move || {
        let mut caller = Caller::connect(at).unwrap();
        caller.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        caller.write_all(text.as_bytes()).unwrap();
        let mut answered = Vec::new();
        let _ = caller.read_to_end(&mut answered);
        let answered = String::from_utf8(answered).unwrap();
        let (head, body) = answered.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Asked { status, head: head.to_owned(), body: body.to_owned() })
    })
    .await
    .unwrap()
}

fn signed_in(token: &str) -> String {
    let credentials = STANDARD.encode(format!("{ACCOUNT}:{token}"));
    format!("authorization: Basic {credentials}\r\ncontent-type: application/x-www-form-urlencoded\r\n")
}

async fn send(stand_ins: &StandIns, form: &str) -> Option<Asked> {
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
    ask(stand_ins, "POST", &path, &signed_in(TOKEN), form).await
}

const SOUND: &str = "To=%2B4930123456&From=%2B4930000000&Body=123456+is+your+code+%26+more";

#[tokio::test]
async fn a_text_is_kept_and_can_be_read_and_listed() {
    let stand_ins = StandIns::start().await.unwrap();
    let taken = send(&stand_ins, SOUND).await.unwrap();
    let resource = taken.json();
    assert_eq!(
        (taken.status, resource["status"].as_str(), resource["error_code"].is_null()),
        (201, Some("queued"), true)
    );
    let sid = resource["sid"].as_str().unwrap();
    assert!(sid.len() == 34 && sid.starts_with("SM"), "{sid}");
    let sent = stand_ins.sent(Kind::Text);
    assert_eq!(
        (sent.len(), sent[0].text.as_str(), sent[0].to[0].as_str()),
        (1, "123456 is your code & more", "+4930123456")
    );
    let base = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages");
    let read = ask(&stand_ins, "GET", &format!("{base}/{sid}.json"), &signed_in(TOKEN), "").await.unwrap();
    assert_eq!(read.json(), resource);
    let listed = ask(&stand_ins, "GET", &format!("{base}.json?PageSize=5"), &signed_in(TOKEN), "").await.unwrap();
    assert_eq!(listed.json()["messages"], serde_json::json!([resource]));
    let unknown = ask(&stand_ins, "GET", &format!("{base}/SM1.json"), &signed_in(TOKEN), "").await.unwrap();
    assert_eq!((unknown.status, unknown.json()["code"].as_u64()), (404, Some(20404)));
}

#[tokio::test]
async fn what_is_wrong_is_answered_with_its_code() {
    let stand_ins = StandIns::start().await.unwrap();
    let long = format!("To=%2B4930123456&From=1&Body={}", "x".repeat(1601));
    for (form, status, code) in [
        ("From=1&Body=x", 400, 21604),
        ("To=%2B4930123456&Body=x", 400, 21603),
        ("To=%2B4930123456&From=1", 400, 21602),
        ("To=4930123456&From=1&Body=x", 400, 21211),
        ("To=%2B49&From=1&Body=x", 400, 21211),
        ("To=%2B493012345a&From=1&Body=x", 400, 21211),
        ("To=%2B15005550001&From=1&Body=x", 400, 21211),
        ("To=%2B15005550003&From=1&Body=x", 403, 21408),
        ("To=%2B15005550004&From=1&Body=x", 400, 21610),
        ("To=%2B15005550451&From=1&Body=x", 429, 20429),
        (&long, 400, 21617),
    ] {
        let refused = send(&stand_ins, form).await.unwrap();
        let said = refused.json();
        assert_eq!(
            (refused.status, said["code"].as_u64(), said["status"].as_u64()),
            (status, Some(code), Some(status.into()))
        );
        assert!(said["message"].is_string() && (status == 429) == refused.head.contains("retry-after"), "{said}");
    }
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
    for headers in [signed_in("wrong"), String::new()] {
        let refused = ask(&stand_ins, "POST", &path, &headers, SOUND).await.unwrap();
        assert_eq!((refused.status, refused.json()["code"].as_u64()), (401, Some(20003)));
    }
    let other =
        ask(&stand_ins, "POST", "/2010-04-01/Accounts/AC1/Messages.json", &signed_in(TOKEN), SOUND).await.unwrap();
    assert_eq!(other.status, 401);
    assert_eq!(stand_ins.sent(Kind::Text), []);
}

#[tokio::test]
async fn it_misbehaves_as_it_is_told() {
    let stand_ins = StandIns::start().await.unwrap();
    for (manner, status, kept) in [
        (Manner::Closed { code: 503 }, Some(503), 0),
        (Manner::Silent, None, 0),
        (Manner::Garbage, Some(200), 0),
        (Manner::WrongPassword, Some(401), 0),
        (Manner::Refuses { code: 21610 }, Some(400), 0),
        (Manner::TakesAndHangs, None, 1),
        (Manner::TakesAndCuts, None, 1),
        (Manner::Slow { millis: 10 }, Some(201), 1),
    ] {
        stand_ins.shared.sent().clear();
        stand_ins.behave(Some(manner));
        let answered = send(&stand_ins, SOUND).await;
        assert_eq!(answered.map(|asked| asked.status), status, "{manner:?}");
        assert_eq!(stand_ins.sent(Kind::Text).len(), kept, "{manner:?}");
    }
}

#[tokio::test]
async fn the_desk_shows_what_was_sent_and_takes_rules() {
    let stand_ins = StandIns::start().await.unwrap();
    send(&stand_ins, SOUND).await.unwrap();
    let shown = ask(&stand_ins, "GET", "/messages?kind=text&to=%2B4930123456", "", "").await.unwrap().json();
    assert_eq!(shown["items"][0]["text"], "123456 is your code & more");
    for none in ["/messages?kind=email", "/messages?to=nobody"] {
        assert_eq!(
            ask(&stand_ins, "GET", none, "", "").await.unwrap().json()["items"],
            serde_json::json!([]),
            "{none}"
        );
    }
    let page = ask(&stand_ins, "GET", "/messages", "accept: text/html\r\n", "").await.unwrap();
    assert!(page.body.contains("123456 is your code &amp; more"), "{}", page.body);

    let json = "content-type: application/json\r\n";
    let rule = r#"{"to": "+4930*", "manner": {"refuses": {"code": 21610}}, "times": 1}"#;
    assert_eq!(ask(&stand_ins, "POST", "/rules", json, rule).await.unwrap().status, 204);
    assert_eq!(ask(&stand_ins, "GET", "/rules", "", "").await.unwrap().json()["items"][0]["to"], "+4930*");
    assert_eq!(send(&stand_ins, SOUND).await.unwrap().json()["code"], 21610);
    assert_eq!(send(&stand_ins, SOUND).await.unwrap().status, 201, "once");
    let wrong = ask(&stand_ins, "POST", "/rules", json, r#"{"manner": "sulking"}"#).await.unwrap();
    assert!(wrong.status == 422 && wrong.body.contains("sulking"), "{}", wrong.body);
    (0..64).for_each(|_| stand_ins.rule(Rule::everybody(Manner::Silent)).unwrap());
    assert_eq!(ask(&stand_ins, "POST", "/rules", json, rule).await.unwrap().status, 409);
    for path in ["/rules", "/messages"] {
        assert_eq!(ask(&stand_ins, "DELETE", path, "", "").await.unwrap().status, 204);
        assert_eq!(
            ask(&stand_ins, "GET", path, "", "").await.unwrap().json()["items"],
            serde_json::json!([]),
            "{path}"
        );
    }
}
