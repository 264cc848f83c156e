//! `AdamW` with moments that have names.
//!
//! Loshchilov & Hutter, "Decoupled Weight Decay Regularization" (arXiv 1711.05101), algorithm 2,
//! in the order `torch.optim.AdamW` computes it: for step t with gradient g and rate η,
//!
//! ```text
//! θ ← θ · (1 − η λ)
//! m ← β₁ m + (1 − β₁) g           v ← β₂ v + (1 − β₂) g²
//! θ ← θ − η · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε)
//! ```

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tch::{Kind, Tensor};

use crate::{Decay, FinetuneError};

/// Rates below this move nothing: the factors that hold 1 / rate would overflow in f32.
const SMALLEST_RATE: f64 = 1e-30;

/// Settings of [`AdamW`]; the meaning of each field is that of [`TrainParams`](crate::TrainParams).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWParams {
    /// Decay rates β₁ and β₂ of the two moments, each in [0, 1).
    pub betas: (f64, f64),
    /// ε, above 0.
    pub eps: f64,
    /// λ, decoupled: relative to the weight, not added to the gradient. At least 0.
    pub weight_decay: f64,
    /// Which parameters λ is applied to.
    pub decay: Decay,
}

impl Default for AdamWParams {
    fn default() -> Self {
        Self { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, decay: Decay::default() }
    }
}

impl AdamWParams {
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        for (name, beta) in [("betas.0", self.betas.0), ("betas.1", self.betas.1)] {
            ParameterError::require((0.0..1.0).contains(&beta), name, beta, "0 to below 1")?;
        }
        ParameterError::finite_above("eps", self.eps, 0.0)?;
        ParameterError::finite_from("weight_decay", self.weight_decay, 0.0)
    }
}

/// What `AdamW` remembers of one parameter.
#[derive(Debug)]
pub struct Moments {
    /// The parameter's name in the checkpoint.
    pub name: String,
    /// m, the running mean of the gradient; shape, type and device of the parameter.
    pub first: Tensor,
    /// v, the running mean of the squared gradient; like `first`.
    pub second: Tensor,
    decays: bool,
}

/// The optimizer: one pair of moments for every parameter, and the number of steps taken.
#[derive(Debug)]
pub struct AdamW {
    params: AdamWParams,
    steps: u64,
    moments: Vec<Moments>,
}

/// The factors of one step; see [`AdamW::step`].
struct Factors {
    gradient: f64,
    decay: f64,
    first: f64,
    second: f64,
    /// `(scale, shift)` that turn √v into −(√(v/(1 − β₂ᵗ)) + ε) · (1 − β₁ᵗ) / η, by which m is
    /// divided; none when nothing moves.
    divisor: Option<(f64, f64)>,
}

impl AdamW {
    /// An optimizer at step 0 for the given parameters, all moments 0.
    ///
    /// Moments are kept in the parameter's own type, so in f32 for a model in f32.
    ///
    /// # Errors
    /// A setting outside its range, a parameter kept in half precision, or no memory for moments.
    pub fn new<'a>(
        params: AdamWParams,
        parameters: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    ) -> Result<Self, FinetuneError> {
        params.check()?;
        let mut moments = Vec::new();
        for (name, parameter) in parameters {
            let (name, kind) = (name.to_owned(), parameter.kind());
            if !matches!(kind, Kind::Float | Kind::Double) {
                return Err(FinetuneError::Kind { name, kind });
            }
            // Not `zeros_like`: moments lie as those that a checkpoint gives back.
            let zeros = || Tensor::f_zeros(parameter.size(), (kind, parameter.device()));
            let decays = params.decay == Decay::All || parameter.dim() > 1;
            moments.push(Moments { name, first: zeros()?, second: zeros()?, decays });
        }
        Ok(Self { params, steps: 0, moments })
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The moments, in the order of the parameters.
    pub fn moments(&self) -> &[Moments] {
        &self.moments
    }

    /// Sets the number of steps taken and lets `fill` overwrite the moments of each parameter.
    pub(crate) fn restore(
        &mut self,
        steps: u64,
        fill: impl FnMut(&mut Moments) -> Result<(), FinetuneError>,
    ) -> Result<(), FinetuneError> {
        self.steps = steps;
        self.moments.iter_mut().try_for_each(fill)
    }

    /// One step in place: `parameters[i]` moves against `scale · gradients[i]` at rate `rate`.
    ///
    /// `scale` is where gradient clipping comes in. The gradients serve as scratch space and hold
    /// no meaning afterwards. Parameters and gradients come in the order given to
    /// [`new`](AdamW::new).
    ///
    /// # Errors
    /// Before anything is changed: tensors in another number or shape than the optimizer was made
    /// for, a negative or non-finite factor. Later: what LibTorch reports.
    pub fn step(
        &mut self,
        parameters: &mut [Tensor],
        gradients: &mut [Tensor],
        rate: f64,
        scale: f64,
    ) -> Result<(), FinetuneError> {
        self.check_shapes(parameters, gradients)?;
        ParameterError::finite_from("rate", rate, 0.0)?;
        ParameterError::finite_from("scale", scale, 0.0)?;
        self.steps += 1;
        let factors = self.factors(rate, scale);
        let _guard = tch::no_grad_guard();
        for ((moments, parameter), gradient) in
            self.moments.iter_mut().zip(parameters).zip(gradients)
        {
            let decay = if moments.decays { factors.decay } else { 1.0 };
            let factors = Factors { decay, ..factors };
            // Detached views of the same memory: a leaf may not be changed in place while it takes
            // gradients.
            let (p, g) = (parameter.f_detach()?, gradient.f_detach()?);
            update(p, g, &mut moments.first, &mut moments.second, &factors)?;
        }
        Ok(())
    }

    fn check_shapes(
        &self,
        parameters: &[Tensor],
        gradients: &[Tensor],
    ) -> Result<(), FinetuneError> {
        let expected = self.moments.len();
        if parameters.len() != expected || gradients.len() != expected {
            return Err(FinetuneError::Mismatch {
                expected: format!("{expected} parameters"),
                found: format!("{} with {} gradients", parameters.len(), gradients.len()),
            });
        }
        for ((moments, parameter), gradient) in self.moments.iter().zip(parameters).zip(gradients) {
            let shape = moments.first.size();
            if parameter.size() != shape || gradient.size() != shape {
                return Err(FinetuneError::Mismatch {
                    expected: format!("`{}` of shape {shape:?}", moments.name),
                    found: format!("{:?} with gradient {:?}", parameter.size(), gradient.size()),
                });
            }
        }
        Ok(())
    }

    fn factors(&self, rate: f64, scale: f64) -> Factors {
        let AdamWParams { betas: (beta1, beta2), eps, weight_decay, .. } = self.params;
        let correction = |beta: f64| 1.0 - beta.powf(self.steps as f64);
        let outer = -correction(beta1) / rate;
        Factors {
            gradient: scale,
            decay: 1.0 - rate * weight_decay,
            first: 1.0 - beta1,
            second: 1.0 - beta2,
            divisor: (rate >= SMALLEST_RATE)
                .then(|| (outer / correction(beta2).sqrt(), outer * eps)),
        }
    }
}

/// Updates a parameter, its gradient (left as scratch) and its two moments, all of one shape.
///
/// Eight passes and no temporary; the textbook's order of operations takes more of both. (On a CPU
/// with two cores, doing them in pieces that fit into the cache gained a fifth at best.)
fn update(
    mut p: Tensor,
    mut g: Tensor,
    m: &mut Tensor,
    v: &mut Tensor,
    factors: &Factors,
) -> Result<(), tch::TchError> {
    if (factors.gradient - 1.0).abs() > 0.0 {
        let _ = g.f_mul_scalar_(factors.gradient)?;
    }
    if factors.decay < 1.0 {
        let _ = p.f_mul_scalar_(factors.decay)?;
    }
    // lerp(a, b, w) = a + w (b − a): one pass where β a + (1 − β) b takes two.
    let _ = m.f_lerp_(&g, factors.first)?;
    let _ = g.f_square_()?;
    let _ = v.f_lerp_(&g, factors.second)?;
    if let Some((scale, shift)) = factors.divisor {
        let _ = v.f_sqrt_out(&g)?;
        let _ = g.f_mul_scalar_(scale)?.f_add_scalar_(shift)?;
        let _ = p.f_addcdiv_(m, &g)?;
    }
    Ok(())
}
