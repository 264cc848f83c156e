//! K-FAC: curvature as a Kronecker product, inverted in its eigenbasis.
//!
//! `H = S ⊗ A` per layer (arXiv 1503.05671), `S = Q_S diag(σ) Q_Sᵀ`, `A = Q_A diag(α) Q_Aᵀ`, so
//! `H⁻¹ G = Q_S [(Q_Sᵀ G Q_A) / (σ αᵀ + damping)] Q_Aᵀ`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tamis_model::{LayerId, LayerInfo};
use tch::{Kind, Tensor};

use crate::{Curvature, Damping, Factors, KfacError};

/// Eigenvalues (f64, ascending, never below zero) and eigenvectors (in the type solves run in) of
/// one covariance.
#[derive(Debug)]
struct Eigen {
    values: Tensor,
    vectors: Tensor,
}

impl Eigen {
    /// Decomposes a symmetric sum divided by `count`, in f64.
    fn of(sum: &Tensor, count: f64, kind: Kind) -> Result<Self, KfacError> {
        let mean = sum.f_to_kind(Kind::Double)?.f_div_scalar(count)?;
        // Products of f32 blocks are symmetric only up to rounding.
        let symmetric = mean.f_add(&mean.f_transpose(0, 1)?)?.f_div_scalar(2.0)?;
        let (values, vectors) = symmetric.f_linalg_eigh("L")?;
        Ok(Self { values: values.f_clamp_min(0.0)?, vectors: vectors.f_to_kind(kind)? })
    }

    fn shallow_clone(&self) -> Self {
        Self { values: self.values.shallow_clone(), vectors: self.vectors.shallow_clone() }
    }

    fn mean(&self) -> Result<f64, KfacError> {
        Ok(self.values.f_mean(Kind::Double)?.f_double_value(&[])?)
    }
}

/// One layer ready to be solved with.
#[derive(Debug)]
struct Solver {
    s_vectors: Tensor,
    a_vectors: Tensor,
    /// `1 / (damped eigenvalue)`, (out, in (+1)).
    inverse: Tensor,
    spectrum: LayerSpectrum,
}

/// What damping does to one layer's spectrum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerSpectrum {
    /// Name of the layer.
    pub layer: String,
    /// Mean eigenvalue `mean(σ) · mean(α)`.
    pub mean: f64,
    /// Largest eigenvalue.
    pub largest: f64,
    /// What is added: to every eigenvalue, or, factored, `γ`.
    pub damping: f64,
    /// Share of the eigenvalues below `damping`. Close to 1 with the largest below it too, the
    /// damped inverse is a multiple of the identity and the curvature says nothing.
    pub share_below: f64,
}

/// K-FAC curvature with a damping, ready to be solved with.
#[derive(Debug)]
pub struct Kfac {
    layers: HashMap<LayerId, Solver>,
    order: Vec<LayerId>,
}

impl Kfac {
    /// Decomposes the factors and applies the damping. `kind` is what solves run in; for a model in
    /// half precision it is f32, because inverse eigenvalues leave the range of f16.
    ///
    /// # Errors
    /// A damping that is negative, a layer that cannot be inverted with it, or factors without a
    /// token.
    pub fn new(factors: &Factors, damping: Damping, kind: Kind) -> Result<Self, KfacError> {
        let damping = damping.check()?;
        let kind = if kind == Kind::Double { Kind::Double } else { Kind::Float };
        if factors.count() <= 0.0 {
            return Err(KfacError::NoTokens { samples: 0 });
        }
        let mut inputs: HashMap<usize, Eigen> = HashMap::new();
        let (mut layers, mut order) = (HashMap::new(), Vec::new());
        for (n, info) in factors.layers().iter().enumerate() {
            let Some(sums) = factors.layer(n) else { continue };
            let first = factors.shared_inputs()[n];
            let a = if let Some(known) = inputs.get(&first) {
                known.shallow_clone()
            } else {
                let eigen = Eigen::of(&sums.a, factors.count(), kind)?;
                inputs.insert(first, eigen.shallow_clone());
                eigen
            };
            let s = Eigen::of(&sums.s, factors.count(), kind)?;
            layers.insert(info.id, Solver::new(info, &s, &a, damping, kind)?);
            order.push(info.id);
        }
        Ok(Self { layers, order })
    }

    /// What the damping does to each layer's spectrum, in the order of the layers.
    pub fn spectra(&self) -> Vec<&LayerSpectrum> {
        self.order.iter().filter_map(|id| self.layers.get(id)).map(|s| &s.spectrum).collect()
    }
}

impl Solver {
    fn new(
        info: &LayerInfo,
        s: &Eigen,
        a: &Eigen,
        damping: Damping,
        kind: Kind,
    ) -> Result<Self, KfacError> {
        let (mean_s, mean_a) = (s.mean()?, a.mean()?);
        let mean = mean_s * mean_a;
        let (column, row) = (s.values.f_unsqueeze(1)?, a.values.f_unsqueeze(0)?);
        let plain = column.f_mul(&row)?;
        let (damped, added) = match damping {
            Damping::Relative(c) => (plain.f_add_scalar(c * mean)?, c * mean),
            Damping::Absolute(d) => (plain.f_add_scalar(d)?, d),
            Damping::FactoredTikhonov(c) => {
                let gamma = c * mean;
                let pi = if mean > 0.0 { (mean_a / mean_s).sqrt() } else { 1.0 };
                let left = column.f_add_scalar(gamma.sqrt() / pi)?;
                (left.f_mul(&row.f_add_scalar(gamma.sqrt() * pi)?)?, gamma)
            }
        };
        let largest = plain.f_max()?.f_double_value(&[])?;
        let smallest = damped.f_min()?.f_double_value(&[])?;
        // An inverse beyond f64's own resolution of the spectrum is noise, not curvature.
        if smallest.is_nan() || smallest <= largest * f64::EPSILON {
            let layer = info.name.clone();
            return Err(KfacError::Singular { layer, damping: added, smallest });
        }
        let below = plain.f_lt(added)?.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?;
        Ok(Self {
            s_vectors: s.vectors.shallow_clone(),
            a_vectors: a.vectors.shallow_clone(),
            inverse: damped.f_reciprocal()?.f_to_kind(kind)?,
            spectrum: LayerSpectrum {
                layer: info.name.clone(),
                mean,
                largest,
                damping: added,
                share_below: below.f_double_value(&[])?,
            },
        })
    }
}

impl Curvature for Kfac {
    fn solve(&self, layer: &LayerInfo, g: &Tensor) -> Result<Tensor, KfacError> {
        let solver = self
            .layers
            .get(&layer.id)
            .ok_or_else(|| KfacError::UnknownLayer { layer: layer.name.clone() })?;
        let size = solver.inverse.size();
        let (out, columns) = (size[0], size[1]);
        let found = g.size();
        if found.len() != 3 || found[1..] != [out, columns] {
            return Err(KfacError::Shape { layer: layer.name.clone(), found, out, columns });
        }
        let (qs, qa) = (&solver.s_vectors, &solver.a_vectors);
        let g = g.f_to_kind(qs.kind())?;
        let rotated = qs.f_transpose(0, 1)?.f_matmul(&g)?.f_matmul(qa)?;
        let divided = rotated.f_mul(&solver.inverse)?;
        Ok(qs.f_matmul(&divided)?.f_matmul(&qa.f_transpose(0, 1)?)?)
    }
}
