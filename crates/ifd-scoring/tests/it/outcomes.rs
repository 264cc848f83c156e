//! Samples that cannot be scored: each ends in a reason, none in a number.

use tamis_dataset::{Content, Reason, Sample, Template, Truncation};
use tamis_ifd_scoring::{
    IfdError, IfdScorer, Measured, Measures, Preset, SampleScores, ScoreParams,
};
use tamis_model::DType;

use crate::common::{chat, model, sample, short, tokenizer, value};

fn all(preset: Preset) -> ScoreParams {
    ScoreParams { measures: Measures::ALL, ..short(preset.scoring()) }
}

fn score(name: &str, params: ScoreParams, samples: &[Sample]) -> Vec<SampleScores> {
    let model = model(name, DType::F32);
    IfdScorer::new(model.as_ref(), tokenizer(name), params).unwrap().score(samples).unwrap()
}

fn reason(reason: Reason) -> Measured<f64> {
    Measured::Unscorable(reason)
}

#[test]
fn texts_without_a_target() {
    let samples = [
        sample(0, "Say something.", "", ""),
        sample(1, "Say something.", "", " \n"),
        sample(2, "", "", "Something."),
        sample(3, "Say something.", "", "Something."),
    ];
    for preset in Preset::ALL {
        let scores = score("begins", all(preset), &samples);
        for blank in &scores[..2] {
            assert_eq!(blank.ifd(), reason(Reason::EmptyTarget));
            assert_eq!(blank.ppl_cond(), reason(Reason::EmptyTarget));
            assert_eq!(blank.r_ifd(), reason(Reason::EmptyTarget));
        }
        // Without an instruction there is nothing to guess, but the answer has its perplexity.
        assert_eq!(scores[2].r_ifd(), reason(Reason::EmptyTarget));
        assert!(value(&scores[2].ifd()) > 0.0);
        assert!(value(&scores[3].r_ifd()) > 0.0);
    }
}

#[test]
fn a_lone_token_has_a_context_only_after_a_beginning() {
    let samples = [sample(0, "Give a letter.", "", "x")];
    let scores = score("plain", all(Preset::Superfiltering), &samples);
    assert_eq!(scores[0].ifd(), reason(Reason::TooFewTokens));
    assert_eq!(scores[0].ppl_cond(), reason(Reason::TooFewTokens));
    // After the cue to answer it has one.
    let scores = score("plain", all(Preset::Cherry), &samples);
    assert_eq!(scores[0].answer.direct.value().unwrap().targets, 1);
    let scores = score("begins", all(Preset::Superfiltering), &samples);
    assert_eq!(scores[0].answer.direct.value().unwrap().targets, 1);
}

#[test]
fn the_length_limit() {
    let long = "many words ".repeat(100);
    let samples = [sample(0, "Short.", "", &long), sample(1, &long, "", "Short.")];
    let cut = reason(Reason::TargetTruncated);
    let keep = |truncation| {
        let params = ScoreParams { truncation, max_length: 60, ..Preset::Superfiltering.scoring() };
        score("begins", params, &samples)
    };
    let rejected = keep(Truncation::RejectCut);
    assert_eq!([rejected[0].ifd(), rejected[1].ifd()], [cut.clone(), cut.clone()]);
    let kept = keep(Truncation::KeepPrefix);
    let terms = kept[0].answer.clone();
    let targets = |term: Measured<tamis_ifd_scoring::Term>| term.value().unwrap().targets;
    assert!(targets(terms.conditional.clone()) < 60);
    assert_eq!(targets(terms.conditional), targets(terms.direct));
    // Nothing of its answer is left.
    assert_eq!(kept[1].ifd(), cut);
}

#[test]
fn conversations() {
    let samples = [
        chat(0, &[("user", "Name a colour."), ("assistant", "Blue.")]),
        chat(
            1,
            &[("user", "Hi."), ("assistant", "Hello."), ("user", "Bye."), ("assistant", "Go.")],
        ),
        chat(2, &[("system", "Be brief."), ("user", "Name a colour."), ("assistant", "Blue.")]),
    ];
    let several = Measured::Unscorable(Reason::SeveralTurns);
    let bare = score("begins", all(Preset::Superfiltering), &samples);
    assert_eq!(
        [bare[1].ifd(), bare[1].r_ifd(), bare[2].ifd()],
        [several.clone(), several.clone(), several.clone()]
    );
    let single =
        score("begins", all(Preset::Superfiltering), &[sample(0, "Name a colour.", "", "Blue.")]);
    assert_eq!(bare[0], single[0]);

    // Vicuna has a place for both; of several answers the last is scored.
    let vicuna = score("begins", all(Preset::Reflection), &samples);
    assert!(value(&vicuna[1].ifd()) > 0.0);
    assert_eq!(vicuna[1].r_ifd(), several);
    assert!(value(&vicuna[2].r_ifd()) > 0.0);
    let last = score("begins", all(Preset::Reflection), &[sample(0, "x", "", "Go.")]);
    assert_eq!(vicuna[1].answer.direct, last[0].answer.direct);
}

#[test]
fn the_last_answer_is_scored_or_none() {
    let long = "many words ".repeat(100);
    let turns = |question, answer| {
        [("user", "Hi."), ("assistant", "Hello."), ("user", question), ("assistant", answer)]
    };
    let samples = [
        chat(0, &turns(&long, "Go.")),
        chat(1, &turns("Bye.", "")),
        chat(2, &turns("Bye.", " \n")),
        chat(3, &turns("Bye.", &long)),
    ];
    let cut = reason(Reason::TargetTruncated);
    let blank = reason(Reason::EmptyTarget);
    // This preset keeps what fits of a text: of the first, the earlier answer would.
    let scores = score("begins", all(Preset::Reflection), &samples);
    for (scores, expected) in scores.iter().zip([cut, blank.clone(), blank]) {
        assert_eq!(
            [scores.ifd(), scores.ppl_cond(), scores.ppl_direct()],
            [expected.clone(), expected.clone(), expected.clone()]
        );
    }
    // Of the last answer a part fits, and it is that part.
    let first = score("begins", all(Preset::Reflection), &[sample(0, "x", "", "Hello.")]);
    let kept = scores[3].answer.direct.value().unwrap();
    assert!(kept.targets > first[0].answer.direct.value().unwrap().targets);
    assert!(value(&scores[3].ifd()) > 0.0);
}

#[test]
fn translations_need_their_language() {
    let content = Content::Translation { source: "Guten Tag.".into(), target: "Hello.".into() };
    let row = Sample { id: "t".into(), index: 7, content };
    let named = ScoreParams { target_language: Some("English".into()), ..all(Preset::Cherry) };
    let scores = score("begins", named, std::slice::from_ref(&row));
    assert!(value(&scores[0].ifd()) > 0.0 && value(&scores[0].r_ifd()) > 0.0);

    let model = model("begins", DType::F32);
    let only_back = Measures { ppl: false, ifd: false, r_ifd: true };
    let params = ScoreParams { measures: only_back, ..all(Preset::Cherry) };
    let scorer = IfdScorer::new(model.as_ref(), tokenizer("begins"), params).unwrap();
    let error = scorer.score(&[row]).unwrap_err();
    assert!(matches!(&error, IfdError::TargetLanguage { index: 7, .. }), "{error}");
}

#[test]
fn a_model_that_answers_with_no_number() {
    let model = model("begins", DType::F32);
    let samples = [sample(0, "Say Z.", "", "the Z"), sample(1, "Say a.", "", "the a")];
    let words = tokenizer("begins");
    let (used, other) =
        (words.ids("the Z", false).unwrap(), words.ids("Say a.\nthe a", true).unwrap());
    // Its first token, which is read before the second is predicted, in no other text and not 0.
    let poisoned = *used.iter().find(|id| !other.contains(id)).unwrap();
    let embedding = model.parameters().get("model.embed_tokens.weight").unwrap();
    let _ = embedding.get(i64::from(poisoned)).fill_(f64::NAN);
    let params = ScoreParams { template: Template::None, ..short(ScoreParams::default()) };
    let scorer = IfdScorer::new(model.as_ref(), words, params).unwrap();
    let scores = scorer.score(&samples).unwrap();
    assert_eq!(scores[0].ifd(), reason(Reason::NonFinite));
    assert!(value(&scores[1].ifd()).is_finite());
}
