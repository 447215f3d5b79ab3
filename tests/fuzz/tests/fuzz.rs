//! Every decoder, for a moment. `README.md` says how to run one for longer.

use growqr_fuzz::{Plan, TARGETS, run};

/// Every ordinary run of the tests tries the same inputs.
const SEED: u64 = 1;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn check(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target {name}"));
    let plan = Plan {
        seed: number("GROWQR_FUZZ_SEED").unwrap_or(SEED),
        inputs: number("GROWQR_FUZZ_ITERATIONS").unwrap_or(target.inputs),
        keep: std::env::var_os("GROWQR_FUZZ_KEEP").is_some(),
    };
    match run(target, plan) {
        Ok(report) => {
            println!("{name}: {} inputs, {} different outcomes", report.inputs, report.outcomes);
            // A fuzzer whose every input is refused at the first byte would find nothing.
            assert!(report.outcomes >= 4, "{name} only ever says the same: {report:?}");
        }
        Err(broken) => panic!(
            "{name}: {}\nthe input is kept as {}; the seed was {}, of {} inputs",
            broken.what,
            broken.file.display(),
            plan.seed,
            plan.inputs
        ),
    }
}

macro_rules! targets {
    ($($test:ident => $name:literal,)*) => {
        $(#[test] fn $test() { check($name); })*
        #[test]
        fn every_target_is_run() {
            let run = [$($name),*];
            let missing: Vec<_> = TARGETS.iter().map(|target| target.name).filter(|name| !run.contains(name)).collect();
            assert!(missing.is_empty(), "{missing:?} are not run");
        }
    };
}

targets! {
    messages_in_json => "wire-json",
    messages_in_cbor => "wire-cbor",
    messages_in_bare => "wire-bare",
    values_in_cbor => "value-cbor",
    values_in_json_with_tags => "value-json",
    addresses_of_the_gateway => "addressing",
    requests_of_the_rest_interface => "rest",
    keys_in_both_spellings => "key",
    handshakes_of_sockets => "handshake",
    headers_that_bring_a_token => "credentials",
    records_of_an_actor => "record",
    records_of_the_directory => "directory",
    journals => "journal",
    cron_expressions => "schedule",
    components => "component",
}
