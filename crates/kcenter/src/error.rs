//! The one error of this crate.

/// Why rows could not be chosen or measured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KCenterError {
    /// A parameter has a value that makes no sense.
    #[error(transparent)]
    Parameter(#[from] tamis_artifact::ParameterError),

    /// Rows could not be read.
    #[error(transparent)]
    Vectors(#[from] tamis_selection::vectors::VectorsError),

    /// More rows to choose than there are left.
    #[error(
        "a budget of {budget} was asked for, but beside the {initial} initial rows there are only {left} to choose from"
    )]
    Budget {
        /// Rows to choose.
        budget: usize,
        /// Rows that count as chosen from the start.
        initial: usize,
        /// Rows that are not.
        left: usize,
    },

    /// No rows at all.
    #[error("there are no rows")]
    NoRows,

    /// Rows without columns.
    #[error("the {rows} rows have no columns")]
    NoColumns {
        /// Rows given.
        rows: usize,
    },

    /// More rows than row numbers reach.
    #[error("there are {found} rows, but no more than {limit} can be numbered")]
    TooManyRows {
        /// Rows given.
        found: usize,
        /// The most there may be.
        limit: usize,
    },

    /// Nothing was chosen, so that nothing can be measured.
    #[error("no rows are chosen, expected at least one")]
    NothingChosen,

    /// A row number beyond the rows.
    #[error("number {position} of the {what} is {index}, but there are only {rows} rows")]
    OutOfRange {
        /// `initial rows` or `chosen rows`.
        what: &'static str,
        /// Its place in the list, from 0.
        position: usize,
        /// The row number.
        index: usize,
        /// Rows there are.
        rows: usize,
    },

    /// A row number that occurs twice.
    #[error("row {index} is twice among the {what}; leave out one")]
    Twice {
        /// `initial rows` or `chosen rows`.
        what: &'static str,
        /// The row number.
        index: usize,
    },

    /// A NaN or an infinity.
    #[error("row {row} holds {value} in column {column}; leave it out or repair it")]
    NonFinite {
        /// Its row, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// The value.
        value: f32,
    },

    /// A row so long that squared distances would overflow.
    #[error(
        "row {row} has length {norm:e}, more than {limit:e}: squared distances would overflow; scale all rows down"
    )]
    TooLong {
        /// Its number, from 0.
        row: usize,
        /// Its length, from the middle of the rows if they lie off the origin.
        norm: f64,
        /// The greatest length allowed.
        limit: f64,
    },

    /// Another number of qualities than of rows.
    #[error("there are {found} qualities for {expected} rows")]
    QualityLength {
        /// How many were given.
        found: usize,
        /// Rows there are.
        expected: usize,
    },

    /// A quality that is no number.
    #[error("row {row} has quality {value}; leave it out or repair it")]
    Quality {
        /// Its number, from 0.
        row: usize,
        /// The value.
        value: f64,
    },

    /// A tensor that is not rows × columns.
    #[cfg(feature = "tch")]
    #[error("the tensor has shape {found:?}, expected rows × columns")]
    Shape {
        /// Its shape.
        found: Vec<i64>,
    },

    /// A tensor of whole numbers, or of other things that have no distance.
    #[cfg(feature = "tch")]
    #[error("the tensor holds {found}, expected Half, BFloat16, Float or Double")]
    Kind {
        /// Its kind.
        found: String,
    },

    /// LibTorch refused an operation.
    #[cfg(feature = "tch")]
    #[error("LibTorch: {0}")]
    Torch(String),

    /// A word that names no variant.
    #[error("`{found}` is not a {what}, expected one of {expected}")]
    Unknown {
        /// `metric` or `similarity`.
        what: &'static str,
        /// The word.
        found: String,
        /// The words there are.
        expected: String,
    },
}
