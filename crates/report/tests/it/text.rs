//! Clipping and formatting for people.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use tamis_report::{clip, format_bytes, format_number, format_seconds, rfc3339};

#[test]
fn clusters_are_not_cut() {
    assert_eq!(clip("abc", 3), "abc");
    assert_eq!(clip("abcd", 3), "abc…");
    assert_eq!(clip("ab  cd", 3), "ab…");
    // e + combining acute, a flag of two indicators, a family of joined people.
    assert_eq!(clip("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}e\u{301}…");
    assert_eq!(clip("🇩🇪🇫🇷", 1), "🇩🇪…");
    assert_eq!(clip("👩‍👩‍👧x", 1), "👩‍👩‍👧…");
    assert_eq!(clip("", 0), "");
    assert_eq!(clip("a", 0), "…");
    // A pile of marks on one letter cannot blow up the page.
    let pile = format!("ok a{}", "\u{301}".repeat(10_000));
    assert_eq!(clip(&pile, 100), "ok…");
}

#[test]
fn numbers_as_people_write_them() {
    for (value, expected) in [
        (0.0, "0"),
        (-0.0, "0"),
        (12.0, "12"),
        (1_234_567.0, "1,234,567"),
        (-1234.0, "−1,234"),
        (0.123_456, "0.1235"),
        (-0.001_5, "−0.0015"),
        // Rounds to four digits and then has a fifth.
        (999.96, "1,000"),
        (1234.5678, "1,235"),
        (0.000_012_34, "1.234×10⁻⁵"),
        (-2.5e-7, "−2.5×10⁻⁷"),
        (1e20, "1×10²⁰"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
    ] {
        assert_eq!(format_number(value), expected, "{value}");
    }
}

#[test]
fn sizes_and_times() {
    assert_eq!(format_bytes(0), "0 B");
    assert_eq!(format_bytes(1023), "1023 B");
    assert_eq!(format_bytes(1024), "1.0 KiB");
    assert_eq!(format_bytes((1 << 20) - 1), "1.0 MiB");
    assert_eq!(format_bytes(1_610_612_736), "1.5 GiB");
    assert_eq!(format_bytes(u64::MAX), "16.0 EiB");
    assert_eq!(format_seconds(0.0123), "0.012 s");
    assert_eq!(format_seconds(4.25), "4.2 s");
    assert_eq!(format_seconds(59.97), "1 min 00 s");
    assert_eq!(format_seconds(3_599.9), "1 h 00 min");
    assert_eq!(format_seconds(7_500.0), "2 h 05 min");
    assert_eq!(format_seconds(f64::NAN), "unknown");
}

/// Known moments, as any `date -u -d @…` gives them.
#[test]
fn moments_in_utc() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (1_000_000_000, "2001-09-09T01:46:40Z"),
        (1_709_251_199, "2024-02-29T23:59:59Z"),
        (4_102_444_800, "2100-01-01T00:00:00Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ] {
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
    }
    let before = UNIX_EPOCH - Duration::from_millis(500);
    assert_eq!(rfc3339(before), "1969-12-31T23:59:59Z");
}

proptest! {
    #[test]
    fn clipping_shortens_to_a_beginning(text in any::<String>(), limit in 0_usize..40) {
        let clipped = clip(&text, limit);
        match clipped.strip_suffix('…') {
            Some(front) if clipped != text => prop_assert!(text.starts_with(front)),
            _ => prop_assert_eq!(&*clipped, &text),
        }
        prop_assert!(clipped.chars().count() <= 32 * limit + 1);
    }
}
