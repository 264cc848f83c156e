//! Files for other trainers, read back by this crate and by the trainers' own rules.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use tamis_dataset::{
    Content, Dataset, Exported, Exporter, Format, Message, ReadOptions, Sample, SampleId, Template,
    TrainerFormat, write_dataset_info,
};

use crate::support::{Folder, all, english, instruction, pair, talk};

fn exporter(format: TrainerFormat, template: Template) -> Exporter {
    Exporter { format, template, target_language: Some("English".to_owned()) }
}

fn samples(contents: impl IntoIterator<Item = Content>) -> Vec<Sample> {
    let named = |(index, content)| Sample { id: format!("row {index}").into(), index, content };
    contents.into_iter().enumerate().map(named).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What LLaMA-Factory learns from, by its documented rules: `dataset_info.json` says which columns there are, and a
/// column that it names is looked up in every row.
fn llama_factory(dir: &Path, name: &str) -> Vec<Vec<Message>> {
    let info = &json(&dir.join("dataset_info.json"))[name];
    let rows = json(&dir.join(info["file_name"].as_str().unwrap()));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut conversations = Vec::new();
    for row in rows.as_array().unwrap() {
        let column = |role: &str| {
            let name = info["columns"].get(role)?.as_str().unwrap();
            Some(row.get(name).unwrap_or_else(|| panic!("no column {name} in {row}")))
        };
        let mut turns = Vec::new();
        if info["formatting"] == "alpaca" {
            let system = column("system").map_or(String::new(), text);
            if !system.is_empty() {
                turns.push(Message::new("system", system));
            }
            for earlier in column("history").map_or(&[][..], |list| list.as_array().unwrap()) {
                turns.push(Message::new("user", text(&earlier[0])));
                turns.push(Message::new("assistant", text(&earlier[1])));
            }
            let mut query = vec![text(column("prompt").unwrap()), text(column("query").unwrap())];
            query.retain(|part| !part.is_empty());
            turns.push(Message::new("user", query.join("\n")));
            turns.push(Message::new("assistant", text(column("response").unwrap())));
        } else {
            let tag = |name: &str| info["tags"][name].as_str().unwrap();
            for turn in column("messages").unwrap().as_array().unwrap() {
                let from = &turn[tag("role_tag")];
                let role = ["system", "user", "assistant"]
                    .into_iter()
                    .find(|role| from == tag(&format!("{role}_tag")))
                    .unwrap_or_else(|| panic!("an unknown speaker: {turn}"));
                turns.push(Message::new(role, text(&turn[tag("content_tag")])));
            }
            let said = turns.iter().filter(|turn| turn.role != "system").count();
            assert_eq!(said % 2, 0, "left out by the trainer: {row}");
        }
        conversations.push(turns);
    }
    conversations
}

fn write(folder: &Folder, exporter: &Exporter, rows: &[Sample]) -> (Exported, Vec<Vec<Message>>) {
    let path = folder.path().join(format!("selected.{}.json", exporter.format));
    let exported = exporter.samples(rows, &path).unwrap();
    assert_eq!((exported.rows, exported.format), (rows.len(), exporter.format));
    write_dataset_info(folder.path(), [("mine", &exported)]).unwrap();
    let read = llama_factory(folder.path(), "mine");
    (exported, read)
}

fn dialogue(turns: &[(&str, &str)]) -> Vec<Message> {
    turns.iter().map(|&(role, text)| Message::new(role, text)).collect()
}

#[test]
fn instructions_come_back_as_they_were() {
    let folder = Folder::new();
    let text = r#"[{"id": 7, "instruction": "Say \"hi\".", "input": "", "output": "hi\n"},
        {"instruction": "Add", "input": "1, 2", "output": "3", "licence": "mine"},
        {"instruction": "Nothing", "output": ""}]"#;
    let data = folder.open("pool.json", text).unwrap();
    let export = exporter(TrainerFormat::Alpaca, Template::Alpaca);
    let path = folder.path().join("new/selected.alpaca.json");
    let exported = export.rows(&data, &[2, 0, 1], &path).unwrap();
    let again = Dataset::open(&path, &ReadOptions::default()).unwrap();
    assert_eq!(again.format(), Format::AlpacaJson);
    for (row, position) in all(&again).into_iter().zip([2, 0, 1]) {
        let original = &all(&data)[position];
        assert_eq!((row.id, row.content), (original.id.clone(), original.content.clone()));
    }
    // Only what some row has is a column.
    assert_eq!(json(&path)[0].as_object().unwrap().len(), 4);
    assert_eq!(
        exported.axolotl().unwrap(),
        format!(
            "datasets:\n  - path: \"{}\"\n    ds_type: json\n    type: alpaca\n",
            path.display()
        )
    );
    // Nothing else is left in the folder.
    assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
}

#[test]
fn conversations_come_back_as_they_were() {
    let rows = samples([
        talk(&[("user", "a"), ("assistant", "b")]),
        talk(&[
            ("system", "be brief"),
            ("user", "1"),
            ("assistant", "2"),
            ("user", "3"),
            ("assistant", "4"),
        ]),
    ]);
    let folder = Folder::new();
    let (exported, learned) =
        write(&folder, &exporter(TrainerFormat::ShareGpt, Template::Chat), &rows);
    for (row, learned) in rows.iter().zip(learned) {
        assert_eq!(row.content, Content::Chat { messages: learned });
    }
    let again = Dataset::open(&exported.path, &ReadOptions::default()).unwrap();
    assert_eq!(again.format(), Format::ShareGpt);
    assert_eq!(all(&again), rows);
    let yaml = exported.axolotl().unwrap();
    for part in
        ["type: chat_template", "field_messages: conversations", "role: from", "content: value"]
    {
        assert!(yaml.contains(part), "{part}");
    }
}

#[test]
fn earlier_turns_and_system_prompts_are_columns_of_alpaca() {
    let contents = [
        talk(&[
            ("system", "be brief"),
            ("user", "1"),
            ("assistant", "2"),
            ("user", "3"),
            ("assistant", "4"),
        ]),
        talk(&[("user", "a"), ("assistant", "b")]),
    ];
    let folder = Folder::new();
    let export = exporter(TrainerFormat::Alpaca, Template::Chat);
    let (exported, learned) = write(&folder, &export, &samples(contents.clone()));
    for (content, learned) in contents.into_iter().zip(learned) {
        assert_eq!(content, Content::Chat { messages: learned });
    }
    let rows = json(&exported.path);
    assert_eq!(rows[0]["history"], serde_json::json!([["1", "2"]]));
    assert_eq!((&rows[0]["instruction"], &rows[0]["output"]), (&"3".into(), &"4".into()));
    // Every row has every column.
    assert_eq!((&rows[1]["system"], &rows[1]["history"]), (&"".into(), &serde_json::json!([])));
    let refused = exported.axolotl().unwrap_err().to_string();
    assert!(refused.contains("sharegpt") && refused.contains("earlier turns"), "{refused}");
    let system_only = samples([talk(&[("system", "s"), ("user", "a"), ("assistant", "b")])]);
    let (exported, _) = write(&folder, &export, &system_only);
    assert!(exported.axolotl().unwrap().contains("type: alpaca_w_system"));
}

#[test]
fn translations_are_worded_by_the_template() {
    let rows = samples([pair("Guten \"Tag\"", "Good day")]);
    let folder = Folder::new();
    let first =
        |format, template| write(&folder, &exporter(format, template), &rows).1.swap_remove(0);
    let prompt = "Translate the following text into English\n\nText:\n\"Guten \"Tag\"\"";
    let whole = dialogue(&[("user", prompt), ("assistant", "Good day")]);
    for template in [english(), Template::Chat, Template::Vicuna] {
        assert_eq!(first(TrainerFormat::Alpaca, template.clone()), whole);
        assert_eq!(first(TrainerFormat::ShareGpt, template), whole);
    }
    let ask = "Translate the following text into English.";
    for template in [Template::Alpaca, Template::None] {
        let of = |between: &str| {
            dialogue(&[
                ("user", &format!("{ask}{between}Guten \"Tag\"")),
                ("assistant", "Good day"),
            ])
        };
        assert_eq!(first(TrainerFormat::Alpaca, template.clone()), of("\n"));
        assert_eq!(first(TrainerFormat::ShareGpt, template), of("\n\n"));
    }
    let mut unnamed = exporter(TrainerFormat::Alpaca, Template::Chat);
    unnamed.target_language = None;
    let error = unnamed.samples(&rows, &folder.path().join("x.json")).unwrap_err().to_string();
    assert!(error.contains("`row 0`") && error.contains("target language"), "{error}");
}

#[test]
fn what_cannot_be_said_is_refused_by_row_and_leaves_nothing() {
    for (turns, reason) in [
        (&[("user", "a")][..], "ends with a question"),
        (&[("system", "s")], "no question"),
        (&[("user", "a"), ("user", "b")], "turn 2 is by `user` where `assistant` must follow"),
        (&[("assistant", "a"), ("user", "b")], "turn 1 is by `assistant`"),
        (&[("system", "s"), ("user", "a"), ("tool", "b")], "turn 3 is by `tool`"),
        (
            &[("user", "a"), ("assistant", "b"), ("system", "s"), ("assistant", "c")],
            "turn 3 is by `system`",
        ),
    ] {
        let rows = samples([instruction("i", "", "o"), talk(turns)]);
        for format in [TrainerFormat::Alpaca, TrainerFormat::ShareGpt] {
            let folder = Folder::new();
            let error =
                exporter(format, Template::Chat).samples(&rows, &folder.path().join("x.json"));
            let error = error.unwrap_err().to_string();
            for part in ["`row 1` (row 1)", format.name(), reason] {
                assert!(error.contains(part), "{error} lacks {part}");
            }
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}

#[test]
fn no_rows_are_an_empty_list_and_files_elsewhere_are_not_described() {
    let folder = Folder::new();
    let export = exporter(TrainerFormat::ShareGpt, Template::Chat);
    let (exported, learned) = write(&folder, &export, &[]);
    assert!(learned.is_empty());
    assert_eq!(fs::read_to_string(&exported.path).unwrap(), "[]\n");
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let error = write_dataset_info(&elsewhere, [("mine", &exported)]).unwrap_err().to_string();
    assert!(error.contains("elsewhere"), "{error}");
    assert!("sharegtp".parse::<TrainerFormat>().unwrap_err().to_string().contains("sharegpt"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any texts in any of the shapes: both files say the same conversation, and the one of the own shape reads back.
    #[test]
    fn any_rows(texts in prop::collection::vec((".{0,9}", ".{0,9}", ".{0,9}"), 0..6), chat in any::<bool>()) {
        let rows: Vec<Sample> = texts.iter().enumerate().map(|(index, (a, b, c))| Sample {
            id: SampleId::from(format!("{index}-{a}")),
            index,
            content: if chat {
                let turns: [(&str, &str); 4] = [("user", a), ("assistant", b), ("user", c), ("assistant", a)];
                talk(&turns[..if index % 2 == 0 { 4 } else { 2 }])
            } else {
                instruction(a, b, c)
            },
        }).collect();
        let folder = Folder::new();
        let (alpaca, by_alpaca) = write(&folder, &exporter(TrainerFormat::Alpaca, Template::Chat), &rows);
        let (share_gpt, by_share_gpt) = write(&folder, &exporter(TrainerFormat::ShareGpt, Template::Chat), &rows);
        prop_assert_eq!(by_alpaca.len(), rows.len());
        let own = if chat { share_gpt } else { alpaca };
        if chat {
            prop_assert_eq!(by_alpaca, by_share_gpt);
        }
        if !rows.is_empty() {
            prop_assert_eq!(all(&Dataset::open(&own.path, &ReadOptions::default()).unwrap()), rows);
        }
    }
}
