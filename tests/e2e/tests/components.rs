//! Bad components at start-up: the host starts, names what is wrong, and serves the others.

use growqr_e2e::{Deployment, Host, component, node_eval, staged};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The size of a component that is far too large.
const HUGE_BYTES: u64 = 100 << 20;

/// Broken files: the actor's name, what is in the file, the code that must be named, and a text that says what is wrong.
fn broken(folder: &Path) -> Vec<(&'static str, PathBuf, &'static str, &'static str)> {
    let good = std::fs::read(component("counter")).expect("the component can be read");
    let text = |text: &str| wat::parse_str(text).expect("the text is WebAssembly");
    let mut cases = Vec::new();
    let mut case = |name: &'static str, bytes: &[u8], code, says| {
        let path = folder.join(name).with_extension("wasm");
        std::fs::write(&path, bytes).expect("the file can be written");
        cases.push((name, path, code, says));
    };
    case("empty", b"", "component.not_a_component", "");
    case("prose", b"This is not WebAssembly.", "component.not_a_component", "");
    case(
        "core-module",
        &text("(module (func (export \"run\")))"),
        "component.not_a_component",
        "core WebAssembly module",
    );
    case("truncated", &good[..good.len() / 2], "component.invalid", "");
    case("one-bit-flipped", &flipped(&good), "component.", "");
    case("native", &native(), "component.precompiled", "");
    case("wrong-world", &text("(component)"), "component.export", "handlers");
    case(
        "missing-export",
        &text(r#"(component (instance $none) (export "growqr:actor/handlers@1.0.0" (instance $none)))"#),
        "component.export",
        "",
    );
    case(
        "wrong-version",
        &text(r#"(component (instance $none) (export "growqr:actor/handlers@9.0.0" (instance $none)))"#),
        "component.version",
        "9.0.0",
    );
    case(
        "wasi",
        &text(r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#),
        "component.import",
        "wasi:cli/environment",
    );
    let huge = folder.join("huge.wasm");
    std::fs::write(&huge, &good).expect("the file can be written");
    let file = std::fs::OpenOptions::new().write(true).open(&huge).expect("the file can be opened");
    file.set_len(HUGE_BYTES).expect("the file can grow");
    cases.push(("huge", huge, "component.too_large", ""));
    cases
}

/// A component whose header says that it is one, with a damaged inside.
fn flipped(good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[9] ^= 0x40;
    bytes
}

/// Native code as this host itself makes it, by the command that its compiler child runs: even that is refused as a component.
fn native() -> Vec<u8> {
    let output = Command::new(staged("GROWQR_BINARY", "growqr"))
        .args(["compile-component", "2000000000", "60"])
        .arg(component("counter"))
        .output()
        .expect("growqr can be started");
    assert!(output.status.success() && !output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn action(url: &str, actor: &str) -> String {
    node_eval(&format!(
        r#"import {{ createClient }} from "rivetkit/client";
        const client = createClient({{ endpoint: "{url}", devtools: false }});
        const say = (error) => `${{error.group}}.${{error.code}}: ${{error.message}}`;
        console.log(await client["{actor}"].getOrCreate(["x"]).increment(1).catch(say));
        process.exit();"#
    ))
}

#[test]
fn broken_components_are_named_and_the_others_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let broken = broken(folder.path());
    let mut deployment = Deployment::of(&["counter"]).file("absent", &folder.path().join("absent.wasm"));
    for (name, path, ..) in &broken {
        deployment = deployment.file(name, path);
    }
    let mut host = Host::start(&deployment);
    // Each broken component is an error in the log, and here it is meant to be.
    host.announce("component");
    host.wait_for_log(&["absent", "absent.wasm"]);
    for (name, _, code, says) in &broken {
        host.wait_for_log(&[name, code, says]);
    }
    assert_eq!(action(host.url(), "counter"), "1\n", "the good one runs");
    for (name, _, code, _) in &broken[2..5] {
        let answer = action(host.url(), name);
        assert!(answer.starts_with(code) && answer.len() > code.len() + 10, "{name}: {answer}");
    }
    assert!(host.stop().success());
}
