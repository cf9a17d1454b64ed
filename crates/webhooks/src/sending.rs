//! The sender: makes messages of the feed's events, sends what is due, notes what became of it.
//!
//! Any number of processes may send beside each other: a message belongs to whoever claimed it, for `CLAIM`. Who
//! dies in between leaves a claim that ends, and the message is sent again under the same id.

mod choose;
pub(crate) mod distribute;
pub(crate) mod post;
mod store;
pub(crate) mod upkeep;

use std::collections::HashMap;
use std::time::Duration;

use posthaste_clock::duty::{Duty, Runs};
use posthaste_domain::Span;
use posthaste_domain::ids::WebhookEndpointId;
use posthaste_storage::StorageError;
use tokio::task::{JoinHandle, JoinSet};
use tracing::Instrument;

use crate::messages::body;
use crate::schedule::{self, Outcome};
use crate::sending::post::{Answer, Letter, Poster};
use crate::sending::store::{Claimed, Ended};
use crate::{Webhooks, endpoints, metrics, signing};

/// How often it is looked whether something became due by the clock, in real time: how much later than planned it is tried
/// again at most. What happens is sent at once: the commit wakes. An idle look costs a statement that finds nothing.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long to wait when Postgres is away.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);
/// How long a claim lasts, in real time: longer than an attempt and the noting of it. Longer delays what a killed
/// process was sending.
const CLAIM: Duration = Duration::from_secs(30);
/// How long noting is tried again while Postgres is away. Afterwards the claim ends and the message is sent again.
const NOTING: Duration = Duration::from_secs(12);
/// The running sender. It ends when this is dropped: what was being sent is sent again after its claim.
#[derive(Debug)]
pub struct Sender {
    tasks: Vec<JoinHandle<()>>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Sender {
    /// Sends nothing more, and waits at most so long for what is under way, all of it together. What does not end by then
    /// is sent again after its claim.
    pub async fn stop(mut self, within: Duration) {
        let _ = self.stop.send(true);
        let all = async {
            for task in &mut self.tasks {
                let _ = task.await;
            }
        };
        // What is left is ended by the drop.
        let _ = tokio::time::timeout(within, all).await;
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Webhooks {
    /// Begins to send, and to remove what is old.
    ///
    /// # Errors
    ///
    /// Where no HTTP client can be made on this machine.
    pub fn start(&self) -> Result<Sender, reqwest::Error> {
        self.start_in(None)
    }

    /// The same in a world that is not the live one, by its name.
    ///
    /// # Errors
    ///
    /// Those of [`Self::start`].
    pub fn start_in(&self, world: Option<&'static str>) -> Result<Sender, reqwest::Error> {
        let duty = |name, period, does, trigger| Duty { name, world, does, period, trigger, runs: Runs::Leader };
        let committed = Some("a commit of the journal");
        let (distributes, sends, tells, tidies) = (
            duty("webhooks.distribute", distribute::LOOK_EVERY, "makes messages of what is new in the feed", committed),
            duty("webhooks.send", LOOK_EVERY, "sends what is due", Some("a message is made, or has been sent")),
            duty(
                "webhooks.tell",
                upkeep::TELL_EVERY,
                "tells owners of endpoints that nothing is sent to any more",
                None,
            ),
            duty("webhooks.upkeep", upkeep::EVERY, "removes old messages, and what deleted endpoints left", None),
        );
        for duty in [distributes, sends, tells, tidies] {
            self.clock().duties().register(duty);
        }
        let poster = Poster::new(self.allowed())?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let distributing = tokio::spawn(distribute::run(self.clone(), distributes, stopped.clone()).in_current_span());
        let sending = tokio::spawn(run(self.clone(), sends, poster, stopped.clone()).in_current_span());
        let telling = tokio::spawn(upkeep::tell(self.clone(), tells, stopped.clone()).in_current_span());
        let upkeep = tokio::spawn(upkeep::run(self.clone(), tidies, stopped).in_current_span());
        Ok(Sender { tasks: vec![distributing, sending, telling, upkeep], stop })
    }

    /// A stretch of real time as a stretch of the product's.
    pub(crate) fn product(&self, real: Duration) -> Span {
        Span::from_std(real.mul_f64(self.clock().speed())).unwrap_or(Span::days(1))
    }
}

async fn run(webhooks: Webhooks, duty: Duty, poster: Poster, mut stopped: tokio::sync::watch::Receiver<bool>) {
    let mut sends: JoinSet<WebhookEndpointId> = JoinSet::new();
    let mut under_way: HashMap<WebhookEndpointId, usize> = HashMap::new();
    while !*stopped.borrow() {
        let looked = pass(&webhooks, &poster, &mut sends, &mut under_way);
        let pause = match webhooks.clock().duties().did(duty, looked).await {
            Ok(()) => LOOK_EVERY,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "webhooks wait: the database is away");
                AFTER_TROUBLE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = webhooks.0.work.notified() => {}
            Some(ended) = sends.join_next() => forget(&mut under_way, &ended),
            _ = stopped.changed() => {}
        }
        while let Some(ended) = sends.try_join_next() {
            forget(&mut under_way, &ended);
        }
    }
    while sends.join_next().await.is_some() {}
}

fn forget(
    under_way: &mut HashMap<WebhookEndpointId, usize>,
    ended: &Result<WebhookEndpointId, tokio::task::JoinError>,
) {
    match ended {
        Ok(endpoint) => {
            if let Some(count) = under_way.get_mut(endpoint) {
                *count = count.saturating_sub(1);
            }
            under_way.retain(|_, count| *count > 0);
        }
        Err(error) => tracing::error!(%error, "sending a webhook broke off"),
    }
}

/// One look: claims what is due and there is room for, and begins to send it.
async fn pass(
    webhooks: &Webhooks,
    poster: &Poster,
    sends: &mut JoinSet<WebhookEndpointId>,
    under_way: &mut HashMap<WebhookEndpointId, usize>,
) -> Result<(), StorageError> {
    if webhooks.outside().is_held() || under_way.values().sum::<usize>() >= choose::MOST_AT_ONCE {
        return Ok(());
    }
    let now = webhooks.now();
    let due = store::due(webhooks.pool(), now, choose::MOST_TO_ONE).await?;
    let chosen = choose::choose(&due, under_way);
    if chosen.is_empty() {
        return Ok(());
    }
    let until = now + webhooks.product(CLAIM);
    for claimed in store::claim(webhooks.pool(), &chosen, until).await? {
        *under_way.entry(claimed.message.endpoint_id).or_default() += 1;
        // Of the highest level: whatever is logged, it is logged with the id of what caused it. The span that all sending
        // of a world stands in is not sent anywhere: each message is a trace of its own.
        let (span, _) = posthaste_trace::begin(
            None,
            |_| tracing::error_span!("webhook", message = %claimed.message.id, request_id = claimed.request),
        );
        sends.spawn(send(webhooks.clone(), poster.clone(), claimed).instrument(span).in_current_span());
    }
    Ok(())
}

async fn send(webhooks: Webhooks, poster: Poster, claimed: Claimed) -> WebhookEndpointId {
    let began = webhooks.now();
    let letter = letter(&webhooks, &claimed).await;
    let (answer, made) = match letter {
        Ok(letter) => (poster.post(&claimed.url, letter).await, true),
        Err(problem) => {
            tracing::error!(message = %claimed.message.id, problem, "a webhook cannot be made");
            let problem = Some("the server could not make the message".to_owned());
            (Answer { problem, ..Answer::default() }, false)
        }
    };
    let now = webhooks.now();
    let asked = answer.retry_after.map(|real| webhooks.product(real));
    let outcome = match (&answer.problem, answer.status) {
        (None, _) => Outcome::Delivered,
        _ if !made => Outcome::NotMade,
        (_, Some(410)) => Outcome::Gone,
        _ => Outcome::Failed { asked },
    };
    let next = schedule::next(outcome, claimed.tries, now, rand::random());
    let first = (claimed.message.attempts == 0).then_some((claimed.message.at, began));
    metrics::attempted(outcome, next, &answer, first);
    let quiet_until = schedule::quiet_until(outcome, now);
    let ended = Ended { claimed: &claimed, answer: &answer, outcome, next, quiet_until, began, now };
    let (message, status, problem) = (claimed.message.id, answer.status, answer.problem.as_deref());
    tracing::debug!(%message, endpoint = %claimed.message.endpoint_id, status, problem, ?next, "a webhook was sent");
    note(&webhooks, &ended).await;
    claimed.message.endpoint_id
}

/// Notes what became of it, also when Postgres is away for a while: unnoted, it would be sent again.
async fn note(webhooks: &Webhooks, ended: &Ended<'_>) {
    let noted = tokio::time::timeout(NOTING, async {
        while let Err(error) = store::finish(webhooks.pool(), ended).await {
            if webhooks.pool().refuses() {
                return false;
            }
            tracing::warn!(error = &error as &dyn std::error::Error, "an attempt is not noted yet");
            tokio::time::sleep(AFTER_TROUBLE).await;
        }
        true
    });
    if !noted.await.unwrap_or(false) {
        tracing::error!(message = %ended.claimed.message.id, "an attempt was not noted: it is made again");
    }
}

/// What is posted, or why it cannot be made.
async fn letter(webhooks: &Webhooks, claimed: &Claimed) -> Result<Letter, String> {
    let body = body::of(webhooks.pool(), &claimed.message, claimed.merchant).await;
    let body = body.map_err(|error| error.to_string())?;
    let body = serde_json::to_string(&body).map_err(|error| error.to_string())?;
    let endpoint = claimed.message.endpoint_id;
    let current = webhooks.unsealed(endpoint, &claimed.secret);
    let previous = claimed.previous.as_ref().map(|(sealed, until)| (webhooks.unsealed(endpoint, sealed), *until));
    let secrets = endpoints::valid(current, previous, webhooks.now());
    let secrets = secrets.ok_or("its secret was sealed with another key")?;
    let (id, timestamp) = (claimed.message.id.to_string(), webhooks.clock().wall().timestamp());
    let signatures = signing::signatures(&secrets, &id, timestamp, &body);
    Ok(Letter { id, timestamp, signatures, body })
}
