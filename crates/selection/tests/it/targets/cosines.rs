//! Cosines against a naive loop.

use ndarray::{Array2, s};
use proptest::prelude::*;
use tamis_selection::targets::{Cosines, Target, TargetError, Unscored};

fn named(vectors: &[Vec<f32>]) -> Vec<(Target, Vec<f32>)> {
    let named =
        |(n, vector): (usize, &Vec<f32>)| (Target::new("t", format!("{n}")), vector.clone());
    vectors.iter().enumerate().map(named).collect()
}

fn naive(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn vectors(width: usize) -> impl Strategy<Value = Vec<Vec<f32>>> {
    let number = (-8i8..9).prop_map(|x| f32::from(x) / 4.0);
    prop::collection::vec(prop::collection::vec(number, width), 1..12)
}

proptest! {
    #[test]
    fn a_naive_loop_gives_the_same(
        (targets, pool) in (1usize..20).prop_flat_map(|width| (vectors(width), vectors(width))),
        cut in 0.0f64..=1.0,
    ) {
        let zero = |vector: &[f32]| vector.iter().all(|x| *x == 0.0);
        let targets: Vec<Vec<f32>> = targets.into_iter().filter(|target| !zero(target)).collect();
        prop_assume!(!targets.is_empty());
        let mut cosines = Cosines::new(named(&targets)).unwrap();
        let (width, rows) = (pool[0].len(), pool.len());
        let all = Array2::from_shape_vec((rows, width), pool.concat()).unwrap();
        let names: Vec<_> = (0..rows).map(|n| (format!("c{n}").into(), n)).collect();
        let cut = (cut * rows as f64) as usize;
        cosines.add(&names[..cut], all.slice(s![..cut, ..])).unwrap();
        cosines.add(&names[cut..], all.slice(s![cut.., ..])).unwrap();
        let scores = cosines.finish().unwrap();
        for candidate in scores.candidates() {
            for (score, target) in candidate.scores.iter().zip(&targets) {
                let expected = naive(&pool[candidate.index], target);
                prop_assert!((f64::from(*score) - expected).abs() < 2e-6);
            }
        }
        prop_assert!(scores.unscored().iter().all(|other| zero(&pool[other.index])));
        prop_assert_eq!(scores.candidates().len() + scores.unscored().len(), rows);
    }
}

#[test]
fn what_has_no_direction_is_refused() {
    assert_eq!(Cosines::new(vec![]).unwrap_err(), TargetError::NoTargets);
    for broken in [vec![0.0, 0.0], vec![1.0], vec![f32::NAN, 1.0]] {
        let message = Cosines::new(named(&[vec![1.0, 2.0], broken])).unwrap_err().to_string();
        assert!(message.contains("target `1` of task `t`"), "{message}");
    }
    let mut cosines = Cosines::new(named(&[vec![1.0, 2.0]])).unwrap();
    let row = Array2::from_elem((1, 2), f32::INFINITY);
    let message = cosines.add(&[("c0".into(), 0)], row.view()).unwrap_err().to_string();
    assert!(message.contains("candidate c0"), "{message}");
    let message = cosines.add(&[], row.view()).unwrap_err().to_string();
    assert!(message.contains("(1, 2)") && message.contains("(0, 2)"), "{message}");
    let unscored = Unscored { id: "c1".into(), index: 1, reason: "no answer".into() };
    cosines.add_unscored(unscored.clone());
    assert_eq!(cosines.finish().unwrap().unscored(), [unscored]);
}
