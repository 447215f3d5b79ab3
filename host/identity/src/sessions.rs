//! The open sockets of every session: how long they may stay, and how they end.
//!
//! A token lives for a minute, a socket for hours. So a socket stays open for as long as its session brings newer tokens: on the socket
//! itself, or with any other request. One whose session brings none for the configured time after the last token's end is closed, and so
//! is one whose session was revoked.
//!
//! An operator's token has no end of its own; its sockets stay for as long as the token is sent again in time. So a revoked one loses them.
//!
//! Invariant: from the moment a session is revoked, none of its tokens is taken, and no socket of it opens.
//! Deliberately absent: who signs in and out (the issuer's), and a memory of revocations across restarts: tokens end within a minute, so
//! that a restart brings back nothing that lasts.

use crate::principal::{Principal, Session};
use dashmap::DashMap;
use growqr_types::{Code, Failure, codes};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Revocations that are remembered; the oldest is forgotten first.
pub const REVOCATIONS_MAX: usize = 100_000;

/// A socket that can be closed. Must not block.
pub trait Closable: Send + Sync {
    /// Closes it and takes nothing more from its client.
    fn close(&self, code: &Code);
}

/// Whose sockets belong together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Group {
    Session(Arc<str>),
    /// A token without a session.
    User(Arc<str>),
    Operator(Arc<str>),
}

impl Group {
    fn of_session(session: &Session) -> Self {
        match &session.session {
            Some(id) => Self::Session(id.clone()),
            None => Self::User(session.user.clone()),
        }
    }

    fn of(principal: &Principal) -> Option<Self> {
        match principal {
            Principal::Open => None,
            Principal::User(session) => Some(Self::of_session(session)),
            Principal::Operator(operator) => Some(Self::Operator(operator.id.clone())),
        }
    }
}

struct Entry {
    /// The user; none for an operator.
    user: Option<Arc<str>>,
    /// When the newest token ends, in seconds since 1970; 0 for an operator, whose token has no end.
    expires: u64,
    deadline_ms: u64,
    sockets: HashMap<u64, Weak<dyn Closable>>,
}

/// Which sessions ended before their time.
#[derive(Default)]
struct Revoked {
    sessions: HashMap<Arc<str>, ()>,
    /// Tokens of these users that were issued until then, in seconds since 1970.
    users: HashMap<Arc<str>, u64>,
    order: VecDeque<(bool, Arc<str>)>,
}

impl Revoked {
    fn insert(&mut self, is_user: bool, id: Arc<str>, now_ms: u64) {
        let is_new = if is_user {
            self.users.insert(id.clone(), now_ms / 1000).is_none()
        } else {
            self.sessions.insert(id.clone(), ()).is_none()
        };
        if is_new {
            self.order.push_back((is_user, id));
        }
        if self.order.len() > REVOCATIONS_MAX {
            match self.order.pop_front() {
                Some((true, id)) => drop(self.users.remove(&id)),
                Some((false, id)) => drop(self.sessions.remove(&id)),
                None => {}
            }
        }
    }

    fn has(&self, session: &Session) -> bool {
        session.session.as_ref().is_some_and(|id| self.sessions.contains_key(id))
            || self.users.get(&session.user).is_some_and(|until| session.issued <= *until)
    }
}

/// See the module's documentation.
pub struct Sessions {
    refresh_within_ms: u64,
    open: DashMap<Group, Entry>,
    sockets: AtomicUsize,
    last: AtomicU64,
    revoked: Mutex<Revoked>,
    any_revoked: AtomicBool,
}

/// A socket's place in its session. Dropping it gives the place up.
pub struct Admission {
    sessions: Arc<Sessions>,
    group: Group,
    number: u64,
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(mut entry) = self.sessions.open.get_mut(&self.group) {
            entry.sockets.remove(&self.number);
        }
        self.sessions.open.remove_if(&self.group, |_, entry| entry.sockets.is_empty());
        self.sessions.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Sessions {
    /// No sockets.
    pub fn new(refresh_within: Duration) -> Arc<Self> {
        Arc::new(Self {
            refresh_within_ms: u64::try_from(refresh_within.as_millis()).unwrap_or(u64::MAX),
            open: DashMap::new(),
            sockets: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            revoked: Mutex::default(),
            any_revoked: AtomicBool::new(false),
        })
    }

    /// Sockets that are open.
    pub fn len(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }

    /// Whether no socket is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses a token of a session that was revoked.
    pub fn check(&self, session: &Session) -> Result<(), Failure> {
        if self.any_revoked.load(Ordering::Acquire) && self.revoked.lock().has(session) {
            return Err(codes::SESSION_REVOKED.failure());
        }
        Ok(())
    }

    /// Opens a socket; `None` when everybody may have one for as long as they like.
    pub fn admit(
        self: &Arc<Self>,
        principal: &Principal,
        socket: Weak<dyn Closable>,
        now_ms: u64,
    ) -> Result<Option<Admission>, Failure> {
        let Some(group) = Group::of(principal) else { return Ok(None) };
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let mut entry = self.open.entry(group.clone()).or_insert_with(|| Entry {
            user: principal.user().map(Arc::from),
            expires: 0,
            deadline_ms: 0,
            sockets: HashMap::new(),
        });
        // Under the entry's lock: whoever revokes the session from now on finds the socket here.
        let checked = match principal {
            Principal::User(session) => self.check(session),
            Principal::Open | Principal::Operator(_) => Ok(()),
        };
        let is_same_user = entry.user.as_deref() == principal.user();
        if checked.is_ok() && is_same_user {
            self.extend(&mut entry, principal, now_ms);
            entry.sockets.insert(number, socket);
            self.sockets.fetch_add(1, Ordering::Relaxed);
            drop(entry);
            return Ok(Some(Admission { sessions: self.clone(), group, number }));
        }
        drop(entry);
        self.open.remove_if(&group, |_, entry| entry.sockets.is_empty());
        checked.and_then(|()| Err(codes::SESSION_MISMATCH.failure()))
    }

    /// A verified token came: the sockets of its session may stay for longer.
    pub fn renew(&self, principal: &Principal, now_ms: u64) {
        // Most requests come while the session has no socket.
        if self.is_empty() {
            return;
        }
        let Some(group) = Group::of(principal) else { return };
        if let Some(mut entry) = self.open.get_mut(&group)
            && entry.user.as_deref() == principal.user()
        {
            self.extend(&mut entry, principal, now_ms);
        }
    }

    fn extend(&self, entry: &mut Entry, principal: &Principal, now_ms: u64) {
        let end_ms = match principal {
            Principal::User(session) => {
                entry.expires = entry.expires.max(session.expires);
                entry.expires.saturating_mul(1000)
            }
            Principal::Open | Principal::Operator(_) => now_ms,
        };
        entry.deadline_ms = entry.deadline_ms.max(end_ms.saturating_add(self.refresh_within_ms));
    }

    /// Renews a socket with a token that was verified. Gives the end of the session's newest token, in seconds since 1970, and until
    /// when a newer one must come, in milliseconds.
    pub fn refresh(&self, admission: &Admission, principal: &Principal, now_ms: u64) -> Result<(u64, u64), Failure> {
        let is_same = Group::of(principal).is_some_and(|group| group == admission.group);
        let mismatch = || codes::SESSION_MISMATCH.failure();
        if !is_same {
            return Err(mismatch());
        }
        let mut entry = self.open.get_mut(&admission.group).ok_or_else(mismatch)?;
        if entry.user.as_deref() != principal.user() {
            return Err(mismatch());
        }
        self.extend(&mut entry, principal, now_ms);
        Ok((entry.expires, entry.deadline_ms))
    }

    /// Ends a session now. Gives the number of sockets that were closed.
    pub fn revoke_session(&self, session: &str, now_ms: u64) -> usize {
        let session: Arc<str> = session.into();
        self.remember(false, session.clone(), now_ms);
        self.open.get(&Group::Session(session)).map_or(0, |entry| close(&entry, &codes::SESSION_REVOKED))
    }

    /// Ends all sessions that a user has now. Gives the number of sockets that were closed.
    pub fn revoke_user(&self, user: &str, now_ms: u64) -> usize {
        self.remember(true, user.into(), now_ms);
        let of_user = |entry: &Entry| entry.user.as_deref() == Some(user);
        self.open.iter().filter(|entry| of_user(entry)).map(|entry| close(&entry, &codes::SESSION_REVOKED)).sum()
    }

    fn remember(&self, is_user: bool, id: Arc<str>, now_ms: u64) {
        self.revoked.lock().insert(is_user, id, now_ms);
        self.any_revoked.store(true, Ordering::Release);
    }

    /// Closes the sockets whose time is over. Gives their number.
    pub fn sweep(&self, now_ms: u64) -> usize {
        if self.is_empty() {
            return 0;
        }
        let over = self.open.iter().filter(|entry| entry.deadline_ms < now_ms);
        over.map(|entry| close(&entry, &codes::SESSION_EXPIRED)).sum()
    }
}

fn close(entry: &Entry, code: &Code) -> usize {
    let sockets = entry.sockets.values().filter_map(Weak::upgrade);
    sockets.map(|socket| socket.close(code)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<&'static str>>);

    impl Closable for Recorder {
        fn close(&self, code: &Code) {
            self.0.lock().push(code.code);
        }
    }

    impl Recorder {
        fn codes(&self) -> Vec<&'static str> {
            self.0.lock().clone()
        }
    }

    const NOW_MS: u64 = 1_000_000;

    fn token(user: &str, session: Option<&str>, expires: u64) -> Principal {
        let (user, session) = (user.into(), session.map(Arc::from));
        Principal::User(Session { user, session, issued: expires - 60, expires, organization: None })
    }

    fn admit(sessions: &Arc<Sessions>, principal: &Principal) -> (Arc<Recorder>, Result<Option<Admission>, Failure>) {
        let recorder = Arc::new(Recorder::default());
        let socket: Arc<dyn Closable> = recorder.clone();
        let admitted = sessions.admit(principal, Arc::downgrade(&socket), NOW_MS);
        (recorder, admitted)
    }

    fn sessions() -> Arc<Sessions> {
        Sessions::new(Duration::from_secs(10))
    }

    #[test]
    fn a_socket_that_is_not_refreshed_is_closed_after_its_token_and_the_time_to_refresh() {
        let sessions = sessions();
        let (socket, admitted) = admit(&sessions, &token("ada", Some("s"), 1_060));
        let _admission = admitted.unwrap();
        assert_eq!(sessions.sweep(1_070_000), 0);
        assert_eq!(sessions.sweep(1_070_001), 1);
        assert_eq!(socket.codes(), ["session_expired"]);
    }

    #[test]
    fn a_newer_token_of_the_same_session_keeps_the_socket_open() {
        let sessions = sessions();
        let (socket, admitted) = admit(&sessions, &token("ada", Some("s"), 1_060));
        let admission = admitted.unwrap().unwrap();
        assert_eq!(sessions.refresh(&admission, &token("ada", Some("s"), 1_100), NOW_MS), Ok((1_100, 1_110_000)));
        sessions.renew(&token("ada", Some("s"), 1_200), NOW_MS);
        assert_eq!(sessions.sweep(1_210_000), 0);
        // An older one takes nothing away.
        assert_eq!(sessions.refresh(&admission, &token("ada", Some("s"), 1_070), NOW_MS), Ok((1_200, 1_210_000)));
        assert_eq!(socket.codes(), Vec::<&str>::new());
    }

    #[test]
    fn a_token_of_somebody_else_or_of_another_session_renews_nothing() {
        let sessions = sessions();
        let (_socket, admitted) = admit(&sessions, &token("ada", Some("s"), 1_060));
        let admission = admitted.unwrap().unwrap();
        for other in
            [token("bob", Some("s"), 9_000), token("ada", Some("t"), 9_000), token("ada", None, 9_000), Principal::Open]
        {
            let refused = sessions.refresh(&admission, &other, NOW_MS).unwrap_err();
            assert!(refused.is(&codes::SESSION_MISMATCH), "{other:?}");
            sessions.renew(&other, NOW_MS);
        }
        assert_eq!(sessions.sweep(1_070_001), 1);
    }

    #[test]
    fn a_revoked_session_is_closed_and_does_not_open_again() {
        let sessions = sessions();
        let ada = token("ada", Some("s"), 1_060);
        let (socket, _admission) = admit(&sessions, &ada);
        let (neighbour, _other) = admit(&sessions, &token("ada", Some("t"), 1_060));
        assert_eq!(sessions.revoke_session("s", NOW_MS), 1);
        assert_eq!(socket.codes(), ["session_revoked"]);
        assert_eq!(neighbour.codes(), Vec::<&str>::new());
        let (_, again) = admit(&sessions, &token("ada", Some("s"), 9_000));
        assert!(again.is_err_and(|failure| failure.is(&codes::SESSION_REVOKED)));
        assert_eq!(sessions.len(), 2);
    }

    #[test]
    fn all_sessions_of_a_user_end_and_later_ones_open() {
        let sessions = sessions();
        let (first, _a) = admit(&sessions, &token("ada", Some("s"), 1_060));
        let (second, _b) = admit(&sessions, &token("ada", None, 1_060));
        let (neighbour, _c) = admit(&sessions, &token("bob", Some("t"), 1_060));
        assert_eq!(sessions.revoke_user("ada", NOW_MS), 2);
        assert_eq!((first.codes(), second.codes()), (vec!["session_revoked"], vec!["session_revoked"]));
        assert_eq!(neighbour.codes(), Vec::<&str>::new());
        assert!(admit(&sessions, &token("ada", Some("u"), 1_060)).1.is_err());
        assert!(admit(&sessions, &token("ada", Some("u"), 1_061)).1.is_ok());
    }

    #[test]
    fn a_socket_that_is_gone_leaves_nothing_behind() {
        let sessions = sessions();
        let (_socket, admitted) = admit(&sessions, &token("ada", Some("s"), 1_060));
        let (_socket, other) = admit(&sessions, &token("ada", Some("s"), 1_060));
        assert_eq!((sessions.len(), sessions.open.len()), (2, 1));
        drop(admitted);
        assert_eq!((sessions.len(), sessions.open.len()), (1, 1));
        drop(other);
        assert_eq!((sessions.len(), sessions.open.len()), (0, 0));
        assert!(admit(&sessions, &Principal::Open).1.unwrap().is_none());
    }

    #[test]
    fn the_oldest_revocation_is_forgotten_first() {
        let sessions = sessions();
        for number in 0..=REVOCATIONS_MAX {
            sessions.revoke_session(&number.to_string(), NOW_MS);
        }
        let Principal::User(first) = token("ada", Some("0"), 1_060) else { unreachable!() };
        let Principal::User(second) = token("ada", Some("1"), 1_060) else { unreachable!() };
        assert!(sessions.check(&first).is_ok());
        assert!(sessions.check(&second).is_err());
    }
}
