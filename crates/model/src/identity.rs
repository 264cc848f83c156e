//! What decides what a model computes.

use serde::Serialize;
use serde_json::json;
use tamis_artifact::Fingerprint;

use crate::{DType, ModelError, Parameters};

/// The fingerprint of a network: `architecture` names the code that runs, `config` holds every setting
/// that this code reads of config.json, as it understands it. What else stands there changes nothing
/// that is computed and is left out.
///
/// Nor does it name the device or the attention kernel, which decide rounding only.
pub(crate) fn fingerprint(
    architecture: &str,
    config: &impl Serialize,
    parameters: &Parameters,
) -> Result<Fingerprint, ModelError> {
    let config = serde_json::to_value(config)
        .map_err(|source| ModelError::Json { path: "config.json".into(), source })?;
    let dtype: DType = parameters.dtype()?;
    Ok(Fingerprint::from(json!({
        "architecture": architecture,
        "config": config,
        "dtype": dtype,
        "weights": parameters.fingerprint()?,
    })))
}
