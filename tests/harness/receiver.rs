//! A merchant's program in Python, which checks webhooks with the published Standard Webhooks library.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use serde_json::Value;

use super::{PATIENCE, python};

/// The program, running.
pub struct Receiver {
    child: Child,
    input: ChildStdin,
    answers: mpsc::Receiver<()>,
    pub port: u16,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Receiver {
    /// Starts it on a port, or a free one where that is 0. None where Python is not there: the log says what to
    /// install, and on CI that is a failure.
    pub fn start(port: u16) -> Option<Self> {
        let python = python::with("standardwebhooks", &directory())?;
        let mut child = Command::new(python)
            .arg(directory().join("receiver.py"))
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the receiver starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let port = lines.next().expect("a line").expect("text").trim().parse().expect("a port");
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (told, answers) = mpsc::channel();
        let kept = Arc::clone(&taken);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).expect("JSON");
                if line["secret"].is_null() {
                    kept.lock().expect("a lock").push(line);
                } else {
                    let _ = told.send(());
                }
            }
        });
        let input = child.stdin.take().expect("its input");
        Some(Self { child, input, answers, port, taken })
    }

    /// From now on it knows this secret and no other.
    pub fn knows(&mut self, secret: &str) {
        writeln!(self.input, "{secret}").expect("told");
        self.answers.recv_timeout(PATIENCE).expect("understood");
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/webhooks", self.port)
    }

    /// What it was sent so far.
    pub fn taken(&self) -> Vec<Value> {
        self.taken.lock().expect("a lock").clone()
    }

    /// What it was sent and found right, by type of event.
    pub fn verified(&self, prefix: &str) -> Vec<Value> {
        let all = self.taken().into_iter();
        all.filter(|t| t["verified"] == true && t["body"]["type"].as_str().is_some_and(|k| k.starts_with(prefix)))
            .collect()
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/receiver")
}
