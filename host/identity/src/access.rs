//! The one rule: who may reach what.
//!
//! Everything that serves clients names what a request is about as a [`Resource`] and asks [`allow`]. Tables of routes carry a
//! [`Rule`] for each route, so that a test can walk all of them as every kind of caller.
//!
//! Invariant: a user reaches what is that user's own and what is public, and nothing else.
//! Deliberately absent: roles within one user's things, and sharing between users.

use crate::principal::{Principal, Scope};
use growqr_types::{ActorKey, Failure, codes};

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// Something that everybody may see.
    Public,
    /// Something that every verified caller may see, because its answer holds only what is the caller's own.
    SignedIn,
    /// An actor. It belongs to the user that the first part of its key names.
    Actor(&'a ActorKey),
    /// Threads, messages, memory, stack or profile of this user.
    Of(&'a str),
    /// Something for operators.
    Operator(Scope),
}

/// Says whether somebody may reach something.
pub fn allow(principal: &Principal, resource: &Resource<'_>) -> Result<(), Failure> {
    let allowed = match (principal, resource) {
        (_, Resource::Public | Resource::SignedIn) | (Principal::Open, _) => true,
        (Principal::User(session), Resource::Actor(key)) => key.0.first().is_some_and(|owner| **owner == *session.user),
        (Principal::User(session), Resource::Of(user)) => **user == *session.user,
        (Principal::User(_), Resource::Operator(_)) => false,
        (Principal::Operator(operator), Resource::Actor(_)) => operator.has(Scope::Actors),
        (Principal::Operator(operator), Resource::Of(_)) => operator.has(Scope::Users),
        (Principal::Operator(operator), Resource::Operator(scope)) => operator.has(*scope),
    };
    if allowed { Ok(()) } else { Err(codes::FORBIDDEN.failure()) }
}

/// Who may call a route. A table of routes has one for each, and a test holds the route to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Everybody, without a token.
    Public,
    /// Every verified caller; the answer holds only what is the caller's own.
    SignedIn,
    /// The user whose actor or thing it is, and operators that have this scope.
    Owner(Scope),
    /// Operators that have this scope.
    Operator(Scope),
    /// Everybody on this machine, and only when the host is its own issuer of tokens.
    Development,
}

/// One route of a table, as a test sees it. `{...}` in the path stands for one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteRule {
    /// HTTP method.
    pub method: &'static str,
    /// Path.
    pub path: &'static str,
    /// Who may call it.
    pub rule: Rule,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::{Operator, Session};

    fn user(name: &str) -> Principal {
        let session = Session { user: name.into(), session: None, issued: 0, expires: 1, organization: None };
        Principal::User(session)
    }

    fn operator(scopes: &[Scope]) -> Principal {
        Principal::Operator(Operator { id: "1".into(), scopes: scopes.into() })
    }

    fn key(parts: &[&str]) -> ActorKey {
        ActorKey(parts.iter().map(|part| (*part).to_owned()).collect())
    }

    fn check(principal: &Principal, resource: &Resource<'_>, allowed: bool) {
        let result = allow(principal, resource);
        assert_eq!(result.is_ok(), allowed, "{principal:?} {resource:?}");
        if let Err(failure) = result {
            assert!(failure.is(&codes::FORBIDDEN));
        }
    }

    #[test]
    fn a_user_reaches_actors_whose_key_begins_with_the_user_and_no_other() {
        let ada = user("ada");
        for own in [&["ada"][..], &["ada", "x"], &["ada", "bob"]] {
            check(&ada, &Resource::Actor(&key(own)), true);
        }
        for other in [&[][..], &[""], &["bob"], &["bob", "ada"], &["Ada"], &["ada,x"], &["ada/x"], &["adam"], &["ad"]] {
            check(&ada, &Resource::Actor(&key(other)), false);
        }
    }

    #[test]
    fn a_user_reaches_own_things_and_nothing_of_operators() {
        let ada = user("ada");
        check(&ada, &Resource::Public, true);
        check(&ada, &Resource::SignedIn, true);
        check(&ada, &Resource::Of("ada"), true);
        for other in ["", "bob", "ada ", "adam"] {
            check(&ada, &Resource::Of(other), false);
        }
        for scope in Scope::ALL {
            check(&ada, &Resource::Operator(scope), false);
        }
    }

    #[test]
    fn an_operator_reaches_what_the_scopes_say() {
        for scope in Scope::ALL {
            let operator = operator(&[scope]);
            check(&operator, &Resource::Actor(&key(&["ada"])), scope == Scope::Actors);
            check(&operator, &Resource::Of("ada"), scope == Scope::Users);
            for asked in Scope::ALL {
                check(&operator, &Resource::Operator(asked), asked == scope);
            }
        }
        let powerless = operator(&[]);
        check(&powerless, &Resource::Actor(&key(&["ada"])), false);
        check(&powerless, &Resource::Public, true);
    }

    #[test]
    fn without_identity_everything_is_open() {
        check(&Principal::Open, &Resource::Actor(&key(&["ada"])), true);
        check(&Principal::Open, &Resource::Operator(Scope::Deployments), true);
    }
}
