//! Progress with rate and time left, on standard error.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tamis::artifact::{Progress, Stage};

/// Shows a bar for each long stage; where standard error is no terminal, a line for every tenth of
/// it instead.
#[derive(Debug, Default)]
pub struct Bars {
    current: Option<Bar>,
    /// What a training run is called, if not training.
    training: Option<&'static str>,
    /// What is said beside the bar.
    note: String,
    /// The newest loss on held-out data.
    held_out: Option<f64>,
}

#[derive(Debug)]
struct Bar {
    name: String,
    unit: String,
    shown: ProgressBar,
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
            shown: bar,
            begun: Instant::now(),
            from: done,
            told,
        }
    }

    fn advance(&mut self, by: u64, note: &str) {
        self.shown.set_message(note.to_owned());
        self.shown.inc(by);
        let (at, total) = (self.shown.position(), self.shown.length().unwrap_or(0).max(1));
        if !self.shown.is_hidden() || 10 * at / total == self.told {
            return;
        }
        self.told = 10 * at / total;
        let rate = (at - self.from) as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        let left = total.saturating_sub(at) as f64 / rate;
        let (name, unit) = (&self.name, &self.unit);
        crate::note!("{name}: {at} of {total} {unit}, {rate:.1}/s, {left:.0} s left {note}");
    }

    fn end(&self) {
        self.shown.finish();
        if self.shown.is_hidden() {
            crate::note!("{}: took {:.1} s", self.name, self.begun.elapsed().as_secs_f64());
        }
    }
}

impl Progress for Bars {
    fn start(&mut self, stage: &Stage<'_>) {
        let name = match self.training {
            Some(name) if stage.name == "training" => name,
            _ => stage.name,
        };
        self.note.clear();
        self.current = Some(Bar::begin(name, stage.unit, stage.total, stage.done));
    }

    fn advance(&mut self, by: u64) {
        if let Some(bar) = &mut self.current {
            bar.advance(by, &self.note);
        }
    }

    fn record(&mut self, kind: &str, record: &Value) {
        let number = |field: &str| record[field].as_f64();
        let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
        match kind {
            "damaged checkpoint" => {
                crate::note!("passing over a checkpoint: {}", text("error"));
            }
            "resumed" => crate::note!("going on from {}", text("path")),
            "evaluation" => self.held_out = number("loss"),
            "step" => {
                let (tokens, seconds) = (number("tokens"), number("seconds"));
                let rate = tokens.unwrap_or(0.0) / seconds.unwrap_or(0.0).max(1e-9);
                let held_out =
                    self.held_out.map_or(String::new(), |loss| format!(", held out {loss:.3}"));
                let loss = number("loss").unwrap_or(f64::NAN);
                self.note = format!("(loss {loss:.3}{held_out}, {rate:.0} tokens/s)");
            }
            _ => {}
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.current.take() {
            bar.end();
        }
    }
}

impl Bars {
    /// Bars that call a training run `name`.
    pub fn training(name: &'static str) -> Self {
        Self { training: Some(name), ..Self::default() }
    }
}
