//! Texts over HTTP, by the interface of Twilio's Messages resource, which other senders offer too.

use std::fmt;
use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;

use crate::carrier::{CarrierError, InvalidCarrier};
use crate::message::Message;

/// How long connecting may take, and the whole exchange.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read. A sound one has a tenth of it.
const LONGEST_ANSWER: usize = 64 * 1024;

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
        write!(f, "TwilioSettings({}, …)", self.url)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Twilio {
    client: Client,
    url: Url,
    settings: TwilioSettings,
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
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| wrong("twilio_url", "cannot be used on this machine"))?;
        Ok(Self { client, url, settings })
    }

    pub(crate) async fn carry(&self, message: &Message) -> Result<(), CarrierError> {
        let form = [("To", &message.to), ("From", &self.settings.from), ("Body", &message.text)];
        let sent = self
            .client
            .post(self.url.clone())
            .basic_auth(&self.settings.account, Some(&self.settings.token))
            .form(&form)
            .send()
            .await;
        let mut response = sent.map_err(|error| CarrierError::Away(words(&error).to_owned()))?;
        let status = response.status();
        if !status.is_success() {
            let text = format!("the sender of texts answered {}", status.as_u16());
            return Err(match status {
                // Wrong credentials are ours to repair, and messages wait for it.
                StatusCode::TOO_MANY_REQUESTS
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::UNAUTHORIZED
                | StatusCode::NOT_FOUND => CarrierError::Away(text),
                // Some countries are not allowed until the account's owner says so.
                StatusCode::FORBIDDEN => CarrierError::Temporary(text),
                _ if status.is_server_error() || status.is_redirection() => CarrierError::Away(text),
                _ => CarrierError::Permanent(text),
            });
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| CarrierError::Away(words(&error).to_owned()))? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(not_understood());
            }
            body.extend_from_slice(&chunk);
        }
        match serde_json::from_slice::<Accepted>(&body) {
            Ok(accepted) if !accepted.sid.is_empty() => Ok(()),
            _ => Err(not_understood()),
        }
    }
}

fn not_understood() -> CarrierError {
    CarrierError::Away("the sender of texts answers what is no confirmation".to_owned())
}

/// The error's own text holds the address with the account in it.
fn words(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "the sender of texts is too slow"
    } else if error.is_connect() {
        "the sender of texts cannot be reached"
    } else {
        "the sender of texts broke off"
    }
}
