//! The log on standard error: lines for people, or JSON for machines.

use crate::traces::{TARGET, Traces};
use std::io::IsTerminal;
use tracing_subscriber::filter::{FilterExt, ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// Lines for people; coloured in a terminal unless `NO_COLOR` is set.
    Text,
    /// One JSON object per line, with the fields of its spans.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The form.
    pub form: LogForm,
    /// As in `info,growqr_runtime=debug`.
    pub filter: String,
}

/// Starts the log, and the way of spans to the collector if there is one. Once per process; a second call changes nothing.
pub fn start_logs(options: &LogOptions, traces: Option<&Traces>) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(&options.filter)?;
    // The spans of traces are for the collector alone.
    let own = filter_fn(|metadata| metadata.target() != TARGET);
    let log = match options.form {
        LogForm::Text => text().with_filter(filter.and(own)).boxed(),
        LogForm::Json => json().with_filter(filter.and(own)).boxed(),
    };
    let started = Registry::default().with(log).with(traces.map(Traces::layer)).try_init();
    if started.is_err() {
        tracing::debug!("the log has been started already");
    }
    Ok(())
}

fn text<S>() -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colours).boxed()
}

fn json<S>() -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .boxed()
}
