//! The one error of this crate.

use std::path::PathBuf;

/// Why something could not be scored, compared or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// A parameter has a value that makes no sense.
    #[error(transparent)]
    Parameter(#[from] tamis_artifact::ParameterError),

    /// A word that names no variant.
    #[error("`{found}` is not a {what}, expected one of {expected}")]
    Unknown {
        /// `tokenizer` or `smoothing`.
        what: &'static str,
        /// The word.
        found: String,
        /// The words there are.
        expected: String,
    },

    /// Two lists that belong together line by line have different lengths.
    #[error(
        "there are {found} {what} for {expected} {other}; line n of one belongs to line n of the other"
    )]
    Length {
        /// What was counted.
        what: String,
        /// How many there are.
        found: usize,
        /// What they belong to.
        other: String,
        /// How many of those there are.
        expected: usize,
    },

    /// Hypotheses without anything to compare them with.
    #[error("no references were given; at least one for each hypothesis is needed")]
    NoReferences,

    /// A group of systems without a member.
    #[error("the {which} group has no systems; at least one is needed")]
    NoSystems {
        /// `first` or `second`.
        which: &'static str,
    },

    /// Approximate randomisation exchanges systems pairwise.
    #[error(
        "the first group has {first} systems, the second {second}; randomisation exchanges the outputs of pairs of systems and needs as many in both"
    )]
    Unpaired {
        /// Systems of the first group.
        first: usize,
        /// Systems of the second group.
        second: usize,
    },

    /// Too few values for a spread.
    #[error("{found} {what} cannot be tested, at least 2 are needed")]
    TooFew {
        /// `segments` or `values`.
        what: &'static str,
        /// How many there are.
        found: usize,
    },

    /// Too few of something for what is asked.
    #[error("there are {found} {what}, at least {least} are needed")]
    NotEnough {
        /// `subsets`, `queries` or `repeats`.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are needed.
        least: usize,
    },

    /// A subset that names a sample that is not there.
    #[error("subset {subset} (from 0) holds sample {sample}, but there are only {samples} samples")]
    NoSuchSample {
        /// The subset.
        subset: usize,
        /// The sample, from 0.
        sample: usize,
        /// How many samples have scores.
        samples: usize,
    },

    /// A list in which only one number occurs, where an order was to be compared.
    #[error(
        "the {what} of query {query} (from 0) are {value} for every subset and have no order that could be compared; leave the query out"
    )]
    Constant {
        /// `losses` or `predictions`.
        what: &'static str,
        /// The query.
        query: usize,
        /// The number.
        value: f64,
    },

    /// A NaN or an infinity.
    #[error("{what} is {value}, expected a finite number; leave the segment out or repair it")]
    NonFinite {
        /// Whose score it is.
        what: String,
        /// The value.
        value: f64,
    },

    /// The operating system refused to read a file.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file without a line.
    #[error("{} is empty; {expected} was expected", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What its lines should have been.
        expected: &'static str,
    },

    /// A line that cannot be read.
    #[error("{}, line {line}: {reason}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was found and what was expected.
        reason: String,
    },

    /// Two files of scores are about different segments.
    #[error(
        "segment `{id}` has a score in {}, but none in {}; both must score the same segments", .present.display(), .absent.display()
    )]
    MissingId {
        /// The segment.
        id: String,
        /// The file that has it.
        present: PathBuf,
        /// The file that lacks it.
        absent: PathBuf,
    },
}
