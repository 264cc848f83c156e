//! How long chosen rows are.

use serde_json::Value;

use super::{ROWS, Select, number, picked, rows};

#[test]
fn lengths_of_sets() {
    let folder = tempfile::tempdir().unwrap();
    let run = Select::new(folder.path(), "out").succeed();
    let length = |n: usize| {
        let row: Value = serde_json::from_str(&rows()[n]).unwrap();
        let count = |field: &str| row[field].as_str().unwrap().chars().count();
        (count("instruction") + count("output")) as f64
    };
    let check = |found: &Value, mut lengths: Vec<f64>| {
        lengths.sort_by(f64::total_cmp);
        let (count, middle) = (lengths.len(), lengths.len() / 2);
        assert!(count.is_multiple_of(2));
        for (name, expected) in [
            ("mean", lengths.iter().sum::<f64>() / count as f64),
            ("median", f64::midpoint(lengths[middle - 1], lengths[middle])),
            ("min", lengths[0]),
            ("max", lengths[count - 1]),
        ] {
            assert!((number(&found[name]) - expected).abs() < 1e-9, "{name}: {found}");
        }
    };
    let results = &run.run()["results"];
    check(&results["choice"]["characters"], picked(&run).into_iter().map(length).collect());
    check(&results["pool"]["characters"], (0..ROWS).map(length).collect());
    assert!(results["random"][0]["characters"]["mean"].is_number());
    assert!(run.printed.contains("mean length"), "{}", run.printed);

    // Without data there is no text.
    let alone = Select::new(folder.path(), "alone").without("--data").succeed();
    assert_eq!(alone.run()["results"]["choice"]["characters"], Value::Null);
    assert!(!alone.printed.contains("length"), "{}", alone.printed);
}
