//! One marked method of the block.

use crate::attributes::MethodAttributes;
use crate::names::lower_camel_case;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ImplItemFn, Meta, Pat, PatType, Result, ReturnType, Type, TypeReference};

/// The attributes that mark methods.
pub const KINDS: &[&str] = &[
    "action",
    "on_create",
    "on_wake",
    "on_before_connect",
    "on_connect",
    "on_disconnect",
    "on_subscribe",
    "on_queue",
    "on_request",
    "on_socket",
    "on_message",
    "on_timer",
    "on_sandbox_event",
    "on_effect_result",
    "migrate",
    "check",
    "on_sleep",
    "on_destroy",
];

/// A method that is an action or a hook.
pub struct Method {
    /// One of [`KINDS`].
    pub kind: &'static str,
    pub ident: Ident,
    /// On the wire: of the action, the timer or the queue.
    pub name: String,
    pub read_only: bool,
    /// Takes every name that has no method of its own.
    pub any: bool,
    /// `&self`: the struct can't change.
    pub shared: bool,
    pub takes_ctx: bool,
    pub params: Vec<Param>,
    /// The method says `Result`.
    pub fallible: bool,
}

/// A parameter after `self` and `ctx`.
pub struct Param {
    pub name: String,
    /// What is decoded or taken, without a reference.
    pub owned: Type,
    /// The method takes it by reference.
    pub by_reference: bool,
}

impl Method {
    /// Takes the marking attribute off the function and reads it. None when there is none.
    pub fn take(function: &mut ImplItemFn) -> Result<Option<Self>> {
        let kind_of = |attribute: &syn::Attribute| KINDS.iter().copied().find(|kind| attribute.path().is_ident(kind));
        let Some(index) = function.attrs.iter().position(|attribute| kind_of(attribute).is_some()) else {
            return Ok(None);
        };
        let attribute = function.attrs.remove(index);
        let kind = kind_of(&attribute).unwrap_or_default();
        if let Some(second) = function.attrs.iter().find(|attribute| kind_of(attribute).is_some()) {
            return Err(Error::new(second.span(), "a method is one action or one hook"));
        }
        let written = match &attribute.meta {
            Meta::Path(_) => MethodAttributes::default(),
            meta => meta.require_list()?.parse_args()?,
        };
        Self::read(kind, written, function).map(Some)
    }

    fn read(kind: &'static str, written: MethodAttributes, function: &ImplItemFn) -> Result<Self> {
        let ident = function.sig.ident.clone();
        if function.sig.asyncness.is_some() {
            return Err(Error::new(ident.span(), "a turn can't wait: return `ctx.defer()` and answer in a later turn"));
        }
        let mut inputs = function.sig.inputs.iter().peekable();
        let shared = match inputs.next_if(|input| matches!(input, FnArg::Receiver(_))) {
            Some(FnArg::Receiver(receiver)) => receiver.mutability.is_none() && receiver.reference.is_some(),
            _ if kind == "migrate" => true,
            _ => return Err(Error::new(ident.span(), "an action or hook takes `&self` or `&mut self`")),
        };
        let ctx = inputs.next_if(|input| matches!(input, FnArg::Typed(typed) if as_ctx(typed).is_some()));
        if written.read_only && !shared {
            return Err(Error::new(function.sig.inputs.span(), "a read-only action takes `&self`"));
        }
        if let Some(FnArg::Typed(typed)) = ctx
            && written.read_only
            && as_ctx(typed).is_some_and(|ctx| ctx.mutability.is_some())
        {
            return Err(Error::new(typed.span(), "a read-only action takes `&Ctx`"));
        }
        Ok(Self {
            kind,
            name: written.name.map_or_else(|| lower_camel_case(&ident.to_string()), |name| name.value()),
            read_only: written.read_only,
            any: written.any,
            shared,
            takes_ctx: ctx.is_some(),
            params: inputs.map(Param::read).collect::<Result<_>>()?,
            fallible: matches!(&function.sig.output, ReturnType::Type(_, ty) if last_name(ty).is_some_and(|name| name == "Result")),
            ident,
        })
    }

    /// The call of the method with these values, one for each parameter; gives the value, or leaves with the failure.
    pub fn call(&self, values: &[TokenStream]) -> TokenStream {
        let Self { ident, .. } = self;
        let ctx = self.takes_ctx.then(|| quote!(ctx,));
        let values = values.iter().zip(&self.params).map(|(value, param)| match param.by_reference {
            true => quote!(&#value),
            false => value.clone(),
        });
        let unchanged = self.shared.then(|| quote!(ctx.leave_state_unchanged();));
        let question = self.fallible.then(|| quote!(?));
        // Not `self.name()`: a trait method of the same name could come first.
        quote!({ #unchanged Self::#ident(self, #ctx #(#values),*) #question })
    }

    /// Refuses more parameters than there are values.
    pub fn takes_at_most(&self, count: usize) -> Result<()> {
        if self.params.len() > count {
            let message = format!("#[{}] takes {count} parameters at the most, besides self and ctx", self.kind);
            return Err(Error::new(self.ident.span(), message));
        }
        Ok(())
    }

    /// The only parameter's value: the whole message if the parameter has its type, and what the message carries otherwise.
    pub fn carried(&self, whole: &str, message: TokenStream, text: TokenStream) -> Result<Vec<TokenStream>> {
        self.takes_at_most(1)?;
        Ok(match self.params.first() {
            None => vec![],
            Some(param) if last_name(&param.owned).is_some_and(|name| name == whole) => vec![message],
            Some(Param { name, owned, .. }) => vec![quote!(::growqr_actor_sdk::value::<#owned>(#text, #name)?)],
        })
    }
}

impl Param {
    fn read(input: &FnArg) -> Result<Self> {
        let FnArg::Typed(typed) = input else { return Err(Error::new(input.span(), "self comes first")) };
        let name = match &*typed.pat {
            Pat::Ident(pattern) => lower_camel_case(&pattern.ident.to_string()),
            _ => "value".to_owned(),
        };
        let (owned, by_reference) = match &*typed.ty {
            Type::Reference(reference) => (owned(reference)?, true),
            other => (other.clone(), false),
        };
        Ok(Self { name, owned, by_reference })
    }

    /// A variable for the decoded value.
    pub fn variable(index: usize) -> Ident {
        format_ident!("argument_{index}")
    }
}

/// What is decoded for a parameter that is taken by reference.
fn owned(reference: &TypeReference) -> Result<Type> {
    if reference.mutability.is_some() {
        return Err(Error::new(reference.span(), "an argument can't be taken by `&mut`"));
    }
    Ok(match &*reference.elem {
        Type::Slice(slice) => {
            let item = &slice.elem;
            syn::parse_quote!(::std::vec::Vec<#item>)
        }
        elem if last_name(elem).is_some_and(|name| name == "str") => syn::parse_quote!(::std::string::String),
        elem => elem.clone(),
    })
}

/// The parameter's type, if it is the context: by its type's name, or by its own where the type has an alias.
fn as_ctx(param: &PatType) -> Option<&TypeReference> {
    let Type::Reference(reference) = &*param.ty else { return None };
    let by_type = last_name(&reference.elem).is_some_and(|name| name == "Ctx");
    let by_name = matches!(&*param.pat, Pat::Ident(pattern) if pattern.ident == "ctx" || pattern.ident == "_ctx");
    (by_type || by_name).then_some(reference)
}

fn last_name(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}
