//! One run: hosts that live and die on one disk, clients that outlive them, and a calm end in which everything must come right.

use crate::check::{check, check_rows, leftovers};
use crate::client::{ACTORS, caller, read, resolve};
use crate::drain::{Database, drain};
use crate::faults::{Counter, Dice, Fault, Fired};
use crate::guest::{NAME, Unit, description};
use crate::ledger::SharedLedger;
use crate::listener::listener;
use crate::raw;
use crate::relay::Relay;
use futures::future::join_all;
use growqr_component::{CompilerCommand, Engine as Components, EngineOptions as ComponentOptions};
use growqr_engine::{Engine, EngineOptions};
use growqr_runtime::{ActorSettings, Capabilities, Runtime, RuntimeInput, Served};
use growqr_seam::MirrorSource;
use growqr_storage::{Committer, Fault as StorageFault, ManualCommitter, MemoryStorage, Storage};
use growqr_types::TimestampMs;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// When a run begins: 2026-01-01.
const BEGIN_MS: i64 = 1_767_225_600_000;
/// Clients that call.
const CALLERS: usize = 4;
/// Clients that listen; the first ones to the first actors.
const LISTENERS: usize = 4;
/// Rows for the database may take so many bytes: more than a run makes.
const ROWS_BYTES_MAX: u64 = 1 << 30;
/// Clients with raw sockets.
const RAW_SOCKETS: usize = 2;
/// How long the calm end may take, in looks of one second each.
const CALM_LOOKS_MAX: usize = 240;

struct World {
    seed: u64,
    disk: Mutex<MemoryStorage>,
    ledger: SharedLedger,
    database: Mutex<Database>,
    counter: Counter,
    /// The clock when the host that runs was started, jumps included.
    clock: Arc<AtomicI64>,
}

/// One life of the host.
struct Life {
    number: u64,
    calm: bool,
    engine: Engine,
    rows: Arc<dyn MirrorSource>,
    hands: Arc<Hands>,
}

/// The committer that the simulation drives.
#[derive(Default)]
struct Hands {
    /// The newest one, until the simulation takes it.
    committer: Mutex<Option<ManualCommitter>>,
    waits: Arc<Notify>,
}

/// Runs one seed. Gives the faults that happened, or what is wrong.
pub fn run_seed(seed: u64) -> Result<Fired, String> {
    let world = Arc::new(World {
        seed,
        disk: Mutex::new(MemoryStorage::new()),
        ledger: SharedLedger::default(),
        database: Mutex::default(),
        counter: Counter::default(),
        clock: Arc::new(AtomicI64::new(BEGIN_MS)),
    });
    let lives = Dice::new(seed, 1).between(1, 3);
    for number in 0..=lives {
        world.live(number, number == lives)?;
    }
    Ok(world.counter.fired())
}

/// The pool of component slots that a runtime wants; nothing is ever taken from it.
fn components() -> Components {
    static COMPONENTS: OnceLock<(Components, tempfile::TempDir)> = OnceLock::new();
    let (components, _) = COMPONENTS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let components = Components::new(ComponentOptions {
            slots: Some(1),
            runtime_slots: Some(1),
            cache_dir: folder.path().to_owned(),
            compiler: CompilerCommand::this_program([]).expect("this program has a path"),
        });
        (components.expect("an engine for components"), folder)
    });
    components.clone()
}

impl World {
    fn dice(&self, life: u64, purpose: u64) -> Dice {
        Dice::new(self.seed, 1000 + life * 100 + purpose)
    }

    fn live(self: &Arc<Self>, number: u64, calm: bool) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let result = runtime.block_on(async {
            let start = Instant::now();
            let life = self.start(number, calm);
            let result = if calm { self.calm_end(&life).await } else { self.storm(&life).await };
            self.clock.fetch_add(elapsed_ms(start), Ordering::Relaxed);
            result
        });
        // The host is gone here, at whatever it was doing.
        drop(runtime);
        result
    }

    fn start(self: &Arc<Self>, number: u64, calm: bool) -> Life {
        let start = Instant::now();
        let offset = self.clock.clone();
        let clock: growqr_seam::Clock = Arc::new(move || {
            TimestampMs::try_from(offset.load(Ordering::Relaxed) + elapsed_ms(start)).unwrap_or_default()
        });
        let random = Mutex::new(self.dice(number, 1));
        let randomness: growqr_seam::Randomness = Arc::new(move || random.lock().bytes());
        let hands = Arc::new(Hands::default());
        let world = self.clone();
        let plans = Mutex::new(self.dice(number, 2));
        let opener = Box::new(move || {
            let dice = Dice::new(plans.lock().between(0, u64::MAX - 1), 3);
            let mut disk = world.disk.lock();
            *disk = if calm { disk.reopen() } else { disk.reopen_with_faults(plan(dice, world.counter.clone())) };
            Ok(Arc::new(disk.clone()) as Arc<dyn Storage>)
        });
        let own = hands.clone();
        let committer = Box::new(move |storage| {
            let waits = own.waits.clone();
            let (committer, manual) = Committer::manual(storage, move || waits.notify_one());
            *own.committer.lock() = Some(manual);
            committer
        });
        let options = EngineOptions {
            opener,
            clock: clock.clone(),
            randomness: randomness.clone(),
            namespaces: vec!["default".to_owned()],
            namespaces_on_request: false,
            names: vec![NAME.to_owned()],
            region: "here".to_owned(),
        };
        let engine = Engine::with_committer(options, committer).expect("storage in memory opens");
        let rows = engine.keep_rows(ROWS_BYTES_MAX);
        let relay = Relay {
            engine: engine.host(),
            dice: Mutex::new(self.dice(number, 4)),
            counter: self.counter.clone(),
            calm,
        };
        let runtime = Runtime::new(RuntimeInput {
            engine: Arc::new(relay),
            components: components(),
            capabilities: Capabilities::default(),
            clock,
            randomness,
        });
        let served = Served::native(NAME, Arc::new(Unit), description(), ActorSettings::default());
        runtime.serve(NAME, served.map(Arc::new));
        let watched = runtime.clone();
        tokio::spawn(async move { watched.watch_clock().await });
        engine.attach(Arc::new(runtime));
        Life { number, calm, engine, rows, hands }
    }

    /// Clients work, faults happen, and at some moment the host ends.
    async fn storm(&self, life: &Life) -> Result<(), String> {
        let mut dice = self.dice(life.number, 5);
        let time = Duration::from_millis(dice.between(200, 2500));
        let callers = join_all((0..CALLERS).map(|client| {
            let name = format!("{}-{client}", life.number);
            let dice = self.dice(life.number, 10 + client as u64);
            caller(&life.engine, &self.ledger, &self.counter, name, dice)
        }));
        let sockets = join_all((0..RAW_SOCKETS).map(|client| {
            let name = format!("{}-raw{client}", life.number);
            raw::client(&life.engine, &self.ledger, &self.counter, name, self.dice(life.number, 50 + client as u64))
        }));
        let clean = dice.per_mille(250);
        tokio::select! {
            biased;
            () = self.commits(life) => {
                self.counter.hit(Fault::KilledBeforeAnswer);
                return Ok(());
            }
            () = life.engine.run() => {}
            () = self.drain(life) => {}
            () = self.trouble(life) => {}
            _ = callers => {}
            _ = sockets => {}
            _ = self.listeners(life) => {}
            () = tokio::time::sleep(time) => {}
        }
        if clean {
            self.counter.hit(Fault::Stopped);
            tokio::select! {
                biased;
                () = self.commits(life) => {}
                _ = tokio::time::timeout(Duration::from_secs(60), life.engine.shutdown()) => {}
            }
        } else {
            self.counter.hit(Fault::Killed);
        }
        Ok(())
    }

    async fn calm_end(&self, life: &Life) -> Result<(), String> {
        tokio::select! {
            biased;
            () = self.commits(life) => Err("the committer ended".to_owned()),
            () = life.engine.run() => Err("the engine ended".to_owned()),
            () = self.drain(life) => Err("the drain ended".to_owned()),
            _ = self.listeners(life) => Err("the listeners ended".to_owned()),
            result = self.comes_right(life) => result,
        }
    }

    async fn comes_right(&self, life: &Life) -> Result<(), String> {
        let mut wrong = Vec::new();
        for _ in 0..CALM_LOOKS_MAX {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let states = join_all((0..ACTORS).map(|actor| read(&life.engine, &self.ledger, actor))).await;
            let Some(states) = states.into_iter().collect::<Option<Vec<_>>>() else {
                wrong = vec!["an actor can't be read".to_owned()];
                continue;
            };
            let actors = join_all((0..ACTORS).map(|actor| resolve(&life.engine, actor))).await;
            let actors: Vec<_> = actors.into_iter().flatten().collect();
            let ledger = self.ledger.lock();
            wrong = check(&ledger, &states);
            wrong.extend(check_rows(&ledger, &self.database.lock()));
            let waiting = life.rows.level().rows;
            if waiting > 0 {
                wrong.push(format!("{waiting} rows wait for the database"));
            }
            wrong.extend(leftovers(&self.disk.lock(), &actors));
            if wrong.is_empty() {
                return Ok(());
            }
            if !ledger.wrong.is_empty() {
                break;
            }
        }
        wrong.truncate(20);
        Err(wrong.join("\n"))
    }

    async fn drain(&self, life: &Life) {
        life.rows.count().expect("storage in memory can be read");
        let dice = self.dice(life.number, 8);
        drain(&*life.rows, &self.database, &self.counter, life.calm, dice).await;
    }

    async fn listeners(&self, life: &Life) {
        join_all((0..LISTENERS).map(|client| {
            let dice = self.dice(life.number, 30 + client as u64);
            listener(&life.engine, &self.ledger, &self.counter, (client, client % ACTORS), life.calm, dice)
        }))
        .await;
    }

    /// Makes the commits. Ends when the host is to die between a commit and its answer.
    async fn commits(&self, life: &Life) {
        let mut dice = self.dice(life.number, 6);
        let mut current: Option<ManualCommitter> = None;
        loop {
            life.hands.waits.notified().await;
            if let Some(newest) = life.hands.committer.lock().take() {
                current = Some(newest);
            }
            let storms = !life.calm;
            let slow = storms && dice.per_mille(20);
            let wait = if slow { dice.between(100, 900) } else { dice.between(0, 4) };
            if slow {
                self.counter.hit(Fault::CommitSlow);
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let Some(committer) = &current else { continue };
            while let Some(committed) = committer.commit() {
                if storms && dice.per_mille(3) {
                    return;
                }
                if storms && dice.per_mille(30) {
                    self.counter.hit(Fault::AnswerSlow);
                    tokio::time::sleep(Duration::from_millis(dice.between(10, 300))).await;
                }
                committed.tell();
            }
        }
    }

    /// Clocks that jump, and actors that are told to sleep.
    async fn trouble(&self, life: &Life) {
        let mut dice = self.dice(life.number, 7);
        loop {
            tokio::time::sleep(Duration::from_millis(dice.between(20, 400))).await;
            match dice.between(0, 9) {
                0 => {
                    self.counter.hit(Fault::ClockForward);
                    self.clock.fetch_add(dice.between(1, 5_000) as i64, Ordering::Relaxed);
                }
                1 => {
                    self.counter.hit(Fault::ClockBack);
                    self.clock.fetch_sub(dice.between(1, 5_000) as i64, Ordering::Relaxed);
                }
                _ => {
                    let actor = dice.between(0, ACTORS as u64 - 1) as usize;
                    let key = growqr_types::ActorKey(vec![actor.to_string()]);
                    if let Ok(found) = life.engine.host().get_or_create("default", NAME, key, None).await {
                        self.counter.hit(Fault::ToldToSleep);
                        drop(life.engine.sleep(found.actor).await);
                    }
                }
            }
        }
    }
}

fn elapsed_ms(start: Instant) -> i64 {
    i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX)
}

/// Which commits fail, and how.
fn plan(mut dice: Dice, counter: Counter) -> impl FnMut(u64) -> Option<StorageFault> + Send + 'static {
    move |_| {
        if !dice.per_mille(8) {
            return None;
        }
        let (fault, storage) = match dice.between(0, 5) {
            0 => (Fault::CommitLost, StorageFault::Lost),
            1 => (Fault::CommitKept, StorageFault::Kept),
            2 => (Fault::CommitTorn, StorageFault::Torn(dice.between(0, 3) as usize)),
            3 => {
                // Nearly all of them, so that the rare case that all had arrived happens too.
                let lost =
                    dice.between(0, u64::MAX - 1) & dice.between(0, u64::MAX - 1) & dice.between(0, u64::MAX - 1);
                (Fault::CommitReordered, StorageFault::Reordered(!lost))
            }
            4 => (Fault::DiskFull, StorageFault::DiskFull),
            _ => (Fault::StoragePanic, StorageFault::Panic),
        };
        counter.hit(fault);
        Some(storage)
    }
}
