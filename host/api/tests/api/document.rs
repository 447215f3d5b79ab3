//! The document that describes the interface is the one in `docs`, and every route has a rule.

use growqr_identity::Scope;
use growqr_identity::access::Rule;
use std::path::Path;

#[test]
fn the_committed_document_is_what_the_code_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let mut made = serde_json::to_string_pretty(&growqr_api::document()).unwrap();
    made.push('\n');
    if std::env::var_os("GROWQR_UPDATE").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == made, "docs/openapi.json is not what the code says; GROWQR_UPDATE=1 writes it anew");
}

#[test]
fn every_described_operation_has_a_rule_and_no_other() {
    let document = serde_json::to_value(growqr_api::document()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut described = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"].iter().filter(|method| item.get(**method).is_some()) {
            described.push((method.to_uppercase(), path.clone()));
        }
    }
    let mut ruled: Vec<(String, String)> =
        growqr_api::rules().iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    described.sort();
    ruled.sort();
    assert_eq!(described, ruled);
    assert_eq!(described.len(), 13);
}

#[test]
fn only_the_document_is_public_and_nothing_of_a_user_is_open_to_other_operators() {
    for route in growqr_api::rules() {
        let expected = match route.path {
            "/api/openapi.json" => Rule::Public,
            path if path.starts_with("/api/actors/") => Rule::Owner(Scope::Actors),
            path if path.contains("{id}") => Rule::Owner(Scope::Users),
            _ => Rule::SignedIn,
        };
        assert_eq!(route.rule, expected, "{route:?}");
    }
}

#[test]
fn every_operation_says_how_it_fails_and_that_it_needs_a_token() {
    let document = serde_json::to_value(growqr_api::document()).unwrap();
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(response["description"].is_string(), "{method} {path} {status}");
            }
            let failure = &operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(failure, "#/components/schemas/Error", "{method} {path}");
            assert_eq!(operation.get("security").is_some(), path != "/api/openapi.json", "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path}");
        }
    }
    assert!(document["components"]["schemas"]["Error"]["properties"]["code"].is_object());
}
