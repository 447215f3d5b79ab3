//! The REST interface of a deployment, behind the gateway's address.

use growqr_api::{Api, ApiInput, ApiSettings};
use growqr_config::Configuration;
use growqr_engine::Engine;
use growqr_gateway::ExtraRoutes;
use growqr_identity::Identity;
use growqr_postgres::Database;
use http_body_util::{BodyExt, Either};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The interface in use.
pub struct Opened {
    api: Api,
    task: JoinHandle<()>,
}

/// Starts it. `stop` ends the event streams, which the gateway would wait for.
pub fn open(
    configuration: &Configuration,
    engine: &Engine,
    identity: Option<&Arc<Identity>>,
    database: Option<&Database>,
    stop: &CancellationToken,
) -> Opened {
    let section = &configuration.api;
    let api = Api::new(ApiInput {
        identity: identity.cloned(),
        database: database.cloned(),
        backend: Arc::new(engine.clone()),
        settings: ApiSettings {
            requests_per_second: section.requests_per_second,
            requests_burst: section.requests_burst,
            streams_max: section.streams_max,
            // The first namespace is the one that short addresses mean as well.
            namespace: configuration.namespaces.first().cloned().unwrap_or_default(),
        },
        stop: stop.clone(),
    });
    let task = tokio::spawn({
        let api = api.clone();
        async move { api.run().await }
    });
    Opened { api, task }
}

impl Opened {
    /// The routes, for the gateway.
    pub fn routes(&self) -> ExtraRoutes {
        let api = self.api.clone();
        Arc::new(move |request| {
            let api = api.clone();
            Box::pin(async move {
                let answered = api.answer(request).await;
                answered.map(|body| Either::Right(body.map_err(std::io::Error::other).boxed_unsync()))
            })
        })
    }

    /// Waits until nothing of it uses the database any more. After `stop`.
    pub async fn close(self) {
        // A task that panicked uses nothing.
        let _ = self.task.await;
    }
}
