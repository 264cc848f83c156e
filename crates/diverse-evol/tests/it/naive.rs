//! The loop beside one that is written as plainly as possible.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tamis_diverse_evol::{EvolParams, Strategy};
use tamis_kcenter::Metric;

use crate::fakes::{RECORDS, World, places};

/// Straight-line distance, squared: exact for the small whole numbers of the fakes.
fn square(rows: &tamis_selection::vectors::ndarray::Array2<f32>, a: usize, b: usize) -> f64 {
    (0..rows.ncols()).map(|c| f64::from(rows[[a, c]] - rows[[b, c]]).powi(2)).sum()
}

fn nearest(
    rows: &tamis_selection::vectors::ndarray::Array2<f32>,
    row: usize,
    chosen: &[usize],
) -> f64 {
    chosen.iter().map(|&c| square(rows, row, c)).fold(f64::INFINITY, f64::min)
}

/// `DiverseEvol` from a given first draw: every set in the order of the choice, and after each round
/// the radius.
fn naive(first: &[usize], per_round: usize, rounds: usize) -> (Vec<Vec<usize>>, Vec<f64>) {
    let (mut sets, mut radii) = (vec![first.to_vec()], Vec::new());
    for _ in 0..rounds {
        let mut chosen = sets.last().unwrap().clone();
        let mut set = chosen.clone();
        set.sort_unstable();
        let rows = places(format!("{set:?}").as_bytes());
        for _ in 0..per_round {
            let mut best = None;
            for row in (0..RECORDS).filter(|row| !chosen.contains(row)) {
                let distance = nearest(&rows, row, &chosen);
                if best.is_none_or(|(_, farthest)| distance > farthest) {
                    best = Some((row, distance));
                }
            }
            chosen.push(best.unwrap().0);
        }
        let radius = (0..RECORDS).map(|row| nearest(&rows, row, &chosen)).fold(0.0, f64::max);
        radii.push(radius.sqrt());
        sets.push(chosen);
    }
    (sets, radii)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn k_center_rounds_are_those_of_the_naive_loop(
        initial in 1..8_usize, per_round in 1..6_usize, rounds in 1..4_usize, seed in any::<u64>(),
    ) {
        let mut world = World::new();
        world.params = EvolParams { initial, per_round, rounds, seed, ..EvolParams::default() };
        let grown = world.run("out");
        let chosen: Vec<usize> = grown.picks().map(|pick| pick.index).collect();
        let (sets, radii) = naive(&chosen[..initial], per_round, rounds);
        prop_assert_eq!(&chosen, sets.last().unwrap());
        for (round, radius) in (1..).zip(radii) {
            let found = grown.rounds[round].radius_after.unwrap();
            prop_assert!((found - radius).abs() <= 1e-6 * radius, "{found} {radius}");
            prop_assert_eq!(grown.rounds[round].size, sets[round].len());
        }
        // Each model saw the whole set so far, ascending, and nothing else.
        prop_assert_eq!(world.trainer.asked.len(), rounds);
        for (round, records) in &world.trainer.asked {
            let mut set = sets[*round].clone();
            set.sort_unstable();
            prop_assert_eq!(records, &set);
        }
    }

    #[test]
    fn every_strategy_fills_its_rounds_without_repeating(
        which in 0..Strategy::ALL.len(), per_round in 1..6_usize, seed in any::<u64>(),
        cosine in any::<bool>(),
    ) {
        let mut world = World::new();
        let strategy = Strategy::ALL[which];
        let metric = if cosine { Metric::Cosine } else { Metric::Euclidean };
        // The fakes put records at the origin, which has no direction.
        prop_assume!(strategy != Strategy::KMeans || !cosine);
        world.params = EvolParams { per_round, seed, strategy, metric, ..world.params };
        let grown = world.run("out");
        let chosen: BTreeSet<usize> = grown.picks().map(|pick| pick.index).collect();
        prop_assert_eq!(chosen.len(), 3 + 4 * per_round);
        for (order, pick) in grown.picks().enumerate() {
            prop_assert_eq!(pick.order, order);
            prop_assert_eq!(&pick.id, &world.ids[pick.index]);
        }
        let selection = grown.selection(RECORDS).unwrap();
        prop_assert_eq!(selection.len(), RECORDS);
        let selected: BTreeSet<usize> = selection.positions().iter().copied().collect();
        prop_assert_eq!(selected, chosen);
        let mut fresh = World::new();
        fresh.params = world.params.clone();
        let again = fresh.run("out");
        prop_assert_eq!(
            again.picks().collect::<Vec<_>>(), grown.picks().collect::<Vec<_>>()
        );
    }
}
