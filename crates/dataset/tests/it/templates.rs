//! The exact text of every template and what of it is learned.

use tamis_dataset::{Content, DatasetError, EncodeOptions, Encoder, Template};

use crate::support::{encoder, english, instruction, pair, sample, talk, tokenizer};

/// The text with the targets in ⟦ ⟧.
fn marked(encoder: &Encoder, content: Content) -> String {
    let rendered = encoder.render(&sample(content)).unwrap();
    let mut text = rendered.text.clone();
    for target in rendered.targets.iter().rev() {
        text.insert(target.end, '⟧');
        text.insert(target.start, '⟦');
    }
    text
}

fn refused(encoder: &Encoder, content: Content) -> String {
    match encoder.render(&sample(content)) {
        Err(error @ DatasetError::Render { .. }) => {
            let message = error.to_string();
            assert!(message.contains("`the-sample` (row 7)"), "{message}");
            message
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
}

fn plain(template: Template) -> Encoder {
    encoder("bytes", template, EncodeOptions::default())
}

fn into_english(template: Template) -> Encoder {
    let options =
        EncodeOptions { target_language: Some("English".into()), ..EncodeOptions::default() };
    encoder("bytes", template, options)
}

#[test]
fn alpaca() {
    let with = "Below is an instruction that describes a task, paired with an input that provides further context. \
                Write a response that appropriately completes the request.\n\n\
                ### Instruction:\nAdd\n\n### Input:\n1 2\n\n### Response:⟦3⟧";
    let without = "Below is an instruction that describes a task. \
                   Write a response that appropriately completes the request.\n\n\
                   ### Instruction:\nSay é\n\n### Response:⟦é⟧";
    let encoder = plain(Template::Alpaca);
    assert_eq!(marked(&encoder, instruction("Add", "1 2", "3")), with);
    assert_eq!(marked(&encoder, instruction("Say é", "", "é")), without);
    assert_eq!(marked(&encoder, talk(&[("user", "Say é"), ("assistant", "é")])), without);
}

#[test]
fn vicuna() {
    let system = "A chat between a curious user and an artificial intelligence assistant. \
                  The assistant gives helpful, detailed, and polite answers to the user's questions.";
    let encoder = plain(Template::Vicuna);
    assert_eq!(
        marked(&encoder, instruction("Add", "1 2", "3")),
        format!("{system} USER: Add\n\n1 2 ASSISTANT:⟦ 3⟧")
    );
    let turns = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")];
    assert_eq!(
        marked(&encoder, talk(&turns)),
        format!("{system} USER: a ASSISTANT:⟦ b</s>⟧USER: c ASSISTANT:⟦ d⟧")
    );
    let turns = [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c")];
    assert_eq!(marked(&encoder, talk(&turns)), "Be brief. USER: a ASSISTANT:⟦ b</s>⟧USER: c");
    // A blank answer is part of the text but not learned.
    let turns = [("user", "a"), ("assistant", " "), ("user", "c"), ("assistant", "d")];
    assert!(marked(&encoder, talk(&turns)).ends_with("ASSISTANT:  </s>USER: c ASSISTANT:⟦ d⟧"));
    assert!(refused(&encoder, talk(&[("user", "a"), ("tool", "b")])).contains("role `tool`"));
}

#[test]
fn none() {
    let encoder = plain(Template::None);
    assert_eq!(marked(&encoder, instruction("Add", "1 2", "3")), "Add\n1 2\n⟦3⟧");
    assert_eq!(marked(&encoder, instruction("Say", "", "é")), "Say\n⟦é⟧");
    // A plain text.
    assert_eq!(marked(&encoder, instruction("", "", "Once")), "⟦Once⟧");
}

#[test]
fn translation() {
    let encoder = plain(english());
    assert_eq!(
        marked(&encoder, pair("Guten \"Tag\"", "Good day")),
        "Translate the following text into English\n\nText:\n\"Guten \"Tag\"\"\n\n⟦Good day⟧"
    );
    assert!(refused(&encoder, instruction("a", "", "b")).contains("instruction content"));
    assert!(refused(&encoder, talk(&[("user", "a"), ("assistant", "b")])).contains("chat content"));
}

#[test]
fn translation_rows_under_other_templates() {
    let task = "Translate the following text into English.";
    assert_eq!(
        marked(&into_english(Template::None), pair("ja", "yes")),
        format!("{task}\nja\n⟦yes⟧")
    );
    let alpaca = marked(&into_english(Template::Alpaca), pair("ja", "yes"));
    assert!(
        alpaca.ends_with(&format!("{task}\n\n### Input:\nja\n\n### Response:⟦yes⟧")),
        "{alpaca}"
    );
    let chat = marked(&into_english(Template::Chat), pair("ja", "yes"));
    assert!(
        chat.ends_with(
            "user\nTranslate the following text into English\n\nText:\n\"ja\"<|im_end|>\n\
             <|im_start|>assistant\n⟦yes<|im_end|>⟧\n"
        ),
        "{chat}"
    );
    for template in [Template::None, Template::Alpaca, Template::Vicuna, Template::Chat] {
        let message = refused(&plain(template), pair("ja", "yes"));
        assert!(message.contains("target_language"), "{message}");
    }
}

#[test]
fn long_conversations_do_not_fit_single_turn_templates() {
    for template in [Template::Alpaca, Template::None] {
        let encoder = plain(template);
        for turns in [
            &[("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")][..],
            &[("system", "s"), ("user", "a"), ("assistant", "b")][..],
            &[("assistant", "b")][..],
        ] {
            let message = refused(&encoder, talk(turns));
            assert!(message.contains("use vicuna or chat"), "{message}");
        }
    }
}

#[test]
fn names() {
    for template in [Template::Alpaca, Template::Vicuna, Template::None, english(), Template::Chat]
    {
        assert_eq!(Template::parse(template.name(), Some("English")).unwrap(), template);
        let json = serde_json::to_string(&template).unwrap();
        assert_eq!(serde_json::from_str::<Template>(&json).unwrap(), template);
    }
    assert!(
        Template::parse("translation", None).unwrap_err().to_string().contains("target language")
    );
    assert!(Template::parse("llama", None).unwrap_err().to_string().contains("vicuna"));
}

#[test]
fn a_chat_template_must_be_there() {
    let error = Encoder::new(tokenizer("words"), Template::Chat, EncodeOptions::default());
    let message = error.unwrap_err().to_string();
    assert!(message.contains("no chat template"), "{message}");
}
