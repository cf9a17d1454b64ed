//! Sends what waits. One loop for each channel: a sender of texts that is down does not keep emails waiting.

use std::time::Duration;

use posthaste_clock::duty::{Duty, Runs};
use posthaste_domain::Timestamp;
use posthaste_outside::Breaker;
use posthaste_storage::StorageError;
use tokio::task::{JoinHandle, JoinSet};

use crate::carrier::CarrierError;
use crate::message::Channel;
use crate::outbox::{Notifications, Taken};

/// Messages that are sent at the same time.
const AT_ONCE: i64 = 8;
/// How long a loop sleeps at most. Messages of another process are seen by then.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// Old rows are removed.
const TIDY: Duty = Duty {
    name: "notifications.tidy",
    world: None,
    does: "removes letters and texts that ended long ago",
    period: Duration::from_secs(3600),
    trigger: None,
    runs: Runs::Leader,
};

/// The running loops. They end when this is dropped: what was being sent is sent again after its lease.
#[derive(Debug)]
pub struct Worker(Vec<JoinHandle<()>>);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Notifications {
    /// Begins to send.
    #[must_use]
    pub fn start(&self) -> Worker {
        let channels = [Channel::Email, Channel::Text].into_iter().filter(|channel| self.sends(*channel));
        let mut loops: Vec<_> = channels.map(|channel| tokio::spawn(run(self.clone(), channel))).collect();
        let outbox = self.clone();
        loops.push(self.clock().duties().every(TIDY, move || {
            let outbox = outbox.clone();
            async move { outbox.tidy().await.map(drop) }
        }));
        Worker(loops)
    }
}

async fn run(outbox: Notifications, channel: Channel) {
    let mut breaker = Breaker::default();
    let duty = sending(channel);
    outbox.clock().duties().register(duty);
    loop {
        let sleep = match outbox.clock().duties().did(duty, pass(&outbox, channel, &mut breaker)).await {
            Ok(Some(until)) => (until - outbox.now()).to_std().unwrap_or_default().min(LONGEST_SLEEP),
            Ok(None) => LONGEST_SLEEP,
            Err(error) => {
                tracing::warn!(channel = channel.name(), %error, "the outbox cannot be read");
                LONGEST_SLEEP
            }
        };
        let _ = tokio::time::timeout(sleep, outbox.waits(channel).notified()).await;
    }
}

fn sending(channel: Channel) -> Duty {
    Duty {
        name: match channel {
            Channel::Email => "notifications.emails",
            Channel::Text => "notifications.texts",
        },
        world: None,
        does: "sends what waits",
        period: LONGEST_SLEEP,
        trigger: Some("a message is written"),
        runs: Runs::Leader,
    }
}

/// Sends until nothing is due; says when to look again.
async fn pass(
    outbox: &Notifications,
    channel: Channel,
    breaker: &mut Breaker,
) -> Result<Option<Timestamp>, StorageError> {
    loop {
        let most = breaker.admits(AT_ONCE, outbox.now());
        if most == 0 {
            return Ok(breaker.paused_until());
        }
        let taken = outbox.take(channel, most).await?;
        if taken.is_empty() {
            return outbox.next_due(channel).await;
        }
        let mut sending = JoinSet::new();
        for message in taken {
            let outbox = outbox.clone();
            sending.spawn(async move { send(&outbox, channel, message).await });
        }
        while let Some(joined) = sending.join_next().await {
            // A carrier that panicked: the message comes back after its lease.
            let Some(reached) = joined.unwrap_or(Ok(Some(false)))? else { continue };
            if breaker.note(reached, outbox.now()) {
                tracing::error!(channel = channel.name(), "messages cannot be sent: waiting before trying again");
            }
        }
    }
}

/// Sends one; whether its carrier works, where that was seen.
async fn send(outbox: &Notifications, channel: Channel, taken: Taken) -> Result<Option<bool>, StorageError> {
    let (outcome, asked) = match (outbox.carrier(channel), &taken.message) {
        (Some(carrier), Some(message)) => (carrier.carry(taken.id, taken.created_at, message).await, true),
        (None, _) => (Err(CarrierError::Away("no carrier is configured".to_owned())), true),
        (_, None) => (Err(CarrierError::Permanent("sealed with another secret".to_owned())), false),
    };
    match &outcome {
        Ok(()) => tracing::debug!(message = %taken.id, channel = channel.name(), "a message is sent"),
        Err(error) => {
            let attempts = taken.attempts;
            tracing::warn!(message = %taken.id, channel = channel.name(), attempts, %error, "a message was not sent");
        }
    }
    outbox.settle(&taken, &outcome).await?;
    // Who refuses one message is there for the others: odd receivers do not keep them waiting.
    Ok(asked.then_some(!matches!(outcome, Err(CarrierError::Away(_)))))
}
