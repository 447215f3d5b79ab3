//! The reference page of the configuration, from the doc comments of its fields.

use crate::environment::is_read;
use crate::schema::{Field, fields, variable};
use std::fmt::Write;

/// The page's beginning.
const HEAD: &str = "\
# Configuration

The host reads one JSON file, `rivet.json` in the current folder unless `--config` (or the variable `GROWQR_CONFIG`) names another, then
the environment, then its command line; what comes later wins. Every field is optional unless it says otherwise. A field or a variable
with the prefix `GROWQR_` that means nothing is refused, so that a typing error does not go unnoticed. `growqr config check` reads all
of it as `growqr serve` does, and says everything that is wrong at once; with `--json` it also shows what holds, without secrets.

Paths in the file are relative to the file. Lists in a variable have commas between their parts; an empty variable counts as not set.
Secrets have no defaults and are never shown.

This page is made from the code by `growqr config reference`; a test compares them.
";

/// The whole page.
pub fn reference_page() -> String {
    let mut page = HEAD.to_owned();
    let fields = fields();
    let (plain, sections): (Vec<&Field>, Vec<&Field>) = fields.iter().partition(|field| field.fields.is_empty());
    page.push_str("\n## At the top\n");
    table(&mut page, None, &plain);
    for field in &plain {
        if !field.entries.is_empty() {
            let _ = write!(page, "\n### Each entry of `{}`\n", field.name);
            entries(&mut page, &field.entries);
        }
    }
    for section in sections {
        let _ = write!(page, "\n## `{}`\n\n{}\n", section.name, section.description);
        if section.has_switch {
            let _ = write!(page, "\nThe variable `{}` can be `off`.\n", variable(None, &section.name));
        }
        table(&mut page, Some(section), &section.fields.iter().collect::<Vec<_>>());
    }
    page
}

fn table(page: &mut String, section: Option<&Field>, fields: &[&Field]) {
    page.push_str("\n| field | variable | default | what it is |\n|---|---|---|---|\n");
    for field in fields {
        let name = variable(section.map(|section| section.name.as_str()), &field.name);
        let name = if is_read(section, field) { format!("`{name}`") } else { "none".to_owned() };
        let _ = writeln!(page, "| `{}` | {name} | {} | {} |", field.name, default(field), description(field));
    }
}

fn entries(page: &mut String, fields: &[Field]) {
    page.push_str("\n| field | default | what it is |\n|---|---|---|\n");
    for field in fields {
        let _ = writeln!(page, "| `{}` | {} | {} |", field.name, default(field), description(field));
    }
}

fn default(field: &Field) -> String {
    match &field.default {
        _ if field.required => "required".to_owned(),
        Some(value) if value.as_object().is_none_or(serde_json::Map::is_empty) => format!("`{value}`"),
        Some(_) => "see its page".to_owned(),
        None => "none".to_owned(),
    }
}

fn description(field: &Field) -> String {
    let mut text = field.description.replace('|', "\\|");
    if !field.words.is_empty() && !field.has_switch {
        let words: Vec<String> = field.words.iter().map(|word| format!("`{word}`")).collect();
        let _ = write!(text, " One of {}.", words.join(", "));
    }
    text
}
