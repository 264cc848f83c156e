//! Products of the Gauss–Newton matrix with vectors, exact and without the matrix.

use serde::{Deserialize, Serialize};
use tamis_dataset::{Encoded, Encodings};
use tamis_gradients::gradient_columns;
use tamis_kfac::Tokens;
use tamis_model::{CausalLm, LayerInfo};
use tch::Tensor;

use crate::batches::Batches;
use crate::linearised::Linearised;
use crate::{Hessian, InfluenceError};

/// How a [`GaussNewton`] matrix, or a [`LossHessian`](crate::LossHessian), goes over its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GaussNewtonParams {
    /// What the mean is over, as in the K-FAC factors it is to be compared with: real tokens, or
    /// samples.
    pub tokens: Tokens,
    /// Padded tokens of one batch, at most. What a batch takes grows with it.
    pub token_budget: usize,
}

impl Default for GaussNewtonParams {
    fn default() -> Self {
        Self { tokens: Tokens::default(), token_budget: 2048 }
    }
}

/// The Gauss–Newton matrix of the chosen layers, all of them together:
/// `H = (1/N) Σ_samples Jᵀ B J`.
///
/// `J` is the derivative of a sample's logits, at the positions that predict a target, with respect
/// to the weights of the layers (a bias is a last column). `B` is block-diagonal with
/// `diag(p) − p pᵀ` a target: the loss of a sample is the *sum* over its targets. `N` counts real
/// tokens, or samples under [`Tokens::Reduce`]. So `H` has the units of K-FAC's factors, and it *is*
/// the Fisher matrix under the model's own labels (arXiv 1412.1193, section 9), of which K-FAC
/// approximates the diagonal blocks. Labels do not enter.
///
/// A vector is one tensor (out, in (+1)) a layer. A product takes, for every batch, about a traced
/// batch to make a graph, and two more for every vector: four multiplications a weight and token.
/// Memory: what a forward pass of one batch, the graph of its backward pass and one vector's way
/// through both keep; some matrices of targets × vocabulary; and a product a vector. Weights stay
/// frozen and no per-sample gradient is formed. Samples are kept as token ids.
///
/// The head may be among the layers. Attention runs by its textbook formula whatever kernel the
/// model was loaded with, because fused ones have no second derivative.
pub struct GaussNewton<'a> {
    model: &'a dyn CausalLm,
    layers: &'a [LayerInfo],
    batches: Vec<Vec<Encoded>>,
    count: f64,
}

impl std::fmt::Debug for GaussNewton<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GaussNewton")
            .field("layers", &self.layers.len())
            .field("batches", &self.batches.len())
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl<'a> GaussNewton<'a> {
    /// The matrix over those of `samples` that can be used: a part of the pool, commonly.
    ///
    /// # Errors
    /// A model in half precision, whose products are too coarse to solve with; no sample that can be
    /// used; or what reading reports.
    pub fn new(
        model: &'a dyn CausalLm,
        layers: &'a [LayerInfo],
        samples: &Encodings<'_>,
        params: GaussNewtonParams,
    ) -> Result<Self, InfluenceError> {
        let what = "products with the Gauss–Newton matrix";
        let Batches { batches, count } = Batches::read(model, samples, params, what)?;
        Ok(Self { model, layers, batches, count })
    }

    /// The layers, in the order of a vector's tensors.
    pub fn layers(&self) -> &[LayerInfo] {
        self.layers
    }

    /// `N`: what the sum over samples is divided by.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// `H v` for each vector, in the model's own format. A batch's graph is made once for all of
    /// them.
    ///
    /// # Errors
    /// Vectors of another shape, a sample whose logits are not finite (it is named), or what the
    /// model or LibTorch reports.
    pub fn product(&self, vectors: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, InfluenceError> {
        let shape = self.model.shape();
        let mut products = Vec::with_capacity(vectors.len());
        for vector in vectors {
            self.check(vector)?;
            let zeros = self.sizes().map(|size| Tensor::f_zeros(size, (shape.kind, shape.device)));
            products.push(zeros.collect::<Result<Vec<_>, _>>()?);
        }
        for batch in &self.batches {
            let samples: Vec<&Encoded> = batch.iter().collect();
            let jacobian = Linearised::new(self.model, self.layers, &samples)?;
            let _no_grad = tch::no_grad_guard();
            for (vector, product) in vectors.iter().zip(&mut products) {
                jacobian.pull(&jacobian.curve(&jacobian.push(vector)?)?, product)?;
            }
        }
        for tensor in products.iter_mut().flatten() {
            let _ = tensor.f_div_scalar_(self.count)?;
        }
        Ok(products)
    }

    fn sizes(&self) -> impl Iterator<Item = [i64; 2]> {
        self.layers.iter().map(|layer| [layer.out_features, gradient_columns(layer)])
    }

    fn check(&self, vector: &[Tensor]) -> Result<(), InfluenceError> {
        let kind = self.model.shape().kind;
        let found: Vec<_> = vector.iter().map(|v| (v.size(), v.kind())).collect();
        let expected: Vec<_> = self.sizes().map(|size| (size.to_vec(), kind)).collect();
        if found == expected {
            return Ok(());
        }
        Err(InfluenceError::Mismatch {
            what: "vector for the Gauss–Newton matrix",
            found: format!("{found:?}"),
            expected: format!("{expected:?}"),
        })
    }
}

impl Hessian for GaussNewton<'_> {
    fn layers(&self) -> &[LayerInfo] {
        self.layers
    }

    fn product(&self, vectors: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, InfluenceError> {
        GaussNewton::product(self, vectors)
    }
}
