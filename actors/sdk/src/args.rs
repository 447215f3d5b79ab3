//! An action's arguments, taken one after the other.

use crate::{Fail, Json, Result, json};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// The arguments of a call.
pub struct Args<'a> {
    values: std::vec::IntoIter<&'a RawValue>,
    position: usize,
}

impl<'a> Args<'a> {
    /// Reads a JSON array.
    pub fn parse(text: &'a str) -> Result<Self> {
        let values: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|_| Fail::validation("the arguments are not a JSON array"))?;
        Ok(Self { values: values.into_iter(), position: 0 })
    }

    /// The next argument. One that is missing is read as `null`, so that an `Option` is `None`. More arguments than the action
    /// takes are not looked at, as in JavaScript.
    pub fn take<T: DeserializeOwned + 'static>(&mut self, name: &str) -> Result<T> {
        self.position += 1;
        match self.values.next() {
            Some(value) => {
                json::decode(value.get()).map_err(|error| self.wrong(name, &["is not valid: ", &error].concat()))
            }
            None => json::decode("null").map_err(|_| self.wrong(name, "is missing")),
        }
    }

    fn wrong(&self, name: &str, what: &str) -> Fail {
        Fail::validation(["argument ", &self.position.to_string(), " (`", name, "`) ", what].concat())
    }
}

/// Reads one value that a hook takes: a creation input, a timer's payload, a message's body.
#[doc(hidden)]
pub fn value<T: DeserializeOwned + 'static>(text: &str, name: &str) -> Result<T> {
    json::decode(text).map_err(|error| Fail::validation(["`", name, "` is not valid: ", &error].concat()))
}

impl Json {
    /// Reads the value.
    pub fn parse<T: DeserializeOwned + 'static>(&self) -> Result<T> {
        json::decode(self.text()).map_err(|error| Fail::validation(["the value is not valid: ", &error].concat()))
    }
}
