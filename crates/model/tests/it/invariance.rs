//! A sample's loss and gradient do not depend on its batch, its padding or the attention kernel.

use proptest::prelude::*;
use tamis_dataset::Encoded;
use tamis_model::{
    Attention, Batch, CausalLm, DType, LayerId, NoTap, Reduction, Tap, load, per_sample_loss,
};
use tch::{Device, Kind, TchError, Tensor};

use crate::support::{FIXTURES, VOCAB, difference, folder, largest, model, options, sample};

/// Keeps outputs to take gradients for.
#[derive(Default)]
struct Outputs(Vec<(Tensor, Tensor)>);

impl Tap for Outputs {
    fn linear(&mut self, _: LayerId, x: &Tensor, y: Tensor) -> Result<Tensor, TchError> {
        self.0.push((x.shallow_clone(), y.shallow_clone()));
        Ok(y)
    }
}

/// One to five samples of 2 to 16 tokens with 0 to all but one of them as prompt.
fn samples() -> impl Strategy<Value = Vec<Encoded>> {
    let one = prop::collection::vec(0..VOCAB, 2..=16).prop_flat_map(|ids| {
        let tokens = ids.len();
        (Just(ids), 0..tokens)
    });
    prop::collection::vec(one, 1..=5).prop_map(|rows| {
        rows.into_iter().enumerate().map(|(row, (ids, prompt))| sample(row, ids, prompt)).collect()
    })
}

fn batch(samples: &[Encoded]) -> Batch {
    Batch::new(&samples.iter().collect::<Vec<_>>(), Device::Cpu).unwrap()
}

fn losses(model: &dyn CausalLm, batch: &Batch, reduction: Reduction) -> Tensor {
    tch::no_grad(|| per_sample_loss(model, batch, reduction, &mut NoTap).unwrap())
}

/// Per layer but the head: the weight gradient `Σ_t g_t x_tᵀ` of row `row` of the batch.
fn row_gradients(model: &dyn CausalLm, batch: &Batch, row: i64) -> Vec<Tensor> {
    let mut taps = Outputs::default();
    let loss = per_sample_loss(model, batch, Reduction::Mean, &mut taps).unwrap();
    let body = &taps.0[..taps.0.len() - 1];
    let outputs: Vec<_> = body.iter().map(|(_, y)| y).collect();
    let loss = loss.sum(loss.kind());
    let gradients = Tensor::run_backward(&[&loss], &outputs, false, false);
    let form = |((x, _), g): (&(Tensor, Tensor), &Tensor)| {
        g.select(0, row).transpose(0, 1).matmul(&x.select(0, row))
    };
    body.iter().zip(&gradients).map(form).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn batch_of_one_equals_batch_of_many(samples in samples(), fixture in 0..FIXTURES.len()) {
        for (kind, bound) in [(DType::F64, 1e-9), (DType::F32, 1e-5)] {
            let model = model(FIXTURES[fixture], kind);
            let together = losses(&*model, &batch(&samples), Reduction::Mean);
            for (row, sample) in samples.iter().enumerate() {
                let alone = losses(&*model, &batch(std::slice::from_ref(sample)), Reduction::Mean);
                let off = difference(&alone.get(0), &together.get(row as i64))
                    / largest(&alone).max(1.0);
                prop_assert!(off <= bound, "{} {kind} row {row}: off by {off}", FIXTURES[fixture]);
            }
        }
    }

    #[test]
    fn gradient_does_not_depend_on_the_batch(samples in samples(), fixture in 0..FIXTURES.len()) {
        let model = model(FIXTURES[fixture], DType::F64);
        let together = batch(&samples);
        for (row, sample) in samples.iter().enumerate() {
            let alone = row_gradients(&*model, &batch(std::slice::from_ref(sample)), 0);
            let among = row_gradients(&*model, &together, row as i64);
            for (a, b) in alone.iter().zip(&among) {
                let off = difference(a, b) / largest(a).max(1e-3);
                prop_assert!(off <= 1e-9, "{} row {row}: off by {off}", FIXTURES[fixture]);
            }
        }
    }

    #[test]
    fn padding_is_never_seen(samples in samples(), pad in 0..VOCAB, fixture in 0..FIXTURES.len()) {
        let model = model(FIXTURES[fixture], DType::F64);
        let mut batch = batch(&samples);
        let usual = losses(&*model, &batch, Reduction::Sum);
        // Other tokens as padding, and more of it.
        let (rows, time) = batch.ids.size2().unwrap();
        let wider = Tensor::full([rows, time], i64::from(pad), (Kind::Int64, Device::Cpu));
        for (row, &length) in batch.lengths.iter().enumerate() {
            let real = batch.ids.get(row as i64).narrow(0, 0, length as i64);
            wider.get(row as i64).narrow(0, 0, length as i64).copy_(&real);
        }
        batch.ids = wider;
        let off = difference(&usual, &losses(&*model, &batch, Reduction::Sum));
        prop_assert!(off <= 1e-9 * largest(&usual), "{}: off by {off}", FIXTURES[fixture]);
    }

    #[test]
    fn kernels_agree(samples in samples(), fixture in 0..FIXTURES.len()) {
        let batch = batch(&samples);
        let fused = load(folder(FIXTURES[fixture]), &options(DType::F64, Attention::Fused)).unwrap();
        let math = load(folder(FIXTURES[fixture]), &options(DType::F64, Attention::Math)).unwrap();
        let a = losses(&*fused, &batch, Reduction::Sum);
        let b = losses(&*math, &batch, Reduction::Sum);
        prop_assert!(difference(&a, &b) <= 1e-9 * largest(&a));
        let a = row_gradients(&*fused, &batch, 0);
        let b = row_gradients(&*math, &batch, 0);
        for (a, b) in a.iter().zip(&b) {
            prop_assert!(difference(a, b) <= 1e-9 * largest(a).max(1e-3));
        }
    }
}

/// A pass may ask for another kernel than the model was loaded with: for second derivatives, say, of
/// which the fused one on a CPU has none.
#[test]
fn a_pass_may_choose_its_own_kernel() {
    let ids = Tensor::from_slice(&[5i64, 9, 140, 33, 70, 2]).view([2, 3]);
    for name in FIXTURES {
        let run = |loaded, asked: Option<Attention>| {
            let model = load(folder(name), &options(DType::F64, loaded)).unwrap();
            let (embedded, mut context) = model.embed(&ids, None).unwrap();
            if let Some(kernel) = asked {
                context = context.with_attention(kernel);
            }
            let mut stream = embedded.shallow_clone();
            for number in 0..model.blocks() {
                stream = model.block(number, &stream, &context, None, &mut NoTap).unwrap();
            }
            (embedded, model.norm(&stream).unwrap())
        };
        let (_, expected) = run(Attention::Math, None);
        let (embedded, found) = run(Attention::Fused, Some(Attention::Math));
        assert_eq!(found, expected, "{name}");
        let twice = |embedded: &Tensor, found: &Tensor| {
            let once = found.square().sum(Kind::Double);
            let once = Tensor::f_run_backward(&[once], &[embedded], true, true)?;
            Tensor::f_run_backward(&[once[0].square().sum(Kind::Double)], &[embedded], false, false)
        };
        assert!(twice(&embedded, &found).is_ok(), "{name}");
        let (embedded, found) = run(Attention::Fused, None);
        assert!(twice(&embedded, &found).is_err(), "{name}");
    }
}
