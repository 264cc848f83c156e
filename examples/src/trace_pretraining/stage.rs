//! One of the two stages: a checkpoint, the data it was trained on, and its curvature.

use std::fmt;
use std::num::NonZeroUsize;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use tamis::artifact::hash_bytes;
use tamis::dataset::{Dataset, Encoder, Encodings};
use tamis::gradients::{Bytes, GradientPass, RowStore, RowType, Sink};
use tamis::influence::{ScoreTable, Seeds};
use tamis::kfac::{CurvatureFit, CurvatureKind, Fitted};
use tamis::model::{CausalLm, LayerInfo};
use tamis::report::{RunRecord, StageTimer};

use super::Flags;
use crate::Bars;

/// A checkpoint and what it was trained on last.
pub struct Stage<'a> {
    /// `pretrained` or `finetuned`: its folder in the results.
    pub name: &'static str,
    /// The flags.
    pub flags: &'a Flags,
    /// The checkpoint.
    pub model: &'a dyn CausalLm,
    /// Its layers whose gradients count.
    pub layers: &'a [LayerInfo],
    /// The data.
    pub data: &'a Encodings<'a>,
    /// Its file, and what tokenises it.
    pub file: (&'a Dataset, &'a Encoder),
}

impl fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Stage<'_> {
    /// What decides the curvature: model and data.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn inputs(&self) -> Result<Map<String, Value>> {
        let (dataset, encoder) = self.file;
        let mut inputs = Map::new();
        inputs.insert("model".to_owned(), json!(self.model.fingerprint()?));
        let data = json!([dataset.content_hash(), dataset.format().to_string()]);
        inputs.insert("data".to_owned(), data);
        inputs.insert("encoder".to_owned(), encoder.description());
        Ok(inputs)
    }

    /// The curvature at this checkpoint, without its damping yet.
    ///
    /// # Errors
    /// A folder made from something else (naming the field), or a sample that is not finite.
    pub fn fit(&self, record: &mut RunRecord) -> Result<Fitted> {
        let (flags, name) = (self.flags, self.name);
        let mut timer = StageTimer::start(format!("curvature, {name}"));
        let count = flags.curvature_samples.map_or(self.data.len(), NonZeroUsize::get);
        let drawn = self.data.sample(count, flags.seed)?;
        let fit = CurvatureFit {
            model: self.model,
            layers: self.layers,
            params: flags.fitting(),
            layers_at_once: flags.curvature_layers.map(NonZeroUsize::get),
        };
        let (kind, bytes) = (flags.curvature, Bytes(fit.bytes(flags.curvature)));
        let layers = self.layers.len();
        crate::note!("{name}: {kind} of {layers} layers, about {bytes} of memory at the most");
        let folder = flags.out.join(name);
        let fitted = fit.run(kind, &drawn, &folder, &mut Bars::default())?;
        let left_out = fitted.left_out().iter();
        record.notes.extend(
            left_out.map(|id| format!("{id}: not finite, left out of the {name} curvature")),
        );
        if kind != CurvatureKind::Identity {
            timer.rows(drawn.len() as u64).resumed(fitted.resumed());
            record.stages.push(timer.finish());
        }
        Ok(fitted)
    }

    /// The pass that takes gradients at this checkpoint.
    pub fn pass(&self) -> GradientPass<'_> {
        GradientPass { model: self.model, layers: self.layers, params: self.flags.passing() }
    }

    /// Scores of all `texts` at this checkpoint, in a folder named by `made_from`, which is everything
    /// else the scores depend on. The seeds are made only if scores are missing.
    ///
    /// # Errors
    /// What `seeds` or the pass reports, or a full disk.
    pub fn scores(
        &self,
        texts: &Encodings<'_>,
        answers: &[tamis::dataset::SampleId],
        made_from: Map<String, Value>,
        record: &mut RunRecord,
        seeds: impl FnOnce(&GradientPass<'_>) -> Result<Seeds>,
    ) -> Result<ScoreTable> {
        let mut timer = StageTimer::start(format!("scores, {}", self.name));
        let pass = self.pass();
        let mut fields = pass.manifest_fields();
        fields.extend(made_from);
        fields.insert("scored_at".to_owned(), json!(self.name));
        let name = hash_bytes(&serde_json::to_vec(&fields)?);
        let folder = self.flags.out.join("scores").join(&name[..12]);
        let mut store = RowStore::create_or_resume(folder, "scores", fields, RowType::F32)?;
        let resumed = store.artifact().is_complete();
        if resumed {
            crate::note!("{}: all {} texts were scored before", self.name, texts.len());
        } else {
            let bytes = Bytes(Seeds::bytes(self.layers, answers.len(), self.model.shape().kind));
            crate::note!("{}: the answers' gradients take {bytes} of memory", self.name);
            let seeds = seeds(&pass)?;
            let mut sinks = [Sink { reducer: &seeds, store: &mut store }];
            pass.run(texts, &mut sinks, &mut Bars::default())?;
        }
        let table = ScoreTable::from_scores(&store, answers)?;
        if let (true, Some(first)) = (table.candidates.is_empty(), table.skipped.first()) {
            bail!("no text can be scored; {}: {}", first.id, first.reason);
        }
        timer.rows(texts.len() as u64).resumed(resumed);
        record.stages.push(timer.finish());
        Ok(table)
    }
}
