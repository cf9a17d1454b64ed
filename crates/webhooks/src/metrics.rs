//! What is measured of webhooks. Never by endpoint or merchant: the number of series stays small.

use metrics::{counter, describe_counter, describe_histogram, histogram};
use posthaste_domain::Timestamp;

use crate::schedule::{Next, Outcome};
use crate::sending::post::Answer;

/// Says what the figures are, once a recorder is there.
pub fn describe() {
    describe_counter!("posthaste_webhook_attempts_total", "Attempts to deliver a webhook, by what they came to.");
    describe_counter!("posthaste_webhooks_set_aside_total", "Webhooks whose last attempt failed.");
    describe_histogram!("posthaste_webhook_attempt_seconds", "Real seconds that a receiver took.");
    describe_histogram!("posthaste_webhook_lag_seconds", "Product seconds from an event to its first attempt.");
}

/// An attempt ended. `first` is the event's time and the attempt's, where it was the first.
pub(crate) fn attempted(outcome: Outcome, next: Next, answer: &Answer, first: Option<(Timestamp, Timestamp)>) {
    let outcome = match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Failed { .. } => "failed",
        Outcome::Gone => "gone",
        Outcome::NotMade => "not_made",
    };
    counter!("posthaste_webhook_attempts_total", "outcome" => outcome).increment(1);
    histogram!("posthaste_webhook_attempt_seconds").record(answer.took.as_secs_f64());
    if next == Next::Dead {
        counter!("posthaste_webhooks_set_aside_total").increment(1);
    }
    if let Some((happened, began)) = first {
        histogram!("posthaste_webhook_lag_seconds").record((began - happened).as_seconds_f64().max(0.0));
    }
}
