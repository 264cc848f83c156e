//! A dense curvature and its damped inverse.

use std::collections::HashMap;

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use tamis_gradients::gradient_size;
use tamis_model::{CausalLm, LayerInfo};
use tch::{Kind, Tensor};

use crate::{Hessian, InfluenceError, Seeds, hessian};

/// The most parameters that a dense matrix is formed of: 512 MiB of f64.
pub const LARGEST: usize = 8192;

/// A symmetric matrix over the parameters of some layers: layer after layer, each (out, in (+1))
/// row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    layers: Vec<LayerInfo>,
    matrix: DMatrix<f64>,
}

impl Dense {
    /// Takes a (P, P) tensor over `layers`.
    pub(crate) fn new(layers: &[LayerInfo], matrix: &Tensor) -> Result<Self, InfluenceError> {
        let size = parameters(layers);
        let matrix = DMatrix::from_row_slice(size, size, &host(matrix)?);
        Ok(Self { layers: layers.to_vec(), matrix })
    }

    /// A matrix over `layers` that is known already, such as the Hessian of a quadratic.
    ///
    /// # Errors
    /// A matrix of another size, or one that is not symmetric.
    pub fn from_matrix(layers: &[LayerInfo], matrix: DMatrix<f64>) -> Result<Self, InfluenceError> {
        let size = parameters(layers);
        let mismatch = |found| InfluenceError::Mismatch {
            what: "dense matrix over the layers",
            found,
            expected: format!("({size}, {size}) and symmetric"),
        };
        if matrix.shape() != (size, size) {
            return Err(mismatch(format!("{:?}", matrix.shape())));
        }
        let largest = matrix.amax();
        let uneven = (&matrix - matrix.transpose()).amax();
        if uneven.is_nan() || uneven > 1e-10 * largest {
            return Err(mismatch(format!("entries that differ from their mirror by {uneven:e}")));
        }
        Ok(Self { layers: layers.to_vec(), matrix })
    }

    /// The layers, in order.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// The matrix.
    pub fn matrix(&self) -> &DMatrix<f64> {
        &self.matrix
    }

    /// The vector that one (out, in (+1)) a layer makes up.
    ///
    /// # Errors
    /// Tensors of another size, or what LibTorch reports.
    pub fn flatten(&self, vector: &[Tensor]) -> Result<DVector<f64>, InfluenceError> {
        let mut flat = Vec::with_capacity(self.matrix.nrows());
        for tensor in vector {
            flat.extend(host(tensor)?);
        }
        if flat.len() == self.matrix.nrows() {
            return Ok(DVector::from_vec(flat));
        }
        Err(InfluenceError::Mismatch {
            what: "vector over the layers",
            found: format!("{} numbers", flat.len()),
            expected: self.matrix.nrows().to_string(),
        })
    }

    /// `(H + D)⁻¹` itself, with `damping` (one number a layer) on the diagonal.
    ///
    /// # Errors
    /// Dampings of another number of layers, or a damped matrix that is not positive definite.
    pub fn damped_inverse(&self, damping: &[f64]) -> Result<DMatrix<f64>, InfluenceError> {
        Ok(self.factored(damping)?.inverse())
    }

    /// Divides seeds that were taken with no curvature: `(H + D)⁻¹ ∇L(seed)` of each, over all
    /// layers together.
    ///
    /// # Errors
    /// As [`Dense::damped_inverse`], or seeds of other layers.
    pub fn solve(&self, damping: &[f64], gradients: &Seeds) -> Result<Seeds, InfluenceError> {
        if gradients.layers() != self.layers {
            return Err(InfluenceError::Mismatch {
                what: "layers of the seeds",
                found: format!("{:?}", gradients.layers()),
                expected: format!("{:?}", self.layers),
            });
        }
        let factored = self.factored(damping)?;
        let mut rows = vec![Vec::new(); gradients.ids().len()];
        for layer in self.layers.iter().filter_map(|layer| gradients.layer(layer.id)) {
            for (n, row) in rows.iter_mut().enumerate() {
                row.extend(host(&layer.f_get(n as i64)?)?);
            }
        }
        for row in &mut rows {
            *row = factored.solve(&DVector::from_column_slice(row)).as_slice().to_vec();
        }
        let (mut solved, mut at) = (HashMap::new(), 0);
        for layer in &self.layers {
            let Some(like) = gradients.layer(layer.id) else { continue };
            let size = gradient_size(layer) as usize;
            let own: Vec<f64> = rows.iter().flat_map(|row| &row[at..at + size]).copied().collect();
            let own = Tensor::f_from_slice(&own)?.f_view_as(like)?;
            solved.insert(layer.id, own.f_to_device(like.device())?.f_to_kind(like.kind())?);
            at += size;
        }
        Seeds::from_solved(gradients.ids().to_vec(), self.layers.clone(), solved)
    }

    fn factored(&self, damping: &[f64]) -> Result<Cholesky<f64, Dyn>, InfluenceError> {
        if damping.len() != self.layers.len() {
            return Err(InfluenceError::Mismatch {
                what: "dampings of the layers",
                found: damping.len().to_string(),
                expected: self.layers.len().to_string(),
            });
        }
        let mut damped = self.matrix.clone();
        let mut at = 0;
        for (layer, damping) in self.layers.iter().zip(damping) {
            let size = gradient_size(layer) as usize;
            (at..at + size).for_each(|k| damped[(k, k)] += damping);
            at += size;
        }
        Cholesky::new(damped).ok_or(InfluenceError::NotPositive)
    }
}

impl Hessian for Dense {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn product(&self, vectors: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, InfluenceError> {
        let one = |vector: &Vec<Tensor>| {
            hessian::check(&self.layers, vector)?;
            let product = &self.matrix * self.flatten(vector)?;
            let (mut parts, mut at) = (Vec::with_capacity(vector.len()), 0);
            for like in vector {
                let size = like.numel();
                let own = Tensor::f_from_slice(&product.as_slice()[at..at + size])?;
                let own = own.f_view_as(like)?.f_to_device(like.device())?;
                parts.push(own.f_to_kind(like.kind())?);
                at += size;
            }
            Ok(parts)
        };
        vectors.iter().map(one).collect()
    }
}

/// Parameters of the layers; refuses more than [`LARGEST`], and models that are not in f64.
pub(super) fn check(model: &dyn CausalLm, layers: &[LayerInfo]) -> Result<usize, InfluenceError> {
    let kind = model.shape().kind;
    if kind != Kind::Double {
        let (what, found) = ("exact witnesses", format!("{kind:?}"));
        return Err(InfluenceError::Precision { what, found, expected: "f64" });
    }
    let (parameters, limit) = (parameters(layers), LARGEST);
    if parameters > limit {
        let bytes = 8 * (parameters as u64).pow(2);
        return Err(InfluenceError::TooLarge { parameters, bytes, limit });
    }
    Ok(parameters)
}

fn parameters(layers: &[LayerInfo]) -> usize {
    layers.iter().map(|layer| gradient_size(layer) as usize).sum()
}

fn host(tensor: &Tensor) -> Result<Vec<f64>, InfluenceError> {
    Ok(Vec::try_from(tensor.f_to_kind(Kind::Double)?.f_flatten(0, -1)?)?)
}
