//! What a server says to all, in one way or another, is not asked of it again for every request.

use serde_json::{Value, json};
use tamis_reflection::teacher::{Cached, OpenAiParams, OpenAiTeacher};
use tamis_reflection::{NoReply, ReflectionError, Teacher};

use super::server::{Act, Server, completion};
use super::{ask, ask_one, ok, params, request, requests, stops};

/// Asks one after another.
fn patient(server: &Server, failures: u32) -> OpenAiTeacher {
    OpenAiParams { concurrency: 1, failures, ..params(server) }.check().unwrap()
}

#[test]
fn too_much_patience_is_not_had() {
    for (act, seconds) in [
        ((|| Act::busy(429, "Retry-After: 3600\r\n")) as fn() -> Act, 3600),
        (|| Act::busy(503, "Retry-After: 99999999999999999999999\r\n"), u64::MAX),
    ] {
        let (error, count) = stops(vec![act]);
        let ReflectionError::ComeBackLater { seconds: found, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((*found, count), (seconds, 1));
        assert!(error.to_string().contains("slow down"), "{error}");
    }
}

/// A daily quota that is used up: one request learns of it, for all.
#[test]
fn a_used_up_quota_ends_the_asking_and_what_was_answered_stays() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|seen| match seen.number {
        0..5 => ok(),
        _ => Act::busy(429, "Retry-After: 40000\r\n"),
    });
    let cached =
        Cached::open(patient(&server, 20), folder.path().join("answers.jsonl"), None).unwrap();
    let error = ask(&cached, &requests(100)).unwrap_err();
    assert!(matches!(error, ReflectionError::ComeBackLater { seconds: 40_000, .. }), "{error}");
    assert_eq!((cached.len(), server.count()), (5, 6));
}

fn complaint(body: &Value) -> Act {
    Act::Respond(400, String::new(), "application/json", body.to_string().into_bytes())
}

#[test]
fn a_setting_that_is_refused_is_refused_for_all() {
    let about =
        |param: &str| json!({"error": {"message": "no", "code": "invalid_value", "param": param}});
    let located = |place: Value| json!({"detail": [{"loc": place, "msg": "no"}]});
    let refused = |body: Value| {
        let server = Server::start(move |_| complaint(&body));
        let extra = json!({"stop": ["x"]}).as_object().unwrap().clone();
        let teacher = OpenAiParams { concurrency: 1, extra, ..params(&server) }.check().unwrap();
        (ask(&teacher, &requests(9)), server.count())
    };
    for (body, name) in [
        (about("max_tokens"), "max_tokens"),
        (about("temperature"), "temperature"),
        (about("top_p"), "top_p"),
        (about("seed"), "seed"),
        (about("stop[0]"), "stop[0]"),
        (located(json!(["body", "temperature"])), "temperature"),
    ] {
        let (outcome, count) = refused(body);
        let error = outcome.unwrap_err();
        let ReflectionError::Setting { setting, .. } = &error else { panic!("{error}") };
        assert_eq!((setting.as_str(), count), (name, 1));
    }
    let (outcome, count) = refused(about("model"));
    assert!(matches!(outcome, Err(ReflectionError::NoModel { .. })) && count == 1);
    // What is about the text is the request's own.
    for body in [
        about("messages"),
        about("messages[1].content"),
        about(""),
        located(json!(["body", "messages", 0])),
    ] {
        let (outcome, count) = refused(body);
        let all = outcome.unwrap();
        assert!(all.iter().all(|one| matches!(one, Err(NoReply::Refused { status: 400, .. }))));
        assert_eq!(count, 9);
    }
}

#[test]
fn a_server_that_answers_nobody_is_left_alone() {
    let server = Server::start(|_| Act::error(400, "strange roles", ""));
    let teacher = patient(&server, 7);
    let mut told = 0;
    let result = teacher.ask(&requests(50), &mut |_, _| {
        told += 1;
        Ok(())
    });
    let error = result.unwrap_err();
    let ReflectionError::NoReplies { address, count: 7, last } = &error else { panic!("{error}") };
    assert_eq!(*address, server.base_url());
    let reason = "strange roles".to_owned();
    assert_eq!(*last, NoReply::Refused { status: 400, reason, attempts: 1 });
    assert!(error.to_string().contains("7 requests in a row"), "{error}");
    // And perhaps one that was sent while the seventh was told of.
    assert_eq!(told, server.count());
    assert!((7..=8).contains(&told), "{told}");
    // Whoever asks again has seen to it.
    assert!(ask_one(&teacher, "q").is_err());

    // Over several calls, too.
    let teacher = patient(&server, 3);
    assert!(ask(&teacher, &requests(2)).is_ok());
    assert!(matches!(ask(&teacher, &[request("q")]), Err(ReflectionError::NoReplies { .. })));
}

#[test]
fn failures_between_replies_are_no_reason_to_stop() {
    let server = Server::start(|seen| match seen.number % 3 {
        2 => ok(),
        _ => Act::error(400, "no", ""),
    });
    assert_eq!(ask(&patient(&server, 3), &requests(30)).unwrap().len(), 30);
    // Texts that are too long or are filtered say nothing of other texts.
    let server = Server::start(|seen| match seen.number % 2 {
        0 => Act::error(400, "too long", "context_length_exceeded"),
        _ => Act::json(&completion(&json!({"content": "half of"}), &json!("content_filter"))),
    });
    assert_eq!(ask(&patient(&server, 3), &requests(30)).unwrap().len(), 30);
}
