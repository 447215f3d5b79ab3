//! A counter over raw sockets and raw HTTP, for the comparison with other hosts.
//!
//! A message is `{"id":1,"op":"increment","v":1}`, its answer `{"id":1,"r":5}`. There is no struct of state and no action: one key
//! holds the count, and every message touches only what it needs.

use growqr_actor_sdk::prelude::*;
use serde_json::value::RawValue;

/// Without fields: nothing is loaded or saved but what the operations ask for.
#[derive(Default, Serialize, Deserialize)]
struct Bench;

/// Fresh at each wake, so that it shows whether the instance survived.
#[derive(Default)]
struct Vars {
    operations: u64,
    /// The count as stored; none until it was read.
    count: Option<i64>,
}

#[derive(Deserialize)]
struct Message<'a> {
    id: u64,
    #[serde(borrow)]
    op: &'a str,
    #[serde(borrow)]
    v: Option<&'a RawValue>,
}

const COUNT: &str = "n";

#[actor(vars = Vars, options(hibernatable_web_sockets = true))]
impl Bench {
    #[on_socket]
    fn socket(&self, ctx: &mut Ctx<Vars>, event: SocketEvent) -> Result<()> {
        if let SocketEvent::Message(message) = event {
            let answer = match &message.frame {
                Frame::Text(text) => answer(ctx, text.as_bytes())?,
                Frame::Binary(bytes) => answer(ctx, bytes)?,
            };
            ctx.send_text(answer);
        }
        Ok(())
    }

    #[on_request]
    fn request(&self, ctx: &mut Ctx<Vars>, request: Request) -> Result<Response> {
        let answer = answer(ctx, &request.body)?;
        Ok(Response::status(200).with_header("content-type", "application/json").with_body(answer))
    }
}

fn answer(ctx: &mut Ctx<Vars>, message: &[u8]) -> Result<String> {
    let message: Message = serde_json::from_slice(message).map_err(|_| Fail::validation("the message is not valid"))?;
    let value = message.v.map_or("null", RawValue::get);
    let result = match message.op {
        "increment" => {
            ctx.vars.operations += 1;
            let count = count(ctx) + value.parse::<i64>()?;
            ctx.vars.count = Some(count);
            let text = count.to_string();
            ctx.set(COUNT, text.as_bytes());
            text
        }
        "get" => count(ctx).to_string(),
        "echo" => value.to_owned(),
        "info" => {
            let (n, mem) = (count(ctx), ctx.vars.operations);
            let sockets = sockets(ctx).count();
            format!(r#"{{"n":{n},"mem":{mem},"version":"v1","sockets":{sockets}}}"#)
        }
        "broadcast" => {
            let event = Frame::Text([r#"{"ev":"#, value, "}"].concat());
            sockets(ctx).filter(|socket| socket.send_frame(&event)).count().to_string()
        }
        _ => return Err(Fail::validation("bad op")),
    };
    Ok([r#"{"id":"#, &message.id.to_string(), r#","r":"#, &result, "}"].concat())
}

fn count(ctx: &mut Ctx<Vars>) -> i64 {
    if let Some(count) = ctx.vars.count {
        return count;
    }
    let stored = ctx.get(COUNT).and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok()).unwrap_or(0);
    ctx.vars.count = Some(stored);
    stored
}

fn sockets(ctx: &Ctx<Vars>) -> impl Iterator<Item = Connection> {
    ctx.connections().into_iter().filter(|connection| connection.kind == ConnectionKind::RawSocket)
}

export!(Bench);
