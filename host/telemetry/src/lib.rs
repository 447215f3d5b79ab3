//! Logs, metrics and traces of the host, and the listener on which an operator's machines read them.
//!
//! Other crates speak to the facades (`tracing`, `metrics`) and know nothing of what stands behind them; here is what does:
//! [`start_logs`] writes to standard error, [`Metrics`] keeps numbers for Prometheus, [`Traces`] sends spans to an OTLP collector,
//! [`Health`] knows which parts of the host are ready, and [`serve`] answers `/metrics`, `/health` and `/ready`.
//!
//! Invariant: what is not asked for costs nothing. Without a metrics listener every handle is empty, without a collector no span of
//! a trace is made, and a log line that no filter wants is not put together.
//! Deliberately absent: what is measured (the crates where it happens), and any secret in what is written.

mod health;
mod listener;
mod logs;
mod metrics;
mod process;
mod traces;

pub use health::{Health, PartState};
pub use listener::serve;
pub use logs::{LogForm, LogOptions, start_logs};
pub use metrics::{Metrics, MetricsError};
pub use traces::{TraceOptions, Traces, TracesError};
