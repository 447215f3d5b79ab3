//! The counter actor that examples and benchmarks aim at.

use growqr_actor_sdk::prelude::*;
use serde_json::{Map, json};

#[derive(Default, Serialize, Deserialize)]
struct Counter {
    count: i64,
}

#[actor(events("ping"))]
impl Counter {
    #[action]
    fn increment(&mut self, by: Option<i64>) -> i64 {
        self.count += by.unwrap_or(1);
        self.count
    }

    #[action(read_only)]
    fn get_count(&self) -> i64 {
        self.count
    }

    #[action(read_only)]
    fn echo(&self, value: Json) -> Json {
        value
    }

    #[action(read_only)]
    fn noop(&self) {}

    #[action]
    fn broadcast_ping(&self, ctx: &mut Ctx, payload: Json) -> bool {
        ctx.broadcast("ping", &payload);
        true
    }

    #[action(read_only)]
    fn fail_user(&self) -> Result<()> {
        Err(Fail::new("my_code", "nope").metadata(&json!({"a": 1})))
    }

    #[action(read_only)]
    fn fail_internal(&self) -> Result<()> {
        Err(Fail::internal("secret detail"))
    }

    #[action]
    fn destroy_self(&self, ctx: &mut Ctx) -> bool {
        ctx.destroy_self();
        true
    }

    /// Says what it was asked, as JSON with status 207.
    #[on_request]
    fn request(&self, request: Request) -> Result<Response> {
        let headers: Map<_, _> = request.headers.iter().map(|h| (h.name.clone(), h.value.as_str().into())).collect();
        let body = if matches!(request.method.as_str(), "GET" | "HEAD") { None } else { Some(request.text()?) };
        let (method, url, path) = (&request.method, &request.url, request.target());
        let answer = json!({"method": method, "url": url, "path": path, "headers": headers, "body": body});
        Ok(Response::json(207, &answer)?.with_header("x-from-actor", "yes"))
    }

    /// Greets, and then gives every frame back.
    #[on_socket]
    fn socket(&self, ctx: &mut Ctx, event: SocketEvent) {
        match event {
            SocketEvent::Open(_) => ctx.send_text("hello from actor"),
            SocketEvent::Message(message) => ctx.send_frame(&message.frame),
            SocketEvent::Close(_) => false,
        };
    }
}

export!(Counter);
