//! The bindings that are generated from `wit/`. Only imports that may wait for I/O are asynchronous: the others then cost no future.

#![allow(missing_docs)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "agent",
    imports: {
        "growqr:actor/state.get": async | trappable,
        "growqr:actor/state.scan": async | trappable,
        "growqr:actor/memory.read": async | trappable,
        "growqr:actor/memory.list": async | trappable,
        "growqr:actor/memory.search": async | trappable,
        "growqr:actor/memory.history": async | trappable,
        "growqr:actor/sandbox.list-sessions": async | trappable,
        "growqr:actor/sandbox.skills": async | trappable,
        "growqr:actor/sandbox.status": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});
