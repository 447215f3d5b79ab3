//! Errors as callers see them.

use crate::bindings::growqr::actor::types::Failure;
use crate::{Json, log};
use serde::Serialize;
use std::borrow::Cow;

/// What actions and hooks give.
pub type Result<T, E = Fail> = std::result::Result<T, E>;

/// An error with a stable code. The caller sees group, code, message and metadata.
///
/// After a turn that ends with one nothing of the turn remains. [`Fail::keep`] changes that.
#[derive(Debug, Clone)]
pub struct Fail {
    /// Who speaks: `user` is the actor itself.
    pub group: Cow<'static, str>,
    /// Stable, machine-readable.
    pub code: Cow<'static, str>,
    /// For people.
    pub message: Cow<'static, str>,
    /// More, for machines.
    pub metadata: Option<Json>,
    pub(crate) keep: bool,
}

impl Fail {
    /// An error of the actor itself (group `user`).
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::of("user", code, message)
    }

    /// An error of another group.
    pub fn of(
        group: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { group: group.into(), code: code.into(), message: message.into(), metadata: None, keep: false }
    }

    /// An error whose cause is none of the caller's business: it goes to the log, and the caller sees `core.internal_error`.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        log::error(&cause.to_string());
        Self::of("core", "internal_error", "An internal error occurred")
    }

    /// An argument or another input is not what the actor expects.
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::of("actor", "validation_error", message)
    }

    /// Adds metadata. A value that JSON can't say is left out, and the log says so.
    pub fn metadata(mut self, metadata: &(impl Serialize + ?Sized)) -> Self {
        match Json::new(metadata) {
            Ok(json) => self.metadata = Some(json),
            Err(fail) => log::warn(&fail.message),
        }
        self
    }

    /// Answers with this error, but keeps what the turn wrote. It counts in actions, in queue messages and in
    /// `on_before_connect`; other hooks have no caller to answer.
    pub fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    #[doc(hidden)]
    pub fn unknown_action(name: &str) -> Self {
        Self::of("actor", "action_not_found", ["The action `", name, "` was not found."].concat())
    }
}

impl From<Fail> for Failure {
    fn from(fail: Fail) -> Self {
        Self {
            group: fail.group.into_owned(),
            code: fail.code.into_owned(),
            message: fail.message.into_owned(),
            metadata: fail.metadata.map(Json::into_text),
        }
    }
}

impl From<Failure> for Fail {
    fn from(failure: Failure) -> Self {
        let metadata = failure.metadata.and_then(|text| Json::from_text(text).ok());
        Self { metadata, ..Self::of(failure.group, failure.code, failure.message) }
    }
}

impl std::fmt::Display for Fail {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}: {}", self.group, self.code, self.message)
    }
}

impl std::error::Error for Fail {}

macro_rules! internal {
    ($($error:ty),*) => {
        $(impl From<$error> for Fail {
            fn from(error: $error) -> Self {
                Self::internal(error)
            }
        })*
    };
}

internal!(serde_json::Error, std::fmt::Error, std::num::ParseIntError, std::str::Utf8Error, std::string::FromUtf8Error);
