//! The weights of a model under their names in the checkpoint.

use std::collections::HashMap;

use tch::{Tensor, no_grad};

use crate::{ModelError, visit_bytes};

/// How a weight lies in the checkpoint, compared with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As in memory.
    Same,
    /// Transposed: GPT-2 stores its linear weights (in, out).
    Transposed,
}

#[derive(Debug)]
struct Entry {
    name: String,
    tensor: Tensor,
    layout: Layout,
}

/// Every parameter of a model, in the order of its forward pass, under its name in the checkpoint.
///
/// Tied parameters appear once. A weight of a linear layer is (out, in) here, also for
/// architectures whose checkpoints store it transposed (GPT-2); saving puts it back.
///
/// The tensors are those that the model computes with: a change in place is seen by the next
/// forward pass.
#[derive(Debug, Default)]
pub struct Parameters {
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
}

impl Parameters {
    pub(crate) fn push(&mut self, name: String, tensor: Tensor, layout: Layout) {
        self.index.insert(name.clone(), self.entries.len());
        self.entries.push(Entry { name, tensor, layout });
    }

    /// The parameter of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.index.get(name).map(|&place| &self.entries[place].tensor)
    }

    /// Names and tensors, in the order of the forward pass.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), &entry.tensor))
    }

    pub(crate) fn iter_with_layout(&self) -> impl Iterator<Item = (&str, &Tensor, Layout)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), &entry.tensor, entry.layout))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no tensor; never true of a loaded model.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of scalars over all tensors.
    pub fn count(&self) -> usize {
        self.entries.iter().map(|entry| entry.tensor.numel()).sum()
    }

    /// Makes every parameter a leaf that gradients are taken for, or freezes all of them.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn set_trainable(&self, trainable: bool) -> Result<(), ModelError> {
        for entry in &self.entries {
            // The flag belongs to the tensor, which the model's layers share.
            let _ = entry.tensor.f_set_requires_grad(trainable)?;
        }
        Ok(())
    }

    /// BLAKE3 over names, shapes, kinds and values, as hexadecimal digits.
    ///
    /// Equal exactly if the weights are equal bit for bit; the device does not matter.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        let mut hasher = blake3::Hasher::new();
        for (name, tensor) in self.iter() {
            // Lengths first, so that no two parameter lists give the same bytes.
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            let shape = tensor.size();
            hasher.update(&(shape.len() as u64).to_le_bytes());
            for side in shape {
                hasher.update(&side.to_le_bytes());
            }
            hasher.update(format!("{:?}", tensor.f_kind()?).as_bytes());
            visit_bytes(tensor, |bytes| {
                hasher.update(bytes);
                Ok::<_, ModelError>(())
            })?;
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Overwrites every value in place with that of `other`, converting kind and device.
    ///
    /// # Errors
    /// [`ModelError::ParameterMismatch`] where names or shapes differ (nothing is changed then), or
    /// what LibTorch reports.
    pub fn copy_from(&self, other: &Parameters) -> Result<(), ModelError> {
        let mismatch = |problem| Err(ModelError::ParameterMismatch { problem });
        if self.len() != other.len() {
            return mismatch(format!("{} tensors here, {} there", self.len(), other.len()));
        }
        for ((name, tensor), (other_name, other_tensor)) in self.iter().zip(other.iter()) {
            if name != other_name {
                return mismatch(format!("`{name}` here, `{other_name}` there"));
            }
            if tensor.size() != other_tensor.size() {
                let (here, there) = (tensor.size(), other_tensor.size());
                return mismatch(format!("`{name}` is {here:?} here, {there:?} there"));
            }
        }
        no_grad(|| {
            for ((_, tensor), (_, source)) in self.iter().zip(other.iter()) {
                tensor.shallow_clone().f_copy_(source)?;
            }
            Ok(())
        })
    }

    /// A copy with its own memory, frozen: the weights to return to with [`copy_from`](Self::copy_from).
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn snapshot(&self) -> Result<Parameters, ModelError> {
        let mut copy = Parameters::default();
        for entry in &self.entries {
            copy.push(entry.name.clone(), entry.tensor.f_detach_copy()?, entry.layout);
        }
        Ok(copy)
    }
}
