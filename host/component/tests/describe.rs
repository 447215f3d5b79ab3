//! What a component says about its actors, and what becomes of one that says it badly.

#![allow(clippy::unwrap_used)]

mod support;

use growqr_component::{ActionInfo, CompilerCommand, Description, Hooks};
use growqr_types::codes;
use std::collections::BTreeMap;
use std::sync::Arc;
use support::*;

async fn describe(actor: &str, options: Option<&str>) -> Result<Description, growqr_types::Failure> {
    let compiler = CompilerCommand { program: env!("CARGO_BIN_EXE_growqr-test-compiler").into(), args: Vec::new() };
    let bench = bench(1, compiler);
    let component = bench.guest().await;
    let config = options.map(|options| ("options".to_owned(), options.to_owned())).into_iter();
    let described = component.describe(actor, Arc::new(config.collect::<BTreeMap<_, _>>())).await;
    // Whatever it said, the next one is served.
    component.describe("counter", Arc::default()).await.unwrap();
    described
}

#[tokio::test]
async fn a_description_is_given_whole() {
    let expected = Description {
        actions: vec![
            ActionInfo { name: "bump".into(), read_only: false },
            ActionInfo { name: "echo".into(), read_only: true },
        ],
        events: vec!["news".into()],
        queues: vec!["jobs".into()],
        hooks: Hooks { create: true, check: true, request: true, ..Hooks::default() },
        state_version: 2,
        migrates_from: 1,
        migrates_back_to: 2,
        requires: Vec::new(),
        options: "{}".into(),
    };
    assert_eq!(describe("counter", None).await.unwrap(), expected);
    let configured = Description { options: r#"{"sleepTimeout":1}"#.into(), ..expected };
    assert_eq!(describe("counter", Some(r#"{"sleepTimeout":1}"#)).await.unwrap(), configured);
}

async fn refused(actor: &str, said: &str) {
    let failure = describe(actor, None).await.unwrap_err();
    assert!(failure.is(&codes::COMPONENT_DESCRIBE), "{actor}: {failure:?}");
    assert!(failure.message.contains(said), "{actor}: {failure:?}");
}

#[tokio::test]
async fn a_bad_description_is_refused_with_its_reason() {
    refused("spins", "longer than 2 s").await;
    refused("panics", "panics_by_name").await;
    refused("reads-state", "only `log` and `config`").await;
    refused("twice", "\"echo\" is twice").await;
    refused("bad-options", "not a JSON object").await;
}
