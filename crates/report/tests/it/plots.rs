//! Plots: real text without fonts, and data that is hard to draw.

use tamis_report::{Bars, Histogram, LinePlot, Plot, Report, Scale, Scatter};

use crate::page::{assert_self_contained, elements};

fn html(plot: impl Into<Plot>) -> String {
    let mut report = Report::new("r");
    report.section("s").plot(plot);
    let html = report.html().unwrap();
    elements(&html);
    assert_self_contained(&html);
    assert!(!html.contains("NaN") && !html.contains("inf\""), "a coordinate is not a number");
    html
}

/// Values of an attribute of all elements of a name.
fn attributes<'a>(html: &'a str, element: &str, attribute: &str) -> Vec<&'a str> {
    html.split(&format!("<{element} "))
        .skip(1)
        .filter_map(|tag| {
            let tag = tag.split('>').next()?;
            tag.split(&format!("{attribute}=\"")).nth(1)?.split('"').next()
        })
        .collect()
}

fn texts(html: &str) -> Vec<String> {
    html.split("<text ")
        .skip(1)
        .filter_map(|rest| {
            let inner = rest.split_once('>')?.1.split_once("</text>")?.0;
            Some(inner.trim().to_owned())
        })
        .collect()
}

const SCALES: [Scale; 3] = [Scale::Linear, Scale::Log, Scale::Share];

#[test]
fn texts_are_drawn_without_fonts() {
    let html = html(
        Histogram::new("Title", "score")
            .series("pool", (0..100).map(f64::from))
            .series("selected", (80..100).map(f64::from))
            .caption("A caption."),
    );
    let texts = texts(&html);
    for wanted in ["score", "samples", "0", "20", "40"] {
        assert!(texts.iter().any(|t| t == wanted), "{wanted} not in {texts:?}");
    }
    for wanted in ["<h3>Title</h3>", "A caption.", "pool (100)", "selected (20)"] {
        assert!(html.contains(wanted), "{wanted}");
    }
    assert!(html.contains("aria-label=\"Title\""));
}

#[test]
fn the_tallest_bar_of_a_count_stands_where_its_number_is() {
    // 4 zeros and 2 ones: with round ticks at 0, 1, ..., 4 the bars must end on grid lines.
    let html = html(Histogram::new("t", "x").series("pool", [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]));
    let bars: Vec<(i32, i32)> = attributes(&html, "rect", "y")
        .into_iter()
        .zip(attributes(&html, "rect", "height"))
        .map(|(y, height)| (y.parse().unwrap(), height.parse().unwrap()))
        .collect();
    assert_eq!(bars.len(), 2);
    assert_eq!(bars[0].0 + bars[0].1, bars[1].0 + bars[1].1, "one floor");
    assert!((bars[0].1 - 2 * bars[1].1).abs() <= 1, "{bars:?}");
    let lines = attributes(&html, "line", "y1");
    let on_a_line = |y: i32| lines.iter().any(|l| (l.parse::<i32>().unwrap() - y).abs() <= 1);
    assert!(on_a_line(bars[0].0) && on_a_line(bars[1].0), "{bars:?} {lines:?}");
}

#[test]
fn no_data_is_said() {
    let empty: [f64; 0] = [];
    for scale in SCALES {
        for plot in [
            Histogram::new("t", "x").scale(scale).into(),
            Histogram::new("t", "x").series("pool", empty).scale(scale).into(),
            Histogram::new("t", "x").series("pool", [f64::NAN, f64::INFINITY]).scale(scale).into(),
            Bars::new("t", "x", "y", ["a"; 0]).scale(scale).into(),
            Bars::new("t", "x", "y", ["a"; 0]).series("s", empty).scale(scale).into(),
            Bars::new("t", "x", "y", ["a"]).series("s", [f64::NAN]).scale(scale).into(),
            Plot::from(Scatter::new("t", Vec::new())),
            Scatter::new("t", vec![[f64::NAN, 0.0]]).into(),
            LinePlot::new("t", "x", "y").into(),
            LinePlot::new("t", "x", "y").series("s", [[0.0, -1.0]]).log_y(true).into(),
        ] {
            let html = html(plot.clone());
            assert!(html.contains("No data to plot.") && !html.contains("<svg"), "{plot:?}");
        }
    }
}

#[test]
fn hard_data_is_drawn() {
    let sets: [&[f64]; 10] = [
        &[0.0],
        &[5.0, 5.0, 5.0],
        &[f64::MAX, f64::MIN],
        &[f64::MAX, f64::MAX],
        &[1e-320, 2e-320, 0.0],
        &[1e300, 1.0, -1e300, 3.0],
        &[1e16, 1e16 + 2.0],
        &[0.0, f64::NAN, 1.0, f64::NEG_INFINITY],
        &[-3.0, -2.0, -1.0],
        &[0.0, -0.0],
    ];
    for values in sets {
        let pairs: Vec<[f64; 2]> = values.iter().map(|v| [*v, -*v]).collect();
        let names = (0..values.len()).map(|i| format!("n{i}"));
        for scale in SCALES {
            let plot = Histogram::new("t", "x")
                .series("pool", values.iter().copied())
                .series("none", [])
                .scale(scale);
            assert!(html(plot).contains("<svg"), "{values:?}");
            html(
                Bars::new("t", "x", "y", names.clone())
                    .series("s", values.iter().copied())
                    .scale(scale),
            );
        }
        let scatter = Scatter::new("t", pairs.clone())
            .classes("cluster", vec![3; values.len()])
            .emphasised("selected", vec![true; values.len()]);
        assert!(html(scatter).contains("<svg"), "{values:?}");
        for log in [false, true] {
            html(LinePlot::new("t", "x", "y").series("s", pairs.clone()).log_y(log));
        }
    }
}

#[test]
fn what_is_left_out_is_said() {
    let html1 = html(Histogram::new("t", "x").series("pool", [1.0, 2.0, f64::NAN]));
    assert!(html1.contains("Left out: 1 value not finite."));
    let tail = (0..1000).map(|i| f64::from(i) / 999.0).chain([1e6, 2e6, -5e5]);
    let html2 = html(Histogram::new("t", "x").series("pool", tail.clone()));
    assert!(html2.contains("1 value below and 2 values above the range shown"), "{html2}");
    let html3 = html(Scatter::new("t", tail.map(|x| [x, 0.5]).collect()));
    assert!(html3.contains("3 points beyond the range at its edge."));
    let many = Bars::new("t", "x", "y", (0..200).map(|i| i.to_string()))
        .series("s", (0..200).map(f64::from));
    let html4 = html(many);
    assert!(html4.contains("The 64 largest of 200 are shown."));
    assert_eq!(attributes(&html4, "rect", "y").len(), 64);
}

#[test]
fn many_points_are_thinned_alike_every_time() {
    let points: Vec<[f64; 2]> =
        (0..50_000).map(|i| [f64::from(i % 251), f64::from(i % 241)]).collect();
    let plot = Scatter::new("t", points.clone())
        .classes("cluster", (0..50_000).map(|i| i % 3).collect())
        .emphasised("selected", (0..50_000).map(|i| i % 1_000 == 0).collect());
    let first = html(plot.clone());
    assert_eq!(first, html(plot));
    assert!(first.contains("5,000 of 50,000 points drawn."));
    // All fifty emphasised points are among them, each a disc and a ring: class 0 and circles only
    // for the first three hues.
    let circles = attributes(&first, "circle", "r");
    assert_eq!(circles.iter().filter(|r| **r == "9").count(), 100);
    assert_eq!(circles.iter().filter(|r| **r == "6").count(), 4_950);
    assert!(first.len() < 1_000_000, "{}", first.len());
}

#[test]
fn classes_beyond_the_largest_are_grey() {
    // Class k has k + 1 points: the 24 largest of 40 are 16..=39.
    let classes: Vec<usize> = (0..40).flat_map(|k| vec![k; k + 1]).collect();
    let points = (0..classes.len()).map(|i| [i as f64, (i % 7) as f64]).collect();
    let html = html(Scatter::new("t", points).classes("cluster", classes));
    for class in 16..40 {
        assert!(html.contains(&format!("cluster {class}</li>")), "{class}");
    }
    assert!(!html.contains("cluster 15</li>") && html.contains("16 smaller ones"));
    assert!(html.contains("<polygon"), "shapes beyond circles");
}

#[test]
fn long_lines_keep_their_peaks() {
    let points = (0..100_000).map(|i| [f64::from(i), if i == 51_234 { 7.0 } else { 1.0 }]);
    let html = html(LinePlot::new("t", "x", "y").series("loss", points));
    let lines = attributes(&html, "polyline", "points");
    let line = lines.iter().max_by_key(|l| l.len()).unwrap();
    let heights: Vec<i32> =
        line.split_whitespace().map(|p| p.split_once(',').unwrap().1.parse().unwrap()).collect();
    assert!(heights.len() <= 2_002);
    let floor = heights[0];
    assert_eq!(heights.iter().filter(|h| **h < floor - 100).count(), 1);
}

#[test]
fn a_gap_interrupts_a_line() {
    let points = [[0.0, 1.0], [1.0, 2.0], [2.0, f64::NAN], [3.0, 1.0], [4.0, 3.0]];
    let html = html(LinePlot::new("t", "x", "y").series("loss", points));
    let wide = attributes(&html, "polyline", "stroke-width");
    assert_eq!(wide.iter().filter(|w| **w == "4").count(), 2);
    assert!(html.contains("Left out: 1 value not finite."));
}

#[test]
fn parts_of_different_lengths_are_refused() {
    let points = vec![[0.0, 0.0], [1.0, 1.0]];
    let plots: [Plot; 3] = [
        Scatter::new("my plot", points.clone()).classes("cluster", vec![1]).into(),
        Scatter::new("my plot", points).emphasised("selected", vec![true]).into(),
        Bars::new("my plot", "x", "y", ["a", "b"]).series("s", [1.0]).into(),
    ];
    for plot in plots {
        let mut report = Report::new("r");
        report.section("s").plot(plot);
        let message = report.html().unwrap_err().to_string();
        assert!(message.contains("my plot") && message.contains('1'), "{message}");
    }
}

#[test]
fn intervals_are_drawn_and_kept_inside() {
    let line = || LinePlot::new("t", "rows", "score").series("a", [[1.0, 5.0], [2.0, 6.0]]);
    let plain = html(line());
    let inside = html(line().intervals([[1.0, 5.0, 5.5], [2.0, 5.5, 6.0]]));
    let paths = |html: &str| attributes(html, "polyline", "points").len();
    assert_eq!(paths(&inside), paths(&plain) + 2);
    let with = html(line().intervals([[1.0, 4.0, 6.0], [2.0, -40.0, 70.0]]));
    // The axis reaches as far as the intervals do.
    let numbers =
        |html: &str| -> Vec<f64> { texts(html).iter().filter_map(|t| t.parse().ok()).collect() };
    assert!(numbers(&plain).iter().all(|&tick| tick < 10.0));
    assert!(numbers(&with).iter().any(|&tick| tick >= 50.0));
    let broken = html(line().intervals([[1.0, f64::NAN, 6.0]]));
    assert!(broken.contains("Left out: 1 value"), "{broken}");
    // Without a line there is nothing that they could belong to.
    html(LinePlot::new("t", "x", "y").intervals([[1.0, 2.0, 3.0]]));
}
