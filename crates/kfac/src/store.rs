//! Sums on disk, a part of the pool at a time.

use std::marker::PhantomData;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tamis_artifact::Store;
use tamis_dataset::SampleId;
use tamis_model::LayerInfo;
use tch::Device;

use crate::sums::{Header, Sums};
use crate::tensors::{decode, encode};
use crate::{KfacError, SecondMoments};

/// Version of the shard layout.
pub(crate) const FORMAT: u32 = 2;

/// What a part says beside its tensors.
#[derive(Serialize, Deserialize)]
struct PartHeader {
    sums: Header,
    /// Samples of the part that its sums leave out on request.
    left_out: Vec<SampleId>,
}

/// A finished folder of sums, one shard a part of the pool, as [`FactorFit::run`](crate::FactorFit::run) writes it.
///
/// A part is a safetensors file (covariances: `<layer>.a`, only for the first layer that reads an input, and `<layer>.s`;
/// second moments: `<layer>`) with, in the metadata, the count, which layers share inputs, and which samples of the part
/// the sums leave out.
#[derive(Debug)]
pub struct SumStore<S> {
    store: Store,
    sums: PhantomData<S>,
}

/// A folder of covariance sums.
pub type FactorStore = SumStore<crate::Factors>;

/// A folder of sums of squared gradients.
pub type MomentStore = SumStore<SecondMoments>;

impl<S: Sums> SumStore<S> {
    /// Opens a finished store.
    ///
    /// # Errors
    /// No store there, one that is not finished, of other sums, or damaged.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, KfacError> {
        let store = Store::open(dir)?;
        let kind = &store.manifest().kind;
        if kind != S::STORED_AS {
            let reason = format!("the folder holds {kind}, not {}", S::STORED_AS);
            return Err(KfacError::Shard { shard: store.dir().display().to_string(), reason });
        }
        Ok(Self { store, sums: PhantomData })
    }

    pub(crate) fn of(store: Store) -> Self {
        Self { store, sums: PhantomData }
    }

    /// The artefact underneath.
    pub fn artifact(&self) -> &Store {
        &self.store
    }

    /// Part `number`, for `layers`.
    ///
    /// # Errors
    /// A part that is missing, damaged or of other layers.
    pub fn read(
        &self,
        number: usize,
        layers: &[LayerInfo],
        device: Device,
    ) -> Result<S, KfacError> {
        Ok(self.part(number, layers, device)?.0)
    }

    /// Part `number`, and which of its samples were left out.
    fn part(
        &self,
        number: usize,
        layers: &[LayerInfo],
        device: Device,
    ) -> Result<(S, Vec<SampleId>), KfacError> {
        let name = part_name(number);
        let bytes = self.store.read(&name)?;
        let file = decode(&name, &bytes)?;
        let PartHeader { sums: header, left_out } = file.header()?;
        if header.shared_inputs.len() != layers.len() {
            let found = header.shared_inputs.len();
            return Err(file.error(&format!("{found} layers, not {}", layers.len())));
        }
        Ok((S::restore(layers, header, |key| file.tensor(key, device))?, left_out))
    }

    /// The sum of all parts; `None` if there is none.
    ///
    /// # Errors
    /// A part that is missing, damaged or of other layers.
    pub fn merged(&self, layers: &[LayerInfo], device: Device) -> Result<Option<S>, KfacError> {
        Ok(self.merged_parts(layers, device)?.0)
    }

    /// The sum of all parts, and which samples were left out, in the order of the parts.
    pub(crate) fn merged_parts(
        &self,
        layers: &[LayerInfo],
        device: Device,
    ) -> Result<(Option<S>, Vec<SampleId>), KfacError> {
        let (mut total, mut left_out): (Option<S>, Vec<SampleId>) = (None, Vec::new());
        for part in 0..self.store.shards().len() {
            let (sums, ids) = self.part(part, layers, device)?;
            left_out.extend(ids);
            match total.as_mut() {
                None => total = Some(sums),
                Some(total) => total.merge(&sums)?,
            }
        }
        Ok((total, left_out))
    }
}

/// The bytes of a part; `left_out` are its samples that the sums leave out.
pub(crate) fn part_bytes<S: Sums>(
    name: &str,
    sums: &S,
    left_out: &[SampleId],
) -> Result<Vec<u8>, KfacError> {
    let stored = sums.store()?;
    let header = PartHeader { sums: stored.header, left_out: left_out.to_vec() };
    encode(name, &header, &stored.tensors)
}

pub(crate) fn part_name(number: usize) -> String {
    format!("part-{number:05}.safetensors")
}
