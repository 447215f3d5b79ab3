//! The fields of the configuration as data, read from its JSON schema.

use crate::Configuration;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// How a variable's text becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As it is.
    Text,
    /// A number, or `true` or `false`.
    Scalar,
    /// Texts with commas between them.
    List,
    /// A map or a free value; not from the environment.
    Other,
}

/// One field.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// Its name in the file.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its default, if it has one that is not null.
    pub default: Option<Value>,
    /// How its text is read.
    pub kind: Kind,
    /// Whether it has to be there.
    pub required: bool,
    /// It can be the word `"off"`.
    pub has_switch: bool,
    /// Its values, if they are words.
    pub words: Vec<String>,
    /// What is inside, if it is a section.
    pub fields: Vec<Field>,
    /// What is inside of each entry, if it is a map of sections.
    pub entries: Vec<Field>,
}

/// The fields of the whole configuration.
pub(crate) fn fields() -> Vec<Field> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<Configuration>();
    fields_of(schema.as_value())
}

fn fields_of(schema: &Value) -> Vec<Field> {
    let mut branches = Vec::new();
    flatten(schema, &mut branches);
    let mut fields = Vec::new();
    for branch in branches {
        let required: Vec<&str> =
            branch.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, schema) in branch.get("properties").and_then(Value::as_object).into_iter().flatten() {
            fields.push(field(name, schema, required.contains(&name.as_str())));
        }
    }
    fields
}

fn field(name: &str, schema: &Value, required: bool) -> Field {
    let mut branches = Vec::new();
    flatten(schema, &mut branches);
    let words: Vec<String> = branches
        .iter()
        .flat_map(|branch| {
            branch.get("const").into_iter().chain(branch.get("enum").and_then(Value::as_array).into_iter().flatten())
        })
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect();
    let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let fields = fields_of(schema);
    let has_switch = !fields.is_empty() && words.iter().any(|word| word == crate::switch::OFF);
    let entries = branches.iter().filter_map(|branch| branch.get("additionalProperties")).flat_map(fields_of).collect();
    Field {
        name: name.to_owned(),
        description: description.split_whitespace().collect::<Vec<_>>().join(" "),
        default: schema.get("default").filter(|value| !value.is_null()).cloned(),
        kind: if fields.is_empty() { kind(&branches) } else { Kind::Other },
        required,
        has_switch,
        words,
        fields,
        entries,
    }
}

/// The alternatives of a schema, nested ones included.
fn flatten<'a>(schema: &'a Value, out: &mut Vec<&'a Map<String, Value>>) {
    let Some(object) = schema.as_object() else { return };
    out.push(object);
    for key in ["anyOf", "oneOf"] {
        for branch in object.get(key).and_then(Value::as_array).into_iter().flatten() {
            flatten(branch, out);
        }
    }
}

fn kind(branches: &[&Map<String, Value>]) -> Kind {
    let types: Vec<&str> = branches
        .iter()
        .filter_map(|branch| branch.get("type"))
        .flat_map(|types| {
            types.as_str().into_iter().chain(types.as_array().into_iter().flatten().filter_map(Value::as_str))
        })
        .collect();
    if types.iter().any(|name| ["integer", "number", "boolean"].contains(name)) {
        Kind::Scalar
    } else if types.contains(&"array") {
        Kind::List
    } else if types.contains(&"string") || branches.iter().any(|branch| branch.contains_key("const")) {
        Kind::Text
    } else {
        Kind::Other
    }
}

/// The variable of a field: `dataDir` in no section is `GROWQR_DATA_DIR`, `jwksUrl` in `identity` is `GROWQR_IDENTITY_JWKS_URL`.
pub(crate) fn variable(section: Option<&str>, name: &str) -> String {
    let mut variable = crate::environment::PREFIX.to_owned();
    for part in section.into_iter().chain([name]) {
        if !variable.ends_with('_') {
            variable.push('_');
        }
        for char in part.chars() {
            if char.is_ascii_uppercase() {
                variable.push('_');
            }
            variable.push(char.to_ascii_uppercase());
        }
    }
    variable
}
