//! Influence through two stages against training both again with a sample's weight a little larger
//! and smaller.

use nalgebra::{DMatrix, DVector};
use tamis_artifact::NoProgress;
use tamis_dataset::SampleId;
use tamis_influence::exact::Dense;
use tamis_influence::stages::{Frozen, Held};
use tamis_influence::{Block, ConjugateGradient, InfluenceError, Refinement, Seeds};
use tamis_kfac::{Curvature, Identity, KfacError};
use tamis_model::{LayerId, LayerInfo};
use tch::Tensor;

use super::convex::{Loss, Numbers, at, decay, logistic, minimum, quadratic};

/// Weight decay of both stages.
const DECAY: f64 = 0.05;
/// Of the pull to the pre-trained weights.
const STRENGTH: f64 = 0.7;
/// Change of a sample's weight.
const STEP: f64 = 1e-5;

pub(super) fn layer(id: usize, name: &str, out: i64, inputs: i64, bias: bool) -> LayerInfo {
    let (id, name) = (LayerId(id), name.to_owned());
    LayerInfo { id, name, in_features: inputs, out_features: out, bias, head: false }
}

/// 6 + 6 shared numbers, 8 new and 4 that were dropped. The two models number their layers unlike.
fn finetuned() -> Vec<LayerInfo> {
    vec![layer(0, "a", 2, 2, true), layer(1, "b", 3, 2, false), layer(2, "new", 2, 3, true)]
}

fn pretrained() -> Vec<LayerInfo> {
    vec![layer(4, "a", 2, 2, true), layer(3, "b", 3, 2, false), layer(7, "old", 2, 2, false)]
}

const SHARED: usize = 12;
const TUNED: usize = 20;
const TRAINED: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tuning {
    Frozen,
    Held,
}

/// Two stages: what both minimise, but for decay, samples of the first and seeds of the second.
struct Stages {
    first: Loss,
    second: Loss,
    samples: Vec<Loss>,
    seeds: Vec<Loss>,
}

impl Stages {
    fn quadratic() -> Self {
        let mut random = Numbers::new(1);
        let mut one = |size| quadratic(random.positive(size), random.vector(size));
        Self {
            first: one(TRAINED),
            second: one(TUNED),
            samples: (0..5).map(|_| one(TRAINED)).collect(),
            seeds: (0..3).map(|_| one(TUNED)).collect(),
        }
    }

    fn logistic() -> Self {
        let mut random = Numbers::new(2);
        let mut some = |size, count| {
            let mut row = |_| (random.vector(size) * 2.0, random.vector(1)[0].signum());
            logistic((0..count).map(&mut row).collect())
        };
        Self {
            first: some(TRAINED, 40),
            second: some(TUNED, 30),
            samples: (0..5).map(|_| some(TRAINED, 1)).collect(),
            seeds: (0..3).map(|_| some(TUNED, 2)).collect(),
        }
    }

    /// The optimum of the first stage and of the second, with the weight of a sample raised by `by`.
    fn train(&self, tuning: Tuning, sample: usize, by: f64) -> (DVector<f64>, DVector<f64>) {
        let decay = |size| decay(size, DECAY);
        let parts = [(&self.first, 1.0), (&decay(TRAINED), 1.0), (&self.samples[sample], by)];
        let first = minimum(&parts, &DVector::zeros(TRAINED), 0);
        let mut start = DVector::zeros(TUNED);
        start.rows_mut(0, SHARED).copy_from(&first.rows(0, SHARED));
        let regular = decay(TUNED);
        let second = match tuning {
            Tuning::Frozen => minimum(&[(&self.second, 1.0), (&regular, 1.0)], &start, SHARED),
            Tuning::Held => {
                let mut held = DMatrix::zeros(TUNED, TUNED);
                held.view_mut((0, 0), (SHARED, SHARED)).fill_diagonal(STRENGTH);
                let pull = quadratic(held, &start * STRENGTH);
                minimum(&[(&self.second, 1.0), (&regular, 1.0), (&pull, 1.0)], &start, 0)
            }
        };
        (first, second)
    }

    /// How each seed's loss falls as a sample's weight grows: rows of samples.
    fn truth(&self, tuning: Tuning) -> Vec<Vec<f64>> {
        let of = |sample| {
            let [(_, up), (_, down)] = [STEP, -STEP].map(|by| self.train(tuning, sample, by));
            let fall = |seed: &Loss| (seed(&down).0 - seed(&up).0) / (2.0 * STEP);
            self.seeds.iter().map(fall).collect()
        };
        (0..self.samples.len()).map(of).collect()
    }

    /// The same foretold by the library, with or without the block between shared and new layers.
    fn foretold(&self, tuning: Tuning, cross: bool) -> Vec<Vec<f64>> {
        let (first, second) = self.train(tuning, 0, 0.0);
        let (old, new) = (pretrained(), finetuned());
        let mut matrix = at(&[(&self.second, 1.0)], &second).2;
        if !cross {
            matrix.view_mut((0, SHARED), (SHARED, TUNED - SHARED)).fill(0.0);
            matrix.view_mut((SHARED, 0), (TUNED - SHARED, SHARED)).fill(0.0);
        }
        let of_tuning = Dense::from_matrix(&new, matrix).unwrap();
        let of_training = Dense::from_matrix(&old, at(&[(&self.first, 1.0)], &first).2).unwrap();
        let gradients: Vec<_> = self.seeds.iter().map(|seed| seed(&second).1).collect();
        let gradients = seeds(&new, &gradients);

        let method = ConjugateGradient { steps: 200, tolerance: 1e-13 };
        let preconditioner = &Identity;
        let transferred = match tuning {
            Tuning::Frozen => {
                let block = Block::new(&of_tuning, &new[2..]).unwrap();
                let damping = vec![DECAY];
                let own = Refinement { matrix: &block, damping, preconditioner, method };
                let frozen = Frozen { hessian: &of_tuning, new: &own };
                assert_eq!(frozen.shared(), &new[..2]);
                frozen.transfer(&gradients, &mut NoProgress).unwrap().0
            }
            Tuning::Held => {
                let held = Held {
                    hessian: &of_tuning,
                    shared: new[..2].to_vec(),
                    strength: STRENGTH,
                    damping: vec![DECAY; 3],
                    preconditioner,
                    method,
                };
                held.transfer(&gradients, &mut NoProgress).unwrap().0
            }
        };
        let carried = transferred.onto(&old[..2]).unwrap().extended(&old).unwrap();
        let damping = vec![DECAY; 3];
        let own = Refinement { matrix: &of_training, damping, preconditioner, method };
        let (solved, residuals) = own.solve(&carried, &mut NoProgress).unwrap();
        assert!(residuals.relative.iter().all(|path| path[path.len() - 1] <= 1e-13));
        let solved = numbers(&solved);
        let of = |sample: &Loss| {
            let gradient = sample(&first).1;
            solved.iter().map(|seed| seed.dot(&gradient)).collect()
        };
        self.samples.iter().map(of).collect()
    }
}

/// Vectors over layers as seeds.
pub(super) fn seeds(layers: &[LayerInfo], vectors: &[DVector<f64>]) -> Seeds {
    let ids = (0..vectors.len()).map(|n| SampleId::from(format!("seed {n}"))).collect();
    let mut from = 0;
    let parts = layers.iter().map(|layer| {
        let columns = layer.in_features + i64::from(layer.bias);
        let size = (layer.out_features * columns) as usize;
        let own: Vec<f64> =
            vectors.iter().flat_map(|v| v.as_slice()[from..from + size].to_vec()).collect();
        from += size;
        (layer.id, Tensor::from_slice(&own).view([-1, layer.out_features, columns]))
    });
    let parts = parts.collect();
    Seeds::from_solved(ids, layers.to_vec(), parts).unwrap()
}

/// And back.
pub(super) fn numbers(seeds: &Seeds) -> Vec<DVector<f64>> {
    let of = |n: usize| {
        let parts = seeds.layers().iter().flat_map(|layer| {
            let own = seeds.layer(layer.id).unwrap().get(n as i64).flatten(0, -1);
            Vec::<f64>::try_from(own).unwrap()
        });
        DVector::from_vec(parts.collect())
    };
    (0..seeds.ids().len()).map(of).collect()
}

/// The largest error, as a share of the largest change.
pub(super) fn error(found: &[Vec<f64>], truth: &[Vec<f64>]) -> f64 {
    let all = |rows: &[Vec<f64>]| DVector::from_vec(rows.concat());
    (all(found) - all(truth)).amax() / all(truth).amax()
}

#[test]
fn it_is_what_training_both_stages_again_does() {
    for (name, stages) in [("quadratic", Stages::quadratic()), ("logistic", Stages::logistic())] {
        for tuning in [Tuning::Frozen, Tuning::Held] {
            let truth = stages.truth(tuning);
            let found = stages.foretold(tuning, true);
            let wrong = error(&found, &truth);
            println!("{name}, {tuning:?}: {wrong:.1e}");
            assert!(wrong < 1e-6, "{name}, {tuning:?}: {wrong:e}");
            // One by one, and so the signs too: positive where the seed's loss falls.
            for (found, truth) in found.concat().iter().zip(truth.concat()) {
                assert!((found - truth).abs() < 1e-5 * truth.abs().max(1e-4), "{found} {truth}");
            }
            // What the new layers do in answer to the shared ones is no small part of it.
            let without = error(&stages.foretold(tuning, false), &truth);
            assert!(without > 0.05, "{name}, {tuning:?}: {without}");
        }
    }
}

#[test]
fn held_without_end_is_frozen() {
    let stages = Stages::quadratic();
    let (_, second) = stages.train(Tuning::Frozen, 0, 0.0);
    let layers = finetuned();
    let matrix = Dense::from_matrix(&layers, at(&[(&stages.second, 1.0)], &second).2).unwrap();
    let gradients: Vec<_> = stages.seeds.iter().map(|seed| seed(&second).1).collect();
    let gradients = seeds(&layers, &gradients);
    let before = numbers(&gradients);
    let method = ConjugateGradient { steps: 200, tolerance: 1e-13 };
    let block = Block::new(&matrix, &layers[2..]).unwrap();
    let new =
        Refinement { matrix: &block, damping: vec![DECAY], preconditioner: &Identity, method };
    let frozen = Frozen { hessian: &matrix, new: &new };
    let (frozen, _) = frozen.transfer(&gradients, &mut NoProgress).unwrap();
    let mut distances = Vec::new();
    for strength in [1e2, 1e4] {
        let (hessian, shared) = (&matrix, layers[..2].to_vec());
        let (damping, preconditioner) = (vec![DECAY; 3], &Identity);
        let held = Held { hessian, shared, strength, damping, preconditioner, method };
        let (held, _) = held.transfer(&gradients, &mut NoProgress).unwrap();
        let pairs = numbers(&held).into_iter().zip(numbers(&frozen));
        distances.push(pairs.map(|(a, b)| (&a - &b).norm() / b.norm()).fold(0.0, f64::max));
    }
    assert!(distances[0] > 1e-3 && distances[1] < 1.2e-2 * distances[0], "{distances:?}");
    assert_eq!(numbers(&gradients), before, "what was handed in has changed");
}

/// The whole matrix of a single layer, damped.
struct Exact {
    inverse: DMatrix<f64>,
    damping: f64,
}

impl Exact {
    fn new(matrix: &DMatrix<f64>, damping: f64) -> Self {
        let size = matrix.nrows();
        let damped = matrix + DMatrix::identity(size, size) * damping;
        Self { inverse: damped.try_inverse().unwrap(), damping }
    }
}

impl Curvature for Exact {
    fn solve(&self, _layer: &LayerInfo, g: &Tensor) -> Result<Tensor, KfacError> {
        let size = self.inverse.nrows() as i64;
        let inverse = Tensor::from_slice(self.inverse.as_slice()).view([size, size]);
        Ok(g.f_flatten(1, -1)?.f_matmul(&inverse)?.f_view_as(g)?)
    }

    fn damping(&self, _layer: &LayerInfo) -> Result<f64, KfacError> {
        Ok(self.damping)
    }
}

#[test]
fn one_architecture_with_a_curvature_for_each_stage() {
    let (after, before) = ([layer(0, "w", 2, 4, true)], [layer(5, "w", 2, 4, true)]);
    let mut random = Numbers::new(3);
    let mut some = |count| {
        let mut row = |_| (random.vector(10) * 2.0, random.vector(1)[0].signum());
        logistic((0..count).map(&mut row).collect())
    };
    let (first, second) = (some(40), some(20));
    let (samples, asked): (Vec<_>, Vec<_>) =
        ((0..5).map(|_| some(1)).collect(), (0..3).map(|_| some(2)).collect());
    let train = |sample: usize, by: f64| {
        let parts = [(&first, 1.0), (&decay(10, DECAY), 1.0), (&samples[sample], by)];
        let start = minimum(&parts, &DVector::zeros(10), 0);
        let pull = quadratic(DMatrix::identity(10, 10) * STRENGTH, &start * STRENGTH);
        let end = minimum(&[(&second, 1.0), (&pull, 1.0)], &start, 0);
        (start, end)
    };
    let truth: Vec<Vec<f64>> = (0..samples.len())
        .map(|sample| {
            let [(_, up), (_, down)] = [STEP, -STEP].map(|by| train(sample, by));
            asked.iter().map(|seed| (seed(&down).0 - seed(&up).0) / (2.0 * STEP)).collect()
        })
        .collect();

    let (start, end) = train(0, 0.0);
    // The pull of fine-tuning is the damping of its curvature.
    let of_tuning = Exact::new(&at(&[(&second, 1.0)], &end).2, STRENGTH);
    let of_training = Exact::new(&at(&[(&first, 1.0)], &start).2, DECAY);
    let gradients: Vec<_> = asked.iter().map(|seed| seed(&end).1).collect();
    let solved = seeds(&after, &gradients).solve(&of_tuning).unwrap();
    let solved = solved.times_damping(&of_tuning).unwrap();
    let solved = numbers(&solved.onto(&before).unwrap().solve(&of_training).unwrap());
    let found: Vec<Vec<f64>> = samples
        .iter()
        .map(|sample| solved.iter().map(|seed| seed.dot(&sample(&start).1)).collect())
        .collect();
    let wrong = error(&found, &truth);
    assert!(wrong < 1e-6, "{wrong:e}");
    // The last stage alone, as if the texts had been scored there, is something else.
    let alone = numbers(&seeds(&after, &gradients).solve(&of_tuning).unwrap());
    let alone: Vec<Vec<f64>> = samples
        .iter()
        .map(|sample| alone.iter().map(|seed| seed.dot(&sample(&end).1)).collect())
        .collect();
    assert!(error(&alone, &truth) > 0.1);
}

#[test]
fn layers_that_do_not_agree_are_named() {
    let vectors = [DVector::from_element(TUNED, 1.0)];
    let own = seeds(&finetuned(), &vectors);
    let says = |result: Result<Seeds, InfluenceError>, parts: &[&str]| {
        let text = result.unwrap_err().to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    };
    says(own.onto(&pretrained()), &["layer old", "a, b, new"]);
    let mut other = finetuned();
    other[1].in_features = 5;
    says(own.onto(&other), &["layer b", "3 × 5", "3 × 2"]);
    says(own.onto(&finetuned()[..2]), &["layer new", "a, b"]);
    says(own.restricted(&pretrained()[..1]), &["layer a"]);
    says(own.extended(&finetuned()[..2]), &["layer new"]);
    says(own.times_damping(&Identity), &["layer a", "damping is 0"]);

    let matrix = Dense::from_matrix(&finetuned(), DMatrix::identity(TUNED, TUNED)).unwrap();
    let error = Block::new(&matrix, &pretrained()[2..]).unwrap_err().to_string();
    assert!(error.contains("layer old"), "{error}");
    let twice = [finetuned().remove(0), finetuned().remove(0)];
    assert!(Block::new(&matrix, &twice).unwrap_err().to_string().contains("twice"));
    let mut held = Held {
        hessian: &matrix,
        shared: finetuned(),
        strength: 0.0,
        damping: vec![0.0; 3],
        preconditioner: &Identity,
        method: ConjugateGradient::default(),
    };
    let error = held.transfer(&own, &mut NoProgress).unwrap_err();
    assert!(matches!(error, InfluenceError::Parameter(_)), "{error}");
    held.strength = 1.0;
    let error = held.transfer(&own.onto(&finetuned()).unwrap(), &mut NoProgress);
    assert!(error.is_ok());
    held.shared = pretrained();
    let error = held.transfer(&own, &mut NoProgress).unwrap_err().to_string();
    assert!(error.contains("layer a"), "{error}");
    let uneven = DMatrix::from_fn(TUNED, TUNED, |i, j| (i + 2 * j) as f64);
    assert!(Dense::from_matrix(&finetuned(), uneven).is_err());
    assert!(Dense::from_matrix(&finetuned(), DMatrix::identity(3, 3)).is_err());
}
