//! What must not change the result: threads, layout and place of the rows, the rest of the budget.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use tamis_kcenter::{
    FacilityParams, KCenterError, KCenterParams, Metric, StatisticsParams, vendi_score,
};
use tamis_selection::vectors::ndarray::{Array2, s};
use tamis_selection::vectors::{Vectors, VectorsError};

use crate::{blobs, pick};

#[test]
fn the_number_of_threads_does_not_matter() {
    // Beyond a segment of 16,384 rows and the 4,096 that are sampled.
    let rows = blobs(40_000, 9, 30, 8.0, 5);
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let found: Vec<_> = [1, 2, 3, 8]
            .into_iter()
            .map(|threads| {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| pick(rows.view(), metric, 200, &[3]))
            })
            .collect();
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{metric}");
    }
}

/// Rows that are made when they are asked for, in pieces that never lie in memory together.
struct Made(usize);

impl Vectors for Made {
    fn len(&self) -> usize {
        self.0
    }

    fn width(&self) -> usize {
        5
    }

    fn block<'a>(
        &'a self,
        first: usize,
        count: usize,
        scratch: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], VectorsError> {
        assert!(first + count <= self.0 && count <= 256);
        scratch.clear();
        for number in first * 5..(first + count) * 5 {
            scratch.push(((number as u64 * 2_654_435_761) % 65_536) as f32 / 256.0);
        }
        Ok(scratch)
    }
}

#[test]
fn the_layout_of_the_rows_does_not_matter() {
    let made = Made(3000);
    let mut scratch = Vec::new();
    let rows = Array2::from_shape_fn((3000, 5), |(row, column)| {
        made.block(row, 1, &mut scratch).unwrap()[column]
    });
    let columns_first = rows.t().as_standard_layout().into_owned();
    let mut wide = Array2::from_elem((6000, 12), f32::NAN);
    wide.slice_mut(s![..;2, 3..8]).assign(&rows);
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let found = pick(rows.view(), metric, 150, &[]);
        assert_eq!(pick(columns_first.t(), metric, 150, &[]), found);
        assert_eq!(pick(wide.slice(s![..;2, 3..8]), metric, 150, &[]), found);
        let kcenter = KCenterParams { budget: 150, metric }.check().unwrap();
        assert_eq!(kcenter.pick(&made, &[]).unwrap(), found);
        let dynamic: &dyn Vectors = &made;
        assert_eq!(kcenter.pick(dynamic, &[]).unwrap(), found);
    }
}

#[test]
fn every_pick_is_watched() {
    let rows = blobs(500, 4, 3, 2.0, 1);
    let kcenter = KCenterParams { budget: 60, ..KCenterParams::default() }.check().unwrap();
    let mut seen = Vec::new();
    let found = kcenter.pick_with(&rows.view(), &[], |pick| seen.push(*pick)).unwrap();
    assert_eq!(seen, found.picks);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_smaller_budget_picks_a_beginning(
        count in 20_usize..600, columns in 1_usize..9, clusters in 1_usize..30, seed in any::<u64>(),
    ) {
        let rows = blobs(count, columns, clusters, 5.0, seed);
        let all = pick(rows.view(), Metric::Euclidean, count, &[]);
        for budget in [1, 2, count / 3, count / 2] {
            let some = pick(rows.view(), Metric::Euclidean, budget, &[]);
            prop_assert_eq!(&some.picks[..], &all.picks[..budget]);
            prop_assert_eq!(&some.coverage[..], &all.coverage[..budget]);
        }
        // What is picked first may as well be given, whatever its order.
        let (mut initial, budget) = (all.indices()[..count / 4].to_vec(), count / 4);
        initial.reverse();
        let rest = pick(rows.view(), Metric::Euclidean, budget, &initial);
        prop_assert_eq!(&rest.picks[..], &all.picks[count / 4..count / 4 + budget]);
        // Radii never rise; the coverage is at least half of the best possible one (Gonzalez): any
        // k + 1 rows picked are pairwise at least as far apart as the last radius.
        prop_assert!(all.coverage.windows(2).all(|pair| pair[1] <= pair[0]));
    }

    #[test]
    fn the_place_of_the_rows_does_not_matter(
        count in 2_usize..300, columns in 1_usize..9, shift in -4000..4000_i16, seed in any::<u64>(),
    ) {
        // By a quarter of a whole number: exact in f32 for multiples of 2⁻¹⁰ below 2¹³.
        let rows = blobs(count, columns, 4, 5.0, seed);
        let moved = &rows + f32::from(shift) / 4.0;
        let budget = count.div_ceil(2);
        prop_assert_eq!(
            pick(rows.view(), Metric::Euclidean, budget, &[]),
            pick(moved.view(), Metric::Euclidean, budget, &[])
        );
    }
}

/// Rows of a disk that fails after so many blocks.
struct Failing {
    rows: Made,
    left: AtomicUsize,
}

impl Vectors for Failing {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn width(&self) -> usize {
        self.rows.width()
    }

    fn block<'a>(
        &'a self,
        first: usize,
        count: usize,
        scratch: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], VectorsError> {
        let left = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        left.map_err(|_| VectorsError::new("the disk is gone"))?;
        self.rows.block(first, count, scratch)
    }
}

type Attempt<'a> = &'a dyn Fn(&Failing) -> Result<(), KCenterError>;

#[test]
fn rows_that_cannot_be_read_end_everything() {
    let kcenter = KCenterParams { budget: 40, metric: Metric::Euclidean }.check().unwrap();
    let facility = FacilityParams { budget: 4, ..FacilityParams::default() }.check().unwrap();
    let statistics = StatisticsParams::default().check().unwrap();
    let all: [(&str, Attempt<'_>); 4] = [
        ("k-center", &|rows| kcenter.pick(rows, &[]).map(drop)),
        ("facility location", &|rows| facility.pick(rows, &[5]).map(drop)),
        ("statistics", &|rows| statistics.measure(rows, &[1, 700]).map(drop)),
        ("Vendi score", &|rows| vendi_score(rows, &[1, 700]).map(drop)),
    ];
    for (name, run) in all {
        let failing = |left: usize| Failing { rows: Made(800), left: AtomicUsize::new(left) };
        let enough = failing(usize::MAX);
        run(&enough).unwrap();
        let blocks = usize::MAX - enough.left.load(Relaxed);
        // The blocks asked for do not depend on the threads here; the last one is needed, too.
        for left in [0, 1, blocks / 2, blocks - 1] {
            let error = run(&failing(left)).unwrap_err();
            let expected = KCenterError::Vectors(VectorsError::new("the disk is gone"));
            assert_eq!(error, expected, "{name} {left}");
        }
    }
}
