//! A small mutation fuzzer for every decoder of the host, and the decoders as its targets.
//!
//! `tests/fuzz.rs` replays the corpus of each target and then tries mutations of it for a moment, always the same ones; `README.md`
//! says how to run it for longer. An input that makes a decoder panic, take too long or break a rule is written into
//! `corpus/<target>/`, where every later run tries it first.
//!
//! Invariant: the same corpus, the same seed and the same number of tries give the same inputs.
//! Deliberately absent: coverage feedback. An input is kept for further mutation when the decoder says something new about it.

mod mutate;
mod targets;

pub use targets::{TARGETS, Target};

use mutate::Mutator;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Inputs that one target keeps in memory for further mutation.
const POOL_MAX: usize = 1024;
/// Bytes of an input. The decoders have larger limits; what is special about large inputs is tested beside them.
pub const INPUT_BYTES_MAX: usize = 4 << 10;
/// How long one input may take. Generous, because a machine may be busy; a decoder needs microseconds.
const INPUT_TIME_MAX: Duration = Duration::from_secs(5);

/// Letters by which two outcomes are told apart.
const OUTCOME_CHARS_MAX: usize = 200;

/// Files of one target's corpus that a run with `keep` fills up to, and bytes of each: the corpus is read by people too.
const KEPT_MAX: usize = 48;
const KEPT_BYTES_MAX: usize = 512;

/// How a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Where the mutations begin.
    pub seed: u64,
    /// Inputs beside the corpus.
    pub inputs: u64,
    /// Writes inputs of which a decoder says something new into the corpus.
    pub keep: bool,
}

/// What a run did.
#[derive(Debug)]
pub struct Report {
    /// Inputs tried, those of the corpus included.
    pub inputs: u64,
    /// Different things that the decoder said, counted until enough of them are kept.
    pub outcomes: usize,
}

/// An input that broke a decoder.
#[derive(Debug)]
pub struct Broken {
    /// Where the input is kept.
    pub file: PathBuf,
    /// What went wrong.
    pub what: String,
}

/// The kept inputs of a target, ordered by name.
pub fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("the corpus can be listed").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("the corpus can be read"))).collect()
}

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// Tries the corpus, then mutations of it.
pub fn run(target: &Target, plan: Plan) -> Result<Report, Broken> {
    let mut said = HashSet::new();
    let mut pool = Vec::new();
    let mut inputs = 0;
    for (file, input) in corpus(target) {
        let outcome = try_one(target, &input).map_err(|what| Broken { file, what })?;
        said.insert(outcome);
        pool.push(input);
        inputs += 1;
    }
    let mut mutator = Mutator::new(target.name, plan.seed, target.words);
    for _ in 0..plan.inputs {
        let input = mutator.next(&pool);
        let outcome = try_one(target, &input)
            .map_err(|what| Broken { file: write(target, "found", &input, &what), what: what.clone() })?;
        if pool.len() < POOL_MAX && said.insert(outcome) {
            if plan.keep && pool.len() < KEPT_MAX && input.len() <= KEPT_BYTES_MAX {
                write(target, "new", &input, "it is new");
            }
            pool.push(input);
        }
    }
    Ok(Report { inputs: inputs + plan.inputs, outcomes: said.len() })
}

/// Runs one input; gives what was said of it, in coarse words.
fn try_one(target: &Target, input: &[u8]) -> Result<String, String> {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })?;
    let took = began.elapsed();
    if took > INPUT_TIME_MAX {
        return Err(format!("it took {took:?}"));
    }
    Ok(coarse(&outcome))
}

/// The text with numbers as nothing but their size, so that a decoder that got further says something new, and one that counts does not.
fn coarse(text: &str) -> String {
    let mut out = String::new();
    let mut number: Option<u64> = None;
    for char in text.chars().chain(['\0']) {
        if let Some(digit) = char.to_digit(10) {
            number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(digit.into()));
            continue;
        }
        if let Some(number) = number.take() {
            // A letter for each doubling.
            out.push(char::from(b'A' + (u64::BITS - number.leading_zeros()).min(25) as u8));
        }
        out.push(char);
    }
    out.chars().take(OUTCOME_CHARS_MAX).collect()
}

/// Keeps an input in the corpus, under a name that follows from its bytes.
fn write(target: &Target, kind: &str, input: &[u8], what: &str) -> PathBuf {
    let name = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let file = folder(target).join(format!("{kind}-{name:016x}"));
    match std::fs::write(&file, input) {
        Ok(()) => file,
        Err(error) => panic!("{what}; the input can't be kept: {error}: {input:02x?}"),
    }
}
