//! Typed events and errors.

use crate::attributes::MethodAttributes;
use crate::names::{lower_camel_case, snake_case};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, Ident, LitStr, Result, Variant};

/// `derive(Event)`
pub fn event(input: DeriveInput) -> Result<TokenStream> {
    let written = match input.attrs.iter().find(|attribute| attribute.path().is_ident("event")) {
        Some(attribute) => attribute.parse_args::<MethodAttributes>()?,
        None => MethodAttributes::default(),
    };
    let ident = &input.ident;
    let name = written.name.map_or_else(|| lower_camel_case(&ident.to_string()), |name| name.value());
    let (generics, arguments, wheres) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::growqr_actor_sdk::Event for #ident #arguments #wheres {
            const NAME: &'static str = #name;
        }
    })
}

/// `derive(ActorError)`
pub fn actor_error(input: DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "an actor error is an enum: each variant has its code"));
    };
    let ident = &input.ident;
    let arms = data.variants.iter().map(|variant| arm(ident, variant)).collect::<Result<Vec<_>>>()?;
    let (generics, arguments, wheres) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::std::convert::From<#ident #arguments> for ::growqr_actor_sdk::Fail #wheres {
            #[allow(unused_variables)]
            fn from(error: #ident #arguments) -> Self {
                match error { #(#arms)* }
            }
        }
    })
}

fn arm(error: &Ident, variant: &Variant) -> Result<TokenStream> {
    let (mut code, mut message, mut group) = (None::<LitStr>, None::<LitStr>, None::<LitStr>);
    for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("fail")) {
        attribute.parse_nested_meta(|meta| {
            let slot = match () {
                () if meta.path.is_ident("code") => &mut code,
                () if meta.path.is_ident("message") => &mut message,
                () if meta.path.is_ident("group") => &mut group,
                () => return Err(meta.error("only code, message and group may stand here")),
            };
            *slot = Some(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    let ident = &variant.ident;
    let code = code.map_or_else(|| snake_case(&ident.to_string()), |code| code.value());
    let group = group.map_or_else(|| "user".to_owned(), |group| group.value());
    let message = match message {
        Some(message) if message.value().contains('{') => quote!(::std::format!(#message)),
        Some(message) => quote!(#message),
        None => quote!(#code),
    };
    let pattern = match &variant.fields {
        Fields::Unit => quote!(),
        Fields::Named(fields) => {
            let names = fields.named.iter().map(|field| &field.ident);
            quote!({ #(#names),* })
        }
        Fields::Unnamed(fields) => {
            let names = (0..fields.unnamed.len()).map(|index| format_ident!("_{index}"));
            quote!((#(#names),*))
        }
    };
    Ok(quote!(#error::#ident #pattern => ::growqr_actor_sdk::Fail::of(#group, #code, #message),))
}
