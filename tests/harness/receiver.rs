//! A merchant's program in Python, which checks webhooks with the published Standard Webhooks library.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use serde_json::Value;

use super::PATIENCE;

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
        let python = match python() {
            Ok(python) => python,
            Err(why) => {
                let help = "webhooks are not checked with the published library: python3 with its venv module and a \
                            way to pip's registry are needed (Debian: apt-get install python3-venv)";
                assert!(std::env::var_os("CI").is_none(), "{help}: {why}");
                eprintln!("{help}: {why}");
                return None;
            }
        };
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

/// A Python that has the library: made once, under the target directory.
fn python() -> Result<PathBuf, String> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("webhook-receiver");
    let python = home.join("bin/python");
    let works = |python: &Path| {
        let status = Command::new(python).args(["-c", "import standardwebhooks"]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    // Two tests at once wait for each other.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if works(&python) {
        return Ok(python);
    }
    // Made aside and moved into place: another process may be doing the same.
    let draft = home.with_extension(std::process::id().to_string());
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    };
    run(Path::new("python3"), &["-m", "venv", &draft.to_string_lossy()])?;
    let requirements = directory().join("requirements.txt");
    let arguments = ["-m", "pip", "install", "--quiet", "--requirement", &requirements.to_string_lossy()];
    run(&draft.join("bin/python"), &arguments)?;
    if std::fs::rename(&draft, &home).is_err() {
        let _ = std::fs::remove_dir_all(&draft);
    }
    if works(&python) { Ok(python) } else { Err(format!("{} cannot import the library", python.display())) }
}
