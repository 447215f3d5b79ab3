//! Loads the components of a deployment. One that can't be loaded is named with what is wrong, and the others run.

use bytes::Bytes;
use growqr_component::{Component, ComponentLimits, Engine};
use growqr_config::{Actor, Configuration};
use growqr_runtime::{ActorSettings, Runtime, Served};
use growqr_types::{Failure, Json, codes};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Loaded = Result<Arc<Component>, Failure>;

/// Loads every component once and serves every actor.
pub async fn load(configuration: &Configuration, engine: &Engine, runtime: &Runtime) {
    let mut files: Vec<&PathBuf> = configuration.actors.values().map(|actor| &actor.component).collect();
    files.sort();
    files.dedup();
    let loads = files.into_iter().map(|file| async move { (file.clone(), load_file(engine, file).await) });
    let components: HashMap<PathBuf, Loaded> = futures::future::join_all(loads).await.into_iter().collect();
    for (name, actor) in &configuration.actors {
        let served = match &components[&actor.component] {
            Ok(component) => serve(name, actor, component.clone()).await,
            Err(failure) => Err(failure.clone()),
        };
        if let Err(failure) = &served {
            let file = actor.component.display();
            tracing::error!(actor = %name, component = %file, code = %format_args!("{}.{}", failure.group, failure.code), "{}", failure.message);
        }
        runtime.serve(name, served);
    }
}

async fn load_file(engine: &Engine, file: &Path) -> Loaded {
    let limits = ComponentLimits::default();
    let unreadable = |error: std::io::Error| {
        codes::COMPONENT_INVALID
            .with(format!("can't read {}: {error}; build it with `growqr actor build`", file.display()))
    };
    let size = tokio::fs::metadata(file).await.map_err(unreadable)?.len();
    if size > limits.size_max as u64 {
        let message = format!("the component has {size} bytes, and at most {} are allowed", limits.size_max);
        return Err(codes::COMPONENT_TOO_LARGE.with(message));
    }
    let wasm = tokio::fs::read(file).await.map_err(unreadable)?;
    engine.load(Bytes::from(wasm), &limits).await
}

async fn serve(name: &str, actor: &Actor, component: Arc<Component>) -> Result<Arc<Served>, Failure> {
    let config: BTreeMap<String, Json> =
        actor.config.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
    let settings =
        ActorSettings { options: actor.options.clone(), limits: actor.limits.clone(), config: Arc::new(config) };
    Served::new(name, component, settings).await.map(Arc::new)
}
