//! A language model trained twice: influence through both stages against training both again.

use nalgebra::DVector;
use tamis_artifact::NoProgress;
use tamis_dataset::{Encoded, Encodings};
use tamis_gradients::{GradientPass, PassParams};
use tamis_influence::stages::Frozen;
use tamis_influence::{
    ConjugateGradient, GaussNewton, GaussNewtonParams, LossHessian, Refinement, Seeds,
};
use tamis_kfac::Identity;
use tamis_model::CausalLm;
use tamis_model::Reduction;
use tch::{Kind, Tensor};

use super::convex::{decay, minimum, pairs, softmax};
use super::retraining::error;
use crate::softmax::SoftmaxRegression;

const WORDS: usize = 6;
const COLUMNS: usize = 4;
const DECAY: f64 = 0.02;
const STEP: f64 = 1e-5;

/// Texts to pre-train on and to fine-tune on.
struct Data {
    texts: Vec<Encoded>,
    tuning: Vec<Encoded>,
    inputs: Vec<DVector<f64>>,
}

fn tokens(data: &[Encoded]) -> f64 {
    data.iter().map(|sample| sample.ids.len()).sum::<usize>() as f64
}

fn tensor(weight: &DVector<f64>) -> Tensor {
    Tensor::from_slice(weight.as_slice()).view([WORDS as i64, -1])
}

impl Data {
    /// What the head sees of each token.
    fn hidden(&self, trunk: &DVector<f64>) -> Vec<DVector<f64>> {
        let of = |input: &DVector<f64>| {
            let rows = (0..WORDS).map(|v| trunk.rows(v * COLUMNS, COLUMNS).dot(input));
            DVector::from_iterator(WORDS + 1, rows.chain([1.0]))
        };
        self.inputs.iter().map(of).collect()
    }

    /// The trunk with a head that copies, pre-trained with the weight of a text raised by `by`; then
    /// a new head on the frozen trunk.
    fn train(&self, sample: usize, by: f64) -> (DVector<f64>, DVector<f64>) {
        let regular = |size| decay(size, DECAY);
        let size = WORDS * COLUMNS;
        let all = softmax(&self.inputs, pairs(&self.texts, WORDS), 1.0 / tokens(&self.texts));
        let one = softmax(&self.inputs, pairs(&self.texts[sample..=sample], WORDS), 1.0);
        let parts = [(&all, 1.0), (&regular(size), 1.0), (&one, by)];
        let trunk = minimum(&parts, &DVector::zeros(size), 0);
        let (hidden, size) = (self.hidden(&trunk), WORDS * (WORDS + 1));
        let tuned = softmax(&hidden, pairs(&self.tuning, WORDS), 1.0 / tokens(&self.tuning));
        let head = minimum(&[(&tuned, 1.0), (&regular(size), 1.0)], &DVector::zeros(size), 0);
        (trunk, head)
    }
}

#[test]
fn a_new_head_on_a_frozen_trunk() {
    let new = || SoftmaxRegression::new(WORDS as i64, COLUMNS as i64 - 1, 61);
    let (mut pretrained, mut finetuned) = (new(), new());
    let data = Data {
        texts: pretrained.samples(8, 6, 62),
        tuning: pretrained.samples(6, 5, 63),
        inputs: pretrained.inputs(),
    };
    let queries = pretrained.samples(3, 5, 64);
    let (trunk, head) = data.train(0, 0.0);
    pretrained.weight = tensor(&trunk);
    finetuned.weight = tensor(&trunk);
    finetuned.head = tensor(&head);

    let loss = |(trunk, head): &(DVector<f64>, DVector<f64>), query: &Encoded| {
        softmax(&data.hidden(trunk), pairs(std::slice::from_ref(query), WORDS), 1.0)(head).0
    };
    let truth: Vec<Vec<f64>> = (0..data.texts.len())
        .map(|sample| {
            let [up, down] = [STEP, -STEP].map(|by| data.train(sample, by));
            let fall = |query| (loss(&down, query) - loss(&up, query)) / (2.0 * STEP);
            queries.iter().map(fall).collect()
        })
        .collect();

    let params = PassParams { reduction: Reduction::Sum, ..PassParams::default() };
    let (after, before) = (finetuned.layers(), &pretrained.layers()[..1]);
    let late = GradientPass { model: &finetuned, layers: after, params };
    let early = GradientPass { model: &pretrained, layers: before, params };
    let method = ConjugateGradient { steps: 500, tolerance: 1e-13 };
    let of = GaussNewtonParams::default();
    let (damping, preconditioner) = (vec![DECAY], &Identity);

    // The head is convex, so that Gauss–Newton is its Hessian; between trunk and head it is not.
    let head = GaussNewton::new(&finetuned, &after[1..], &Encodings::of(&data.tuning), of).unwrap();
    let own = Refinement { matrix: &head, damping: damping.clone(), preconditioner, method };
    let whole = LossHessian::new(&finetuned, after, &Encodings::of(&data.tuning), of).unwrap();
    let straight = GaussNewton::new(&finetuned, after, &Encodings::of(&data.tuning), of).unwrap();
    let training = GaussNewton::new(&pretrained, before, &Encodings::of(&data.texts), of).unwrap();
    let first = Refinement { matrix: &training, damping, preconditioner, method };
    let gradients = Seeds::new(&late, &queries, &Identity).unwrap();
    let scores = |frozen: &Frozen<'_>| -> Vec<Vec<f64>> {
        let (carried, _) = frozen.transfer(&gradients, &mut NoProgress).unwrap();
        let carried = carried.onto(before).unwrap();
        let (solved, _) = first.solve(&carried, &mut NoProgress).unwrap();
        let rows = early.rows_of(&data.texts, &solved).unwrap().rows.to_kind(Kind::Double);
        rows.split(1, 0).iter().map(|r| Vec::try_from(r.flatten(0, -1)).unwrap()).collect()
    };
    let exact = error(&scores(&Frozen { hessian: &whole, new: &own }), &truth);
    assert!(exact < 1e-6, "{exact:e}");
    let without = error(&scores(&Frozen { hessian: &straight, new: &own }), &truth);
    assert!(without > 1e-3, "{without:e}");
}
