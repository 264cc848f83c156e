//! The data of a study: a pool with noise of which it is known where it is, and test texts.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use tamis::artifact::Random;
use tamis::dataset::{Content, Dataset, Encoder, Sample};
use tamis::report::write_jsonl;

use crate::one_line;

/// Writes `pool.jsonl` into `out`: the given rows, of which the share `mismatch` gets the answer of
/// another one of them. Each row says whether it is `clean`. Returns the file and the clean rows.
///
/// # Errors
/// Conversations, a folder that cannot be written.
pub fn spoil(
    samples: &[Sample],
    mismatch: f64,
    seed: u64,
    out: &Path,
) -> Result<(PathBuf, Vec<bool>)> {
    let mut order: Vec<usize> = (0..samples.len()).collect();
    Random::keyed(seed, "study mismatch", "").shuffle(&mut order);
    order.truncate((samples.len() as f64 * mismatch).round() as usize);
    ensure!(order.len() != 1, "one row alone cannot get the answer of another; raise --mismatch");
    // Along a ring, so that no row keeps its own answer.
    let mut answers: Vec<usize> = (0..samples.len()).collect();
    for (place, &row) in order.iter().enumerate() {
        answers[row] = order[(place + 1) % order.len()];
    }
    let rows = samples.iter().zip(&answers).map(|(sample, &answer)| row(sample, &samples[answer]));
    let mut rows = rows.collect::<Result<Vec<Value>>>()?;
    let spoiled: HashSet<usize> = order.into_iter().collect();
    let clean: Vec<bool> = (0..samples.len()).map(|row| !spoiled.contains(&row)).collect();
    for (row, &clean) in rows.iter_mut().zip(&clean) {
        row["clean"] = clean.into();
    }
    let file = out.join("pool.jsonl");
    write_jsonl(&file, &rows)?;
    Ok((file, clean))
}

/// The question of one sample with the answer of another.
fn row(question: &Sample, answer: &Sample) -> Result<Value> {
    let id = question.id.to_string();
    match (&question.content, &answer.content) {
        (Content::Translation { source, .. }, Content::Translation { target, .. }) => {
            Ok(json!({ "id": id, "src": source, "tgt": target }))
        }
        (Content::Instruction { instruction, input, .. }, Content::Instruction { output, .. }) => {
            Ok(json!({ "id": id, "instruction": instruction, "input": input, "output": output }))
        }
        _ => {
            bail!("a study takes translation pairs or instructions, but row {id} is a conversation")
        }
    }
}

/// What the trained models are asked, and what they should answer.
#[derive(Debug)]
pub struct Texts {
    /// Tokens of each prompt.
    pub prompts: Vec<Vec<u32>>,
    /// The answer of each, in one line.
    pub references: Vec<String>,
}

impl Texts {
    /// Reads the first `count` rows, or all.
    ///
    /// # Errors
    /// A row that cannot be read or that is a conversation.
    pub fn read(data: &Dataset, count: Option<usize>, encoder: &Encoder) -> Result<Self> {
        let count = count.unwrap_or(data.len()).min(data.len());
        let (mut prompts, mut references) = (Vec::new(), Vec::new());
        for sample in data.read_range(0..count)? {
            prompts.push(encoder.prompt(&sample)?);
            references.push(match &sample.content {
                Content::Translation { target, .. } => one_line(target),
                Content::Instruction { output, .. } => one_line(output),
                Content::Chat { .. } => bail!("test row {} is a conversation", sample.id),
            });
        }
        Ok(Self { prompts, references })
    }
}
