//! The tap that keeps what per-sample gradients are made of.

use std::collections::HashMap;

use tamis_model::{LayerId, LayerInfo, Tap};
use tch::{TchError, Tensor};

/// Keeps the input and the output of the chosen linear layers during one forward pass.
///
/// Tensors are kept by reference: no memory beyond what the graph holds anyway, and layers that
/// read the same input (query, key and value, say) share it.
#[derive(Debug)]
pub struct Capture {
    slots: HashMap<LayerId, usize>,
    kept: Vec<Option<(Tensor, Tensor)>>,
}

impl Capture {
    /// Keeps the layers in `layers`.
    pub fn new(layers: &[LayerInfo]) -> Self {
        Self {
            slots: layers.iter().enumerate().map(|(slot, layer)| (layer.id, slot)).collect(),
            kept: layers.iter().map(|_| None).collect(),
        }
    }

    /// Input and output of each chosen layer, in the order given to [`Capture::new`]; `None` where
    /// the forward pass did not reach the layer.
    pub fn into_kept(self) -> Vec<Option<(Tensor, Tensor)>> {
        self.kept
    }
}

impl Tap for Capture {
    fn linear(&mut self, layer: LayerId, x: &Tensor, y: Tensor) -> Result<Tensor, TchError> {
        if let Some(&slot) = self.slots.get(&layer) {
            self.kept[slot] = Some((x.detach(), y.shallow_clone()));
        }
        Ok(y)
    }
}
