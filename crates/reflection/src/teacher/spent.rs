//! What asking has cost.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use super::chat::Usage;
use super::no_reply::NoReply;
use crate::ReflectionError;

/// What a teacher charges for a million tokens, in any one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// Of the request.
    pub prompt: f64,
    /// Of the reply.
    pub completion: f64,
}

impl Prices {
    /// # Errors
    /// [`ReflectionError::Parameter`] for a price that is negative or no number.
    pub(super) fn check(self) -> Result<Self, ReflectionError> {
        for (name, price) in
            [("price of a prompt", self.prompt), ("price of a completion", self.completion)]
        {
            let expected = "a finite number, 0 or above, for a million tokens";
            ParameterError::require(price.is_finite() && price >= 0.0, name, price, expected)?;
        }
        Ok(self)
    }

    fn of(self, usage: Usage) -> f64 {
        (self.prompt * usage.prompt_tokens as f64
            + self.completion * usage.completion_tokens as f64)
            / 1e6
    }
}

/// What asking has taken since a [`Cached`](super::Cached) teacher was opened.
///
/// Attempts that brought no reply are not in the tokens unless the server said what they took (an empty
/// reply, one that a filter kept back).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Requests that the teacher was asked, each once however often it was tried or repeated.
    pub asked: u64,
    /// Those with a reply.
    pub replies: u64,
    /// Those without.
    pub without_reply: u64,
    /// Requests that needed no asking: answered by the file, or the same as another one.
    pub cached: u64,
    /// Replies of the teacher that came without a count of tokens: the sums below lack them.
    pub uncounted: u64,
    /// Tokens of what was asked.
    pub tokens: Usage,
    /// Tokens of replies that were known before, which cost nothing now.
    pub saved: Usage,
    /// Price of `tokens`; none without [`Prices`].
    pub cost: Option<f64>,
}

impl Spent {
    pub(super) fn new(prices: Option<Prices>) -> Self {
        Self { cost: prices.map(|_| 0.0), ..Self::default() }
    }

    /// Counts an outcome that the teacher was asked for.
    pub(super) fn count(&mut self, outcome: Result<Usage, &NoReply>, prices: Option<Prices>) {
        self.asked += 1;
        let usage = match outcome {
            Ok(usage) => {
                self.replies += 1;
                self.uncounted += u64::from(usage == Usage::default());
                usage
            }
            Err(none) => {
                self.without_reply += 1;
                none.usage()
            }
        };
        self.tokens.add(usage);
        self.cost = prices.map(|prices| prices.of(self.tokens));
    }

    /// Counts a reply that was known before.
    pub(super) fn save(&mut self, usage: Usage) {
        self.cached += 1;
        self.saved.add(usage);
    }
}
