//! The page as a whole: escaping, self-containment, structure.

use tamis_report::{Align, Bars, Histogram, Report, Table, Tile};

const HOSTILE: &str = "<script>alert(\"x\")</script>'&\u{0}\u{1b}<img src=x onerror=y>";

/// Opening and closing tags match, attribute values are quoted: a strict reader finds no fault.
/// Returns the names of all elements.
pub(crate) fn elements(html: &str) -> Vec<String> {
    const VOID: [&str; 3] = ["meta", "br", "img"];
    let (mut open, mut all) = (Vec::<String>::new(), Vec::new());
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "stray > before {}", &rest[start..]);
        let end = start + rest[start..].find('>').unwrap_or_else(|| panic!("tag without end"));
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes in <{tag}>");
        let name = tag.split([' ', '/']).next().unwrap_or_default().to_owned();
        all.push(name.clone());
        if name == "style" {
            // Raw text up to its end.
            rest = &rest[rest.find("</style>").unwrap_or_else(|| panic!("endless style"))..];
        }
        if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    all
}

/// Nothing is fetched: the only address is the SVG namespace's name.
pub(crate) fn assert_self_contained(html: &str) {
    let inside = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for needle in ["http:", "https:", "//", "url(", "@import", "src=", "<link", "<script", "data:"]
    {
        if let Some(place) = inside.find(needle) {
            panic!("{needle} at {:?}", &inside[place..inside.len().min(place + 60)]);
        }
    }
}

fn hostile_report() -> Report {
    let mut table = Table::new().column(HOSTILE, Align::Left).column("text", Align::Sample);
    table.row([HOSTILE, HOSTILE, HOSTILE]).row([HOSTILE]);
    let mut report = Report::new(HOSTILE);
    report.lead(HOSTILE).footer(HOSTILE);
    report
        .section(HOSTILE)
        .paragraph(HOSTILE)
        .note(HOSTILE)
        .preformatted(HOSTILE)
        .tiles([Tile::new(HOSTILE, HOSTILE).detail(HOSTILE)])
        .table(HOSTILE, table)
        .plot(
            Histogram::new(HOSTILE, HOSTILE)
                .unit(HOSTILE)
                .caption(HOSTILE)
                .series(HOSTILE, [1.0, 2.0])
                .series("b", [1.0]),
        )
        .plot(Bars::new(HOSTILE, HOSTILE, HOSTILE, [HOSTILE]).series(HOSTILE, [1.0]));
    report.section("Second");
    report
}

#[test]
fn samples_are_shown_and_never_run() {
    let html = hostile_report().html().unwrap();
    let elements = elements(&html);
    assert!(!elements.iter().any(|name| name == "script" || name == "img"));
    assert!(!html.contains('\0') && !html.contains('\u{1b}'));
    assert!(html.contains("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;"));
    // Every place in which the text was put shows it: title twice, heading in the navigation too.
    assert!(html.matches("&lt;script&gt;").count() >= 20);
}

#[test]
fn the_page_stands_alone() {
    let mut report = hostile_report();
    let html = report.html().unwrap();
    assert_self_contained(&html.replace("src=x", ""));
    // The style knows every colour that drawings use.
    report = Report::new("colours");
    report.section("a").plot(
        (0..8).fold(Histogram::new("h", "x"), |plot, i| {
            plot.series(i.to_string(), [f64::from(i), 9.0])
        }),
    );
    let html = report.html().unwrap();
    let (style, body) = html.split_once("</style>").unwrap();
    for property in ["fill", "stroke"] {
        for piece in body.split(&format!("{property}=\"#")).skip(1) {
            let rule = format!("[{property}=\"#{}\"]", &piece[..6]);
            assert!(style.contains(&rule), "no rule {rule}");
        }
    }
    assert!(style.contains("prefers-color-scheme: dark"));
}

#[test]
fn equal_content_gives_equal_bytes_and_writes_atomically() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.html");
    hostile_report().write(&path).unwrap();
    let first = std::fs::read(&path).unwrap();
    hostile_report().write(&path).unwrap();
    assert_eq!(first, std::fs::read(&path).unwrap());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn sections_are_found_again_and_moved() {
    let mut report = Report::new("r");
    report.section("a").paragraph("one");
    report.section("b");
    report.section("a").paragraph("two");
    report.move_section("b", 0).move_section("none", 0);
    let html = report.html().unwrap();
    assert_eq!(html.matches("<h2>").count(), 2);
    assert!(html.find("<h2>b</h2>") < html.find("<h2>a</h2>"));
    assert!(html.find("<p>one</p>") < html.find("<p>two</p>"));
    let empty = Report::new("").html().unwrap();
    elements(&empty);
}

#[test]
fn tables_as_markdown() {
    let mut table = Table::new().column("method", Align::Left).column("BLEU", Align::Right);
    table.row(["random", "23.5"]).row(["a|b\nc", "7"]).row(["short"]);
    let expected = "\
| method | BLEU |
| ------ | ---: |
| random | 23.5 |
| a\\|b c |    7 |
| short  |      |
";
    assert_eq!(table.markdown(), expected);
}
