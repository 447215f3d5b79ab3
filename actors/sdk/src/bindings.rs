//! The contract as `wit-bindgen` writes it. Actors that need something the SDK does not wrap may use it directly.

// Generated code: it is the contract's documentation that counts, and the calls over the component boundary need `unsafe`.
#![allow(missing_docs, unsafe_code, unused_qualifications, clippy::all)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "agent",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "growqr_actor_sdk::bindings",
});
