//! Connections, raw requests and raw sockets.

use crate::Context;
use growqr_actor_sdk::prelude::*;
use std::collections::BTreeMap;

/// What a client may pass as connection parameters. Others, such as the host's own, are not looked at.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Params {
    name: Option<String>,
    /// Not let in.
    refuse: bool,
    /// Let in only after so many milliseconds.
    defer_ms: Option<u64>,
}

/// What the actor keeps about a connection.
#[derive(Default, Serialize, Deserialize)]
pub struct Seen {
    name: String,
    calls: u64,
}

/// A verdict that a timer carries.
#[derive(Serialize, Deserialize)]
pub struct Late {
    pub reply: ReplyHandle,
    pub seen: Seen,
}

pub fn before_connect(ctx: &mut Context, request: &ConnectionRequest) -> Result<Reply<Seen>> {
    let params: Option<Params> = request.params()?;
    let params = params.unwrap_or_default();
    if params.refuse {
        return Err(Fail::new("refused", "as asked"));
    }
    let seen = Seen { name: params.name.unwrap_or_else(|| "anonymous".to_owned()), calls: 0 };
    let Some(ms) = params.defer_ms else { return Ok(Reply::Now(seen)) };
    let deferred = ctx.defer();
    ctx.after(ms, "letIn", &Late { reply: deferred.handle(), seen })?;
    Ok(Reply::Later(deferred))
}

/// Counts the calls of one connection in its own state.
pub fn count(ctx: &mut Context) -> Result<u64> {
    let Some(mut connection) = ctx.connection() else { return Err(Fail::new("no_connection", "nobody is connected")) };
    let mut seen: Seen = connection.state()?;
    seen.calls += 1;
    connection.set_state(&seen)?;
    Ok(seen.calls)
}

/// Sends a frame to every raw socket; gives their number.
pub fn to_all(ctx: &Context, frame: &Frame) -> usize {
    let sockets = ctx.connections().into_iter().filter(|connection| connection.kind == ConnectionKind::RawSocket);
    sockets.filter(|socket| socket.send_frame(frame)).count()
}

pub fn socket(ctx: &mut Context, event: SocketEvent) {
    match event {
        SocketEvent::Open(_) => {
            ctx.send_text("hello");
        }
        SocketEvent::Message(message) => match &message.frame {
            Frame::Text(text) if text.starts_with("broadcast:") => {
                to_all(ctx, &message.frame);
            }
            Frame::Text(text) if text == "index" => {
                ctx.send_text(message.index.to_string());
            }
            frame => {
                ctx.send_frame(frame);
            }
        },
        SocketEvent::Close(_) => {}
    }
}

/// `/echo`, `/headers`, `/status/<code>`, `/later?<ms>`
pub fn request(ctx: &mut Context, request: &Request) -> Result<Reply<Response>> {
    let path = request.path();
    if let Some(status) = path.strip_prefix("/status/") {
        return Ok(Reply::Now(Response::status(status.parse()?)));
    }
    Ok(Reply::Now(match path {
        "/echo" => {
            let kind = request.header("content-type").unwrap_or("application/octet-stream");
            Response::status(200).with_header("content-type", kind).with_body(request.body.clone())
        }
        "/headers" => {
            let headers: BTreeMap<_, _> = request.headers.iter().map(|h| (&h.name, &h.value)).collect();
            Response::json(200, &headers)?
        }
        "/later" => {
            let deferred = ctx.defer();
            ctx.after(request.query().parse()?, "respond", &deferred.handle())?;
            return Ok(Reply::Later(deferred));
        }
        _ => Response::text(404, "Not Found"),
    }))
}
