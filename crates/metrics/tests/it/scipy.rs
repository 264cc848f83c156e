//! Student's distribution and the tests against scipy and numpy.

use serde_json::Value;
use tamis_metrics::{
    Basis, BootstrapParams, Mean, RandomisationParams, StudentT, Summary, paired_t_test,
};

use crate::fixtures::{json, numbers};

fn close(found: f64, expected: f64, relative: f64, what: &str) {
    assert!(
        (found - expected).abs() <= relative * expected.abs().max(1e-300),
        "{what}: {found:e}, expected {expected:e}"
    );
}

fn rows(name: &str) -> Vec<Value> {
    json("tests.json")[name].as_array().unwrap().clone()
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap()
}

#[test]
fn students_distribution() {
    for row in rows("student") {
        let (t, df) = (number(&row, "t"), number(&row, "df"));
        let student = StudentT::new(df).unwrap();
        close(student.two_sided_p(t), number(&row, "p"), 1e-10, &row.to_string());
        assert_eq!(student.two_sided_p(-t).to_bits(), student.two_sided_p(t).to_bits());
    }
    for row in rows("critical") {
        let t = StudentT::new(number(&row, "df")).unwrap().critical(number(&row, "confidence"));
        close(t.unwrap(), number(&row, "t"), 1e-10, &row.to_string());
    }
}

/// With one and two degrees of freedom there are closed forms.
#[test]
fn students_distribution_in_closed_form() {
    for n in 0..200 {
        let t = f64::from(n) / 7.0;
        let cauchy = 1.0 - 2.0 * t.atan() / std::f64::consts::PI;
        close(StudentT::new(1.0).unwrap().two_sided_p(t), cauchy, 1e-12, &format!("1, {t}"));
        let two = 1.0 - t / (2.0 + t * t).sqrt();
        assert!((StudentT::new(2.0).unwrap().two_sided_p(t) - two).abs() < 1e-14, "2, {t}");
    }
}

#[test]
fn t_tests() {
    for row in rows("t_tests") {
        let (first, second) = (numbers(&row["first"]), numbers(&row["second"]));
        let found = paired_t_test(&first, &second, 0.95).unwrap();
        let Basis::StudentT { t, degrees_of_freedom } = found.basis else { panic!("{found:?}") };
        assert_eq!((found.n, degrees_of_freedom), (first.len(), (first.len() - 1) as f64));
        close(t.unwrap(), number(&row, "t"), 1e-10, "t");
        close(found.p, number(&row, "p"), 1e-10, "p");
        let interval = found.interval.unwrap();
        close(interval.low, number(&row, "low"), 1e-9, "low");
        close(interval.high, number(&row, "high"), 1e-9, "high");
        assert!((found.difference - (found.first - found.second)).abs() < 1e-12);
        // The interval of a summary is that of a test against zero.
        let differences: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a - b).collect();
        assert_eq!(Summary::of(&differences, 0.95).unwrap().interval, interval);
    }
}

/// Other random numbers, the same distribution: numpy with 400,000 trials.
#[test]
fn resampling() {
    let row = &rows("resampled")[0];
    let first = Mean::segments(&numbers(&row["first"])).unwrap();
    let second = Mean::segments(&numbers(&row["second"])).unwrap();
    let trials = 100_000;
    let bootstrap = BootstrapParams { resamples: trials, confidence: 0.95, seed: 3 };
    let found = bootstrap.check().unwrap().compare(&Mean, &first, &second).unwrap();
    let interval = found.interval.unwrap();
    close(found.difference, number(row, "difference"), 1e-9, "difference");
    // Four standard errors of a share, and about as much for the percentiles.
    let same = |p: f64, name: &str| {
        let expected = number(row, name);
        let error = (expected * (1.0 - expected) * (1.0 / 1e5 + 1.0 / 4e5)).sqrt();
        assert!((p - expected).abs() < 4.0 * error, "{name}: {p}, expected {expected}");
    };
    same(found.p, "bootstrap_p");
    assert!((interval.low - number(row, "low")).abs() < 0.03, "{interval:?} {row}");
    assert!((interval.high - number(row, "high")).abs() < 0.03, "{interval:?} {row}");
    let randomisation = RandomisationParams { trials, seed: 3 }.check().unwrap();
    same(randomisation.compare(&Mean, &first, &second).unwrap().p, "randomisation_p");
}
