//! The one error of this crate.

/// Why candidates could not be scored against targets, or chosen by such scores.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A parameter has a value that makes no sense.
    #[error(transparent)]
    Parameter(#[from] tamis_artifact::ParameterError),

    /// Nothing to score against.
    #[error("there are no targets, expected at least one")]
    NoTargets,

    /// The same target twice.
    #[error("task `{task}` has the target `{name}` twice; leave one out")]
    TargetTwice {
        /// Its task.
        task: String,
        /// Its name.
        name: String,
    },

    /// A target that no word can be found by.
    #[error("target `{name}` of task `{task}` has no words; leave it out")]
    NoWords {
        /// Its task.
        task: String,
        /// Its name.
        name: String,
    },

    /// A vector that has no cosine with others.
    #[error(
        "the vector of {what} has {found} numbers and the length {length}, expected {expected} numbers and a finite \
         length above 0"
    )]
    Vector {
        /// Which target or candidate.
        what: String,
        /// Its numbers.
        found: usize,
        /// Its L2 norm.
        length: f64,
        /// Numbers of the others.
        expected: usize,
    },

    /// Vectors that do not belong to the candidates named.
    #[error("there are vectors of shape {found:?}, expected {expected:?} (candidates × width)")]
    Vectors {
        /// Their shape.
        found: (usize, usize),
        /// That of as many as there are names, of the targets' width.
        expected: (usize, usize),
    },

    /// A candidate with another number of scores than there are targets.
    #[error("candidate {id} has {found} scores for {expected} targets")]
    Length {
        /// Its id.
        id: String,
        /// Scores it has.
        found: usize,
        /// Targets there are.
        expected: usize,
    },

    /// A NaN or an infinity among the scores.
    #[error(
        "candidate {id} has the score {value} for target `{target}` of task `{task}`; give it as unscored, with the \
         reason"
    )]
    NonFinite {
        /// Id of the candidate.
        id: String,
        /// Task of the target.
        task: String,
        /// The target.
        target: String,
        /// The score.
        value: f32,
    },

    /// Two candidates that cannot be told apart.
    #[error("two candidates have the {what} {value}; leave one out")]
    CandidateTwice {
        /// `id` or `index`.
        what: &'static str,
        /// What both have.
        value: String,
    },

    /// More candidates to choose than have scores.
    #[error(
        "a budget of {budget} was asked for, but only {scored} candidates have scores ({unscored} have none)"
    )]
    Budget {
        /// Candidates to choose.
        budget: usize,
        /// Candidates with scores.
        scored: usize,
        /// Candidates without.
        unscored: usize,
    },

    /// A word that names no rule.
    #[error("`{found}` is not a rule over tasks, expected max, mean or round-robin")]
    Rule {
        /// The word.
        found: String,
    },
}
