//! Chat templates: the text that Python's jinja2 gives, and the places of the answers in it.

use std::fs;

use serde::Deserialize;
use tamis_dataset::{
    Content, EncodeOptions, Encoder, Message, Outcome, Reason, Sample, Template, TextTokenizer,
};

use crate::support::{Folder, encoder, fixture, learned, sample, scored, talk};

#[derive(Deserialize)]
struct Case {
    name: String,
    template: String,
    messages: Vec<Message>,
    text: String,
}

/// The byte tokenizer with another chat template.
fn with_template(source: &str) -> Result<Encoder, tamis_dataset::DatasetError> {
    let folder = Folder::new();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(fixture("bytes").join(file), folder.path().join(file)).unwrap();
    }
    folder.file("chat_template.jinja", source);
    let tokenizer = TextTokenizer::from_dir(folder.path())?;
    Encoder::new(tokenizer, Template::Chat, EncodeOptions::default())
}

fn turns(messages: &[Message]) -> Sample {
    sample(Content::Chat { messages: messages.to_vec() })
}

/// The template's own words.
fn refusal(encoder: &Encoder, content: Content) -> String {
    match encoder.encode(&sample(content)) {
        Outcome::Unscorable { reason: Reason::Refused(words), .. } => words,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn texts_are_those_of_jinja() {
    let cases: Vec<Case> =
        serde_json::from_str(&fs::read_to_string(fixture("chats.json")).unwrap()).unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let encoder = with_template(&case.template).unwrap();
        let rendered = encoder.render(&turns(&case.messages)).unwrap();
        assert_eq!(rendered.text, case.text, "{}", case.name);

        let answers: Vec<&str> = case
            .messages
            .iter()
            .filter(|turn| turn.role == "assistant")
            .map(|turn| turn.content.trim())
            .collect();
        let learned: Vec<&str> =
            rendered.targets.iter().map(|target| &rendered.text[target.clone()]).collect();
        let expected: Vec<String> = answers
            .iter()
            .map(|answer| match case.name.as_str() {
                "brackets" => format!(" {answer} </s>"),
                _ => format!("{answer}<|im_end|>"),
            })
            .collect();
        assert_eq!(learned, expected, "{}", case.name);
    }
}

#[test]
fn the_end_marker_is_learned_and_nothing_is_added() {
    let encoder = encoder("bytes", Template::Chat, EncodeOptions::default());
    // The answer also stands in the question: a search would find the wrong one.
    let conversation = talk(&[
        ("user", "Why? Because."),
        ("assistant", "Because."),
        ("user", "Because."),
        ("assistant", "Why?"),
    ]);
    let encoded = scored(&encoder, conversation);
    let marker = encoder.tokenizer().token_id("<|im_end|>").unwrap();
    let learned_markers = encoded
        .ids
        .iter()
        .zip(&encoded.supervised)
        .filter(|&(&id, &target)| id == marker && target)
        .count();
    assert_eq!(learned_markers, 2);
    assert_eq!(learned(&encoder, &encoded), "Because.Why?");
    assert_ne!(encoded.ids[0], encoder.tokenizer().bos_id().unwrap());
    assert_ne!(encoded.ids.last().copied(), encoder.tokenizer().eos_id());
}

#[test]
fn blank_answers_are_not_learned() {
    let encoder = encoder("bytes", Template::Chat, EncodeOptions::default());
    let turns = [("user", "a"), ("assistant", " "), ("user", "b"), ("assistant", "ok")];
    assert_eq!(learned(&encoder, &scored(&encoder, talk(&turns))), "ok");
    for turns in [&turns[..2], &turns[..1]] {
        let outcome = encoder.encode(&sample(talk(turns)));
        assert_eq!(outcome.reason(), Some(&Reason::EmptyTarget));
    }
}

#[test]
fn templates_that_rewrite_the_past_are_refused() {
    // Earlier answers are shortened once another turn follows.
    let forgetful = "{% for m in messages %}[{{ m.role }}]{{ m.content if loop.last or m.role == 'user' else '…' }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    let encoder = with_template(forgetful).unwrap();
    let one = talk(&[("user", "a"), ("assistant", "b")]);
    assert!(matches!(encoder.encode(&sample(one)), Outcome::Scored(_)));
    let two = talk(&[("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]);
    let message = refusal(&encoder, two);
    assert!(message.contains("turn 2 (assistant)"), "{message}");

    // The cue differs from what the answer's turn begins with.
    let thinking = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant><think>{% endif %}";
    let encoder = with_template(thinking).unwrap();
    let message = refusal(&encoder, talk(&[("user", "a"), ("assistant", "b")]));
    assert!(message.contains("before turn 2 (assistant)"), "{message}");

    let mute = "{% for m in messages %}{{ m.content if m.role == 'user' }}{% endfor %}";
    let encoder = with_template(mute).unwrap();
    let message = refusal(&encoder, talk(&[("user", "a"), ("assistant", "b")]));
    assert!(message.contains("writes nothing for turn 2"), "{message}");
}

/// Many published templates raise for a system message: a pool that has some is encoded all the same.
#[test]
fn rows_that_a_template_refuses_are_outcomes() {
    let source = "{% for m in messages %}{% if m.role == 'system' %}\
        {{ raise_exception('System role not supported') }}{% endif %}\
        [{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    let encoder = with_template(source).unwrap();
    let samples: Vec<Sample> = (0..20)
        .map(|index| {
            let turns = [("system", "s"), ("user", "a"), ("assistant", "b")];
            let content = if index % 3 == 1 { talk(&turns) } else { talk(&turns[1..]) };
            Sample { id: format!("r{index}").into(), index, content }
        })
        .collect();
    for (sample, outcome) in samples.iter().zip(encoder.encode_all(&samples)) {
        if sample.index % 3 == 1 {
            let Outcome::Unscorable { id, index, reason: Reason::Refused(words) } = outcome else {
                panic!("row {}: {outcome:?}", sample.index);
            };
            assert_eq!((id, index), (sample.id.clone(), sample.index));
            assert!(words.contains("System role not supported"), "{words}");
        } else {
            let encoded = outcome.scored().unwrap();
            assert_eq!(encoder.tokenizer().decode(&encoded.ids).unwrap(), "[user]a[assistant]b");
        }
    }
}

#[test]
fn template_errors_are_passed_on() {
    let raising = with_template("{{ raise_exception('no ' + messages[0].role) }}").unwrap();
    let message = refusal(&raising, talk(&[("assistant", "b")]));
    assert!(message.contains("no assistant"), "{message}");

    let message = with_template("{% if %}").unwrap_err().to_string();
    assert!(message.contains("chat_template.jinja"), "{message}");
    let odd = with_template("{{ strftime_now('%Q') }}").unwrap();
    let message = refusal(&odd, talk(&[("assistant", "b")]));
    assert!(message.contains("%Q"), "{message}");
}

#[test]
fn a_list_of_templates_has_a_default() {
    let folder = Folder::new();
    fs::copy(fixture("bytes").join("tokenizer.json"), folder.path().join("tokenizer.json"))
        .unwrap();
    let config = |list: &str| {
        folder.file("tokenizer_config.json", format!("{{\"chat_template\": {list}}}"));
        TextTokenizer::from_dir(folder.path())
    };
    let default = r#"[{"name": "tool_use", "template": "x"}, {"name": "default", "template": "{% for m in messages %}{{ m.content }}{% endfor %}"}]"#;
    let encoder =
        Encoder::new(config(default).unwrap(), Template::Chat, EncodeOptions::default()).unwrap();
    let rendered = encoder.render(&sample(talk(&[("user", "a"), ("assistant", "b")]))).unwrap();
    assert_eq!(rendered.text, "ab");
    assert_eq!(rendered.targets.len(), 1);
    assert_eq!(rendered.targets[0], 1..2);
    let message = config(r#"[{"name": "x", "template": "y"}]"#).unwrap_err().to_string();
    assert!(message.contains("`default`"), "{message}");
}
