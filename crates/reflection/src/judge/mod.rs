//! Which of two answers is better, asked in both orders.

mod reading;
mod tally;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use tamis_artifact::{Manifest, ParameterError, Progress, Stage, hash_bytes};
use tamis_dataset::SampleId;
use tamis_metrics::BootstrapParams;

pub use self::reading::{Grades, NoGrades, read_grades};
pub use self::tally::{PositionBias, Tally};
use crate::asking::{Heard, ask};
use crate::journal::Journal;
use crate::{ChatRequest, Decoding, NoReply, Prompts, ReflectionError, Teacher, Usage};

/// Kind and layout of the journal.
const JOURNAL: (&str, u32) = ("judge", 2);

/// How much of an explanation is kept, in characters.
const EXCERPT: usize = 4000;

/// Two answers to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contest {
    /// The question's id.
    pub id: SampleId,
    /// The question.
    pub instruction: String,
    /// What it is about; empty for nothing.
    #[serde(default)]
    pub input: String,
    /// The answer that is on trial.
    pub model: String,
    /// The answer that it is compared with.
    pub reference: String,
}

/// Settings of a judge, to be [checked](Self::check).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeParams {
    /// How the judge is to write.
    pub decoding: Decoding,
    /// How the intervals are drawn.
    pub bootstrap: BootstrapParams,
    /// How many contests are asked about together. It changes no result.
    pub wave: usize,
}

impl Default for JudgeParams {
    /// Replies of up to 512 tokens, the most probable ones; 1,000 resamples; waves of 64.
    fn default() -> Self {
        let decoding = Decoding { max_tokens: 512, ..Decoding::default() };
        Self { decoding, bootstrap: BootstrapParams::default(), wave: 64 }
    }
}

impl JudgeParams {
    /// The judge with these settings.
    ///
    /// # Errors
    /// [`ReflectionError::Parameter`] for waves of no contests or a [`Decoding`] out of range,
    /// [`ReflectionError::Metrics`] for a bootstrap out of range.
    pub fn check(self, prompts: Prompts) -> Result<Judge, ReflectionError> {
        ParameterError::at_least("wave", self.wave, 1)?;
        self.decoding.check()?;
        self.bootstrap.check()?;
        Ok(Judge { params: self, prompts })
    }
}

/// A pairwise judge over any [`Teacher`], made by [`JudgeParams::check`].
///
/// Each pair of answers is judged twice, with either of them shown first. The sign of the difference of the
/// grades, added over both orders, decides: above 0 the model wins, below it loses, 0 is a tie. A reply
/// that is not what was asked for (see [`read_grades`]) is a failure, counted, and never a tie.
#[derive(Clone, Debug)]
pub struct Judge {
    params: JudgeParams,
    prompts: Prompts,
}

/// What the judge said to one order of the answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reading", rename_all = "snake_case")]
pub enum Reading {
    /// Grades for both answers.
    Graded {
        /// For the model's answer.
        model: f64,
        /// For the reference's.
        reference: f64,
        /// What the judge said besides: the first 4,000 characters.
        explanation: String,
        /// What the reply took.
        usage: Usage,
    },
    /// A reply without grades.
    NoGrades {
        /// Why.
        why: NoGrades,
        /// What the reply took.
        usage: Usage,
    },
    /// No reply.
    NoReply {
        /// Why.
        why: NoReply,
    },
}

/// How a contest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// For the model.
    Win,
    /// Equal grades, or the orders contradict each other.
    Tie,
    /// For the reference.
    Lose,
    /// One of the two orders gave no grades.
    Failed,
}

/// A contest that was judged: a line of `scores.jsonl`, and of the journal but for its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The question's id.
    pub id: SampleId,
    /// How it ended.
    pub verdict: Verdict,
    /// With the model's answer first.
    pub model_first: Reading,
    /// With the reference's answer first.
    pub reference_first: Reading,
    /// Characters of the model's answer.
    pub model_length: usize,
    /// Characters of the reference's answer.
    pub reference_length: usize,
}

/// All contests and what they come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The sums.
    pub tally: Tally,
    /// One for each contest, in their order.
    pub contests: Vec<Judged>,
}

impl Judge {
    /// Its settings.
    pub fn params(&self) -> &JudgeParams {
        &self.params
    }

    /// Judges contests.
    ///
    /// Every contest that is judged is a line of the journal; run again after an interruption, none of
    /// them is asked about again. A contest in which a question had no reply for a reason that [may
    /// pass](NoReply::may_pass) has failed, but has no line: [`Tally::unanswered`] counts them, and the same
    /// run again asks about them and no others.
    ///
    /// # Errors
    /// The journal is another run's ([`Artifact`](ReflectionError::Artifact) names the field), or the
    /// teacher fails.
    pub fn run(
        &self,
        contests: &[Contest],
        teacher: &dyn Teacher,
        journal: impl AsRef<Path>,
        progress: &mut dyn Progress,
    ) -> Result<Judgement, ReflectionError> {
        let manifest = Manifest::new(JOURNAL.0, JOURNAL.1)
            .with("decoding", self.params.decoding)?
            .with("prompt", self.prompts.judge_identity())?
            .with("teacher", teacher.identity())?
            .with("contests", contests_identity(contests)?)?;
        let ids: Vec<&SampleId> = contests.iter().map(|contest| &contest.id).collect();
        let (mut journal, mut judged) =
            Journal::open(journal.as_ref(), &manifest, &ids, |one: &Judged| &one.id)?;
        let todo: Vec<usize> =
            (0..contests.len()).filter(|&place| judged[place].is_none()).collect();
        let done = contests.len() - todo.len();
        progress.start(&Stage::new("judge", "contests", contests.len()).resumed(done));
        for wave in todo.chunks(self.params.wave) {
            self.judge_wave(contests, wave, teacher, &mut journal, &mut judged)?;
            progress.advance(wave.len() as u64);
        }
        progress.finish();
        let judged: Vec<Judged> = judged.into_iter().flatten().collect();
        let tally = Tally::of(&judged, self.params.bootstrap)?;
        Ok(Judgement { tally, contests: judged })
    }

    /// Judges the contests at some places. Each is written down, in their order, as soon as those before it
    /// are there, so that little is lost.
    fn judge_wave(
        &self,
        contests: &[Contest],
        wave: &[usize],
        teacher: &dyn Teacher,
        journal: &mut Journal,
        judged: &mut [Option<Judged>],
    ) -> Result<(), ReflectionError> {
        let requests: Vec<ChatRequest> =
            wave.iter().flat_map(|&place| self.requests(&contests[place])).collect();
        let mut heard: Vec<[Option<Heard>; 2]> = wave.iter().map(|_| [None, None]).collect();
        let mut next = 0;
        ask(teacher, &AtomicBool::new(false), &requests, |question, reply| {
            heard[question / 2][question % 2] = Some(reply);
            while let Some([Some(_), Some(_)]) = heard.get(next) {
                if let [Some(first), Some(second)] = std::mem::take(&mut heard[next]) {
                    let place = wave[next];
                    let one = judged_of(&contests[place], first, second);
                    // What may be answered another time is not finished.
                    if !one.is_unanswered() {
                        journal.append(place, &one)?;
                    }
                    judged[place] = Some(one);
                }
                next += 1;
            }
            Ok(())
        })
    }

    /// The question in both orders, the model's answer first and then second.
    fn requests(&self, contest: &Contest) -> [ChatRequest; 2] {
        let Contest { id: _, instruction, input, model, reference } = contest;
        [(model, reference), (reference, model)].map(|(first, second)| {
            let messages = self.prompts.judge(instruction, input, first, second);
            self.params.decoding.request(messages)
        })
    }
}

fn judged_of(contest: &Contest, first: Heard, second: Heard) -> Judged {
    let model_first = Reading::of(first, |grades| (grades.first, grades.second));
    let reference_first = Reading::of(second, |grades| (grades.second, grades.first));
    let verdict = match (model_first.sign(), reference_first.sign()) {
        (Some(a), Some(b)) if a + b > 0 => Verdict::Win,
        (Some(a), Some(b)) if a + b < 0 => Verdict::Lose,
        (Some(_), Some(_)) => Verdict::Tie,
        _ => Verdict::Failed,
    };
    Judged {
        id: contest.id.clone(),
        verdict,
        model_first,
        reference_first,
        model_length: contest.model.chars().count(),
        reference_length: contest.reference.chars().count(),
    }
}

impl Judged {
    /// Whether a question about it had no reply for a reason that may pass. Such a contest is in no journal,
    /// so that the next run asks again.
    pub fn is_unanswered(&self) -> bool {
        [&self.model_first, &self.reference_first]
            .into_iter()
            .any(|reading| matches!(reading, Reading::NoReply { why } if why.may_pass()))
    }
}

impl Reading {
    /// `sides` tells the model's grade and the reference's from those in the order shown.
    fn of(heard: Heard, sides: impl Fn(&Grades) -> (f64, f64)) -> Self {
        match heard {
            Err(why) => Self::NoReply { why },
            Ok(reply) => match read_grades(&reply) {
                Err(why) => Self::NoGrades { why, usage: reply.usage },
                Ok(grades) => {
                    let (model, reference) = sides(&grades);
                    let explanation = grades.explanation.chars().take(EXCERPT).collect();
                    Self::Graded { model, reference, explanation, usage: reply.usage }
                }
            },
        }
    }

    /// Grades of model and reference, if there are any.
    pub fn grades(&self) -> Option<(f64, f64)> {
        match self {
            Self::Graded { model, reference, .. } => Some((*model, *reference)),
            Self::NoGrades { .. } | Self::NoReply { .. } => None,
        }
    }

    /// 1 for the model, −1 for the reference, 0 for neither.
    fn sign(&self) -> Option<i32> {
        let (model, reference) = self.grades()?;
        Some(i32::from(model > reference) - i32::from(model < reference))
    }
}

fn contests_identity(contests: &[Contest]) -> Result<serde_json::Value, ReflectionError> {
    let mut text = String::new();
    for contest in contests {
        let bad = |source| tamis_artifact::ArtifactError::BadField {
            field: "contests".to_owned(),
            source,
        };
        text.push_str(&serde_json::to_string(contest).map_err(bad)?);
        text.push('\n');
    }
    Ok(serde_json::json!({ "count": contests.len(), "blake3": hash_bytes(text.as_bytes()) }))
}
