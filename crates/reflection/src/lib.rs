#![doc = include_str!("../README.md")]

mod error;
mod student;
pub mod teacher;

pub use error::ReflectionError;
pub use student::{Measure, Student};
pub use teacher::{ChatRequest, Finish, NoReply, Reply, Teacher, Usage};
