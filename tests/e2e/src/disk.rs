//! A small file system for one test.
//!
//! It is mounted in a mount namespace of its own, which a process holds until the test lets go of it: nobody else sees it, and nothing
//! of it is left, however the test ends.

use crate::host::Surroundings;
use crate::process::spawn;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// See the module's documentation.
pub struct Disk {
    holder: Child,
    folder: tempfile::TempDir,
    user: bool,
}

impl Disk {
    /// A file system of so many bytes; an error says why this machine does not let a test mount one.
    ///
    /// The root of the machine may, and so may any other user where namespaces of users are allowed.
    pub fn mount(bytes: u64) -> Result<Self, String> {
        Self::hold(bytes, false).or_else(|error| {
            Self::hold(bytes, true)
                .map_err(|second| format!("as this user: {error}; in a namespace of users: {second}"))
        })
    }

    fn hold(bytes: u64, user: bool) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("unshare");
        if user {
            command.args(["--user", "--map-root-user"]);
        }
        // It holds the namespace until its input ends.
        let hold = format!("mount -t tmpfs -o size={bytes} tmpfs \"$0\" && echo mounted && read end");
        command.args(["--mount", "sh", "-c", &hold]).arg(folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = spawn(command).map_err(|error| format!("`unshare` can't be run: {error}"))?;
        let mut line = String::new();
        let read = BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line);
        if read.is_ok() && line.trim() == "mounted" {
            return Ok(Self { holder, folder, user });
        }
        drop(holder.stdin.take());
        let output = holder.wait_with_output().map_err(|error| error.to_string())?;
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// For a host whose data folder is on this file system.
    pub fn surroundings(&self) -> Surroundings {
        let data_dir = Some(self.folder.path().join("data"));
        Surroundings { data_dir, wrapper: self.enter(), ..Surroundings::default() }
    }

    /// Makes it read-only, or writable again. Nothing may be open for writing.
    pub fn set_read_only(&self, yes: bool) {
        let mut words = self.enter();
        let how = if yes { "remount,ro" } else { "remount,rw" };
        words.extend(["mount", "-o", how].map(str::to_owned));
        let status = Command::new(&words[0]).args(&words[1..]).arg(self.folder.path()).status();
        assert!(status.expect("`nsenter` can be run").success(), "{how} failed");
    }

    /// Takes all the space that is left; gives the error of the system.
    pub fn fill(&self) -> std::io::Error {
        let mut ballast = std::fs::File::create(self.ballast()).expect("the ballast can be made");
        loop {
            if let Err(error) = ballast.write_all(&[7; 4096]) {
                return error;
            }
        }
    }

    /// Gives that space back.
    pub fn make_space(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast can be removed");
    }

    fn ballast(&self) -> PathBuf {
        // The namespace is seen from outside through its holder.
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        let folder = self.folder.path().strip_prefix("/").expect("the folder has a whole path");
        root.join(folder).join("ballast")
    }

    fn enter(&self) -> Vec<String> {
        let user: &[&str] = if self.user { &["--user", "--preserve-credentials"] } else { &[] };
        let target = self.holder.id().to_string();
        let words = ["nsenter", "--mount", "--target", &target];
        words.iter().chain(user).map(|word| (*word).to_owned()).collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // Nothing can be done here about a process that is gone already.
        let _ = self.holder.wait();
    }
}
