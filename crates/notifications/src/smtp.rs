//! Email by SMTP.

use std::fmt;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use posthaste_domain::ids::MessageId;

use crate::carrier::{CarrierError, InvalidCarrier};
use crate::message::Message;

/// How long the mail server may take for one answer. Lower breaks slow but working ones.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
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
        Ok(Self { transport: transport.timeout(Some(ANSWER)).build(), from })
    }

    pub(crate) async fn carry(&self, id: MessageId, message: &Message) -> Result<(), CarrierError> {
        let to: Mailbox = message.to.parse().map_err(|_| CarrierError::Permanent("no email address".to_owned()))?;
        let domain = self.from.email.domain().to_owned();
        let email = lettre::Message::builder()
            // The same when it is sent again: receivers can tell.
            .message_id(Some(format!("<{id}@{domain}>")))
            .from(self.from.clone())
            .to(to)
            .subject(message.subject.clone())
            .header(ContentType::TEXT_PLAIN)
            .body(message.text.clone())
            .map_err(|_| CarrierError::Permanent("the email cannot be written".to_owned()))?;
        self.transport.send(email).await.map(drop).map_err(|error| failure(&error))
    }
}

/// What the server said is left out: it often repeats the receiver.
fn failure(error: &smtp::Error) -> CarrierError {
    if let Some(code) = error.status() {
        let text = format!("the mail server answered {code}");
        return if error.is_permanent() { CarrierError::Permanent(text) } else { CarrierError::Temporary(text) };
    }
    let text = if error.is_timeout() {
        "the mail server is too slow"
    } else if error.is_response() {
        "the mail server answers what is no SMTP"
    } else if error.is_tls() {
        "no secure connection to the mail server"
    } else {
        "the mail server cannot be reached, or breaks off"
    };
    CarrierError::Temporary(text.to_owned())
}
