//! Eigenvectors of the factors: the basis that K-FAC and EK-FAC are diagonal in.

use std::collections::HashMap;

use tamis_gradients::{Projection, gradient_columns};
use tamis_model::{LayerInfo, row_major};
use tch::{Kind, Tensor};

use crate::{Factors, KfacError, Sums};

/// Eigenvalues (f64, ascending, never below zero) and eigenvectors (columns, in the type that solves
/// run in) of one covariance.
#[derive(Debug)]
pub struct Eigen {
    /// (n,).
    pub values: Tensor,
    /// (n, n), row by row in memory, as they are read from a store: see [`row_major`].
    pub vectors: Tensor,
}

impl Eigen {
    /// Decomposes a symmetric sum divided by `count`, in f64.
    fn of(sum: &Tensor, count: f64, kind: Kind) -> Result<Self, KfacError> {
        let mean = sum.f_to_kind(Kind::Double)?.f_div_scalar(count)?;
        // Products of f32 blocks are symmetric only up to rounding.
        let symmetric = mean.f_add(&mean.f_transpose(0, 1)?)?.f_div_scalar(2.0)?;
        let (values, vectors) = symmetric.f_linalg_eigh("L")?;
        // LibTorch gives them column by column.
        let vectors = row_major(&vectors.f_to_kind(kind)?)?;
        Ok(Self { values: values.f_clamp_min(0.0)?, vectors })
    }

    pub(crate) fn shallow_clone(&self) -> Self {
        Self { values: self.values.shallow_clone(), vectors: self.vectors.shallow_clone() }
    }

    pub(crate) fn mean(&self) -> Result<f64, KfacError> {
        Ok(self.values.f_mean(Kind::Double)?.f_double_value(&[])?)
    }

    /// The eigenvectors of the `count` largest eigenvalues as rows, (count, n).
    fn leading(&self, count: i64) -> Result<Tensor, KfacError> {
        let all = self.vectors.size()[1];
        let count = count.min(all);
        Ok(row_major(&self.vectors.f_narrow(1, all - count, count)?.f_transpose(0, 1)?)?)
    }
}

/// Eigenvectors and eigenvalues of one layer's factors.
#[derive(Debug)]
pub struct LayerBasis {
    /// Of the output gradients' covariance `S`: `Q_S`, σ.
    pub s: Eigen,
    /// Of the inputs' covariance `A`: `Q_A`, α. Layers that read one input share the tensors.
    pub a: Eigen,
}

/// The eigenvectors of every layer's factors.
#[derive(Debug, Default)]
pub struct Eigenbasis {
    layers: Vec<LayerInfo>,
    shared: Vec<usize>,
    entries: Vec<LayerBasis>,
}

impl Eigenbasis {
    /// Decomposes factors. `kind` is what solves run in: f64 for f64, f32 for everything else, because
    /// inverse eigenvalues leave the range of f16.
    ///
    /// # Errors
    /// Factors over no token, or what LibTorch reports.
    pub fn of(factors: &Factors, kind: Kind) -> Result<Self, KfacError> {
        let mut basis = Self::default();
        for n in 0..factors.layers().len() {
            let (s, a) = Self::sides(factors, n, kind)?;
            basis.push(factors.layers()[n].clone(), factors.shared_inputs()[n], s, a)?;
        }
        Ok(basis)
    }

    /// Decomposes layer `n`: `S`, and `A` if no layer before it reads the same input.
    pub(crate) fn sides(
        factors: &Factors,
        n: usize,
        kind: Kind,
    ) -> Result<(Eigen, Option<Eigen>), KfacError> {
        let kind = wide(kind);
        if factors.count() <= 0.0 {
            return Err(KfacError::NoTokens { samples: 0 });
        }
        let name = || factors.layers().get(n).map_or_else(String::new, |l| l.name.clone());
        let sums = factors.layer(n).ok_or_else(|| KfacError::UnknownLayer { layer: name() })?;
        let own = factors.shared_inputs()[n] == n;
        let a = own.then(|| Eigen::of(&sums.a, factors.count(), kind)).transpose()?;
        Ok((Eigen::of(&sums.s, factors.count(), kind)?, a))
    }

    /// Adds a layer; without an `a` of its own it has that of layer `shared`.
    pub(crate) fn push(
        &mut self,
        layer: LayerInfo,
        shared: usize,
        s: Eigen,
        a: Option<Eigen>,
    ) -> Result<(), KfacError> {
        let known = || self.entries.get(shared).map(|known| known.a.shallow_clone());
        let unknown = || KfacError::UnknownLayer { layer: layer.name.clone() };
        let a = a.or_else(known).ok_or_else(unknown)?;
        self.layers.push(layer);
        self.shared.push(shared);
        self.entries.push(LayerBasis { s, a });
        Ok(())
    }

    /// Appends the basis of further layers.
    pub(crate) fn extend(&mut self, other: Self) {
        let offset = self.layers.len();
        self.layers.extend(other.layers);
        self.shared.extend(other.shared.into_iter().map(|n| n + offset));
        self.entries.extend(other.entries);
    }

    /// The layers, in the order chosen.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// For each layer, the first layer that reads the same input.
    pub fn shared_inputs(&self) -> &[usize] {
        &self.shared
    }

    /// Eigenvectors of layer number `n` (in the order chosen).
    pub fn layer(&self, n: usize) -> Option<&LayerBasis> {
        self.entries.get(n)
    }

    /// The two-sided projection onto the leading eigenvectors of each layer's factors: `out` of `S`
    /// and `columns` of `A`, never more than there are. Stored rows then keep the directions that the
    /// curvature weighs most, and their curvature is diagonal.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn projection(&self, out: usize, columns: usize) -> Result<Projection, KfacError> {
        let sides = self
            .entries
            .iter()
            .map(|e| Ok((e.s.leading(out as i64)?, e.a.leading(columns as i64)?)))
            .collect::<Result<Vec<_>, KfacError>>()?;
        Ok(Projection::from_sides(self.layers.iter().cloned().zip(sides))?)
    }

    /// Numbers it holds, shared eigenvectors counted once.
    pub fn numbers(layers: &[LayerInfo]) -> u64 {
        let square = |n: i64| (n * n) as u64;
        layers.iter().map(|l| square(gradient_columns(l)) + square(l.out_features)).sum()
    }

    pub(crate) fn places(&self) -> HashMap<tamis_model::LayerId, usize> {
        self.layers.iter().enumerate().map(|(n, layer)| (layer.id, n)).collect()
    }
}

/// What sums and solves run in: half precision would lose small inverse eigenvalues.
pub(crate) fn wide(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}
