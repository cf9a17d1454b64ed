//! `docker/update`, run with a docker and a cosign that only write down what they are asked: what it does to servers, in which
//! order, and that whatever fails leaves or brings back the image before.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::place;

/// Keeps which image each server has, and who leads; an image with `bad` in it never becomes healthy.
const DOCKER: &str = r#"#!/usr/bin/env bash
server() { grep -oE 'server-[ab]' <<<"$*" | head -1; }
case "$*" in
"pull "*) ;;
"image inspect"*) cat "$STATE/tag" ;;
"compose "*" run "*)
    what=$(grep -oE 'migrate-check|check|backup|migrate' <<<"${*#*--no-deps}" | head -1)
    echo "run $what $POSTHASTE_IMAGE" >>"$STATE/did"
    [ ! -e "$STATE/$what-fails" ] ;;
"compose "*" up "*)
    for each in server-a server-b; do
        case "$*" in *" $each"*) ;; *) continue ;; esac
        [ "$(cat "$STATE/$each")" != "$POSTHASTE_IMAGE" ] || continue
        echo "$POSTHASTE_IMAGE" >"$STATE/$each"
        echo "start $each $POSTHASTE_IMAGE" >>"$STATE/did"
        # Who led has stopped: the other takes over, where it can.
        [ "$(cat "$STATE/leads")" != "$each" ] || echo "$(ls "$STATE" | grep '^server-' | grep -v "$each")" >"$STATE/leads"
    done ;;
"compose "*" exec "*)
    each=$(server "$@")
    if grep -q bad "$STATE/$each"; then exit 1; fi
    if [ "$(cat "$STATE/leads")" = "$each" ]; then echo "ready: $each"; else echo "stands by: $each"; fi ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"#;

const COSIGN: &str = r#"#!/usr/bin/env bash
echo "verify $*" >>"$STATE/did"
[ ! -e "$STATE/unsigned" ]
"#;

/// An installation that runs `old`, of which server-a leads.
struct Installation(PathBuf);

impl Drop for Installation {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Installation {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let here = Self(std::env::temp_dir().join(format!("posthaste-update-{}-{number}", std::process::id())));
        std::fs::create_dir_all(&here.0).expect("a directory");
        for (name, text) in [("docker", DOCKER), ("cosign", COSIGN)] {
            here.write(name, text);
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(here.0.join(name), mode).expect("it can be run");
        }
        here.write(".env", "POSTHASTE_IMAGE=p@sha256:old\nPOSTHASTE_UPDATE_FROM=p:stable\nPOSTHASTE_UPDATE_KEY=/k.pub\nPOSTHASTE_UPDATE_SECONDS=1\n");
        here.write("leads", "server-a\n");
        for server in ["server-a", "server-b"] {
            here.write(server, "p@sha256:old\n");
        }
        here
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("written");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    /// Updates to what the tag names now; whether it went well, and what was done.
    fn update(&self, tag: &str, arguments: &[&str]) -> (bool, Vec<String>) {
        self.write("tag", &format!("{tag}\n"));
        self.write("did", "");
        let path = format!("{}:{}", self.0.display(), std::env::var("PATH").expect("a path"));
        let mut command = Command::new(place("docker/update"));
        command.args(arguments).env("PATH", path).env("STATE", &self.0).env("POSTHASTE_INSTALLATION", &self.0);
        let output = command.output().expect("it runs");
        (output.status.success(), self.read("did").lines().map(str::to_owned).collect())
    }

    fn image(&self) -> String {
        let file = self.read(".env");
        let image = file.lines().find_map(|line| line.strip_prefix("POSTHASTE_IMAGE="));
        image.expect("an image").to_owned()
    }
}

#[test]
fn a_newer_image_is_verified_tried_and_takes_over_from_the_one_that_waits() {
    let here = Installation::new();
    let (well, did) = here.update("p@sha256:new", &[]);
    assert!(well);
    assert_eq!(
        did,
        [
            "verify verify --key /k.pub p@sha256:new",
            "run check p@sha256:new",
            "run migrate-check p@sha256:new",
            "run backup p@sha256:old",
            "run migrate p@sha256:new",
            "start server-b p@sha256:new",
            "start server-a p@sha256:new",
        ]
    );
    assert_eq!(here.image(), "p@sha256:new");
    assert!(here.read(".env").contains("POSTHASTE_UPDATE_FROM=p:stable"), "the rest stays");
    assert_eq!(here.update("p@sha256:new", &[]), (true, Vec::new()), "there is nothing new then");
}

#[test]
fn the_one_that_leads_is_changed_last_whichever_it_is() {
    let here = Installation::new();
    here.write("leads", "server-b\n");
    let (_, did) = here.update("p@sha256:new", &[]);
    assert_eq!(did[5..], ["start server-a p@sha256:new", "start server-b p@sha256:new"]);
}

#[test]
fn what_is_not_signed_or_would_not_start_changes_nothing() {
    for fails in ["unsigned", "check-fails", "migrate-check-fails", "backup-fails", "migrate-fails"] {
        let here = Installation::new();
        here.write(fails, "");
        let (well, did) = here.update("p@sha256:new", &[]);
        assert!(!well && !did.iter().any(|line| line.starts_with("start ")), "{fails}: {did:?}");
        assert!(
            fails == "migrate-fails" || !did.iter().any(|line| line.starts_with("run migrate p@")),
            "{fails}: {did:?}"
        );
        assert_eq!(here.image(), "p@sha256:old", "{fails}");
    }
    let here = Installation::new();
    here.write(".env", "POSTHASTE_IMAGE=p@sha256:old\nPOSTHASTE_UPDATE_FROM=p:stable\n");
    assert_eq!(here.update("p@sha256:new", &[]), (false, Vec::new()), "who signs must be said");
    assert!(!here.update("p:stable", &[]).0, "what has no digest is not used");
}

#[test]
fn only_looking_changes_nothing() {
    let here = Installation::new();
    let (well, did) = here.update("p@sha256:new", &["--check"]);
    assert!(well && did.len() == 3 && did[2] == "run migrate-check p@sha256:new", "{did:?}");
    assert_eq!(here.image(), "p@sha256:old");
}

#[test]
fn an_image_that_does_not_become_ready_goes_and_the_one_before_comes_back() {
    let here = Installation::new();
    let (well, did) = here.update("p@sha256:bad", &[]);
    assert!(!well);
    assert_eq!(did[5..], ["start server-b p@sha256:bad", "start server-b p@sha256:old"], "the one that leads goes on");
    assert_eq!(here.image(), "p@sha256:old");
    assert_eq!(here.update("p@sha256:bad", &[]), (true, Vec::new()), "it is not tried again by itself");
    assert!(here.update("p@sha256:new", &[]).0, "one that came after it is");
}
