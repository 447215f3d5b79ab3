//! Behaviours that a script tries in each encoding, and what is expected of them.

use crate::files::random;
use crate::host::{Deployment, Host};
use crate::script::Script;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The encodings of the client protocol.
pub const ENCODINGS: [&str; 3] = ["json", "cbor", "bare"];

/// What every behaviour of one script gave, by encoding and name.
pub struct Results {
    script: &'static str,
    by_encoding: BTreeMap<&'static str, BTreeMap<String, Value>>,
}

impl Results {
    /// Runs the script in all encodings against a host of its own.
    pub fn of(script: &'static str, deployment: &Deployment) -> Self {
        let host = Host::start(deployment);
        let run = format!("run{:x}", random());
        let running: Vec<(&'static str, Script)> = ENCODINGS
            .into_iter()
            .map(|encoding| {
                let arguments = json!({ "url": host.url(), "encoding": encoding, "run": run });
                (encoding, Script::start(script, &arguments))
            })
            .collect();
        let by_encoding = running.into_iter().map(|(encoding, script)| (encoding, named(script.finish()))).collect();
        Self { script, by_encoding }
    }

    /// Compares one behaviour in every encoding.
    pub fn check(&self, behaviour: &str, expected: impl Fn(&str) -> Value) {
        for (encoding, results) in &self.by_encoding {
            let Some(result) = results.get(behaviour) else { panic!("{} does not try `{behaviour}`", self.script) };
            assert_eq!(*result, expected(encoding), "`{behaviour}` in {encoding}");
        }
    }

    /// The behaviours in which two runs of the same script differ, with both results.
    pub fn differences(&self, other: &Self) -> Vec<(String, Value, Value)> {
        let mut differences = Vec::new();
        for (encoding, results) in &self.by_encoding {
            let others = &other.by_encoding[encoding];
            assert_eq!(results.len(), others.len(), "not the same behaviours in {encoding}");
            for (name, result) in results.iter().filter(|(name, result)| others.get(*name) != Some(result)) {
                differences.push((name.clone(), result.clone(), others.get(name).cloned().unwrap_or_default()));
            }
        }
        differences
    }

    /// Fails when the script tries something that nobody compares.
    pub fn check_complete(&self, compared: &[&str]) {
        for (encoding, results) in &self.by_encoding {
            let missing: Vec<_> = results.keys().filter(|name| !compared.contains(&name.as_str())).collect();
            assert!(missing.is_empty(), "nothing is expected of {missing:?} in {encoding}");
        }
    }
}

fn named(lines: Vec<Value>) -> BTreeMap<String, Value> {
    let mut results = BTreeMap::new();
    for mut line in lines {
        let name = line["behaviour"].as_str().unwrap_or_else(|| panic!("{line} names no behaviour")).to_owned();
        results.insert(name, line["result"].take());
    }
    results
}

/// Makes one test of each behaviour: `behaviours!(results; name => expected, ...)`, where `expected` is JSON.
#[macro_export]
macro_rules! behaviours {
    ($results:path; $($name:ident => $expected:tt,)*) => {
        $(
            #[test]
            fn $name() {
                $results().check(stringify!($name), |_| serde_json::json!($expected));
            }
        )*
        /// The behaviours that are compared above.
        const COMPARED: &[&str] = &[$(stringify!($name)),*];
    };
}
