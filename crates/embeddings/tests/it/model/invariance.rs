//! What must not matter: batch, padding, order, neighbours.

use proptest::prelude::*;
use tamis_model::{DType, Pool};

use super::{difference, embed, encoder, model, params, samples};

#[test]
fn a_batch_of_one_is_a_batch_of_many() {
    for name in ["begins", "plain"] {
        let (model, encoder, samples) = (model(name, DType::F32), encoder(name), samples(40));
        for pool in [Pool::All, Pool::Targets, Pool::Weighted] {
            let with = |budget| embed(model.as_ref(), &encoder, &params(pool, budget), &samples);
            let one = with(1);
            for budget in [150, 1000, 1_000_000] {
                for (one, many) in one.iter().zip(with(budget)) {
                    assert_eq!(one.id, many.id);
                    let apart = difference(&one.values, &many.values);
                    assert!(apart < 3e-6, "{name} {pool:?} {budget}: {apart}");
                }
            }
            assert_eq!(with(150), with(150));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn neighbours_and_order_do_not_matter(
        order in Just((0..30usize).collect::<Vec<_>>()).prop_shuffle(),
        count in 1..30usize,
        token_budget in 1..400usize,
        targets in any::<bool>(),
    ) {
        let (model, encoder) = (model("plain", DType::F64), encoder("plain"));
        let all = samples(30);
        let some: Vec<_> = order[..count].iter().map(|&n| all[n].clone()).collect();
        let params = params(if targets { Pool::Targets } else { Pool::All }, token_budget);
        let together = embed(model.as_ref(), &encoder, &params, &some);
        for (sample, found) in some.iter().zip(together) {
            let alone = embed(model.as_ref(), &encoder, &params, std::slice::from_ref(sample));
            prop_assert_eq!(&alone[0].id, &found.id);
            prop_assert!(difference(&alone[0].values, &found.values) < 2e-7);
        }
    }
}
