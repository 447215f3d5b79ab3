//! Who asks.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Identity is off in this deployment: everybody may do everything.
    Open,
    /// A user with a verified session token.
    User(Session),
    /// An operator with a verified service token.
    Operator(Operator),
}

impl Principal {
    /// The user, if it is one.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::User(session) => Some(&session.user),
            Self::Open | Self::Operator(_) => None,
        }
    }
}

/// What a verified session token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The user (`sub`).
    pub user: Arc<str>,
    /// The session (`sid`); a token without one belongs to the user as a whole.
    pub session: Option<Arc<str>>,
    /// When the token was issued, in seconds since 1970; 0 when it does not say.
    pub issued: u64,
    /// When the token ends, in seconds since 1970.
    pub expires: u64,
    /// The organisation that the user acts for.
    pub organization: Option<Box<Organization>>,
}

/// The organisation that a user acts for. Both versions of the claims give the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// Its short name.
    pub slug: Option<String>,
    /// The user's role in it, without the prefix `org:`.
    pub role: Option<String>,
}

/// What is known about an operator's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The token's id; not secret.
    pub id: Arc<str>,
    /// What it may do.
    pub scopes: Arc<[Scope]>,
}

impl Operator {
    /// Whether the token may do this.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// What an operator's token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Reach every user's actors.
    Actors,
    /// Reach every user's threads, memory and stack.
    Users,
    /// End sessions.
    Sessions,
    /// Upload, activate and roll back components.
    Deployments,
    /// See and steer how the host runs: mirror, queues, status.
    Operation,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Actors, Self::Users, Self::Sessions, Self::Deployments, Self::Operation];

    /// Its name in commands, tables and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Actors => "actors",
            Self::Users => "users",
            Self::Sessions => "sessions",
            Self::Deployments => "deployments",
            Self::Operation => "operation",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The text names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no scope of this name; the scopes are actors, users, sessions, deployments and operation")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or(UnknownScope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_is_found_by_its_name() {
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        for other in ["", "Actors", "actor", "all", "actors "] {
            assert_eq!(other.parse::<Scope>(), Err(UnknownScope), "{other}");
        }
    }
}
