//! The scorers that come with the crate.

use std::fs;

use tamis_artifact::NoProgress;
use tamis_dataset::{Sample, Source};
use tamis_selection::scorers::{Chance, Length, Numbers, Unit};
use tamis_selection::{ScoreStage, Scorer};

use super::Made;

fn values(scorer: &dyn Scorer, rows: &[Sample]) -> Vec<Option<f64>> {
    scorer.score(rows).unwrap().iter().map(|row| row[0].value()).collect()
}

#[test]
fn lengths_are_those_of_the_answer() {
    let rows =
        [Sample::instruction("Say it", "zwei  Wörter"), Sample::instruction("Say nothing", "")];
    assert_eq!(values(&Length(Unit::Words), &rows), [Some(2.0), Some(0.0)]);
    assert_eq!(values(&Length(Unit::Characters), &rows), [Some(12.0), Some(0.0)]);
}

#[test]
fn chance_depends_on_seed_and_id_alone() {
    let rows = Made(400).read_range(0..400).unwrap();
    let all = values(&Chance { seed: 3 }, &rows);
    assert_eq!(values(&Chance { seed: 3 }, &rows[7..9]), all[7..9]);
    assert_ne!(values(&Chance { seed: 4 }, &rows), all);
    let all: Vec<f64> = all.into_iter().map(Option::unwrap).collect();
    assert!(all.iter().all(|x| (0.0..1.0).contains(x)));
    // The mean of 400 numbers: a standard error of 0.0144.
    assert!((all.iter().sum::<f64>() / 400.0 - 0.5).abs() < 0.06);
}

#[test]
fn numbers_of_a_file_are_joined_by_id() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let jsonl = write(
        "a.jsonl",
        "{\"id\": \"made-2\", \"q\": 0.5, \"r\": 1}\n\n{\"id\": \"made-0\", \"q\": -3, \"r\": null}\n",
    );
    let csv = write("a.csv", "r,id,q\n1,made-2,0.5\n,made-0,-3\n");
    let rows = Made(3).read_range(0..3).unwrap();
    let scores = |path| {
        let numbers = Numbers::open(path, &["q", "r"]).unwrap();
        let stage = ScoreStage::new(tempfile::tempdir().unwrap().path().join("stage"));
        stage.run(&numbers, &rows, &mut NoProgress).unwrap()
    };
    let found = scores(&jsonl);
    let column = |name: &str| -> Vec<Option<f64>> {
        found.column(name).unwrap().iter().map(|score| score.value()).collect()
    };
    assert_eq!(column("q"), [Some(-3.0), None, Some(0.5)]);
    assert_eq!(column("r"), [None, None, Some(1.0)]);
    assert_eq!(scores(&csv), found);

    for (name, text, expected) in [
        ("b.jsonl", "{\"id\": \"a\", \"q\": \"high\"}\n", "line 1: its `q` is \"high\""),
        ("c.jsonl", "{\"q\": 1}\n", "line 1: it has no `id`"),
        ("d.jsonl", "{\"id\": 1, \"q\": 1}\n{\"id\": 1, \"q\": 1}\n", "line 2: the id `1`"),
        ("e.csv", "id,x\na,1\n", "line 1: there is no column `q`"),
        ("f.csv", "id,q\na,1\nb,1,2\n", "line 3: expected 2 cells"),
    ] {
        let error = Numbers::open(write(name, text), &["q"]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
