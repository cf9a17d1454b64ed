//! What is measured of calls: by service and class, whose names stand in the program's text.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_histogram, histogram};

use crate::operation::Operation;

/// Says what the figures are, once a recorder is there.
pub fn describe() {
    describe_counter!(
        "posthaste_outside_calls_total",
        "Calls to outside services, by service, class and outcome; not_made where the breaker or the time forbade it."
    );
    describe_histogram!("posthaste_outside_call_seconds", "Real seconds that a call to an outside service took.");
}

pub(crate) fn called(operation: Operation, outcome: &'static str, took: Option<Duration>) {
    let (service, class) = (operation.service, operation.class);
    counter!("posthaste_outside_calls_total", "service" => service, "class" => class, "outcome" => outcome)
        .increment(1);
    if let Some(took) = took {
        histogram!("posthaste_outside_call_seconds", "service" => service, "class" => class).record(took.as_secs_f64());
    }
}
