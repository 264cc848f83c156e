//! What the example programs share: their common flags, their progress bars, the adaptation step
//! and the files every selecting program writes.

mod adapt;
mod batches;
pub mod compare;
pub mod diverse_evol;
mod embedded;
pub mod evaluate;
mod exports;
pub mod finetune;
mod flags;
pub mod gdig;
pub mod ifd;
mod inputs;
pub mod judge;
pub mod lds;
pub mod less;
pub mod nuggets;
mod outputs;
mod progress;
pub mod reflect;
pub mod retrieve;
mod say;
pub mod select;
pub mod study;
pub mod targeted;
mod teacher;
mod text;
pub mod trace_pretraining;

pub use adapt::{Adaptation, adapt};
pub use embedded::{embedded, is_finished};
pub use exports::{ExportFlags, Exports, Form};
pub use flags::{ModelFlags, ScheduleKind, TextFlags, open_rows};
pub use inputs::{check_lengths, refuse_inside, refuse_overwriting, same_file};
pub use outputs::{begin_results, end_results, examples, write_outputs};
pub use progress::Bars;
pub use say::{note, say, say_results};
pub use teacher::TeacherFlags;
pub use text::one_line;
