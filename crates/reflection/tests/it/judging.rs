//! The judge: its first line, both orders, resuming.

use std::fs;
use std::sync::Mutex;

use proptest::prelude::*;
use serde_json::{Value, json};
use tamis_artifact::NoProgress;
use tamis_reflection::judge::Verdict;
use tamis_reflection::teacher::Answered;
use tamis_reflection::teacher::Finish;
use tamis_reflection::{
    ChatRequest, Contest, Judge, JudgeParams, Judgement, NoGrades, NoReply, Prompts, Reading,
    ReflectionError, Reply, Teacher, read_grades,
};

use crate::scripted::{cut, reply};

fn grades(text: &str) -> Result<(f64, f64), NoGrades> {
    read_grades(&reply(text)).map(|grades| (grades.first, grades.second))
}

#[test]
fn first_lines_that_are_read() {
    for (line, expected) in [
        ("8 6", (8.0, 6.0)),
        ("8,6", (8.0, 6.0)),
        ("8, 6", (8.0, 6.0)),
        ("8 , 6", (8.0, 6.0)),
        ("8.5 6.0", (8.5, 6.0)),
        ("0 10", (0.0, 10.0)),
        ("10.0,0.5", (10.0, 0.5)),
        ("7\t7", (7.0, 7.0)),
        ("9   3  ", (9.0, 3.0)),
        ("\n 9 3", (9.0, 3.0)),
        ("9 3\r\nBecause.", (9.0, 3.0)),
        ("9 3\n1 10\nmore numbers", (9.0, 3.0)),
    ] {
        assert_eq!(grades(line), Ok(expected), "{line:?}");
    }
    assert_eq!(read_grades(&reply("9 3\n\n Because. \n")).unwrap().explanation, "Because.");
    // Cut, but not in its first line.
    assert!(read_grades(&cut("9 3\nBecau")).is_ok());
}

#[test]
fn first_lines_that_are_refused() {
    for line in [
        "",
        "8",
        "8 ",
        "8 6 7",
        "8, 6, 7",
        "8,,6",
        ",8 6",
        "8 6,",
        "8/10 6/10",
        "8 and 6",
        "11 3",
        "8 10.5",
        "-1 5",
        "+8 6",
        "8.25 6",
        "8.50 6",
        ".5 6",
        "8. 6",
        "08 6",
        "8,5 6",
        "1e1 5",
        "NaN 5",
        "inf 5",
        "Scores: 8 6",
        "8 6.",
        "[8, 6]",
        "8;6",
        "8-6",
        "８ 6",
        "8\u{a0}6",
        "eight six",
        "100 5",
        "Answer 1: 8\nAnswer 2: 6",
        "**8 6**",
    ] {
        let refused =
            NoGrades::FirstLine { line: line.lines().next().unwrap_or("").trim_end().to_owned() };
        let found = grades(line);
        assert!(matches!(found, Err(NoGrades::FirstLine { .. })), "{line:?}: {found:?}");
        if !line.ends_with(' ') {
            assert_eq!(found, Err(refused));
        }
    }
    assert_eq!(read_grades(&cut("8 7")), Err(NoGrades::Cut));
    let stopped = Reply { finish: Finish::Other("content_filter".into()), ..reply("8 7") };
    assert!(matches!(read_grades(&stopped), Err(NoGrades::Stopped { .. })));
    // Of ten megabytes without a line end, the message keeps the beginning.
    let Err(NoGrades::FirstLine { line }) = grades(&"8 7 ".repeat(2_500_000)) else { panic!() };
    assert_eq!(line.len(), 200);
}

proptest! {
    #[test]
    fn grades_come_back(first in 0..=20_u8, second in 0..=20_u8, comma: bool, rest in "\\PC{0,20}") {
        let (first, second) = (f64::from(first) / 2.0, f64::from(second) / 2.0);
        let between = if comma { ", " } else { " " };
        let text = format!("{first}{between}{second}\n{rest}");
        prop_assert_eq!(grades(&text), Ok((first, second)));
    }

    #[test]
    fn any_text_never_panics(text in "\\PC*|[0-9., \\n]{0,12}") {
        if let Ok((first, second)) = grades(&text) {
            for grade in [first, second] {
                prop_assert!((0.0..=10.0).contains(&grade) && (grade * 2.0).fract() == 0.0);
            }
        }
    }
}

/// Grades by a word in the answers, `g7.5`, adding a bonus to what is shown first; an answer that says
/// `mute`, `wordy` or `cut` spoils the reply.
struct Script {
    bonus: f64,
    requests: Mutex<Vec<String>>,
    /// Requests until the plug is pulled.
    left: Mutex<usize>,
}

impl Script {
    fn new(bonus: f64, left: usize) -> Self {
        Self { bonus, requests: Mutex::default(), left: Mutex::new(left) }
    }
}

impl Teacher for Script {
    fn identity(&self) -> Value {
        json!({ "bonus": self.bonus })
    }

    fn ask(
        &self,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        // Second half first: contests do not end in their order.
        let order = (requests.len() / 2..requests.len()).chain(0..requests.len() / 2);
        for place in order {
            let text = requests[place].messages.last().unwrap().content.clone();
            let mut left = self.left.lock().unwrap();
            if *left == 0 {
                return Err(ReflectionError::Faulty { who: "teacher", what: "no power".into() });
            }
            *left -= 1;
            drop(left);
            let words: Vec<f64> = text
                .split_whitespace()
                .filter_map(|word| word.strip_prefix('g')?.parse().ok())
                .collect();
            self.requests.lock().unwrap().push(text.clone());
            let said = match words[..] {
                _ if text.contains("mute") => Err(NoReply::Timeout { seconds: 1, attempts: 1 }),
                _ if text.contains("verbose") => Ok(reply(&format!("8 7\n{}", "é".repeat(99_999)))),
                _ if text.contains("wordy") => Ok(reply("Both are good: 8 7")),
                [first, second] => {
                    let first = (first + self.bonus).min(10.0);
                    Ok(reply(&format!("{first} {second}\nBecause.")))
                }
                _ => panic!("{text}"),
            };
            done(place, said)?;
        }
        Ok(())
    }
}

fn contest(id: &str, model: &str, reference: &str) -> Contest {
    let input = if id == "b" { "the input".to_owned() } else { String::new() };
    let instruction = format!("Question {id}?");
    Contest { id: id.into(), instruction, input, model: model.into(), reference: reference.into() }
}

fn contests() -> Vec<Contest> {
    vec![
        contest("a", "g8 and more", "g6"),
        contest("b", "g5", "g5"),
        contest("c", "g5", "g5.5"),
        contest("d", "g2", "g9 as long as this"),
        contest("e", "mute g1", "g1"),
        contest("f", "wordy g1", "g1"),
    ]
}

fn judge(wave: usize) -> Judge {
    JudgeParams { wave, ..JudgeParams::default() }.check(Prompts::built_in().unwrap()).unwrap()
}

fn run(judge: &Judge, teacher: &Script) -> Result<Judgement, ReflectionError> {
    let folder = tempfile::tempdir().unwrap();
    judge.run(&contests(), teacher, folder.path().join("j.jsonl"), &mut NoProgress)
}

#[test]
fn both_orders_are_asked_and_decide() {
    let teacher = Script::new(1.0, 99);
    let found = run(&judge(64), &teacher).unwrap();
    let verdicts: Vec<Verdict> = found.contests.iter().map(|one| one.verdict).collect();
    // a: 9-6 and 8-7. b: 6-5 and 5-6. c: 6-5.5 and 5-6.5: each order prefers what is first.
    assert_eq!(
        verdicts,
        [Verdict::Win, Verdict::Tie, Verdict::Tie, Verdict::Lose, Verdict::Failed, Verdict::Failed]
    );
    let requests = teacher.requests.lock().unwrap();
    assert_eq!(requests.len(), 12);
    assert_eq!(requests.iter().filter(|text| text.contains("the input")).count(), 2);
    let one = &found.contests[0];
    assert_eq!(one.model_first.grades(), Some((9.0, 6.0)));
    assert_eq!(one.reference_first.grades(), Some((8.0, 7.0)));
    let Reading::Graded { explanation, .. } = &one.model_first else { panic!() };
    assert_eq!(explanation, "Because.");
    assert!(matches!(found.contests[4].model_first, Reading::NoReply { .. }));
    assert!(matches!(found.contests[5].reference_first, Reading::NoGrades { .. }));
    // Everything can be written and read.
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Judgement>(&text).unwrap(), found);
}

#[test]
fn explanations_are_kept_up_to_a_length() {
    let folder = tempfile::tempdir().unwrap();
    let verbose = [contest("a", "verbose", "short")];
    let path = folder.path().join("j.jsonl");
    let found = judge(1).run(&verbose, &Script::new(0.0, 2), path, &mut NoProgress).unwrap();
    let Reading::Graded { explanation, .. } = &found.contests[0].model_first else { panic!() };
    assert_eq!(*explanation, "é".repeat(4000));
}

#[test]
fn interrupted_at_every_reply() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.jsonl");
    let expected =
        judge(3).run(&contests(), &Script::new(0.5, 99), &whole, &mut NoProgress).unwrap();
    for wave in [1, 3, 64] {
        for left in 0..12 {
            let path = folder.path().join(format!("{wave}-{left}.jsonl"));
            let run =
                |teacher: &Script| judge(wave).run(&contests(), teacher, &path, &mut NoProgress);
            let error = run(&Script::new(0.5, left)).unwrap_err().to_string();
            assert!(error.contains("no power"), "{error}");
            let written = fs::read_to_string(&path).unwrap().lines().count() - 1;
            let again = Script::new(0.5, 99);
            assert_eq!(run(&again).unwrap(), expected);
            assert_eq!(again.requests.lock().unwrap().len(), 12 - 2 * written);
            assert_eq!(fs::read(&path).unwrap(), fs::read(&whole).unwrap());
            // In waves of one, each contest that was judged was written, but for the one without a reply.
            assert!(wave > 1 || written == (left / 2).min(4));
        }
    }
}

#[test]
fn journals_and_settings_that_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.jsonl");
    let run = |contests: &[Contest], bonus| {
        judge(4).run(contests, &Script::new(bonus, 99), &path, &mut NoProgress)
    };
    run(&contests(), 0.5).unwrap();
    let error = run(&contests(), 0.0).unwrap_err().to_string();
    assert!(error.contains("`teacher.bonus`"), "{error}");
    let error = run(&contests()[1..], 0.5).unwrap_err().to_string();
    assert!(error.contains("`contests.count` is 6, expected 5"), "{error}");
    let built_in = || Prompts::built_in().unwrap();
    let none = JudgeParams { wave: 0, ..JudgeParams::default() }.check(built_in());
    assert!(none.unwrap_err().to_string().contains("`wave` is 0"));
    let mut params = JudgeParams::default();
    params.bootstrap.resamples = 0;
    assert!(params.check(built_in()).unwrap_err().to_string().contains("`resamples`"));
}
