//! The environment, laid over the file.

use crate::problem::Problem;
use crate::schema::{Field, Kind, fields, variable};
use crate::switch::OFF;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What the host's own variables begin with.
pub(crate) const PREFIX: &str = "GROWQR_";
/// The address of the database, as other programs know it too.
pub(crate) const DATABASE_URL: &str = "DATABASE_URL";
/// A short name of the log's filter.
pub(crate) const LOG: &str = "GROWQR_LOG";
/// Variables with the prefix that mean something to the command line or to the tools of this repository, and nothing here.
const FOREIGN: [&str; 10] = [
    "GROWQR_CONFIG",
    "GROWQR_OPERATOR_TOKEN",
    "GROWQR_BINARY",
    "GROWQR_NODE",
    "GROWQR_KILL_ROUNDS",
    "GROWQR_SIM_SEED",
    "GROWQR_SIM_SEEDS",
    "GROWQR_STORAGE_CRASH_FOLDER",
    "GROWQR_STORAGE_FULL_FOLDER",
    "GROWQR_TEST_DATABASE_URL",
];
/// How alike a name must be to be proposed.
const LIKENESS_MIN: f64 = 0.85;

/// The variables of this process that concern the configuration.
pub fn environment() -> BTreeMap<String, String> {
    let ours = |name: &str| name.starts_with(PREFIX) || name == DATABASE_URL;
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| ours(name))
        .collect()
}

/// Lays the variables over the file's content. An empty variable counts as not set.
pub(crate) fn overlay(root: &mut Map<String, Value>, environment: &BTreeMap<String, String>) -> Vec<Problem> {
    let fields = fields();
    let places = places(&fields);
    let mut problems = Vec::new();
    let set = environment.iter().filter(|(name, value)| !value.is_empty() && !FOREIGN.contains(&name.as_str()));
    for (name, text) in set {
        if name == DATABASE_URL {
            database_url(root, text);
            continue;
        }
        let Some((section, field)) = places.get(name) else {
            problems.push(unknown(name, &places));
            continue;
        };
        match value(field, text) {
            Ok(value) => place(root, *section, field, value),
            Err(message) => problems.push(Problem::new(name.clone(), message)),
        }
    }
    // A switch that the environment turns off stays off, whatever its fields say.
    for field in fields.iter().filter(|field| field.has_switch) {
        let name = variable(None, &field.name);
        if environment.get(&name).is_some_and(|text| !text.is_empty()) {
            let inside = variable(Some(&field.name), "");
            for other in environment.keys().filter(|other| other.starts_with(&inside) && places.contains_key(*other)) {
                problems.push(Problem::new(other.clone(), format!("this has no meaning while {name} is \"off\"")));
            }
        }
    }
    problems
}

type Places<'a> = BTreeMap<String, (Option<&'a Field>, &'a Field)>;

/// Every variable and the field that it sets.
fn places(fields: &[Field]) -> Places<'_> {
    let mut places = BTreeMap::new();
    for field in fields {
        if field.kind != Kind::Other || field.has_switch {
            places.insert(variable(None, &field.name), (None, field));
        }
        for inner in field.fields.iter().filter(|inner| inner.kind != Kind::Other) {
            places.insert(variable(Some(&field.name), &inner.name), (Some(field), inner));
        }
    }
    if let Some(filter) = places.get(&variable(Some("logs"), "filter")).copied() {
        places.insert(LOG.to_owned(), filter);
    }
    places
}

/// The names of all variables that are read, for the reference page.
pub(crate) fn is_read(section: Option<&Field>, field: &Field) -> bool {
    field.kind != Kind::Other || (section.is_none() && field.has_switch)
}

fn value(field: &Field, text: &str) -> Result<Value, String> {
    if field.has_switch {
        return if text == OFF {
            Ok(OFF.into())
        } else {
            Err("this can only be \"off\"; its fields have variables of their own".into())
        };
    }
    match field.kind {
        Kind::Scalar => match serde_json::from_str(text.trim()) {
            Ok(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value),
            _ => Err("this is a number, or true or false".to_owned()),
        },
        Kind::List => Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()),
        Kind::Text | Kind::Other => Ok(text.into()),
    }
}

fn place(root: &mut Map<String, Value>, section: Option<&Field>, field: &Field, value: Value) {
    let Some(section) = section else {
        root.insert(field.name.clone(), value);
        return;
    };
    let entry = root.entry(section.name.clone()).or_insert_with(|| Value::Object(Map::new()));
    // The file's "off" gives way to a variable for one of the section's fields. Anything else is refused later, where types are checked.
    if entry.as_str() == Some(OFF) {
        *entry = Value::Object(Map::new());
    }
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(field.name.clone(), value);
    }
}

/// `DATABASE_URL` is there for other programs too, so it gives an address, but does not switch on what is switched off. A
/// `GROWQR_DATABASE_URL`, which is read after it, wins.
fn database_url(root: &mut Map<String, Value>, text: &str) {
    let entry = root.entry("database").or_insert_with(|| Value::Object(Map::new()));
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("url".to_owned(), text.into());
    }
}

fn unknown(name: &str, places: &Places<'_>) -> Problem {
    let problem = Problem::new(name, "there is no such variable");
    match nearest(name, places.keys().map(String::as_str)) {
        Some(near) => problem.hint(format!("did you mean {near}?")),
        None => problem,
    }
}

/// The name that was probably meant.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}
