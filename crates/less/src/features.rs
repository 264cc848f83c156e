//! Per-sample gradients of an adapter, turned and projected on the fly.
//!
//! For a layer with the adapter `A` (rank, in), `B` (out, rank) and the scale `s`, its input `x` and the
//! gradient `g` at its output,
//!
//! ```text
//! ∂L/∂A = s Σ_t (Bᵀ g_t) x_tᵀ          ∂L/∂B = s Σ_t g_t (A x_t)ᵀ
//! ```
//!
//! so the two narrow products `x Aᵀ` and `g B`, of all samples of a batch at once, and two sums over
//! time are all it takes: no gradient of a parameter is asked of autograd.

use std::collections::HashMap;

use tamis_artifact::Fingerprint;
use tamis_finetune::Lora;
use tamis_gradients::{FlatProjection, FlatSpec, GradientError, LayerTrace, Reducer};
use tamis_model::{LayerId, LayerInfo};
use tch::{Kind, TchError, Tensor};

use crate::direction::Step;

/// Numbers of a block of gradients: few enough to be met again in the cache.
const BLOCK: i64 = 1 << 20;

/// Turns the trace of adapted layers into rows of features: a [`Reducer`], so that a
/// [`GradientPass`](tamis_gradients::GradientPass) over a model with its adapter
/// ([`Adapted`](tamis_finetune::Adapted)) writes them to a store.
///
/// [`WarmCheckpoint::features`](crate::WarmCheckpoint::features) makes one. The norms that the pass
/// records are those of the adapter's gradients.
#[derive(Debug)]
pub struct LoraFeatures {
    layers: HashMap<LayerId, Layer>,
    projection: FlatProjection,
    fingerprint: Fingerprint,
}

#[derive(Debug)]
struct Layer {
    /// (rank, in), (out, rank).
    a: Tensor,
    b: Tensor,
    scale: f64,
    of_a: Matrix,
    of_b: Matrix,
}

/// One of the two matrices: its name and how its gradient is turned.
#[derive(Debug)]
struct Matrix {
    name: String,
    step: Option<Step>,
}

impl LoraFeatures {
    /// Features by `spec` for the adapter's `layers`; `step` makes the step along the gradient of a
    /// matrix from its name, none for the gradient itself.
    pub(crate) fn new<E: From<GradientError>>(
        lora: &Lora,
        layers: &[LayerInfo],
        fingerprint: Fingerprint,
        (spec, seed): (FlatSpec, u64),
        mut step: impl FnMut(&str, &Tensor) -> Result<Option<Step>, E>,
    ) -> Result<Self, E> {
        let (mut placed, mut sizes) = (HashMap::new(), Vec::new());
        for layer in layers {
            let missing = || GradientError::LayerNotReached { name: layer.name.clone() };
            let (a, b) = lora.matrices(layer.id).ok_or_else(missing)?;
            let mut matrix = |which: &str, tensor: &Tensor| -> Result<Matrix, E> {
                let name = format!("{}.lora_{which}.weight", layer.name);
                sizes.push((name.clone(), tensor.numel()));
                let step = step(&name, tensor)?;
                Ok(Matrix { name, step })
            };
            let (of_a, of_b) = (matrix("A", a)?, matrix("B", b)?);
            let (a, b) = (a.shallow_clone(), b.shallow_clone());
            placed.insert(layer.id, Layer { a, b, scale: lora.params().scale(), of_a, of_b });
        }
        let at = match lora.parameters().next() {
            Some((_, tensor)) => (tensor.kind(), tensor.device()),
            None => (Kind::Float, tch::Device::Cpu),
        };
        let named = sizes.iter().map(|(name, count)| (name.as_str(), *count));
        let projection = spec.build(named, seed, at)?;
        Ok(Self { layers: placed, projection, fingerprint })
    }

    /// Adds what the gradient `leftᵀ right` of `matrix` becomes to `rows`, and its squared norms to
    /// `squares`; `left` (batch, time, rows of the matrix), `right` (batch, time, its columns).
    fn matrix(
        &self,
        matrix: &Matrix,
        (left, right): (&Tensor, &Tensor),
        rows: &mut Tensor,
        squares: &mut Tensor,
    ) -> Result<(), GradientError> {
        let ((batch, _, height), (_, _, width)) = (left.size3()?, right.size3()?);
        let at_once = (BLOCK / (batch * width).max(1)).clamp(1, height);
        for first in (0..height).step_by(at_once as usize) {
            let count = at_once.min(height - first);
            let block = left.f_narrow(2, first, count)?.f_transpose(1, 2)?.f_bmm(right)?;
            let norms = block.f_norm_scalaropt_dim(2, [1i64, 2].as_slice(), false)?;
            let _ = squares.f_add_(&norms.f_square()?)?;
            let turned = match &matrix.step {
                Some(step) => step.along(&block, first, count)?,
                None => block,
            };
            self.projection.add(&matrix.name, first * width, &turned, rows)?;
        }
        Ok(())
    }
}

impl Reducer for LoraFeatures {
    fn width(&self) -> usize {
        self.projection.dim()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn add(&self, trace: &LayerTrace, rows: &mut Tensor) -> Result<(), GradientError> {
        let info = trace.info();
        let missing = || GradientError::LayerNotReached { name: info.name.clone() };
        let layer = self.layers.get(&info.id).ok_or_else(missing)?;
        let kind = layer.a.kind();
        let (x, g) = (trace.x().f_to_kind(kind)?, trace.g().f_to_kind(kind)?);
        let down = x.f_linear(&layer.a, None::<Tensor>)?.f_mul_scalar(layer.scale)?;
        let back = g.f_matmul(&layer.b)?.f_mul_scalar(layer.scale)?;
        let mut squares = zeros(trace.extent().0, kind, &g)?;
        self.matrix(&layer.of_a, (&back, &x), rows, &mut squares)?;
        self.matrix(&layer.of_b, (&g, &down), rows, &mut squares)?;
        trace.set_squared_norms(squares);
        Ok(())
    }
}

fn zeros(count: i64, kind: Kind, like: &Tensor) -> Result<Tensor, TchError> {
    Tensor::f_zeros([count], (kind, like.device()))
}
