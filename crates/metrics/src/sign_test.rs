//! The sign test.

/// How probable it is that a fair coin, tossed `wins + losses` times, falls at least as unevenly: the
/// exact two-sided binomial test of whether winning and losing are equally frequent. Ties belong to
/// neither and are left out. 1 if there is nothing to count.
///
/// ```
/// // 2 · (1 + 10) / 2¹⁰
/// assert_eq!(tamis_metrics::sign_test(9, 1), 22.0 / 1024.0);
/// assert_eq!(tamis_metrics::sign_test(4, 4), 1.0);
/// ```
pub fn sign_test(wins: u64, losses: u64) -> f64 {
    let (n, fewer) = (wins + losses, wins.min(losses));
    if wins == losses {
        return 1.0;
    }
    // The sum of the terms C(n, k) / 2ⁿ for k ≤ `fewer`, stepped down to from the middle: the
    // greatest term neither overflows nor underflows, whatever n.
    let half = n / 2;
    let mut term = (1..=half).map(|i| (2 * i - 1) as f64 / (2 * i) as f64).product::<f64>();
    if n % 2 == 1 {
        // C(2m + 1, m) / 2^(2m + 1) from C(2m, m) / 2^2m.
        term *= n as f64 / (2 * (half + 1)) as f64;
    }
    let mut sum = 0.0;
    for k in (1..=half).rev() {
        if k <= fewer {
            sum += term;
        }
        term *= k as f64 / (n - k + 1) as f64;
    }
    sum += term;
    (2.0 * sum).min(1.0)
}
