//! How far a long stage is, told to whoever wants to know.

use serde_json::Value;

/// A stage that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage<'a> {
    /// Its name: `gradients`, `covariances`, `round 3`.
    pub name: &'a str,
    /// What it counts, in the plural: `rows`, `steps`, `layers`.
    pub unit: &'a str,
    /// How many of these there are.
    pub total: u64,
    /// How many of them an earlier run finished.
    pub done: u64,
}

impl<'a> Stage<'a> {
    /// A stage of `total` units, none of them done.
    pub fn new(name: &'a str, unit: &'a str, total: usize) -> Self {
        Self { name, unit, total: total as u64, done: 0 }
    }

    /// `done` of the units were finished by an earlier run.
    #[must_use]
    pub fn resumed(self, done: usize) -> Self {
        Self { done: done as u64, ..self }
    }
}

/// Watches a long stage: a progress bar, a log, a test. Everything that takes time takes one.
///
/// ```
/// use tamis_artifact::{Progress, Stage};
///
/// #[derive(Default)]
/// struct Counter(u64);
///
/// impl Progress for Counter {
///     fn start(&mut self, stage: &Stage<'_>) {
///         self.0 = stage.done;
///     }
///     fn advance(&mut self, by: u64) {
///         self.0 += by;
///     }
/// }
///
/// fn count(progress: &mut dyn Progress) {
///     progress.start(&Stage::new("count", "numbers", 10).resumed(4));
///     (4..10).for_each(|_| progress.advance(1));
///     progress.finish();
/// }
///
/// let mut counter = Counter::default();
/// count(&mut counter);
/// assert_eq!(counter.0, 10);
/// ```
pub trait Progress {
    /// A stage begins.
    fn start(&mut self, stage: &Stage<'_>);

    /// `by` more units are finished.
    fn advance(&mut self, by: u64);

    /// Something was measured on the way, such as the loss of a step: the kind of the record, and its numbers.
    fn record(&mut self, _kind: &str, _record: &Value) {}

    /// The stage is over.
    fn finish(&mut self) {}
}

/// Tells rows of a shard to a [`Progress`] where the work goes by something else, such as tokens in batches that are ordered
/// by length: each piece of work is told as its share of the rows.
pub struct RowShare<'a> {
    progress: &'a mut dyn Progress,
    rows: usize,
    of: usize,
    told: usize,
    done: usize,
}

impl std::fmt::Debug for RowShare<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowShare")
            .field("rows", &self.rows)
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}

impl<'a> RowShare<'a> {
    /// `rows` rows that take `of` pieces of work.
    pub fn new(progress: &'a mut dyn Progress, rows: usize, of: usize) -> Self {
        Self { progress, rows, of: of.max(1), told: 0, done: 0 }
    }

    /// `pieces` more are done.
    pub fn done(&mut self, pieces: usize) {
        self.done += pieces;
        self.tell((self.rows * self.done / self.of).min(self.rows));
    }

    /// All of them are.
    pub fn finish(mut self) {
        self.tell(self.rows);
    }

    fn tell(&mut self, rows: usize) {
        self.progress.advance((rows - self.told) as u64);
        self.told = rows;
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn start(&mut self, _stage: &Stage<'_>) {}
    fn advance(&mut self, _by: u64) {}
}

impl<P: Progress + ?Sized> Progress for &mut P {
    fn start(&mut self, stage: &Stage<'_>) {
        (**self).start(stage);
    }
    fn advance(&mut self, by: u64) {
        (**self).advance(by);
    }
    fn record(&mut self, kind: &str, record: &Value) {
        (**self).record(kind, record);
    }
    fn finish(&mut self) {
        (**self).finish();
    }
}

impl<P: Progress + ?Sized> Progress for Box<P> {
    fn start(&mut self, stage: &Stage<'_>) {
        (**self).start(stage);
    }
    fn advance(&mut self, by: u64) {
        (**self).advance(by);
    }
    fn record(&mut self, kind: &str, record: &Value) {
        (**self).record(kind, record);
    }
    fn finish(&mut self) {
        (**self).finish();
    }
}

/// Two that watch are one.
impl<A: Progress, B: Progress> Progress for (A, B) {
    fn start(&mut self, stage: &Stage<'_>) {
        self.0.start(stage);
        self.1.start(stage);
    }
    fn advance(&mut self, by: u64) {
        self.0.advance(by);
        self.1.advance(by);
    }
    fn record(&mut self, kind: &str, record: &Value) {
        self.0.record(kind, record);
        self.1.record(kind, record);
    }
    fn finish(&mut self) {
        self.0.finish();
        self.1.finish();
    }
}
