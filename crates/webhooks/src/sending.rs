//! The sender: makes messages of the feed's events, posts what is due, notes what became of it.
//!
//! Each message that waits has a job of its id in the queue (`posthaste_jobs`): its lane is the order at the endpoint, its group the
//! endpoint. When it is sent, by which process, and how often it is tried is the queue's business; what became of it is noted
//! in the same transaction here and there.

mod adopt;
pub(crate) mod distribute;
pub(crate) mod post;
mod store;
pub(crate) mod upkeep;

use std::time::Duration;

use posthaste_clock::duty::{Duty, Runs};
use posthaste_domain::ids::{Id, JobId, WebhookEndpointId, WebhookMessageId};
use posthaste_domain::{Span, Timestamp};
use posthaste_jobs::{Connection, Ended, Job, Kind, NewJob, Next, Noted, Retries, Times, Work, Worker};
use posthaste_storage::StorageError;
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::messages::body;
use crate::schedule::{self, Outcome};
use crate::sending::post::{Answer, LONGEST, Letter, Poster};
use crate::sending::store::{Addressed, Attempted};
use crate::{Webhooks, endpoints, metrics, signing};

/// How long to wait when Postgres is away.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

/// Messages on their way.
pub(crate) static WEBHOOK: Kind = Kind {
    name: "webhook",
    duty: "webhooks.send",
    does: "sends what is due",
    times: Times::Product,
    // It is about a message, and says nothing.
    sealed_for: None,
    at_once: 64,
    // Eight that hang leave room for everybody else, and a quick endpoint needs no more.
    of_group: 8,
    longest: LONGEST.saturating_add(Duration::from_secs(2)),
    retries: Retries {
        seconds: &schedule::RETRY_SECONDS,
        jitter: schedule::MOST_JITTER,
        longest_asked: schedule::LONGEST_ASKED,
    },
    // Messages themselves are the record of what became of them.
    done_kept: None,
    dead_kept: None,
    dead_keeps_payload: false,
    every: None,
};

/// The group of an endpoint's messages.
pub(crate) fn group(endpoint: WebhookEndpointId) -> String {
    endpoint.to_string()
}

/// The id of a message's job.
pub(crate) fn job_of(message: WebhookMessageId) -> JobId {
    JobId::from_uuid(message.uuid())
}

/// The job of a message, due at `now`.
pub(crate) fn job(new: &crate::messages::store::New, now: Timestamp) -> NewJob {
    let job =
        NewJob::default().with_id(job_of(new.id)).of_group(group(new.endpoint)).at_place(new.sequence).due_at(now);
    match new.order {
        Some(order) => job.in_lane(format!("{} {order}", new.endpoint)),
        None => job,
    }
}

/// The running sender. It ends when this is dropped: what was being sent is sent again after its lease.
#[derive(Debug)]
pub struct Sender {
    worker: Worker,
    tasks: Tasks,
    stop: tokio::sync::watch::Sender<bool>,
}

/// What goes on beside the worker. It ends when this is dropped.
#[derive(Debug)]
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Sender {
    /// Sends nothing more, and waits at most so long for what is under way, all of it together. What does not end by then
    /// is sent again after its lease.
    pub async fn stop(mut self, within: Duration) {
        let _ = self.stop.send(true);
        let all = async {
            for task in &mut self.tasks.0 {
                let _ = task.await;
            }
        };
        // What is left is ended by the drop.
        let (_, ()) = tokio::join!(tokio::time::timeout(within, all), self.worker.stop(within));
    }
}

impl Webhooks {
    /// Begins to send, and to remove what is old.
    ///
    /// # Errors
    ///
    /// Where no HTTP client can be made on this machine.
    pub fn start(&self) -> Result<Sender, reqwest::Error> {
        let world = self.jobs().world();
        let duty = |name, period, does, trigger| Duty { name, world, does, period, trigger, runs: Runs::Leader };
        let committed = Some("a commit of the journal");
        let (distributes, tells, tidies) = (
            duty("webhooks.distribute", distribute::LOOK_EVERY, "makes messages of what is new in the feed", committed),
            duty(
                "webhooks.tell",
                upkeep::TELL_EVERY,
                "tells owners of endpoints that nothing is sent to any more",
                None,
            ),
            duty("webhooks.upkeep", upkeep::EVERY, "removes old messages, and what deleted endpoints left", None),
        );
        for duty in [distributes, tells, tidies] {
            self.clock().duties().register(duty);
        }
        let poster = Poster::new(self.allowed())?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let distributing = tokio::spawn(distribute::run(self.clone(), distributes, stopped.clone()).in_current_span());
        let telling = tokio::spawn(upkeep::tell(self.clone(), tells, stopped.clone()).in_current_span());
        let upkeep = tokio::spawn(upkeep::run(self.clone(), tidies, stopped).in_current_span());
        let worker = self.jobs().start(&WEBHOOK, Sending { webhooks: self.clone(), poster });
        Ok(Sender { worker, tasks: Tasks(vec![distributing, telling, upkeep]), stop })
    }

    /// A stretch of real time as a stretch of the product's.
    pub(crate) fn product(&self, real: Duration) -> Span {
        Span::from_std(real.mul_f64(self.clock().speed())).unwrap_or(Span::days(1))
    }
}

/// What the worker does.
struct Sending {
    webhooks: Webhooks,
    poster: Poster,
}

/// What an attempt leaves to be noted.
#[derive(Default)]
struct Report(Option<Sent>);

struct Sent {
    addressed: Addressed,
    answer: Answer,
    outcome: Outcome,
    began: Timestamp,
}

impl Work for Sending {
    type Report = Report;

    async fn run(&self, job: &Job) -> (Ended, Report) {
        let id = WebhookMessageId::from_uuid(job.id.uuid());
        let addressed = match store::addressed(self.webhooks.pool(), id).await {
            Ok(Some(addressed)) => addressed,
            Ok(None) => return (Ended::Dead { why: "there is nothing to be sent any more".to_owned() }, Report(None)),
            Err(error) => return (Ended::Retry { after: None, why: error.to_string() }, Report(None)),
        };
        // Of the highest level: whatever is logged, it is logged with the id of what caused it. The span that all sending
        // of a world stands in is not sent anywhere: each message is a trace of its own.
        let (span, _) = posthaste_trace::begin(
            None,
            |_| tracing::error_span!("webhook", message = %id, request_id = addressed.request),
        );
        self.send(addressed).instrument(span).await
    }

    async fn note(
        &self,
        connection: &mut Connection,
        job: &Job,
        noted: &Noted<'_, Report>,
    ) -> Result<bool, StorageError> {
        let Some(Sent { addressed, answer, outcome, began }) = &noted.report.0 else {
            // No attempt came to its end, as often as it was begun.
            if noted.next == Next::Dead {
                store::set_aside(connection, WebhookMessageId::from_uuid(job.id.uuid()), noted.now).await?;
            }
            return Ok(true);
        };
        let quiet_until = schedule::quiet_until(*outcome, noted.now);
        let (outcome, next, began, now) = (*outcome, noted.next, *began, noted.now);
        store::note(connection, &Attempted { addressed, answer, outcome, next, quiet_until, began, now }).await?;
        Ok(true)
    }

    fn was_noted(&self, _: &Job, noted: &Noted<'_, Report>) {
        if let Some(Sent { addressed, answer, outcome, began }) = &noted.report.0 {
            let first = (addressed.message.attempts == 0).then_some((addressed.message.at, *began));
            metrics::attempted(*outcome, noted.next, answer, first);
        }
    }
}

impl Sending {
    async fn send(&self, addressed: Addressed) -> (Ended, Report) {
        let (webhooks, began) = (&self.webhooks, self.webhooks.now());
        let (answer, made) = match letter(webhooks, &addressed).await {
            Ok(letter) => (self.poster.post(&addressed.url, letter).await, true),
            Err(problem) => {
                tracing::error!(message = %addressed.message.id, problem, "a webhook cannot be made");
                let problem = Some("the server could not make the message".to_owned());
                (Answer { problem, ..Answer::default() }, false)
            }
        };
        let asked = answer.retry_after.map(|real| webhooks.product(real));
        let outcome = match (&answer.problem, answer.status) {
            (None, _) => Outcome::Delivered,
            _ if !made => Outcome::NotMade,
            (_, Some(410)) => Outcome::Gone,
            _ => Outcome::Failed { asked },
        };
        let (message, status, problem) = (addressed.message.id, answer.status, answer.problem.as_deref());
        tracing::debug!(%message, endpoint = %addressed.message.endpoint_id, status, problem, "a webhook was sent");
        let why = answer.problem.clone().unwrap_or_default();
        let ended = match outcome {
            Outcome::Delivered => Ended::Done,
            Outcome::Failed { asked } => Ended::Retry { after: asked, why },
            Outcome::Gone | Outcome::NotMade => Ended::Retry { after: None, why },
        };
        (ended, Report(Some(Sent { addressed, answer, outcome, began })))
    }
}

/// What is posted, or why it cannot be made.
async fn letter(webhooks: &Webhooks, addressed: &Addressed) -> Result<Letter, String> {
    let body = body::of(webhooks.pool(), &addressed.message, addressed.merchant).await;
    let body = body.map_err(|error| error.to_string())?;
    let body = serde_json::to_string(&body).map_err(|error| error.to_string())?;
    let endpoint = addressed.message.endpoint_id;
    let current = webhooks.unsealed(endpoint, &addressed.secret);
    let previous = addressed.previous.as_ref().map(|(sealed, until)| (webhooks.unsealed(endpoint, sealed), *until));
    let secrets = endpoints::valid(current, previous, webhooks.now());
    let secrets = secrets.ok_or("its secret was sealed with another key")?;
    let (id, timestamp) = (addressed.message.id.to_string(), webhooks.clock().wall().timestamp());
    let signatures = signing::signatures(&secrets, &id, timestamp, &body);
    Ok(Letter { id, timestamp, signatures, body })
}
