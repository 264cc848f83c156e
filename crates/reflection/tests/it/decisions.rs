//! Every branch of the published method, what it costs, and what is written down.

use serde_json::json;
use tamis_dataset::{Content, Message, Reason as NoScore, Sample, SampleId};
use tamis_reflection::history::{Outcome, Reason};
use tamis_reflection::params::Rule;
use tamis_reflection::{
    NoReply, NotARow, Original, Passes, ReflectionParams, Row, Side, Unreadable, Verdict,
};

use crate::scripted::{
    Fuse, Instruction, Reader, Response, Scripted, better, cut, pair, record, record_with_input,
    reply, run,
};

/// One record through the published method: original answer, replies.
fn one(
    output: &str,
    script: impl FnOnce(Scripted<'static>) -> Scripted<'static>,
) -> (Outcome, Passes) {
    let fuse = Box::leak(Box::new(Fuse::never()));
    let teacher = script(Scripted::new(fuse));
    let mut student = Reader::new(fuse);
    let samples = [record("a", output)];
    let mut found = run(ReflectionParams::default(), &samples, &teacher, &mut student).unwrap();
    // Two questions for every record, whatever happens to it.
    assert_eq!(teacher.asked(), [(Instruction, "a".into()), (Response, "a".into())]);
    assert_eq!((found.work.questions, found.work.records, found.work.resumed), (2, 1, 0));
    assert_eq!(student.scored.len() as u64, found.work.passes.total());
    (found.outcomes.pop().unwrap(), found.work.passes)
}

fn row(instruction: &str, output: &str) -> Row {
    Row { instruction: instruction.into(), input: String::new(), output: output.into() }
}

fn passes(ifd: u64, reversed_ifd: u64) -> Passes {
    Passes { ifd, reversed_ifd, perplexity: 0 }
}

#[test]
fn both_proposals_taken_and_selected() {
    let (outcome, cost) = one("i0.5 r0.9", |teacher| {
        teacher.says(Instruction, "a", pair("#a new", "i0.6 r0.8 new")).says(
            Response,
            "a",
            better("i0.7 r0.4 best"),
        )
    });
    // IFD before, after and at the end; reversed IFD before and after: five scores.
    assert_eq!(cost, passes(3, 2));
    assert_eq!((outcome.selected, outcome.reason), (true, Reason::Selected));
    let history = outcome.history;
    assert_eq!(history.original, Original::Original(row("#a ask", "i0.5 r0.9")));
    assert_eq!(history.last, Some(row("#a new", "i0.7 r0.4 best")));
    assert_eq!((history.ifd, history.r_ifd, history.unscorable), (Some(0.7), Some(0.4), None));
    let first = &history.instruction_reflection;
    assert_eq!(
        (first.before, first.after, &first.verdict),
        (Some(0.5), Some(0.6), &Verdict::Taken)
    );
    assert_eq!(first.critique.as_deref(), Some("Vague."));
    let second = &history.response_reflection;
    assert_eq!((second.before, second.after), (Some(0.8), Some(0.4)));
    assert_eq!(second.proposal, Some(row("#a new", "i0.7 r0.4 best")));
}

#[test]
fn a_pair_that_is_not_strictly_better_leaves_instruction_and_answer() {
    for ifd in ["0.5", "0.4"] {
        let (outcome, cost) = one("i0.5 r0.9", |teacher| {
            teacher.says(Instruction, "a", pair("#a new", &format!("i{ifd} r0.8"))).says(
                Response,
                "a",
                better("i0.7 r0.4 best"),
            )
        });
        assert_eq!(cost, passes(3, 2));
        assert_eq!(outcome.history.instruction_reflection.verdict, Verdict::Refused);
        // The answer was improved on the old instruction, against the old answer.
        assert_eq!(outcome.history.response_reflection.before, Some(0.9));
        assert_eq!(outcome.history.last, Some(row("#a ask", "i0.7 r0.4 best")));
        assert!(outcome.selected);
    }
}

#[test]
fn an_answer_that_is_not_strictly_better_leaves_the_record_out() {
    for r_ifd in ["0.8", "0.81"] {
        let (outcome, cost) = one("i0.5 r0.9", |teacher| {
            teacher.says(Instruction, "a", pair("#a new", "i0.6 r0.8")).says(
                Response,
                "a",
                better(&format!("i0.7 r{r_ifd}")),
            )
        });
        // No score of the end: the rule needs none.
        assert_eq!(cost, passes(2, 2));
        assert_eq!(outcome.history.response_reflection.verdict, Verdict::Refused);
        assert_eq!(outcome.history.last, Some(row("#a new", "i0.6 r0.8")));
        assert_eq!((outcome.selected, outcome.reason), (false, Reason::ResponseNotReplaced));
        // Known, although not needed: the text that stands was scored when it was proposed.
        assert_eq!((outcome.history.ifd, outcome.history.r_ifd), (Some(0.6), Some(0.8)));
    }
}

#[test]
fn bounds_of_the_published_rule() {
    let with = |last: &str| one("i0.5 r2", |teacher| teacher.says(Response, "a", better(last)));
    // Reversed IFD of 1 and more: the IFD is not asked for.
    let (outcome, cost) = with("i0.5 r1 x");
    assert_eq!((outcome.reason, cost), (Reason::ReversedIfdTooHigh, passes(0, 2)));
    let (outcome, cost) = with("i1 r0.9 x");
    assert_eq!((outcome.reason, cost), (Reason::IfdTooHigh, passes(1, 2)));
    let (outcome, cost) = with("i! r0.9 x");
    assert_eq!((outcome.reason, cost), (Reason::Unscorable, passes(1, 2)));
    assert_eq!(outcome.history.unscorable, Some(NoScore::TooFewTokens));
    let (outcome, cost) = with("i0.999 r0.999 x");
    assert_eq!((outcome.reason, cost), (Reason::Selected, passes(1, 2)));
}

#[test]
fn what_cannot_be_scored_is_not_replaced() {
    let why = NoScore::TooFewTokens;
    let (outcome, _) =
        one("i! r0.5", |teacher| teacher.says(Instruction, "a", pair("#a new", "i0.9 r0.1")));
    let verdict = outcome.history.instruction_reflection.verdict.clone();
    assert_eq!(verdict, Verdict::Unscorable { which: Side::Before, why: why.clone() });
    assert_eq!(outcome.history.last, Some(row("#a ask", "i! r0.5")));

    let (outcome, _) =
        one("i0.5 r0.5", |teacher| teacher.says(Instruction, "a", pair("#a new", "i! r0.1")));
    let step = outcome.history.instruction_reflection;
    assert_eq!(step.verdict, Verdict::Unscorable { which: Side::After, why });
    assert_eq!((step.before, step.after), (Some(0.5), None));

    // NaN, infinity and 0 are no scores either: 0 would be the best reversed IFD there is.
    for score in ["NaN", "inf", "0", "-1"] {
        let (outcome, _) = one("i0.5 r0.5", |teacher| {
            teacher.says(Response, "a", better(&format!("i0.5 r{score}")))
        });
        let why = NoScore::NonFinite;
        let verdict = outcome.history.response_reflection.verdict;
        assert_eq!(verdict, Verdict::Unscorable { which: Side::After, why }, "{score}");
        assert_eq!(outcome.reason, Reason::ResponseNotReplaced);
    }
}

#[test]
fn replies_that_cannot_be_read_cost_no_score() {
    let (outcome, cost) = one("i0.5 r0.5", |teacher| {
        let half = "[New Instruction]\n#a new\n[End]\nAnd that is it.";
        teacher.says(Instruction, "a", reply(half)).says(
            Response,
            "a",
            cut("[Better Answer]\ni0.1 r0.1\n[End]"),
        )
    });
    assert_eq!(cost, passes(0, 0));
    let history = outcome.history;
    let why = Unreadable::Missing { marker: tamis_reflection::Marker::NewAnswer };
    assert_eq!(history.instruction_reflection.verdict, Verdict::Unreadable { why });
    assert!(history.instruction_reflection.critique.unwrap().contains("that is it"));
    let why = Unreadable::Cut;
    assert_eq!(history.response_reflection.verdict, Verdict::Unreadable { why });
    assert_eq!(history.last, Some(row("#a ask", "i0.5 r0.5")));
    assert_eq!((history.ifd, history.r_ifd), (None, None));
}

#[test]
fn no_reply_is_written_down_with_its_reason() {
    let (outcome, cost) = one("i0.5 r0.5", |teacher| {
        teacher.keeps_silent(Instruction, "a").keeps_silent(Response, "a")
    });
    assert_eq!(cost, passes(0, 0));
    let why = NoReply::Timeout { seconds: 3, attempts: 2 };
    assert_eq!(outcome.history.instruction_reflection.verdict, Verdict::NoReply { why });
    assert_eq!(outcome.reason, Reason::ResponseNotReplaced);
}

#[test]
fn a_history_has_no_room_for_megabytes_of_criticism() {
    let long = "é ".repeat(500_000);
    let critic =
        reply(&format!("{long}\n[New Instruction]\n#a new\n[End]\n[New Answer]\ni0.6 r0.4\n[End]"));
    let (outcome, _) = one("i0.5 r0.5", |teacher| {
        teacher.says(Instruction, "a", critic).says(Response, "a", reply(&long))
    });
    let history = outcome.history;
    assert_eq!(history.instruction_reflection.verdict, Verdict::Taken);
    assert!(matches!(history.response_reflection.verdict, Verdict::Unreadable { .. }));
    for step in [history.instruction_reflection, history.response_reflection] {
        assert_eq!(step.critique.unwrap(), "é ".repeat(2000));
    }
}

#[test]
fn what_is_there_already_is_no_proposal_to_score() {
    let (outcome, cost) = one("i0.5 r0.5", |teacher| {
        teacher.says(Instruction, "a", pair("#a ask", "i0.5 r0.5")).says(
            Response,
            "a",
            better("i0.5 r0.5"),
        )
    });
    assert_eq!(cost, passes(0, 0));
    assert_eq!(outcome.history.instruction_reflection.verdict, Verdict::Unchanged);
    assert_eq!(outcome.history.response_reflection.verdict, Verdict::Unchanged);
    assert!(!outcome.history.is_changed() && outcome.history.rewritten().is_none());
}

#[test]
fn the_input_is_shown_and_stays() {
    let fuse = Fuse::never();
    let teacher = Scripted::new(&fuse).says(Instruction, "a", pair("#a new", "i0.6 r0.8")).says(
        Response,
        "a",
        better("i0.6 r0.4"),
    );
    let samples = [record_with_input("a", "  some input\n", "i0.5 r0.9")];
    let params = ReflectionParams::default();
    let found = run(params, &samples, &teacher, &mut Reader::new(&fuse)).unwrap();
    let texts = teacher.texts.lock().unwrap();
    assert!(texts.iter().all(|text| text.contains("\n  some input\n\n")), "{texts:?}");
    let written = serde_json::to_value(found.outcomes[0].history.rewritten().unwrap()).unwrap();
    let expected = json!({
        "id": "a", "instruction": "#a new", "input": "  some input\n", "output": "i0.6 r0.4",
    });
    assert_eq!(written, expected);
    assert_eq!(serde_json::to_value(found.outcomes[0].alpaca_row()).unwrap(), expected);
}

fn chat(id: &str, roles: &[&str]) -> Sample {
    let turn = |role: &&str| {
        let content = if *role == "assistant" { "i0.5 r0.9".into() } else { format!("#{id} ask") };
        Message { role: (*role).to_owned(), content }
    };
    let messages = roles.iter().map(turn).collect();
    Sample { id: SampleId::from(id), index: 0, content: Content::Chat { messages } }
}

#[test]
fn records_of_other_shapes_are_left_alone() {
    let translation = Content::Translation { source: "a".into(), target: "b".into() };
    let mut blank = record("f", "i1 r1");
    if let Content::Instruction { instruction, .. } = &mut blank.content {
        " \n".clone_into(instruction);
    }
    let samples = [
        Sample { id: "a".into(), index: 0, content: translation },
        chat("b", &["user", "assistant", "user", "assistant"]),
        chat("c", &["system", "user", "assistant"]),
        chat("d", &["user"]),
        chat("e", &["user", "assistant"]),
        blank,
    ];
    let fuse = Fuse::never();
    let teacher = Scripted::new(&fuse).says(Response, "e", better("i0.6 r0.4"));
    let mut student = Reader::new(&fuse);
    let params = ReflectionParams { rule: Rule::Everything, ..ReflectionParams::default() };
    let found = run(params, &samples, &teacher, &mut student).unwrap();
    // Only the chat of one question and its answer is an instruction.
    assert_eq!(teacher.asked(), [(Instruction, "e".into()), (Response, "e".into())]);
    let originals: Vec<_> = found.outcomes.iter().map(|one| &one.history.original).collect();
    let left = [
        NotARow::Translation,
        NotARow::SeveralTurns,
        NotARow::SystemTurn,
        NotARow::NoAnswer,
        NotARow::BlankInstruction,
    ];
    let [a, b, c, d, e, f] = originals[..] else { panic!() };
    for (original, why) in [a, b, c, d, f].into_iter().zip(left) {
        assert_eq!(*original, Original::NotReflected(why));
    }
    assert_eq!(*e, Original::Original(row("#e ask", "i0.5 r0.9")));
    assert!(found.outcomes.iter().all(|one| one.selected));
    let left = &found.outcomes[0];
    assert!(left.alpaca_row().is_none() && left.history.last.is_none());
    assert_eq!(left.history.instruction_reflection.verdict, Verdict::NotAsked);
    let line = serde_json::to_value(left).unwrap();
    assert_eq!((&line["not_reflected"], &line["final"]), (&json!("translation"), &json!(null)));

    // Under the published rule they are left out, with the reason.
    let found = run(ReflectionParams::default(), &samples, &teacher, &mut student).unwrap();
    let reasons: Vec<_> = found.outcomes.iter().map(|one| one.reason).collect();
    let none = Reason::NotReflected;
    assert_eq!(reasons, [none, none, none, none, Reason::Selected, none]);
}

/// The line of `scores.jsonl`, whole.
#[test]
fn a_history_as_it_is_written() {
    let (outcome, _) = one("i0.5 r0.9", |teacher| {
        teacher.says(Instruction, "a", pair("#a new", "i0.4 r0.8")).says(
            Response,
            "a",
            better("i0.7 r0.25"),
        )
    });
    let line = serde_json::to_string(&outcome).unwrap();
    let expected = concat!(
        r##"{"id":"a","index":0,"original":{"instruction":"#a ask","input":"","output":"i0.5 r0.9"},"##,
        r##""instruction_reflection":{"verdict":"refused","critique":"Vague.","##,
        r##""proposal":{"instruction":"#a new","input":"","output":"i0.4 r0.8"},"##,
        r##""measure":"ifd","before":0.5,"after":0.4,"##,
        r##""usage":{"prompt_tokens":7,"completion_tokens":67}},"##,
        r##""response_reflection":{"verdict":"taken","critique":"Short.","##,
        r##""proposal":{"instruction":"#a ask","input":"","output":"i0.7 r0.25"},"##,
        r##""measure":"reversed_ifd","before":0.9,"after":0.25,"##,
        r##""usage":{"prompt_tokens":7,"completion_tokens":40}},"##,
        r##""final":{"instruction":"#a ask","input":"","output":"i0.7 r0.25"},"##,
        r##""ifd":0.7,"r_ifd":0.25,"unscorable":null,"selected":true,"reason":"selected"}"##,
    );
    assert_eq!(line, expected);
    assert_eq!(serde_json::from_str::<Outcome>(&line).unwrap(), outcome);
    assert_eq!(outcome.reason.to_string(), "selected");
}
