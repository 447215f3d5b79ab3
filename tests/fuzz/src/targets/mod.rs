//! Every decoder that bytes of a guest, a client or the disk reach.
//!
//! A target runs one input through a decoder and checks what must hold for everything that it accepts. It gives a short text that says
//! what became of the input; new texts are what the fuzzer looks for.

mod address;
mod records;
mod value;
mod wire;

use growqr_wire::Encoding;
use std::fmt::Debug;

/// A decoder.
pub struct Target {
    /// Also the name of its folder in the corpus.
    pub name: &'static str,
    /// Runs one input; panics when it breaks a rule.
    pub run: fn(&[u8]) -> String,
    /// Pieces of text that mean something to it.
    pub words: &'static [&'static str],
    /// Inputs that the tests try, beside the corpus.
    pub inputs: u64,
}

/// Inputs of a target whose decoder takes a few microseconds.
const MANY: u64 = 40_000;
/// Inputs of a target whose decoder takes much longer.
const FEW: u64 = 10_000;

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "wire-json", run: |input| wire::all(Encoding::Json, input), words: wire::WORDS, inputs: MANY },
    Target { name: "wire-cbor", run: |input| wire::all(Encoding::Cbor, input), words: wire::WORDS, inputs: MANY },
    Target { name: "wire-bare", run: |input| wire::all(Encoding::Bare, input), words: wire::WORDS, inputs: MANY },
    Target { name: "value-cbor", run: value::cbor, words: &["$", "$Map", "$Set", "$CborTag"], inputs: MANY },
    Target { name: "value-json", run: value::json, words: value::TAGS, inputs: MANY },
    Target { name: "addressing", run: address::route, words: address::ROUTE_WORDS, inputs: MANY },
    Target { name: "rest", run: address::rest, words: address::REST_WORDS, inputs: MANY },
    Target { name: "key", run: address::key, words: &["/", "\\0", "\\", ",", "\\/", "\\\\"], inputs: MANY },
    Target { name: "handshake", run: address::handshake, words: address::HANDSHAKE_WORDS, inputs: MANY },
    Target { name: "credentials", run: address::credentials, words: address::CREDENTIAL_WORDS, inputs: MANY },
    Target { name: "record", run: records::actor, words: records::WORDS, inputs: MANY },
    Target { name: "directory", run: records::directory, words: records::DIRECTORY_WORDS, inputs: MANY },
    Target { name: "journal", run: records::journal, words: &["FJL\u{3}"], inputs: FEW },
    Target { name: "schedule", run: records::schedule, words: records::SCHEDULE_WORDS, inputs: FEW },
    Target { name: "component", run: records::component, words: records::COMPONENT_WORDS, inputs: FEW },
];

/// The variant, without what is in it.
fn kind(what: &impl Debug) -> String {
    format!("{what:?}").split(['"', '[']).next().unwrap_or_default().to_owned()
}

/// Letters of a value's shape.
const SHAPE_CHARS_MAX: usize = 24;

/// The structure of a JSON text: brackets, tags, and one letter for each kind of value, repetitions left out.
fn shape(json: &str) -> String {
    let mut shape = String::new();
    let mut rest = json;
    while let Some(char) = rest.chars().next() {
        rest = &rest[char.len_utf8()..];
        let seen = match char {
            '"' => {
                let end = rest.find('"').unwrap_or(rest.len());
                let (text, after) = rest.split_at(end);
                rest = after.strip_prefix('"').unwrap_or(after);
                if text.starts_with('$') { text.get(..6).unwrap_or("$") } else { "s" }
            }
            '[' => "[",
            ']' => "]",
            '{' => "{",
            '}' => "}",
            '.' => ".",
            '-' => "-",
            '0'..='9' => "n",
            'a'..='z' => "w",
            _ => continue,
        };
        if !shape.ends_with(seen) {
            shape.push_str(seen);
        }
        if shape.len() >= SHAPE_CHARS_MAX {
            break;
        }
    }
    shape
}
