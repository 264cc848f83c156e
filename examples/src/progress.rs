//! Progress bars with rate and time left, on standard error.

use indicatif::{ProgressBar, ProgressStyle};
use tamis::artifact::Progress;
use tamis::finetune::{Observer, StepRecord};

/// Shows a bar for each long stage. Where standard error is no terminal, says when a stage begins
/// and ends instead.
#[derive(Debug, Default)]
pub struct Bars {
    stage: String,
    bar: Option<ProgressBar>,
    /// Loss of every optimizer step seen.
    pub losses: Vec<f64>,
}

impl Bars {
    fn begin(&mut self, stage: &str, unit: &str, total: u64, done: u64) {
        let style = ProgressStyle::with_template(&format!(
            "{{prefix:>12}} {{wide_bar}} {{pos}}/{{len}} {unit} {{per_sec}} ETA {{eta}} {{msg}}"
        ));
        let bar = ProgressBar::new(total);
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(stage.to_owned());
        if done > 0 {
            // Keeps what an earlier run did out of the rate.
            bar.set_position(done);
            bar.reset_eta();
        }
        if bar.is_hidden() {
            eprintln!("{stage}: {done} of {total} {unit} done before");
        }
        stage.clone_into(&mut self.stage);
        self.bar = Some(bar);
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            let seconds = bar.elapsed().as_secs_f64();
            if bar.is_hidden() {
                eprintln!("{}: done in {seconds:.1} s", self.stage);
            }
            bar.finish();
        }
    }
}

impl Progress for Bars {
    fn start(&mut self, stage: &str, total: u64, done: u64) {
        self.begin(stage, "samples", total, done);
    }

    fn advance(&mut self, by: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(by);
        }
    }

    fn finish(&mut self) {
        self.end();
    }
}

impl Observer for Bars {
    fn start(&mut self, steps: usize) {
        self.begin("adapt", "steps", steps as u64, 0);
    }

    fn step(&mut self, record: &StepRecord) {
        self.losses.push(record.loss);
        if let Some(bar) = &self.bar {
            bar.set_message(format!("loss {:.3}", record.loss));
            bar.inc(1);
            if bar.is_hidden() && (record.step % 50 == 0 || record.step == record.steps) {
                let StepRecord { step, steps, loss, .. } = record;
                eprintln!("adapt: step {step} of {steps}, loss {loss:.3}");
            }
        }
        if record.step == record.steps {
            self.end();
        }
    }
}
