//! The report of a selecting program.

use tamis_report::{
    Example, Examples, Lengths, Map, ReportError, RunRecord, ScoreColumn, SelectionReport,
    StageRecord,
};

use crate::page::{assert_self_contained, elements};

fn run() -> RunRecord {
    let mut run = RunRecord::start("gdig", "0.1.0");
    run.set_parameters(&serde_json::json!({
        "budget": 2,
        "adapt": { "epochs": 3, "rate": null },
        "layers": ["q", "k"],
    }))
    .unwrap();
    run.seeds.set("k-means", 9);
    run.counts.set("read", 12_345).set("selected", 2);
    run.relaxations.push("helped share ≥ 0.6".to_owned());
    run.stages.push(StageRecord {
        name: "gradients".to_owned(),
        seconds: 2.0,
        rows: Some(500),
        resumed: false,
    });
    run
}

fn selection() -> SelectionReport {
    SelectionReport {
        title: "Which rows help?".to_owned(),
        selected: vec![true, false, true, false, false],
        reasons: ["drawn", "harmful", "drawn", "harmful", "empty target"]
            .map(str::to_owned)
            .to_vec(),
        scores: vec![ScoreColumn {
            name: "mean".to_owned(),
            meaning: "Positive is helpful.".to_owned(),
            values: vec![Some(2.0), Some(-1.0), Some(1.0), Some(f64::NAN), None],
        }],
        lengths: Some(Lengths { unit: "tokens".to_owned(), values: vec![30, 10, 20, 10, 5] }),
        map: Some(Map {
            rows: vec![0, 2, 1],
            points: vec![[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]],
            clusters: vec![0, 1, 1],
            explained: Some([0.75, 0.125]),
            caption: String::new(),
        }),
        examples: vec![Examples {
            title: "Best".to_owned(),
            rows: vec![Example {
                row: 2,
                id: "id-2".to_owned(),
                text: format!("<b>{}</b>", "long ".repeat(1000)),
            }],
        }],
        ..SelectionReport::default()
    }
}

#[test]
fn all_sections_are_there() {
    let html = selection().build(&run()).unwrap().html().unwrap();
    elements(&html);
    assert_self_contained(&html);
    let headings: Vec<&str> =
        html.split("<h2>").skip(1).filter_map(|rest| rest.split("</h2>").next()).collect();
    assert_eq!(
        headings,
        ["Key figures", "Scores", "Clusters", "Lengths", "Examples", "Decisions", "Run"]
    );
    for part in [
        // Two of five, one without a score.
        "40.0 % of the candidates",
        "1 without a score",
        "helped share ≥ 0.6",
        "first principal component (75.0 % of variance)",
        "outlined: selected (2)",
        // Means of the lengths: 25 of the selected, 15 of all.
        "Selected rows have 25 tokens on average, the pool 15: a ratio of 1.67.",
        "compare with a random choice",
        "<td>id-2</td>",
        "&lt;b&gt;long",
        "<td>left out</td><td>harmful</td><td class=\"number\">2</td>",
        "<td>adapt.epochs</td><td>3</td>",
        "<td>adapt.rate</td><td>none</td>",
        "<td>seed of k-means</td><td>9</td>",
        "12,345",
        // 500 rows in 2 seconds.
        "<td class=\"number\">250</td>",
    ] {
        assert!(html.contains(part), "{part:?} is missing");
    }
    // The long text is clipped.
    assert!(html.matches("long ").count() < 300);
}

#[test]
fn equal_input_gives_equal_bytes() {
    let run = run();
    let html = || selection().build(&run).unwrap().html().unwrap();
    assert_eq!(html(), html());
}

#[test]
fn an_empty_pool_gives_a_page() {
    let empty = SelectionReport {
        title: "Nothing".to_owned(),
        scores: vec![ScoreColumn {
            name: "mean".to_owned(),
            meaning: String::new(),
            values: Vec::new(),
        }],
        lengths: Some(Lengths { unit: "tokens".to_owned(), values: Vec::new() }),
        map: Some(Map::default()),
        examples: vec![Examples { title: "Best".to_owned(), rows: Vec::new() }],
        ..SelectionReport::default()
    };
    let html = empty.build(&RunRecord::start("p", "1")).unwrap().html().unwrap();
    elements(&html);
    assert!(html.contains("No data to plot.") && html.contains("Nothing to list."));
}

#[test]
fn a_small_selection_is_compared_by_shape() {
    let html = |chosen: usize| {
        let selection = SelectionReport {
            selected: (0..100).map(|i| i < chosen).collect(),
            scores: vec![ScoreColumn {
                name: "mean".to_owned(),
                meaning: String::new(),
                values: (0..100).map(|i| Some(f64::from(i))).collect(),
            }],
            ..SelectionReport::default()
        };
        selection.build(&run()).unwrap().html().unwrap()
    };
    assert!(html(5).contains("share of each group (%)"));
    assert!(!html(50).contains("share of each group (%)"));
}

#[test]
fn mismatched_parts_are_refused_by_name() {
    type Spoil = fn(&mut SelectionReport);
    let cases: [(Spoil, &str); 6] = [
        (|s| s.reasons.truncate(4), "reasons"),
        (|s| s.scores[0].values.truncate(4), "score `mean`"),
        (|s| s.lengths.as_mut().unwrap().values.truncate(4), "lengths"),
        (|s| s.map.as_mut().unwrap().points.truncate(2), "points"),
        (|s| s.map.as_mut().unwrap().rows[0] = 5, "row 5"),
        (|s| s.examples[0].rows[0].row = 99, "row 99"),
    ];
    for (spoil, part) in cases {
        let mut selection = selection();
        spoil(&mut selection);
        let error = selection.build(&run()).unwrap_err();
        assert!(matches!(error, ReportError::Mismatch { .. }));
        assert!(error.to_string().contains(part), "{error}");
    }
}
