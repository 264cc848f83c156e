//! The artefact: shards of rows with their ids, in a folder that can be resumed.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use tamis_artifact::{Provenance, Store, StoreWriter};

use crate::EmbeddingsError;
use crate::embeddings::Found;
use crate::mapped::map;
use crate::piece::Piece;
use crate::safetensors_file::place;

/// What the store is called in its manifest.
const KIND: &str = "embeddings";
/// Version of the layout of shards.
const FORMAT: u32 = 1;
/// Names of what is in a shard.
const ROWS: &str = "rows";
const INDEX: &str = "index";
const LABELS: &str = "tamis";

/// A sample without an embedding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoEmbedding {
    /// Its id.
    pub id: String,
    /// Its 0-based row in the data.
    pub index: usize,
    /// Why, in one word of `snake_case` (`empty_target`, `target_truncated`, …), or in words of its own.
    pub reason: String,
}

/// The embeddings of consecutive samples, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shard {
    /// Ids, one a row.
    pub ids: Vec<String>,
    /// 0-based rows of the samples in their data, one a row.
    pub indices: Vec<usize>,
    /// Rows of `columns` numbers, one after the other.
    pub rows: Vec<f32>,
    /// Numbers in a row.
    pub columns: usize,
    /// Samples of the same stretch without an embedding.
    pub skipped: Vec<NoEmbedding>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Labels {
    ids: Vec<String>,
    skipped: Vec<NoEmbedding>,
}

/// Writes embeddings into a folder, shard by shard; [`Embeddings::open`](crate::Embeddings::open)
/// reads it once it is finished.
///
/// What is a shard, and what stands in the manifest, is for the writer to say: embeddings of any
/// origin can be kept like this. Shards are safetensors files of an f32 tensor `rows`.
#[derive(Debug)]
pub struct EmbeddingStore {
    writer: StoreWriter,
}

impl EmbeddingStore {
    /// For the pass, which writes with the loop that all stages share.
    #[cfg(feature = "model")]
    pub(crate) fn into_writer(self) -> StoreWriter {
        self.writer
    }

    /// Makes a new store, or goes on with one of the same `provenance`: everything that decides the
    /// numbers.
    ///
    /// # Errors
    /// A store made from something else, naming the field that differs, and what else
    /// [`StoreWriter::create_or_resume`] refuses.
    pub fn create_or_resume(
        dir: impl AsRef<Path>,
        provenance: &Provenance,
    ) -> Result<Self, EmbeddingsError> {
        let manifest = provenance.manifest(KIND, FORMAT);
        Ok(Self { writer: StoreWriter::create_or_resume(dir, &manifest)? })
    }

    /// Whether an earlier run finished it.
    pub fn is_complete(&self) -> bool {
        self.writer.is_complete()
    }

    /// Whether shard `number`, from 0, is there.
    pub fn has(&self, number: usize) -> bool {
        self.writer.has(&shard_name(number))
    }

    /// Writes shard `number`. Numbers go from 0 without gaps, in any order.
    ///
    /// # Errors
    /// Parts of another length, a number that is not finite, or a file that cannot be written.
    pub fn write(&mut self, number: usize, shard: &Shard) -> Result<(), EmbeddingsError> {
        let name = shard_name(number);
        let bytes = shard.to_bytes(&self.writer.dir().join(&name))?;
        Ok(self.writer.write(&name, &bytes)?)
    }

    /// Marks the store complete: from now on it opens as embeddings.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(self) -> Result<Store, EmbeddingsError> {
        Ok(self.writer.finish()?)
    }
}

impl Shard {
    pub(crate) fn to_bytes(&self, path: &Path) -> Result<Vec<u8>, EmbeddingsError> {
        let count = self.ids.len();
        for (what, found, expected) in [
            ("indices", self.indices.len(), count),
            ("numbers", self.rows.len(), count * self.columns),
        ] {
            if found != expected {
                let expected = format!("{expected} for {count} ids");
                return Err(EmbeddingsError::Mismatch { what, found, expected });
            }
        }
        if let Some(place) = self.rows.iter().position(|value| !value.is_finite()) {
            let (row, column) = (place / self.columns, place % self.columns);
            let (value, path) = (self.rows[place], path.to_owned());
            let name = format!("row {row} (`{}`)", self.ids[row]);
            return Err(EmbeddingsError::NonFinite { path, row, name, column, value });
        }
        let rows: Vec<u8> = self.rows.iter().flat_map(|value| value.to_le_bytes()).collect();
        let indices: Vec<u8> =
            self.indices.iter().flat_map(|&index| (index as u64).to_le_bytes()).collect();
        let broken = |problem: String| shard_error(path, problem);
        let view = |dtype, shape, data| {
            TensorView::new(dtype, shape, data).map_err(|error| broken(error.to_string()))
        };
        let tensors = [
            (ROWS, view(Dtype::F32, vec![count, self.columns], &rows)?),
            (INDEX, view(Dtype::U64, vec![count], &indices)?),
        ];
        let labels = Labels { ids: self.ids.clone(), skipped: self.skipped.clone() };
        let labels = serde_json::to_string(&labels).map_err(|error| broken(error.to_string()))?;
        let metadata = HashMap::from([(LABELS.to_owned(), labels)]);
        safetensors::serialize(tensors, Some(metadata)).map_err(|error| broken(error.to_string()))
    }
}

/// The shards of a finished store, mapped.
pub(crate) fn read(dir: &Path) -> Result<Found, EmbeddingsError> {
    let store = Store::open(dir)?;
    let manifest = store.manifest();
    if (manifest.kind.as_str(), manifest.format) != (KIND, FORMAT) {
        let found = format!("{} of format {}", manifest.kind, manifest.format);
        let dir = dir.to_owned();
        return Err(EmbeddingsError::OtherArtefact { dir, found, expected: FORMAT });
    }
    store.verify()?;
    let (mut ids, mut indices, mut found) = (Vec::new(), Vec::new(), Found::default());
    for number in 0..store.shards().count() {
        let name = shard_name(number);
        let path = dir.join(&name);
        if !store.has(&name) {
            return Err(shard_error(&path, "it is missing among the others".to_owned()));
        }
        let (columns, piece) = read_shard(&path, &mut ids, &mut indices, &mut found.skipped)?;
        if number > 0 && columns != found.columns {
            let problem = format!("rows of {columns} numbers, those before have {}", found.columns);
            return Err(shard_error(&path, problem));
        }
        found.columns = columns;
        found.pieces.push(piece);
    }
    (found.ids, found.indices) = (Some(ids), Some(indices));
    Ok(found)
}

fn read_shard(
    path: &Path,
    ids: &mut Vec<String>,
    indices: &mut Vec<usize>,
    skipped: &mut Vec<NoEmbedding>,
) -> Result<(usize, Piece), EmbeddingsError> {
    let map = map(path)?;
    let broken = |problem: &str| shard_error(path, problem.to_owned());
    let failed = |error: safetensors::SafeTensorError| broken(&error.to_string());
    let (_, header) = SafeTensors::read_metadata(&map).map_err(failed)?;
    let labels = header.metadata().as_ref().and_then(|all| all.get(LABELS));
    let labels: Labels = serde_json::from_str(labels.ok_or_else(|| broken("it has no ids"))?)
        .map_err(|error| broken(&error.to_string()))?;
    let file = SafeTensors::deserialize(&map).map_err(failed)?;
    let (rows, index) = (file.tensor(ROWS).map_err(failed)?, file.tensor(INDEX).map_err(failed)?);
    let count = labels.ids.len();
    let &[own, columns] = rows.shape() else { return Err(broken("its rows are no table")) };
    if rows.dtype() != Dtype::F32 || index.dtype() != Dtype::U64 {
        return Err(broken("its numbers are of another type"));
    }
    if own != count || index.shape() != [count] {
        return Err(broken(&format!("{own} rows for {count} ids")));
    }
    ids.extend(labels.ids);
    skipped.extend(labels.skipped);
    let each = index.data().as_chunks().0.iter();
    indices.extend(each.map(|&eight| u64::from_le_bytes(eight) as usize));
    let bytes = place(&map, &rows);
    Ok((columns, Piece::Mapped { map, bytes }))
}

fn shard_error(path: &Path, problem: String) -> EmbeddingsError {
    EmbeddingsError::Shard { path: path.to_owned(), problem }
}

pub(crate) fn shard_name(number: usize) -> String {
    format!("rows-{number:05}.safetensors")
}
