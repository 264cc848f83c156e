//! Bars side by side for named things.

use super::axis::Axis;
use super::canvas::{CHARACTERS_ACROSS, Canvas, Mark};
use super::{Drawing, Ink, Key, Scale, counted};
use crate::ReportError;
use crate::text::{clip, format_count};

/// More bars than this cannot be told apart.
const MOST_BARS: usize = 64;
/// Longest name under a bar, in characters.
const LONGEST_NAME: usize = 16;

/// One bar per name and series, such as the sizes of clusters in the pool and in the selection.
///
/// Of more than 64 names the 64 with the largest value in the first series are shown, in their
/// order; the caption then says so.
#[derive(Debug, Clone)]
pub struct Bars {
    pub(super) title: String,
    pub(super) caption: String,
    x_label: String,
    y_label: String,
    scale: Scale,
    names: Vec<String>,
    series: Vec<(String, Vec<f64>)>,
}

impl Bars {
    /// Names along the horizontal axis, no bars yet.
    pub fn new<N: Into<String>>(
        title: impl Into<String>,
        x_label: impl Into<String>,
        y_label: impl Into<String>,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        Self {
            title: title.into(),
            caption: String::new(),
            x_label: x_label.into(),
            y_label: y_label.into(),
            scale: Scale::Linear,
            names: names.into_iter().map(Into::into).collect(),
            series: Vec::new(),
        }
    }

    /// Adds a series: one value for each name.
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

    /// A sentence under the plot.
    #[must_use]
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    pub(super) fn draw(&self) -> Result<Drawing, ReportError> {
        for (name, values) in &self.series {
            if values.len() != self.names.len() {
                return Err(ReportError::Mismatch {
                    what: format!("series `{name}` of plot `{}`", self.title),
                    found: counted(values.len(), "value"),
                    expected: counted(self.names.len(), "value"),
                });
            }
        }
        let mut drawing = Drawing::default();
        let heights = self.heights();
        let shown = self.shown();
        if shown.len() < self.names.len() {
            drawing.notes.push(format!(
                "The {} largest of {} are shown.",
                shown.len(),
                format_count(self.names.len())
            ));
        }
        let not_finite = heights.iter().flatten().filter(|v| !v.is_finite()).count();
        if not_finite > 0 {
            let values = counted(not_finite, "value");
            drawing.notes.push(format!("Left out: {values} not finite."));
        }
        let visible = |v: &f64| v.is_finite() && (self.scale != Scale::Log || *v > 0.0);
        let drawn: Vec<f64> = heights
            .iter()
            .flat_map(|values| shown.iter().map(|&i| values[i]))
            .filter(visible)
            .collect();
        let (Some(low), Some(high)) =
            (drawn.iter().copied().reduce(f64::min), drawn.iter().copied().reduce(f64::max))
        else {
            return Ok(drawing);
        };
        let y = if self.scale == Scale::Log {
            Axis::logarithms(low.log10() - 0.3, high.log10() + 0.08)
        } else {
            Axis::from_zero(low, high)
        };
        let floor = if self.scale == Scale::Log { y.low() } else { 0.0 };
        // Bars of one name share 80 % of its place.
        let width = 0.8 / self.series.len() as f64;
        let mut marks = Vec::new();
        for (number, values) in heights.iter().enumerate() {
            for (place, &index) in shown.iter().enumerate() {
                let value = values[index];
                if !visible(&value) {
                    continue;
                }
                let top = if self.scale == Scale::Log { value.log10() } else { value };
                let left = place as f64 - 0.4 + width * number as f64;
                marks.push(Mark::Area {
                    corners: [(left, floor), (left + width, top)],
                    ink: self.ink(number),
                    opacity: 0.9,
                });
            }
        }
        for (number, (name, _)) in self.series.iter().enumerate() {
            drawing.legend.push(Key { glyph: '■', ink: self.ink(number), text: name.clone() });
        }
        let names: Vec<String> =
            shown.iter().map(|&i| clip(&self.names[i], LONGEST_NAME).into_owned()).collect();
        let longest = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
        let share_label = format!("{}: share of each group (%)", self.y_label);
        let canvas = Canvas {
            title: &self.title,
            x: Axis::categories(&names, CHARACTERS_ACROSS / (longest + 2)),
            y,
            x_label: &self.x_label,
            y_label: match self.scale {
                Scale::Share => &share_label,
                Scale::Linear | Scale::Log => &self.y_label,
            },
            vertical_lines: false,
            marks,
        };
        drawing.svg = Some(canvas.svg()?);
        Ok(drawing)
    }

    /// A single series is not a background.
    fn ink(&self, number: usize) -> Ink {
        Ink::series(number + usize::from(self.series.len() == 1))
    }

    fn heights(&self) -> Vec<Vec<f64>> {
        self.series
            .iter()
            .map(|(_, values)| {
                let total: f64 = values.iter().filter(|v| v.is_finite()).sum();
                let factor =
                    if self.scale == Scale::Share && total > 0.0 { 100.0 / total } else { 1.0 };
                values.iter().map(|v| v * factor).collect()
            })
            .collect()
    }

    /// Places of the names that are shown, ascending.
    fn shown(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.names.len()).collect();
        if places.len() > MOST_BARS {
            if let Some((_, first)) = self.series.first() {
                places.sort_by(|&a, &b| first[b].total_cmp(&first[a]).then(a.cmp(&b)));
            }
            places.truncate(MOST_BARS);
            places.sort_unstable();
        }
        places
    }
}
