//! Overlaid histograms over shared bins.

use super::axis::{Axis, widened};
use super::canvas::{Canvas, Mark};
use super::{Drawing, Ink, Key, Scale, counted, shown_range};
use crate::ReportError;
use crate::stats::{quantile, sorted_finite};
use crate::text::format_count;

/// Distributions of one quantity in several groups, such as the pool and the selected rows.
///
/// All groups share their bins. Groups are drawn one over the other in the order in which they are
/// added, the first in grey: add the largest first. Numbers that are not finite are left out and
/// far-off ones are counted in the outermost bins; the caption then says so.
#[derive(Debug, Clone)]
pub struct Histogram {
    pub(super) title: String,
    pub(super) caption: String,
    x_label: String,
    unit: String,
    scale: Scale,
    series: Vec<(String, Vec<f64>)>,
}

impl Histogram {
    /// A histogram without data.
    pub fn new(title: impl Into<String>, x_label: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            caption: String::new(),
            x_label: x_label.into(),
            unit: "samples".to_owned(),
            scale: Scale::Linear,
            series: Vec::new(),
        }
    }

    /// Adds a group.
    #[must_use]
    pub fn series(
        mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = f64>,
    ) -> Self {
        self.series.push((name.into(), values.into_iter().collect()));
        self
    }

    /// What the heights show.
    #[must_use]
    pub fn scale(mut self, scale: Scale) -> Self {
        self.scale = scale;
        self
    }

    /// What is counted; "samples" if not set.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }

    /// A sentence under the plot.
    #[must_use]
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    pub(super) fn draw(&self) -> Result<Drawing, ReportError> {
        let all = || self.series.iter().flat_map(|(_, values)| values);
        let sorted = sorted_finite(all().copied());
        let mut drawing = Drawing::default();
        let dropped = all().count() - sorted.len();
        if dropped > 0 {
            let values = counted(dropped, "value");
            drawing.notes.push(format!("Left out: {values} not finite."));
        }
        if sorted.is_empty() {
            return Ok(drawing);
        }
        let bins = Bins::over(&sorted);
        let (below, above) = bins.outside(&sorted);
        if below + above > 0 {
            drawing.notes.push(format!(
                "Counted in the outermost bins: {} below and {} above the range shown.",
                counted(below, "value"),
                counted(above, "value")
            ));
        }
        let heights: Vec<Vec<f64>> =
            self.series.iter().map(|(_, values)| bins.heights(values, self.scale)).collect();
        let tallest = heights.iter().flatten().copied().fold(0.0, f64::max);
        let y = match self.scale {
            // A bin with a single value must rise above the axis.
            Scale::Log => Axis::logarithms(0.5_f64.log10(), tallest.log10() + 0.08),
            Scale::Linear | Scale::Share => Axis::from_zero(0.0, tallest),
        };
        let mut marks = Vec::new();
        for (number, heights) in heights.iter().enumerate() {
            bins.marks(heights, self.scale, &y, Ink::series(number), &mut marks);
        }
        for (number, (name, values)) in self.series.iter().enumerate() {
            let count = values.iter().filter(|v| v.is_finite()).count();
            drawing.legend.push(Key {
                glyph: '■',
                ink: Ink::series(number),
                text: format!("{name} ({})", format_count(count)),
            });
        }
        let y_label = match self.scale {
            Scale::Share => "share of each group (%)",
            Scale::Linear | Scale::Log => &self.unit,
        };
        let canvas = Canvas {
            title: &self.title,
            x: Axis::linear(bins.low, bins.edge(bins.count)),
            y,
            x_label: &self.x_label,
            y_label,
            vertical_lines: false,
            marks,
        };
        drawing.svg = Some(canvas.svg()?);
        Ok(drawing)
    }
}

/// Bins of equal width.
#[derive(Debug)]
struct Bins {
    low: f64,
    width: f64,
    count: usize,
}

impl Bins {
    const FEWEST: f64 = 8.0;
    const MOST: f64 = 60.0;

    /// Bins for ascending numbers, at least one: widths by Freedman and Diaconis's rule (twice the
    /// interquartile range over the cube root of the count) within limits, whole for whole numbers.
    fn over(sorted: &[f64]) -> Self {
        let (low, high) = shown_range(sorted);
        if high <= low {
            // One value: a bar in the middle.
            let (low, high) = widened(low, high);
            let count = 9;
            return Self::between(low, high, count);
        }
        let quartiles = quantile(sorted, 0.75) / 2.0 - quantile(sorted, 0.25) / 2.0;
        let ideal = 4.0 * quartiles / (sorted.len() as f64).cbrt();
        let wanted = (high / ideal - low / ideal).clamp(Self::FEWEST, Self::MOST);
        // No spread in the middle half, or a NaN from it.
        let wanted = if ideal > 0.0 && wanted.is_finite() { wanted } else { 30.0 };
        let whole = sorted.iter().all(|v| v.fract() == 0.0 && v.abs() < 1e15);
        if whole {
            // Each bin holds the same number of whole numbers, or the plot would show a comb.
            let low = low.floor() - 0.5;
            let width = ((high - low) / wanted).ceil().max(1.0);
            let count = ((high - low) / width).ceil().max(1.0) as usize;
            return Self { low, width, count };
        }
        let (low, high) = widened(low, high);
        Self::between(low, high, wanted.round() as usize)
    }

    fn between(low: f64, high: f64, count: usize) -> Self {
        let n = count as f64;
        Self { low, width: high / n - low / n, count }
    }

    fn edge(&self, index: usize) -> f64 {
        (self.low + self.width * index as f64).clamp(f64::MIN, f64::MAX)
    }

    fn index(&self, value: f64) -> usize {
        let place = (value / self.width - self.low / self.width).floor();
        (place.max(0.0) as usize).min(self.count - 1)
    }

    fn outside(&self, sorted: &[f64]) -> (usize, usize) {
        // Rounding must not put the largest value itself outside.
        let tolerance = self.width * 1e-6;
        let high = self.edge(self.count) + tolerance;
        let below = sorted.partition_point(|v| *v < self.low - tolerance);
        let above = sorted.len() - sorted.partition_point(|v| *v <= high);
        (below, above)
    }

    fn heights(&self, values: &[f64], scale: Scale) -> Vec<f64> {
        let mut heights = vec![0.0; self.count];
        let mut total = 0.0;
        for value in values.iter().filter(|v| v.is_finite()) {
            heights[self.index(*value)] += 1.0;
            total += 1.0;
        }
        if scale == Scale::Share && total > 0.0 {
            for height in &mut heights {
                *height *= 100.0 / total;
            }
        }
        heights
    }

    /// Bars and their outline.
    fn marks(&self, heights: &[f64], scale: Scale, y: &Axis, ink: Ink, marks: &mut Vec<Mark>) {
        let floor = y.low();
        let top = |height: f64| match scale {
            Scale::Log if height > 0.0 => height.log10(),
            Scale::Log => floor,
            Scale::Linear | Scale::Share => height,
        };
        let mut outline = vec![(self.edge(0), floor)];
        for (index, height) in heights.iter().enumerate() {
            let (left, right) = (self.edge(index), self.edge(index + 1));
            let top = top(*height);
            if *height > 0.0 {
                marks.push(Mark::Area {
                    corners: [(left, floor), (right, top)],
                    ink,
                    opacity: 0.45,
                });
            }
            outline.push((left, top));
            outline.push((right, top));
        }
        outline.push((self.edge(self.count), floor));
        if heights.iter().any(|height| *height > 0.0) {
            marks.push(Mark::Path { points: outline, ink, width: 3 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bins, Scale};

    #[test]
    fn every_value_falls_into_one_bin() {
        let values: Vec<f64> = (0..500).map(|i| f64::from(i * i % 317) / 7.0).collect();
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let bins = Bins::over(&sorted);
        let heights = bins.heights(&values, Scale::Linear);
        assert_eq!(heights.iter().sum::<f64>() as usize, 500);
        // The second witness: count by comparing with the edges.
        for (index, height) in heights.iter().enumerate() {
            let (left, right) = (bins.edge(index), bins.edge(index + 1));
            let last = index + 1 == bins.count;
            let inside = |v: &&f64| **v >= left && (**v < right || last);
            assert_eq!(values.iter().filter(inside).count(), *height as usize);
        }
        let shares: f64 = bins.heights(&values, Scale::Share).iter().sum();
        assert!((shares - 100.0).abs() < 1e-9);
    }

    #[test]
    fn whole_numbers_get_whole_bins() {
        let bins = Bins::over(&[3.0, 4.0, 4.0, 5.0, 9.0]);
        assert_eq!((bins.low, bins.width, bins.count), (2.5, 1.0, 7));
        assert_eq!(bins.index(3.0), 0);
        assert_eq!(bins.index(9.0), 6);
    }

    #[test]
    fn far_off_values_do_not_squeeze_the_rest() {
        let mut values: Vec<f64> = (0..1000).map(|i| f64::from(i) / 1000.0 + 0.0001).collect();
        values.push(1e9);
        let bins = Bins::over(&values);
        assert!(bins.edge(bins.count) < 2.0, "{bins:?}");
        assert_eq!(bins.outside(&values), (0, 1));
        assert_eq!(bins.index(1e9), bins.count - 1);
    }
}
