//! What had no reply for a reason that may pass is not the last word: the same run again asks for it, and
//! for nothing else.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tamis_artifact::{Ledger, NoProgress};
use tamis_dataset::Sample;
use tamis_reflection::history::Outcome;
use tamis_reflection::judge::Verdict as Ending;
use tamis_reflection::teacher::{Answered, Cached, Recorded};
use tamis_reflection::{
    ChatRequest, Contest, Counts, History, JudgeParams, NoReply, Prompts, Reflected,
    ReflectionError, ReflectionParams, Teacher, Verdict,
};

use crate::scripted::{
    Fuse, Instruction, Reader, Response, Scripted, better, pair, record, reply, run_in,
};

const RECORDS: usize = 9;
/// Records that one of the questions failed for at first.
const SILENT: [usize; 3] = [1, 4, 7];

fn samples() -> Vec<Sample> {
    (0..RECORDS).map(|n| record(&format!("n{n}"), &format!("i0.5 r0.5 at{n}"))).collect()
}

fn teacher(fuse: &Fuse) -> Scripted<'_> {
    (0..RECORDS).fold(Scripted::new(fuse), |teacher, n| {
        let id = format!("n{n}");
        teacher.says(Instruction, &id, pair(&format!("#{id} new"), "i0.6 r0.4")).says(
            Response,
            &id,
            better(&format!("i0.7 r0.{n}1")),
        )
    })
}

/// Silent about three records, in either question.
fn silent(fuse: &Fuse) -> Scripted<'_> {
    let mut teacher = teacher(fuse).keeps_silent(Instruction, "n1").keeps_silent(Response, "n4");
    teacher.replies.insert((Instruction, "n7".to_owned()), Err(NoReply::NotRecorded));
    teacher
}

fn params(wave: usize) -> ReflectionParams {
    ReflectionParams { wave, ..ReflectionParams::default() }
}

fn reflect(
    folder: &Path,
    wave: usize,
    teacher: &dyn Teacher,
) -> Result<Reflected, ReflectionError> {
    let fuse = Fuse::never();
    run_in(folder, params(wave), &samples(), teacher, &mut Reader::new(&fuse))
}

fn lines(outcomes: &[Outcome]) -> Vec<String> {
    outcomes.iter().map(|one| serde_json::to_string(one).unwrap()).collect()
}

/// Ids in the journal, in its order.
fn written(folder: &Path) -> Vec<String> {
    let (_, records) = Ledger::read::<History>(folder.join("journal.jsonl")).unwrap();
    records.iter().map(|history| history.id.to_string()).collect()
}

fn ids(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("n{n}")).collect()
}

#[test]
fn only_what_had_no_reply_is_asked_again() {
    let fuse = Fuse::never();
    let whole = tempfile::tempdir().unwrap();
    let expected = reflect(whole.path(), 4, &teacher(&fuse)).unwrap();
    assert_eq!(Counts::of(&expected.outcomes).unanswered, 0);
    for wave in [1, 4, 64] {
        let folder = tempfile::tempdir().unwrap();
        let first = reflect(folder.path(), wave, &silent(&fuse)).unwrap();
        // The results have all records, and say so.
        assert_eq!(first.outcomes.len(), RECORDS);
        assert_eq!(Counts::of(&first.outcomes).unanswered, SILENT.len());
        for (n, outcome) in first.outcomes.iter().enumerate() {
            assert_eq!(outcome.history.is_unanswered(), SILENT.contains(&n), "{n}");
        }
        let step = &first.outcomes[4].history.response_reflection;
        assert!(matches!(step.verdict, Verdict::NoReply { why: NoReply::Timeout { .. } }));
        // The journal has those that are finished, whatever stood before them.
        let others = (0..RECORDS).filter(|n| !SILENT.contains(n));
        assert_eq!(written(folder.path()), ids(others.clone()));

        // Still silent: nothing is lost and nothing is added.
        let before = fs::read(folder.path().join("journal.jsonl")).unwrap();
        let again = silent(&fuse);
        let second = reflect(folder.path(), wave, &again).unwrap();
        assert_eq!(lines(&second.outcomes), lines(&first.outcomes));
        assert_eq!((second.work.resumed, second.work.records), (6, 3));
        assert_eq!(again.asked().len(), 2 * SILENT.len());
        assert_eq!(fs::read(folder.path().join("journal.jsonl")).unwrap(), before);

        // Now it speaks, and everything is as if it always had.
        let speaks = teacher(&fuse);
        let third = reflect(folder.path(), wave, &speaks).unwrap();
        assert_eq!(lines(&third.outcomes), lines(&expected.outcomes));
        let mut asked: Vec<String> = speaks.asked().into_iter().map(|(_, id)| id).collect();
        asked.dedup();
        asked.sort();
        asked.dedup();
        assert_eq!(asked, ids(SILENT));
        assert_eq!(written(folder.path()), ids(others.chain(SILENT)));

        let last = reflect(folder.path(), wave, &Scripted::new(&Fuse::after(0))).unwrap();
        assert_eq!((last.work.resumed, last.work.questions), (RECORDS, 0));
        assert_eq!(lines(&last.outcomes), lines(&expected.outcomes));
    }
}

/// Also if what fills the gaps is interrupted, at any question.
#[test]
fn gaps_are_filled_one_by_one() {
    let never = Fuse::never();
    let whole = tempfile::tempdir().unwrap();
    let expected = lines(&reflect(whole.path(), 4, &teacher(&never)).unwrap().outcomes);
    // One after another, instructions are asked about one record ahead: n1, n4, n1, n7, n4, n7.
    for (at, filled) in [0, 0, 0, 1, 1, 2].into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        reflect(folder.path(), 4, &silent(&never)).unwrap();
        let fuse = Fuse::after(at as i64);
        assert!(reflect(folder.path(), 1, &teacher(&fuse)).is_err());
        let found = reflect(folder.path(), 1, &teacher(&never)).unwrap();
        assert_eq!(found.work.resumed, 6 + filled);
        assert_eq!(lines(&found.outcomes), expected);
    }
}

/// A run repeated from an incomplete recording goes on with the teacher itself.
#[test]
fn an_incomplete_recording_spoils_nothing() {
    let fuse = Fuse::never();
    let folder = tempfile::tempdir().unwrap();
    let answers = folder.path().join("answers.jsonl");
    // Recorded: the first four records only.
    let other = tempfile::tempdir().unwrap();
    let some = &samples()[..4];
    let cached = Cached::open(teacher(&fuse), &answers, None).unwrap();
    run_in(other.path(), params(4), some, &cached, &mut Reader::new(&fuse)).unwrap();
    drop(cached);

    let recorded = Recorded::open(&answers).unwrap();
    let replayed = reflect(folder.path(), 4, &recorded).unwrap();
    assert_eq!(Counts::of(&replayed.outcomes).unanswered, RECORDS - 4);
    assert_eq!(written(folder.path()), ids(0..4));
    let live = teacher(&fuse);
    let found = reflect(folder.path(), 4, &live).unwrap();
    assert_eq!((found.work.resumed, live.asked().len()), (4, 2 * (RECORDS - 4)));
    let whole = tempfile::tempdir().unwrap();
    let expected = reflect(whole.path(), 4, &teacher(&fuse)).unwrap();
    assert_eq!(lines(&found.outcomes), lines(&expected.outcomes));
    // In the order of the data, since nothing was missing in between.
    let journal = |folder: &Path| fs::read(folder.join("journal.jsonl")).unwrap();
    assert_eq!(journal(folder.path()), journal(whole.path()));
}

/// Prefers the first answer; silent about questions with a word.
struct Referee(Option<&'static str>);

impl Teacher for Referee {
    fn identity(&self) -> Value {
        json!("referee")
    }

    fn ask(
        &self,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        for (place, request) in requests.iter().enumerate() {
            let text = &request.messages.last().unwrap().content;
            let why = NoReply::Timeout { seconds: 1, attempts: 1 };
            let silent = self.0.is_some_and(|word| text.contains(word));
            done(place, if silent { Err(why) } else { Ok(reply("8 7\nBecause.")) })?;
        }
        Ok(())
    }
}

#[test]
fn contests_without_a_reply_are_judged_the_next_time() {
    let contest = |n: usize| Contest {
        // The same question twice is no trouble.
        id: format!("q{}", n / 2).into(),
        instruction: format!("Question number{n}?"),
        input: String::new(),
        model: "one".to_owned(),
        reference: "two".to_owned(),
    };
    let contests: Vec<Contest> = (0..6).map(contest).collect();
    let judge = |wave| {
        JudgeParams { wave, ..JudgeParams::default() }.check(Prompts::built_in().unwrap()).unwrap()
    };
    for wave in [1, 4, 64] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let run = |teacher: &Referee| judge(wave).run(&contests, teacher, &path, &mut NoProgress);
        let first = run(&Referee(Some("number2"))).unwrap();
        assert_eq!((first.tally.unanswered, first.tally.failed, first.contests.len()), (1, 1, 6));
        assert_eq!(first.contests[2].verdict, Ending::Failed);
        let written = |path: &Path| Ledger::read::<Value>(path).unwrap().1.len();
        assert_eq!(written(&path), 5);
        let second = run(&Referee(None)).unwrap();
        assert_eq!((second.tally.unanswered, second.tally.ties), (0, 6));
        assert_eq!(written(&path), 6);
        // Every question would be silence now, but none is asked.
        assert_eq!(run(&Referee(Some("number"))).unwrap(), second);
    }
}
