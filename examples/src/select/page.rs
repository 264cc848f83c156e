//! `report.html` of `select`.

use anyhow::Result;
use tamis::dataset::Dataset;
use tamis::report::{
    Align, Examples, Histogram, Lengths, LinePlot, Report, RunRecord, Scatter, ScoreColumn,
    SelectionReport, Table, format_number, principal_plane,
};
use tamis::selection::vectors::Subset;

use super::{Found, Line, Strategy};
use crate::outputs::examples;

/// Rows that are brought into two dimensions, at most: a plot shows fewer still.
const PICTURED: usize = 20_000;
/// Rows of a group of examples.
const SHOWN: usize = 8;

impl Found<'_> {
    /// The page, from `lines` and the finished record of the run.
    ///
    /// # Errors
    /// A row of the data that can no longer be read.
    pub fn page(&self, lines: &[Line], record: &RunRecord) -> Result<Report> {
        let from = self.data.map_or(self.embeddings.path(), Dataset::path);
        let page = SelectionReport {
            title: "Selection by embeddings".to_owned(),
            lead: format!(
                "{} rows chosen from {} by {}, from embeddings of {} numbers a row.",
                self.choice.picks.len(),
                from.display(),
                self.flags.strategy.name(),
                self.embeddings.columns()
            ),
            tiles: Vec::new(),
            selected: lines.iter().map(|line| line.selected).collect(),
            reasons: lines.iter().map(|line| line.reason.clone()).collect(),
            scores: self.scores(lines),
            lengths: self.lengths(),
            map: None,
            examples: self.examples(lines)?,
        };
        let mut page = page.build(record)?;
        self.coverage(&mut page);
        self.picture(&mut page)?;
        page.move_section("Coverage", 1).move_section("In two dimensions", 2);
        Ok(page)
    }

    fn scores(&self, lines: &[Line]) -> Vec<ScoreColumn> {
        if self.choice.quality.is_none() {
            return Vec::new();
        }
        vec![ScoreColumn {
            name: "quality".to_owned(),
            meaning: "Quality as it was given; higher is better.".to_owned(),
            values: lines.iter().map(|line| line.quality).collect(),
        }]
    }

    fn lengths(&self) -> Option<Lengths> {
        let all = self.candidates.all().iter();
        let values = all.map(|candidate| candidate.length).collect::<Option<Vec<_>>>()?;
        Some(Lengths { unit: "characters".to_owned(), values })
    }

    fn examples(&self, lines: &[Line]) -> Result<Vec<Examples>> {
        let Some(data) = self.data else { return Ok(Vec::new()) };
        let mut first: Vec<usize> = (0..lines.len()).filter(|&n| lines[n].selected).collect();
        first.sort_by_key(|&n| lines[n].order);
        let mut far: Vec<usize> =
            (0..lines.len()).filter(|&n| lines[n].nearest.is_some()).collect();
        let distance = |n: usize| lines[n].nearest.unwrap_or(0.0);
        far.sort_by(|&a, &b| distance(b).total_cmp(&distance(a)).then(a.cmp(&b)));
        far.retain(|&n| distance(n) > 0.0);
        first.truncate(SHOWN);
        far.truncate(SHOWN);
        Ok(vec![
            examples(data, "First picks", &first)?,
            examples(data, "Farthest from all that was chosen", &far)?,
        ])
    }

    /// How well the pool is covered, beside random choices.
    fn coverage(&self, page: &mut Report) {
        let compared = self.compared;
        let mut table =
            Table::new().column("figure", Align::Left).column("this choice", Align::Right);
        for name in ["random, mean", "lowest", "highest"] {
            table = table.column(name, Align::Right);
        }
        table = table.column("", Align::Left);
        for row in compared.figures() {
            let random =
                row.random.map_or([const { String::new() }; 3], |all| all.map(format_number));
            let cells = [row.name.to_owned(), format_number(row.choice)].into_iter().chain(random);
            table.row(cells.chain([row.meaning]));
        }
        let initial = match self.choice.initial.len() {
            0 => String::new(),
            count => format!(" The {count} initial rows count as chosen everywhere."),
        };
        let section = page.section("Coverage");
        section.paragraph(format!(
            "Distances are {}. {} random choices of as many rows are what to compare with.{initial}",
            self.flags.metric, self.flags.comparisons
        ));
        section.table("The set of chosen rows", table);
        let mut nearest = Histogram::new(
            "Distance of each row to the nearest one chosen",
            format!("{} distance", self.flags.metric),
        )
        .unit("rows")
        .caption("Rows that are chosen or initial are left out: they are at 0.");
        if let Some(random) = &compared.nearest_random {
            nearest = nearest.series("a random choice", random.iter().copied());
        }
        let there = self.choice.rows();
        let mut out = vec![true; self.embeddings.len()];
        for &row in &there {
            out[row] = false;
        }
        let own = compared.nearest.iter().zip(out).filter(|(_, out)| *out).map(|(d, _)| *d);
        section.plot(nearest.series(self.flags.strategy.name(), own));
        let points = |values: Vec<Option<f64>>| {
            let all = (1u32..).zip(values);
            all.filter_map(|(pick, value)| Some([f64::from(pick), value?])).collect::<Vec<_>>()
        };
        let gains = points(self.choice.picks.iter().map(|pick| pick.gain).collect());
        if !gains.is_empty() {
            section.plot(
                LinePlot::new("Gain over the picks", "pick", "facility value gained")
                    .series(self.flags.strategy.name(), gains),
            );
        }
        if self.flags.strategy == Strategy::KCenter {
            let radius = self.choice.picks.iter().map(|pick| pick.radius).collect();
            let left = self.choice.coverage.iter().copied().map(Some).collect();
            section.plot(
                LinePlot::new("Distance over the picks", "pick", "distance")
                    .series("of the pick to those before it", points(radius))
                    .series("of the farthest row, with the pick", points(left)),
            );
        }
    }

    /// The rows along their two principal axes; of many rows, some of those chosen and of the others.
    fn picture(&self, page: &mut Report) -> Result<()> {
        let rows = self.embeddings.len();
        let mut strong = vec![false; rows];
        self.choice.picks.iter().for_each(|pick| strong[pick.row] = true);
        let shown = pictured(&strong);
        let plane = principal_plane(&Subset::new(self.embeddings, &shown)?)?;
        let [first, second] = plane.explained.map(|share| format!("{:.1} %", 100.0 * share));
        let mut scatter = Scatter::new("Rows in two dimensions", plane.points)
            .labels(
                format!("first principal component ({first} of variance)"),
                format!("second ({second})"),
            )
            .emphasised("chosen", shown.iter().map(|&row| strong[row]).collect());
        if let Some(labels) = &self.choice.clusters {
            scatter = scatter.classes("cluster", shown.iter().map(|&row| labels[row]).collect());
        }
        if shown.len() < rows {
            scatter = scatter.caption(format!("The axes are those of {} rows.", shown.len()));
        }
        page.section("In two dimensions").plot(scatter);
        Ok(())
    }
}

/// Of the rows, at most [`PICTURED`], evenly over the pool, so that every run shows the same; as many
/// of the chosen ones as there is room for in half of it.
fn pictured(chosen: &[bool]) -> Vec<usize> {
    let count = chosen.iter().filter(|&&chosen| chosen).count();
    let others = chosen.len() - count;
    let room = (PICTURED / 2).max(PICTURED.saturating_sub(others));
    let chosen_step = count.div_ceil(room).max(1);
    let other_step = others.div_ceil((PICTURED - count.div_ceil(chosen_step)).max(1)).max(1);
    let (mut chosen_seen, mut others_seen) = (0, 0);
    let show = |&row: &usize| {
        let (seen, step) = if chosen[row] {
            (&mut chosen_seen, chosen_step)
        } else {
            (&mut others_seen, other_step)
        };
        *seen += 1;
        (*seen - 1) % step == 0
    };
    (0..chosen.len()).filter(show).collect()
}
