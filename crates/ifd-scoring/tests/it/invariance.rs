//! What must not matter: batch size, padding, order, neighbours, duplicates; and what is run.

use std::sync::atomic::Ordering;

use proptest::prelude::*;
use tamis_ifd_scoring::{IfdScorer, Measures, Preset, ScoreParams};
use tamis_model::DType;

use crate::common::{Counting, assert_close, model, pool, sample, short, tokenizer};

#[test]
fn batches_do_not_matter() {
    for (kind, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
        let model = model("begins", kind);
        let samples = pool(40);
        let score = |token_budget| {
            let params = ScoreParams {
                token_budget,
                measures: Measures::ALL,
                ..short(Preset::Reflection.scoring())
            };
            IfdScorer::new(model.as_ref(), tokenizer("begins"), params)
                .unwrap()
                .score(&samples)
                .unwrap()
        };
        let one = score(1);
        for budget in [200, 1000, 1_000_000] {
            assert_close(&score(budget), &one, tolerance);
        }
        assert_eq!(score(1000), score(1000));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn neighbours_and_order_do_not_matter(
        order in Just((0..30usize).collect::<Vec<_>>()).prop_shuffle(),
        count in 1..30usize,
        token_budget in 1..600usize,
        preset in 0..3usize,
    ) {
        let model = model("plain", DType::F64);
        let samples = pool(30);
        let params = ScoreParams { token_budget, ..short(Preset::ALL[preset].scoring()) };
        let scorer = IfdScorer::new(model.as_ref(), tokenizer("plain"), params).unwrap();
        let some: Vec<_> = order[..count].iter().map(|&n| samples[n].clone()).collect();
        let found = scorer.score(&some).unwrap();
        let alone: Vec<_> = some
            .iter()
            .flat_map(|sample| scorer.score(std::slice::from_ref(sample)).unwrap())
            .collect();
        assert_close(&found, &alone, 1e-12);
    }
}

/// What a scoring runs, by what the model itself sees.
fn run(params: ScoreParams, samples: &[tamis_dataset::Sample]) -> (usize, usize) {
    let model = Counting::new(model("plain", DType::F32));
    let scorer = IfdScorer::new(&model, tokenizer("plain"), params).unwrap();
    let (scores, work) = scorer.score_counted(samples).unwrap();
    assert_eq!(scores.len(), samples.len());
    let (rows, logits) = (model.rows.load(Ordering::Relaxed), model.logits.load(Ordering::Relaxed));
    assert_eq!((rows, logits), (work.texts, work.targets));
    (rows, logits)
}

#[test]
fn only_what_is_asked_for_is_run() {
    let samples = [
        sample(0, "Name a colour.", "", "Blue and green."),
        sample(1, "Add the numbers.", "2 and 3", "That makes 5."),
    ];
    let asked = |ppl, ifd, r_ifd| {
        let measures = Measures { ppl, ifd, r_ifd };
        run(ScoreParams { measures, ..short(Preset::Reflection.scoring()) }, &samples).0
    };
    assert_eq!(asked(true, false, false), 2);
    assert_eq!(asked(false, true, false), 4);
    assert_eq!(asked(true, true, false), 4);
    assert_eq!(asked(false, false, true), 4);
    assert_eq!(asked(true, true, true), 8);
}

#[test]
fn shared_terms_are_run_once() {
    // Two instructions for one answer, as a student compares them, and one pair twice.
    let samples = [
        sample(0, "Name a colour.", "", "Blue and green."),
        sample(1, "Name two colours.", "", "Blue and green."),
        sample(2, "Name a colour.", "", "Blue and green."),
    ];
    let params = short(Preset::Superfiltering.scoring());
    // Two conditional terms, one direct.
    assert_eq!(run(params.clone(), &samples).0, 3);
    let scorer_model = model("plain", DType::F32);
    let scorer = IfdScorer::new(scorer_model.as_ref(), tokenizer("plain"), params).unwrap();
    let scores = scorer.score(&samples).unwrap();
    assert_eq!(scores[0].answer, scores[2].answer);
    assert_eq!(scores[0].answer.direct, scores[1].answer.direct);
    assert_ne!(scores[0].answer.conditional, scores[1].answer.conditional);
}
