//! Which answers of a conversation are targets.

use std::fs;

use tamis_dataset::{
    Answers, Content, EncodeOptions, Encoder, Reason, Template, TextTokenizer, Truncation,
};

use crate::support::{Folder, encoder, fixture, learned, sample, scored, talk};

const LAST: EncodeOptions = EncodeOptions {
    max_length: 512,
    truncation: Truncation::KeepPrefix,
    answers: Answers::Last,
    append_eos: false,
    target_language: None,
};

fn two_answers(second: &str) -> Content {
    talk(&[("user", "a"), ("assistant", "first"), ("user", "b"), ("assistant", second)])
}

#[test]
fn the_text_is_the_same_but_only_the_last_answer_is_learned() {
    for (template, answer) in [(Template::Vicuna, " second"), (Template::Chat, "second")] {
        let last = encoder("bytes", template.clone(), LAST);
        let all = EncodeOptions { answers: Answers::All, ..LAST };
        let all = encoder("bytes", template, all);
        let (one, both) =
            (scored(&last, two_answers("second")), scored(&all, two_answers("second")));
        assert_eq!(one.ids, both.ids);
        assert_eq!(learned(&last, &one), answer);
        assert!(learned(&all, &both).contains("first"));
        // What is not a conversation has one answer.
        let single = Content::Instruction {
            instruction: "a".into(),
            input: String::new(),
            output: "first".into(),
        };
        assert_eq!(scored(&last, single.clone()), scored(&all, single));
        assert_ne!(last.description(), all.description());
    }
}

#[test]
fn no_earlier_answer_stands_in_for_the_last() {
    for template in [Template::Vicuna, Template::Chat] {
        let last = encoder("bytes", template.clone(), LAST);
        for blank in ["", " \n"] {
            let outcome = last.encode(&sample(two_answers(blank)));
            assert_eq!(outcome.reason(), Some(&Reason::EmptyTarget));
        }
        let full = scored(&last, two_answers("second"));
        let begin = full.supervised.iter().position(|&target| target).unwrap();
        let limited = |max_length| {
            let options = EncodeOptions { max_length, ..LAST };
            encoder("bytes", template.clone(), options).encode(&sample(two_answers("second")))
        };
        assert_eq!(limited(begin).reason(), Some(&Reason::TargetTruncated));
        assert_eq!(limited(begin + 1).scored().unwrap().targets(), 1);
        let nobody = talk(&[("user", "a")]);
        let outcome = last.encode(&sample(nobody));
        assert_eq!(outcome.reason(), Some(&Reason::EmptyTarget));
    }
}

#[test]
fn earlier_answers_may_be_rewritten_by_the_template() {
    let folder = Folder::new();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(fixture("bytes").join(file), folder.path().join(file)).unwrap();
    }
    // Earlier answers are shortened once another turn follows.
    folder.file(
        "chat_template.jinja",
        "{% for m in messages %}[{{ m.role }}]{{ m.content if loop.last or m.role == 'user' else '…' }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
    );
    let tokenizer = || TextTokenizer::from_dir(folder.path()).unwrap();
    let last = Encoder::new(tokenizer(), Template::Chat, LAST).unwrap();
    assert_eq!(learned(&last, &scored(&last, two_answers("second"))), "second");
    let all = EncodeOptions { answers: Answers::All, ..LAST };
    let all = Encoder::new(tokenizer(), Template::Chat, all).unwrap();
    let outcome = all.encode(&sample(two_answers("second")));
    assert!(matches!(outcome.reason(), Some(Reason::Refused(_))), "{outcome:?}");
}
