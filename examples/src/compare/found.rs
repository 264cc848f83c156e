//! What `compare` found, as tables and as JSON.

use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use tamis::kcenter::{SetStatistics, Statistics};
use tamis::metrics::{LengthSummary, Overlap, TextDuplicates};
use tamis::report::{Align, Table, format_number};

use super::{Pool, Set};

/// A figure of something.
type Of<T> = fn(&T) -> f64;

/// The figures of one selection.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// What it is called.
    pub name: String,
    /// Its rows.
    pub rows: usize,
    /// Those that have no embedding, and are not in the geometry.
    pub without_embedding: Option<usize>,
    /// Coverage, diversity and near-duplicates, with embeddings.
    pub geometry: Option<SetStatistics>,
    /// Characters of what is asked, with data.
    pub question_characters: Option<LengthSummary>,
    /// Characters of the answers, with data.
    pub answer_characters: Option<LengthSummary>,
    /// Questions asked before, with data.
    pub repeated_questions: Option<TextDuplicates>,
    /// Answers given before, with data.
    pub repeated_answers: Option<TextDuplicates>,
}

/// What two selections share.
#[derive(Clone, Debug, Serialize)]
struct Shared {
    first: String,
    second: String,
    #[serde(flatten)]
    overlap: Overlap,
}

/// All figures.
#[derive(Debug)]
pub struct Found<'a> {
    pool: &'a Pool,
    measured: Vec<Measured>,
    shared: Vec<Shared>,
}

impl<'a> Found<'a> {
    /// Measures every selection, and every two together.
    ///
    /// # Errors
    /// A selection without any embedding, and data that cannot be read any more.
    pub fn measure(pool: &'a Pool, sets: &[Set], statistics: &Statistics) -> Result<Self> {
        let measured =
            sets.iter().map(|set| measure(pool, set, statistics)).collect::<Result<_>>()?;
        let mut shared = Vec::new();
        for (number, first) in sets.iter().enumerate() {
            for second in &sets[number + 1..] {
                shared.push(Shared {
                    first: first.name.clone(),
                    second: second.name.clone(),
                    overlap: Overlap::of(&first.positions, &second.positions),
                });
            }
        }
        Ok(Self { pool, measured, shared })
    }

    /// One JSON object.
    ///
    /// # Errors
    /// A number that JSON cannot hold.
    pub fn json(&self) -> Result<String> {
        let all = json!({
            "pool": { "rows": self.pool.rows().len() },
            "selections": self.measured,
            "overlaps": self.shared,
        });
        Ok(serde_json::to_string_pretty(&all)? + "\n")
    }

    /// Tables for people, in Markdown.
    pub fn tables(&self) -> String {
        let mut text = format!("{} rows in the pool\n\n{}", self.pool.rows().len(), self.figures());
        if !self.shared.is_empty() {
            let mut table = Table::new()
                .column("selections", Align::Left)
                .column("rows in both", Align::Right)
                .column("of those in either", Align::Right);
            for Shared { first, second, overlap } in &self.shared {
                let share = format!("{:.1} %", 100.0 * overlap.jaccard);
                table.row([format!("{first}, {second}"), overlap.common.to_string(), share]);
            }
            text += "\n";
            text += &table.markdown();
        }
        text
    }

    fn figures(&self) -> String {
        let mut table = Table::new().column("figure", Align::Left);
        for measured in &self.measured {
            table = table.column(measured.name.clone(), Align::Right);
        }
        let mut add = |name: &str, of: &dyn Fn(&Measured) -> Option<f64>| {
            let cells: Vec<Option<f64>> = self.measured.iter().map(of).collect();
            if cells.iter().any(Option::is_some) {
                let cells =
                    cells.into_iter().map(|cell| cell.map_or("–".to_owned(), format_number));
                table.row(std::iter::once(name.to_owned()).chain(cells));
            }
        };
        add("rows", &|set| Some(set.rows as f64));
        add("without embedding", &|set| set.without_embedding.map(|rows| rows as f64));
        let geometry: [(&str, Of<SetStatistics>); 6] = [
            ("coverage radius (low covers all)", |set| set.coverage_radius),
            ("mean nearest distance (low covers most)", |set| set.mean_nearest),
            ("Vendi score (high is diverse)", |set| set.vendi),
            ("facility value (high stands for the pool)", |set| set.facility_value),
            ("equal embeddings", |set| set.exact_duplicates as f64),
            ("near-duplicates", |set| set.near_duplicates as f64),
        ];
        for (name, of) in geometry {
            add(name, &|set| set.geometry.as_ref().map(of));
        }
        let lengths: [(&str, Of<LengthSummary>); 4] = [
            ("mean", |lengths| lengths.mean),
            ("5 %", |lengths| lengths.p05),
            ("median", |lengths| lengths.median),
            ("95 %", |lengths| lengths.p95),
        ];
        for (name, of) in lengths {
            let name = format!("characters of questions, {name}");
            add(&name, &|set| set.question_characters.as_ref().map(of));
        }
        for (name, of) in lengths {
            let name = format!("characters of answers, {name}");
            add(&name, &|set| set.answer_characters.as_ref().map(of));
        }
        let repeated: [(&str, Of<TextDuplicates>); 2] = [
            ("repeated, letter by letter", |found| found.exact as f64),
            ("repeated, but for case and punctuation", |found| found.alike as f64),
        ];
        for (name, of) in repeated {
            let name = format!("questions {name}");
            add(&name, &|set| set.repeated_questions.as_ref().map(of));
        }
        for (name, of) in repeated {
            let name = format!("answers {name}");
            add(&name, &|set| set.repeated_answers.as_ref().map(of));
        }
        table.markdown()
    }
}

fn measure(pool: &Pool, set: &Set, statistics: &Statistics) -> Result<Measured> {
    let mut measured = Measured {
        name: set.name.clone(),
        rows: set.positions.len(),
        without_embedding: None,
        geometry: None,
        question_characters: None,
        answer_characters: None,
        repeated_questions: None,
        repeated_answers: None,
    };
    if let Some(embeddings) = &pool.embeddings {
        let rows = set.positions.iter().map(|&position| pool.rows()[position].row.as_ref().ok());
        let rows: Vec<usize> = rows.flatten().copied().collect();
        measured.without_embedding = Some(set.positions.len() - rows.len());
        measured.geometry = Some(statistics.measure(embeddings, &rows)?);
    }
    if let Some(texts) = pool.texts(&set.positions)? {
        let count = |text: &String| text.chars().count();
        let questions: Vec<usize> = texts.iter().map(|texts| count(&texts.question)).collect();
        let answers: Vec<usize> = texts.iter().map(|texts| count(&texts.answer)).collect();
        measured.question_characters = Some(LengthSummary::of(&questions)?);
        measured.answer_characters = Some(LengthSummary::of(&answers)?);
        let repeated = TextDuplicates::of(texts.iter().map(|texts| &texts.question));
        measured.repeated_questions = Some(repeated);
        let repeated = TextDuplicates::of(texts.iter().map(|texts| &texts.answer));
        measured.repeated_answers = Some(repeated);
    }
    Ok(measured)
}
