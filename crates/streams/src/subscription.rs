//! One subscriber: how it begins, what it gets next, and its end.

use std::sync::{Arc, Weak};

use posthaste_protocol::socket::{Hello, Resumed, ServerMessage};

use crate::channel::{Channel, Start};
use crate::hub::Hub;
use crate::queue::{Direct, SendQueue};
use crate::topic::Numbering;
use crate::{Beginning, CannotFollow, Closed, Frame, Subject, Topic};

/// One subscriber. Dropping it ends the subscription.
pub struct Subscription {
    hub: Arc<Hub>,
    channel: Arc<Channel>,
    queue: Arc<SendQueue>,
    subject: Subject,
}

/// Ends a subscription from elsewhere.
pub struct Ender(Weak<SendQueue>);

impl Ender {
    /// Another connection takes its place.
    pub fn replace(&self) {
        if let Some(queue) = self.0.upgrade() {
            queue.close(Closed::Replaced);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.channel.leave(Some(&self.queue));
        self.hub.left(self.subject, &self.channel);
    }
}

impl Subscription {
    pub(crate) fn new(hub: Arc<Hub>, subject: Subject) -> Result<Self, CannotFollow> {
        let channel = hub.enter(subject)?;
        let queue = Arc::new(SendQueue::new(subject.kind().queue));
        Ok(Self { hub, channel, queue, subject })
    }

    /// What ends it from elsewhere.
    #[must_use]
    pub fn ender(&self) -> Ender {
        Ender(Arc::downgrade(&self.queue))
    }

    /// Names the numbering.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.channel.epoch
    }

    /// The newest number in the stream.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.channel.seq()
    }

    /// The first frames after the client's `hello`: `resumed` and what was missed, or a `snapshot`. From now on
    /// the queue fills, without a gap to these frames.
    ///
    /// # Errors
    ///
    /// [`CannotFollow`] where what it begins with could not be made.
    pub async fn begin(&mut self, hello: Hello) -> Result<Vec<Frame>, CannotFollow> {
        let last = hello.last_seq.filter(|_| hello.epoch.as_deref() == Some(self.channel.epoch.as_str()));
        let start = self.channel.subscribe(Arc::clone(&self.queue), last);
        if let Subject::Topic(topic) = self.subject
            && let Numbering::Owner { .. } = topic.kind.numbering
        {
            return self.begin_as_numbered(topic, last).await;
        }
        match start {
            Start::Resumed { from, missed } => {
                let to = from + missed.len() as u64;
                let resumed = self.hub.encode(&ServerMessage::Resumed(Resumed { from, to }));
                let missed = (from + 1..).zip(&missed).map(|(seq, message)| Frame::numbered(message, seq));
                Ok(std::iter::once(resumed).chain(missed).collect())
            }
            Start::Fresh { seq } => {
                let snapshot = self.hub.source(self.subject)?.snapshot(self.subject).await?;
                Ok(vec![self.hub.frame(&ServerMessage::Snapshot(Box::new(snapshot)), Some(seq))])
            }
        }
    }

    /// What comes after the beginning is in the queue, or on its way there: the subscription began before it was read.
    async fn begin_as_numbered(&self, topic: Topic, last: Option<u64>) -> Result<Vec<Frame>, CannotFollow> {
        let hub = &*self.hub;
        match hub.source(self.subject)?.beginning(topic, last).await? {
            Beginning::Resumed(missed) => {
                let from = last.unwrap_or(0);
                let to = missed.last().map_or(from, |(seq, _)| *seq);
                self.queue.skip_up_to(to);
                let resumed = hub.encode(&ServerMessage::Resumed(Resumed { from, to }));
                let missed = missed.iter().map(|(seq, message)| hub.frame(message, Some(*seq)));
                Ok(std::iter::once(resumed).chain(missed).collect())
            }
            Beginning::Fresh { seq, snapshot } => {
                self.queue.skip_up_to(seq);
                Ok(vec![hub.frame(&ServerMessage::Snapshot(Box::new(snapshot)), Some(seq))])
            }
        }
    }

    /// Names the connection, so that others may write to it while its own task waits in [`next`](Self::next). Before
    /// that task writes anything, it has to write the rest of what they began.
    pub fn attach(&self, direct: Arc<dyn Direct>) {
        self.queue.attach(direct);
    }

    /// Waits for frames and takes all that are there, to be written together; none where the connection has the rest
    /// of a frame that others began.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the system ended the subscription.
    pub async fn next(&mut self, into: &mut Vec<Frame>) -> Result<(), Closed> {
        self.queue.next(into).await
    }

    /// What waits for it.
    #[must_use]
    pub fn queue(&self) -> &Arc<SendQueue> {
        &self.queue
    }
}
