//! The matrix of a system of equations, known by its products.

use std::fmt;

use tamis_gradients::gradient_columns;
use tamis_model::LayerInfo;
use tch::{Device, Kind, Tensor};

use crate::InfluenceError;

/// A symmetric matrix over the weights of some layers: what [`Refinement`](crate::Refinement) solves
/// with. [`GaussNewton`](crate::GaussNewton) and [`LossHessian`](crate::LossHessian) multiply without
/// forming it, [`Dense`](crate::exact::Dense) has it in memory, and [`Block`] is a part of another.
pub trait Hessian {
    /// The layers, in the order of a vector's tensors.
    fn layers(&self) -> &[LayerInfo];

    /// `H v` for each vector: one tensor (out, in (+1)) a layer, a bias being the last column.
    ///
    /// # Errors
    /// Vectors of another shape, or what the model or LibTorch reports.
    fn product(&self, vectors: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, InfluenceError>;
}

/// The diagonal block of a [`Hessian`] that belongs to some of its layers: the others do not move.
#[derive(Clone)]
pub struct Block<'a> {
    whole: &'a dyn Hessian,
    layers: Vec<LayerInfo>,
    /// Where each layer of the whole is among `layers`.
    places: Vec<Option<usize>>,
}

impl fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("layers", &names(&self.layers)).finish_non_exhaustive()
    }
}

impl<'a> Block<'a> {
    /// The block of `layers`, in their order.
    ///
    /// # Errors
    /// A layer that the whole does not have, or that is given twice.
    pub fn new(whole: &'a dyn Hessian, layers: &[LayerInfo]) -> Result<Self, InfluenceError> {
        let mut places = vec![None; whole.layers().len()];
        for (n, layer) in layers.iter().enumerate() {
            let at = place(whole.layers(), layer)?;
            if places[at].replace(n).is_some() {
                return Err(InfluenceError::Layer {
                    layer: layer.name.clone(),
                    fault: "it is given twice".to_owned(),
                });
            }
        }
        Ok(Self { whole, layers: layers.to_vec(), places })
    }
}

impl Hessian for Block<'_> {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn product(&self, vectors: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, InfluenceError> {
        let wide = vectors.iter().map(|vector| {
            check(&self.layers, vector)?;
            let (kind, device) = vector.first().map_or((Kind::Float, Device::Cpu), like);
            let whole = self.whole.layers().iter().zip(&self.places);
            whole
                .map(|(layer, place)| match place {
                    Some(n) => Ok(vector[*n].shallow_clone()),
                    None => zeros(layer, kind, device),
                })
                .collect::<Result<Vec<_>, InfluenceError>>()
        });
        let products = self.whole.product(&wide.collect::<Result<Vec<_>, _>>()?)?;
        let narrow = products.into_iter().map(|product| {
            let mut own: Vec<Option<Tensor>> = self.layers.iter().map(|_| None).collect();
            for (tensor, place) in product.into_iter().zip(&self.places) {
                if let Some(n) = place {
                    own[*n] = Some(tensor);
                }
            }
            own.into_iter().flatten().collect()
        });
        Ok(narrow.collect())
    }
}

/// Refuses a vector that does not have one tensor (out, in (+1)) a layer.
pub(crate) fn check(layers: &[LayerInfo], vector: &[Tensor]) -> Result<(), InfluenceError> {
    let found: Vec<_> = vector.iter().map(Tensor::size).collect();
    let expected: Vec<_> =
        layers.iter().map(|l| vec![l.out_features, gradient_columns(l)]).collect();
    if found == expected {
        return Ok(());
    }
    Err(InfluenceError::Mismatch {
        what: "vector over the layers",
        found: format!("{found:?}"),
        expected: format!("{expected:?}"),
    })
}

/// Where a layer is among others, by its number and name.
pub(crate) fn place(layers: &[LayerInfo], layer: &LayerInfo) -> Result<usize, InfluenceError> {
    layers.iter().position(|l| l == layer).ok_or_else(|| InfluenceError::Layer {
        layer: layer.name.clone(),
        fault: format!("expected one of {}", names(layers)),
    })
}

/// A layer's part of a vector of zeros.
pub(crate) fn zeros(
    layer: &LayerInfo,
    kind: Kind,
    device: Device,
) -> Result<Tensor, InfluenceError> {
    Ok(Tensor::f_zeros([layer.out_features, gradient_columns(layer)], (kind, device))?)
}

pub(crate) fn like(tensor: &Tensor) -> (Kind, Device) {
    (tensor.kind(), tensor.device())
}

pub(crate) fn names(layers: &[LayerInfo]) -> String {
    let mut names: Vec<&str> = layers.iter().map(|l| l.name.as_str()).collect();
    let count = names.len();
    names.truncate(8);
    let more = if count > 8 { format!(" and {} more", count - 8) } else { String::new() };
    format!("{}{more}", names.join(", "))
}
