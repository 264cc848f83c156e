//! Whatever stands in an answer, it is a reply or a typed reason why there is none.

use serde_json::{Value, json};
use tamis_reflection::teacher::Finish;
use tamis_reflection::teacher::OpenAiParams;
use tamis_reflection::{NoReply, ReflectionError, Usage};

use super::server::{Act, Server, completion};
use super::{Deed, against, ask, ask_one, ok, params, requests, stops, teacher};

#[test]
fn what_is_no_completion_is_malformed() {
    fn cut() -> Act {
        let body = completion(&json!({"content": "cut"}), &json!("stop")).to_string();
        Act::Respond(200, String::new(), "application/json", body.as_bytes()[..40].to_vec())
    }
    fn html() -> Act {
        let page = b"<html><body>Sign in</body></html>".to_vec();
        Act::Respond(200, String::new(), "text/html; charset=utf-8", page)
    }
    fn html_in_disguise() -> Act {
        let page = b"<html><body>Sign in</body></html>".to_vec();
        Act::Respond(200, String::new(), "application/json", page)
    }
    fn broken_letters() -> Act {
        let body = br#"{"choices":[{"message":{"content":"\ud800"},"finish_reason":"stop"}]}"#;
        Act::Respond(200, String::new(), "application/json", body.to_vec())
    }
    let cases: [(Deed, &str); 9] = [
        (cut, "not a chat completion"),
        (html, "text/html"),
        (html_in_disguise, "not a chat completion"),
        (broken_letters, "not a chat completion"),
        (|| Act::json(&json!({})), "`choices`"),
        (|| Act::json(&json!([])), "not a chat completion"),
        (|| Act::json(&json!({"choices": []})), "`choices` is empty"),
        (|| Act::json(&json!({"choices": [{}]})), "`choices[0].message`"),
        (|| Act::json(&json!({"choices": [{"message": {"content": 7}}]})), "not a chat completion"),
    ];
    for (act, words) in cases {
        let (outcome, count) = against(vec![act]);
        match outcome {
            Err(NoReply::Malformed { reason, attempts: 3 }) if reason.contains(words) => {}
            other => panic!("{other:?} instead of {words}"),
        }
        assert_eq!(count, 3);
        let (outcome, count) = against(vec![act, ok]);
        assert_eq!((outcome.unwrap().text.as_str(), count), ("fine", 2));
    }
}

#[test]
fn how_a_reply_ended_is_passed_on() {
    let finish = |word: Value| {
        let server =
            Server::start(move |_| Act::json(&completion(&json!({"content": "x"}), &word)));
        ask_one(&teacher(&server), "q").unwrap().finish
    };
    assert_eq!(finish(json!("stop")), Finish::Stop);
    assert_eq!(finish(json!("length")), Finish::Length);
    assert_eq!(finish(json!("tool_calls")), Finish::Other("tool_calls".to_owned()));
    assert_eq!(finish(Value::Null), Finish::Other("not said".to_owned()));
}

#[test]
fn pieces_and_missing_counts_are_understood() {
    let (outcome, _) = against(vec![|| {
        let pieces = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        Act::json(&completion(&json!({"content": pieces}), &json!("stop")))
    }]);
    assert_eq!(outcome.unwrap().text, "ab");
    let (outcome, _) = against(vec![|| {
        Act::json(&json!({"choices": [{"message": {"content": " a\n"}, "finish_reason": "stop"}]}))
    }]);
    let reply = outcome.unwrap();
    assert_eq!((reply.text.as_str(), reply.usage), (" a\n", Usage::default()));
}

#[test]
fn no_reply_is_lost_over_its_counts() {
    for (usage, expected) in [
        (json!({"prompt_tokens": 10.0, "completion_tokens": 5.0}), (10, 5)),
        (json!({"prompt_tokens": "10", "completion_tokens": -5}), (10, 0)),
        (json!({"prompt_tokens": {"text": 10}, "completion_tokens": 5}), (0, 5)),
        (json!({"prompt_tokens": 1e30}), (u64::MAX, 0)),
        (json!("n/a"), (0, 0)),
        (json!([10, 5]), (0, 0)),
        (json!(15), (0, 0)),
    ] {
        let server = Server::start(move |_| {
            let mut body = completion(&json!({"content": "paid for"}), &json!("stop"));
            body["usage"] = usage.clone();
            Act::json(&body)
        });
        let reply = ask_one(&teacher(&server), "q").unwrap();
        let (prompt_tokens, completion_tokens) = expected;
        assert_eq!(reply.usage, Usage { prompt_tokens, completion_tokens });
        assert_eq!((reply.text.as_str(), server.count()), ("paid for", 1));
    }
}

#[test]
fn nothing_is_no_reply() {
    let usage = Usage { prompt_tokens: 10, completion_tokens: 5 };
    for content in [json!(""), Value::Null, json!(" \n\t"), json!([])] {
        for (word, finish) in [("stop", Finish::Stop), ("length", Finish::Length)] {
            let content = content.clone();
            let server = Server::start(move |_| {
                Act::json(&completion(&json!({"content": content}), &json!(word)))
            });
            let outcome = ask_one(&teacher(&server), "q");
            assert_eq!(outcome, Err(NoReply::Empty { finish, usage, attempts: 1 }));
            assert_eq!(server.count(), 1);
        }
    }
}

#[test]
fn what_is_kept_back_is_no_reply() {
    let cases: [fn() -> Act; 5] = [
        || Act::json(&completion(&json!({"content": "half of"}), &json!("content_filter"))),
        || Act::json(&completion(&json!({"content": null, "refusal": "I can't"}), &json!("stop"))),
        || Act::error(400, "The response was filtered", "content_filter"),
        || Act::error(403, "Your input requires moderation", "x"),
        || Act::error(400, "violates our policy", "content_policy_violation"),
    ];
    for act in cases {
        let (outcome, count) = against(vec![act]);
        assert!(matches!(outcome, Err(NoReply::Filtered { attempts: 1, .. })), "{outcome:?}");
        assert_eq!(count, 1);
    }
}

#[test]
fn prompts_that_are_too_long_are_named_so() {
    let cases: [fn() -> Act; 4] = [
        || {
            Act::error(
                400,
                "This model's maximum context length is 4096 tokens",
                "context_length_exceeded",
            )
        },
        || Act::error(400, "Requested tokens (5000) exceed context window of 2048", ""),
        || {
            Act::error(
                400,
                "the request exceeds the available context size",
                "exceed_context_size_error",
            )
        },
        || Act::error(413, "Payload too large", ""),
    ];
    for act in cases {
        let (outcome, count) = against(vec![act]);
        assert!(matches!(outcome, Err(NoReply::PromptTooLong { .. })), "{outcome:?}");
        assert_eq!(count, 1);
    }
}

#[test]
fn a_refusal_of_one_request_is_its_own() {
    let server = Server::start(|seen| match seen.question().as_str() {
        "q1" => Act::error(400, "strange roles", "invalid_request_error"),
        _ => ok(),
    });
    let outcomes = ask(&teacher(&server), &requests(3)).unwrap();
    let reason = "strange roles".to_owned();
    assert_eq!(outcomes[1], Err(NoReply::Refused { status: 400, reason, attempts: 1 }));
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert_eq!(server.count(), 3);
}

#[test]
fn large_replies_are_taken_up_to_the_limit() {
    const TEN_MB: usize = 10_000_000;
    let server = Server::start(|_| Act::reply(&"x".repeat(TEN_MB)));
    let reply = ask_one(&teacher(&server), "q").unwrap();
    assert_eq!(reply.text.len(), TEN_MB);

    let limit = 4_000_000;
    let teacher = OpenAiParams { reply_bytes: limit, ..params(&server) }.check().unwrap();
    let outcome = ask_one(&teacher, "q");
    assert_eq!(outcome, Err(NoReply::TooLarge { limit, attempts: 1 }));
    assert_eq!(server.count(), 2);
}

#[test]
fn long_complaints_are_cut_and_strange_ones_shown() {
    let server = Server::start(|_| Act::error(500, &"é ".repeat(100_000), "x"));
    match ask_one(&teacher(&server), "q") {
        Err(NoReply::Server { reason, .. }) => {
            assert!(reason.len() < 1000 && reason.contains("é é"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    let shown = |body: &'static str| {
        let server = Server::start(move |_| {
            Act::Respond(500, String::new(), "text/plain", body.as_bytes().to_vec())
        });
        match ask_one(&teacher(&server), "q") {
            Err(NoReply::Server { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(shown("out of memory"), "out of memory");
    assert_eq!(shown(""), "no reason given");
    assert_eq!(shown(r#"{"error": "no slot"}"#), "no slot");
    assert_eq!(shown(r#"{"detail": "busy"}"#), "busy");
    assert_eq!(shown(r#"{"object": "error", "message": "bad"}"#), "bad");
    assert_eq!(shown(r#"{"error": {"a": 1}}"#), r#"{"error":{"a":1}}"#);
}

#[test]
fn errors_inside_a_success_are_errors() {
    let (outcome, count) = against(vec![
        || Act::json(&json!({"error": {"message": "upstream is away", "code": 502}})),
        ok,
    ]);
    assert_eq!((outcome.unwrap().text.as_str(), count), ("fine", 2));
    let (error, _) = stops(vec![|| Act::json(&json!({"error": {"message": "pay", "code": 402}}))]);
    assert!(matches!(error, ReflectionError::Credit { status: 402, .. }), "{error}");
}
