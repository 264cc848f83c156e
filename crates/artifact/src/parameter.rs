//! The error of a setting that is outside its range, and the ranges there mostly are.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;

/// A setting has a value that it may not have.
///
/// ```
/// use tamis_artifact::ParameterError;
///
/// let refused = ParameterError::at_least("shard_rows", 0, 1).unwrap_err();
/// assert_eq!(refused.to_string(), "`shard_rows` is 0, expected at least 1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterError {
    /// Which setting, as the struct or the flag spells it.
    pub name: &'static str,
    /// Its value.
    pub found: String,
    /// The values it may have.
    pub expected: String,
    /// What to do, where it is not plain.
    pub hint: Option<String>,
}

impl ParameterError {
    /// An error without a hint.
    pub fn new(name: &'static str, found: impl Display, expected: impl Into<String>) -> Self {
        Self { name, found: found.to_string(), expected: expected.into(), hint: None }
    }

    /// The same, saying what to do.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Refuses a value that is not `allowed`.
    ///
    /// # Errors
    /// The value.
    pub fn require(
        allowed: bool,
        name: &'static str,
        found: impl Display,
        expected: &str,
    ) -> Result<(), Self> {
        if allowed { Ok(()) } else { Err(Self::new(name, found, expected)) }
    }

    /// Refuses a count below `least`.
    ///
    /// # Errors
    /// The value.
    pub fn at_least(name: &'static str, value: usize, least: usize) -> Result<(), Self> {
        if value < least {
            Err(Self::new(name, value, format!("at least {least}")))
        } else {
            Ok(())
        }
    }

    /// Refuses NaN and infinities.
    ///
    /// # Errors
    /// The value.
    pub fn finite(name: &'static str, value: f64) -> Result<(), Self> {
        Self::require(value.is_finite(), name, value, "a finite number")
    }

    /// Refuses numbers that are not finite or below `least`.
    ///
    /// # Errors
    /// The value.
    pub fn finite_from(name: &'static str, value: f64, least: f64) -> Result<(), Self> {
        if value.is_finite() && value >= least {
            return Ok(());
        }
        Err(Self::new(name, value, format!("a finite number of at least {least}")))
    }

    /// Refuses numbers that are not finite or not above `bound`.
    ///
    /// # Errors
    /// The value.
    pub fn finite_above(name: &'static str, value: f64, bound: f64) -> Result<(), Self> {
        if value.is_finite() && value > bound {
            return Ok(());
        }
        Err(Self::new(name, value, format!("a finite number above {bound}")))
    }

    /// Refuses values outside of a range, and NaN.
    ///
    /// # Errors
    /// The value.
    pub fn within<T: PartialOrd + Display>(
        name: &'static str,
        value: T,
        range: RangeInclusive<T>,
    ) -> Result<(), Self> {
        if range.contains(&value) {
            return Ok(());
        }
        Err(Self::new(name, value, format!("a number from {} to {}", range.start(), range.end())))
    }
}

impl Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}, expected {}", self.name, self.found, self.expected)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for ParameterError {}
