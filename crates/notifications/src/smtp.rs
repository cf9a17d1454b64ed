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
        let Err(error) = self.transport.send(email).await else { return Ok(()) };
        let refused = failure(&error);
        // The same code means another thing where it is the greeting, or the answer to the password: then everything is
        // refused so, and the message is not to blame. The error does not say; the server does, when it is asked again.
        if let CarrierError::Permanent(text) = &refused
            && !matches!(self.transport.test_connection().await, Ok(true))
        {
            return Err(CarrierError::Away(format!("{text}, and lets nobody in")));
        }
        Err(refused)
    }
}

/// What the server said is left out: it often repeats the receiver.
fn failure(error: &smtp::Error) -> CarrierError {
    if let Some(code) = error.status() {
        return answered(code.into());
    }
    if error.is_client() {
        // As with an address in letters that this server does not know.
        return CarrierError::Temporary("the mail server cannot be asked for what this message needs".to_owned());
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
    CarrierError::Away(text.to_owned())
}

/// What a code of failure is about (RFC 5321, RFC 4954): the receiver or the contents, this moment, or ourselves.
fn answered(code: u16) -> CarrierError {
    let text = format!("the mail server answered {code}");
    match code {
        550..=556 => CarrierError::Permanent(text),
        // 421 is its farewell, 432 and 454 are about signing in. Of the rest of 5xx too, it is us whom it does not like:
        // the password, the lack of one, or of TLS.
        421 | 432 | 454 | 500.. => CarrierError::Away(text),
        _ => CarrierError::Temporary(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_about_receiver_or_contents_is_for_good() {
        for code in 400..600 {
            let is_permanent = matches!(answered(code), CarrierError::Permanent(_));
            assert_eq!(is_permanent, (550..=556).contains(&code), "{code}");
        }
        for code in [421, 454, 500, 503, 521, 530, 534, 535, 538] {
            assert!(matches!(answered(code), CarrierError::Away(_)), "{code}");
        }
        for code in [450, 451, 452, 455] {
            assert!(matches!(answered(code), CarrierError::Temporary(_)), "{code}");
        }
    }
}
