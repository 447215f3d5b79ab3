//! Numbers for Prometheus.
//!
//! Crates hold handles that they made once; an update is a few atomic operations. What is known anyway (how many actors run) is not
//! counted again: it is looked at when somebody asks.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of durations, in seconds.
const SECONDS: [f64; 17] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    5.0, 30.0,
];
/// Upper bounds of how many things went together.
const COUNTS: [f64; 12] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];
/// Upper bounds of sizes, in bytes.
const BYTES: [f64; 9] = [256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 8_388_608.0, 33_554_432.0];
/// Time between two sweeps that put what was recorded into its buckets; what waits for it is memory.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);

/// The metrics can't be started.
#[derive(Debug, thiserror::Error)]
#[error("metrics can't be started: {0}")]
pub struct MetricsError(#[from] BuildError);

type Look = Box<dyn Fn() + Send + Sync>;

/// The numbers of this process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    looks: Arc<Mutex<Vec<Look>>>,
}

impl Metrics {
    /// Makes this process's numbers: from now on handles count. To be called before any handle is made, and once.
    pub fn install() -> Result<Self, MetricsError> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)?
            .set_buckets(&COUNTS)?
            .install_recorder()?;
        Ok(Self { handle, looks: Arc::default() })
    }

    /// A function that looks at something and sets gauges. It is called whenever somebody reads the numbers, and must be quick.
    pub fn look(&self, look: impl Fn() + Send + Sync + 'static) {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(look));
    }

    /// All numbers, in the text format of Prometheus.
    pub fn render(&self) -> String {
        for look in self.looks.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            look();
        }
        self.handle.render()
    }

    /// Sweeps until the future is dropped.
    pub async fn run(&self) {
        let mut interval = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            interval.tick().await;
            self.handle.run_upkeep();
        }
    }
}
