//! A machine that fails on command, for one host.
//!
//! A small library is loaded into the host before its own code (`preload/machine.rs`). It stands between the host and the kernel: it
//! shifts the clock, and it takes memory mappings until the kernel has none left.

use crate::files::repository;
use crate::host::Surroundings;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// The numbers of the page that the library and the test share; `preload/machine.rs` has the same.
const CLOCK_OFFSET_NS: u64 = 0;
const MAPPINGS_LEFT: u64 = 1;
const MAPPINGS_TAKEN: u64 = 2;
const MAPPINGS_ERROR: u64 = 3;
const PAGE_BYTES: u64 = 4096;
/// How long taking and giving back mappings may take.
const MAPPINGS_TIME_MAX: Duration = Duration::from_secs(20);

/// See the module's documentation.
pub struct Machine {
    folder: tempfile::TempDir,
    page: File,
}

impl Machine {
    /// A machine on which nothing has failed yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let page = File::options().read(true).write(true).create_new(true).open(folder.path().join("page"));
        let page = page.expect("the page can be made");
        page.set_len(PAGE_BYTES).expect("the page has a length");
        let compiled = Command::new("rustc")
            .args(["--edition", "2024", "--crate-type", "cdylib", "-C", "opt-level=1", "-o"])
            .arg(folder.path().join("machine.so"))
            .arg(repository().join("tests/e2e/preload/machine.rs"))
            .current_dir(repository())
            .output()
            .expect("`rustc` can be run");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Self { folder, page }
    }

    /// For a host that runs on this machine.
    pub fn surroundings(&self) -> Surroundings {
        let path = |name: &str| self.folder.path().join(name).to_string_lossy().into_owned();
        let variables =
            vec![("LD_PRELOAD".to_owned(), path("machine.so")), ("MACHINE_OF_THE_TEST".to_owned(), path("page"))];
        Surroundings { variables, ..Surroundings::default() }
    }

    /// From now on the clock differs by so many seconds from the real one.
    pub fn set_clock(&self, seconds: i64) {
        self.write(CLOCK_OFFSET_NS, seconds * 1_000_000_000);
    }

    /// Takes all memory mappings of the process but so many; gives how many were taken, and the error by which the kernel said that
    /// there are no more.
    pub fn take_mappings(&self, left: u32) -> (i64, std::io::Error) {
        self.write(MAPPINGS_LEFT, left.max(1).into());
        self.wait(|| self.read(MAPPINGS_TAKEN) > 0);
        let error = i32::try_from(self.read(MAPPINGS_ERROR)).expect("an error of the system");
        (self.read(MAPPINGS_TAKEN), std::io::Error::from_raw_os_error(error))
    }

    /// Gives the mappings back.
    pub fn give_mappings(&self) {
        self.write(MAPPINGS_LEFT, 0);
        self.wait(|| self.read(MAPPINGS_TAKEN) == 0);
    }

    fn wait(&self, until: impl Fn() -> bool) {
        let end = Instant::now() + MAPPINGS_TIME_MAX;
        while !until() {
            assert!(Instant::now() < end, "the library in the host does not answer");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn write(&self, number: u64, value: i64) {
        self.page.write_all_at(&value.to_ne_bytes(), number * 8).expect("the page can be written");
    }

    fn read(&self, number: u64) -> i64 {
        let mut bytes = [0; 8];
        self.page.read_exact_at(&mut bytes, number * 8).expect("the page can be read");
        i64::from_ne_bytes(bytes)
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}
