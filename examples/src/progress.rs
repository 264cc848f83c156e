//! Progress with rate and time left, on standard error.

use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use tamis::artifact::{Progress, Stage};
use tamis::finetune::{EvalRecord, FinetuneError, Observer, StepRecord};

/// Shows a bar for each long stage; where standard error is no terminal, a line for every tenth of
/// it instead.
#[derive(Debug, Default)]
pub struct Bars {
    current: Option<Bar>,
    /// What a training run is called; "adapt" if not told.
    training: Option<&'static str>,
    /// The newest loss on held-out data.
    held_out: Option<f64>,
}

#[derive(Debug)]
struct Bar {
    name: String,
    unit: String,
    bar: ProgressBar,
    begun: Instant,
    /// Where this run took over from an earlier one.
    from: u64,
    /// Tenths that were told already.
    told: u64,
}

impl Bar {
    fn begin(name: &str, unit: &str, total: u64, done: u64) -> Self {
        let bar = ProgressBar::new(total);
        let template = format!(
            "{{prefix:>10}} {{wide_bar}} {{pos}}/{{len}} {unit} {{per_sec}} ETA {{eta}} {{msg}}"
        );
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        // What an earlier run did must not count as this one's rate.
        bar.set_position(done);
        bar.reset_eta();
        if bar.is_hidden() && done > 0 {
            crate::note!("{name}: {done} of {total} {unit} were done before");
        }
        let told = 10 * done / total.max(1);
        Self {
            name: name.to_owned(),
            unit: unit.to_owned(),
            bar,
            begun: Instant::now(),
            from: done,
            told,
        }
    }

    fn advance(&mut self, by: u64, note: &str) {
        self.bar.set_message(note.to_owned());
        self.bar.inc(by);
        let (at, total) = (self.bar.position(), self.bar.length().unwrap_or(0).max(1));
        if !self.bar.is_hidden() || 10 * at / total == self.told {
            return;
        }
        self.told = 10 * at / total;
        let rate = (at - self.from) as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        let left = total.saturating_sub(at) as f64 / rate;
        let (name, unit) = (&self.name, &self.unit);
        crate::note!("{name}: {at} of {total} {unit}, {rate:.1}/s, {left:.0} s left {note}");
    }

    fn end(&self) {
        self.bar.finish();
        if self.bar.is_hidden() {
            crate::note!("{}: took {:.1} s", self.name, self.begun.elapsed().as_secs_f64());
        }
    }
}

impl Progress for Bars {
    fn start(&mut self, stage: &Stage<'_>) {
        self.current = Some(Bar::begin(stage.name, stage.unit, stage.total, stage.done));
    }

    fn advance(&mut self, by: u64) {
        if let Some(stage) = &mut self.current {
            stage.advance(by, "");
        }
    }

    fn finish(&mut self) {
        if let Some(stage) = self.current.take() {
            stage.end();
        }
    }
}

impl Bars {
    /// Bars that call a training run `name`.
    pub fn training(name: &'static str) -> Self {
        Self { training: Some(name), ..Self::default() }
    }

    fn begin_training(&mut self, steps: u64, done: u64) {
        let name = self.training.unwrap_or("adapt");
        self.current = Some(Bar::begin(name, "steps", steps, done));
    }
}

impl Observer for Bars {
    fn start(&mut self, steps: usize) {
        self.begin_training(steps as u64, 0);
    }

    fn damaged(&mut self, damage: &FinetuneError) {
        crate::note!("passing over a checkpoint: {damage}");
    }

    fn resume(&mut self, step: usize, checkpoint: &Path) {
        if let Some(stage) = self.current.take() {
            let steps = stage.bar.length().unwrap_or(0);
            stage.bar.finish_and_clear();
            crate::note!("going on from {}", checkpoint.display());
            self.begin_training(steps, step as u64);
        }
    }

    fn step(&mut self, record: &StepRecord) {
        if let Some(stage) = &mut self.current {
            let rate = record.tokens as f64 / record.seconds.max(1e-9);
            let held_out =
                self.held_out.map_or(String::new(), |loss| format!(", held out {loss:.3}"));
            let note = format!("(loss {:.3}{held_out}, {rate:.0} tokens/s)", record.loss);
            stage.advance(1, &note);
        }
        if record.step == record.steps {
            Progress::finish(self);
        }
    }

    fn evaluation(&mut self, record: &EvalRecord) {
        self.held_out = Some(record.loss);
    }
}
