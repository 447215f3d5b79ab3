//! Accepts connections, and ends them.

use crate::backend::Backend;
use crate::budget::Budget;
use crate::serve::{self, Shared};
use crate::socket::Sockets;
use crate::{GatewayOptions, Stats};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long to wait after a failed `accept`, for example because no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the log is silent about a crowd after it told of one.
const CROWDED_PAUSE: Duration = Duration::from_secs(60);
/// The smallest bound of a read buffer that the HTTP library takes.
const BUFFER_BYTES_MIN: usize = 8 << 10;

/// A TCP connection's place among the allowed ones; it is taken for as long as somebody holds this.
pub(crate) struct Connection {
    open: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn new(open: &Arc<AtomicUsize>, permit: OwnedSemaphorePermit) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self { open: open.clone(), _permit: permit }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The network edge of the host. Cheap to clone.
pub struct Gateway<B> {
    shared: Arc<Shared<B>>,
    connections: Arc<Semaphore>,
    /// Not what is missing in the semaphore: accepting takes a place before there is a connection.
    open: Arc<AtomicUsize>,
}

impl<B> Clone for Gateway<B> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), connections: self.connections.clone(), open: self.open.clone() }
    }
}

impl<B: Backend> Gateway<B> {
    /// A gateway to the actors of a backend.
    pub fn new(backend: B, options: GatewayOptions) -> Self {
        let connections = Arc::new(Semaphore::new(options.connections_max));
        let shared = Shared {
            backend,
            budget: Budget::new(options.incoming_bytes_max),
            sockets: Sockets::default(),
            socket_permits: Arc::new(Semaphore::new(options.sockets_max)),
            requests: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            closing: CancellationToken::new(),
            abort: CancellationToken::new(),
            options,
        };
        Self { shared: Arc::new(shared), connections, open: Arc::default() }
    }

    /// What it holds and has done.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        Stats {
            connections: self.open.load(Ordering::Relaxed),
            sockets: shared.sockets.len(),
            requests: shared.requests.load(Ordering::Relaxed),
            incoming_bytes: shared.budget.used(),
        }
    }

    /// Serves until `stop`; then accepts nothing more, lets what is under way at actors come to its end, asks the clients of sockets to
    /// connect again, and comes back when all requests under way are answered or their time is over. A gateway serves once.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let shared = &self.shared;
        stop.run_until_cancelled(self.accept(&listener)).await;
        drop(listener);
        shared.stop.cancel();
        if let Some(drain) = &shared.options.drain {
            drain().await;
        }
        shared.closing.cancel();
        shared.sockets.close_all();
        shared.tasks.close();
        let timeout = shared.options.stop_timeout;
        if tokio::time::timeout(timeout, shared.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = shared.tasks.len(), "requests did not finish in time and are dropped");
            shared.abort.cancel();
            shared.sockets.abort_all();
            // What does not even end now is stuck within the host, and is no reason to keep it running.
            let _ = tokio::time::timeout(timeout, shared.tasks.wait()).await;
        }
        Ok(())
    }

    /// A place for one more connection.
    async fn place(&self, told: &mut Option<Instant>) -> Option<OwnedSemaphorePermit> {
        let connections = self.connections.clone();
        if let Ok(permit) = connections.clone().try_acquire_owned() {
            return Some(permit);
        }
        let max = self.shared.options.connections_max;
        if told.is_none_or(|told| told.elapsed() >= CROWDED_PAUSE) {
            *told = Some(Instant::now());
            tracing::warn!(
                connections = max,
                "all connections are in use, so new clients wait; raise the limit of open files (ulimit -n) if that is too few"
            );
        }
        connections.acquire_owned().await.ok()
    }

    async fn accept(&self, listener: &TcpListener) {
        let mut told = None;
        // The semaphore is never closed.
        while let Some(permit) = self.place(&mut told).await {
            let stream = accept_one(listener).await;
            // A stream that can't be set up is broken and fails at its first use.
            let _ = stream.set_nodelay(true);
            let shared = self.shared.clone();
            self.shared.tasks.spawn(connection(shared, Arc::new(Connection::new(&self.open, permit)), stream));
        }
    }
}

/// The next connection. Nothing that goes wrong with one ends the host.
async fn accept_one(listener: &TcpListener) -> TcpStream {
    let mut told = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // That client gave up while it waited; the next one has not.
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => {
                // Once is enough until it works again: the reason stays the same for many attempts.
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(
                        %error,
                        "can't accept connections, trying again; if files are what is missing, raise the limit of open files (ulimit -n)"
                    );
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection<B: Backend>(shared: Arc<Shared<B>>, place: Arc<Connection>, stream: TcpStream) {
    let service = {
        let shared = shared.clone();
        service_fn(move |request| {
            let answer = serve::answer(shared.clone(), place.clone(), request);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .half_close(true)
        .header_read_timeout(shared.options.header_timeout)
        .max_header_size(shared.options.header_bytes_max)
        .max_buf_size(shared.options.header_bytes_max.max(BUFFER_BYTES_MIN))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let stopped = tokio::select! {
        ended = connection.as_mut() => {
            log_end(ended);
            false
        }
        () = shared.stop.cancelled() => true,
    };
    if stopped {
        connection.as_mut().graceful_shutdown();
        if let Some(ended) = shared.abort.run_until_cancelled(connection).await {
            log_end(ended);
        }
    }
}

fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
