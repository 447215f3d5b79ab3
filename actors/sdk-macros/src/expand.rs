//! From the block's marked methods to the actor trait.

use crate::attributes::ActorAttributes;
use crate::method::{Method, Param};
use crate::names::lower_camel_case;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use std::collections::BTreeSet;
use syn::{Error, ImplItem, ItemImpl, Result, Type};

/// The block without its marks, and the actor trait for it.
pub fn actor(attributes: ActorAttributes, mut block: ItemImpl) -> Result<TokenStream> {
    if let Some((_, path, _)) = &block.trait_ {
        return Err(Error::new_spanned(path, "the actor attribute belongs on `impl Name { ... }`, without a trait"));
    }
    let mut methods = Vec::new();
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item
            && let Some(method) = Method::take(function)?
        {
            methods.push(method);
        }
    }
    refuse_doubles(&methods)?;

    let actor = &block.self_ty;
    let name = match &attributes.name {
        Some(name) => name.value(),
        None => lower_camel_case(&struct_name(actor)?),
    };
    let vars = attributes.vars.as_ref().map_or_else(|| quote!(()), |vars| quote!(#vars));
    let describe = describe(&attributes, &methods);
    let handlers = [
        actions(&methods),
        named("on_queue", &methods)?,
        named("on_timer", &methods)?,
        methods.iter().map(hook).collect::<Result<TokenStream>>()?,
    ];
    Ok(quote! {
        #block

        #[automatically_derived]
        impl ::growqr_actor_sdk::Actor for #actor {
            const NAME: &'static str = #name;
            type Vars = #vars;

            fn describe() -> ::growqr_actor_sdk::Description {
                #describe
            }

            #(#handlers)*
        }
    })
}

fn struct_name(ty: &Type) -> Result<String> {
    match ty {
        Type::Path(path) if !path.path.segments.is_empty() => {
            Ok(path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default())
        }
        _ => Err(Error::new_spanned(ty, "an actor is a struct with a name")),
    }
}

fn refuse_doubles(methods: &[Method]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for method in methods {
        let name = match method.kind {
            "action" | "on_timer" | "on_queue" if !method.any => method.name.as_str(),
            _ => "",
        };
        if !seen.insert((method.kind, name)) {
            let message = match name {
                "" => format!("#[{}] is here twice", method.kind),
                name => format!("#[{}] for \"{name}\" is here twice", method.kind),
            };
            return Err(Error::new(method.ident.span(), message));
        }
    }
    Ok(())
}

fn describe(attributes: &ActorAttributes, methods: &[Method]) -> TokenStream {
    let actions = methods.iter().filter(|method| method.kind == "action").map(|method| {
        let Method { name, read_only, .. } = method;
        quote!(::growqr_actor_sdk::ActionInfo { name: #name.into(), read_only: #read_only })
    });
    // The check is always there: the SDK itself sees in it whether the stored state fits this version.
    let hooks = methods.iter().filter_map(|method| flag(method.kind)).fold(quote!(HOOKS::CHECK), |all, flag| {
        let flag = format_ident!("{flag}");
        quote!(#all | HOOKS::#flag)
    });
    let events = &attributes.events;
    let declared = attributes.queues.iter().map(|queue| queue.value());
    let handled = methods.iter().filter(|method| method.kind == "on_queue" && !method.any);
    let queues: BTreeSet<String> = declared.chain(handled.map(|method| method.name.clone())).collect();
    let queues = queues.iter();
    let requires = &attributes.requires;
    let options = &attributes.options;
    let version = attributes.state_version.as_ref().map_or_else(|| quote!(1), |version| quote!(#version));
    let from = attributes.migrates_from.as_ref().map_or_else(|| version.clone(), |from| quote!(#from));
    let back_to = attributes.migrates_back_to.as_ref().map_or_else(|| version.clone(), |back_to| quote!(#back_to));
    quote! {
        type HOOKS = ::growqr_actor_sdk::Hooks;
        ::growqr_actor_sdk::Description {
            actions: ::std::vec![#(#actions),*],
            events: ::std::vec![#((#events).into()),*],
            queues: ::std::vec![#(#queues.into()),*],
            hooks: #hooks,
            state_version: #version,
            migrates_from: #from,
            migrates_back_to: #back_to,
            requires: ::std::vec![#(#requires.into()),*],
            options: #options.into(),
        }
    }
}

/// The flag by which a hook is declared. Actions, queues, timers and migrations need none.
fn flag(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "on_create" => "CREATE",
        "on_wake" => "WAKE",
        "on_before_connect" => "BEFORE_CONNECT",
        "on_connect" => "CONNECT",
        "on_disconnect" => "DISCONNECT",
        "on_subscribe" => "SUBSCRIBE",
        "on_request" => "REQUEST",
        "on_socket" => "SOCKET",
        "on_message" => "MESSAGE",
        "on_sandbox_event" => "SANDBOX_EVENT",
        "on_effect_result" => "EFFECT_RESULT",
        "on_sleep" => "SLEEP",
        "on_destroy" => "DESTROY",
        _ => return None,
    })
}

fn actions(methods: &[Method]) -> TokenStream {
    let arms = methods.iter().filter(|method| method.kind == "action").map(|method| {
        let name = &method.name;
        let variables: Vec<_> = (0..method.params.len()).map(Param::variable).collect();
        let takes = variables
            .iter()
            .zip(&method.params)
            .map(|(variable, Param { name, owned, .. })| quote!(let #variable = args.take::<#owned>(#name)?;));
        let parse = (!variables.is_empty()).then(|| quote!(let mut args = ::growqr_actor_sdk::Args::parse(args)?;));
        let values: Vec<_> = variables.iter().map(|variable| quote!(#variable)).collect();
        let call = method.call(&values);
        quote!(#name => { #parse #(#takes)* ::growqr_actor_sdk::IntoReply::into_reply(#call) })
    });
    quote! {
        fn action(
            &mut self,
            ctx: &mut ::growqr_actor_sdk::Ctx<Self::Vars>,
            name: &str,
            args: &str,
        ) -> ::growqr_actor_sdk::Result<::growqr_actor_sdk::Outcome> {
            let _ = (&ctx, args);
            match name {
                #(#arms)*
                _ => ::std::result::Result::Err(::growqr_actor_sdk::Fail::unknown_action(name)),
            }
        }
    }
}

/// The handlers that a name tells apart.
fn named(kind: &str, methods: &[Method]) -> Result<TokenStream> {
    let methods: Vec<&Method> = methods.iter().filter(|method| method.kind == kind).collect();
    if methods.is_empty() {
        return Ok(TokenStream::new());
    }
    let is_queue = kind == "on_queue";
    let mut arms = TokenStream::new();
    let mut rest = match is_queue {
        true => quote!(_ => ::growqr_actor_sdk::IntoReply::into_reply(())),
        false => quote!(_ => ::growqr_actor_sdk::unknown_timer(&message.name)),
    };
    for method in methods {
        let values = match is_queue {
            true => method.carried("QueueMessage", quote!(message), quote!(&message.body))?,
            false => method.carried("TimerEvent", quote!(message), quote!(&message.payload))?,
        };
        let call = method.call(&values);
        let call = match is_queue {
            true => quote!(::growqr_actor_sdk::IntoReply::into_reply(#call)),
            false => quote!({ #call; ::std::result::Result::Ok(()) }),
        };
        let name = &method.name;
        match method.any {
            true => rest = quote!(_ => #call),
            false => arms.extend(quote!(#name => #call,)),
        }
    }
    let (function, message, field, output) = match is_queue {
        true => (quote!(queue_message), quote!(QueueMessage), quote!(queue), quote!(::growqr_actor_sdk::Outcome)),
        false => (quote!(timer), quote!(TimerEvent), quote!(name), quote!(())),
    };
    Ok(quote! {
        fn #function(
            &mut self,
            ctx: &mut ::growqr_actor_sdk::Ctx<Self::Vars>,
            message: ::growqr_actor_sdk::#message,
        ) -> ::growqr_actor_sdk::Result<#output> {
            let _ = &ctx;
            match message.#field.as_str() { #arms #rest }
        }
    })
}

/// A handler of which there is one.
fn hook(method: &Method) -> Result<TokenStream> {
    let sdk = quote!(::growqr_actor_sdk);
    // The trait's method, what it is given, what the method's parameter gets, and the trait method's result.
    let (function, given, values) = match method.kind {
        "action" | "on_queue" | "on_timer" => return Ok(TokenStream::new()),
        "migrate" => return migrate(method),
        "on_create" => {
            let text = quote!(input.as_deref().unwrap_or("null"));
            let values = method.carried("", quote!(), text)?;
            (quote!(create), quote!(input: ::std::option::Option<::std::string::String>), values)
        }
        "on_wake" => (quote!(wake), quote!(reason: #sdk::WakeReason), vec![quote!(reason)]),
        "on_before_connect" => {
            (quote!(before_connect), quote!(request: #sdk::ConnectionRequest), vec![quote!(request)])
        }
        "on_connect" => (quote!(connect), quote!(connection: #sdk::Connection), vec![quote!(connection)]),
        "on_disconnect" => (quote!(disconnect), quote!(connection: #sdk::Connection), vec![quote!(connection)]),
        "on_subscribe" => (quote!(subscribe), quote!(event: ::std::string::String), vec![quote!(event)]),
        "on_request" => (quote!(request), quote!(request: #sdk::Request), vec![quote!(request)]),
        "on_socket" => (quote!(socket), quote!(event: #sdk::SocketEvent), vec![quote!(event)]),
        "on_message" => {
            let values = method.carried("ActorMessage", quote!(message), quote!(&message.payload))?;
            (quote!(message), quote!(message: #sdk::ActorMessage), values)
        }
        "on_sandbox_event" => (quote!(sandbox_event), quote!(event: #sdk::SandboxEvent), vec![quote!(event)]),
        "on_effect_result" => (quote!(effect_result), quote!(result: #sdk::EffectResult), vec![quote!(result)]),
        "check" => (quote!(check), quote!(), vec![]),
        "on_sleep" => (quote!(sleep), quote!(), vec![]),
        _ => (quote!(destroy), quote!(), vec![]),
    };
    method.takes_at_most(values.len().max(usize::from(method.kind == "on_create")))?;
    let call = method.call(&values);
    let (output, body) = match method.kind {
        "on_before_connect" => (quote!(#sdk::Outcome), quote!(#sdk::IntoReply::into_reply(#call))),
        "on_request" => {
            let response = quote!(::std::option::Option<#sdk::Response>);
            (response, quote!(::std::result::Result::Ok(#sdk::IntoResponse::into_response(#call))))
        }
        _ => (quote!(()), quote!({ #call; ::std::result::Result::Ok(()) })),
    };
    let unused = match method.params.is_empty() && !given.is_empty() {
        true => quote!(#[allow(unused_variables)]),
        false => quote!(),
    };
    Ok(quote! {
        #unused
        fn #function(&mut self, ctx: &mut #sdk::Ctx<Self::Vars>, #given) -> #sdk::Result<#output> {
            let _ = &ctx;
            #body
        }
    })
}

fn migrate(method: &Method) -> Result<TokenStream> {
    method.takes_at_most(3)?;
    let sdk = quote!(::growqr_actor_sdk);
    let Method { ident, .. } = method;
    let ctx = method.takes_ctx.then(|| quote!(ctx,));
    let question = method.fallible.then(|| quote!(?));
    let values = method.params.iter().enumerate().map(|(index, Param { name, owned, by_reference })| {
        let reference = by_reference.then(|| quote!(&));
        match index {
            0 => quote!(#reference #sdk::value::<#owned>(old, #name)?),
            1 => quote!(stored),
            _ => quote!(target),
        }
    });
    Ok(quote! {
        #[allow(unused_variables)]
        fn migrate(
            ctx: &mut #sdk::Ctx<Self::Vars>,
            old: &str,
            stored: u32,
            target: u32,
        ) -> #sdk::Result<::std::string::String> {
            #sdk::state_text(&Self::#ident(#ctx #(#values),*) #question)
        }
    })
}
