//! Email by SMTP.
//!
//! | what happened | [`Outcome`] |
//! |---|---|
//! | no connection, no TLS | `Refused`, of the service, never sent |
//! | the connection breaks, or an answer does not come | `Unknown`: the library does not say whether the message was on its way |
//! | 421, 432, 454, other 5xx, and whatever is said to everybody | `Refused`, of the service |
//! | 550 to 556 | `Refused`, of the message, for good |
//! | other 4xx | `Refused`, of the message |
//! | the last answer is 250 | `Done` |

use std::fmt;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use posthaste_domain::ids::MessageId;
use posthaste_outside::{Budget, Calls, Operation, Outcome, Refusal, Scope, Unknown};

use crate::carrier::InvalidCarrier;
use crate::message::Message;

/// How long the mail server may take for one answer. Lower breaks slow but working ones.
const ANSWER: Duration = Duration::from_secs(10);
const SEND: Operation = Operation::new("smtp", "send");

#[derive(Clone)]
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    calls: Calls,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Smtp(…)")
    }
}

impl Smtp {
    pub(crate) fn new(url: &str, from: &str) -> Result<Self, InvalidCarrier> {
        // The error of the address may repeat its password: it is not shown.
        let wrong = |_| InvalidCarrier {
            setting: "smtp_url",
            problem: "must look like smtps://user:password@host or smtp://host:587?tls=required".to_owned(),
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(wrong)?;
        let from = from.parse().map_err(|error| InvalidCarrier {
            setting: "mail_from",
            problem: format!("is no email address: {error}"),
        })?;
        Ok(Self { transport: transport.timeout(Some(ANSWER)).build(), from, calls: Calls::default() })
    }

    pub(crate) async fn carry(&self, id: MessageId, message: &Message, budget: Budget) -> Outcome<()> {
        let wrong = |why: &str| Outcome::Refused(Refusal::new(Scope::Request, why).permanent());
        let Ok(to) = message.to.parse::<Mailbox>() else { return wrong("no email address") };
        let domain = self.from.email.domain().to_owned();
        let email = lettre::Message::builder()
            // The same when it is sent again: receivers can tell.
            .message_id(Some(format!("<{id}@{domain}>")))
            .from(self.from.clone())
            .to(to)
            .subject(message.subject.clone())
            .header(ContentType::TEXT_PLAIN)
            .body(message.text.clone());
        let Ok(email) = email else { return wrong("the email cannot be written") };
        self.calls.call(SEND, budget, self.send(email)).await
    }

    async fn send(&self, email: lettre::Message) -> Outcome<()> {
        let Err(error) = self.transport.send(email).await else { return Outcome::Done(()) };
        let outcome = failure(&error);
        // The same code means another thing where it is the greeting, or the answer to the password: then everything is
        // refused so, and the message is not to blame. The error does not say; the server does, when it is asked again.
        if let Outcome::Refused(Refusal { is_permanent: true, why, code, .. }) = &outcome
            && !matches!(self.transport.test_connection().await, Ok(true))
        {
            let why = format!("{why}, and lets nobody in");
            return Outcome::Refused(Refusal { code: *code, ..Refusal::new(Scope::Service, why) });
        }
        outcome
    }
}

/// What the server said is left out: it often repeats the receiver.
fn failure(error: &smtp::Error) -> Outcome<()> {
    if let Some(code) = error.status() {
        return Outcome::Refused(answered(code.into()));
    }
    let away = |why: &str| Outcome::Refused(Refusal::new(Scope::Service, why));
    let unknown = |why: &str| Outcome::Unknown(Unknown::new(why));
    if error.is_client() {
        // As with an address in letters that this server does not know.
        let why = "the mail server cannot be asked for what this message needs";
        Outcome::Refused(Refusal::new(Scope::Request, why))
    } else if error.to_string().starts_with("Connection error") {
        // The only way in which the library tells this from a connection that broke; a test holds it to that.
        away("the mail server cannot be reached")
    } else if error.is_tls() {
        away("no secure connection to the mail server")
    } else if error.is_timeout() {
        unknown("the mail server is too slow")
    } else if error.is_response() {
        unknown("the mail server breaks off within an answer, or what it answers is no SMTP")
    } else {
        unknown("the mail server breaks off")
    }
}

/// What a code of failure is about (RFC 5321, RFC 4954): the receiver or the contents, this moment, or ourselves.
fn answered(code: u16) -> Refusal {
    let why = format!("the mail server answered {code}");
    let refusal = match code {
        550..=556 => Refusal::new(Scope::Request, why).permanent(),
        // 421 is its farewell, 432 and 454 are about signing in. Of the rest of 5xx too, it is us whom it does not like:
        // the password, the lack of one, or of TLS.
        421 | 432 | 454 | 500.. => Refusal::new(Scope::Service, why),
        _ => Refusal::new(Scope::Request, why),
    };
    refusal.with_code(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_about_receiver_or_contents_is_for_good() {
        for code in 400..600 {
            let refusal = answered(code);
            assert_eq!(refusal.is_permanent, (550..=556).contains(&code), "{code}");
            assert!(!refusal.is_permanent || refusal.scope == Scope::Request, "{code}");
        }
        for code in [421, 454, 500, 503, 521, 530, 534, 535, 538] {
            assert_eq!(answered(code).scope, Scope::Service, "{code}");
        }
        for code in [450, 451, 452, 455] {
            assert_eq!(answered(code).scope, Scope::Request, "{code}");
        }
    }
}
