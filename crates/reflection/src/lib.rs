#![doc = include_str!("../README.md")]

mod asking;
mod choice;
mod counts;
mod error;
pub mod history;
mod journal;
pub mod judge;
pub mod params;
mod pipeline;
mod prompt;
mod record;
mod reply;
mod row;
mod scoring;
#[cfg(feature = "local")]
mod scoring_student;
pub mod student;
pub mod teacher;

pub use counts::Counts;
pub use error::ReflectionError;
pub use history::{AlpacaRow, History, Original, Side, Step, Verdict};
pub use judge::{
    Contest, Grades, Judge, JudgeParams, Judged, Judgement, NoGrades, PositionBias, Reading, Tally,
    read_grades,
};
pub use params::{Ablation, Decoding, ReflectionParams};
pub use pipeline::{Reflected, Reflection, Work};
pub use prompt::Prompts;
pub use reply::{Marker, Sections, Unreadable, read_answer, read_pair};
pub use row::{NotARow, Row};
pub use scoring::Passes;
#[cfg(feature = "local")]
pub use scoring_student::ScoringStudent;
pub use student::Student;
pub use teacher::{ChatRequest, NoReply, Reply, Teacher, Usage};
