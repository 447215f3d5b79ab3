//! Raw HTTP and raw WebSockets.

use growqr_actor_sdk::prelude::*;
use serde_json::{Map, Value, json};

fn not_found() -> Response {
    Response::text(404, "Not Found")
}

fn headers(request: &Request) -> Map<String, Value> {
    request.headers.iter().map(|header| (header.name.clone(), header.value.as_str().into())).collect()
}

/// Decodes a part of a query as forms write it. What is no escape stays as it is.
fn form_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape =
            bytes.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (bytes[at], escape) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn query_values(query: &str) -> Map<String, Value> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (form_decode(key), form_decode(value).into()))
        .collect()
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawHttpActor {
    request_count: i64,
}

#[actor]
impl RawHttpActor {
    #[on_request]
    fn request(&mut self, request: Request) -> Result<Response> {
        self.request_count += 1;
        match (request.method.as_str(), request.path()) {
            ("GET", "/api/hello") => Response::json(200, &json!({"message": "Hello from actor!"})),
            ("POST", "/api/echo") => {
                let echo = Response::status(200).with_body(request.body);
                Ok(request.headers.into_iter().fold(echo, |echo, header| echo.with_header(header.name, header.value)))
            }
            (_, "/api/state") => Response::json(200, &json!({"requestCount": self.request_count})),
            (_, "/api/headers") => Response::json(200, &headers(&request)),
            _ => Ok(not_found()),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct RawHttpNoHandlerActor;

#[actor]
impl RawHttpNoHandlerActor {
    #[action(read_only)]
    fn ping(&self) -> &'static str {
        "pong"
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct RawHttpVoidReturnActor;

/// A handler without a response does not compile here; the error that the original makes of one is given as such.
#[actor]
impl RawHttpVoidReturnActor {
    #[on_request]
    fn request(&self, _request: Request) -> Result<Response> {
        Err(Fail::of("actor", "invalid_response", "onRequest handler must return a Response"))
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct RawHttpHonoActor;

impl RawHttpHonoActor {
    fn merged(id: Value, request: &Request) -> Result<Value> {
        let mut user = json!({"id": id});
        if let (Some(user), Value::Object(fields)) = (user.as_object_mut(), request.json::<Value>()?) {
            user.extend(fields);
        }
        Ok(user)
    }
}

#[actor]
impl RawHttpHonoActor {
    #[on_request]
    fn request(&self, request: Request) -> Result<Response> {
        let path = request.path().to_owned();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", [""]) => Response::json(200, &json!({"message": "Welcome to Hono actor!"})),
            ("GET", ["users"]) => Response::json(200, &json!([{"id": 1, "name": "Alice"}, {"id": 2, "name": "Bob"}])),
            ("POST", ["users"]) => Response::json(201, &Self::merged(json!(3), &request)?),
            (method, ["users", id]) => {
                let Ok(id) = id.parse::<i64>() else { return Ok(not_found()) };
                match method {
                    "GET" => Response::json(200, &json!({"id": id, "name": if id == 1 { "Alice" } else { "Bob" }})),
                    "PUT" => Response::json(200, &Self::merged(json!(id), &request)?),
                    "DELETE" => Response::json(200, &json!({"message": format!("User {id} deleted")})),
                    _ => Ok(not_found()),
                }
            }
            _ => Ok(not_found()),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct RawHttpRequestPropertiesActor;

#[actor]
impl RawHttpRequestPropertiesActor {
    #[on_request]
    fn request(&self, request: Request) -> Result<Response> {
        match request.method.as_str() {
            "HEAD" => return Ok(Response::status(200)),
            "OPTIONS" => return Ok(Response::status(204)),
            _ => {}
        }
        let query = request.query();
        let is_json = request.header("content-type").is_some_and(|kind| kind.contains("application/json"));
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let body = match text.is_empty() {
            true => Value::Null,
            false if is_json => serde_json::from_str(&text).unwrap_or(Value::Null),
            false => text.into(),
        };
        // An empty body that was announced differs from none.
        let announced = ["content-length", "transfer-encoding"].iter().any(|name| request.header(name).is_some());
        let body_text = match &body {
            Value::String(text) => Value::from(text.as_str()),
            Value::Null if announced => "".into(),
            _ => Value::Null,
        };
        let search = if query.is_empty() { String::new() } else { format!("?{query}") };
        Response::json(
            200,
            &json!({
                "url": request.url,
                "pathname": request.path(),
                "search": search,
                "searchParams": query_values(query),
                "hash": "",
                "method": request.method,
                "headers": headers(&request),
                "body": body,
                "bodyText": body_text,
                "cache": null,
                "credentials": null,
                "mode": null,
                "redirect": null,
                "referrer": null,
            }),
        )
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RawWebSocketActor {
    connection_count: i64,
    message_count: i64,
    indexed_message_order: Vec<u64>,
}

/// The upgrade request of a socket, as its connection state, so that it is still known after a sleep.
#[derive(Serialize, Deserialize)]
struct Upgrade {
    url: String,
    pathname: String,
    search: String,
}

impl RawWebSocketActor {
    fn message(&mut self, ctx: &mut Ctx, frame: &Frame, index: u64) -> Result<()> {
        self.message_count += 1;
        let Frame::Text(text) = frame else {
            ctx.send_frame(frame);
            return Ok(());
        };
        let parsed = serde_json::from_str::<Value>(text).unwrap_or_default();
        let answer = match parsed["type"].as_str() {
            Some("ping") => json!({"type": "pong", "timestamp": ctx.now()}),
            Some("getStats") => {
                json!({"type": "stats", "connectionCount": self.connection_count, "messageCount": self.message_count})
            }
            Some("getRequestInfo") => {
                let upgrade = ctx.connection().map(|connection| connection.state::<Upgrade>()).transpose()?;
                let Some(Upgrade { url, pathname, search }) = upgrade else { return Ok(()) };
                json!({"type": "requestInfo", "url": url, "pathname": pathname, "search": search})
            }
            Some("indexedEcho") => {
                self.indexed_message_order.push(index);
                json!({"type": "indexedEcho", "payload": parsed["payload"], "rivetMessageIndex": index})
            }
            Some("indexedAckProbe") => {
                self.indexed_message_order.push(index);
                let size = parsed["payload"].as_str().map_or(0, str::len);
                json!({"type": "indexedAckProbe", "payloadSize": size, "rivetMessageIndex": index})
            }
            Some("getIndexedMessageOrder") => {
                json!({"type": "indexedMessageOrder", "order": self.indexed_message_order})
            }
            Some("scheduleSleep") => {
                ctx.after(25, "sleep", &())?;
                json!({"type": "sleepScheduled"})
            }
            _ => {
                ctx.send_frame(frame);
                return Ok(());
            }
        };
        ctx.send_text(answer.to_string());
        Ok(())
    }
}

#[actor(options(can_hibernate = true, sleep_timeout = 250))]
impl RawWebSocketActor {
    #[on_socket]
    fn socket(&mut self, ctx: &mut Ctx, event: SocketEvent) -> Result<()> {
        match event {
            SocketEvent::Open(request) => {
                self.connection_count += 1;
                let query = request.query();
                let search = if query.is_empty() { String::new() } else { format!("?{query}") };
                if let Some(mut connection) = ctx.connection() {
                    let pathname = request.path().to_owned();
                    connection.set_state(&Upgrade { url: request.url.clone(), pathname, search })?;
                }
                ctx.send_text(json!({"type": "welcome", "connectionCount": self.connection_count}).to_string());
            }
            SocketEvent::Message(message) => self.message(ctx, &message.frame, message.index)?,
            SocketEvent::Close(_) => self.connection_count -= 1,
        }
        Ok(())
    }

    #[on_timer]
    fn sleep(&self, ctx: &mut Ctx) {
        ctx.sleep();
    }

    #[action]
    fn trigger_sleep(&self, ctx: &mut Ctx) -> bool {
        ctx.sleep();
        true
    }

    #[action(read_only)]
    fn get_stats(&self) -> Value {
        json!({"connectionCount": self.connection_count, "messageCount": self.message_count})
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct RawWebSocketBinaryActor;

#[actor]
impl RawWebSocketBinaryActor {
    #[on_socket]
    fn socket(&self, ctx: &mut Ctx, event: SocketEvent) {
        if let SocketEvent::Message(message) = event
            && let Frame::Binary(mut bytes) = message.frame
        {
            bytes.reverse();
            ctx.send_frame(&Frame::Binary(bytes));
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawWebSocketAsyncOpenActor {
    open_count: i64,
}

#[actor(options(can_hibernate = false, sleep_grace_period = 2000))]
impl RawWebSocketAsyncOpenActor {
    #[on_socket]
    fn socket(&mut self, ctx: &mut Ctx, event: SocketEvent) -> Result<()> {
        if let SocketEvent::Open(_) = event {
            self.open_count += 1;
            let id = ctx.connection_id().map(str::to_owned);
            ctx.after(10, "opened", &(id, self.open_count))?;
        }
        Ok(())
    }

    #[on_timer]
    fn opened(&self, ctx: &mut Ctx, opened: (String, i64)) {
        if let Some(connection) = ctx.connection_by_id(&opened.0) {
            connection.send_text(json!({"type": "async-open", "openCount": opened.1}).to_string());
        }
    }

    #[action(read_only)]
    fn get_open_count(&self) -> i64 {
        self.open_count
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct RawWebSocketConnContextActor;

#[actor]
impl RawWebSocketConnContextActor {
    #[on_socket]
    fn socket(&self, ctx: &mut Ctx, event: SocketEvent) -> Result<()> {
        let SocketEvent::Open(_) = event else { return Ok(()) };
        let Some(mut connection) = ctx.connection() else { return Ok(()) };
        let state = json!({"opened": true, "connId": connection.id});
        connection.set_state(&state)?;
        connection.send_text(json!({"type": "conn-context", "connId": connection.id, "state": state}).to_string());
        Ok(())
    }
}
