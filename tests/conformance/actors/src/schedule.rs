//! Scheduled actions, and the key-value store.

use growqr_actor_sdk::prelude::*;
use serde_json::{Value, json};

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scheduled {
    last_run: u64,
    scheduled_count: i64,
    task_history: Vec<String>,
}

#[actor(events("scheduled", "scheduledWithId"))]
impl Scheduled {
    #[action]
    fn schedule_task_at(&self, ctx: &mut Ctx, timestamp: u64) -> Result<u64> {
        ctx.at(timestamp, "onScheduledTask", &())?;
        Ok(timestamp)
    }

    #[action]
    fn schedule_task(&self, ctx: &mut Ctx, delay_ms: u64) -> Result<u64> {
        ctx.after(delay_ms, "onScheduledTask", &())?;
        Ok(ctx.now() + delay_ms)
    }

    #[action]
    fn schedule_task_after(&self, ctx: &mut Ctx, delay_ms: u64) -> Result<u64> {
        ctx.after(delay_ms, "onScheduledTask", &())?;
        Ok(ctx.now() + delay_ms)
    }

    #[action]
    fn schedule_task_after_with_id(&self, ctx: &mut Ctx, task_id: String, delay_ms: u64) -> Result<Value> {
        ctx.after(delay_ms, "onScheduledTaskWithId", &task_id)?;
        Ok(json!({"taskId": task_id, "scheduledFor": ctx.now() + delay_ms}))
    }

    #[on_timer]
    fn on_scheduled_task(&mut self, ctx: &mut Ctx) {
        self.last_run = ctx.now();
        self.scheduled_count += 1;
        ctx.broadcast("scheduled", &json!({"time": self.last_run, "count": self.scheduled_count}));
    }

    #[on_timer]
    fn on_scheduled_task_with_id(&mut self, ctx: &mut Ctx, task_id: String) {
        self.last_run = ctx.now();
        self.scheduled_count += 1;
        let event = json!({"taskId": task_id, "time": self.last_run, "count": self.scheduled_count});
        self.task_history.push(task_id);
        ctx.broadcast("scheduledWithId", &event);
    }

    #[action(read_only)]
    fn get_last_run(&self) -> u64 {
        self.last_run
    }

    #[action(read_only)]
    fn get_scheduled_count(&self) -> i64 {
        self.scheduled_count
    }

    #[action(read_only)]
    fn get_task_history(&self) -> &Vec<String> {
        &self.task_history
    }

    #[action]
    fn clear_history(&mut self) -> bool {
        *self = Self::default();
        true
    }
}

/// There is no SQL in the contract; the rows of the original's table are entries of the state.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledDb {
    scheduled_count: i64,
}

/// Where the rows lie.
const ROWS: &str = "row/";

#[actor]
impl ScheduledDb {
    #[action]
    fn schedule_db_write(&self, ctx: &mut Ctx, delay_ms: u64) -> Result<()> {
        ctx.after(delay_ms, "onScheduledDbWrite", &())?;
        Ok(())
    }

    #[on_timer]
    fn on_scheduled_db_write(&mut self, ctx: &mut Ctx) -> Result<()> {
        self.scheduled_count += 1;
        let row = json!({"message": "scheduled", "createdAt": ctx.now()});
        ctx.set_json(&format!("{ROWS}{:010}", self.scheduled_count), &row)
    }

    #[action(read_only)]
    fn get_log_count(&self, ctx: &Ctx) -> usize {
        ctx.scan_all(ROWS).count()
    }

    #[action(read_only)]
    fn get_scheduled_count(&self) -> i64 {
        self.scheduled_count
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct KvActor;

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListOptions {
    reverse: Option<bool>,
    limit: Option<usize>,
}

/// Where the user's keys lie.
const KV: &str = "kv/";

fn text_entries(ctx: &Ctx, prefix: &str) -> Vec<(String, String)> {
    let shown =
        |(key, value): (String, Vec<u8>)| (key[KV.len()..].to_owned(), String::from_utf8_lossy(&value).into_owned());
    ctx.scan_all(&format!("{KV}{prefix}")).map(shown).collect()
}

fn listed(entries: Vec<(String, String)>) -> Vec<Value> {
    entries.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

#[actor]
impl KvActor {
    #[action]
    fn put_text(&self, ctx: &mut Ctx, key: String, value: String) -> bool {
        ctx.set(&format!("{KV}{key}"), value.as_bytes());
        true
    }

    #[action(read_only)]
    fn get_text(&self, ctx: &Ctx, key: String) -> Option<String> {
        ctx.get(&format!("{KV}{key}")).map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    #[action(read_only)]
    fn list_text(&self, ctx: &Ctx, prefix: String) -> Vec<Value> {
        listed(text_entries(ctx, &prefix))
    }

    #[action(read_only)]
    fn list_text_range(&self, ctx: &Ctx, start: String, end: String, options: Option<ListOptions>) -> Vec<Value> {
        let options = options.unwrap_or_default();
        let mut entries = text_entries(ctx, "");
        entries.retain(|(key, _)| *key >= start && *key < end);
        if options.reverse == Some(true) {
            entries.reverse();
        }
        entries.truncate(options.limit.unwrap_or(usize::MAX));
        listed(entries)
    }

    #[action]
    fn delete_text_range(&self, ctx: &mut Ctx, start: String, end: String) -> bool {
        for (key, _) in text_entries(ctx, "") {
            if key >= start && key < end {
                ctx.delete(&format!("{KV}{key}"));
            }
        }
        true
    }

    #[action]
    fn roundtrip_array_buffer(&self, ctx: &mut Ctx, key: String, values: Vec<u8>) -> Vec<u8> {
        let key = format!("{KV}{key}");
        ctx.set(&key, &values);
        ctx.get(&key).unwrap_or_default()
    }
}
