//! Gradients by finite differences, through a tap.

use tamis_dataset::Encoded;
use tamis_model::{Batch, CausalLm, LayerId, LayerInfo, Reduction, Tap, per_sample_loss};
use tch::{TchError, Tensor};

use super::dense::check;
use crate::InfluenceError;

/// Moves one weight of one layer, without touching it: `y_i += by · x̃_j`.
struct Nudge {
    layer: LayerId,
    row: i64,
    /// `None` for the bias.
    column: Option<i64>,
    by: f64,
}

impl Tap for Nudge {
    fn linear(&mut self, layer: LayerId, x: &Tensor, y: Tensor) -> Result<Tensor, TchError> {
        if layer == self.layer {
            let mut moved = y.f_select(-1, self.row)?;
            let _ = match self.column {
                Some(column) => moved.f_add_(&x.f_select(-1, column)?.f_mul_scalar(self.by)?)?,
                None => moved.f_add_scalar_(self.by)?,
            };
        }
        Ok(y)
    }
}

/// `∂L/∂W̃_ij` of a sample's loss for each (i, j) of `entries`, by the central difference with `step`.
/// Column `in` is the bias.
///
/// The error is of the order of `step²` and `1e-16 / step`; 1e-5 serves both.
///
/// # Errors
/// A model that is not in f64, an entry outside the layer, or what the model reports.
pub fn finite_difference(
    model: &dyn CausalLm,
    layer: &LayerInfo,
    sample: &Encoded,
    reduction: Reduction,
    entries: &[(i64, i64)],
    step: f64,
) -> Result<Vec<f64>, InfluenceError> {
    check(model, std::slice::from_ref(layer))?;
    let batch = Batch::new(&[sample], model.shape().device)?;
    let columns = layer.in_features + i64::from(layer.bias);
    let _no_grad = tch::no_grad_guard();
    let mut gradient = Vec::with_capacity(entries.len());
    for &(row, column) in entries {
        if !(0..layer.out_features).contains(&row) || !(0..columns).contains(&column) {
            return Err(InfluenceError::Mismatch {
                what: "entry of a layer's gradient",
                found: format!("({row}, {column})"),
                expected: format!("below ({}, {columns})", layer.out_features),
            });
        }
        let column = (column < layer.in_features).then_some(column);
        let loss = |by: f64| -> Result<f64, InfluenceError> {
            let mut tap = Nudge { layer: layer.id, row, column, by };
            let losses = per_sample_loss(model, &batch, reduction, &mut tap)?;
            Ok(losses.f_double_value(&[0])?)
        };
        gradient.push((loss(step)? - loss(-step)?) / (2.0 * step));
    }
    Ok(gradient)
}
