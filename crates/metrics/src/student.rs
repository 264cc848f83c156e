//! Student's distribution.

use std::f64::consts::PI;

use tamis_artifact::ParameterError;

use crate::MetricsError;
use crate::summary::check_confidence;

/// Student's distribution, exact to ten digits and more up to a million degrees of freedom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StudentT {
    degrees: f64,
}

impl StudentT {
    /// # Errors
    /// [`MetricsError::Parameter`] if the degrees of freedom are not a finite number above 0.
    pub fn new(degrees_of_freedom: f64) -> Result<Self, MetricsError> {
        ParameterError::finite_above("degrees_of_freedom", degrees_of_freedom, 0.0)?;
        Ok(Self { degrees: degrees_of_freedom })
    }

    /// How probable a value at least as far from 0 as `t` is: the regularised incomplete beta function
    /// I(ν/(ν+t²); ν/2, ½). NaN for NaN.
    pub fn two_sided_p(&self, t: f64) -> f64 {
        if t.is_infinite() {
            return 0.0;
        }
        let (half, square) = (self.degrees / 2.0, t * t);
        // Both from sums of positive numbers: one minus the other would lose digits near 1.
        let inside = self.degrees / (self.degrees + square);
        let outside = square / (self.degrees + square);
        if inside < (half + 1.0) / (half + 2.5) {
            self.front(inside, outside) / half * fraction(inside, half, 0.5)
        } else {
            1.0 - self.front(inside, outside) * 2.0 * fraction(outside, 0.5, half)
        }
    }

    /// The t that a value does not exceed in either direction with this probability: 1.96 for 0.95 and
    /// many degrees of freedom.
    ///
    /// # Errors
    /// [`MetricsError::Parameter`] if the confidence does not lie between 0 and 1.
    pub fn critical(&self, confidence: f64) -> Result<f64, MetricsError> {
        check_confidence(confidence)?;
        let beyond = 1.0 - confidence;
        let (mut low, mut high) = (0.0, 1.0);
        while self.two_sided_p(high) > beyond {
            (low, high) = (high, 2.0 * high);
        }
        // Halved until the two are neighbours.
        loop {
            let middle = low + (high - low) / 2.0;
            if middle <= low || middle >= high {
                return Ok(high);
            }
            if self.two_sided_p(middle) > beyond {
                low = middle;
            } else {
                high = middle;
            }
        }
    }

    /// xᵃ (1−x)ᵇ / B(a, b) for a = ν/2, b = ½.
    fn front(self, x: f64, one_minus_x: f64) -> f64 {
        let half = self.degrees / 2.0;
        // B(a, ½) = √π · Γ(a) / Γ(a + ½). The logarithm of a number near 1 from its distance to 1.
        let log = if one_minus_x < 0.5 { (-one_minus_x).ln_1p() } else { x.ln() };
        (half * log).exp() * one_minus_x.sqrt() * gamma_step(half) / PI.sqrt()
    }
}

/// Γ(x + ½) / Γ(x) for x > 0.
///
/// From the asymptotic series of its logarithm at a large argument, which steps of one reach:
/// Γ(x + ½)/Γ(x) = Γ(x + 3/2)/Γ(x + 1) · x / (x + ½). The two gamma functions by themselves would
/// lose as many digits as their logarithms have before the point.
fn gamma_step(x: f64) -> f64 {
    let (mut x, mut factor) = (x, 1.0);
    while x < 20.0 {
        factor *= x / (x + 0.5);
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series =
        -1.0 / 8.0 + square * (1.0 / 192.0 + square * (-1.0 / 640.0 + square * (17.0 / 14_336.0)));
    factor * x.sqrt() * (series * inverse).exp()
}

/// The continued fraction of the incomplete beta function (Abramowitz and Stegun, 26.5.8), by the
/// method of Lentz; converges fast for x < (a + 1)/(a + b + 2).
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    /// Stands for a denominator of 0.
    const TINY: f64 = 1e-300;
    /// Terms needed grow with the root of the greater argument: enough for 10¹⁰.
    const TERMS: u32 = 200_000;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    for m in 1..TERMS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        value *= d * c;
        if (d * c - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    value
}
