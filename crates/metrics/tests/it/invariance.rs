//! What must hold for any text.

use proptest::prelude::*;
use tamis_metrics::{
    Aggregate, BleuParams, BootstrapParams, Mean, Metric, RandomisationParams, Tokenizer,
    paired_t_test, total,
};

use crate::{bleu, chrf, chrf_plus_plus, ter};

/// Lines of words, marks, scripts and space.
fn line() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-dA-D]{1,3}",
        3 => Just(" ".to_owned()),
        2 => "[0-9.,;:!?'\"()&-]{1,2}",
        1 => "\\PC",
        1 => "[一-龥、。]{1,3}",
        1 => Just("&quot;".to_owned()),
    ];
    let glued = prop::collection::vec((piece, any::<bool>()), 0..14);
    glued.prop_map(|pieces| {
        let glue = |(piece, blank): (String, bool)| if blank { piece + " " } else { piece };
        pieces.into_iter().map(glue).collect()
    })
}

fn lines() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec((line(), line()), 1..8)
}

fn scores() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((-50.0..100.0, -50.0..100.0), 2..40)
}

/// The score of a corpus, checked to be that of its reverse and of the sum of its segments.
fn score<M: Metric>(metric: &M, lines: &[(String, String)]) -> Result<f64, TestCaseError> {
    let of = |lines: &[&(String, String)]| {
        let (hypotheses, references): (Vec<_>, Vec<_>) =
            lines.iter().map(|(a, b)| (a.as_str(), b.as_str())).unzip();
        metric.segments(&hypotheses, &[&references]).unwrap()
    };
    let forward = of(&lines.iter().collect::<Vec<_>>());
    let backward = of(&lines.iter().rev().collect::<Vec<_>>());
    let score = metric.corpus_score(&forward);
    prop_assert_eq!(score.to_bits(), metric.corpus_score(&backward).to_bits());
    prop_assert_eq!(score.to_bits(), metric.score(&total(&forward)).to_bits());
    let (head, tail) = forward.split_at(forward.len() / 2);
    let mut sum = total(head);
    sum += total(tail);
    prop_assert_eq!(score.to_bits(), metric.score(&sum).to_bits());
    prop_assert!(score.is_finite() && score >= 0.0);
    for segment in &forward {
        let score = metric.segment_score(segment);
        prop_assert!(score.is_finite() && score >= 0.0);
    }
    Ok(score)
}

proptest! {
    #[test]
    fn any_text_has_a_score(lines in lines()) {
        for tokenizer in ["13a", "zh", "char", "intl", "none"] {
            let tokenizer: Tokenizer = tokenizer.parse().unwrap();
            let params = BleuParams { tokenizer, ..BleuParams::default() };
            prop_assert!(score(&params.check().unwrap(), &lines)? <= 100.0 + 1e-9);
        }
        prop_assert!(score(&chrf(), &lines)? <= 100.0 + 1e-9);
        prop_assert!(score(&chrf_plus_plus(), &lines)? <= 100.0 + 1e-9);
        score(&ter(), &lines)?;
    }

    #[test]
    fn identical_text_is_perfect(line in line()) {
        let length = bleu().segment(&line, &[&line]).hypothesis_length;
        let same = [(line.clone(), line.clone())];
        if length >= 4 {
            prop_assert!((score(&bleu(), &same)? - 100.0).abs() < 1e-9);
        }
        if length > 0 {
            let stats = bleu().segment(&line, &[&line]);
            prop_assert!((bleu().segment_score(&stats) - 100.0).abs() < 1e-9);
            prop_assert!((score(&chrf(), &same)? - 100.0).abs() < 1e-9);
            prop_assert!((score(&chrf_plus_plus(), &same)? - 100.0).abs() < 1e-9);
        }
        prop_assert_eq!(score(&ter(), &same)?.to_bits(), 0);
    }

    #[test]
    fn one_of_several_references_is_enough(line in line(), other in line()) {
        let references = [other.as_str(), line.as_str()];
        let stats = bleu().segment(&line, &references);
        prop_assert_eq!(stats.matches, stats.totals);
        prop_assert_eq!(stats.hypothesis_length, stats.reference_length);
        prop_assert_eq!(ter().segment(&line, &references).edits, 0);
        let score = chrf().score(&chrf().segment(&line, &references));
        let alone = chrf().score(&chrf().segment(&line, &[&line]));
        prop_assert!((score - alone).abs() < 1e-9);
    }

    /// Never more edits than without shifts, and never fewer than the lengths differ.
    #[test]
    fn edits_have_bounds(
        a in prop::collection::vec(0..5_u8, 0..20),
        b in prop::collection::vec(0..5_u8, 1..20),
    ) {
        let text = |words: &[u8]| words.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
        let edits = ter().segment(&text(&a), &[&text(&b)]).edits;
        let mut row: Vec<u64> = (0..=b.len() as u64).collect();
        for x in &a {
            let mut before = row[0];
            row[0] += 1;
            for (j, y) in b.iter().enumerate() {
                let across = before + u64::from(x != y);
                before = row[j + 1];
                row[j + 1] = across.min(before + 1).min(row[j] + 1);
            }
        }
        prop_assert!(edits <= row[b.len()]);
        prop_assert!(edits >= a.len().abs_diff(b.len()) as u64);
    }

    #[test]
    fn tests_are_symmetric_and_repeatable(scores in scores(), seed: u64) {
        let (a, b): (Vec<f64>, Vec<f64>) = scores.into_iter().unzip();
        let (first, second) = (Mean::segments(&a).unwrap(), Mean::segments(&b).unwrap());
        let params = BootstrapParams { resamples: 100, confidence: 0.9, seed };
        let bootstrap = params.check().unwrap();
        let exchange = RandomisationParams { trials: 100, seed }.check().unwrap();
        let there = [
            bootstrap.compare(&Mean, &first, &second).unwrap(),
            exchange.compare(&Mean, &first, &second).unwrap(),
            paired_t_test(&a, &b, 0.9).unwrap(),
        ];
        let back = [
            bootstrap.compare(&Mean, &second, &first).unwrap(),
            exchange.compare(&Mean, &second, &first).unwrap(),
            paired_t_test(&b, &a, 0.9).unwrap(),
        ];
        prop_assert_eq!(there[0], bootstrap.compare(&Mean, &first, &second).unwrap());
        prop_assert_eq!(there[1], exchange.compare(&Mean, &first, &second).unwrap());
        for (there, back) in there.into_iter().zip(back) {
            prop_assert!((0.0..=1.0).contains(&there.p), "{:?}", there);
            prop_assert_eq!(there.n, a.len());
            prop_assert_eq!(there.difference.to_bits(), (-back.difference).to_bits());
            prop_assert_eq!((there.first, there.second), (back.second, back.first));
            prop_assert!((there.p - back.p).abs() < 1e-9, "{:?} {:?}", there, back);
            if let (Some(there), Some(back)) = (there.interval, back.interval) {
                prop_assert!(there.low <= there.high);
                prop_assert!((there.low + back.high).abs() < 1e-9);
            }
        }
    }
}

/// Another seed draws other segments.
#[test]
fn seeds_differ() {
    let scores: Vec<f64> = (0..50).map(|n| f64::from(n * n % 17)).collect();
    let (a, b) = (Mean::segments(&scores).unwrap(), Mean::segments(&[3.0; 50]).unwrap());
    let found = |seed| {
        let params = BootstrapParams { seed, ..BootstrapParams::default() };
        params.check().unwrap().compare(&Mean, &a, &b).unwrap().interval.unwrap()
    };
    assert_eq!(found(1), found(1));
    assert_ne!(found(1), found(2));
}

/// The number of threads does not matter.
#[test]
fn threads() {
    let (hypotheses, references) = crate::corpus(100, 0.2, 8);
    let (others, _) = crate::corpus(100, 0.25, 8);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let a = bleu().segments(&hypotheses, &[&references]).unwrap();
            let b = bleu().segments(&others, &[&references]).unwrap();
            let bootstrap = BootstrapParams::default().check().unwrap();
            let exchange = RandomisationParams::default().check().unwrap();
            (
                bootstrap.compare(&bleu(), &a, &b).unwrap(),
                exchange.compare(&bleu(), &a, &b).unwrap(),
            )
        })
    };
    assert_eq!(run(1), run(5));
}
