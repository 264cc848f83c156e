//! Drawing evenly over clusters.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tamis_clustering::{ClusteringError, KMeansParams, Resample, Within};
use tamis_selection::vectors::ndarray::Array2;

const RULES: [Within; 3] = [Within::Random, Within::BestScore, Within::Nearest];

fn counts(labels: &[usize], rows: &[usize]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for &row in rows {
        *counts.entry(labels[row]).or_default() += 1;
    }
    counts
}

#[test]
fn rules_within_a_cluster() {
    let labels = [4, 4, 4, 4, 9, 9, 9];
    let scores = [0.1, 0.9, -0.5, 0.9, 1.0, 3.0, 2.0];
    let distances = [0.3, 0.2, 0.0, 0.2, 5.0, 4.0, 3.0];
    let draw = |within, budget| {
        let mut drawn = Resample { budget, within, seed: 1 }
            .draw(&labels, Some(&scores), Some(&distances))
            .unwrap();
        drawn.sort_unstable();
        drawn
    };
    assert_eq!(draw(Within::BestScore, 2), [1, 5]);
    assert_eq!(draw(Within::BestScore, 4), [1, 3, 5, 6]);
    assert_eq!(draw(Within::Nearest, 2), [2, 6]);
    assert_eq!(draw(Within::Nearest, 4), [1, 2, 5, 6]);
    assert_eq!(draw(Within::Random, 7), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn equal_ranks_go_by_row_whatever_the_sign_of_zero() {
    let labels = [0, 0, 0];
    let draw = |scores: [f64; 3]| {
        Resample { budget: 3, within: Within::BestScore, seed: 0 }
            .draw(&labels, Some(&scores), None)
            .unwrap()
    };
    assert_eq!(draw([0.0, -0.0, 0.0]), [0, 1, 2]);
    assert_eq!(draw([-0.0, 0.0, -0.0]), [0, 1, 2]);
}

/// K-means calls the cluster of the row it begins with 0. Whether that row is one of the first half, and whether a row of
/// the first half is drawn last, were one and the same bit when both came from one stream of numbers.
#[test]
fn a_draw_does_not_repeat_what_k_means_began_with() {
    let rows = Array2::from_shape_fn((1000, 1), |(row, _)| if row < 500 { 0.0 } else { 1.0 });
    let clusters: Vec<usize> = (0..1000).collect();
    let alike = |labels: &[usize], seed| {
        let fit = KMeansParams { k: 2, seed, ..KMeansParams::default() }.check().unwrap();
        let begun_low = fit.fit(&rows).unwrap().labels[0] == 0;
        let resample = Resample { budget: 1000, within: Within::Random, seed };
        let drawn = resample.draw(labels, None, None).unwrap();
        begun_low == (drawn[999] < 500)
    };
    // 60 fair coins: fewer than 15 or more than 45 heads have a chance of one in ten thousand.
    let same = (0..60).filter(|&seed| alike(&clusters, seed)).count();
    assert!((15..=45).contains(&same), "the order of clusters repeats the start: {same} of 60");
    let same = (0..60).filter(|&seed| alike(&[0; 1000], seed)).count();
    assert!((15..=45).contains(&same), "the order of rows repeats the start: {same} of 60");
}

#[test]
fn every_seed_draws_other_clusters_and_rows_equally_often() {
    // 3 of 6 clusters, one row of two each: every row should come in a quarter of all draws.
    let labels: Vec<usize> = (0..12).map(|row| row / 2).collect();
    let mut times = [0_u32; 12];
    let draws = 4000;
    for seed in 0..draws {
        let resample = Resample { budget: 3, within: Within::Random, seed };
        for row in resample.draw(&labels, None, None).unwrap() {
            times[row] += 1;
        }
    }
    // Five standard deviations of a binomial count.
    let (mean, deviation) = (draws as f64 / 4.0, (draws as f64 * 0.25 * 0.75).sqrt());
    for (row, &times) in times.iter().enumerate() {
        assert!((f64::from(times) - mean).abs() < 5.0 * deviation, "row {row}: {times}");
    }
}

#[test]
fn bad_input_is_refused() {
    let labels = [0, 0, 1];
    let draw = |within, budget, scores: Option<&[f64]>, distances: Option<&[f32]>| {
        Resample { budget, within, seed: 0 }.draw(&labels, scores, distances).unwrap_err()
    };
    let refused = draw(Within::Random, 4, None, None);
    assert_eq!(refused, ClusteringError::Budget { budget: 4, rows: 3 });
    let refused = draw(Within::BestScore, 2, None, Some(&[0.0; 3]));
    assert_eq!(
        refused.to_string(),
        "`best-score` needs the scores of the rows, which were not given"
    );
    let refused = draw(Within::Nearest, 2, None, Some(&[0.0; 4]));
    assert_eq!(refused.to_string(), "there are 4 distances for 3 labels");
    let refused = draw(Within::BestScore, 2, Some(&[0.0, f64::NAN, 0.0]), None);
    assert!(refused.to_string().starts_with("row 1 has NaN among the scores"), "{refused}");
    let none = Resample { budget: 0, within: Within::Random, seed: 0 };
    assert_eq!(none.draw(&[], None, None), Ok(vec![]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn exact_even_and_without_duplicates(
        labels in prop::collection::vec(prop_oneof![0..4_usize, 0..30_usize, Just(usize::MAX)], 1..200),
        share in 0.0..=1.0_f64,
        seed in any::<u64>(),
    ) {
        let budget = (share * labels.len() as f64) as usize;
        let scores: Vec<f64> = (0..labels.len()).map(|i| (i * 31 % 17) as f64).collect();
        let distances: Vec<f32> = (0..labels.len()).map(|i| (i * 13 % 19) as f32).collect();
        let all: Vec<usize> = (0..labels.len()).collect();
        let sizes = counts(&labels, &all);
        for within in RULES {
            let draw = |budget| {
                Resample { budget, within, seed }.draw(&labels, Some(&scores), Some(&distances)).unwrap()
            };
            let drawn = draw(budget);
            prop_assert_eq!(drawn.len(), budget);
            prop_assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), budget);
            prop_assert_eq!(&drawn, &draw(budget));

            // Numbers of two clusters differ by at most one unless the smaller has run out.
            let taken = counts(&labels, &drawn);
            let of = |label: &usize| taken.get(label).copied().unwrap_or(0);
            let most = sizes.keys().map(of).max().unwrap();
            for (label, &size) in &sizes {
                prop_assert!(of(label) + 1 >= most || of(label) == size);
            }

            // A smaller budget is the beginning of the same list.
            prop_assert_eq!(&draw(budget / 2)[..], &drawn[..budget / 2]);

            // No row that was left behind goes before one drawn from its cluster.
            let rank = |row: usize| match within {
                Within::Random => 0.0,
                Within::BestScore => -scores[row],
                Within::Nearest => f64::from(distances[row]),
            };
            let chosen: BTreeSet<usize> = drawn.iter().copied().collect();
            for &row in &drawn {
                for other in all.iter().filter(|o| labels[**o] == labels[row] && !chosen.contains(o)) {
                    prop_assert!(rank(row) <= rank(*other));
                }
            }
        }
    }
}

#[test]
fn as_a_selector_it_draws_over_groups_and_decides_about_every_row() {
    use tamis_clustering::EvenDraw;
    use tamis_selection::{Candidates, Score, ScoredRow, Scores, Selector};

    let groups: Vec<Option<String>> =
        (0..12).map(|n| (n > 3).then(|| format!("c{}", n % 3))).collect();
    let labels: Vec<usize> = (0..12).map(|n| if n > 3 { 1 + n % 3 } else { 0 }).collect();
    let values: Vec<f64> = (0..12).map(|n| f64::from(n * 5 % 7)).collect();
    let row = |(index, &value): (usize, &f64)| ScoredRow {
        id: format!("r{index}").into(),
        index,
        scores: vec![Score::Value(value)],
    };
    let rows = values.iter().enumerate().map(row).collect();
    let scores = Scores { columns: vec!["quality".to_owned()], rows, resumed: 0 };
    let candidates = Candidates::scored(&scores).groups(&groups).unwrap();
    for within in [Within::Random, Within::BestScore] {
        let resample = Resample { budget: 7, within, seed: 4 };
        let draw = EvenDraw { resample, column: Some("quality".to_owned()) };
        let alone = resample.draw(&labels, Some(&values), None).unwrap();
        for budget in [0, 3, 7, 40] {
            let selection = draw.select(&candidates, budget).unwrap();
            assert_eq!(selection.positions(), &alone[..budget.min(7)]);
            assert_eq!(selection.decisions().filter(|one| one.selected).count(), budget.min(7));
            assert_eq!(selection.len(), 12);
        }
        let selection = draw.select(&candidates, 7).unwrap();
        assert_eq!(selection.reason(alone[0]).unwrap(), "drawn evenly over 4 clusters");
    }
    let resample = Resample { budget: 7, within: Within::BestScore, seed: 4 };
    let error = EvenDraw { resample, column: None }.select(&candidates, 2).unwrap_err();
    assert!(error.to_string().contains("scores"), "{error}");
}
