//! What a run can choose.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_dataset::Message;

use crate::student::Measure;
use crate::{ChatRequest, Prompts, Reflection, ReflectionError};

/// When a proposal of the teacher takes the place of what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// There is none: the teacher is not asked.
    Off,
    /// Always.
    Always,
    /// For half of the records, drawn by seed and id.
    Random,
    /// If its IFD is strictly higher: the published rule for instructions.
    HigherIfd,
    /// If its reversed IFD is strictly lower: the published rule for answers.
    LowerReversedIfd,
    /// If the perplexity of its answer, given its instruction, is strictly lower.
    LowerPerplexity,
}

impl Keep {
    /// The measure that decides, if one does.
    pub fn measure(self) -> Option<Measure> {
        match self {
            Self::Off | Self::Always | Self::Random => None,
            Self::HigherIfd => Some(Measure::Ifd),
            Self::LowerReversedIfd => Some(Measure::ReversedIfd),
            Self::LowerPerplexity => Some(Measure::Perplexity),
        }
    }
}

/// Which records are in the final set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Those whose answer was replaced and whose final IFD and reversed IFD are both below 1.
    #[default]
    Published,
    /// Those whose instruction or answer was replaced.
    EitherChange,
    /// All of them.
    Everything,
}

impl Rule {
    const NAMES: [(Self, &'static str); 3] = [
        (Self::Published, "published"),
        (Self::EitherChange, "either-change"),
        (Self::Everything, "everything"),
    ];
}

/// The published comparisons, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ablation {
    /// None of them: the method itself.
    #[default]
    Selective,
    /// Only the instruction and its answer are rewritten, the student decides.
    InstructionOnly,
    /// Only the answer is rewritten, the student decides.
    ResponseOnly,
    /// Both are rewritten, every proposal is taken.
    Unselected,
    /// Both are rewritten, a coin decides.
    Random,
    /// Both are rewritten, IFD decides about both.
    IfdOnly,
    /// Both are rewritten, reversed IFD decides about both.
    ReversedIfdOnly,
    /// Both are rewritten, perplexity decides about both.
    Perplexity,
}

impl Ablation {
    const NAMES: [(Self, &'static str); 8] = [
        (Self::Selective, "selective"),
        (Self::InstructionOnly, "instruction-only"),
        (Self::ResponseOnly, "response-only"),
        (Self::Unselected, "unselected"),
        (Self::Random, "random"),
        (Self::IfdOnly, "ifd-only"),
        (Self::ReversedIfdOnly, "reversed-ifd-only"),
        (Self::Perplexity, "perplexity"),
    ];

    /// When proposals for the instruction and for the answer are taken.
    pub fn keeps(self) -> (Keep, Keep) {
        match self {
            Self::Selective => (Keep::HigherIfd, Keep::LowerReversedIfd),
            Self::InstructionOnly => (Keep::HigherIfd, Keep::Off),
            Self::ResponseOnly => (Keep::Off, Keep::LowerReversedIfd),
            Self::Unselected => (Keep::Always, Keep::Always),
            Self::Random => (Keep::Random, Keep::Random),
            Self::IfdOnly => (Keep::HigherIfd, Keep::HigherIfd),
            Self::ReversedIfdOnly => (Keep::LowerReversedIfd, Keep::LowerReversedIfd),
            Self::Perplexity => (Keep::LowerPerplexity, Keep::LowerPerplexity),
        }
    }
}

macro_rules! named {
    ($($name:ident: $what:literal),*) => { $(
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                let name = Self::NAMES.iter().find(|(value, _)| value == self);
                out.pad(name.map_or("", |(_, name)| name))
            }
        }

        impl FromStr for $name {
            type Err = ReflectionError;

            fn from_str(name: &str) -> Result<Self, ReflectionError> {
                let found = Self::NAMES.iter().find(|(_, known)| *known == name);
                found.map(|&(value, _)| value).ok_or_else(|| {
                    let expected = Self::NAMES.map(|(_, known)| known).join(", ");
                    ParameterError::new($what, name, expected).into()
                })
            }
        }
    )* };
}

named!(Rule: "rule", Ablation: "ablation");

/// How a teacher or a judge is to write.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoding {
    /// Longest reply in tokens.
    pub max_tokens: u32,
    /// 0 for the most probable reply; above, replies are drawn.
    pub temperature: f64,
    /// Draw among the most probable tokens with this much probability together; 1 for all.
    pub top_p: f64,
    /// Seed of the draws, for teachers that take one.
    pub seed: Option<u64>,
}

impl Default for Decoding {
    /// The most probable reply of up to 2,048 tokens.
    fn default() -> Self {
        Self { max_tokens: 2048, temperature: 0.0, top_p: 1.0, seed: None }
    }
}

impl Decoding {
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        ParameterError::at_least("max_tokens", self.max_tokens as usize, 1)?;
        ParameterError::finite_from("temperature", self.temperature, 0.0)?;
        let possible = self.top_p > 0.0 && self.top_p <= 1.0;
        ParameterError::require(possible, "top_p", self.top_p, "a number above 0 and at most 1")
    }

    pub(crate) fn request(&self, messages: Vec<Message>) -> ChatRequest {
        let Self { max_tokens, temperature, top_p, seed } = *self;
        ChatRequest { messages, max_tokens, temperature, top_p, seed }
    }
}

/// Settings of a reflection, to be [checked](Self::check).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReflectionParams {
    /// When a new instruction with its answer is taken.
    pub instruction: Keep,
    /// When a better answer is taken.
    pub response: Keep,
    /// Which records are in the final set.
    pub rule: Rule,
    /// The most records in the final set: those of highest IFD below 1. `None` for all that the rule takes.
    pub budget: Option<usize>,
    /// How the teacher is to write.
    pub decoding: Decoding,
    /// Seed of [`Keep::Random`].
    pub seed: u64,
    /// How many records are worked on together. It changes no result, but for the rounding of a student
    /// whose scores hang on their batch.
    pub wave: usize,
}

impl Default for ReflectionParams {
    /// The published method.
    fn default() -> Self {
        Self::ablation(Ablation::Selective)
    }
}

impl ReflectionParams {
    /// An ablation with the final rule that fits it: the published one for the method and for answers
    /// alone, [`Rule::Everything`] for the others.
    pub fn ablation(which: Ablation) -> Self {
        let (instruction, response) = which.keeps();
        let rule = match which {
            Ablation::Selective | Ablation::ResponseOnly => Rule::Published,
            _ => Rule::Everything,
        };
        Self {
            instruction,
            response,
            rule,
            budget: None,
            decoding: Decoding::default(),
            seed: 0,
            wave: 64,
        }
    }

    /// The reflection with these settings.
    ///
    /// # Errors
    /// [`ReflectionError::Parameter`]: nothing to ask the teacher for, a rule that would leave nothing,
    /// waves of no records, or a [`Decoding`] out of range.
    pub fn check(self, prompts: Prompts) -> Result<Reflection, ReflectionError> {
        if self.instruction == Keep::Off && self.response == Keep::Off {
            let expected = "something else for one of them at least: nothing would be asked";
            return Err(ParameterError::new("instruction, response", "off, off", expected).into());
        }
        if self.rule == Rule::Published && self.response == Keep::Off {
            let expected = "either-change or everything: the published rule takes records whose \
                            answer was replaced, but `response` is off";
            return Err(ParameterError::new("rule", self.rule, expected).into());
        }
        ParameterError::at_least("wave", self.wave, 1)?;
        self.decoding.check()?;
        Ok(Reflection { params: self, prompts })
    }
}
