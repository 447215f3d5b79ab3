//! `rivet.json`: which actors a deployment has.

use anyhow::{Context, Result, bail};
use growqr_runtime::options::ActorLimits;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "rivet.json";

/// A deployment.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deployment {
    /// The actors by name.
    pub actors: BTreeMap<String, Actor>,
    /// Namespaces that exist.
    #[serde(default = "default_namespaces")]
    pub namespaces: Vec<String>,
    /// A namespace is created when somebody asks for it. For development.
    #[serde(default)]
    pub namespaces_on_request: bool,
    /// Short addresses: `{"/p": "bench"}` gives plain HTTP and WebSocket clients the actor `bench` with the key `x` at `/p/x`.
    #[serde(default)]
    pub routes: BTreeMap<String, String>,
    /// Whoever has this token may read the state of every actor at its `/inspector/state`. Without it there is no inspector.
    #[serde(default)]
    pub inspector_token: Option<String>,
    /// Stand-ins for memory and sandbox, for writing and testing actors. Nothing that they hold is durable.
    #[serde(default)]
    pub doubles: bool,
    /// Live instances at the most; by default as many as the machine's memory mappings allow.
    #[serde(default)]
    pub instances: Option<usize>,
}

/// One actor of a deployment.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Actor {
    /// The component file, relative to the deployment file.
    pub component: PathBuf,
    /// Options; they override those that the component describes.
    #[serde(default)]
    pub options: serde_json::Value,
    /// Limits.
    #[serde(default)]
    pub limits: ActorLimits,
    /// What the component can read with `config.get`.
    #[serde(default)]
    pub config: BTreeMap<String, serde_json::Value>,
}

fn default_namespaces() -> Vec<String> {
    vec!["default".to_owned()]
}

impl Deployment {
    /// Reads the named file, or `rivet.json` in the current folder, or the one beside the program.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let file = match file {
            Some(file) => file.to_owned(),
            None => find()?,
        };
        let text = std::fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
        let mut deployment: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is not a valid deployment", file.display()))?;
        if deployment.actors.is_empty() {
            bail!(
                "{} names no actors\nhint: {{\"actors\": {{\"counter\": {{\"component\": \"counter.wasm\"}}}}}}",
                file.display()
            );
        }
        for (prefix, actor) in &deployment.routes {
            let sound =
                prefix.starts_with('/') && prefix.len() > 1 && !prefix.ends_with('/') && !prefix.starts_with("/api");
            if !sound || ["/gateway", "/actors"].contains(&prefix.as_str()) {
                bail!(
                    "the route {prefix:?} can't be used\nhint: a route is a path like \"/p\", and not one that the host needs itself"
                );
            }
            if !deployment.actors.contains_key(actor) {
                bail!("the route {prefix:?} leads to {actor:?}, which is no actor of this deployment");
            }
        }
        let folder = file.parent().unwrap_or(Path::new(""));
        for actor in deployment.actors.values_mut() {
            actor.component = folder.join(&actor.component);
        }
        Ok(deployment)
    }
}

fn find() -> Result<PathBuf> {
    let here = PathBuf::from(DEFAULT_FILE);
    if here.is_file() {
        return Ok(here);
    }
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(DEFAULT_FILE)));
    match beside.filter(|file| file.is_file()) {
        Some(file) => Ok(file),
        None => bail!("there is no {DEFAULT_FILE} in this folder\nhint: name the deployment with --config FILE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Deployment> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("rivet.json");
        std::fs::write(&file, text)?;
        Deployment::read(Some(&file))
    }

    #[test]
    fn component_paths_are_relative_to_the_file() {
        let deployment = check(r#"{"actors": {"a": {"component": "dist/a.wasm", "limits": {"timers": 3}}}}"#).unwrap();
        let actor = &deployment.actors["a"];
        assert!(actor.component.is_absolute() && actor.component.ends_with("dist/a.wasm"));
        assert_eq!(actor.limits.timers, 3);
        assert_eq!(deployment.namespaces, ["default"]);
    }

    #[test]
    fn a_bad_deployment_is_refused() {
        for bad in [
            "",
            "{}",
            r#"{"actors": {}}"#,
            r#"{"actors": {"a": {}}}"#,
            r#"{"actors": {"a": {"component": "a.wasm", "colour": 1}}}"#,
            r#"{"actors": {"a": {"component": "a.wasm", "limits": {"timer": 3}}}}"#,
            r#"{"actors": {"a": {"component": "a.wasm"}}, "routes": {"/p": "b"}}"#,
            r#"{"actors": {"a": {"component": "a.wasm"}}, "routes": {"p": "a"}}"#,
            r#"{"actors": {"a": {"component": "a.wasm"}}, "routes": {"/gateway": "a"}}"#,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
