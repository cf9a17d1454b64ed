//! Somebody at a terminal who pastes what a page says, in a checkout of their own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use posthaste_domain::ids::OrderId;

use super::{id, until};

/// How long one block may take: an order in the test world comes to its door meanwhile.
const BLOCK_WITHIN: Duration = Duration::from_secs(180);
/// How long a server may take to end when its terminal is closed.
const CLOSES_WITHIN: Duration = Duration::from_secs(45);
/// What stands after a block, on both of the terminal's outputs.
const OVER: &str = "\u{1e}over";

/// The blocks of a page that are to be pasted: those that begin with "```sh", in a section of that heading, or all.
pub fn blocks(page: &str, section: Option<&str>) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).expect("the page is there");
    blocks_of(&text, section)
}

/// The same of a page's text.
pub fn blocks_of(text: &str, section: Option<&str>) -> Vec<String> {
    let (mut found, mut block, mut is_here) = (Vec::new(), None::<String>, section.is_none());
    for line in text.lines() {
        match &mut block {
            Some(_) if line.trim_start().starts_with("```") => found.extend(block.take()),
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
            None if line == "```sh" && is_here => block = Some(String::new()),
            None => {
                if let (Some(section), Some(heading)) = (section, line.strip_prefix("## ")) {
                    is_here = heading == section;
                }
            }
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A checkout with the program in the place where `cargo build --release` puts it, and a port for the pages' own.
/// Removed when dropped.
pub struct Checkout {
    path: PathBuf,
    /// Where the server listens that pages call `127.0.0.1:8080`.
    pub address: String,
    /// Where a receiver listens that pages call `127.0.0.1:9000`.
    receiver: String,
    environment: Vec<(String, String)>,
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Checkout {
    /// Makes one whose servers have that database.
    pub fn new(database_url: &str) -> Self {
        let path = std::env::temp_dir().join(format!("posthaste-checkout-{}", id::<OrderId>()));
        let checkout = path.join("checkout");
        for directory in ["home", "tmp", "bin", "checkout/target/release", "checkout/docs", "checkout/crates/domain"] {
            std::fs::create_dir_all(path.join(directory)).expect("a directory");
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_posthaste"), checkout.join("target/release/posthaste"))
            .expect("a link to the program");
        std::os::unix::fs::symlink(root().join("docs/days").canonicalize().expect("days"), checkout.join("docs/days"))
            .expect("a link to the days");
        let git = Command::new("git").args(["init", "-q"]).current_dir(&checkout).status().expect("git");
        assert!(git.success(), "git init");
        // Whoever builds has it already.
        let cargo = path.join("bin/cargo");
        std::fs::write(&cargo, "#!/bin/sh\n[ \"$*\" = 'build --release' ]\n").expect("written");
        std::fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("may be run");
        let (address, receiver) = (free_address(), free_address());
        let bin = path.join("bin").display().to_string();
        let environment = [
            ("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap_or_default())),
            ("HOME", path.join("home").display().to_string()),
            ("TMPDIR", path.join("tmp").display().to_string()),
            ("DATABASE_URL", database_url.to_owned()),
            ("POSTHASTE_TOKEN_KEY", super::KEY.to_owned()),
            ("POSTHASTE_LISTEN", address.clone()),
            // Hashing in an unoptimised program would take long.
            ("POSTHASTE_PASSWORD_MEMORY_KIB", "64".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        Self { path, address, receiver, environment }
    }

    /// A terminal in one of its directories.
    pub fn terminal(&self, directory: &str) -> Terminal {
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(self.path.join("checkout").join(directory))
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash");
        let input = child.stdin.take();
        let out = lines(child.stdout.take().expect("its output"));
        let errors = lines(child.stderr.take().expect("its errors"));
        let places = [("127.0.0.1:8080", self.address.clone()), ("127.0.0.1:9000", self.receiver.clone())];
        // The server of the page listens where this one says; so does the Python of a receiver.
        let python = (r#"("127.0.0.1", 9000)"#, format!(r#"("127.0.0.1", {})"#, port_of(&self.receiver)));
        let places = places.into_iter().chain([python]).collect();
        Terminal { child, input, out, errors, places }
    }

    /// What is in it, but for what git and the build keep.
    pub fn files(&self) -> Vec<PathBuf> {
        fn look(directory: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry")) {
                let path = entry.path();
                if path.is_dir() && !path.is_symlink() {
                    if !path.ends_with(".git") {
                        look(&path, found);
                    }
                } else {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        look(&self.path.join("checkout"), &mut found);
        found.sort();
        found
    }

    /// Waits until a server is ready at its address.
    pub async fn until_served(&self) {
        until("the page's server is ready", || async {
            let mut answer = [0; 12];
            let mut server = TcpStream::connect(&self.address).ok()?;
            server
                .write_all(b"GET /health/ready HTTP/1.0\r\n\r\n")
                .and_then(|()| server.read_exact(&mut answer))
                .ok()?;
            (&answer[9..] == b"200").then_some(())
        })
        .await;
    }

    /// Waits until nothing listens there.
    pub async fn until_gone(&self) {
        until("the page's server is gone", || async { TcpStream::connect(&self.address).is_err().then_some(()) }).await;
    }
}

fn port_of(address: &str) -> &str {
    address.rsplit(':').next().expect("a port")
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What a block wrote.
#[derive(Debug)]
pub struct Said {
    /// To the standard output.
    pub out: String,
    /// To the standard error.
    pub errors: String,
}

/// A terminal.
pub struct Terminal {
    child: Child,
    /// Closed when it is.
    input: Option<ChildStdin>,
    out: mpsc::Receiver<String>,
    errors: mpsc::Receiver<String>,
    places: Vec<(&'static str, String)>,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        // What runs in it is told to end, and then there is nothing more to read.
        let _ = Command::new("pkill").args(["-TERM", "-P", &pid]).status();
        drop(self.input.take());
        let until = Instant::now() + CLOSES_WITHIN;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.errors.try_iter().for_each(|line| eprintln!("terminal: {line}"));
        }
    }
}

impl Terminal {
    fn placed(&self, block: &str) -> String {
        self.places.iter().fold(block.to_owned(), |block, (page, here)| block.replace(page, here))
    }

    fn write(&mut self, text: &str) {
        let input = self.input.as_mut().expect("it is open");
        input.write_all(text.as_bytes()).and_then(|()| input.flush()).expect("pasted");
    }

    /// Pastes a block that does not come back, such as a server.
    pub fn begin(&mut self, block: &str) {
        let block = self.placed(block);
        self.write(&format!("{{\n{block}}} </dev/null\n"));
    }

    /// Pastes a block and waits until it is through.
    pub fn paste(&mut self, block: &str) -> Said {
        self.begin(block);
        self.write(&format!("printf '\\n{OVER}\\n'; printf '\\n{OVER}\\n' >&2\n"));
        let said = Said { out: upto_over(&self.out, block), errors: upto_over(&self.errors, block) };
        println!("--- pasted\n{block}--- out\n{}\n--- errors\n{}", said.out, said.errors);
        said
    }
}

fn upto_over(lines: &mpsc::Receiver<String>, block: &str) -> String {
    let mut text = String::new();
    loop {
        match lines.recv_timeout(BLOCK_WITHIN) {
            Ok(line) if line == OVER => return text.trim().to_owned(),
            Ok(line) => {
                text.push_str(&line);
                text.push('\n');
            }
            Err(why) => panic!("the terminal ended or hangs ({why}) in\n{block}\nafter\n{text}"),
        }
    }
}
