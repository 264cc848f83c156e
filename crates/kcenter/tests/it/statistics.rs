//! The Vendi score and the statistics of sets.

use nalgebra::DMatrix;
use proptest::prelude::*;
use tamis_kcenter::{
    FacilityParams, KCenterError, Metric, SetStatistics, StatisticsParams, VendiForm, vendi_score,
    vendi_score_by,
};
use tamis_selection::vectors::ndarray;
use tamis_selection::vectors::ndarray::{Array2, ArrayView2, array, s};

use crate::blobs;

/// As the definition has it: eigenvalues of the matrix of cosines.
fn plain_vendi(rows: ArrayView2<'_, f32>, chosen: &[usize]) -> f64 {
    let unit: Vec<Vec<f64>> = chosen
        .iter()
        .map(|&row| {
            let row: Vec<f64> = rows.row(row).iter().map(|&x| f64::from(x)).collect();
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.iter().map(|x| x / length).collect()
        })
        .collect();
    let n = unit.len();
    let kernel = DMatrix::from_fn(n, n, |i, j| {
        unit[i].iter().zip(&unit[j]).map(|(a, b)| a * b).sum::<f64>() / n as f64
    });
    let values = kernel.symmetric_eigen().eigenvalues;
    values.iter().filter(|&&x| x > 1e-15).map(|&x| -x * x.ln()).sum::<f64>().exp()
}

#[test]
fn known_vendi_scores() {
    // All at right angles: as many as rows. All alike: one. Lengths and signs of zero do not count.
    let right = Array2::from_diag(&array![1.0, 2.0, 3.0, 1e-30, 1e30_f32]);
    assert!((vendi_score(&right.view(), &[0, 1, 2, 3, 4]).unwrap() - 5.0).abs() < 1e-9);
    assert!((vendi_score(&right.view(), &[3]).unwrap() - 1.0).abs() < 1e-12);
    let alike = Array2::from_shape_fn((9, 4), |(row, column)| (row + 1) as f32 * column as f32);
    let all: Vec<usize> = (0..9).collect();
    for form in [VendiForm::Primal, VendiForm::Dual] {
        assert!((vendi_score_by(&alike.view(), &all, form).unwrap() - 1.0).abs() < 1e-9);
    }
    // Two directions, three to one: exp of the entropy of (3/4, 1/4).
    let rows = array![[1.0, 0.0], [2.0, 0.0], [0.5, 0.0], [0.0, 3.0_f32]];
    let expected = (-0.75 * 0.75_f64.ln() - 0.25 * 0.25_f64.ln()).exp();
    for form in [VendiForm::Primal, VendiForm::Dual] {
        let found = vendi_score_by(&rows.view(), &[3, 1, 0, 2], form).unwrap();
        assert!((found - expected).abs() < 1e-12);
    }
    // Zeros are a direction of their own: here two of three, then one of four.
    let rows = array![[0.0, 0.0], [0.0, -0.0], [2.0, 1.0], [-1.0, 2.0], [0.5, -1.0_f32]];
    let expected = (-2.0 / 3.0 * (2.0_f64 / 3.0).ln() + 3.0_f64.ln() / 3.0).exp();
    let other = (0.5 * 2.0_f64.ln() + 0.5 * 4.0_f64.ln()).exp();
    for form in [VendiForm::Primal, VendiForm::Dual] {
        assert!((vendi_score_by(&rows.view(), &[0, 1, 2], form).unwrap() - expected).abs() < 1e-12);
        assert!((vendi_score_by(&rows.view(), &[0, 2, 3, 4], form).unwrap() - other).abs() < 1e-12);
    }
}

#[test]
fn as_wide_as_a_language_model() {
    let rows = blobs(700, 576, 30, 2.0, 6);
    let all: Vec<usize> = (0..700).collect();
    let dual = vendi_score(&rows.view(), &all).unwrap();
    let primal = vendi_score_by(&rows.view(), &all, VendiForm::Primal).unwrap();
    assert!((dual - primal).abs() < 1e-8 * dual, "{dual} {primal}");
    assert!(dual > 30.0 && dual < 700.0, "{dual}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn both_forms_agree(
        count in 1_usize..90, columns in 1_usize..70, clusters in 1_usize..20, seed in any::<u64>(),
    ) {
        let rows = blobs(count, columns, clusters, 3.0, seed) + 0.000_1;
        let chosen: Vec<usize> = (0..count).filter(|row| row % 3 != 1).rev().collect();
        let expected = plain_vendi(rows.view(), &chosen);
        for form in [VendiForm::Primal, VendiForm::Dual] {
            let found = vendi_score_by(&rows.view(), &chosen, form).unwrap();
            prop_assert!((found - expected).abs() < 1e-8 * expected, "{:?} {} {}", form, found, expected);
        }
        prop_assert!(expected <= chosen.len().min(columns) as f64 + 1e-6);
    }
}

fn measure(rows: ArrayView2<'_, f32>, metric: Metric, chosen: &[usize]) -> SetStatistics {
    StatisticsParams { metric, ..StatisticsParams::default() }
        .check()
        .unwrap()
        .measure(&rows, chosen)
        .unwrap()
}

#[test]
fn statistics_are_their_definitions() {
    let rows = blobs(800, 12, 9, 3.0, 4);
    let chosen: Vec<usize> = (0..60).map(|row| row * 13).collect();
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let found = measure(rows.view(), metric, &chosen);
        let (_, nearest) = crate::plain_loop(rows.view(), metric, 0, &chosen);
        let most = nearest.iter().copied().fold(0.0, f64::max);
        assert!((found.coverage_radius - most).abs() < 1e-12, "{metric}");
        assert!((found.mean_nearest - nearest.iter().sum::<f64>() / 800.0).abs() < 1e-12);
        assert!((found.vendi - plain_vendi(rows.view(), &chosen)).abs() < 1e-8);
        assert_eq!((found.rows, found.chosen, found.metric), (800, 60, metric));
        // What facility location says of the same set, chosen from the start.
        let facility = FacilityParams { budget: 1, ..FacilityParams::default() }.check().unwrap();
        let picks = facility.pick(&rows.view(), &chosen).unwrap();
        assert!((found.facility_value - (picks.value() - picks.picks[0].gain)).abs() < 1e-8);
        assert_eq!((found.exact_duplicates, found.near_duplicates), (0, 0));
        let text = serde_json::to_string(&found).unwrap();
        let back: SetStatistics = serde_json::from_str(&text).unwrap();
        assert_eq!((back.chosen, back.near_duplicates), (60, 0));
    }
    // What k-center reports is what is measured.
    let picks = crate::pick(rows.view(), Metric::Euclidean, 50, &[7]);
    let set = [&[7], &picks.indices()[..]].concat();
    let found = measure(rows.view(), Metric::Euclidean, &set);
    assert_eq!(found.coverage_radius.to_bits(), picks.coverage[49].to_bits());
}

#[test]
fn duplicates_are_counted() {
    let mut rows = blobs(600, 40, 600, 3.0, 4);
    let (one, two) = (rows.row(0).to_owned(), rows.row(1).to_owned());
    for row in [300, 301, 599] {
        rows.row_mut(row).assign(&one);
    }
    rows.row_mut(400).assign(&(&one * 2.0)); // the same direction
    rows.row_mut(401).assign(&(&two + 0.01)); // almost
    rows.row_mut(402).assign(&-&two); // opposite
    rows.row_mut(500).fill(0.0);
    rows.row_mut(501).fill(-0.0);
    let all: Vec<usize> = (0..600).collect();
    let found = measure(rows.view(), Metric::Euclidean, &all);
    assert_eq!((found.exact_duplicates, found.near_duplicates), (4, 6));
    let some = measure(rows.view(), Metric::Euclidean, &[599, 400, 401, 402, 500]);
    assert_eq!((some.exact_duplicates, some.near_duplicates), (0, 1));
    let strict = StatisticsParams { near: 0.0, ..StatisticsParams::default() }.check().unwrap();
    assert_eq!(strict.measure(&rows.view(), &all).unwrap().near_duplicates, 5);
}

#[test]
fn bad_input_is_refused() {
    for near in [-0.1, 2.1, f64::NAN] {
        let refused = StatisticsParams { near, ..StatisticsParams::default() }.check().unwrap_err();
        assert!(refused.to_string().contains("`near` is"), "{refused}");
    }
    let rows = blobs(5, 3, 1, 1.0, 1);
    let good = StatisticsParams::default().check().unwrap();
    for refused in
        [good.measure(&rows.view(), &[]).unwrap_err(), vendi_score(&rows.view(), &[]).unwrap_err()]
    {
        assert_eq!(refused, KCenterError::NothingChosen);
    }
    let refused = good.measure(&rows.view(), &[1, 5]).unwrap_err();
    let expected = KCenterError::OutOfRange { what: "chosen rows", position: 1, index: 5, rows: 5 };
    assert_eq!(refused, expected);
    let refused = vendi_score(&rows.view(), &[2, 2]).unwrap_err();
    assert_eq!(refused, KCenterError::Twice { what: "chosen rows", index: 2 });
    let empty = rows.slice(s![..0, ..]);
    assert_eq!(vendi_score(&empty, &[]).unwrap_err(), KCenterError::NoRows);
    let columns = ndarray::Array2::<f32>::zeros((2, 0));
    assert_eq!(
        vendi_score(&columns.view(), &[0]).unwrap_err(),
        KCenterError::NoColumns { rows: 2 }
    );
}
