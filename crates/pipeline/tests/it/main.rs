//! Stages of scorers that are written here: killed, resumed, refused, and what passes a sieve.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use tamis_artifact::NoProgress;
use tamis_dataset::{Content, Dataset, ReadOptions, Sample, SampleId};
use tamis_pipeline::{
    BoxError, PipelineError, Rows, Score, ScoreStage, Scored, Scorer, Scores, Sieve, Take,
};

/// Length of the answer over `unit`, but for answers of seven letters; fails after so many samples.
struct Lengths {
    unit: f64,
    until: Option<usize>,
    done: Cell<usize>,
}

impl Lengths {
    fn new(unit: f64) -> Self {
        Self { unit, until: None, done: Cell::new(0) }
    }
}

impl Scorer for Lengths {
    fn name(&self) -> &'static str {
        "length"
    }

    fn description(&self) -> Result<Map<String, Value>, BoxError> {
        Ok(Map::from_iter([("unit".to_owned(), json!(self.unit))]))
    }

    fn score(&self, samples: &[Sample]) -> Result<Vec<Score>, BoxError> {
        let one = |sample: &Sample| {
            self.done.set(self.done.get() + 1);
            if self.until.is_some_and(|until| self.done.get() > until) {
                return Err("the plug was pulled".into());
            }
            let Content::Translation { target, .. } = &sample.content else { unreachable!() };
            Ok(match target.len() {
                7 => Score::Missing("seven letters".to_owned()),
                8 => Score::Value(f64::INFINITY),
                length => Score::Value(length as f64 / self.unit),
            })
        };
        samples.iter().map(one).collect()
    }
}

/// Row n has an answer of n letters, from 1 to 20.
fn pool(folder: &Path) -> Dataset {
    let lines: Vec<String> = (1..=20).map(|n| format!("{n}\t{}", "x".repeat(n))).collect();
    fs::write(folder.join("pool.tsv"), lines.join("\n")).unwrap();
    Dataset::open(folder.join("pool.tsv"), &ReadOptions::default()).unwrap()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

#[test]
fn interrupted_anywhere_a_stage_goes_on_and_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path());
    let rows = Rows::all(&pool);
    let stage = |name: &str| ScoreStage::new(folder.path().join(name)).shard_rows(3);
    let calm = stage("calm").run(&Lengths::new(3.0), &rows, &mut NoProgress).unwrap();
    assert_eq!((calm.rows.len(), calm.resumed), (20, 0));
    assert_eq!(calm.rows[4].score, Score::Value(5.0 / 3.0));
    assert_eq!(calm.rows[6].score, Score::Missing("seven letters".to_owned()));
    assert_eq!(calm.rows[7].score, Score::Missing("the score is inf".to_owned()));
    for (until, resumed) in [(2, 0), (4, 0), (9, 3), (1, 12)] {
        let scorer = Lengths { until: Some(until), ..Lengths::new(3.0) };
        let error = stage("stormy").run(&scorer, &rows, &mut NoProgress).unwrap_err();
        assert_eq!(error.to_string(), "scorer length: the plug was pulled");
        assert_eq!(scorer.done.get(), until + 1, "{resumed} were there before");
    }
    let scorer = Lengths::new(3.0);
    let stormy = stage("stormy").run(&scorer, &rows, &mut NoProgress).unwrap();
    assert_eq!((stormy.resumed, scorer.done.get()), (12, 8));
    assert_eq!(stormy.rows, calm.rows);
    assert_eq!(files(&folder.path().join("stormy")), files(&folder.path().join("calm")));
    // Finished: nothing is scored again.
    let scorer = Lengths::new(3.0);
    let again = stage("stormy").run(&scorer, &rows, &mut NoProgress).unwrap();
    assert_eq!((again.resumed, scorer.done.get()), (20, 0));
}

#[test]
fn a_stage_of_something_else_is_refused_by_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path());
    let rows = Rows::all(&pool);
    let stage = ScoreStage::new(folder.path().join("stage"));
    let scores = stage.run(&Lengths::new(1.0), &rows, &mut NoProgress).unwrap();
    let refused = |stage: &ScoreStage, scorer: &dyn Scorer, rows: &Rows<'_>| {
        stage.run(scorer, rows, &mut NoProgress).unwrap_err().to_string()
    };
    let error = refused(&stage, &Lengths::new(2.0), &rows);
    assert!(error.contains("`description.unit` is 1.0, expected 2.0"), "{error}");
    let fewer = rows.keep(&scores.sift(&[Sieve::AtLeast(3.0)]).unwrap()).unwrap();
    let error = refused(&stage, &Lengths::new(1.0), &fewer);
    assert!(error.contains("`samples`") && error.contains("`rows`"), "{error}");
    let further = stage.clone().with("config", "abc").unwrap();
    let error = refused(&further, &Lengths::new(1.0), &rows);
    assert!(error.contains("`config` is absent"), "{error}");
    let error = refused(&stage.shard_rows(0), &Lengths::new(1.0), &rows);
    assert!(error.contains("`shard_rows` is 0"), "{error}");
}

struct TooFew;

impl Scorer for TooFew {
    fn name(&self) -> &'static str {
        "few"
    }
    fn description(&self) -> Result<Map<String, Value>, BoxError> {
        Ok(Map::new())
    }
    fn score(&self, _: &[Sample]) -> Result<Vec<Score>, BoxError> {
        Ok(vec![Score::Value(1.0)])
    }
}

#[test]
fn a_scorer_that_miscounts_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path());
    let stage = ScoreStage::new(folder.path().join("stage"));
    let error = stage.run(&TooFew, &Rows::all(&pool), &mut NoProgress).unwrap_err().to_string();
    assert!(error.contains("few gave 1 scores for 20 samples"), "{error}");
}

fn scores(values: &[Option<f64>]) -> Scores {
    let rows = values.iter().enumerate().map(|(index, value)| Scored {
        id: format!("r{index}").into(),
        index,
        score: value.map_or(Score::Missing("empty".to_owned()), Score::Value),
    });
    Scores { name: "x".to_owned(), rows: rows.collect(), resumed: 0 }
}

#[test]
fn sieves_pass_what_they_say() {
    let scores = scores(&[Some(0.5), None, Some(2.0), Some(1.0), Some(2.0), Some(-1.0)]);
    let passing = |sieves: &[Sieve]| -> Vec<usize> {
        let selection = scores.sift(sieves).unwrap();
        assert_eq!(selection.decisions.len(), 6);
        selection.selected().map(|decision| decision.index).collect()
    };
    assert_eq!(passing(&[]), [0, 2, 3, 4, 5]);
    assert_eq!(passing(&[Sieve::AtLeast(1.0)]), [2, 3, 4]);
    assert_eq!(passing(&[Sieve::Below(1.0)]), [0, 5]);
    // Of equal scores the first.
    assert_eq!(passing(&[Sieve::Highest(Take::Count(1))]), [2]);
    assert_eq!(passing(&[Sieve::Highest(Take::Share(0.5))]), [2, 4]);
    assert_eq!(passing(&[Sieve::Lowest(Take::Count(2))]), [0, 5]);
    assert_eq!(passing(&[Sieve::Below(2.0), Sieve::Highest(Take::Share(0.4))]), [3]);
    assert_eq!(passing(&[Sieve::Highest(Take::Count(9))]).len(), 5);
    assert!(passing(&[Sieve::Lowest(Take::Count(0))]).is_empty());
    let reasons: Vec<String> = scores
        .sift(&[Sieve::Below(2.0), Sieve::Highest(Take::Count(2))])
        .unwrap()
        .decisions
        .into_iter()
        .map(|decision| decision.reason)
        .collect();
    assert_eq!(
        reasons,
        [
            "x is 0.5",
            "no x: empty",
            "x is 2, not below 2",
            "x is 1",
            "x is 2, not below 2",
            "x is -1, not among the 2 highest"
        ]
    );
    for wrong in [
        Sieve::Highest(Take::Share(1.5)),
        Sieve::Lowest(Take::Share(f64::NAN)),
        Sieve::AtLeast(f64::NAN),
    ] {
        assert!(matches!(scores.sift(&[wrong]), Err(PipelineError::Parameter(_))));
    }
}

#[test]
fn rows_are_kept_read_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path());
    let rows = Rows::all(&pool);
    let lengths = |n: usize| Some((n + 1) as f64);
    let all = scores(&(0..20).map(lengths).collect::<Vec<_>>());
    let kept = rows.keep(&all.sift(&[Sieve::AtLeast(5.0), Sieve::Below(9.0)]).unwrap()).unwrap();
    assert_eq!(kept.positions(), [4, 5, 6, 7]);
    let fewer = scores(&[Some(1.0), None, Some(2.0), Some(3.0)]);
    let kept = kept.keep(&fewer.sift(&[]).unwrap()).unwrap();
    assert_eq!(kept.positions(), [4, 6, 7]);
    let samples = kept.read(0..3).unwrap();
    assert_eq!(samples.iter().map(|s| s.index).collect::<Vec<_>>(), [4, 6, 7]);
    let ids = [samples[2].id.clone(), samples[0].id.clone()];
    assert_eq!(kept.find(&ids).unwrap(), [7, 4]);
    let error = kept.find(&[SampleId::from("nobody")]).unwrap_err().to_string();
    assert!(error.contains("`nobody`") && error.contains("3 rows"), "{error}");
    let error = kept.keep(&all.sift(&[]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("20 rows") && error.contains("other rows"), "{error}");
}
