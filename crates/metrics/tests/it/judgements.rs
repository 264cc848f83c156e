//! The sign test and the correlations: against scipy and mpmath, and by their definitions.

use proptest::prelude::*;
use tamis_metrics::{MetricsError, pearson, sign_test, spearman};

use crate::fixtures::{json, numbers};

#[test]
fn sign_tests_of_scipy() {
    for row in json("judgements.json")["sign_tests"].as_array().unwrap() {
        let count = |name: &str| row[name].as_u64().unwrap();
        let (found, expected) =
            (sign_test(count("wins"), count("losses")), row["p"].as_f64().unwrap());
        assert!((found - expected).abs() <= 1e-11 * expected, "{row}: {found:e}");
    }
    assert_eq!((sign_test(0, 0), sign_test(1, 0)), (1.0, 1.0));
}

/// Sums of whole numbers.
#[test]
fn sign_tests_by_pascals_triangle() {
    let mut line = vec![1_u64];
    for n in 1..=50_u64 {
        let inner = line.windows(2).map(|pair| pair[0] + pair[1]);
        line = [1].into_iter().chain(inner).chain([1]).collect();
        for wins in 0..=n {
            let tail: u64 = line[..=wins.min(n - wins) as usize].iter().sum();
            let expected = (2.0 * tail as f64 / (1_u64 << n) as f64).min(1.0);
            let found = sign_test(wins, n - wins);
            assert!((found - expected).abs() < 1e-14, "{wins} of {n}: {found}, {expected}");
        }
    }
}

#[test]
fn a_sign_test_of_very_many_is_a_number() {
    assert!(sign_test(1_000_000, 0) < f64::MIN_POSITIVE);
    let p = sign_test(500_500, 499_500); // one standard deviation: 0.3173 of the normal, corrected
    assert!((p - 0.3178).abs() < 1e-3, "{p}");
}

#[test]
fn correlations_of_scipy() {
    for row in json("judgements.json")["correlations"].as_array().unwrap() {
        let (x, y) = (numbers(&row["x"]), numbers(&row["y"]));
        for (found, name) in [(pearson(&x, &y), "pearson"), (spearman(&x, &y), "spearman")] {
            let (found, expected) = (found.unwrap().unwrap(), row[name].as_f64().unwrap());
            assert!((found - expected).abs() < 1e-12, "{name}: {found}, expected {expected}");
        }
    }
}

#[test]
fn correlations_that_are_none() {
    assert_eq!(pearson(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0]).unwrap(), None);
    assert_eq!(spearman(&[1.0, 2.0], &[0.0, -0.0]).unwrap(), None);
    // scipy.stats.spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]).statistic
    let found = spearman(&[1.0, 2.0, 3.0, 4.0, 5.0], &[5.0, 6.0, 7.0, 8.0, 7.0]).unwrap().unwrap();
    assert!((found - 0.820_782_681_668_123_3).abs() < 1e-12);
    assert!(matches!(pearson(&[1.0], &[1.0]), Err(MetricsError::TooFew { found: 1, .. })));
    assert!(matches!(spearman(&[], &[]), Err(MetricsError::TooFew { found: 0, .. })));
    assert!(matches!(pearson(&[1.0], &[]), Err(MetricsError::Length { .. })));
    let error = spearman(&[1.0, f64::NAN], &[1.0, 2.0]);
    assert!(matches!(error, Err(MetricsError::NonFinite { .. })));
}

proptest! {
    #[test]
    fn only_the_order_counts_for_spearman(x in prop::collection::vec(-3i32..3, 2..30)) {
        let y: Vec<f64> = (0..x.len()).map(|n| ((n * 7) % 5) as f64).collect();
        let x: Vec<f64> = x.into_iter().map(f64::from).collect();
        let stretched: Vec<f64> = x.iter().map(|x| x.exp() * 40.0 - 3.0).collect();
        prop_assert_eq!(spearman(&x, &y).unwrap(), spearman(&stretched, &y).unwrap());
        if let Some(rho) = spearman(&x, &y).unwrap() {
            prop_assert!((-1.0..=1.0).contains(&rho));
            let turned: Vec<f64> = x.iter().map(|x| -x).collect();
            prop_assert!((spearman(&turned, &y).unwrap().unwrap() + rho).abs() < 1e-12);
        }
    }
}
