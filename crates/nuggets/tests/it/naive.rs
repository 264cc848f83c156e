//! Rises equal those of whole one-shot texts, each run alone and through the ordinary pass.

use tamis_dataset::{Content, Sample, Template, TextTokenizer};
use tamis_model::{CausalLm, DType, NoTap};
use tamis_nuggets::{GoldenParams, GoldenScorer, OwnPair};
use tch::{Kind, Tensor};

use crate::common::{
    ARCHITECTURES, batched, chat, encoded, joined, model, pool, rises, sample, short, tokenizer,
};

/// Mean log-probability of the tokens from `first` on, from the whole softmax.
fn mean(model: &dyn CausalLm, ids: &[u32], first: usize) -> f64 {
    let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    let _no_grad = tch::no_grad_guard();
    let hidden = model.hidden(&Tensor::from_slice(&ids).unsqueeze(0), &mut NoTap).unwrap();
    let all = model.logits(&hidden, &mut NoTap).unwrap().log_softmax(-1, Kind::Double);
    let of = |t: usize| all.double_value(&[0, t as i64 - 1, ids[t]]);
    (first..ids.len()).map(of).sum::<f64>() / (ids.len() - first) as f64
}

/// The text of a sample in a template without words, and how much of it is the prompt.
fn text(sample: &Sample) -> (String, usize) {
    let Content::Instruction { instruction, input, output } = &sample.content else {
        panic!("{sample:?}");
    };
    let line = if input.is_empty() { String::new() } else { format!("{input}\n") };
    let prompt = format!("{instruction}\n{line}");
    (format!("{prompt}{output}"), prompt.len())
}

/// By how much the answer of `anchor` rises behind `example`, token by token and without any code of
/// the crate.
fn rise(
    model: &dyn CausalLm,
    words: &TextTokenizer,
    example: &Sample,
    anchor: &Sample,
    separator: &str,
) -> f64 {
    let (whole, prompt) = text(anchor);
    let alone = words.ids(&whole, true).unwrap();
    let before = words.ids(&whole[..prompt], true).unwrap();
    assert_eq!(alone[..before.len()], before, "{whole:?}: tokens meet at the border");
    let zero = mean(model, &alone, before.len());

    let begin = words.ids("", true).unwrap().len();
    let mut ids = words.ids(&text(example).0, true).unwrap();
    ids.extend(words.ids(separator, false).unwrap());
    let first = ids.len() + before.len() - begin;
    ids.extend(&alone[begin..]);
    mean(model, &ids, first) - zero
}

#[test]
fn rises_are_those_of_whole_texts_on_every_architecture() {
    let (candidates, anchors) = (pool(0, 4), pool(20, 5));
    for name in ARCHITECTURES.into_iter().chain(["begins", "plain"]) {
        let words = tokenizer(name);
        for (kind, bound) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
            let model = model(name, kind);
            let params = GoldenParams { token_budget: 60, ..short(name) };
            let scorer =
                GoldenScorer::new(model.as_ref(), tokenizer(name), params, &anchors).unwrap();
            let found = scorer.score(&candidates).unwrap();
            let mut up = 0;
            for (candidate, found) in candidates.iter().zip(&found) {
                let expected: Vec<f64> = anchors
                    .iter()
                    .map(|anchor| rise(model.as_ref(), &words, candidate, anchor, "\n\n"))
                    .collect();
                for (found, expected) in rises(found).iter().zip(&expected) {
                    let off = (found - expected).abs();
                    assert!(off <= bound, "{name} {kind}: {found} is not {expected}");
                }
                let golden = found.golden(OwnPair::Counted).unwrap();
                let positive = expected.iter().filter(|&&rise| rise > 0.0).count();
                up += positive;
                assert_eq!(golden.score, positive as f64 / 5.0, "{name} {kind}");
                let sum: f64 = expected.iter().sum();
                assert!((golden.mean_rise - sum / 5.0).abs() <= bound);
            }
            assert!(up > 0 && up < 20, "{name}: all the same, {up}");
        }
    }
}

/// Anchors with the first words of a template in common, in two forms, read them once: that changes
/// nothing, and neither does a separator of your own.
#[test]
fn common_beginnings_change_nothing() {
    let mut anchors = pool(0, 12);
    anchors.extend((12..20).map(|n| sample(n, "What is it", "a b", ["7", "the sky"][n % 2])));
    let candidates = [sample(30, "Say it.", "", "blue"), sample(31, "Say", "a", "or a b or")];
    for (name, separator) in [("begins", None), ("plain", Some(String::new()))] {
        let model = model(name, DType::F64);
        let params = GoldenParams { template: Template::Alpaca, separator, ..short(name) };
        let glue = tokenizer(name).ids(params.separator(), false).unwrap();
        let opening = tokenizer(name).ids("", true).unwrap().len();
        let scorer = GoldenScorer::new(model.as_ref(), tokenizer(name), params, &anchors).unwrap();
        let (found, work) = scorer.score_counted(&candidates, |_| {}).unwrap();
        let whole = |samples: &[Sample]| encoded(tokenizer(name), Template::Alpaca, samples);
        let (examples, alone) = (whole(&candidates), whole(&anchors));
        let zero = batched(model.as_ref(), &alone, 500);
        for (example, found) in examples.iter().zip(&found) {
            let texts: Vec<_> =
                alone.iter().map(|anchor| joined(&example.ids, &glue, anchor, opening)).collect();
            let one = batched(model.as_ref(), &texts, 500);
            for (n, rise) in rises(found).iter().enumerate() {
                assert!((rise - (one[n] - zero[n])).abs() <= 1e-9, "{name} anchor {n}");
            }
        }
        let read: usize = alone.iter().map(|anchor| anchor.len() - 1 - opening).sum();
        assert!(work.tokens < 2 * read * 2 / 3, "{name}: {} tokens, not {read} twice", work.tokens);
    }
}

/// A chat template's system message stands before the example, not once more before the anchor.
#[test]
fn a_conversation_goes_on() {
    let template = "{% if messages[0].role != 'system' %}<s>[sys]be good{% else %}<s>{% endif %}\
        {% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";
    let dir = tempfile::tempdir().unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        let from = crate::common::folder("begins").join(file);
        std::fs::copy(from, dir.path().join(file)).unwrap();
    }
    std::fs::write(dir.path().join("chat_template.jinja"), template).unwrap();
    let words = || TextTokenizer::from_dir(dir.path()).unwrap();
    let model = model("begins", DType::F64);
    let own = [("system", "so"), ("user", "a"), ("assistant", "b c")];
    let long = [("user", "a"), ("assistant", "b"), ("user", "or"), ("assistant", "blue sky")];
    let anchors = [sample(0, "the sky", "", "is blue"), chat(1, &own), chat(2, &long)];
    let candidates = [sample(7, "at", "", "seven"), chat(8, &own)];
    let params = GoldenParams { template: Template::Chat, ..short("begins") };
    let scorer = GoldenScorer::new(model.as_ref(), words(), params, &anchors).unwrap();
    let found = scorer.score(&candidates).unwrap();
    let examples = encoded(words(), Template::Chat, &candidates);
    let alone = encoded(words(), Template::Chat, &anchors);
    let usual = words().ids("<s>[sys]be good", false).unwrap().len();
    let zero = batched(model.as_ref(), &alone, 500);
    for (example, found) in examples.iter().zip(&found) {
        for (n, opening) in [usual, 1, usual].into_iter().enumerate() {
            let one = batched(model.as_ref(), &[joined(&example.ids, &[], &alone[n], opening)], 1);
            assert!((rises(found)[n] - (one[0] - zero[n])).abs() <= 1e-9, "anchor {n}");
        }
    }
    assert_eq!(found[1].own, [1]);
}
