//! Sums on disk, a part of the pool at a time.

use std::marker::PhantomData;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tamis_artifact::{Provenance, Store};
use tamis_dataset::SampleId;
use tamis_model::LayerInfo;
use tch::Device;

use crate::sums::{Header, Sums};
use crate::tensors::{decode, encode};
use crate::{KfacError, SecondMoments};

/// Version of the shard layout.
const FORMAT: u32 = 2;

/// What a part says beside its tensors.
#[derive(Serialize, Deserialize)]
struct PartHeader {
    sums: Header,
    /// Samples of the part that its sums leave out on request.
    left_out: Vec<SampleId>,
}

/// A folder of sums, one shard a part of the pool.
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
    /// Opens the store at `dir`; goes on where an earlier fit with the same `provenance` stopped.
    ///
    /// # Errors
    /// A store made from something else (the error names the field that differs), or a file that
    /// cannot be written.
    pub fn create_or_resume(
        dir: impl AsRef<Path>,
        provenance: &Provenance,
    ) -> Result<Self, KfacError> {
        let manifest = provenance.manifest(S::STORED_AS, FORMAT);
        Ok(Self { store: Store::create_or_resume(dir, &manifest)?, sums: PhantomData })
    }

    /// Opens an existing store for reading.
    ///
    /// # Errors
    /// No store there, one of other sums, or one that is damaged.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, KfacError> {
        let store = Store::open(dir)?;
        let kind = &store.manifest().kind;
        if kind != S::STORED_AS {
            let reason = format!("the folder holds {kind}, not {}", S::STORED_AS);
            return Err(KfacError::Shard { shard: store.dir().display().to_string(), reason });
        }
        Ok(Self { store, sums: PhantomData })
    }

    /// The artefact underneath.
    pub fn artifact(&self) -> &Store {
        &self.store
    }

    /// Whether part `number` is there.
    pub fn has(&self, number: usize) -> bool {
        self.store.has(&part_name(number))
    }

    /// Marks the store complete.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(&mut self) -> Result<(), KfacError> {
        Ok(self.store.finish()?)
    }

    /// Writes part `number` as safetensors (covariances: `<layer>.a`, only for the first layer that
    /// reads an input, and `<layer>.s`; second moments: `<layer>`), and in the metadata the count, which
    /// layers share inputs, and which samples of the part the sums leave out.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(
        &mut self,
        number: usize,
        sums: &S,
        left_out: &[SampleId],
    ) -> Result<(), KfacError> {
        let name = part_name(number);
        let stored = sums.store()?;
        let header = PartHeader { sums: stored.header, left_out: left_out.to_vec() };
        Ok(self.store.write(&name, &encode(&name, &header, &stored.tensors)?)?)
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
        for part in 0..self.store.shards().count() {
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

fn part_name(number: usize) -> String {
    format!("part-{number:05}.safetensors")
}
