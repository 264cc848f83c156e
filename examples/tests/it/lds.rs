//! `lds`: a small bank from retrainings to table, interrupted and not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::pools;
use crate::program::{binary, model, refuse, succeed};

const STRATEGIES: [&str; 7] =
    ["random", "embedding-cosine", "gradient-cosine", "identity", "diagonal", "kfac", "ekfac"];

struct Lds {
    folder: tempfile::TempDir,
    flags: BTreeMap<&'static str, String>,
}

impl Lds {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: PathBuf| path.to_str().unwrap().to_owned();
        let rows = pools::pairs();
        let flags = [
            ("model", at(model())),
            ("pool", at(pools::write(folder.path(), "pool.jsonl", &rows[..16]))),
            ("queries", at(pools::write(folder.path(), "queries.jsonl", &rows[20..26]))),
            ("out", at(folder.path().join("out"))),
            ("subsets", "6".to_owned()),
            ("repeats", "2".to_owned()),
            ("epochs", "2".to_owned()),
            ("learning-rate", "1e-2".to_owned()),
            ("batch-size", "4".to_owned()),
            ("threads", "1".to_owned()),
        ];
        Self { folder, flags: flags.into() }
    }

    fn with(mut self, flag: &'static str, value: &str) -> Self {
        self.flags.insert(flag, value.to_owned());
        self
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.flags["out"]).join(name)
    }

    fn arguments(&self) -> Vec<String> {
        self.flags.iter().map(|(flag, value)| format!("--{flag}={value}")).collect()
    }

    fn succeed(&self) -> String {
        let arguments = self.arguments();
        succeed("lds", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn refuse(&self, parts: &[&str]) {
        let arguments = self.arguments();
        refuse("lds", &arguments.iter().map(String::as_str).collect::<Vec<_>>(), parts);
    }

    fn results(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file("lds.json")).unwrap()).unwrap()
    }

    /// Records of the bank: half, repeat, losses.
    fn bank(&self) -> Vec<(u64, u64, Vec<f64>)> {
        let text = fs::read_to_string(self.file("bank.jsonl")).unwrap();
        let of_one = |line: &str| {
            let one: Value = serde_json::from_str(line).unwrap();
            let losses = one["losses"].as_array().unwrap().iter();
            let losses = losses.map(|loss| loss.as_f64().unwrap()).collect();
            (one["subset"].as_u64().unwrap(), one["repeat"].as_u64().unwrap(), losses)
        };
        text.lines().skip(1).map(of_one).collect()
    }
}

/// Scores of every strategy without the time they took.
fn scores(results: &Value) -> Vec<(String, Value, Value)> {
    let strategies = results["strategies"].as_array().unwrap().iter();
    let of_one = |one: &Value| {
        let name = one["strategy"].as_str().unwrap().to_owned();
        (name, one["per_query"].clone(), one["interval"].clone())
    };
    strategies.map(of_one).collect()
}

#[test]
fn a_bank_from_retrainings_to_table() {
    let lds = Lds::new();
    let printed = lds.succeed();
    let bank = lds.bank();
    assert_eq!(bank.len(), 12);
    for (subset, repeat, losses) in &bank {
        assert_eq!(losses.len(), 6);
        assert!(losses.iter().all(|loss| *loss > 0.0));
        // Other halves, and other orders of the same half, lead elsewhere.
        let same = bank.iter().filter(|(_, _, other)| other == losses).count();
        assert_eq!(same, 1, "{subset} {repeat}");
    }
    let results = lds.results();
    assert_eq!((&results["subsets"], &results["repeats"]), (&6.into(), &2.into()));
    assert_eq!(results["queries"].as_array().unwrap().len(), 6);
    let agreement = results["agreement"].as_f64().unwrap();
    assert!((-1.0..=1.0).contains(&agreement));
    let found = scores(&results);
    assert_eq!(found.iter().map(|(name, ..)| &**name).collect::<Vec<_>>(), STRATEGIES);
    for (name, per_query, _) in &found {
        assert!(printed.contains(name));
        assert_eq!(per_query.as_array().unwrap().len(), 6, "{name}");
    }
    // Halves of 16 rows, no two of them the same.
    let halves = fs::read_to_string(lds.file("halves.jsonl")).unwrap();
    let halves: Vec<Value> = halves
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["rows"].take())
        .collect();
    assert_eq!(halves.len(), 6);
    for (n, half) in halves.iter().enumerate() {
        let rows: Vec<u64> = half.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        assert!(rows.len() == 8 && rows.is_sorted_by(|a, b| a < b) && rows[7] < 16, "{rows:?}");
        assert!(!halves[..n].contains(half), "{rows:?}");
    }
    let page = fs::read_to_string(lds.file("report.html")).unwrap();
    assert!(page.contains("gradient-cosine"));
    let run: Value = serde_json::from_slice(&fs::read(lds.file("run.json")).unwrap()).unwrap();
    assert_eq!(run["counts"]["subsets"], 6);
    assert!(run["results"]["lds kfac"].as_f64().is_some());

    // The same command again only reads. Fewer strategies and halves are a part of it; more halves
    // are added to what is there.
    let before = fs::read(lds.file("bank.jsonl")).unwrap();
    lds.succeed();
    assert_eq!(scores(&lds.results()), found);
    assert_eq!(fs::read(lds.file("bank.jsonl")).unwrap(), before);
    let fewer = lds.with("subsets", "4").with("repeats", "1").with("strategies", "identity");
    fewer.succeed();
    assert!(fewer.results()["agreement"].is_null());
    assert_eq!(fs::read(fewer.file("bank.jsonl")).unwrap(), before);
    let more = fewer.with("subsets", "7");
    more.succeed();
    assert_eq!(more.bank().len(), 13);
    assert_eq!(more.bank()[..12], bank);
    // Another damping is another score on the same bank.
    let damped = more.with("strategies", "kfac").with("damping", "10");
    damped.succeed();
    assert_eq!(damped.bank().len(), 13);
    let labelled = damped.with("labels", "data").with("strategies", "identity,kfac");
    labelled.succeed();
    let found = &labelled.results()["strategies"];
    assert!(found[0]["against_previous"].is_null());
    let gain = found[1]["against_previous"]["difference"].as_f64().unwrap();
    let scores = [0, 1].map(|n| found[n]["score"].as_f64().unwrap());
    assert!((gain - (scores[1] - scores[0])).abs() < 1e-9);
    // Every curvature, and refinement: no step of it is the curvature's own answer.
    let every = "identity,diagonal,kfac,ekfac,ekfac+cg:0,ekfac+cg:1";
    let refined = labelled.with("strategies", every);
    refined.succeed();
    let folders = fs::read_dir(refined.file("scores")).unwrap().map(|entry| entry.unwrap().path());
    let folder = folders.into_iter().find(|folder| folder.join("ekfac-cg-1").exists()).unwrap();
    let of = |name: &str| -> Value {
        serde_json::from_slice::<Value>(&fs::read(folder.join(name)).unwrap()).unwrap()["scores"]
            .take()
    };
    assert_eq!(of("ekfac-cg-0"), of("ekfac"));
    let different = ["identity", "diagonal", "kfac", "ekfac", "ekfac-cg-1"].map(of);
    for (n, one) in different.iter().enumerate() {
        assert!(!different[..n].contains(one), "strategy {n}");
    }
    let labelled = refined;
    // A setting that decides the losses makes another bank.
    let (folder, flags) = (labelled.folder, labelled.flags);
    let other = |flag, value: &str| {
        let mut flags = flags.clone();
        flags.insert(flag, value.to_owned());
        Lds { folder: tempfile::tempdir().unwrap(), flags }
    };
    other("epochs", "3").refuse(&["bank.jsonl", "train", "epochs"]);
    other("seed", "1").refuse(&["bank.jsonl", "seed"]);
    let rows = pools::pairs();
    let elsewhere = pools::write(folder.path(), "elsewhere.jsonl", &rows[1..17]);
    other("pool", elsewhere.to_str().unwrap()).refuse(&["bank.jsonl", "`source.tokens`"]);
    let elsewhere = pools::write(folder.path(), "elsewhere.jsonl", &rows[30..36]);
    other("queries", elsewhere.to_str().unwrap())
        .refuse(&["bank.jsonl", "`made_from.queries.tokens`"]);
}

/// Memorising one half of a pool shows: with queries that are rows of the pool itself, the scores that
/// know gradients foretell their losses, and chance does not come near.
#[test]
fn rows_of_a_half_are_learned() {
    let lds = Lds::new().with("subsets", "12").with("repeats", "1").with("epochs", "8");
    let pool = lds.flags["pool"].clone();
    let lds = lds.with("queries", &pool).with("strategies", "random,identity");
    lds.succeed();
    let results = lds.results();
    let score = |n: usize| results["strategies"][n]["score"].as_f64().unwrap();
    assert!(score(1) > 0.3 && score(1) > score(0) + 0.2, "{} {}", score(0), score(1));
}

#[test]
fn a_bank_killed_half_way_ends_like_one_undisturbed() {
    let with = || Lds::new().with("subsets", "8").with("strategies", "gradient-cosine,kfac");
    let calm = with();
    calm.succeed();
    let stormy = with();
    let mut killed = 0;
    // After a few trainings, and when the model to be scored at is being written or scored.
    let trained = |count: usize| move |lds: &Lds| lines(&lds.file("bank.jsonl")) > count;
    let adapted = |lds: &Lds| lds.file("adaptation/manifest.json").exists();
    let scoring = |lds: &Lds| lds.file("scores").exists();
    let moments: [&dyn Fn(&Lds) -> bool; 4] = [&trained(2), &trained(9), &adapted, &scoring];
    for moment in moments {
        let mut command = Command::new(binary("lds"));
        command.args(stormy.arguments()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        while !moment(&stormy) && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the moment never came");
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(killed > 1, "it was never killed in the middle");
    stormy.succeed();
    let bytes = |lds: &Lds, name| fs::read(lds.file(name)).unwrap();
    for name in ["bank.jsonl", "adapted/model.safetensors"] {
        assert!(bytes(&stormy, name) == bytes(&calm, name), "{name} differs");
    }
    assert_eq!(scores(&stormy.results()), scores(&calm.results()));
}

fn lines(file: &Path) -> usize {
    fs::read(file).map_or(0, |bytes| bytes.split(|&byte| byte == b'\n').count() - 1)
}

#[test]
fn bad_settings_are_refused() {
    let with = |flag, value| Lds::new().with(flag, value);
    with("strategies", "best").refuse(&["best", "gradient-cosine"]);
    with("strategies", "kfac,kfac").refuse(&["kfac", "twice"]);
    with("strategies", "identity+cg:2").refuse(&["identity+cg:2", "+cg:STEPS"]);
    with("strategies", "ekfac+cg:many").refuse(&["ekfac+cg:many"]);
    with("subsets", "2").refuse(&["--subsets is 2"]);
    with("repeats", "0").refuse(&["--repeats is 0"]);
    with("damping", "-1").refuse(&["-1"]);
    with("layers", "nothing").refuse(&["nothing"]);
    with("learning-rate", "1e9").refuse(&["half 0"]);
    // A query whose target would be cut.
    let cut = Lds::new();
    let text = "much too long ".repeat(60);
    let long = [pools::line("fine", "le cat", "the cat"), pools::line("long one", "le dog", &text)];
    let queries = pools::write(cut.folder.path(), "long.jsonl", &long);
    cut.with("queries", queries.to_str().unwrap())
        .refuse(&["query long one (row 1)", "cannot be used"]);
    // The same in the pool is left out and said.
    let lds = Lds::new().with("strategies", "identity").with("repeats", "1");
    let mut rows = pools::pairs()[..12].to_vec();
    rows.insert(3, long[1].clone());
    let pool = pools::write(lds.folder.path(), "with-long.jsonl", &rows);
    let lds = lds.with("pool", pool.to_str().unwrap());
    lds.succeed();
    assert_eq!(lds.results()["samples"], 12);
    let run = fs::read_to_string(lds.file("run.json")).unwrap();
    assert!(run.contains("row long one left out"));
    // Too few rows for halves, and results in place of an input.
    let lds = Lds::new();
    let few = pools::write(lds.folder.path(), "few.jsonl", &pools::pairs()[..3]);
    lds.with("pool", few.to_str().unwrap()).refuse(&["3 usable rows"]);
    let lds = Lds::new();
    fs::create_dir(lds.file("")).unwrap();
    let inside = lds.file("bank.jsonl");
    fs::copy(&lds.flags["pool"], &inside).unwrap();
    lds.with("pool", inside.to_str().unwrap()).refuse(&["bank.jsonl", "overwritten"]);
}
