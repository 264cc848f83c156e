//! A teacher and a student that say what the test wrote down, and count what they were asked.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use tamis_artifact::NoProgress;
use tamis_dataset::{Content, Reason, Sample, SampleId};
use tamis_reflection::student::Measure;
use tamis_reflection::teacher::Answered;
use tamis_reflection::teacher::Finish;
use tamis_reflection::{
    ChatRequest, NoReply, Prompts, Reflected, ReflectionError, ReflectionParams, Reply, Student,
    Teacher, Usage,
};

/// Which question a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Asked {
    Instruction,
    Response,
}
pub(crate) use Asked::{Instruction, Response};

/// A reply that ended by itself.
pub(crate) fn reply(text: &str) -> Reply {
    let usage = Usage { prompt_tokens: 7, completion_tokens: text.len() as u64 };
    Reply { text: text.to_owned(), finish: Finish::Stop, usage, cached: false }
}

pub(crate) fn cut(text: &str) -> Reply {
    Reply { finish: Finish::Length, ..reply(text) }
}

/// A reply that proposes an instruction and an answer.
pub(crate) fn pair(instruction: &str, answer: &str) -> Reply {
    reply(&format!(
        "Vague.\n\n[New Instruction]\n{instruction}\n[End]\n[New Answer]\n{answer}\n[End]"
    ))
}

/// A reply that proposes an answer.
pub(crate) fn better(answer: &str) -> Reply {
    reply(&format!("Short.\n\n[Better Answer]\n{answer}\n[End]"))
}

/// The record of a request: the tests begin every instruction with `#id `.
fn record_of(request: &ChatRequest) -> String {
    let text = &request.messages.last().unwrap().content;
    let rest = text.split_once('#').unwrap().1;
    rest.split_whitespace().next().unwrap().to_owned()
}

/// What fails at the call that it was set to.
#[derive(Debug)]
pub(crate) struct Fuse(AtomicI64);

impl Fuse {
    pub(crate) fn after(calls: i64) -> Self {
        Self(AtomicI64::new(calls))
    }

    pub(crate) fn never() -> Self {
        Self::after(i64::MAX)
    }

    fn burn(&self) -> Result<(), &'static str> {
        if self.0.fetch_sub(1, Ordering::SeqCst) > 0 { Ok(()) } else { Err("pulled the plug") }
    }
}

pub(crate) struct Scripted<'f> {
    pub(crate) name: &'static str,
    pub(crate) replies: HashMap<(Asked, String), Result<Reply, NoReply>>,
    pub(crate) requests: Mutex<Vec<(Asked, String)>>,
    pub(crate) texts: Mutex<Vec<String>>,
    pub(crate) fuse: &'f Fuse,
}

impl<'f> Scripted<'f> {
    pub(crate) fn new(fuse: &'f Fuse) -> Self {
        let (requests, texts) = Default::default();
        Self { name: "scripted", replies: HashMap::new(), requests, texts, fuse }
    }

    pub(crate) fn says(mut self, asked: Asked, id: &str, reply: Reply) -> Self {
        self.replies.insert((asked, id.to_owned()), Ok(reply));
        self
    }

    pub(crate) fn keeps_silent(mut self, asked: Asked, id: &str) -> Self {
        let why = NoReply::Timeout { seconds: 3, attempts: 2 };
        self.replies.insert((asked, id.to_owned()), Err(why));
        self
    }

    /// Has no reply for a reason that will not pass.
    pub(crate) fn declines(mut self, asked: Asked, id: &str) -> Self {
        let (reason, usage) = ("policy".to_owned(), Usage::default());
        let why = NoReply::Filtered { reason, usage, attempts: 1 };
        self.replies.insert((asked, id.to_owned()), Err(why));
        self
    }

    /// What it was asked, sorted: the order in time is no promise.
    pub(crate) fn asked(&self) -> Vec<(Asked, String)> {
        let mut asked = self.requests.lock().unwrap().clone();
        asked.sort();
        asked
    }
}

impl Teacher for Scripted<'_> {
    fn identity(&self) -> Value {
        json!({ "kind": self.name })
    }

    fn ask(
        &self,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        // From the last to the first: the order of answers is no promise either.
        for (place, request) in requests.iter().enumerate().rev() {
            let text = &request.messages.last().unwrap().content;
            let asked = if text.contains("[Better Answer]") { Response } else { Instruction };
            let key = (asked, record_of(request));
            if let Err(what) = self.fuse.burn() {
                return Err(ReflectionError::Faulty { who: "teacher", what: what.to_owned() });
            }
            self.requests.lock().unwrap().push(key.clone());
            self.texts.lock().unwrap().push(text.clone());
            let reply = self.replies.get(&key).cloned();
            done(place, reply.unwrap_or_else(|| Ok(reply_without_markers())))?;
        }
        Ok(())
    }
}

fn reply_without_markers() -> Reply {
    reply("I would rather not.")
}

/// Scores texts by what they say: the IFD of an answer with the word `i0.7` is 0.7, its reversed IFD
/// follows `r`, its perplexity `p`. A word such as `i!` says that it cannot be scored.
pub(crate) struct Reader<'f> {
    pub(crate) name: &'static str,
    pub(crate) scored: Vec<(Measure, String)>,
    pub(crate) batches: usize,
    pub(crate) fuse: &'f Fuse,
}

impl<'f> Reader<'f> {
    pub(crate) fn new(fuse: &'f Fuse) -> Self {
        Self { name: "reader", scored: Vec::new(), batches: 0, fuse }
    }
}

impl Student for Reader<'_> {
    fn identity(&self) -> Value {
        json!({ "kind": self.name })
    }

    fn score(
        &mut self,
        measure: Measure,
        samples: &[Sample],
    ) -> Result<Vec<Result<f64, Reason>>, Box<dyn Error + Send + Sync>> {
        self.fuse.burn()?;
        self.batches += 1;
        let letter = match measure {
            Measure::Ifd => 'i',
            Measure::ReversedIfd => 'r',
            Measure::Perplexity => 'p',
        };
        let score = |sample: &Sample| {
            let Content::Instruction { output, .. } = &sample.content else { panic!("{sample:?}") };
            let word = output.split_whitespace().find_map(|word| word.strip_prefix(letter));
            match word {
                None => panic!("{output} says nothing about {measure:?}"),
                Some("!") => Err(Reason::TooFewTokens),
                Some(number) => Ok(number.parse().unwrap()),
            }
        };
        self.scored.extend(samples.iter().map(|sample| (measure, sample.id.to_string())));
        Ok(samples.iter().map(score).collect())
    }
}

/// A record with an answer that says its scores.
pub(crate) fn record(id: &str, output: &str) -> Sample {
    record_with_input(id, "", output)
}

pub(crate) fn record_with_input(id: &str, input: &str, output: &str) -> Sample {
    let content = Content::Instruction {
        instruction: format!("#{id} ask"),
        input: input.to_owned(),
        output: output.to_owned(),
    };
    let index = id.bytes().map(usize::from).sum();
    Sample { id: SampleId::from(id), index, content }
}

/// Runs in a folder of its own.
pub(crate) fn run(
    params: ReflectionParams,
    samples: &[Sample],
    teacher: &dyn Teacher,
    student: &mut dyn Student,
) -> Result<Reflected, ReflectionError> {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), params, samples, teacher, student)
}

pub(crate) fn run_in(
    folder: &Path,
    params: ReflectionParams,
    samples: &[Sample],
    teacher: &dyn Teacher,
    student: &mut dyn Student,
) -> Result<Reflected, ReflectionError> {
    let reflection = params.check(Prompts::built_in()?)?;
    let journal = folder.join("journal.jsonl");
    reflection.run(&samples, teacher, student, journal, &mut NoProgress)
}
