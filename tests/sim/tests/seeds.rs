//! Seeds: the fixed ones that failed once, and as many others as `GROWQR_SIM_SEEDS` says. `GROWQR_SIM_SEED` runs a single one.

use growqr_sim::{Fault, Fired, run_seed};
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds of the ordinary test command.
const SEEDS: u64 = 500;
/// Seeds that are run a second time.
const SEEDS_RUN_TWICE: u64 = 20;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Seeds that failed once.
fn regressions() -> Vec<u64> {
    let lines = include_str!("regressions.txt").lines();
    let seeds = lines.map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|text| !text.is_empty());
    seeds.map(|text| text.parse().expect("a seed")).collect()
}

#[test]
fn everything_comes_right_whatever_fails() {
    // Storage that panics is one of the faults; its message would hide what matters.
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.to_string().contains("an injected panic") {
            show(panic);
        }
    }));
    let seeds: Vec<u64> = match number("GROWQR_SIM_SEED") {
        Some(seed) => vec![seed],
        None => regressions().into_iter().chain(1..=number("GROWQR_SIM_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let (next, fired, failed) = (AtomicU64::new(0), Mutex::new(Fired::new()), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(seeds.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    match catch_unwind(|| run_seed(seed)).unwrap_or_else(|_| Err("it panicked".to_owned())) {
                        Ok(run) => {
                            let mut fired = fired.lock().expect("not poisoned");
                            run.into_iter().for_each(|(fault, count)| *fired.entry(fault).or_default() += count);
                        }
                        Err(wrong) => failed.lock().expect("not poisoned").push((seed, wrong)),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("not poisoned");
    for (seed, wrong) in failed.iter().take(10) {
        println!("seed {seed} failed; replay it with\n  GROWQR_SIM_SEED={seed} cargo test -p growqr-sim\n{wrong}\n");
    }
    assert!(failed.is_empty(), "{} of {} seeds failed", failed.len(), seeds.len());
    if seeds.len() as u64 >= SEEDS {
        let fired = fired.into_inner().expect("not poisoned");
        println!("{fired:?}");
        for fault in Fault::ALL {
            assert!(fired.contains_key(&fault), "{fault:?} never happened");
        }
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 1..=number("GROWQR_SIM_TWICE").unwrap_or(SEEDS_RUN_TWICE) {
        assert_eq!(run_seed(seed), run_seed(seed), "seed {seed}");
    }
}
