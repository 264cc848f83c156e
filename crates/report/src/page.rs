//! The page: `report.html`, one file that needs no other.

use std::path::Path;

use tamis_artifact::write_atomic;

use crate::html::{escape, push};
use crate::plot::style_rules;
use crate::{Plot, ReportError, Table};

/// A key figure.
#[derive(Debug, Clone)]
pub struct Tile {
    /// What it is, such as "selected".
    pub label: String,
    /// Its value, already formatted.
    pub value: String,
    /// A few words below, such as "of 2,000 (25 %)"; may be empty.
    pub detail: String,
}

impl Tile {
    /// A key figure without a detail.
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), detail: String::new() }
    }

    /// Adds the words below.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

#[derive(Debug, Clone)]
enum Block {
    Paragraph(String),
    Note(String),
    Preformatted(String),
    Tiles(Vec<Tile>),
    Table(String, Table),
    Plot(Box<Plot>),
}

/// A part of a report under its own heading.
#[derive(Debug, Clone)]
pub struct Section {
    heading: String,
    blocks: Vec<Block>,
}

impl Section {
    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: impl Into<String>) -> &mut Self {
        self.blocks.push(Block::Paragraph(text.into()));
        self
    }

    /// Adds a paragraph that stands out: something a reader must not miss.
    pub fn note(&mut self, text: impl Into<String>) -> &mut Self {
        self.blocks.push(Block::Note(text.into()));
        self
    }

    /// Adds text in which every space and line break counts.
    pub fn preformatted(&mut self, text: impl Into<String>) -> &mut Self {
        self.blocks.push(Block::Preformatted(text.into()));
        self
    }

    /// Adds key figures.
    pub fn tiles(&mut self, tiles: impl IntoIterator<Item = Tile>) -> &mut Self {
        self.blocks.push(Block::Tiles(tiles.into_iter().collect()));
        self
    }

    /// Adds a table with a title of its own, which may be empty.
    pub fn table(&mut self, title: impl Into<String>, table: Table) -> &mut Self {
        self.blocks.push(Block::Table(title.into(), table));
        self
    }

    /// Adds a plot.
    pub fn plot(&mut self, plot: impl Into<Plot>) -> &mut Self {
        self.blocks.push(Block::Plot(Box::new(plot.into())));
        self
    }

    fn html(&self, number: usize, html: &mut String) -> Result<(), ReportError> {
        push(
            html,
            format_args!("<section id=\"s{number}\">\n<h2>{}</h2>\n", escape(&self.heading)),
        );
        for block in &self.blocks {
            match block {
                Block::Paragraph(text) => push(html, format_args!("<p>{}</p>\n", escape(text))),
                Block::Note(text) => {
                    push(html, format_args!("<p class=\"note\">{}</p>\n", escape(text)));
                }
                Block::Preformatted(text) => {
                    push(html, format_args!("<pre>{}</pre>\n", escape(text)));
                }
                Block::Tiles(tiles) => {
                    html.push_str("<dl class=\"tiles\">\n");
                    for tile in tiles {
                        tile_html(tile, html);
                    }
                    html.push_str("</dl>\n");
                }
                Block::Table(title, table) => {
                    if !title.is_empty() {
                        push(html, format_args!("<h3>{}</h3>\n", escape(title)));
                    }
                    html.push_str(&table.html());
                }
                Block::Plot(plot) => html.push_str(&plot.figure()?),
            }
        }
        html.push_str("</section>\n");
        Ok(())
    }
}

fn tile_html(tile: &Tile, html: &mut String) {
    push(
        html,
        format_args!(
            "<div class=\"tile\"><dt>{}</dt><dd class=\"value\">{}</dd>",
            escape(&tile.label),
            escape(&tile.value)
        ),
    );
    if !tile.detail.is_empty() {
        push(html, format_args!("<dd class=\"detail\">{}</dd>", escape(&tile.detail)));
    }
    html.push_str("</div>\n");
}

/// A page of sections.
///
/// The page holds its style and its drawings and refers to nothing outside, adapts to light and
/// dark and to narrow screens, and shows every text as text: nothing in a sample is taken for
/// markup. Equal content gives equal bytes.
///
/// ```
/// use tamis_report::{Histogram, Report, Tile};
///
/// let mut report = Report::new("Which rows help?");
/// report
///     .section("Scores")
///     .tiles([Tile::new("scored", "3")])
///     .plot(Histogram::new("ScoreColumn", "score").series("pool", [0.1, 0.2, 0.4]));
/// assert!(report.html()?.contains("<svg"));
/// # Ok::<(), tamis_report::ReportError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Report {
    title: String,
    lead: String,
    sections: Vec<Section>,
    footer: String,
}

impl Report {
    /// A report without sections.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            lead: String::new(),
            sections: Vec::new(),
            footer: String::new(),
        }
    }

    /// A sentence or two under the title.
    pub fn lead(&mut self, text: impl Into<String>) -> &mut Self {
        self.lead = text.into();
        self
    }

    /// A line at the end of the page.
    pub fn footer(&mut self, text: impl Into<String>) -> &mut Self {
        self.footer = text.into();
        self
    }

    /// The section of that heading, added at the end if there is none yet.
    pub fn section(&mut self, heading: impl Into<String>) -> &mut Section {
        let heading = heading.into();
        let there = self.sections.iter().position(|s| s.heading == heading);
        let place = there.unwrap_or_else(|| {
            let blocks = Vec::new();
            self.sections.push(Section { heading, blocks });
            self.sections.len() - 1
        });
        &mut self.sections[place]
    }

    /// Moves the section of that heading to a place counted from 0; nothing if there is none.
    pub fn move_section(&mut self, heading: &str, place: usize) -> &mut Self {
        if let Some(from) = self.sections.iter().position(|s| s.heading == heading) {
            let section = self.sections.remove(from);
            let place = place.min(self.sections.len());
            self.sections.insert(place, section);
        }
        self
    }

    /// The whole page.
    ///
    /// # Errors
    /// [`ReportError::Mismatch`] if a plot's parts have different lengths.
    pub fn html(&self) -> Result<String, ReportError> {
        let mut html = String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n");
        html.push_str("<meta charset=\"utf-8\">\n");
        html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        push(&mut html, format_args!("<title>{}</title>\n<style>\n", escape(&self.title)));
        html.push_str(include_str!("style.css"));
        html.push_str(&style_rules());
        html.push_str("</style>\n</head>\n<body>\n<header>\n");
        push(&mut html, format_args!("<h1>{}</h1>\n", escape(&self.title)));
        if !self.lead.is_empty() {
            push(&mut html, format_args!("<p class=\"lead\">{}</p>\n", escape(&self.lead)));
        }
        if self.sections.len() > 1 {
            html.push_str("<nav>");
            for (number, section) in self.sections.iter().enumerate() {
                push(
                    &mut html,
                    format_args!("<a href=\"#s{number}\">{}</a>", escape(&section.heading)),
                );
            }
            html.push_str("</nav>\n");
        }
        html.push_str("</header>\n<main>\n");
        for (number, section) in self.sections.iter().enumerate() {
            section.html(number, &mut html)?;
        }
        html.push_str("</main>\n");
        if !self.footer.is_empty() {
            push(&mut html, format_args!("<footer>{}</footer>\n", escape(&self.footer)));
        }
        html.push_str("</body>\n</html>\n");
        Ok(html)
    }

    /// Writes the page; the file appears complete or not at all.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        Ok(write_atomic(path, self.html()?)?)
    }
}
