//! A mail server: takes messages by RFC 5321, keeps them, and misbehaves as it is told.

mod session;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use posthaste_domain::ids::MessageId;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Shared;
use crate::kept::{Kind, Sent};
use crate::rules::{Manner, SLOWEST};
use crate::smtp::session::{LONGEST_MESSAGE, Next, Session};

/// Connections at once. Above it one waits.
const MOST_CONNECTIONS: usize = 64;
/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(300);
/// The longest line of a command, and of a message.
const LONGEST_COMMAND: u64 = 4096;
const LONGEST_LINE: u64 = 1024 * 1024;

pub(crate) async fn serve(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        while connections.len() >= MOST_CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let shared = shared.clone();
        connections.spawn(async move {
            // Who hangs up has hung up.
            let _ = attend(connection, &shared).await;
        });
    }
}

type Reader = BufReader<TcpStream>;

async fn attend(connection: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut connection = BufReader::new(connection);
    let caller = shared.rules().with_caller(Kind::Email);
    let mut pause = Duration::ZERO;
    match caller {
        Some(Manner::Closed { code }) => {
            return end(&mut connection, pause, &format!("{code} closed on purpose")).await;
        }
        Some(Manner::Garbage) => return connection.write_all(b"\xff\xfehello?\r\n\r\n").await,
        Some(Manner::Silent) => return silent(&mut connection).await,
        Some(Manner::Slow { millis }) => pause = slow(millis),
        _ => {}
    }
    let mut session = Session::new(caller == Some(Manner::WrongPassword));
    let mut after = None;
    say(&mut connection, pause, "220 posthaste stand-in").await?;
    loop {
        let Some(command) = line(&mut connection, LONGEST_COMMAND).await? else { return Ok(()) };
        let judge = |to: &str| match shared.rules().with_receiver(Kind::Email, to) {
            Some(Manner::Refuses { code }) => Some(code),
            Some(manner) => {
                after = Some(manner);
                None
            }
            None => None,
        };
        let next = session.command(&String::from_utf8_lossy(&command), judge);
        if session.has_no_receiver() {
            after = None;
        }
        match next {
            Next::Say(text) => say(&mut connection, pause, &text).await?,
            Next::End(text) => return end(&mut connection, pause, &text).await,
            Next::Read => {
                say(&mut connection, pause, "354 go on, and end with a dot").await?;
                let Some(text) = message(&mut connection).await? else { return Ok(()) };
                let (from, to) = session.take();
                let (manner, bytes) = (after.take(), text.len());
                match manner {
                    _ if bytes > LONGEST_MESSAGE => {
                        say(&mut connection, pause, "552 the message is too long").await?;
                        continue;
                    }
                    Some(Manner::RefusesContents { code } | Manner::Closed { code }) => {
                        say(&mut connection, pause, &format!("{code} refused on purpose")).await?;
                        continue;
                    }
                    Some(Manner::Slow { millis }) => tokio::time::sleep(slow(millis)).await,
                    _ => {}
                }
                let id: MessageId = shared.clock().id();
                let text = String::from_utf8_lossy(&text).into_owned();
                shared.keep(Sent { id: id.to_string(), kind: Kind::Email, from, to, text, at: shared.clock().wall() });
                match manner {
                    Some(Manner::TakesAndHangs | Manner::Silent) => return silent(&mut connection).await,
                    Some(Manner::TakesAndCuts | Manner::Garbage) => return Ok(()),
                    _ => say(&mut connection, pause, &format!("250 taken as {id}")).await?,
                }
            }
        }
    }
}

fn slow(millis: u64) -> Duration {
    Duration::from_millis(millis.min(SLOWEST))
}

async fn say(connection: &mut Reader, pause: Duration, text: &str) -> io::Result<()> {
    tokio::time::sleep(pause).await;
    connection.write_all(format!("{text}\r\n").as_bytes()).await
}

/// The last word. What the other still says is read: otherwise they might not hear it.
async fn end(connection: &mut Reader, pause: Duration, text: &str) -> io::Result<()> {
    say(connection, pause, text).await?;
    connection.shutdown().await?;
    silent(connection).await
}

/// Says nothing until the other hangs up.
async fn silent(connection: &mut Reader) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while in_time(connection.read(&mut buffer)).await? > 0 {}
    Ok(())
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(IDLE, work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// A line with its end; none where the other hung up.
async fn line(connection: &mut (impl AsyncBufRead + Unpin), longest: u64) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    in_time((&mut *connection).take(longest).read_until(b'\n', &mut line)).await?;
    if line.ends_with(b"\n") {
        return Ok(Some(line));
    }
    // The other hung up, or never ends a line.
    Ok(None)
}

/// The text of a message, without the dots that lines were given on the way (RFC 5321, 4.5.2). Of one that is too long, so
/// much that it is seen. It ends with a dot between two ends of lines of CR and LF, and with nothing else.
async fn message(connection: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let (mut text, mut is_at_start) = (Vec::new(), true);
    loop {
        let Some(line) = line(connection, LONGEST_LINE).await? else { return Ok(None) };
        if is_at_start && line == b".\r\n" {
            return Ok(Some(text));
        }
        let plain = if is_at_start { line.strip_prefix(b".").unwrap_or(&line) } else { &line };
        if text.len() <= LONGEST_MESSAGE {
            text.extend_from_slice(plain);
        }
        is_at_start = line.ends_with(b"\r\n");
    }
}
