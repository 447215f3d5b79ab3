//! The keys that session tokens are verified with: one that the operator configured, or the issuer's key set, kept in memory.
//!
//! Invariant: a token whose key is at hand never waits for the key server. The server is asked at most once at a time and not more
//! often than [`REFETCH_INTERVAL_MS`] says, however many tokens with unknown keys arrive.
//! Deliberately absent: keys that a token brings or points to.

use crate::jwks::{self, KeySet};
use futures::future::BoxFuture;
use jsonwebtoken::DecodingKey;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// After this time the key set is asked for anew, in the background.
pub const FRESH_MS: u64 = 5 * 60 * 1000;
/// For this long a key set is used while the key server can't be reached. A key that leaked can be believed in for as long when an
/// attacker also keeps this host from the key server; without it an outage there would lock every user out.
pub const STALE_MAX_MS: u64 = 24 * 60 * 60 * 1000;
/// Between two questions to the key server. A token with a new key is refused for as long at the most.
pub const REFETCH_INTERVAL_MS: u64 = 10 * 1000;
/// How long the key server may take.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a token waits for the key server when its key is not at hand.
pub const WAIT_MAX: Duration = Duration::from_secs(3);
/// Bytes of a key set.
const KEY_SET_BYTES_MAX: usize = 256 << 10;

/// Where a key set comes from.
pub trait KeySource: Send + Sync {
    /// Asks for the key set, as its JSON. The error is for the operator's log.
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>>;
}

/// A key set behind an address.
pub struct HttpKeys {
    client: reqwest::Client,
    url: reqwest::Url,
}

impl HttpKeys {
    /// The key set at this address. Only `https`, or `http` on this machine, because whoever changes the keys on the way can sign in as
    /// everybody.
    pub fn new(url: &str) -> Result<Self, String> {
        let url =
            reqwest::Url::parse(url).map_err(|error| format!("the address of the key set can't be read: {error}"))?;
        let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if url.scheme() != "https" && !(url.scheme() == "http" && is_local) {
            return Err("the address of the key set must begin with https".to_owned());
        }
        let client = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, url })
    }
}

impl KeySource for HttpKeys {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        Box::pin(async move {
            let told = |error: reqwest::Error| error.without_url().to_string();
            let mut response = self.client.get(self.url.clone()).send().await.map_err(told)?;
            if !response.status().is_success() {
                return Err(format!("the key server answered {}", response.status().as_u16()));
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(told)? {
                if bytes.len() + chunk.len() > KEY_SET_BYTES_MAX {
                    return Err(format!("the key set has more than {KEY_SET_BYTES_MAX} bytes"));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes)
        })
    }
}

/// Why there is no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefused {
    /// The issuer has no such key.
    Unknown,
    /// The issuer's keys are not known at all.
    Unavailable,
}

/// The keys of an issuer.
pub enum Keys {
    /// One key, whatever the token says. Nothing is asked over the network.
    Fixed(Arc<DecodingKey>),
    /// The issuer's key set.
    Fetched(Arc<FetchedKeys>),
}

impl Keys {
    /// One key in PEM.
    pub fn pem(pem: &str) -> Result<Self, String> {
        let key =
            DecodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| "the key is no RSA public key in PEM".to_owned())?;
        Ok(Self::Fixed(Arc::new(key)))
    }

    /// The keys of this source. The first question is asked when the first token comes, or by [`Self::prepare`].
    pub fn fetched(source: Arc<dyn KeySource>) -> Self {
        Self::Fetched(Arc::new(FetchedKeys { source, state: Mutex::default() }))
    }

    /// Asks for the keys in the background, so that the first token need not wait.
    pub fn prepare(&self, now_ms: u64) {
        if let Self::Fetched(keys) = self {
            keys.start(&mut keys.state.lock(), now_ms);
        }
    }

    /// The key that a token says it was signed with.
    pub(crate) async fn find(&self, key_id: Option<&str>, now_ms: u64) -> Result<Arc<DecodingKey>, KeyRefused> {
        match self {
            Self::Fixed(key) => Ok(key.clone()),
            Self::Fetched(keys) => keys.find(key_id.ok_or(KeyRefused::Unknown)?, now_ms).await,
        }
    }
}

/// A key set that is fetched when it is needed.
pub struct FetchedKeys {
    source: Arc<dyn KeySource>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: KeySet,
    /// When the keys came.
    fetched_ms: Option<u64>,
    /// When the server was asked last.
    asked_ms: Option<u64>,
    /// Closed when the question under way is answered.
    running: Option<watch::Receiver<()>>,
}

impl State {
    fn age_ms(&self, now_ms: u64) -> Option<u64> {
        self.fetched_ms.map(|fetched| now_ms.saturating_sub(fetched)).filter(|age| *age <= STALE_MAX_MS)
    }

    fn known(&self, key_id: &str, now_ms: u64) -> Option<Arc<DecodingKey>> {
        self.age_ms(now_ms)?;
        self.keys.get(key_id).cloned()
    }
}

impl FetchedKeys {
    async fn find(self: &Arc<Self>, key_id: &str, now_ms: u64) -> Result<Arc<DecodingKey>, KeyRefused> {
        let running = {
            let mut state = self.state.lock();
            let is_fresh = state.age_ms(now_ms).is_some_and(|age| age <= FRESH_MS);
            let known = state.known(key_id, now_ms);
            if known.is_none() || !is_fresh {
                self.start(&mut state, now_ms);
            }
            if let Some(key) = known {
                return Ok(key);
            }
            state.running.clone()
        };
        if let Some(mut running) = running {
            // An error means that the question was answered. One that takes longer is not waited for.
            let _ = tokio::time::timeout(WAIT_MAX, running.changed()).await;
        }
        let state = self.state.lock();
        match (state.known(key_id, now_ms), state.age_ms(now_ms)) {
            (Some(key), _) => Ok(key),
            (None, Some(_)) => Err(KeyRefused::Unknown),
            (None, None) => Err(KeyRefused::Unavailable),
        }
    }

    /// Asks the server, unless it is being asked or was asked a moment ago. In a task of its own: whoever waits may go away.
    fn start(self: &Arc<Self>, state: &mut State, now_ms: u64) {
        // A clock that was set back must not keep the host from asking.
        let too_soon = state.asked_ms.is_some_and(|asked| now_ms.abs_diff(asked) < REFETCH_INTERVAL_MS);
        if state.running.is_some() || too_soon {
            return;
        }
        let (done, running) = watch::channel(());
        state.asked_ms = Some(now_ms);
        state.running = Some(running);
        let keys = self.clone();
        tokio::spawn(async move {
            let answer = match tokio::time::timeout(FETCH_TIMEOUT, keys.source.fetch()).await {
                Ok(answer) => answer.and_then(|bytes| jwks::read(&bytes)),
                Err(_) => Err("the key server took too long".to_owned()),
            };
            let mut state = keys.state.lock();
            match answer {
                Ok(set) => {
                    tracing::debug!(keys = set.len(), "key set fetched");
                    state.keys = set;
                    state.fetched_ms = Some(now_ms);
                }
                Err(error) => {
                    tracing::warn!(error, has_keys = !state.keys.is_empty(), "the key set can't be fetched");
                }
            }
            state.running = None;
            drop(done);
        });
    }
}
