//! Every way to an actor and every route of the REST interface, as every kind of caller.
//!
//! The routes come from the gateway's own table and the forms from its own list, so that a new one is walked without anybody thinking of
//! it: a route that does not do what its rule says fails here, and a form that this test can't build does not compile.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use growqr_gateway::Form;
use growqr_identity::access::{RouteRule, Rule};
use growqr_identity::issuer::{ISSUER, Issuer, PARTY, Wish};
use growqr_identity::operators::{self, MemoryOperators, OperatorStore};
use growqr_identity::{Identity, IdentityInput, Scope, Verifier};
use growqr_types::codes;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::{Client, Host, KNOWN, Reply};

const NOW: u64 = 1_800_000_000;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Nobody,
    Expired,
    Forged,
    Other,
    Owner,
    /// An operator with this scope.
    Operator(Scope),
}

const CALLERS: [Caller; 10] = [
    Caller::Nobody,
    Caller::Expired,
    Caller::Forged,
    Caller::Other,
    Caller::Owner,
    Caller::Operator(Scope::Actors),
    Caller::Operator(Scope::Users),
    Caller::Operator(Scope::Sessions),
    Caller::Operator(Scope::Deployments),
    Caller::Operator(Scope::Operation),
];

/// What a caller is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expected {
    /// Anything but a refusal.
    Passes,
    /// One of these codes.
    Refused(Vec<String>),
}

fn refused(codes: &[growqr_types::Code]) -> Expected {
    Expected::Refused(codes.iter().map(|code| format!("{}.{}", code.group, code.code)).collect())
}

fn expected(rule: Rule, caller: Caller) -> Expected {
    let unknown = match caller {
        Caller::Nobody => Some(codes::TOKEN_MISSING),
        Caller::Expired => Some(codes::TOKEN_EXPIRED),
        Caller::Forged => Some(codes::TOKEN_INVALID),
        Caller::Other | Caller::Owner | Caller::Operator(_) => None,
    };
    match (rule, unknown, caller) {
        (Rule::Public | Rule::Development, ..) => Expected::Passes,
        (_, Some(code), _) => refused(&[code]),
        (Rule::SignedIn, ..) | (Rule::Owner(_), _, Caller::Owner) => Expected::Passes,
        (Rule::Owner(needed) | Rule::Operator(needed), _, Caller::Operator(scope)) if needed == scope => {
            Expected::Passes
        }
        (Rule::Operator(_), ..) => refused(&[codes::FORBIDDEN]),
        // An actor that somebody may not reach is not even there, where it is named by its id.
        (Rule::Owner(_), ..) => refused(&[codes::FORBIDDEN, codes::ACTOR_NOT_FOUND]),
    }
}

struct Tokens {
    expired: String,
    forged: String,
    other: String,
    owner: String,
    operators: Vec<(Scope, String)>,
}

impl Tokens {
    fn of(&self, caller: Caller) -> Option<&str> {
        match caller {
            Caller::Nobody => None,
            Caller::Expired => Some(&self.expired),
            Caller::Forged => Some(&self.forged),
            Caller::Other => Some(&self.other),
            Caller::Owner => Some(&self.owner),
            Caller::Operator(scope) => {
                self.operators.iter().find(|(of, _)| *of == scope).map(|(_, token)| token.as_str())
            }
        }
    }
}

struct World {
    host: Host,
    identity: Arc<Identity>,
    tokens: Tokens,
    clock: Arc<AtomicU64>,
}

fn wish(user: &str, session: &str) -> Wish {
    Wish { user: user.into(), session: Some(session.into()), lifetime_seconds: Some(60) }
}

async fn world() -> World {
    let issuer = Issuer::generate().unwrap();
    let forged = Issuer::generate().unwrap().issue(&wish("known", "s"), NOW * 1000).unwrap().token;
    let issue = |user: &str, now: u64| issuer.issue(&wish(user, "s"), now * 1000).unwrap().token;
    let store = Arc::new(MemoryOperators::default());
    let mut operators = Vec::new();
    for scope in Scope::ALL {
        let made = operators::make("test", &[scope], None, NOW * 1000).unwrap();
        store.insert(made.hash, made.record).await.unwrap();
        operators.push((scope, made.token));
    }
    let tokens = Tokens {
        expired: issue("known", NOW - 1000),
        forged,
        other: issue("other", NOW),
        owner: issue("known", NOW),
        operators,
    };
    let clock = Arc::new(AtomicU64::new(NOW * 1000));
    let now = clock.clone();
    let identity = Identity::new(IdentityInput {
        verifier: Verifier::new(issuer.settings(&[]), issuer.keys()),
        issuer: Some(issuer),
        operators: Some(store),
        users: None,
        refresh_within: Duration::from_secs(30),
        clock: Arc::new(move || now.load(Ordering::Relaxed)),
    });
    let given = identity.clone();
    let host = Host::with(|options| {
        options.identity = Some(given);
        options.shortcuts =
            vec![growqr_gateway::Shortcut { prefix: "/p".into(), namespace: "default".into(), actor: "echo".into() }];
    })
    .await;
    World { host, identity, tokens, clock }
}

/// Where a token is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Authorization,
    Parameters,
    Protocol,
    ClientToken,
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn token_header(place: Place, token: Option<&str>, protocols: &[String]) -> String {
    let mut offered = protocols.to_vec();
    let mut head = String::new();
    let parameters = |token: &str| json!({"room": 1.50, "token": token}).to_string();
    match (place, token) {
        (_, None) => {}
        (Place::Authorization, Some(token)) => head = format!("authorization: Bearer {token}\r\n"),
        (Place::Parameters, Some(token)) => head = format!("x-rivet-conn-params: {}\r\n", parameters(token)),
        (Place::ClientToken, Some(token)) => head = format!("x-rivet-token: {token}\r\n"),
        (Place::Protocol, Some(token)) => offered.push(format!("rivet_conn_params.{}", encoded(&parameters(token)))),
    }
    if !offered.is_empty() {
        head.push_str(&format!("sec-websocket-protocol: {}\r\n", offered.join(", ")));
    }
    head
}

/// A request that names the known actor in a form, and reaches it at a path.
fn request(form: Form, path: &str, is_socket: bool, place: Place, token: Option<&str>) -> Option<String> {
    let method = if is_socket { "GET" } else { "POST" };
    let mut protocols = Vec::new();
    if is_socket {
        protocols.extend(["rivet".to_owned(), "rivet_encoding.json".to_owned()]);
    }
    let (target, headers) = match form {
        Form::Id => (format!("/gateway/{KNOWN}{path}"), String::new()),
        Form::Query => (
            format!(
                "/gateway/echo{path}?rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=known"
            ),
            String::new(),
        ),
        Form::Header => {
            if !is_socket && !path.starts_with("/request") {
                return None;
            }
            (path.to_owned(), format!("x-rivet-target: actor\r\nx-rivet-actor: {KNOWN}\r\n"))
        }
        Form::Protocol => {
            if !is_socket {
                return None;
            }
            protocols.extend(["rivet_target.actor".to_owned(), format!("rivet_actor.{KNOWN}")]);
            (path.to_owned(), String::new())
        }
        Form::Shortcut => {
            if path != "/request/x" && path != "/websocket/x" {
                return None;
            }
            ("/p/known/x".to_owned(), String::new())
        }
    };
    let upgrade = match is_socket {
        true => {
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
        false => "content-length: 2\r\n",
    };
    let token = token_header(place, token, &protocols);
    let body = if is_socket { "" } else { "{}" };
    Some(format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\nx-growqr-user: somebody\r\n{headers}{upgrade}{token}\r\n{body}"
    ))
}

fn told(reply: &Reply) -> Option<String> {
    let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let code = (body["group"].as_str(), body["code"].as_str());
    matches!(reply.status, 401 | 403 | 404).then(|| match code {
        (Some(group), Some(code)) => format!("{group}.{code}"),
        _ => format!("{}", reply.status),
    })
}

fn compare(case: &dyn std::fmt::Debug, told: Option<String>, expected: &Expected) {
    let is_right = match (&told, expected) {
        (None, Expected::Passes) => true,
        (Some(told), Expected::Refused(codes)) => codes.contains(told),
        _ => false,
    };
    assert!(is_right, "{case:?}: {told:?} and not {expected:?}");
}

/// The first frame of a socket: what it says, and whether it is the close.
async fn first_frame(client: &mut Client) -> (bool, String) {
    loop {
        let bytes = client.rest();
        if bytes.len() >= 2 && bytes.len() >= 2 + usize::from(bytes[1]) {
            let len = usize::from(bytes[1]);
            assert!(len < 126, "a short frame");
            let is_close = bytes[0] == 0x88;
            let payload = if is_close { &bytes[4..2 + len] } else { &bytes[2..2 + len] };
            return (is_close, String::from_utf8_lossy(payload).into_owned());
        }
        assert!(client.more().await, "the connection ended before a frame");
    }
}

#[tokio::test]
async fn every_http_form_asks_who_it_is_and_whether_it_may() {
    let world = world().await;
    let mut walked = 0;
    for form in Form::ALL {
        for path in
            ["/action/increment", "/queue/jobs", "/request/x", "/request", "/metadata", "/health", "/inspector/state"]
        {
            for place in [Place::Authorization, Place::Parameters, Place::Protocol, Place::ClientToken] {
                for caller in CALLERS {
                    let Some(request) = request(form, path, false, place, world.tokens.of(caller)) else { continue };
                    let before = world.host.fake.0.requests.lock().unwrap().len();
                    let reply = world.host.ask(&request).await;
                    let expected = expected(Rule::Owner(Scope::Actors), caller);
                    compare(&(form, path, place, caller), told(&reply), &expected);
                    let touched = world.host.fake.0.requests.lock().unwrap().len() - before;
                    assert_eq!(touched, usize::from(expected == Expected::Passes), "{form:?} {path} {caller:?}");
                    if expected == Expected::Passes {
                        check_what_the_actor_sees(&reply, &world.tokens, caller);
                    }
                    walked += 1;
                }
            }
        }
    }
    assert_eq!(world.host.fake.0.actors.lock().unwrap().len(), 2, "nobody made an actor that is not theirs");
    assert_eq!(walked, 4 * 10 * (7 + 7 + 2 + 1));
}

fn check_what_the_actor_sees(reply: &Reply, tokens: &Tokens, caller: Caller) {
    let seen: Value = serde_json::from_str(&reply.body).unwrap();
    let headers = seen["headers"].as_object().unwrap();
    let user = headers.get("x-growqr-user").and_then(Value::as_str);
    assert_eq!(user, (caller == Caller::Owner).then_some("known"), "{caller:?}");
    let token = tokens.of(caller).unwrap();
    assert!(!reply.body.contains(token) && !reply.body.contains(&encoded(token)), "{caller:?}: {}", reply.body);
    assert!(!headers.contains_key("authorization"));
    // What was beside the token is as it was.
    if let Some(parameters) = headers.get("x-rivet-conn-params") {
        assert_eq!(parameters, r#"{"room":1.5}"#);
    }
}

#[tokio::test]
async fn every_socket_form_asks_who_it_is_and_whether_it_may() {
    let world = world().await;
    let mut walked = 0;
    for form in Form::ALL {
        for path in ["/connect", "/websocket/x"] {
            for place in [Place::Authorization, Place::Parameters, Place::Protocol, Place::ClientToken] {
                for caller in CALLERS {
                    let Some(request) = request(form, path, true, place, world.tokens.of(caller)) else { continue };
                    let before = world.host.fake.0.outboxes.lock().unwrap().len();
                    let mut client = world.host.connect().await;
                    let reply = client.ask(request.as_bytes()).await;
                    assert_eq!(reply.status, 101, "{form:?} {path} {caller:?}");
                    // An echo tells that the socket is open.
                    client.send(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await;
                    let (is_close, text) = first_frame(&mut client).await;
                    let told = is_close.then(|| text.split('#').next().unwrap().to_owned());
                    let expected = expected(Rule::Owner(Scope::Actors), caller);
                    compare(&(form, path, place, caller), told, &expected);
                    let touched = world.host.fake.0.outboxes.lock().unwrap().len() - before;
                    assert_eq!(touched, usize::from(expected == Expected::Passes), "{form:?} {path} {caller:?}");
                    walked += 1;
                }
            }
        }
    }
    assert_eq!(walked, 4 * 10 * (2 + 2 + 2 + 2 + 1));
}

/// A request for a route of the table, about the known actor or user.
fn rest_request(route: &RouteRule, token: Option<&str>) -> String {
    let path = route.path.replace("{id}", &KNOWN.to_string());
    let (query, body) = match (route.method, route.path) {
        ("POST", "/actors") => {
            ("?namespace=default", json!({"name": "echo", "key": format!("known/{}", uuid::Uuid::new_v4())}))
        }
        ("PUT", "/actors") => ("?namespace=default", json!({"name": "echo", "key": "known/put"})),
        ("GET", "/actors") => ("?namespace=default&name=echo", Value::Null),
        (_, path) if path.starts_with("/actors") => ("?namespace=default", json!({})),
        (_, "/namespaces") => ("", json!({"name": "new"})),
        (_, "/development/token") => ("", json!({"user": "known"})),
        (_, "/sessions/revoke") => ("", json!({"session": "nobody's"})),
        _ => ("", Value::Null),
    };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let token = token_header(Place::Authorization, token, &[]);
    format!(
        "{} {path}{query} HTTP/1.1\r\nhost: localhost\r\n{token}content-length: {}\r\n\r\n{body}",
        route.method,
        body.len()
    )
}

#[tokio::test]
async fn every_rest_route_does_what_its_rule_says() {
    let world = world().await;
    for prefix in ["", "/api/rivet"] {
        // Destroying comes last, because it takes the actor away.
        let mut routes: Vec<RouteRule> = growqr_gateway::rules().collect();
        assert!(routes.len() > 10);
        routes.sort_by_key(|route| route.method == "DELETE");
        for route in routes {
            for caller in CALLERS {
                world.host.fake.0.actors.lock().unwrap().values_mut().for_each(|record| record.destroy_ts = None);
                let request = rest_request(&route, world.tokens.of(caller)).replacen(" /", &format!(" {prefix}/"), 1);
                let reply = world.host.ask(&request).await;
                let mut told = told(&reply);
                // A listing passes and is empty, unless the operator may list nothing at all.
                if route.path == "/actors"
                    && route.method == "GET"
                    && matches!(caller, Caller::Operator(scope) if scope != Scope::Actors)
                {
                    assert_eq!(told.take().as_deref(), Some("auth.forbidden"), "{caller:?}");
                }
                compare(&(route, caller), told, &expected(route.rule, caller));
                let destroyed =
                    world.host.fake.0.actors.lock().unwrap().values().any(|record| record.destroy_ts.is_some());
                let may = expected(route.rule, caller) == Expected::Passes;
                assert_eq!(destroyed, route.method == "DELETE" && may, "{route:?} {caller:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_listing_holds_only_what_is_the_callers_own() {
    let world = world().await;
    let list = async |query: &str, caller| {
        let route = format!("GET /actors?namespace=default&{query} HTTP/1.1\r\nhost: localhost\r\n");
        let token = token_header(Place::Authorization, world.tokens.of(caller), &[]);
        let reply = world.host.ask(&format!("{route}{token}\r\n")).await;
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        body["actors"].as_array().unwrap_or_else(|| panic!("{body}")).len()
    };
    for query in ["name=echo".to_owned(), format!("actor_ids={KNOWN}"), "name=echo&key=known%2Fa%5C%2Fb".to_owned()] {
        assert_eq!(list(&query, Caller::Owner).await, 1, "{query}");
        assert_eq!(list(&query, Caller::Other).await, 0, "{query}");
        assert_eq!(list(&query, Caller::Operator(Scope::Actors)).await, 1, "{query}");
    }
}

#[tokio::test]
async fn the_development_issuer_gives_tokens_that_its_key_set_verifies() {
    let world = world().await;
    let body = json!({"user": "known", "session": "mine", "lifetimeSeconds": 5}).to_string();
    let ask = |host: &str| {
        format!("POST /development/token HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let issued: Value = serde_json::from_str(&world.host.ask(&ask("localhost")).await.body).unwrap();
    assert_eq!(
        (&issued["user"], &issued["session"], &issued["expires"]),
        (&json!("known"), &json!("mine"), &json!(NOW + 5))
    );
    let token = issued["token"].as_str();
    let request = request(Form::Query, "/action/x", false, Place::Authorization, token).unwrap();
    assert_eq!(world.host.ask(&request).await.status, 200);
    let keys: Value = serde_json::from_str(
        &world.host.ask("GET /.well-known/jwks.json HTTP/1.1\r\nhost: localhost\r\n\r\n").await.body,
    )
    .unwrap();
    let kid = jsonwebtoken_kid(token.unwrap());
    assert_eq!((&keys["keys"][0]["kid"], &keys["keys"][0]["alg"]), (&json!(kid), &json!("RS256")));
    assert_eq!(told(&world.host.ask(&ask("evil.test")).await).as_deref(), Some("auth.forbidden"));
    assert_eq!((ISSUER, PARTY), ("growqr-development", "growqr-development"));
}

fn jsonwebtoken_kid(token: &str) -> String {
    use base64::Engine as _;
    let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let head: Value = serde_json::from_slice(&head).unwrap();
    head["kid"].as_str().unwrap().to_owned()
}

async fn open(world: &World) -> Client {
    let request = request(Form::Query, "/connect", true, Place::Protocol, Some(&world.tokens.owner)).unwrap();
    let mut client = world.host.connect().await;
    assert_eq!(client.ask(request.as_bytes()).await.status, 101);
    client.send(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await;
    assert_eq!(first_frame(&mut client).await, (false, "hi".into()));
    client.skip();
    client
}

#[tokio::test]
async fn a_socket_whose_session_is_not_refreshed_is_closed_with_a_code() {
    let world = world().await;
    let mut client = open(&world).await;
    world.clock.store((NOW + 90) * 1000, Ordering::Relaxed);
    assert_eq!(world.identity.sessions().sweep((NOW + 90) * 1000), 0);
    assert_eq!(world.identity.sessions().sweep((NOW + 90) * 1000 + 1), 1);
    assert_eq!(first_frame(&mut client).await, (true, "auth.session_expired".into()));
}

#[tokio::test]
async fn any_request_with_a_newer_token_keeps_the_sockets_of_its_session_open() {
    let world = world().await;
    let mut client = open(&world).await;
    world.clock.store((NOW + 50) * 1000, Ordering::Relaxed);
    let newer = world.identity.issue(&wish("known", "s")).unwrap().token;
    let request = request(Form::Query, "/action/x", false, Place::Authorization, Some(&newer)).unwrap();
    assert_eq!(world.host.ask(&request).await.status, 200);
    assert_eq!(world.identity.sessions().sweep((NOW + 140) * 1000), 0);
    assert_eq!(world.identity.sessions().sweep((NOW + 140) * 1000 + 1), 1);
    assert_eq!(first_frame(&mut client).await, (true, "auth.session_expired".into()));
}

#[tokio::test]
async fn the_gateway_itself_answers_the_action_that_refreshes_a_socket() {
    let world = world().await;
    let _client = open(&world).await;
    let socket = world.host.fake.0.outboxes.lock().unwrap().last().unwrap().clone();
    let refresh = async |args: String| socket.action("growqr.refreshToken", &args).unwrap().await;
    world.clock.store((NOW + 50) * 1000, Ordering::Relaxed);
    let newer = world.identity.issue(&wish("known", "s")).unwrap().token;
    let answer: Value = serde_json::from_str(&refresh(json!([newer]).to_string()).await.unwrap()).unwrap();
    assert_eq!(answer, json!({"expires": NOW + 110, "refreshBy": NOW + 140}));
    for (other, code) in [
        (world.identity.issue(&wish("other", "s")).unwrap().token, codes::SESSION_MISMATCH),
        (world.identity.issue(&wish("known", "t")).unwrap().token, codes::SESSION_MISMATCH),
        (world.tokens.forged.clone(), codes::TOKEN_INVALID),
        (world.tokens.expired.clone(), codes::TOKEN_EXPIRED),
    ] {
        assert!(refresh(json!([other]).to_string()).await.unwrap_err().is(&code), "{code:?}");
    }
    for wrong in ["[]", "[1]", "{}", "", "[\"a\",\"b\"]", "[null]"] {
        assert!(refresh(wrong.to_owned()).await.unwrap_err().is(&codes::INVALID_REQUEST), "{wrong}");
    }
    assert!(socket.action("growqr.other", "[]").is_none());
}

#[tokio::test]
async fn a_revoked_session_loses_its_sockets_and_gets_no_new_ones() {
    let world = world().await;
    let mut client = open(&world).await;
    let operator = world.tokens.of(Caller::Operator(Scope::Sessions)).unwrap();
    let body = json!({"session": "s"}).to_string();
    let revoke = format!(
        "POST /sessions/revoke HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {operator}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let reply = world.host.ask(&revoke).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"closed":1}"#));
    assert_eq!(first_frame(&mut client).await, (true, "auth.session_revoked".into()));
    let request = request(Form::Query, "/action/x", false, Place::Authorization, Some(&world.tokens.owner)).unwrap();
    assert_eq!(told(&world.host.ask(&request).await).as_deref(), Some("auth.session_revoked"));
    assert_eq!(world.host.fake.closes(1).await.len(), 1);
}

#[tokio::test]
async fn parameters_that_are_no_json_go_nowhere() {
    let world = world().await;
    let base = request(Form::Query, "/request/x", false, Place::Authorization, Some(&world.tokens.owner)).unwrap();
    let bad = base.replace("\r\n\r\n", "\r\nx-rivet-conn-params: {\"token\": \"secret\r\n\r\n");
    let reply = world.host.ask(&bad).await;
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert!(!reply.body.contains("secret"));
}
