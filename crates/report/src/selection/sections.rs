//! The sections on what was selected, one function each.

use std::collections::BTreeMap;

use tamis_metrics::spearman;

use super::{Examples, Lengths, Map, ScoreColumn, SelectionReport};
use crate::text::format_count;
use crate::{
    Align, Bars, Histogram, Report, RunRecord, Scale, Scatter, Summary, Table, Tile, clip,
    format_bytes, format_number, format_seconds,
};

/// Visible characters of a sample's text that are shown.
const TEXT_LIMIT: usize = 1_200;
/// Visible characters of reasons and parameter values.
pub(super) const WORD_LIMIT: usize = 160;
/// Visible characters of ids.
const ID_LIMIT: usize = 40;
/// Reasons listed one by one; rarer ones are added up.
const MOST_REASONS: usize = 16;
/// Mean lengths that differ by more than this factor call for a warning.
const LENGTH_FACTOR: f64 = 1.1;
/// Below this share of the pool, a selection drawn to the pool's scale cannot be seen.
const SMALL_SHARE: f64 = 0.1;

impl SelectionReport {
    pub(super) fn key_figures(&self, report: &mut Report, run: &RunRecord) {
        let candidates = self.selected.len();
        let mut tiles = vec![Tile::new("candidates", format_count(candidates))];
        if let Some(first) = self.scores.first() {
            let scored = first.values.iter().flatten().count();
            tiles.push(
                Tile::new("scored", format_count(scored))
                    .detail(format!("{} without a score", format_count(candidates - scored))),
            );
        }
        let chosen = self.selected_count();
        let mut tile = Tile::new("selected", format_count(chosen));
        if candidates > 0 {
            tile = tile.detail(format!("{} of the candidates", percent(chosen, candidates)));
        }
        tiles.push(tile);
        tiles.extend(self.tiles.iter().cloned());
        if run.seconds > 0.0 {
            tiles.push(Tile::new("time", format_seconds(run.seconds)));
        }
        if let Some(bytes) = run.peak_memory_bytes {
            tiles.push(Tile::new("peak memory", format_bytes(bytes)));
        }
        let section = report.section("Key figures");
        section.tiles(tiles);
        for text in run.relaxations.iter().chain(&run.notes) {
            section.note(text);
        }
    }

    pub(super) fn score_section(&self, report: &mut Report) {
        if self.scores.is_empty() {
            return;
        }
        let section = report.section("Scores");
        for score in &self.scores {
            section.plot(self.histogram(
                format!("{}: pool and selected", score.name),
                &score.name,
                &score.meaning,
                &score.finite(),
            ));
        }
        let mut table = summary_columns(Table::new().column("score", Align::Left));
        for score in &self.scores {
            let values = score.finite();
            self.summary_rows(&score.name, &values, &mut table);
        }
        section.table("In figures", table);
    }

    pub(super) fn cluster_section(&self, report: &mut Report) {
        let Some(map) = &self.map else { return };
        let chosen: Vec<bool> = map.rows.iter().map(|&row| self.selected[row]).collect();
        let section = report.section("Clusters");
        section.plot(map.scatter(chosen.clone()));
        let mut sizes = BTreeMap::<usize, (usize, usize)>::new();
        for (&cluster, &chosen) in map.clusters.iter().zip(&chosen) {
            let size = sizes.entry(cluster).or_default();
            size.0 += 1;
            size.1 += usize::from(chosen);
        }
        let names = sizes.keys().map(usize::to_string);
        section.plot(
            Bars::new("Cluster sizes", "cluster", "candidates", names)
                .series("clustered candidates", sizes.values().map(|size| size.0 as f64))
                .series("selected", sizes.values().map(|size| size.1 as f64))
                .scale(self.scale()),
        );
    }

    pub(super) fn length_section(&self, report: &mut Report) {
        let Some(lengths) = &self.lengths else { return };
        let values = lengths.present();
        let section = report.section("Lengths");
        section.plot(self.histogram(
            format!("Length in {}: pool and selected", lengths.unit),
            &lengths.unit,
            "",
            &values,
        ));
        let mut table = summary_columns(Table::new().column("length", Align::Left));
        self.summary_rows(&lengths.unit, &values, &mut table);
        section.table("In figures", table);
        let means = [false, true].map(|only_selected| {
            Summary::of(self.group(&values, only_selected)).map(|summary| summary.mean)
        });
        if let [Some(pool), Some(chosen)] = means
            && pool > 0.0
        {
            let ratio = chosen / pool;
            let text = format!(
                "Selected rows have {} {} on average, the pool {}: a ratio of {ratio:.2}.",
                format_number(rounded(chosen)),
                lengths.unit,
                format_number(rounded(pool)),
            );
            if (1.0 / LENGTH_FACTOR..=LENGTH_FACTOR).contains(&ratio) {
                section.paragraph(text);
            } else {
                section.note(format!(
                    "{text} A model may gain or lose from length alone: compare with a random \
                     choice of the same total length as well as of the same number of rows."
                ));
            }
        }
        if !self.scores.is_empty() {
            let mut table = Table::new()
                .column("score", Align::Left)
                .column("rank correlation with length", Align::Right);
            for score in &self.scores {
                let (scores, lengths): (Vec<f64>, Vec<f64>) = score
                    .values
                    .iter()
                    .zip(&lengths.values)
                    .filter_map(|(score, length)| score.map(|score| (score, *length as f64)))
                    .filter(|(score, _)| score.is_finite())
                    .unzip();
                // Of two values the one is always above the other, which says nothing.
                let enough = scores.len() > 2;
                let correlation = enough
                    .then(|| spearman(&scores, &lengths).ok().flatten())
                    .flatten()
                    .map_or_else(|| "none".to_owned(), |r| format!("{r:+.2}").replace('-', "−"));
                table.row([score.name.clone(), correlation]);
            }
            section.table("Do the scores follow the length?", table);
        }
    }

    pub(super) fn example_section(&self, report: &mut Report) {
        if self.examples.is_empty() {
            return;
        }
        let section = report.section("Examples");
        for group in &self.examples {
            section.table(&group.title, self.example_table(group));
        }
    }

    fn example_table(&self, group: &Examples) -> Table {
        let mut table = Table::new().column("id", Align::Left);
        for score in &self.scores {
            table = table.column(&score.name, Align::Right);
        }
        if let Some(lengths) = &self.lengths {
            table = table.column(&lengths.unit, Align::Right);
        }
        table = table.column("selected", Align::Left).column("text", Align::Sample);
        for example in &group.rows {
            let row = example.row;
            let mut cells = vec![clip(&example.id, ID_LIMIT).into_owned()];
            for score in &self.scores {
                cells.push(score.values[row].map_or_else(|| "none".to_owned(), format_number));
            }
            if let Some(lengths) = &self.lengths {
                cells.push(format_count(lengths.values[row]));
            }
            let chosen = if self.selected[row] { "yes" } else { "no" };
            cells.push(chosen.to_owned());
            cells.push(clip(&example.text, TEXT_LIMIT).into_owned());
            table.row(cells);
        }
        table
    }

    pub(super) fn decision_section(&self, report: &mut Report) {
        if self.reasons.is_empty() {
            return;
        }
        let mut counts = BTreeMap::<(&str, bool), usize>::new();
        for (reason, &chosen) in self.reasons.iter().zip(&self.selected) {
            *counts.entry((reason, chosen)).or_default() += 1;
        }
        let mut rows: Vec<((&str, bool), usize)> = counts.into_iter().collect();
        rows.sort_by_key(|&((reason, chosen), count)| (!chosen, std::cmp::Reverse(count), reason));
        let rest = rows.split_off(MOST_REASONS.min(rows.len()));
        let mut table = Table::new()
            .column("decision", Align::Left)
            .column("reason", Align::Left)
            .column("candidates", Align::Right);
        for ((reason, chosen), count) in rows {
            let decision = if chosen { "selected" } else { "left out" };
            table.row([decision, &clip(reason, WORD_LIMIT), &format_count(count)]);
        }
        if !rest.is_empty() {
            let others = format!("{} other reasons", format_count(rest.len()));
            let count = rest.iter().map(|(_, count)| count).sum();
            table.row(["", &others, &format_count(count)]);
        }
        report.section("Decisions").table("Why candidates were selected or left out", table);
    }

    fn selected_count(&self) -> usize {
        self.selected.iter().filter(|chosen| **chosen).count()
    }

    /// A small selection is compared by its shape, a large one as the part of the pool that it is.
    fn scale(&self) -> Scale {
        if (self.selected_count() as f64) < SMALL_SHARE * self.selected.len() as f64 {
            Scale::Share
        } else {
            Scale::Linear
        }
    }

    /// Finite values of the pool, or of its selected rows.
    fn group(&self, values: &[(usize, f64)], only_selected: bool) -> Vec<f64> {
        values
            .iter()
            .filter(|(row, _)| !only_selected || self.selected[*row])
            .map(|(_, value)| *value)
            .collect()
    }

    fn histogram(
        &self,
        title: String,
        label: &str,
        caption: &str,
        values: &[(usize, f64)],
    ) -> Histogram {
        Histogram::new(title, label)
            .unit("candidates")
            .series("pool", self.group(values, false))
            .series("selected", self.group(values, true))
            .scale(self.scale())
            .caption(caption)
    }

    fn summary_rows(&self, name: &str, values: &[(usize, f64)], table: &mut Table) {
        for (group, only_selected) in [("pool", false), ("selected", true)] {
            let mut cells = vec![name.to_owned(), group.to_owned()];
            match Summary::of(self.group(values, only_selected)) {
                None => cells.push("0".to_owned()),
                Some(s) => {
                    cells.push(format_count(s.count));
                    cells.push(format!(
                        "{} ± {}",
                        format_number(rounded(s.mean)),
                        format_number(two_digits(s.standard_error))
                    ));
                    cells.extend(
                        [s.min, s.p10, s.median, s.p90, s.max].map(|v| format_number(rounded(v))),
                    );
                }
            }
            table.row(cells);
        }
    }
}

impl ScoreColumn {
    /// Rows with a finite value.
    fn finite(&self) -> Vec<(usize, f64)> {
        let values = self.values.iter().enumerate();
        values
            .filter_map(|(row, value)| value.filter(|v| v.is_finite()).map(|v| (row, v)))
            .collect()
    }
}

impl Lengths {
    fn present(&self) -> Vec<(usize, f64)> {
        let values = self.values.iter().enumerate();
        values.map(|(row, length)| (row, *length as f64)).collect()
    }
}

impl Map {
    fn scatter(&self, chosen: Vec<bool>) -> Scatter {
        let mut scatter = Scatter::new("Candidates in two dimensions", self.points.clone())
            .classes("cluster", self.clusters.clone())
            .emphasised("selected", chosen)
            .caption(&self.caption);
        if let Some([first, second]) = self.explained {
            scatter = scatter.labels(
                format!("first principal component ({:.1} % of variance)", first * 100.0),
                format!("second ({:.1} %)", second * 100.0),
            );
        }
        scatter
    }
}

fn summary_columns(table: Table) -> Table {
    let table = table.column("group", Align::Left);
    ["count", "mean ± s.e.", "lowest", "10 %", "median", "90 %", "highest"]
        .into_iter()
        .fold(table, |table, name| table.column(name, Align::Right))
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole as f64)
}

/// Four significant digits.
pub(super) fn rounded(value: f64) -> f64 {
    significant(value, 3)
}

/// Two significant digits, for uncertainties.
fn two_digits(value: f64) -> f64 {
    significant(value, 1)
}

fn significant(value: f64, decimals: usize) -> f64 {
    // Through decimal text: the result is the number nearest to its decimals.
    format!("{value:.decimals$e}").parse().unwrap_or(value)
}
