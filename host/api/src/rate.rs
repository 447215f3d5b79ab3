//! How often one caller may ask.

use crate::RATE_KEYS_MAX;
use crate::problem::Problem;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use growqr_identity::Principal;
use growqr_types::codes;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests between two looks for callers whose rate need not be kept any more.
const TIDY_INTERVAL_REQUESTS: u64 = 4096;

/// One rate for each caller.
pub(crate) struct Rates {
    limiter: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
    requests: AtomicU64,
}

impl Rates {
    pub fn new(per_second: u32, burst: u32) -> Self {
        let positive = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(positive(per_second)).allow_burst(positive(burst));
        Self { limiter: RateLimiter::keyed(quota), clock: DefaultClock::default(), requests: AtomicU64::new(0) }
    }

    /// Counts a request, or refuses it.
    pub fn check(&self, principal: &Principal) -> Result<(), Problem> {
        let key = match principal {
            Principal::Open => "open".to_owned(),
            Principal::User(session) => format!("user {}", session.user),
            Principal::Operator(operator) => format!("operator {}", operator.id),
        };
        self.check_key(key)
    }

    fn check_key(&self, key: String) -> Result<(), Problem> {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed);
        let key = match self.limiter.len() {
            // Whoever comes while so many others are active shares a rate with those who come then as well.
            keys if keys >= RATE_KEYS_MAX => String::new(),
            _ => key,
        };
        if requests % TIDY_INTERVAL_REQUESTS == TIDY_INTERVAL_REQUESTS - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(&key).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            Problem::retry(codes::API_RATE_LIMITED.failure(), wait.as_secs() + 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_is_held_back_and_another_is_not() {
        let rates = Rates::new(1, 3);
        let of = |user: &str| rates.check_key(user.to_owned()).is_ok();
        assert_eq!([of("ada"), of("ada"), of("ada"), of("ada")], [true, true, true, false]);
        assert!(of("bob"));
    }

    #[test]
    fn the_number_of_callers_is_bounded() {
        let rates = Rates::new(1, 1);
        for number in 0..RATE_KEYS_MAX * 2 {
            let _ = rates.check_key(number.to_string());
        }
        assert!(rates.limiter.len() <= RATE_KEYS_MAX + 1);
        assert!(rates.check_key("late".to_owned()).is_err(), "those who come then share one rate");
    }
}
