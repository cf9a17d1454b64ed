//! What a mail server answers to commands. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The longest message, in bytes.
pub(crate) const LONGEST_MESSAGE: usize = 10 * 1024 * 1024;
/// Most receivers of one message.
const MOST_RECEIVERS: usize = 100;
/// Longest address.
const LONGEST_ADDRESS: usize = 320;

/// What happens after a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This is answered.
    Say(String),
    /// The message follows.
    Read,
    /// This is answered, and it is over.
    End(String),
}

/// How far signing in is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Plain,
    User,
    Password,
}

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Whether no password is right. Otherwise each is.
    refuses_passwords: bool,
    is_greeted: bool,
    asked: Option<Asked>,
    from: Option<String>,
    to: Vec<String>,
}

fn say(text: &str) -> Next {
    Next::Say(text.to_owned())
}

impl Session {
    pub(crate) fn new(refuses_passwords: bool) -> Self {
        Self { refuses_passwords, ..Self::default() }
    }

    /// Whether nobody was named who gets the message.
    pub(crate) fn has_no_receiver(&self) -> bool {
        self.to.is_empty()
    }

    /// Sender and receivers of the message that was read.
    pub(crate) fn take(&mut self) -> (String, Vec<String>) {
        (self.from.take().unwrap_or_default(), std::mem::take(&mut self.to))
    }

    /// Answers a line. `judge` says by which code a receiver is refused.
    pub(crate) fn command(&mut self, line: &str, judge: impl FnOnce(&str) -> Option<u16>) -> Next {
        let line = line.trim_end_matches(['\r', '\n']);
        if let Some(asked) = self.asked.take() {
            return self.sign_in(asked, line);
        }
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.begin();
                Next::Say(format!(
                    "250-posthaste stand-in\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                     250-SIZE {LONGEST_MESSAGE}\r\n250 AUTH PLAIN LOGIN"
                ))
            }
            "HELO" => {
                self.begin();
                say("250 posthaste stand-in")
            }
            "NOOP" => say("250 fine"),
            "RSET" => {
                self.take();
                say("250 forgotten")
            }
            "VRFY" => say("252 send something, and it is taken"),
            "HELP" => say("214 RFC 5321"),
            "QUIT" => Next::End("221 bye".to_owned()),
            "STARTTLS" => say("502 without TLS"),
            "AUTH" | "MAIL" | "RCPT" | "DATA" if !self.is_greeted => say("503 say EHLO first"),
            "AUTH" => self.auth(rest),
            "MAIL" => self.mail(rest),
            "RCPT" => self.rcpt(rest, judge),
            "DATA" if self.from.is_none() || self.to.is_empty() => say("503 say MAIL and RCPT first"),
            "DATA" => Next::Read,
            _ => say("500 not understood"),
        }
    }

    fn begin(&mut self) {
        self.take();
        self.is_greeted = true;
    }

    fn auth(&mut self, rest: &str) -> Next {
        let (kind, first) = rest.split_once(' ').unwrap_or((rest, ""));
        let asked = match kind.to_ascii_uppercase().as_str() {
            "PLAIN" => Asked::Plain,
            "LOGIN" => Asked::User,
            _ => return say("504 PLAIN or LOGIN"),
        };
        if !first.is_empty() {
            return self.sign_in(asked, first);
        }
        self.asked = Some(asked);
        // "Username:", in base64.
        say(if asked == Asked::Plain { "334 " } else { "334 VXNlcm5hbWU6" })
    }

    fn sign_in(&mut self, asked: Asked, line: &str) -> Next {
        if line == "*" {
            return say("501 given up");
        }
        let Ok(said) = STANDARD.decode(line) else { return say("501 no base64") };
        match asked {
            Asked::User => {
                self.asked = Some(Asked::Password);
                // "Password:"
                say("334 UGFzc3dvcmQ6")
            }
            // Whose rights, who, and the password.
            Asked::Plain if said.split(|byte| *byte == 0).count() != 3 => say("501 three parts, parted by zeros"),
            _ if self.refuses_passwords => say("535 5.7.8 not this password"),
            _ => say("235 welcome"),
        }
    }

    fn mail(&mut self, rest: &str) -> Next {
        let Some((from, parameters)) = path(rest, "FROM:") else { return say("501 MAIL FROM:<address>") };
        if self.from.is_some() {
            return say("503 one message after the other");
        }
        let size = parameters.split(' ').find_map(|each| each.to_ascii_uppercase().strip_prefix("SIZE=")?.parse().ok());
        if size.is_some_and(|size: usize| size > LONGEST_MESSAGE) {
            return say("552 the message is too long");
        }
        self.from = Some(from.to_owned());
        say("250 fine")
    }

    fn rcpt(&mut self, rest: &str, judge: impl FnOnce(&str) -> Option<u16>) -> Next {
        let Some((to, _)) = path(rest, "TO:").filter(|(to, _)| !to.is_empty()) else {
            return say("501 RCPT TO:<address>");
        };
        if self.from.is_none() {
            return say("503 say MAIL first");
        }
        if self.to.len() >= MOST_RECEIVERS {
            return say("452 too many receivers");
        }
        if let Some(code) = judge(to) {
            return Next::Say(format!("{code} refused on purpose"));
        }
        self.to.push(to.to_owned());
        say("250 fine")
    }
}

/// The address of a path and what follows it.
fn path<'a>(rest: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let (said, rest) = rest.split_at_checked(word.len())?;
    let (address, parameters) = rest.trim_start().strip_prefix('<')?.split_once('>')?;
    (said.eq_ignore_ascii_case(word) && address.len() <= LONGEST_ADDRESS).then_some((address, parameters.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(session: &mut Session, line: &str) -> u16 {
        match session.command(line, |to| to.contains("odd").then_some(451)) {
            Next::Read => 354,
            Next::Say(text) | Next::End(text) => text[..3].parse().unwrap(),
        }
    }

    #[test]
    fn commands_have_their_order() {
        let mut session = Session::default();
        for (line, expected) in [
            ("MAIL FROM:<a@b.c>\r\n", 503),
            ("EHLO here\r\n", 250),
            ("RCPT TO:<d@e.f>\r\n", 503),
            ("DATA\r\n", 503),
            ("MAIL FROM:a@b.c\r\n", 501),
            ("MAIL FROM:<a@b.c> SIZE=99999999\r\n", 552),
            ("mail from:<a@b.c> size=10 body=8bitmime\r\n", 250),
            ("MAIL FROM:<a@b.c>\r\n", 503),
            ("DATA\r\n", 503),
            ("RCPT TO:<>\r\n", 501),
            ("RCPT TO:<odd@e.f>\r\n", 451),
            ("RCPT TO:<d@e.f>\r\n", 250),
            ("DATA\r\n", 354),
        ] {
            assert_eq!(code(&mut session, line), expected, "{line}");
        }
        assert_eq!(session.take(), ("a@b.c".to_owned(), vec!["d@e.f".to_owned()]));
        for (line, expected) in
            [("DATA", 503), ("STARTTLS", 502), ("BDAT 5", 500), ("VRFY a", 252), ("é", 500), ("", 500)]
        {
            assert_eq!(code(&mut session, line), expected, "{line}");
        }
        // From nobody, as bounces are.
        assert_eq!(code(&mut session, "MAIL FROM:<>"), 250);
        assert_eq!(code(&mut session, "RSET"), 250);
        assert_eq!(code(&mut session, "RCPT TO:<d@e.f>"), 503);
        assert!(matches!(session.command("QUIT", |_| None), Next::End(_)));
    }

    #[test]
    fn both_ways_of_signing_in_work_at_once_and_in_steps() {
        // "\0us\0secret", "us" and "secret".
        let (plain, user, password) = ("AHVzAHNlY3JldA==", "dXM=", "c2VjcmV0");
        for (refuses, end) in [(false, 235), (true, 535)] {
            let mut session = Session::new(refuses);
            for (line, expected) in [
                ("EHLO here".to_owned(), 250),
                (format!("AUTH PLAIN {plain}"), end),
                ("AUTH PLAIN".to_owned(), 334),
                (plain.to_owned(), end),
                ("AUTH LOGIN".to_owned(), 334),
                (user.to_owned(), 334),
                (password.to_owned(), end),
                (format!("AUTH LOGIN {user}"), 334),
                (password.to_owned(), end),
                ("AUTH PLAIN".to_owned(), 334),
                ("*".to_owned(), 501),
                ("AUTH PLAIN !".to_owned(), 501),
                (format!("AUTH PLAIN {user}"), 501),
                ("AUTH CRAM-MD5".to_owned(), 504),
                ("NOOP".to_owned(), 250),
            ] {
                assert_eq!(code(&mut session, &line), expected, "{line}");
            }
        }
    }

    #[test]
    fn receivers_are_bounded() {
        let mut session = Session::default();
        code(&mut session, "EHLO here");
        code(&mut session, "MAIL FROM:<a@b.c>");
        for _ in 0..MOST_RECEIVERS {
            assert_eq!(code(&mut session, "RCPT TO:<d@e.f>"), 250);
        }
        assert_eq!(code(&mut session, "RCPT TO:<d@e.f>"), 452);
        assert_eq!(code(&mut session, &format!("RCPT TO:<{}@e.f>", "d".repeat(LONGEST_ADDRESS))), 501);
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_answered_with_a_code(lines in prop::collection::vec(
            "((?i)(ehlo|mail from:|rcpt to:|data|auth|auth login|auth plain|rset|quit|noop) ?)?\\PC{0,20}", 0..20)) {
            let mut session = Session::default();
            for line in &lines {
                let answered = code(&mut session, line);
                prop_assert!((200..600).contains(&answered), "{}", line);
            }
        }
    }
}
