//! Points in the plane, in classes, some of them emphasised.

use std::collections::{BTreeMap, BTreeSet};

use super::axis::Axis;
use super::canvas::{Canvas, Mark, Shape};
use super::{Drawing, HUE_COUNT, Ink, Key, counted, shown_range};
use crate::ReportError;
use crate::mix::thin_out;
use crate::stats::sorted_finite;
use crate::text::format_count;

/// More points than this are thinned out: pages stay small, and the eye sees no difference.
const MOST_POINTS: usize = 5_000;
/// Classes with a sign of their own: every hue in every shape.
const MOST_CLASSES: usize = HUE_COUNT * Shape::ALL.len();

/// Points in the plane, such as gradients projected to two dimensions.
///
/// Classes (clusters) differ by hue and shape, so they can be told apart without seeing colours;
/// beyond the 24 largest they are grey. Above 5,000 points a fixed choice of them is drawn.
#[derive(Debug, Clone)]
pub struct Scatter {
    pub(super) title: String,
    pub(super) caption: String,
    x_label: String,
    y_label: String,
    points: Vec<[f64; 2]>,
    class_name: String,
    classes: Option<Vec<usize>>,
    emphasis_name: String,
    emphasised: Option<Vec<bool>>,
}

impl Scatter {
    /// Points of one class.
    pub fn new(title: impl Into<String>, points: Vec<[f64; 2]>) -> Self {
        Self {
            title: title.into(),
            caption: String::new(),
            x_label: "first component".to_owned(),
            y_label: "second component".to_owned(),
            points,
            class_name: String::new(),
            classes: None,
            emphasis_name: String::new(),
            emphasised: None,
        }
    }

    /// Names of the axes; first and second component if not set.
    #[must_use]
    pub fn labels(mut self, x: impl Into<String>, y: impl Into<String>) -> Self {
        self.x_label = x.into();
        self.y_label = y.into();
        self
    }

    /// The class of each point; `name` is what a class is called, such as "cluster".
    #[must_use]
    pub fn classes(mut self, name: impl Into<String>, classes: Vec<usize>) -> Self {
        self.class_name = name.into();
        self.classes = Some(classes);
        self
    }

    /// Which points stand out, and what they are called, such as "selected".
    #[must_use]
    pub fn emphasised(mut self, name: impl Into<String>, emphasised: Vec<bool>) -> Self {
        self.emphasis_name = name.into();
        self.emphasised = Some(emphasised);
        self
    }

    /// A sentence under the plot.
    #[must_use]
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    fn check(&self) -> Result<(), ReportError> {
        let lengths = [
            ("classes", self.classes.as_ref().map(Vec::len)),
            ("emphasis", self.emphasised.as_ref().map(Vec::len)),
        ];
        for (what, length) in lengths {
            if length.is_some_and(|length| length != self.points.len()) {
                return Err(ReportError::Mismatch {
                    what: format!("{what} of plot `{}`", self.title),
                    found: counted(length.unwrap_or(0), "entry").replace("entrys", "entries"),
                    expected: format!("one for each of {}", counted(self.points.len(), "point")),
                });
            }
        }
        Ok(())
    }

    fn is_emphasised(&self, point: usize) -> bool {
        self.emphasised.as_ref().is_some_and(|all| all[point])
    }

    pub(super) fn draw(&self) -> Result<Drawing, ReportError> {
        self.check()?;
        let mut drawing = Drawing::default();
        let finite: Vec<usize> = (0..self.points.len())
            .filter(|&i| self.points[i].iter().all(|v| v.is_finite()))
            .collect();
        if finite.len() < self.points.len() {
            let points = counted(self.points.len() - finite.len(), "point");
            drawing.notes.push(format!("Left out: {points} not finite."));
        }
        if finite.is_empty() {
            return Ok(drawing);
        }
        let ranges = [0, 1].map(|side| {
            let sorted = sorted_finite(finite.iter().map(|&i| self.points[i][side]));
            shown_range(&sorted)
        });
        let signs = self.signs(&finite);
        let drawn = self.choose(&finite);
        if drawn.len() < finite.len() {
            drawing.notes.push(format!(
                "{} of {} drawn.",
                format_count(drawn.len()),
                counted(finite.len(), "point")
            ));
        }
        let outside = |i: &&usize| {
            let inside =
                |side: usize| (ranges[side].0..=ranges[side].1).contains(&self.points[**i][side]);
            !(inside(0) && inside(1))
        };
        let at_the_edge = drawn.iter().filter(outside).count();
        if at_the_edge > 0 {
            let points = counted(at_the_edge, "point");
            drawing.notes.push(format!("{points} beyond the range at its edge."));
        }
        let [x, y] = ranges.map(|(low, high)| {
            let room = high * 0.03 - low * 0.03;
            Axis::linear((low - room).max(f64::MIN), (high + room).min(f64::MAX))
        });
        drawing.legend = self.legend(&finite, &signs);
        let canvas = Canvas {
            title: &self.title,
            x,
            y,
            x_label: &self.x_label,
            y_label: &self.y_label,
            vertical_lines: true,
            marks: self.marks(&drawn, &signs),
        };
        drawing.svg = Some(canvas.svg()?);
        Ok(drawing)
    }

    /// Hue and shape of the largest classes, in the order of their numbers.
    fn signs(&self, finite: &[usize]) -> BTreeMap<usize, (Ink, Shape)> {
        let Some(classes) = &self.classes else {
            return BTreeMap::new();
        };
        let mut sizes = BTreeMap::<usize, usize>::new();
        for &point in finite {
            *sizes.entry(classes[point]).or_default() += 1;
        }
        let mut by_size: Vec<(usize, usize)> = sizes.into_iter().collect();
        by_size.sort_by_key(|&(class, size)| (std::cmp::Reverse(size), class));
        let largest: BTreeSet<usize> =
            by_size.into_iter().take(MOST_CLASSES).map(|(class, _)| class).collect();
        largest
            .into_iter()
            .enumerate()
            .map(|(n, class)| (class, (Ink::Hue(n), Shape::ALL[n / HUE_COUNT])))
            .collect()
    }

    /// The points to draw: emphasised ones last, on top; half of the room is kept for each kind.
    fn choose(&self, finite: &[usize]) -> Vec<usize> {
        let (strong, weak): (Vec<usize>, Vec<usize>) =
            finite.iter().partition(|&&i| self.is_emphasised(i));
        let strong_room = (MOST_POINTS / 2).max(MOST_POINTS.saturating_sub(weak.len()));
        let strong = thin_out(strong, strong_room);
        let mut drawn = thin_out(weak, MOST_POINTS - strong.len());
        drawn.extend(strong);
        drawn
    }

    fn marks(&self, drawn: &[usize], signs: &BTreeMap<usize, (Ink, Shape)>) -> Vec<Mark> {
        let plain = match self.classes {
            Some(_) => Ink::Muted,
            None => Ink::Hue(0),
        };
        let point = |&i: &usize| {
            let class = self.classes.as_ref().map(|classes| classes[i]);
            let (ink, shape) = class
                .and_then(|class| signs.get(&class).copied())
                .unwrap_or((plain, Shape::Circle));
            let strong = self.is_emphasised(i);
            Mark::Point {
                at: (self.points[i][0], self.points[i][1]),
                shape,
                radius: if strong { 9 } else { 6 },
                ink,
                // Without emphasis in the plot, nothing has to stand back.
                opacity: if strong {
                    1.0
                } else if self.emphasised.is_some() {
                    0.45
                } else {
                    0.7
                },
                ringed: strong,
            }
        };
        drawn.iter().map(point).collect()
    }

    fn legend(&self, finite: &[usize], signs: &BTreeMap<usize, (Ink, Shape)>) -> Vec<Key> {
        let mut legend: Vec<Key> = signs
            .iter()
            .map(|(class, (ink, shape))| Key {
                glyph: shape.glyph(),
                ink: *ink,
                text: format!("{} {class}", self.class_name),
            })
            .collect();
        if let Some(classes) = &self.classes {
            let rest: BTreeSet<usize> = finite
                .iter()
                .map(|&i| classes[i])
                .filter(|class| !signs.contains_key(class))
                .collect();
            if !rest.is_empty() {
                legend.push(Key {
                    glyph: Shape::Circle.glyph(),
                    ink: Ink::Muted,
                    text: format!("{} smaller ones", format_count(rest.len())),
                });
            }
        }
        let strong = finite.iter().filter(|&&i| self.is_emphasised(i)).count();
        if self.emphasised.is_some() {
            let text = format!("outlined: {} ({})", self.emphasis_name, format_count(strong));
            // A legend of one entry is not shown; this one must be.
            if legend.is_empty() {
                legend.push(Key {
                    glyph: Shape::Circle.glyph(),
                    ink: Ink::Hue(0),
                    text: "others".to_owned(),
                });
            }
            legend.push(Key { glyph: '○', ink: Ink::Text, text });
        }
        legend
    }
}
