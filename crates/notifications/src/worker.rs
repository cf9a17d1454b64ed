//! Sends what waits. One worker for each channel: a sender of texts that is down does not keep emails waiting.

use std::time::Duration;

use parking_lot::Mutex;
use posthaste_domain::Span;
use posthaste_domain::ids::{Id, MessageId};
use posthaste_jobs::{Ended, Job, Work};
use posthaste_outside::Breaker;
use tokio::task::JoinHandle;

use crate::carrier::CarrierError;
use crate::message::{Channel, Message};
use crate::outbox::{Notifications, kind_of};
use crate::take_over::take_over;

/// How long to wait until what the release before has left is looked for again, where Postgres is away.
const AGAIN: Duration = Duration::from_secs(5);

/// The running workers. They end when this is dropped: what was being sent is sent again after its lease.
#[derive(Debug)]
pub struct Worker {
    _channels: Vec<posthaste_jobs::Worker>,
    taking_over: JoinHandle<()>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.taking_over.abort();
    }
}

impl Notifications {
    /// Begins to send.
    #[must_use]
    pub fn start(&self) -> Worker {
        let channels = [Channel::Email, Channel::Text].into_iter().filter(|channel| self.sends(*channel));
        let start = |channel| {
            let sending = Sending { outbox: self.clone(), channel, breaker: Mutex::default() };
            self.jobs().start(kind_of(channel), sending)
        };
        let (outbox, channels) = (self.clone(), channels.map(start).collect());
        let taking_over = tokio::spawn(async move {
            while let Err(error) = take_over(outbox.jobs().pool()).await {
                tracing::warn!(%error, "messages of the release before wait: the database is away");
                tokio::time::sleep(AGAIN).await;
            }
            outbox.wake();
        });
        Worker { _channels: channels, taking_over }
    }
}

/// What a channel's worker does.
struct Sending {
    outbox: Notifications,
    channel: Channel,
    breaker: Mutex<Breaker>,
}

impl Work for Sending {
    type Report = ();

    async fn run(&self, job: &Job) -> (Ended, ()) {
        let Ok(message) = serde_json::from_slice::<Message>(&job.payload) else {
            return (Ended::Dead { why: "its contents cannot be read".to_owned() }, ());
        };
        let outcome = match self.outbox.carrier(self.channel) {
            Some(carrier) => carrier.carry(MessageId::from_uuid(job.id.uuid()), job.created_at, &message).await,
            None => Err(CarrierError::away("no carrier is configured")),
        };
        // Who refuses one message is there for the others: odd receivers do not keep them waiting.
        let reached = !matches!(outcome, Err(CarrierError::Away { .. }));
        let asked = match &outcome {
            Err(CarrierError::Away { after, .. } | CarrierError::Temporary { after, .. }) => *after,
            Ok(()) | Err(CarrierError::Permanent(_)) => None,
        };
        // How long a carrier asks to be left alone is not spent on attempts: the message waits, and so does the channel.
        let after = asked.and_then(|asked| Span::from_std(asked).ok());
        let now = self.outbox.jobs().now(kind_of(self.channel));
        if self.breaker.lock().note_asked(reached, after.unwrap_or_default(), now) {
            tracing::error!(channel = self.channel.name(), "messages cannot be sent: waiting before trying again");
        }
        let ended = match outcome {
            Ok(()) => Ended::Done,
            Err(CarrierError::Permanent(why)) => Ended::Dead { why },
            Err(CarrierError::Away { why, .. } | CarrierError::Temporary { why, .. }) => Ended::Retry { after, why },
        };
        (ended, ())
    }

    fn stays_inside(&self) -> bool {
        self.outbox.carrier(self.channel).is_some_and(|carrier| !carrier.reaches_outside())
    }

    fn admits(&self, most: usize) -> usize {
        let wanted = i64::try_from(most).unwrap_or(i64::MAX);
        let admitted = self.breaker.lock().admits(wanted, self.outbox.jobs().now(kind_of(self.channel)));
        usize::try_from(admitted).unwrap_or_default()
    }

    fn admits_again_in(&self) -> Duration {
        let until = self.breaker.lock().paused_until();
        let wait = until.and_then(|until| (until - self.outbox.jobs().now(kind_of(self.channel))).to_std().ok());
        wait.unwrap_or_default()
    }
}
