//! The one error of this crate.

/// Why rows could not be clustered, or a subset not be drawn.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusteringError {
    /// A parameter has a value that makes no sense.
    #[error(transparent)]
    Parameter(#[from] tamis_artifact::ParameterError),

    /// Rows could not be read.
    #[error(transparent)]
    Vectors(#[from] tamis_selection::vectors::VectorsError),

    /// More clusters than rows.
    #[error(
        "{k} clusters were asked for, but there are only {rows} rows; lower k or give more rows"
    )]
    TooFewRows {
        /// Clusters asked for.
        k: usize,
        /// Rows given.
        rows: usize,
    },

    /// Rows without columns.
    #[error("the {rows} rows have no columns")]
    NoColumns {
        /// Rows given.
        rows: usize,
    },

    /// A NaN or an infinity.
    #[error("row {row} of the {what} holds {value} in column {column}; leave it out or repair it")]
    NonFinite {
        /// `rows` or `initial centroids`.
        what: &'static str,
        /// Its row, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// The value.
        value: f32,
    },

    /// A row so long that squared distances would overflow.
    #[error(
        "row {row} of the {what} has length {norm:e}, more than {limit:e}: squared distances would overflow; scale all rows down"
    )]
    TooLong {
        /// `rows` or `initial centroids`.
        what: &'static str,
        /// Its number, from 0.
        row: usize,
        /// Its length, from the mean of the rows if they lie off the origin.
        norm: f64,
        /// The greatest length allowed.
        limit: f64,
    },

    /// A row without a direction, which cosine needs.
    #[error(
        "row {row} of the {what} is zero and has no direction for the cosine metric; leave it out or use the Euclidean metric"
    )]
    ZeroRow {
        /// `rows` or `initial centroids`.
        what: &'static str,
        /// Its number, from 0.
        row: usize,
    },

    /// Initial centroids of another shape than the rows and k ask for.
    #[error("the initial centroids are {found:?} (rows, columns), expected {expected:?}")]
    InitialShape {
        /// Their shape.
        found: [usize; 2],
        /// k and the columns of the rows.
        expected: [usize; 2],
    },

    /// More rows to draw than there are.
    #[error("a budget of {budget} was asked for, but there are only {rows} rows to draw from")]
    Budget {
        /// Rows to draw.
        budget: usize,
        /// Rows there are.
        rows: usize,
    },

    /// A rule without the numbers it ranks by.
    #[error("`{within}` needs the {what} of the rows, which were not given")]
    Missing {
        /// The rule.
        within: crate::Within,
        /// `scores` or `distances`.
        what: &'static str,
    },

    /// Scores or distances of another number of rows than there are labels.
    #[error("there are {found} {what} for {expected} labels")]
    Length {
        /// `scores` or `distances`.
        what: &'static str,
        /// How many were given.
        found: usize,
        /// How many labels there are.
        expected: usize,
    },

    /// A row cannot be ranked.
    #[error("row {row} has {value} among the {what}; leave it out or repair it")]
    Unranked {
        /// `scores` or `distances`.
        what: &'static str,
        /// Its number, from 0.
        row: usize,
        /// The value.
        value: f64,
    },

    /// A word that names no variant.
    #[error("`{found}` is not a {what}, expected one of {expected}")]
    Unknown {
        /// `metric` or `rule within a cluster`.
        what: &'static str,
        /// The word.
        found: String,
        /// The words there are.
        expected: String,
    },
}
