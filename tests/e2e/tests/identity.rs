//! Identity with the official client: whose actors a token reaches, how sockets outlive tokens, and what start-up refuses.

use growqr_e2e::{Deployment, ENCODINGS, Host, Script, Surroundings, component, random, staged};
use growqr_identity::issuer::{Issuer, Wish};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

fn deployment(identity: Value) -> Deployment {
    Deployment::of(&["counter"]).setting("identity", identity)
}

fn growqr(arguments: &[&str]) -> Output {
    Command::new(staged("GROWQR_BINARY", "growqr")).args(arguments).output().expect("growqr can be started")
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn token_of(host: &Host, user: &str) -> String {
    let data_dir = host.data_dir();
    printed(&growqr(&["token", "--user", user, "--data-dir", data_dir.to_str().expect("a path in UTF-8")]))
}

fn issue(issuer: &Issuer, user: &str, age_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    let wish = Wish { user: user.to_owned(), session: None, lifetime_seconds: Some(600) };
    issuer.issue(&wish, now - age_ms).expect("a token").token
}

type Results = BTreeMap<&'static str, BTreeMap<String, Value>>;

/// What the official client saw, in every encoding.
static RESULTS: LazyLock<Results> = LazyLock::new(|| {
    // The most talkative log there is must not have a token in it.
    let deployment = deployment(json!({ "provider": "development" })).setting("logs", json!({ "filter": "trace" }));
    let host = Host::start(&deployment);
    let issuer = Issuer::open(&host.data_dir()).expect("the host's key");
    let stranger = Issuer::generate().expect("a key");
    let tokens = json!({
        "ada": token_of(&host, "ada"),
        "bob": token_of(&host, "bob"),
        "expired": issue(&issuer, "ada", 3_600_000),
        "forged": issue(&stranger, "ada", 0),
    });
    let run = format!("run{:x}", random());
    let running = ENCODINGS.map(|encoding| {
        let arguments = json!({ "url": host.url(), "encoding": encoding, "run": run, "tokens": tokens });
        (encoding, Script::start("identity", &arguments))
    });
    let results = running.into_iter().map(|(encoding, script)| {
        let lines = script
            .finish()
            .into_iter()
            .map(|mut line| (line["behaviour"].as_str().expect("a name").to_owned(), line["result"].take()));
        (encoding, lines.collect())
    });
    let results = results.collect();
    for entry in host.log() {
        for secret in tokens.as_object().expect("an object").values() {
            assert!(!entry.contains(secret.as_str().expect("a text")), "a token is in the log");
        }
    }
    results
});

fn check(behaviour: &str, expected: &Value) {
    for (encoding, results) in RESULTS.iter() {
        let result = results.get(behaviour).unwrap_or_else(|| panic!("{behaviour} was not tried in {encoding}"));
        assert_eq!(result, expected, "{behaviour} in {encoding}");
    }
}

macro_rules! behaviours {
    ($($name:ident => $expected:tt,)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name), &json!($expected));
            }
        )*
        const COMPARED: &[&str] = &[$(stringify!($name)),*];
    };
}

behaviours! {
    own_actor => 2,
    own_actor_on_a_connection => 1,
    another_users_key_is_refused => {"error": "auth.forbidden"},
    another_users_key_is_refused_on_a_connection => {"error": "auth.forbidden"},
    a_key_without_a_user_is_refused => {"error": "auth.forbidden"},
    no_token_is_refused => {"error": "auth.token_missing"},
    no_token_is_refused_on_a_connection => {"error": "auth.token_missing"},
    an_expired_token_is_refused => {"error": "auth.token_expired"},
    an_expired_token_is_refused_on_a_connection => {"error": "auth.token_expired"},
    a_token_of_somebody_elses_key_is_refused => {"error": "auth.token_invalid"},
    parameters_that_are_made_for_each_connection => [1, 2],
    an_id_of_another_user_is_not_found => {"error": "actor.not_found"},
    a_client_with_a_token_makes_finds_and_lists_own_actors => [true, true, true, 0],
    a_client_with_a_token_can_not_make_an_actor_of_another_user => {"error": "auth.forbidden"},
}

#[test]
fn every_behaviour_that_is_tried_is_compared() {
    for (encoding, results) in RESULTS.iter() {
        let missing: Vec<_> = results.keys().filter(|name| !COMPARED.contains(&name.as_str())).collect();
        assert!(missing.is_empty(), "nothing is expected of {missing:?} in {encoding}");
    }
}

#[test]
fn a_refreshed_socket_outlives_its_token_and_another_is_closed_with_a_code() {
    let host = Host::start(&deployment(json!({ "provider": "development", "refreshWithinSeconds": 1 })));
    let scripts =
        ENCODINGS.map(|encoding| Script::start("sessions", &json!({ "url": host.url(), "encoding": encoding })));
    let mut counts = Vec::new();
    for mut script in scripts {
        let mut kept = script.expect("kept");
        counts.push(kept["count"].take());
        let expected = json!({
            "left": [1008, "auth.session_expired"],
            "count": null,
            "changes": [],
            "refreshed": true,
            "wrong": {"error": "auth.session_mismatch"},
        });
        assert_eq!(kept, expected);
    }
    assert!(counts.iter().all(|count| (4..=6).contains(&count.as_u64().unwrap_or_default())), "{counts:?}");
}

#[test]
fn tokens_survive_a_restart_of_the_host() {
    let mut host = Host::start(&deployment(json!({ "provider": "development" })));
    let token = token_of(&host, "ada");
    let ask = |host: &Host| {
        let url = format!(
            "{}/gateway/counter/action/getCount?rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=ada",
            host.url()
        );
        let code = format!(
            "const r = await fetch({url:?}, {{method: 'POST', headers: {{authorization: 'Bearer {token}'}}, body: '{{\"args\":[]}}'}}); console.log(r.status)"
        );
        growqr_e2e::node_eval(&code).trim().to_owned()
    };
    assert_eq!(ask(&host), "200");
    assert!(host.stop().success());
    host.restart();
    assert_eq!(ask(&host), "200");
}

#[test]
fn production_refuses_identity_that_is_off_and_the_development_issuer() {
    for (identity, what) in [
        (json!("off"), "\"off\" is refused in production"),
        (json!({ "provider": "development" }), "the development issuer is refused in production"),
    ] {
        let deployment = deployment(identity).setting("mode", json!("production"));
        let log = Host::refused_in(&deployment, Surroundings::default());
        assert!(log.contains(what), "{log}");
    }
    let implied = Deployment::of(&["counter"]).without("identity").setting("mode", json!("production"));
    let log = Host::refused_in(&implied, Surroundings::default());
    assert!(log.contains("the development issuer is refused in production"), "{log}");
}

#[test]
fn a_token_is_not_printed_where_it_would_be_of_no_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rivet.json");
    let wasm = component("counter");
    for (identity, hint) in [
        (json!("off"), "identity is off"),
        (
            json!({"provider": "clerk", "issuer": "https://x.test", "jwksUrl": "https://x.test/k", "authorizedParties": ["a"]}),
            "come from Clerk",
        ),
    ] {
        let text = json!({ "actors": { "counter": { "component": wasm } }, "identity": identity }).to_string();
        std::fs::write(&file, text).expect("the file can be written");
        let output = growqr(&["token", "--user", "ada", "--config", file.to_str().expect("a path in UTF-8")]);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains(hint));
    }
    let data_dir = folder.path().join("data");
    for user in ["", "a b", "a,b", "ü"] {
        let output = growqr(&["token", "--user", user, "--data-dir", data_dir.to_str().expect("a path in UTF-8")]);
        assert!(!output.status.success(), "{user:?}");
    }
}

/// Answers every question with this key set; gives its address.
fn key_server(key_set: &Value) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/.well-known/jwks.json", listener.local_addr().expect("an address"));
    let body = key_set.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).expect("the host reads");
        }
    });
    url
}

#[test]
fn production_takes_the_tokens_of_the_configured_issuer_and_no_others() {
    const ISSUER: &str = "https://clerk.example.test";
    const PARTY: &str = "https://app.example.test";
    let signer = Issuer::generate().expect("a key");
    let key_set = signer.key_set();
    let identity = json!({
        "provider": "clerk", "issuer": ISSUER, "jwksUrl": key_server(&key_set), "authorizedParties": [PARTY],
    });
    let host = Host::start(&deployment(identity).setting("mode", json!("production")));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let sign = |changes: Value| {
        let head = json!({ "alg": "RS256", "typ": "JWT", "kid": key_set["keys"][0]["kid"], "cat": "cl_B7d4PD111AAA" });
        let mut claims = json!({
            "iss": ISSUER, "azp": PARTY, "sub": "user_ada", "sid": "sess_1", "iat": now, "nbf": now - 10, "exp": now + 60, "v": 2,
        });
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        signer.sign(&head, &claims).expect("a token")
    };
    let ask = |token: &str, path: &str| {
        let url = format!("{}{path}", host.url());
        let code = format!(
            "const r = await fetch({url:?}, {{method: 'POST', headers: {{authorization: 'Bearer {token}'}}, body: '{{\"args\":[]}}'}}); const b = await r.json(); console.log(r.status, b.code ?? b.output)"
        );
        growqr_e2e::node_eval(&code).trim().to_owned()
    };
    let own = "/gateway/counter/action/getCount?rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=user_ada";
    assert_eq!(ask(&sign(json!({})), own), "200 0");
    assert_eq!(ask(&sign(json!({ "sub": "user_bob" })), own), "403 forbidden");
    assert_eq!(ask(&sign(json!({ "azp": "https://evil.test" })), own), "401 token_invalid");
    assert_eq!(ask(&sign(json!({ "exp": now - 10 })), own), "401 token_expired");
    assert_eq!(ask(&sign(json!({ "sts": "pending" })), own), "401 token_invalid");
    // The development issuer's key in the data folder is worth nothing here, and nobody gives tokens away.
    let development = Issuer::open(&host.data_dir()).expect("a key");
    assert_eq!(ask(&issue(&development, "user_ada", 0), own), "401 token_invalid");
    assert_eq!(ask("none", "/development/token"), "404 not_found");
}

/// With the host's own Postgres: operators' tokens, the end of sessions, and users that are recorded once.
#[test]
fn an_operator_ends_sessions_with_a_token_that_can_be_revoked() {
    let database = json!({});
    let deployment =
        deployment(json!({ "provider": "development", "refreshWithinSeconds": 60 })).setting("database", database);
    let host = Host::start(&deployment);
    host.wait_for_log(&["the database is ready"]);
    let config = host.config_file();
    let data_dir = host.data_dir();
    let common = ["--config", config.to_str().expect("UTF-8"), "--data-dir", data_dir.to_str().expect("UTF-8")];
    let operator = |arguments: &[&str]| growqr(&[&["operator-token"], arguments, &common].concat());
    let create = |scope: &str| -> Value {
        let made = printed(&operator(&["create", "--name", "test", "--scope", scope, "--json"]));
        serde_json::from_str(&made).expect("JSON")
    };
    let (sessions, powerless) = (create("sessions"), create("deployments,operation"));
    let revoke = |token: &Value, whose: &[&str]| {
        let token = token["token"].as_str().expect("a token");
        growqr(&[&["session", "revoke", "--url", host.url(), "--token", token], whose].concat())
    };
    let mut script =
        Script::start("sessions", &json!({ "url": host.url(), "encoding": "bare", "revoked": true, "lasting": true }));
    script.expect("kept");
    let refused = revoke(&powerless, &["--user", "ada"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("auth.forbidden"), "{refused:?}");
    script.send("go");
    let closed = printed(&revoke(&sessions, &["--session", "kept"]));
    assert_eq!(closed, "closed 1 sockets");
    let statuses = script.expect("revoked");
    assert!(statuses.as_array().is_some_and(|all| all.iter().any(|status| status == "disconnected")), "{statuses}");

    let id = sessions["id"].as_str().expect("an id");
    printed(&operator(&["revoke", id]));
    assert!(!operator(&["revoke", id]).status.success(), "a token is revoked once");
    let listed: Value = serde_json::from_str(&printed(&operator(&["list", "--json"]))).expect("JSON");
    let of = |token: &Value| {
        listed.as_array().expect("a list").iter().find(|row| row["id"] == token["id"]).cloned().expect("the token")
    };
    assert!(of(&sessions)["revoked"].is_u64() && of(&powerless)["revoked"].is_null());
    assert_eq!(of(&powerless)["scopes"], json!(["deployments", "operation"]));
    let text = listed.to_string();
    assert!(!text.contains(sessions["token"].as_str().expect("a token")), "a list shows no token");
    // The host asks the database again after a while.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(40);
    while !String::from_utf8_lossy(&revoke(&sessions, &["--user", "ada"]).stderr).contains("auth.token_invalid") {
        assert!(std::time::Instant::now() < end, "the revoked token is still taken");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
