//! What an operator sees of the host: logs, metrics, traces, health. Wires `growqr-telemetry` to the parts that it looks at.

use crate::database;
use anyhow::{Context, Result};
use growqr_component::Tier;
use growqr_config::{Configuration, LogFormat};
use growqr_engine::Engine;
use growqr_gateway::{Gateway, GatewayOptions};
use growqr_runtime::Runtime;
use growqr_seam::RuntimeHost;
use growqr_telemetry::{Health, LogForm, LogOptions, Metrics, PartState, TraceOptions, Traces};
use metrics::{Gauge, describe_gauge, gauge};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// The version of the host.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What runs beside the parts and looks at them.
pub struct Operation {
    /// Whether the host is ready. Parts add themselves.
    pub health: Health,
    metrics: Option<Metrics>,
    traces: Option<Traces>,
}

impl Operation {
    /// Starts logs, metrics and traces. Before everything else, so that nothing is missed; within a runtime.
    pub fn start(configuration: &Configuration) -> Result<Self> {
        let traces = start_traces(configuration)?;
        let form = match configuration.log_format() {
            LogFormat::Text => LogForm::Text,
            LogFormat::Json => LogForm::Json,
        };
        let options = LogOptions { form, filter: configuration.logs.filter.clone() };
        growqr_telemetry::start_logs(&options, traces.as_ref()).context("the log's filter can't be used")?;
        let metrics = match configuration.metrics.listen {
            Some(_) => Some(Metrics::install()?),
            None => None,
        };
        Ok(Self { health: Health::default(), metrics, traces })
    }

    /// Serves the operator's address if there is one, from now on, so that a start that takes long can be watched.
    pub async fn listen(&self, configuration: &Configuration) -> Result<Option<SocketAddr>> {
        let (Some(metrics), Some(address)) = (self.metrics.clone(), configuration.metrics.listen) else {
            return Ok(None);
        };
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("can't listen on {address} for metrics\nhint: port 0 in metrics.listen takes a free one")
        })?;
        let address = listener.local_addr().context("the listener of metrics has no address")?;
        gauge!("growqr_build_info", "version" => VERSION).set(1.0);
        describe_gauge!("growqr_build_info", "The version of the host; always 1.");
        let sweeper = metrics.clone();
        tokio::spawn(async move { sweeper.run().await });
        tokio::spawn(growqr_telemetry::serve(listener, metrics, self.health.clone(), VERSION.to_owned()));
        Ok(Some(address))
    }

    /// Has storage and components among the parts without which the host is not ready.
    pub fn watch_health(&self, configuration: &Configuration, engine: &Engine, runtime: &Runtime) {
        let engine = engine.clone();
        self.health.need("storage", move || match engine.storage_problem() {
            None => PartState::Ready,
            Some(problem) => PartState::Failed(problem.to_string()),
        });
        let (runtime, names) = (runtime.clone(), configuration.actors.keys().cloned().collect::<Vec<_>>());
        self.health.need("components", move || {
            let failed =
                |name: &String| runtime.serves(name).err().map(|failure| format!("{name}: {}", failure.message));
            match names.iter().filter_map(failed).collect::<Vec<_>>() {
                failed if failed.is_empty() => PartState::Ready,
                failed => PartState::Failed(failed.join("; ")),
            }
        });
    }

    /// Lists the database among the parts. Actors go on without it, so it decides nothing.
    pub fn watch_database(&self, kept: Option<&database::Opened>) {
        let look = kept.map(database::Opened::watch);
        self.health.list("database", move || match &look {
            None => PartState::Off,
            Some(look) => look(),
        });
    }

    /// Looks at the parts whenever somebody reads the metrics.
    pub fn watch_numbers(&self, parts: Parts) {
        let Some(metrics) = &self.metrics else { return };
        let gauges = Gauges::new();
        metrics.look(move || gauges.set(&parts));
    }

    /// Lets the runtime, the gateway and the mirror trace client actions, if there is a collector.
    pub fn trace(&self, runtime: &Runtime, options: &mut GatewayOptions, kept: Option<&database::Opened>) {
        if let Some(traces) = &self.traces {
            let rows = traces.rows();
            runtime.trace(traces.tracer(), rows.clone());
            options.tracer = Some(traces.tracer());
            if let Some(kept) = kept {
                kept.trace(rows);
            }
        }
    }

    /// Sends what is left of the traces. Blocks for a moment, so not on a thread that serves.
    pub async fn stop(self) {
        if let Some(traces) = self.traces
            && let Err(error) = tokio::task::spawn_blocking(move || traces.stop()).await
        {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

fn start_traces(configuration: &Configuration) -> Result<Option<Traces>> {
    let section = &configuration.traces;
    let Some(endpoint) = section.otlp_endpoint.clone() else { return Ok(None) };
    let headers = section.otlp_headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
    let options = TraceOptions {
        endpoint,
        headers,
        sample_ratio: section.sample_ratio,
        client_sampling: section.client_sampling,
        service_name: section.service_name.clone(),
        service_version: VERSION.to_owned(),
    };
    Traces::start(options).map(Some).context("traces can't be sent")
}

/// The parts that are looked at.
pub struct Parts {
    /// The embedded engine.
    pub engine: Engine,
    /// The runtime.
    pub runtime: Runtime,
    /// Where instances come from.
    pub components: growqr_component::Engine,
    /// The network edge.
    pub gateway: Gateway<Engine>,
    /// Whether the host is ready.
    pub health: Health,
}

/// The gauges that are set from what the parts say.
struct Gauges {
    ready: Gauge,
    awake: Gauge,
    mailbox_messages: Gauge,
    mailbox_bytes: Gauge,
    mailbox_messages_max: Gauge,
    commits_waiting: Gauge,
    connections: Gauge,
    sockets: Gauge,
    incoming_bytes: Gauge,
    /// Live instances and how many there can be, for each tier.
    instances: [(Tier, Gauge, Gauge); 2],
}

impl Gauges {
    fn new() -> Self {
        describe_gauge!("growqr_ready", "1 when the host is ready for clients.");
        describe_gauge!("growqr_actors_awake", "Actors that run: the hot set.");
        describe_gauge!("growqr_mailbox_messages", "Messages that wait, all actors that run.");
        describe_gauge!("growqr_mailbox_bytes", "Bytes of these.");
        describe_gauge!("growqr_mailbox_messages_max", "Messages that wait in the fullest mailbox.");
        describe_gauge!("growqr_commits_waiting", "Turns that wait for their commit.");
        describe_gauge!("growqr_connections", "TCP connections of clients, sockets included.");
        describe_gauge!("growqr_sockets", "WebSockets of clients.");
        describe_gauge!("growqr_incoming_bytes", "Bytes of request bodies and socket messages in memory.");
        describe_gauge!("growqr_instances", "Live instances of components.");
        describe_gauge!("growqr_instances_limit", "Live instances at the most.");
        let tier = |tier, word: &'static str| {
            (tier, gauge!("growqr_instances", "tier" => word), gauge!("growqr_instances_limit", "tier" => word))
        };
        Self {
            ready: gauge!("growqr_ready"),
            awake: gauge!("growqr_actors_awake"),
            mailbox_messages: gauge!("growqr_mailbox_messages"),
            mailbox_bytes: gauge!("growqr_mailbox_bytes"),
            mailbox_messages_max: gauge!("growqr_mailbox_messages_max"),
            commits_waiting: gauge!("growqr_commits_waiting"),
            connections: gauge!("growqr_connections"),
            sockets: gauge!("growqr_sockets"),
            incoming_bytes: gauge!("growqr_incoming_bytes"),
            instances: [tier(Tier::Standard, "standard"), tier(Tier::Runtime, "runtime")],
        }
    }

    fn set(&self, parts: &Parts) {
        let runtime = parts.runtime.stats();
        let gateway = parts.gateway.stats();
        self.ready.set(if parts.health.ready(false).0 { 1.0 } else { 0.0 });
        self.awake.set(runtime.awake as f64);
        self.mailbox_messages.set(runtime.mailbox_messages as f64);
        self.mailbox_bytes.set(runtime.mailbox_bytes as f64);
        self.mailbox_messages_max.set(runtime.mailbox_messages_max as f64);
        self.commits_waiting.set(parts.engine.stats().commits_waiting as f64);
        self.connections.set(gateway.connections as f64);
        self.sockets.set(gateway.sockets as f64);
        self.incoming_bytes.set(gateway.incoming_bytes as f64);
        for (tier, live, limit) in &self.instances {
            let slots = parts.components.tier_slots(*tier);
            live.set(slots.saturating_sub(parts.components.free_slots(*tier)) as f64);
            limit.set(slots as f64);
        }
    }
}
