//! The attributes' own small language.

use crate::names::lower_camel_case;
use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, Lit, LitInt, LitStr, Result, Token, Type, parenthesized};

/// What stands in `#[actor(...)]`.
#[derive(Default)]
pub struct ActorAttributes {
    pub name: Option<LitStr>,
    pub vars: Option<Type>,
    pub state_version: Option<LitInt>,
    pub migrates_from: Option<LitInt>,
    pub migrates_back_to: Option<LitInt>,
    /// Expressions that give a name each.
    pub events: Vec<TokenStream>,
    pub queues: Vec<LitStr>,
    pub requires: Vec<LitStr>,
    /// A JSON object.
    pub options: String,
}

const KNOWN: &str =
    "name, vars, state_version, migrates_from, migrates_back_to, events(...), queues(...), requires(...), options(...)";

impl Parse for ActorAttributes {
    fn parse(input: ParseStream) -> Result<Self> {
        let mut attributes = Self { options: "{}".to_owned(), ..Self::default() };
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            match key.to_string().as_str() {
                "name" => attributes.name = Some(value(input)?),
                "vars" => attributes.vars = Some(value(input)?),
                "state_version" => attributes.state_version = Some(value(input)?),
                "migrates_from" => attributes.migrates_from = Some(value(input)?),
                "migrates_back_to" => attributes.migrates_back_to = Some(value(input)?),
                "events" => attributes.events = list::<EventName>(input)?.into_iter().map(|event| event.0).collect(),
                "queues" => attributes.queues = list(input)?,
                "requires" => attributes.requires = list(input)?,
                "options" => attributes.options = json_object(list(input)?),
                _ => return Err(Error::new(key.span(), format!("unknown; the actor attribute knows {KNOWN}"))),
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(attributes)
    }
}

fn value<T: Parse>(input: ParseStream) -> Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn list<T: Parse>(input: ParseStream) -> Result<Vec<T>> {
    let content;
    parenthesized!(content in input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}

/// An event by its name, or by the type that has one.
struct EventName(TokenStream);

impl Parse for EventName {
    fn parse(input: ParseStream) -> Result<Self> {
        if input.peek(LitStr) {
            let name: LitStr = input.parse()?;
            return Ok(Self(quote!(#name)));
        }
        let event: Type = input.parse()?;
        Ok(Self(quote!(<#event as ::growqr_actor_sdk::Event>::NAME)))
    }
}

/// `sleep_timeout = "1s"`
struct ActorOption {
    name: Ident,
    value: String,
}

impl Parse for ActorOption {
    fn parse(input: ParseStream) -> Result<Self> {
        let name: Ident = input.parse()?;
        let literal: Lit = value(input)?;
        let value = match &literal {
            Lit::Str(text) => format!("\"{}\"", text.value().replace('\\', "\\\\").replace('"', "\\\"")),
            Lit::Int(number) => number.base10_digits().to_owned(),
            Lit::Bool(flag) => flag.value.to_string(),
            other => return Err(Error::new(other.span(), "an option is a text, a whole number, true or false")),
        };
        Ok(Self { name, value })
    }
}

fn json_object(options: Vec<ActorOption>) -> String {
    let fields: Vec<String> = options
        .into_iter()
        .map(|option| {
            let name = match option.name.to_string().as_str() {
                "can_hibernate" => "hibernatableWebSockets".to_owned(),
                name => lower_camel_case(name),
            };
            format!("\"{name}\":{}", option.value)
        })
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// What stands in `#[action(...)]`, `#[on_timer(...)]` and `#[on_queue(...)]`.
#[derive(Default)]
pub struct MethodAttributes {
    pub name: Option<LitStr>,
    pub read_only: bool,
    pub any: bool,
}

impl Parse for MethodAttributes {
    fn parse(input: ParseStream) -> Result<Self> {
        let mut attributes = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            match key.to_string().as_str() {
                "name" => attributes.name = Some(value(input)?),
                "read_only" => attributes.read_only = true,
                "any" => attributes.any = true,
                _ => {
                    return Err(Error::new(
                        key.span(),
                        "unknown; only name = \"...\", read_only and any may stand here",
                    ));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(attributes)
    }
}
