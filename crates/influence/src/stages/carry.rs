//! Seeds on their way from one stage to the one before.

use std::collections::HashMap;

use tamis_gradients::gradient_columns;
use tamis_kfac::Curvature;
use tamis_model::LayerInfo;
use tch::{Device, Kind, Tensor};

use crate::hessian::{like, names, place};
use crate::{InfluenceError, Seeds};

/// Refuses two checkpoints whose layers do not agree in names and sizes; their numbers and order may
/// differ.
///
/// # Errors
/// The first layer that only one of the two has, or that differs.
pub fn same_layers(
    finetuned: &[LayerInfo],
    pretrained: &[LayerInfo],
) -> Result<(), InfluenceError> {
    let fault = |layer: &LayerInfo, fault: String| {
        Err(InfluenceError::Layer { layer: layer.name.clone(), fault })
    };
    for layer in pretrained {
        let Some(own) = finetuned.iter().find(|own| own.name == layer.name) else {
            let others = names(finetuned);
            return fault(layer, format!("missing at the fine-tuned weights, which have {others}"));
        };
        let sizes = |l: &LayerInfo| (l.out_features, l.in_features, l.bias);
        if sizes(own) != sizes(layer) {
            let form = |l: &LayerInfo| {
                let bias = if l.bias { " with a bias" } else { "" };
                format!("{} × {}{bias}", l.out_features, l.in_features)
            };
            let (before, after) = (form(layer), form(own));
            return fault(layer, format!("it is {before} pre-trained, but {after} fine-tuned"));
        }
    }
    match finetuned.iter().find(|own| pretrained.iter().all(|l| l.name != own.name)) {
        None => Ok(()),
        Some(own) => {
            let others = names(pretrained);
            fault(own, format!("missing at the pre-trained weights, which have {others}"))
        }
    }
}

impl Seeds {
    /// Divides by a curvature of the layers these seeds are on, once more.
    ///
    /// # Errors
    /// A layer without curvature, or what LibTorch reports.
    pub fn solve(&self, curvature: &dyn Curvature) -> Result<Self, InfluenceError> {
        self.mapped(|layer, own| Ok(curvature.solve(layer, own)?.f_to_kind(own.kind())?))
    }

    /// Multiplies each layer by the damping that `curvature` has there. After a solve with it a seed
    /// is `D (H + D)⁻¹ g`: what is left of its gradient where fine-tuning, held by `D`, could not undo
    /// a change of the weights it started from.
    ///
    /// # Errors
    /// A layer without curvature or without damping, of which nothing would be left.
    pub fn times_damping(&self, curvature: &dyn Curvature) -> Result<Self, InfluenceError> {
        self.mapped(|layer, own| {
            let damping = curvature.damping(layer)?;
            if damping > 0.0 && damping.is_finite() {
                return Ok(own.f_mul_scalar(damping)?);
            }
            Err(InfluenceError::Layer {
                layer: layer.name.clone(),
                fault: format!("its damping is {damping}, but must be above 0"),
            })
        })
    }

    /// The same seeds for another checkpoint's `layers`, by name: each must be there with the same
    /// sizes, and no other.
    ///
    /// # Errors
    /// The first layer that only one of the two has, or that differs.
    pub fn onto(&self, layers: &[LayerInfo]) -> Result<Self, InfluenceError> {
        same_layers(self.layers(), layers)?;
        let mut solved = HashMap::new();
        for layer in layers {
            let own = self.layers().iter().find(|own| own.name == layer.name);
            if let Some(tensor) = own.and_then(|own| self.layer(own.id)) {
                solved.insert(layer.id, tensor.shallow_clone());
            }
        }
        Self::from_solved(self.ids().to_vec(), layers.to_vec(), solved)
    }

    /// The seeds on more layers of the same model: zero on those that they do not have.
    ///
    /// # Errors
    /// A layer of the seeds that is not among `layers`.
    pub fn extended(&self, layers: &[LayerInfo]) -> Result<Self, InfluenceError> {
        for own in self.layers() {
            place(layers, own)?;
        }
        let (kind, device) = self.form();
        let count = self.ids().len() as i64;
        let mut solved = HashMap::new();
        for layer in layers {
            let tensor = if let Some(tensor) = self.layer(layer.id) {
                tensor.shallow_clone()
            } else {
                let size = [count, layer.out_features, gradient_columns(layer)];
                Tensor::f_zeros(size, (kind, device))?
            };
            solved.insert(layer.id, tensor);
        }
        Self::from_solved(self.ids().to_vec(), layers.to_vec(), solved)
    }

    /// The seeds on some of their layers.
    ///
    /// # Errors
    /// A layer that they do not have.
    pub fn restricted(&self, layers: &[LayerInfo]) -> Result<Self, InfluenceError> {
        let mut solved = HashMap::new();
        for layer in layers {
            place(self.layers(), layer)?;
            if let Some(own) = self.layer(layer.id) {
                solved.insert(layer.id, own.shallow_clone());
            }
        }
        Self::from_solved(self.ids().to_vec(), layers.to_vec(), solved)
    }

    /// A copy that shares no memory with these.
    pub(crate) fn copied(&self) -> Result<Self, InfluenceError> {
        self.mapped(|_, own| Ok(own.f_detach_copy()?))
    }

    /// One vector a seed: a tensor for each of the layers, in order.
    pub(crate) fn vectors(&self) -> Result<Vec<Vec<Tensor>>, InfluenceError> {
        let row = |n: usize| {
            let layers = self.layers().iter().filter_map(|layer| self.layer(layer.id));
            layers.map(|own| Ok(own.f_get(n as i64)?)).collect()
        };
        (0..self.ids().len()).map(row).collect()
    }

    /// The same ids and layers with `change` made to each layer.
    pub(crate) fn mapped(
        &self,
        change: impl Fn(&LayerInfo, &Tensor) -> Result<Tensor, InfluenceError>,
    ) -> Result<Self, InfluenceError> {
        let _no_grad = tch::no_grad_guard();
        let mut solved = HashMap::new();
        for layer in self.layers() {
            if let Some(own) = self.layer(layer.id) {
                solved.insert(layer.id, change(layer, own)?);
            }
        }
        Self::from_solved(self.ids().to_vec(), self.layers().to_vec(), solved)
    }

    fn form(&self) -> (Kind, Device) {
        let first = self.layers().iter().find_map(|layer| self.layer(layer.id));
        first.map_or((Kind::Float, Device::Cpu), like)
    }
}
