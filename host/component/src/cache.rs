//! Native code on disk, one file for each component and compiler setting.
//!
//! Mapping a file of native code means trusting it. So each has the digest of its content beside it, and a file that does not match is
//! not there. Both are written under another name, flushed, and renamed.

use growqr_types::{Failure, codes};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A directory of native code.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// Opens the directory, or makes it for this user alone.
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self { directory })
    }

    /// Where the native code of a component is or will be.
    fn path(&self, engine: &wasmtime::Engine, hash: &str) -> PathBuf {
        let mut compatibility = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut compatibility);
        self.directory.join(format!("{hash}-{:016x}.cwasm", compatibility.finish()))
    }

    /// The file, if it is there and undamaged.
    pub(crate) fn find(&self, engine: &wasmtime::Engine, hash: &str) -> Option<PathBuf> {
        let path = self.path(engine, hash);
        let expected = std::fs::read_to_string(digest_path(&path)).ok()?;
        let found = digest(&path).ok()?;
        if expected.trim() != found {
            tracing::warn!(component = hash, "a cached file is damaged and will be compiled anew");
            return None;
        }
        Some(path)
    }

    /// Keeps native code and gives its file.
    pub(crate) fn keep(&self, engine: &wasmtime::Engine, hash: &str, native: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.path(engine, hash);
        let written = self
            .write(&path, native)
            .and_then(|()| self.write(&digest_path(&path), hex::encode(Sha256::digest(native)).as_bytes()))
            .and_then(|()| File::open(&self.directory)?.sync_all());
        match written {
            Ok(()) => Ok(path),
            Err(error) => {
                tracing::error!(%error, directory = %self.directory.display(), "the cache of compiled components can't be written");
                Err(codes::INTERNAL.with("the host can't keep the compiled component"))
            }
        }
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

fn digest_path(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(digest.finalize())),
            read => digest.update(&buffer[..read]),
        }
    }
}
