//! One of the two stages: a checkpoint, the data it was trained on, and its curvature.

use std::fmt;
use std::num::NonZeroUsize;

use anyhow::{Result, bail};
use tamis::artifact::{Bytes, Fingerprint, hash_bytes};
use tamis::dataset::Encodings;
use tamis::gradients::GradientPass;
use tamis::influence::{ScoreTable, Seeds, scored};
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
}

impl fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Stage<'_> {
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
        made_from: Fingerprint,
        record: &mut RunRecord,
        seeds: impl FnOnce(&GradientPass<'_>) -> Result<Seeds>,
    ) -> Result<ScoreTable> {
        let mut timer = StageTimer::start(format!("scores, {}", self.name));
        let pass = self.pass();
        let name = hash_bytes(format!("{} {}", self.name, made_from.value()).as_bytes());
        let folder = self.flags.out.join("scores").join(&name[..12]);
        let made = || {
            let bytes = Bytes(Seeds::bytes(self.layers, answers.len(), self.model.shape().kind));
            crate::note!("{}: the answers' gradients take {bytes} of memory", self.name);
            seeds(&pass)
        };
        let bars = &mut Bars::default();
        let (store, _, report) = scored(&pass, texts, &[], (&folder, made_from), made, bars)?;
        let resumed = report.resumed == texts.len();
        if resumed {
            crate::note!("{}: all {} texts were scored before", self.name, texts.len());
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
