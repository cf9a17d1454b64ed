//! Sockets against a server that misbehaves on purpose.

mod fake;

use std::time::{Duration, Instant};

use fake::{FakeServer, PATIENCE, done, news, numbers, offer_id, quick, shift, snapshot};
use posthaste_client::protocol::drivers::PositionReport;
use posthaste_client::protocol::problem::{Code, Problem};
use posthaste_client::protocol::socket::{ClientMessage, Hello, Resumed, ServerMessage, close};
use posthaste_client::{ClientError, Event, Token};

fn position(lat: f64) -> PositionReport {
    PositionReport {
        lat,
        lng: 13.4,
        at: None,
        accuracy_meters: None,
        heading_degrees: None,
        speed_meters_per_second: None,
    }
}

fn is_snapshot(event: Event) -> Option<()> {
    matches!(event, Event::Snapshot(_)).then_some(())
}

fn closed(event: Event) -> Option<Option<u16>> {
    if let Event::Closed { code, .. } = event { Some(code) } else { None }
}

#[tokio::test]
async fn a_first_connection_says_who_it_is_and_gets_a_snapshot() {
    let server = FakeServer::start().await;
    let mut socket = server.driver();
    let (mut peer, hello) = server.welcome("e1", 4).await;
    assert_eq!(hello, Hello::default());
    assert_eq!(peer.authorization.as_deref(), Some("Bearer driver-token"));
    assert_eq!(peer.path, "/v1/ws/driver");
    peer.stream(4, snapshot()).await;
    peer.stream(5, news(5)).await;
    assert!(matches!(socket.next().await, Some(Event::Connected(w)) if w.epoch == "e1"));
    assert!(matches!(socket.next().await, Some(Event::Snapshot(_))));
    assert_eq!(numbers(&mut socket, 1).await, [5]);
}

#[tokio::test]
async fn a_lost_connection_resumes_where_the_stream_broke_off() {
    let server = FakeServer::start().await;
    let mut socket = server.driver();
    let (mut peer, _) = server.welcome("e1", 0).await;
    peer.stream(0, snapshot()).await;
    peer.stream(1, news(1)).await;
    assert_eq!(numbers(&mut socket, 1).await, [1]);
    drop(peer);
    let (mut peer, hello) = server.welcome("e1", 3).await;
    assert_eq!(hello, Hello { epoch: Some("e1".to_owned()), last_seq: Some(1) });
    peer.send(ServerMessage::Resumed(Resumed { from: 1, to: 3 })).await;
    for seq in 2..=4 {
        peer.stream(seq, news(seq)).await;
    }
    assert_eq!(numbers(&mut socket, 3).await, [2, 3, 4]);
    let stats = socket.stats();
    assert_eq!((stats.connects, stats.reconnects, stats.resumed, stats.snapshots, stats.gaps), (2, 1, 1, 1, 0));
}

#[tokio::test]
async fn a_new_epoch_begins_with_a_snapshot_and_its_own_numbering() {
    let server = FakeServer::start().await;
    let mut socket = server.driver();
    let (mut peer, _) = server.welcome("e1", 0).await;
    peer.stream(70, snapshot()).await;
    peer.stream(71, news(71)).await;
    assert_eq!(numbers(&mut socket, 1).await, [71]);
    peer.close(close::GOING_AWAY).await;
    let (mut peer, hello) = server.welcome("e2", 2).await;
    assert_eq!(hello.last_seq, Some(71));
    peer.stream(2, snapshot()).await;
    peer.stream(3, news(3)).await;
    assert_eq!(numbers(&mut socket, 1).await, [3]);
    assert_eq!(socket.stats().gaps, 0);
}

#[tokio::test]
async fn numbers_of_one_epoch_are_never_claimed_for_another_whose_snapshot_did_not_arrive() {
    let server = FakeServer::start().await;
    let mut socket = server.driver();
    let (mut peer, _) = server.welcome("e1", 0).await;
    peer.stream(0, snapshot()).await;
    peer.stream(1, news(1)).await;
    assert_eq!(numbers(&mut socket, 1).await, [1]);
    drop(peer);
    let seen = Hello { epoch: Some("e1".to_owned()), last_seq: Some(1) };
    let (peer, hello) = server.welcome("e2", 8).await;
    assert_eq!(hello, seen);
    drop(peer);
    let (mut peer, hello) = server.welcome("e2", 9).await;
    assert_eq!(hello, seen, "nothing of the second epoch was seen");
    peer.stream(9, snapshot()).await;
    peer.stream(10, news(10)).await;
    assert_eq!(numbers(&mut socket, 1).await, [10]);
}

#[tokio::test]
async fn a_gap_in_the_numbering_is_noticed_and_repaired_and_nothing_is_shown_twice() {
    let server = FakeServer::start().await;
    let mut socket = server.driver();
    let (mut peer, _) = server.welcome("e1", 0).await;
    peer.stream(0, snapshot()).await;
    peer.stream(1, news(1)).await;
    peer.stream(4, news(4)).await;
    let (mut peer, hello) = server.welcome("e1", 4).await;
    assert_eq!(hello.last_seq, Some(1), "the message after the gap does not count as seen");
    peer.send(ServerMessage::Resumed(Resumed { from: 1, to: 4 })).await;
    for seq in 1..=4 {
        peer.stream(seq, news(seq)).await;
    }
    assert_eq!(numbers(&mut socket, 4).await, [1, 2, 3, 4]);
    let stats = socket.stats();
    assert_eq!((stats.gaps, stats.duplicates), (1, 1));
}

#[tokio::test]
async fn a_gap_right_after_resuming_asks_for_a_snapshot() {
    let server = FakeServer::start().await;
    let mut socket = server.driver();
    let (mut peer, _) = server.welcome("e1", 0).await;
    peer.stream(0, snapshot()).await;
    peer.stream(1, news(1)).await;
    drop(peer);
    let (mut peer, _) = server.welcome("e1", 9).await;
    peer.send(ServerMessage::Resumed(Resumed { from: 1, to: 9 })).await;
    peer.stream(9, news(9)).await;
    let (mut peer, hello) = server.welcome("e1", 9).await;
    assert_eq!(hello, Hello::default());
    peer.stream(9, snapshot()).await;
    peer.stream(10, news(10)).await;
    assert_eq!(numbers(&mut socket, 2).await, [1, 10]);
}

#[tokio::test]
async fn an_unanswered_command_is_sent_again_with_the_same_id_after_a_reconnect() {
    let server = FakeServer::start().await;
    let socket = server.driver();
    let commands = socket.commands();
    let accept = tokio::spawn(async move { commands.accept(offer_id()).await });
    let (mut peer, _) = server.welcome("e1", 0).await;
    let (first, message) = peer.hear().await;
    assert!(matches!(message, ClientMessage::Accept(_)) && first.id.is_some());
    drop(peer);
    let (mut peer, _) = server.welcome("e1", 0).await;
    let (second, again) = peer.hear().await;
    assert_eq!((&second.id, &again), (&first.id, &message));
    peer.answer(second.id, done()).await;
    assert!(accept.await.unwrap().unwrap().changed);
    assert_eq!(socket.stats().resent, 1);
}

#[tokio::test]
async fn unanswered_commands_keep_their_order_and_answered_ones_are_not_repeated() {
    let server = FakeServer::start().await;
    let socket = server.driver();
    let (mut peer, _) = server.welcome("e1", 0).await;
    let mut waiting = Vec::new();
    for n in 0..3 {
        let commands = socket.commands();
        waiting.push(tokio::spawn(async move {
            match n {
                0 => commands.shift(shift()).await,
                1 => commands.accept(offer_id()).await,
                _ => commands.decline(offer_id()).await,
            }
        }));
        let (header, _) = peer.hear().await;
        if n == 0 {
            peer.answer(header.id, done()).await;
        }
    }
    waiting.remove(0).await.unwrap().unwrap();
    drop(peer);
    let (mut peer, _) = server.welcome("e1", 0).await;
    let (first, second) = (peer.hear().await, peer.hear().await);
    assert_eq!((first.1.kind(), second.1.kind()), ("accept", "decline"));
    peer.answer(second.0.id, done()).await;
    peer.answer(first.0.id, done()).await;
    for command in waiting {
        command.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_command_given_while_there_is_no_connection_waits_for_one() {
    let server = FakeServer::start().await;
    let socket = server.driver();
    let (peer, _) = server.welcome("e1", 0).await;
    socket.lose_signal(Duration::from_millis(100));
    drop(peer);
    let commands = socket.commands();
    let given = tokio::spawn(async move { commands.shift(shift()).await });
    let (mut peer, _) = server.welcome("e1", 0).await;
    let (header, message) = peer.hear().await;
    assert_eq!(message.kind(), "shift");
    peer.answer(header.id, done()).await;
    given.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refused_command_returns_its_problem_and_an_unavailable_one_is_tried_again() {
    let server = FakeServer::start().await;
    let socket = server.driver();
    let (mut peer, _) = server.welcome("e1", 0).await;
    let commands = socket.commands();
    let accept = tokio::spawn(async move { commands.accept(offer_id()).await });
    let (first, _) = peer.hear().await;
    let later = Problem { retry_after_seconds: Some(0), ..Problem::new(Code::Unavailable) };
    peer.answer(first.id.clone(), ServerMessage::Error(later)).await;
    let (second, _) = peer.hear().await;
    assert_eq!(second.id, first.id);
    peer.answer(second.id, ServerMessage::Error(Problem::new(Code::OfferGone))).await;
    assert_eq!(accept.await.unwrap().unwrap_err().code(), Some(Code::OfferGone));
}

#[tokio::test]
async fn positions_that_wait_are_replaced_by_newer_ones() {
    let server = FakeServer::start().await;
    let socket = server.driver();
    let commands = socket.commands();
    for step in 0..1000 {
        commands.position(position(f64::from(step) / 100.0));
    }
    let (mut peer, _) = server.welcome("e1", 0).await;
    match peer.hear().await.1 {
        ClientMessage::Position(report) => assert!((report.lat - 9.99).abs() < 1e-9),
        other => panic!("expected a position, got {}", other.kind()),
    }
    let began = Instant::now();
    let mut heard = 0;
    for step in 0..50 {
        commands.position(position(f64::from(step)));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    loop {
        heard += 1;
        if matches!(peer.hear().await.1, ClientMessage::Position(p) if (p.lat - 49.0).abs() < 1e-9) {
            break;
        }
    }
    let allowed = began.elapsed().as_secs_f64() * 10.0 + 2.0;
    assert!(f64::from(heard) <= allowed, "{heard} positions, at most {allowed} by half the server's limit");
}

#[tokio::test]
async fn an_idle_socket_keeps_its_heartbeat() {
    let server = FakeServer::start().await;
    let _socket = server.driver();
    let (mut peer, _) = server.welcome("e1", 0).await;
    for _ in 0..2 {
        assert_eq!(peer.hear_any().await.kind(), "heartbeat");
    }
}

#[tokio::test]
async fn a_server_that_no_longer_answers_is_left_for_a_new_connection() {
    let server = FakeServer::start().await;
    let mut socket = server.driver();
    // Keeps the connection open but reads nothing, so that pings stay without pongs.
    let (_silent, _) = server.welcome("e1", 0).await;
    let (_peer, _) = server.welcome("e1", 0).await;
    let reason = socket.wait_for(PATIENCE, |event| match event {
        Event::Disconnected { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason.await.as_deref(), Some("the server is silent"));
}

#[tokio::test]
async fn a_forbidden_stream_and_an_expired_token_end_the_socket_for_good() {
    for code in [close::FORBIDDEN, close::TOKEN_EXPIRED, close::REPLACED] {
        let server = FakeServer::start().await;
        let mut socket = server.driver();
        let commands = socket.commands();
        let (peer, _) = server.welcome("e1", 0).await;
        peer.close(code).await;
        assert_eq!(socket.wait_for(PATIENCE, closed).await, Some(Some(code)));
        assert!(socket.next().await.is_none());
        assert!(matches!(commands.shift(shift()).await, Err(ClientError::Closed)));
    }
}

#[tokio::test]
async fn an_expired_token_is_renewed_where_there_is_a_source() {
    let server = FakeServer::start().await;
    let asked = std::sync::atomic::AtomicU32::new(0);
    let token = Token::source(move || format!("t{}", asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
    let mut socket = server.client.with_token(token).driver_socket_with(quick());
    let (peer, _) = server.welcome("e1", 0).await;
    assert_eq!(peer.authorization.as_deref(), Some("Bearer t0"));
    peer.close(close::TOKEN_EXPIRED).await;
    let (mut peer, _) = server.welcome("e1", 0).await;
    assert_eq!(peer.authorization.as_deref(), Some("Bearer t1"));
    peer.stream(0, snapshot()).await;
    assert_eq!(socket.wait_for(PATIENCE, is_snapshot).await, Some(()));
}

#[tokio::test]
async fn many_sockets_in_one_process_reconnect_after_the_server_was_gone() {
    let server = FakeServer::start().await;
    let counters = std::sync::Arc::default();
    let open = |_| {
        let options = posthaste_client::SocketOptions { counters: std::sync::Arc::clone(&counters), ..quick() };
        server.client.driver_socket_with(options)
    };
    let sockets: Vec<_> = (0..200).map(open).collect();
    for round in 0..2 {
        let mut peers = Vec::new();
        for _ in 0..sockets.len() {
            peers.push(server.welcome("e1", round).await);
        }
    }
    assert_eq!((counters.read().connects, counters.read().reconnects), (400, 200));
}

/// A token that says when it ends, as the server's do.
fn ending(in_seconds: i64, number: u32) -> String {
    use base64::Engine;
    let end = chrono::Utc::now().timestamp() + in_seconds;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{end},\"n\":{number}}}"));
    format!("e30.{claims}.signature")
}

/// A source whose tokens end after `seconds`, each another one.
fn source(seconds: i64) -> Token {
    let number = std::sync::atomic::AtomicU32::new(0);
    Token::source(move || ending(seconds, number.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
}

fn renewed(message: ClientMessage) -> String {
    let ClientMessage::Token(new) = message else { panic!("expected a token, got {}", message.kind()) };
    new.access_token.expose().to_owned()
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_over_the_same_connection() {
    let mut server = FakeServer::start().await;
    server.client = server.client.with_token(source(2));
    let mut socket = server.driver();
    let (mut peer, _) = server.welcome("e1", 0).await;
    peer.stream(0, snapshot()).await;
    let mut seen = vec![peer.authorization.clone().unwrap()["Bearer ".len()..].to_owned()];
    for _ in 0..2 {
        let (header, message) = peer.hear().await;
        let token = renewed(message);
        assert!(!seen.contains(&token), "each is a new one");
        seen.push(token);
        peer.answer(header.id, done()).await;
    }
    peer.stream(1, news(1)).await;
    assert_eq!(numbers(&mut socket, 1).await, [1]);
    let stats = socket.stats();
    assert_eq!((stats.connects, stats.renewals), (1, 2));
}

#[tokio::test]
async fn a_renewal_that_is_refused_is_tried_again_and_disturbs_no_command() {
    let mut server = FakeServer::start().await;
    server.client = server.client.with_token(source(2));
    let socket = server.driver();
    let (mut peer, _) = server.welcome("e1", 0).await;
    peer.stream(0, snapshot()).await;
    let (header, message) = peer.hear().await;
    let refused = renewed(message);
    let commands = socket.commands();
    let accept = tokio::spawn(async move { commands.accept(offer_id()).await });
    let (command, _) = peer.hear().await;
    peer.answer(header.id, ServerMessage::Error(Problem::new(Code::Unauthenticated))).await;
    peer.answer(command.id, done()).await;
    assert!(accept.await.unwrap().unwrap().changed);
    let (_, message) = peer.hear().await;
    assert_ne!(renewed(message), refused);
}

#[tokio::test]
async fn a_fixed_token_and_a_source_with_nothing_newer_send_none() {
    let mut server = FakeServer::start().await;
    let same = ending(1, 0);
    for token in [Token::from(&same), Token::source(move || same.clone())] {
        server.client = server.client.with_token(token);
        let socket = server.driver();
        let (mut peer, _) = server.welcome("e1", 0).await;
        peer.stream(0, snapshot()).await;
        // Heartbeats go on, well past the token's end.
        for _ in 0..5 {
            assert!(matches!(peer.hear_any().await, ClientMessage::Heartbeat(_)));
        }
        assert_eq!(socket.stats().renewals, 0);
    }
}
