//! What an actor answers over HTTP (`reference/rivet-protocol.md` section 2): actions, queues, raw requests, and how a WebSocket's
//! handshake is read.
//!
//! Invariant: a request is given back as not running only while nothing of it has run. A connection that was made for a request ends
//! with it, however it ends.

use crate::actor::ActorHandle;
use crate::core::{Caller, Mail, Release, refuse};
use crate::inspector;
use crate::runtime::{Refused, Shared, ephemeral, read_params};
use crate::waiter::Waiter;
use bytes::Bytes;
use growqr_turn::{Connection, ConnectionKind, HttpRequest, HttpResponse};
use growqr_types::{ActorId, ConnectionId, Failure, Json, codes};
use growqr_wire::{ActorSpecifier, Encoding};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The request, because the actor does not run.
type Back = Box<http::Request<Bytes>>;

/// Header of the connection's parameters.
const PARAMS_HEADER: &str = "x-rivet-conn-params";
/// Header by which the official client says what URL the caller wrote.
const ORIGINAL_URL_HEADER: &str = "x-rivet-internal-original-request-url";
/// The longest that a queue message may be waited for.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(300);

/// Tells everybody in a list.
pub fn tell(releases: Vec<Release<Waiter>>) {
    for release in releases {
        if let Release::Reply(to, reply) = release {
            to.hear(reply);
        }
    }
}

/// A route at an actor.
enum Route {
    Action(String),
    Queue(String),
    Raw(String),
    Health,
    Metadata,
    Banner,
    InspectedState,
    Unknown,
}

impl Route {
    fn read(uri: &http::Uri) -> Self {
        let path = uri.path();
        let segment = |rest: &str| {
            let decoded = percent_decode(rest)?;
            (!rest.is_empty() && !rest.contains('/')).then_some(decoded)
        };
        if let Some(rest) = path.strip_prefix("/action/") {
            return segment(rest).map_or(Self::Unknown, Self::Action);
        }
        if let Some(rest) = path.strip_prefix("/queue/") {
            return segment(rest).map_or(Self::Unknown, Self::Queue);
        }
        if let Some(rest) = path.strip_prefix("/request")
            && (rest.is_empty() || rest.starts_with('/'))
        {
            let rest = if rest.is_empty() { "/" } else { rest };
            return Self::Raw(with_query(rest, uri.query()));
        }
        match path {
            "/health" => Self::Health,
            "/metadata" => Self::Metadata,
            "/" => Self::Banner,
            "/inspector/state" => Self::InspectedState,
            _ => Self::Unknown,
        }
    }
}

fn with_query(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    }
}

fn percent_decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
}

/// Answers one request.
pub async fn handle(
    shared: &Arc<Shared>,
    actor: ActorId,
    request: http::Request<Bytes>,
) -> Result<http::Response<Bytes>, Back> {
    let Some(handle) = shared.handle(actor) else { return Err(Box::new(request)) };
    let at = At { shared, handle: &handle, actor };
    let encoding = Encoding::from_header(header(&request, "x-rivet-encoding"));
    let mut response = match Route::read(request.uri()) {
        Route::Action(name) => at.action(&name, encoding, request).await?,
        Route::Queue(name) => at.queue(&name, encoding, request).await?,
        Route::Raw(path) => at.raw(path, encoding, request).await?,
        Route::Health => text("ok"),
        Route::Metadata => {
            let version = env!("CARGO_PKG_VERSION");
            let body = format!(r#"{{"runtime":"rivetkit","type":"local","version":"{version}"}}"#);
            with_type(http::StatusCode::OK, "application/json", body.into())
        }
        Route::Banner => text("This is an actor of GrowQR."),
        Route::InspectedState => match inspector::state(shared, actor, &request).await {
            Ok(body) => with_type(http::StatusCode::OK, "application/json", body.into()),
            Err(failure) => at.error(Encoding::Json, &failure),
        },
        Route::Unknown => {
            let message = format!("Actor route '{}' was not found.", request.uri().path());
            at.error(encoding, &codes::ACTOR_NOT_FOUND.with(message))
        }
    };
    response.headers_mut().insert("x-rivet-actor-generation", handle.generation.into());
    Ok(response)
}

struct At<'a> {
    shared: &'a Arc<Shared>,
    handle: &'a Arc<ActorHandle>,
    actor: ActorId,
}

/// How a step of a request ended when it did not give a value.
enum Stop {
    NotRunning,
    Failed(Failure),
}

impl At<'_> {
    fn error(&self, encoding: Encoding, failure: &Failure) -> http::Response<Bytes> {
        let id = self.actor.to_string();
        let actor = ActorSpecifier { actor_id: &id, generation: self.handle.generation, key: Some(&self.handle.key) };
        let body = growqr_wire::encode_http_error(encoding, failure, Some(&actor));
        let status = http::StatusCode::from_u16(failure.status()).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        with_type(status, encoding.content_type(), body.into())
    }

    async fn action(
        &self,
        name: &str,
        encoding: Encoding,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Back> {
        if request.method() != http::Method::POST {
            return Ok(self.error(encoding, &codes::METHOD_NOT_ALLOWED.failure()));
        }
        let args = match self
            .checked_body(&request)
            .and_then(|body| growqr_wire::decode_action_request(encoding, body).map_err(|error| error.failure()))
        {
            Ok(args) => args,
            Err(failure) => return Ok(self.error(encoding, &failure)),
        };
        let call = |caller, reply| Mail::Action { name: name.to_owned(), args, caller, reply };
        let answered = match self.call(&request, ConnectionKind::Request, call).await {
            Ok(value) => growqr_wire::encode_action_response(encoding, &value)
                .map_err(|error| codes::INVALID_OUTPUT.with(error.to_string())),
            Err(Stop::Failed(failure)) => Err(failure),
            Err(Stop::NotRunning) => return Err(Box::new(request)),
        };
        Ok(self.sized(encoding, answered))
    }

    async fn queue(
        &self,
        name: &str,
        encoding: Encoding,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Back> {
        if request.method() != http::Method::POST {
            return Ok(self.error(encoding, &codes::METHOD_NOT_ALLOWED.failure()));
        }
        let sent = match self.checked_body(&request).and_then(|body| {
            growqr_wire::decode_queue_send(encoding, body).map_err(|_| codes::QUEUE_MESSAGE_INVALID.failure())
        }) {
            Ok(sent) => sent,
            Err(failure) => return Ok(self.error(encoding, &failure)),
        };
        let options = &self.handle.served.options;
        if sent.body.len() > options.max_queue_message_size {
            let max = options.max_queue_message_size;
            let failure = codes::QUEUE_MESSAGE_TOO_LARGE
                .with(format!("Queue message too large: {} bytes, and at most {max} are allowed.", sent.body.len()));
            return Ok(self.error(encoding, &failure));
        }
        let wait = sent
            .wait
            .then(|| sent.timeout_ms.map_or(options.action_timeout, Duration::from_millis).min(QUEUE_WAIT_MAX));
        let call = |caller, reply| Mail::Queue { queue: name.to_owned(), body: sent.body, caller, wait, reply };
        let answered = match self.call(&request, ConnectionKind::Request, call).await {
            Ok(value) => {
                let response = (wait.is_some() && value != "null").then_some(value.as_str());
                growqr_wire::encode_queue_response(encoding, "completed", response)
                    .map_err(|error| codes::INVALID_OUTPUT.with(error.to_string()))
            }
            Err(Stop::Failed(failure)) if failure.is(&codes::QUEUE_TIMED_OUT) => {
                growqr_wire::encode_queue_response(encoding, "timedOut", None)
                    .map_err(|error| codes::INVALID_OUTPUT.with(error.to_string()))
            }
            Err(Stop::Failed(failure)) => Err(failure),
            Err(Stop::NotRunning) => return Err(Box::new(request)),
        };
        Ok(self.sized(encoding, answered))
    }

    async fn raw(
        &self,
        path: String,
        encoding: Encoding,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Back> {
        let mut seen = seen_request(&request, request.method().as_str(), request.body().clone());
        if header(&request, ORIGINAL_URL_HEADER).is_none() {
            seen.url = absolute(&path);
        }
        let (tell_reply, reply) = oneshot::channel();
        let admitted = match self.admit(&request, ConnectionKind::RawRequest).await {
            Ok(admitted) => admitted,
            Err(Stop::NotRunning) => return Err(Box::new(request)),
            Err(Stop::Failed(failure)) => return Ok(self.error(encoding, &failure)),
        };
        let reply_to = Waiter::Response(tell_reply).traced(trace_of(&request));
        let mail = Mail::Request { request: seen, caller: admitted.caller, reply: reply_to };
        let answered = match self.shared.deliver(self.actor, mail) {
            Ok(()) => reply.await.unwrap_or_else(|_| Err(codes::STOPPED.failure())),
            Err(Refused::Full(_)) => Err(codes::OVERLOADED.failure()),
            Err(Refused::NotRunning) => return Err(Box::new(request)),
        };
        Ok(match answered {
            Ok(response) => raw_response(response).unwrap_or_else(|failure| self.error(encoding, &failure)),
            Err(failure) => self.error(encoding, &failure),
        })
    }

    fn checked_body<'r>(&self, request: &'r http::Request<Bytes>) -> Result<&'r Bytes, Failure> {
        let body = request.body();
        let max = self.handle.served.options.max_incoming_message_size;
        if body.len() > max { Err(codes::INCOMING_TOO_LONG.failure()) } else { Ok(body) }
    }

    fn sized(&self, encoding: Encoding, answered: Result<Vec<u8>, Failure>) -> http::Response<Bytes> {
        match answered {
            Ok(body) if body.len() > self.handle.served.options.max_outgoing_message_size => {
                self.error(encoding, &codes::OUTGOING_TOO_LONG.failure())
            }
            Ok(body) => with_type(http::StatusCode::OK, encoding.content_type(), body.into()),
            Err(failure) => self.error(encoding, &failure),
        }
    }

    /// Sends mail whose answer is a value, on a connection of its own.
    async fn call(
        &self,
        request: &http::Request<Bytes>,
        kind: ConnectionKind,
        mail: impl FnOnce(Caller, Waiter) -> Mail<Waiter>,
    ) -> Result<Json, Stop> {
        let admitted = self.admit(request, kind).await?;
        let (tell_reply, reply) = oneshot::channel();
        let reply_to = Waiter::Value(tell_reply).traced(trace_of(request));
        let answered = match self.shared.deliver(self.actor, mail(admitted.caller, reply_to)) {
            Ok(()) => reply.await.unwrap_or_else(|_| Err(codes::STOPPED.failure())),
            Err(Refused::Full(_)) => Err(codes::OVERLOADED.failure()),
            Err(Refused::NotRunning) => return Err(Stop::NotRunning),
        };
        answered.map_err(Stop::Failed)
    }

    /// The connection of a request. When the component has no hook for it, it exists for the one call only.
    async fn admit(&self, request: &http::Request<Bytes>, kind: ConnectionKind) -> Result<Admitted, Stop> {
        let (params, _) = read_params(header(request, PARAMS_HEADER));
        let params = params
            .ok_or_else(|| Stop::Failed(codes::INVALID_REQUEST.with("the connection parameters are not JSON")))?;
        let id = self.shared.new_connection();
        let hooks = self.handle.served.offer.hooks;
        if !hooks.before_connect && !hooks.connect && !hooks.disconnect {
            return Ok(Admitted { caller: ephemeral(id, kind, params), _visit: None });
        }
        let connection = Connection { id, kind, params, state: None, hibernatable: false };
        let seen = Arc::new(seen_request(request, request.method().as_str(), Bytes::new()));
        let (tell_accepted, accepted) = oneshot::channel();
        let mail = Mail::Connect { connection, request: seen, reply: Waiter::Accepted(tell_accepted) };
        let mut visit = Visit { shared: self.shared.clone(), actor: self.actor, connection: id, over: true };
        match self.shared.deliver(self.actor, mail) {
            // From here on the actor may let the connection in, also when nobody waits for that any more.
            Ok(()) => visit.over = false,
            Err(Refused::Full(mail)) => {
                tell(refuse(*mail, &codes::OVERLOADED.failure()));
            }
            Err(Refused::NotRunning) => return Err(Stop::NotRunning),
        }
        let accepted = accepted.await;
        visit.over |= !matches!(accepted, Ok(Ok(())));
        match accepted {
            Ok(Ok(())) => Ok(Admitted { caller: Caller::Connection(id), _visit: Some(visit) }),
            // The actor left before it took the mail.
            Ok(Err(failure)) if failure.is(&codes::RESTARTING) => Err(Stop::NotRunning),
            Ok(Err(failure)) => Err(Stop::Failed(failure)),
            Err(_) => Err(Stop::Failed(codes::STOPPED.failure())),
        }
    }
}

/// Who asks, until the answer is there.
struct Admitted {
    caller: Caller,
    _visit: Option<Visit>,
}

/// A connection that an actor was asked to let in, or has. It is taken out again when this is dropped, so that a request that is
/// given up, by the client or by a gateway that stops, does not keep its actor awake.
struct Visit {
    shared: Arc<Shared>,
    actor: ActorId,
    connection: ConnectionId,
    /// The actor has certainly not let it in.
    over: bool,
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mail = Mail::Disconnect { connection: self.connection, code: 1000, reason: String::new() };
        // An actor that is away finds its stored connection dead when it starts.
        let _ = self.shared.deliver_control(self.actor, mail);
    }
}

/// What a client says of the trace that it makes itself.
pub fn traceparent<B>(request: &http::Request<B>) -> Option<Box<str>> {
    header(request, "traceparent").map(Into::into)
}

/// The trace that a request belongs to.
fn trace_of(request: &http::Request<Bytes>) -> Option<tracing::Span> {
    request.extensions().get().cloned()
}

fn raw_response(response: HttpResponse) -> Result<http::Response<Bytes>, Failure> {
    let invalid = |what: &str| codes::INVALID_OUTPUT.with(format!("the actor's response has {what}"));
    let status = http::StatusCode::from_u16(response.status).map_err(|_| invalid("a status that is none"))?;
    let mut built = http::Response::new(response.body);
    *built.status_mut() = status;
    for (name, value) in response.headers {
        let name: http::HeaderName = name.parse().map_err(|_| invalid("a header name that is none"))?;
        let value =
            http::HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid("a header value that is none"))?;
        built.headers_mut().append(name, value);
    }
    Ok(built)
}

fn text(body: &'static str) -> http::Response<Bytes> {
    with_type(http::StatusCode::OK, "text/plain; charset=utf-8", Bytes::from_static(body.as_bytes()))
}

fn with_type(status: http::StatusCode, kind: &'static str, body: Bytes) -> http::Response<Bytes> {
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

fn header<'r, B>(request: &'r http::Request<B>, name: &str) -> Option<&'r str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

fn absolute(path: &str) -> String {
    format!("http://127.0.0.1{path}")
}

/// A request as the actor sees it.
pub fn seen_request<B>(request: &http::Request<B>, method: &str, body: Bytes) -> HttpRequest {
    let url = match header(request, ORIGINAL_URL_HEADER) {
        Some(url) => url.to_owned(),
        None => absolute(request.uri().path_and_query().map_or("/", |path| path.as_str())),
    };
    let headers = request
        .headers()
        .iter()
        .filter(|(name, _)| name.as_str() != ORIGINAL_URL_HEADER)
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    HttpRequest { method: method.to_owned(), url, headers, body }
}

/// What the handshake of a WebSocket says.
pub struct Upgrade {
    /// A raw WebSocket, not the connection protocol.
    pub raw: bool,
    /// None: one that does not exist was asked for.
    pub encoding: Option<Encoding>,
    /// Parameters, as JSON text.
    pub params: Option<String>,
}

impl Upgrade {
    /// Reads the path and the subprotocols.
    pub fn read(request: &http::Request<()>) -> Self {
        let mut upgrade =
            Self { raw: request.uri().path() != "/connect", encoding: Some(Encoding::Json), params: None };
        let protocols = request.headers().get_all(http::header::SEC_WEBSOCKET_PROTOCOL);
        for token in protocols.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
            let token = token.trim();
            if token.starts_with("rivet_encoding.") {
                upgrade.encoding = Encoding::from_subprotocol(token);
            } else if let Some(params) = token.strip_prefix("rivet_conn_params.") {
                // Text that is no valid percent-encoding is no JSON either, and is refused as such.
                upgrade.params = Some(percent_decode(params).unwrap_or_default());
            }
        }
        upgrade
    }
}
