//! The loop itself: rounds of choosing, training and looking again.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use tamis_artifact::{Fingerprint, Manifest, Progress, Provenance, Random, rename_folder};
use tamis_dataset::{SampleId, Source, ids_of};

use crate::evolution::reason;
use crate::folder::{Folder, files, flush, make, remove, write_file, write_lines};
use crate::journal::{FORMAT, Journal, KIND, Pick, Picked as Entry, Trained};
use crate::pick::{Choice, Choices, Picking};
use crate::times::Times;
use crate::{
    DiverseEvol, EvolError, Evolution, Metrics, Need, Picked, Round, RoundStage, Sight, Task,
    Trainer, View, Viewer, hash_folder,
};

impl DiverseEvol {
    /// Grows a training set out of `rows` in the folder `dir`, or goes on with one that was interrupted. Every training
    /// begins with the model in the folder `base`. Trainer and viewer know the rows by their positions.
    ///
    /// Round 0 draws records at random. Every later round looks at the pool with a model that was
    /// trained, from the base model on, on what was chosen so far, and adds the records that the
    /// strategy prefers. The [crate's page](crate) says what lies in `dir`.
    ///
    /// `progress` is told records: `begun` and `done before` (round, stage, records), `measured` (round, metrics). Whatever is finished is never done again, and equal input leads to an equal choice over any
    /// number of interruptions. One process at a time can use a folder.
    ///
    /// # Errors
    /// Before anything is done: rows that cannot be read, a budget beyond them, two records of one id, a folder that was
    /// made from something else (naming the field). Later: what trainer, viewer or disk report; the folder
    /// then holds everything up to there.
    pub fn run<T: Trainer, V: Viewer>(
        &self,
        rows: &dyn Source,
        base: impl AsRef<Path>,
        dir: impl AsRef<Path>,
        trainer: &mut T,
        viewer: &mut V,
        progress: &mut dyn Progress,
    ) -> Result<Evolution, EvolError> {
        let (ids, base) = (ids_of(rows)?, base.as_ref());
        self.check_ids(&ids)?;
        let folder = Folder(dir.as_ref().to_owned());
        let manifest = self.manifest(rows, base, trainer, viewer)?;
        make(&folder.0)?;
        let journal = Journal::open(&folder.journal(), &manifest, &ids)?;
        let times = Times::read(&folder.times())?;
        let session = Session {
            evol: self,
            ids: &ids,
            base,
            folder,
            journal,
            times,
            trainer,
            viewer,
            progress,
            sure: None,
        };
        session.run()
    }

    fn check_ids(&self, ids: &[SampleId]) -> Result<(), EvolError> {
        let (params, records) = (&self.params, ids.len());
        if self.budget() > records {
            return Err(EvolError::Budget {
                initial: params.initial,
                per_round: params.per_round,
                rounds: params.rounds,
                budget: self.budget(),
                records,
            });
        }
        let mut seen = HashMap::with_capacity(records);
        for (second, id) in ids.iter().enumerate() {
            if let Some(first) = seen.insert(id, second) {
                return Err(EvolError::DuplicateId { id: id.clone(), first, second });
            }
        }
        Ok(())
    }

    /// Everything that decides what is chosen. The number of rounds does not decide about earlier ones,
    /// so a finished run can be given more.
    fn manifest<T: Trainer, V: Viewer>(
        &self,
        rows: &dyn Source,
        base: &Path,
        trainer: &T,
        viewer: &V,
    ) -> Result<Manifest, EvolError> {
        let params = &self.params;
        let settings = json!({
            "strategy": params.strategy,
            "metric": params.metric,
            "initial": params.initial,
            "per_round": params.per_round,
            "seed": params.seed,
        });
        Ok(Provenance::new()
            .source(rows.fingerprint()?)
            .model(Fingerprint::from(hash_folder(base)?))
            .settings(&settings)?
            .made_from("trainer", Fingerprint::from(trainer.description()))
            .made_from("viewer", Fingerprint::from(viewer.description()))
            .manifest(KIND, FORMAT))
    }
}

struct Session<'a, T, V> {
    evol: &'a DiverseEvol,
    ids: &'a [SampleId],
    base: &'a Path,
    folder: Folder,
    journal: Journal,
    times: Times,
    trainer: &'a mut T,
    viewer: &'a mut V,
    progress: &'a mut dyn Progress,
    /// The round whose model is known to be what training wrote.
    sure: Option<usize>,
}

impl<T: Trainer, V: Viewer> Session<'_, T, V> {
    fn run(mut self) -> Result<Evolution, EvolError> {
        for round in 0..=self.evol.params.rounds {
            self.choose(round)?;
            if self.evol.trains(round) {
                self.train(round)?;
                self.measure(round)?;
            }
            self.tidy(round)?;
            self.write_files(round)?;
        }
        if !self.evol.params.keep_views {
            remove(&self.folder.base_view())?;
        }
        Ok(self.evolution())
    }

    /// A stage begins; `records` are those of the training set at this time.
    fn begin(&mut self, round: usize, stage: RoundStage, records: usize) {
        self.progress
            .record("begun", &json!({ "round": round, "stage": stage, "records": records }));
    }

    /// A stage was finished by an earlier run and is not done again.
    fn done_before(&mut self, round: usize, stage: RoundStage) {
        self.progress.record("done before", &json!({ "round": round, "stage": stage }));
    }

    /// The records that a round adds.
    fn choose(&mut self, round: usize) -> Result<(), EvolError> {
        if self.journal.picked.contains_key(&round) {
            self.done_before(round, RoundStage::Pick);
            return Ok(());
        }
        let params = &self.evol.params;
        let chosen = match round.checked_sub(1) {
            Some(last) => self.journal.chosen(last),
            None => Vec::new(),
        };
        let picking = Picking {
            ids: self.ids,
            chosen: &chosen,
            count: if round == 0 { params.initial } else { params.per_round },
            metric: params.metric,
            seed: seed_of(params.seed, round),
        };
        let view = match params.strategy.need().filter(|_| round > 0) {
            Some(need) => {
                self.begin(round, RoundStage::View, chosen.len());
                let begun = Instant::now();
                let view = self.view(round, need)?;
                self.times.add(round, RoundStage::View, begun.elapsed().as_secs_f64())?;
                Some(view)
            }
            None => None,
        };
        self.begin(round, RoundStage::Pick, chosen.len());
        let begun = Instant::now();
        let choices = match &view {
            Some(view) => picking.with(params.strategy, view)?,
            None => picking.random()?,
        };
        let entry = self.entry(&choices);
        self.journal.add_picked(round, entry)?;
        self.times.add(round, RoundStage::Pick, begun.elapsed().as_secs_f64())
    }

    fn entry(&self, choices: &Choices) -> Entry {
        let pick = |choice: &Choice| Pick {
            index: choice.index,
            id: self.ids[choice.index].clone(),
            radius: choice.radius,
            score: choice.score,
        };
        Entry {
            radius_before: choices.radius_before,
            radius_after: choices.radius_after,
            picks: choices.picks.iter().map(pick).collect(),
        }
    }

    /// The pool, seen as round `round` has to see it.
    fn view(&mut self, round: usize, need: Need) -> Result<View<V::Rows>, EvolError> {
        let before = round.checked_sub(1).filter(|_| self.evol.params.strategy.needs_training());
        let (model, place) = match before {
            Some(before) => {
                self.make_sure(before)?;
                (self.folder.model(before), self.folder.view(before))
            }
            None => (self.base.to_owned(), self.folder.base_view()),
        };
        let sight = Sight { round: before, model: &model, place: &place };
        let seen = self.viewer.view(&sight, need);
        seen.map_err(|reason| EvolError::Viewing { model, reason })
    }

    /// Refuses a model that is not what training wrote.
    fn make_sure(&mut self, round: usize) -> Result<(), EvolError> {
        let folder = self.folder.model(round);
        if self.sure == Some(round) {
            return Ok(());
        }
        if !folder.is_dir() {
            return Err(EvolError::ModelGone { round, folder });
        }
        let found = hash_folder(&folder)?;
        match self.journal.trained.get(&round) {
            Some(trained) if trained.model != found => {
                let expected = trained.model.clone();
                Err(EvolError::ModelChanged { round, folder, found, expected })
            }
            _ => {
                self.sure = Some(round);
                Ok(())
            }
        }
    }

    /// A fresh model on the training set of a round.
    fn train(&mut self, round: usize) -> Result<(), EvolError> {
        let (unfinished, model) = (self.folder.unfinished(round), self.folder.model(round));
        if self.journal.trained.contains_key(&round) {
            self.done_before(round, RoundStage::Train);
        } else {
            let mut records = self.journal.chosen(round);
            records.sort_unstable();
            let work = self.folder.work(round);
            make(&work)?;
            remove(&unfinished)?;
            self.begin(round, RoundStage::Train, records.len());
            let begun = Instant::now();
            let task = Task { round, records: &records, work: &work, model: &unfinished };
            let trained = self.trainer.train(&task);
            let count = records.len();
            let metrics =
                trained.map_err(|reason| EvolError::Training { round, records: count, reason })?;
            let hash = hash_of_new(round, &unfinished)?;
            remove(&model)?;
            // The journal first: what it knows is never trained again.
            self.journal.add_trained(round, Trained { model: hash, metrics })?;
            self.times.add(round, RoundStage::Train, begun.elapsed().as_secs_f64())?;
            self.sure = Some(round);
        }
        // Also where an interruption came between the journal and this.
        if unfinished.is_dir() && !model.exists() {
            rename_folder(&unfinished, &model)?;
        }
        Ok(())
    }

    fn measure(&mut self, round: usize) -> Result<(), EvolError> {
        if self.journal.measured.contains_key(&round) {
            self.done_before(round, RoundStage::Measure);
            return Ok(());
        }
        self.make_sure(round)?;
        self.begin(round, RoundStage::Measure, self.evol.size(round));
        let begun = Instant::now();
        let (model, place) = (self.folder.model(round), self.folder.view(round));
        let sight = Sight { round: Some(round), model: &model, place: &place };
        let metrics = self.viewer.measure(&sight);
        let metrics = metrics.map_err(|reason| EvolError::Measuring { model, reason })?;
        self.journal.add_measured(round, metrics)?;
        self.times.add(round, RoundStage::Measure, begun.elapsed().as_secs_f64())?;
        let metrics = self.metrics(round);
        self.progress.record("measured", &json!({ "round": round, "metrics": metrics }));
        Ok(())
    }

    /// Removes what is not needed any more now that `round` is as far as it is.
    fn tidy(&self, round: usize) -> Result<(), EvolError> {
        if self.journal.trained.contains_key(&round) {
            remove(&self.folder.work(round))?;
        }
        let params = &self.evol.params;
        let Some(before) = round.checked_sub(1) else { return Ok(()) };
        if !params.keep_models {
            remove(&self.folder.model(before))?;
        }
        if !params.keep_views {
            remove(&self.folder.view(before))?;
        }
        Ok(())
    }

    /// What people look at; all of it comes from the journal, and is written again if it is not there.
    fn write_files(&self, round: usize) -> Result<(), EvolError> {
        let folder = self.folder.round(round);
        make(&folder)?;
        let all = self.journal.chosen(round);
        let Some(entry) = self.journal.picked.get(&round) else { return Ok(()) };
        let picks = self.picks(round, entry, all.len() - entry.picks.len());
        write_lines(&folder.join("picks.jsonl"), picks.iter().map(|pick| json!(pick)))?;
        let mut set = all;
        set.sort_unstable();
        let line = |&index: &usize| json!({ "id": self.ids[index], "index": index });
        write_lines(&folder.join("selected.jsonl"), set.iter().map(line))?;
        let model = self.journal.trained.get(&round);
        let about = json!({
            "round": round,
            "size": set.len(),
            "radius_before": entry.radius_before,
            "radius_after": entry.radius_after,
            "model": model.map(|_| "model"),
            "blake3": model.map(|trained| &trained.model),
            "metrics": self.metrics(round),
        });
        write_file(&folder.join("round.json"), format!("{about:#}\n").as_bytes())
    }

    fn picks(&self, round: usize, entry: &Entry, before: usize) -> Vec<Picked> {
        let strategy = self.evol.params.strategy;
        let pick = |(order, pick): (usize, &Pick)| Picked {
            index: pick.index,
            id: pick.id.clone(),
            order,
            radius: pick.radius,
            score: pick.score,
            reason: reason(strategy, round, pick.radius, pick.score),
        };
        (before..).zip(&entry.picks).map(pick).collect()
    }

    fn metrics(&self, round: usize) -> Metrics {
        let mut metrics =
            self.journal.trained.get(&round).map_or_else(Metrics::new, |t| t.metrics.clone());
        metrics.extend(self.journal.measured.get(&round).cloned().unwrap_or_default());
        metrics
    }

    fn evolution(&self) -> Evolution {
        let mut size = 0;
        let rounds = self.journal.picked.range(..=self.evol.params.rounds);
        let round = |(&round, entry): (&usize, &Entry)| {
            let picks = self.picks(round, entry, size);
            size += picks.len();
            let model = self.folder.model(round);
            Round {
                round,
                dir: self.folder.round(round),
                size,
                picks,
                radius_before: entry.radius_before,
                radius_after: entry.radius_after,
                metrics: self.metrics(round),
                model: self.journal.trained.get(&round).map(|trained| trained.model.clone()),
                folder: Some(model).filter(|model| model.is_dir()),
                seconds: self.times.of(round),
            }
        };
        let rounds = rounds.map(round).collect();
        Evolution { strategy: self.evol.params.strategy, rounds }
    }
}

/// Names what training left behind, which has to be there and to stay.
fn hash_of_new(round: usize, folder: &Path) -> Result<String, EvolError> {
    let missing = |problem| EvolError::NoModel { round, folder: folder.to_owned(), problem };
    if !folder.is_dir() {
        return Err(missing("is not there"));
    }
    if files(folder)?.is_empty() {
        return Err(missing("has no file in it"));
    }
    flush(folder)?;
    hash_folder(folder)
}

/// The seed of a round: another for each, and for each seed others.
fn seed_of(seed: u64, round: usize) -> u64 {
    Random::keyed(seed, "seed of a round", &round.to_string()).next_u64()
}
