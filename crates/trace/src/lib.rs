//! Spans that are steps of a caller's trace.
//!
//! A span begun here stands in the trace that it is told of, or begins one, and its step has the ids by which it is sent
//! to a collector: what the program logs, answers and exports names the same trace and the same step. Where spans go
//! nowhere, steps are numbered all the same, and say that nobody records them.

use std::num::{NonZeroU64, NonZeroU128};
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};
use posthaste_protocol::trace::{TraceId, TraceParent};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Whether spans are sent anywhere.
static EXPORTED: AtomicBool = AtomicBool::new(false);

/// From now on spans are sent somewhere: to be said by whoever installs the layer that does.
pub fn export() {
    EXPORTED.store(true, Ordering::Relaxed);
}

/// Begins a span as a step after `before`, or as the first one of a new trace. `make` makes it with the trace's id, where
/// that is known by then; otherwise its field `trace_id` is filled in.
pub fn begin(before: Option<TraceParent>, make: impl FnOnce(Option<TraceId>) -> Span) -> (Span, TraceParent) {
    if !EXPORTED.load(Ordering::Relaxed) {
        let step = unrecorded(before);
        return (make(Some(step.trace)), step);
    }
    let span = make(before.map(|before| before.trace));
    // The span that it stands in may be one of many traces, or none. A span that is filtered out has no parent either.
    let _ = span.set_parent(match before {
        Some(before) => Context::new().with_remote_span_context(remote(before)),
        None => Context::new(),
    });
    let step = step_of(&span).unwrap_or_else(|| unrecorded(before));
    if before.is_none() {
        span.record("trace_id", tracing::field::display(step.trace));
    }
    (span, step)
}

/// A span that only lines stand in: it belongs to many traces, and is sent nowhere.
pub fn apart(make: impl FnOnce() -> Span) -> Span {
    let span = make();
    if EXPORTED.load(Ordering::Relaxed) {
        let _ = span.set_parent(Context::new().with_remote_span_context(remote(unrecorded(None))));
    }
    span
}

/// A step that nobody records.
fn unrecorded(before: Option<TraceParent>) -> TraceParent {
    let trace = before.map_or_else(|| TraceId(rand::random()), |before| before.trace);
    TraceParent { trace, step: rand::random(), sampled: false }
}

fn remote(before: TraceParent) -> SpanContext {
    let flags = if before.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, step) = (before.trace.0.get().into(), before.step.get().into());
    SpanContext::new(trace, step, flags, true, TraceState::default())
}

/// The step as which a span is sent; none where it is not known to what sends.
fn step_of(span: &Span) -> Option<TraceParent> {
    let context = span.context();
    let context = context.span().span_context().clone();
    let trace = NonZeroU128::new(u128::from_be_bytes(context.trace_id().to_bytes()))?;
    let step = NonZeroU64::new(u64::from_be_bytes(context.span_id().to_bytes()))?;
    Some(TraceParent { trace: TraceId(trace), step, sampled: context.is_sampled() })
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn make(trace: Option<TraceId>) -> Span {
        tracing::error_span!("request", trace_id = trace.map(tracing::field::display))
    }

    /// What is sent of a span begun after `before`, and of one inside it; with the step that the first one was.
    fn sent(before: Option<TraceParent>) -> (TraceParent, Vec<SpanData>) {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        export();
        let (span, step) = begin(before, make);
        let (within, _) = begin(Some(step), |trace| span.in_scope(|| make(trace)));
        drop((within, span));
        (step, exporter.get_finished_spans().unwrap())
    }

    fn ids(span: &SpanData) -> (String, String, String) {
        let context = &span.span_context;
        (context.trace_id().to_string(), span.parent_span_id.to_string(), context.span_id().to_string())
    }

    #[test]
    fn a_span_is_sent_as_the_step_after_the_callers_and_says_so() {
        let caller: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let (step, spans) = sent(Some(caller));
        let [within, span] = &spans[..] else { panic!("{spans:?}") };
        let (trace, parent, id) = ids(span);
        assert_eq!((&*trace, &*parent), ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"));
        assert!(span.parent_span_is_remote);
        assert_eq!(step.to_string(), format!("00-{trace}-{id}-01"));
        assert_eq!((ids(within).0, ids(within).1), (trace, id), "what happens inside is a step after it");
    }

    #[test]
    fn without_a_caller_a_trace_begins() {
        let (step, spans) = sent(None);
        let (trace, parent, id) = ids(&spans[1]);
        assert_eq!(parent, "0".repeat(16));
        assert_eq!(step.to_string(), format!("00-{trace}-{id}-01"));
        let told = spans[1].attributes.iter().find(|told| told.key.as_str() == "trace_id");
        assert_eq!(told.map(|told| told.value.to_string()), Some(trace));
    }

    #[test]
    fn what_the_caller_does_not_record_is_not_recorded_here() {
        let caller: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().unwrap();
        let (step, spans) = sent(Some(caller));
        assert!(spans.is_empty(), "{spans:?}");
        assert_eq!((step.trace, step.sampled), (caller.trace, false));
    }

    #[test]
    fn what_belongs_to_many_traces_is_not_sent() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        export();
        drop(apart(|| make(None)));
        drop(begin(None, make));
        assert_eq!(exporter.get_finished_spans().unwrap().len(), 1);
    }

    #[test]
    fn a_trace_that_begins_in_a_span_of_many_traces_is_one_of_its_own() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        export();
        let many = apart(|| make(None));
        let first = many.in_scope(|| begin(None, make).1);
        let second = many.in_scope(|| begin(None, make).1);
        assert_ne!(first.trace, second.trace);
        let sent: Vec<_> = exporter.get_finished_spans().unwrap().iter().map(ids).collect();
        assert_eq!(
            sent.iter().map(|(trace, ..)| trace.clone()).collect::<Vec<_>>(),
            [first, second].map(|step| step.trace.to_string())
        );
    }

    #[test]
    fn where_spans_go_nowhere_a_step_says_that_nobody_records_it() {
        let caller: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry());
        let (_, step) = begin(Some(caller), make);
        assert_eq!((step.trace, step.sampled), (caller.trace, false));
        assert_ne!(step.step, caller.step);
        assert_ne!(begin(None, make).1.trace, begin(None, make).1.trace);
    }
}
