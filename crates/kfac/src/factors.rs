//! The two covariances of every layer, as sums and a count, so that parts merge by addition.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tamis_gradients::{LayerTrace, Projection, gradient_columns};
use tamis_model::LayerInfo;
use tch::{Device, Kind, Tensor};

use crate::KfacError;

/// How a sample's tokens enter the covariances (arXiv 2311.00636).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// Every real token is a draw of its own: `A = E[x̃ x̃ᵀ]`, `S = E[g gᵀ]` over tokens.
    #[default]
    Expand,
    /// A sample is one draw: `x̃` is averaged and `g` summed over its real tokens first.
    Reduce,
}

/// Sums of outer products of one layer.
#[derive(Debug)]
pub struct LayerFactors {
    /// `Σ x̃ x̃ᵀ`, (in (+1), in (+1)). Layers that read one input share the tensor.
    pub a: Tensor,
    /// `Σ g gᵀ`, (out, out).
    pub s: Tensor,
}

/// Covariance sums of the chosen layers over `count` draws.
#[derive(Debug)]
pub struct Factors {
    layers: Vec<LayerInfo>,
    /// For each layer, the first layer that reads the same input; itself if it is the first.
    shared: Vec<usize>,
    a: Vec<Option<Tensor>>,
    s: Vec<Tensor>,
    count: f64,
}

impl Factors {
    /// Sums of zero for `layers`, in f64 if `kind` is f64 and in f32 otherwise.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn zeros(layers: &[LayerInfo], kind: Kind, device: Device) -> Result<Self, KfacError> {
        let kind = if kind == Kind::Double { Kind::Double } else { Kind::Float };
        let square = |n: i64| Tensor::f_zeros([n, n], (kind, device));
        Ok(Self {
            shared: (0..layers.len()).collect(),
            a: layers
                .iter()
                .map(|l| square(gradient_columns(l)).map(Some))
                .collect::<Result<_, _>>()?,
            s: layers.iter().map(|l| square(l.out_features)).collect::<Result<_, _>>()?,
            layers: layers.to_vec(),
            count: 0.0,
        })
    }

    /// Puts sums read from a store back together.
    pub(crate) fn from_parts(
        layers: Vec<LayerInfo>,
        shared: Vec<usize>,
        a: Vec<Option<Tensor>>,
        s: Vec<Tensor>,
        count: f64,
    ) -> Self {
        Self { layers, shared, a, s, count }
    }

    /// The layers, in the order chosen.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// Draws the sums are over: real tokens, or samples under [`Tokens::Reduce`].
    pub fn count(&self) -> f64 {
        self.count
    }

    /// For each layer, the first layer that reads the same input.
    pub fn shared_inputs(&self) -> &[usize] {
        &self.shared
    }

    /// Sums of layer number `n` (in the order chosen).
    pub fn layer(&self, n: usize) -> Option<LayerFactors> {
        let a = self.a.get(*self.shared.get(n)?)?.as_ref()?;
        Some(LayerFactors { a: a.shallow_clone(), s: self.s.get(n)?.shallow_clone() })
    }

    /// Adds one batch. `mask` (batch, time) is 1 at real tokens and 0 at padding.
    ///
    /// # Errors
    /// Sums that are no longer finite (layer and batch are named), or what LibTorch reports.
    pub fn add(
        &mut self,
        traces: &[LayerTrace],
        mask: &Tensor,
        tokens: Tokens,
        ids: &[&str],
    ) -> Result<(), KfacError> {
        self.note_shared(traces);
        for (n, trace) in traces.iter().enumerate() {
            let kind = self.s[n].kind();
            let mask = mask.f_to_kind(kind)?.f_unsqueeze(-1)?;
            let g = trace.g().f_to_kind(kind)?;
            let g = match tokens {
                // Gradients are zero at padded positions already.
                Tokens::Expand => g.f_flatten(0, 1)?,
                Tokens::Reduce => g.f_sum_dim_intlist([1i64].as_slice(), false, kind)?,
            };
            let added = self.s[n].f_addmm_(&g.f_transpose(0, 1)?, &g)?;
            check_finite(&added, &trace.info().name, "gradient", ids)?;
            if let Some(a) = self.a[n].as_mut() {
                let x = trace.augmented()?.f_to_kind(kind)?.f_mul(&mask)?;
                let x = match tokens {
                    Tokens::Expand => x.f_flatten(0, 1)?,
                    Tokens::Reduce => {
                        let lengths = mask.f_sum_dim_intlist([1i64].as_slice(), false, kind)?;
                        x.f_sum_dim_intlist([1i64].as_slice(), false, kind)?.f_div(&lengths)?
                    }
                };
                let added = a.f_addmm_(&x.f_transpose(0, 1)?, &x)?;
                check_finite(&added, &trace.info().name, "input", ids)?;
            }
        }
        self.count += match tokens {
            Tokens::Expand => mask.f_sum(Kind::Double)?.f_double_value(&[])?,
            Tokens::Reduce => mask.size()[0] as f64,
        };
        Ok(())
    }

    /// Finds, on the first batch, layers that read the same input: query, key and value, say.
    fn note_shared(&mut self, traces: &[LayerTrace]) {
        if self.count > 0.0 {
            return;
        }
        let mut first = HashMap::new();
        for (n, trace) in traces.iter().enumerate() {
            let key = (trace.x().data_ptr() as usize, trace.x().numel(), trace.info().bias);
            self.shared[n] = *first.entry(key).or_insert(n);
            if self.shared[n] != n {
                self.a[n] = None;
            }
        }
    }

    /// The factors of two-sidedly projected gradients: `R_in A R_inᵀ` and `R_out S R_outᵀ` for every
    /// layer, whose projected gradient `R_out G R_inᵀ` is (p, q). The curvature of what a store
    /// keeps, as in arXiv 2405.13954: solving there keeps the noise of the projection out of the
    /// inverse, which solving first and projecting then does not. `None` if the projection is not
    /// two-sided.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn projected(&self, projection: &Projection) -> Result<Option<Self>, KfacError> {
        let (mut layers, mut a, mut s) = (Vec::new(), Vec::new(), Vec::new());
        for (n, info) in self.layers.iter().enumerate() {
            let (Some(sides), Some(sums)) = (projection.two_sided(info), self.layer(n)) else {
                return Ok(None);
            };
            let squeeze = |r: &Tensor, sum: &Tensor| -> Result<Tensor, KfacError> {
                let r = r.f_to_kind(sum.kind())?;
                Ok(r.f_matmul(sum)?.f_matmul(&r.f_transpose(0, 1)?)?)
            };
            a.push(Some(squeeze(sides.right, &sums.a)?));
            s.push(squeeze(sides.left, &sums.s)?);
            layers.push(LayerInfo {
                in_features: sides.right.size()[0],
                out_features: sides.left.size()[0],
                bias: false,
                ..info.clone()
            });
        }
        let shared = (0..layers.len()).collect();
        Ok(Some(Self { layers, shared, a, s, count: self.count }))
    }

    /// Adds the sums of another part of the data.
    ///
    /// # Errors
    /// Sums of other layers, or layers that share their inputs differently.
    pub fn merge(&mut self, other: &Self) -> Result<(), KfacError> {
        if let Some((a, b)) = self.layers.iter().zip(&other.layers).find(|(a, b)| a != b) {
            let reason = format!("one part has layer {}, the other {}", a.name, b.name);
            return Err(KfacError::Merge { reason });
        }
        if self.layers.len() != other.layers.len() {
            let reason = format!("{} layers and {}", self.layers.len(), other.layers.len());
            return Err(KfacError::Merge { reason });
        }
        if self.count == 0.0 {
            self.shared.clone_from(&other.shared);
            for (n, &first) in self.shared.iter().enumerate() {
                if first != n {
                    self.a[n] = None;
                }
            }
        } else if self.shared != other.shared && other.count > 0.0 {
            let reason = "their layers share inputs differently".to_owned();
            return Err(KfacError::Merge { reason });
        }
        for (mine, theirs) in self.a.iter_mut().zip(&other.a) {
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                let _ = mine.f_add_(theirs)?;
            }
        }
        for (mine, theirs) in self.s.iter_mut().zip(&other.s) {
            let _ = mine.f_add_(theirs)?;
        }
        self.count += other.count;
        Ok(())
    }
}

/// One check of the trace after each addition: a non-finite entry anywhere in a row of activations
/// or gradients makes the diagonal of the sum non-finite.
fn check_finite(
    sum: &Tensor,
    layer: &str,
    side: &'static str,
    ids: &[&str],
) -> Result<(), KfacError> {
    let diagonal = sum.f_diagonal(0, 0, 1)?.f_sum(Kind::Double)?.f_double_value(&[])?;
    if diagonal.is_finite() {
        return Ok(());
    }
    let name = |id: Option<&&str>| id.map_or_else(String::new, |id| (*id).to_owned());
    Err(KfacError::NonFinite {
        layer: layer.to_owned(),
        side,
        first: name(ids.first()),
        last: name(ids.last()),
    })
}
