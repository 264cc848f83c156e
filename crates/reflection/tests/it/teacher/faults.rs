//! Every way in which a server can fail a request ends in a typed outcome.

use std::env;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use tamis_artifact::ParameterError;
use tamis_reflection::teacher::Finish;
use tamis_reflection::teacher::{LengthField, OpenAiParams};
use tamis_reflection::{ChatRequest, NoReply, ReflectionError, Reply, Teacher, Usage};

use super::server::{Act, Server, completion};
use super::{Deed, against, ask, ask_one, ok, params, request, requests, stops, teacher};

#[test]
fn a_reply_comes_with_everything() {
    let server = Server::echo();
    let reply = ask_one(&teacher(&server), "höw?").unwrap();
    let usage = Usage { prompt_tokens: 10, completion_tokens: 5 };
    let expected =
        Reply { text: "re: höw?".to_owned(), finish: Finish::Stop, usage, cached: false };
    assert_eq!(reply, expected);
    let seen = &server.seen()[0];
    assert!(seen.head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{}", seen.head);
    assert!(!seen.head.to_lowercase().contains("authorization"));
    let body = json!({
        "model": "small",
        "messages": [{"role": "user", "content": "höw?"}],
        "max_tokens": 64,
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 1,
        "stream": false,
    });
    assert_eq!(seen.body, body);
}

#[test]
fn fields_can_be_added_renamed_and_left_out() {
    let server = Server::echo();
    let extra = json!({"seed": null, "temperature": null, "reasoning_effort": "low"});
    let teacher = OpenAiParams {
        length_field: LengthField::MaxCompletionTokens,
        extra: extra.as_object().unwrap().clone(),
        ..params(&server)
    }
    .check()
    .unwrap();
    ask_one(&teacher, "q").unwrap();
    let mut names: Vec<String> =
        server.seen()[0].body.as_object().unwrap().keys().cloned().collect();
    names.sort();
    let expected =
        ["max_completion_tokens", "messages", "model", "reasoning_effort", "stream", "top_p"];
    assert_eq!(names, expected);
}

#[test]
fn many_requests_all_have_their_own_reply() {
    let server = Server::start(|seen| match seen.number % 3 {
        0 => Act::error(503, "busy", "x"),
        _ => Act::reply(&format!("re: {}", seen.question())),
    });
    let teacher = OpenAiParams { attempts: 12, ..params(&server) }.check().unwrap();
    let outcomes = ask(&teacher, &requests(60)).unwrap();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome.unwrap().text, format!("re: q{number}"));
    }
    assert!(server.count() >= 90, "{}", server.count());
    ask(&teacher, &[]).unwrap();
}

#[test]
fn too_many_requests_is_waited_out() {
    let began = Instant::now();
    let (outcome, count) = against(vec![|| Act::busy(429, "Retry-After: 1\r\n"), ok]);
    assert_eq!((outcome.unwrap().text.as_str(), count), ("fine", 2));
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_date_to_come_back_at_is_kept_by_the_servers_clock() {
    // The server's clock is years behind; what counts is the second between its two dates.
    let headers =
        "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:28:01 GMT\r\n";
    let server = Server::start(move |seen| match seen.number {
        0 => Act::busy(503, headers),
        _ => ok(),
    });
    ask_one(&teacher(&server), "q").unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(990));

    // Without its clock ours has to do; a date that has passed does not hold anybody up.
    let past = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(3600));
    let server = Server::start(move |seen| match seen.number {
        0 => Act::busy(429, &format!("Retry-After: {past}\r\n")),
        _ => ok(),
    });
    let began = Instant::now();
    ask_one(&teacher(&server), "q").unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn all_requests_rest_when_one_is_told_to() {
    let server = Server::start(|seen| match seen.number {
        0 => Act::busy(429, "Retry-After: 1\r\n"),
        _ => ok(),
    });
    let teacher = OpenAiParams { concurrency: 1, ..params(&server) }.check().unwrap();
    ask_one(&teacher, "warm up").unwrap();
    assert_eq!(server.count(), 2);

    // Whatever was not yet sent when the answer came waits as well.
    let server = Server::start(|seen| match seen.number {
        0 => Act::busy(429, "Retry-After: 1\r\n"),
        _ => Act::After(Duration::from_millis(100), Box::new(ok())),
    });
    let teacher = OpenAiParams { concurrency: 2, ..params(&server) }.check().unwrap();
    ask(&teacher, &requests(6)).unwrap();
    let seen = server.seen();
    let early =
        |seen: &&super::server::Seen| seen.at - server.seen()[0].at < Duration::from_millis(950);
    // The first, the one that was under way with it, and at most the one that followed that before
    // the answer was read.
    assert!(seen.iter().filter(early).count() <= 3, "{seen:?}");
}

#[test]
fn too_many_requests_for_ever() {
    let (outcome, count) = against(vec![|| Act::busy(429, "")]);
    let reason = "slow down".to_owned();
    assert_eq!(outcome, Err(NoReply::RateLimited { reason, attempts: 3 }));
    assert_eq!(count, 3);
}

#[test]
fn failures_of_the_server_pass_or_stay() {
    let (outcome, count) =
        against(vec![|| Act::error(500, "oh", "x"), || Act::error(502, "oh", "x"), ok]);
    assert_eq!((outcome.unwrap().text.as_str(), count), ("fine", 3));

    for status in [408, 409, 425, 500, 502, 503, 504, 529] {
        let server = Server::start(move |_| Act::error(status, "no\n  luck", "x"));
        let outcome = ask_one(&teacher(&server), "q");
        let reason = "no luck".to_owned();
        assert_eq!(outcome, Err(NoReply::Server { status, reason, attempts: 3 }));
        assert_eq!(server.count(), 3);
    }
}

#[test]
fn silence_ends_in_a_timeout() {
    let quick = Duration::from_millis(300);
    for act in [
        || Act::Stall(Duration::from_secs(2)),
        || {
            Act::StallInside(
                completion(&json!({"content": "half"}), &json!("stop")).to_string().into_bytes(),
                Duration::from_secs(2),
            )
        },
    ] {
        let server = Server::script(vec![act]);
        let teacher =
            OpenAiParams { timeout: quick, attempts: 2, ..params(&server) }.check().unwrap();
        let began = Instant::now();
        let outcome = ask_one(&teacher, "q");
        assert_eq!(outcome, Err(NoReply::Timeout { seconds: 1, attempts: 2 }));
        // Fewer if the machine is so busy that a request was not even sent in time.
        assert!(server.count() <= 2);
        assert!(began.elapsed() >= 2 * quick);
    }
}

#[test]
fn a_slow_answer_in_time_is_an_answer() {
    let (outcome, count) = against(vec![|| Act::After(Duration::from_millis(200), Box::new(ok()))]);
    assert_eq!((outcome.unwrap().text.as_str(), count), ("fine", 1));
}

#[test]
fn closed_connections_are_tried_again() {
    fn inside() -> Act {
        Act::CloseInside(
            completion(&json!({"content": "cut"}), &json!("stop")).to_string().into_bytes(),
            20,
        )
    }
    let (outcome, count) = against(vec![|| Act::Close, inside, ok]);
    assert_eq!((outcome.unwrap().text.as_str(), count), ("fine", 3));
    for act in [|| Act::Close, inside as fn() -> Act] {
        let (outcome, count) = against(vec![act]);
        assert!(matches!(outcome, Err(NoReply::Disconnected { attempts: 3, .. })), "{outcome:?}");
        assert_eq!(count, 3);
    }
}

#[test]
fn what_concerns_every_request_stops_at_once() {
    let cases: [(Deed, &str); 9] = [
        (|| Act::error(401, "Incorrect API key", "invalid_api_key"), "no key was sent"),
        (|| Act::error(403, "Country not supported", "x"), "refuses access with status 403"),
        (|| Act::error(402, "Insufficient credits", "x"), "top up the account"),
        (|| Act::error(429, "You exceeded your quota", "insufficient_quota"), "top up"),
        (|| Act::error(404, "model \"small\" not found, try pulling it", "x"), "the model `small`"),
        (|| Act::error(400, "small is not a valid model ID", ""), "the model `small`"),
        (|| Act::error(404, "Not Found", "x"), "check the base URL"),
        (
            || Act::Respond(405, String::new(), "text/html", b"<html>".to_vec()),
            "check the base URL",
        ),
        (
            || {
                Act::Respond(
                    302,
                    "Location: http://127.0.0.1:1/\r\n".to_owned(),
                    "text/html",
                    vec![],
                )
            },
            "check the base URL",
        ),
    ];
    for (act, words) in cases {
        let (error, count) = stops(vec![act]);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(count, 1, "{error}");
    }
    let server = Server::start(|_| {
        let error =
            json!({"message": "no", "code": "unsupported_parameter", "param": "max_tokens"});
        let body = json!({"error": error}).to_string().into_bytes();
        Act::Respond(400, String::new(), "application/json", body)
    });
    let error = ask(&teacher(&server), &[request("q")]).unwrap_err();
    assert!(matches!(&error, ReflectionError::Setting { setting, .. } if setting == "max_tokens"));
}

#[test]
fn what_was_under_way_is_still_told() {
    let server = Server::start(|seen| match seen.question().as_str() {
        "q0" => Act::After(Duration::from_secs(1), Box::new(ok())),
        "q1" => Act::After(Duration::from_millis(100), Box::new(Act::error(401, "no", ""))),
        _ => panic!("nothing new is asked"),
    });
    let teacher = OpenAiParams { concurrency: 2, ..params(&server) }.check().unwrap();
    let mut told = Vec::new();
    let result = teacher.ask(&requests(20), &mut |place, outcome| {
        told.push((place, outcome.is_ok()));
        Ok(())
    });
    assert!(matches!(result, Err(ReflectionError::Access { status: 401, .. })));
    assert_eq!(told, [(0, true)]);
    assert_eq!(server.count(), 2);
}

#[test]
fn a_server_that_is_not_there_stops_with_its_address() {
    // A port that was just free.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::echo();
    let base_url = format!("http://{free}/v1");
    let teacher = OpenAiParams { base_url: base_url.clone(), ..params(&server) }.check().unwrap();
    let error = ask(&teacher, &requests(5)).unwrap_err();
    match &error {
        ReflectionError::Unreachable { address, attempts: 3, .. } => assert_eq!(*address, base_url),
        other => panic!("{other}"),
    }
    // One that does not speak TLS will not learn to.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let base_url = format!("https://{plain}/v1");
    let teacher = OpenAiParams { base_url, ..params(&server) }.check().unwrap();
    let error = ask(&teacher, &[request("q")]).unwrap_err();
    assert!(matches!(error, ReflectionError::Unreachable { attempts: 1, .. }), "{error}");
}

#[test]
#[ignore = "a child process; `an_unknown_host_stops_with_its_address` starts it"]
fn ask_an_unknown_host() {
    let server = Server::echo();
    let base_url = "http://x.invalid/v1".to_owned();
    let teacher = OpenAiParams { base_url, attempts: 2, ..params(&server) }.check().unwrap();
    match ask(&teacher, &requests(3)).unwrap_err() {
        ReflectionError::Unreachable { address, attempts: 2, .. } => println!("RESULT {address}"),
        other => panic!("{other}"),
    }
}

#[test]
fn an_unknown_host_stops_with_its_address() {
    // In a process of its own, which no proxy can help out.
    let proxies = ["http_proxy", "https_proxy", "all_proxy"];
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "teacher::faults::ask_an_unknown_host", "--ignored", "--nocapture"]);
    for name in proxies {
        child.env_remove(name).env_remove(name.to_uppercase());
    }
    let output = child.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("RESULT http://x.invalid/v1"), "{printed}");
}

#[test]
fn settings_are_checked() {
    let server = Server::echo();
    let name = |params: OpenAiParams| match params.check() {
        Err(ReflectionError::Parameter(ParameterError { name, .. })) => name,
        other => panic!("{other:?}"),
    };
    let good = || params(&server);
    assert_eq!(name(OpenAiParams { model: " ".to_owned(), ..good() }), "model");
    assert_eq!(name(OpenAiParams { label: Some(String::new()), ..good() }), "label");
    assert_eq!(name(OpenAiParams { base_url: "nowhere".to_owned(), ..good() }), "base_url");
    assert_eq!(name(OpenAiParams { concurrency: 0, ..good() }), "concurrency");
    assert_eq!(name(OpenAiParams { concurrency: 5000, ..good() }), "concurrency");
    assert_eq!(name(OpenAiParams { attempts: 0, ..good() }), "attempts");
    assert_eq!(name(OpenAiParams { failures: 0, ..good() }), "failures");
    assert_eq!(name(OpenAiParams { reply_bytes: 0, ..good() }), "reply_bytes");
    assert_eq!(name(OpenAiParams { timeout: Duration::ZERO, ..good() }), "timeout");
    assert_eq!(name(OpenAiParams { longest_wait: Duration::MAX, ..good() }), "longest_wait");
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let params = OpenAiParams { requests_per_minute: Some(rate), ..good() };
        assert_eq!(name(params), "requests_per_minute");
    }
    let extra = json!({"stream": true}).as_object().unwrap().clone();
    assert_eq!(name(OpenAiParams { extra, ..good() }), "extra");

    let teacher = teacher(&server);
    for (bad, expected) in [
        (ChatRequest { temperature: f64::NAN, ..request("q") }, "temperature"),
        (ChatRequest { top_p: 0.0, ..request("q") }, "top_p"),
        (ChatRequest { max_tokens: 0, ..request("q") }, "max_tokens"),
        (ChatRequest { messages: vec![], ..request("q") }, "messages"),
    ] {
        match ask(&teacher, &[request("fine"), bad]) {
            Err(ReflectionError::Parameter(ParameterError { name, .. })) => {
                assert_eq!(name, expected);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.count(), 0);
}
