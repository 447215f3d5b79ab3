//! The development issuer: gives tokens to whoever asks, so that a developer needs no account anywhere.
//!
//! Its tokens have the claims of the real issuer's and go through the same verifier; only the issuer's name and the key differ. The key
//! is kept in the data folder, so that tokens survive a restart and `growqr token` can sign without asking the host.
//!
//! Invariant: it exists only in development mode on a loopback address. Whoever wires it checks that; nothing here listens.

use crate::claims;
use crate::keys::Keys;
use crate::verifier::VerifierSettings;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use growqr_types::{Failure, codes};
use jsonwebtoken::DecodingKey;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The issuer's name in its tokens.
pub const ISSUER: &str = "growqr-development";
/// The origin in its tokens.
pub const PARTY: &str = "growqr-development";
/// How long a token lasts unless the caller says otherwise. Longer than a real one, because it is typed into terminals.
pub const LIFETIME_SECONDS: u64 = 60 * 60;
/// How long a token may last.
pub const LIFETIME_SECONDS_MAX: u64 = 30 * 24 * 60 * 60;
/// Bytes of a user's or a session's name.
pub const NAME_BYTES_MAX: usize = 128;
/// A token begins to be valid this long before it was issued, as the real issuer's do.
const BEFORE_SECONDS: u64 = 10;
/// Where the key is in the data folder.
const FOLDER: &str = "identity";
/// The key's file there.
const FILE: &str = "development-key.der";

/// The development issuer.
pub struct Issuer {
    key: KeyPair,
    key_id: String,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// A token for a developer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// The user.
    pub user: String,
    /// The session; a token for the same one refreshes its sockets.
    pub session: String,
    /// When it ends, in seconds since 1970.
    pub expires: u64,
}

/// What a token is to be like.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wish {
    /// The user.
    pub user: String,
    /// The session; a new one if none is named.
    pub session: Option<String>,
    /// How long it lasts.
    pub lifetime_seconds: Option<u64>,
}

impl Issuer {
    /// An issuer with a key that nobody keeps.
    pub fn generate() -> io::Result<Self> {
        Self::of(KeyPair::generate(KeySize::Rsa2048).map_err(|_| io::Error::other("no key can be made"))?)
    }

    /// The issuer of a data folder. Its key is made when there is none; two processes that do so at once agree on one.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        let file = folder.join(FILE);
        match std::fs::read(&file) {
            Ok(bytes) => return Self::read(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let made = Self::generate()?;
        let der = made.key.as_der().map_err(|_| io::Error::other("the key can't be written"))?;
        let written = write_private(&folder, der.as_ref())?;
        // A link, unlike a renaming, does not replace what somebody else has put there meanwhile.
        let linked = std::fs::hard_link(&written, &file);
        std::fs::remove_file(&written)?;
        match linked {
            Ok(()) => Ok(made),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(&std::fs::read(&file)?),
            Err(error) => Err(error),
        }
    }

    fn read(bytes: &[u8]) -> io::Result<Self> {
        let key = KeyPair::from_pkcs8(bytes).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, "the key of the development issuer is damaged; remove its file")
        })?;
        Self::of(key)
    }

    fn of(key: KeyPair) -> io::Result<Self> {
        let components: RsaPublicKeyComponents<Vec<u8>> = key.public_key().into();
        let key_id = format!("ins_{}", hex::encode(&Sha256::digest(&components.n)[..12]));
        Ok(Self { key, key_id, modulus: components.n, exponent: components.e })
    }

    /// What a verifier of its tokens asks for. More origins than its own may be allowed.
    pub fn settings(&self, authorized_parties: &[String]) -> VerifierSettings {
        let mut authorized_parties = authorized_parties.to_vec();
        authorized_parties.push(PARTY.to_owned());
        VerifierSettings { issuer: ISSUER.to_owned(), authorized_parties }
    }

    /// What a verifier of its tokens verifies with.
    pub fn keys(&self) -> Keys {
        Keys::Fixed(Arc::new(DecodingKey::from_rsa_raw_components(&self.modulus, &self.exponent)))
    }

    /// Its key set, as JSON.
    pub fn key_set(&self) -> serde_json::Value {
        json!({"keys": [{
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.key_id,
            "n": URL_SAFE_NO_PAD.encode(&self.modulus),
            "e": URL_SAFE_NO_PAD.encode(&self.exponent),
        }]})
    }

    /// Gives a token.
    pub fn issue(&self, wish: &Wish, now_ms: u64) -> Result<Issued, Failure> {
        let lifetime = wish.lifetime_seconds.unwrap_or(LIFETIME_SECONDS);
        if !(1..=LIFETIME_SECONDS_MAX).contains(&lifetime) {
            let message = format!("A token lasts between 1 and {LIFETIME_SECONDS_MAX} seconds.");
            return Err(codes::VALIDATION.with(message));
        }
        let session = wish.session.clone().unwrap_or_else(|| format!("sess_{}", uuid::Uuid::new_v4().simple()));
        for name in [&wish.user, &session] {
            // A comma separates the parts of a key in addresses, so such a user could not be named there.
            if !claims::is_name(name, NAME_BYTES_MAX) || name.contains(',') {
                let message = format!(
                    "A user or session is 1 to {NAME_BYTES_MAX} letters, digits and signs, without spaces and commas."
                );
                return Err(codes::VALIDATION.with(message));
            }
        }
        let now = now_ms / 1000;
        let expires = now + lifetime;
        let claims = json!({
            "iss": ISSUER,
            "sub": wish.user,
            "sid": session,
            "azp": PARTY,
            "iat": now,
            "nbf": now.saturating_sub(BEFORE_SECONDS),
            "exp": expires,
            "sts": "active",
            "jti": uuid::Uuid::new_v4().simple().to_string(),
            "fva": [0, -1],
            "v": 2,
        });
        let token = self.sign(&json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id}), &claims)?;
        Ok(Issued { token, user: wish.user.clone(), session, expires })
    }

    /// Signs any header and claims: what a test needs to make tokens that are wrong in one place.
    pub fn sign(&self, header: &serde_json::Value, claims: &serde_json::Value) -> Result<String, Failure> {
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| codes::INTERNAL.failure())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Writes bytes into a new file that only this user may read.
fn write_private(folder: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let path = folder.join(format!("{FILE}.{}", uuid::Uuid::new_v4().simple()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(path)
}
