//! The one struct.

use crate::sections::{
    ApiSection, DatabaseSection, IdentityProvider, IdentitySection, LogFormat, LogsSection, MetricsSection,
    MirrorSection, TracesSection,
};
use crate::{Secret, Switch};
use growqr_runtime::options::ActorLimits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The port that is listened on unless something else is said.
const DEFAULT_PORT: u16 = 6420;

/// A deployment: the actors that are served, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Configuration {
    /// `development`, or `production`, which refuses everything that is only good for development.
    pub mode: Mode,
    /// Address to listen on; port 0 takes a free one. The command line's `--listen` wins.
    pub listen: SocketAddr,
    /// Folder for everything that the host keeps on disk. The command line's `--data-dir` wins.
    pub data_dir: PathBuf,
    /// The actors by name.
    pub actors: BTreeMap<String, Actor>,
    /// Namespaces that exist. Short addresses mean the first one.
    pub namespaces: Vec<String>,
    /// A namespace is created when somebody asks for it. For development.
    pub namespaces_on_request: bool,
    /// Short addresses: `{"/p": "bench"}` gives plain HTTP and WebSocket clients the actor `bench` with the key `x` at `/p/x`.
    pub routes: BTreeMap<String, String>,
    /// Whoever has this token may read the state of every actor at its `/inspector/state`. Without it there is no inspector.
    pub inspector_token: Option<Secret>,
    /// Stand-ins for memory and sandbox, for writing and testing actors. Nothing that they hold is durable.
    pub doubles: bool,
    /// Live instances at the most; by default as many as the machine's memory mappings allow.
    pub instances: Option<usize>,
    /// Who may ask: `"off"` lets everybody reach everything, a section names who issues tokens. Without it the host issues tokens
    /// itself (`development`), which production refuses.
    pub identity: Option<Switch<IdentitySection>>,
    /// Where users, threads, messages and events are kept for queries: `"off"`, or a section. Without it the host runs a private
    /// Postgres in its data folder.
    pub database: Option<Switch<DatabaseSection>>,
    /// How what actors made durable is carried into the database.
    pub mirror: MirrorSection,
    /// The REST interface for threads, messages and events.
    pub api: ApiSection,
    /// Metrics for Prometheus.
    pub metrics: MetricsSection,
    /// What is written to standard error.
    pub logs: LogsSection,
    /// Traces that follow one client action through the host.
    pub traces: TracesSection,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            mode: Mode::Development,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            data_dir: PathBuf::from("data"),
            actors: BTreeMap::new(),
            namespaces: vec!["default".to_owned()],
            namespaces_on_request: false,
            routes: BTreeMap::new(),
            inspector_token: None,
            doubles: false,
            instances: None,
            identity: None,
            database: None,
            mirror: MirrorSection::default(),
            api: ApiSection::default(),
            metrics: MetricsSection::default(),
            logs: LogsSection::default(),
            traces: TracesSection::default(),
        }
    }
}

impl Configuration {
    /// Who issues tokens; `None` when identity is switched off.
    pub fn identity(&self) -> Option<IdentitySection> {
        match &self.identity {
            None => Some(IdentitySection::of(IdentityProvider::Development)),
            Some(identity) => identity.on().cloned(),
        }
    }

    /// How the database is reached; `None` when it is switched off.
    pub fn database(&self) -> Option<DatabaseSection> {
        match &self.database {
            None => Some(DatabaseSection::default()),
            Some(database) => database.on().cloned(),
        }
    }

    /// The form of the log: the one that is asked for, or the one that fits the mode.
    pub fn log_format(&self) -> LogFormat {
        self.logs.format.unwrap_or(match self.mode {
            Mode::Development => LogFormat::Text,
            Mode::Production => LogFormat::Json,
        })
    }
}

/// What the host is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// On a developer's machine.
    Development,
    /// For users.
    Production,
}

/// One actor of a deployment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Actor {
    /// The component file, relative to the deployment file.
    pub component: PathBuf,
    /// Options (see limits.md); they override those that the component describes.
    #[serde(default)]
    pub options: serde_json::Value,
    /// Limits (see limits.md).
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    pub limits: ActorLimits,
    /// What the component can read with `config.get`.
    #[serde(default)]
    pub config: BTreeMap<String, serde_json::Value>,
}
