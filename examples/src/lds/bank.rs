//! The bank: what training on random halves of the pool does to the loss of every query.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tamis::artifact::{Ledger, NoProgress, Provenance, Random};
use tamis::dataset::{Encoded, Encodings};
use tamis::finetune::TrainParams;
use tamis::model::{CausalLm, Parameters};

use crate::batches::mean_losses;

/// One training and what it led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retraining {
    /// Number of the half.
    pub subset: usize,
    /// Number of the training on it.
    pub repeat: usize,
    /// Loss of every query afterwards, nats per target token.
    pub losses: Vec<f64>,
}

/// Positions of the samples of half `subset` of `samples`, ascending; the smaller half of an odd
/// number.
pub fn half(samples: usize, subset: usize, seed: u64) -> Vec<usize> {
    Random::keyed(seed, "lds half", &subset.to_string()).sample(samples, samples / 2)
}

/// What retrainings are made of.
#[derive(Debug)]
pub struct Bank<'a> {
    /// The weights every training begins with.
    pub start: Parameters,
    /// Settings of training; its seed is that of the halves and orders.
    pub training: TrainParams,
    /// The pool.
    pub data: &'a [Encoded],
    /// Whose losses are measured.
    pub queries: &'a [Encoded],
}

impl Bank<'_> {
    /// Trains `model` on the halves 0 to `subsets`, each `repeats` times in other orders, unless an
    /// earlier run did, and returns the losses: those of each half for each repeat.
    ///
    /// The file at `path` gets one record a training, on the disk before the next one begins.
    ///
    /// # Errors
    /// A file made from something else (naming the field), a training that diverges, a full disk.
    pub fn run(
        &self,
        model: &mut dyn CausalLm,
        subsets: usize,
        repeats: usize,
        path: &Path,
    ) -> Result<Vec<Vec<Vec<f64>>>> {
        model.parameters().copy_from(&self.start)?;
        let manifest = Provenance::new()
            .source(Encodings::of(self.data).fingerprint()?)
            .model(model.fingerprint()?)
            .settings(&json!({ "share": 0.5, "train": self.training }))?
            .made_from("queries", Encodings::of(self.queries).fingerprint()?)
            .manifest("retrainings", 2);
        let (mut ledger, done) = Ledger::open::<Retraining>(path, &manifest)?;
        let mut known: HashMap<(usize, usize), Vec<f64>> =
            done.into_iter().map(|one| ((one.repeat, one.subset), one.losses)).collect();
        let wanted = subsets * repeats;
        let missing = (0..repeats).flat_map(|repeat| (0..subsets).map(move |n| (repeat, n)));
        let missing: Vec<(usize, usize)> = missing.filter(|key| !known.contains_key(key)).collect();
        if missing.len() < wanted {
            crate::note!("bank: {} of {wanted} trainings were done before", wanted - missing.len());
        }
        let begun = Instant::now();
        // Repeats outermost: an interrupted bank has every half once before it has any twice.
        for (count, &(repeat, subset)) in missing.iter().enumerate() {
            let losses = self.train(model, subset, repeat)?;
            ledger.append(&Retraining { subset, repeat, losses: losses.clone() })?;
            let mean = losses.iter().sum::<f64>() / losses.len() as f64;
            let pace = begun.elapsed().as_secs_f64() / (count + 1) as f64;
            crate::note!(
                "bank: half {subset}, training {repeat}: mean loss of the queries {mean:.4}; {:.1} s \
                 each, {:.1} min left",
                pace,
                pace * (missing.len() - count - 1) as f64 / 60.0
            );
            known.insert((repeat, subset), losses);
        }
        let of = |repeat| (0..subsets).filter_map(|n| known.remove(&(repeat, n))).collect();
        Ok((0..repeats).map(of).collect())
    }

    /// Losses of the queries after training on a half from the start.
    fn train(&self, model: &mut dyn CausalLm, subset: usize, repeat: usize) -> Result<Vec<f64>> {
        model.parameters().copy_from(&self.start)?;
        let half = half(self.data.len(), subset, self.training.seed);
        let rows: Vec<Encoded> = half.iter().map(|&row| self.data[row].clone()).collect();
        let name = format!("{subset} {repeat}");
        let seed = Random::keyed(self.training.seed, "lds order", &name).next_u64();
        let trainer = TrainParams { seed, ..self.training.clone() }.check()?;
        let trained = trainer.train(model, &Encodings::of(&rows), &mut NoProgress);
        trained.with_context(|| format!("training on half {subset}"))?;
        let losses = mean_losses(model, self.queries, self.training.token_budget)?;
        for (query, loss) in self.queries.iter().zip(&losses) {
            ensure!(
                loss.is_finite(),
                "after training on half {subset} the loss of query {} is {loss}; lower --learning-rate",
                query.id
            );
        }
        Ok(losses)
    }
}
