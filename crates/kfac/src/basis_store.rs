//! Eigenvectors on disk, a layer at a time: second moments belong to the very vectors they were fitted
//! in, and decomposing wide layers takes long.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tamis_artifact::{
    Fingerprint, PassReport, Progress, Provenance, Shards, Store, StoreWriter, run_shards,
};
use tamis_model::LayerInfo;
use tch::{Device, Kind, Tensor};

use crate::eigen::Eigen;
use crate::tensors::{decode, encode};
use crate::{Eigenbasis, Factors, KfacError};

/// Version of the shard layout.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    layer: String,
    shared_input: usize,
}

/// Decomposes `factors` into the store at `dir`, or reads what is there: one shard a layer with
/// `s.values`, `s.vectors` and, for the first layer that reads an input, `a.values` and `a.vectors`.
/// Returns the basis and the fingerprint of its store.
pub(crate) fn decompose(
    dir: &Path,
    provenance: &Provenance,
    factors: &Factors,
    kind: Kind,
    progress: &mut dyn Progress,
) -> Result<(Eigenbasis, Fingerprint), KfacError> {
    let layers = factors.layers();
    let writer = StoreWriter::create_or_resume(dir, &provenance.manifest("eigenvectors", FORMAT))?;
    let (stores, _) = run_shards::<KfacError>(
        &Shards { stage: "eigenvectors", unit: "layers", rows: layers.len(), per_shard: 1 },
        vec![writer],
        shard_name,
        progress,
        |range, _, progress| {
            let n = range.start;
            let (s, a) = Eigenbasis::sides(factors, n, kind)?;
            let mut tensors = named("s", &s);
            tensors.extend(a.iter().flat_map(|a| named("a", a)));
            let shared_input = factors.shared_inputs()[n];
            let header = Header { layer: layers[n].name.clone(), shared_input };
            progress.advance(1);
            Ok((vec![encode(&shard_name(n), &header, &tensors)?], PassReport::default()))
        },
    )?;
    let store = stores.into_iter().next().ok_or(KfacError::NoTokens { samples: 0 })?;
    let mut basis = Eigenbasis::default();
    for (n, (layer, &shared)) in layers.iter().zip(factors.shared_inputs()).enumerate() {
        let (s, a) = read(&store, n, layer, shared, factors.device())?;
        basis.push(layer.clone(), shared, s, a)?;
    }
    Ok((basis, store.fingerprint()))
}

fn named(side: &str, eigen: &Eigen) -> Vec<(String, Tensor)> {
    let (values, vectors) = (eigen.values.shallow_clone(), eigen.vectors.shallow_clone());
    vec![(format!("{side}.values"), values), (format!("{side}.vectors"), vectors)]
}

fn read(
    store: &Store,
    n: usize,
    layer: &LayerInfo,
    shared: usize,
    device: Device,
) -> Result<(Eigen, Option<Eigen>), KfacError> {
    let name = shard_name(n);
    let bytes = store.read(&name)?;
    let file = decode(&name, &bytes)?;
    let header: Header = file.header()?;
    if header.layer != layer.name || header.shared_input != shared {
        return Err(file.error(&format!("it is of layer {}, not {}", header.layer, layer.name)));
    }
    let eigen = |side: &str| -> Result<Eigen, KfacError> {
        Ok(Eigen {
            values: file.tensor(&format!("{side}.values"), device)?,
            vectors: file.tensor(&format!("{side}.vectors"), device)?,
        })
    };
    Ok((eigen("s")?, (shared == n).then(|| eigen("a")).transpose()?))
}

fn shard_name(layer: usize) -> String {
    format!("layer-{layer:05}.safetensors")
}
