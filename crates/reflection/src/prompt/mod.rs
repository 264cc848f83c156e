//! What the teacher and the judge are told: text files that can be replaced.

mod template;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tamis_dataset::Message;

use self::template::Template;
use crate::{Marker, ReflectionError, Row};

/// Everything a template may ask for, by the name it has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    Instruction,
    Input,
    Answer,
    First,
    Second,
    Fence,
}

/// What sets one prompt apart from the others.
struct Kind {
    /// Its file.
    file: &'static str,
    built_in: &'static str,
    /// Variables that must be there, and the optional fence that may be.
    variables: &'static [(&'static str, Variable)],
    /// Text that must be there, because the reply is read by it.
    markers: &'static [Marker],
}

const OF_A_RECORD: &[(&str, Variable)] = &[
    ("instruction", Variable::Instruction),
    ("input", Variable::Input),
    ("answer", Variable::Answer),
    ("fence", Variable::Fence),
];

const REFLECT_INSTRUCTION: Kind = Kind {
    file: "reflect_instruction.txt",
    built_in: include_str!("../../prompts/reflect_instruction.txt"),
    variables: OF_A_RECORD,
    markers: &[Marker::NewInstruction, Marker::NewAnswer],
};

const REFLECT_RESPONSE: Kind = Kind {
    file: "reflect_response.txt",
    built_in: include_str!("../../prompts/reflect_response.txt"),
    variables: OF_A_RECORD,
    markers: &[Marker::BetterAnswer],
};

const JUDGE: Kind = Kind {
    file: "judge.txt",
    built_in: include_str!("../../prompts/judge.txt"),
    variables: &[
        ("instruction", Variable::Instruction),
        ("input", Variable::Input),
        ("first", Variable::First),
        ("second", Variable::Second),
        ("fence", Variable::Fence),
    ],
    markers: &[],
};

/// The prompts, those of this crate or the user's own.
///
/// A prompt is a text file: a line with its name and its version, then what the system says and what the
/// user says.
///
/// ```text
/// my-judge 3
/// --- system
/// You compare two answers to a question.
/// --- user
/// Question: {{instruction}}
/// {{#input}}
/// About: {{input}}
/// {{/input}}
/// Answer 1: {{first}}
/// Answer 2: {{second}}
/// The first line of your reply …
/// ```
///
/// | file | must hold | must name |
/// | --- | --- | --- |
/// | `reflect_instruction.txt` | `{{instruction}}` `{{input}}` `{{answer}}` | `[New Instruction]` `[New Answer]` `[End]` |
/// | `reflect_response.txt` | `{{instruction}}` `{{input}}` `{{answer}}` | `[Better Answer]` `[End]` |
/// | `judge.txt` | `{{instruction}}` `{{input}}` `{{first}}` `{{second}}` | |
///
/// - Lines between `{{#input}}` and `{{/input}}`, each alone on its line, are there only if the value is
///   not blank. The same goes for every other variable.
/// - `{{fence}}` is a row of `=` longer than any in the values, to put around them: no text of a record
///   can pretend to end there.
/// - Values are put in once: braces in the text of a record are that text.
/// - The part `--- system` may be missing.
#[derive(Clone, Debug)]
pub struct Prompts {
    reflect_instruction: Template,
    reflect_response: Template,
    judge: Template,
}

impl Prompts {
    /// The prompts of this crate.
    ///
    /// # Errors
    /// None, as long as its files are whole.
    pub fn built_in() -> Result<Self, ReflectionError> {
        let [reflect_instruction, reflect_response, judge] =
            [&REFLECT_INSTRUCTION, &REFLECT_RESPONSE, &JUDGE]
                .map(|kind| Template::parse(kind.file, kind.built_in, kind));
        Ok(Self {
            reflect_instruction: reflect_instruction?,
            reflect_response: reflect_response?,
            judge: judge?,
        })
    }

    /// Prompts of a folder; where it has no file, that of this crate.
    ///
    /// # Errors
    /// [`PromptFolder`](ReflectionError::PromptFolder) if it cannot be read, holds none of the files, or
    /// another `.txt` file (a misspelt name would change nothing without a word);
    /// [`Prompt`](ReflectionError::Prompt) with file and line.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self, ReflectionError> {
        let dir = dir.as_ref();
        let refuse = |path: &Path, reason: String| ReflectionError::PromptFolder {
            path: path.to_owned(),
            reason,
        };
        let mut prompts = Self::built_in()?;
        let mut replaced = 0;
        let files = [REFLECT_INSTRUCTION.file, REFLECT_RESPONSE.file, JUDGE.file];
        let expected = format!("expected one or more of {}", files.join(", "));
        let entries = fs::read_dir(dir).map_err(|error| refuse(dir, error.to_string()))?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(|error| refuse(dir, error.to_string()))?.path());
        }
        paths.sort(); // the error found first does not depend on the file system
        for path in paths {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let (place, kind) = match name {
                name if name == REFLECT_INSTRUCTION.file => {
                    (&mut prompts.reflect_instruction, &REFLECT_INSTRUCTION)
                }
                name if name == REFLECT_RESPONSE.file => {
                    (&mut prompts.reflect_response, &REFLECT_RESPONSE)
                }
                name if name == JUDGE.file => (&mut prompts.judge, &JUDGE),
                name if Path::new(name).extension().is_some_and(|end| end == "txt") => {
                    return Err(refuse(&path, format!("is no prompt of ours, {expected}")));
                }
                _ => continue,
            };
            let text =
                fs::read_to_string(&path).map_err(|error| refuse(&path, error.to_string()))?;
            *place = Template::parse(&path.display().to_string(), &text, kind)?;
            replaced += 1;
        }
        if replaced == 0 {
            return Err(refuse(dir, format!("holds no prompt, {expected}")));
        }
        Ok(prompts)
    }

    /// Name, version and hash of the prompts that reflection uses, for manifests.
    pub fn reflection_identity(&self) -> Value {
        json!({
            "reflect_instruction": self.reflect_instruction.identity(),
            "reflect_response": self.reflect_response.identity(),
        })
    }

    /// Name, version and hash of the judge's prompt.
    pub fn judge_identity(&self) -> Value {
        self.judge.identity()
    }

    /// The chat that asks for a better instruction and its answer.
    pub fn reflect_instruction(&self, row: &Row) -> Vec<Message> {
        self.reflect_instruction.render(|variable| value_of(row, variable))
    }

    /// The chat that asks for a better answer.
    pub fn reflect_response(&self, row: &Row) -> Vec<Message> {
        self.reflect_response.render(|variable| value_of(row, variable))
    }

    /// The chat that asks which of two answers to an instruction with its input is better.
    pub fn judge(&self, instruction: &str, input: &str, first: &str, second: &str) -> Vec<Message> {
        self.judge.render(|variable| match variable {
            Variable::Instruction => instruction,
            Variable::Input => input,
            Variable::First => first,
            Variable::Second => second,
            Variable::Answer | Variable::Fence => "",
        })
    }
}

fn value_of(row: &Row, variable: Variable) -> &str {
    match variable {
        Variable::Instruction => &row.instruction,
        Variable::Input => &row.input,
        Variable::Answer => &row.output,
        Variable::First | Variable::Second | Variable::Fence => "",
    }
}
