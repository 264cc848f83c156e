//! How long to wait before asking again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, SystemTime};

/// The wait before attempt `attempt + 1`, when attempt number `attempt` (from 1) failed: a random time
/// between half and all of `base` · 2^(attempt − 1), which is at most `longest`.
///
/// `lot`, from 0 to 1, says where in between; what is below 0 or no number counts as 0. Without chance,
/// requests that failed together would come back together.
pub fn backoff(base: Duration, longest: Duration, attempt: u32, lot: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    let full = base.saturating_mul(1 << doublings).min(longest);
    let half = full / 2;
    let lot = if lot > 0.0 { lot.min(1.0) } else { 0.0 };
    let more = half.as_secs_f64() * lot;
    half.saturating_add(Duration::from_secs_f64(more)).min(full)
}

/// How long a `Retry-After` header asks to wait: a number of seconds, or a date, of which `now` (the
/// server's own clock where it tells it) is subtracted. Nothing if it is neither.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if number {
        // Whole seconds by the standard; some servers send fractions.
        let seconds: f64 = value.parse().ok()?;
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

/// A number from 0 to 1 that differs from call to call. It need not repeat: it decides when something is
/// asked, never what.
pub(super) fn lot() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
