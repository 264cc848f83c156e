//! One record on its way: proposals heard, scores known, scores still needed.

use tamis_artifact::Random;
use tamis_dataset::{Reason, Sample, SampleId};

use crate::history::{History, Original, Side, Step, Verdict};
use crate::params::{Keep, Rule};
use crate::reply::{read_answer, read_pair};
use crate::student::Measure;
use crate::{NoReply, NotARow, ReflectionParams, Reply, Row, Unreadable};

/// How much of a criticism, or of a reply that cannot be read, a history keeps, in characters. A reply may have
/// megabytes; the whole of it is in the file of answers.
const EXCERPT: usize = 4000;
/// Above it, IFD and reversed IFD say that instruction and answer do not belong together.
pub(crate) const BOUND: f64 = 1.0;

/// Which of the two questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Instruction,
    Response,
}

/// The texts that a record may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Original,
    NewPair,
    BetterAnswer,
}

type Score = Result<f64, Reason>;

/// A record that is not finished.
#[derive(Debug)]
pub(crate) struct Record {
    /// Among all records, from 0.
    pub(crate) place: usize,
    pub(crate) id: SampleId,
    pub(crate) index: usize,
    original: Result<Row, NotARow>,
    /// The version that stands.
    current: Version,
    instruction: Step,
    response: Step,
    scores: Vec<(Measure, Version, Score)>,
}

impl Record {
    pub(crate) fn new(place: usize, sample: &Sample) -> Self {
        Self {
            place,
            id: sample.id.clone(),
            index: sample.index,
            original: Row::of(sample),
            current: Version::Original,
            instruction: Step::default(),
            response: Step::default(),
            scores: Vec::new(),
        }
    }

    /// Its text as it stands, unless it is not reflected on.
    pub(crate) fn row(&self) -> Option<&Row> {
        self.version(self.current)
    }

    pub(crate) fn version(&self, version: Version) -> Option<&Row> {
        match version {
            Version::Original => self.original.as_ref().ok(),
            Version::NewPair => self.instruction.proposal.as_ref(),
            Version::BetterAnswer => self.response.proposal.as_ref(),
        }
    }

    /// Takes in what the teacher said.
    pub(crate) fn hear(&mut self, stage: Stage, reply: Result<Reply, NoReply>) {
        let Some(row) = self.row() else { return };
        let mut step = Step::default();
        match reply {
            Err(why) => step.verdict = Verdict::NoReply { why },
            Ok(reply) => {
                step.usage = Some(reply.usage);
                match propose(stage, row, &reply) {
                    Err(why) => {
                        step.critique = Some(excerpt(&reply.text));
                        step.verdict = Verdict::Unreadable { why };
                    }
                    Ok((critique, proposal)) => {
                        step.critique = Some(excerpt(critique));
                        if same(&proposal, row) {
                            step.verdict = Verdict::Unchanged;
                        }
                        step.proposal = Some(proposal);
                    }
                }
            }
        }
        *self.step_mut(stage) = step;
    }

    /// The two versions between which a stage has to decide.
    fn sides(&self, stage: Stage) -> Option<[Version; 2]> {
        let step = self.step(stage);
        let pending = step.verdict == Verdict::NotAsked && step.proposal.is_some();
        pending.then_some([self.current, stage.proposed()])
    }

    /// The scores that a decision needs and that are not known.
    pub(crate) fn needs_to_decide(&self, stage: Stage, keep: Keep) -> Vec<(Measure, Version)> {
        let (Some(sides), Some(measure)) = (self.sides(stage), keep.measure()) else {
            return Vec::new();
        };
        let unknown = |side: &Version| self.score(measure, *side).is_none();
        sides.into_iter().filter(unknown).map(|side| (measure, side)).collect()
    }

    /// Decides about a proposal, if there is one, with all scores that this needs.
    pub(crate) fn decide(&mut self, stage: Stage, keep: Keep, seed: u64) {
        let Some([before, after]) = self.sides(stage) else { return };
        let verdict = |taken| if taken { Verdict::Taken } else { Verdict::Refused };
        let decided = match keep.measure() {
            None if keep == Keep::Random => verdict(self.coin(stage, seed)),
            None => verdict(keep == Keep::Always),
            Some(measure) => {
                let known = |side| self.score(measure, side).unwrap_or(Err(Reason::NonFinite));
                let (old, new) = (known(before), known(after));
                let step = self.step_mut(stage);
                (step.measure, step.before, step.after) =
                    (Some(measure), old.clone().ok(), new.clone().ok());
                match (old, new) {
                    (Err(why), _) => Verdict::Unscorable { which: Side::Before, why },
                    (_, Err(why)) => Verdict::Unscorable { which: Side::After, why },
                    (Ok(old), Ok(new)) => verdict(measure.prefers(new, old)),
                }
            }
        };
        if decided == Verdict::Taken {
            self.current = after;
        }
        self.step_mut(stage).verdict = decided;
    }

    /// Half of all records, whatever their order and number.
    fn coin(&self, stage: Stage, seed: u64) -> bool {
        let purpose = format!("whether to keep the {stage:?}");
        Random::keyed(seed, &purpose, self.id.as_ref()).next_u64() & 1 == 0
    }

    /// The score that the rule needs next and that is not known.
    ///
    /// `ranked` says that records compete for a budget, for which IFD is needed of every one that the rule
    /// takes.
    pub(crate) fn needs_to_finish(&self, params: &ReflectionParams) -> Option<(Measure, Version)> {
        self.row()?;
        let unknown = |measure: &Measure| self.score(*measure, self.current).is_none();
        let ranked = params.budget.is_some();
        let measure = match params.rule {
            Rule::Published if self.response.verdict != Verdict::Taken => None,
            // One after the other: what one of them refuses needs no other. First those that are known.
            Rule::Published => {
                let both = [Measure::ReversedIfd, Measure::Ifd];
                let refused = |measure: &Measure| {
                    let score = self.score(*measure, self.current);
                    score.is_some_and(|score| score.is_err() || score.is_ok_and(|s| s >= BOUND))
                };
                if both.iter().any(refused) { None } else { both.into_iter().find(unknown) }
            }
            Rule::EitherChange if !self.is_changed() => None,
            Rule::EitherChange | Rule::Everything => ranked.then_some(Measure::Ifd).filter(unknown),
        };
        Some((measure?, self.current))
    }

    /// What is written down of it.
    pub(crate) fn finish(self) -> History {
        let last = |measure| self.score(measure, self.current);
        let (ifd, r_ifd) = (last(Measure::Ifd), last(Measure::ReversedIfd));
        let unscorable = [&r_ifd, &ifd].into_iter().flatten().find_map(|score| score.clone().err());
        let row = self.row().cloned();
        History {
            id: self.id,
            index: self.index,
            original: match self.original {
                Ok(row) => Original::Original(row),
                Err(why) => Original::NotReflected(why),
            },
            instruction_reflection: self.instruction,
            response_reflection: self.response,
            last: row,
            ifd: ifd.and_then(Result::ok),
            r_ifd: r_ifd.and_then(Result::ok),
            unscorable,
        }
    }

    pub(crate) fn learn(&mut self, measure: Measure, version: Version, score: Score) {
        self.scores.push((measure, version, score));
    }

    fn score(&self, measure: Measure, version: Version) -> Option<Score> {
        let wanted = |(m, v, _): &&(Measure, Version, Score)| (*m, *v) == (measure, version);
        self.scores.iter().find(wanted).map(|(_, _, score)| score.clone())
    }

    fn is_changed(&self) -> bool {
        self.current != Version::Original
    }

    fn step(&self, stage: Stage) -> &Step {
        match stage {
            Stage::Instruction => &self.instruction,
            Stage::Response => &self.response,
        }
    }

    fn step_mut(&mut self, stage: Stage) -> &mut Step {
        match stage {
            Stage::Instruction => &mut self.instruction,
            Stage::Response => &mut self.response,
        }
    }
}

impl Stage {
    /// The version that it proposes.
    fn proposed(self) -> Version {
        match self {
            Self::Instruction => Version::NewPair,
            Self::Response => Version::BetterAnswer,
        }
    }
}

/// The beginning of a text of the teacher.
fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}

/// Whether two texts of a record differ in nothing but white space around them.
fn same(one: &Row, other: &Row) -> bool {
    one.instruction.trim() == other.instruction.trim() && one.output.trim() == other.output.trim()
}

/// The criticism and the whole record that a reply proposes. Its input is always the one that it had.
fn propose<'r>(stage: Stage, row: &Row, reply: &'r Reply) -> Result<(&'r str, Row), Unreadable> {
    let input = row.input.clone();
    match stage {
        Stage::Instruction => read_pair(reply).map(|read| {
            let [instruction, output] = read.texts.map(str::to_owned);
            (read.critique, Row { instruction, input, output })
        }),
        Stage::Response => read_answer(reply).map(|read| {
            let (instruction, output) = (row.instruction.clone(), read.texts[0].to_owned());
            (read.critique, Row { instruction, input, output })
        }),
    }
}
