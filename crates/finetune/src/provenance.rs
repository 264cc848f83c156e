//! What decides a run: its checkpoints are refused where any of it differs.

use serde::Serialize;
use serde_json::{Map, Value, json};
use tamis_artifact::{Fingerprint, Provenance};
use tamis_dataset::Encodings;

use crate::subject::Subject;
use crate::{EvalParams, FinetuneError, LoraParams, TrainParams};

/// Version of what the run of a checkpoint holds.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Settings<'a> {
    training: &'a TrainParams,
    #[serde(skip_serializing_if = "Option::is_none")]
    lora: Option<&'a LoraParams>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluation: Option<EvalParams>,
}

/// Everything that decides the bytes of a run. To be asked before anything is changed.
pub(crate) fn provenance(
    params: &TrainParams,
    subject: &Subject<'_>,
    data: &Encodings<'_>,
    validation: Option<(&Encodings<'_>, EvalParams)>,
) -> Result<Map<String, Value>, FinetuneError> {
    let lora = subject.lora.map(super::lora::Lora::params);
    let evaluation = validation.map(|(_, how)| how);
    let mut provenance = Provenance::new()
        .source(data.fingerprint()?)
        .encoder(data.encoder_fingerprint())
        .model(subject.model.fingerprint()?)
        .settings(&Settings { training: params, lora, evaluation })?;
    if let Some(lora) = subject.lora {
        provenance = provenance.made_from("adapter", Fingerprint::from(lora.fingerprint()?));
    }
    if let Some((held_out, _)) = validation {
        let (source, encoder) = (held_out.fingerprint()?, held_out.encoder_fingerprint());
        let held_out = json!({ "source": source, "encoder": encoder });
        provenance = provenance.made_from("held_out", Fingerprint::from(held_out));
    }
    Ok(provenance.manifest("training", FORMAT).fields)
}
