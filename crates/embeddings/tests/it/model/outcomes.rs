//! Samples that cannot be embedded, and settings that cannot be honoured.

use tamis_dataset::{EncodeOptions, Encoder, Outcome, Reason, Truncation};
use tamis_embeddings::{EmbedParams, Embedder};
use tamis_model::{DType, Pool};

use super::{encoder, encoder_with, model, params, sample};

#[test]
fn reasons_instead_of_rows() {
    let model = model("begins", DType::F32);
    let long = "the weather is nice today ".repeat(20);
    let samples = [
        sample(0, "Name a colour.", "Blue."),
        sample(1, "Say nothing.", "  "),
        sample(2, "Say much.", &long),
        sample(3, &long, "Yes."),
    ];
    for (truncation, expected) in [
        (Truncation::RejectCut, [None, Some(Reason::EmptyTarget), CUT, CUT]),
        (Truncation::KeepPrefix, [None, Some(Reason::EmptyTarget), None, CUT]),
    ] {
        let options = EncodeOptions { max_length: 40, truncation, ..EncodeOptions::default() };
        let encoder = encoder_with("begins", options);
        for pool in [Pool::All, Pool::Targets] {
            let params = params(pool, 100);
            let embedder = Embedder::new(model.as_ref(), &encoder, &params).unwrap();
            let outcomes = embedder.embed(&samples).unwrap();
            let found: Vec<_> = outcomes.iter().map(Outcome::reason).collect();
            assert_eq!(found, expected.each_ref().map(Option::as_ref), "{truncation:?}");
            for outcome in outcomes.iter().filter_map(Outcome::as_scored) {
                assert_eq!(outcome.values.len(), embedder.columns());
            }
        }
    }
    assert!(embed_nothing());
}

const CUT: Option<Reason> = Some(Reason::TargetTruncated);

/// No samples are no error.
fn embed_nothing() -> bool {
    let (model, encoder, params) =
        (model("begins", DType::F32), encoder("begins"), EmbedParams::default());
    Embedder::new(model.as_ref(), &encoder, &params).unwrap().embed(&[]).unwrap().is_empty()
}

#[test]
fn numbers_that_are_not_finite_are_a_reason() {
    let (model, encoder) = (model("begins", DType::F32), encoder("begins"));
    let samples = [sample(0, "Name a colour.", "Blue."), sample(1, "Say it.", "天")];
    let tokens = |n: usize| encoder.encode(&samples[n]).scored().unwrap().ids;
    let poisoned = *tokens(1).iter().find(|id| !tokens(0).contains(id)).unwrap();
    let embedding = model.parameters().get("model.embed_tokens.weight").unwrap();
    let _ = tch::no_grad(|| embedding.get(i64::from(poisoned)).fill_(f64::NAN));
    let params = params(Pool::All, 1000);
    let outcomes =
        Embedder::new(model.as_ref(), &encoder, &params).unwrap().embed(&samples).unwrap();
    assert!(outcomes[0].as_scored().is_some());
    assert_eq!(outcomes[1].reason(), Some(&Reason::NonFinite));
}

#[test]
fn settings_are_checked() {
    let (model, good) = (model("begins", DType::F32), EmbedParams::default());
    assert_eq!(good.clone().check().unwrap(), good);
    let refused = |params: &EmbedParams, encoder: &Encoder| {
        Embedder::new(model.as_ref(), encoder, params).unwrap_err().to_string()
    };
    for (bad, name) in [
        (EmbedParams { token_budget: 0, ..good.clone() }, "`token_budget` is 0"),
        (EmbedParams { shard_rows: 0, ..good.clone() }, "`shard_rows` is 0"),
    ] {
        assert!(refused(&bad, &encoder("begins")).contains(name));
    }
    let long = EncodeOptions { max_length: 321, ..EncodeOptions::default() };
    let message = refused(&good, &encoder_with("begins", long));
    assert!(message.contains("`max_length` is 321, expected at most 320"), "{message}");
    let text = serde_json::to_string(&good).unwrap();
    assert_eq!(serde_json::from_str::<EmbedParams>(&text).unwrap(), good);
}
