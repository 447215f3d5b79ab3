//! The pages that promise to be complete are compared with the code.

use growqr_component::{ComponentLimits, InstanceLimits};
use growqr_runtime::options::{ActorLimits, ActorOptions};
use growqr_turn::TurnLimits;
use growqr_types::codes;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of all tables whose first cell is code: name, second cell, third cell.
fn rows(page: &str) -> BTreeMap<String, (String, String)> {
    let mut rows = BTreeMap::new();
    for line in read(page).lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let Some(name) = cells[0].strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) else { continue };
        assert!(cells.len() >= 3 && cells.iter().all(|cell| !cell.is_empty()), "{page}: an empty cell in {line}");
        let row = (cells[1].to_owned(), cells[2].to_owned());
        assert_eq!(rows.insert(name.to_owned(), row), None, "{page}: `{name}` is there twice");
    }
    rows
}

/// Fails with every line that is missing, that nothing stands behind, or whose value is another.
fn check(page: &str, documented: &BTreeMap<String, (String, String)>, real: &BTreeMap<String, String>) {
    let mut wrong = Vec::new();
    for (name, value) in real {
        match documented.get(name) {
            None => wrong.push(format!("missing: `{name}` ({value})")),
            Some((shown, _)) if shown != value => wrong.push(format!("`{name}` is {value}, the page says {shown}")),
            Some(_) => {}
        }
    }
    wrong.extend(documented.keys().filter(|name| !real.contains_key(*name)).map(|name| format!("unknown: `{name}`")));
    assert!(wrong.is_empty(), "{page}:\n  {}", wrong.join("\n  "));
}

#[test]
fn every_error_code_is_explained_and_no_other() {
    let real =
        codes::ALL.iter().map(|code| (format!("{}.{}", code.group, code.code), code.status.to_string())).collect();
    check("docs/errors.md", &rows("docs/errors.md"), &real);
}

#[test]
fn every_limit_is_listed_with_its_value_and_no_other() {
    let mut real: BTreeMap<String, String> = BTreeMap::new();
    for line in read("host/types/src/limits.rs").lines() {
        let Some((name, rest)) = line.strip_prefix("pub const ").and_then(|line| line.split_once(": ")) else {
            continue;
        };
        let (_, value) = rest.split_once(" = ").unwrap_or_else(|| panic!("can't read {line}"));
        real.insert(name.to_owned(), shown(name, value.trim_end_matches(';')));
    }
    // The record, and whether `rivet.json` spells its names in camelCase.
    let records = [
        (format!("{:?}", TurnLimits::default()), false),
        (format!("{:?}", ComponentLimits::default()), false),
        (format!("{:?}", InstanceLimits::default()), false),
        (format!("{:?}", ActorOptions::default()), true),
        (format!("{:?}", ActorLimits::default()), true),
    ];
    for (record, in_camel_case) in records {
        let fields = record.split_once('{').and_then(|(_, rest)| rest.strip_suffix('}')).expect("a record with fields");
        for field in fields.split(',') {
            let (name, value) = field.trim().split_once(": ").unwrap_or_else(|| panic!("can't read {field}"));
            let spelled = if in_camel_case { camel_case(name) } else { name.to_owned() };
            real.insert(spelled, shown(name, value));
        }
    }
    assert!(real.contains_key("KEY_BYTES_MAX") && real.contains_key("timers_max"), "the code was not read: {real:?}");
    check("docs/limits.md", &rows("docs/limits.md"), &real);
}

/// A value as the page shows it: `4 << 20` of bytes is `4 MiB`, `Duration::from_secs(5)` and `5s` are `5 s`.
fn shown(name: &str, value: &str) -> String {
    let duration = value.trim_start_matches("Duration::from_").replace("secs(", "").replace("millis(", "");
    match (value.contains("millis") || value.ends_with("ms"), duration != value || value.ends_with('s')) {
        (true, _) => return format!("{} ms", digits(&duration)),
        (false, true) if value != "false" => return format!("{} s", digits(&duration)),
        _ if matches!(value, "true" | "false") => return value.to_owned(),
        _ => {}
    }
    let number = |text: &str| -> u64 { digits(text).parse().unwrap_or_else(|_| panic!("{name} = {value}")) };
    let count = match value.split_once("<<") {
        Some((base, shift)) => number(base) << number(shift),
        None => number(value),
    };
    let lower = name.to_lowercase();
    let is_bytes = lower.contains("bytes") || lower.contains("size");
    for (unit, size) in [("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if is_bytes && count >= size && count.is_multiple_of(size) {
            return format!("{} {unit}", count / size);
        }
    }
    let ungrouped = count.to_string();
    let mut grouped = String::new();
    for (index, digit) in ungrouped.char_indices() {
        if index > 0 && (ungrouped.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if is_bytes { format!("{grouped} bytes") } else { grouped }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// `sleep_timeout` as `rivet.json` spells it.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| text + &word[..1].to_uppercase() + &word[1..])
}
