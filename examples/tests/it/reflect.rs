//! `reflect` from outside: what it asks, decides and writes, and that nothing is asked twice.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tamis::dataset::{Dataset, ReadOptions};

use crate::chat_server::ChatServer;
use crate::pools;
use crate::program::{Finished, binary, model, refuse, succeed};

const ROWS: usize = 12;

/// Instructions, some of them written as no parser would write them again, and one translation of
/// which nothing can be asked.
fn rows() -> Vec<String> {
    (0..ROWS)
        .map(|n| {
            let (question, answer) = pools::pair(n);
            format!(
                r#"{{ "id": "i{n}", "instruction": "{question}", "output": "{answer}" , "kept": 1.50e0 }}"#
            )
        })
        .collect()
}

/// A teacher that writes in the form asked for, but for the records of one verb.
fn teacher(user: &str) -> String {
    if user.contains("hears") {
        return "I would rather not.".to_owned();
    }
    if user.contains("[New Instruction]") {
        return "Too short.\n[New Instruction]\nle chat voit le chien, et puis ?\n[End]\n\
                [New Answer]\nthe cat sees the dog and then runs\n[End]"
            .to_owned();
    }
    "Too short.\n[Better Answer]\nthe dog sees the cat, the cat the dog\n[End]".to_owned()
}

struct Reflect {
    flags: Vec<String>,
    out: PathBuf,
}

impl Reflect {
    fn new(folder: &Path, out: &str, url: &str) -> Self {
        let (pool, out) = (folder.join("pool.jsonl"), folder.join(out));
        if !pool.exists() {
            pools::write(folder, "pool.jsonl", &rows());
        }
        let flags = [
            format!("--model={}", model().display()),
            format!("--pool={}", pool.display()),
            format!("--out={}", out.display()),
            format!("--server={url}"),
            "--server-model=tutor".to_owned(),
            "--template=none".to_owned(),
            "--max-length=120".to_owned(),
            "--threads=1".to_owned(),
            "--wave=4".to_owned(),
            // The usual request has more letters than the model reads tokens.
            "--request=Asked: {response}?".to_owned(),
        ];
        Self { flags: flags.into(), out }
    }

    fn with(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    fn arguments(&self) -> Vec<&str> {
        self.flags.iter().map(String::as_str).collect()
    }

    fn succeed(&self) -> Finished {
        let printed = succeed("reflect", &self.arguments());
        Finished { out: self.out.clone(), printed }
    }
}

fn number(step: &Value, field: &str) -> f64 {
    step[field].as_f64().unwrap_or_else(|| panic!("no {field} in {step}"))
}

#[test]
fn decisions_follow_from_the_scores_and_rows_from_the_decisions() {
    let folder = tempfile::tempdir().unwrap();
    let server = ChatServer::start(teacher);
    let run = Reflect::new(folder.path(), "out", &server.url)
        .with(&["--rule=everything", "--price-prompt=1", "--price-completion=2"])
        .succeed();
    let (lines, rows) = (run.scores(), rows());
    assert_eq!(lines.len(), ROWS);
    let mut verdicts = BTreeSet::new();
    let mut changed = Vec::new();
    for line in &lines {
        let steps = [&line["instruction_reflection"], &line["response_reflection"]];
        for (step, better) in steps.into_iter().zip([f64::gt, f64::lt]) {
            let verdict = step["verdict"].as_str().unwrap();
            verdicts.insert(verdict.to_owned());
            if ["taken", "refused"].contains(&verdict) {
                let (before, after) = (number(step, "before"), number(step, "after"));
                assert_eq!(better(&after, &before), verdict == "taken", "{step}");
            }
        }
        changed.push(steps.iter().any(|step| step["verdict"] == "taken"));
    }
    assert!(verdicts.contains("taken") && verdicts.contains("unreadable"), "{verdicts:?}");
    // Untouched rows as they came, spaces and all; the others as the histories end.
    let selected = run.selected();
    assert_eq!(run.text("original.jsonl").lines().collect::<Vec<_>>(), rows);
    for ((line, history), (row, changed)) in
        selected.iter().zip(&lines).zip(rows.iter().zip(changed))
    {
        if !changed {
            assert_eq!(line, row);
            continue;
        }
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["id"], history["id"]);
        for field in ["instruction", "input", "output"] {
            assert_eq!(line[field], history["final"][field], "{history}");
        }
    }
    assert_eq!(run.count("selected"), ROWS as u64);
    let page = run.text("report.html");
    for text in ["Selective reflection", "Verdicts", "<svg", "A proposal that was taken"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(run.printed.contains("to pay"), "{}", run.printed);

    // The published rule: the answer replaced, both scores below 1.
    let published = Reflect::new(folder.path(), "published", &server.url).succeed();
    for line in published.scores() {
        let below = |field: &str| line[field].as_f64().is_some_and(|score| score < 1.0);
        let taken = line["response_reflection"]["verdict"] == "taken";
        assert_eq!(line["selected"], taken && below("ifd") && below("r_ifd"), "{line}");
    }
}

#[test]
fn a_pool_of_chats_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = ChatServer::start(teacher);
    let roles =
        [("messages", "role", "content", "user"), ("conversations", "from", "value", "human")];
    for (turns, role, content, user) in roles {
        let rows: Vec<String> = (0..ROWS)
            .map(|n| {
                let (question, answer) = pools::pair(n);
                let other = if user == "user" { "assistant" } else { "gpt" };
                let turn = |who: &str, text: &str| json!({ role: who, content: text });
                json!({ "id": format!("c{n}"), turns: [turn(user, &question), turn(other, &answer)] })
                    .to_string()
            })
            .collect();
        let name = format!("{turns}.jsonl");
        let pool = format!("--pool={}", pools::write(folder.path(), &name, &rows).display());
        let mut run = Reflect::new(folder.path(), turns, &server.url);
        run.flags.retain(|flag| !flag.starts_with("--pool"));
        let run = run.with(&[&pool, "--rule=everything"]).succeed();
        let (lines, mut changed) = (run.scores(), 0);
        for ((line, row), history) in run.selected().iter().zip(&rows).zip(&lines) {
            if line == row {
                continue;
            }
            changed += 1;
            let line: Value = serde_json::from_str(line).unwrap();
            let said = &line[turns];
            assert_eq!(line["id"], history["id"]);
            assert_eq!((&said[0][role], said.as_array().unwrap().len()), (&json!(user), 2));
            assert_eq!(said[0][content], history["final"]["instruction"]);
            assert_eq!(said[1][content], history["final"]["output"]);
        }
        assert!(changed > 0 && changed < ROWS, "{changed}");
        // One reader reads all of it.
        let read = Dataset::open(run.out.join("selected.jsonl"), &ReadOptions::default()).unwrap();
        assert_eq!(read.len(), ROWS);
    }
}

#[test]
fn nothing_is_asked_twice_whenever_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let server = ChatServer::start(teacher);
    let whole = Reflect::new(folder.path(), "whole", &server.url).succeed();
    let asked = server.asked();
    assert_eq!(asked, 2 * ROWS - duplicates(&whole));

    // Again: not a single question, the same bytes.
    let again = Reflect::new(folder.path(), "whole", &server.url).succeed();
    assert_eq!((server.asked(), again.result()), (asked, whole.result()));

    // Repeated from the record alone.
    let file = whole.out.join("answers.jsonl");
    let copy = folder.path().join("recording.jsonl");
    fs::copy(file, &copy).unwrap();
    let mut recorded = Reflect::new(folder.path(), "recorded", &server.url);
    recorded.flags.retain(|flag| !flag.starts_with("--server"));
    let recorded = recorded.with(&[&format!("--recorded={}", copy.display())]).succeed();
    assert_eq!((server.asked(), recorded.result()), (asked, whole.result()));

    // Killed once a few answers are on the disk, with one request under way or with several.
    for concurrency in [1, 4] {
        let part = Reflect::new(folder.path(), &format!("part{concurrency}"), &server.url)
            .with(&[&format!("--concurrency={concurrency}")]);
        let mut child = Command::new(binary("reflect"))
            .args(&part.flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answers = part.out.join("answers.jsonl");
        let lines = || fs::read_to_string(&answers).map_or(0, |text| text.matches('\n').count());
        let begun = Instant::now();
        while lines() < 4 && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(120));
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What was under way then is answered into the void.
        std::thread::sleep(Duration::from_millis(200));
        let kept = lines() - 1; // less the manifest
        let before = server.asked();
        let resumed = part.succeed();
        assert_eq!(resumed.result(), whole.result());
        // What was on the disk is not asked again, and the rest once.
        assert_eq!(server.asked() - before, asked - kept);
    }
}

/// Questions that are the same as another one, and so asked once: those about records that were given
/// the same new instruction and answer.
fn duplicates(run: &Finished) -> usize {
    let mut seen = BTreeSet::new();
    run.scores()
        .iter()
        .filter(|line| line["instruction_reflection"]["verdict"] == "taken")
        .filter(|line| !seen.insert(line["instruction_reflection"]["proposal"].to_string()))
        .count()
}

/// A teacher that fails for some records at first: they are in the results, and the next run asks about
/// them only.
#[test]
fn what_had_no_reply_is_asked_again_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = ChatServer::start(teacher);
    let whole = Reflect::new(folder.path(), "whole", &server.url).succeed();
    // Repeated from half of the answers.
    let answers = fs::read_to_string(whole.out.join("answers.jsonl")).unwrap();
    let lines: Vec<&str> = answers.lines().collect();
    let half = folder.path().join("half.jsonl");
    fs::write(&half, lines[..=lines.len() / 2].join("\n") + "\n").unwrap();
    let mut replay = Reflect::new(folder.path(), "out", &server.url);
    replay.flags.retain(|flag| !flag.starts_with("--server"));
    let replay = replay.with(&[&format!("--recorded={}", half.display())]).succeed();
    let unanswered = replay.count("unanswered");
    assert!((1..=ROWS as u64).contains(&unanswered), "{unanswered}");
    let said = format!("{unanswered} records without a reply for the moment");
    assert!(replay.printed.contains(&said), "{}", replay.printed);
    // Live: the same results as ever, and only what was missing is asked.
    let before = server.asked();
    let live = Reflect::new(folder.path(), "out", &server.url).succeed();
    assert_eq!(live.scores(), whole.scores());
    assert_eq!(live.count("unanswered"), 0);
    assert!((1..before).contains(&(server.asked() - before)), "{}", server.asked() - before);
}

#[test]
fn what_cannot_work_is_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let server = ChatServer::start(teacher);
    let at = |url: &str| Reflect::new(folder.path(), "out", url);
    let refused = |reflect: Reflect, parts: &[&str]| refuse("reflect", &reflect.arguments(), parts);
    refused(at("https://models.example/v1"), &["OPENAI_API_KEY", "not set"]);
    refused(at(&server.url).with(&["--key-env=TAMIS_NO_SUCH_KEY"]), &["TAMIS_NO_SUCH_KEY"]);
    refused(at(&server.url).with(&["--method=best"]), &["selective", "response-only"]);
    refused(at(&server.url).with(&["--method=instruction-only", "--rule=published"]), &["rule"]);
    refused(at(&server.url).with(&["--local=nowhere"]), &["cannot be used with"]);
    let nobody = at("http://127.0.0.1:9/v1").with(&["--attempts=1"]);
    refused(nobody, &["cannot connect", "127.0.0.1:9", "check that the server runs"]);
    // A journal of another run.
    at(&server.url).succeed();
    refused(at(&server.url).with(&["--temperature=0.5"]), &["temperature", "0.5"]);
    // Rows that nothing can be asked about are no error.
    let row = json!({ "id": "t", "instruction": "  ", "output": "x" }).to_string();
    let blank = pools::write(folder.path(), "blank.jsonl", &[row]);
    let pool = format!("--pool={}", blank.display());
    let mut run = Reflect::new(folder.path(), "blank", &server.url);
    run.flags.retain(|flag| !flag.starts_with("--pool"));
    let run = run.with(&[&pool]).succeed();
    assert_eq!(run.scores()[0]["not_reflected"], "blank_instruction");
    assert_eq!(run.count("selected"), 0);
}
