//! Making an actor project.

use anyhow::{Context, Result, bail};
use std::io::ErrorKind;
use std::path::Path;

include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));

/// Where the SDK's sources go in a project.
const SDK_FOLDER: &str = "growqr-sdk";
/// Characters of a name; file systems and cargo take more.
const NAME_LEN_MAX: usize = 64;
/// Words that can't be the name of a Rust type or crate.
const RESERVED: &[&str] = &["self", "super", "crate", "test", "core", "std", "alloc", "proc_macro", "build", "deps"];

const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../template/Cargo.toml.txt")),
    ("src/lib.rs", include_str!("../template/src/lib.rs.txt")),
    ("README.md", include_str!("../template/README.md.txt")),
    ("rivet.json", include_str!("../template/rivet.json.txt")),
    (".gitignore", include_str!("../template/gitignore.txt")),
    ("growqr-sdk/Cargo.toml", include_str!("../template/sdk-Cargo.toml.txt")),
];

/// Makes an actor project in a folder that is not there yet, or that is empty. The name is letters, digits, `-` and `_`.
pub fn new(folder: &Path, name: &str) -> Result<()> {
    let names = Names::of(name)?;
    match std::fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => bail!("{} is not empty\nhint: give a folder that does not exist yet", folder.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) if error.kind() == ErrorKind::NotADirectory => bail!("{} is a file", folder.display()),
        Err(error) => return Err(error).with_context(|| format!("can't look into {}", folder.display())),
    }
    for (file, template) in FILES {
        write(&folder.join(file), &names.fill(template))?;
    }
    for (file, content) in SDK_FILES {
        write(&folder.join(SDK_FOLDER).join(file), content)?;
    }
    Ok(())
}

fn write(path: &Path, content: &str) -> Result<()> {
    let write = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, content)
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

/// One name in the spellings that a project needs.
struct Names {
    /// `chat-room`, for cargo.
    package: String,
    /// `chat_room`, which is what cargo names the module.
    file: String,
    /// `ChatRoom`
    type_name: String,
    /// `chatRoom`, for clients.
    actor: String,
}

impl Names {
    fn of(name: &str) -> Result<Self> {
        let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
        if name.is_empty() || name.len() > NAME_LEN_MAX || !name.chars().all(allowed) {
            bail!("{name:?} can't be an actor's name: use 1 to {NAME_LEN_MAX} letters, digits, - and _");
        }
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            bail!("{name:?} can't be an actor's name: it must begin with a letter");
        }
        let words: Vec<&str> = name.split(['-', '_']).filter(|word| !word.is_empty()).collect();
        let type_name: String = words.iter().map(|word| with_first(word, |first| first.to_ascii_uppercase())).collect();
        let file = name.replace('-', "_");
        if RESERVED.contains(&file.as_str()) || type_name == "Self" {
            bail!("{name:?} can't be an actor's name: Rust has another use for it");
        }
        let actor = with_first(&type_name, |first| first.to_ascii_lowercase());
        Ok(Self { package: name.to_owned(), file, type_name: type_name + SUFFIX, actor })
    }

    fn fill(&self, template: &str) -> String {
        let Self { package, file, type_name, actor } = self;
        let pairs = [("name", package), ("file", file), ("type", type_name), ("actor", actor)];
        pairs.iter().fold(template.to_owned(), |text, (key, value)| text.replace(&format!("{{{{{key}}}}}"), value))
    }
}

/// Keeps the type apart from what the SDK's prelude and Rust's own have, whatever the project is called.
const SUFFIX: &str = "Actor";

fn with_first(word: &str, change: impl Fn(char) -> char) -> String {
    let mut letters = word.chars();
    letters.next().map(change).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<(&str, &str, &str)>) {
        let names = Names::of(name).ok();
        let got = names.as_ref().map(|names| (names.file.as_str(), names.type_name.as_str(), names.actor.as_str()));
        assert_eq!(got, expected, "{name:?}");
    }

    #[test]
    fn a_name_is_spelled_as_each_place_needs_it() {
        check("counter", Some(("counter", "CounterActor", "counter")));
        check("chat-room", Some(("chat_room", "ChatRoomActor", "chatRoom")));
        check("chatRoom", Some(("chatRoom", "ChatRoomActor", "chatRoom")));
        check("a__b-2", Some(("a__b_2", "AB2Actor", "aB2")));
    }

    #[test]
    fn a_name_that_no_project_can_have_is_refused() {
        for name in ["", "2nd", "-a", "a b", "a/b", "..", "ä", "self", "test", "Self", &"a".repeat(65)] {
            check(name, None);
        }
    }

    #[test]
    fn the_project_asks_for_the_versions_that_this_repository_has() {
        let ours = include_str!("../../../Cargo.toml");
        let lines = include_str!("../template/sdk-Cargo.toml.txt").lines();
        let versions = lines.filter(|line| line.contains(" = {") && line.contains("version"));
        assert!(versions.filter(|line| ours.lines().any(|our| our == *line)).count() == 3);
        let profile = |text: &str| text.split("[profile.actor]").nth(1).map(str::trim).map(str::to_owned);
        assert_eq!(profile(include_str!("../template/Cargo.toml.txt")), profile(ours));
        assert!(SDK_FILES.iter().any(|(path, _)| *path == "wit/world.wit"));
    }
}
