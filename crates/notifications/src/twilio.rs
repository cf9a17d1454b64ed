//! Texts over HTTP, by the interface of Twilio's Messages resource, which other senders offer too.

use std::fmt;
use std::time::Duration;

use posthaste_outside::{Budget, Client, Operation, Outcome, Reads, Scope, Unknown, Url, redact};
use serde::Deserialize;

use crate::carrier::InvalidCarrier;
use crate::message::Message;

/// How long connecting may take, and the whole exchange.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read. A sound one has a tenth of it.
const LONGEST_ANSWER: usize = 64 * 1024;
/// There is no key by which the sender tells the same text: where the end is not known, it may come twice.
const SEND: Operation = Operation::new("texts", "send");

/// How texts are sent.
#[derive(Clone)]
pub struct TwilioSettings {
    /// The sender's address, as in `https://api.twilio.com`.
    pub url: String,
    /// The account there.
    pub account: String,
    /// Its secret.
    pub token: String,
    /// The number that texts come from.
    pub from: String,
}

impl fmt::Debug for TwilioSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TwilioSettings({}, …)", redact::text(&self.url))
    }
}

#[derive(Clone)]
pub(crate) struct Twilio {
    client: Client,
    url: Url,
    settings: TwilioSettings,
}

impl fmt::Debug for Twilio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

#[derive(Deserialize)]
struct Accepted {
    sid: String,
}

impl Twilio {
    pub(crate) fn new(settings: TwilioSettings) -> Result<Self, InvalidCarrier> {
        let wrong = |setting, problem: &str| InvalidCarrier { setting, problem: problem.to_owned() };
        let mut url: Url = settings.url.parse().map_err(|_| wrong("twilio_url", "is no address"))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(wrong("twilio_url", "must begin with https:// or http://"));
        }
        url.path_segments_mut().map_err(|()| wrong("twilio_url", "is no address"))?.pop_if_empty().extend([
            "2010-04-01",
            "Accounts",
            &settings.account,
            "Messages.json",
        ]);
        let client = Client::connecting_within(CONNECT).build();
        let client = client.map_err(|_| wrong("twilio_url", "cannot be used on this machine"))?;
        Ok(Self { client, url, settings })
    }

    pub(crate) async fn carry(&self, message: &Message, budget: Budget) -> Outcome<()> {
        let form = [("To", &message.to), ("From", &self.settings.from), ("Body", &message.text)];
        let request = self
            .client
            .post(self.url.clone())
            .basic_auth(&self.settings.account, Some(&self.settings.token))
            .form(&form);
        let answered = self.client.send(SEND, request, Reads::Body(LONGEST_ANSWER), budget.at_most(ANSWER)).await;
        // Of whom these are, as nothing else in the outbox says it.
        let of_the_sender = |why: String| format!("the sender of texts: {why}");
        match answered {
            Outcome::Done(response) => match serde_json::from_slice::<Accepted>(&response.body) {
                Ok(accepted) if !accepted.sid.is_empty() => Outcome::Done(()),
                _ => Outcome::Unknown(Unknown::new("the sender of texts answers what is no confirmation")),
            },
            Outcome::Refused(mut refusal) => {
                // The account is unknown, which is ours to repair, and messages wait for it.
                if refusal.code == Some(404) {
                    (refusal.scope, refusal.is_permanent) = (Scope::Service, false);
                }
                refusal.why = of_the_sender(refusal.why);
                Outcome::Refused(refusal)
            }
            Outcome::Unknown(mut unknown) => {
                unknown.why = of_the_sender(unknown.why);
                Outcome::Unknown(unknown)
            }
        }
    }
}
