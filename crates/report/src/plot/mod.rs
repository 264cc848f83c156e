//! Plots: what they have in common, and how they become figures of a page.

mod axis;
mod bars;
mod canvas;
mod histogram;
mod line;
mod palette;
mod scatter;

pub use bars::Bars;
pub use histogram::Histogram;
pub use line::LinePlot;
pub use scatter::Scatter;

pub(crate) use palette::{HUE_COUNT, Ink, style_rules};

use crate::ReportError;
use crate::html::{escape, push};

/// How heights are shown in histograms and bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// As they are.
    #[default]
    Linear,
    /// On a logarithmic axis; zeros have no bar.
    Log,
    /// In percent of the sum of their own series, so that groups of different sizes compare.
    Share,
}

/// Any of the plots.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Plot {
    /// Distributions over shared bins.
    Histogram(Histogram),
    /// Points in the plane.
    Scatter(Scatter),
    /// One bar for each named thing.
    Bars(Bars),
    /// Values over steps.
    Line(LinePlot),
}

macro_rules! from_plots {
    ($($variant:ident($kind:ty)),*) => {$(
        impl From<$kind> for Plot {
            fn from(plot: $kind) -> Self {
                Self::$variant(plot)
            }
        }
    )*};
}
from_plots!(Histogram(Histogram), Scatter(Scatter), Bars(Bars), Line(LinePlot));

impl Plot {
    /// The plot as a `<figure>` element with title, legend, drawing and caption.
    pub(crate) fn figure(&self) -> Result<String, ReportError> {
        let (title, caption, drawing) = match self {
            Self::Histogram(plot) => (&plot.title, &plot.caption, plot.draw()?),
            Self::Scatter(plot) => (&plot.title, &plot.caption, plot.draw()?),
            Self::Bars(plot) => (&plot.title, &plot.caption, plot.draw()?),
            Self::Line(plot) => (&plot.title, &plot.caption, plot.draw()?),
        };
        Ok(drawing.figure(title, caption))
    }
}

/// What a plot makes of its data.
#[derive(Debug, Default)]
struct Drawing {
    /// `None` if there is nothing to draw.
    svg: Option<String>,
    legend: Vec<Key>,
    /// Sentences that must stand under the plot, such as how many points are not shown.
    notes: Vec<String>,
}

/// One entry of a legend.
#[derive(Debug)]
struct Key {
    glyph: char,
    ink: Ink,
    text: String,
}

impl Drawing {
    fn figure(&self, title: &str, caption: &str) -> String {
        let mut html = String::from("<figure>\n");
        push(&mut html, format_args!("<h3>{}</h3>\n", escape(title)));
        // A single group needs no legend.
        if self.legend.len() > 1 && self.svg.is_some() {
            html.push_str("<ul class=\"legend\">");
            for key in &self.legend {
                push(
                    &mut html,
                    format_args!(
                        "<li><span style=\"color:var({})\" aria-hidden=\"true\">{}</span> {}</li>",
                        key.ink.variable(),
                        key.glyph,
                        escape(&key.text)
                    ),
                );
            }
            html.push_str("</ul>\n");
        }
        match &self.svg {
            Some(svg) => push(&mut html, format_args!("<div class=\"plot\">{svg}</div>\n")),
            None => html.push_str("<p class=\"none\">No data to plot.</p>\n"),
        }
        let words: Vec<&str> = std::iter::once(caption)
            .chain(self.notes.iter().map(String::as_str))
            .filter(|text| !text.is_empty())
            .collect();
        if !words.is_empty() {
            push(
                &mut html,
                format_args!("<figcaption>{}</figcaption>\n", escape(&words.join(" "))),
            );
        }
        html.push_str("</figure>\n");
        html
    }
}

/// The part of the axis worth showing: all values, unless a few far-off ones would squeeze the
/// rest together. Takes ascending numbers, at least one.
fn shown_range(sorted: &[f64]) -> (f64, f64) {
    /// A range wider than this many times that of the middle 98 % is cut.
    const WIDE: f64 = 5.0;
    let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
    let (low, high) = (crate::stats::quantile(sorted, 0.01), crate::stats::quantile(sorted, 0.99));
    // Halves: the difference of huge numbers overflows.
    let core = high / 2.0 - low / 2.0;
    if core > 0.0 && max / 2.0 - min / 2.0 > WIDE * core {
        let room = core / 2.0;
        (min.max(low - room), max.min(high + room))
    } else {
        (min, max)
    }
}

/// "3 values" or "1 value".
fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", crate::text::format_count(count))
}
