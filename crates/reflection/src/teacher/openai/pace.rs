//! When the next request may be sent, for all threads together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Keeps requests apart by the rate limit, and holds all of them back while the server wants a rest.
#[derive(Debug)]
pub(super) struct Pace {
    /// Shortest time from one request to the next.
    interval: Duration,
    next: Mutex<Instant>,
    news: Condvar,
}

/// Told to all threads of a call that they should not start anything any more.
#[derive(Debug, Default)]
pub(super) struct Stop(AtomicBool);

impl Stop {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, next: Mutex::new(Instant::now()), news: Condvar::new() }
    }

    /// Waits for one's turn; false if `stop` came first.
    pub(super) fn pass(&self, stop: &Stop) -> bool {
        let mut next = self.next();
        loop {
            if stop.is_set() {
                return false;
            }
            let now = Instant::now();
            if *next <= now {
                *next = now + self.interval;
                return true;
            }
            next = self.wait(next, now);
        }
    }

    /// Sleeps; false if `stop` came first.
    pub(super) fn sleep(&self, time: Duration, stop: &Stop) -> bool {
        let end = Instant::now() + time;
        loop {
            let state = self.next();
            if stop.is_set() {
                return false;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            drop(self.news.wait_timeout(state, left));
        }
    }

    /// Nothing is sent for so long.
    pub(super) fn rest(&self, time: Duration) {
        let mut next = self.next();
        *next = (*next).max(Instant::now() + time);
    }

    /// Stops a call and wakes its threads.
    pub(super) fn stop(&self, stop: &Stop) {
        // Under the lock, so that no thread looks at the flag before and waits after.
        let _state = self.next();
        stop.0.store(true, Ordering::Release);
        self.news.notify_all();
    }

    fn wait<'a>(&self, next: MutexGuard<'a, Instant>, now: Instant) -> MutexGuard<'a, Instant> {
        let left = next.saturating_duration_since(now);
        let woken = self.news.wait_timeout(next, left);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    fn next(&self) -> MutexGuard<'_, Instant> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
