//! Log-probabilities, losses and pooled states against plain loops.

use tamis_model::{
    Batch, CausalLm, DType, NoTap, Pool, Reduction, mean_pooled_hidden, per_sample_loss,
    target_log_probs,
};
use tch::{Device, Kind, Tensor};

use crate::support::{difference, model, sample, some_ids};

fn batch() -> Batch {
    let samples = [
        sample(0, vec![5, 6, 7, 8, 9, 10], 3),
        // Supervised from its very first token, which nothing predicts.
        sample(1, vec![200, 100, 50], 0),
        sample(2, vec![1, 2, 3, 4, 5, 6, 7, 8], 7),
    ];
    Batch::new(&samples.each_ref(), Device::Cpu).unwrap()
}

#[test]
fn a_batch_knows_its_targets() {
    let batch = batch();
    assert_eq!(batch.ids.size(), [3, 8]);
    assert_eq!(batch.lengths, [6, 3, 8]);
    assert_eq!(batch.counts, [3, 2, 1]);
    assert_eq!(batch.target_count(), 6);
    let values = |tensor: &Tensor| Vec::<i64>::try_from(tensor).unwrap();
    assert_eq!(values(&batch.targets), [8, 9, 10, 100, 50, 8]);
    assert_eq!(values(&batch.rows), [0, 0, 0, 1, 1, 2]);
    assert_eq!(values(&batch.positions), [2, 3, 4, 8, 9, 16 + 6]);
}

/// Log-probabilities of each row's targets, one position at a time from softmax itself.
fn naive(model: &dyn CausalLm, batch: &Batch) -> Vec<Vec<f64>> {
    let hidden = model.hidden(&batch.ids, &mut NoTap).unwrap();
    let logits = model.logits(&hidden, &mut NoTap).unwrap().to_kind(Kind::Double);
    let places = Vec::<i64>::try_from(&batch.positions).unwrap();
    let targets = Vec::<i64>::try_from(&batch.targets).unwrap();
    let time = batch.ids.size()[1];
    let mut rows = vec![Vec::new(); batch.len()];
    for (place, target) in places.into_iter().zip(targets) {
        let row = (place / time) as usize;
        let logits = Vec::<f64>::try_from(logits.get(row as i64).get(place % time)).unwrap();
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        rows[row].push((logits[target as usize].exp() / total).ln());
    }
    rows
}

#[test]
fn losses_equal_a_plain_loop() {
    for name in ["llama", "gpt2", "baichuan2"] {
        for (kind, bound) in [(DType::F64, 1e-9), (DType::F32, 1e-5)] {
            let (model, batch) = (model(name, kind), batch());
            let naive = naive(&*model, &batch);
            let flat: Vec<f64> = naive.iter().flatten().copied().collect();
            let found = target_log_probs(&*model, &batch, &mut NoTap).unwrap();
            assert_eq!(found.kind(), kind.kind());
            assert!(difference(&found, &Tensor::from_slice(&flat)) < bound, "{name} {kind}");
            let sums: Vec<f64> = naive.iter().map(|row| -row.iter().sum::<f64>()).collect();
            let means: Vec<f64> =
                naive.iter().zip(&sums).map(|(row, sum)| sum / row.len() as f64).collect();
            for (reduction, expected) in [(Reduction::Sum, sums), (Reduction::Mean, means)] {
                let found = per_sample_loss(&*model, &batch, reduction, &mut NoTap).unwrap();
                let expected = Tensor::from_slice(&expected);
                assert!(difference(&found, &expected) < 10.0 * bound, "{name} {kind}");
            }
        }
    }
}

#[test]
fn half_weights_give_f32_losses() {
    let (model, batch) = (model("llama", DType::Bf16), batch());
    let loss = per_sample_loss(&*model, &batch, Reduction::Mean, &mut NoTap).unwrap();
    assert_eq!(loss.kind(), Kind::Float);
    let pooled = mean_pooled_hidden(&*model, &batch, Pool::All).unwrap();
    assert_eq!(pooled.kind(), Kind::Float);
}

#[test]
fn large_projections_in_pieces() {
    // More targets than fit at once in this vocabulary: 160 rows of 127 against 2²² / 272.
    let model = model("llama", DType::F32);
    let ids = some_ids(160, 128);
    let samples: Vec<_> = (0..160)
        .map(|row| {
            let row_ids = Vec::<i64>::try_from(ids.get(row)).unwrap();
            sample(row as usize, row_ids.into_iter().map(|id| id as u32).collect(), 1)
        })
        .collect();
    let batch = Batch::new(&samples.iter().collect::<Vec<_>>(), Device::Cpu).unwrap();
    let mut heads = Count(0);
    let pieces = tch::no_grad(|| target_log_probs(&*model, &batch, &mut heads).unwrap());
    assert!(heads.0 > 1, "the projection was done at once");
    let mut heads = Count(0);
    let whole = target_log_probs(&*model, &batch, &mut heads).unwrap();
    assert_eq!(heads.0, 1, "with gradients it is one graph");
    assert!(difference(&pieces, &whole) < 1e-5);
}

/// Counts how often the head is tapped.
struct Count(usize);

impl tamis_model::Tap for Count {
    fn linear(
        &mut self,
        _: tamis_model::LayerId,
        _: &Tensor,
        y: Tensor,
    ) -> Result<Tensor, tch::TchError> {
        self.0 += usize::from(y.size().last() == Some(&272));
        Ok(y)
    }
}

#[test]
fn pooled_states_equal_a_plain_loop() {
    let (model, batch) = (model("qwen2", DType::F64), batch());
    let hidden = model.hidden(&batch.ids, &mut NoTap).unwrap();
    // First and last token (exclusive) that count, by hand for the batch above.
    let all = [(0, 6), (0, 3), (0, 8)];
    let targets = [(3, 6), (1, 3), (7, 8)];
    for (pool, spans) in [(Pool::All, all), (Pool::Targets, targets)] {
        let found = mean_pooled_hidden(&*model, &batch, pool).unwrap();
        for (row, (start, end)) in spans.into_iter().enumerate() {
            let row = row as i64;
            let mut sum = Tensor::zeros([32], (Kind::Double, Device::Cpu));
            for place in start..end {
                sum += hidden.get(row).get(place);
            }
            let mean = sum / (end - start) as f64;
            assert!(difference(&found.get(row), &mean) < 1e-12, "{pool:?} row {row}");
        }
    }
    let found = mean_pooled_hidden(&*model, &batch, Pool::Weighted).unwrap();
    for (row, (_, length)) in all.into_iter().enumerate() {
        let row = row as i64;
        let mut sum = Tensor::zeros([32], (Kind::Double, Device::Cpu));
        for place in 0..length {
            sum += hidden.get(row).get(place) * (place + 1) as f64;
        }
        let mean = sum / (length * (length + 1) / 2) as f64;
        assert!(difference(&found.get(row), &mean) < 1e-12, "weighted, row {row}");
    }
}
