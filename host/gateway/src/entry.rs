//! The only way to an actor: who asks is found out, the rule is asked, and the actor is looked for.
//!
//! Invariant: nothing of the directory or of an actor is touched for somebody who may not reach it, and what an actor is given holds no
//! token of a client.

use crate::backend::Backend;
use crate::outbox::Outbox;
use crate::query::{Method as Finding, Named};
use crate::route::Target;
use futures::future::BoxFuture;
use growqr_identity::access::{self, Resource};
use growqr_identity::credentials::{self, Token};
use growqr_identity::sessions::{Admission, Closable};
use growqr_identity::{Identity, Principal};
use growqr_seam::{Socket, SocketFrame};
use growqr_types::{ActorId, ActorKey, Failure, Json, codes};
use http::{HeaderMap, HeaderValue};
use std::sync::{Arc, Weak};

/// The action that renews a socket with a newer token: `growqr.refreshToken(token)`.
const REFRESH: &str = "growqr.refreshToken";

/// What a client brings, before anybody has looked whether it is good.
pub(crate) struct Visitor {
    token: Result<Option<Token>, Failure>,
}

impl Visitor {
    /// Takes the token out of the headers, and what only the host may say.
    pub(crate) fn take(identity: Option<&Arc<Identity>>, headers: &mut HeaderMap) -> Self {
        credentials::drop_reserved(headers);
        // Without identity a token is nothing to this host, and the actor may have a use for it.
        let token = if identity.is_some() { credentials::take(headers) } else { Ok(None) };
        Self { token }
    }

    /// Finds out who it is.
    pub(crate) async fn identify(self, identity: Option<&Arc<Identity>>) -> Result<Principal, Failure> {
        match identity {
            Some(identity) => identity.identify_token(self.token?.as_ref()).await,
            None => Ok(Principal::Open),
        }
    }
}

/// Who sends these headers.
pub(crate) async fn identify(identity: Option<&Arc<Identity>>, headers: &HeaderMap) -> Result<Principal, Failure> {
    match identity {
        Some(identity) => identity.identify(headers).await,
        None => Ok(Principal::Open),
    }
}

/// Tells the actor which user asks.
pub(crate) fn announce(principal: &Principal, headers: &mut HeaderMap) {
    if let Some(user) = principal.user().and_then(|user| HeaderValue::from_str(user).ok()) {
        headers.insert(credentials::USER, user);
    }
}

/// Finds the actor that is meant, with its key, for somebody who may reach it.
pub(crate) async fn reach<B: Backend>(
    backend: &B,
    principal: &Principal,
    target: Target,
) -> Result<(ActorId, ActorKey), Failure> {
    match target {
        Target::Id(id) => {
            let record = backend.actor(id)?.filter(|record| record.destroy_ts.is_none());
            // Whoever has an id of somebody else learns not even that there is such an actor.
            let record = record.filter(|record| access::allow(principal, &Resource::Actor(&record.key)).is_ok());
            record.map(|record| (id, record.key)).ok_or_else(|| codes::ACTOR_NOT_FOUND.failure())
        }
        Target::Named(Named { namespace, name, key, method }) => {
            access::allow(principal, &Resource::Actor(&key))?;
            backend.namespace(&namespace).await?;
            let id = match method {
                Finding::Get => backend.get(&namespace, &name, &key).await?,
                Finding::GetOrCreate(input) => {
                    Some(backend.get_or_create(&namespace, &name, key.clone(), input).await?.actor)
                }
            };
            id.map(|id| (id, key)).ok_or_else(|| codes::ACTOR_NOT_FOUND.failure())
        }
    }
}

/// A socket's place in its session; it ends when the last holder lets go.
pub(crate) type Pass = Option<Arc<Admission>>;

/// Gives a socket its place in the session of whoever opens it, and what the actor is to see of it.
pub(crate) fn admit(
    identity: Option<&Arc<Identity>>,
    principal: &Principal,
    outbox: &Arc<Outbox>,
) -> Result<(Pass, Arc<dyn Socket>), Failure> {
    let Some(identity) = identity else { return Ok((None, outbox.clone())) };
    let closable: Weak<dyn Closable> = Arc::<Outbox>::downgrade(outbox);
    let Some(admission) = identity.admit(principal, closable)?.map(Arc::new) else { return Ok((None, outbox.clone())) };
    let socket = Renewable { outbox: outbox.clone(), identity: identity.clone(), admission: admission.clone() };
    Ok((Some(admission), Arc::new(socket)))
}

/// A client's end of a socket that lasts only as long as its session.
struct Renewable {
    outbox: Arc<Outbox>,
    identity: Arc<Identity>,
    admission: Arc<Admission>,
}

impl Socket for Renewable {
    fn send(&self, frame: SocketFrame) {
        self.outbox.send(frame);
    }

    fn close(&self, code: u16, reason: &str) {
        Socket::close(&*self.outbox, code, reason);
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        self.outbox.ready()
    }

    fn action(&self, name: &str, args: &str) -> Option<BoxFuture<'static, Result<Json, Failure>>> {
        if name != REFRESH {
            return None;
        }
        let token: Result<(String,), _> = serde_json::from_str(args);
        let (identity, admission) = (self.identity.clone(), self.admission.clone());
        Some(Box::pin(async move {
            let (token,) = token.map_err(|_| codes::INVALID_REQUEST.with("The action takes a token."))?;
            let refreshed = identity.refresh(&admission, &Token::new(token)).await?;
            serde_json::to_string(&refreshed).map_err(|error| codes::INTERNAL.with(error.to_string()))
        }))
    }
}
