//! What the teacher wrote: what is read, what is refused, and that nothing else happens.

use proptest::prelude::*;
use tamis_reflection::teacher::Finish;
use tamis_reflection::{Marker, Reply, Unreadable, read_answer, read_pair};

use crate::scripted::{cut, reply};

use Marker::{BetterAnswer, NewAnswer, NewInstruction};

const PAIR: &str = "[New Instruction]\nAsk.\n[End]\n[New Answer]\nAnswer.\n[End]";

fn answer(text: &str) -> Result<String, Unreadable> {
    read_answer(&reply(text)).map(|read| read.texts[0].to_owned())
}

fn pair(text: &str) -> Result<[String; 2], Unreadable> {
    read_pair(&reply(text)).map(|read| read.texts.map(str::to_owned))
}

#[test]
fn replies_that_are_read() {
    for text in [
        PAIR,
        "[New Instruction] Ask. [End]\n[New Answer] Answer. [End]",
        "[New Instruction]Ask.[End]\n[New Answer]Answer.[End]",
        "  [New Instruction]  \r\nAsk.\r\n[End]  \r\n\r\n\t[New Answer]\r\nAnswer.\r\n  [End]\r\n",
        "[New Instruction]\nAsk.\n[End]\n \n\n[New Answer]\nAnswer.\n[End]\n\n \n",
        // Markers in a line are quoted.
        "Behind [New Instruction] I will write one, then [End]s it.\n[New Instruction]\nAsk.\n[End]\n[New Answer]\nAnswer.\n[End]",
        // Before the first section, ends too.
        "I close with [End]\nas told.\n[New Instruction]\nAsk.\n[End]\n[New Answer]\nAnswer.\n[End]",
    ] {
        assert_eq!(pair(text).unwrap(), ["Ask.", "Answer."], "{text}");
    }
    let read = reply("\n Too short.\n\nAnd wrong. \n[Better Answer]\nMore.\n[End]");
    assert_eq!(read_answer(&read).unwrap().critique, "Too short.\n\nAnd wrong.");
}

#[test]
fn good_answers_with_odd_words() {
    for text in [
        "The End",
        "End",
        "Write End at the end. End",
        "[end]\nof the story",
        "Press the [End] key twice.",
        "[End] is what the marker is called",
        "The table says N/A for 1990, and N/A for 1991.",
        "N/A means not applicable.",
        "(a) and (b)",
        "[1, 2, 3]",
        "(New York)",
        "{\"answer\": 42, \"unit\": \"m\", \"of\": \"length\", \"in\": \"metres\", \"and\": 1}",
        "<b>Yes</b>",
        "None",
        "0",
        "…and so it ended.",
        "It stands in a line: [Better Answer] like this.",
        "[New Instruction] is a marker of the other question.",
        "{{instruction}}",
        // Brackets, and words that are also in placeholders.
        "{\"answer\": 42}",
        "[\"sphere\"]",
        "[Answer: B]",
        "(Where is it?)",
        "(there)",
        "(here)",
        "<answer>42</answer>",
        "<b>the answer</b>",
        "[The answer is 42]",
        "(an instruction set)",
        "{}",
        "[]",
        "()",
        // Morse, operators.
        "... --- ...",
        ".- -...",
        "--",
        "*",
        "-.",
        "the new answer",
    ] {
        let wrapped = format!("So so.\n[Better Answer]\n{text}\n[End]");
        assert_eq!(answer(&wrapped).as_deref(), Ok(text));
    }
}

#[test]
fn replies_that_are_refused() {
    let missing = |marker| Unreadable::Missing { marker };
    let unclosed = |marker| Unreadable::Unclosed { marker };
    let doubled = |marker| Unreadable::Doubled { marker };
    for (text, why) in [
        ("", missing(NewInstruction)),
        ("No.", missing(NewInstruction)),
        ("[New Instruction]\nAsk.\n[End]", missing(NewAnswer)),
        ("[New Answer]\nAnswer.\n[End]", missing(NewInstruction)),
        ("[new instruction]\nAsk.\n[end]", missing(NewInstruction)),
        (
            "Here: [New Instruction]\nAsk.\n[End]\n[New Answer]\nAnswer.\n[End]",
            missing(NewInstruction),
        ),
        ("[New Instruction]\nAsk.\n[New Answer]\nAnswer.\n[End]", unclosed(NewInstruction)),
        ("[New Instruction]\nAsk.\n[End]\n[New Answer]\nAnswer.", unclosed(NewAnswer)),
        ("[New Instruction]\nAsk.\n[End]\n[New Answer]\nAnswer.\nEnd", unclosed(NewAnswer)),
        ("[New Instruction]\nAsk. [End] [New Answer] Answer.\n[End]", missing(NewAnswer)),
        (
            "[New Answer]\nAnswer.\n[End]\n[New Instruction]\nAsk.\n[End]",
            Unreadable::Order { marker: NewInstruction },
        ),
        // The marker begins a line of the criticism, too.
        (
            "[New Instruction] is what I will write.\n[New Instruction]\nAsk.\n[End]\n[New Answer]\nAnswer.\n[End]",
            doubled(NewInstruction),
        ),
        (
            "[New Instruction]\nAsk.\n[End]\n[New Answer]\nA.\n[End]\n[New Answer]\nB.\n[End]",
            doubled(NewAnswer),
        ),
        (
            "[New Instruction]\nA.\n[End]\n[New Instruction]\nB.\n[End]\n[New Answer]\nA.\n[End]",
            doubled(NewInstruction),
        ),
        // Where does the answer end?
        (
            "[New Instruction]\nAsk.\n[End]\n[New Answer]\nPress [End]\nnow.\n[End]",
            Unreadable::StrayEnd,
        ),
        (
            "[New Instruction]\nUse [End]\nwell.\n[End]\n[New Answer]\nA.\n[End]",
            Unreadable::StrayEnd,
        ),
        (
            "[New Instruction]\n \n[End]\n[New Answer]\nA.\n[End]",
            Unreadable::Empty { marker: NewInstruction },
        ),
        (
            "[New Instruction]\nAsk.\n[End]\n[New Answer][End]",
            Unreadable::Empty { marker: NewAnswer },
        ),
    ] {
        assert_eq!(pair(text), Err(why), "{text}");
    }
    // A word of the text, or its end? Nobody can tell, so nothing is cut.
    for (end, behind) in [
        ("Press [End]\nthen save the file.", "then save the file."),
        ("Press\n[End]\nthen save the file.", "then save the file."),
        ("Press. [End]\n```", "```"),
        ("All of it.\n[End]\n\nI hope this helps!", "I hope this helps!"),
    ] {
        let text = behind.to_owned();
        let why = Unreadable::TextBehindEnd { marker: BetterAnswer, text };
        assert_eq!(answer(&format!("[Better Answer]\n{end}")), Err(why));
        let text = behind.to_owned();
        let why = Unreadable::TextBehindEnd { marker: NewInstruction, text };
        let begun = format!("[New Instruction]\n{end}\n[New Answer]\nAnswer.\n[End]");
        assert_eq!(pair(&begun), Err(why));
    }
    let long = answer(&format!("[Better Answer]\nA.\n[End]\n{}", "b ".repeat(5_000_000)));
    let Err(Unreadable::TextBehindEnd { text, .. }) = long else { panic!() };
    assert_eq!(text.len(), 80);
    // A pair is no answer, and the other way round.
    assert_eq!(answer(PAIR), Err(missing(BetterAnswer)));
    assert_eq!(pair("[Better Answer]\nA.\n[End]"), Err(missing(NewInstruction)));
}

#[test]
fn placeholders_are_refused() {
    for text in [
        "N/A",
        "n/a.",
        "...",
        "…",
        "---",
        "(N/A)",
        "[...]",
        "(the better answer)",
        "[Your answer here]",
        "<better answer>",
        "{instruction}",
        "[New Answer]",
        "( your new instruction )",
        "[Insert the improved response here]",
        "(the new answer...)",
        "<Instruction>",
        "[answer text here]",
        "(answer goes here)",
        "___",
        "****",
        "……",
        "[---]",
    ] {
        let found = answer(&format!("[Better Answer]\n{text}\n[End]"));
        let text = text.to_owned();
        assert_eq!(found, Err(Unreadable::Placeholder { marker: BetterAnswer, text }));
    }
    // Of a long one, the reason repeats the beginning.
    let found = answer(&format!("[Better Answer]\n{}\n[End]", "-".repeat(1_000_000)));
    let text = "-".repeat(80);
    assert_eq!(found, Err(Unreadable::Placeholder { marker: BetterAnswer, text }));
    let stopped = Reply { finish: Finish::Other("x".repeat(9_000)), ..reply(PAIR) };
    assert_eq!(read_pair(&stopped), Err(Unreadable::Stopped { how: "x".repeat(80) }));
    // What our own prompts show is the form, not a result.
    for prompt in ["prompts/reflect_instruction.txt", "prompts/reflect_response.txt"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(prompt);
        let text = std::fs::read_to_string(path).unwrap();
        let found = [pair(&text).map(|_| ()), answer(&text).map(|_| ())];
        assert!(
            found.iter().any(|found| matches!(found, Err(Unreadable::Placeholder { .. }))),
            "{found:?}"
        );
    }
}

#[test]
fn replies_that_did_not_end_by_themselves() {
    assert_eq!(read_pair(&cut(PAIR)), Err(Unreadable::Cut));
    let how = "content_filter".to_owned();
    let stopped = Reply { finish: Finish::Other(how.clone()), ..reply(PAIR) };
    let why = read_pair(&stopped).unwrap_err();
    assert_eq!(why.to_string(), "the teacher stopped for `content_filter`");
    assert_eq!(why, Unreadable::Stopped { how });
}

#[test]
fn ten_megabytes_are_read_in_no_time() {
    let long = "[New Instruction or not] \n".repeat(400_000);
    let text = format!("{long}[Better Answer]\n{long}\n[End]");
    assert_eq!(answer(&text).unwrap(), long.trim());
}

/// The rules once more, line by line and without positions: what the texts are, if the reply is good.
fn plainly(text: &str, names: &[&str]) -> Option<Vec<String>> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for line in text.split('\n') {
        let mut line = line.to_owned();
        let is_mark = names.iter().any(|name| line.trim_start().starts_with(name));
        if open.is_none() && !found.is_empty() && !is_mark && !line.trim().is_empty() {
            return None;
        }
        if let Some(which) = names.iter().position(|name| line.trim_start().starts_with(name)) {
            if open.is_some() || found.iter().any(|(known, _)| *known == which) {
                return None;
            }
            open = Some((which, String::new()));
            line = line.trim_start()[names[which].len()..].to_owned();
        }
        let ends = line.trim_end().ends_with("[End]");
        if ends {
            line = line.trim_end().strip_suffix("[End]").unwrap().to_owned();
        }
        if let Some((_, text)) = &mut open {
            text.push_str(&line);
            text.push('\n');
        }
        if ends {
            match open.take() {
                Some((which, text)) => found.push((which, text.trim().to_owned())),
                None if found.is_empty() => {}
                None => return None,
            }
        }
    }
    let in_order = found.iter().map(|(which, _)| *which).eq(0..names.len());
    let full = found.iter().all(|(_, text)| !text.is_empty());
    (open.is_none() && in_order && full).then(|| found.into_iter().map(|(_, text)| text).collect())
}

/// Text made of what the parsers look for.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[New Instruction]",
        "[New Answer]",
        "[Better Answer]",
        "[End]",
        "End",
        "\n",
        "\n",
        "\n",
        " ",
        "\r\n",
        "word",
        "é 中",
        "\u{2028}",
        "N/A",
        "[",
        "]",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn texts_come_back(instruction in "\\PC{1,60}(\n\\PC{0,40}){0,3}", answer in "\\PC{1,60}(\n\\PC{0,40}){0,3}", before in "[a-z. ]{0,40}") {
        let text = format!("{before}\n[New Instruction]\n{instruction}\n[End]\n[New Answer]\n{answer}\n[End]\n");
        match read_pair(&reply(&text)) {
            Ok(read) => {
                prop_assert_eq!(read.texts, [instruction.trim(), answer.trim()]);
                prop_assert_eq!(read.critique, before.trim());
            }
            Err(Unreadable::Empty { .. }) => {
                prop_assert!(instruction.trim().is_empty() || answer.trim().is_empty());
            }
            Err(Unreadable::Placeholder { text, .. }) => {
                prop_assert!(text == instruction.trim() || text == answer.trim());
            }
            Err(why) => prop_assert!(false, "{}", why),
        }
    }

    /// No text makes the parsers panic, and a pair is a pair.
    #[test]
    fn any_text(text in pieces()) {
        let found = read_pair(&reply(&text)).map(|read| read.texts.map(str::to_owned).to_vec());
        match (found, plainly(&text, &["[New Instruction]", "[New Answer]"])) {
            (Ok(found), plain) => prop_assert_eq!(Some(found), plain),
            (Err(Unreadable::Placeholder { text, .. }), plain) => {
                prop_assert!(plain.is_some_and(|plain| plain.contains(&text)));
            }
            (Err(why), plain) => prop_assert_eq!(plain, None, "{}", why),
        }
        let found = read_answer(&reply(&text)).map(|read| read.texts[0].to_owned());
        match (found, plainly(&text, &["[Better Answer]"])) {
            (Ok(found), plain) => prop_assert_eq!(Some(vec![found]), plain),
            (Err(Unreadable::Placeholder { text, .. }), plain) => {
                prop_assert_eq!(plain, Some(vec![text]));
            }
            (Err(why), plain) => prop_assert_eq!(plain, None, "{}", why),
        }
        prop_assert!(read_pair(&cut(&text)).is_err() && read_answer(&cut(&text)).is_err());
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*|(?s).*") {
        let _ = read_pair(&reply(&text));
        let _ = read_answer(&reply(&text));
    }
}
