//! The interface as the host has it: made once, cheap to clone.

use crate::backend::Backend;
use crate::hub::Hub;
use crate::rate::Rates;
use crate::routes;
use axum::body::Body;
use bytes::Bytes;
use growqr_identity::{Identity, Principal};
use growqr_postgres::Database;
use growqr_types::{Failure, codes};
use http::{HeaderMap, Request, Response};
use sqlx::PgPool;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// What the configuration says.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Requests of one caller per second.
    pub requests_per_second: u32,
    /// Requests of one caller at once.
    pub requests_burst: u32,
    /// Event streams of one user.
    pub streams_max: u32,
    /// The namespace in which users' Grow Agents live.
    pub namespace: String,
}

/// What an [`Api`] is made of.
pub struct ApiInput {
    /// Says who asks; without it everybody may do everything.
    pub identity: Option<Arc<Identity>>,
    /// Where the rows are; without it everything that needs them is refused.
    pub database: Option<Database>,
    /// The actors.
    pub backend: Arc<dyn Backend>,
    /// What the configuration says.
    pub settings: ApiSettings,
    /// Ends the event streams.
    pub stop: CancellationToken,
}

/// What all requests share.
pub(crate) struct Shared {
    identity: Option<Arc<Identity>>,
    database: Option<Database>,
    pub backend: Arc<dyn Backend>,
    pub settings: ApiSettings,
    pub rates: Rates,
    pub hub: Arc<Hub>,
    pub stop: CancellationToken,
}

impl Shared {
    /// Says who asks.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Failure> {
        match &self.identity {
            Some(identity) => identity.identify(headers).await,
            None => Ok(Principal::Open),
        }
    }

    pub fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// The rows, or why they can't be read now.
    pub fn pool(&self) -> Result<&PgPool, Failure> {
        match &self.database {
            Some(database) => database.pool(),
            None => Err(codes::DATABASE_NOT_AVAILABLE.failure()),
        }
    }
}

/// The REST interface. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    router: axum::Router,
    shared: Arc<Shared>,
}

impl Api {
    /// Puts it together. [`Api::run`] has to run beside it.
    pub fn new(input: ApiInput) -> Self {
        let shared = Arc::new(Shared {
            rates: Rates::new(input.settings.requests_per_second, input.settings.requests_burst),
            hub: Hub::new(input.database.clone()),
            identity: input.identity,
            database: input.database,
            backend: input.backend,
            settings: input.settings,
            stop: input.stop,
        });
        Self { router: routes::router(&shared), shared }
    }

    /// Answers a request whose path begins with `/api/`.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let answered = self.router.clone().oneshot(request.map(Body::new)).await;
        answered.unwrap_or_else(|never| match never {})
    }

    /// Tells event streams of news, until it is told to stop.
    pub async fn run(&self) {
        self.shared.stop.run_until_cancelled(self.shared.hub.run()).await;
    }
}
