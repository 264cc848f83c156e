//! `study`: a small grid from choice to table, interrupted and not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::pools::{self, ROWS};
use crate::program::{binary, contents, model, refuse, succeed};

const METHODS: &str = "random,longest,perplexity,embedding:clusters=3,gdig-top,gdig-kfac,\
                       gdig-identity:seeds=2";

struct Study {
    folder: tempfile::TempDir,
    flags: BTreeMap<&'static str, String>,
}

impl Study {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: PathBuf| path.to_str().unwrap().to_owned();
        let rows = pools::pairs();
        let flags = [
            ("model", at(model())),
            ("pool", at(pools::write(folder.path(), "train.jsonl", &rows))),
            ("held-out", at(pools::write(folder.path(), "valid.jsonl", &rows[20..40]))),
            ("test", at(pools::write(folder.path(), "test.jsonl", &rows[40..]))),
            ("out", at(folder.path().join("out"))),
            ("mismatch", "0.5".to_owned()),
            ("seed-rows", "4".to_owned()),
            ("valid-rows", "8".to_owned()),
            ("methods", METHODS.to_owned()),
            ("budgets", "6,12".to_owned()),
            ("repeats", "2".to_owned()),
            ("learning-rates", "1e-3,1e-4".to_owned()),
            ("epochs", "1".to_owned()),
            ("batch-size", "4".to_owned()),
            ("max-new-tokens", "4".to_owned()),
            ("threads", "1".to_owned()),
        ];
        Self { folder, flags: flags.into() }
    }

    fn with(mut self, flag: &'static str, value: &str) -> Self {
        self.flags.insert(flag, value.to_owned());
        self
    }

    fn out(&self) -> &Path {
        Path::new(&self.flags["out"])
    }

    fn arguments(&self) -> Vec<String> {
        self.flags.iter().map(|(flag, value)| format!("--{flag}={value}")).collect()
    }

    fn succeed(&self) -> String {
        let arguments = self.arguments();
        succeed("study", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn refuse(&self, parts: &[&str]) {
        let arguments = self.arguments();
        refuse("study", &arguments.iter().map(String::as_str).collect::<Vec<_>>(), parts);
    }

    fn results(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.out().join("results.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn a_grid_from_choice_to_table() {
    let study = Study::new();
    let printed = study.succeed();
    let results = study.results();
    let methods: Vec<&str> = METHODS.split(',').collect();
    assert_eq!(results.len(), 1 + 2 * methods.len());
    assert_eq!(results[0]["method"], "start");
    assert!(results[0]["clean"].is_null() && results[0]["learning_rate"].is_null());
    for result in &results[1..] {
        let method = result["method"].as_str().unwrap();
        assert!(methods.contains(&method), "{method}");
        assert_eq!(result["repeats"], 2);
        let clean = result["clean"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&clean));
        let [low, high] = [0, 1].map(|n| result["bleu_interval"][n].as_f64().unwrap());
        let bleu = result["bleu"].as_f64().unwrap();
        assert!(low <= high && (0.0..=100.0).contains(&bleu));
        // A random choice has nothing to do with which rows are spoiled.
        assert!(method != "random" || (0.2..=0.8).contains(&clean), "{result}");
        // Compared with the random choice, unless it is that.
        assert_eq!(result["against_random"].is_null(), method == "random", "{result}");
        assert!(result["validation"].as_f64().unwrap() > 0.0);
    }
    // Every row of the pool says whether it kept its answer, and half of them did.
    let pool = fs::read_to_string(study.out().join("pool.jsonl")).unwrap();
    let rows: Vec<Value> = pool.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.iter().filter(|row| row["clean"] == true).count(), ROWS / 2);
    for (n, row) in rows.iter().enumerate() {
        let (_, answer) = pools::pair(n);
        // Answers are not all different, so a row may get one like its own.
        assert!(row["clean"] == false || row["tgt"] == answer.as_str());
    }
    for answers in ["references", "start", "random-6-0", "gdig-identity-seeds-2-12-1"] {
        let text = fs::read_to_string(study.out().join(format!("answers/{answers}.txt"))).unwrap();
        assert_eq!(text.lines().count(), ROWS - 40, "{answers}");
    }
    let table = fs::read_to_string(study.out().join("table.md")).unwrap();
    assert!(printed.contains(&table) && table.lines().count() == 2 + results.len());
    let page = fs::read_to_string(study.out().join("report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("embedding:clusters=3"));
    assert!(study.out().join("run.json").exists());

    // The same command again only reads; another method is added to what is there.
    let before = contents(&study.out().join("cells"));
    study.succeed();
    assert_eq!(contents(&study.out().join("cells")), before);
    let elsewhere = study.folder.path().join("elsewhere");
    let more = study.with("methods", "gdig-kfac:clusters=2").with("repeats", "1");
    let more = more.with("results", elsewhere.to_str().unwrap());
    more.succeed();
    // And the random choice that it is compared with; what the first command wrote is still there.
    let lines = |file: PathBuf| fs::read_to_string(file).unwrap().lines().count();
    assert_eq!(lines(elsewhere.join("results.jsonl")), 1 + 2 * 2);
    assert_eq!(more.results(), results);
    // A setting that decides the cells makes another study.
    let other = more.with("epochs", "2");
    other.refuse(&["train", "epochs"]);
}

#[test]
fn a_study_killed_half_way_ends_like_one_undisturbed() {
    let methods = "random,longest,perplexity,embedding,gdig-identity";
    let study = || Study::new().with("methods", methods).with("budgets", "6");
    let calm = study();
    calm.succeed();
    let stormy = study();
    let mut killed = 0;
    for cell in ["rate-6-1e-4", "longest-6-0", "embedding-6-0"] {
        let mut command = Command::new(binary("study"));
        command.args(stormy.arguments()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        while !stormy.out().join("cells").join(cell).exists() && child.try_wait().unwrap().is_none()
        {
            assert!(begun.elapsed() < Duration::from_secs(60), "{cell} never came");
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(killed > 0, "it was never killed in the middle");
    stormy.succeed();
    let answers = |study: &Study| contents(&study.out().join("answers"));
    assert_eq!(answers(&stormy), answers(&calm));
    let numbers = |study: &Study| fs::read_to_string(study.out().join("results.jsonl")).unwrap();
    assert_eq!(numbers(&stormy), numbers(&calm));
}

#[test]
fn a_pool_in_columns() {
    let study = Study::new().with("methods", "random").with("budgets", "4").with("repeats", "1");
    let columns = |rows: std::ops::Range<usize>| -> Vec<String> {
        rows.map(pools::pair).map(|(source, target)| format!("{source}\t{target}")).collect()
    };
    let write = |name: &str, rows| {
        let path = pools::write(study.folder.path(), name, &columns(rows));
        path.to_str().unwrap().to_owned()
    };
    let (pool, held_out, test) = (write("a", 0..20), write("b", 20..40), write("c", 40..48));
    let study = study.with("pool", &pool).with("held-out", &held_out).with("test", &test);
    study.with("format", "tsv").succeed();
}

#[test]
fn bad_settings_are_refused() {
    let with = |flag, value| Study::new().with(flag, value);
    with("methods", "best").refuse(&["best", "gdig-kfac"]);
    with("methods", "random:clusters=3").refuse(&["clusters=3"]);
    with("methods", "gdig-kfac:seeds=9").refuse(&["gdig-kfac:seeds=9", "--seed-rows 4"]);
    with("budgets", "6,49").refuse(&["49", "48"]);
    with("mismatch", "1.5").refuse(&["--mismatch is 1.5"]);
    with("rows", "10..99").refuse(&["--rows ends at 99", "48"]);
    with("rows", "9-12").refuse(&["9-12", "15000..17000"]);
    with("valid-rows", "40").refuse(&["--held-out has 20 rows"]);
    with("budgets", "6,6").refuse(&["--budgets holds 6 twice"]);
    with("methods", "longest,longest").refuse(&["longest", "twice"]);
    with("repeats", "0").refuse(&["--repeats is 0"]);
    with("learning-rates", "1e9").refuse(&["diverged at every learning rate", "6 rows"]);
    with("headroom", "0.5").refuse(&["--headroom is 0.5"]);
    // Its own pool may not be the pool, and another study's cells keep theirs.
    let study = Study::new();
    fs::create_dir(study.out()).unwrap();
    let pool = study.out().join("pool.jsonl");
    fs::copy(&study.flags["pool"], &pool).unwrap();
    let before = fs::read(&pool).unwrap();
    let study = study.with("pool", pool.to_str().unwrap());
    study.refuse(&["pool.jsonl", "overwritten"]);
    assert_eq!(fs::read(&pool).unwrap(), before);
    let study = Study::new();
    let talk = "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},\
                {\"role\":\"assistant\",\"content\":\"Hello\"}]}";
    let pool = pools::write(study.folder.path(), "chat.jsonl", &[talk; 1]);
    let study = study.with("template", "chat").with("pool", pool.to_str().unwrap());
    study.with("mismatch", "0").with("budgets", "1").refuse(&["conversation"]);
}
