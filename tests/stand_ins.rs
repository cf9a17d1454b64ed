//! `posthaste stand-ins`, run as it is, against the clients that others have written: Python's `smtplib`, Twilio's own library.

mod harness;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::{program, python};
use serde_json::{Value, json};

/// The command, running.
struct Running {
    child: Child,
    settings: HashMap<String, String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start() -> Self {
        // An error means that another test of this process was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut command = program();
        command.args(["stand-ins", "--smtp-port", "0", "--http-port", "0"]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let told = lines.take_while(|line| !line.contains("Ctrl-C"));
        let settings = told.filter_map(|line| line.split_once('=').map(|(name, value)| (name.into(), value.into())));
        Self { settings: settings.collect(), child }
    }

    fn setting(&self, name: &str) -> &str {
        self.settings.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.settings))
    }

    async fn messages(&self, query: &str) -> Vec<Value> {
        let url = format!("{}/messages?{query}", self.setting("POSTHASTE_TWILIO_URL"));
        let text = reqwest::get(url).await.expect("an answer").text().await.expect("a text");
        let read: Value = serde_json::from_str(&text).expect("JSON");
        read["items"].as_array().expect("a list").clone()
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/standins")
}

fn outcomes(python: &Path, script: &str, arguments: &[&str]) -> Value {
    let output = Command::new(python).arg(directory().join(script)).args(arguments).output().expect("Python runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn pythons_own_mail_client_sends_through_the_mail_server_and_is_refused_as_told() {
    let Some(python) = python::plain() else { return };
    let running = Running::start();
    let address = running.setting("POSTHASTE_SMTP_URL").strip_prefix("smtp://").expect("its scheme");
    let (host, port) = address.rsplit_once(':').expect("a port");
    assert_eq!(host, "127.0.0.1", "nobody else reaches it");
    let said = outcomes(&python, "mail.py", &[host, port]);
    let expected = json!({
        "sound": "sent", "several": "sent", "refused": {"ada+550@example.org": 550}, "cut": "disconnected",
        "extensions": ["8bitmime", "auth", "pipelining", "size", "smtputf8"], "too long": 552,
    });
    assert_eq!(said, expected);
    let sound = running.messages("kind=email&to=ada@example.org").await;
    assert_eq!(sound.len(), 1);
    let text = sound[0]["text"].as_str().expect("a text");
    assert!(
        text.contains("Subject: Your code\r\n") && text.contains("\r\n.\r\n..two dots\r\n"),
        "dots are as they were: {text}"
    );
    let several = running.messages("kind=email&to=alan@example.org").await;
    assert_eq!(several[0]["to"], json!(["grace@example.org", "alan@example.org"]));
    assert_eq!(running.messages("kind=email&to=ada%2Bcut@example.org").await.len(), 1, "it was taken, and nobody told");
    assert_eq!(running.messages("kind=email").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn twilios_own_client_sends_reads_and_is_refused_as_at_twilio() {
    let Some(python) = python::with("twilio", &directory()) else { return };
    let running = Running::start();
    let number = running.setting("POSTHASTE_TWILIO_FROM");
    let [url, account, token] =
        ["URL", "ACCOUNT", "TOKEN"].map(|name| running.setting(&format!("POSTHASTE_TWILIO_{name}")));
    let said = outcomes(&python, "texts.py", &[url, account, token, number]);
    let body = "123456 is your code, Grüße & more";
    let expected = json!({
        "sound": ["queued", "+4930123456", number, body, "outbound-api", null],
        "same": [true, true, true], "listed": [true], "cut": "disconnected",
        "no number": {"status": 400, "code": 21211}, "stopped": {"status": 400, "code": 21610},
        "too many": {"status": 429, "code": 20429}, "empty": {"status": 400, "code": 21602},
        "wrong token": {"status": 401, "code": 20003},
    });
    assert_eq!(said, expected);
    assert_eq!(running.messages("kind=text").await.len(), 2);
    assert_eq!(running.messages("kind=text&to=%2B4930123457").await[0]["text"], body, "it was taken, and nobody told");
}
