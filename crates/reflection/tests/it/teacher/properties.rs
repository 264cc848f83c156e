//! What holds for all numbers and texts.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::json;
use tamis_dataset::Message;
use tamis_reflection::teacher::Finish;
use tamis_reflection::teacher::{Cached, Recorded, backoff, retry_after};
use tamis_reflection::{ChatRequest, NoReply, Reply, Usage};

use super::ask;

fn requests() -> impl Strategy<Value = ChatRequest> {
    let messages = prop::collection::vec(("[a-z]{1,6}", any::<String>()), 1..3);
    let numbers = (1u32.., 0.0..2.0f64, 1e-9..1.0f64, any::<Option<u64>>());
    (messages, numbers).prop_map(|(messages, (max_tokens, temperature, top_p, seed))| ChatRequest {
        messages: messages.into_iter().map(|(role, text)| Message::new(role, text)).collect(),
        max_tokens,
        temperature,
        top_p,
        seed,
    })
}

proptest! {
    #[test]
    fn waits_lie_between_half_and_all(
        base in 0u64..100_000,
        longest in 0u64..1_000_000,
        attempt in 1u32..,
        lot in 0.0..=1.0f64,
    ) {
        let (base, longest) = (Duration::from_millis(base), Duration::from_millis(longest));
        let wait = backoff(base, longest, attempt, lot);
        // The naive formula, in floating point.
        let full = (base.as_secs_f64() * 2f64.powi(attempt.min(1000) as i32 - 1))
            .min(longest.as_secs_f64());
        prop_assert!(wait <= longest);
        prop_assert!(wait.as_secs_f64() <= full + 1e-6, "{wait:?} {full}");
        if attempt <= 32 {
            prop_assert!(wait.as_secs_f64() >= full / 2.0 - 1e-6, "{wait:?} {full}");
            let expected = full / 2.0 * (1.0 + lot);
            prop_assert!((wait.as_secs_f64() - expected).abs() < 1e-6, "{wait:?} {expected}");
        }
        // Waits never get shorter with more attempts, for the same lot.
        prop_assert!(backoff(base, longest, attempt.saturating_add(1), lot) >= wait);
    }

    #[test]
    fn seconds_are_read(seconds in 0u64..1 << 50) {
        let now = SystemTime::UNIX_EPOCH;
        prop_assert_eq!(retry_after(&seconds.to_string(), now), Some(Duration::from_secs(seconds)));
        prop_assert_eq!(
            retry_after(&format!(" {seconds}.5 "), now).map(|wait| wait.as_secs_f64()),
            Some(seconds as f64 + 0.5)
        );
    }

    #[test]
    fn dates_are_read(now in 0u64..4_000_000_000, wait in 0u64..10_000_000) {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let date = httpdate::fmt_http_date(at(now + wait));
        prop_assert_eq!(retry_after(&date, at(now)), Some(Duration::from_secs(wait)));
        // One that is over asks for no wait.
        prop_assert_eq!(retry_after(&date, at(now + wait + 1)), Some(Duration::ZERO));
    }

    #[test]
    fn whatever_is_in_the_header_is_read_or_not(text in ".*") {
        let wait = retry_after(&text, SystemTime::now());
        let may = text.contains(|letter: char| letter.is_ascii_digit());
        prop_assert!(may || wait.is_none());
    }

    #[test]
    fn outcomes_survive_json(reason in any::<String>(), attempts in any::<u32>(), number in any::<u64>()) {
        let usage = Usage { prompt_tokens: number, completion_tokens: 1 };
        let all = [
            NoReply::Timeout { seconds: number, attempts },
            NoReply::Disconnected { reason: reason.clone(), attempts },
            NoReply::RateLimited { reason: reason.clone(), attempts },
            NoReply::Server { status: 500, reason: reason.clone(), attempts },
            NoReply::Refused { status: 400, reason: reason.clone(), attempts },
            NoReply::Malformed { reason: reason.clone(), attempts },
            NoReply::TooLarge { limit: number, attempts },
            NoReply::Empty { finish: Finish::Other(reason.clone()), usage, attempts },
            NoReply::Filtered { reason: reason.clone(), usage, attempts },
            NoReply::PromptTooLong { reason },
            NoReply::NotRecorded,
        ];
        for none in all {
            let text = serde_json::to_string(&none).unwrap();
            prop_assert_eq!(&serde_json::from_str::<NoReply>(&text).unwrap(), &none);
            let counted = matches!(none, NoReply::Empty { .. } | NoReply::Filtered { .. });
            prop_assert_eq!(none.usage() == usage, counted);
        }
    }
}

#[test]
fn strange_lots_and_long_waits_are_no_trouble() {
    let second = Duration::from_secs(1);
    for (lot, expected) in
        [(f64::NAN, 500), (-1.0, 500), (f64::NEG_INFINITY, 500), (f64::INFINITY, 1000), (2.0, 1000)]
    {
        assert_eq!(backoff(second, second, 1, lot), Duration::from_millis(expected), "{lot}");
    }
    let wait = backoff(Duration::MAX, Duration::MAX, u32::MAX, 1.0);
    assert!(wait >= Duration::MAX / 2);
}

proptest! {
    // Each case writes a file.
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is asked and answered (odd texts, numbers with many digits) is found again in the
    /// file, in whatever order the names of the identity are.
    #[test]
    fn every_answer_is_found_again(
        asked in prop::collection::vec(requests(), 1..6),
        text in any::<String>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let reply = Reply {
            text,
            finish: Finish::Length,
            usage: Usage { prompt_tokens: 1, completion_tokens: 2 },
            cached: true,
        };
        let pairs = asked.iter().map(|request| (request.clone(), reply.clone()));
        let teacher = Recorded::new(json!({"kind": "list", "a": {"b": 1, "c": 2}}), pairs);
        let cached = Cached::open(&teacher, &path, None).unwrap();
        ask(&cached, &asked).unwrap();
        drop(cached);
        let other = Recorded::new(json!({"a": {"c": 2, "b": 1}, "kind": "list"}), []);
        let cached = Cached::open(&other, &path, None).unwrap();
        for outcome in ask(&cached, &asked).unwrap() {
            prop_assert_eq!(outcome.unwrap(), reply.clone());
        }
        prop_assert_eq!(cached.spent().asked, 0);
        let recorded = Recorded::open(&path).unwrap();
        prop_assert!(ask(&recorded, &asked).unwrap().iter().all(Result::is_ok));
    }
}
