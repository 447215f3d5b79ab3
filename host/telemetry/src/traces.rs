//! Traces that follow one client action through the host, sent to an OTLP collector over HTTP.
//!
//! A trace begins where a client's action comes in. Whether it is made at all is decided there, once ([`Traces::tracer`]); everything
//! further inside makes a span only when it was given one to be under. So nothing asks the collector's side anything on the way of an
//! action that is not traced.

use bytes::Bytes;
use growqr_seam::TracedRows;
use http::{Request, Response};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// The target of every span that belongs to a trace.
pub(crate) const TARGET: &str = growqr_seam::TRACE_TARGET;
/// How long the collector may take to answer.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last spans may take to leave when the host stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a `traceparent` header; the format has 55, later versions may append.
const PARENT_BYTES_MAX: usize = 256;

/// Where traces go, and which are made.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// Address of the collector, with its path (`/v1/traces`).
    pub endpoint: String,
    /// Headers for the collector; secret.
    pub headers: HashMap<String, String>,
    /// Share of actions that are traced.
    pub sample_ratio: f64,
    /// A client's `traceparent` decides by its sampled flag.
    pub client_sampling: bool,
    /// The name of this service.
    pub service_name: String,
    /// The version of the host.
    pub service_version: String,
}

/// Traces can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// No client for HTTP.
    #[error("no client for the collector: {0}")]
    Client(#[from] reqwest::Error),
    /// The exporter refuses its options.
    #[error("the collector's address or headers can't be used: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// The way to the collector. Cheap to clone.
#[derive(Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
    sample_ratio: f64,
    client_sampling: bool,
}

impl Traces {
    /// Starts a thread that sends what was collected. Must be called within a runtime: requests are made on it.
    pub fn start(options: TraceOptions) -> Result<Self, TracesError> {
        let client = reqwest::Client::builder().timeout(EXPORT_TIMEOUT).build()?;
        let sender = Sender { client, runtime: tokio::runtime::Handle::current() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sender)
            .with_endpoint(&options.endpoint)
            .with_headers(options.headers)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let resource = Resource::builder()
            .with_service_name(options.service_name)
            .with_attribute(opentelemetry::KeyValue::new("service.version", options.service_version))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            // Whether an action is traced was decided before its first span is made.
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .build();
        Ok(Self { provider, sample_ratio: options.sample_ratio, client_sampling: options.client_sampling })
    }

    /// Hands spans of traces, and nothing else, to the collector's side.
    pub(crate) fn layer<S>(&self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("growqr"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_filter(filter_fn(|metadata| metadata.target() == TARGET))
            .boxed()
    }

    /// What decides whether an action is traced, and begins its trace.
    pub fn tracer(&self) -> growqr_seam::Tracer {
        let traces = self.clone();
        Arc::new(move |parent, what| traces.begin(parent, what))
    }

    fn begin(&self, parent: Option<&str>, what: &'static str) -> Option<Span> {
        let parent = parent.filter(|text| text.len() <= PARENT_BYTES_MAX).map(context_of);
        let remote =
            parent.as_ref().map(|context| context.span().span_context().clone()).filter(|span| span.is_valid());
        let sampled = match &remote {
            Some(remote) if self.client_sampling => remote.is_sampled(),
            _ => rand::random::<f64>() < self.sample_ratio,
        };
        if !sampled {
            return None;
        }
        let span =
            tracing::info_span!(target: growqr_seam::TRACE_TARGET, parent: None, "action", otel.kind = "server", what);
        if let Some(parent) = parent.filter(|_| remote.is_some())
            && let Err(error) = span.set_parent(parent)
        {
            tracing::debug!(%error, "a trace can't be put under its client's");
        }
        Some(span)
    }

    /// Follows the rows of traced actions. Their way may take much longer than the action, so that its span is put under the action's by
    /// name only, and does not keep it open.
    pub fn rows(&self) -> Arc<TracedRows> {
        Arc::new(TracedRows::new(|action| {
            let span = tracing::info_span!(target: growqr_seam::TRACE_TARGET, parent: None, "mirror");
            if let Err(error) = span.set_parent(action.context()) {
                tracing::debug!(%error, "the way of rows can't be put under its action");
            }
            span
        }))
    }

    /// Sends what is left. Blocks for a few seconds at the most.
    pub fn stop(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT) {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// The trace that a client's `traceparent` names.
fn context_of(text: &str) -> opentelemetry::Context {
    let carrier = HashMap::from([("traceparent".to_owned(), text.to_owned())]);
    TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &carrier)
}

/// Makes the requests to the collector on the host's runtime, because the thread that collects has none.
#[derive(Debug, Clone)]
struct Sender {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Sender {
    fn send_bytes<'this, 'sent>(&'this self, request: Request<Bytes>) -> Sent<'sent>
    where
        'this: 'sent,
        Self: 'sent,
    {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let response = client.execute(request.try_into()?).await?;
            let mut answer = Response::builder().status(response.status());
            if let Some(headers) = answer.headers_mut() {
                headers.clone_from(response.headers());
            }
            Ok::<_, HttpError>(answer.body(response.bytes().await?)?)
        });
        Box::pin(async move { sending.await? })
    }
}
