//! The key is sent, and seen nowhere else.
//!
//! Everything that could show it happens in a child process of its own: the environment can be set
//! before it starts, and all that it prints and logs can be searched.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use tamis_artifact::ParameterError;
use tamis_reflection::ReflectionError;
use tamis_reflection::teacher::{Cached, KeySource, OpenAiParams, Teacher};

use super::server::{Act, Server};
use super::{ask, params, request, requests};

const VARIABLE: &str = "TAMIS_REFLECTION_TEST_KEY";
const KEY: &str = "sk-test-Qz7XvP2mLk9RtWb4";
const FOLDER: &str = "TAMIS_REFLECTION_TEST_FOLDER";
/// No piece of the key of this length may be seen.
const PIECE: usize = 8;

/// Prints whatever is logged.
struct Printer;

impl log::Log for Printer {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        println!("LOG {} {}", record.target(), record.args());
    }

    fn flush(&self) {}
}

fn with_key(server: &Server) -> OpenAiParams {
    OpenAiParams { key: KeySource::Variable(VARIABLE.to_owned()), ..params(server) }
}

/// Everything that a server can do to bring the key to light.
#[test]
#[ignore = "a child process; `the_key_is_seen_nowhere` starts it"]
fn show_everything() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    log::set_logger(&Printer).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let server = Server::start(|seen| {
        let authorization = seen.head.lines().find(|line| line.to_lowercase().starts_with("auth"));
        assert_eq!(authorization.unwrap().split_once(": ").unwrap().1, format!("Bearer {KEY}"));
        match seen.question().as_str() {
            // Servers like to quote what they were sent.
            "401" => Act::error(401, &format!("Incorrect API key {KEY}"), "invalid_api_key"),
            "403" => Act::error(403, &format!("{}***", &KEY[..12]), ""),
            "404" => Act::error(404, &format!("no model, head was {}", seen.head), ""),
            "400" => Act::error(400, &format!("bad {KEY}{KEY}"), ""),
            "429" => Act::error(429, KEY, ""),
            "500" => Act::Respond(500, String::new(), "text/plain", seen.head.clone().into_bytes()),
            "redirect" => {
                Act::Respond(307, "Location: http://127.0.0.1:1/\r\n".to_owned(), "x/y", vec![])
            }
            "html" => Act::Respond(200, String::new(), "application/json", KEY.into()),
            "close" => Act::Close,
            _ => Act::reply("fine"),
        }
    });
    let mut all = String::new();
    let teacher = with_key(&server).check().unwrap();
    writeln!(all, "{teacher:?} {teacher:#?} {}", teacher.identity()).unwrap();
    let path = std::path::Path::new(&folder).join("answers.jsonl");
    let cached = Cached::open(teacher, path, None).unwrap();
    for question in ["401", "403", "404", "400", "429", "500", "redirect", "html", "close", "x"] {
        let outcome = ask(&cached, &[request(question)]);
        let shown = match &outcome {
            Ok(outcomes) => match &outcomes[0] {
                Ok(reply) => reply.text.clone(),
                Err(none) => format!("{none} {}", serde_json::to_string(none).unwrap()),
            },
            Err(error) => error.to_string(),
        };
        writeln!(all, "{question}: {shown} {outcome:?}").unwrap();
    }
    writeln!(all, "{cached:?} {}", serde_json::to_string(&cached.spent()).unwrap()).unwrap();
    println!("{all}");
    fs::write(std::path::Path::new(&folder).join("shown.txt"), all).unwrap();
}

#[test]
fn the_key_is_seen_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "teacher::secrets::show_everything", "--ignored", "--nocapture"])
        .env(VARIABLE, KEY)
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("LOG ureq"), "nothing was logged");
    let mut texts = vec![("output".to_owned(), printed)];
    for file in fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        texts.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    assert_eq!(texts.len(), 3);
    for (name, text) in &texts {
        assert!(name == "output" || text.contains("fine"), "{name} was to be searched");
        for piece in KEY.as_bytes().windows(PIECE) {
            let piece = str::from_utf8(piece).unwrap();
            assert!(!text.contains(piece), "{name} has a piece of the key, {piece}: {text}");
        }
    }
    let shown = |text: &String| text.contains("401") && text.contains(&format!("`{VARIABLE}`"));
    assert!(texts[1..].iter().any(|(_, text)| shown(text)), "whose key was refused is not said");
    // It was there to be seen: the server did quote it.
    assert!(texts[1].1.contains("[key]") || texts[2].1.contains("[key]"));
}

#[test]
fn a_key_that_is_missing_or_strange_is_named() {
    let server = Server::echo();
    let from = |variable: &str| {
        OpenAiParams { key: KeySource::Variable(variable.to_owned()), ..params(&server) }.check()
    };
    match from("TAMIS_NO_SUCH_VARIABLE") {
        Err(error @ ReflectionError::NoKey { .. }) => {
            let text = error.to_string();
            assert!(text.contains("`TAMIS_NO_SUCH_VARIABLE` is not set"), "{text}");
            assert!(text.contains(&server.base_url()), "{text}");
        }
        other => panic!("{other:?}"),
    }
    for bad in ["", "A=B", "A B", "1A", "KEY\n", "Ä"] {
        assert!(matches!(from(bad), Err(ReflectionError::Parameter(error)) if error.name == "key"));
    }
    assert_eq!(server.count(), 0);
}

/// Easily done: the key itself, where the name of its variable should be.
#[test]
fn a_key_in_place_of_its_name_is_not_repeated() {
    let server = Server::echo();
    for key in [KEY, "sk-proj-0123456789", "hf_QzXvPmLkRtWbNsYdGhJc", "gsk_0123456789abcdefghij"] {
        let params = OpenAiParams { key: KeySource::Variable(key.to_owned()), ..params(&server) };
        let debug = format!("{params:?} {:#?}", params.key);
        let error = params.check().unwrap_err();
        for text in [debug, error.to_string(), format!("{error:?}")] {
            for piece in key.as_bytes().windows(PIECE) {
                let piece = str::from_utf8(piece).unwrap();
                assert!(!text.contains(piece), "{text}");
            }
        }
    }
    // A name is shown.
    let named = KeySource::Variable(VARIABLE.to_owned());
    assert_eq!(format!("{named:?}"), format!("Variable({VARIABLE:?})"));
}

#[test]
#[ignore = "a child process; `strange_keys_are_not_repeated` starts it"]
fn try_a_key() {
    if env::var_os(FOLDER).is_none() {
        return;
    }
    let server = Server::echo();
    match with_key(&server).check() {
        Ok(_) => println!("RESULT fine"),
        Err(error) => println!("RESULT {error} {error:?}"),
    }
}

#[test]
fn strange_keys_are_not_repeated() {
    for (key, words) in [
        ("  sk-spaces-around\n", "fine"),
        ("sk-two words", "without spaces"),
        ("sk-lüne", "visible ASCII"),
        ("sk-line\r\nX-Evil: 1", "visible ASCII"),
        ("", "is not set"),
        ("  \n", "is not set"),
    ] {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "teacher::secrets::try_a_key", "--ignored", "--nocapture"])
            .env(VARIABLE, key)
            .env(FOLDER, "here")
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(printed.contains("RESULT") && printed.contains(words), "{key:?}: {printed}");
        assert!(key.trim().is_empty() || !printed.contains(key.trim()), "{printed}");
    }
}

/// Where the default key would be sent is decided before it is looked for.
#[test]
fn the_default_key_goes_only_where_it_is_safe() {
    let server = Server::echo();
    // To this machine none is sent, and none is needed.
    let local = OpenAiParams { key: KeySource::Default, ..params(&server) }.check().unwrap();
    ask(&local, &requests(1)).unwrap();
    assert!(!server.seen()[0].head.to_lowercase().contains("authorization"));
    let elsewhere = |base_url: &str| {
        let base_url = base_url.to_owned();
        OpenAiParams { base_url, key: KeySource::Default, ..params(&server) }.check()
    };
    match elsewhere("http://models.example.org/v1") {
        Err(ReflectionError::Parameter(ParameterError { name: "base_url", expected, .. })) => {
            assert!(expected.contains("https"), "{expected}");
        }
        other => panic!("{other:?}"),
    }
    match elsewhere("https://models.example.org/v1") {
        Err(ReflectionError::NoKey { variable, .. }) => assert_eq!(variable, "OPENAI_API_KEY"),
        Ok(_) => assert!(env::var_os("OPENAI_API_KEY").is_some()),
        other => panic!("{other:?}"),
    }
}
