//! Plain computations, without what makes the library's fast.

use std::collections::HashMap;

use tamis_metrics::{
    Aggregate, BLEU_ORDER, BleuStats, BootstrapParams, Mean, Metric, RandomisationParams,
};

use crate::{Numbers, bleu, chrf, corpus, ter};

/// N-grams as they are, counted in a map.
fn counts<T: Clone + Eq + std::hash::Hash>(tokens: &[T], n: usize) -> HashMap<Vec<T>, u64> {
    let mut counts = HashMap::new();
    for gram in tokens.windows(n) {
        *counts.entry(gram.to_vec()).or_default() += 1;
    }
    counts
}

fn matches<T: Clone + Eq + std::hash::Hash>(a: &[T], b: &[T], n: usize) -> u64 {
    let b = counts(b, n);
    counts(a, n).iter().map(|(gram, &count)| count.min(b.get(gram).copied().unwrap_or(0))).sum()
}

#[test]
fn ngrams_counted_in_a_map() {
    let mut numbers = Numbers(4);
    for _ in 0..300 {
        let mut line = |longest: usize| -> Vec<char> {
            (0..numbers.below(longest)).map(|_| char::from(b'a' + numbers.below(4) as u8)).collect()
        };
        let (a, b) = (line(40), line(40));
        let spaced = |line: &[char]| line.iter().flat_map(|&c| [c, ' ']).collect::<String>();
        let found = bleu().segment(&spaced(&a), &[&spaced(&b)]);
        let expected = BleuStats {
            hypothesis_length: a.len() as u64,
            reference_length: b.len() as u64,
            matches: std::array::from_fn(|n| matches(&a, &b, n + 1)),
            totals: std::array::from_fn(|n| counts(&a, n + 1).values().sum()),
        };
        assert_eq!(found, expected, "{a:?} {b:?}");
        let found = chrf().segment(&spaced(&a), &[&spaced(&b)]);
        for n in 1..=6 {
            let order = found.orders[n - 1];
            assert_eq!(order.matches, matches(&a, &b, n));
            assert_eq!(order.reference, counts(&b, n).values().sum::<u64>());
        }
    }
}

/// The formula of Papineni et al., worked by hand.
#[test]
fn bleu_by_hand() {
    let stats = BleuStats {
        hypothesis_length: 18,
        reference_length: 20,
        matches: [12, 8, 5, 3],
        totals: [18, 17, 16, 15],
    };
    let mean = (12.0 / 18.0 * 8.0 / 17.0 * 5.0 / 16.0 * 3.0 / 15.0_f64).powf(0.25);
    let expected = 100.0 * mean * (1.0 - 20.0 / 18.0_f64).exp();
    assert!((bleu().score(&stats) - expected).abs() < 1e-12);
    assert_eq!(BLEU_ORDER, 4);
}

/// The example of Snover et al. (2006), section 2: three shifts and edits of a 13-word reference.
#[test]
fn ter_of_the_paper() {
    let reference =
        "SAUDI ARABIA denied THIS WEEK information published in the AMERICAN new york times";
    let hypothesis = "THIS WEEK THE SAUDIS denied information published in the new york times";
    let stats = ter().segment(hypothesis, &[reference]);
    // Shift "this week", substitute two words, insert "american".
    assert_eq!((stats.edits, stats.reference_length), (4, 13.0));
    assert!((ter().score(&stats) - 400.0 / 13.0).abs() < 1e-12);
}

/// With ten segments every exchange can be tried.
#[test]
fn randomisation_by_all_exchanges() {
    let (a, references) = corpus(10, 0.15, 1);
    let (b, _) = corpus(10, 0.3, 1);
    let metric = bleu();
    let a = metric.segments(&a, &[&references]).unwrap();
    let b = metric.segments(&b, &[&references]).unwrap();
    let observed = (metric.corpus_score(&a) - metric.corpus_score(&b)).abs();
    let mut extreme = 0;
    for bits in 0..1 << 10 {
        let chosen = |other: bool| -> Vec<BleuStats> {
            let pick = |n: usize| if (bits >> n & 1 == 1) == other { b[n] } else { a[n] };
            (0..10).map(pick).collect()
        };
        let difference = metric.corpus_score(&chosen(true)) - metric.corpus_score(&chosen(false));
        extreme += u32::from(difference.abs() >= observed - 1e-9);
    }
    let exact = f64::from(extreme) / 1024.0;
    let params = RandomisationParams { trials: 40_000, seed: 5 };
    let found = params.check().unwrap().compare(&metric, &a, &b).unwrap();
    let error = (exact * (1.0 - exact) / 40_000.0).sqrt();
    assert!((0.001..0.5).contains(&exact), "{exact}");
    assert!((found.p - exact).abs() < 4.0 * error + 1e-4, "{} {exact}", found.p);
}

/// With three segments the bootstrap has 27 test sets, which can all be scored.
#[test]
fn bootstrap_by_all_test_sets() {
    let (a, b) = ([1.0, 5.0, 2.0], [0.0, 2.0, 2.6]);
    let mut all = Vec::new();
    for draw in 0..27 {
        let drawn = [draw % 3, draw / 3 % 3, draw / 9];
        all.push(drawn.iter().map(|&n| a[n] - b[n]).sum::<f64>() / 3.0);
    }
    let observed = (8.0 - 4.6) / 3.0;
    let mean = all.iter().sum::<f64>() / 27.0;
    assert!((mean - observed).abs() < 1e-12);
    let extreme = all.iter().filter(|&d| (d - mean).abs() >= observed - 1e-9).count();
    let exact = extreme as f64 / 27.0;
    let params = BootstrapParams { resamples: 40_000, ..BootstrapParams::default() };
    let (a, b) = (Mean::segments(&a).unwrap(), Mean::segments(&b).unwrap());
    let found = params.check().unwrap().compare(&Mean, &a, &b).unwrap();
    let error = (exact * (1.0 - exact) / 40_000.0).sqrt();
    assert!((found.p - exact).abs() < 4.0 * error + 1e-4, "{} {exact}", found.p);
    let interval = found.interval.unwrap();
    all.sort_by(f64::total_cmp);
    // 1 of 27 is more than 2.5 %.
    assert!((interval.low - all[0]).abs() < 1e-9 && (interval.high - all[26]).abs() < 1e-9);
}

/// A test that rejects at 5 % rejects 5 % of the time if there is no difference, and most of the time if
/// there is one.
#[test]
fn tests_keep_their_level() {
    let mut numbers = Numbers(11);
    let (mut wrong, mut right) = ([0; 3], [0; 3]);
    let runs = 400;
    for run in 0..runs {
        let noise: Vec<f64> = (0..40).map(|_| numbers.next() - numbers.next()).collect();
        let zero = vec![0.0; 40];
        let moved: Vec<f64> = noise.iter().map(|x| x + 0.3).collect();
        for (rejected, first) in [(&mut wrong, &noise), (&mut right, &moved)] {
            let (a, b) = (Mean::segments(first).unwrap(), Mean::segments(&zero).unwrap());
            let bootstrap = BootstrapParams { seed: run, ..BootstrapParams::default() };
            let exchange = RandomisationParams { trials: 1000, seed: run };
            let p = [
                bootstrap.check().unwrap().compare(&Mean, &a, &b).unwrap().p,
                exchange.check().unwrap().compare(&Mean, &a, &b).unwrap().p,
                tamis_metrics::paired_t_test(first, &zero, 0.95).unwrap().p,
            ];
            for (count, p) in rejected.iter_mut().zip(p) {
                *count += u32::from(p < 0.05);
            }
        }
    }
    for (wrong, right) in wrong.into_iter().zip(right) {
        assert!((8..=36).contains(&wrong), "{wrong} of {runs} wrong");
        assert!(right > 380, "{right} of {runs} right");
    }
}
