//! The linear datamodelling score against scipy, a plain loop, and what must hold for any numbers.

use proptest::prelude::*;
use tamis_metrics::{
    Bootstrap, BootstrapParams, Lds, MetricsError, compare_attributions,
    linear_datamodelling_score, retraining_agreement,
};

use crate::fixtures::{json, numbers};

type Rows = Vec<Vec<f64>>;

fn bootstrap() -> Bootstrap {
    BootstrapParams { resamples: 200, ..BootstrapParams::default() }.check().unwrap()
}

fn lds(scores: &Rows, subsets: &[Vec<usize>], losses: &Rows) -> Result<Lds, MetricsError> {
    linear_datamodelling_score(scores, subsets, losses, &bootstrap())
}

fn rows(value: &serde_json::Value) -> Rows {
    value.as_array().unwrap().iter().map(numbers).collect()
}

#[test]
fn equal_to_scipy() {
    let banks = json("lds.json")["banks"].as_array().unwrap().clone();
    assert_eq!(banks.len(), 3);
    for bank in banks {
        let subsets: Vec<Vec<usize>> = rows(&bank["subsets"])
            .iter()
            .map(|subset| subset.iter().map(|&n| n as usize).collect())
            .collect();
        let found = lds(&rows(&bank["scores"]), &subsets, &rows(&bank["losses"])).unwrap();
        assert!((found.score - bank["score"].as_f64().unwrap()).abs() < 1e-12);
        for (found, expected) in found.per_query.iter().zip(numbers(&bank["per_query"])) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(found.subsets, subsets.len());
        let interval = found.interval;
        assert!(interval.low <= found.score && found.score <= interval.high, "{interval:?}");
    }
}

/// Scores of 8 samples, 10 subsets of 4, losses that nothing explains.
fn bank() -> impl Strategy<Value = (Rows, Vec<Vec<usize>>, Rows)> {
    let number = -100..100_i32;
    let scores = prop::collection::vec(prop::collection::vec(number.clone(), 3), 8);
    let subsets =
        prop::collection::vec(prop::sample::subsequence((0..8_usize).collect::<Vec<_>>(), 4), 10);
    let losses = prop::collection::vec(prop::collection::vec(number, 3), 10);
    let float = |rows: Vec<Vec<i32>>| -> Rows {
        rows.into_iter().map(|row| row.into_iter().map(f64::from).collect()).collect()
    };
    (scores, subsets, losses).prop_map(move |(a, s, l)| (float(a), s, float(l)))
}

/// By pairs: equal values lie between the places after the smaller and before the larger ones.
fn naive(scores: &Rows, subsets: &[Vec<usize>], losses: &Rows, query: usize) -> f64 {
    let predicted: Vec<f64> =
        subsets.iter().map(|subset| subset.iter().map(|&n| scores[n][query]).sum()).collect();
    let outcome: Vec<f64> = losses.iter().map(|row| -row[query]).collect();
    let rank = |values: &[f64], n: usize| {
        let below = values.iter().filter(|&&v| v < values[n]).count() as f64;
        let above = values.iter().filter(|&&v| v > values[n]).count() as f64;
        0.5 * (below + values.len() as f64 - above + 1.0)
    };
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    let middle = (subsets.len() + 1) as f64 / 2.0;
    for n in 0..subsets.len() {
        let (x, y) = (rank(&predicted, n) - middle, rank(&outcome, n) - middle);
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    xy / (xx * yy).sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn what_must_hold((scores, subsets, losses) in bank()) {
        let Ok(found) = lds(&scores, &subsets, &losses) else { return Ok(()) };
        for (query, &value) in found.per_query.iter().enumerate() {
            prop_assert!((value - naive(&scores, &subsets, &losses, query)).abs() < 1e-12);
        }
        // Halves are of one size, so a constant added to the scores of a query changes nothing; nor does a
        // positive factor. Numbers are small integers and powers of two: sums are exact.
        let moved: Rows = scores
            .iter()
            .map(|row| (0..3).map(|q| row[q] * [0.5, 4.0, 32.0][q] + [3.0, -1.0, 0.0][q]).collect())
            .collect();
        prop_assert_eq!(&lds(&moved, &subsets, &losses).unwrap(), &found);
        // The order of the subsets decides the draws of the bootstrap alone.
        let turned = |rows: &Rows| -> Rows { rows.iter().rev().cloned().collect() };
        let backwards: Vec<Vec<usize>> = subsets.iter().rev().cloned().collect();
        let other = lds(&scores, &backwards, &turned(&losses)).unwrap();
        for (a, b) in other.per_query.iter().zip(&found.per_query) {
            prop_assert!((a - b).abs() < 1e-12);
        }
        // Helpful turned into harmful.
        let negative: Rows =
            scores.iter().map(|row| row.iter().map(|score| -score).collect()).collect();
        prop_assert!((lds(&negative, &subsets, &losses).unwrap().score + found.score).abs() < 1e-12);
        // A bank agrees with itself, and with nothing else more.
        let agreement = retraining_agreement(&[losses.clone(), losses.clone()]).unwrap();
        prop_assert!((agreement - 1.0).abs() < 1e-12);
    }
}

/// Losses that are the negative sums foretell themselves; scores of the wrong sign the opposite.
#[test]
fn the_sign_is_that_of_help() {
    let scores: Rows = (0..10).map(|n| vec![f64::from(n), f64::from((n * 7) % 10)]).collect();
    let subsets: Vec<Vec<usize>> = (0..6).map(|n| (n..n + 5).collect()).collect();
    let losses: Rows = subsets
        .iter()
        .map(|s| (0..2).map(|q| -s.iter().map(|&n| scores[n][q]).sum::<f64>()).collect())
        .collect();
    let found = lds(&scores, &subsets, &losses).unwrap();
    assert!(found.per_query.iter().all(|&value| (value - 1.0).abs() < 1e-12));
    assert!((found.interval.low - 1.0).abs() < 1e-12 && (found.interval.high - 1.0).abs() < 1e-12);
}

#[test]
fn repeats_agree_as_scipy_says() {
    // scipy.stats.spearmanr([1, 2, 3, 4], [1, 3, 2, 4]) and ([1, 2, 3, 4], [4, 3, 2, 1]): 0.8 and −1.
    let first: Rows = vec![vec![1.0, 1.0], vec![2.0, 2.0], vec![3.0, 3.0], vec![4.0, 4.0]];
    let second: Rows = vec![vec![1.0, 4.0], vec![3.0, 3.0], vec![2.0, 2.0], vec![4.0, 1.0]];
    let agreement = retraining_agreement(&[first, second]).unwrap();
    assert!((agreement - (0.8 - 1.0) / 2.0).abs() < 1e-12);
}

#[test]
fn the_draws_are_those_of_the_seed() {
    let scores: Rows = (0..8).map(|n| vec![f64::from(n * n % 5), f64::from(n)]).collect();
    let subsets: Vec<Vec<usize>> = (0..8).map(|n| vec![n, (n + 3) % 8, (n * 5 + 1) % 8]).collect();
    let losses: Rows = (0..8).map(|n| vec![f64::from(n % 4), f64::from(n * 3 % 7)]).collect();
    let with = |seed| {
        let bootstrap = BootstrapParams { seed, ..BootstrapParams::default() }.check().unwrap();
        linear_datamodelling_score(&scores, &subsets, &losses, &bootstrap).unwrap()
    };
    assert_eq!(with(1), with(1));
    assert_ne!(with(1).interval, with(2).interval);
    assert_eq!(with(1).score.to_bits(), with(2).score.to_bits());
    let interval = with(1).interval;
    assert!(interval.low < with(1).score && with(1).score < interval.high);
}

/// Two attributions of which one knows the losses and one knows a part: on the same draws their
/// difference is surer than intervals of each let believe.
#[test]
fn a_comparison_is_paired() {
    let samples = 24_usize;
    let known = |n: usize| vec![(n * 37 % 50) as f64, (n * 61 % 53) as f64, (n * 23 % 47) as f64];
    let blurred = |n: usize| -> Vec<f64> {
        (0..3).map(|q| known(n)[q] + (n * (71 + 4 * q) % 59) as f64).collect()
    };
    let best: Rows = (0..samples).map(known).collect();
    let good: Rows = (0..samples).map(blurred).collect();
    let subsets: Vec<Vec<usize>> = (0..20_usize)
        .map(|m| (0..samples).filter(|n| (n * n * 5 + n * (m + 3) * 7 + m * m) % 11 < 5).collect())
        .collect();
    let noise = |m: usize, q: usize| (m * (17 + q) % 19) as f64 * 3.0;
    let losses: Rows = subsets
        .iter()
        .enumerate()
        .map(|(m, s)| {
            (0..3).map(|q| noise(m, q) - s.iter().map(|&n| best[n][q]).sum::<f64>()).collect()
        })
        .collect();
    let compare =
        |a: &Rows, b: &Rows| compare_attributions(a, b, &subsets, &losses, &bootstrap()).unwrap();
    let (alone, other) =
        (lds(&best, &subsets, &losses).unwrap(), lds(&good, &subsets, &losses).unwrap());
    let found = compare(&best, &good);
    assert!((found.difference - (alone.score - other.score)).abs() < 1e-12);
    assert_eq!((found.n, found.first.to_bits()), (20, alone.score.to_bits()));
    let interval = found.interval.unwrap();
    assert!(interval.low <= found.difference && found.difference <= interval.high);
    let width = |interval: tamis_metrics::Interval| interval.high - interval.low;
    assert!(width(interval) < width(alone.interval) + width(other.interval));
    // The other way round, and against itself.
    let back = compare(&good, &best);
    let turned = back.interval.unwrap();
    assert!((back.difference + found.difference).abs() < 1e-12);
    assert!((turned.low + interval.high).abs() < 1e-12 && (back.p - found.p).abs() < 1e-12);
    let same = compare(&good, &good);
    assert!(same.difference.abs() < 1e-300 && (same.p - 1.0).abs() < 1e-12);
    assert!(width(same.interval.unwrap()) < 1e-300);
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let scores: Rows = vec![vec![1.0, 2.0], vec![3.0, 4.0], vec![6.0, 5.0]];
    let subsets = vec![vec![0], vec![1], vec![2]];
    let losses: Rows = vec![vec![3.0, 1.0], vec![2.0, 2.0], vec![1.0, 4.0]];
    assert!(lds(&scores, &subsets, &losses).is_ok());
    let refused = |scores: &Rows, subsets: &[Vec<usize>], losses: &Rows, part: &str| {
        let error = lds(scores, subsets, losses).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        error
    };
    let two = refused(&scores, &subsets[..2], &losses[..2].to_vec(), "2 subsets, at least 3");
    assert!(matches!(two, MetricsError::NotEnough { .. }));
    refused(&scores, &subsets, &losses[..2].to_vec(), "2 rows of losses for 3 subsets");
    refused(&scores, &subsets, &vec![vec![]; 3], "0 queries");
    refused(&vec![vec![1.0]; 3], &subsets, &losses, "1 scores of a sample for 2 queries");
    let mut ragged = losses.clone();
    ragged[1].pop();
    refused(&scores, &subsets, &ragged, "1 losses of a subset for 2 queries");
    let beyond = vec![vec![0], vec![3], vec![2]];
    let error = refused(&scores, &beyond, &losses, "subset 1 (from 0) holds sample 3");
    assert!(matches!(error, MetricsError::NoSuchSample { subset: 1, sample: 3, samples: 3 }));
    for value in [f64::NAN, f64::INFINITY] {
        let mut bad = losses.clone();
        bad[2][1] = value;
        refused(&scores, &subsets, &bad, "query 1 after subset 2");
        let mut bad = scores.clone();
        bad[0][1] = value;
        refused(&bad, &subsets, &losses, "sample 0 for query 1");
    }
    let huge = vec![vec![f64::MAX, 1.0]; 3];
    refused(&huge, &[vec![0, 1], vec![1], vec![2]], &losses, "subset 0 for query 0");
    let mut flat = losses.clone();
    for row in &mut flat {
        row[1] = 2.5;
    }
    let error = refused(&scores, &subsets, &flat, "losses of query 1 (from 0) are 2.5");
    assert!(matches!(error, MetricsError::Constant { what: "losses", query: 1, .. }));
    let mut flat = scores.clone();
    for row in &mut flat {
        row[0] = 7.0;
    }
    let error = refused(&flat, &subsets, &losses, "predictions of query 0");
    assert!(matches!(error, MetricsError::Constant { what: "predictions", query: 0, .. }));
    let once = retraining_agreement(std::slice::from_ref(&losses)).unwrap_err();
    assert!(matches!(once, MetricsError::NotEnough { what: "repeats", found: 1, least: 2 }));
    let other: Rows = losses.iter().map(|row| row[..1].to_vec()).collect();
    assert!(retraining_agreement(&[losses, other]).is_err());
}
