//! How far a long stage is, told to whoever wants to know.

/// Watches a long stage: a progress bar, a log, a test.
///
/// ```
/// use tamis_artifact::Progress;
///
/// #[derive(Default)]
/// struct Counter(u64);
///
/// impl Progress for Counter {
///     fn start(&mut self, _stage: &str, _total: u64, done: u64) {
///         self.0 = done;
///     }
///     fn advance(&mut self, by: u64) {
///         self.0 += by;
///     }
/// }
///
/// fn stage(progress: &mut dyn Progress) {
///     progress.start("count", 10, 4); // four were done before an interruption
///     (4..10).for_each(|_| progress.advance(1));
///     progress.finish();
/// }
///
/// let mut counter = Counter::default();
/// stage(&mut counter);
/// assert_eq!(counter.0, 10);
/// ```
pub trait Progress {
    /// A stage begins: `total` units of work, of which `done` were finished by an earlier run.
    fn start(&mut self, stage: &str, total: u64, done: u64);

    /// `by` more units are finished.
    fn advance(&mut self, by: u64);

    /// The stage is over.
    fn finish(&mut self) {}
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn start(&mut self, _stage: &str, _total: u64, _done: u64) {}
    fn advance(&mut self, _by: u64) {}
}

impl<P: Progress + ?Sized> Progress for &mut P {
    fn start(&mut self, stage: &str, total: u64, done: u64) {
        (**self).start(stage, total, done);
    }
    fn advance(&mut self, by: u64) {
        (**self).advance(by);
    }
    fn finish(&mut self) {
        (**self).finish();
    }
}

impl<P: Progress + ?Sized> Progress for Box<P> {
    fn start(&mut self, stage: &str, total: u64, done: u64) {
        (**self).start(stage, total, done);
    }
    fn advance(&mut self, by: u64) {
        (**self).advance(by);
    }
    fn finish(&mut self) {
        (**self).finish();
    }
}
