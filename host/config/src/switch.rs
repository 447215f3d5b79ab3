//! A part of the host that can be switched off with the word `"off"`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The word.
pub(crate) const OFF: &str = "off";

/// `"off"`, or a section with fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switch<T> {
    /// Switched off.
    Off,
    /// Switched on, like this.
    On(T),
}

impl<T> Switch<T> {
    /// The section, if it is not switched off.
    pub fn on(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(section) => Some(section),
        }
    }
}

impl<T: Serialize> Serialize for Switch<T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => out.serialize_str(OFF),
            Self::On(section) => section.serialize(out),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(Either(PhantomData))
    }
}

/// Not an untagged enum of serde: that would lose the place and the reason of an error inside of the section.
struct Either<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
    type Value = Switch<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("\"off\" or a section with fields")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        // The text is not repeated: somebody may have put an address with a password here.
        if text == OFF { Ok(Switch::Off) } else { Err(E::custom("this is \"off\", or a section with fields")) }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Switch::On)
    }
}

impl<T: JsonSchema> JsonSchema for Switch<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Switch_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let section = generator.subschema_for::<T>();
        json_schema!({ "oneOf": [{ "const": OFF }, section] })
    }
}
