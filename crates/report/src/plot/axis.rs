//! An axis: a finite range that is never empty, with tick marks and their labels.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::text::{group, scientific};

/// The ticks that a range of numbers gets are at most about this many.
const TICKS: f64 = 6.0;

/// A linear axis with explicit ticks. Logarithmic plots put logarithms on it.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Round numbers over `low..=high`; a range too narrow for numbers is widened.
    pub(crate) fn linear(low: f64, high: f64) -> Self {
        let (low, high) = widened(low, high);
        Self { low, high, ticks: round_ticks(low, high) }
    }

    /// From 0 (or the lowest negative) to a little above the highest value.
    pub(crate) fn from_zero(low: f64, high: f64) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let room = (high * 0.05 - low * 0.05).max(0.0);
        let padded_low = if low < 0.0 { low - room } else { 0.0 };
        Self::linear(padded_low.max(f64::MIN), (high + room).min(f64::MAX))
    }

    /// Decimal logarithms from `low` to `high`, ticks at the powers of ten.
    pub(crate) fn logarithms(low: f64, high: f64) -> Self {
        let (low, high) = widened(low, high);
        let (first, last) = (low.ceil() as i32, high.floor() as i32);
        let powers = usize::try_from(last - first + 1).unwrap_or(0);
        if powers < 2 {
            // Less than two powers of ten in sight: label 1, 2 and 5 of each instead.
            let ticks = (first - 1..=last + 1)
                .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)))
                .filter(|value| (low..=high).contains(&value.log10()))
                .map(|value| (value.log10(), tick_label(value, value, value)))
                .collect();
            return Self { low, high, ticks };
        }
        let step = powers.div_ceil(8);
        let ticks = (first..=last)
            .step_by(step)
            .map(|power| {
                let value = 10f64.powi(power);
                (f64::from(power), tick_label(value, value, value))
            })
            .collect();
        Self { low, high, ticks }
    }

    /// Named places 0, 1, 2, ...; names are left out where they would run into each other.
    pub(crate) fn categories(names: &[String], names_that_fit: usize) -> Self {
        let step = names.len().div_ceil(names_that_fit.max(1)).max(1);
        Self {
            low: -0.5,
            high: (names.len() as f64 - 0.5).max(0.5),
            ticks: names
                .iter()
                .enumerate()
                .step_by(step)
                .map(|(place, name)| (place as f64, name.clone()))
                .collect(),
        }
    }

    /// Characters of the longest label.
    pub(crate) fn longest_label(&self) -> usize {
        let lengths = self.ticks.iter().map(|(_, label)| label.chars().count());
        lengths.max().unwrap_or(0)
    }

    pub(crate) fn low(&self) -> f64 {
        self.low
    }

    /// Where a value lies between low (0) and high (1). Halves, because the whole range of two huge
    /// numbers overflows.
    fn fraction(&self, value: f64) -> f64 {
        let share = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        share.clamp(0.0, 1.0)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        start + (f64::from(end - start) * self.fraction(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            // Minor lines: none.
            Vec::new()
        } else {
            self.ticks.iter().map(|(place, _)| *place).collect()
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        // The library hands back the very numbers that `key_points` gave it.
        self.ticks
            .iter()
            .find(|(place, _)| place.total_cmp(value).is_eq())
            .map_or_else(String::new, |(_, label)| label.clone())
    }
}

/// Makes room around a single value, so that the range has a width that numbers can divide.
pub(crate) fn widened(low: f64, high: f64) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    if high / 2.0 - low / 2.0 > size * 1e-12 && high - low > 1e-300 {
        return (low, high);
    }
    let room = if size > 1e-290 { size * 0.1 } else { 0.5 };
    ((low - room).max(f64::MIN), (high + room).min(f64::MAX))
}

/// Multiples of 1, 2 or 5 times a power of ten inside the range.
fn round_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let raw = high / TICKS - low / TICKS;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|digit| digit * power)
        .into_iter()
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(raw);
    let size = low.abs().max(high.abs());
    let first = (low / step).ceil();
    // Two more than can fit; the range decides.
    (0..=TICKS as usize + 2)
        .map(|index| (first + index as f64) * step)
        // Negative zero is a zero.
        .map(|value| if value == 0.0 { 0.0 } else { value })
        .filter(|value| (low..=high).contains(value))
        .map(|value| (value, tick_label(value, step, size)))
        .collect()
}

/// A label with the decimals that tell neighbours apart.
fn tick_label(value: f64, step: f64, size: f64) -> String {
    if value.abs() < step * 1e-9 {
        return "0".to_owned();
    }
    // The small addend lets 0.01, whose logarithm may come out below -2, have 2 decimals.
    let step_power = (step.log10() + 1e-9).floor() as i32;
    if (1e-4..1e6).contains(&size) && step_power >= -6 {
        let decimals = (-step_power).max(0) as usize;
        group(&format!("{value:.decimals$}"))
    } else {
        let value_power = value.abs().log10().floor() as i32;
        scientific(value, (value_power - step_power).clamp(0, 6) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::Axis;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&Axis::linear(0.0, 1.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::linear(-3.0, 7.9)), ["−2", "0", "2", "4", "6"]);
        assert_eq!(
            labels(&Axis::linear(0.0, 12_000.0)),
            ["0", "2,000", "4,000", "6,000", "8,000", "10,000", "12,000"]
        );
        assert_eq!(labels(&Axis::linear(0.0, 3.1e-7)), ["0", "1×10⁻⁷", "2×10⁻⁷", "3×10⁻⁷"]);
        assert_eq!(labels(&Axis::logarithms(0.0, 3.2)), ["1", "10", "100", "1,000"]);
        assert_eq!(labels(&Axis::logarithms(0.2, 0.9)), ["2", "5"]);
    }

    #[test]
    fn every_range_has_a_width_and_ticks() {
        for (low, high) in [
            (0.0, 0.0),
            (5.0, 5.0),
            (f64::MIN, f64::MAX),
            (f64::MAX, f64::MAX),
            (-1e-320, 1e-320),
            (1e16, 1e16 + 2.0),
            (1e-300, 1e300),
        ] {
            let axis = Axis::linear(low, high);
            assert!(axis.low < axis.high && !axis.ticks.is_empty(), "{axis:?}");
            assert!(axis.ticks.len() < 10, "{axis:?}");
            for value in [axis.low, axis.high, low, 0.0] {
                let share = axis.fraction(value);
                assert!((0.0..=1.0).contains(&share), "{axis:?} {value} {share}");
            }
            assert_eq!((axis.fraction(axis.low), axis.fraction(axis.high)), (0.0, 1.0));
        }
    }
}
