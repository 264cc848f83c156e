//! What passes filters, and what is left of the rows.

use tamis_dataset::{Reason, Source, Subset};
use tamis_selection::{Filter, Score, ScoredRow, Scores, SelectionError, Take};

use super::Made;

/// A column `x` of these values, and `y` of their opposites.
fn scores(values: &[Option<f64>]) -> Scores {
    let rows = values.iter().enumerate().map(|(index, value)| {
        let score = |value: f64| Score::Value(value);
        let missing = Score::Missing(Reason::EmptyTarget);
        let x = value.map_or(missing.clone(), score);
        let y = value.map_or(missing, |value| score(-value));
        ScoredRow { id: format!("r{index}").into(), index, scores: vec![x, y] }
    });
    let columns = vec!["x".to_owned(), "y".to_owned()];
    Scores { columns, rows: rows.collect(), resumed: 0 }
}

#[test]
fn filters_pass_what_they_say() {
    let scores = scores(&[Some(0.5), None, Some(2.0), Some(1.0), Some(2.0), Some(-1.0)]);
    let passing = |column: &str, filters: &[Filter]| -> Vec<usize> {
        let selection = scores.keep(column, filters).unwrap();
        assert_eq!(selection.len(), 6);
        selection.positions().to_vec()
    };
    assert_eq!(passing("x", &[]), [0, 2, 3, 4, 5]);
    assert_eq!(passing("x", &[Filter::AtLeast(1.0)]), [2, 3, 4]);
    assert_eq!(passing("y", &[Filter::AtLeast(-0.5)]), [0, 5]);
    assert_eq!(passing("x", &[Filter::Below(1.0)]), [0, 5]);
    // Of equal scores the first.
    assert_eq!(passing("x", &[Filter::Highest(Take::Count(1))]), [2]);
    assert_eq!(passing("y", &[Filter::Lowest(Take::Count(1))]), [2]);
    assert_eq!(passing("x", &[Filter::Highest(Take::Share(0.5))]), [2, 4]);
    assert_eq!(passing("x", &[Filter::Lowest(Take::Count(2))]), [0, 5]);
    assert_eq!(passing("x", &[Filter::Below(2.0), Filter::Highest(Take::Share(0.4))]), [3]);
    assert_eq!(passing("x", &[Filter::Highest(Take::Count(9))]).len(), 5);
    assert!(passing("x", &[Filter::Lowest(Take::Count(0))]).is_empty());
    let selection = scores.keep("x", &[Filter::Below(2.0), Filter::Highest(Take::Count(2))]);
    let reasons: Vec<String> =
        selection.unwrap().decisions().map(|decision| decision.reason).collect();
    assert_eq!(
        reasons,
        [
            "x is 0.5",
            "no x: the target is empty",
            "x is 2, not below 2",
            "x is 1",
            "x is 2, not below 2",
            "x is -1, not among the 2 highest"
        ]
    );
    for wrong in [
        Filter::Highest(Take::Share(1.5)),
        Filter::Lowest(Take::Share(f64::NAN)),
        Filter::AtLeast(f64::NAN),
    ] {
        assert!(matches!(scores.keep("x", &[wrong]), Err(SelectionError::Parameter(_))));
    }
    let error = scores.keep("z", &[]).unwrap_err().to_string();
    assert_eq!(error, "there is no column `z`; the scores have x, y");
}

#[test]
fn what_is_left_is_kept_by_position() {
    let source = Made(20);
    let rows = Subset::all(&source);
    let lengths = |n: usize| Some((n + 1) as f64);
    let all = scores(&(0..20).map(lengths).collect::<Vec<_>>());
    let filters = [Filter::AtLeast(5.0), Filter::Below(9.0)];
    let kept = rows.at(all.keep("x", &filters).unwrap().positions()).unwrap();
    assert_eq!(kept.positions(), [4, 5, 6, 7]);
    let fewer = scores(&[Some(1.0), None, Some(2.0), Some(3.0)]);
    let kept = kept.at(fewer.keep("y", &[]).unwrap().positions()).unwrap();
    assert_eq!(kept.positions(), [4, 6, 7]);
    let samples = kept.read_range(0..3).unwrap();
    assert_eq!(samples.iter().map(|s| s.index).collect::<Vec<_>>(), [28, 42, 49]);
    let error = kept.at(all.keep("x", &[]).unwrap().positions()).unwrap_err().to_string();
    assert!(error.contains("row 3 was asked for") && error.contains("3 rows"), "{error}");
}
