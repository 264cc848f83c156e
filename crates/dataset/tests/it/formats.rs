//! Every format is recognised and read; the small freedoms of text files make no difference.

use serde_json::json;
use tamis_dataset::{Dataset, DatasetError, Fields, Format, ReadOptions};

use crate::support::{Folder, all, instruction, pair, talk};

const ALPACA: &str = r#"{"instruction": "Add", "input": "1 2", "output": "3"}
{"instruction": "Say \"hi\"", "output": "hi", "source": "own"}
{"instruction": "Zähle 二", "input": null, "output": "eins 🚲"}
"#;

fn alpaca_rows() -> Vec<tamis_dataset::Content> {
    vec![
        instruction("Add", "1 2", "3"),
        instruction("Say \"hi\"", "", "hi"),
        instruction("Zähle 二", "", "eins 🚲"),
    ]
}

fn contents(data: &Dataset) -> Vec<tamis_dataset::Content> {
    all(data).into_iter().map(|row| row.content).collect()
}

#[test]
fn alpaca_lines() {
    let data = Folder::new_open("a.jsonl", ALPACA);
    assert_eq!(data.format(), Format::AlpacaJsonl);
    assert_eq!(contents(&data), alpaca_rows());
    assert!(data.rejects().is_empty() && !data.is_empty());
    let indices: Vec<usize> = all(&data).iter().map(|row| row.index).collect();
    assert_eq!(indices, [0, 1, 2]);
}

impl Folder {
    /// Opens a file and reads it at once, so that the folder may go.
    fn new_open(name: &str, bytes: impl AsRef<[u8]>) -> Dataset {
        let folder = Folder::new();
        let data = folder.open(name, bytes).unwrap();
        // The data set reads from disk: leak the folder for the length of the test process.
        std::mem::forget(folder);
        data
    }
}

#[test]
fn plain_texts() {
    let rows = "{\"text\": \"Once\\nupon\", \"source\": \"web\"}\n{\"text\": \"a time\"}\n";
    let data = Folder::new_open("a.jsonl", rows);
    assert_eq!(data.format(), Format::TextJsonl);
    let texts = [instruction("", "", "Once\nupon"), instruction("", "", "a time")];
    assert_eq!(contents(&data), texts);
    assert_eq!("text-jsonl".parse::<Format>().unwrap(), Format::TextJsonl);
    // Rows of another kind may carry a `text` as well.
    let both = r#"{"text": "x", "instruction": "Say", "output": "hi"}"#;
    assert_eq!(Folder::new_open("a.jsonl", both).format(), Format::AlpacaJsonl);
    let stated = ReadOptions { format: Some(Format::TextJsonl), ..ReadOptions::default() };
    let folder = Folder::new();
    let wrong = folder.file("b.jsonl", "{\"content\": \"x\"}\n");
    let error = Dataset::open(&wrong, &stated).unwrap_err().to_string();
    assert!(error.contains("text") && error.contains("missing"), "{error}");
}

#[test]
fn alpaca_array_compact_and_spread_out() {
    let rows: Vec<serde_json::Value> =
        ALPACA.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let compact = serde_json::to_string(&rows).unwrap();
    let spread =
        format!("\n  {}\r\n\n", serde_json::to_string_pretty(&rows).unwrap().replace('\n', "\r\n"));
    for text in [compact, spread] {
        let data = Folder::new_open("a.json", text);
        assert_eq!(data.format(), Format::AlpacaJson);
        assert_eq!(contents(&data), alpaca_rows());
    }
}

#[test]
fn an_array_is_followed_through_strings_and_nesting() {
    let text = r#"[{"instruction":"a ] , } [ { \" \\","output":"\\\"]","x":[[1,{"y":"]"}],2]} ,
        {"instruction":"b","output":"c"}]"#;
    let data = Folder::new_open("a.json", text);
    assert_eq!(
        contents(&data),
        [instruction("a ] , } [ { \" \\", "", "\\\"]"), instruction("b", "", "c")]
    );
}

#[test]
fn conversations_as_messages() {
    let text = r#"{"messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "instruction": "ignored", "output": "ignored"}"#;
    let data = Folder::new_open("m.jsonl", text);
    assert_eq!(data.format(), Format::Messages);
    let expected = talk(&[("system", "Be brief"), ("user", "a"), ("assistant", "b")]);
    assert_eq!(contents(&data), [expected]);
}

#[test]
fn share_gpt_as_lines_and_as_an_array() {
    let row =
        r#"{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}"#;
    for text in [row.to_owned(), format!("[{row}]")] {
        let data = Folder::new_open("s.json", text);
        assert_eq!(data.format(), Format::ShareGpt);
        assert_eq!(contents(&data), [talk(&[("user", "a"), ("assistant", "b")])]);
    }
}

#[test]
fn translation_lines_with_default_named_and_nested_fields() {
    let data = Folder::new_open("t.jsonl", r#"{"src": "eins", "tgt": "one"}"#);
    assert_eq!(data.format(), Format::TranslationJsonl);
    assert_eq!(contents(&data), [pair("eins", "one")]);

    let folder = Folder::new();
    for (row, source, target) in [
        (r#"{"de": "eins", "en": "one"}"#, "de", "en"),
        (r#"{"translation": {"de": "eins", "en": "one"}}"#, "translation.de", "translation.en"),
        (r#"{"a.b": "eins", "a": {"b": "x", "c": "one"}}"#, "a.b", "a.c"),
    ] {
        let options = ReadOptions {
            fields: Fields { source: source.into(), target: target.into(), ..Fields::default() },
            ..ReadOptions::default()
        };
        let data = Dataset::open(folder.file("n.jsonl", row), &options).unwrap();
        assert_eq!(contents(&data), [pair("eins", "one")], "{row}");
    }
}

#[test]
fn tab_separated_with_and_without_header() {
    let data = Folder::new_open("t.tsv", "eins\tone\n\nzwei \" \t two\n");
    assert_eq!(data.format(), Format::Tsv);
    assert_eq!(contents(&data), [pair("eins", "one"), pair("zwei \" ", " two")]);

    let data = Folder::new_open("t.tsv", "src\ttgt\neins\tone\n");
    assert_eq!(contents(&data), [pair("eins", "one")]);
    assert_eq!(all(&data)[0].index, 0);
}

#[test]
fn parallel_files_keep_blank_lines() {
    let folder = Folder::new();
    let source = folder.file("x.de", "eins\n\ndrei");
    let target = folder.file("x.en", "\u{feff}one\r\ntwo\r\nthree\r\n");
    let data = Dataset::open_parallel(&source, &target, &ReadOptions::default()).unwrap();
    assert_eq!(data.format(), Format::ParallelText);
    assert_eq!(contents(&data), [pair("eins", "one"), pair("", "two"), pair("drei", "three")]);
}

#[test]
fn parallel_files_of_different_length_are_refused() {
    let folder = Folder::new();
    let source = folder.file("x.de", "eins\nzwei\ndrei\n");
    let target = folder.file("x.en", "one\ntwo");
    let error = Dataset::open_parallel(&source, &target, &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, DatasetError::ParallelLength { source_lines: 3, target_lines: 2, .. }));
}

#[test]
fn byte_order_mark_line_ends_and_blank_lines_make_no_difference() {
    let plain = Folder::new_open("a.jsonl", ALPACA);
    let windows = format!("\u{feff}\r\n{}  \r\n", ALPACA.replace('\n', "\r\n\r\n"));
    let other = Folder::new_open("a.jsonl", windows);
    assert_eq!(all(&plain), all(&other));

    let array = Folder::new_open("a.json", "\u{feff}[{\"instruction\":\"a\",\"output\":\"b\"}]");
    assert_eq!(contents(&array), [instruction("a", "", "b")]);
}

#[test]
fn the_last_line_needs_no_end() {
    let data = Folder::new_open("a.jsonl", ALPACA.trim_end());
    assert_eq!(data.len(), 3);
}

#[test]
fn rows_are_read_in_any_part() {
    let lines: String = (0..50)
        .map(|i| format!("{{\"src\": \"{i}\", \"tgt\": \"{}\"}}\n", "é".repeat(i)))
        .collect();
    let data = Folder::new_open("a.jsonl", lines);
    let whole = all(&data);
    assert_eq!(data.read_range(10..20).unwrap(), whole[10..20]);
    assert_eq!(data.read_range(0..0).unwrap(), []);
    assert!(matches!(
        data.read_range(49..51),
        Err(DatasetError::OutOfRange { position: 50, len: 50, .. })
    ));
}

#[test]
fn the_content_hash_is_that_of_the_bytes() {
    let bytes = format!("\u{feff}{ALPACA}\n\n");
    let data = Folder::new_open("a.jsonl", &bytes);
    assert_eq!(data.content_hash(), blake3::hash(bytes.as_bytes()).to_hex().as_str());

    let array = " [ {\"instruction\":\"a\",\"output\":\"b\"} ] \n";
    let data = Folder::new_open("a.json", array);
    assert_eq!(data.content_hash(), blake3::hash(array.as_bytes()).to_hex().as_str());
}

#[test]
fn a_stated_format_overrides_what_the_file_looks_like() {
    let folder = Folder::new();
    let both =
        folder.file("a.jsonl", r#"{"instruction": "i", "output": "o", "src": "s", "tgt": "t"}"#);
    let open = |format: &str| {
        let options =
            ReadOptions { format: Some(format.parse().unwrap()), ..ReadOptions::default() };
        Dataset::open(&both, &options)
    };
    assert_eq!(contents(&open("translation-jsonl").unwrap()), [pair("s", "t")]);
    assert_eq!(contents(&open("alpaca-jsonl").unwrap()), [instruction("i", "", "o")]);
    for format in ["alpaca-json", "parallel-text"] {
        let error = open(format).unwrap_err();
        assert!(matches!(error, DatasetError::FormatMismatch { .. }), "{error}");
    }
}

#[test]
fn format_names_go_both_ways() {
    for name in Format::names() {
        assert_eq!(name.parse::<Format>().unwrap().to_string(), name);
        let json = serde_json::to_value(name.parse::<Format>().unwrap()).unwrap();
        assert_eq!(json, name);
    }
    let message = "csv".parse::<Format>().unwrap_err().to_string();
    assert!(message.contains("`csv`") && message.contains("share-gpt"), "{message}");
}

/// Opening a large file must not hold its text: 32 bytes a row and the table of ids, whatever the rows' size.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "writes 400 MB; run by name with --release, alone"]
fn memory_of_a_million_rows() {
    use std::io::Write;

    fn peak_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    let folder = Folder::new();
    for (name, open, between, close) in [("m.jsonl", "", "\n", "\n"), ("m.json", "[", ",\n", "]")] {
        let path = folder.path().join(name);
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
        let filler = "x".repeat(120);
        write!(file, "{open}").unwrap();
        for i in 0..1_000_000 {
            let separator = if i == 0 { "" } else { between };
            write!(file, "{separator}{{\"instruction\":\"{i} {filler}\",\"output\":\"y\"}}")
                .unwrap();
        }
        write!(file, "{close}").unwrap();
        file.flush().unwrap();
        drop(file);

        let before = peak_kib();
        let data = Dataset::open(&path, &ReadOptions::default()).unwrap();
        let grown = peak_kib() - before;
        assert_eq!(data.len(), 1_000_000);
        assert_eq!(data.read_range(999_999..1_000_000).unwrap()[0].index, 999_999);
        println!("{name}: peak memory grew by {grown} KiB");
        assert!(grown < 160 << 10, "opening {name} took {grown} KiB");
    }
}

#[test]
fn fields_that_no_format_knows() {
    let folder = Folder::new();
    let rows = [
        r#"{"instruction": "a", "output": "b", "domain": "code", "meta": {"level": 2}}"#,
        r#"{"instruction": "a", "domain": "lost"}"#,
        r#"{"instruction": "c", "output": "d", "domain": null, "meta.level": true}"#,
        r#"{"instruction": "e", "output": "f", "meta": 3}"#,
    ];
    let check = |data: Dataset| {
        assert_eq!(data.field("domain").unwrap(), [Some(json!("code")), None, None]);
        assert_eq!(data.field("meta.level").unwrap(), [Some(json!(2)), Some(json!(true)), None]);
        assert_eq!(data.field("colour").unwrap(), [None, None, None]);
    };
    check(folder.open_skipping("rows.jsonl", rows.join("\n")).unwrap());
    check(folder.open_skipping("rows.json", format!("[{}]", rows.join(",\n"))).unwrap());

    let pairs = folder.open("pairs.tsv", "eins\tone\n").unwrap();
    let message = pairs.field("domain").unwrap_err().to_string();
    assert!(message.contains("pairs.tsv") && message.contains("`domain`"), "{message}");
}
