//! A tiny random model as a teacher: what it says makes no sense, but is what the model says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tamis_dataset::TextTokenizer;
use tamis_model::{DType, GenerateParams, LoadOptions, NoTap, load};
use tamis_reflection::teacher::Finish;
use tamis_reflection::teacher::{Cached, LocalParams, LocalTeacher};
use tamis_reflection::{ChatRequest, NoReply, ReflectionError, Reply, Teacher};
use tempfile::TempDir;

use super::{ask, ask_one, request};

const TEMPLATE: &str = "{% for m in messages %}{{ m.role[0] + ':' + m.content + '\\n' }}{% endfor %}\
                        {% if add_generation_prompt %}{{ 'a:' }}{% endif %}";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/llama")
}

/// The fixture with a chat template.
fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    for entry in fs::read_dir(fixture()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    fs::write(dir.path().join("chat_template.jinja"), TEMPLATE).unwrap();
    dir
}

fn teacher(dir: &TempDir) -> LocalTeacher {
    LocalParams::new(dir.path()).load().unwrap()
}

fn many() -> Vec<ChatRequest> {
    let question = |n: usize| ChatRequest {
        max_tokens: 12,
        temperature: [0.0, 0.7][n % 2],
        top_p: 0.95,
        ..request(&"why? ".repeat(1 + n % 5))
    };
    let mut all: Vec<ChatRequest> = (0..10).map(question).collect();
    for (n, request) in all.iter_mut().enumerate() {
        request.seed = Some(n as u64);
    }
    all
}

fn text(outcome: &Result<Reply, NoReply>) -> String {
    outcome.as_ref().unwrap().text.clone()
}

#[test]
fn says_what_the_model_says() {
    let dir = folder();
    let request = ChatRequest { max_tokens: 10, ..request("hm?") };
    let outcome = &ask(&teacher(&dir), &[request]).unwrap()[0];
    // By hand.
    let tokenizer = TextTokenizer::from_dir(dir.path()).unwrap();
    let prompt = tokenizer.ids("u:hm?\na:", false).unwrap();
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.path().join("generation_config.json")).unwrap())
            .unwrap();
    let params = GenerateParams {
        max_new_tokens: 10,
        stop: vec![config["eos_token_id"].as_u64().unwrap() as u32],
        ..GenerateParams::default()
    };
    let model = load(dir.path(), &LoadOptions::default()).unwrap();
    let generated = params
        .check()
        .unwrap()
        .generate(&*model, std::slice::from_ref(&prompt), &mut NoTap, &mut |_| {})
        .unwrap()
        .remove(0);
    let reply = outcome.as_ref().unwrap();
    assert_eq!(reply.text, tokenizer.decode(&generated.ids).unwrap());
    assert_eq!(reply.usage.prompt_tokens, prompt.len() as u64);
    assert_eq!(reply.usage.completion_tokens, generated.ids.len() as u64);
    let stopped = generated.finish == tamis_model::Finish::Stop;
    assert_eq!(reply.finish, if stopped { Finish::Stop } else { Finish::Length });
}

#[test]
fn a_reply_depends_on_its_request_only() {
    let dir = folder();
    let small = LocalParams { token_budget: 60, ..LocalParams::new(dir.path()) }.load().unwrap();
    let large = teacher(&dir);
    assert_eq!(small.identity(), large.identity());
    let requests = many();
    let together = ask(&large, &requests).unwrap();
    let mut reversed = requests.clone();
    reversed.reverse();
    let mut turned = ask(&small, &reversed).unwrap();
    turned.reverse();
    for (place, request) in requests.iter().enumerate() {
        let alone = ask(&small, std::slice::from_ref(request)).unwrap();
        assert_eq!(text(&together[place]), text(&alone[0]));
        assert_eq!(text(&together[place]), text(&turned[place]));
    }
    // Other seeds draw other texts.
    let drawn = |seed| ChatRequest { seed: Some(seed), ..requests[1].clone() };
    let seeds: Vec<ChatRequest> = (0..6).map(drawn).collect();
    let texts: BTreeSet<String> = ask(&large, &seeds).unwrap().iter().map(text).collect();
    assert!(texts.len() >= 5, "{texts:?}");
}

#[test]
fn batches_are_told_one_by_one() {
    let dir = folder();
    let teacher = LocalParams { token_budget: 1, ..LocalParams::new(dir.path()) }.load().unwrap();
    let mut told = 0;
    let result = teacher.ask(&many(), &mut |_, _| {
        told += 1;
        if told == 3 { Err(ReflectionError::Student("stop".into())) } else { Ok(()) }
    });
    assert!(matches!(result, Err(ReflectionError::Student(_))));
    assert_eq!(told, 3);
}

#[test]
fn lengths_end_in_typed_outcomes() {
    let dir = folder();
    let teacher = teacher(&dir);
    // 128 positions.
    let long = ask_one(&teacher, &"much too long ".repeat(40));
    assert!(matches!(long, Err(NoReply::PromptTooLong { .. })), "{long:?}");
    let tight = ChatRequest { max_tokens: 100_000, ..request("and now?") };
    let reply = ask(&teacher, &[tight]).unwrap().remove(0).unwrap();
    let all = reply.usage.prompt_tokens + reply.usage.completion_tokens;
    assert!(all <= 128 && (reply.finish == Finish::Stop || all == 128), "{reply:?}");
    let short = ChatRequest { max_tokens: 1, ..request("and now?") };
    match ask(&teacher, &[short]).unwrap().remove(0) {
        Ok(reply) => assert_eq!(reply.finish, Finish::Length),
        Err(NoReply::Empty { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_letter_can_end_a_reply() {
    let dir = folder();
    let first = text(&ask(&teacher(&dir), &[many()[0].clone()]).unwrap()[0]);
    let tokenizer = TextTokenizer::from_dir(dir.path()).unwrap();
    let ids = tokenizer.ids(&first, false).unwrap();
    let stop: Vec<String> = (b'!'..=b'~').map(|byte| char::from(byte).to_string()).collect();
    let stop: Vec<String> =
        stop.into_iter().filter(|token| tokenizer.token_id(token).is_some()).collect();
    let params = LocalParams { stop, ..LocalParams::new(dir.path()) };
    let teacher = params.load().unwrap();
    let outcome = ask(&teacher, &[many()[0].clone()]).unwrap().remove(0);
    let length = match outcome {
        Ok(reply) => reply.usage.completion_tokens,
        Err(none) => none.usage().completion_tokens,
    };
    assert!(length <= ids.len() as u64);
    assert!(first.chars().any(|letter| letter.is_ascii_graphic()), "{first:?}");
    assert!(length < 12, "a letter ended it");
}

#[test]
fn folders_and_requests_that_cannot_serve_are_refused() {
    let refusal = |params: LocalParams| match params.load() {
        Err(error) => error.to_string(),
        Ok(teacher) => panic!("{teacher:?}"),
    };
    let dir = folder();
    fs::remove_file(dir.path().join("chat_template.jinja")).unwrap();
    fs::write(dir.path().join("tokenizer_config.json"), "{}").unwrap();
    assert!(refusal(LocalParams::new(dir.path())).contains("no chat template"));
    let dir = folder();
    let params = || LocalParams::new(dir.path());
    assert!(refusal(LocalParams { token_budget: 0, ..params() }).contains("token_budget"));
    let stop = vec!["<|nothing|>".to_owned()];
    assert!(refusal(LocalParams { stop, ..params() }).contains("<|nothing|>"));
    assert!(refusal(LocalParams::new(dir.path().join("nowhere"))).contains("nowhere"));
    fs::write(dir.path().join("generation_config.json"), r#"{"eos_token_id": "x"}"#).unwrap();
    assert!(refusal(params()).contains("`eos_token_id` is \"x\""));
    fs::write(dir.path().join("generation_config.json"), r#"{"eos_token_id": [1, 2]}"#).unwrap();
    let teacher = params().load().unwrap();
    let mut request = request("q");
    request.messages.push(tamis_dataset::Message::new("assistant", "so"));
    let error = ask(&teacher, &[request]).unwrap_err().to_string();
    assert!(error.contains("last turn of the assistant"), "{error}");
}

#[test]
fn what_decides_replies_is_in_the_identity() {
    let dir = folder();
    let identity = |params: LocalParams| params.load().unwrap().identity();
    let params = || LocalParams::new(dir.path());
    let base = identity(params());
    assert_eq!(base, identity(LocalParams { token_budget: 99, ..params() }));
    let load = LoadOptions { kind: DType::F64, ..LoadOptions::default() };
    assert_ne!(base, identity(LocalParams { load, ..params() }));
    let stop = vec!["a".to_owned()];
    assert_ne!(base, identity(LocalParams { stop, ..params() }));
    fs::write(dir.path().join("chat_template.jinja"), "{{ messages[0].content }}").unwrap();
    assert_ne!(base, identity(params()));
}

#[test]
fn its_answers_are_kept_as_well() {
    let dir = folder();
    let path = dir.path().join("answers.jsonl");
    let first = ask(&Cached::open(teacher(&dir), &path, None).unwrap(), &many()).unwrap();
    let cached = Cached::open(teacher(&dir), &path, None).unwrap();
    let second = ask(&cached, &many()).unwrap();
    assert_eq!(cached.spent().asked, 0);
    assert_eq!(
        first.iter().map(text).collect::<Vec<_>>(),
        second.iter().map(text).collect::<Vec<_>>()
    );
}
