//! The sections of the configuration.

use crate::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Who issues the tokens of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentitySection {
    /// `clerk`, or `development`: the host issues tokens itself, for whoever asks on this machine.
    pub provider: IdentityProvider,
    /// The `iss` of every token, for Clerk the address of the Frontend API.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Address of the issuer's public keys, for Clerk `https://<Frontend API>/.well-known/jwks.json`.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// The issuer's public key in PEM, in the place of `jwksUrl`; no network is needed then.
    #[serde(default)]
    pub pem: Option<String>,
    /// The same in a file, relative to the deployment file.
    #[serde(default)]
    pub pem_file: Option<PathBuf>,
    /// The origins (`azp`) whose tokens are taken, for example `https://app.example.com`.
    #[serde(default)]
    pub authorized_parties: Vec<String>,
    /// How long a socket stays open after its token has expired and before a newer one has come. Seconds.
    #[serde(default = "refresh_within_seconds")]
    pub refresh_within_seconds: u64,
}

impl IdentitySection {
    /// A section with nothing but a provider.
    pub fn of(provider: IdentityProvider) -> Self {
        Self {
            provider,
            issuer: None,
            jwks_url: None,
            pem: None,
            pem_file: None,
            authorized_parties: Vec::new(),
            refresh_within_seconds: refresh_within_seconds(),
        }
    }
}

fn refresh_within_seconds() -> u64 {
    60
}

/// An issuer of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IdentityProvider {
    /// Clerk session tokens.
    Clerk,
    /// The host's own issuer, for development on this machine.
    Development,
}

/// How Postgres is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DatabaseSection {
    /// Address, as in `postgres://user:password@host/name?sslmode=verify-full&sslrootcert=file`. The variable `DATABASE_URL` wins.
    /// Without an address the host runs a private Postgres in its data folder.
    pub url: Option<Secret>,
    /// Connections at the most.
    pub connections_max: u32,
    /// How long making a connection, or waiting for a free one, may take. Milliseconds.
    pub connect_timeout_ms: u64,
    /// How long one statement may take. Milliseconds.
    pub statement_timeout_ms: u64,
    /// Folder with the programs `initdb` and `postgres` for the private server, relative to the deployment file. Without it they are
    /// looked for in the usual places.
    pub binaries: Option<PathBuf>,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self { url: None, connections_max: 16, connect_timeout_ms: 5_000, statement_timeout_ms: 10_000, binaries: None }
    }
}

/// How what actors made durable is carried into the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MirrorSection {
    /// What may wait for the database while it is away; beyond it actors are held up. Bytes.
    pub spool_bytes_max: u64,
    /// Rows that are sent at a time.
    pub batch_rows_max: usize,
    /// How long rows are collected before they are sent. Milliseconds.
    pub batch_delay_ms: u64,
    /// How long events are kept in the database. Days.
    pub retention_days: u32,
}

impl Default for MirrorSection {
    fn default() -> Self {
        Self { spool_bytes_max: 1 << 30, batch_rows_max: 500, batch_delay_ms: 20, retention_days: 90 }
    }
}

/// The REST interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ApiSection {
    /// Requests that one user may make over time. Per second.
    pub requests_per_second: u32,
    /// Requests that one user may make at once, after a pause.
    pub requests_burst: u32,
    /// Event streams that one user may have open.
    pub streams_max: u32,
}

impl Default for ApiSection {
    fn default() -> Self {
        Self { requests_per_second: 20, requests_burst: 60, streams_max: 8 }
    }
}

/// Metrics for Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetricsSection {
    /// Address on which `/metrics`, `/health` and `/ready` are served, for example `127.0.0.1:9464`; it is not meant for users. Port 0
    /// takes a free one. Without it nothing is measured.
    pub listen: Option<SocketAddr>,
}

/// What is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LogsSection {
    /// `text` for people, `json` for machines. Without it text in development, JSON in production.
    pub format: Option<LogFormat>,
    /// What is logged, for example `info` or `growqr_runtime=debug`. The command line's `--log` wins; `GROWQR_LOG` is a shorter name of the variable.
    pub filter: String,
}

impl Default for LogsSection {
    fn default() -> Self {
        Self { format: None, filter: "info,fjall=warn,lsm_tree=warn".to_owned() }
    }
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Traces that follow one client action through the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TracesSection {
    /// Address of an OTLP/HTTP collector, for example `http://127.0.0.1:4318/v1/traces`. Without it there are no traces, and they cost
    /// nothing.
    pub otlp_endpoint: Option<String>,
    /// Headers for the collector.
    pub otlp_headers: BTreeMap<String, Secret>,
    /// Share of client actions that are traced, from 0 to 1.
    pub sample_ratio: f64,
    /// A client that sends `traceparent` decides by its sampled flag whether its action is traced; otherwise only the ratio does.
    pub client_sampling: bool,
    /// The name under which the host's spans appear.
    pub service_name: String,
}

impl Default for TracesSection {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_headers: BTreeMap::new(),
            sample_ratio: 0.01,
            client_sampling: false,
            service_name: "growqr".to_owned(),
        }
    }
}
