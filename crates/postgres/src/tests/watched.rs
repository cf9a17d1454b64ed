//! A server that dies while it is owned.

use super::*;
use crate::Starts;

/// How long anything may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until(postgres: &EmbeddedPostgres, what: impl Fn(&Starts) -> bool) {
    let mut starts = postgres.starts();
    let seen = tokio::time::timeout(PATIENCE, starts.wait_for(|starts| what(starts))).await;
    seen.expect("in time").expect("it is watched");
}

#[tokio::test]
async fn a_server_that_is_killed_again_and_again_is_started_again_with_its_data_on_its_socket() {
    let place = Place::new();
    let postgres = place.start().await;
    run(postgres.url(), "CREATE TABLE kept AS SELECT 'here'::text AS word").await;
    for n in 1..=4 {
        let before = postgres.pid();
        assert!(process::signal(before, Signal::SIGKILL));
        until(&postgres, |starts| starts.done == n).await;
        assert_ne!(postgres.pid(), before);
        assert_eq!(value(postgres.url(), "SELECT word FROM kept").await, "here");
    }
    let last = postgres.pid();
    postgres.stop().await.unwrap();
    assert!(!is_alive(last), "stopped by its owner it stays away");
    assert!(!place.pid_file().exists());
}

#[tokio::test]
async fn an_adopted_server_that_dies_is_started_again_too() {
    let place = Place::new();
    let (mut owner, url) = other_owner(&place);
    owner.kill().unwrap();
    owner.wait().unwrap();
    let adopter = place.start().await;
    assert!(adopter.is_adopted());
    assert!(process::signal(adopter.pid(), Signal::SIGKILL));
    until(&adopter, |starts| starts.done == 1).await;
    assert_eq!(value(&url, "SELECT 'alive'").await, "alive");
    adopter.stop().await.unwrap();
}

#[tokio::test]
async fn data_that_is_gone_is_not_replaced_and_found_again_when_it_is_back() {
    let place = Place::new();
    let postgres = place.start().await;
    run(postgres.url(), "CREATE TABLE kept AS SELECT 'here'::text AS word").await;
    let aside = place.0.join("aside");
    fs::rename(place.cluster(), &aside).unwrap();
    assert!(process::signal(postgres.pid(), Signal::SIGKILL));
    until(&postgres, |starts| starts.failed >= 2).await;
    assert!(!place.cluster().exists(), "nothing is made in its place");
    fs::rename(&aside, place.cluster()).unwrap();
    until(&postgres, |starts| starts.done == 1).await;
    assert_eq!(value(postgres.url(), "SELECT word FROM kept").await, "here");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn an_owner_whose_server_cannot_be_started_can_still_stop() {
    let place = Place::new();
    let postgres = place.start().await;
    fs::rename(place.cluster(), place.0.join("aside")).unwrap();
    assert!(process::signal(postgres.pid(), Signal::SIGKILL));
    until(&postgres, |starts| starts.failed >= 1).await;
    tokio::time::timeout(PATIENCE, postgres.stop()).await.expect("in time").unwrap();
    fs::rename(place.0.join("aside"), place.cluster()).unwrap();
    let next = place.start().await;
    assert!(!next.is_adopted(), "nobody started it behind its owner's back");
    next.stop().await.unwrap();
}
