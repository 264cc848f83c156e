//! Samples that a template or a tokenizer cannot cope with cost no other sample its score; settings
//! that fit no sample are refused.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tamis_artifact::NoProgress;
use tamis_dataset::{Content, Dataset, ReadOptions, Reason, Sample, Template, TextTokenizer};
use tamis_ifd_scoring::{
    IfdError, IfdScorer, Measured, Measures, Preset, Ratio, ScoreParams, read_scores,
};
use tamis_model::DType;

use crate::common::{chat, folder, model, sample, short, tokenizer, value};

const ONE: [(&str, &str); 2] = [("user", "Name a colour."), ("assistant", "Blue.")];

/// Whether the template refused it.
fn is_misfit(score: &Measured<f64>) -> bool {
    matches!(score.reason(), Some(Reason::Refused(words)) if !words.is_empty())
}

fn reflection() -> ScoreParams {
    short(Preset::Reflection.scoring())
}

/// The tokenizer of the model `begins` with a chat template.
fn with_template(source: &str) -> TextTokenizer {
    let dir = tempfile::tempdir().unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(folder("begins").join(file), dir.path().join(file)).unwrap();
    }
    fs::write(dir.path().join("chat_template.jinja"), source).unwrap();
    TextTokenizer::from_dir(dir.path()).unwrap()
}

/// Says what it refuses as the templates of some published models do.
const STRICT: &str = "{% for m in messages %}\
    {% if (m.role == 'user') != (loop.index0 % 2 == 0) %}\
    {{ raise_exception('roles must alternate') }}{% endif %}\
    [{{ m.role }}]{{ m.content }}{% endfor %}\
    {% if add_generation_prompt %}[assistant]{% endif %}";

#[test]
fn a_turn_without_a_place_costs_no_other_sample_its_score() {
    let tool = [("user", "Look it up."), ("tool", "42"), ("assistant", "It is 42.")];
    let system = [("user", "Hi."), ("system", "Be brief."), ("assistant", "Hello.")];
    let samples = [chat(0, &ONE), chat(1, &tool), chat(2, &system), sample(3, "Hi.", "", "Hello.")];
    let model = model("begins", DType::F32);
    let vicuna = IfdScorer::new(model.as_ref(), tokenizer("begins"), reflection()).unwrap();
    let params = ScoreParams { template: Template::Chat, ..reflection() };
    let strict = IfdScorer::new(model.as_ref(), with_template(STRICT), params).unwrap();
    for scorer in [vicuna, strict] {
        let scores = scorer.score(&samples).unwrap();
        for misfit in &scores[1..3] {
            assert!([misfit.ifd(), misfit.ppl_cond(), misfit.ppl_direct()].iter().all(is_misfit));
            assert_eq!(misfit.r_ifd().reason(), Some(&Reason::SeveralTurns));
        }
        let apart = scorer.score(&[samples[0].clone(), samples[3].clone()]).unwrap();
        for (found, expected) in [(&scores[0], &apart[0]), (&scores[3], &apart[1])] {
            assert!(value(&found.ifd()) > 0.0 && value(&found.r_ifd()) > 0.0);
            assert!((value(&found.ifd()) / value(&expected.ifd()) - 1.0).abs() < 1e-5);
        }
        assert!(scorer.estimate(&samples, 4).unwrap().total("tokens to read").unwrap() > 0.0);
    }
}

/// A pool of conversations; every third has a turn of a tool.
fn write_conversations(path: &Path, count: usize) {
    let rows = (0..count).map(|n| {
        let role = if n % 3 == 1 { "tool" } else { "user" };
        let turn = |role: &str, content: &str| json!({ "role": role, "content": content });
        json!({ "id": format!("c{n}"), "messages": [
            turn("user", "Hi."), turn("assistant", "Hello."), turn(role, "Bye."),
            turn("assistant", "Go."),
        ]})
    });
    let lines: Vec<String> = rows.map(|row: Value| row.to_string()).collect();
    fs::write(path, lines.join("\n")).unwrap();
}

#[test]
fn a_pass_reaches_its_end_and_keeps_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pool.jsonl");
    write_conversations(&file, 8);
    let dataset = Dataset::open(&file, &ReadOptions::default()).unwrap();
    let model = model("begins", DType::F32);
    // A shard each: one of which no sample has a score is nothing out of the ordinary.
    let params = ScoreParams { shard_rows: 1, ..reflection() };
    let scorer = IfdScorer::new(model.as_ref(), tokenizer("begins"), params).unwrap();
    let terms = dir.path().join("terms");
    scorer.run(&dataset, &terms, &mut NoProgress).unwrap();
    let scores = read_scores(&terms, Ratio::Perplexity).unwrap();
    assert_eq!(scores.len(), 8);
    for (n, scores) in scores.iter().enumerate() {
        assert_eq!(is_misfit(&scores.ifd()), n % 3 == 1, "{n}");
        assert_eq!(scores.ifd().value().is_some(), n % 3 != 1, "{n}");
    }
}

#[test]
fn a_text_that_the_tokenizer_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let vocabulary = json!({ "a": 0, "b": 1, "c": 2 });
    let words = json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": { "type": "Whitespace" },
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "?" },
    });
    fs::write(dir.path().join("tokenizer.json"), words.to_string()).unwrap();
    let words = TextTokenizer::from_dir(dir.path()).unwrap();
    let model = model("begins", DType::F32);
    let params = ScoreParams {
        measures: Measures::ALL,
        request: "a {response}".to_owned(),
        ..short(Preset::Superfiltering.scoring())
    };
    let scorer = IfdScorer::new(model.as_ref(), words, params).unwrap();
    let samples =
        [sample(0, "a", "", "b c"), sample(1, "a b", "", "c d"), sample(2, "a", "", "c b")];
    let scores = scorer.score(&samples).unwrap();
    for unread in [scores[1].ifd(), scores[1].r_ifd()] {
        assert!(matches!(unread.reason(), Some(Reason::Untokenizable(_))), "{unread:?}");
    }
    assert!(value(&scores[0].ifd()) > 0.0 && value(&scores[2].ifd()) > 0.0);
}

#[test]
fn settings_that_fit_no_sample_are_refused() {
    let model = model("begins", DType::F32);
    let chat_template = || ScoreParams { template: Template::Chat, ..reflection() };
    let broken = "{{ raise_exception('never') }}";
    // The cue to answer differs from what the answer's turn begins with, so no answer has a place.
    let thinking = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}\
        {% if add_generation_prompt %}<assistant><think>{% endif %}";
    for (template, part) in [(broken, "never"), (thinking, "differently")] {
        let error = IfdScorer::new(model.as_ref(), with_template(template), chat_template());
        let error = error.unwrap_err();
        assert!(matches!(&error, IfdError::ChatTemplate { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    // One that insists on a system message is of use for samples that have one.
    let system = "{% if messages[0].role != 'system' %}{{ raise_exception('no system') }}{% endif %}\
        {% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}\
        {% if add_generation_prompt %}[assistant]{% endif %}";
    let scorer = IfdScorer::new(model.as_ref(), with_template(system), chat_template()).unwrap();
    let with_system = [("system", "Be brief."), ONE[0], ONE[1]];
    let scores = scorer.score(&[chat(0, &with_system), chat(1, &ONE)]).unwrap();
    assert!(value(&scores[0].ifd()) > 0.0);
    assert!(is_misfit(&scores[1].ifd()));

    // A template for translations refuses samples that are none; translations need a language.
    let template = Template::Translation { target_language: "English".into() };
    let params = ScoreParams { template, measures: Measures::IFD, ..reflection() };
    let scorer = IfdScorer::new(model.as_ref(), tokenizer("begins"), params).unwrap();
    for row in [sample(0, "Hi.", "", "Hello."), chat(0, &ONE)] {
        assert!(is_misfit(&scorer.score(&[row]).unwrap()[0].ifd()));
    }
    let content = Content::Translation { source: "Hallo.".into(), target: "Hello.".into() };
    let row = Sample { id: "t".into(), index: 7, content };
    let scorer = IfdScorer::new(model.as_ref(), tokenizer("begins"), reflection()).unwrap();
    let error = scorer.score(&[row]).unwrap_err();
    assert!(matches!(&error, IfdError::TargetLanguage { index: 7, .. }), "{error}");
}
