//! Checkpoints: everything that going on after an interruption needs, in one folder.

mod params;
mod saved;
mod state;

pub use params::{CheckpointParams, Every, NotADistance};
pub use saved::SavedCheckpoint;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Map, Value};
use tamis_artifact::{Manifest, rename_folder};
use tamis_model::write_tensors;
use tch::{Tensor, no_grad};

use crate::progress::Progress;
use crate::subject::Subject;
use crate::tensor_file;
use crate::validation::best;
use crate::weights::Unfrozen;
use crate::{AdamW, FinetuneError};
use state::State;

const PREFIX: &str = "checkpoint-";
const TEMPORARY_PREFIX: &str = ".checkpoint-";
const LOCK: &str = ".lock";
const OPTIMIZER: &str = "optimizer.safetensors";
/// What follows a weight's name in the optimizer's file.
const FIRST: &str = ".first";
const SECOND: &str = ".second";
const MASTER: &str = ".master";

/// The folder a run keeps its checkpoints in, as `checkpoint-<step>`.
///
/// Each holds the model in Hugging Face layout (or the adapter in PEFT's), the optimizer's moments
/// under the names of the parameters and, in `trainer.json`, the position in schedule and data, the
/// history, the settings, what the run started from, and the checksum of every file. There is no
/// other state: everything random is keyed by (seed, step).
///
/// A checkpoint is written beside its place and renamed into it, so a crash or a full disk leaves
/// the older ones as they were. One process at a time may use a folder.
#[derive(Debug)]
pub struct Checkpoints {
    dir: PathBuf,
    source: PathBuf,
    params: CheckpointParams,
    /// When the last one was written, or the folder opened.
    last: Instant,
    /// Step of the newest one while its weights have not proven good.
    unproven: Option<usize>,
    /// Held until this is dropped or the process ends.
    lock: File,
}

/// What a checkpoint is made of.
pub(crate) struct Contents<'a> {
    pub(crate) subject: Subject<'a>,
    pub(crate) weights: &'a mut Unfrozen,
    pub(crate) optimizer: &'a mut AdamW,
}

/// What a run can go on from.
pub(crate) struct Resumable {
    pub(crate) newest: Found,
    /// Where the weights of the lowest evaluation are, if they are to be kept.
    pub(crate) best: Best,
}

/// Where the weights of the lowest evaluation are.
pub(crate) enum Best {
    /// They are not to be kept, or there was no evaluation.
    None,
    /// They are those that came in.
    Start,
    /// In the newest checkpoint.
    Newest,
    /// In another one.
    Other(Box<Found>),
}

/// A checkpoint whose files are whole.
pub(crate) struct Found {
    pub(crate) dir: PathBuf,
    state: State,
}

impl Checkpoints {
    /// Opens or creates the folder `dir`; `source` is the folder that the model was loaded from.
    ///
    /// What interrupted writes left behind is removed. Other files in the folder are left alone.
    ///
    /// # Errors
    /// A setting outside its range, a folder that cannot be made, or one that another process
    /// uses.
    pub fn open(
        dir: impl Into<PathBuf>,
        source: impl Into<PathBuf>,
        params: CheckpointParams,
    ) -> Result<Self, FinetuneError> {
        params.check()?;
        let (dir, source) = (dir.into(), source.into());
        fs::create_dir_all(&dir).map_err(FinetuneError::io("create the folder", &dir))?;
        let path = dir.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(FinetuneError::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FinetuneError::Locked { dir }),
            Err(TryLockError::Error(error)) => return Err(FinetuneError::io("lock", path)(error)),
        }
        let new = Self { dir, source, params, last: Instant::now(), unproven: None, lock };
        for (name, path) in new.entries()? {
            if name.starts_with(TEMPORARY_PREFIX) {
                remove(&path)?;
            }
        }
        Ok(new)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Steps and folders of all checkpoints, the newest first.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub fn list(&self) -> Result<Vec<(usize, PathBuf)>, FinetuneError> {
        let step = |name: &str| name.strip_prefix(PREFIX)?.parse::<usize>().ok();
        let entries = self.entries()?.into_iter();
        let mut all: Vec<(usize, PathBuf)> =
            entries.filter_map(|(name, path)| Some((step(&name)?, path))).collect();
        all.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
        Ok(all)
    }

    fn entries(&self) -> Result<Vec<(String, PathBuf)>, FinetuneError> {
        let entries = fs::read_dir(&self.dir).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(FinetuneError::io("list", &self.dir))?;
        let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        Ok(entries.iter().map(|entry| (name(entry), entry.path())).collect())
    }

    fn place(&self, step: usize) -> PathBuf {
        self.dir.join(format!("{PREFIX}{step}"))
    }

    /// The newest checkpoint, which must be one of this run; with `keep_best` the one of its lowest
    /// evaluation must be there as well. Damaged ones are passed over, which `tell` is told, as long
    /// as there is an older one that is not.
    pub(crate) fn newest(
        &self,
        run: &Map<String, Value>,
        keep_best: bool,
        mut tell: impl FnMut(&FinetuneError),
    ) -> Result<Option<Resumable>, FinetuneError> {
        let mut damage = None;
        for (step, _) in self.list()? {
            match self.resumable(step, run, keep_best) {
                Ok(found) => return Ok(Some(found)),
                Err(error @ FinetuneError::Damaged { .. }) => {
                    tell(&error);
                    damage.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        damage.map_or(Ok(None), Err)
    }

    fn resumable(
        &self,
        step: usize,
        run: &Map<String, Value>,
        keep_best: bool,
    ) -> Result<Resumable, FinetuneError> {
        let newest = self.at(step, run)?;
        let best = best(&newest.state.progress.evaluations).filter(|_| keep_best);
        let best = match best.map(|best| best.step) {
            None => Best::None,
            // The weights that came in.
            Some(0) => Best::Start,
            Some(best) if best == step => Best::Newest,
            Some(best) => Best::Other(Box::new(self.at(best, run)?)),
        };
        Ok(Resumable { newest, best })
    }

    /// The checkpoint of a given step, which must be one of this run.
    fn at(&self, step: usize, run: &Map<String, Value>) -> Result<Found, FinetuneError> {
        let dir = self.place(step);
        let state = State::read(&dir)?;
        of_run(&dir, &state, run)?;
        Ok(Found { dir, state })
    }

    /// Whether one is due after `step`, an epoch having `epoch` steps.
    pub(crate) fn due(&self, step: usize, epoch: usize, end: bool) -> bool {
        self.params.every.due(step, epoch, self.last.elapsed()) || (end && self.params.at_end)
    }

    /// Writes a checkpoint and returns its folder.
    pub(crate) fn write(
        &mut self,
        contents: &Contents<'_>,
        run: &Map<String, Value>,
        progress: &Progress,
    ) -> Result<PathBuf, FinetuneError> {
        let step = progress.step;
        let temporary = self.dir.join(format!("{TEMPORARY_PREFIX}{step}.tmp"));
        let place = self.place(step);
        let written = self.fill(&temporary, contents, run, progress).and_then(|()| {
            if place.exists() {
                // One that was damaged, or it would not be made again.
                remove(&place)?;
            }
            Ok(rename_folder(&temporary, &place)?)
        });
        if let Err(error) = written {
            // Gives the space back; the first failure is the one to report.
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
        self.last = Instant::now();
        self.unproven = Some(step);
        Ok(place)
    }

    fn fill(
        &self,
        dir: &Path,
        contents: &Contents<'_>,
        run: &Map<String, Value>,
        progress: &Progress,
    ) -> Result<(), FinetuneError> {
        fs::create_dir_all(dir).map_err(FinetuneError::io("create the folder", dir))?;
        contents.subject.save(&self.source, dir)?;
        let mut tensors = Vec::new();
        for moments in contents.optimizer.moments() {
            for (what, tensor) in [(FIRST, &moments.first), (SECOND, &moments.second)] {
                tensors.push((format!("{}{what}", moments.name), tensor.shallow_clone()));
            }
        }
        if let Some(masters) = contents.weights.masters() {
            for (name, master) in masters {
                tensors.push((format!("{name}{MASTER}"), master.shallow_clone()));
            }
        }
        write_tensors(dir.join(OPTIMIZER), tensors)?;
        State::write(dir, run.clone(), progress.clone())
    }

    /// To be called when the weights of the newest checkpoint have proven good: removes those that
    /// need not be kept any more.
    pub(crate) fn settle(&mut self, best: Option<usize>) -> Result<(), FinetuneError> {
        if self.unproven.take().is_none() {
            return Ok(());
        }
        let all = self.list()?;
        let (kept, old) = all.split_at(all.len().min(self.params.keep));
        // To go on from a kept one needs the best one of its time, too.
        let mut needed: Vec<usize> = best.into_iter().collect();
        for (_, dir) in kept.iter().filter(|_| best.is_some()) {
            // One that is damaged will be passed over.
            if let Ok(state) = State::alone(dir) {
                needed.extend(self::best(&state.progress.evaluations).map(|best| best.step));
            }
        }
        for (step, dir) in old {
            if !needed.contains(step) {
                remove(dir)?;
            }
        }
        Ok(())
    }

    /// To be called when the weights after `step` have proven bad: removes their checkpoint, if
    /// there is one. Returns the newest of the others.
    pub(crate) fn discard(&mut self, step: usize) -> Result<Option<PathBuf>, FinetuneError> {
        let place = self.place(step);
        if place.exists() {
            remove(&place)?;
        }
        Ok(self.list()?.into_iter().next().map(|(_, dir)| dir))
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        // Closing the file would do, were it not for processes being started by other threads at
        // this moment, which share its handle until they run.
        let _ = self.lock.unlock();
    }
}

impl Found {
    /// Steps taken before it was written.
    pub(crate) fn step(&self) -> usize {
        self.state.progress.step
    }

    /// Overwrites weights and optimizer with those of the checkpoint; returns how far it had come.
    pub(crate) fn restore(self, contents: &mut Contents<'_>) -> Result<Progress, FinetuneError> {
        contents.subject.restore(&self.dir)?;
        contents.weights.refresh()?;
        let path = self.dir.join(OPTIMIZER);
        let tensors = tensor_file::read(&path)?;
        let find = |name: &str, what: &str, like: &Tensor| {
            let name = format!("{name}{what}");
            let found = tensors.get(&name).filter(|found| found.size() == like.size());
            found.ok_or_else(|| FinetuneError::File {
                path: path.clone(),
                problem: format!("`{name}` is missing or not of shape {:?}", like.size()),
            })
        };
        no_grad(|| {
            if let Some(masters) = contents.weights.masters() {
                for (name, master) in masters {
                    master.shallow_clone().f_copy_(find(name, MASTER, master)?)?;
                }
            }
            contents.optimizer.restore(self.state.progress.step as u64, |moments| {
                let first = find(&moments.name, FIRST, &moments.first)?;
                let second = find(&moments.name, SECOND, &moments.second)?;
                moments.first.f_copy_(first)?;
                moments.second.f_copy_(second)?;
                Ok(())
            })
        })?;
        Ok(self.state.progress)
    }

    /// Overwrites the weights alone.
    pub(crate) fn restore_weights(&self, subject: Subject<'_>) -> Result<(), FinetuneError> {
        subject.restore(&self.dir)
    }
}

/// Refuses a checkpoint of another run.
fn of_run(dir: &Path, state: &State, run: &Map<String, Value>) -> Result<(), FinetuneError> {
    let manifest = |fields: &Map<String, Value>| Manifest {
        kind: "training".to_owned(),
        format: 1,
        fields: fields.clone(),
    };
    let differences = manifest(&state.run).differences(&manifest(run));
    if differences.is_empty() {
        return Ok(());
    }
    Err(FinetuneError::OtherRun { dir: dir.to_owned(), differences })
}

fn remove(dir: &Path) -> Result<(), FinetuneError> {
    fs::remove_dir_all(dir).map_err(FinetuneError::io("remove", dir))
}
