//! How a line becomes tokens for BLEU.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::MetricsError;
use crate::named::named;
use crate::text::{Blanks, is_space, part_pairs, part_western, respaced, surround, unescape};

/// How a line becomes tokens. Scores of different tokenisers cannot be compared (Post, 2018), so it
/// is part of the signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tokenizer {
    /// What WMT has used since 2009 (`mteval-v13a.pl`): XML entities resolved, ASCII punctuation apart.
    #[default]
    #[serde(rename = "13a")]
    V13a,
    /// Every Chinese character a token, the rest as in `13a` (entities stay).
    Zh,
    /// Every character a token.
    Char,
    /// All punctuation and symbols of Unicode apart, but for punctuation between digits
    /// (`mteval-v14.pl`).
    Intl,
    /// What lies between space: for text that is tokenised already.
    None,
}

impl Tokenizer {
    const ALL: [Self; 5] = [Self::V13a, Self::Zh, Self::Char, Self::Intl, Self::None];

    const fn name(self) -> &'static str {
        match self {
            Self::V13a => "13a",
            Self::Zh => "zh",
            Self::Char => "char",
            Self::Intl => "intl",
            Self::None => "none",
        }
    }

    /// The tokens of a line with single blanks between them.
    ///
    /// ```
    /// use tamis_metrics::Tokenizer;
    ///
    /// assert_eq!(Tokenizer::V13a.tokenize("It's 1,000 &quot;new&quot; ones."), "It's 1,000 \" new \" ones .");
    /// assert_eq!(Tokenizer::Zh.tokenize("我用Rust。"), "我 用 Rust 。");
    /// ```
    pub fn tokenize(self, line: &str) -> String {
        respaced(&self.part(line))
    }

    /// The line with space between its tokens; there may be more space than that.
    pub(crate) fn part(self, line: &str) -> String {
        let line = line.trim_end_matches(is_space);
        match self {
            Self::V13a => {
                let line = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
                // Blanks at both ends make a stop there one that has no digit beside it.
                part_western(&format!(" {} ", unescape(&line)))
            }
            Self::Zh => part_western(&surround(line.trim_start_matches(is_space), is_chinese)),
            Self::Char => surround(line, |_| true),
            Self::Intl => {
                let line =
                    part_pairs(line, |c| !is_number(c), is_punctuation, Blanks::AroundSecond);
                let line =
                    part_pairs(&line, is_punctuation, |c| !is_number(c), Blanks::AroundFirst);
                surround(&line, |c| group(c) == GeneralCategoryGroup::Symbol)
            }
            Self::None => line.to_owned(),
        }
    }
}

impl fmt::Display for Tokenizer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl FromStr for Tokenizer {
    type Err = MetricsError;

    fn from_str(word: &str) -> Result<Self, MetricsError> {
        named("tokenizer", word, Self::ALL, Self::name)
    }
}

fn group(c: char) -> GeneralCategoryGroup {
    c.general_category_group()
}

fn is_number(c: char) -> bool {
    group(c) == GeneralCategoryGroup::Number
}

fn is_punctuation(c: char) -> bool {
    group(c) == GeneralCategoryGroup::Punctuation
}

/// What the `zh` tokeniser of sacreBLEU takes for a Chinese character.
///
/// Its table means extension B (U+20000 to U+2A6D6) and the supplement at U+2F800, but writes them
/// with four-digit escapes, so that it covers U+2001 to U+2A6D instead (dashes, curly quotes, arrows,
/// mathematics) and leaves rare characters beyond U+FFFF whole. Every published score has been
/// computed so, so it is done here too. The other ranges are the blocks of CJK, full-width forms,
/// and dingbats.
fn is_chinese(c: char) -> bool {
    matches!(c,
        '\u{2001}'..='\u{2a6d}'
        | '\u{2e80}'..='\u{2fdf}'
        | '\u{2ff0}'..='\u{303f}'
        | '\u{3100}'..='\u{312f}'
        | '\u{31a0}'..='\u{31ef}'
        | '\u{3200}'..='\u{4db5}'
        | '\u{4e00}'..='\u{9fbb}'
        | '\u{f900}'..='\u{fa2d}'
        | '\u{fa30}'..='\u{fa6a}'
        | '\u{fa70}'..='\u{fad9}'
        | '\u{fe10}'..='\u{fe1f}'
        | '\u{fe30}'..='\u{fe4f}'
        | '\u{ff00}'..='\u{ffef}'
    )
}
