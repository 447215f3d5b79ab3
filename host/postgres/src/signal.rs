//! Signals to the server's process. The only place of this crate that calls the operating system directly.

use std::io;
use std::process::Command;

/// Asks a process to stop: for Postgres this is a fast shutdown, which ends sessions and keeps everything that was committed.
pub fn interrupt(process: u32) {
    send(process, libc::SIGINT);
}

/// Ends a process at once.
pub fn kill(process: u32) {
    send(process, libc::SIGKILL);
}

fn send(process: u32, signal: libc::c_int) {
    // 0 and negative numbers would mean groups of processes.
    let Some(process) = libc::pid_t::try_from(process).ok().filter(|process| *process > 0) else { return };
    // SAFETY: `kill` takes two numbers and touches no memory of this process. A process that is gone is no error for the caller.
    #[allow(unsafe_code)]
    unsafe {
        libc::kill(process, signal)
    };
}

/// Whether a process exists and has not ended. One that ended and was not yet collected by its parent counts as ended.
pub fn is_alive(process: u32) -> bool {
    if cfg!(target_os = "linux") {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything, so the state is looked for behind the last one.
        return status.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']));
    }
    let Some(process) = libc::pid_t::try_from(process).ok().filter(|process| *process > 0) else { return false };
    // SAFETY: signal 0 only asks whether the process exists.
    #[allow(unsafe_code)]
    let asked = unsafe { libc::kill(process, 0) };
    asked == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Lets the child be interrupted when the thread that starts it ends, however the host ends. Only Linux can do that; elsewhere a server
/// that outlives its host is found by its pid file at the next start.
pub fn stop_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt;
        // SAFETY: between fork and exec only calls that are safe there may be made; `prctl` is a plain system call and allocates nothing.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(|| {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGINT) == 0 {
                    Ok(())
                } else {
                    Err(io::Error::last_os_error())
                }
            });
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_has_ended() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(is_alive(child.id()));
        kill(child.id());
        // Not collected yet, and dead all the same.
        while is_alive(child.id()) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!is_alive(child.id()));
        assert!(!is_alive(0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_is_interrupted_when_the_thread_that_started_it_ends() {
        let start = || {
            let mut command = Command::new("sleep");
            command.arg("60");
            stop_with_parent(&mut command);
            command.spawn().unwrap()
        };
        let mut child = std::thread::spawn(start).join().unwrap();
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGINT));
    }
}
