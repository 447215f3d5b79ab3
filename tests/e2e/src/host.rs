//! The program `growqr`, as an operator runs it.

use crate::files::{component, staged};
use crate::process::spawn;
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long the host may take to say that it listens. Compiling the components counts; a loaded machine needs some of it.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long the host may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(20);
/// How many entries of the log a failing test shows.
const LOG_ENTRIES_SHOWN: usize = 60;

/// What a host is to serve.
#[derive(Clone)]
pub struct Deployment {
    actors: Map<String, Value>,
    settings: Map<String, Value>,
}

/// Where a host runs, and what it may use there.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The data folder; one of its own if none is named.
    pub data_dir: Option<PathBuf>,
    /// Commands of the shell that set limits before the host begins, for example `ulimit -n 64`.
    pub limits: Option<String>,
    /// A program that becomes the host, with its arguments; none if the host is started as it is.
    pub wrapper: Vec<String>,
    /// Variables of the environment beside those of the test.
    pub variables: Vec<(String, String)>,
}

impl Deployment {
    /// The built components of this repository by these names, with default options. Identity and database are switched off;
    /// [`Self::setting`] brings them back.
    pub fn of(actors: &[&str]) -> Self {
        let mut deployment = Self { actors: Map::new(), settings: Map::new() }
            .setting("identity", json!("off"))
            .setting("database", json!("off"));
        for actor in actors {
            deployment = deployment.file(actor, &component(actor));
        }
        deployment
    }

    /// A deployment file of this repository, with the components that it names.
    pub fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut settings: Map<String, Value> = serde_json::from_str(&text).expect("the deployment is a JSON object");
        let Some(Value::Object(mut actors)) = settings.remove("actors") else { panic!("no actors: {text}") };
        for actor in actors.values_mut() {
            let component = actor["component"].as_str().expect("a component");
            let component = file.parent().expect("a folder").join(component);
            assert!(component.is_file(), "{} is not built: run `cargo xtask build --actors-only`", component.display());
            actor["component"] = json!(component);
        }
        Self { actors, settings }
    }

    fn config(&self) -> String {
        let mut config = self.settings.clone();
        config.insert("actors".to_owned(), json!(self.actors));
        Value::Object(config).to_string()
    }

    /// One more actor, from this file.
    pub fn file(self, actor: &str, file: &Path) -> Self {
        self.with(actor, json!({ "component": file }))
    }

    /// Sets a field of the deployment beside its actors.
    pub fn setting(mut self, name: &str, value: Value) -> Self {
        self.settings.insert(name.to_owned(), value);
        self
    }

    /// Takes a field of the deployment out, so that the host's own default holds.
    pub fn without(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// Sets fields of one actor's entry in `rivet.json`.
    pub fn with(mut self, actor: &str, fields: Value) -> Self {
        let entry = self.actors.entry(actor).or_insert_with(|| json!({}));
        if let (Some(entry), Value::Object(fields)) = (entry.as_object_mut(), fields) {
            entry.extend(fields);
        }
        self
    }
}

/// A running host. Killed when dropped.
pub struct Host {
    folder: tempfile::TempDir,
    process: Option<Child>,
    url: String,
    metrics: Option<String>,
    log: Arc<Mutex<Vec<String>>>,
    announced: Vec<String>,
    surroundings: Surroundings,
}

impl Host {
    /// Starts a host on a free port, with an empty data folder.
    pub fn start(deployment: &Deployment) -> Self {
        Self::start_in(deployment, Surroundings::default())
    }

    /// Starts a host on a free port in these surroundings.
    pub fn start_in(deployment: &Deployment, surroundings: Surroundings) -> Self {
        let mut host = Self::prepare(deployment, surroundings);
        host.launch("127.0.0.1:0").unwrap_or_else(|log| panic!("the host did not start\n{log}"));
        host
    }

    /// Starts a host that must end at once; gives what it said.
    pub fn refused_in(deployment: &Deployment, surroundings: Surroundings) -> String {
        Self::prepare(deployment, surroundings).launch("127.0.0.1:0").expect_err("the host must not start")
    }

    fn prepare(deployment: &Deployment, surroundings: Surroundings) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = deployment.config();
        std::fs::write(folder.path().join("rivet.json"), config).expect("the configuration can be written");
        let announced = Vec::new();
        Self { folder, process: None, url: String::new(), metrics: None, log: Arc::default(), announced, surroundings }
    }

    /// Sets a limit of the running process, in the words of the program `prlimit`, for example `--nofile=64`.
    pub fn limit(&self, limit: &str) {
        let status = Command::new("prlimit").args(["--pid", &self.pid().to_string(), limit]).status();
        assert!(status.expect("`prlimit` can be run").success(), "{limit} can't be set");
    }

    /// From the next start on, the host runs there.
    pub fn move_to(&mut self, surroundings: Surroundings) {
        self.surroundings = surroundings;
    }

    /// The address that clients use.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The operator's address, as the path of a URL without its scheme; there only when the deployment has one.
    pub fn operator(&self) -> &str {
        self.metrics.as_deref().expect("the deployment sets metrics.listen")
    }

    /// The data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.surroundings.data_dir.clone().unwrap_or_else(|| self.folder.path().join("data"))
    }

    /// The deployment file.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("rivet.json")
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the host runs").id()
    }

    /// KiB of memory that the process has.
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process can be seen");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// From now on, an entry of the log with this text in it is expected, even if it is an error.
    pub fn announce(&mut self, text: &str) {
        self.announced.push(text.to_owned());
    }

    /// The log so far, one text per entry. An entry may have several lines; the first one starts with the time.
    pub fn log(&self) -> Vec<String> {
        let mut entries: Vec<String> = Vec::new();
        for line in self.log.lock().expect("the log's lock").iter() {
            let is_first =
                line.starts_with(|char: char| char.is_ascii_digit() || char == '{') || line.starts_with("thread '");
            match entries.last_mut() {
                Some(entry) if !is_first => {
                    entry.push('\n');
                    entry.push_str(line);
                }
                _ => entries.push(line.clone()),
            }
        }
        entries
    }

    /// Waits until the log has an entry with all these texts.
    pub fn wait_for_log(&self, texts: &[&str]) -> String {
        let end = Instant::now() + STOP_TIME_MAX;
        loop {
            let found = self.log().into_iter().find(|line| texts.iter().all(|text| line.contains(text)));
            if let Some(line) = found {
                return line;
            }
            assert!(Instant::now() < end, "no entry of the log has {texts:?}\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the process as a power cut would.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the host can be killed");
            process.wait().expect("the host can be waited for");
        }
    }

    /// Asks the process to stop, as an operator would, and gives how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the host runs");
        let status = Command::new("kill").args(["-TERM", &process.id().to_string()]).status();
        assert!(status.expect("`kill` can be run").success(), "the host is already gone\n{}", self.log_tail());
        let end = Instant::now() + STOP_TIME_MAX;
        loop {
            if let Some(status) = process.try_wait().expect("the host can be waited for") {
                return status;
            }
            if Instant::now() > end {
                process.kill().expect("the host can be killed");
                process.wait().expect("the host can be waited for");
                panic!("the host did not stop within {STOP_TIME_MAX:?}\n{}", self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again, on the same data and the same address. Gives how long it took to be ready.
    pub fn restart(&mut self) -> Duration {
        let start = Instant::now();
        self.try_restart().unwrap_or_else(|log| panic!("the host did not start again\n{log}"));
        start.elapsed()
    }

    /// Starts it again, on the same data and the same address. An error is what it said before it ended.
    pub fn try_restart(&mut self) -> Result<(), String> {
        assert!(self.process.is_none(), "the host runs already");
        let address = self.url.trim_start_matches("http://").to_owned();
        self.launch(&address)
    }

    /// The program, and what comes before its own arguments. Everything before it becomes it, so that the process id stays.
    fn program(&self) -> Command {
        let mut words = self.surroundings.wrapper.clone();
        if let Some(limits) = &self.surroundings.limits {
            words.extend(["sh".to_owned(), "-c".to_owned(), format!("{limits}; exec \"$0\" \"$@\"")]);
        }
        let binary = staged("GROWQR_BINARY", "growqr").canonicalize().expect("the program is there");
        words.push(binary.to_string_lossy().into_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).envs(self.surroundings.variables.iter().cloned());
        command
    }

    fn launch(&mut self, address: &str) -> Result<(), String> {
        let mut command = self.program();
        command
            .args(["serve", "--listen", address, "--data-dir"])
            .arg(self.data_dir())
            .arg("--config")
            .arg(self.folder.path().join("rivet.json"))
            .env_remove("RUST_BACKTRACE")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = spawn(command).expect("growqr can be started");
        let stderr = process.stderr.take().expect("piped");
        let log = self.log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.lock().expect("the log's lock").push(line);
            }
        });
        let lines = lines_of(process.stdout.take().expect("piped"));
        self.process = Some(process);
        match self.wait_until_listening(&lines) {
            Some(url) => {
                self.url = url;
                Ok(())
            }
            None => {
                let status = self.process.take().map(|mut process| process.wait());
                Err(format!("it ended with {status:?}\n{}", self.log_tail()))
            }
        }
    }

    /// The address; none when the host has ended.
    fn wait_until_listening(&mut self, lines: &Receiver<String>) -> Option<String> {
        let line = match lines.recv_timeout(START_TIME_MAX) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => panic!("not ready within {START_TIME_MAX:?}\n{}", self.log_tail()),
        };
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        self.metrics = value["metrics"].as_str().map(|url| url.trim_start_matches("http://").to_owned());
        Some(value["listening"].as_str().unwrap_or_else(|| panic!("{line:?} has no address")).to_owned())
    }

    fn log_tail(&self) -> String {
        // The reader of the log may be a moment behind a process that has just ended.
        std::thread::sleep(Duration::from_millis(50));
        let log = self.log();
        let skipped = log.len().saturating_sub(LOG_ENTRIES_SHOWN);
        format!("--- the host's log, without {skipped} earlier entries\n{}", log[skipped..].join("\n"))
    }

    fn unannounced_errors(&self) -> Vec<String> {
        // The second is a panic of the host itself; one of a guest is inside an entry.
        let is_error = |entry: &String| {
            [" ERROR ", r#""level":"ERROR""#].iter().any(|level| entry.contains(level)) || entry.starts_with("thread '")
        };
        let is_announced = |entry: &String| self.announced.iter().any(|text| entry.contains(text));
        self.log().into_iter().filter(|entry| is_error(entry) && !is_announced(entry)).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Nothing can be done here about a process that is gone already.
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
            return;
        }
        let errors = self.unannounced_errors();
        assert!(errors.is_empty(), "the host logged errors that the test did not announce:\n{}", errors.join("\n"));
    }
}

/// Reads lines on a thread of its own, so that the reader can stop waiting.
pub(crate) fn lines_of(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                // Nobody waits any more; what follows is read and dropped, so that the writer is not held up.
                continue;
            }
        }
    });
    receiver
}
