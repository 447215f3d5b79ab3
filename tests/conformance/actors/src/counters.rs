//! Counters, input, metadata, variables and state changes.

use growqr_actor_sdk::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The connection of this turn with its state.
pub fn with_state<V, T: serde::de::DeserializeOwned + 'static>(ctx: &Ctx<V>) -> Result<(Connection, T)> {
    let connection = ctx.connection().ok_or_else(|| Fail::internal("no connection is behind this call"))?;
    let state = connection.state()?;
    Ok((connection, state))
}

#[derive(Default, Serialize, Deserialize)]
pub struct Counter {
    count: i64,
}

#[actor(events("newCount"))]
impl Counter {
    #[action]
    fn increment(&mut self, ctx: &mut Ctx, by: i64) -> i64 {
        self.count += by;
        ctx.broadcast("newCount", &self.count);
        self.count
    }

    #[action]
    fn set_count(&mut self, ctx: &mut Ctx, count: i64) -> i64 {
        self.count = count;
        ctx.broadcast("newCount", &self.count);
        count
    }

    #[action(read_only)]
    fn get_count(&self) -> i64 {
        self.count
    }

    #[action(read_only)]
    fn get_key(&self, ctx: &Ctx) -> Vec<String> {
        ctx.identity().key
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CounterConn {
    connection_count: i64,
}

#[derive(Default, Serialize, Deserialize)]
struct OwnCount {
    count: i64,
}

#[actor(events("newCount"))]
impl CounterConn {
    #[on_before_connect]
    fn admit(&self) -> OwnCount {
        OwnCount::default()
    }

    #[on_connect]
    fn connected(&mut self) {
        self.connection_count += 1;
    }

    #[on_disconnect]
    fn disconnected(&mut self) {
        self.connection_count -= 1;
    }

    #[action]
    fn increment(&self, ctx: &mut Ctx, by: i64) -> Result<()> {
        let (mut connection, own) = with_state::<_, OwnCount>(ctx)?;
        let count = own.count + by;
        connection.set_state(&OwnCount { count })?;
        ctx.broadcast("newCount", &count);
        Ok(())
    }

    #[action]
    fn set_count(&self, ctx: &mut Ctx, count: i64) -> Result<()> {
        let (mut connection, _) = with_state::<_, OwnCount>(ctx)?;
        connection.set_state(&OwnCount { count })?;
        ctx.broadcast("newCount", &count);
        Ok(())
    }

    #[action(read_only)]
    fn get_count(&self, ctx: &Ctx) -> Result<i64> {
        Ok(with_state::<_, OwnCount>(ctx)?.1.count)
    }

    #[action(read_only)]
    fn get_connection_count(&self) -> i64 {
        self.connection_count
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct CounterWithParams {
    count: i64,
    initializers: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Named {
    name: String,
}

#[derive(Default, Deserialize)]
struct NameParams {
    name: Option<String>,
}

#[actor(events("newCount"))]
impl CounterWithParams {
    #[on_before_connect]
    fn admit(&self, request: ConnectionRequest) -> Result<Named> {
        let params = request.params::<Option<NameParams>>()?.unwrap_or_default();
        Ok(Named { name: params.name.unwrap_or_else(|| "anonymous".to_owned()) })
    }

    #[on_connect]
    fn connected(&mut self, connection: Connection) -> Result<()> {
        self.initializers.push(connection.state::<Named>()?.name);
        Ok(())
    }

    #[action]
    fn increment(&mut self, ctx: &mut Ctx, by: i64) -> Result<i64> {
        self.count += by;
        let (_, named) = with_state::<_, Named>(ctx)?;
        ctx.broadcast("newCount", &json!({"count": self.count, "by": named.name}));
        Ok(self.count)
    }

    #[action(read_only)]
    fn get_initializers(&self) -> &Vec<String> {
        &self.initializers
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct CounterWithLifecycle {
    count: i64,
    events: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Joined {
    join_time: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrackParams {
    track_lifecycle: Option<bool>,
}

impl CounterWithLifecycle {
    fn note(&mut self, params: Option<TrackParams>, hook: &str) {
        if params.unwrap_or_default().track_lifecycle == Some(true) {
            self.events.push(hook.to_owned());
        }
    }
}

#[actor]
impl CounterWithLifecycle {
    #[on_wake]
    fn wake(&mut self) {
        self.events.push("onWake".to_owned());
    }

    #[on_before_connect]
    fn admit(&mut self, ctx: &mut Ctx, request: ConnectionRequest) -> Result<Joined> {
        self.note(request.params()?, "onBeforeConnect");
        Ok(Joined { join_time: ctx.now() })
    }

    #[on_connect]
    fn connected(&mut self, connection: Connection) -> Result<()> {
        self.note(connection.params()?, "onConnect");
        Ok(())
    }

    #[on_disconnect]
    fn disconnected(&mut self, connection: Connection) -> Result<()> {
        self.note(connection.params()?, "onDisconnect");
        Ok(())
    }

    #[action(read_only)]
    fn get_events(&self) -> &Vec<String> {
        &self.events
    }

    #[action]
    fn increment(&mut self, by: i64) -> i64 {
        self.count += by;
        self.count
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InputActor {
    // What is absent stays absent on the wire: a client sees `undefined`.
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_input: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_create_input: Option<Value>,
}

#[actor]
impl InputActor {
    #[on_create]
    fn create(&mut self, input: Option<Value>) {
        self.initial_input = input.clone();
        self.on_create_input = input;
    }

    #[action(read_only)]
    fn get_inputs(&self) -> &Self {
        self
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataActor {
    last_metadata: Option<Value>,
    actor_name: String,
    stored_tags: BTreeMap<String, String>,
    stored_region: Option<String>,
}

#[actor]
impl MetadataActor {
    #[on_wake]
    fn wake(&mut self, ctx: &mut Ctx) {
        self.actor_name = ctx.identity().name;
    }

    #[action]
    fn setup_test_tags(&mut self, tags: BTreeMap<String, String>) -> BTreeMap<String, String> {
        self.stored_tags = tags.clone();
        tags
    }

    #[action]
    fn setup_test_region(&mut self, region: String) -> String {
        self.stored_region = Some(region.clone());
        region
    }

    #[action]
    fn get_metadata(&mut self, ctx: &mut Ctx) -> Value {
        let metadata = json!({"name": ctx.identity().name, "tags": self.stored_tags, "region": self.stored_region});
        self.last_metadata = Some(metadata.clone());
        metadata
    }

    #[action(read_only)]
    fn get_actor_name(&self, ctx: &Ctx) -> String {
        ctx.identity().name
    }

    #[action(read_only)]
    fn get_stored_actor_name(&self) -> &String {
        &self.actor_name
    }

    #[action(read_only)]
    fn get_tags(&self) -> &BTreeMap<String, String> {
        &self.stored_tags
    }

    #[action(read_only)]
    fn get_tag(&self, name: String) -> Option<&String> {
        self.stored_tags.get(&name)
    }

    #[action(read_only)]
    fn get_region(&self) -> &Option<String> {
        &self.stored_region
    }

    #[action(read_only)]
    fn get_last_metadata(&self) -> &Option<Value> {
        &self.last_metadata
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct StatelessActor;

#[actor]
impl StatelessActor {
    #[action(read_only)]
    fn ping(&self) -> &'static str {
        "pong"
    }

    #[action(read_only)]
    fn echo(&self, value: Json) -> Json {
        value
    }

    #[action(read_only)]
    fn get_actor_id(&self, ctx: &Ctx) -> String {
        ctx.identity().id
    }

    /// An actor without fields has no state to read; the compiler says so, and here a text does.
    #[action(read_only)]
    fn try_get_state(&self) -> Value {
        json!({"success": false, "error": "this actor has no state"})
    }

    #[action(read_only)]
    fn try_get_db(&self) -> Value {
        json!({"success": false, "error": "this actor has no database"})
    }
}

#[derive(Clone, Serialize)]
pub struct StaticVars {
    counter: i64,
    name: &'static str,
}

impl Default for StaticVars {
    fn default() -> Self {
        Self { counter: 42, name: "test-actor" }
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct StaticVarActor;

#[actor(vars = StaticVars)]
impl StaticVarActor {
    #[action(read_only)]
    fn get_vars(&self, ctx: &Ctx<StaticVars>) -> StaticVars {
        ctx.vars.clone()
    }

    #[action(read_only)]
    fn get_name(&self, ctx: &Ctx<StaticVars>) -> &'static str {
        ctx.vars.name
    }
}

pub struct NestedVars(Value);

impl Default for NestedVars {
    fn default() -> Self {
        let nested = json!({"value": "original", "array": [1, 2, 3], "obj": {"key": "value"}});
        Self(json!({"counter": 42, "nested": nested}))
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct NestedVarActor;

#[actor(vars = NestedVars)]
impl NestedVarActor {
    #[action(read_only)]
    fn get_vars(&self, ctx: &Ctx<NestedVars>) -> Value {
        ctx.vars.0.clone()
    }

    #[action]
    fn modify_nested(&self, ctx: &mut Ctx<NestedVars>) -> Value {
        let nested = &mut ctx.vars.0["nested"];
        nested["value"] = "modified".into();
        if let Some(array) = nested["array"].as_array_mut() {
            array.push(4.into());
        }
        nested["obj"]["key"] = "new-value".into();
        ctx.vars.0.clone()
    }
}

#[derive(Default, Clone, Serialize)]
pub struct DynamicVars {
    random: f64,
    computed: String,
}

#[derive(Default, Serialize, Deserialize)]
pub struct DynamicVarActor;

#[actor(vars = DynamicVars)]
impl DynamicVarActor {
    #[on_wake]
    fn wake(&self, ctx: &mut Ctx<DynamicVars>) {
        // A fraction below one, as JavaScript's random numbers are; 2^-53 is the step of such a fraction.
        let random = (ctx.random() >> 11) as f64 / (1_u64 << 53) as f64;
        ctx.vars = DynamicVars { random, computed: format!("Actor-{}", ctx.random() % 1000) };
    }

    #[action(read_only)]
    fn get_vars(&self, ctx: &Ctx<DynamicVars>) -> DynamicVars {
        ctx.vars.clone()
    }
}

#[derive(Default, Clone, Serialize)]
pub struct UniqueVars {
    id: u64,
}

#[derive(Default, Serialize, Deserialize)]
pub struct UniqueVarActor;

#[actor(vars = UniqueVars)]
impl UniqueVarActor {
    #[on_wake]
    fn wake(&self, ctx: &mut Ctx<UniqueVars>) {
        ctx.vars.id = ctx.random() % 1_000_000;
    }

    #[action(read_only)]
    fn get_vars(&self, ctx: &Ctx<UniqueVars>) -> UniqueVars {
        ctx.vars.clone()
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct DriverCtxActor;

#[actor]
impl DriverCtxActor {
    #[action(read_only)]
    fn get_vars(&self) -> Value {
        json!({"hasDriverCtx": false})
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct OnStateChangeActor {
    value: i64,
    blob: Vec<i64>,
}

#[derive(Default)]
pub struct Changes {
    count: i64,
}

impl OnStateChangeActor {
    /// Stands for `onStateChange`: the contract has no such hook, because an actor knows when it changes itself.
    fn set(&mut self, ctx: &mut Ctx<Changes>, value: i64) -> i64 {
        if self.value != value {
            ctx.vars.count += 1;
        }
        self.value = value;
        value
    }
}

#[actor(vars = Changes)]
impl OnStateChangeActor {
    #[action]
    fn set_value(&mut self, ctx: &mut Ctx<Changes>, value: i64) -> i64 {
        self.set(ctx, value)
    }

    #[action]
    fn increment_multiple(&mut self, ctx: &mut Ctx<Changes>, times: i64) -> i64 {
        self.set(ctx, self.value + times)
    }

    #[action(read_only)]
    fn get_value(&self) -> i64 {
        self.value
    }

    #[action(read_only)]
    fn get_doubled(&self) -> i64 {
        self.value * 2
    }

    #[action(read_only)]
    fn get_change_count(&self, ctx: &Ctx<Changes>) -> i64 {
        ctx.vars.count
    }

    #[action]
    fn reset_change_count(&self, ctx: &mut Ctx<Changes>) {
        ctx.vars.count = 0;
    }

    #[action(read_only)]
    fn state_identity_stable(&self) -> bool {
        true
    }

    #[action]
    fn seed_large(&mut self, ctx: &mut Ctx<Changes>, count: i64) -> i64 {
        self.blob = (0..count).collect();
        ctx.vars.count += 1;
        count
    }

    /// The clock stands still in a turn, so the time that this takes is none.
    #[action]
    fn churn(&mut self, ctx: &mut Ctx<Changes>, times: i64) -> u64 {
        let started = ctx.now();
        for _ in 0..times {
            self.value += 1;
        }
        ctx.vars.count += i64::from(times > 0);
        ctx.now() - started
    }
}

#[derive(Serialize, Deserialize)]
#[serde(default)]
pub struct StateZodCoercionActor {
    count: i64,
    label: String,
}

impl Default for StateZodCoercionActor {
    fn default() -> Self {
        Self { count: 0, label: "default".to_owned() }
    }
}

/// Fields that stored state does not have take their defaults when the struct is loaded.
#[actor(options(sleep_timeout = 100))]
impl StateZodCoercionActor {
    #[action(read_only)]
    fn get_state(&self) -> &Self {
        self
    }

    #[action]
    fn set_count(&mut self, count: i64) {
        self.count = count;
    }

    #[action]
    fn set_label(&mut self, label: String) {
        self.label = label;
    }

    #[action]
    fn trigger_sleep(&self, ctx: &mut Ctx) {
        ctx.sleep();
    }
}

#[derive(Default, Clone, Copy)]
pub struct Derived {
    calls: i64,
    value: i64,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateChangeRecursionActor {
    value: i64,
    derived_value: i64,
}

#[actor(vars = Derived)]
impl StateChangeRecursionActor {
    #[action]
    fn set_value(&mut self, ctx: &mut Ctx<Derived>, value: i64) -> i64 {
        if self.value != value {
            ctx.vars = Derived { calls: ctx.vars.calls + 1, value: value * 2 };
        }
        self.value = value;
        value
    }

    #[action(read_only)]
    fn get_derived_value(&self, ctx: &Ctx<Derived>) -> i64 {
        ctx.vars.value
    }

    #[action(read_only)]
    fn get_on_state_change_call_count(&self, ctx: &Ctx<Derived>) -> i64 {
        ctx.vars.calls
    }

    #[action(read_only)]
    fn get_all(&self, ctx: &Ctx<Derived>) -> Value {
        json!({"value": self.value, "derivedValue": ctx.vars.value, "callCount": ctx.vars.calls})
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateChangeReentrantMutationActor {
    value: i64,
    derived_value: i64,
}

/// The original's hook tries to change state and is refused. Here an action that changes the struct is all there is, so what the
/// refusal would have said is stated as such.
#[actor(vars = Derived)]
impl StateChangeReentrantMutationActor {
    #[action]
    fn set_value(&mut self, ctx: &mut Ctx<Derived>, value: i64) -> i64 {
        ctx.vars.calls += i64::from(self.value != value);
        self.value = value;
        value
    }

    #[action(read_only)]
    fn get_result(&self, ctx: &Ctx<Derived>) -> Value {
        let (group, code) = match ctx.vars.calls {
            0 => (None, None),
            _ => (Some("actor"), Some("state_mutation_reentrant")),
        };
        json!({
            "value": self.value,
            "derivedValue": self.derived_value,
            "callCount": ctx.vars.calls,
            "errorGroup": group,
            "errorCode": code,
        })
    }
}
