//! Values over steps.

use super::axis::Axis;
use super::canvas::{Canvas, Mark, Shape};
use super::{Drawing, Ink, Key, counted};
use crate::ReportError;

/// Longer lines are drawn by the extremes of this many stretches: no peak is lost.
const MOST_STRETCHES: usize = 1_000;

/// Lines through points, such as the loss over the steps of fine-tuning.
///
/// A value that is not finite (or not positive on a logarithmic axis) interrupts its line and is
/// counted in the caption.
#[derive(Debug, Clone)]
pub struct LinePlot {
    pub(super) title: String,
    pub(super) caption: String,
    x_label: String,
    y_label: String,
    log_y: bool,
    series: Vec<Series>,
}

#[derive(Debug, Clone)]
struct Series {
    name: String,
    points: Vec<[f64; 2]>,
    /// x, lower and upper end.
    intervals: Vec<[f64; 3]>,
}

impl LinePlot {
    /// A plot without lines.
    pub fn new(
        title: impl Into<String>,
        x_label: impl Into<String>,
        y_label: impl Into<String>,
    ) -> Self {
        Self {
            title: title.into(),
            caption: String::new(),
            x_label: x_label.into(),
            y_label: y_label.into(),
            log_y: false,
            series: Vec::new(),
        }
    }

    /// Adds a line through points (x, y) in their order.
    #[must_use]
    pub fn series(
        mut self,
        name: impl Into<String>,
        points: impl IntoIterator<Item = [f64; 2]>,
    ) -> Self {
        let points = points.into_iter().collect();
        self.series.push(Series { name: name.into(), points, intervals: Vec::new() });
        self
    }

    /// Adds a vertical bar for each (x, low, high) to the last line, such as the confidence interval of
    /// its point there. One with an end that is not finite is left out like such a point.
    #[must_use]
    pub fn intervals(mut self, intervals: impl IntoIterator<Item = [f64; 3]>) -> Self {
        if let Some(series) = self.series.last_mut() {
            series.intervals.extend(intervals);
        }
        self
    }

    /// Whether the vertical axis is logarithmic.
    #[must_use]
    pub fn log_y(mut self, log_y: bool) -> Self {
        self.log_y = log_y;
        self
    }

    /// A sentence under the plot.
    #[must_use]
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    pub(super) fn draw(&self) -> Result<Drawing, ReportError> {
        let mut drawing = Drawing::default();
        let place = |[x, y]: [f64; 2]| {
            let y = if self.log_y { y.log10() } else { y };
            (x.is_finite() && y.is_finite()).then_some((x, y))
        };
        let mut marks = Vec::new();
        let mut corners: Option<[(f64, f64); 2]> = None;
        let mut dropped = 0;
        let mut reach = |(x, y): (f64, f64)| {
            let [low, high] = corners.get_or_insert([(x, y); 2]);
            *low = (low.0.min(x), low.1.min(y));
            *high = (high.0.max(x), high.1.max(y));
        };
        for (number, series) in self.series.iter().enumerate() {
            let ink = Ink::Hue(number);
            let placed: Vec<Option<(f64, f64)>> = series.points.iter().map(|p| place(*p)).collect();
            placed.iter().flatten().for_each(|point| reach(*point));
            dropped += placed.iter().filter(|p| p.is_none()).count();
            for &[x, low, high] in &series.intervals {
                let (Some(low), Some(high)) = (place([x, low]), place([x, high])) else {
                    dropped += 1;
                    continue;
                };
                reach(low);
                reach(high);
                marks.push(Mark::Path { points: vec![low, high], ink, width: 2 });
            }
            for stretch in placed.split(Option::is_none) {
                let stretch: Vec<(f64, f64)> = stretch.iter().copied().flatten().collect();
                match stretch.as_slice() {
                    [] => {}
                    [at] => marks.push(Mark::Point {
                        at: *at,
                        shape: Shape::Circle,
                        radius: 6,
                        ink,
                        opacity: 1.0,
                        ringed: false,
                    }),
                    _ => marks.push(Mark::Path { points: extremes(&stretch), ink, width: 4 }),
                }
            }
        }
        if dropped > 0 {
            let why = if self.log_y { "not finite or not positive" } else { "not finite" };
            let values = counted(dropped, "value");
            drawing.notes.push(format!("Left out: {values} {why}."));
        }
        let Some([low, high]) = corners else {
            return Ok(drawing);
        };
        for (number, series) in self.series.iter().enumerate() {
            let text = series.name.clone();
            drawing.legend.push(Key { glyph: '■', ink: Ink::Hue(number), text });
        }
        let room = high.1 * 0.05 - low.1 * 0.05;
        let (bottom, top) = ((low.1 - room).max(f64::MIN), (high.1 + room).min(f64::MAX));
        let canvas = Canvas {
            title: &self.title,
            x: Axis::linear(low.0, high.0),
            y: if self.log_y { Axis::logarithms(bottom, top) } else { Axis::linear(bottom, top) },
            x_label: &self.x_label,
            y_label: &self.y_label,
            vertical_lines: false,
            marks,
        };
        drawing.svg = Some(canvas.svg()?);
        Ok(drawing)
    }
}

/// The lowest and the highest point of each stretch, in order, if there are too many.
fn extremes(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= 2 * MOST_STRETCHES {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(2 * MOST_STRETCHES + 2);
    for stretch in points.chunks(points.len().div_ceil(MOST_STRETCHES)) {
        let height = |i: &usize, j: &usize| stretch[*i].1.total_cmp(&stretch[*j].1);
        let places = || 0..stretch.len();
        let mut ends: Vec<usize> =
            places().min_by(height).into_iter().chain(places().max_by(height)).collect();
        ends.sort_unstable();
        kept.extend(ends.into_iter().map(|i| stretch[i]));
    }
    kept
}
