//! `less` from outside: what it writes, chooses for other targets, goes on with, and refuses.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::pools;
use crate::program::{Finished, contents, model, refuse, succeed};

/// Pairs whose answers are of two kinds.
fn rows() -> Vec<String> {
    (0..40)
        .map(|n| {
            let (question, answer) = pools::pair(n);
            let answer = match n {
                13 => String::new(),
                _ if n % 2 == 0 => answer,
                _ => format!("{} {} {}", n, n + 1, n + 2),
            };
            json!({ "id": format!("r{n}"), "instruction": question, "output": answer }).to_string()
        })
        .collect()
}

/// Examples like the rows of one kind.
fn examples(numbers: bool) -> Vec<String> {
    (50..66)
        .map(|n| {
            let (question, answer) = pools::pair(n);
            let answer = if numbers { format!("{} {} {}", n, n + 1, n + 2) } else { answer };
            json!({ "instruction": question, "output": answer }).to_string()
        })
        .collect()
}

struct Less {
    flags: Vec<String>,
    out: PathBuf,
}

impl Less {
    /// Settings that fit the tiny model.
    fn new(folder: &Path, out: &str) -> Self {
        let (pool, out) = (folder.join("pool.jsonl"), folder.join(out));
        if !pool.exists() {
            pools::write(folder, "pool.jsonl", &rows());
            pools::write(folder, "words.jsonl", &examples(false));
            pools::write(folder, "numbers.jsonl", &examples(true));
        }
        let flags = [
            format!("--model={}", model().display()),
            format!("--pool={}", pool.display()),
            format!("--target={}", folder.join("words.jsonl").display()),
            format!("--out={}", out.display()),
            "--template=none".to_owned(),
            "--budget=8".to_owned(),
            "--warmup-share=0.5".to_owned(),
            "--epochs=2".to_owned(),
            "--batch-size=4".to_owned(),
            "--lora-rank=4".to_owned(),
            "--lora-alpha=8".to_owned(),
            "--learning-rate=0.02".to_owned(),
            "--dim=256".to_owned(),
            "--shard-rows=16".to_owned(),
            "--max-length=120".to_owned(),
            "--threads=1".to_owned(),
        ];
        Self { flags: flags.into(), out }
    }

    /// Sets flags, in place of the values they had.
    fn with(mut self, flags: &[&str]) -> Self {
        for flag in flags {
            if let Some((name, _)) = flag.split_once('=') {
                self.flags.retain(|had| had.split_once('=').is_none_or(|(had, _)| had != name));
            }
            self.flags.push((*flag).to_owned());
        }
        self
    }

    /// Adds a flag beside those it has.
    fn and(mut self, flag: String) -> Self {
        self.flags.push(flag);
        self
    }

    fn arguments(&self) -> Vec<&str> {
        self.flags.iter().map(String::as_str).collect()
    }

    fn succeed(&self) -> Finished {
        let printed = succeed("less", &self.arguments());
        Finished { out: self.out.clone(), printed }
    }

    fn refuse(&self, parts: &[&str]) {
        refuse("less", &self.arguments(), parts);
    }
}

/// How many of the chosen rows are of numbers.
fn numbers(run: &Finished) -> usize {
    let chosen = run.scores().into_iter().filter(|line| line["selected"] == true);
    chosen.filter(|line| line["index"].as_u64().unwrap() % 2 == 1).count()
}

#[test]
fn rows_like_the_targets_are_chosen_and_other_targets_compute_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let less = |flags: &[&str]| Less::new(folder.path(), "out").with(flags);
    let first = less(&[]).succeed();
    let (lines, rows) = (first.scores(), rows());
    assert_eq!(lines.len(), rows.len());
    for (n, line) in lines.iter().enumerate() {
        assert_eq!((&line["id"], &line["index"]), (&json!(format!("r{n}")), &json!(n)));
        if n == 13 {
            assert_eq!((&line["score"], &line["selected"]), (&Value::Null, &json!(false)));
            assert_eq!(line["reason"], "the target is empty");
            continue;
        }
        assert_eq!(line["score"], line["tasks"]["words"]);
        assert_eq!(line["best_task"], "words");
        assert!(line["score"].as_f64().unwrap().abs() <= 1.0);
    }
    let best = lines.iter().max_by(|a, b| {
        let of = |line: &Value| line["score"].as_f64().unwrap_or(f64::MIN);
        of(a).total_cmp(&of(b))
    });
    assert_eq!(best.unwrap()["reason"], "task words, rank 1");
    assert_eq!((first.count("scored"), first.count("selected")), (39, 8));
    assert!(!first.resumed("features 1"));
    for text in ["LESS selection", "Highest score", "<svg"] {
        assert!(first.text("report.html").contains(text), "{text}");
    }

    // Other targets, rules and budgets: the stored rows and the warm-up stay as they are.
    let kept = |name: &str| contents(&folder.path().join("out").join(name));
    let (store, warmup) = (kept("store/epoch-2"), kept("warmup/checkpoint-10"));
    let target = format!("--target=digits={}", folder.path().join("numbers.jsonl").display());
    // The next run writes over the results of this one.
    let (result, few) = (first.result(), numbers(&first));
    let other = less(&[&target]).succeed();
    assert!(other.resumed("features 1") && other.resumed("features 2") && other.resumed("warm-up"));
    // Half of the rows are of numbers; a model with random weights tells them apart, though not perfectly.
    let many = numbers(&other);
    assert!(few + 2 <= many, "{few}, then {many}: {:?}", other.selected());
    let both = less(&["--rule=round-robin"]).and(target).succeed();
    assert!((few..=many).contains(&numbers(&both)), "{:?}", both.selected());
    assert!(both.scores()[0]["tasks"].as_object().unwrap().len() == 2);
    assert_eq!((kept("store/epoch-2"), kept("warmup/checkpoint-10")), (store, warmup));
    assert_eq!(less(&[]).succeed().result(), result);

    // What the stored rows were not made with.
    less(&["--form=reference"]).refuse(&["direction", "paper", "reference"]);
    less(&["--dim=128"]).refuse(&["projection", "sparse:256", "sparse:128"]);
    less(&["--learning-rate=0.01"]).refuse(&["learning_rate"]);
    let store = format!("--store={}", folder.path().join("reference").display());
    let reference = less(&["--form=reference", &store]).succeed();
    assert!(reference.resumed("warm-up") && !reference.resumed("features 1"));
    assert_ne!(reference.scores(), lines);
}

#[test]
fn a_pass_that_was_cut_off_goes_on_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let less = |out: &str| Less::new(folder.path(), out).with(&["--projection=rademacher"]);
    let calm = less("calm").succeed();
    less("torn").succeed();
    // As if killed in the second epoch's pass: its last shard was not yet written.
    let store = folder.path().join("torn/store/epoch-2");
    let journal = store.join("journal.jsonl");
    let lines: Vec<String> =
        fs::read_to_string(&journal).unwrap().lines().map(str::to_owned).collect();
    fs::write(&journal, format!("{}\n", lines[..1].join("\n"))).unwrap();
    let again = less("torn").succeed();
    assert!(again.resumed("features 2"));
    assert_eq!(again.result(), calm.result());
    assert_eq!(contents(&store), contents(&folder.path().join("calm/store/epoch-2")));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |flags: &[&str], parts: &[&str]| {
        Less::new(folder.path(), "out").with(flags).refuse(parts);
    };
    refused(&["--budget=0"], &["--budget is 0", "40 rows"]);
    refused(&["--budget=40"], &["--budget is 40", "only 39"]);
    refused(&["--warmup-share=0"], &["--warmup-share is 0"]);
    refused(&["--lora-target=nothing"], &["nothing"]);
    refused(&["--rule=best"], &["best"]);
    refused(&["--form=adam"], &["paper, reference or plain"]);
    refused(&["--target=a="], &["expected FILE or NAME=FILE"]);
    refused(&["--target=/no/such/file.jsonl"], &["/no/such/file.jsonl"]);
    let same = format!("--target=words={}", folder.path().join("numbers.jsonl").display());
    Less::new(folder.path(), "out").and(same).refuse(&["words"]);
}
