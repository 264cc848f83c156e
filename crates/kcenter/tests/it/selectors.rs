//! The algorithms as selectors.

use tamis_kcenter::selectors::QditBy;
use tamis_kcenter::{FacilityParams, KCenterParams, Metric, QditParams, Similarity};
use tamis_selection::vectors::ndarray::Array2;
use tamis_selection::{Candidates, Score, ScoredRow, Scores, Selector};

#[test]
fn each_picks_what_it_picks_by_itself_and_decides_about_every_row() {
    let rows = Array2::from_shape_fn((12, 3), |(r, c)| ((r * 7 + c * 5) % 11) as f32 - 4.5);
    let quality: Vec<f64> = (0..12).map(|n| f64::from(n % 5)).collect();
    let scored = quality.iter().enumerate().map(|(index, &value)| ScoredRow {
        id: format!("r{index}").into(),
        index,
        scores: vec![Score::Value(value)],
    });
    let columns = vec!["quality".to_owned()];
    let scores = Scores { columns, rows: scored.collect(), resumed: 0 };
    let kcenter = KCenterParams { budget: 9, metric: Metric::Euclidean }.check().unwrap();
    let similarity = Similarity::default();
    let facility = FacilityParams { budget: 9, similarity }.check().unwrap();
    let qdit = QditParams { budget: 9, similarity, ..QditParams::default() }.check().unwrap();
    let alone = [
        kcenter.pick(&rows, &[]).unwrap().indices(),
        facility.pick(&rows, &[]).unwrap().indices(),
        qdit.pick(&rows, &quality, &[]).unwrap().indices(),
    ];
    let by = QditBy { qdit, quality: "quality".to_owned() };
    let selectors: [(&dyn Selector, &str); 3] =
        [(&kcenter, "k-center"), (&facility, "facility location"), (&by, "QDIT")];
    let candidates = Candidates::scored(&scores).vectors(&rows).unwrap();
    for ((selector, name), alone) in selectors.into_iter().zip(alone) {
        for budget in [0, 1, 4, 9, 100] {
            let selection = selector.select(&candidates, budget).unwrap();
            assert_eq!(selection.positions(), &alone[..budget.min(9)]);
            assert_eq!(selection.len(), 12);
            for decision in selection.decisions() {
                let place = alone[..budget.min(9)].iter().position(|&n| n == decision.position);
                let expected = match place {
                    Some(place) => format!("rank {} by {name}", place + 1),
                    None => format!("not among the {} of {name}", budget.min(9)),
                };
                assert_eq!((decision.selected, decision.reason), (place.is_some(), expected));
            }
        }
        let error = selector.select(&Candidates::scored(&scores), 2).unwrap_err().to_string();
        assert!(error.contains("looks at vectors"), "{error}");
    }
}
