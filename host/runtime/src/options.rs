//! Options and limits of one actor: what `rivet.json` and the component's own `describe` may say.

use growqr_turn::TurnLimits;
use growqr_types::limits;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Options of an actor. Durations are milliseconds as a number, or text with a unit (`"250ms"`, `"30s"`, `"5m"`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ActorOptions {
    /// How long an action, queue message or raw request may take, deferral included.
    #[serde(with = "duration")]
    pub action_timeout: Duration,
    /// How long one turn may take, host calls included.
    #[serde(with = "duration")]
    pub turn_timeout: Duration,
    /// How long a connection may take to be accepted, deferral included.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// How long the actor stays awake with nothing to do.
    #[serde(with = "duration")]
    pub sleep_timeout: Duration,
    /// How long a sleep that was asked for waits for calls that are not answered.
    #[serde(with = "duration")]
    pub sleep_grace_period: Duration,
    /// The actor never sleeps for lack of work.
    pub no_sleep: bool,
    /// Raw WebSockets stay open while the actor sleeps; otherwise an open one keeps it awake.
    pub hibernatable_web_sockets: bool,
    /// Events kept for clients that resume.
    pub event_retention_count: u64,
    /// How long events are kept for clients that resume.
    #[serde(with = "duration")]
    pub event_retention: Duration,
    /// Bytes of an action, queue or connection message from a client.
    pub max_incoming_message_size: usize,
    /// Bytes of a reply or an event to a client.
    pub max_outgoing_message_size: usize,
    /// Bytes of a queue message.
    pub max_queue_message_size: usize,
}

impl Default for ActorOptions {
    fn default() -> Self {
        Self {
            action_timeout: limits::ACTION_TIMEOUT,
            turn_timeout: limits::TURN_TIMEOUT,
            connect_timeout: limits::CONNECT_TIMEOUT,
            sleep_timeout: limits::SLEEP_TIMEOUT,
            sleep_grace_period: Duration::from_secs(15),
            no_sleep: false,
            hibernatable_web_sockets: true,
            event_retention_count: 10_000,
            event_retention: Duration::from_secs(24 * 3600),
            max_incoming_message_size: limits::INCOMING_MESSAGE_BYTES_MAX,
            max_outgoing_message_size: limits::OUTGOING_MESSAGE_BYTES_MAX,
            max_queue_message_size: limits::INCOMING_MESSAGE_BYTES_MAX,
        }
    }
}

/// Limits of an actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ActorLimits {
    /// Bytes of linear memory.
    pub memory_bytes: usize,
    /// Bytes of all state keys and values.
    pub state_bytes: u64,
    /// Bytes of one state value.
    pub state_value_bytes: usize,
    /// Events, frames and answers in one turn.
    pub outgoing_per_turn: usize,
    /// Timers.
    pub timers: usize,
    /// Effects in one turn.
    pub effects_per_turn: usize,
    /// Bytes of log text in one turn.
    pub log_bytes_per_turn: usize,
}

impl Default for ActorLimits {
    fn default() -> Self {
        let turn = TurnLimits::default();
        Self {
            memory_bytes: 64 << 20,
            state_bytes: 16 << 20,
            state_value_bytes: turn.state_value_bytes_max,
            outgoing_per_turn: turn.outgoing_max,
            timers: turn.timers_max,
            effects_per_turn: turn.effects_max,
            log_bytes_per_turn: turn.log_bytes_max,
        }
    }
}

impl ActorLimits {
    /// The part that holds for one turn.
    pub fn turn(&self, options: &ActorOptions) -> TurnLimits {
        TurnLimits {
            state_value_bytes_max: self.state_value_bytes,
            outgoing_max: self.outgoing_per_turn,
            outgoing_message_bytes_max: options.max_outgoing_message_size,
            timers_max: self.timers,
            effects_max: self.effects_per_turn,
            log_bytes_max: self.log_bytes_per_turn,
            ..TurnLimits::default()
        }
    }
}

/// The options that hold: the component's own, overridden field by field by the deployment's.
pub fn merge(described: &str, deployed: &serde_json::Value) -> Result<ActorOptions, serde_json::Error> {
    let mut value: serde_json::Value = if described.trim().is_empty() {
        serde_json::Value::Object(Default::default())
    } else {
        serde_json::from_str(described)?
    };
    if let (Some(base), Some(over)) = (value.as_object_mut(), deployed.as_object()) {
        base.extend(over.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    serde_json::from_value(value)
}

mod duration {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    pub fn serialize<S: Serializer>(value: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Milliseconds(u64),
        Text(String),
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        match Form::deserialize(input)? {
            Form::Milliseconds(count) => Ok(Duration::from_millis(count)),
            Form::Text(text) => {
                let split = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
                let (count, unit) = text.split_at(split);
                let count: u64 = count.parse().map_err(|_| D::Error::custom(format!("{text:?} is not a duration")))?;
                let scale = match unit.trim() {
                    "ms" => 1,
                    "s" => 1000,
                    "m" => 60_000,
                    "h" => 3_600_000,
                    _ => return Err(D::Error::custom(format!("{text:?} needs a unit: ms, s, m or h"))),
                };
                Ok(Duration::from_millis(count.saturating_mul(scale)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deployment_overrides_the_component() {
        let deployed = serde_json::json!({"sleepTimeout": "2s", "noSleep": true});
        let options = merge(r#"{"sleepTimeout": 1000, "actionTimeout": 50}"#, &deployed).unwrap();
        assert_eq!(options.sleep_timeout, Duration::from_secs(2));
        assert_eq!(options.action_timeout, Duration::from_millis(50));
        assert!(options.no_sleep);
    }

    #[test]
    fn unknown_or_unreadable_options_are_refused() {
        for bad in [r#"{"sleepTimout": 1}"#, r#"{"sleepTimeout": "1 fortnight"}"#, r#"{"noSleep": 3}"#, "["] {
            assert!(merge(bad, &serde_json::Value::Null).is_err(), "{bad}");
        }
    }
}
