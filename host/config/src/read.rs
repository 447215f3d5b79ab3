//! From a file and the environment to a [`Configuration`].

use crate::Configuration;
use crate::environment::{nearest, overlay};
use crate::problem::{ConfigurationError, Problem};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "rivet.json";
/// Bytes of a configuration file. A larger one is certainly another file.
const FILE_BYTES_MAX: u64 = 16 << 20;

impl Configuration {
    /// Reads the named file, or `rivet.json` in the current folder, or the one beside the program, and lays the variables over it. What
    /// comes back has the right form; whether it makes sense is for [`crate::check`] to say.
    pub fn read(file: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Self, ConfigurationError> {
        let file = match file {
            Some(file) => file.to_owned(),
            None => find().map_err(|problem| ConfigurationError { file: None, problems: vec![problem] })?,
        };
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        text_of(&file)
            .map_err(|problem| vec![problem])
            .and_then(|text| Self::parse(&text, &folder, environment))
            .map_err(|problems| ConfigurationError { file: Some(file), problems })
    }

    /// The same from a file's content. Relative paths in it are relative to the folder; those of variables are not.
    pub fn parse(text: &str, folder: &Path, environment: &BTreeMap<String, String>) -> Result<Self, Vec<Problem>> {
        let mut root: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| vec![Problem::new("", format!("this is not a JSON object: {error}"))])?;
        resolve_paths(&mut root, folder);
        let problems = overlay(&mut root, environment);
        if !problems.is_empty() {
            return Err(problems);
        }
        serde_path_to_error::deserialize(Value::Object(root)).map_err(|error| vec![located(&error)])
    }
}

fn text_of(file: &Path) -> Result<String, Problem> {
    let unreadable = |error: std::io::Error| Problem::new("", format!("it can't be read: {error}"));
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        return Err(Problem::new("", format!("it has {size} bytes, and at most {FILE_BYTES_MAX} are allowed")));
    }
    std::fs::read_to_string(file).map_err(unreadable)
}

fn find() -> Result<PathBuf, Problem> {
    let here = PathBuf::from(DEFAULT_FILE);
    if here.is_file() {
        return Ok(here);
    }
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(DEFAULT_FILE)));
    beside.filter(|file| file.is_file()).ok_or_else(|| {
        Problem::new("", format!("there is no {DEFAULT_FILE} in this folder"))
            .hint("name the deployment with --config FILE")
    })
}

/// Paths in the file are relative to it, wherever the host is started.
fn resolve_paths(root: &mut Map<String, Value>, folder: &Path) {
    let resolve = |value: Option<&mut Value>| {
        if let Some(Value::String(text)) = value {
            *text = folder.join(&*text).to_string_lossy().into_owned();
        }
    };
    resolve(root.get_mut("dataDir"));
    resolve(root.get_mut("identity").and_then(|section| section.get_mut("pemFile")));
    resolve(root.get_mut("database").and_then(|section| section.get_mut("binaries")));
    for actor in root.get_mut("actors").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        resolve(actor.get_mut("component"));
    }
}

/// The problem with its field, and with the field that was probably meant.
fn located(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let message = error.inner().to_string();
    let path = error.path().to_string();
    let path = if path == "." { String::new() } else { path };
    let Some(rest) = message.strip_prefix("unknown field `") else { return Problem::new(path, message) };
    let mut names = rest.split('`').step_by(2);
    let name = names.next().unwrap_or_default();
    let known: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    let problem = Problem::new(path, format!("there is no such field; the fields here are {}", known.join(", ")));
    match nearest(name, known.into_iter()) {
        Some(near) => problem.hint(format!("did you mean {near}?")),
        None => problem,
    }
}
