//! Requests over real TCP, and what the gateway answers.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use growqr_gateway::Shortcut;
use support::{Host, KNOWN};

/// Sends a request at the root and again below the prefix. Every part of `expected` must be in the answer's head or body.
async fn check(name: &str, head: &str, body: &str, status: u16, expected: &[&str]) {
    let known = KNOWN.to_string();
    for prefix in ["", "/api/rivet"] {
        let host = Host::with(|options| {
            options.shortcuts =
                vec![Shortcut { prefix: "/p".into(), namespace: "default".into(), actor: "echo".into() }];
        })
        .await;
        let head = head.replace("{known}", &known);
        let (method, rest) = head.split_once(' ').unwrap();
        let (target, headers) = rest.split_once('\n').unwrap_or((rest, ""));
        let mut request = format!("{method} {prefix}{target} HTTP/1.1\r\nhost: localhost:1\r\n");
        for line in headers.lines() {
            request.push_str(line.trim());
            request.push_str("\r\n");
        }
        request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let reply = host.ask(&request).await;
        assert_eq!(reply.status, status, "{name}: {reply:?}");
        for part in expected {
            let part = part.replace("{known}", &known);
            assert!(reply.head.contains(&part) || reply.body.contains(&part), "{name}: no {part:?} in {reply:?}");
        }
        assert_eq!(reply.header("x-rivet-ray-id").map(str::len), Some(30), "{name}");
        assert!(reply.header("access-control-allow-origin").is_some(), "{name}: {reply:?}");
    }
}

const CREATE: &str = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default";

#[tokio::test]
async fn an_actor_is_addressed_by_a_short_address() {
    let cases: &[(&str, &str, u16, &[&str])] = &[
        ("the_key_is_the_next_segment", "POST /p/ada", 200, &[r#""path":"/request""#, r#""key":"ada""#]),
        ("path_and_query_follow", "GET /p/ada/x/y?z=1", 200, &[r#""path":"/request/x/y?z=1""#]),
        ("the_key_is_percent_decoded", "GET /p/a%2Fb", 200, &[r#""key":"a\\/b""#]),
        ("a_key_is_needed", "GET /p/", 404, &["api.not_found"]),
        ("another_prefix_is_not_meant", "GET /pp/ada", 404, &["api.not_found"]),
        ("broken_percent_encoding_is_refused", "GET /p/%zz", 400, &["guard.query_invalid_percent_encoding"]),
    ];
    for (name, head, status, expected) in cases {
        check(name, head, "", *status, expected).await;
    }
}

#[tokio::test]
async fn an_actor_is_addressed_by_a_query() {
    let cases: &[(&str, String, u16, &[&str])] = &[
        (
            "get_or_create_makes_the_actor",
            format!("POST /gateway/echo/action/increment?{CREATE}&rvt-key=k%2Ca%2Fb%2Cc&rvt-crash-policy=sleep"),
            200,
            &[
                r#""path":"/action/increment""#,
                r#""key":"k/a\\/b/c""#,
                r"x-rivet-actor-key: k/a\/b/c",
                "x-rivet-actor-generation: 3",
            ],
        ),
        (
            "the_pool_may_be_called_pool",
            "POST /gateway/echo/action/a?rvt-namespace=default&rvt-method=getOrCreate&rvt-pool=any".into(),
            200,
            &[r#""key":"/""#, "x-rivet-actor-key: /"],
        ),
        (
            "other_parameters_are_kept_byte_for_byte",
            format!("GET /gateway/echo/request/foo/bar?x=%20+%zz&{CREATE}&y&&rvt-key=k"),
            200,
            &[r#""path":"/request/foo/bar?x=%20+%zz&y""#],
        ),
        (
            "a_plus_is_a_space_in_values",
            format!("POST /gateway/echo/action/a?{CREATE}&rvt-key=a+b%2B"),
            200,
            &[r#""key":"a b+""#],
        ),
        (
            "a_name_is_percent_decoded",
            format!("POST /gateway/e%63ho/action/a%2Fb?{CREATE}"),
            200,
            &[r#""actor":"echo""#, r#""path":"/action/a%2Fb""#],
        ),
        (
            "every_allowed_parameter_is_taken",
            format!(
                "POST /gateway/echo/action/a?{CREATE}&rvt-input=uQABYXoB&rvt-region=r&rvt-crash-policy=destroy&rvt-token=t&rvt-skip-ready-wait=true"
            ),
            200,
            &[r#""path":"/action/a""#],
        ),
        ("a_path_without_rest_is_the_root", format!("GET /gateway/echo?{CREATE}"), 200, &[r#""path":"/""#]),
        (
            "get_finds_an_actor",
            "POST /gateway/echo/action/a?rvt-namespace=default&rvt-method=get&rvt-key=known%2Ca/b".into(),
            200,
            &["x-rivet-actor: {known}"],
        ),
        (
            "get_of_a_missing_key_is_not_found",
            "POST /gateway/echo/action/a?rvt-namespace=default&rvt-method=get&rvt-key=missing".into(),
            404,
            &[
                "x-rivet-error: actor.not_found",
                r#"{"group":"actor","code":"not_found","message":"The actor does not exist or was destroyed."}"#,
            ],
        ),
        (
            "a_missing_namespace_is_refused",
            "POST /gateway/echo/action/a?rvt-method=get".into(),
            400,
            &["guard.query_invalid_params"],
        ),
        (
            "a_missing_method_is_refused",
            "POST /gateway/echo/action/a?rvt-namespace=default".into(),
            400,
            &["guard.query_invalid_params"],
        ),
        (
            "an_unknown_method_is_refused",
            "POST /gateway/echo/action/a?rvt-namespace=default&rvt-method=post".into(),
            400,
            &["guard.query_invalid_params"],
        ),
        (
            "an_unknown_parameter_is_refused",
            format!("POST /gateway/echo/action/a?{CREATE}&rvt-color=red"),
            400,
            &["guard.query_invalid_params"],
        ),
        (
            "a_parameter_twice_is_refused",
            format!("POST /gateway/echo/action/a?{CREATE}&rvt-key=a&rvt-key=a"),
            400,
            &["guard.query_duplicate_param"],
        ),
        (
            "an_unknown_crash_policy_is_refused",
            format!("POST /gateway/echo/action/a?{CREATE}&rvt-crash-policy=explode"),
            400,
            &["guard.query_invalid_params"],
        ),
        (
            "get_or_create_without_a_pool_is_refused",
            "POST /gateway/echo/action/a?rvt-namespace=default&rvt-method=getOrCreate".into(),
            400,
            &["guard.query_missing_pool"],
        ),
        (
            "get_with_creating_parameters_is_refused",
            "POST /gateway/echo/action/a?rvt-namespace=default&rvt-method=get&rvt-input=AA".into(),
            400,
            &["guard.query_get_disallowed_params"],
        ),
        (
            "a_token_in_the_name_is_refused",
            format!("POST /gateway/echo@secret/action/a?{CREATE}"),
            400,
            &["guard.query_path_token_syntax"],
        ),
        ("an_empty_name_is_refused", format!("POST /gateway/?{CREATE}"), 400, &["guard.query_empty_actor_name"]),
        (
            "broken_percent_encoding_is_refused",
            format!("POST /gateway/echo/action/a?{CREATE}&rvt-key=%f"),
            400,
            &["guard.query_invalid_percent_encoding"],
        ),
        (
            "a_name_that_is_not_utf_8_is_refused",
            format!("POST /gateway/%ff/action/a?{CREATE}"),
            400,
            &["guard.query_invalid_percent_encoding"],
        ),
        (
            "input_that_is_not_base64url_is_refused",
            format!("POST /gateway/echo/action/a?{CREATE}&rvt-input=%2B%2F"),
            400,
            &["guard.query_invalid_base64_input"],
        ),
        (
            "input_that_is_not_cbor_is_refused",
            format!("POST /gateway/echo/action/a?{CREATE}&rvt-input=_w"),
            400,
            &["guard.query_invalid_cbor_input"],
        ),
        (
            "input_over_its_limit_is_refused",
            format!("POST /gateway/echo/action/a?{CREATE}&rvt-input={}", "A".repeat(5464)),
            400,
            &["actor.input_too_large"],
        ),
        (
            "a_key_over_its_limit_is_refused",
            format!("POST /gateway/echo/action/a?{CREATE}&rvt-key={}", "k".repeat(1025)),
            400,
            &["actor.key_too_large"],
        ),
        (
            "an_unknown_namespace_is_refused",
            "POST /gateway/echo/action/a?rvt-namespace=nowhere&rvt-method=get".into(),
            400,
            &["x-rivet-error: namespace.not_found"],
        ),
        ("a_double_slash_never_matches", format!("POST /gateway/echo//action/a?{CREATE}"), 404, &["api.not_found"]),
        (
            "a_failure_of_the_backend_is_json_with_its_metadata",
            format!("POST /gateway/failing/action/a?{CREATE}"),
            500,
            &["x-rivet-error: actor.crashed", r#""metadata":{"because":"test"}"#, "content-type: application/json"],
        ),
    ];
    for (name, head, status, expected) in cases {
        check(name, head, "{}", *status, expected).await;
    }
}

#[tokio::test]
async fn an_actor_is_addressed_by_its_id() {
    let cases: &[(&str, &str, u16, &[&str])] = &[
        (
            "the_path_has_the_id",
            "POST /gateway/{known}/action/a?x=1",
            200,
            &[r#""path":"/action/a?x=1""#, "x-rivet-actor: {known}", r"x-rivet-actor-key: known/a\/b"],
        ),
        ("the_path_has_a_token_too", "POST /gateway/{known}@a%2Fb/action/a", 200, &[r#""path":"/action/a""#]),
        ("a_malformed_id_is_no_actor", "POST /gateway/counter/action/a", 404, &["x-rivet-error: actor.not_found"]),
        (
            "an_unknown_id_is_no_actor",
            "POST /gateway/aaaaaaaaaaaaaaaaaaaaaaaaaaaa00/action/a",
            404,
            &["x-rivet-error: actor.not_found"],
        ),
        ("an_id_with_broken_encoding_is_no_actor", "POST /gateway/%zz/action/a", 404, &["actor.not_found"]),
        ("a_double_slash_never_matches", "POST /gateway/{known}/request//a", 404, &["api.not_found"]),
        ("an_empty_token_never_matches", "POST /gateway/{known}@/action/a", 404, &["api.not_found"]),
        (
            "the_header_form_takes_raw_requests",
            "POST /request/a/b?q=1\nx-rivet-target: actor\nx-rivet-actor: {known}\nx-rivet-skip-ready-wait: 1",
            200,
            &[r#""path":"/request/a/b?q=1""#, r#""x-rivet-skip-ready-wait":"1""#],
        ),
        (
            "the_header_form_takes_no_actions",
            "POST /action/a\nx-rivet-target: actor\nx-rivet-actor: {known}",
            404,
            &["x-rivet-error: guard.no_route"],
        ),
        (
            "the_header_form_needs_the_actor",
            "POST /request/a\nx-rivet-target: actor",
            400,
            &["x-rivet-error: api.bad_request"],
        ),
        (
            "the_header_form_refuses_a_malformed_id",
            "POST /request/a\nx-rivet-target: actor\nx-rivet-actor: nope",
            404,
            &["x-rivet-error: actor.not_found"],
        ),
        (
            "the_path_form_wins_over_the_header_form",
            "POST /gateway/{known}/action/a\nx-rivet-target: actor\nx-rivet-actor: nope",
            200,
            &[r#""path":"/action/a""#],
        ),
    ];
    for (name, head, status, expected) in cases {
        check(name, head, "{}", *status, expected).await;
    }
}

#[tokio::test]
async fn the_rest_interface_answers() {
    let id = KNOWN.to_string();
    let many = vec![id.as_str(); 33].join(",");
    let too_many = format!("GET /actors?namespace=default&actor_ids={many}");
    let cases: &[(&str, &str, &str, u16, &[&str])] = &[
        ("metadata", "GET /metadata?namespace=default", "", 200, &[r#"{"runtime":"engine","version":"9.9.9"}"#]),
        ("health", "GET /health", "", 200, &[r#"{"runtime":"engine","status":"ok","version":"9.9.9"}"#]),
        (
            "datacenters",
            "GET /datacenters?namespace=default",
            "",
            200,
            &[r#""label":1,"name":"default","url":"http://localhost:1/""#],
        ),
        (
            "names",
            "GET /actors/names?namespace=default",
            "",
            200,
            &[r#"{"names":{"echo":{"metadata":{}},"slow":{"metadata":{}}},"pagination":{"cursor":null}}"#],
        ),
        ("namespaces_have_the_default", "GET /namespaces", "", 200, &[r#""name":"default""#]),
        (
            "a_namespace_is_made",
            "POST /namespaces",
            r#"{"name":"n","display_name":"N"}"#,
            200,
            &[r#""display_name":"N""#, r#""name":"n""#],
        ),
        (
            "a_namespace_with_unknown_fields_is_refused",
            "POST /namespaces",
            r#"{"name":"n","color":1}"#,
            400,
            &["api.bad_request"],
        ),
        (
            "create",
            "POST /actors?namespace=default",
            r#"{"name":"echo","runner_name_selector":"default","key":"k/x","input":"uQABYXoB","crash_policy":"sleep"}"#,
            200,
            &[
                r#""key":"k/x""#,
                r#""crash_policy":"sleep","create_ts":1000,"datacenter":"default","destroy_ts":null"#,
                r#""pending_allocation_ts":null"#,
                r#""reschedule_ts":null"#,
            ],
        ),
        (
            "create_with_a_taken_key",
            "POST /actors?namespace=default",
            r#"{"name":"echo","key":"known/a\\/b"}"#,
            400,
            &["actor.duplicate_key", r#""metadata":{"existing_actor_id":"{known}"}"#],
        ),
        (
            "create_with_an_empty_key",
            "POST /actors?namespace=default",
            r#"{"name":"echo","key":""}"#,
            400,
            &["actor.empty_key"],
        ),
        (
            "create_with_an_unknown_field",
            "POST /actors?namespace=default",
            r#"{"name":"echo","key":"k","color":"red"}"#,
            400,
            &["api.bad_request"],
        ),
        (
            "create_with_a_bad_input",
            "POST /actors?namespace=default",
            r#"{"name":"echo","key":"k","input":"_"}"#,
            400,
            &["validation.invalid_input"],
        ),
        (
            "create_with_a_bad_crash_policy",
            "POST /actors?namespace=default",
            r#"{"name":"echo","key":"k","crash_policy":"no"}"#,
            400,
            &["api.bad_request"],
        ),
        ("create_without_json", "POST /actors?namespace=default", "nonsense", 400, &["api.bad_request"]),
        (
            "get_or_create_makes",
            "PUT /actors?namespace=default",
            r#"{"name":"echo","key":"n","runner_name_selector":"default","crash_policy":"sleep"}"#,
            200,
            &[r#""created":true"#],
        ),
        (
            "get_or_create_finds",
            "PUT /actors?namespace=default",
            r#"{"name":"echo","key":"known/a\\/b"}"#,
            200,
            &[r#""created":false"#, "{known}"],
        ),
        (
            "get_or_create_needs_a_key",
            "PUT /actors?namespace=default",
            r#"{"name":"echo"}"#,
            400,
            &["validation.invalid_input"],
        ),
        (
            "list_by_key",
            "GET /actors?name=echo&key=known%2Fa%5C%2Fb&namespace=default",
            "",
            200,
            &[r#""actor_id":"{known}""#, r#""pagination":{"cursor":null}"#],
        ),
        (
            "list_by_a_missing_key",
            "GET /actors?name=echo&key=nope%2Fx&namespace=default",
            "",
            200,
            &[r#"{"actors":[],"pagination":{"cursor":null}}"#],
        ),
        ("list_by_name", "GET /actors?name=echo&namespace=default", "", 200, &["{known}"]),
        ("list_by_ids", "GET /actors?actor_ids={known},{known}&namespace=default", "", 200, &["{known}"]),
        (
            "list_by_repeated_id",
            "GET /actors?actor_id={known}&actor_id={known}&namespace=default",
            "",
            200,
            &["{known}"],
        ),
        (
            "list_by_unknown_id",
            "GET /actors?actor_ids=aaaaaaaaaaaaaaaaaaaaaaaaaaaa00&namespace=default",
            "",
            400,
            &["api.bad_request"],
        ),
        ("list_without_name", "GET /actors?namespace=default", "", 400, &["validation.invalid_input"]),
        ("list_with_key_without_name", "GET /actors?namespace=default&key=a", "", 400, &["validation.invalid_input"]),
        (
            "list_with_an_unknown_parameter",
            "GET /actors?namespace=default&name=echo&color=red",
            "",
            400,
            &["api.bad_request"],
        ),
        ("list_without_namespace", "GET /actors?name=echo", "", 400, &["api.bad_request"]),
        ("list_in_an_unknown_namespace", "GET /actors?name=echo&namespace=nowhere", "", 400, &["namespace.not_found"]),
        (
            "list_with_a_bad_limit",
            "GET /actors?name=echo&namespace=default&limit=0",
            "",
            400,
            &["validation.invalid_input"],
        ),
        ("list_with_too_many_ids", &too_many, "", 400, &["validation.invalid_input"]),
        ("destroy", "DELETE /actors/{known}?namespace=default", "", 200, &["{}"]),
        (
            "destroy_a_malformed_id",
            "DELETE /actors/nope?namespace=default",
            "",
            400,
            &["x-rivet-error: api.bad_request"],
        ),
        ("destroy_in_another_namespace", "DELETE /actors/{known}?namespace=other", "", 404, &["actor.not_found"]),
        ("sleep", "POST /actors/{known}/sleep?namespace=default", "{}", 200, &["{}"]),
        ("reschedule", "POST /actors/{known}/reschedule?namespace=default", "", 200, &["{}"]),
        (
            "sleep_with_fields",
            "POST /actors/{known}/sleep?namespace=default",
            r#"{"now":true}"#,
            400,
            &["api.bad_request"],
        ),
        ("a_wrong_method", "PATCH /actors?namespace=default", "", 405, &["actor.method_not_allowed"]),
        ("an_unknown_path", "GET /nothing/here", "", 404, &["x-rivet-error: api.not_found"]),
        ("the_root", "GET /", "", 404, &["api.not_found"]),
    ];
    for (name, head, body, status, expected) in cases {
        check(name, head, body, *status, expected).await;
    }
}

#[tokio::test]
async fn a_list_has_pages() {
    let host = Host::start().await;
    for key in ["a", "b", "c"] {
        let body = format!(r#"{{"name":"paged","key":"{key}"}}"#);
        let len = body.len();
        host.ask(&format!("POST /actors?namespace=default HTTP/1.1\r\nhost: h\r\ncontent-length: {len}\r\n\r\n{body}"))
            .await;
    }
    let first = host.ask("GET /actors?namespace=default&name=paged&limit=2 HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert!(first.body.ends_with(r#""pagination":{"cursor":"2"}}"#), "{first:?}");
    let last = host.ask("GET /actors?namespace=default&name=paged&limit=2&cursor=2 HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert!(last.body.contains(r#""key":"c""#) && last.body.ends_with(r#""cursor":null}}"#), "{last:?}");
}

#[tokio::test]
async fn cors_is_what_browsers_need() {
    let cases: &[(&str, &str, u16, &[&str])] = &[
        (
            "a_preflight_does_not_touch_the_actor",
            "OPTIONS /gateway/failing/action/a?rvt-method=broken\norigin: https://a.test\naccess-control-request-method: POST\naccess-control-request-headers: x-a, x-b",
            204,
            &[
                "access-control-allow-origin: https://a.test",
                "access-control-allow-credentials: true",
                "access-control-allow-methods: GET, POST, PUT, DELETE, OPTIONS, PATCH",
                "access-control-allow-headers: x-a, x-b",
                "access-control-max-age: 86400",
                "access-control-expose-headers: *",
                "vary: Origin",
            ],
        ),
        (
            "the_rest_interface_mirrors_the_method",
            "OPTIONS /actors\norigin: https://a.test\naccess-control-request-method: PUT",
            204,
            &["access-control-allow-methods: PUT", "access-control-allow-origin: https://a.test"],
        ),
        (
            "an_error_has_the_headers_too",
            "POST /gateway/nope/action/a\norigin: https://a.test",
            404,
            &["access-control-allow-origin: https://a.test", "access-control-allow-credentials: true", "vary: Origin"],
        ),
        ("without_origin_everybody_is_allowed", "GET /health", 200, &["access-control-allow-origin: *"]),
        (
            "plain_options_of_a_raw_path_reaches_the_actor",
            "OPTIONS /gateway/{known}/request/empty",
            204,
            &["x-rivet-actor: {known}"],
        ),
        (
            "an_actor_can_not_change_who_may_read",
            "GET /gateway/{known}/request/spoof\norigin: https://a.test",
            200,
            &["access-control-allow-origin: https://a.test", "x-rivet-actor: {known}", "vary: Accept", "vary: Origin"],
        ),
    ];
    for (name, head, status, expected) in cases {
        check(name, head, "", *status, expected).await;
    }
}

#[tokio::test]
async fn an_actors_answer_is_made_sendable() {
    let cases: &[(&str, &str, u16, &[&str])] = &[
        ("no_content_has_no_body", "GET /gateway/{known}/request/wordy-204", 204, &["x-rivet-actor: {known}"]),
        (
            "an_informational_status_is_no_answer",
            "GET /gateway/{known}/request/informational",
            502,
            &["guard.invalid_response_body"],
        ),
        (
            "switching_protocols_is_no_answer",
            "GET /gateway/{known}/request/switching",
            502,
            &["guard.invalid_response_body"],
        ),
        (
            "an_answer_over_the_limit_is_refused",
            "GET /gateway/{known}/request/huge",
            502,
            &["guard.invalid_response_body"],
        ),
        ("head_keeps_the_length", "HEAD /gateway/{known}/request/length", 200, &["content-length: 1234"]),
        ("head_of_an_echo_has_no_body", "HEAD /gateway/{known}/request/x", 200, &["content-type: application/json"]),
        ("any_method_is_carried", "PURGE /gateway/{known}/request/x", 200, &[r#""method":"PURGE""#]),
        (
            "headers_of_the_connection_are_dropped",
            "GET /gateway/{known}/request/hop",
            200,
            &["x-kept: yes", "content-length: 3", "hop"],
        ),
    ];
    for (name, head, status, expected) in cases {
        check(name, head, "", *status, expected).await;
    }
    let host = Host::start().await;
    let reply = host.ask(&format!("GET /gateway/{KNOWN}/request/hop HTTP/1.1\r\nhost: h\r\n\r\n")).await;
    for dropped in ["transfer-encoding", "x-mine", "keep-alive", "host", "upgrade", "connection"] {
        assert_eq!(reply.header(dropped), None, "{reply:?}");
    }
}

#[tokio::test]
async fn tokens_are_taken_out_and_the_rest_is_handed_on() {
    let host = Host::start().await;
    let reply = host
        .ask(&format!(
            "GET /gateway/{KNOWN}@secret1/request/x HTTP/1.1\r\nhost: h\r\nx-rivet-token: secret2\r\n\
             authorization: Bearer kept\r\nx-rivet-conn-params: {{}}\r\nx-rivet-ray-id: {}\r\n\r\n",
            "r".repeat(30)
        ))
        .await;
    assert!(!reply.body.contains("secret"), "{reply:?}");
    assert!(reply.body.contains(r#""authorization":"Bearer kept""#), "{reply:?}");
    assert!(reply.body.contains(r#""x-rivet-conn-params":"{}""#), "{reply:?}");
    assert_eq!(reply.header("x-rivet-ray-id"), Some("r".repeat(30).as_str()), "a client's ray id is kept");
}

#[tokio::test]
async fn input_of_the_query_arrives_as_bytes() {
    let host = Host::start().await;
    host.ask(&format!("GET /gateway/echo/request/x?{CREATE}&rvt-input=uQABYXoB HTTP/1.1\r\nhost: h\r\n\r\n")).await;
    let inputs = host.fake.0.inputs.lock().unwrap().clone();
    assert_eq!(inputs, [Some(bytes::Bytes::from_static(b"\xb9\x00\x01az\x01"))]);
}

#[tokio::test]
async fn routes_beside_the_gateway_are_somebody_elses() {
    let host = Host::start().await;
    let reply = host.ask("GET /api/threads HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!((reply.status, reply.header("x-rivet-error")), (404, Some("api.not_found")));
    let host = Host::with(|options| {
        options.extra = Some(std::sync::Arc::new(|request| {
            Box::pin(async move {
                let body = http_body_util::Full::new(request.uri().to_string().into());
                http::Response::new(http_body_util::Either::Left(body))
            })
        }));
    })
    .await;
    let reply = host.ask("GET /api/threads?x=1 HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "/api/threads?x=1"));
}
