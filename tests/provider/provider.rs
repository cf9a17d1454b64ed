//! A real OpenID provider, run by node, and a browser that signs in there. Several crates' tests share this file.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url, header};

/// Where browsers are told to come back to. Nobody listens there: tests hand on what comes back.
pub(crate) const PUBLIC: &str = "http://127.0.0.1:8080";

/// The provider, running.
pub(crate) struct Provider {
    child: Child,
    // What it writes has to go somewhere: a closed pipe would end it.
    _output: Lines<BufReader<ChildStdout>>,
    pub(crate) issuer: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Provider {
    /// Starts it. None where node is not there: the log says what to install, and on CI that is a failure.
    pub(crate) fn start() -> Option<Self> {
        let home = match installed() {
            Ok(home) => home,
            Err(why) => {
                let help = "signing in with Google is not tried with a real provider: node (18 or newer), npm and a way \
                            to npm's registry are needed";
                assert!(std::env::var_os("CI").is_none(), "{help}: {why}");
                eprintln!("{help}: {why}");
                return None;
            }
        };
        let mut child = Command::new("node")
            .arg(home.join("provider.mjs"))
            .arg(format!("{PUBLIC}/v1/sessions/google/callback"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = lines.next().expect("a line").unwrap().trim().parse().expect("a port");
        Some(Self { child, _output: lines, issuer: format!("http://127.0.0.1:{port}") })
    }
}

/// Where the provider is installed: once for each version of its files, under the target directory.
fn installed() -> Result<PathBuf, String> {
    const FILES: [&str; 3] = ["package.json", "package-lock.json", "provider.mjs"];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/provider");
    let mut hasher = DefaultHasher::new();
    for file in FILES {
        std::fs::read(source.join(file)).map_err(|error| format!("{file}: {error}"))?.hash(&mut hasher);
    }
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("openid-provider-{:016x}", hasher.finish()));
    // Two tests at once wait for each other.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if home.is_dir() {
        return Ok(home);
    }
    // Made aside and moved into place: another process may be doing the same.
    let draft = home.with_extension(std::process::id().to_string());
    std::fs::create_dir_all(&draft).map_err(|error| error.to_string())?;
    for file in FILES {
        std::fs::copy(source.join(file), draft.join(file)).map_err(|error| error.to_string())?;
    }
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    let output = Command::new("npm").args(arguments).current_dir(&draft).output().map_err(|e| format!("npm: {e}"))?;
    if !output.status.success() {
        let _ = std::fs::remove_dir_all(&draft);
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    if std::fs::rename(&draft, &home).is_err() {
        let _ = std::fs::remove_dir_all(&draft);
    }
    Ok(home)
}

/// A browser without scripts: it follows, keeps cookies, and fills in the provider's forms.
pub(crate) struct Browser {
    client: Client,
    /// By name and path, as the provider sets the same name for several.
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self { client: Client::builder().redirect(Policy::none()).build().unwrap(), cookies: BTreeMap::new() }
    }

    /// Goes to the provider, signs in as `who` and agrees; says where the provider sends it back to.
    pub(crate) async fn sign_in(&mut self, authorization_url: &str, who: &str) -> String {
        let mut next = self.get(&Url::parse(authorization_url).unwrap()).await;
        for _ in 0..20 {
            let at = next.url().clone();
            if next.status().is_redirection() {
                let to = at.join(next.headers()[header::LOCATION].to_str().unwrap()).unwrap();
                if to.as_str().starts_with(PUBLIC) {
                    return to.as_str()[PUBLIC.len()..].to_owned();
                }
                next = self.get(&to).await;
                continue;
            }
            let status = next.status();
            let page = next.text().await.unwrap();
            assert!(status.is_success(), "{at}: {status} {page}");
            let to = at.join(attribute(&page, "action=\"")).unwrap();
            let form = if page.contains("value=\"login\"") {
                vec![("prompt", "login"), ("login", who), ("password", "anything")]
            } else {
                assert!(page.contains("value=\"consent\""), "{page}");
                vec![("prompt", "consent")]
            };
            let request = self.client.post(to.clone()).header(header::COOKIE, self.cookies_for(&to)).form(&form);
            next = request.send().await.unwrap();
            self.keep(&next);
        }
        panic!("the provider goes round in circles");
    }

    async fn get(&mut self, url: &Url) -> Response {
        let request = self.client.get(url.clone()).header(header::COOKIE, self.cookies_for(url));
        let response = request.send().await.unwrap();
        self.keep(&response);
        response
    }

    fn cookies_for(&self, url: &Url) -> String {
        let sent = self.cookies.iter().filter(|((_, path), _)| url.path().starts_with(path.as_str()));
        sent.map(|((name, _), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, response: &Response) {
        for set in response.headers().get_all(header::SET_COOKIE) {
            let mut parts = set.to_str().unwrap().split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let path = parts.find_map(|part| part.strip_prefix("path=")).unwrap_or("/");
            let key = (name.to_owned(), path.to_owned());
            if value.is_empty() {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
    }
}

fn attribute<'a>(page: &'a str, begin: &str) -> &'a str {
    let (_, rest) = page.split_once(begin).unwrap_or_else(|| panic!("no {begin} in {page}"));
    rest.split('"').next().unwrap()
}
