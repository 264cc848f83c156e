//! Concurrency and rate stay within their bounds, and a caller's error stops the asking.

use std::time::Duration;

use tamis_reflection::teacher::OpenAiParams;
use tamis_reflection::{ReflectionError, Teacher};

use super::server::{Act, Server};
use super::{ask, params, request, requests, teacher};

#[test]
fn no_more_are_under_way_than_allowed() {
    for concurrency in [1, 3] {
        let server =
            Server::start(|_| Act::After(Duration::from_millis(40), Box::new(Act::reply("x"))));
        let teacher = OpenAiParams { concurrency, ..params(&server) }.check().unwrap();
        ask(&teacher, &requests(15)).unwrap();
        assert_eq!(server.count(), 15);
        assert_eq!(server.most_at_once(), concurrency);
    }
}

#[test]
fn the_rate_is_kept_over_threads_calls_and_retries() {
    // 1200 a minute: one every 50 ms.
    let server = Server::start(|seen| match seen.number % 2 {
        0 => Act::error(500, "again", ""),
        _ => Act::reply("x"),
    });
    let teacher = OpenAiParams {
        requests_per_minute: Some(1200.0),
        concurrency: 8,
        attempts: 20,
        ..params(&server)
    }
    .check()
    .unwrap();
    ask(&teacher, &requests(5)).unwrap();
    ask(&teacher, &requests(3)).unwrap();
    let seen = server.seen();
    assert!(seen.len() >= 16);
    // Over the whole and with a margin: the way to the server takes now longer and now shorter.
    let least = Duration::from_millis(50) * (seen.len() as u32 - 1) * 7 / 10;
    let took = seen[seen.len() - 1].at - seen[0].at;
    assert!(took >= least, "{} requests within {took:?}", seen.len());
}

#[test]
fn an_error_of_the_caller_stops_the_asking() {
    let server = Server::echo();
    let teacher = OpenAiParams { concurrency: 2, ..params(&server) }.check().unwrap();
    let mut told = 0;
    let result = teacher.ask(&requests(200), &mut |_, _| {
        told += 1;
        match told {
            0..5 => Ok(()),
            5 => Err(ReflectionError::Student("full disk".into())),
            _ => Err(ReflectionError::Student("still full".into())),
        }
    });
    // The first error counts, and what was under way is told: a cache would keep it.
    assert!(matches!(result, Err(ReflectionError::Student(why)) if why.to_string() == "full disk"));
    assert_eq!(told, server.count());
    assert!(told <= 5 + 2 * 2, "{told}");
}

#[test]
fn a_panic_of_the_caller_stops_the_asking() {
    let server = Server::echo();
    let teacher = OpenAiParams { concurrency: 2, ..params(&server) }.check().unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        teacher.ask(&requests(200), &mut |_, _| panic!("a mistake of the caller"))
    }));
    assert!(outcome.is_err());
    assert!(server.count() <= 5, "{}", server.count());
}

#[test]
fn stopping_does_not_wait_for_pauses() {
    // One request would sleep for minutes; another one's error ends the call.
    let server = Server::start(|seen| match seen.question().as_str() {
        "q0" => Act::error(500, "again", ""),
        _ => Act::After(Duration::from_millis(100), Box::new(Act::error(401, "no", ""))),
    });
    let pause = Duration::from_secs(600);
    let teacher = OpenAiParams { backoff: pause, longest_wait: pause, ..params(&server) };
    let began = std::time::Instant::now();
    let error = ask(&teacher.check().unwrap(), &requests(2)).unwrap_err();
    assert!(matches!(error, ReflectionError::Access { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn calls_from_several_threads_do_not_mix() {
    let server = Server::echo();
    let teacher = teacher(&server);
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let teacher = &teacher;
            scope.spawn(move || {
                let own: Vec<_> = (0..10).map(|n| request(&format!("{name}{n}"))).collect();
                for (n, outcome) in ask(teacher, &own).unwrap().into_iter().enumerate() {
                    assert_eq!(outcome.unwrap().text, format!("re: {name}{n}"));
                }
            });
        }
    });
    assert_eq!(server.count(), 30);
}
