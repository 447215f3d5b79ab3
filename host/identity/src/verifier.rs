//! Verifies session tokens.

use crate::claims;
use crate::keys::{KeyRefused, Keys};
use crate::principal::Session;
use growqr_types::{Failure, codes};
use jsonwebtoken::Algorithm;

/// What a token must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierSettings {
    /// Who must have issued it (`iss`).
    pub issuer: String,
    /// On whose behalf it may have been issued (`azp`): the origins of the pages that may use this host. A token without one of these
    /// is refused, and so is every token when there are none.
    pub authorized_parties: Vec<String>,
}

/// Why a token was refused. The reason is for the operator's log and never for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not, and never will be, a good token: the part that was wrong.
    Invalid(&'static str),
    /// It was good once.
    Expired,
    /// It will be good later.
    Early,
    /// Whether it is good can't be found out now.
    Unavailable,
}

impl Refusal {
    /// What the client is told.
    pub fn failure(self) -> Failure {
        match self {
            Self::Invalid(_) => codes::TOKEN_INVALID.failure(),
            Self::Expired => codes::TOKEN_EXPIRED.failure(),
            Self::Early => codes::TOKEN_EARLY.failure(),
            Self::Unavailable => codes::AUTH_UNAVAILABLE.failure(),
        }
    }
}

/// Verifies the session tokens of one issuer.
pub struct Verifier {
    settings: VerifierSettings,
    keys: Keys,
}

impl Verifier {
    /// A verifier of tokens that these keys sign.
    pub fn new(settings: VerifierSettings, keys: Keys) -> Self {
        Self { settings, keys }
    }

    /// Asks for the issuer's keys in the background, so that the first token need not wait.
    pub fn prepare(&self, now_ms: u64) {
        self.keys.prepare(now_ms);
    }

    /// Checks a token at this time. Waits only when its key is not at hand.
    pub async fn verify(&self, token: &str, now_ms: u64) -> Result<Session, Failure> {
        let verified = self.checked(token, now_ms).await;
        verified.map_err(|refusal| {
            // Never the token, nor a value of it.
            tracing::debug!(?refusal, "token refused");
            refusal.failure()
        })
    }

    async fn checked(&self, token: &str, now_ms: u64) -> Result<Session, Refusal> {
        let parts = claims::read(token)?;
        let key = self.keys.find(parts.key_id.as_deref(), now_ms).await.map_err(|refused| match refused {
            KeyRefused::Unknown => Refusal::Invalid("kid"),
            KeyRefused::Unavailable => Refusal::Unavailable,
        })?;
        let verified = jsonwebtoken::crypto::verify(parts.signature, parts.signed.as_bytes(), &key, Algorithm::RS256);
        if !verified.unwrap_or(false) {
            return Err(Refusal::Invalid("signature"));
        }
        claims::check(&parts, &self.settings, now_ms)
    }
}
