//! Service tokens of operators.
//!
//! A token is `growqr_op_<id>_<secret>`. The id is public; the secret is 256 random bits. Only the SHA-256 of the whole token is stored.
//! A slow hash would add nothing: nobody can try out 2^256 secrets, and a fast one can't be used to keep the host busy. For the same
//! reason a record is found by the hash itself: how long that takes tells nothing about a secret.
//!
//! Invariant: what is stored or cached does not give a token back. A token that was verified before goes on working while the store is
//! away, for [`STALE_MAX_MS`] at the most; one that was revoked is refused [`FRESH_MS`] later at the latest, when the store can be asked.

use crate::StoreError;
use crate::principal::{Operator, Scope};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use growqr_types::{Failure, codes};
use parking_lot::Mutex;
use rand::Rng;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What every token begins with, so that a leaked one is recognised by scanners of secrets.
pub const PREFIX: &str = "growqr_op_";
/// For this long a record is believed without asking the store again.
pub const FRESH_MS: u64 = 15 * 1000;
/// For this long a record is believed while the store is away.
pub const STALE_MAX_MS: u64 = 24 * 60 * 60 * 1000;
/// After a failed question the store is left alone for this long.
const RETRY_MS: u64 = 5 * 1000;
/// How long the store may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);
/// Questions to the store at a time.
const LOOKUPS_MAX: usize = 16;
/// Records in memory.
const CACHED_MAX: usize = 1024;
/// Bytes of a secret.
const SECRET_BYTES: usize = 32;
/// Bytes of an id.
const ID_BYTES: usize = 8;
/// Letters of a token's name.
const NAME_LEN_MAX: usize = 100;

/// SHA-256 of a whole token.
pub type Hash = [u8; 32];

/// What is known about a token that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorRecord {
    /// Id.
    pub id: String,
    /// What the operator calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it ends by itself.
    pub expires_ms: Option<u64>,
    /// When it was used last, as far as the store notes that.
    pub last_used_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
}

/// Where tokens are kept.
pub trait OperatorStore: Send + Sync {
    /// Finds a token that is neither revoked nor over.
    fn find(&self, hash: Hash, now_ms: u64) -> BoxFuture<'_, Result<Option<OperatorRecord>, StoreError>>;
    /// Keeps a new token.
    fn insert(&self, hash: Hash, record: OperatorRecord) -> BoxFuture<'_, Result<(), StoreError>>;
    /// All tokens, newest first.
    fn list(&self) -> BoxFuture<'_, Result<Vec<OperatorRecord>, StoreError>>;
    /// Revokes a token; false when there is none of this id, or it was revoked before.
    fn revoke<'a>(&'a self, id: &'a str, now_ms: u64) -> BoxFuture<'a, Result<bool, StoreError>>;
}

/// A token that was made just now. Its text is shown once.
pub struct Made {
    /// The token.
    pub token: String,
    /// For the store.
    pub hash: Hash,
    /// For the store.
    pub record: OperatorRecord,
}

/// Makes a token.
pub fn make(name: &str, scopes: &[Scope], expires_ms: Option<u64>, now_ms: u64) -> Result<Made, Failure> {
    let sound = !name.is_empty() && name.chars().count() <= NAME_LEN_MAX && !name.chars().any(char::is_control);
    if !sound {
        return Err(codes::VALIDATION.with(format!("A token's name has 1 to {NAME_LEN_MAX} letters.")));
    }
    if scopes.is_empty() {
        return Err(codes::VALIDATION.with("A token needs a scope."));
    }
    let mut random = rand::rng();
    let mut id = [0; ID_BYTES];
    let mut secret = [0; SECRET_BYTES];
    random.fill_bytes(&mut id);
    random.fill_bytes(&mut secret);
    let id = hex::encode(id);
    let token = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
    let mut scopes = scopes.to_vec();
    scopes.sort();
    scopes.dedup();
    let name = name.to_owned();
    let record =
        OperatorRecord { id, name, scopes, created_ms: now_ms, expires_ms, last_used_ms: None, revoked_ms: None };
    Ok(Made { hash: hash(&token), token, record })
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

/// Whether a text has the shape of a token: what has not is not worth a question to the store.
fn has_shape(token: &str) -> bool {
    let parts = token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
    parts.is_some_and(|(id, secret)| {
        id.len() == ID_BYTES * 2
            && hex::decode(id).is_ok()
            && URL_SAFE_NO_PAD.decode(secret).is_ok_and(|bytes| bytes.len() == SECRET_BYTES)
    })
}

struct Cached {
    operator: Operator,
    expires_ms: Option<u64>,
    /// When the store said so.
    told_ms: u64,
    /// When it is to be asked again.
    ask_ms: u64,
}

/// Verifies tokens of operators.
pub struct Operators {
    store: Arc<dyn OperatorStore>,
    cache: Mutex<HashMap<Hash, Cached>>,
    lookups: Semaphore,
}

impl Operators {
    /// The tokens of a store.
    pub fn new(store: Arc<dyn OperatorStore>) -> Self {
        Self { store, cache: Mutex::default(), lookups: Semaphore::new(LOOKUPS_MAX) }
    }

    /// Checks a token.
    pub async fn verify(&self, token: &str, now_ms: u64) -> Result<Operator, Failure> {
        if !has_shape(token) {
            return Err(codes::TOKEN_INVALID.failure());
        }
        let hash = hash(token);
        if let Some(operator) = self.known(&hash, now_ms, |cached| (cached.told_ms..cached.ask_ms).contains(&now_ms)) {
            return Ok(operator);
        }
        match self.look_up(hash, now_ms).await {
            Ok(Some(record)) => Ok(self.remember(hash, record, now_ms)),
            Ok(None) => {
                self.cache.lock().remove(&hash);
                Err(codes::TOKEN_INVALID.failure())
            }
            Err(error) => {
                tracing::warn!(%error, "the token of an operator can't be looked up");
                self.postpone(&hash, now_ms);
                let usable = |cached: &Cached| now_ms.saturating_sub(cached.told_ms) <= STALE_MAX_MS;
                self.known(&hash, now_ms, usable).ok_or_else(|| codes::AUTH_UNAVAILABLE.failure())
            }
        }
    }

    fn known(&self, hash: &Hash, now_ms: u64, is_usable: impl Fn(&Cached) -> bool) -> Option<Operator> {
        let cache = self.cache.lock();
        let cached = cache.get(hash).filter(|cached| is_usable(cached))?;
        cached.expires_ms.is_none_or(|expires| now_ms < expires).then(|| cached.operator.clone())
    }

    async fn look_up(&self, hash: Hash, now_ms: u64) -> Result<Option<OperatorRecord>, StoreError> {
        let Ok(_permit) = self.lookups.try_acquire() else {
            return Err(StoreError("too many tokens are being looked up".to_owned()));
        };
        match tokio::time::timeout(LOOKUP_TIMEOUT, self.store.find(hash, now_ms)).await {
            Ok(found) => found,
            Err(_) => Err(StoreError("the store took too long".to_owned())),
        }
    }

    /// Only tokens that were right take a place, so that guessing pushes nobody out.
    fn remember(&self, hash: Hash, record: OperatorRecord, now_ms: u64) -> Operator {
        let mut cache = self.cache.lock();
        if cache.len() >= CACHED_MAX && !cache.contains_key(&hash) {
            let oldest = cache.iter().min_by_key(|(_, cached)| cached.told_ms).map(|(hash, _)| *hash);
            oldest.map(|oldest| cache.remove(&oldest));
        }
        let operator = Operator { id: record.id.into(), scopes: record.scopes.into() };
        let (told_ms, ask_ms) = (now_ms, now_ms + FRESH_MS);
        cache.insert(hash, Cached { operator: operator.clone(), expires_ms: record.expires_ms, told_ms, ask_ms });
        operator
    }

    fn postpone(&self, hash: &Hash, now_ms: u64) {
        if let Some(cached) = self.cache.lock().get_mut(hash) {
            cached.ask_ms = now_ms + RETRY_MS;
        }
    }
}

/// Keeps tokens in memory: for tests.
#[derive(Default)]
pub struct MemoryOperators {
    records: Mutex<Vec<(Hash, OperatorRecord)>>,
}

impl OperatorStore for MemoryOperators {
    fn find(&self, hash: Hash, now_ms: u64) -> BoxFuture<'_, Result<Option<OperatorRecord>, StoreError>> {
        let is_valid = |record: &OperatorRecord| {
            record.revoked_ms.is_none() && record.expires_ms.is_none_or(|expires| now_ms < expires)
        };
        let records = self.records.lock();
        let found = records.iter().find(|(kept, record)| *kept == hash && is_valid(record));
        Box::pin(std::future::ready(Ok(found.map(|(_, record)| record.clone()))))
    }

    fn insert(&self, hash: Hash, record: OperatorRecord) -> BoxFuture<'_, Result<(), StoreError>> {
        self.records.lock().push((hash, record));
        Box::pin(std::future::ready(Ok(())))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<OperatorRecord>, StoreError>> {
        let records = self.records.lock().iter().rev().map(|(_, record)| record.clone()).collect();
        Box::pin(std::future::ready(Ok(records)))
    }

    fn revoke<'a>(&'a self, id: &'a str, now_ms: u64) -> BoxFuture<'a, Result<bool, StoreError>> {
        let mut records = self.records.lock();
        let found = records.iter_mut().find(|(_, record)| record.id == id && record.revoked_ms.is_none());
        let revoked = found.map(|(_, record)| record.revoked_ms = Some(now_ms)).is_some();
        Box::pin(std::future::ready(Ok(revoked)))
    }
}
