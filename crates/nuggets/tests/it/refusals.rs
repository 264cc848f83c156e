//! What cannot be scored has a reason, and what cannot be used is refused by name.

use tamis_dataset::{Reason, Sample, SampleId};
use tamis_model::DType;
use tamis_nuggets::{
    Anchor, GoldenCandidate, GoldenParams, GoldenRule, GoldenScorer, GoldenScores, NuggetsError,
    OwnPair,
};

use crate::common::{chat, model, pool, rises, sample, short, tokenizer};

fn refused(params: GoldenParams, anchors: &[Sample]) -> String {
    let model = model("llama", DType::F32);
    let scorer = GoldenScorer::new(model.as_ref(), tokenizer("llama"), params, anchors);
    scorer.err().unwrap().to_string()
}

#[test]
fn settings_out_of_range() {
    let anchors = pool(0, 2);
    let short = || short("llama");
    for (params, part) in [
        (GoldenParams { token_budget: 0, ..short() }, "`token_budget` is 0"),
        (GoldenParams { shard_rows: 0, ..short() }, "`shard_rows` is 0"),
        (GoldenParams { max_length: 3, ..short() }, "`max_length` is 3"),
        (GoldenParams { max_length: 129, ..short() }, "at most 128"),
    ] {
        let message = refused(params, &anchors);
        assert!(message.contains(part), "{message}");
    }
    for bad in [-0.1, 1.1, f64::NAN] {
        let rule = GoldenRule { threshold: Some(bad), ..GoldenRule::default() };
        assert!(rule.check().unwrap_err().to_string().contains("threshold"));
    }
}

#[test]
fn anchors_that_cannot_be_used_are_named() {
    assert!(refused(short("llama"), &[]).contains("no anchor"));
    let with = |bad: Sample| refused(short("llama"), &[sample(1, "a", "", "b"), bad]);
    let long = with(sample(7, &"a ".repeat(70), "", "b"));
    assert!(long.contains("`s7` (row 7)") && long.contains("at most 64"), "{long}");
    let empty = with(sample(8, "a", "", " "));
    assert!(empty.contains("`s8`") && empty.contains("target is empty"), "{empty}");
    let turns = with(chat(9, &[("user", "a"), ("assistant", "b"), ("user", "c")]));
    assert!(turns.contains("`s9`"), "{turns}");
}

#[test]
fn candidates_that_cannot_be_scored_have_a_reason() {
    let model = model("llama", DType::F32);
    let anchors = [sample(0, "a", "", "b"), sample(1, "the sky is", "", "blue")];
    let scorer =
        GoldenScorer::new(model.as_ref(), tokenizer("llama"), short("llama"), &anchors).unwrap();
    let fits = |letters: usize| sample(letters, &"x".repeat(letters), "", "y");
    let turns = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")];
    let samples = [fits(4), sample(90, "a", "", ""), chat(91, &turns), fits(62)];
    let found = scorer.score(&samples).unwrap();
    assert_eq!(rises(&found[0]).len(), 2);
    assert_eq!(found[1].rises, Err(Reason::EmptyTarget));
    assert!(matches!(found[2].rises, Err(Reason::Refused(_))), "{:?}", found[2]);
    assert_eq!(found[1].golden(OwnPair::Counted), None);

    // One token less fits; the reason names the anchor and says how many there would be.
    let Err(Reason::TooLong { tokens, limit: 64, with: Some(anchor) }) = &found[3].rises else {
        panic!("{:?}", found[3]);
    };
    assert_eq!(anchor.to_string(), "s1");
    let surplus = tokens - 64;
    let scored = |letters| scorer.score(&[fits(letters)]).unwrap().remove(0).rises;
    assert!(scored(62 - surplus).is_ok());
    let message = scored(63 - surplus).unwrap_err().to_string();
    assert!(message.contains("65 tokens with `s1`, at most 64"), "{message}");
}

/// A model whose numbers are none gives no score, not a score of 0.
#[test]
fn what_is_not_finite_is_no_score() {
    let model = model("llama", DType::F32);
    let anchors = pool(0, 2);
    let scorer =
        GoldenScorer::new(model.as_ref(), tokenizer("llama"), short("llama"), &anchors).unwrap();
    scorer.anchors().unwrap();
    let mut weight = model.parameters().get("model.norm.weight").unwrap().shallow_clone();
    let _ = tch::no_grad(|| weight.fill_(f64::NAN));
    let found = scorer.score(&pool(5, 1)).unwrap();
    assert_eq!(found[0].rises, Err(Reason::NonFinite));
    let scorer =
        GoldenScorer::new(model.as_ref(), tokenizer("llama"), short("llama"), &anchors).unwrap();
    let message = scorer.score(&pool(5, 1)).unwrap_err().to_string();
    assert!(message.contains("anchor `s0`") && message.contains("finite"), "{message}");
}

#[test]
fn rises_belong_to_anchors() {
    let anchor = Anchor { id: "a".into(), index: 0, targets: 3, zero_shot: -1.0 };
    let candidate =
        |rises| GoldenCandidate { id: SampleId::from("c"), index: 4, rises, own: vec![] };
    let of = |candidate| GoldenScores::new(vec![anchor.clone()], vec![candidate]);
    assert!(of(candidate(Ok(vec![0.5]))).is_ok());
    assert!(of(candidate(Err(Reason::NoPrompt))).is_ok());
    let error = of(candidate(Ok(vec![0.5, 0.1]))).unwrap_err();
    assert!(matches!(error, NuggetsError::Rises { found: 2, expected: 1, .. }), "{error}");
}
