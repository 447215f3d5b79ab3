//! The operator's listener: `/metrics`, `/health`, `/ready`. It is apart from the clients' one, so that a full house can still be
//! looked at, and so that numbers are not shown to everybody.

use crate::{Health, Metrics, process};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at a time.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a request's line and headers.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// How long a client may take to send a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may last.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(300);
/// How long to wait after a failed `accept`.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The form of the numbers.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Shared {
    metrics: Metrics,
    health: Health,
    version: String,
    started: Instant,
}

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, metrics: Metrics, health: Health, version: String) {
    process::describe();
    let started = Instant::now();
    metrics.look(move || process::look(started));
    let shared = Arc::new(Shared { metrics, health, version, started });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // The semaphore is never closed.
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    // One that lasts too long, or breaks, is simply dropped.
                    let _ = tokio::time::timeout(CONNECTION_TIME_MAX, connection(shared, stream)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "the operator's listener can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&shared, request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of the operator's listener ended");
    }
}

fn answer(shared: &Shared, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n".to_owned());
    }
    match path {
        "/metrics" => plain(StatusCode::OK, PROMETHEUS, shared.metrics.render()),
        "/health" => {
            let uptime = shared.started.elapsed().as_secs();
            let body = serde_json::json!({ "status": "ok", "version": shared.version, "uptimeSeconds": uptime });
            plain(StatusCode::OK, "application/json", body.to_string())
        }
        "/ready" => {
            let (ready, body) = shared.health.ready(true);
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            plain(status, "application/json", body.to_string())
        }
        _ => plain(StatusCode::NOT_FOUND, "text/plain", "here are /metrics, /health and /ready\n".to_owned()),
    }
}

fn plain(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
