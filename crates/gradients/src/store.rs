//! Rows on disk, a shard at a time.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use tamis_artifact::{Provenance, Store, StoreWriter};
use tch::{Kind, Tensor};

use crate::shard::read_shard;
use crate::{GradientError, PackedShard, RowShard, RowType};

/// Version of the shard layout in [`RowShard`].
const FORMAT: u32 = 1;
/// The field of the manifest that says how rows are stored.
const ROW_TYPE: &str = "row_type";

/// Rows that are being written, a shard at a time: by a [`GradientPass`](crate::GradientPass), or by whoever makes rows
/// elsewhere.
#[derive(Debug)]
pub struct RowWriter {
    writer: StoreWriter,
    dtype: RowType,
}

/// A finished folder of row shards: projected gradients, or scores.
#[derive(Debug)]
pub struct RowStore {
    store: Store,
    dtype: RowType,
}

impl RowWriter {
    /// Makes the folder `dir` of rows of the kind `kind`, or goes on with one of the same `provenance` and row type.
    ///
    /// # Errors
    /// A store made from something else (the error names the field that differs), or a file that
    /// cannot be written.
    pub fn create_or_resume(
        dir: impl AsRef<Path>,
        kind: &str,
        provenance: &Provenance,
        dtype: RowType,
    ) -> Result<Self, GradientError> {
        let mut manifest = provenance.manifest(kind, FORMAT);
        manifest.fields.insert(ROW_TYPE.to_owned(), Value::from(dtype.to_string()));
        Ok(Self { writer: StoreWriter::create_or_resume(dir, &manifest)?, dtype })
    }

    /// Whether an earlier run finished it.
    pub fn is_complete(&self) -> bool {
        self.writer.is_complete()
    }

    /// Whether shard `number` is there.
    pub fn has(&self, number: usize) -> bool {
        self.writer.has(&shard_name(number))
    }

    /// Writes shard `number`.
    ///
    /// # Errors
    /// A value that does not fit the row type, or a file that cannot be written.
    pub fn write(&mut self, number: usize, shard: &RowShard) -> Result<(), GradientError> {
        let name = shard_name(number);
        let bytes = shard.to_bytes(self.dtype, &name)?;
        Ok(self.writer.write(&name, &bytes)?)
    }

    /// Nothing can be added any more: the rows can be read.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(self) -> Result<RowStore, GradientError> {
        Ok(RowStore { store: self.writer.finish()?, dtype: self.dtype })
    }

    /// For the pass, which writes several with one loop.
    pub(crate) fn into_inner(self) -> (StoreWriter, RowType) {
        (self.writer, self.dtype)
    }
}

impl RowStore {
    /// Opens a finished store.
    ///
    /// # Errors
    /// No store there, one that is not finished or damaged, or one whose manifest does not say how rows are stored
    /// (`row_type`).
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, GradientError> {
        let store = Store::open(dir)?;
        let field = store.manifest().fields.get(ROW_TYPE);
        let dtype = field.and_then(Value::as_str).and_then(|name| name.parse().ok());
        let dtype = dtype.ok_or_else(|| GradientError::Manifest {
            dir: store.dir().to_owned(),
            field: ROW_TYPE,
            found: field.map_or_else(|| "missing".to_owned(), Value::to_string),
            expected: RowType::NAMES,
        })?;
        Ok(Self { store, dtype })
    }

    pub(crate) fn of(store: Store, dtype: RowType) -> Self {
        Self { store, dtype }
    }

    /// The artefact underneath: what it was made from, its fingerprint.
    pub fn artifact(&self) -> &Store {
        &self.store
    }

    /// Number type of the rows.
    pub fn dtype(&self) -> RowType {
        self.dtype
    }

    /// Shard `number`, its checksum verified, with its rows as numbers.
    ///
    /// # Errors
    /// A shard that is missing or damaged.
    pub fn read(&self, number: usize) -> Result<RowShard, GradientError> {
        self.read_packed(number)?.unpack()
    }

    /// Shard `number`, its checksum verified, with its rows as they are stored.
    ///
    /// # Errors
    /// A shard that is missing or damaged.
    pub fn read_packed(&self, number: usize) -> Result<PackedShard, GradientError> {
        let name = shard_name(number);
        read_shard(&self.store.read(&name)?, self.dtype, &name)
    }

    /// The rows of the samples at these positions of what the pass ran over: (positions, width) in f32, one for each
    /// position in the order given, also where one is repeated. Holds these rows and one shard at a time.
    ///
    /// # Errors
    /// A sample without a row, or a shard that is missing or damaged.
    pub fn gather(&self, positions: &[usize]) -> Result<Tensor, GradientError> {
        if positions.is_empty() {
            return Ok(Tensor::f_zeros([0, 0], (Kind::Float, tch::Device::Cpu))?);
        }
        let mut wanted: HashMap<usize, Vec<i64>> = HashMap::new();
        for (place, &position) in (0..).zip(positions) {
            wanted.entry(position).or_default().push(place);
        }
        let mut gathered = None;
        for shard in self.shards() {
            let shard = shard?;
            let (mut from, mut to) = (Vec::new(), Vec::new());
            for (row, info) in (0i64..).zip(&shard.infos) {
                for place in wanted.remove(&info.index).into_iter().flatten() {
                    from.push(row);
                    to.push(place);
                }
            }
            if from.is_empty() {
                continue;
            }
            // Copies: views would keep every shard in memory.
            let rows = shard.rows.f_index_select(0, &Tensor::f_from_slice(&from)?)?;
            let rows = rows.f_to_kind(Kind::Float)?;
            let mut all = if let Some(all) = gathered.take() {
                all
            } else {
                let size = [positions.len() as i64, rows.size()[1]];
                Tensor::f_zeros(size, (Kind::Float, rows.device()))?
            };
            let _ = all.f_index_copy_(0, &Tensor::f_from_slice(&to)?, &rows)?;
            gathered = Some(all);
        }
        let missing = wanted.keys().min().copied();
        match (missing, gathered) {
            (None, Some(gathered)) => Ok(gathered),
            (missing, _) => Err(GradientError::NoRow { index: missing.unwrap_or(positions[0]) }),
        }
    }

    /// Every shard in pool order, read one at a time.
    ///
    /// The same of [`read_packed`](Self::read_packed) is [`packed_shards`](Self::packed_shards).
    pub fn shards(&self) -> impl Iterator<Item = Result<RowShard, GradientError>> + '_ {
        (0..self.store.shards().len()).map(|number| self.read(number))
    }

    /// Every shard in pool order, read one at a time, with its rows as they are stored.
    pub fn packed_shards(&self) -> impl Iterator<Item = Result<PackedShard, GradientError>> + '_ {
        (0..self.store.shards().len()).map(|number| self.read_packed(number))
    }
}

pub(crate) fn shard_name(number: usize) -> String {
    format!("rows-{number:05}.safetensors")
}
