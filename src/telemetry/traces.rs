//! Traces: spans of calls, sent to a collector by OTLP, where the settings name one. Where they do not, a span costs the look
//! at a number that says so.
//!
//! Spans are `tracing`'s, of the level trace, and have `room.verb` for a name. They are sent by a thread of the library's own, in
//! batches; what finds no room in its queue, or no collector, is lost, and no call waits for it.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::config::TraceSettings;
use crate::telemetry::metrics::Operation;

/// Under which name a caller says which trace a call is of: W3C Trace Context.
pub const TRACE_PARENT: &str = "traceparent";

/// What sends spans.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Sends what is left, and no more.
    pub fn end(self) {
        let ended = self.0.map(|provider| provider.shutdown());
        if let Some(Err(error)) = ended {
            tracing::warn!(%error, "spans were not sent");
        }
    }
}

/// What takes spans, and what sends them. Call it within the runtime that is to carry them.
pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(
    settings: &TraceSettings,
) -> Result<(impl Layer<S>, Traces), ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(settings.otlp_endpoint.as_str())
        .build()?;
    let share = Sampler::TraceIdRatioBased(settings.sample_ratio);
    let resource = Resource::builder_empty()
        .with_service_name("wavekvd")
        .build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(share)))
        .with_batch_exporter(exporter)
        .build();
    let ours = |of: &Metadata<'_>| of.is_span() && of.target().starts_with("wavekv");
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("wavekvd"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(ours));
    Ok((layer, Traces(Some(provider))))
}

/// Puts a span, which nothing has entered, into the trace that a caller names; one that cannot be read is no trace's.
pub fn continue_trace(span: &Span, trace_parent: &str) {
    let named = HashMap::from([(TRACE_PARENT.to_owned(), trace_parent.to_owned())]);
    let context = TraceContextPropagator::new().extract(&named);
    // A span that nobody takes has no place for it.
    let _ = span.set_parent(context);
}

/// A span for a call, `service.` and its operation.
pub fn call(operation: Operation) -> Span {
    let span = tracing::trace_span!("service.call", otel.name = tracing::field::Empty);
    if !span.is_disabled() {
        let name = format!("service.{}", operation.name());
        span.record("otel.name", name);
    }
    span
}
