//! Numbers, sizes, times and long texts as people read them.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

/// Room for one visible character, in bytes; longer ones (stacks of combining marks) end a text.
const BYTES_PER_CHARACTER: usize = 32;

/// At most `limit` visible characters (grapheme clusters) of a text, with an ellipsis if it was
/// longer. An accent, a flag or a family is never cut in half.
///
/// ```
/// assert_eq!(tamis_report::clip("Käse 🧀", 4), "Käse…");
/// assert_eq!(tamis_report::clip("Käse", 4), "Käse");
/// ```
pub fn clip(text: &str, limit: usize) -> Cow<'_, str> {
    let mut end = 0;
    for (count, (start, cluster)) in text.grapheme_indices(true).enumerate() {
        if count == limit || cluster.len() > BYTES_PER_CHARACTER {
            return Cow::Owned(format!("{}…", text[..start].trim_end()));
        }
        end = start + cluster.len();
    }
    Cow::Borrowed(&text[..end])
}

/// A number with about four significant digits: `12,345`, `0.1234`, `1.2×10⁻⁷`.
pub fn format_number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if size < 1e15 && value.fract() == 0.0 {
        group(&format!("{value:.0}"))
    } else if (1e-4..1e6).contains(&size) {
        let whole_digits = size.log10().floor() as i32 + 1;
        let decimals = (4 - whole_digits).clamp(0, 8) as usize;
        group(trim_zeros(&format!("{value:.decimals$}")))
    } else {
        scientific(value, 3)
    }
}

/// Mantissa with up to `decimals` decimals, times a power of ten.
pub(crate) fn scientific(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let power: String = exponent
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            digit => SUPERSCRIPTS[digit.to_digit(10).unwrap_or(0) as usize],
        })
        .collect();
    format!("{}×10{power}", with_minus(trim_zeros(mantissa)))
}

const SUPERSCRIPTS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];

/// "1.500" → "1.5"; whole numbers stay.
fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// The typographic minus sign.
fn with_minus(text: &str) -> String {
    text.replace('-', "−")
}

/// Commas between thousands of the whole part.
pub(crate) fn group(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("−", rest),
        None => ("", text),
    };
    let (whole, decimals) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + decimals
}

/// A whole number with commas.
pub(crate) fn format_count(count: usize) -> String {
    group(&count.to_string())
}

/// Bytes in binary units: `512 B`, `1.5 GiB`.
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut size = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        // 1023.95 would be shown as 1024.0.
        if size < 1023.95 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

/// A duration: `0.012 s`, `4.2 s`, `3 min 20 s`, `2 h 05 min`.
pub fn format_seconds(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "unknown".to_owned();
    }
    if seconds < 0.95 {
        return format!("{seconds:.3} s");
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    if whole < 3600 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        let minutes = (seconds / 60.0).round() as u64;
        format!("{} h {:02} min", minutes / 60, minutes % 60)
    }
}
