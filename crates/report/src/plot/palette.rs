//! Colours of plots, and the style rules that adapt them to light and dark pages.
//!
//! The plotting library writes colours as attributes; a style sheet outranks attributes. So every
//! colour used here is also a key, `[fill="#0072B2"]`, that the page's style maps to a variable.

use plotters::style::RGBColor;

use crate::html::push;

/// The six hues of Okabe and Ito's set for all kinds of colour vision that also stand out from
/// white (yellow does not; black is the text).
const HUES: [(u8, u8, u8); 6] = [
    (0x00, 0x72, 0xB2),
    (0xE6, 0x9F, 0x00),
    (0x00, 0x9E, 0x73),
    (0xCC, 0x79, 0xA7),
    (0x56, 0xB4, 0xE9),
    (0xD5, 0x5E, 0x00),
];

/// Number of different hues.
pub(crate) const HUE_COUNT: usize = HUES.len();

/// What a line or area is drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Axis text and outlines of emphasised points.
    Text,
    /// Lines behind the data.
    Grid,
    /// Background groups: the pool, classes without a colour.
    Muted,
    /// A hue by number, taken around the circle.
    Hue(usize),
}

impl Ink {
    fn rgb(self) -> (u8, u8, u8) {
        match self {
            Self::Text => (0x1B, 0x1F, 0x24),
            Self::Grid => (0xD8, 0xDE, 0xE4),
            Self::Muted => (0x8B, 0x94, 0x9E),
            Self::Hue(number) => HUES[number % HUE_COUNT],
        }
    }

    pub(crate) fn color(self) -> RGBColor {
        let (r, g, b) = self.rgb();
        RGBColor(r, g, b)
    }

    /// The variable of the style sheet that holds this colour.
    pub(crate) fn variable(self) -> String {
        match self {
            Self::Text => "--plot-text".to_owned(),
            Self::Grid => "--plot-grid".to_owned(),
            Self::Muted => "--plot-muted".to_owned(),
            Self::Hue(number) => format!("--hue-{}", number % HUE_COUNT),
        }
    }

    /// The n-th series of a plot: the first is the background.
    pub(crate) fn series(number: usize) -> Self {
        match number {
            0 => Self::Muted,
            n => Self::Hue(n - 1),
        }
    }
}

/// Style rules that map every colour of the plots to its variable.
pub(crate) fn style_rules() -> String {
    let mut css = String::new();
    let inks = [Ink::Text, Ink::Grid, Ink::Muted].into_iter().chain((0..HUE_COUNT).map(Ink::Hue));
    for ink in inks {
        let (r, g, b) = ink.rgb();
        let variable = ink.variable();
        for property in ["fill", "stroke"] {
            push(
                &mut css,
                format_args!(
                    ".plot [{property}=\"#{r:02X}{g:02X}{b:02X}\"]{{{property}:var({variable})}}\n"
                ),
            );
        }
    }
    css
}
