//! The gate before every route: who asks, how often, and whether the one rule lets them through.
//!
//! Invariant: a handler runs only behind [`gate`], and gets the user or the actor that it is about from the gate, never from the request.

use crate::backend::KnownActor;
use crate::problem::Problem;
use crate::state::Shared;
use crate::{input, views};
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use growqr_identity::access::{Resource, Rule, allow};
use growqr_identity::{Principal, Scope};
use growqr_types::{ActorId, Failure, codes};
use http::request::Parts;
use serde::Deserialize;
use std::sync::Arc;

/// What a route is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Something that everybody may see.
    Public,
    /// What a user has altogether: the caller, or the user whom the parameter `user` names.
    Own,
    /// One thing of such a user, by its id in the path.
    Thing,
    /// The actor in the path.
    Actor,
}

impl Access {
    /// The rule that a test holds the route to.
    pub const fn rule(self) -> Rule {
        match self {
            Self::Public => Rule::Public,
            Self::Own => Rule::SignedIn,
            Self::Thing => Rule::Owner(Scope::Users),
            Self::Actor => Rule::Owner(Scope::Actors),
        }
    }
}

/// The user whose things the request is about.
#[derive(Debug, Clone)]
pub(crate) struct Subject(pub Arc<str>);

/// The actor that the request is about.
#[derive(Debug, Clone)]
pub(crate) struct Found(pub Arc<KnownActor>);

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub Arc<Principal>);

macro_rules! from_gate {
    ($($name:ident),*) => {
        $(impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
                // Missing only if a route asks for what its access does not give.
                parts.extensions.get::<Self>().cloned().ok_or_else(|| codes::INTERNAL.failure().into())
            }
        })*
    };
}
from_gate!(Subject, Found, Caller);

/// Lets a request through, or answers it.
pub(crate) async fn gate(
    State((shared, access)): State<(Arc<Shared>, Access)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    if access != Access::Public {
        let principal = Arc::new(shared.identify(&parts.headers).await?);
        shared.rates.check(&principal)?;
        match access {
            Access::Actor => {
                let found = actor(&shared, &principal, &mut parts).await?;
                parts.extensions.insert(found);
            }
            Access::Public | Access::Own | Access::Thing => {
                let subject = subject(&principal, parts.uri.query().unwrap_or_default())?;
                parts.extensions.insert(subject);
            }
        }
        parts.extensions.insert(Caller(principal));
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// The only parameter that the gate reads.
#[derive(Deserialize)]
struct About {
    user: Option<String>,
}

/// Whose things the request is about. Operators, and everybody where identity is off, have to say.
fn subject(principal: &Principal, query: &str) -> Result<Subject, Problem> {
    input::check_query(query)?;
    let uri: http::Uri = format!("/?{query}").parse().map_err(|_| codes::API_BAD_REQUEST.failure())?;
    let about = axum::extract::Query::<About>::try_from_uri(&uri);
    let about = about.map_err(|rejection| codes::VALIDATION.with(rejection.body_text()))?;
    let user = match (&about.user, principal.user()) {
        (Some(user), _) => user,
        (None, Some(user)) => user,
        (None, None) => return Err(codes::VALIDATION.with("user is missing: say whose things are meant.").into()),
    };
    // Also for callers who may not see them: whether an id can be one is no secret.
    input::user(user)?;
    allow(principal, &Resource::Of(user))?;
    Ok(Subject(user.into()))
}

async fn actor(shared: &Shared, principal: &Principal, parts: &mut Parts) -> Result<Found, Problem> {
    let bad = || codes::API_BAD_REQUEST.with("The actor id is not valid.");
    let Path(id) = Path::<String>::from_request_parts(parts, &()).await.map_err(|_| bad())?;
    let id: ActorId = id.parse().map_err(|_| bad())?;
    // Whoever has an id of somebody else learns not even that there is such an actor.
    let found = find(shared, id).await?.filter(|actor| allow(principal, &Resource::Actor(&actor.key)).is_ok());
    found.map(|actor| Found(Arc::new(actor))).ok_or_else(|| codes::ACTOR_NOT_FOUND.failure().into())
}

/// An actor that exists; or one that did, as far as the database remembers it.
async fn find(shared: &Shared, id: ActorId) -> Result<Option<KnownActor>, Failure> {
    match shared.backend.actor(id)? {
        Some(actor) => Ok(Some(actor)),
        None => match shared.pool() {
            Ok(pool) => views::destroyed_actor(pool, id).await,
            Err(_) => Ok(None),
        },
    }
}
