//! Connections that stay open while their actor sleeps.

use crate::counters::with_state;
use growqr_actor_sdk::prelude::*;
use serde_json::{Value, json};

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HibernationActor {
    sleep_count: i64,
    wake_count: i64,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConnCounts {
    count: i64,
    connect_count: i64,
    disconnect_count: i64,
}

fn is_start(reason: WakeReason) -> bool {
    matches!(reason, WakeReason::Created | WakeReason::Woken)
}

#[actor(options(sleep_timeout = 500))]
impl HibernationActor {
    #[on_wake]
    fn wake(&mut self, reason: WakeReason) {
        self.wake_count += i64::from(is_start(reason));
    }

    #[on_sleep]
    fn slept(&mut self) {
        self.sleep_count += 1;
    }

    #[on_before_connect]
    fn admit(&self) -> ConnCounts {
        ConnCounts::default()
    }

    #[on_connect]
    fn connected(&self, mut connection: Connection) -> Result<()> {
        let mut counts = connection.state::<ConnCounts>()?;
        counts.connect_count += 1;
        connection.set_state(&counts)?;
        Ok(())
    }

    #[on_disconnect]
    fn disconnected(&self, mut connection: Connection) -> Result<()> {
        let mut counts = connection.state::<ConnCounts>()?;
        counts.disconnect_count += 1;
        connection.set_state(&counts)?;
        Ok(())
    }

    #[action(read_only)]
    fn ping(&self) -> &'static str {
        "pong"
    }

    #[action]
    fn conn_increment(&self, ctx: &mut Ctx) -> Result<i64> {
        let (mut connection, mut counts) = with_state::<_, ConnCounts>(ctx)?;
        counts.count += 1;
        connection.set_state(&counts)?;
        Ok(counts.count)
    }

    #[action(read_only)]
    fn get_conn_count(&self, ctx: &Ctx) -> Result<i64> {
        Ok(with_state::<_, ConnCounts>(ctx)?.1.count)
    }

    #[action(read_only)]
    fn get_conn_lifecycle_counts(&self, ctx: &Ctx) -> Result<Value> {
        let (_, counts) = with_state::<_, ConnCounts>(ctx)?;
        Ok(json!({"connectCount": counts.connect_count, "disconnectCount": counts.disconnect_count}))
    }

    #[action(read_only)]
    fn get_connection_ids(&self, ctx: &Ctx) -> Vec<String> {
        ctx.connections().into_iter().map(|connection| connection.id).collect()
    }

    #[action(read_only)]
    fn get_actor_counts(&self) -> &Self {
        self
    }

    #[action]
    fn trigger_sleep(&self, ctx: &mut Ctx) {
        ctx.sleep();
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HibernationSleepWindowActor {
    sleep_count: i64,
    wake_count: i64,
}

/// There is no window in which the actor is neither awake nor asleep: what comes while it says goodbye wakes it.
#[actor(events("sleeping"), options(sleep_timeout = 500))]
impl HibernationSleepWindowActor {
    #[on_wake]
    fn wake(&mut self, reason: WakeReason) {
        self.wake_count += i64::from(is_start(reason));
    }

    #[on_sleep]
    fn slept(&mut self, ctx: &mut Ctx) {
        self.sleep_count += 1;
        ctx.broadcast_args("sleeping", &());
    }

    #[action(read_only)]
    fn ping(&self) -> &'static str {
        "pong"
    }

    #[action(read_only)]
    fn get_actor_counts(&self) -> &Self {
        self
    }

    #[action]
    fn trigger_sleep(&self, ctx: &mut Ctx) {
        ctx.sleep();
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileSystemHibernationCleanupActor {
    sleep_count: i64,
    wake_count: i64,
    disconnect_wake_counts: Vec<i64>,
}

#[actor(options(sleep_timeout = 500))]
impl FileSystemHibernationCleanupActor {
    #[on_wake]
    fn wake(&mut self, reason: WakeReason) {
        self.wake_count += i64::from(is_start(reason));
    }

    #[on_sleep]
    fn slept(&mut self) {
        self.sleep_count += 1;
    }

    #[on_disconnect]
    fn disconnected(&mut self, connection: Connection) {
        // What is left of a connection of a host that has ended is told as such; only sockets are counted.
        if connection.kind == ConnectionKind::Socket {
            self.disconnect_wake_counts.push(self.wake_count);
        }
    }

    #[action(read_only)]
    fn ping(&self) -> &'static str {
        "pong"
    }

    #[action]
    fn trigger_sleep(&self, ctx: &mut Ctx) {
        ctx.sleep();
    }

    #[action(read_only)]
    fn get_counts(&self) -> Value {
        json!({"sleepCount": self.sleep_count, "wakeCount": self.wake_count})
    }

    #[action(read_only)]
    fn get_disconnect_wake_counts(&self) -> &Vec<i64> {
        &self.disconnect_wake_counts
    }
}
