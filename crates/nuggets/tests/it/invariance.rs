//! What must not matter: batches, padding, order, neighbours.

use proptest::prelude::*;
use tamis_model::DType;
use tamis_nuggets::{GoldenCandidate, GoldenParams, GoldenScorer};

use crate::common::{apart, model, pool, short, tokenizer};

#[test]
fn batches_do_not_matter() {
    let (candidates, anchors) = (pool(0, 8), pool(30, 7));
    for (kind, bound) in [(DType::F64, 1e-11), (DType::F32, 1e-5)] {
        let model = model("qwen2", kind);
        let score = |token_budget| {
            let params = GoldenParams { token_budget, ..short("qwen2") };
            let scorer =
                GoldenScorer::new(model.as_ref(), tokenizer("qwen2"), params, &anchors).unwrap();
            scorer.score(&candidates).unwrap()
        };
        let one = score(1);
        for budget in [50, 300, 100_000] {
            assert!(apart(&score(budget), &one) <= bound, "{kind} {budget}");
        }
        assert_eq!(score(300), score(300));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn neighbours_and_order_do_not_matter(
        order in Just((0..10usize).collect::<Vec<_>>()).prop_shuffle(),
        count in 1..10usize,
        turn in 0..6usize,
        token_budget in 1..400usize,
    ) {
        let model = model("gpt2", DType::F64);
        let (samples, mut anchors) = (pool(0, 10), pool(40, 6));
        let params = GoldenParams { token_budget, ..short("gpt2") };
        let some: Vec<_> = order[..count].iter().map(|&n| samples[n].clone()).collect();
        let scorer =
            GoldenScorer::new(model.as_ref(), tokenizer("gpt2"), params.clone(), &anchors).unwrap();
        let alone: Vec<GoldenCandidate> = some
            .iter()
            .flat_map(|sample| scorer.score(std::slice::from_ref(sample)).unwrap())
            .collect();
        anchors.rotate_left(turn);
        let scorer = GoldenScorer::new(model.as_ref(), tokenizer("gpt2"), params, &anchors).unwrap();
        let mut turned = scorer.score(&some).unwrap();
        for candidate in &mut turned {
            candidate.rises.as_mut().unwrap().rotate_right(turn);
        }
        prop_assert!(apart(&turned, &alone) <= 1e-11);
    }
}
