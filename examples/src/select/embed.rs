//! Embeddings of the data, computed first.

use anyhow::Result;
use tamis::dataset::Dataset;
use tamis::embeddings::{Embedder, Embeddings};
use tamis::model::{CausalLm, DeviceSpec};
use tamis::report::RunRecord;

use super::Flags;
use crate::{ModelFlags, embedded};

/// Embeds `data` into `embeddings` of the output folder, where an earlier run may have left some or
/// all of them.
///
/// # Errors
/// What the model folder lacks, a folder of embeddings of something else (naming the field), or
/// data of which no row can be embedded.
pub fn embed(
    flags: &Flags,
    model: &ModelFlags,
    data: &Dataset,
    record: &mut RunRecord,
) -> Result<Embeddings> {
    let (encoder, params) = (flags.encoder(model)?, flags.embedding());
    let loaded = model.load()?;
    record.environment.device = Some(DeviceSpec::from(loaded.shape().device).to_string());
    let embedder = Embedder::new(&loaded, &encoder, &params)?;
    embedded(&embedder, data, &flags.out.join("embeddings"), record)
}
