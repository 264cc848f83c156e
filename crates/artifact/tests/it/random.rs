//! The one source of random numbers.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tamis_artifact::Random;

fn random(name: &str) -> Random {
    Random::keyed(1, "tests", name)
}

/// What a seed stands for must not change from one release to the next.
#[test]
fn numbers_of_a_key_are_these() {
    let mut random = random("published");
    let mut order = [0, 1, 2, 3, 4, 5, 6, 7];
    random.shuffle(&mut order);
    let found = format!(
        "{:x} {:?} {} {:.6} {:.6} {order:?} {:?}",
        random.next_u64(),
        [(); 4].map(|()| random.below(1000)),
        random.below(1 << 40),
        random.fraction(),
        random.normal(),
        random.sample(100, 5)
    );
    let published = "42ee1d9bd3a997f7 [580, 342, 514, 176] 641950674165 0.095536 -0.408452 \
                     [5, 0, 6, 7, 4, 3, 1, 2] [20, 32, 66, 76, 97]";
    assert_eq!(found, published);
}

/// Of two unrelated orders of 1,000, the first halves share about 250 rows.
#[test]
fn orders_of_one_seed_are_unrelated_whatever_they_are_for() {
    let keys = [
        ("order", ""),
        ("order", "1"),
        ("order", "2"),
        ("order 1", ""),
        ("choice", ""),
        ("", "order"),
    ];
    for seed in 0..3 {
        let orders = keys.map(|(purpose, name)| {
            let mut order: Vec<usize> = (0..1000).collect();
            Random::keyed(seed, purpose, name).shuffle(&mut order);
            order
        });
        for (n, a) in orders.iter().enumerate() {
            for b in &orders[n + 1..] {
                let shared = a[..500].iter().filter(|row| b[..500].contains(row)).count();
                assert!((200..300).contains(&shared), "seed {seed}: {shared}");
            }
        }
    }
}

#[test]
fn numbers_below_a_bound_are_equally_likely() {
    for bound in [1_usize, 2, 3, 7, 100] {
        let (mut random, mut counts) = (random("below"), vec![0_u32; bound]);
        let draws = 20_000 * bound;
        (0..draws).for_each(|_| counts[random.below(bound)] += 1);
        // Six standard deviations of each count.
        assert!(counts.iter().all(|&count| count.abs_diff(20_000) < 850), "{bound}: {counts:?}");
    }
    // A bound of 3 · 2⁶² would favour some thirds by a third, were draws not repeated.
    let (mut random, bound) = (random("below"), 3 << 62);
    let mut thirds = [0_u32; 3];
    (0..30_000).for_each(|_| thirds[random.below(bound) / (1 << 62)] += 1);
    assert!(thirds.iter().all(|&count| count.abs_diff(10_000) < 500), "{thirds:?}");
    assert_eq!(random.below(0), 0);
}

#[test]
fn fractions_and_normal_numbers_have_their_moments() {
    let mut random = random("moments");
    let count = 100_000;
    let moments = |values: Vec<f64>| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        (mean, square / values.len() as f64)
    };
    let fractions: Vec<f64> = (0..count).map(|_| random.fraction()).collect();
    assert!(fractions.iter().all(|x| (0.0..1.0).contains(x)));
    let (mean, variance) = moments(fractions);
    assert!((mean - 0.5).abs() < 0.005 && (variance - 1.0 / 12.0).abs() < 0.002);
    let (mean, variance) = moments((0..count).map(|_| random.normal()).collect());
    assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    let sum: f64 = random.signs(count).sum();
    assert!(sum.abs() < 2000.0, "{sum}");
}

#[test]
fn any_part_of_a_stream_is_had_without_those_before_it() {
    let mut whole = [0; 400];
    random("seek").fill(&mut whole);
    for word in [0, 1, 15, 16, 17, 63] {
        let (mut random, mut part) = (random("seek"), [0; 20]);
        random.seek(word as u128);
        random.fill(&mut part);
        assert_eq!(part, whole[4 * word..4 * word + 20]);
    }
}

#[test]
fn every_order_and_every_sample_is_equally_likely() {
    let (mut random, mut orders, mut samples) =
        (random("orders"), BTreeMap::new(), BTreeMap::new());
    for _ in 0..24_000 {
        let mut order = [0, 1, 2, 3];
        random.shuffle(&mut order);
        *orders.entry(order).or_insert(0_u32) += 1;
        *samples.entry(random.sample(5, 2)).or_insert(0_u32) += 1;
    }
    assert_eq!((orders.len(), samples.len()), (24, 10));
    assert!(orders.values().all(|&count| count.abs_diff(1000) < 190), "{orders:?}");
    assert!(samples.values().all(|&count| count.abs_diff(2400) < 290), "{samples:?}");
}

#[test]
fn weights_are_probabilities() {
    let mut random = random("weights");
    let mut counts = [0_u32; 4];
    for at in random.weighted(&[0.0, 1.0, 3.0, 0.0], 40_000).unwrap() {
        counts[at] += 1;
    }
    assert!(counts[0] == 0 && counts[3] == 0, "{counts:?}");
    assert!(counts[1].abs_diff(10_000) < 550, "{counts:?}");
    for weights in [&[][..], &[0.0, 0.0], &[1.0, f64::INFINITY], &[f64::NAN]] {
        assert!(random.weighted(weights, 1).is_none(), "{weights:?}");
    }
}

proptest! {
    #[test]
    fn samples_ascend_and_are_as_many_as_asked_for(seed: u64, total in 0_usize..200, count in 0_usize..250) {
        let drawn = Random::keyed(seed, "sample", "").sample(total, count);
        prop_assert_eq!(drawn.len(), count.min(total));
        prop_assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(drawn.iter().all(|&number| number < total));
    }
}
