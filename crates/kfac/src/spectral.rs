//! A curvature that is diagonal in a known basis: K-FAC, EK-FAC and the diagonal itself.
//!
//! `H = Q diag(λ) Qᵀ` with `Q = Q_S ⊗ Q_A`, so
//! `H⁻¹ G = Q_S [(Q_Sᵀ G Q_A) / (λ + damping)] Q_Aᵀ`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tamis_model::{LayerId, LayerInfo, row_major};
use tch::{Kind, Tensor};

use crate::eigen::{LayerBasis, wide};
use crate::{Curvature, Damping, Eigenbasis, Factors, KfacError, SecondMoments};

/// One layer ready to be solved with.
#[derive(Debug)]
struct Solver {
    /// `Q_S` and `Q_A`; `None` for the coordinates of the weights.
    rotation: Option<(Tensor, Tensor)>,
    /// `1 / (damped eigenvalue)`, (out, in (+1)).
    inverse: Tensor,
    spectrum: LayerSpectrum,
}

/// What damping does to one layer's spectrum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerSpectrum {
    /// Name of the layer.
    pub layer: String,
    /// Mean eigenvalue.
    pub mean: f64,
    /// Largest eigenvalue.
    pub largest: f64,
    /// What is added: to every eigenvalue, or, factored, `γ`.
    pub damping: f64,
    /// Share of the eigenvalues below `damping`. Close to 1 with the largest below it too, the
    /// damped inverse is a multiple of the identity and the curvature says nothing.
    pub share_below: f64,
}

/// A layer's eigenvalues in f64, (out, in (+1)), the basis they belong to, and what to solve in.
type Eigenvalues<'a> = (Tensor, Option<&'a LayerBasis>, Kind);

/// A damped curvature, ready to be solved with.
#[derive(Debug)]
pub struct Spectral {
    layers: HashMap<LayerId, Solver>,
    order: Vec<LayerId>,
}

impl Spectral {
    /// K-FAC: eigenvalues `σ_i α_j` (arXiv 1503.05671). `kind` is what solves run in; for a model in
    /// half precision it is f32, because inverse eigenvalues leave the range of f16.
    ///
    /// # Errors
    /// A damping that is negative, a layer that cannot be inverted with it, or factors without a
    /// token.
    pub fn kfac(factors: &Factors, damping: Damping, kind: Kind) -> Result<Self, KfacError> {
        Self::kfac_in(&Eigenbasis::of(factors, kind)?, damping)
    }

    /// K-FAC with factors that are decomposed already.
    ///
    /// # Errors
    /// As [`Spectral::kfac`].
    pub fn kfac_in(basis: &Eigenbasis, damping: Damping) -> Result<Self, KfacError> {
        Self::collect(damping, basis.layers(), |n, info| {
            let entry = basis.layer(n).ok_or_else(|| unknown(info))?;
            let eigenvalues = entry.s.values.f_outer(&entry.a.values)?;
            Ok((eigenvalues, Some(entry), entry.s.vectors.kind()))
        })
    }

    /// EK-FAC: the eigenvalues are `moments`, fitted in `basis` (arXiv 1806.03884, equation 8).
    ///
    /// # Errors
    /// Moments of another basis or other layers, and as [`Spectral::kfac`].
    pub fn ekfac(
        basis: &Eigenbasis,
        moments: &SecondMoments,
        damping: Damping,
    ) -> Result<Self, KfacError> {
        let place = basis.places();
        Self::collect(damping, moments.layers(), |n, info| {
            let entry = place.get(&info.id).and_then(|&n| basis.layer(n));
            let entry = entry.ok_or_else(|| unknown(info))?;
            Ok((moments.mean(n)?, Some(entry), entry.s.vectors.kind()))
        })
    }

    /// The diagonal of the Fisher matrix: `moments` fitted without a basis.
    ///
    /// # Errors
    /// A factored damping (there are no factors), and as [`Spectral::kfac`].
    pub fn diagonal(moments: &SecondMoments, damping: Damping) -> Result<Self, KfacError> {
        Self::collect(damping, moments.layers(), |n, _| {
            Ok((moments.mean(n)?, None, moments.kind()))
        })
    }

    /// Damps and inverts every layer's eigenvalues.
    fn collect<'a>(
        damping: Damping,
        layers: &'a [LayerInfo],
        eigenvalues: impl Fn(usize, &'a LayerInfo) -> Result<Eigenvalues<'a>, KfacError>,
    ) -> Result<Self, KfacError> {
        let damping = damping.check()?;
        let mut all = Self { layers: HashMap::new(), order: Vec::new() };
        for (n, info) in layers.iter().enumerate() {
            all.layers.insert(info.id, Solver::new(info, eigenvalues(n, info)?, damping)?);
            all.order.push(info.id);
        }
        Ok(all)
    }

    /// What the damping does to each layer's spectrum, in the order of the layers.
    pub fn spectra(&self) -> Vec<&LayerSpectrum> {
        self.order.iter().filter_map(|id| self.layers.get(id)).map(|s| &s.spectrum).collect()
    }

    /// The part that belongs to the `out` and `columns` leading eigenvectors of every layer, in their
    /// coordinates: the damped curvature of what [`Eigenbasis::projection`] keeps. The layers returned
    /// have the sizes that are left.
    ///
    /// # Errors
    /// A layer without curvature, or what LibTorch reports.
    pub fn leading(
        &self,
        layers: &[LayerInfo],
        out: usize,
        columns: usize,
    ) -> Result<(Vec<LayerInfo>, Self), KfacError> {
        let mut part = Self { layers: HashMap::new(), order: self.order.clone() };
        let mut smaller = Vec::new();
        for layer in layers {
            let whole = self.solver(layer)?;
            let (rows, width) = whole.inverse.size2()?;
            let (p, q) = (rows.min(out as i64), width.min(columns as i64));
            // A copy: a view would keep all of them alive.
            let inverse = whole.inverse.f_narrow(0, rows - p, p)?.f_narrow(1, width - q, q)?;
            let inverse = row_major(&inverse)?;
            let spectrum = whole.spectrum.clone();
            part.layers.insert(layer.id, Solver { rotation: None, inverse, spectrum });
            smaller.push(LayerInfo {
                in_features: q,
                out_features: p,
                bias: false,
                ..layer.clone()
            });
        }
        Ok((smaller, part))
    }

    fn solver(&self, layer: &LayerInfo) -> Result<&Solver, KfacError> {
        self.layers.get(&layer.id).ok_or_else(|| unknown(layer))
    }

    /// The layer's solver and `Q_Sᵀ G Q_A`.
    fn rotated(&self, layer: &LayerInfo, g: &Tensor) -> Result<(&Solver, Tensor), KfacError> {
        let solver = self.solver(layer)?;
        let size = solver.inverse.size();
        let (out, columns) = (size[0], size[1]);
        let found = g.size();
        if found.len() != 3 || found[1..] != [out, columns] {
            return Err(KfacError::Shape { layer: layer.name.clone(), found, out, columns });
        }
        let g = g.f_to_kind(solver.inverse.kind())?;
        let rotated = match &solver.rotation {
            Some((s, a)) => s.f_transpose(0, 1)?.f_matmul(&g.f_matmul(a)?)?,
            None => g,
        };
        Ok((solver, rotated))
    }
}

fn unknown(layer: &LayerInfo) -> KfacError {
    KfacError::UnknownLayer { layer: layer.name.clone() }
}

impl Solver {
    fn new(
        info: &LayerInfo,
        (lambda, basis, kind): Eigenvalues<'_>,
        damping: Damping,
    ) -> Result<Self, KfacError> {
        let mean = lambda.f_mean(Kind::Double)?.f_double_value(&[])?;
        let (damped, added) = match (damping, basis) {
            (Damping::Relative(c), _) => (lambda.f_add_scalar(c * mean)?, c * mean),
            (Damping::Absolute(d), _) => (lambda.f_add_scalar(d)?, d),
            (Damping::FactoredTikhonov(c), Some(LayerBasis { s, a })) => {
                let (mean_s, mean_a) = (s.mean()?, a.mean()?);
                let gamma = c * mean_s * mean_a;
                let pi = if mean_s > 0.0 { (mean_a / mean_s).sqrt() } else { 1.0 };
                // (σ + √γ/π)(α + √γ·π), with the product σα replaced by the layer's eigenvalue.
                let cross = s.values.f_unsqueeze(1)?.f_mul_scalar(gamma.sqrt() * pi)?;
                let cross =
                    cross.f_add(&a.values.f_unsqueeze(0)?.f_mul_scalar(gamma.sqrt() / pi)?)?;
                (lambda.f_add(&cross)?.f_add_scalar(gamma)?, gamma)
            }
            (Damping::FactoredTikhonov(_), None) => {
                return Err(KfacError::NoFactors { layer: info.name.clone() });
            }
        };
        let largest = lambda.f_max()?.f_double_value(&[])?;
        let smallest = damped.f_min()?.f_double_value(&[])?;
        // An inverse beyond f64's own resolution of the spectrum is noise, not curvature.
        if smallest.is_nan() || smallest <= largest * f64::EPSILON {
            let layer = info.name.clone();
            return Err(KfacError::Singular { layer, damping: added, smallest });
        }
        let below = lambda.f_lt(added)?.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?;
        let rotation = basis.map(|b| (b.s.vectors.shallow_clone(), b.a.vectors.shallow_clone()));
        Ok(Self {
            rotation,
            inverse: damped.f_reciprocal()?.f_to_kind(wide(kind))?,
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

impl Curvature for Spectral {
    fn solve(&self, layer: &LayerInfo, g: &Tensor) -> Result<Tensor, KfacError> {
        let (solver, rotated) = self.rotated(layer, g)?;
        let divided = rotated.f_mul(&solver.inverse)?;
        match &solver.rotation {
            Some((s, a)) => Ok(s.f_matmul(&divided.f_matmul(&a.f_transpose(0, 1)?)?)?),
            None => Ok(divided),
        }
    }

    fn quadratic(&self, layer: &LayerInfo, g: &Tensor) -> Result<Tensor, KfacError> {
        let (solver, rotated) = self.rotated(layer, g)?;
        let weighted = rotated.f_square()?.f_mul(&solver.inverse)?;
        Ok(weighted.f_sum_dim_intlist([1i64, 2].as_slice(), false, weighted.kind())?)
    }

    fn damping(&self, layer: &LayerInfo) -> Result<f64, KfacError> {
        Ok(self.solver(layer)?.spectrum.damping)
    }
}
