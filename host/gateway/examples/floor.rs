//! What a figure of the benchmark must contain at least: the loopback, the HTTP and WebSocket libraries, and the disk.
//!
//! `floor serve` echoes frames and bodies with the gateway's own libraries and nothing behind them, on one thread, and prints
//! `{"listening": ...}`. `floor sync DIR COUNT BYTES` appends and flushes, COUNT times, and prints the times in microseconds.

#![allow(clippy::unwrap_used, reason = "a measurement may panic")]

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha1_smol::Sha1;
use std::io::Write;
use std::path::Path;
use std::time::Instant;
use tokio::net::TcpListener;

/// What the protocol adds to the client's key.
const WEBSOCKET_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve()),
        ["sync", folder, count, bytes] => sync(Path::new(folder), count.parse().unwrap(), bytes.parse().unwrap()),
        _ => panic!("floor serve | floor sync DIR COUNT BYTES"),
    }
}

/// Appends to a file and flushes it each time, as a journal does.
fn sync(folder: &Path, count: usize, bytes: usize) {
    let path = folder.join("floor-sync");
    let mut file = std::fs::File::create(&path).unwrap();
    let block = vec![7; bytes];
    let mut micros: Vec<f64> = (0..count)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&block).unwrap();
            file.sync_data().unwrap();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    std::fs::remove_file(path).unwrap();
    micros.sort_by(f64::total_cmp);
    println!(r#"{{"min_us":{},"p50_us":{},"p99_us":{}}}"#, micros[0], micros[count / 2], micros[count * 99 / 100]);
}

async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!(r#"{{"listening":"http://{}"}}"#, listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(connection.with_upgrades());
    }
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY).cloned() else {
        let body = request.into_body().collect().await?.to_bytes();
        return Ok(Response::new(Full::new(body)));
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(stream) = upgrade.await else { return };
        let mut socket = tokio_websockets::ServerBuilder::new().serve(TokioIo::new(stream));
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                break;
            }
        }
    });
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(WEBSOCKET_GUID.as_bytes());
    let accept = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, hash.digest().bytes());
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response.body(Full::default()).unwrap())
}
