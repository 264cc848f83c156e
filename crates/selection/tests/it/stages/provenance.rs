//! Whatever decides the numbers is in the folder's manifest, without anybody giving it.

use tamis_artifact::NoProgress;
use tamis_dataset::{Sample, Source, Subset};
use tamis_selection::scorers::{Chance, Length, Unit};
use tamis_selection::{ScoreStage, Scorer};

use super::{Lengths, Made};

#[test]
fn another_ingredient_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Sample> = Made(9).read_range(0..9).unwrap();
    let stage = ScoreStage::new(folder.path().join("stage")).shard_rows(4);
    let run = |stage: &ScoreStage, scorer: &dyn Scorer, source: &dyn Source| {
        stage.run(scorer, source, &mut NoProgress)
    };
    run(&stage, &Lengths::new(1.0), &rows).unwrap();
    // Nothing differs: resumed.
    assert_eq!(run(&stage, &Lengths::new(1.0), &rows.clone()).unwrap().resumed, 9);
    assert_eq!(run(&stage, &Lengths::new(1.0), &Subset::all(&rows)).unwrap().resumed, 9);

    let (mut text, mut id) = (rows.clone(), rows.clone());
    text[8].content = rows[7].content.clone();
    id[0].id = "another".into();
    let fewer = rows[..8].to_vec();
    let turned = Subset::new(&rows, (0..9).rev().collect()).unwrap();
    let (unit, usual) = (Lengths::new(2.0), Lengths::new(1.0));
    let wide = stage.clone().shard_rows(5);
    let table: [(&str, &ScoreStage, &dyn Scorer, &dyn Source, &str); 8] = [
        ("a text", &stage, &usual, &text, "`source.content`"),
        ("an id", &stage, &usual, &id, "`source.content`"),
        ("a row less", &stage, &usual, &fewer, "`source.rows`"),
        ("the order", &stage, &usual, &turned, "`source.positions`"),
        ("a setting", &stage, &unit, &rows, "`made_from.scorer.unit` is 1.0, expected 2.0"),
        ("a scorer", &stage, &Length(Unit::Words), &rows, "`settings.columns"),
        ("a seed", &stage, &Chance { seed: 1 }, &rows, "`made_from.scorer.seed`"),
        ("a shard", &wide, &usual, &rows, "`settings.shard_rows` is 4, expected 5"),
    ];
    for (what, stage, scorer, source, field) in table {
        let error = run(stage, scorer, source).unwrap_err().to_string();
        assert!(error.contains(field), "{what}: {error}");
    }
    assert_eq!(unit.done.get(), 0, "refused before anything is scored");
    let error = run(&stage.shard_rows(0), &usual, &rows).unwrap_err().to_string();
    assert!(error.contains("shard_rows") && error.contains("is 0"), "{error}");
}
