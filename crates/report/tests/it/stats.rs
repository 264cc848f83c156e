//! Statistics against worked examples.

use proptest::prelude::*;
use tamis_report::{Summary, best_and_worst};

#[test]
fn summary_of_a_worked_example() {
    let summary = Summary::of([4.0, 2.0, f64::NAN, 8.0, 6.0]).unwrap();
    assert_eq!((summary.count, summary.mean, summary.median), (4, 5.0, 5.0));
    // Sample variance 20/3, over 4 values.
    assert!((summary.standard_error - (20.0_f64 / 12.0).sqrt()).abs() < 1e-12);
    // numpy.quantile([2, 4, 6, 8], [0.1, 0.9]) = [2.6, 7.4]
    assert!((summary.p10 - 2.6).abs() < 1e-12 && (summary.p90 - 7.4).abs() < 1e-12);
    assert_eq!((summary.min, summary.max), (2.0, 8.0));
    assert_eq!(Summary::of([f64::NAN]), None);
    assert_eq!(Summary::of([3.0]).unwrap().standard_error, 0.0);
}

proptest! {
    #[test]
    fn best_and_worst_are_apart_and_ordered(
        values in prop::collection::vec(prop::option::of(-5_i32..5), 0..20),
        count in 0_usize..12,
    ) {
        let values: Vec<Option<f64>> = values.into_iter().map(|v| v.map(f64::from)).collect();
        let present = values.iter().flatten().count();
        let (best, worst) = best_and_worst(&values, count);
        prop_assert_eq!(best.len(), count.min(present));
        prop_assert_eq!(worst.len(), count.min(present - best.len()));
        prop_assert!(best.iter().all(|row| !worst.contains(row)));
        let value = |row: &usize| values[*row].unwrap();
        prop_assert!(best.is_sorted_by(|a, b| value(a) > value(b) || (value(a) == value(b) && a < b)));
        prop_assert!(worst.is_sorted_by(|a, b| value(a) < value(b) || (value(a) == value(b) && a < b)));
        let lowest_best = best.iter().map(value).fold(f64::INFINITY, f64::min);
        prop_assert!(worst.iter().all(|row| value(row) <= lowest_best));
    }
}
