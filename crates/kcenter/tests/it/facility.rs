//! Facility location and QDIT beside plain greedy, and beside the best sets there are.

use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use tamis_kcenter::{FacilityParams, FacilityPicks, KCenterError, QditParams, Similarity};
use tamis_selection::vectors::ndarray;
use tamis_selection::vectors::ndarray::{Array2, ArrayView2, s};

use crate::{Numbers, blobs};

const SIMILARITIES: [Similarity; 2] = [Similarity::Cosine, Similarity::ShiftedCosine];

fn facility(
    rows: ArrayView2<'_, f32>,
    similarity: Similarity,
    budget: usize,
    initial: &[usize],
) -> FacilityPicks {
    FacilityParams { budget, similarity }.check().unwrap().pick(&rows, initial).unwrap()
}

/// All similarities, as the definition has them.
fn similarities(rows: ArrayView2<'_, f32>, similarity: Similarity) -> Array2<f64> {
    let length =
        |row: usize| rows.row(row).iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    Array2::from_shape_fn((rows.nrows(), rows.nrows()), |(a, b)| {
        let cosine = if length(a) == 0.0 || length(b) == 0.0 {
            f64::from(u8::from(length(a) + length(b) == 0.0))
        } else {
            let terms = rows
                .row(a)
                .iter()
                .zip(rows.row(b))
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .collect::<Vec<_>>();
            terms.iter().sum::<f64>() / (length(a) * length(b))
        };
        match similarity {
            Similarity::Cosine => cosine.max(0.0),
            Similarity::ShiftedCosine => 0.5 + 0.5 * cosine,
        }
    })
}

/// d of a set.
fn value(similar: &Array2<f64>, set: &[usize]) -> f64 {
    similar.rows().into_iter().map(|row| set.iter().map(|&a| row[a]).fold(0.0, f64::max)).sum()
}

/// Greedy as the definition has it: every row's gain for every pick. Row numbers, scores and the lead of each
/// over the next best.
fn plain_greedy(
    similar: &Array2<f64>,
    budget: usize,
    initial: &[usize],
    weighted: Option<(f64, &[f64])>,
) -> Vec<(usize, f64, f64)> {
    let count = similar.nrows();
    let mut set = initial.to_vec();
    let gain = |set: &[usize], row: usize| {
        let mut with = set.to_vec();
        with.push(row);
        value(similar, &with) - value(similar, set)
    };
    let scale =
        (0..count).filter(|row| !set.contains(row)).map(|row| gain(&set, row)).fold(0.0, f64::max);
    let unit: Vec<f64> = weighted.map_or_else(Vec::new, |(_, quality)| {
        let least = quality.iter().copied().fold(f64::INFINITY, f64::min);
        let most = quality.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        quality
            .iter()
            .map(|q| if most > least { (q - least) / (most - least) } else { 0.0 })
            .collect()
    });
    let mut picks = Vec::new();
    for _ in 0..budget {
        let mut scores: Vec<(usize, f64)> = (0..count)
            .filter(|row| !set.contains(row))
            .map(|row| {
                let gain = gain(&set, row);
                let score = weighted.map_or(gain, |(alpha, _)| {
                    (1.0 - alpha) * if scale > 0.0 { gain / scale } else { 0.0 } + alpha * unit[row]
                });
                (row, score)
            })
            .collect();
        // Stable: of equal ones the lowest row stays first.
        scores.sort_by(|a, b| b.1.total_cmp(&a.1));
        picks.push((
            scores[0].0,
            scores[0].1,
            scores.get(1).map_or(1.0, |next| scores[0].1 - next.1),
        ));
        set.push(scores[0].0);
    }
    picks
}

/// Equal as long as no two rows are equal to rounding; there either may be picked, and all is open from there.
fn assert_as_plain(found: &FacilityPicks, plain: &[(usize, f64, f64)], case: &str) {
    assert_eq!(found.picks.len(), plain.len());
    let mut settled = 0;
    for (found, &(row, score, lead)) in found.picks.iter().zip(plain) {
        assert!((found.score - score).abs() < 1e-9, "{case}: {found:?} {row} {score}");
        if lead < 1e-11 {
            break;
        }
        assert_eq!(found.index, row, "{case}");
        settled += 1;
    }
    assert!(settled > 0 || plain[0].2 < 1e-11, "{case}");
}

#[test]
fn as_plain_greedy() {
    for similarity in SIMILARITIES {
        for (count, columns, clusters, budget) in
            [(20, 2, 3, 6), (60, 5, 7, 20), (260, 9, 4, 12), (300, 3, 50, 10), (90, 40, 1, 30)]
        {
            let mut rows = blobs(count, columns, clusters, 3.0, columns as u64);
            rows.row_mut(4).fill(0.0);
            rows.row_mut(9).fill(0.0);
            let similar = similarities(rows.view(), similarity);
            for initial in [&[][..], &[3, 17, 4]] {
                let case = format!("{similarity} {count} {columns} {initial:?}");
                let plain = plain_greedy(&similar, budget, initial, None);
                let found = facility(rows.view(), similarity, budget, initial);
                assert_as_plain(&found, &plain, &case);
                let set = [initial, &found.indices()].concat();
                assert!((found.value() - value(&similar, &set)).abs() < 1e-9, "{case}");
                for pick in &found.picks {
                    assert_eq!(pick.gain.to_bits(), pick.score.to_bits());
                }

                let mut numbers = Numbers(7);
                let quality: Vec<f64> =
                    (0..count).map(|_| 5.0 + f64::from(numbers.next())).collect();
                for alpha in [0.0, 0.3, 0.7, 0.95, 1.0] {
                    let plain = plain_greedy(&similar, budget, initial, Some((alpha, &quality)));
                    let qdit = QditParams { budget, similarity, alpha }.check().unwrap();
                    let found = qdit.pick(&rows.view(), &quality, initial).unwrap();
                    assert_as_plain(&found, &plain, &format!("{case} alpha {alpha}"));
                }
            }
        }
    }
}

#[test]
fn equal_rows_go_by_number() {
    let one = blobs(6, 8, 6, 3.0, 5);
    let rows = ndarray::concatenate(ndarray::Axis(0), &[one.view(); 50]).unwrap();
    let found = facility(rows.view(), Similarity::Cosine, 300, &[]);
    let mut first = found.indices()[..6].to_vec();
    first.sort_unstable();
    assert_eq!(first, [0, 1, 2, 3, 4, 5]);
    // Nothing is left to gain: the others in order.
    assert_eq!(found.indices()[6..], (6..300).collect::<Vec<_>>());
    assert!(found.picks[6..].iter().all(|pick| pick.gain == 0.0));
    let equal = QditParams { budget: 3, alpha: 1.0, ..QditParams::default() }.check().unwrap();
    assert_eq!(equal.pick(&rows.view(), &[2.0; 300], &[1]).unwrap().indices(), [0, 2, 3]);
}

#[test]
fn quality_alone_and_quality_without_weight() {
    let rows = blobs(400, 6, 8, 2.0, 3);
    let quality: Vec<f64> = (0..400).map(|row| f64::from(row * 37 % 400)).collect();
    let pick = |alpha| {
        let qdit = QditParams { budget: 40, alpha, ..QditParams::default() }.check().unwrap();
        qdit.pick(&rows.view(), &quality, &[]).unwrap()
    };
    let mut best: Vec<usize> = (0..400).collect();
    best.sort_by(|&a, &b| quality[b].total_cmp(&quality[a]));
    assert_eq!(pick(1.0).indices(), best[..40]);
    assert_eq!(pick(0.0).indices(), facility(rows.view(), Similarity::Cosine, 40, &[]).indices());
    // Scale and place of the quality do not matter.
    let moved: Vec<f64> = quality.iter().map(|q| 3.0 - 2.0 * (400.0 - q)).collect();
    let qdit = QditParams { budget: 40, ..QditParams::default() }.check().unwrap();
    let (a, b) = (qdit.pick(&rows.view(), &quality, &[]), qdit.pick(&rows.view(), &moved, &[]));
    assert_eq!(a.unwrap().indices(), b.unwrap().indices());
    // Every score lies in 0 to 1, and the first gain is the largest of all.
    let found = pick(0.5);
    assert!(found.picks.iter().all(|pick| (0.0..=1.0).contains(&pick.score)));
}

#[test]
fn more_rows_than_a_wave_and_lists_that_do_not_fit() {
    // Rows at random have something to win nearly everywhere, so that lists outgrow their limit.
    let rows = blobs(5000, 6, 700, 3.0, 2);
    let all: Vec<_> = [1, 2, 5]
        .into_iter()
        .map(|threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| facility(rows.view(), Similarity::Cosine, 30, &[4321]))
        })
        .collect();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
    // The first picks by one pass over all rows each.
    let unit = {
        let mut unit = rows.mapv(f64::from);
        for mut row in unit.rows_mut() {
            let length = row.dot(&row).sqrt();
            row /= length;
        }
        unit
    };
    let similar = unit.dot(&unit.t()).mapv(|x| x.max(0.0));
    let mut best = similar.row(4321).to_owned();
    for pick in &all[0].picks {
        let gains: Vec<f64> = similar
            .rows()
            .into_iter()
            .map(|row| row.iter().zip(&best).map(|(s, b)| (s - b).max(0.0)).sum())
            .collect();
        let most = gains.iter().copied().fold(0.0, f64::max);
        assert!((gains[pick.index] - most).abs() < 1e-9 && (pick.gain - most).abs() < 1e-9);
        best.zip_mut_with(&similar.row(pick.index), |best, &s| *best = best.max(s));
    }
    assert!((all[0].value() - best.sum()).abs() < 1e-8);
}

#[test]
fn bad_input_is_refused() {
    for alpha in [-0.1, 1.1, f64::NAN] {
        let refused = QditParams { alpha, ..QditParams::default() }.check().unwrap_err();
        assert!(refused.to_string().contains("`alpha` is"), "{refused}");
    }
    assert!(FacilityParams { budget: 0, ..FacilityParams::default() }.check().is_err());
    assert!(QditParams { budget: 0, ..QditParams::default() }.check().is_err());
    let rows = blobs(5, 3, 1, 1.0, 1);
    let qdit = QditParams { budget: 2, ..QditParams::default() }.check().unwrap();
    let refused = qdit.pick(&rows.view(), &[1.0; 4], &[]).unwrap_err();
    assert_eq!(refused, KCenterError::QualityLength { found: 4, expected: 5 });
    let refused = qdit.pick(&rows.view(), &[1.0, 2.0, f64::INFINITY, 0.0, 0.0], &[]).unwrap_err();
    assert_eq!(refused, KCenterError::Quality { row: 2, value: f64::INFINITY });
    let refused = qdit.pick(&rows.view(), &[1.0; 5], &[0, 1, 2, 3]).unwrap_err();
    assert_eq!(refused, KCenterError::Budget { budget: 2, initial: 4, left: 1 });
    let plain = FacilityParams { budget: 2, ..FacilityParams::default() }.check().unwrap();
    let refused = plain.pick(&rows.view(), &[7]).unwrap_err();
    assert!(matches!(refused, KCenterError::OutOfRange { index: 7, rows: 5, .. }), "{refused}");
    let mut bad = rows.clone();
    bad[[3, 2]] = f32::NAN;
    let refused = plain.pick(&bad.view(), &[]).unwrap_err();
    assert!(matches!(refused, KCenterError::NonFinite { row: 3, column: 2, .. }), "{refused}");
    for similarity in SIMILARITIES {
        assert_eq!(similarity.to_string().parse(), Ok(similarity));
        assert_eq!(serde_json::to_value(similarity).unwrap(), similarity.to_string());
    }
    assert!("dot".parse::<Similarity>().unwrap_err().to_string().contains("shifted-cosine"));
}

/// All sets of so many of the rows.
fn sets(count: usize, size: usize) -> Vec<Vec<usize>> {
    (0_u32..1 << count)
        .filter(|set| set.count_ones() as usize == size)
        .map(|set| (0..count).filter(|row| set >> row & 1 == 1).collect())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn at_least_a_share_of_the_best_set(
        count in 2_usize..11, columns in 1_usize..5, clusters in 1_usize..8, seed in any::<u64>(),
        shifted in any::<bool>(),
    ) {
        let rows = blobs(count, columns, clusters, 3.0, seed);
        let similarity = SIMILARITIES[usize::from(shifted)];
        let similar = similarities(rows.view(), similarity);
        for budget in 1..=count.min(4) {
            let found = facility(rows.view(), similarity, budget, &[]);
            let best = sets(count, budget).iter().map(|set| value(&similar, set)).fold(0.0, f64::max);
            let share = 1.0 - (-1.0_f64).exp();
            prop_assert!(found.value() >= share * best - 1e-9, "{} of {best}", found.value());
            prop_assert!((found.value() - value(&similar, &found.indices())).abs() < 1e-9);
        }
    }

    #[test]
    fn gains_fall_and_a_smaller_budget_picks_a_beginning(
        count in 20_usize..400, columns in 1_usize..9, clusters in 1_usize..30, seed in any::<u64>(),
    ) {
        let rows = blobs(count, columns, clusters, 3.0, seed);
        let all = facility(rows.view(), Similarity::Cosine, count, &[]);
        prop_assert!(all.picks.windows(2).all(|pair| pair[1].gain <= pair[0].gain));
        let some = facility(rows.slice(s![.., ..]), Similarity::Cosine, count / 3, &[]);
        prop_assert_eq!(&some.picks[..], &all.picks[..count / 3]);
        let gained: f64 = all.picks.iter().map(|pick| pick.gain).sum();
        prop_assert!((all.value() - gained).abs() < 1e-9 * count as f64);
        prop_assert!((all.value() - count as f64).abs() < 1e-9 * count as f64);
    }
}
