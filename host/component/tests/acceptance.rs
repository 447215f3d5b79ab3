//! Which components are taken, and what an author is told of the others. Each bad one is followed by a good one in the same engine.

#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use growqr_component::{CompilerCommand, ComponentLimits, Engine, EngineOptions, Tier, inspect};
use growqr_types::{Code, codes};
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::*;

fn compiler() -> CompilerCommand {
    CompilerCommand { program: env!("CARGO_BIN_EXE_growqr-test-compiler").into(), args: Vec::new() }
}

fn component(text: &str) -> Bytes {
    wat::parse_str(format!("(component {text})")).unwrap().into()
}

/// An export of the right name and the wrong type.
const EMPTY_HANDLERS: &str = r#"(instance $i) (export "growqr:actor/handlers@1.0.0" (instance $i))"#;

fn with_module(module: &str) -> Bytes {
    component(&format!("(core module $m {module}) (core instance (instantiate $m)) {EMPTY_HANDLERS}"))
}

/// A module with so many functions, each of which has something to compile.
fn functions(count: usize) -> Bytes {
    with_module(&"(func (result i32) i32.const 1 i32.const 2 i32.add)".repeat(count))
}

fn nested_loops(depth: usize) -> Bytes {
    let open = "loop local.get 0 br_if 0 ".repeat(depth);
    with_module(&format!("(func (param i32) {open}{})", "end ".repeat(depth)))
}

async fn check(wasm: Bytes, limits: ComponentLimits, code: &Code, said: &str) {
    let bench = bench(2, compiler());
    let failure = bench.engine.load(wasm, &limits).await.unwrap_err();
    assert!(failure.is(code), "{said:?}: {failure:?}");
    assert!(failure.message.contains(said), "{said:?}: {failure:?}");
    let good = bench.guest().await;
    let (report, _instance) = call_once(&good, action("bump", "[]"), LONG).await;
    assert_eq!(reply(&report), "42", "{said:?}: the next component");
}

async fn refuse(text: &str, code: &Code, said: &str) {
    check(component(text), ComponentLimits::default(), code, said).await;
}

#[tokio::test]
async fn what_is_no_component_is_refused_by_name() {
    let limits = ComponentLimits::default;
    check(guest(), ComponentLimits { size_max: 1000, ..limits() }, &codes::COMPONENT_TOO_LARGE, "1000").await;
    check("hello".into(), limits(), &codes::COMPONENT_NOT_A_COMPONENT, "").await;
    check(Bytes::new(), limits(), &codes::COMPONENT_NOT_A_COMPONENT, "").await;
    check(build_guest().into(), limits(), &codes::COMPONENT_NOT_A_COMPONENT, "core WebAssembly module").await;
    let whole = guest();
    for bytes in [8 + 1, 100, whole.len() / 2, whole.len() - 1] {
        check(whole.slice(..bytes), limits(), &codes::COMPONENT_INVALID, "not valid").await;
    }
}

#[tokio::test]
async fn precompiled_code_is_refused() {
    let bench = bench(1, compiler());
    bench.guest().await;
    let native = std::fs::read(cached(bench.cache.path())).unwrap();
    check(native.into(), ComponentLimits::default(), &codes::COMPONENT_PRECOMPILED, "").await;
}

#[tokio::test]
async fn imports_and_exports_outside_the_contract_are_refused_by_name() {
    let wasi = r#"(import "wasi:cli/environment@0.2.3" (instance))"#;
    refuse(wasi, &codes::COMPONENT_IMPORT, "wasm32-unknown-unknown").await;
    refuse(r#"(import "growqr:actor/disk@1.0.0" (instance))"#, &codes::COMPONENT_IMPORT, "growqr:actor/disk").await;
    refuse(r#"(import "run" (func))"#, &codes::COMPONENT_IMPORT, "imports run").await;
    refuse(r#"(import "growqr:actor/state@2.0.0" (instance))"#, &codes::COMPONENT_VERSION, "2.0.0").await;
    refuse(r#"(import "growqr:actor/state@1.1.0" (instance))"#, &codes::COMPONENT_VERSION, "1.1.0").await;
    refuse(r#"(import "growqr:actor/state" (instance))"#, &codes::COMPONENT_VERSION, "1.0.0").await;
    let newer = r#"(instance $i) (export "growqr:actor/handlers@1.1.0" (instance $i))"#;
    refuse(newer, &codes::COMPONENT_VERSION, "1.1.0").await;
    refuse("", &codes::COMPONENT_EXPORT, "handlers").await;
}

#[tokio::test]
async fn types_that_do_not_match_are_refused_by_name() {
    refuse(EMPTY_HANDLERS, &codes::COMPONENT_EXPORT, "describe").await;
    let clock =
        |function: &str| format!(r#"(import "growqr:actor/clock@1.0.0" (instance {function})) {EMPTY_HANDLERS}"#);
    refuse(&clock(r#"(export "now" (func (result string)))"#), &codes::COMPONENT_IMPORT, "now").await;
    refuse(&clock(r#"(export "tomorrow" (func))"#), &codes::COMPONENT_IMPORT, "tomorrow").await;
}

#[tokio::test]
async fn a_structure_over_a_cap_is_refused_by_name() {
    let limits = ComponentLimits::default;
    let structure = &codes::COMPONENT_STRUCTURE;
    check(functions(50_001), limits(), structure, "functions: 50001").await;
    check(nested_loops(257), limits(), structure, "loops inside loops").await;
    let locals = format!("(func (local {}))", "i64 ".repeat(10_001));
    check(with_module(&locals), limits(), structure, "locals").await;
    let body = format!("(func {})", "i32.const 1 drop ".repeat(200_000));
    check(with_module(&body), limits(), structure, "bytes of one function").await;
    check(with_module("(table 200000 funcref)"), limits(), structure, "table elements").await;
    check(with_module("(memory 65536)"), limits(), structure, "slot").await;
    refuse(&format!("{} {EMPTY_HANDLERS}", "(core module)".repeat(65)), structure, "modules: 65").await;
    refuse(&format!("{} {EMPTY_HANDLERS}", "(component)".repeat(65)), structure, "components inside").await;
    refuse(&format!("{}{}", "(component ".repeat(9), ")".repeat(9)), structure, "components inside components").await;
    let memories = "(core module (memory 1))".repeat(5);
    refuse(&format!("{memories} {EMPTY_HANDLERS}"), structure, "5 memories").await;
}

#[tokio::test]
async fn features_beyond_the_contract_are_refused() {
    for module in ["(memory 1 1 shared)", "(memory i64 1)", "(tag)", "(type (struct))", "(memory 1) (memory 1)"] {
        check(with_module(module), ComponentLimits::default(), &codes::COMPONENT_INVALID, "not valid").await;
    }
}

#[tokio::test]
async fn a_compile_bomb_ends_in_the_child() {
    let open = ComponentLimits { functions_max: u32::MAX, loop_depth_max: usize::MAX, ..ComponentLimits::default() };
    // By memory: a quarter of what a component may use otherwise, to be quick about it.
    let memory = ComponentLimits { compile_memory_bytes_max: 192 << 20, ..open.clone() };
    check(functions(200_000), memory, &codes::COMPONENT_COMPILE, "memory").await;
    // By processor time.
    let time = ComponentLimits { compile_cpu_max: Duration::from_secs(1), compile_wall_factor: 60, ..open };
    check(nested_loops(5_000), time, &codes::COMPONENT_COMPILE, "time").await;
}

#[tokio::test]
async fn a_compiler_that_hangs_or_is_not_there_is_given_up() {
    let limits =
        ComponentLimits { compile_cpu_max: Duration::from_secs(1), compile_wall_factor: 1, ..Default::default() };
    for (program, code) in [("/bin/sleep", &codes::COMPONENT_COMPILE), ("/nowhere/compiler", &codes::INTERNAL)] {
        let bench = bench(1, CompilerCommand { program: program.into(), args: Vec::new() });
        let failure = bench.engine.load(guest(), &limits).await.unwrap_err();
        assert!(failure.is(code), "{program}: {failure:?}");
    }
}

/// The one file of native code in a cache directory.
fn cached(directory: &Path) -> PathBuf {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut native: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect();
    assert_eq!(native.len(), 1, "{native:?}");
    native.remove(0)
}

fn engine_on(cache: &Path, compiler: CompilerCommand) -> Engine {
    Engine::new(EngineOptions { slots: Some(1), runtime_slots: Some(1), cache_dir: cache.to_owned(), compiler })
        .unwrap()
}

#[tokio::test]
async fn a_damaged_cache_file_is_compiled_anew() {
    let bench = bench(1, compiler());
    bench.guest().await;
    let path = cached(bench.cache.path());
    let good = std::fs::read(&path).unwrap();
    let nobody = CompilerCommand { program: "/nowhere/compiler".into(), args: Vec::new() };

    // The cache serves a host that was started anew, without a compiler.
    let limits = ComponentLimits::default();
    engine_on(bench.cache.path(), nobody.clone()).load(guest(), &limits).await.unwrap();

    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for damaged in [flipped, good[..good.len() - 1].to_vec(), Vec::new()] {
        std::fs::write(&path, damaged).unwrap();
        // It is not trusted: without a compiler there is no component.
        let failure = engine_on(bench.cache.path(), nobody.clone()).load(guest(), &limits).await.unwrap_err();
        assert!(failure.is(&codes::INTERNAL), "{failure:?}");
        let component = engine_on(bench.cache.path(), compiler()).load(guest(), &limits).await.unwrap();
        let (report, _instance) = call_once(&component, action("bump", "[]"), LONG).await;
        assert_eq!(reply(&report), "42");
        assert_eq!(std::fs::read(&path).unwrap(), good);
    }
}

/// A section of a component: its id, its length, its content.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![id];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(0x80 | (length & 0x7f) as u8);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
    bytes
}

/// The guest with one more module that has a memory of its own.
fn guest_with_two_memories() -> Bytes {
    let guest = guest();
    let modules = u8::try_from(inspect(&guest).unwrap().modules).unwrap();
    let mut bytes = guest.to_vec();
    bytes.extend(section(1, &wat::parse_str("(module (memory 1))").unwrap()));
    // One core instance: instantiate that module, without arguments.
    bytes.extend(section(2, &[1, 0, modules, 0]));
    bytes.into()
}

#[tokio::test]
async fn a_component_that_needs_more_goes_to_the_runtime_tier() {
    let bench = bench(2, compiler());
    assert_eq!(bench.guest().await.tier(), Tier::Standard);
    let component = bench.engine.load(guest_with_two_memories(), &ComponentLimits::default()).await.unwrap();
    assert_eq!(component.tier(), Tier::Runtime);
    let (report, _instance) = call_once(&component, action("bump", "[]"), LONG).await;
    assert_eq!(reply(&report), "42");
}

#[test]
fn an_inspection_tells_what_a_component_is_without_running_it() {
    let inspection = inspect(&guest()).unwrap();
    assert_eq!(inspection.contract_version.as_deref(), Some("1.0.0"));
    assert!(inspection.imports.iter().any(|import| import.name == "growqr:actor/state"));
    assert!(inspection.exports.iter().any(|export| export.name == "growqr:actor/handlers"));
    assert!(inspection.producers.iter().any(|producer| producer.name == "wit-bindgen-rust"), "{inspection:?}");
    assert!(inspection.functions > 20 && inspection.problems.is_empty(), "{inspection:?}");
    assert_eq!((inspection.size, inspection.tier), (guest().len(), Some(Tier::Standard)));

    let other = inspect(&component(r#"(import "wasi:cli/environment@0.2.3" (instance))"#)).unwrap();
    let problems: Vec<_> = other.problems.iter().map(|problem| problem.code.as_ref()).collect();
    assert_eq!(problems, ["import", "export"]);
    assert!(inspect(b"hello").is_err());
}
