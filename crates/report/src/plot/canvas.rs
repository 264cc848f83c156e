//! Marks on a pair of axes, drawn as SVG.

use plotters::chart::ChartBuilder;
use plotters::element::{Circle, EmptyElement, PathElement, Polygon, Rectangle};
use plotters::prelude::{Color, IntoDrawingArea, IntoFont, SVGBackend};
use plotters::style::ShapeStyle;

use super::axis::Axis;
use super::palette::Ink;
use crate::ReportError;
use crate::html::{escape, printable};

/// Size of the drawing in its own units; pages scale it to about half. Coordinates are whole
/// numbers, so a generous size keeps points in their place.
const SIZE: (u32, u32) = (1440, 760);
/// Height of the labels under the horizontal axis: ticks and description.
const ROOM_BELOW: u32 = 96;
/// Width of the description of the vertical axis, beside the labels of its ticks.
const ROOM_LEFT: u32 = 72;
/// Margins above and to the right, for the halves of the outermost labels.
const MARGIN: (u32, u32) = (20, 40);
/// The library writes sizes divided by 1.24, for the line height.
const FONT_SIZE: f64 = 26.0 * 1.24;
/// Width of one character of that size, about, in units of the drawing.
const CHARACTER: usize = 15;

/// How many characters of axis text fit side by side on the horizontal axis.
pub(crate) const CHARACTERS_ACROSS: usize = 1_200 / CHARACTER;

/// Shape of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Circle,
    Triangle,
    Square,
    Diamond,
}

impl Shape {
    pub(crate) const ALL: [Self; 4] = [Self::Circle, Self::Triangle, Self::Square, Self::Diamond];

    /// The same shape as a character, for legends.
    pub(crate) fn glyph(self) -> char {
        match self {
            Self::Circle => '●',
            Self::Triangle => '▲',
            Self::Square => '■',
            Self::Diamond => '◆',
        }
    }

    /// Corners around (0, 0); all shapes cover about the area of the circle.
    fn corners(self, radius: i32) -> Vec<(i32, i32)> {
        let scaled = |factor: f64| (f64::from(radius) * factor).round() as i32;
        match self {
            Self::Circle => Vec::new(),
            Self::Triangle => {
                let (up, down, side) = (scaled(1.45), scaled(0.85), scaled(1.35));
                vec![(0, -up), (side, down), (-side, down)]
            }
            Self::Square => {
                let half = scaled(0.9);
                vec![(-half, -half), (half, -half), (half, half), (-half, half)]
            }
            Self::Diamond => {
                let half = scaled(1.3);
                vec![(0, -half), (half, 0), (0, half), (-half, 0)]
            }
        }
    }
}

/// One thing to draw, in the units of the axes.
#[derive(Debug, Clone)]
pub(crate) enum Mark {
    /// A filled rectangle between two corners.
    Area { corners: [(f64, f64); 2], ink: Ink, opacity: f64 },
    /// A line through points.
    Path { points: Vec<(f64, f64)>, ink: Ink, width: u32 },
    /// A point; `ringed` ones have an outline.
    Point { at: (f64, f64), shape: Shape, radius: u32, ink: Ink, opacity: f64, ringed: bool },
}

/// Axes with their labels, and what is drawn between them, in order.
#[derive(Debug)]
pub(crate) struct Canvas<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) x_label: &'a str,
    pub(crate) y_label: &'a str,
    /// Whether lines rise from the ticks of the horizontal axis.
    pub(crate) vertical_lines: bool,
    pub(crate) marks: Vec<Mark>,
}

impl Canvas<'_> {
    /// The drawing as one `<svg>` element.
    pub(crate) fn svg(self) -> Result<String, ReportError> {
        let title = self.title;
        let mut svg = String::new();
        self.draw(&mut svg)
            .map_err(|reason| ReportError::Plot { title: title.to_owned(), reason })?;
        // The library's opening tag fixes the size on the page; ours scales and has a name.
        let inside = svg.split_once('>').map_or("", |(_, inside)| inside);
        let opening = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" \
             aria-label=\"{}\">",
            SIZE.0,
            SIZE.1,
            escape(title)
        );
        // The library escapes markup but lets control characters of names through.
        let inside = printable(inside);
        // Attributes that say the default, thousands of times. Texts hold no raw quotes.
        let inside = inside
            .replace(" opacity=\"1\"", "")
            .replace(" stroke=\"none\"", "")
            .replace(" font-family=\"sans-serif\"", "");
        Ok(opening + &inside)
    }

    fn draw(self, svg: &mut String) -> Result<(), String> {
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let labels = self.y.longest_label() * CHARACTER;
        let mut chart = ChartBuilder::on(&area)
            .margin_top(MARGIN.0)
            .margin_right(MARGIN.1)
            .y_label_area_size(ROOM_LEFT + labels as u32)
            .x_label_area_size(ROOM_BELOW)
            .build_cartesian_2d(self.x, self.y)
            .map_err(|e| e.to_string())?;
        let text = ("sans-serif", FONT_SIZE).into_font();
        let mut mesh = chart.configure_mesh();
        mesh.bold_line_style(Ink::Grid.color().stroke_width(2))
            .light_line_style(Ink::Grid.color().mix(0.0))
            .axis_style(Ink::Muted.color().stroke_width(2))
            .label_style(text.clone().color(&Ink::Text.color()))
            .axis_desc_style(text.color(&Ink::Text.color()))
            .x_desc(self.x_label)
            .y_desc(self.y_label)
            .set_all_tick_mark_size(6);
        if !self.vertical_lines {
            mesh.disable_x_mesh();
        }
        mesh.draw().map_err(|e| e.to_string())?;
        for mark in self.marks {
            let drawn = match mark {
                Mark::Area { corners, ink, opacity } => chart
                    .plotting_area()
                    .draw(&Rectangle::new(corners, ink.color().mix(opacity).filled())),
                Mark::Path { points, ink, width } => chart
                    .plotting_area()
                    .draw(&PathElement::new(points, ink.color().stroke_width(width))),
                Mark::Point { at, shape, radius, ink, opacity, ringed } => {
                    let fill = ink.color().mix(opacity).filled();
                    let ring = ringed.then(|| Ink::Text.color().stroke_width(3));
                    draw_point(&chart, at, shape, radius, fill, ring)
                }
            };
            drawn.map_err(|e| e.to_string())?;
        }
        area.present().map_err(|e| e.to_string())
    }
}

type Chart<'a, 'b> = plotters::chart::ChartContext<
    'a,
    SVGBackend<'b>,
    plotters::coord::cartesian::Cartesian2d<Axis, Axis>,
>;
type DrawError = plotters::drawing::DrawingAreaErrorKind<std::io::Error>;

fn draw_point(
    chart: &Chart<'_, '_>,
    at: (f64, f64),
    shape: Shape,
    radius: u32,
    fill: ShapeStyle,
    ring: Option<ShapeStyle>,
) -> Result<(), DrawError> {
    let area = chart.plotting_area();
    if shape == Shape::Circle {
        area.draw(&(EmptyElement::at(at) + Circle::new((0, 0), radius, fill)))?;
        if let Some(ring) = ring {
            area.draw(&(EmptyElement::at(at) + Circle::new((0, 0), radius, ring)))?;
        }
        return Ok(());
    }
    let mut corners = shape.corners(radius.cast_signed());
    area.draw(&(EmptyElement::at(at) + Polygon::new(corners.clone(), fill)))?;
    if let Some(ring) = ring {
        corners.extend_from_within(..2);
        area.draw(&(EmptyElement::at(at) + PathElement::new(corners, ring)))?;
    }
    Ok(())
}
