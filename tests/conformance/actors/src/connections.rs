//! Connections: their state, who is let in, and what they may have.

use crate::counters::with_state;
use crate::queues::Queues;
use growqr_actor_sdk::prelude::*;
use serde_json::{Value, json};

fn forbidden() -> Fail {
    Fail::of("auth", "forbidden", "Forbidden.")
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnStateActor {
    shared_counter: i64,
    disconnection_count: i64,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    username: String,
    role: String,
    counter: i64,
    created_at: u64,
    no_count: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserParams {
    username: Option<String>,
    role: Option<String>,
    no_count: Option<bool>,
}

fn described(connection: &Connection) -> Result<Value> {
    let mut state = connection.state::<Value>()?;
    if let Some(fields) = state.as_object_mut() {
        fields.insert("id".to_owned(), connection.id.as_str().into());
    }
    Ok(state)
}

#[actor(events(
    "userConnected",
    "userDisconnected",
    "directMessage",
    "connectedFromOnConnect",
    "connectedFromOnConnectConns"
))]
impl ConnStateActor {
    #[on_before_connect]
    fn admit(&self, ctx: &mut Ctx, request: ConnectionRequest) -> Result<User> {
        let params = request.params::<Option<UserParams>>()?.unwrap_or_default();
        Ok(User {
            username: params.username.unwrap_or_else(|| "anonymous".to_owned()),
            role: params.role.unwrap_or_else(|| "user".to_owned()),
            counter: 0,
            created_at: ctx.now(),
            no_count: params.no_count.unwrap_or(false),
        })
    }

    #[on_connect]
    fn connected(&self, ctx: &mut Ctx, connection: Connection) -> Result<()> {
        let username = connection.state::<User>()?.username;
        let hello = json!({"id": connection.id, "username": username});
        connection.send("connectedFromOnConnect", &hello);
        if let Some(same) = ctx.connection_by_id(&connection.id) {
            same.send("connectedFromOnConnectConns", &hello);
        }
        ctx.broadcast("userConnected", &json!({"id": connection.id, "username": "anonymous", "role": "user"}));
        Ok(())
    }

    #[on_disconnect]
    fn disconnected(&mut self, ctx: &mut Ctx, connection: Connection) -> Result<()> {
        if !connection.state::<User>()?.no_count {
            self.disconnection_count += 1;
            ctx.broadcast("userDisconnected", &json!({"id": connection.id}));
        }
        Ok(())
    }

    #[action]
    fn increment_conn_counter(&self, ctx: &mut Ctx, by: Option<i64>) -> Result<()> {
        let (mut connection, mut user) = with_state::<_, User>(ctx)?;
        user.counter += by.unwrap_or(1);
        connection.set_state(&user)?;
        Ok(())
    }

    #[action]
    fn increment_shared_counter(&mut self, by: Option<i64>) -> i64 {
        self.shared_counter += by.unwrap_or(1);
        self.shared_counter
    }

    #[action(read_only)]
    fn get_shared_counter(&self) -> i64 {
        self.shared_counter
    }

    #[action(read_only)]
    fn get_connection_state(&self, ctx: &Ctx) -> Result<Value> {
        described(&with_state::<_, Value>(ctx)?.0)
    }

    #[action(read_only)]
    fn get_connection_ids(&self, ctx: &Ctx) -> Vec<String> {
        let counted = |connection: &Connection| connection.state::<User>().is_ok_and(|user| !user.no_count);
        ctx.connections().into_iter().filter(counted).map(|connection| connection.id).collect()
    }

    #[action(read_only)]
    fn get_disconnection_count(&self) -> i64 {
        self.disconnection_count
    }

    #[action(read_only)]
    fn get_all_connection_states(&self, ctx: &Ctx) -> Result<Vec<Value>> {
        ctx.connections().iter().map(described).collect()
    }

    #[action]
    fn send_to_connection(&self, ctx: &mut Ctx, target: String, message: String) -> bool {
        let from = ctx.connection_id().map(str::to_owned);
        let Some(connection) = ctx.connection_by_id(&target) else { return false };
        connection.send("directMessage", &json!({"from": from, "message": message}))
    }

    #[action]
    fn update_connection(&self, ctx: &mut Ctx, updates: UserParams) -> Result<User> {
        let (mut connection, mut user) = with_state::<_, User>(ctx)?;
        user.username = updates.username.unwrap_or(user.username);
        user.role = updates.role.unwrap_or(user.role);
        connection.set_state(&user)?;
        Ok(user)
    }

    #[action]
    fn disconnect_self(&self, ctx: &mut Ctx, reason: Option<String>) -> bool {
        if let Some(connection) = ctx.connection() {
            connection.disconnect(1000, &reason.unwrap_or_default());
        }
        true
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnPreflightVisibilityActor {
    before_started: i64,
    create_started: i64,
    before_visible_labels: Vec<Vec<String>>,
    create_visible_labels: Vec<Vec<String>>,
    connect_snapshots: Vec<Value>,
    disconnect_snapshots: Vec<Value>,
}

#[derive(Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PreflightParams {
    label: Option<String>,
    before_delay_ms: Option<u64>,
    create_delay_ms: Option<u64>,
    reject_before: Option<bool>,
    reject_create: Option<bool>,
}

#[derive(Serialize, Deserialize)]
struct Preflight {
    params: PreflightParams,
    reply: ReplyHandle,
}

#[derive(Serialize, Deserialize)]
struct Label {
    label: String,
}

fn labels(connections: &[Connection]) -> Vec<String> {
    connections.iter().filter_map(|connection| Some(connection.state::<Label>().ok()?.label)).collect()
}

fn rejected() -> Fail {
    Fail::new("connection_rejected", "The connection is refused.")
}

/// The original has two asynchronous steps before a connection is visible; here they are timers while the verdict is deferred.
#[actor]
impl ConnPreflightVisibilityActor {
    #[on_before_connect]
    fn before_connect(&mut self, ctx: &mut Ctx, request: ConnectionRequest) -> Result<Reply<Label>> {
        self.before_started += 1;
        self.before_visible_labels.push(labels(&ctx.connections()));
        let params = request.params::<Option<PreflightParams>>()?.unwrap_or_default();
        if params.before_delay_ms.is_none() && params.create_delay_ms.is_none() {
            if params.reject_before == Some(true) {
                return Err(rejected().keep());
            }
            self.start_creating(ctx);
            return match params.reject_create {
                Some(true) => Err(rejected().keep()),
                _ => Ok(Reply::Now(Label { label: params.label.unwrap_or_else(|| "anonymous".to_owned()) })),
            };
        }
        let deferred = ctx.defer();
        let delay_ms = params.before_delay_ms.unwrap_or(0);
        ctx.after(delay_ms, "before", &Preflight { params, reply: deferred.handle() })?;
        Ok(Reply::Later(deferred))
    }

    #[on_timer]
    fn before(&mut self, ctx: &mut Ctx, preflight: Preflight) -> Result<()> {
        if preflight.params.reject_before == Some(true) {
            ctx.answer::<()>(preflight.reply, Err(rejected()));
            return Ok(());
        }
        self.start_creating(ctx);
        let delay_ms = preflight.params.create_delay_ms.unwrap_or(0);
        ctx.after(delay_ms, "create", &preflight)?;
        Ok(())
    }

    #[on_timer]
    fn create(&mut self, ctx: &mut Ctx, preflight: Preflight) {
        let label = preflight.params.label.unwrap_or_else(|| "anonymous".to_owned());
        let verdict = if preflight.params.reject_create == Some(true) { Err(rejected()) } else { Ok(Label { label }) };
        ctx.answer(preflight.reply, verdict);
    }

    #[on_connect]
    fn connected(&mut self, ctx: &mut Ctx, connection: Connection) -> Result<()> {
        let all = ctx.connections();
        let own = all.iter().any(|other| other.id == connection.id);
        let label = connection.state::<Label>()?.label;
        self.connect_snapshots.push(json!({"label": label, "ownVisible": own, "visibleLabels": labels(&all)}));
        Ok(())
    }

    #[on_disconnect]
    fn disconnected(&mut self, ctx: &mut Ctx, connection: Connection) -> Result<()> {
        let label = connection.state::<Label>()?.label;
        self.disconnect_snapshots.push(json!({"label": label, "otherLabels": labels(&ctx.connections())}));
        Ok(())
    }

    #[action(read_only)]
    fn snapshot(&self, ctx: &Ctx) -> Value {
        json!({
            "beforeStarted": self.before_started,
            "createStarted": self.create_started,
            "beforeVisibleLabels": self.before_visible_labels,
            "createVisibleLabels": self.create_visible_labels,
            "connectSnapshots": self.connect_snapshots,
            "disconnectSnapshots": self.disconnect_snapshots,
            "visibleLabels": labels(&ctx.connections()),
        })
    }
}

impl ConnPreflightVisibilityActor {
    fn start_creating(&mut self, ctx: &Ctx) {
        self.create_started += 1;
        self.create_visible_labels.push(labels(&ctx.connections()));
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct ConnErrorSerializationActor {
    value: i64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    should_throw: Option<bool>,
    should_reject: Option<bool>,
    should_fail: Option<bool>,
    reject: Option<bool>,
}

fn refusal(request: &ConnectionRequest) -> Result<Refusal> {
    Ok(request.params::<Option<Refusal>>()?.unwrap_or_default())
}

#[actor]
impl ConnErrorSerializationActor {
    #[on_before_connect]
    fn admit(&self, request: ConnectionRequest) -> Result<Value> {
        match refusal(&request)?.should_throw {
            Some(true) => Err(Fail::of("connection", "custom_error", "Test error from createConnState").keep()),
            _ => Ok(json!({"initialized": true})),
        }
    }

    #[action(read_only)]
    fn get_value(&self) -> i64 {
        self.value
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct BeforeConnectTimeoutActor;

#[actor(options(connect_timeout = 100))]
impl BeforeConnectTimeoutActor {
    /// The verdict would come after 200 ms, which is later than the timeout.
    #[on_before_connect]
    fn admit(&self, ctx: &mut Ctx) -> Result<Deferred> {
        let deferred = ctx.defer();
        ctx.after(200, "verdict", &deferred.handle())?;
        Ok(deferred)
    }

    #[on_timer]
    fn verdict(&self, ctx: &mut Ctx, reply: ReplyHandle) {
        ctx.answer(reply, Ok(()));
    }

    #[action(read_only)]
    fn ping(&self) -> &'static str {
        "pong"
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct BeforeConnectRejectActor;

#[actor]
impl BeforeConnectRejectActor {
    #[on_before_connect]
    fn admit(&self, request: ConnectionRequest) -> Result<()> {
        match refusal(&request)?.should_reject {
            Some(true) => Err(Fail::new("connection_rejected", "Connection rejected by policy")
                .metadata(&json!({"reason": "test"}))
                .keep()),
            _ => Ok(()),
        }
    }

    #[action(read_only)]
    fn ping(&self) -> &'static str {
        "pong"
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct BeforeConnectGenericErrorActor;

#[actor]
impl BeforeConnectGenericErrorActor {
    #[on_before_connect]
    fn admit(&self, request: ConnectionRequest) -> Result<()> {
        match refusal(&request)?.should_fail {
            Some(true) => Err(Fail::internal("internal failure in onBeforeConnect").keep()),
            _ => Ok(()),
        }
    }

    #[action(read_only)]
    fn ping(&self) -> &'static str {
        "pong"
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct RejectConnectionActor;

#[actor]
impl RejectConnectionActor {
    #[on_before_connect]
    fn admit(&self, ctx: &mut Ctx, request: ConnectionRequest) -> Result<Reply<()>> {
        if refusal(&request)?.reject != Some(true) {
            return Ok(Reply::Now(()));
        }
        let deferred = ctx.defer();
        ctx.after(500, "refuse", &deferred.handle())?;
        Ok(Reply::Later(deferred))
    }

    #[on_timer]
    fn refuse(&self, ctx: &mut Ctx, reply: ReplyHandle) {
        ctx.answer::<()>(reply, Err(Fail::new("rejected", "Rejected connection")));
    }

    #[action(read_only)]
    fn ping(&self) -> &'static str {
        "pong"
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessControlActor {
    last_can_publish_conn_id: String,
    last_can_subscribe_conn_id: String,
    queues: Queues,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessParams {
    allow_request: Option<bool>,
    allow_web_socket: Option<bool>,
}

#[actor(events("allowedEvent", "blockedEvent"), queues("allowedQueue", "blockedQueue"))]
impl AccessControlActor {
    #[on_before_connect]
    fn admit(&self, request: ConnectionRequest) -> Result<()> {
        let params = request.params::<Option<AccessParams>>()?.unwrap_or_default();
        match params.allow_request == Some(false) || params.allow_web_socket == Some(false) {
            true => Err(forbidden().keep()),
            false => Ok(()),
        }
    }

    /// A refusal by an error would undo the note of who asked; closing the connection keeps it, and says the same to the client.
    #[on_subscribe]
    fn subscribe(&mut self, ctx: &mut Ctx, event: &str) {
        let Some(connection) = ctx.connection() else { return };
        if event == "blockedEvent" {
            connection.disconnect(1011, "auth.forbidden");
        }
        if matches!(event, "allowedEvent" | "blockedEvent") {
            self.last_can_subscribe_conn_id = connection.id;
        }
    }

    #[on_queue(any)]
    fn publish(&mut self, ctx: &mut Ctx, message: QueueMessage) -> Result<Deferred> {
        self.last_can_publish_conn_id = message.connection.clone().unwrap_or_default();
        if message.queue == "blockedQueue" {
            return Err(forbidden().keep());
        }
        self.queues.push(ctx, &message)
    }

    #[on_request]
    fn request(&self, request: Request) -> Result<Response> {
        match request.path() {
            "/status" => Response::json(200, &json!({"ok": true})),
            _ => Ok(Response::text(404, "Not Found")),
        }
    }

    #[on_socket]
    fn socket(&self, ctx: &mut Ctx, event: SocketEvent) {
        if let SocketEvent::Open(_) = event {
            ctx.send_text(json!({"type": "welcome"}).to_string());
        }
    }

    #[action(read_only)]
    fn allowed_action(&self, value: String) -> String {
        format!("allowed:{value}")
    }

    #[action(read_only)]
    fn allowed_get_last_can_publish_conn_id(&self) -> &String {
        &self.last_can_publish_conn_id
    }

    #[action(read_only)]
    fn allowed_get_last_can_subscribe_conn_id(&self) -> &String {
        &self.last_can_subscribe_conn_id
    }

    #[action]
    fn allowed_receive_queue(&mut self, ctx: &mut Ctx) -> Option<Value> {
        self.queues.take(ctx, &["allowedQueue".to_owned()]).map(|message| message.body)
    }

    #[action]
    fn allowed_receive_any_queue(&mut self, ctx: &mut Ctx) -> Option<Value> {
        self.queues.take(ctx, &[]).map(|message| message.body)
    }

    #[action]
    fn allowed_broadcast_allowed_event(&self, ctx: &mut Ctx, value: String) {
        ctx.broadcast("allowedEvent", &json!({"value": value}));
    }

    #[action]
    fn allowed_broadcast_blocked_event(&self, ctx: &mut Ctx, value: String) {
        ctx.broadcast("blockedEvent", &json!({"value": value}));
    }

    #[action]
    fn allowed_broadcast_undefined_event(&self, ctx: &mut Ctx, value: String) {
        ctx.broadcast("undefinedEvent", &json!({"value": value}));
    }
}

/// It declares no queues, so the host drops every message.
#[derive(Default, Serialize, Deserialize)]
pub struct AccessControlNoQueuesActor;

#[actor]
impl AccessControlNoQueuesActor {
    #[action(read_only)]
    fn read_any_queue(&self) -> Option<Value> {
        None
    }
}

#[derive(Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenRequest {
    has_request: bool,
    request_url: Option<String>,
    request_method: Option<String>,
    request_headers: std::collections::BTreeMap<String, String>,
}

impl From<&Request> for SeenRequest {
    fn from(request: &Request) -> Self {
        let headers = request.headers.iter().map(|header| (header.name.clone(), header.value.clone()));
        Self {
            has_request: true,
            request_url: Some(request.url.clone()),
            request_method: Some(request.method.clone()),
            request_headers: headers.collect(),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestAccessActor {
    on_before_connect_request: SeenRequest,
    create_conn_state_request: SeenRequest,
    on_request_request: SeenRequest,
    on_web_socket_request: SeenRequest,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestState {
    track_request: bool,
    request_info: Option<SeenRequest>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestParams {
    track_request: Option<bool>,
}

#[actor]
impl RequestAccessActor {
    #[on_before_connect]
    fn admit(&mut self, request: ConnectionRequest) -> Result<RequestState> {
        let params = request.params::<Option<RequestParams>>()?.unwrap_or_default();
        let track_request = params.track_request == Some(true);
        let request_info = track_request.then(|| SeenRequest::from(&request.request));
        if let Some(seen) = &request_info {
            self.on_before_connect_request = seen.clone();
        }
        Ok(RequestState { track_request, request_info })
    }

    #[on_connect]
    fn connected(&mut self, connection: Connection) -> Result<()> {
        if let Some(seen) = connection.state::<RequestState>()?.request_info {
            self.create_conn_state_request = seen;
        }
        Ok(())
    }

    #[on_request]
    fn request(&mut self, request: Request) -> Result<Response> {
        self.on_request_request = SeenRequest::from(&request);
        Response::json(200, &self.on_request_request)
    }

    #[on_socket]
    fn socket(&mut self, ctx: &mut Ctx, event: SocketEvent) -> Result<()> {
        match event {
            SocketEvent::Open(request) => {
                self.on_web_socket_request = SeenRequest::from(&request);
                ctx.send_text(serde_json::to_string(&self.on_web_socket_request)?);
            }
            SocketEvent::Message(message) => {
                ctx.send_frame(&message.frame);
            }
            SocketEvent::Close(_) => {}
        }
        Ok(())
    }

    #[action(read_only)]
    fn ping(&self) -> &'static str {
        "pong"
    }

    #[action(read_only)]
    fn get_request_info(&self) -> Value {
        json!({
            "onBeforeConnect": self.on_before_connect_request,
            "createConnState": self.create_conn_state_request,
            "onRequest": self.on_request_request,
            "onWebSocket": self.on_web_socket_request,
        })
    }
}
