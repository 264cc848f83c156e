//! Sums on disk, a part of the pool at a time.

use std::marker::PhantomData;
use std::path::Path;

use serde_json::{Map, Value};
use tamis_artifact::{Manifest, Store};
use tamis_model::LayerInfo;
use tch::Device;

use crate::sums::{Header, Sums};
use crate::tensors::{decode, encode};
use crate::{KfacError, SecondMoments};

/// Version of the shard layout.
const FORMAT: u32 = 1;

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
    /// Opens the store at `dir`; goes on where an earlier fit with the same `fields` stopped.
    ///
    /// # Errors
    /// A store made from something else (the error names the field that differs), or a file that
    /// cannot be written.
    pub fn create_or_resume(
        dir: impl AsRef<Path>,
        fields: Map<String, Value>,
    ) -> Result<Self, KfacError> {
        let manifest = Manifest { kind: S::STORED_AS.to_owned(), format: FORMAT, fields };
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
    /// reads an input, and `<layer>.s`; second moments: `<layer>`), and in the metadata the count and
    /// which layers share inputs.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&mut self, number: usize, sums: &S) -> Result<(), KfacError> {
        let name = part_name(number);
        let stored = sums.store()?;
        Ok(self.store.write(&name, &encode(&name, &stored.header, &stored.tensors)?)?)
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
        let name = part_name(number);
        let bytes = self.store.read(&name)?;
        let file = decode(&name, &bytes)?;
        let header: Header = file.header()?;
        if header.shared_inputs.len() != layers.len() {
            let found = header.shared_inputs.len();
            return Err(file.error(&format!("{found} layers, not {}", layers.len())));
        }
        S::restore(layers, header, |key| file.tensor(key, device))
    }

    /// The sum of all parts; `None` if there is none.
    ///
    /// # Errors
    /// A part that is missing, damaged or of other layers.
    pub fn merged(&self, layers: &[LayerInfo], device: Device) -> Result<Option<S>, KfacError> {
        let mut total: Option<S> = None;
        for part in 0..self.store.shards().count() {
            let sums = self.read(part, layers, device)?;
            match total.as_mut() {
                None => total = Some(sums),
                Some(total) => total.merge(&sums)?,
            }
        }
        Ok(total)
    }
}

fn part_name(number: usize) -> String {
    format!("part-{number:05}.safetensors")
}
