//! Stages of scorers that are written here: killed, resumed, refused, and what passes a filter.

mod filters;
mod provenance;
mod simple;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;
use tamis_artifact::{Fingerprint, NoProgress};
use tamis_dataset::{Content, Dataset, DatasetError, ReadOptions, Reason, Sample, Source};
use tamis_selection::{BoxError, RowScores, Score, ScoreStage, Scorer};

/// Length of the answer over `unit`, but for answers of seven letters, and the length alone; fails after so many samples.
pub(crate) struct Lengths {
    pub(crate) unit: f64,
    until: Option<usize>,
    pub(crate) done: Cell<usize>,
}

impl Lengths {
    pub(crate) fn new(unit: f64) -> Self {
        Self { unit, until: None, done: Cell::new(0) }
    }
}

impl Scorer for Lengths {
    fn columns(&self) -> Vec<String> {
        vec!["length".to_owned(), "letters".to_owned()]
    }

    fn fingerprint(&self) -> Result<Fingerprint, BoxError> {
        Ok(Fingerprint::from(json!({ "unit": self.unit })))
    }

    fn score(&self, rows: &[Sample]) -> Result<Vec<RowScores>, BoxError> {
        let one = |sample: &Sample| {
            self.done.set(self.done.get() + 1);
            if self.until.is_some_and(|until| self.done.get() > until) {
                return Err("the plug was pulled".into());
            }
            let letters = sample.content.answer().len();
            let length = match letters {
                7 => Score::Missing(Reason::Other("seven letters".to_owned())),
                8 => Score::Value(f64::INFINITY),
                length => Score::Value(length as f64 / self.unit),
            };
            Ok(vec![length, Score::Value(letters as f64)])
        };
        rows.iter().map(one).collect()
    }
}

/// Row n has an answer of n letters, from 1 to 20.
pub(crate) fn pool(folder: &Path) -> Dataset {
    let lines: Vec<String> = (1..=20).map(|n| format!("{n}\t{}", "x".repeat(n))).collect();
    fs::write(folder.join("pool.tsv"), lines.join("\n")).unwrap();
    Dataset::open(folder.join("pool.tsv"), &ReadOptions::default()).unwrap()
}

/// The same rows, made by a function.
pub(crate) struct Made(pub(crate) usize);

impl Source for Made {
    fn len(&self) -> usize {
        self.0
    }
    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        let sample = |&n: &usize| Sample {
            id: format!("made-{n}").into(),
            index: 7 * n,
            content: Content::Translation { source: n.to_string(), target: "x".repeat(n + 1) },
        };
        Ok(positions.iter().map(sample).collect())
    }
    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        Ok(Fingerprint::from(json!({ "made": self.0 })))
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

#[test]
fn interrupted_anywhere_a_stage_goes_on_and_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path());
    let stage = |name: &str| ScoreStage::new(folder.path().join(name)).shard_rows(3);
    let calm = stage("calm").run(&Lengths::new(3.0), &pool, &mut NoProgress).unwrap();
    assert_eq!((calm.rows.len(), calm.resumed), (20, 0));
    assert_eq!(calm.columns, ["length", "letters"]);
    assert_eq!(calm.rows[4].scores, [Score::Value(5.0 / 3.0), Score::Value(5.0)]);
    assert_eq!(calm.rows[6].scores[0].reason(), Some(&Reason::Other("seven letters".to_owned())));
    assert_eq!(calm.rows[7].scores, [Score::Missing(Reason::NonFinite), Score::Value(8.0)]);
    for (until, resumed) in [(2, 0), (4, 0), (9, 3), (1, 12)] {
        let scorer = Lengths { until: Some(until), ..Lengths::new(3.0) };
        let error = stage("stormy").run(&scorer, &pool, &mut NoProgress).unwrap_err();
        assert_eq!(error.to_string(), "scorer length, letters: the plug was pulled");
        assert_eq!(scorer.done.get(), until + 1, "{resumed} were there before");
    }
    let scorer = Lengths::new(3.0);
    let stormy = stage("stormy").run(&scorer, &pool, &mut NoProgress).unwrap();
    assert_eq!((stormy.resumed, scorer.done.get()), (12, 8));
    assert_eq!(stormy.rows, calm.rows);
    assert_eq!(files(&folder.path().join("stormy")), files(&folder.path().join("calm")));
    // Finished: nothing is scored again.
    let scorer = Lengths::new(3.0);
    let again = stage("stormy").run(&scorer, &pool, &mut NoProgress).unwrap();
    assert_eq!((again.resumed, scorer.done.get()), (20, 0));
}

#[test]
fn rows_need_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, source: &dyn Source| {
        let stage = ScoreStage::new(folder.path().join(name)).shard_rows(6);
        stage.run(&Lengths::new(1.0), source, &mut NoProgress).unwrap()
    };
    let from_file = run("file", &pool(folder.path()));
    let made = run("made", &Made(20));
    let held = run("held", &Made(20).read_range(0..20).unwrap());
    for at in 0..20 {
        assert_eq!(made.rows[at].scores, from_file.rows[at].scores);
        assert_eq!(held.rows[at].scores, from_file.rows[at].scores);
        // The index is what the source said; a list numbers its rows.
        assert_eq!((made.rows[at].index, held.rows[at].index), (7 * at, at));
    }
}

struct Odd {
    rows: usize,
    columns: usize,
    names: &'static [&'static str],
}

impl Scorer for Odd {
    fn columns(&self) -> Vec<String> {
        self.names.iter().map(|&name| name.to_owned()).collect()
    }
    fn fingerprint(&self) -> Result<Fingerprint, BoxError> {
        Ok(Fingerprint::from("odd"))
    }
    fn score(&self, _: &[Sample]) -> Result<Vec<RowScores>, BoxError> {
        Ok(vec![vec![Score::Value(1.0); self.columns]; self.rows])
    }
}

#[test]
fn a_scorer_that_miscounts_is_refused() {
    for (rows, columns, names, expected) in [
        (1, 1, &["few"][..], "few gave 1 scores, expected 20"),
        (20, 2, &["few"], "few gave 2 scores, expected 1"),
        (20, 2, &["a", "a"], "no two alike"),
        (20, 0, &[], "at least one"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let stage = ScoreStage::new(folder.path().join("stage"));
        let odd = Odd { rows, columns, names };
        let error = stage.run(&odd, &Made(20), &mut NoProgress).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn rows_of_one_id_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = Made(5).read_range(0..5).unwrap();
    rows[4].id = rows[1].id.clone();
    let stage = ScoreStage::new(folder.path().join("stage"));
    let error = stage.run(&Lengths::new(1.0), &rows, &mut NoProgress).unwrap_err().to_string();
    assert!(error.contains("row 4") && error.contains("`made-1`"), "{error}");
}
