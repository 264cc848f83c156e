//! Ids, masks, end tokens and lengths.

use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use serde::Deserialize;
use tamis_dataset::{
    Content, DatasetError, EncodeOptions, Encoder, Outcome, Reason, Sample, SampleId, Template,
    TextTokenizer, Truncation,
};

use crate::support::{
    Folder, encoder, english, fixture, instruction, learned, pair, sample, scored, talk, tokenizer,
};

#[derive(Deserialize)]
struct Case {
    tokenizer: String,
    source: String,
    target: String,
    ids: Vec<u32>,
    supervised: Vec<bool>,
}

fn into_english(max_length: usize) -> EncodeOptions {
    EncodeOptions {
        max_length,
        target_language: Some("English".into()),
        ..EncodeOptions::default()
    }
}

/// Python's tokenizers on the same text, the mask made from character offsets.
#[test]
fn ids_and_masks_are_those_of_python() {
    let cases: Vec<Case> =
        serde_json::from_str(&fs::read_to_string(fixture("encodings.json")).unwrap()).unwrap();
    assert_eq!(cases.len(), 18);
    for case in cases {
        let encoder = encoder(&case.tokenizer, Template::None, into_english(512));
        let encoded = scored(&encoder, pair(&case.source, &case.target));
        assert_eq!(encoded.ids, case.ids, "{} {}", case.tokenizer, case.target);
        assert_eq!(encoded.supervised, case.supervised, "{} {}", case.tokenizer, case.target);
        assert!(!encoded.truncated);
        assert_eq!((encoded.id.as_str(), encoded.index), ("the-sample", 7));
    }
}

#[test]
fn what_is_learned_is_the_answer() {
    for template in [Template::None, english()] {
        for name in ["bytes", "pieces"] {
            let encoder = encoder(name, template.clone(), into_english(512));
            for target in ["天气很好", "🚲👩‍👩‍👧", "é e\u{301}", "a\n    b\n", "\"q\""]
            {
                let encoded = scored(&encoder, pair("Größe 😀", target));
                assert_eq!(learned(&encoder, &encoded), target);
                assert_eq!(encoded.supervised.len(), encoded.len());
                assert_eq!(encoded.targets(), encoded.supervised.iter().filter(|&&t| t).count());
            }
        }
    }
}

/// The space before the first word is part of that word's token and belongs to the answer.
#[test]
fn vicuna_learns_the_first_word_whole() {
    for name in ["bytes", "pieces"] {
        let encoder = encoder(name, Template::Vicuna, EncodeOptions::default());
        let encoded = scored(&encoder, instruction("Question?", "", "The capital of France"));
        assert_eq!(learned(&encoder, &encoded).trim_start(), "The capital of France");
        let eos = encoder.tokenizer().eos_id().unwrap();
        let turns = [("user", "a"), ("assistant", "The"), ("user", "c"), ("assistant", "of")];
        let encoded = scored(&encoder, talk(&turns));
        let ends: Vec<bool> = encoded
            .ids
            .iter()
            .zip(&encoded.supervised)
            .filter(|&(&id, _)| id == eos)
            .map(|(_, &target)| target)
            .collect();
        assert_eq!(ends, [true, true]);
    }
}

#[test]
fn begin_and_end_tokens() {
    for name in ["bytes", "words"] {
        let with = encoder(name, Template::None, EncodeOptions::default());
        let options = EncodeOptions { append_eos: false, ..EncodeOptions::default() };
        let without = encoder(name, Template::None, options);
        let (bos, eos) = (with.tokenizer().bos_id(), with.tokenizer().eos_id());
        let content = || instruction("Is this a question?", "", "Yes, it is.");
        let long = scored(&with, content());
        let short = scored(&without, content());
        assert_eq!(long.ids.first().copied(), bos);
        assert!(!long.supervised[0]);
        // `words` puts the end token there itself: it must not come twice, nor stay when not wanted.
        assert_eq!(long.ids.iter().filter(|&&id| Some(id) == eos).count(), 1, "{name}");
        assert_eq!(long.ids.last().copied(), eos);
        assert_eq!(long.supervised.last(), Some(&true));
        assert_eq!(short.ids, long.ids[..long.len() - 1]);
        assert_eq!(short.supervised, long.supervised[..long.len() - 1]);
    }
}

#[test]
fn an_end_token_follows_answers_only() {
    let encoder = encoder("bytes", Template::Vicuna, EncodeOptions::default());
    let turns = [("user", "a"), ("assistant", "b"), ("user", "c")];
    let encoded = scored(&encoder, talk(&turns));
    assert_ne!(encoded.ids.last().copied(), encoder.tokenizer().eos_id());
    assert_eq!(encoded.supervised.last(), Some(&false));
}

#[test]
fn samples_without_anything_to_learn() {
    let encoder = encoder("bytes", Template::None, into_english(512));
    for content in [instruction("a", "b", ""), pair("a", " \n\t"), talk(&[("user", "a")])] {
        let outcome = encoder.encode(&sample(content));
        assert_eq!(
            outcome,
            Outcome::Unscorable {
                id: SampleId::from("the-sample"),
                index: 7,
                reason: Reason::EmptyTarget
            }
        );
    }
}

#[test]
fn targets_that_do_not_fit() {
    let content = || instruction("Is this a question?", "", "Yes, it is.");
    let full = scored(&encoder("bytes", Template::None, EncodeOptions::default()), content());
    let first_target = full.supervised.iter().position(|&target| target).unwrap();
    let run = |max_length, truncation| {
        let options = EncodeOptions { max_length, truncation, ..EncodeOptions::default() };
        encoder("bytes", Template::None, options).encode(&sample(content()))
    };
    let len = full.len();
    for truncation in [Truncation::RejectCut, Truncation::KeepPrefix] {
        assert_eq!(run(len, truncation), Outcome::Scored(full.clone()));
        assert_eq!(run(first_target, truncation).reason(), Some(&Reason::TargetTruncated));
    }
    assert_eq!(run(len - 1, Truncation::RejectCut).reason(), Some(&Reason::TargetTruncated));
    for limit in first_target + 1..len {
        let cut = run(limit, Truncation::KeepPrefix).scored().unwrap();
        assert!(cut.truncated);
        assert_eq!(cut.ids, full.ids[..limit]);
        assert_eq!(cut.supervised, full.supervised[..limit]);
    }
}

#[test]
fn text_after_the_last_target_may_be_cut() {
    let turns =
        [("user", "a"), ("assistant", "b"), ("user", "a long question that nobody answers")];
    let full = scored(&encoder("bytes", Template::Vicuna, EncodeOptions::default()), talk(&turns));
    let last_target = full.supervised.iter().rposition(|&target| target).unwrap();
    let options = EncodeOptions { max_length: last_target + 1, ..EncodeOptions::default() };
    let cut = scored(&encoder("bytes", Template::Vicuna, options), talk(&turns));
    assert!(cut.truncated);
    assert_eq!((cut.len(), cut.targets()), (last_target + 1, full.targets()));
}

#[test]
fn a_first_token_is_never_a_target() {
    // Without a begin token and with an empty prompt the first token of the answer comes first.
    let folder = Folder::new();
    let text = fs::read_to_string(fixture("words").join("tokenizer.json")).unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&text).unwrap();
    file["post_processor"] = serde_json::Value::Null;
    folder.file("tokenizer.json", file.to_string());
    let open = || TextTokenizer::from_dir(folder.path()).unwrap();
    assert_eq!((open().bos_id(), open().eos_id()), (None, None));
    let encoder = Encoder::new(open(), Template::None, EncodeOptions::default()).unwrap();
    let encoded = scored(&encoder, instruction("", "", "The weather"));
    assert_eq!(encoded.supervised, [false, true]);
    let outcome = encoder.encode(&sample(instruction("", "", "weather")));
    assert_eq!(outcome.reason(), Some(&Reason::TooFewTokens));
}

#[test]
fn padding_and_truncation_of_the_file_are_off() {
    let words = tokenizer("words");
    let long = "The weather is nice today, let us walk in the park.";
    assert_eq!(words.ids(long, false).unwrap().len(), 13);
    assert_eq!(words.ids("The", true).unwrap().len(), 3);
}

#[test]
fn sizes_and_fingerprints() {
    let bytes = tokenizer("bytes");
    assert_eq!(bytes.vocab_size() as u32, bytes.max_id() + 1);
    assert!(bytes.has_chat_template() && !tokenizer("words").has_chat_template());
    assert_eq!(bytes.fingerprint(), tokenizer("bytes").fingerprint());
    assert_ne!(bytes.fingerprint(), tokenizer("words").fingerprint());
    assert_eq!(bytes.decode(&bytes.ids("größer 二", true).unwrap()).unwrap(), "größer 二");

    // The chat template and the end token count too.
    let folder = Folder::new();
    fs::copy(fixture("bytes").join("tokenizer.json"), folder.path().join("tokenizer.json"))
        .unwrap();
    let mut seen = vec![bytes.fingerprint().to_owned()];
    for config in
        ["{}", r#"{"eos_token": "</s>"}"#, r#"{"eos_token": "<pad>"}"#, r#"{"chat_template": "x"}"#]
    {
        folder.file("tokenizer_config.json", config);
        let fingerprint = TextTokenizer::from_dir(folder.path()).unwrap().fingerprint().to_owned();
        assert!(!seen.contains(&fingerprint), "{config}");
        seen.push(fingerprint);
    }
}

#[test]
fn broken_tokenizer_folders() {
    let folder = Folder::new();
    let open = || TextTokenizer::from_dir(folder.path()).unwrap_err();
    assert!(open().to_string().contains("tokenizer.json"));
    folder.file("tokenizer.json", "{}");
    assert!(matches!(open(), DatasetError::Tokenizer { .. }));
    fs::copy(fixture("bytes").join("tokenizer.json"), folder.path().join("tokenizer.json"))
        .unwrap();
    folder.file("tokenizer_config.json", r#"{"eos_token": "<end>"}"#);
    let message = open().to_string();
    assert!(message.contains("tokenizer_config.json") && message.contains("`<end>`"), "{message}");
    folder.file("tokenizer_config.json", "{");
    assert!(open().to_string().contains("tokenizer_config.json"));
}

#[test]
fn parameters_are_checked() {
    let options = EncodeOptions { max_length: 1, ..EncodeOptions::default() };
    let error = Encoder::new(tokenizer("bytes"), Template::None, options).unwrap_err();
    assert!(error.to_string().contains("`max_length` is 1"), "{error}");
}

#[test]
fn descriptions_tell_settings_apart() {
    let shared = Arc::new(tokenizer("bytes"));
    let describe = |template: Template, options: EncodeOptions| {
        Encoder::new(shared.clone(), template, options).unwrap().description()
    };
    let base = describe(english(), EncodeOptions::default());
    assert_eq!(base["template"], "translation");
    assert_eq!(base["target_language"], "English");
    assert_eq!(base["truncation"], "reject_cut");
    assert_eq!(base, describe(english(), EncodeOptions::default()));
    let german = Template::Translation { target_language: "German".into() };
    let no_end = EncodeOptions { append_eos: false, ..EncodeOptions::default() };
    let keep = EncodeOptions { truncation: Truncation::KeepPrefix, ..EncodeOptions::default() };
    for other in [
        describe(german, EncodeOptions::default()),
        describe(Template::Chat, EncodeOptions::default()),
        describe(english(), into_english(100)),
        describe(english(), no_end),
        describe(english(), keep),
    ] {
        assert_ne!(base, other);
    }
}

#[test]
fn many_at_once_equal_one_by_one() {
    let encoder = encoder("bytes", english(), EncodeOptions::default());
    let samples: Vec<Sample> = (0..37)
        .map(|i| Sample {
            id: SampleId::from(format!("s{i}")),
            index: i,
            content: pair("ja", &"yes ".repeat(i)),
        })
        .collect();
    let together = encoder.encode_all(&samples);
    let apart: Vec<_> = samples.iter().map(|s| encoder.encode(s)).collect();
    assert_eq!(together, apart);
    assert_eq!(encoder.encode_all(&[]), []);

    let mut broken = samples;
    broken[5].content = instruction("a", "", "b");
    broken[30].content = instruction("a", "", "b");
    for (i, outcome) in encoder.encode_all(&broken).into_iter().enumerate() {
        if [5, 30].contains(&i) {
            assert!(matches!(outcome.reason(), Some(Reason::Refused(_))), "{outcome:?}");
        } else {
            assert_eq!(outcome, together[i]);
        }
    }
}

#[test]
fn outcomes() {
    let outcome: Outcome<u32> = Outcome::Scored(3);
    assert_eq!(outcome.clone().map(|x| x + 1).scored(), Some(4));
    assert_eq!((outcome.as_scored(), outcome.reason()), (Some(&3), None));
    let reason = Reason::TargetTruncated;
    let none: Outcome<u32> =
        Outcome::Unscorable { id: SampleId::from("x"), index: 0, reason: reason.clone() };
    assert_eq!(none.as_scored(), None);
    assert_eq!(none.map(|x| x + 1).reason(), Some(&reason));
    assert!(!reason.to_string().is_empty());
    // The names that artefacts of earlier versions hold.
    for (reason, name) in [
        (Reason::EmptyTarget, "empty_target"),
        (Reason::TargetTruncated, "target_truncated"),
        (Reason::TooFewTokens, "too_few_tokens"),
        (Reason::NonFinite, "non_finite"),
    ] {
        assert_eq!(serde_json::to_value(&reason).unwrap(), name);
        assert_eq!(serde_json::from_value::<Reason>(name.into()).unwrap(), reason);
    }
    let refused = Reason::Refused("no system".to_owned());
    let json = serde_json::to_value(&refused).unwrap();
    assert_eq!(json, serde_json::json!({"refused": "no system"}));
    assert_eq!(serde_json::from_value::<Reason>(json).unwrap(), refused);
    assert!(refused.to_string().contains("no system"));
}

#[test]
fn shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Encoder>();
    check::<TextTokenizer>();
    check::<tamis_dataset::Dataset>();
    check::<DatasetError>();
}

proptest! {
    /// Whatever the text: the bytes of the answer are learned, those of the question are not.
    #[test]
    fn any_text_is_masked_at_the_boundary(question in "\\PC{0,20}", answer in "\\PC{1,20}") {
        prop_assume!(!answer.trim().is_empty() && !answer.contains("<|") && !answer.contains("</s>"));
        prop_assume!(!question.contains('<') && !answer.contains('<'));
        let encoder = encoder("bytes", Template::None, EncodeOptions::default());
        let content = Content::Instruction { instruction: question, input: String::new(), output: answer.clone() };
        let encoded = scored(&encoder, content);
        prop_assert_eq!(learned(&encoder, &encoded), answer);
    }
}
