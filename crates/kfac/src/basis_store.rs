//! Eigenvectors on disk, a layer at a time: second moments belong to the very vectors they were fitted
//! in, and decomposing wide layers takes long.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tamis_artifact::{Progress, Provenance, Store};
use tamis_model::LayerInfo;
use tch::{Device, Kind};

use crate::eigen::{Eigen, LayerBasis};
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
) -> Result<(Eigenbasis, String), KfacError> {
    let layers = factors.layers();
    let manifest = provenance.manifest("eigenvectors", FORMAT);
    let mut store = Store::create_or_resume(dir, &manifest)?;
    let done = (0..layers.len()).filter(|&n| store.has(&shard_name(n))).count();
    progress.start("eigenvectors", layers.len() as u64, done as u64);
    let mut entries: Vec<LayerBasis> = Vec::new();
    for (n, layer) in layers.iter().enumerate() {
        let name = shard_name(n);
        let first = factors.shared_inputs()[n];
        let entry = if store.has(&name) {
            read(&store, &name, layer, first, n, &entries, factors.device())?
        } else {
            let entry = Eigenbasis::entry(factors, n, kind, &entries)?;
            let header = Header { layer: layer.name.clone(), shared_input: first };
            let mut tensors = vec![("s", &entry.s)];
            if first == n {
                tensors.push(("a", &entry.a));
            }
            let named = |(side, e): (&str, &Eigen)| {
                let (values, vectors) = (e.values.shallow_clone(), e.vectors.shallow_clone());
                [(format!("{side}.values"), values), (format!("{side}.vectors"), vectors)]
            };
            let tensors: Vec<_> = tensors.into_iter().flat_map(named).collect();
            store.write(&name, &encode(&name, &header, &tensors)?)?;
            progress.advance(1);
            entry
        };
        entries.push(entry);
    }
    store.finish()?;
    progress.finish();
    let mut basis = Eigenbasis::default();
    for ((layer, &shared), entry) in layers.iter().zip(factors.shared_inputs()).zip(entries) {
        basis.push(layer.clone(), shared, entry);
    }
    Ok((basis, store.fingerprint().to_owned()))
}

fn read(
    store: &Store,
    name: &str,
    layer: &LayerInfo,
    first: usize,
    n: usize,
    before: &[LayerBasis],
    device: Device,
) -> Result<LayerBasis, KfacError> {
    let bytes = store.read(name)?;
    let file = decode(name, &bytes)?;
    let header: Header = file.header()?;
    if header.layer != layer.name || header.shared_input != first {
        return Err(file.error(&format!("it is of layer {}, not {}", header.layer, layer.name)));
    }
    let eigen = |side: &str| -> Result<Eigen, KfacError> {
        Ok(Eigen {
            values: file.tensor(&format!("{side}.values"), device)?,
            vectors: file.tensor(&format!("{side}.vectors"), device)?,
        })
    };
    let a = match before.get(first) {
        Some(known) if first < n => known.a.shallow_clone(),
        _ => eigen("a")?,
    };
    Ok(LayerBasis { s: eigen("s")?, a })
}

fn shard_name(layer: usize) -> String {
    format!("layer-{layer:05}.safetensors")
}
