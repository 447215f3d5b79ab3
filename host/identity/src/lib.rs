//! Who asks, and what they may reach.
//!
//! [`Identity`] turns the headers of a request into a [`Principal`]: a user whose session token was verified, or an operator with a
//! service token. [`access::allow`] is the one rule that says what a principal may reach; gateway and REST interface ask nobody else.
//! Around them: the keys of the token issuer ([`keys`]), the development issuer ([`issuer`]), the sockets of every session
//! ([`sessions`]), operators' tokens ([`operators`]) and the users that were seen ([`users`]).
//!
//! Invariant: a principal comes only out of a token whose signature, issuer, times and origin were checked, and what a client reads
//! about a refused token never says why. No token is logged, and none is kept in memory beyond its request.
//! Deliberately absent: HTTP (the gateway's), tables (the database's), and any cookie: a browser never sends a token by itself, so that
//! another site can't act in a user's name.

pub mod access;
mod claims;
pub mod credentials;
mod identity;
pub mod issuer;
mod jwks;
pub mod keys;
pub mod operators;
mod principal;
pub mod sessions;
pub mod users;
mod verifier;

pub use identity::{Identity, IdentityInput, Refreshed, Revocation};
pub use principal::{Operator, Organization, Principal, Scope, Session};
pub use verifier::{Verifier, VerifierSettings};

use std::sync::Arc;

/// The time, as milliseconds since 1970. A parameter, so that a test can bring its own.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A store (a database) can't be asked now. Its message is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);
