//! The issuer's keys: a key server that is there, away, slow, wrong, and one that changes its keys.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use growqr_identity::issuer::{ISSUER, Issuer, PARTY, Wish};
use growqr_identity::keys::{FRESH_MS, HttpKeys, Keys, REFETCH_INTERVAL_MS, STALE_MAX_MS};
use growqr_identity::{Verifier, VerifierSettings};
use growqr_types::{Code, codes};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

const NOW_MS: u64 = 1_800_000_000_000;

/// What the server does with a question.
#[derive(Clone)]
enum Answer {
    Keys(Value),
    Raw(&'static str),
    /// Says nothing until it is released.
    Slow(Value),
    HangUp,
}

struct Server {
    url: String,
    answer: Mutex<Answer>,
    asked: AtomicUsize,
    release: Notify,
}

impl Server {
    async fn start(answer: Answer) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/.well-known/jwks.json", listener.local_addr().unwrap());
        let server =
            Arc::new(Self { url, answer: Mutex::new(answer), asked: AtomicUsize::new(0), release: Notify::new() });
        let serving = server.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let serving = serving.clone();
                tokio::spawn(async move {
                    let mut head = vec![0; 4096];
                    let len = stream.read(&mut head).await.unwrap();
                    assert!(head[..len].starts_with(b"GET /.well-known/jwks.json HTTP/1.1\r\n"));
                    serving.asked.fetch_add(1, Ordering::SeqCst);
                    let answer = serving.answer.lock().unwrap().clone();
                    let keys = match answer {
                        Answer::HangUp => return,
                        Answer::Raw(text) => return stream.write_all(text.as_bytes()).await.unwrap(),
                        Answer::Keys(keys) => keys,
                        Answer::Slow(keys) => {
                            serving.release.notified().await;
                            keys
                        }
                    };
                    let body = keys.to_string();
                    let head =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                    // A host that has waited long enough has gone.
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                });
            }
        });
        server
    }

    fn verifier(&self) -> Arc<Verifier> {
        let settings = VerifierSettings { issuer: ISSUER.into(), authorized_parties: vec![PARTY.into()] };
        Arc::new(Verifier::new(settings, Keys::fetched(Arc::new(HttpKeys::new(&self.url).unwrap()))))
    }

    fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until it was asked so often.
    async fn until_asked(&self, count: usize) {
        let asking = async {
            while self.asked() < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asking).await.expect("the server is asked");
    }
}

fn token(issuer: &Issuer, at_ms: u64) -> String {
    let wish = Wish { user: "ada".into(), session: None, lifetime_seconds: Some(60) };
    issuer.issue(&wish, at_ms).unwrap().token
}

async fn check(verifier: &Verifier, issuer: &Issuer, at_ms: u64, expected: Result<(), Code>) {
    let result = verifier.verify(&token(issuer, at_ms), at_ms).await;
    match (&result, &expected) {
        (Ok(session), Ok(())) => assert_eq!(&*session.user, "ada"),
        (Err(failure), Err(code)) => assert!(failure.is(code), "{failure} and not {code:?}"),
        _ => panic!("{result:?} and not {expected:?}"),
    }
}

fn both(first: &Issuer, second: &Issuer) -> Value {
    json!({"keys": [first.key_set()["keys"][0], second.key_set()["keys"][0], {"kty": "EC", "kid": "other"}]})
}

#[tokio::test]
async fn keys_are_fetched_once_and_kept() {
    let issuer = Issuer::generate().unwrap();
    let server = Server::start(Answer::Keys(issuer.key_set())).await;
    let verifier = server.verifier();
    for _ in 0..100 {
        check(&verifier, &issuer, NOW_MS, Ok(())).await;
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_thousand_first_tokens_at_once_ask_once() {
    let issuer = Issuer::generate().unwrap();
    let server = Server::start(Answer::Slow(issuer.key_set())).await;
    let verifier = server.verifier();
    let token = token(&issuer, NOW_MS);
    let waiting: Vec<_> = (0..1000)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), token.clone());
            tokio::spawn(async move { verifier.verify(&token, NOW_MS).await.is_ok() })
        })
        .collect();
    server.until_asked(1).await;
    server.release.notify_one();
    for verified in waiting {
        assert!(verified.await.unwrap());
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_when_the_first_token_with_it_comes() {
    let (old, new) = (Issuer::generate().unwrap(), Issuer::generate().unwrap());
    let server = Server::start(Answer::Keys(old.key_set())).await;
    let verifier = server.verifier();
    check(&verifier, &old, NOW_MS, Ok(())).await;
    server.set(Answer::Keys(both(&old, &new)));
    let later = NOW_MS + REFETCH_INTERVAL_MS;
    check(&verifier, &new, later, Ok(())).await;
    check(&verifier, &old, later, Ok(())).await;
    assert_eq!(server.asked(), 2);
    // The old key is taken away.
    server.set(Answer::Keys(new.key_set()));
    let stranger = Issuer::generate().unwrap();
    check(&verifier, &stranger, later + REFETCH_INTERVAL_MS, Err(codes::TOKEN_INVALID)).await;
    check(&verifier, &old, later + REFETCH_INTERVAL_MS, Err(codes::TOKEN_INVALID)).await;
    check(&verifier, &new, later + REFETCH_INTERVAL_MS, Ok(())).await;
}

#[tokio::test]
async fn tokens_with_unknown_keys_ask_no_more_often_than_allowed() {
    let issuer = Issuer::generate().unwrap();
    let server = Server::start(Answer::Keys(issuer.key_set())).await;
    let verifier = server.verifier();
    check(&verifier, &issuer, NOW_MS, Ok(())).await;
    let stranger = Issuer::generate().unwrap();
    for step in 0..50 {
        check(&verifier, &stranger, NOW_MS + step, Err(codes::TOKEN_INVALID)).await;
    }
    assert_eq!(server.asked(), 1);
    check(&verifier, &stranger, NOW_MS + REFETCH_INTERVAL_MS, Err(codes::TOKEN_INVALID)).await;
    assert_eq!(server.asked(), 2);
    // A clock that was set back asks, too, and not for ever.
    check(&verifier, &stranger, NOW_MS - REFETCH_INTERVAL_MS, Err(codes::TOKEN_INVALID)).await;
    check(&verifier, &stranger, NOW_MS - REFETCH_INTERVAL_MS + 1, Err(codes::TOKEN_INVALID)).await;
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn a_key_server_that_is_away_changes_nothing_for_known_keys() {
    let issuer = Issuer::generate().unwrap();
    let server = Server::start(Answer::Keys(issuer.key_set())).await;
    let verifier = server.verifier();
    check(&verifier, &issuer, NOW_MS, Ok(())).await;
    for (number, away) in [
        Answer::HangUp,
        Answer::Raw("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
        Answer::Raw(
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        ),
        Answer::Raw("HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{\"keys\":[]}"),
        Answer::Raw("HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnope"),
    ]
    .into_iter()
    .enumerate()
    {
        server.set(away);
        let later = NOW_MS + (number as u64 + 1) * (FRESH_MS + 1);
        let asked = server.asked();
        check(&verifier, &issuer, later, Ok(())).await;
        server.until_asked(asked + 1).await;
    }
    check(&verifier, &issuer, NOW_MS + STALE_MAX_MS, Ok(())).await;
    check(&verifier, &issuer, NOW_MS + STALE_MAX_MS + 1, Err(codes::AUTH_UNAVAILABLE)).await;
}

#[tokio::test]
async fn a_slow_key_server_holds_up_nobody_whose_key_is_known() {
    let (issuer, new) = (Issuer::generate().unwrap(), Issuer::generate().unwrap());
    let server = Server::start(Answer::Keys(issuer.key_set())).await;
    let verifier = server.verifier();
    check(&verifier, &issuer, NOW_MS, Ok(())).await;
    server.set(Answer::Slow(both(&issuer, &new)));
    let later = NOW_MS + FRESH_MS + 1;
    for _ in 0..10 {
        // The server says nothing at all meanwhile: waiting for it would take for ever.
        check(&verifier, &issuer, later, Ok(())).await;
    }
    server.until_asked(2).await;
    // A token with the new key waits, and is served when the keys come.
    let waiting = {
        let (verifier, token) = (verifier.clone(), token(&new, later));
        tokio::spawn(async move { verifier.verify(&token, later).await })
    };
    server.release.notify_one();
    assert!(waiting.await.unwrap().is_ok());
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn without_keys_a_token_can_not_be_checked_and_is_not_called_wrong() {
    let issuer = Issuer::generate().unwrap();
    let server = Server::start(Answer::HangUp).await;
    let verifier = server.verifier();
    check(&verifier, &issuer, NOW_MS, Err(codes::AUTH_UNAVAILABLE)).await;
    server.set(Answer::Keys(issuer.key_set()));
    check(&verifier, &issuer, NOW_MS + REFETCH_INTERVAL_MS, Ok(())).await;
}

#[tokio::test]
async fn a_key_set_that_never_ends_is_given_up() {
    let issuer = Issuer::generate().unwrap();
    let endless = json!({"keys": [issuer.key_set()["keys"][0]], "padding": "x".repeat(300 << 10)});
    let server = Server::start(Answer::Keys(endless)).await;
    check(&server.verifier(), &issuer, NOW_MS, Err(codes::AUTH_UNAVAILABLE)).await;
}

#[test]
fn only_addresses_that_nobody_can_change_on_the_way_are_taken() {
    for good in
        ["https://clerk.test/.well-known/jwks.json", "http://127.0.0.1:9/", "http://localhost/", "http://[::1]:9/"]
    {
        assert!(HttpKeys::new(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "clerk.test",
        "http://clerk.test/",
        "http://127.0.0.1.clerk.test/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
    ] {
        assert!(HttpKeys::new(bad).is_err(), "{bad}");
    }
}
