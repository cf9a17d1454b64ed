//! A plain session with a server of ours: statements in, their success out.
//!
//! It speaks as much of Postgres' protocol as making a database and running files of SQL takes, over a socket whose server
//! trusts whoever reaches it. A library would bring much more, and has to be compiled before the launcher. Blocks.

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Version 3.0 of the protocol, which every Postgres speaks.
const PROTOCOL: u32 = 3 << 16;
/// Longer than any message that statements without rows lead to: what claims more is no Postgres.
const LONGEST_MESSAGE: u32 = 1 << 24;

/// A connection that is ready for a statement.
#[derive(Debug)]
pub(crate) struct Session(BufReader<UnixStream>);

impl Session {
    /// Connects to a database as `postgres`. `patience` is how long any one answer may take; none: as long as it takes.
    pub(crate) fn open(socket_dir: &Path, database: &str, patience: Option<Duration>) -> io::Result<Self> {
        let stream = UnixStream::connect(socket_dir.join(".s.PGSQL.5432"))?;
        stream.set_read_timeout(patience)?;
        stream.set_write_timeout(patience)?;
        let mut session = Self(BufReader::new(stream));
        let mut startup = PROTOCOL.to_be_bytes().to_vec();
        for word in ["user", "postgres", "database", database, "application_name", "posthaste"] {
            startup.extend(terminated(word)?);
        }
        startup.push(0);
        session.send(None, &startup)?;
        session.until_ready()?;
        Ok(session)
    }

    /// Runs one or more statements, all or none of them where they do not say otherwise themselves. Gives what Postgres
    /// calls the last one that was done, as in `CREATE TABLE` or `SELECT 1` for one row.
    pub(crate) fn run(&mut self, statements: &str) -> io::Result<String> {
        self.send(Some(b'Q'), &terminated(statements)?)?;
        self.until_ready()
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend(length.to_be_bytes());
        message.extend(body);
        self.0.get_mut().write_all(&message)
    }

    /// Reads until the server is ready for the next statement, or says what it refuses.
    fn until_ready(&mut self) -> io::Result<String> {
        let (mut done, mut refused) = (String::new(), None);
        loop {
            match self.message() {
                Ok((b'Z', _)) => return refused.map_or(Ok(done), Err),
                Ok((b'C', tag)) => text(&tag).clone_into(&mut done),
                Ok((b'E', fields)) => refused = Some(refusal(&fields)),
                Ok((b'R', method)) if method != [0; 4] => return Err(io::Error::other("the server wants a password")),
                Ok((b'G' | b'W', _)) => {
                    return Err(io::Error::other("statements that read from the client are not run"));
                }
                Ok(_) => {}
                // Before it hangs up it has said why.
                Err(error) => return Err(refused.unwrap_or(error)),
            }
        }
    }

    fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let (mut kind, mut length) = ([0], [0; 4]);
        self.0.read_exact(&mut kind)?;
        self.0.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if !(4..=LONGEST_MESSAGE).contains(&length) {
            return Err(io::Error::other("what answers is no Postgres"));
        }
        let mut body = vec![0; length as usize - 4];
        self.0.read_exact(&mut body)?;
        Ok((kind[0], body))
    }
}

fn terminated(text: &str) -> io::Result<Vec<u8>> {
    if text.contains('\0') {
        return Err(io::Error::other("Postgres takes no text with a zero byte in it"));
    }
    Ok([text.as_bytes(), &[0]].concat())
}

fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).unwrap_or_default()
}

/// The words of an error: its fields are a letter and a text each.
fn refusal(fields: &[u8]) -> io::Error {
    let said = |letter: u8| {
        let field = fields.split(|byte| *byte == 0).find(|field| field.first() == Some(&letter))?;
        Some(String::from_utf8_lossy(&field[1..]).into_owned())
    };
    let mut words = said(b'M').unwrap_or_else(|| "the server refused, and did not say why".to_owned());
    for (letter, what) in [(b'D', ""), (b'P', "at character "), (b'C', "SQLSTATE ")] {
        if let Some(more) = said(letter) {
            words = format!("{words} ({what}{more})");
        }
    }
    io::Error::other(words)
}

/// A name or a value as it is written into a statement, between quotes of this kind.
pub(crate) fn quoted(text: &str, quote: char) -> String {
    format!("{quote}{}{quote}", text.replace(quote, &format!("{quote}{quote}")))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn an_error_is_told_with_its_detail_and_its_place() {
        let fields = b"SERROR\0C42601\0Msyntax error at or near \"SELEC\"\0P7\0\0";
        let words = refusal(fields).to_string();
        assert_eq!(words, "syntax error at or near \"SELEC\" (at character 7) (SQLSTATE 42601)");
        assert!(refusal(b"\0").to_string().contains("did not say why"));
    }

    #[test]
    fn quotes_in_a_name_do_not_end_it() {
        assert_eq!(quoted("a\"b'c", '"'), "\"a\"\"b'c\"");
        assert_eq!(quoted("a\"b'c", '\''), "'a\"b''c'");
        assert!(terminated("a\0b").is_err());
    }

    /// What a session says of a server that answers with these bytes and hangs up.
    fn told(answer: &'static [u8]) -> String {
        let place = std::env::temp_dir().join(format!("posthaste-session-{}-{}", std::process::id(), answer.len()));
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir(&place).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(place.join(".s.PGSQL.5432")).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut startup = vec![0; u32::from_be_bytes(length) as usize - 4];
            stream.read_exact(&mut startup).unwrap();
            stream.write_all(answer).unwrap();
        });
        let told = Session::open(&place, "any", Some(Duration::from_secs(20)))
            .map_or_else(|e| e.to_string(), |_| "open".to_owned());
        server.join().unwrap();
        std::fs::remove_dir_all(place).unwrap();
        told
    }

    #[test]
    fn what_is_no_server_of_ours_is_an_error_and_no_wait() {
        assert_eq!(told(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"), "open");
        assert!(told(b"R\0\0\0\x08\0\0\0\x03").contains("password"));
        assert!(told(b"HTTP/1.1 400 Bad Request").contains("no Postgres"));
        assert!(told(b"E\0\0\0\x0dMtoo many\0\0").contains("too many"), "it says why before it hangs up");
        assert!(!told(b"R\0\0").is_empty());
    }
}
