//! Under which account the server runs. Postgres refuses to run as root, so a host that is root gives it an account without rights.

use crate::ServerError;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Accounts that are tried when the host runs as root.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];
/// Files of a cluster that are handed over; more is not a cluster of this host.
const FILES_MAX: usize = 1_000_000;

/// How a program of Postgres is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// As the host itself.
    Own,
    /// Under this user and group; the files belong to them.
    Other { user: u32, group: u32 },
    /// In a user namespace of its own, in which the host is not called root. The files stay root's.
    Namespace,
}

impl Account {
    /// Chooses for a host that runs as it runs, for data in one folder and programs in another.
    pub fn choose(folder: &Path, programs: &Path) -> Result<Self, ServerError> {
        // The folder was just made or opened by this process, so /proc is not needed to learn who that is.
        let own = fs::metadata("/proc/self").map(|meta| meta.uid()).unwrap_or(1);
        if own != 0 {
            return Ok(Self::Own);
        }
        let closed = closed_parent(folder).or_else(|| closed_parent(programs));
        if closed.is_none()
            && let Some((user, group)) = ACCOUNTS.iter().find_map(|name| look_up(name))
        {
            return Ok(Self::Other { user, group });
        }
        if namespaces_work() {
            return Ok(Self::Namespace);
        }
        let closed = closed.unwrap_or_else(|| folder.to_owned());
        Err(ServerError::Folder {
            problem: "Postgres does not run as root, and no other account reaches its data here; allow passage (chmod o+x), or run the host under another account".to_owned(),
            folder: closed,
        })
    }

    /// A command that runs the program under this account, without any PG variable of the host's own environment.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = match self {
            Self::Namespace => {
                let mut command = Command::new("unshare");
                command.args(["--user", "--map-user=1000", "--map-group=1000", "--"]).arg(program);
                command
            }
            _ => Command::new(program),
        };
        if let Self::Other { user, group } = self {
            command.uid(*user).gid(*group);
        }
        let is_postgres =
            |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with("PG") || name == "DATABASE_URL");
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_postgres(name)) {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C");
        command
    }

    /// Gives a folder and all below it to the account.
    pub fn own(&self, folder: &Path) -> Result<(), ServerError> {
        let (user, group) = match self {
            Self::Own => return Ok(()),
            Self::Other { user, group } => (*user, *group),
            Self::Namespace => (0, 0),
        };
        let failed = |path: &Path, error: std::io::Error| ServerError::Folder {
            folder: path.to_owned(),
            problem: format!("can't be given to the account of Postgres: {error}"),
        };
        let mut waiting = vec![folder.to_owned()];
        for _ in 0..FILES_MAX {
            let Some(path) = waiting.pop() else { return Ok(()) };
            let meta = fs::symlink_metadata(&path).map_err(|error| failed(&path, error))?;
            if meta.is_symlink() {
                continue;
            }
            if (meta.uid(), meta.gid()) != (user, group) {
                chown(&path, Some(user), Some(group)).map_err(|error| failed(&path, error))?;
            }
            if meta.is_dir() {
                for entry in fs::read_dir(&path).map_err(|error| failed(&path, error))? {
                    waiting.push(entry.map_err(|error| failed(&path, error))?.path());
                }
            }
        }
        Err(failed(folder, std::io::Error::other("too many files")))
    }
}

/// The first parent that others can't pass.
fn closed_parent(folder: &Path) -> Option<PathBuf> {
    const OTHERS_PASS: u32 = 0o001;
    let parents: Vec<&Path> = folder.ancestors().skip(1).collect();
    let is_open = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.mode() & OTHERS_PASS != 0);
    parents.into_iter().rev().find(|path| !is_open(path)).map(Path::to_owned)
}

fn look_up(name: &str) -> Option<(u32, u32)> {
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    accounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let numbers = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        (fields[0] == name && numbers.0 != 0).then_some(numbers)
    })
}

fn namespaces_work() -> bool {
    let test = Account::Namespace.command(Path::new("true")).output();
    test.is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_behind_a_closed_one_is_noticed() {
        use std::os::unix::fs::PermissionsExt;
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("data/postgres");
        fs::create_dir_all(&inner).unwrap();
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed_parent(&inner).as_deref(), Some(outer.path()));
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(closed_parent(&inner), None);
    }

    #[test]
    fn variables_of_postgres_do_not_reach_its_programs() {
        let command = Account::Own.command(Path::new("true"));
        assert!(command.get_envs().all(|(name, value)| name == "LC_ALL" || value.is_none()));
    }
}
