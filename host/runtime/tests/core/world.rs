//! An actor's core with a guest that does what it is told, and a storage that is a map.

use bytes::Bytes;
use growqr_runtime::core::record::{ConnectionRecord, EventRecord, HandleRecord, JsonRecord, Meta, key};
use growqr_runtime::core::{
    Caller, Connections, Core, CoreInput, Finish, Loaded, Mail, Next, Offer, Release, Reply, TurnEnd,
};
use growqr_runtime::options::{ActorLimits, ActorOptions};
use growqr_seam::{Batch, Envelope, EnvelopeContent, StopReason};
use growqr_turn::{
    Answer, Connection, ConnectionKind, Effect, Effects, Frame, Message, Outcome, Outgoing, Schedule, SocketEvent,
    TargetRef, TimerRecord, Verdict,
};
use growqr_types::{ActorId, ConnectionId, Failure, codes};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

const SENDER: ActorId = ActorId::from_bytes([9; 16]);

/// See the module's documentation.
pub struct World {
    core: Option<Core<u64>>,
    options: ActorOptions,
    offer: Offer,
    hooks: HashMap<&'static str, String>,
    now: u64,
    disk: BTreeMap<Bytes, Bytes>,
    in_flight: BTreeMap<u64, Batch>,
    generation: u32,
    mirror: bool,
    out: Vec<String>,
}

impl World {
    pub fn new() -> Self {
        let mut offer = Offer::default();
        offer.hooks.message = true;
        offer.actions.insert("do".to_owned(), false);
        offer.actions.insert("look".to_owned(), true);
        offer.queues.insert("line".to_owned());
        Self {
            core: None,
            options: ActorOptions::default(),
            offer,
            hooks: HashMap::new(),
            now: 0,
            disk: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            generation: 0,
            mirror: false,
            out: Vec::new(),
        }
    }

    fn core(&mut self) -> &mut Core<u64> {
        self.core.as_mut().expect("the script starts the actor first")
    }

    /// One input, and what came of it.
    pub fn input(&mut self, line: &str) -> Vec<String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "start" | "restart" => self.start(),
            "hook" => {
                let (hook, program) = rest.split_once(' ').unwrap_or((rest, ""));
                self.hook(hook, program);
            }
            "keep" => {
                let (count, time) = rest.split_once(" events for ").expect("keep N events for MS");
                self.options.event_retention_count = number(count);
                self.options.event_retention = Duration::from_millis(number(time));
            }
            "at" => self.now = number(rest),
            "committed" => self.commit_ended(number(rest), true),
            "lost" => self.commit_ended(number(rest), false),
            "floor" => {
                let floor = self.core().floor();
                self.out.push(format!("floor {floor}"));
            }
            "wants" => {
                let wants = self.core().wants_mail();
                self.out.push(wants.to_string());
            }
            "resume" => {
                let now = self.now;
                self.core().resume(now);
            }
            "calls" => {
                let (count, program) = rest.split_once(' ').expect("calls N program");
                for reply in 1..=number(count) {
                    self.mail(&format!("call {reply} {program}"));
                }
            }
            "put" => self.mail(rest),
            "mirror" => self.mirror = true,
            "full" => self.core().note_mirror_full(true),
            "room" => self.core().note_mirror_full(false),
            "version" => self.offer.state_version = u32::try_from(number(rest)).expect("a version"),
            // Like `calls`, but each different line of what comes of it is given once, with how often it came.
            "many" => {
                let (count, program) = rest.split_once(' ').expect("many N program");
                for reply in 1..=number(count) {
                    self.mail(&format!("call {reply} {program}"));
                    self.run();
                }
                let mut lines: Vec<(String, usize)> = Vec::new();
                for line in std::mem::take(&mut self.out) {
                    match lines.iter_mut().find(|(seen, _)| *seen == line) {
                        Some((_, times)) => *times += 1,
                        None => lines.push((line, 1)),
                    }
                }
                self.out = lines.into_iter().map(|(line, times)| format!("{times} times {line}")).collect();
            }
            _ => self.mail(line),
        }
        if self.core.is_some() && !matches!(word, "put" | "hook" | "version") {
            self.run();
        }
        std::mem::take(&mut self.out)
    }

    fn hook(&mut self, hook: &str, program: &str) {
        let hooks = &mut self.offer.hooks;
        let (name, flag) = match hook {
            "create" => ("create", &mut hooks.create),
            "wake" => ("wake", &mut hooks.wake),
            "effect" => ("effect", &mut hooks.effect_result),
            "destroy" => ("destroy", &mut hooks.destroy),
            "sleep" => ("sleep", &mut hooks.sleep),
            "disconnect" => ("disconnect", &mut hooks.disconnect),
            "connect" => ("connect", &mut hooks.connect),
            "before-connect" => ("before-connect", &mut hooks.before_connect),
            "socket" => ("socket", &mut hooks.socket),
            // Every component can migrate; the word only says what it does.
            "migrate" => ("migrate", &mut hooks.check),
            other => panic!("no hook is called {other}"),
        };
        *flag = true;
        self.hooks.insert(name, program.to_owned());
    }

    fn start(&mut self) {
        self.generation += 1;
        self.in_flight.clear();
        let limits = ActorLimits { state_bytes: 25, ..ActorLimits::default() };
        let input = CoreInput {
            options: Arc::new(self.options.clone()),
            limits: Arc::new(limits),
            offer: Arc::new(self.offer.clone()),
            generation: self.generation,
            connections: Arc::new(Connections::default()),
            loaded: self.load(),
            mirror: self.mirror,
        };
        self.core = Some(Core::new(input, self.now));
    }

    fn load(&self) -> Loaded {
        let mut loaded = Loaded::default();
        let mut events = BTreeMap::new();
        for (entry, value) in &self.disk {
            let id = || key::number(entry).expect("a number in the key");
            match entry[0] {
                b'm' => loaded.meta = Some(Meta::decode(value).expect("meta")),
                key::TIMER => drop(loaded.timers.insert(id(), TimerRecord::decode(value).expect("timer"))),
                key::OUTBOX => drop(loaded.outbox.insert(id(), Effect::decode(value).expect("effect"))),
                key::HANDLE => drop(loaded.handles.insert(id(), HandleRecord::decode(value).expect("handle").0)),
                key::EVENT => drop(events.insert(id(), EventRecord::time(value).expect("event"))),
                key::CONNECTION => {
                    let record = ConnectionRecord::decode(value).expect("connection");
                    let id = ConnectionId::from_bytes(entry[1..].try_into().expect("an id"));
                    loaded.dead_connections.push(connection(id, record.kind));
                }
                _ => {}
            }
        }
        loaded.event_times = events.into_values().collect();
        loaded
    }

    fn mail(&mut self, line: &str) {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let reply = words.get(1).and_then(|word| word.parse().ok()).unwrap_or_default();
        let id = ConnectionId::from_bytes([u8::try_from(reply).unwrap_or_default(); 16]);
        let program = words.get(2).copied().unwrap_or_default().to_owned();
        let mut arrived = self.now;
        let mail = match words[0] {
            "call" | "stale" => {
                if words[0] == "stale" {
                    self.now += 60_000;
                    arrived = self.now - 60_000;
                }
                Mail::Action { name: "do".to_owned(), args: program, caller: Caller::Host, reply }
            }
            "look" => Mail::Action { name: "look".to_owned(), args: program, caller: Caller::Host, reply },
            "message" => {
                let parts: Vec<&str> = program.splitn(5, ' ').collect();
                let envelope = Envelope {
                    sender: SENDER,
                    sender_name: "sender".to_owned(),
                    operation: number(parts[1]),
                    floor: number(parts[3]),
                    content: EnvelopeContent::Message(parts[4].to_owned()),
                };
                let stored = self.disk.get(&key::inbox(SENDER)).map(|bytes| JsonRecord::decode(bytes).expect("inbox"));
                Mail::Envelope { envelope, stored, accepted: reply, reply }
            }
            "done" => Mail::EffectDone { operation: reply, outcome: Ok("null".to_owned()) },
            "connect" => {
                Mail::Connect { connection: connection(id, ConnectionKind::Socket), request: Arc::default(), reply }
            }
            "queue" | "queue-waiting" => {
                let (wait, program) = match words[0] {
                    "queue" => (None, program),
                    _ => {
                        let (wait, program) = program.split_once(' ').expect("queue-waiting N MS program");
                        (Some(Duration::from_millis(number(wait))), program.to_owned())
                    }
                };
                Mail::Queue { queue: "line".to_owned(), body: program, caller: Caller::Host, wait, reply }
            }
            "open" => {
                Mail::Connect { connection: connection(id, ConnectionKind::RawSocket), request: Arc::default(), reply }
            }
            "frame" => Mail::Socket { connection: id, event: SocketEvent::Message(Frame::Text(program), 1) },
            "disconnect" => Mail::Disconnect { connection: id, code: 1000, reason: String::new() },
            "stop" => Mail::Stop(match words[1] {
                "sleep" => StopReason::Sleep,
                "destroy" => StopReason::Destroy,
                other => panic!("no such reason: {other}"),
            }),
            other => panic!("no such input: {other}"),
        };
        self.core().deliver(mail, arrived);
    }

    fn commit_ended(&mut self, ticket: u64, durable: bool) {
        if durable {
            while let Some(entry) = self.in_flight.first_entry().filter(|entry| *entry.key() <= ticket) {
                for (key, value) in entry.remove().writes {
                    match value {
                        Some(value) => self.disk.insert(key, value),
                        None => self.disk.remove(&key),
                    };
                }
            }
        }
        let releases = self.core().committed(ticket, durable);
        self.release(releases);
    }

    /// Lets the actor do everything that it can do now.
    fn run(&mut self) {
        loop {
            let now = self.now;
            let expired = self.core().expire(now);
            self.release(expired);
            let step = self.core().next(now);
            if let Some(finish) = step.finish {
                self.finish(finish);
            }
            match step.next {
                Next::Again => {}
                Next::Started => self.out.push("started".to_owned()),
                Next::Turn(turn) => self.turn(turn.message),
                Next::Wait(_) | Next::WaitCommit => return,
                Next::AskSleep => self.out.push("ask sleep".to_owned()),
                Next::AskDestroy => self.out.push("ask destroy".to_owned()),
                Next::Exit => {
                    self.out.push("exit".to_owned());
                    return;
                }
            }
        }
    }

    fn turn(&mut self, message: Message) {
        let hook = |hooks: &HashMap<&str, String>, name: &str| hooks.get(name).cloned().unwrap_or_default();
        let (name, program) = match &message {
            Message::Action(call) => ("action", call.args.clone()),
            Message::Actor(message) => ("message", message.payload.clone()),
            Message::Timer(timer) => ("timer", timer.payload.clone()),
            Message::Create(_) => ("create", hook(&self.hooks, "create")),
            Message::Wake(_) => ("wake", hook(&self.hooks, "wake")),
            Message::EffectResult(_) => ("effect", hook(&self.hooks, "effect")),
            Message::Destroy => ("destroy", hook(&self.hooks, "destroy")),
            Message::Sleep => ("sleep", hook(&self.hooks, "sleep")),
            Message::Disconnect(_) => ("disconnect", hook(&self.hooks, "disconnect")),
            Message::Connect(_) => ("connect", hook(&self.hooks, "connect")),
            Message::BeforeConnect(_) => ("before-connect", hook(&self.hooks, "before-connect")),
            Message::Queue(message) => ("queue", message.body.clone()),
            Message::Socket(_, SocketEvent::Open(_)) => ("open", hook(&self.hooks, "socket")),
            Message::Socket(_, SocketEvent::Message(Frame::Text(text), _)) => ("frame", text.clone()),
            Message::Socket(_, SocketEvent::Close(code, _)) => ("close", format!("event closed-{code}")),
            Message::Migrate(from, to) => {
                ("migrate", format!("event from-{from}-to-{to}; {}", hook(&self.hooks, "migrate")))
            }
            other => panic!("no guest for {other:?}"),
        };
        self.out.push(format!("turn {name}"));
        let end = self.guest(&program, matches!(message, Message::BeforeConnect(_)));
        let now = self.now;
        let finish = self.core().finish(end, now);
        self.finish(finish);
    }

    fn guest(&mut self, program: &str, connects: bool) -> TurnEnd {
        let mut effects = Effects::default();
        let mut answer = if connects { Answer::Verdict(Verdict::Accept(None)) } else { Answer::Outcome(Outcome::Done) };
        let mut next_id = self.core().next_id();
        for order in program.split(';').map(str::trim).filter(|order| !order.is_empty()) {
            let (word, rest) = order.split_once(' ').unwrap_or((order, ""));
            let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
            let mut timer = |effects: &mut Effects, schedule: Schedule, now| {
                let (due, repeat) = schedule.start(now).expect("a schedule");
                let record = TimerRecord { name: String::new(), payload: second.to_owned(), due, repeat };
                effects.timers.insert(next_id, Some(record));
                next_id += 1;
            };
            match word {
                "set" => drop(effects.state.insert(first.to_owned(), Some(second.to_owned().into()))),
                "unset" => drop(effects.state.insert(first.to_owned(), None)),
                "event" => effects.outgoing.push(Outgoing::Broadcast { name: first.into(), args: "[]".into() }),
                "timer" => timer(&mut effects, Schedule::After(number(first)), self.now),
                "every" => timer(&mut effects, Schedule::Every(number(first)), self.now),
                "cron" => {
                    let schedule = Schedule::Cron(format!("*/{first} * * * * *"));
                    timer(&mut effects, schedule, self.now);
                }
                "frame" => effects.outgoing.push(Outgoing::Frame {
                    connection: ConnectionId::from_bytes([u8::try_from(number(first)).expect("a small number"); 16]),
                    frame: Frame::Text(second.to_owned()),
                }),
                "cancel" => drop(effects.timers.insert(number(first), None)),
                "effect" => {
                    let effect = Effect::Send { target: TargetRef::Id(SENDER), payload: "null".to_owned() };
                    effects.effects.push((next_id, effect));
                    next_id += 1;
                }
                "answer" => {
                    let outcome = Ok(second.to_owned());
                    effects.outgoing.push(Outgoing::Answer { reply: number(first), outcome });
                }
                "reply" => answer = Answer::Outcome(Outcome::Reply(first.to_owned())),
                "defer" if connects => answer = Answer::Verdict(Verdict::Deferred),
                "defer" => answer = Answer::Outcome(Outcome::Deferred),
                "destroy" => effects.destroy = true,
                "lose" => self.commit_ended(number(first), false),
                "err" => {
                    let failure = Failure { group: "user".into(), code: "no".into(), ..codes::INTERNAL.failure() };
                    return TurnEnd::Failed { failure, crashed: false };
                }
                "crash" => return TurnEnd::Failed { failure: codes::CRASHED.failure(), crashed: true },
                other => panic!("no such order: {other}"),
            }
        }
        TurnEnd::Done { answer, effects, next_id }
    }

    fn finish(&mut self, finish: Finish<u64>) {
        if let Some((ticket, batch)) = finish.commit {
            let mut text: Vec<String> = batch.writes.iter().filter(|(key, _)| key[0] != b'm').map(spell).collect();
            if let Some(alarm) = batch.alarm {
                text.push(format!("alarm={}", alarm.map_or_else(|| "-".to_owned(), |at| at.to_string())));
            }
            text.extend(batch.writes.iter().filter(|(key, _)| key[0] == b'm').map(spell));
            for row in &batch.mirror {
                let name = EventRecord::decode(&row.record).expect("a row").name;
                text.push(row.event.map_or_else(|| format!("row {name}"), |event| format!("row {name} {event}")));
            }
            self.out.push(format!("commit {ticket}: {}", text.join(" ")));
            self.in_flight.insert(ticket, batch);
        }
        self.release(finish.releases);
        if finish.drop_instance {
            self.out.push("drop".to_owned());
        }
    }

    fn release(&mut self, releases: Vec<Release<u64>>) {
        let code = |failure: Failure| format!("{}.{}", failure.group, failure.code);
        for release in releases {
            self.out.push(match release {
                Release::Reply(to, Reply::Value(value)) => format!("reply {to} {}", value.unwrap_or_else(code)),
                Release::Reply(to, Reply::Accepted(Ok(()))) => format!("accepted {to}"),
                Release::Reply(to, Reply::Accepted(Err(failure))) => format!("refused {to} {}", code(failure)),
                Release::Reply(to, Reply::Response(_)) => format!("response {to}"),
                Release::Broadcast { seq, name, .. } => format!("event {seq} {name}"),
                Release::Run(operation, _) => format!("run {operation}"),
                Release::Frame(_, Frame::Text(text)) => format!("frame {text}"),
                Release::Close { code, reason, .. } => format!("close {code} {reason}"),
                other => format!("{other:?}"),
            });
        }
    }
}

fn spell((key, value): &(Bytes, Option<Bytes>)) -> String {
    let sign = if value.is_some() { '=' } else { '-' };
    let first = char::from(key[0]);
    match key[0] {
        key::STATE => format!("s{}{sign}", String::from_utf8_lossy(&key[1..])),
        key::EVENT | key::TIMER | key::OUTBOX => format!("{first}{}{sign}", key::number(key).expect("a number")),
        _ => format!("{first}{sign}"),
    }
}

fn connection(id: ConnectionId, kind: ConnectionKind) -> Connection {
    Connection { id, kind, params: "null".into(), state: None, hibernatable: true }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}
