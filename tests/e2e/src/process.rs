//! Processes that never outlive the test that started them, however it ends.
//!
//! Every process is started by one thread that lasts as long as the test program, because the kernel ends a process together with the
//! *thread* that started it.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

type Request = (Command, Sender<io::Result<Child>>);

/// Starts a process that the kernel kills when this test program is gone.
pub fn spawn(mut command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Sender<Request>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, requests) = channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                // Whoever asked has panicked; then the process is not wanted either.
                if let Err(std::sync::mpsc::SendError(Ok(mut child))) = answer.send(command.spawn()) {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        });
        sender
    });
    end_with_the_test(&mut command);
    let (answer, answered) = channel();
    starter.send((command, answer)).expect("the thread that starts processes runs");
    answered.recv().expect("the thread that starts processes answers")
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn end_with_the_test(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only calls that are safe in a signal handler are allowed. `prctl` is a bare system call; it takes
    // no memory and no lock. `process::tests` shows that it does what it is for.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn end_with_the_test(_command: &mut Command) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    /// How long the processes of these tests would run.
    const SLEEP_SECONDS: &str = "30";
    /// Set for the test program that is started by the test below, and is then killed.
    const INNER: &str = "GROWQR_PROCESS_TEST_INNER";

    #[test]
    fn a_process_ends_with_the_test_program_that_started_it() {
        if std::env::var_os(INNER).is_some() {
            let mut command = Command::new("sleep");
            command.arg(SLEEP_SECONDS).stdout(Stdio::inherit());
            let child = spawn(command).expect("a process");
            eprintln!("started {}", child.id());
            // As a test program that is killed: no destructor runs.
            std::process::abort();
        }
        let began = Instant::now();
        let mut inner = Command::new(std::env::current_exe().expect("the test knows its own path"));
        inner.args(["a_process_ends_with_the_test_program_that_started_it", "--nocapture"]).env(INNER, "1");
        let mut inner = inner.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the inner test");
        let mut output = inner.stdout.take().expect("piped");
        let mut said = String::new();
        // The pipe is closed only when the process has ended as well, which inherited it.
        let _ = output.read_to_string(&mut said);
        let mut errors = String::new();
        let _ = inner.stderr.take().expect("piped").read_to_string(&mut errors);
        assert!(errors.contains("started "), "the inner test started nothing: {said}{errors}");
        assert!(began.elapsed() < Duration::from_secs(10), "its process went on for {:?}", began.elapsed());
        assert!(!inner.wait().expect("the inner test can be waited for").success());
    }

    #[test]
    fn a_process_outlives_the_thread_that_asked_for_it() {
        let child = std::thread::spawn(|| {
            let mut command = Command::new("sleep");
            command.arg(SLEEP_SECONDS);
            spawn(command).expect("a process")
        });
        let mut child = child.join().expect("the thread ends");
        assert!(child.try_wait().expect("the process can be asked").is_none(), "it ended with the thread");
        child.kill().expect("it can be killed");
        child.wait().expect("it can be waited for");
    }
}
