//! Prompts: what comes before the answer, whether there is an answer or not.

use proptest::prelude::*;
use tamis_dataset::{
    Content, Dataset, EncodeOptions, Encoder, Fields, Message, ReadOptions, Template,
};

use crate::support::{Folder, all, encoder, english, instruction, pair, sample, scored, talk};

fn with(template: Template) -> Encoder {
    let options =
        EncodeOptions { target_language: Some("English".into()), ..EncodeOptions::default() };
    encoder("bytes", template, options)
}

fn templates() -> Vec<Encoder> {
    [Template::Alpaca, Template::Vicuna, Template::None, english(), Template::Chat].map(with).into()
}

/// The same content without its last answer.
fn asked(content: &Content) -> Content {
    match content.clone() {
        Content::Instruction { instruction, input, .. } => {
            Content::Instruction { instruction, input, output: String::new() }
        }
        Content::Translation { source, .. } => {
            Content::Translation { source, target: String::new() }
        }
        Content::Chat { mut messages } => {
            messages.pop();
            Content::Chat { messages }
        }
    }
}

/// The prompt is what the whole text says before its last answer, and the answer does not matter.
fn check(encoder: &Encoder, content: &Content) {
    let rendered = encoder.render(&sample(content.clone())).unwrap();
    let before = &rendered.text[..rendered.targets.last().unwrap().start];
    assert_eq!(encoder.prompt_text(&sample(content.clone())).unwrap(), before);
    assert_eq!(encoder.prompt_text(&sample(asked(content))).unwrap(), before);
    // One token a byte: the prompt's tokens are the first of the whole text's.
    let whole = scored(encoder, content.clone());
    let prompt = encoder.prompt(&sample(asked(content))).unwrap();
    assert_eq!(whole.ids[..prompt.len()], prompt);
    let answer = whole.supervised.iter().rposition(|&target| !target).unwrap() + 1;
    assert!(prompt.len() <= answer && whole.supervised[prompt.len()], "{content:?}");
}

#[test]
fn every_template_and_content() {
    for encoder in templates() {
        let translation = matches!(encoder.template(), Template::Translation { .. });
        check(&encoder, &pair("Guten Tag.", "Good day."));
        if translation {
            let error = encoder.prompt_text(&sample(instruction("Add", "", "3"))).err().unwrap();
            assert!(error.to_string().contains("`the-sample` (row 7)"), "{error}");
            continue;
        }
        check(&encoder, &instruction("Add", "1 2", "3"));
        check(&encoder, &instruction("Say é", "", "é"));
        check(&encoder, &talk(&[("user", "Say é"), ("assistant", "é")]));
    }
    let long = [("user", "Hi"), ("assistant", "Hello."), ("user", "More?"), ("assistant", "Yes.")];
    for template in [Template::Vicuna, Template::Chat] {
        check(&with(template.clone()), &talk(&long));
        let system = [&[("system", "Be brief.")][..], &long].concat();
        check(&with(template), &talk(&system));
    }
}

#[test]
fn rows_may_lack_their_answer_if_asked_for() {
    let folder = Folder::new();
    let rows = [
        ("a.jsonl", "{\"id\":\"1\",\"src\":\"Hallo\"}\n{\"src\":\"Welt\",\"tgt\":\"world\"}\n"),
        ("b.jsonl", "{\"instruction\":\"Add\",\"input\":\"1 2\"}\n"),
        ("c.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}\n"),
    ];
    let fields = Fields { optional_answer: true, ..Fields::default() };
    let options = ReadOptions { fields, ..ReadOptions::default() };
    for (name, text) in rows {
        let path = folder.file(name, text);
        let data = Dataset::open(&path, &options).unwrap();
        assert_eq!(data.len(), text.lines().count());
        let samples = all(&data);
        let prompt = with(Template::Chat).prompt_text(&samples[0]).unwrap();
        assert!(prompt.contains(["Hallo", "Add", "Hi"][usize::from(name.as_bytes()[0] - b'a')]));
        if name != "c.jsonl" {
            assert!(samples[0].content.target_is_blank());
            let error = Dataset::open(&path, &ReadOptions::default()).err().unwrap().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
    let path = folder.file("d.jsonl", "{\"src\":\"Hallo\",\"tgt\":5}\n");
    let error = Dataset::open(path, &options).err().unwrap().to_string();
    assert!(error.contains("tgt") && error.contains("a number"), "{error}");
}

proptest! {
    /// Whatever is asked and answered.
    #[test]
    fn any_text(question in "\\PC{0,30}", input in "\\PC{0,10}", answer in "\\PC{1,30}") {
        prop_assume!(!answer.trim().is_empty() && !question.trim().is_empty());
        // Text that spells a special token becomes that token, and the templates strip blanks.
        prop_assume!(!question.contains('<') && !input.contains('<') && !answer.contains('<'));
        let (question, input, answer) = (question.trim(), input.trim(), answer.trim());
        for encoder in templates() {
            if matches!(encoder.template(), Template::Translation { .. }) {
                check(&encoder, &pair(question, answer));
            } else {
                check(&encoder, &instruction(question, input, answer));
                let messages = vec![Message::new("user", question), Message::new("assistant", answer)];
                check(&encoder, &Content::Chat { messages });
            }
        }
    }
}
