//! Answers one request.

use crate::backend::Backend;
use crate::budget::Budget;
use crate::entry::{self, Visitor};
use crate::meters::{Kind, METERS};
use crate::ray::{self, Ray};
use crate::reply::{self, Cors, ReplyBody};
use crate::rest;
use crate::route::{self, Head, Route, Target};
use crate::server::Connection;
use crate::socket::{self, Opening, Sockets};
use crate::{GatewayOptions, REST_BODY_BYTES_MAX, body, handshake};
use bytes::Bytes;
use growqr_types::{ActorId, ActorKey, Failure, codes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Which actor answered.
const ACTOR: HeaderName = HeaderName::from_static("x-rivet-actor");
/// Its key.
const ACTOR_KEY: HeaderName = HeaderName::from_static("x-rivet-actor-key");
/// What a client says of the trace that it makes itself.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Headers of an actor's answer that speak of a connection it does not have.
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What all requests of a gateway share.
pub(crate) struct Shared<B> {
    pub(crate) backend: B,
    pub(crate) options: GatewayOptions,
    pub(crate) budget: Arc<Budget>,
    pub(crate) sockets: Sockets,
    pub(crate) socket_permits: Arc<Semaphore>,
    pub(crate) requests: AtomicU64,
    pub(crate) tasks: TaskTracker,
    /// The gateway stops: nothing new, and what is under way may finish.
    pub(crate) stop: CancellationToken,
    /// What was under way at actors is over, and sockets are closed.
    pub(crate) closing: CancellationToken,
    /// The time for that is over.
    pub(crate) abort: CancellationToken,
}

/// Answers one request of a client.
pub(crate) async fn answer<B: Backend>(
    shared: Arc<Shared<B>>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let started = Instant::now();
    let ray = Ray::of(request.headers());
    let cors = Cors::of(request.headers());
    let is_upgrade = handshake::is_wanted(request.method(), request.headers());
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    let route = route::find(&Head {
        path: uri.path(),
        query,
        headers: request.headers(),
        is_upgrade,
        shortcuts: &shared.options.shortcuts,
    });
    let method = request.method().clone();
    let form = if let Route::Actor { form, .. } = &route { Some(*form) } else { None };
    let kind;
    let mut response = match route {
        Route::Extra => {
            let response = match &shared.options.extra {
                Some(extra) => extra(request).await,
                None => {
                    let mut response = reply::failure(&codes::API_NOT_FOUND.failure());
                    cors.apply(&ray, response.headers_mut());
                    response
                }
            };
            METERS.request(Kind::Extra, response.status(), started.elapsed());
            return response;
        }
        Route::Actor { .. } if reply::is_preflight(&method, request.headers()) => {
            kind = Kind::Preflight;
            reply::preflight(request.headers(), false)
        }
        Route::Actor { target, path, .. } if is_upgrade => {
            kind = Kind::Socket;
            upgrade(&shared, connection, request, target, &path, &ray)
        }
        Route::Actor { target, path, .. } => {
            kind = Kind::Actor;
            at_actor(&shared, request, target, &path, &ray).await.unwrap_or_else(|failure| reply::failure(&failure))
        }
        Route::Rest { path } => {
            kind = Kind::Rest;
            at_rest(&shared, request, &path).await.unwrap_or_else(|failure| reply::failure(&failure))
        }
    };
    cors.apply(&ray, response.headers_mut());
    // Paths and queries can hold tokens and keys, so the line has none of them.
    let elapsed = started.elapsed();
    METERS.request(kind, response.status(), elapsed);
    let (elapsed_us, kind) = (elapsed.as_micros() as u64, kind.word());
    tracing::debug!(ray = ray.text(), %method, kind, ?form, status = response.status().as_u16(), elapsed_us, "request");
    response
}

async fn at_rest<B: Backend>(
    shared: &Shared<B>,
    request: Request<Incoming>,
    path: &str,
) -> Result<Response<ReplyBody>, Failure> {
    if request.method() == Method::OPTIONS {
        return Ok(reply::preflight(request.headers(), true));
    }
    let (head, body) = request.into_parts();
    let called = match rest::find(shared, &head, path).await {
        Ok(called) => called,
        Err(failure) => {
            body::discard(body).await;
            return Err(failure);
        }
    };
    let mut charge = shared.budget.charge();
    let body =
        body::read(body, REST_BODY_BYTES_MAX, shared.options.body_timeout, &mut charge, &codes::INVALID_REQUEST_BODY)
            .await?;
    rest::answer(shared, &head, &called, &body).await
}

async fn at_actor<B: Backend>(
    shared: &Shared<B>,
    request: Request<Incoming>,
    target: Result<Target, Failure>,
    path: &str,
    ray: &Ray,
) -> Result<Response<ReplyBody>, Failure> {
    let options = &shared.options;
    let (mut head, body) = request.into_parts();
    let is_message = path.starts_with("/action/") || path.starts_with("/queue/");
    let (bytes_max, too_large) = if is_message {
        (options.message_bytes_max, &codes::INCOMING_TOO_LONG)
    } else {
        (options.raw_body_bytes_max, &codes::INVALID_REQUEST_BODY)
    };
    let visitor = Visitor::take(options.identity.as_ref(), &mut head.headers);
    let principal = match visitor.identify(options.identity.as_ref()).await {
        Ok(principal) => principal,
        Err(failure) => {
            body::discard(body).await;
            return Err(failure);
        }
    };
    entry::announce(&principal, &mut head.headers);
    // The body is read before the actor is looked for: a refused client can then use its connection again.
    let mut charge = shared.budget.charge();
    let body = body::read(body, bytes_max, options.body_timeout, &mut charge, too_large).await?;
    let (actor, key) = entry::reach(&shared.backend, &principal, target?).await?;
    let is_head = head.method == Method::HEAD;
    let headers = std::mem::take(&mut head.headers);
    let trace = trace(shared, &headers, if is_message { "action" } else { "request" });
    let mut request = for_actor(head.method, path, headers, ray, body)?;
    if let Some(trace) = &trace {
        request.extensions_mut().insert(trace.clone());
    }
    let response = shared.backend.http(actor, request).await?;
    drop(trace);
    from_actor(response, actor, &key, is_head, options.raw_body_bytes_max)
}

/// Begins the trace of a request to an actor, if there are traces and this one is among them.
fn trace<B>(shared: &Shared<B>, headers: &HeaderMap, what: &'static str) -> Option<tracing::Span> {
    let tracer = shared.options.tracer.as_ref()?;
    tracer(headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()), what)
}

/// The request as the actor sees it.
fn for_actor<T>(method: Method, path: &str, mut headers: HeaderMap, ray: &Ray, body: T) -> Result<Request<T>, Failure> {
    route::strip_tokens(&mut headers);
    headers.insert(ray::HEADER, ray.value());
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| codes::API_BAD_REQUEST.with("The path is not valid."))?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The actor's answer as the client sees it.
fn from_actor(
    response: Response<Bytes>,
    actor: ActorId,
    key: &ActorKey,
    is_head: bool,
    bytes_max: usize,
) -> Result<Response<ReplyBody>, Failure> {
    let (mut head, body) = response.into_parts();
    if head.status.is_informational() || body.len() > bytes_max {
        return Err(codes::INVALID_RESPONSE_BODY.failure());
    }
    let length = head.headers.remove(header::CONTENT_LENGTH);
    drop_hop_by_hop(&mut head.headers);
    if is_head
        && body.is_empty()
        && let Some(length) = length.filter(|length| length.to_str().is_ok_and(|text| text.parse::<u64>().is_ok()))
    {
        // The answer to HEAD tells the length of a body that it does not have.
        head.headers.insert(header::CONTENT_LENGTH, length);
    }
    if let Ok(value) = HeaderValue::from_str(&actor.to_string()) {
        head.headers.insert(ACTOR, value);
    }
    match HeaderValue::from_bytes(key.to_rest().as_bytes()) {
        Ok(value) => drop(head.headers.insert(ACTOR_KEY, value)),
        // A key with line breaks has no place in a header.
        Err(_) => drop(head.headers.remove(ACTOR_KEY)),
    }
    let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let mut answer = reply::bytes(head.status, if bodiless { Bytes::new() } else { body });
    *answer.headers_mut() = head.headers;
    Ok(answer)
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for name in HOP_BY_HOP.into_iter().chain(named.iter().map(String::as_str)) {
        headers.remove(name);
    }
}

/// Accepts a WebSocket before it is known whether the actor exists: browsers see the reason of a close, not that of a refusal.
fn upgrade<B: Backend>(
    shared: &Arc<Shared<B>>,
    connection: Arc<Connection>,
    mut request: Request<Incoming>,
    target: Result<Target, Failure>,
    path: &str,
    ray: &Ray,
) -> Response<ReplyBody> {
    let response = match handshake::answer(request.headers()) {
        Ok(response) => response,
        Err(refusal) => return *refusal,
    };
    let Ok(permit) = shared.socket_permits.clone().try_acquire_owned() else {
        return reply::failure(&codes::SERVICE_UNAVAILABLE.with("The host has too many sockets; try again."));
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let mut headers = std::mem::take(request.headers_mut());
    let visitor = Visitor::take(shared.options.identity.as_ref(), &mut headers);
    let request = match for_actor(Method::GET, path, headers, ray, ()) {
        Ok(request) => request,
        Err(failure) => return reply::failure(&failure),
    };
    let opening = Opening { target, visitor, request, ray: ray.clone() };
    // This task is large and soon over: it starts the small one that stays for as long as the socket does.
    let task = shared.clone();
    shared.tasks.spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            socket::open(task, upgraded, opening, (permit, connection)).await;
        }
    });
    response
}
