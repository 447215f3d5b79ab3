//! Users that are recorded once, and operators' tokens, while the store is there, away, slow, and there again.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use futures::future::BoxFuture;
use growqr_identity::credentials::Token;
use growqr_identity::issuer::{Issuer, Wish};
use growqr_identity::operators::{
    self, FRESH_MS, Hash, MemoryOperators, OperatorRecord, OperatorStore, Operators, STALE_MAX_MS,
};
use growqr_identity::users::{QUEUE_MAX, SEEN_AGAIN_MS, Seen, UserSink, Users};
use growqr_identity::{Identity, IdentityInput, Principal, Scope, StoreError, Verifier};
use growqr_types::{Code, codes};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const NOW_MS: u64 = 1_800_000_000_000;

struct Sink {
    is_away: AtomicBool,
    recorded: Mutex<HashMap<String, usize>>,
    attempts: watch::Sender<usize>,
}

impl Sink {
    fn new(is_away: bool) -> Arc<Self> {
        Arc::new(Self { is_away: is_away.into(), recorded: Mutex::default(), attempts: watch::Sender::default() })
    }

    async fn until_attempts(&self, count: usize) {
        let mut attempts = self.attempts.subscribe();
        let waiting = attempts.wait_for(|attempts| *attempts >= count);
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("attempts").unwrap();
    }

    fn total(&self) -> usize {
        self.recorded.lock().unwrap().values().sum()
    }
}

impl UserSink for Sink {
    fn record<'a>(&'a self, users: &'a [Seen]) -> BoxFuture<'a, Result<(), StoreError>> {
        let is_away = self.is_away.load(Ordering::SeqCst);
        if !is_away {
            let mut recorded = self.recorded.lock().unwrap();
            users.iter().for_each(|seen| *recorded.entry(seen.user.to_string()).or_default() += 1);
        }
        self.attempts.send_modify(|attempts| *attempts += 1);
        Box::pin(std::future::ready(if is_away { Err(StoreError("away".into())) } else { Ok(()) }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_first_requests_at_once_record_a_user_once() {
    let issuer = Issuer::generate().unwrap();
    let sink = Sink::new(false);
    let (users, recorder) = Users::new(sink.clone());
    let stop = CancellationToken::new();
    let running = tokio::spawn(recorder.run(stop.clone()));
    let identity = Identity::new(IdentityInput {
        verifier: Verifier::new(issuer.settings(&[]), issuer.keys()),
        issuer: None,
        operators: None,
        users: Some(users),
        refresh_within: Duration::from_secs(1),
        clock: Arc::new(|| NOW_MS),
    });
    let tokens = ["ada", "bob"].map(|user| {
        let wish = Wish { user: user.into(), session: None, lifetime_seconds: None };
        Token::new(issuer.issue(&wish, NOW_MS).unwrap().token)
    });
    let requests: Vec<_> = (0..1000)
        .map(|number| {
            let (identity, token) = (identity.clone(), tokens[number % 2].clone());
            tokio::spawn(async move { identity.identify_token(Some(&token)).await })
        })
        .collect();
    for request in requests {
        assert!(matches!(request.await.unwrap(), Ok(Principal::User(_))));
    }
    sink.until_attempts(1).await;
    drop(identity);
    running.await.unwrap();
    let recorded = sink.recorded.lock().unwrap().clone();
    assert_eq!(recorded, HashMap::from([("ada".to_owned(), 1), ("bob".to_owned(), 1)]));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_nobody_waits_and_users_are_recorded_later() {
    let sink = Sink::new(true);
    let (users, recorder) = Users::new(sink.clone());
    let stop = CancellationToken::new();
    let running = tokio::spawn(recorder.run(stop.clone()));
    // More than the queue holds; those that find no room come again.
    let all: Vec<Arc<str>> = (0..QUEUE_MAX + 2000).map(|number| format!("user{number}").into()).collect();
    all.iter().for_each(|user| users.seen(user, NOW_MS));
    sink.until_attempts(5).await;
    assert_eq!(sink.total(), 0);
    sink.is_away.store(false, Ordering::SeqCst);
    while sink.total() < all.len() {
        all.iter().for_each(|user| users.seen(user, NOW_MS));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(sink.total(), all.len(), "each once");
    users.seen(&all[0], NOW_MS + SEEN_AGAIN_MS);
    while sink.total() == all.len() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sink.recorded.lock().unwrap()["user0"], 2, "and again after a while");
    stop.cancel();
    running.await.unwrap();
}

/// A store that can be away or slow.
#[derive(Default)]
struct Store {
    inner: MemoryOperators,
    is_away: AtomicBool,
    is_slow: AtomicBool,
    asked: AtomicUsize,
}

impl OperatorStore for Store {
    fn find(&self, hash: Hash, now_ms: u64) -> BoxFuture<'_, Result<Option<OperatorRecord>, StoreError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_slow.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        if self.is_away.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(Err(StoreError("away".into()))));
        }
        self.inner.find(hash, now_ms)
    }

    fn insert(&self, hash: Hash, record: OperatorRecord) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.insert(hash, record)
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<OperatorRecord>, StoreError>> {
        self.inner.list()
    }

    fn revoke<'a>(&'a self, id: &'a str, now_ms: u64) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.inner.revoke(id, now_ms)
    }
}

struct Desk {
    store: Arc<Store>,
    operators: Operators,
    token: String,
    id: String,
}

async fn desk(expires_ms: Option<u64>) -> Desk {
    let store = Arc::new(Store::default());
    let made = operators::make("ci", &[Scope::Deployments, Scope::Actors, Scope::Actors], expires_ms, NOW_MS).unwrap();
    let id = made.record.id.clone();
    store.insert(made.hash, made.record).await.unwrap();
    Desk { operators: Operators::new(store.clone()), store, token: made.token, id }
}

async fn check(desk: &Desk, token: &str, at_ms: u64, expected: Result<(), Code>) {
    let result = desk.operators.verify(token, at_ms).await;
    match (&result, &expected) {
        (Ok(operator), Ok(())) => {
            assert_eq!(*operator.id, *desk.id);
            assert_eq!(*operator.scopes, [Scope::Actors, Scope::Deployments]);
        }
        (Err(failure), Err(code)) => assert_eq!(*failure, code.failure()),
        _ => panic!("{result:?} and not {expected:?}"),
    }
}

#[tokio::test]
async fn a_token_is_known_for_a_moment_without_asking() {
    let desk = desk(None).await;
    for _ in 0..10 {
        check(&desk, &desk.token, NOW_MS, Ok(())).await;
    }
    assert_eq!(desk.store.asked.load(Ordering::SeqCst), 1);
    check(&desk, &desk.token, NOW_MS + FRESH_MS, Ok(())).await;
    assert_eq!(desk.store.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_revoked_token_is_refused_after_that_moment() {
    let desk = desk(None).await;
    check(&desk, &desk.token, NOW_MS, Ok(())).await;
    assert_eq!(desk.store.revoke(&desk.id, NOW_MS).await, Ok(true));
    assert_eq!(desk.store.revoke(&desk.id, NOW_MS).await, Ok(false));
    check(&desk, &desk.token, NOW_MS + FRESH_MS - 1, Ok(())).await;
    check(&desk, &desk.token, NOW_MS + FRESH_MS, Err(codes::TOKEN_INVALID)).await;
    desk.store.is_away.store(true, Ordering::SeqCst);
    check(&desk, &desk.token, NOW_MS + FRESH_MS, Err(codes::AUTH_UNAVAILABLE)).await;
}

#[tokio::test]
async fn what_was_verified_before_goes_on_while_the_store_is_away() {
    let desk = desk(None).await;
    check(&desk, &desk.token, NOW_MS, Ok(())).await;
    desk.store.is_away.store(true, Ordering::SeqCst);
    check(&desk, &desk.token, NOW_MS + FRESH_MS, Ok(())).await;
    check(&desk, &desk.token, NOW_MS + STALE_MAX_MS, Ok(())).await;
    check(&desk, &desk.token, NOW_MS + STALE_MAX_MS + 60_000, Err(codes::AUTH_UNAVAILABLE)).await;
    let other = operators::make("new", &[Scope::Actors], None, NOW_MS).unwrap();
    check(&desk, &other.token, NOW_MS, Err(codes::AUTH_UNAVAILABLE)).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_is_waited_for_once_in_a_while() {
    let desk = desk(None).await;
    check(&desk, &desk.token, NOW_MS, Ok(())).await;
    desk.store.is_slow.store(true, Ordering::SeqCst);
    for step in 0..100 {
        check(&desk, &desk.token, NOW_MS + FRESH_MS + step, Ok(())).await;
    }
    assert_eq!(desk.store.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_token_that_is_over_is_refused_also_from_memory() {
    let desk = desk(Some(NOW_MS + 5000)).await;
    check(&desk, &desk.token, NOW_MS, Ok(())).await;
    check(&desk, &desk.token, NOW_MS + 4999, Ok(())).await;
    check(&desk, &desk.token, NOW_MS + 5000, Err(codes::TOKEN_INVALID)).await;
}

#[tokio::test]
async fn what_has_not_the_shape_of_a_token_asks_nobody() {
    let desk = desk(None).await;
    let token = &desk.token;
    for wrong in [
        "growqr_op_",
        "growqr_op__",
        &token[..token.len() - 1],
        &format!("{token}A"),
        &format!("{token} "),
        &token.replace("growqr_op_", "growqr_op_z"),
        &token.to_uppercase(),
        "growqr_op_0123456789abcdef_\u{0}",
        &format!("growqr_op_{}_{}", "x".repeat(16), "A".repeat(43)),
    ] {
        check(&desk, wrong, NOW_MS, Err(codes::TOKEN_INVALID)).await;
    }
    assert_eq!(desk.store.asked.load(Ordering::SeqCst), 0);
    let other = operators::make("other", &[Scope::Actors], None, NOW_MS).unwrap();
    check(&desk, &other.token, NOW_MS, Err(codes::TOKEN_INVALID)).await;
    assert_eq!(desk.store.asked.load(Ordering::SeqCst), 1);
}

#[test]
fn a_token_needs_a_name_and_a_scope_and_is_not_in_its_record() {
    for (name, scopes) in [("", &[Scope::Actors][..]), ("a\nb", &[Scope::Actors]), ("ci", &[])] {
        assert!(operators::make(name, scopes, None, NOW_MS).is_err_and(|failure| failure.is(&codes::VALIDATION)));
    }
    let made = operators::make("ci", &[Scope::Actors], None, NOW_MS).unwrap();
    let (start, secret) = made.token.split_at(made.token.len() - 43);
    assert_eq!(start, format!("growqr_op_{}_", made.record.id));
    assert!(!format!("{:?}", made.record).contains(secret));
}

#[test]
fn the_key_of_the_development_issuer_is_kept_for_this_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let issuers: Vec<Issuer> = std::thread::scope(|scope| {
        let opening: Vec<_> = (0..4).map(|_| scope.spawn(|| Issuer::open(folder.path()).unwrap())).collect();
        opening.into_iter().map(|issuer| issuer.join().unwrap()).collect()
    });
    assert!(issuers.iter().all(|issuer| issuer.key_set() == issuers[0].key_set()), "all agree on one key");
    let key = folder.path().join("identity/development-key.der");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path().join("identity")).unwrap().count(), 1, "nothing else is left");
    assert!(!issuers[0].key_set().to_string().contains("\"d\""), "the private half is not published");
    std::fs::write(&key, b"damaged").unwrap();
    assert!(Issuer::open(folder.path()).is_err());
}
