//! Stand-ins for memory and sandbox, so that an actor can be written and tested before a deployment has the real ones.
//!
//! `"doubles": true` in `rivet.json` puts them in. Documents live in the host's own memory and are gone when it stops; a prompt is
//! answered with its own parts. They keep the contract's shape: what is checked is checked in the turn, and what takes effect does so
//! after the commit, once for each (actor, operation).
//! Deliberately absent: durability, search beyond plain text, a model.

use crate::served::{Capabilities, EffectService};
use futures::future::BoxFuture;
use growqr_turn::{Identity, MemoryChange, MemoryEntry, MemoryHit, MemoryLayer, MemoryReader, SandboxReader};
use growqr_types::{ActorId, Failure, Json, OperationId, codes};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Versions of a document that are kept.
const VERSIONS_MAX: usize = 100;
/// Documents that are kept.
const DOCUMENTS_MAX: usize = 10_000;
/// Bytes of a document.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Operations that are remembered, so that a repetition is recognised.
const OPERATIONS_MAX: usize = 10_000;

/// Capabilities whose memory and sandbox are stand-ins.
pub fn capabilities() -> Capabilities {
    let memory = Arc::new(MemoryDouble::default());
    let sandbox = Arc::new(SandboxDouble);
    Capabilities { memory: memory.clone(), memory_effects: memory, sandbox: sandbox.clone(), sandbox_effects: sandbox }
}

/// Memory in the host's own memory.
#[derive(Default)]
pub struct MemoryDouble {
    documents: Mutex<BTreeMap<(u8, String), Vec<String>>>,
    done: Mutex<HashMap<(ActorId, OperationId), Result<Json, Failure>>>,
}

#[derive(Serialize, Deserialize)]
enum Effect {
    Content { layer: u8, path: String, content: String },
    Append { layer: u8, path: String, content: String },
    Edit { layer: u8, path: String, old: String, new: String },
    Restore { path: String, version: String },
}

const LAYERS: [MemoryLayer; 3] = [MemoryLayer::Actor, MemoryLayer::Session, MemoryLayer::Repository];

fn number(layer: MemoryLayer) -> u8 {
    match layer {
        MemoryLayer::Actor => 0,
        MemoryLayer::Session => 1,
        MemoryLayer::Repository => 2,
    }
}

fn checked(path: &str, bytes: usize) -> Result<String, Failure> {
    let sound =
        !path.is_empty() && path.len() <= 512 && !path.starts_with('/') && !path.split('/').any(|part| part == "..");
    if !sound || bytes > DOCUMENT_BYTES_MAX {
        return Err(codes::VALIDATION.with("the path or the size of the document is not allowed"));
    }
    Ok(path.to_owned())
}

fn encode(effect: &Effect) -> Result<Json, Failure> {
    serde_json::to_string(effect).map_err(|error| codes::INTERNAL.with(error.to_string()))
}

impl MemoryDouble {
    fn apply(&self, effect: Effect) -> Result<Json, Failure> {
        let mut documents = self.documents.lock();
        let latest = |documents: &BTreeMap<(u8, String), Vec<String>>, layer: u8, path: &str| {
            documents.get(&(layer, path.to_owned())).and_then(|versions| versions.last().cloned()).unwrap_or_default()
        };
        let (layer, path, content) = match effect {
            Effect::Content { layer, path, content } => (layer, path, content),
            Effect::Append { layer, path, content } => {
                let content = latest(&documents, layer, &path) + &content;
                (layer, path, content)
            }
            Effect::Edit { layer, path, old, new } => {
                let before = latest(&documents, layer, &path);
                if before.matches(&old).count() != 1 {
                    return Err(codes::VALIDATION.with("the text to be replaced does not occur exactly once"));
                }
                (layer, path, before.replace(&old, &new))
            }
            Effect::Restore { path, version } => {
                let layer = number(MemoryLayer::Repository);
                let versions = documents.get(&(layer, path.clone()));
                let content =
                    version.parse().ok().and_then(|version: usize| versions?.get(version.checked_sub(1)?).cloned());
                (layer, path, content.ok_or_else(|| codes::VALIDATION.with("there is no such version"))?)
            }
        };
        if documents.len() >= DOCUMENTS_MAX || content.len() > DOCUMENT_BYTES_MAX {
            return Err(codes::VALIDATION.with("there is no room for the document"));
        }
        let versions = documents.entry((layer, path)).or_default();
        if versions.len() == VERSIONS_MAX {
            return Err(codes::VALIDATION.with("the document has too many versions"));
        }
        versions.push(content);
        Ok(format!(r#"{{"version":"{}"}}"#, versions.len()))
    }
}

impl MemoryReader for MemoryDouble {
    fn commit(&self, layer: MemoryLayer, path: &str, change: MemoryChange, _: &str) -> Result<Json, Failure> {
        let layer = number(layer);
        encode(&match change {
            MemoryChange::Content(content) => Effect::Content { layer, path: checked(path, content.len())?, content },
            MemoryChange::Append(content) => Effect::Append { layer, path: checked(path, content.len())?, content },
            MemoryChange::Edit(old, new) => Effect::Edit { layer, path: checked(path, new.len())?, old, new },
        })
    }

    fn restore(&self, path: &str, version: &str) -> Result<Json, Failure> {
        encode(&Effect::Restore { path: checked(path, 0)?, version: version.to_owned() })
    }

    fn read<'a>(
        &'a self,
        layer: MemoryLayer,
        path: &'a str,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async move {
            let documents = self.documents.lock();
            let versions = documents.get(&(number(layer), path.to_owned()));
            Ok(match version {
                Some(version) => version.parse().ok().and_then(|at: usize| versions?.get(at.checked_sub(1)?).cloned()),
                None => versions.and_then(|versions| versions.last().cloned()),
            })
        })
    }

    fn list<'a>(
        &'a self,
        layer: Option<MemoryLayer>,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<MemoryEntry>, Failure>> {
        Box::pin(async move {
            let documents = self.documents.lock();
            let wanted = documents
                .iter()
                .filter(|((of, path), _)| layer.is_none_or(|layer| number(layer) == *of) && path.starts_with(prefix));
            Ok(wanted
                .map(|((of, path), versions)| MemoryEntry {
                    path: path.clone(),
                    layer: LAYERS[usize::from(*of).min(2)],
                    version: versions.len().to_string(),
                    size: versions.last().map_or(0, String::len) as u64,
                    updated: 0,
                })
                .collect())
        })
    }

    fn search<'a>(&'a self, query: &'a str, limit: u32) -> BoxFuture<'a, Result<Vec<MemoryHit>, Failure>> {
        Box::pin(async move {
            let documents = self.documents.lock();
            let mut hits = Vec::new();
            for ((layer, path), versions) in documents.iter() {
                for (line, text) in versions.last().map(String::as_str).unwrap_or_default().lines().enumerate() {
                    if text.contains(query) && hits.len() < limit as usize {
                        let line = u32::try_from(line + 1).unwrap_or(u32::MAX);
                        let layer = LAYERS[usize::from(*layer).min(2)];
                        hits.push(MemoryHit { path: path.clone(), layer, line, text: text.to_owned() });
                    }
                }
            }
            Ok(hits)
        })
    }

    fn history<'a>(&'a self, path: &'a str, limit: u32) -> BoxFuture<'a, Result<Vec<Json>, Failure>> {
        Box::pin(async move {
            let documents = self.documents.lock();
            let versions = documents.get(&(number(MemoryLayer::Repository), path.to_owned())).map_or(0, Vec::len);
            Ok((1..=versions)
                .rev()
                .take(limit as usize)
                .map(|version| format!(r#"{{"version":"{version}"}}"#))
                .collect())
        })
    }
}

impl EffectService for MemoryDouble {
    fn execute<'a>(
        &'a self,
        actor: &'a Identity,
        operation: OperationId,
        effect: &'a str,
    ) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let mut done = self.done.lock();
            if let Some(outcome) = done.get(&(actor.id, operation)) {
                return outcome.clone();
            }
            let outcome = match serde_json::from_str(effect) {
                Ok(effect) => self.apply(effect),
                Err(error) => Err(codes::INTERNAL.with(error.to_string())),
            };
            if done.len() >= OPERATIONS_MAX {
                done.clear();
            }
            done.insert((actor.id, operation), outcome.clone());
            outcome
        })
    }
}

/// A sandbox without a model: every call succeeds and gives back its own arguments.
pub struct SandboxDouble;

impl SandboxReader for SandboxDouble {
    fn submit(&self, call: &str, arguments: Json) -> Result<Json, Failure> {
        Ok(format!(r#"{{"call":"{call}","arguments":{arguments}}}"#))
    }

    fn list_sessions(&self) -> BoxFuture<'_, Result<Vec<Json>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn skills(&self) -> BoxFuture<'_, Result<Vec<Json>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn status(&self) -> BoxFuture<'_, Result<Json, Failure>> {
        Box::pin(async { Ok(r#"{"state":"double"}"#.to_owned()) })
    }
}

impl EffectService for SandboxDouble {
    fn execute<'a>(&'a self, _: &'a Identity, _: OperationId, effect: &'a str) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move { Ok(effect.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use growqr_types::ActorKey;

    fn identity() -> Identity {
        Identity {
            id: ActorId::from_bytes([1; 16]),
            name: "a".to_owned(),
            key: ActorKey::default(),
            namespace: "default".to_owned(),
            region: "here".to_owned(),
            generation: 1,
            created: 0,
        }
    }

    #[tokio::test]
    async fn a_commit_takes_effect_once_and_can_be_read_and_undone() {
        let memory = MemoryDouble::default();
        let actor = identity();
        let layer = MemoryLayer::Repository;
        let commit = |change| memory.commit(layer, "notes.md", change, "why").unwrap();
        let first = commit(MemoryChange::Content("one\n".to_owned()));
        assert_eq!(memory.read(layer, "notes.md", None).await, Ok(None), "nothing happens before the effect runs");
        memory.execute(&actor, 1, &first).await.unwrap();
        let second = commit(MemoryChange::Append("two\n".to_owned()));
        for _ in 0..2 {
            assert_eq!(memory.execute(&actor, 2, &second).await, Ok(r#"{"version":"2"}"#.to_owned()));
        }
        assert_eq!(memory.read(layer, "notes.md", None).await, Ok(Some("one\ntwo\n".to_owned())));
        assert_eq!(memory.search("two", 10).await.unwrap()[0].line, 2);
        assert_eq!(memory.list(None, "no").await.unwrap().len(), 1);
        let restore = memory.restore("notes.md", "1").unwrap();
        memory.execute(&actor, 3, &restore).await.unwrap();
        assert_eq!(memory.read(layer, "notes.md", None).await, Ok(Some("one\n".to_owned())));
        assert_eq!(memory.history("notes.md", 2).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn bad_paths_and_edits_are_refused() {
        let memory = MemoryDouble::default();
        for path in ["", "/etc", "a/../b"] {
            let change = MemoryChange::Content(String::new());
            assert!(memory.commit(MemoryLayer::Actor, path, change, "").is_err(), "{path}");
        }
        let edit = MemoryChange::Edit("missing".to_owned(), "x".to_owned());
        let edit = memory.commit(MemoryLayer::Actor, "a.md", edit, "").unwrap();
        assert!(memory.execute(&identity(), 1, &edit).await.is_err());
    }

    #[tokio::test]
    async fn a_sandbox_call_comes_back_with_its_arguments() {
        let sandbox = SandboxDouble;
        let effect = sandbox.submit("prompt", r#"{"session":"s"}"#.to_owned()).unwrap();
        let outcome = sandbox.execute(&identity(), 1, &effect).await.unwrap();
        let outcome: serde_json::Value = serde_json::from_str(&outcome).unwrap();
        assert_eq!(outcome["arguments"]["session"], "s");
    }
}
