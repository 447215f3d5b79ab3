//! Lines for the operator, and what a panic leaves behind.

use crate::bindings::growqr::actor::log::{Level, write};

pub use crate::bindings::growqr::actor::log::Level as LogLevel;

/// Writes a line at this level. The macros [`crate::info!`] and its sisters format one.
#[doc(hidden)]
pub fn line(level: LogLevel, message: &str) {
    write(level, message);
}

pub(crate) fn error(message: &str) {
    write_where_there_is_a_host(Level::Error, message);
}

pub(crate) fn warn(message: &str) {
    write_where_there_is_a_host(Level::Warn, message);
}

/// Unit tests run natively, where there is no host to write to.
fn write_where_there_is_a_host(level: Level, message: &str) {
    if cfg!(target_arch = "wasm32") {
        write(level, message);
    }
}

/// Makes a panic say message, file and line in the log. Without it the host sees only a trap.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| error(&info.to_string())));
}

/// Writes a line for the operator, at level trace. Takes what `format!` takes.
#[macro_export]
macro_rules! trace {
    ($($part:tt)*) => {
        $crate::log_line($crate::LogLevel::Trace, &::std::format!($($part)*))
    };
}

/// Writes a line for the operator, at level debug. Takes what `format!` takes.
#[macro_export]
macro_rules! debug {
    ($($part:tt)*) => {
        $crate::log_line($crate::LogLevel::Debug, &::std::format!($($part)*))
    };
}

/// Writes a line for the operator, at level info. Takes what `format!` takes.
#[macro_export]
macro_rules! info {
    ($($part:tt)*) => {
        $crate::log_line($crate::LogLevel::Info, &::std::format!($($part)*))
    };
}

/// Writes a line for the operator, at level warn. Takes what `format!` takes.
#[macro_export]
macro_rules! warn {
    ($($part:tt)*) => {
        $crate::log_line($crate::LogLevel::Warn, &::std::format!($($part)*))
    };
}

/// Writes a line for the operator, at level error. Takes what `format!` takes.
#[macro_export]
macro_rules! error {
    ($($part:tt)*) => {
        $crate::log_line($crate::LogLevel::Error, &::std::format!($($part)*))
    };
}
