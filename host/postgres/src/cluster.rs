//! The files of a private server: made once, opened by the same major version, and never by two servers.

use crate::account::Account;
use crate::{Binaries, ServerError, signal};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A path of a socket may have 107 bytes at the most; the socket's own name takes some of them.
const SOCKET_FOLDER_BYTES_MAX: usize = 80;
/// How long a server that was left over may take to stop.
const LEFT_OVER_STOP_MAX: Duration = Duration::from_secs(60);
/// Waits between two looks at it.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Bytes of what a failed program said that are passed on.
const PROBLEM_BYTES_MAX: usize = 2000;
/// The port that is part of the socket's name; nothing listens there on the network.
pub const PORT: u16 = 5432;

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The folder of the server.
    pub home: PathBuf,
    /// The cluster.
    pub data: PathBuf,
    /// The folder with the socket.
    pub sockets: PathBuf,
    /// What the server writes about itself.
    pub log: PathBuf,
}

impl Layout {
    /// Below a folder that is made if it is missing.
    pub fn new(home: &Path) -> Result<Self, ServerError> {
        let failed =
            |error: std::io::Error| ServerError::Folder { folder: home.to_owned(), problem: error.to_string() };
        fs::create_dir_all(home).map_err(failed)?;
        let home = home.canonicalize().map_err(failed)?;
        let near = home.join("socket");
        let sockets = if near.as_os_str().len() <= SOCKET_FOLDER_BYTES_MAX { near } else { short_socket_folder(&home) };
        Ok(Self { data: home.join("pgdata"), log: home.join("server.log"), sockets, home })
    }

    /// The major version of the data, if there is data.
    pub fn version(&self) -> Option<u32> {
        fs::read_to_string(self.data.join("PG_VERSION")).ok()?.trim().parse().ok()
    }

    /// Makes the socket folder, for the account alone.
    pub fn make_socket_folder(&self, account: &Account) -> Result<(), ServerError> {
        let failed =
            |error: std::io::Error| ServerError::Folder { folder: self.sockets.clone(), problem: error.to_string() };
        if !self.sockets.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.sockets).map_err(failed)?;
        }
        let meta = fs::symlink_metadata(&self.sockets).map_err(failed)?;
        if !meta.is_dir() {
            return Err(failed(std::io::Error::other("is not a folder")));
        }
        fs::set_permissions(&self.sockets, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        account.own(&self.sockets)
    }
}

/// A short folder that belongs to this home alone: its name is made from the path, so that it is found again.
fn short_socket_folder(home: &Path) -> PathBuf {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    home.hash(&mut hasher);
    PathBuf::from("/tmp").join(format!("growqr-pg-{:016x}", hasher.finish()))
}

/// Chooses the programs that may open this data.
pub fn choose(layout: &Layout, found: &[Binaries]) -> Result<Binaries, ServerError> {
    let Some(wanted) = layout.version() else {
        return found.first().cloned().ok_or(ServerError::NoBinaries);
    };
    if let Some(fitting) = found.iter().find(|binaries| binaries.major == wanted) {
        return Ok(fitting.clone());
    }
    let names: Vec<String> =
        found.iter().map(|binaries| format!("{} ({})", binaries.major, binaries.folder.display())).collect();
    let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(ServerError::WrongVersion { folder: layout.data.clone(), wanted, found })
}

/// Makes the cluster if there is none. A half-made one never bears the final name.
pub fn create(layout: &Layout, binaries: &Binaries, account: &Account) -> Result<(), ServerError> {
    if layout.version().is_some() {
        return account.own(&layout.data);
    }
    let failed = |folder: &Path, error: std::io::Error| ServerError::Folder {
        folder: folder.to_owned(),
        problem: error.to_string(),
    };
    if layout.data.exists() {
        return Err(ServerError::Folder {
            folder: layout.data.clone(),
            problem: "is there, but holds no data of Postgres; move it away".to_owned(),
        });
    }
    let half = layout.home.join("pgdata.tmp");
    if half.exists() {
        fs::remove_dir_all(&half).map_err(|error| failed(&half, error))?;
    }
    fs::DirBuilder::new().mode(0o700).create(&half).map_err(|error| failed(&half, error))?;
    account.own(&half)?;
    let program = binaries.program("initdb");
    let mut command = account.command(&program);
    command.args(["--locale=C", "-E", "UTF8", "--auth=trust", "-U", "postgres", "-D"]).arg(&half).current_dir("/");
    let problem = |problem: String| ServerError::Program { program: program.display().to_string(), problem };
    let output = command.output().map_err(|error| problem(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let end = said.floor_char_boundary(PROBLEM_BYTES_MAX);
        return Err(problem(format!("{}: {}", output.status, said[..end].trim())));
    }
    fs::rename(&half, &layout.data).map_err(|error| failed(&layout.data, error))
}

/// The lines of `postmaster.pid`: process on the first, `ready` on the eighth.
fn pid_file(layout: &Layout) -> Option<(u32, bool)> {
    let text = fs::read_to_string(layout.data.join("postmaster.pid")).ok()?;
    let mut lines = text.lines();
    let process = lines.next()?.trim().parse().ok()?;
    Some((process, lines.nth(6).is_some_and(|state| state.trim() == "ready")))
}

/// Whether the server with this process takes connections.
pub fn is_ready(layout: &Layout, process: u32) -> bool {
    pid_file(layout) == Some((process, true))
}

/// Whether a process is a server on this very data, and not another one that was given the same number.
fn is_server_of(layout: &Layout, process: u32) -> bool {
    if !signal::is_alive(process) {
        return false;
    }
    if cfg!(target_os = "linux") {
        // A server works in its data folder.
        return fs::read_link(format!("/proc/{process}/cwd")).is_ok_and(|folder| folder == layout.data);
    }
    true
}

/// Stops a server that an earlier host left behind, and waits for its end.
pub fn stop_left_over(layout: &Layout) -> Result<(), ServerError> {
    let Some((process, _)) = pid_file(layout) else { return Ok(()) };
    let start = Instant::now();
    while is_server_of(layout, process) {
        if start.elapsed() > LEFT_OVER_STOP_MAX {
            return Err(ServerError::Held { folder: layout.data.clone(), process });
        }
        signal::interrupt(process);
        std::thread::sleep(LOOK_PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_another_major_version_is_refused_with_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let layout = Layout::new(home.path()).unwrap();
        let found = [15, 18].map(|major| Binaries { folder: format!("/pg/{major}").into(), major });
        assert_eq!(choose(&layout, &found).unwrap().major, 15, "without data the best is taken");
        fs::create_dir_all(&layout.data).unwrap();
        fs::write(layout.data.join("PG_VERSION"), "18\n").unwrap();
        assert_eq!(choose(&layout, &found).unwrap().major, 18, "data decides");
        fs::write(layout.data.join("PG_VERSION"), "14\n").unwrap();
        let message = choose(&layout, &found).unwrap_err().to_string();
        assert!(message.contains("Postgres 14") && message.contains("15 (/pg/15), 18 (/pg/18)"), "{message}");
        assert!(matches!(choose(&Layout::new(&home.path().join("new")).unwrap(), &[]), Err(ServerError::NoBinaries)));
    }

    #[test]
    fn a_long_path_gets_a_short_socket_folder() {
        let home = tempfile::tempdir().unwrap();
        let long = home.path().join("a-folder-with-a-long-name".repeat(4));
        let layout = Layout::new(&long).unwrap();
        assert!(layout.sockets.as_os_str().len() <= SOCKET_FOLDER_BYTES_MAX);
        assert_eq!(layout.sockets, Layout::new(&long).unwrap().sockets, "found again");
    }

    #[test]
    fn a_process_that_only_has_the_same_number_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let layout = Layout::new(home.path()).unwrap();
        fs::create_dir_all(&layout.data).unwrap();
        // This test itself: alive, and no server. An interrupt would end it.
        fs::write(layout.data.join("postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
        if cfg!(target_os = "linux") {
            stop_left_over(&layout).unwrap();
        }
    }
}
