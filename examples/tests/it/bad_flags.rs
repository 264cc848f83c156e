//! Flags that are wrong are refused by name, before or instead of any result.

use crate::pools;
use crate::program::{Gdig, contents, refuse_all};

/// Each value of a flag must be refused with all the words beside it.
fn refuses(cases: &[(&str, &str, &[&str])]) {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let runs = cases.iter().enumerate().map(|(n, &(flag, value, words))| {
        let gdig = Gdig::new(&pool, &seeds, &folder.path().join(n.to_string()));
        (gdig.with(flag, value), words)
    });
    refuse_all(runs);
    let results =
        contents(folder.path()).into_keys().filter(|path| path.ends_with("selected.jsonl"));
    assert_eq!(results.collect::<Vec<_>>(), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn names_that_mean_nothing() {
    refuses(&[
        ("layers", "no_such_layer", &["no_such_layer", "matches none", "q_proj"]),
        ("layers", "(", &["layer"]),
        ("template", "haiku", &["haiku", "alpaca"]),
        ("rule", "best", &["best", "auto"]),
        ("rule", "share:1.5", &["share:1.5"]),
        ("within", "middle", &["middle", "nearest"]),
        ("curvature", "hessian", &["hessian", "kfac"]),
        ("scores", "stale", &["stale", "stored"]),
        ("projection", "wide", &["wide"]),
        ("row-type", "f8", &["f8", "f16"]),
        ("dtype", "f8", &["f8", "bf16"]),
        ("device", "tpu", &["tpu"]),
        ("device", "cuda:99", &["cuda:99"]),
    ]);
}

#[test]
fn numbers_out_of_range() {
    refuses(&[
        ("adapt-lr", "nan", &["adapt_lr"]),
        ("adapt-lr", "-1", &["learning_rate"]),
        ("adapt-epochs", "0", &["epochs"]),
        ("adapt-batch", "0", &["batch_size"]),
        ("token-budget", "0", &["token_budget"]),
        ("shard-rows", "0", &["shard_rows"]),
        ("max-length", "1", &["max_length"]),
        ("damping", "-1", &["damping"]),
        ("damping", "nan", &["damping"]),
        ("projection", "0x4", &["projection"]),
        ("headroom", "nan", &["headroom"]),
        ("headroom", "inf", &["headroom"]),
        ("rule", "top:0", &["top:0"]),
    ]);
}

/// Zero of these does not mean the default.
#[test]
fn counts_of_nothing() {
    refuses(&[
        ("curvature-samples", "0", &["curvature-samples"]),
        ("clusters", "0", &["clusters"]),
        ("threads", "0", &["threads"]),
    ]);
}

#[test]
fn a_strict_rule_that_too_few_rows_pass() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let gdig = Gdig::new(&pool, &seeds, &folder.path().join("out"));
    // Never fewer than asked for, silently; and it is the rule that is to blame, not the pool.
    gdig.clone().with("rule", "top:4").refuse(&["rule", "10", "4"]);
    let helping = gdig.clone().succeed().count("helping_every_seed");
    assert!(helping < pools::ROWS as u64);
    let gdig = gdig.with("budget", helping + 1);
    gdig.clone().with("rule", "all").refuse(&["rule", &helping.to_string()]);
    // Unless the rule may be relaxed, which is then said.
    let relaxed = gdig.with("rule", "auto").succeed();
    assert!(relaxed.run()["relaxations"].to_string().contains("relaxed"));
    assert!(relaxed.printed.contains("relaxed"));
}

#[test]
fn learning_that_blows_up() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let gdig = Gdig::new(&pool, &seeds, &folder.path().join("out"));
    gdig.with("adapt-lr", "1e30").refuse(&["diverged", "learning rate"]);
    assert!(!folder.path().join("out/adapted/model.safetensors").exists());
}
