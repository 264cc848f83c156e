//! Prompts: what they say, and which files are refused.

use std::fs;

use proptest::prelude::*;
use tamis_reflection::{Prompts, Row};

fn row(instruction: &str, input: &str, output: &str) -> Row {
    Row { instruction: instruction.into(), input: input.into(), output: output.into() }
}

/// The user's part of the prompts in a folder of one file.
fn from(name: &str, text: &str) -> Result<Prompts, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), text).unwrap();
    let root = folder.path().display().to_string() + "/";
    Prompts::from_dir(folder.path()).map_err(|error| error.to_string().replace(&root, ""))
}

const RESPONSE: &str = "mine 3\n--- user\nQ: {{instruction}}\n{{#input}}\nI: {{input}}\n{{/input}}\nA: {{answer}}\n[Better Answer] [End]\n";

#[test]
fn the_built_in_prompts() {
    let prompts = Prompts::built_in().unwrap();
    let with = row("Add them.", "2, 3", "5");
    for (messages, markers) in [
        (
            prompts.reflect_instruction(&with),
            &["[New Instruction]", "[New Answer]", "[End]"] as &[_],
        ),
        (prompts.reflect_response(&with), &["[Better Answer]", "[End]"]),
    ] {
        let roles: Vec<&str> = messages.iter().map(|message| message.role.as_str()).collect();
        assert_eq!(roles, ["system", "user"]);
        let text = &messages[1].content;
        for part in markers.iter().chain(&[
            "\n=====\nAdd them.\n=====\n",
            "\n=====\n2, 3\n=====\n",
            "\n=====\n5\n=====\n",
        ]) {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("{{") && !text.ends_with('\n'));
    }
    // Without an input nothing speaks of one.
    let without = prompts.reflect_instruction(&row("Add 2 and 3.", " \n", "5"));
    assert!(!without[1].content.contains("nput"), "{}", without[1].content);
    let judge = prompts.judge("Q", "I", "one", "two");
    let (first, second) = (judge[1].content.find("one"), judge[1].content.find("\ntwo\n"));
    assert!(first < second);
    let identity = prompts.judge_identity();
    assert_eq!((&identity["name"], &identity["version"]), (&"judge".into(), &1.into()));
    assert_eq!(identity["blake3"].as_str().unwrap().len(), 64);
}

#[test]
fn values_are_put_in_once() {
    let prompts = from("reflect_response.txt", RESPONSE).unwrap();
    let text = |row: &Row| prompts.reflect_response(row).pop().unwrap().content;
    assert_eq!(text(&row("q", "", "a")), "Q: q\nA: a\n[Better Answer] [End]");
    let odd = row("{{answer}} {{#input}}", "{{input}}\n{{/input}}", "{{instruction}} [End]");
    assert_eq!(
        text(&odd),
        "Q: {{answer}} {{#input}}\nI: {{input}}\n{{/input}}\nA: {{instruction}} [End]\n[Better Answer] [End]"
    );
    // Only one of the three was replaced.
    let built_in = Prompts::built_in().unwrap();
    assert_eq!(prompts.judge_identity(), built_in.judge_identity());
    let [mine, theirs] = [&prompts, &built_in].map(Prompts::reflection_identity);
    assert_eq!(mine["reflect_instruction"], theirs["reflect_instruction"]);
    assert_eq!(mine["reflect_response"]["version"], 3);
    // Line ends are no difference.
    let dos = from("reflect_response.txt", &RESPONSE.replace('\n', "\r\n")).unwrap();
    assert_eq!(dos.reflection_identity(), prompts.reflection_identity());
}

#[test]
fn files_that_are_refused() {
    let edit = |from_: &str, to: &str| {
        let text = RESPONSE.replace(from_, to);
        assert_ne!(text, RESPONSE);
        from("reflect_response.txt", &text).unwrap_err()
    };
    for (error, expected) in [
        (edit("mine 3", "mine"), "line 1: expected a name without spaces and a version"),
        (edit("mine 3", "mine three"), "line 1: expected a name"),
        (
            edit("{{answer}}", "{{output}}"),
            "line 7: `output` is no variable, expected one of instruction, input, answer, fence",
        ),
        (edit("{{answer}}", "{{answer}"), "line 7: `{{` is never closed"),
        (edit("{{answer}}", ""), "line 8: `{{answer}}` is missing"),
        (edit("I: {{input}}", "I:"), "`{{input}}` is missing"),
        (edit("{{/input}}\n", ""), "line 4: `{{#input}}` is never closed"),
        (edit("{{#input}}\n", ""), "line 5: `{{/input}}` closes nothing"),
        (edit("{{/input}}", "{{/answer}}"), "line 6: `{{/answer}}` closes nothing"),
        (edit("I: ", "{{#answer}}\n"), "line 5: `{{#input}}` is still open"),
        (edit("A: ", "A: {{#input}}"), "line 7: `{{#input}}` must stand alone"),
        (edit("--- user\n", ""), "line 2: found `Q: {{instruction}}`, expected `--- system`"),
        (edit("--- user", "--- assistant"), "line 2: found `assistant`"),
        (edit("--- user", "--- system"), "line 8: expected a part `--- user`"),
        (edit("A: ", "--- user\nA: "), "line 7: a second part"),
        (edit("I: ", "--- user\nI: "), "line 5: `{{#input}}` is still open"),
        (edit("[Better Answer]", ""), "`[Better Answer]` is missing"),
        (edit("[End]", ""), "`[End]` is missing"),
    ] {
        assert!(error.starts_with("prompt reflect_response.txt, line"), "{error}");
        assert!(error.contains(expected), "{error}\n{expected}");
    }
    assert!(from("reflect_response.txt", "").unwrap_err().contains("line 1"));
}

#[test]
fn folders_that_are_refused() {
    // A misspelt name would change nothing without a word.
    let error = from("reflect_responce.txt", RESPONSE).unwrap_err();
    assert!(error.contains("reflect_responce.txt: is no prompt of ours, expected"), "{error}");
    let error = from("README.md", "Our prompts.").unwrap_err();
    assert!(error.contains("holds no prompt"), "{error}");
    let error = Prompts::from_dir("/does/not/exist").unwrap_err().to_string();
    assert!(error.contains("/does/not/exist"), "{error}");
}

proptest! {
    /// No text of a record reaches out of its fence.
    #[test]
    fn fences_hold(instruction in "[=\na]{1,30}", output in "[=\nb]{0,30}") {
        let messages = Prompts::built_in().unwrap().reflect_response(&row(&instruction, "", &output));
        let text = &messages[1].content;
        let fence = text.split("lines of ").nth(1).unwrap().split('.').next().unwrap();
        prop_assert!(fence.len() >= 5 && fence.chars().all(|c| c == '='));
        // Once in the explanation, and around two texts.
        prop_assert_eq!(text.matches(fence).count(), 5);
        let parts: Vec<&str> = text.split(&format!("{fence}\n")).collect();
        prop_assert_eq!(parts[1], format!("{instruction}\n"));
        prop_assert_eq!(parts[3], format!("{output}\n"));
    }
}
