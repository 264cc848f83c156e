//! The method of conjugate gradients: its parameters, and the recurrence of one seed.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_dataset::SampleId;
use tch::{Kind, Tensor};

use crate::InfluenceError;

/// How many steps are taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConjugateGradient {
    /// Steps of a seed, at most. Without one the preconditioner's own answer is left as it is.
    pub steps: usize,
    /// A seed is done when its residual is at most this share of its gradient's norm. Below the
    /// rounding of the format there is nothing to gain, and a seed is done there in any case.
    pub tolerance: f64,
}

impl Default for ConjugateGradient {
    fn default() -> Self {
        Self { steps: 10, tolerance: 1e-3 }
    }
}

impl ConjugateGradient {
    /// Refuses a tolerance that is negative or not finite.
    ///
    /// # Errors
    /// The tolerance.
    pub fn check(self) -> Result<Self, InfluenceError> {
        ParameterError::finite_from("tolerance", self.tolerance, 0.0)?;
        Ok(self)
    }
}

/// One seed on its way. The tensors of `z` and `r` are rows of those of all seeds.
pub(crate) struct Path {
    pub(crate) id: SampleId,
    pub(crate) z: Vec<Tensor>,
    pub(crate) r: Vec<Tensor>,
    pub(crate) p: Vec<Tensor>,
    /// `rᵀ M⁻¹ r` with the preconditioner `M`.
    pub(crate) weight: f64,
    /// Of the gradient.
    pub(crate) norm: f64,
    pub(crate) residuals: Vec<f64>,
    pub(crate) gain: f64,
    pub(crate) gains: Vec<f64>,
}

impl Path {
    /// The last residual.
    pub(crate) fn residual(&self) -> f64 {
        self.residuals.last().copied().unwrap_or(f64::INFINITY)
    }

    /// Notes where the seed is.
    pub(crate) fn note(&mut self, norm: f64, gain: f64, step: usize) -> Result<(), InfluenceError> {
        if !norm.is_finite() {
            let (id, quantity) = (self.id.to_string(), "the norm of the residual");
            return Err(InfluenceError::Breakdown { id, step, quantity, value: norm });
        }
        // A seed without a gradient is solved by zero.
        self.residuals.push(if norm == 0.0 { 0.0 } else { norm / self.norm });
        self.gains.push(gain);
        Ok(())
    }

    /// One step, given `(H + D) p` and what `M⁻¹` does.
    pub(crate) fn advance(
        &mut self,
        product: &[Tensor],
        precondition: impl Fn(&[Tensor]) -> Result<Vec<Tensor>, InfluenceError>,
        step: usize,
    ) -> Result<(), InfluenceError> {
        let length = dot(&self.p, product)?;
        self.positive("pᵀ(H + D)p", length, step)?;
        self.positive("rᵀM⁻¹r", self.weight, step)?;
        let along = self.weight / length;
        self.gain += along * self.weight;
        add_scaled(&mut self.z, &self.p, along)?;
        add_scaled(&mut self.r, product, -along)?;
        let next = precondition(&self.r)?;
        let weight = dot(&self.r, &next)?;
        let keep = weight / self.weight;
        for (p, next) in self.p.iter_mut().zip(&next) {
            let _ = p.f_mul_scalar_(keep)?.f_add_(next)?;
        }
        self.weight = weight;
        Ok(())
    }

    fn positive(
        &self,
        quantity: &'static str,
        value: f64,
        step: usize,
    ) -> Result<(), InfluenceError> {
        if value.is_finite() && value > 0.0 {
            return Ok(());
        }
        Err(InfluenceError::Breakdown { id: self.id.to_string(), step, quantity, value })
    }
}

/// Inner product over all layers, added up in f64.
pub(crate) fn dot(a: &[Tensor], b: &[Tensor]) -> Result<f64, InfluenceError> {
    let mut sum = 0.0;
    for (a, b) in a.iter().zip(b) {
        sum += a.f_mul(b)?.f_sum(Kind::Double)?.f_double_value(&[])?;
    }
    Ok(sum)
}

/// `into += scale · by`.
fn add_scaled(into: &mut [Tensor], by: &[Tensor], scale: f64) -> Result<(), InfluenceError> {
    for (into, by) in into.iter_mut().zip(by) {
        let _ = into.f_add_(&by.f_mul_scalar(scale)?)?;
    }
    Ok(())
}
