//! `kill -9` in the middle of asking: every answer that was told is kept, and nothing is asked twice
//! but what was under way.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tamis_reflection::Teacher;
use tamis_reflection::teacher::{Cached, KeySource, OpenAiParams, OpenAiTeacher, Recorded};

use super::server::{Act, Server};
use super::{ask, requests};

/// The child process finds the server here, and the file of answers.
const ADDRESS: &str = "TAMIS_REFLECTION_KILL_ADDRESS";
const FILE: &str = "TAMIS_REFLECTION_KILL_FILE";
const QUESTIONS: usize = 60;
const CONCURRENCY: usize = 3;
/// After how many answers the process is killed, each time.
const KILLS: [usize; 4] = [0, 1, 9, 20];

fn client(base_url: &str, path: &Path) -> Cached<OpenAiTeacher> {
    let teacher = OpenAiParams {
        base_url: base_url.to_owned(),
        model: "small".to_owned(),
        key: KeySource::None,
        concurrency: CONCURRENCY,
        ..OpenAiParams::default()
    };
    Cached::open(teacher.check().unwrap(), path, None).unwrap()
}

/// The program that is killed: it says of every new answer that it was told.
#[test]
#[ignore = "the program that is killed; `no_answer_is_lost` starts it"]
fn program() {
    let (Some(address), Some(file)) = (env::var_os(ADDRESS), env::var_os(FILE)) else { return };
    let cached = client(address.to_str().unwrap(), file.as_ref());
    cached
        .ask(&requests(QUESTIONS), &mut |place, outcome| {
            if !outcome.unwrap().cached {
                let mut out = std::io::stdout().lock();
                writeln!(out, "TOLD {place}").unwrap();
                out.flush().unwrap();
            }
            Ok(())
        })
        .unwrap();
}

fn start(server: &Server, path: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "teacher::kill::program", "--ignored", "--nocapture"])
        .env(ADDRESS, server.base_url())
        .env(FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn no_answer_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let server = Server::start(|seen| {
        let reply = Act::reply(&format!("re: {}", seen.question()));
        Act::After(Duration::from_millis(15), Box::new(reply))
    });
    let mut told = BTreeSet::new();
    for kill in KILLS {
        let mut child = start(&server, &path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The name of the test stands before the first of them.
        let number =
            |line: &str| line.split_once("TOLD ").map(|(_, place)| place.parse::<usize>().unwrap());
        let before = told.len();
        while told.len() < before + kill {
            let line = lines.next().expect("it was killed before its end").unwrap();
            told.extend(number(&line));
        }
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        // What it still said before it died.
        for line in lines.map_while(Result::ok) {
            told.extend(number(&line));
        }
        if !told.is_empty() {
            let recorded = Recorded::open(&path).unwrap();
            let outcomes = ask(&recorded, &requests(QUESTIONS)).unwrap();
            for &place in &told {
                assert_eq!(outcomes[place].as_ref().unwrap().text, format!("re: q{place}"));
            }
        }
    }
    assert!(told.len() >= KILLS.iter().sum() && told.len() < QUESTIONS, "{}", told.len());
    // To the end: nobody asks for what was told.
    let before = server.count();
    let cached = client(&server.base_url(), &path);
    let kept = cached.len();
    assert!(kept >= told.len());
    assert!(ask(&cached, &requests(QUESTIONS)).unwrap().iter().all(Result::is_ok));
    assert_eq!(server.count(), before + QUESTIONS - kept);
    // An interruption costs what was under way, or answered and not yet written.
    let most = QUESTIONS + KILLS.len() * (CONCURRENCY + 1);
    assert!(server.count() <= most, "{} > {most}", server.count());
}
