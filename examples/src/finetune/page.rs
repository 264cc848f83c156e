//! The report of a training run.

use tamis::finetune::TrainReport;
use tamis::report::{Align, LinePlot, Report, RunRecord, Table, Tile, format_number, run_section};

/// Points of a curve; a longer run shows means over stretches of steps.
const POINTS: usize = 400;

/// The page of a finished run.
pub fn page(report: &TrainReport, trained: &str, record: &RunRecord) -> Report {
    let mut page = Report::new("Fine-tuning");
    page.lead(format!(
        "{trained}, {} steps on {} tokens, {} of which were to be learned{}.",
        report.steps,
        report.tokens,
        report.targets,
        if report.stopped_early {
            "; stopped because the held-out loss did not fall any more"
        } else {
            ""
        }
    ));
    let section = page.section("Loss");
    let mut tiles = Vec::new();
    if let (Some(first), Some(last)) = (report.epochs.first(), report.epochs.last()) {
        let tile = Tile::new("Training loss, last epoch", format!("{:.3}", last.loss));
        tiles.push(tile.detail(format!("first epoch {:.3}", first.loss)));
    }
    let best = report.evaluations.iter().rev().find(|record| record.best);
    if let (Some(first), Some(best)) = (report.evaluations.first(), best) {
        let tile = Tile::new("Held-out loss, lowest", format!("{:.3}", best.loss));
        tiles.push(tile.detail(format!("after step {}; {:.3} before", best.step, first.loss)));
    }
    let rate = report.tokens as f64 / report.seconds.max(1e-9);
    tiles.push(Tile::new("Tokens per second", format_number(rate.round())));
    section.tiles(tiles);

    let mut plot = LinePlot::new("Loss", "step", "nats per target token")
        .series("training", curve(&report.losses));
    if !report.evaluations.is_empty() {
        let points = report.evaluations.iter().map(|record| [record.step as f64, record.loss]);
        plot = plot.series("held out", points);
    }
    let stretch = stretch(report.losses.len());
    if stretch > 1 {
        plot = plot.caption(format!("Training: means over {stretch} steps."));
    }
    section.plot(plot);

    if !report.epochs.is_empty() {
        let mut table = Table::new()
            .column("epoch", Align::Right)
            .column("training loss", Align::Right)
            .column("steps", Align::Right)
            .column("seconds", Align::Right);
        for (number, epoch) in (1..).zip(&report.epochs) {
            table.row([
                format!("{number}"),
                format!("{:.4}", epoch.loss),
                epoch.steps.to_string(),
                format!("{:.1}", epoch.seconds),
            ]);
        }
        section.table("Epochs", table);
    }
    if !report.evaluations.is_empty() {
        let mut table = Table::new()
            .column("after step", Align::Right)
            .column("held-out loss", Align::Right)
            .column("", Align::Left);
        for record in &report.evaluations {
            let mark = if record.best { "lowest so far" } else { "" };
            table.row([record.step.to_string(), format!("{:.4}", record.loss), mark.to_owned()]);
        }
        section.table("Evaluations", table);
    }
    run_section(&mut page, record);
    page
}

/// Steps that one point of a curve stands for.
fn stretch(steps: usize) -> usize {
    steps.div_ceil(POINTS).max(1)
}

/// Losses over steps, thinned to means.
fn curve(losses: &[f64]) -> impl Iterator<Item = [f64; 2]> {
    let stretch = stretch(losses.len());
    losses.chunks(stretch).enumerate().map(move |(n, part)| {
        let middle = (n * stretch) as f64 + f64::midpoint(part.len() as f64, 1.0);
        [middle, part.iter().sum::<f64>() / part.len() as f64]
    })
}
