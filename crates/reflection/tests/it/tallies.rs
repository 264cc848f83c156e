//! What judgements come to, worked by hand.

use tamis_metrics::BootstrapParams;
use tamis_reflection::judge::Verdict;
use tamis_reflection::{Judged, Reading, Tally, Usage};

fn graded((model, reference): (f64, f64)) -> Reading {
    Reading::Graded { model, reference, explanation: String::new(), usage: Usage::default() }
}

/// Grades of model and reference with the model first and with the reference first, lengths of both.
fn judged(
    first: (f64, f64),
    second: (f64, f64),
    lengths: (usize, usize),
    verdict: Verdict,
) -> Judged {
    Judged {
        id: "x".into(),
        verdict,
        model_first: graded(first),
        reference_first: graded(second),
        model_length: lengths.0,
        reference_length: lengths.1,
    }
}

fn close(found: Option<f64>, expected: f64) {
    assert!(found.is_some_and(|found| (found - expected).abs() < 1e-12), "{found:?}, {expected}");
}

#[test]
fn by_hand() {
    let mut failed = judged((1.0, 1.0), (9.0, 0.0), (1, 1), Verdict::Failed);
    let why = tamis_reflection::NoGrades::Cut;
    failed.model_first = Reading::NoGrades { why, usage: Usage::default() };
    let contests = [
        judged((8.0, 6.0), (9.0, 6.0), (30, 10), Verdict::Win),
        judged((7.0, 6.5), (7.0, 7.0), (20, 15), Verdict::Win),
        judged((7.0, 5.0), (4.0, 6.0), (10, 10), Verdict::Tie),
        judged((3.0, 8.0), (2.0, 9.0), (5, 25), Verdict::Lose),
        failed,
        judged((6.0, 5.0), (8.0, 5.0), (12, 10), Verdict::Win),
    ];
    let tally = Tally::of(&contests, BootstrapParams::default()).unwrap();
    assert_eq!((tally.judged, tally.failed), (5, 1));
    assert_eq!((tally.wins, tally.ties, tally.losses), (3, 1, 1));
    assert_eq!((tally.replies_without_grades, tally.no_replies), (1, 0));
    close(tally.winning_score, 2.0 / 5.0 + 1.0);
    // Model 8+9+7+7+7+4+3+2+6+8 = 61, reference 6+6+6.5+7+5+6+8+9+5+5 = 63.5.
    close(tally.relative_score, 6100.0 / 63.5);
    // 3 wins against 1: 2 · (1 + 4) / 16.
    close(Some(tally.sign_test_p), 0.625);
    let grades = tally.grades.unwrap();
    close(Some(grades.first), 6.1);
    close(Some(grades.second), 6.35);
    let interval = grades.interval.unwrap();
    assert!(interval.low < -0.25 && -0.25 < interval.high);
    let estimate = tally.winning_score_estimate.unwrap();
    close(Some(estimate.score), 1.4);
    assert!(estimate.interval.low >= 0.0 && estimate.interval.high <= 2.0);

    // First minus second place: 2 −3, .5 0, 2 2, −5 7, 1 −3.
    let position = tally.position;
    assert_eq!((position.first, position.equal, position.second), (6, 1, 3));
    assert_eq!(position.contradictions, 1);
    close(position.lead, 3.5 / 10.0);

    // Longer by 20, 5, 0, −20, 2: ranks 5 4 2 1 3. Better by 2.5, .25, 0, −6, 2: ranks 5 3 2 1 4.
    // 1 − 6 Σd² / n(n² − 1) with d = 0 1 0 0 −1.
    close(tally.length_correlation, 1.0 - 12.0 / 120.0);
}

#[test]
fn of_nothing_and_of_one() {
    let none = Tally::of(&[], BootstrapParams::default()).unwrap();
    assert_eq!((none.judged, none.winning_score, none.relative_score), (0, None, None));
    assert_eq!((none.sign_test_p, none.position.lead, none.grades), (1.0, None, None));
    let one = [judged((1.0, 0.0), (1.0, 0.0), (3, 3), Verdict::Win)];
    let one = Tally::of(&one, BootstrapParams::default()).unwrap();
    close(one.winning_score, 2.0);
    // Nothing to divide by, nothing to draw from.
    assert_eq!((one.relative_score, one.grades, one.length_correlation), (None, None, None));
}

#[test]
fn lengths_that_are_all_alike_correlate_with_nothing() {
    let contests = [
        judged((1.0, 0.0), (1.0, 0.0), (3, 3), Verdict::Win),
        judged((5.0, 6.0), (5.0, 6.0), (8, 8), Verdict::Lose),
    ];
    let tally = Tally::of(&contests, BootstrapParams::default()).unwrap();
    assert_eq!(tally.length_correlation, None);
}
