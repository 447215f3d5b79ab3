//! What is read, what is refused, and what is said about it.

use growqr_config::{Configuration, IdentityProvider, LogFormat, Problem, check, reference_page};
use std::collections::BTreeMap;
use std::path::Path;

const ACTORS: &str = r#""actors": {"a": {"component": "dist/a.wasm", "limits": {"timers": 3}}}"#;

/// The configuration of these fields beside one actor, and of these variables; or all that is wrong with it, as text.
fn read(fields: &str, variables: &[(&str, &str)]) -> Result<Configuration, String> {
    read_text(&format!("{{{ACTORS}{}{fields}}}", if fields.is_empty() { "" } else { ", " }), variables)
}

fn read_text(text: &str, variables: &[(&str, &str)]) -> Result<Configuration, String> {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let shown = |problems: Vec<Problem>| problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n");
    let configuration = Configuration::parse(text, Path::new("/deployment"), &variables).map_err(shown)?;
    let problems = check(&configuration);
    if problems.is_empty() { Ok(configuration) } else { Err(shown(problems)) }
}

fn check_refused(fields: &str, variables: &[(&str, &str)], words: &[&str]) {
    let error = read(fields, variables).expect_err(fields);
    for word in words {
        assert!(error.contains(word), "{fields} {variables:?}: {word:?} is not in {error:?}");
    }
}

#[test]
fn a_deployment_needs_nothing_but_actors() {
    let configuration = read("", &[]).unwrap();
    assert_eq!(configuration.actors["a"].component, Path::new("/deployment/dist/a.wasm"));
    assert_eq!(configuration.actors["a"].limits.timers, 3);
    assert_eq!(configuration.namespaces, ["default"]);
    assert_eq!(configuration.listen.to_string(), "127.0.0.1:6420");
    assert_eq!(configuration.data_dir, Path::new("data"));
    assert_eq!(configuration.identity().unwrap().provider, IdentityProvider::Development);
    assert!(configuration.database().unwrap().url.is_none());
    assert_eq!(configuration.log_format(), LogFormat::Text);
}

#[test]
fn paths_of_the_file_are_relative_to_it_and_those_of_variables_are_not() {
    let configuration = read(r#""dataDir": "state""#, &[]).unwrap();
    assert_eq!(configuration.data_dir, Path::new("/deployment/state"));
    let configuration = read(r#""dataDir": "state""#, &[("GROWQR_DATA_DIR", "elsewhere")]).unwrap();
    assert_eq!(configuration.data_dir, Path::new("elsewhere"));
}

#[test]
fn identity_and_database_can_be_switched_off() {
    let configuration = read(r#""identity": "off", "database": "off""#, &[("DATABASE_URL", "postgres://h/d")]).unwrap();
    assert!(configuration.identity().is_none() && configuration.database().is_none());
    let configuration = read("", &[("GROWQR_IDENTITY", "off"), ("GROWQR_DATABASE", "off")]).unwrap();
    assert!(configuration.identity().is_none() && configuration.database().is_none());
}

#[test]
fn the_environment_overrides_the_file() {
    let configuration = read(
        r#""identity": {"provider": "development", "refreshWithinSeconds": 5}, "database": "off", "logs": {"filter": "warn"}"#,
        &[
            ("GROWQR_IDENTITY_PROVIDER", "clerk"),
            ("GROWQR_IDENTITY_ISSUER", "https://clerk.example.com"),
            ("GROWQR_IDENTITY_JWKS_URL", "https://clerk.example.com/.well-known/jwks.json"),
            ("GROWQR_IDENTITY_AUTHORIZED_PARTIES", "https://a.example.com, https://b.example.com"),
            ("GROWQR_DATABASE_URL", "postgres://u:p@h/d"),
            ("GROWQR_DATABASE_CONNECTIONS_MAX", "7"),
            ("GROWQR_TRACES_SAMPLE_RATIO", "0.5"),
            ("GROWQR_LOG", "debug"),
            ("GROWQR_METRICS_LISTEN", "127.0.0.1:0"),
            ("GROWQR_DOUBLES", "true"),
            ("GROWQR_INSTANCES", ""),
            ("GROWQR_BINARY", "for the tests"),
        ],
    )
    .unwrap();
    let identity = configuration.identity().unwrap();
    assert_eq!(identity.provider, IdentityProvider::Clerk);
    assert_eq!((identity.refresh_within_seconds, identity.authorized_parties.len()), (5, 2));
    let database = configuration.database().unwrap();
    assert_eq!((database.url.unwrap().expose(), database.connections_max), ("postgres://u:p@h/d", 7));
    assert_eq!(configuration.traces.sample_ratio, 0.5);
    assert_eq!(configuration.logs.filter, "debug");
    assert!(configuration.doubles && configuration.instances.is_none() && configuration.metrics.listen.is_some());
}

#[test]
fn the_databases_own_variable_beats_the_common_one() {
    let common = [("DATABASE_URL", "postgres://common/d")];
    let configuration = read(r#""database": {"url": "postgres://file/d"}"#, &common).unwrap();
    assert_eq!(configuration.database().unwrap().url.unwrap().expose(), "postgres://common/d");
    let both = [common[0], ("GROWQR_DATABASE_URL", "postgres://own/d")];
    assert_eq!(read("", &both).unwrap().database().unwrap().url.unwrap().expose(), "postgres://own/d");
}

#[test]
fn what_is_unknown_is_refused_with_its_place_and_the_nearest_name() {
    check_refused(r#""colour": 1"#, &[], &["colour: there is no such field", "mode"]);
    check_refused(r#""identiti": "off""#, &[], &["identiti", "did you mean identity?"]);
    check_refused(r#""database": {"urll": "x"}"#, &[], &["database.urll", "did you mean url?"]);
    check_refused(r#""logs": {"formatt": "text"}"#, &[], &["logs.formatt", "did you mean format?"]);
    check_refused("", &[("GROWQR_DATABSE_URL", "x")], &["GROWQR_DATABSE_URL", "did you mean GROWQR_DATABASE_URL?"]);
    check_refused("", &[("GROWQR_ACTORS", "x")], &["GROWQR_ACTORS: there is no such variable"]);
    let error = read_text(r#"{"actors": {"a": {"component": "a.wasm", "limits": {"timer": 3}}}}"#, &[]).unwrap_err();
    assert!(error.contains("actors.a.limits.timer") && error.contains("did you mean timers?"), "{error}");
    let error = read_text(r#"{"actors": {"a": {}}}"#, &[]).unwrap_err();
    assert!(error.contains("actors.a") && error.contains("component"), "{error}");
}

#[test]
fn what_has_the_wrong_form_is_refused_with_its_place() {
    for (fields, words) in [
        (r#""mode": "test""#, ["mode", "unknown variant"]),
        (r#""listen": "6420""#, ["listen", "invalid"]),
        (r#""metrics": {"listen": 9000}"#, ["metrics.listen", "invalid type"]),
        (r#""mirror": {"batchRowsMax": -1}"#, ["mirror.batchRowsMax", "invalid value"]),
        (r#""database": true"#, ["database", "\"off\" or a section"]),
        (r#""identity": {"issuer": "x"}"#, ["identity", "missing field `provider`"]),
    ] {
        check_refused(fields, &[], &words);
    }
    for text in ["", "[]", "{", r#"{"actors": []}"#] {
        assert!(read_text(text, &[]).is_err(), "{text}");
    }
    check_refused("", &[("GROWQR_MIRROR_RETENTION_DAYS", "many")], &["GROWQR_MIRROR_RETENTION_DAYS", "number"]);
    check_refused("", &[("GROWQR_DATABASE", "on")], &["GROWQR_DATABASE", "\"off\""]);
    let contradiction = [("GROWQR_DATABASE", "off"), ("GROWQR_DATABASE_URL", "postgres://h/d")];
    check_refused("", &contradiction, &["GROWQR_DATABASE_URL", "no meaning while GROWQR_DATABASE"]);
}

#[test]
fn production_refuses_what_is_only_for_development() {
    for identity in [r#""identity": "off""#, r#""identity": {"provider": "development"}"#, r#""doubles": false"#] {
        check_refused(&format!(r#""mode": "production", {identity}"#), &[], &["identity", "refused in production"]);
        check_refused(&format!(r#""listen": "0.0.0.0:80", {identity}"#), &[], &["identity", "no loopback address"]);
    }
    check_refused(
        r#""mode": "production", "listen": "0.0.0.0:80", "identity": "off", "doubles": true, "inspectorToken": "token""#,
        &[],
        &["refused in production", "loopback", "doubles: ", "inspectorToken: "],
    );
    let clerk = r#"{"provider": "clerk", "issuer": "https://c.example", "pem": "x", "authorizedParties": ["https://a.example"]}"#;
    let sound = format!(r#""mode": "production", "listen": "0.0.0.0:80", "identity": {clerk}"#);
    assert_eq!(read(&sound, &[]).unwrap().log_format(), LogFormat::Json);
    for listen in ["[::1]:80", "127.0.0.9:80"] {
        read(&format!(r#""listen": "{listen}", "identity": "off""#), &[]).unwrap();
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    check_refused(
        r#""identity": {"provider": "clerk", "jwksUrl": "ftp://x", "pem": "y"}, "routes": {"/gateway": "b"}, "logs": {"filter": "a=b=c"},
           "database": {"url": "mysql://x", "connectionsMax": 0}, "traces": {"otlpEndpoint": "x", "sampleRatio": 2},
           "metrics": {"listen": "127.0.0.1:6420"}, "api": {"requestsBurst": 0}"#,
        &[],
        &[
            "identity.issuer: ",
            "identity: exactly one",
            "identity.jwksUrl: ",
            "identity.authorizedParties: ",
            "routes./gateway: this route",
            "routes./gateway: it leads to",
            "logs.filter: ",
            "database.url: ",
            "database.connectionsMax: ",
            "traces.otlpEndpoint: ",
            "traces.sampleRatio: ",
            "metrics.listen: ",
            "api.requestsBurst: ",
        ],
    );
    let error = read_text("{}", &[]).unwrap_err();
    assert!(error.contains("actors: there are none (hint: "), "{error}");
    let options = r#"{"actors": {"a": {"component": "a.wasm", "options": {"sleepTimout": 1}}}}"#;
    assert!(read_text(options, &[]).unwrap_err().contains("actors.a.options: unknown field `sleepTimout`"));
}

#[test]
fn no_secret_is_ever_shown() {
    let fields = r#""inspectorToken": "s3same", "database": {"url": "postgres://u:s3same@h/d"},
                    "traces": {"otlpHeaders": {"authorization": "s3same"}}"#;
    let configuration = read(fields, &[]).unwrap();
    for shown in [format!("{configuration:?}"), serde_json::to_string(&configuration).unwrap()] {
        assert!(shown.contains("[redacted]") && !shown.contains("s3same"), "{shown}");
    }
    for bad in [
        r#""inspectorToken": ["s3same"]"#,
        r#""database": "postgres://u:s3same@h/d""#,
        r#""database": {"url": "s3same"}"#,
        r#""database": {"url": {"s3same": 1}}"#,
    ] {
        let error = read(bad, &[]).unwrap_err();
        assert!(!error.contains("s3same"), "{error}");
    }
}

#[test]
fn the_reference_page_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(file).unwrap_or_default();
    assert!(page == reference_page(), "run `growqr config reference > docs/configuration.md`");
}

#[test]
fn every_field_is_described() {
    let page = reference_page();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        assert!(!line.ends_with("|  |"), "{line}");
    }
    for name in ["`GROWQR_DATABASE_URL`", "`GROWQR_DATA_DIR`", "`GROWQR_IDENTITY_PEM_FILE`", "`component` | required"] {
        assert!(page.contains(name), "{name} is not on the page");
    }
}
