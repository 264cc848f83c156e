//! Tables of a report.

use crate::html::{escape, push};

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers, set in figures of equal width.
    Right,
    /// Sample texts: line breaks kept, each line in its own direction, shown in a limited height.
    Sample,
}

/// A table: named columns and rows of text.
///
/// A row that is shorter than the heading is filled up with empty cells; cells beyond it are
/// shown without a heading. All text is escaped.
#[derive(Debug, Clone, Default)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, align: Align) -> Self {
        self.columns.push((name.into(), align));
        self
    }

    /// Adds a row, cells in the order of the columns.
    pub fn row<I>(&mut self, cells: I) -> &mut Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table in Markdown, columns padded to one width, so that it can also be read as it is.
    pub fn markdown(&self) -> String {
        // A bar would end the cell, a line break the row.
        let clean = |text: &str| text.replace('|', "\\|").replace(['\n', '\r'], " ");
        let mut lines = vec![self.columns.iter().map(|(name, _)| clean(name)).collect::<Vec<_>>()];
        lines.extend(self.rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()));
        let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
        for line in &mut lines {
            line.resize(columns, String::new());
        }
        let wide = |column: usize| {
            let widths = lines.iter().map(|line| line[column].chars().count());
            widths.max().unwrap_or(0).max(3)
        };
        let right = |column: usize| {
            self.columns.get(column).is_some_and(|(_, align)| *align == Align::Right)
        };
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            for (column, cell) in line.iter().enumerate() {
                let room = " ".repeat(wide(column) - cell.chars().count());
                let (before, after) =
                    if right(column) { (room, String::new()) } else { (String::new(), room) };
                push(&mut text, format_args!("| {before}{cell}{after} "));
            }
            text.push_str("|\n");
            if number == 0 {
                for column in 0..columns {
                    let end = if right(column) { ':' } else { '-' };
                    push(&mut text, format_args!("| {}{end} ", "-".repeat(wide(column) - 1)));
                }
                text.push_str("|\n");
            }
        }
        text
    }

    pub(crate) fn html(&self) -> String {
        if self.is_empty() {
            return "<p class=\"none\">Nothing to list.</p>\n".to_owned();
        }
        let mut html = String::from("<div class=\"wide\"><table>\n<thead><tr>");
        for (name, align) in &self.columns {
            push(&mut html, format_args!("<th{}>{}</th>", class(*align), escape(name)));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for index in 0..row.len().max(self.columns.len()) {
                let align = self.columns.get(index).map_or(Align::Left, |c| c.1);
                let text = escape(row.get(index).map_or("", String::as_str));
                match align {
                    Align::Sample => {
                        push(
                            &mut html,
                            format_args!("<td class=\"sample\"><div>{text}</div></td>"),
                        );
                    }
                    _ => push(&mut html, format_args!("<td{}>{text}</td>", class(align))),
                }
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
        html
    }
}

fn class(align: Align) -> &'static str {
    match align {
        Align::Left => "",
        Align::Right => " class=\"number\"",
        Align::Sample => " class=\"sample\"",
    }
}
