//! What a configuration must fulfil as a whole. All that is wrong is found at once.

use crate::configuration::{Configuration, Mode};
use crate::problem::Problem;
use crate::sections::{IdentityProvider, IdentitySection};
use growqr_runtime::options::merge;
use tracing_subscriber::EnvFilter;

/// Characters of a secret at the least, in production.
const SECRET_LENGTH_MIN: usize = 16;
/// Paths at the root that the host needs itself.
const RESERVED: [&str; 6] = ["/gateway", "/actors", "/metadata", "/health", "/ready", "/metrics"];

/// All that is wrong with a configuration, in the order of its fields.
pub fn check(configuration: &Configuration) -> Vec<Problem> {
    let mut problems = Vec::new();
    actors(configuration, &mut problems);
    routes(configuration, &mut problems);
    identity(configuration, &mut problems);
    bounds(configuration, &mut problems);
    operation(configuration, &mut problems);
    production(configuration, &mut problems);
    problems
}

fn actors(configuration: &Configuration, problems: &mut Vec<Problem>) {
    if configuration.actors.is_empty() {
        problems.push(
            Problem::new("actors", "there are none").hint(r#"{"actors": {"counter": {"component": "counter.wasm"}}}"#),
        );
    }
    for (name, actor) in &configuration.actors {
        if !(actor.options.is_null() || actor.options.is_object()) {
            problems.push(Problem::new(format!("actors.{name}.options"), "this is an object with fields"));
        } else if let Err(error) = merge("", &actor.options) {
            problems.push(Problem::new(format!("actors.{name}.options"), error.to_string()));
        }
    }
    if configuration.namespaces.is_empty() && !configuration.namespaces_on_request {
        problems.push(Problem::new("namespaces", "there are none, so nobody can reach an actor"));
    }
    if configuration.instances == Some(0) {
        problems.push(Problem::new("instances", "with none, no actor can run"));
    }
}

fn routes(configuration: &Configuration, problems: &mut Vec<Problem>) {
    for (prefix, actor) in &configuration.routes {
        let path = format!("routes.{prefix}");
        let sound =
            prefix.starts_with('/') && prefix.len() > 1 && !prefix.ends_with('/') && !prefix.starts_with("/api");
        if !sound || RESERVED.contains(&prefix.as_str()) {
            problems.push(
                Problem::new(&path, "this route can't be used")
                    .hint("a route is a path like \"/p\", and not one that the host needs itself"),
            );
        }
        if !configuration.actors.contains_key(actor) {
            problems.push(Problem::new(&path, format!("it leads to {actor:?}, which is no actor of this deployment")));
        }
    }
}

fn identity(configuration: &Configuration, problems: &mut Vec<Problem>) {
    let section = configuration.identity();
    let what = match &section {
        None => Some("\"off\""),
        Some(section) if section.provider == IdentityProvider::Development => Some("the development issuer"),
        Some(_) => None,
    };
    if let Some(what) = what {
        let clerk = "set {\"provider\": \"clerk\", \"issuer\": ..., \"jwksUrl\": ..., \"authorizedParties\": [...]}";
        if configuration.mode == Mode::Production {
            problems.push(Problem::new("identity", format!("{what} is refused in production")).hint(clerk));
        }
        if !configuration.listen.ip().is_loopback() {
            let message =
                format!("{what} is only for this machine, and {} is no loopback address", configuration.listen);
            problems.push(Problem::new("identity", message).hint(format!("listen on 127.0.0.1, or {clerk}")));
        }
    }
    match &section {
        Some(section) if section.provider == IdentityProvider::Clerk => clerk(section, problems),
        Some(section) => development(section, problems),
        None => {}
    }
    if let Some(section) = section {
        range(problems, "identity.refreshWithinSeconds", section.refresh_within_seconds, 1, 24 * 3600);
    }
}

fn clerk(section: &IdentitySection, problems: &mut Vec<Problem>) {
    if !section.issuer.as_deref().is_some_and(is_web_address) {
        problems.push(
            Problem::new("identity.issuer", "Clerk needs the address of the issuer")
                .hint("it is the Frontend API of the Clerk application, as in https://example.clerk.accounts.dev"),
        );
    }
    let keys = [section.jwks_url.is_some(), section.pem.is_some(), section.pem_file.is_some()];
    if keys.iter().filter(|is_set| **is_set).count() != 1 {
        problems
            .push(Problem::new("identity", "exactly one of jwksUrl, pem and pemFile says where the public keys are"));
    }
    if section.jwks_url.as_deref().is_some_and(|url| !is_web_address(url)) {
        problems.push(Problem::new("identity.jwksUrl", "this is no address of the web (https://...)"));
    }
    if section.authorized_parties.is_empty() {
        problems.push(
            Problem::new("identity.authorizedParties", "there are none, so no token would be taken")
                .hint("list the origins of your pages, as in [\"https://app.example.com\"]"),
        );
    }
}

fn development(section: &IdentitySection, problems: &mut Vec<Problem>) {
    let keys = [
        ("jwksUrl", section.jwks_url.is_some()),
        ("pem", section.pem.is_some()),
        ("pemFile", section.pem_file.is_some()),
    ];
    for (name, _) in keys.into_iter().filter(|(_, is_set)| *is_set) {
        problems.push(Problem::new(format!("identity.{name}"), "the development issuer makes its own keys"));
    }
}

/// Numbers that would make a part useless or endless.
fn bounds(configuration: &Configuration, problems: &mut Vec<Problem>) {
    if let Some(database) = configuration.database() {
        let url = database.url.as_ref().map(|url| url.expose());
        if url.is_some_and(|url| !url.starts_with("postgres://") && !url.starts_with("postgresql://")) {
            problems.push(Problem::new("database.url", "this is no address of a Postgres (postgres://...)"));
        }
        range(problems, "database.connectionsMax", database.connections_max.into(), 1, 1_000);
        range(problems, "database.connectTimeoutMs", database.connect_timeout_ms, 1, 600_000);
        range(problems, "database.statementTimeoutMs", database.statement_timeout_ms, 1, 3_600_000);
    }
    let mirror = &configuration.mirror;
    range(problems, "mirror.spoolBytesMax", mirror.spool_bytes_max, 1 << 20, u64::MAX);
    range(problems, "mirror.batchRowsMax", mirror.batch_rows_max as u64, 1, 10_000);
    range(problems, "mirror.batchDelayMs", mirror.batch_delay_ms, 0, 60_000);
    range(problems, "mirror.retentionDays", mirror.retention_days.into(), 1, 36_500);
    let api = &configuration.api;
    range(problems, "api.requestsPerSecond", api.requests_per_second.into(), 1, 1_000_000);
    range(problems, "api.requestsBurst", api.requests_burst.into(), 1, 1_000_000);
    range(problems, "api.streamsMax", api.streams_max.into(), 1, 10_000);
}

fn range(problems: &mut Vec<Problem>, path: &str, value: u64, min: u64, max: u64) {
    if !(min..=max).contains(&value) {
        let message = match max {
            u64::MAX => format!("{value} is less than {min}"),
            _ => format!("{value} is not from {min} to {max}"),
        };
        problems.push(Problem::new(path, message));
    }
}

fn operation(configuration: &Configuration, problems: &mut Vec<Problem>) {
    let same = |metrics: std::net::SocketAddr| metrics.port() != 0 && metrics == configuration.listen;
    if configuration.metrics.listen.is_some_and(same) {
        problems
            .push(Problem::new("metrics.listen", "clients are served on this address; metrics need one of their own"));
    }
    if let Err(error) = EnvFilter::try_new(&configuration.logs.filter) {
        problems.push(
            Problem::new("logs.filter", format!("this is no filter: {error}")).hint("as in info,growqr_runtime=debug"),
        );
    }
    let traces = &configuration.traces;
    if traces.otlp_endpoint.as_deref().is_some_and(|address| !is_web_address(address)) {
        problems.push(Problem::new("traces.otlpEndpoint", "this is no address of the web (http://... or https://...)"));
    }
    if !(0.0..=1.0).contains(&traces.sample_ratio) {
        problems.push(Problem::new("traces.sampleRatio", format!("{} is not from 0 to 1", traces.sample_ratio)));
    }
    if traces.service_name.trim().is_empty() {
        problems.push(Problem::new("traces.serviceName", "it is empty"));
    }
}

fn production(configuration: &Configuration, problems: &mut Vec<Problem>) {
    if configuration.mode != Mode::Production {
        return;
    }
    if configuration.doubles {
        problems
            .push(Problem::new("doubles", "stand-ins are refused in production: nothing that they hold is durable"));
    }
    let is_short = |secret: &crate::Secret| secret.expose().chars().count() < SECRET_LENGTH_MIN;
    if configuration.inspector_token.as_ref().is_some_and(is_short) {
        problems.push(Problem::new(
            "inspectorToken",
            format!("in production a secret has at least {SECRET_LENGTH_MIN} characters"),
        ));
    }
}

fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace))
}
