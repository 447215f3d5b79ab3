//! Every bound of the host that is not an option of one actor. `docs/limits.md` lists them; a test compares the two.

use std::time::Duration;

/// Bytes of an actor key in its REST spelling.
pub const KEY_BYTES_MAX: usize = 1024;
/// Bytes of an actor's input.
pub const INPUT_BYTES_MAX: usize = 4 << 20;
/// Bytes of an actor's input in a gateway query, before base64.
pub const QUERY_INPUT_BYTES_MAX: usize = 4 << 10;
/// Bytes of an action, queue or connection message from a client.
pub const INCOMING_MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a reply or an event to a client.
pub const OUTGOING_MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a raw HTTP body, request or response.
pub const RAW_BODY_BYTES_MAX: usize = 20 << 20;
/// Bytes of a raw WebSocket message.
pub const RAW_FRAME_BYTES_MAX: usize = 32 << 20;
/// Bytes of all headers of a request together with its request line.
pub const HEADER_BYTES_MAX: usize = 64 << 10;
/// Bytes of a token that says who asks.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Nesting of a client's value.
pub const VALUE_DEPTH_MAX: usize = 64;
/// Bytes of a value after it was transcoded between CBOR and JSON text, which can be larger than what the client sent.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// Bytes of a big integer's magnitude that is written as a decimal number. A longer one travels as tagged bytes, because the
/// conversion to decimal takes quadratic time.
pub const BIG_INTEGER_BYTES_MAX: usize = 1024;

/// Bytes that wait for one socket's reader before it is closed as too slow.
pub const SOCKET_QUEUE_BYTES_MAX: usize = 4 << 20;
/// Messages that wait for one socket's reader before it is closed as too slow.
pub const SOCKET_QUEUE_MESSAGES_MAX: usize = 4096;
/// Events that one connection can subscribe to.
pub const SUBSCRIPTIONS_MAX: usize = 1024;
/// Actions of one socket that may be unanswered at a time.
pub const SOCKET_ACTIONS_MAX: usize = 1024;

/// Messages that wait for one actor.
pub const MAILBOX_MESSAGES_MAX: usize = 1024;
/// Bytes that wait for one actor.
pub const MAILBOX_BYTES_MAX: usize = 64 << 20;
/// Turns of one actor that are executed and not yet durable.
pub const TURNS_UNCOMMITTED_MAX: usize = 256;
/// Bytes in one group commit; a single larger turn goes alone.
pub const COMMIT_BYTES_MAX: usize = 32 << 20;
/// Turns in one group commit.
pub const COMMIT_TURNS_MAX: usize = 4096;
/// Requests that wait for the committer.
pub const COMMITTER_QUEUE_MAX: usize = 65_536;

/// Calls that an actor has deferred and not yet answered.
pub const DEFERRED_MAX: usize = 4096;
/// Effects of one actor that are not finished.
pub const OUTBOX_OPERATIONS_MAX: usize = 1024;
/// Events that a resumed connection is given in one read of the log.
pub const REPLAY_CHUNK_EVENTS_MAX: usize = 512;

/// How long an action may take, deferral included, unless the actor's options say otherwise.
pub const ACTION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a turn may take, host calls included, unless the actor's options say otherwise.
pub const TURN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an actor stays awake with nothing to do, unless the actor's options say otherwise.
pub const SLEEP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take to be accepted, deferral included, unless the actor's options say otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to send the head of a request.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

const _: () = assert!(INCOMING_MESSAGE_BYTES_MAX <= MAILBOX_BYTES_MAX);
const _: () = assert!(TOKEN_BYTES_MAX <= HEADER_BYTES_MAX);
const _: () = assert!(INPUT_BYTES_MAX <= VALUE_BYTES_MAX);
const _: () = assert!(OUTGOING_MESSAGE_BYTES_MAX <= VALUE_BYTES_MAX);
const _: () = assert!(RAW_FRAME_BYTES_MAX <= MAILBOX_BYTES_MAX);
const _: () = assert!(RAW_BODY_BYTES_MAX <= MAILBOX_BYTES_MAX);
const _: () = assert!(OUTGOING_MESSAGE_BYTES_MAX <= SOCKET_QUEUE_BYTES_MAX);
const _: () = assert!(TURNS_UNCOMMITTED_MAX <= COMMIT_TURNS_MAX);
const _: () = assert!(COMMIT_TURNS_MAX <= COMMITTER_QUEUE_MAX);
