//! What runs a turn: an instance of a component, or, in the simulator, a program of the host.
//!
//! Invariant: an actor's task does not know which of the two it drives.

use futures::FutureExt;
use futures::future::{BoxFuture, Either};
use growqr_component::{CallReport, Component, Instance, InstanceLimits, Tier};
use growqr_turn::{Message, Scope};
use growqr_types::Failure;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// A guest that is no component. Simulators bring one.
pub trait NativeGuest: Send + Sync {
    /// Runs one turn, like [`Instance::call`].
    fn call(&self, scope: Scope, message: Message, deadline: Duration) -> BoxFuture<'_, CallReport>;
}

/// The code of an actor.
#[derive(Clone)]
pub enum Code {
    /// A component.
    Component(Arc<Component>),
    /// A program of the host.
    Native(Arc<dyn NativeGuest>),
}

impl Code {
    /// The pool that its instances come from; none when they need none.
    pub(crate) fn tier(&self) -> Option<Tier> {
        match self {
            Self::Component(component) => Some(component.tier()),
            Self::Native(_) => None,
        }
    }

    /// Names the code: the hash of the component.
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::Component(component) => Some(component.hash()),
            Self::Native(_) => None,
        }
    }

    pub(crate) async fn instantiate(&self, limits: &InstanceLimits) -> Result<Guest, Failure> {
        match self {
            Self::Component(component) => {
                component.instantiate(limits).await.map(|instance| Guest::Component(Box::new(instance)))
            }
            Self::Native(native) => Ok(Guest::Native(native.clone())),
        }
    }
}

/// One instance of an actor's code.
pub(crate) enum Guest {
    Component(Box<Instance>),
    Native(Arc<dyn NativeGuest>),
}

impl Guest {
    /// Runs one turn. The guest comes back if it can take another one.
    pub(crate) fn turn(
        self,
        scope: Scope,
        message: Message,
        deadline: Duration,
    ) -> impl Future<Output = (Option<Self>, CallReport)> + Send {
        match self {
            Self::Component(instance) => Either::Left(
                instance
                    .turn(scope, message, deadline)
                    .map(|(instance, report)| (instance.map(Self::Component), report)),
            ),
            Self::Native(native) => Either::Right(async move {
                let report = native.call(scope, message, deadline).await;
                (Some(Self::Native(native)), report)
            }),
        }
    }
}
