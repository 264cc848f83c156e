//! Numbers that a model gives each sample without gradients.

use anyhow::Result;
use ndarray::{Array2, ArrayView1};
use tamis::dataset::{Encoded, plan_batches};
use tamis::model::{Batch, CausalLm, NoTap, Pool, Reduction, mean_pooled_hidden, per_sample_loss};
use tch::Kind;

/// Mean loss of each sample's targets, nats per token.
///
/// # Errors
/// What the model reports.
pub(crate) fn mean_losses(
    model: &dyn CausalLm,
    data: &[Encoded],
    budget: usize,
) -> Result<Vec<f64>> {
    let mut losses = vec![0.0; data.len()];
    in_batches(model, data, budget, |places, batch| {
        let loss = per_sample_loss(model, batch, Reduction::Mean, &mut NoTap)?;
        let values = Vec::<f64>::try_from(&loss.f_to_kind(Kind::Double)?)?;
        places.iter().zip(values).for_each(|(&place, value)| losses[place] = value);
        Ok(())
    })?;
    Ok(losses)
}

/// The mean of each sample's last hidden states: (samples, width).
///
/// # Errors
/// What the model reports.
pub(crate) fn mean_states(
    model: &dyn CausalLm,
    data: &[Encoded],
    budget: usize,
) -> Result<Array2<f32>> {
    let width = model.shape().hidden_size;
    let mut rows = Array2::zeros((data.len(), width));
    in_batches(model, data, budget, |places, batch| {
        let pooled = mean_pooled_hidden(model, batch, Pool::All)?;
        let values = Vec::<f32>::try_from(&pooled.f_flatten(0, -1)?)?;
        for (&place, values) in places.iter().zip(values.chunks_exact(width)) {
            rows.row_mut(place).assign(&ArrayView1::from(values));
        }
        Ok(())
    })?;
    Ok(rows)
}

/// Calls `each` with every batch of the samples and their places, without gradients.
fn in_batches(
    model: &dyn CausalLm,
    data: &[Encoded],
    budget: usize,
    mut each: impl FnMut(&[usize], &Batch) -> Result<()>,
) -> Result<()> {
    let lengths: Vec<usize> = data.iter().map(Encoded::len).collect();
    for places in plan_batches(&lengths, budget)? {
        let rows: Vec<&Encoded> = places.iter().map(|&place| &data[place]).collect();
        let batch = Batch::new(&rows, model.shape().device)?;
        tch::no_grad(|| each(&places, &batch))?;
    }
    Ok(())
}
