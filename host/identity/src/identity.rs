//! Everything together: from the headers of a request to a principal.

use crate::Clock;
use crate::credentials::{self, Token};
use crate::issuer::{Issued, Issuer, Wish};
use crate::operators::{self, OperatorStore, Operators};
use crate::principal::Principal;
use crate::sessions::{Admission, Closable, Sessions};
use crate::users::Users;
use crate::verifier::Verifier;
use growqr_types::{Failure, codes};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often sockets are looked through for those whose time is over.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What an [`Identity`] is made of.
pub struct IdentityInput {
    /// Verifies session tokens.
    pub verifier: Verifier,
    /// The development issuer, if this host is its own.
    pub issuer: Option<Issuer>,
    /// Where the tokens of operators are; without it no such token is taken.
    pub operators: Option<Arc<dyn OperatorStore>>,
    /// Records users.
    pub users: Option<Users>,
    /// How long after its last token's end a socket waits for a newer one.
    pub refresh_within: Duration,
    /// The time.
    pub clock: Clock,
}

/// Says who asks. One for the whole host.
pub struct Identity {
    verifier: Verifier,
    issuer: Option<Issuer>,
    operators: Option<Operators>,
    users: Option<Users>,
    sessions: Arc<Sessions>,
    clock: Clock,
}

/// Until when a socket may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refreshed {
    /// When the session's newest token ends, in seconds since 1970.
    pub expires: u64,
    /// Until when a newer one must come, in seconds since 1970.
    pub refresh_by: u64,
}

/// Which sessions are to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Revocation {
    /// One session (`sid`).
    Session(String),
    /// All that a user has now.
    User(String),
}

impl Identity {
    /// Puts it together.
    pub fn new(input: IdentityInput) -> Arc<Self> {
        Arc::new(Self {
            verifier: input.verifier,
            issuer: input.issuer,
            operators: input.operators.map(Operators::new),
            users: input.users,
            sessions: Sessions::new(input.refresh_within),
            clock: input.clock,
        })
    }

    /// Says who sends these headers. Whoever sends no token, or not a good one, is an error.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Failure> {
        self.identify_token(credentials::find(headers)?.as_ref()).await
    }

    /// Says who has this token. A newer token also keeps the sockets of its session open.
    pub async fn identify_token(&self, token: Option<&Token>) -> Result<Principal, Failure> {
        let token = token.ok_or_else(|| codes::TOKEN_MISSING.failure())?.secret();
        let now_ms = (self.clock)();
        let principal = if token.starts_with(operators::PREFIX) {
            let operators = self.operators.as_ref().ok_or_else(|| codes::TOKEN_INVALID.failure())?;
            Principal::Operator(operators.verify(token, now_ms).await?)
        } else {
            let session = self.verifier.verify(token, now_ms).await?;
            self.sessions.check(&session)?;
            if let Some(users) = &self.users {
                users.seen(&session.user, now_ms);
            }
            Principal::User(session)
        };
        self.sessions.renew(&principal, now_ms);
        Ok(principal)
    }

    /// Opens a socket; `None` when it may stay for as long as it likes.
    pub fn admit(&self, principal: &Principal, socket: Weak<dyn Closable>) -> Result<Option<Admission>, Failure> {
        self.sessions.admit(principal, socket, (self.clock)())
    }

    /// Renews a socket with a newer token of its own session.
    pub async fn refresh(&self, admission: &Admission, token: &Token) -> Result<Refreshed, Failure> {
        let principal = self.identify_token(Some(token)).await?;
        let (expires, refresh_by_ms) = self.sessions.refresh(admission, &principal, (self.clock)())?;
        Ok(Refreshed { expires, refresh_by: refresh_by_ms / 1000 })
    }

    /// Ends sessions now. Gives the number of sockets that were closed.
    pub fn revoke(&self, revocation: &Revocation) -> usize {
        let now_ms = (self.clock)();
        match revocation {
            Revocation::Session(session) => self.sessions.revoke_session(session, now_ms),
            Revocation::User(user) => self.sessions.revoke_user(user, now_ms),
        }
    }

    /// Gives a token, if this host is its own issuer.
    pub fn issue(&self, wish: &Wish) -> Result<Issued, Failure> {
        let issuer = self.issuer.as_ref().ok_or_else(|| codes::API_NOT_FOUND.failure())?;
        issuer.issue(wish, (self.clock)())
    }

    /// The key set of the development issuer, if this host is its own issuer.
    pub fn key_set(&self) -> Option<serde_json::Value> {
        self.issuer.as_ref().map(Issuer::key_set)
    }

    /// The sockets of all sessions.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Asks for keys ahead of the first token, and closes sockets whose time is over, until it is told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        self.verifier.prepare((self.clock)());
        let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let closed = self.sessions.sweep((self.clock)());
            if closed > 0 {
                tracing::debug!(closed, "sockets closed, because their sessions were not refreshed");
            }
        }
    }
}
