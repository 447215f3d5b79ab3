//! What a caller is told when something did not work: a group, a stable code and a message.
//!
//! Groups and codes are Rivet's where Rivet has one (`reference/rivet-protocol.md` section 2.1). `docs/errors.md` explains each;
//! a test fails when one is missing there.

use crate::Json;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// An error of the host: group, code, HTTP status and the default message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Who speaks.
    pub group: &'static str,
    /// Stable, machine-readable.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// For people; a more exact message may take its place.
    pub message: &'static str,
}

impl Code {
    /// The failure with the default message.
    pub fn failure(&self) -> Failure {
        self.with(self.message)
    }

    /// The failure with a more exact message.
    pub fn with(&self, message: impl Into<String>) -> Failure {
        Failure { group: self.group.into(), code: self.code.into(), message: message.into(), metadata: None }
    }
}

/// An error as a caller sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{group}.{code}: {message}")]
pub struct Failure {
    /// Who speaks: `user` is the actor itself.
    pub group: Cow<'static, str>,
    /// Stable, machine-readable.
    pub code: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// More, for machines.
    pub metadata: Option<Json>,
}

impl Failure {
    /// The same with metadata.
    pub fn metadata(mut self, metadata: impl Into<Json>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// Whether this is that error.
    pub fn is(&self, code: &Code) -> bool {
        self.group == code.group && self.code == code.code
    }

    /// The HTTP status that goes with it; 500 for codes that are not the host's own.
    pub fn status(&self) -> u16 {
        codes::ALL.iter().find(|code| self.is(code)).map_or(500, |code| code.status)
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $group:literal . $code:literal, $status:literal, $message:literal;)*) => {
        /// The catalogue of the host's own errors.
        pub mod codes {
            use super::Code;
            $($(#[$doc])* pub const $name: Code = Code { group: $group, code: $code, status: $status, message: $message };)*
            /// All of them.
            pub const ALL: &[Code] = &[$($name),*];
        }
    };
}

codes! {
    /// No such actor, or it was destroyed. Official clients retry it on `get` and `getOrCreate` handles: nothing ran.
    ACTOR_NOT_FOUND = "actor"."not_found", 404, "The actor does not exist or was destroyed.";
    /// The actor has no action of that name.
    ACTION_NOT_FOUND = "actor"."action_not_found", 404, "The action was not found.";
    /// Another HTTP method is needed.
    METHOD_NOT_ALLOWED = "actor"."method_not_allowed", 405, "Method not allowed.";
    /// The action or its deferred reply took too long.
    ACTION_TIMED_OUT = "actor"."action_timed_out", 408, "Action timed out";
    /// A hook took too long.
    CALLBACK_TIMED_OUT = "actor"."callback_timed_out", 500, "The actor's hook timed out.";
    /// The message can't be decoded.
    INVALID_REQUEST = "actor"."invalid_request", 400, "The request can't be decoded.";
    /// The mailbox is full.
    OVERLOADED = "actor"."overloaded", 503, "The actor has too many messages waiting; try again later.";
    /// The key is taken.
    DUPLICATE_KEY = "actor"."duplicate_key", 400, "The key is in use.";
    /// The REST key field was empty.
    EMPTY_KEY = "actor"."empty_key", 400, "The key must not be empty; the empty key is spelled \"/\".";
    /// The key is too large.
    KEY_TOO_LARGE = "actor"."key_too_large", 400, "The key is too large.";
    /// The input is too large.
    INPUT_TOO_LARGE = "actor"."input_too_large", 400, "The input is too large.";
    /// No component of this deployment serves the name.
    NOT_REGISTERED = "actor"."not_registered", 404, "No actor of this name is deployed.";
    /// The component trapped.
    CRASHED = "actor"."crashed", 500, "The actor crashed; nothing of this turn was kept.";
    /// The actor fails again and again, and waits before it starts anew.
    CRASH_BACKOFF = "actor"."crash_backoff", 503, "The actor keeps crashing and is paused; try again later.";
    /// The actor did not start.
    START_FAILED = "actor"."start_failed", 500, "The actor could not start.";
    /// Whether the turn was kept is not known: storage failed while it was being written.
    COMMIT_FAILED = "actor"."commit_failed", 500, "Storage failed while the turn was being written; whether it was kept is not known.";
    /// The host is stopping; the message certainly did not run. Official clients retry it.
    RESTARTING = "actor"."restarting", 503, "The host is restarting; try again.";
    /// The actor stopped before it answered; it may have run.
    STOPPED = "actor"."stopped", 500, "The actor stopped before it answered.";
    /// The actor was destroyed while the call waited.
    ABORTED = "actor"."aborted", 500, "Actor aborted";
    /// A turn that declared itself read-only wrote something.
    READ_ONLY = "actor"."read_only", 500, "A read-only action tried to write.";
    /// The component answered something that is not JSON, or not of the needed shape.
    INVALID_OUTPUT = "actor"."invalid_output", 500, "The actor's answer is not valid.";
    /// The component has no handler for this.
    NO_HANDLER = "actor"."no_handler", 404, "The actor has no handler for this.";
    /// The WebSocket asks for an encoding that does not exist.
    UNSUPPORTED_ENCODING = "actor"."unsupported_websocket_encoding", 400, "The encoding is not supported.";
    /// A commit came from an instance that is no longer the owner.
    FENCED = "actor"."fenced", 500, "Another generation of the actor has taken over.";

    /// A message from a client is over its limit.
    INCOMING_TOO_LONG = "message"."incoming_too_long", 400, "Incoming message too long.";
    /// A reply or event is over its limit.
    OUTGOING_TOO_LONG = "message"."outgoing_too_long", 400, "Outgoing message too long.";
    /// The client reads too slowly.
    SLOW_READER = "message"."slow_reader", 500, "The client does not read what it is sent.";

    /// State key too long.
    LIMIT_STATE_KEY = "limit"."state_key", 500, "A state key is too long.";
    /// State value too large.
    LIMIT_STATE_VALUE = "limit"."state_value", 500, "A state value is too large.";
    /// The whole state is too large.
    LIMIT_STATE_SIZE = "limit"."state_size", 500, "The actor's state is too large.";
    /// Too many writes in a turn.
    LIMIT_WRITES = "limit"."writes", 500, "Too many state writes in one turn.";
    /// Too many events in a turn.
    LIMIT_EVENTS = "limit"."events", 500, "Too many events in one turn.";
    /// Too many bytes of events and frames in a turn.
    LIMIT_OUTPUT = "limit"."output", 500, "Too many bytes of events and frames in one turn.";
    /// Too many timers.
    LIMIT_TIMERS = "limit"."timers", 500, "Too many timers.";
    /// Too many messages to other actors, or other effects.
    LIMIT_EFFECTS = "limit"."effects", 500, "Too many effects.";
    /// Too many deferred replies.
    LIMIT_DEFERRED = "limit"."deferred", 500, "Too many calls wait for a deferred reply.";
    /// Memory.
    LIMIT_MEMORY = "limit"."memory", 500, "The actor needs more memory than it may have.";
    /// Bytes in one call between the component and the host.
    LIMIT_TRANSFER = "limit"."transfer", 500, "The actor passes too many bytes in one call.";
    /// Stack.
    LIMIT_STACK = "limit"."stack", 500, "The actor's call stack is too deep.";
    /// Subscriptions of one connection.
    LIMIT_SUBSCRIPTIONS = "limit"."subscriptions", 400, "Too many subscriptions on one connection.";
    /// A timer's schedule can't be read.
    TIMER_SCHEDULE = "timer"."bad_schedule", 500, "The timer's schedule is not valid.";

    /// The queue is full.
    QUEUE_FULL = "queue"."full", 400, "Queue is full.";
    /// Nobody completed a queue message in time. The sender sees the status `timedOut`.
    QUEUE_TIMED_OUT = "queue"."timed_out", 408, "The queue message was not completed in time.";
    /// A queue message is too large.
    QUEUE_MESSAGE_TOO_LARGE = "queue"."message_too_large", 400, "The queue message is too large.";
    /// The queue message can't be decoded.
    QUEUE_MESSAGE_INVALID = "queue"."message_invalid", 400, "The queue message can't be decoded.";

    /// No memory in this deployment.
    MEMORY_NOT_AVAILABLE = "memory"."not_available", 503, "Memory is not configured in this deployment.";
    /// No sandbox in this deployment.
    SANDBOX_NOT_AVAILABLE = "sandbox"."not_available", 503, "No sandbox is configured in this deployment.";

    /// The database can't be reached, or is not ready yet.
    DATABASE_UNAVAILABLE = "database"."unavailable", 503, "The database can't be reached; try again later.";
    /// No database in this deployment.
    DATABASE_NOT_AVAILABLE = "database"."not_available", 503, "No database is configured in this deployment.";
    /// The database took too long.
    DATABASE_TIMEOUT = "database"."timeout", 504, "The database took too long.";
    /// Too much waits for the database; the call did not run.
    MIRROR_FULL = "mirror"."full", 503, "Too much waits to be written to the database; try again later.";

    /// Nobody says who asks.
    TOKEN_MISSING = "auth"."token_missing", 401, "Sign in first.";
    /// The token is refused. Deliberately without a reason: whoever tries tokens learns nothing; the log says why.
    TOKEN_INVALID = "auth"."token_invalid", 401, "The token is not valid.";
    /// The token was valid once.
    TOKEN_EXPIRED = "auth"."token_expired", 401, "The token has expired.";
    /// The token will be valid later: the clocks differ.
    TOKEN_EARLY = "auth"."token_not_yet_valid", 401, "The token is not valid yet.";
    /// A socket was open for longer than its token allows, and no newer token came.
    SESSION_EXPIRED = "auth"."session_expired", 401, "The session was not refreshed in time.";
    /// The session was ended by an operator.
    SESSION_REVOKED = "auth"."session_revoked", 401, "The session was revoked.";
    /// A socket was to be refreshed with the token of somebody else, or of another session.
    SESSION_MISMATCH = "auth"."session_mismatch", 403, "The token belongs to another session.";
    /// Tokens can't be checked now: the key server or the database is away, and nothing that was fetched before helps.
    AUTH_UNAVAILABLE = "auth"."unavailable", 503, "Tokens can't be checked now; try again later.";
    /// Not allowed.
    FORBIDDEN = "auth"."forbidden", 403, "Forbidden.";

    /// The namespace does not exist.
    NAMESPACE_NOT_FOUND = "namespace"."not_found", 400, "The namespace does not exist.";
    /// Gateway parameters are wrong.
    QUERY_INVALID_PARAMS = "guard"."query_invalid_params", 400, "The gateway parameters are not valid.";
    /// getOrCreate without a pool.
    QUERY_MISSING_POOL = "guard"."query_missing_pool", 400, "getOrCreate needs rvt-runner or rvt-pool.";
    /// No actor name.
    QUERY_EMPTY_ACTOR_NAME = "guard"."query_empty_actor_name", 400, "The actor name is empty.";
    /// A parameter twice.
    QUERY_DUPLICATE_PARAM = "guard"."query_duplicate_param", 400, "A gateway parameter is given twice.";
    /// A token in the name segment.
    QUERY_PATH_TOKEN = "guard"."query_path_token_syntax", 400, "A token in the path needs an actor id, not a name.";
    /// `get` with parameters of getOrCreate.
    QUERY_GET_DISALLOWED = "guard"."query_get_disallowed_params", 400, "These parameters go with getOrCreate only.";
    /// The input is not base64url.
    QUERY_INVALID_BASE64 = "guard"."query_invalid_base64_input", 400, "rvt-input is not base64url.";
    /// The input is not CBOR.
    QUERY_INVALID_CBOR = "guard"."query_invalid_cbor_input", 400, "rvt-input is not CBOR.";
    /// Percent-encoding is broken.
    QUERY_INVALID_PERCENT = "guard"."query_invalid_percent_encoding", 400, "The percent-encoding is broken.";
    /// No route.
    NO_ROUTE = "guard"."no_route", 404, "No such route.";
    /// The body is too large.
    INVALID_REQUEST_BODY = "guard"."invalid_request_body", 413, "The request body is too large.";
    /// The host has too many sockets or too many bytes under way. Official clients retry it: nothing ran.
    SERVICE_UNAVAILABLE = "guard"."service_unavailable", 503, "The host is busy; try again.";
    /// The client took too long to send the request.
    REQUEST_TIMEOUT = "guard"."request_timeout", 504, "The request took too long to arrive.";
    /// The actor's answer can't be sent over HTTP.
    INVALID_RESPONSE_BODY = "guard"."invalid_response_body", 502, "The actor's answer can't be sent.";
    /// The host is stopping and closes its sockets. Official clients reconnect.
    GOING_AWAY = "ws"."going_away", 503, "The host is going away; connect again.";
    /// Nothing here.
    API_NOT_FOUND = "api"."not_found", 404, "No such path.";
    /// A REST request can't be understood.
    API_BAD_REQUEST = "api"."bad_request", 400, "The request is not valid.";
    /// A page's cursor is not one that this interface gave.
    API_BAD_CURSOR = "api"."bad_cursor", 400, "The cursor is not valid; begin with the first page.";
    /// Somebody asks too often.
    API_RATE_LIMITED = "api"."rate_limited", 429, "Too many requests; try again later.";
    /// Somebody has too many event streams open.
    API_TOO_MANY_STREAMS = "api"."too_many_streams", 429, "Too many event streams are open; close one first.";
    /// The user has no such thread.
    THREAD_NOT_FOUND = "thread"."not_found", 404, "The thread does not exist or was deleted.";
    /// A REST field is missing or wrong.
    VALIDATION = "validation"."invalid_input", 400, "A parameter is missing or not valid.";
    /// Something in the host went wrong.
    INTERNAL = "core"."internal_error", 500, "An internal error occurred";

    /// Component: not a component.
    COMPONENT_NOT_A_COMPONENT = "component"."not_a_component", 400, "The file is not a WebAssembly component.";
    /// Component: native code from elsewhere.
    COMPONENT_PRECOMPILED = "component"."precompiled", 400, "Precompiled code is refused; upload the component itself.";
    /// Component: too large.
    COMPONENT_TOO_LARGE = "component"."too_large", 400, "The component is too large.";
    /// Component: its structure is over a cap.
    COMPONENT_STRUCTURE = "component"."structure", 400, "The component's structure is over a limit.";
    /// Component: not valid.
    COMPONENT_INVALID = "component"."invalid", 400, "The component is damaged or not valid.";
    /// Component: imports something else than the contract.
    COMPONENT_IMPORT = "component"."import", 400, "The component imports something that the host does not offer.";
    /// Component: an export of the contract is missing.
    COMPONENT_EXPORT = "component"."export", 400, "The component does not export what the contract asks.";
    /// Component: another version of the contract.
    COMPONENT_VERSION = "component"."version", 400, "The component was built for another version of the contract.";
    /// Component: compilation took too much time or memory.
    COMPONENT_COMPILE = "component"."compile", 400, "The component can't be compiled within the limits.";
    /// Component: `describe` failed.
    COMPONENT_DESCRIBE = "component"."describe", 400, "The component's describe function failed.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once() {
        for (index, code) in codes::ALL.iter().enumerate() {
            assert!(
                !codes::ALL[..index].iter().any(|other| (other.group, other.code) == (code.group, code.code)),
                "{code:?}"
            );
            assert!((400..600).contains(&code.status), "{code:?}");
        }
    }

    #[test]
    fn a_status_follows_the_code() {
        assert_eq!(codes::ACTOR_NOT_FOUND.failure().status(), 404);
        let own = Failure { group: "user".into(), code: "nope".into(), message: String::new(), metadata: None };
        assert_eq!(own.status(), 500);
    }
}
