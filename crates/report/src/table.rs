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
