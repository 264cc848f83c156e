//! Questions and the answers to them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tamis::dataset::{Content, Sample};
use tamis::reflection::Contest;

/// A line of a file of answers; what else is in it is not looked at.
#[derive(Deserialize)]
struct Answer {
    id: String,
    output: String,
}

/// Pairs the answers of two files, or of one file and the questions' own, by the questions' ids.
///
/// # Errors
/// The file and line of an answer that cannot be read or is there twice; a question without one of
/// its answers; a row that is no question.
pub fn contests(
    questions: &[Sample],
    answers: &Path,
    reference: Option<&Path>,
) -> Result<Vec<Contest>> {
    ensure!(!questions.is_empty(), "there are no questions");
    let of_file = |path: &Path| -> Result<_> { Ok((path.to_owned(), read(path)?)) };
    let (answers, reference) = (of_file(answers)?, reference.map(of_file).transpose()?);
    let mut contests = Vec::with_capacity(questions.len());
    for sample in questions {
        let (instruction, input, own) = question(sample)?;
        let find = |(path, answers): &(_, HashMap<String, String>)| {
            let path: &std::path::PathBuf = path;
            answers.get(sample.id.as_ref()).cloned().with_context(|| {
                format!(
                    "{}: there is no answer with the id {} (row {} of the questions)",
                    path.display(),
                    sample.id,
                    sample.index
                )
            })
        };
        contests.push(Contest {
            id: sample.id.clone(),
            instruction,
            input,
            model: find(&answers)?,
            reference: match &reference {
                Some(reference) => find(reference)?,
                None if own.trim().is_empty() => bail!(
                    "row {} (id {}) of the questions has no answer to compare with: give the other \
                    model's answers with --reference",
                    sample.index,
                    sample.id
                ),
                None => own,
            },
        });
    }
    Ok(contests)
}

/// Instruction, input and answer of a row.
fn question(sample: &Sample) -> Result<(String, String, String)> {
    match &sample.content {
        Content::Instruction { instruction, input, output } => {
            Ok((instruction.clone(), input.clone(), output.clone()))
        }
        Content::Chat { messages } => match messages.as_slice() {
            [user] if user.role == "user" => {
                Ok((user.content.clone(), String::new(), String::new()))
            }
            [user, answer] if user.role == "user" && answer.role == "assistant" => {
                Ok((user.content.clone(), String::new(), answer.content.clone()))
            }
            _ => bail!(
                "row {} (id {}): a conversation of several turns is not one question",
                sample.index,
                sample.id
            ),
        },
        Content::Translation { .. } => bail!(
            "row {} (id {}): a translation pair is no question; compare translations with `evaluate`",
            sample.index,
            sample.id
        ),
    }
}

fn read(path: &Path) -> Result<HashMap<String, String>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut answers = HashMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{} line {}", path.display(), number + 1);
        let answer: Answer = serde_json::from_str(line)
            .with_context(|| format!("{}: expected `id` and `output`", place()))?;
        let id = answer.id.clone();
        ensure!(
            answers.insert(answer.id, answer.output).is_none(),
            "{}: a second answer with the id {id}",
            place()
        );
    }
    Ok(answers)
}
