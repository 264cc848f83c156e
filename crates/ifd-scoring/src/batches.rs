//! Rows through the model: in right-padded batches of like length, logits at targets only.

use std::sync::Arc;

use tamis_dataset::plan_batches;
use tamis_model::{Batch, CausalLm, NoTap, target_log_probs};
use tch::{Device, Kind, Tensor};

use crate::IfdError;
use crate::rows::Row;

/// The mean loss of every row in nats, in their order. A row stands in one batch, so it is run
/// once.
pub(crate) fn mean_losses(
    model: &dyn CausalLm,
    rows: &[Arc<Row>],
    token_budget: usize,
    mut done: impl FnMut(&[usize]),
) -> Result<Vec<f64>, IfdError> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.inputs()).collect();
    let mut losses = vec![f64::NAN; rows.len()];
    let _no_grad = tch::no_grad_guard();
    for members in plan_batches(&lengths, token_budget)? {
        let batch: Vec<&Row> = members.iter().map(|&m| rows[m].as_ref()).collect();
        let batch = right_padded(&batch, model.shape().device)?;
        let log_probs = target_log_probs(model, &batch, &mut NoTap)?;
        // One transfer a batch; sums in f64 do not depend on the number of threads.
        let log_probs = Vec::<f64>::try_from(log_probs.f_to_kind(Kind::Double)?)?;
        let mut rest = log_probs.as_slice();
        for (&member, &count) in members.iter().zip(&batch.counts) {
            let (own, others) = rest.split_at(count.min(rest.len()));
            losses[member] = -own.iter().sum::<f64>() / count as f64;
            rest = others;
        }
        done(&members);
    }
    Ok(losses)
}

/// A batch without the last token of each row, which no target follows: unlike that of
/// [`Batch::new`], where the last token may have a use for callers that look at hidden states.
fn right_padded(rows: &[&Row], device: Device) -> Result<Batch, IfdError> {
    let time = rows.iter().map(|row| row.inputs()).max().unwrap_or(0);
    let mut ids = vec![0i64; rows.len() * time];
    let (mut positions, mut targets, mut owners) = (Vec::new(), Vec::new(), Vec::new());
    for (number, row) in rows.iter().enumerate() {
        for (place, &id) in ids[number * time..].iter_mut().zip(&row.ids[..row.inputs()]) {
            *place = i64::from(id);
        }
        for (t, &id) in row.ids.iter().enumerate().skip(row.first) {
            positions.push((number * time + t - 1) as i64);
            targets.push(i64::from(id));
            owners.push(number as i64);
        }
    }
    let tensor = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(device);
    Ok(Batch {
        ids: tensor(&ids)?.f_view([rows.len() as i64, time as i64])?,
        lengths: rows.iter().map(|row| row.inputs()).collect(),
        positions: tensor(&positions)?,
        targets: tensor(&targets)?,
        rows: tensor(&owners)?,
        counts: rows.iter().map(|row| row.targets()).collect(),
    })
}
