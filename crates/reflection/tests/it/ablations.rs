//! The comparisons of the published method, the rules, and small budgets.

use tamis_dataset::Sample;
use tamis_reflection::history::Reason;
use tamis_reflection::params::{Keep, Rule};
use tamis_reflection::{Ablation, Passes, Reflected, ReflectionParams, Verdict};

use crate::scripted::{Fuse, Instruction, Reader, Response, Scripted, better, pair, record, run};

fn verdicts(found: &Reflected) -> Vec<(&'static str, &'static str)> {
    let of_one = |outcome: &tamis_reflection::history::Outcome| {
        let history = &outcome.history;
        (history.instruction_reflection.verdict.name(), history.response_reflection.verdict.name())
    };
    found.outcomes.iter().map(of_one).collect()
}

/// Proposals that IFD, reversed IFD and perplexity see differently.
///
/// | | IFD | r-IFD | perplexity |
/// | original | 0.5 | 0.5 | 5 |
/// | new pair | 0.6 | 0.6 | 6 |
/// | better answer | 0.4 | 0.4 | 4 |
#[test]
fn who_decides() {
    let samples = [record("a", "i0.5 r0.5 p5")];
    let expected = [
        (Ablation::Selective, ("taken", "taken"), (2, 2, 0)),
        (Ablation::InstructionOnly, ("taken", "not_asked"), (2, 0, 0)),
        (Ablation::ResponseOnly, ("not_asked", "taken"), (0, 2, 0)),
        (Ablation::Unselected, ("taken", "taken"), (0, 0, 0)),
        (Ablation::IfdOnly, ("taken", "refused"), (3, 0, 0)),
        (Ablation::ReversedIfdOnly, ("refused", "taken"), (0, 3, 0)),
        (Ablation::Perplexity, ("refused", "taken"), (0, 0, 3)),
    ];
    for (ablation, verdict, (ifd, reversed_ifd, perplexity)) in expected {
        let fuse = Fuse::never();
        let teacher = Scripted::new(&fuse)
            .says(Instruction, "a", pair("#a new", "i0.6 r0.6 p6"))
            .says(Response, "a", better("i0.4 r0.4 p4"));
        let params =
            ReflectionParams { rule: Rule::Everything, ..ReflectionParams::ablation(ablation) };
        let found = run(params, &samples, &teacher, &mut Reader::new(&fuse)).unwrap();
        assert_eq!(verdicts(&found), [verdict], "{ablation}");
        // A text that stands is not scored again: three scores where both steps ask for one measure.
        let passes = Passes { ifd, reversed_ifd, perplexity };
        assert_eq!(found.work.passes, passes, "{ablation}");
        let questions = 2 - [verdict.0, verdict.1].iter().filter(|v| **v == "not_asked").count();
        assert_eq!(found.work.questions, questions as u64, "{ablation}");
        assert!(found.outcomes[0].selected);
    }
}

#[test]
fn unselected_texts_still_meet_the_bounds_of_the_published_rule() {
    let keep = ReflectionParams::ablation(Ablation::Unselected);
    let params = ReflectionParams { rule: Rule::Published, ..keep };
    for (scores, reason, cost) in [
        ("i0.5 r0.5", Reason::Selected, (1, 1)),
        ("i0.5 r1.5", Reason::ReversedIfdTooHigh, (0, 1)),
        ("i1.5 r0.5", Reason::IfdTooHigh, (1, 1)),
    ] {
        let fuse = Fuse::never();
        let teacher = Scripted::new(&fuse).says(Response, "a", better(&format!("{scores} x")));
        let samples = [record("a", "i9 r9")];
        let found = run(params.clone(), &samples, &teacher, &mut Reader::new(&fuse)).unwrap();
        assert_eq!(found.outcomes[0].reason, reason);
        let Passes { ifd, reversed_ifd, .. } = found.work.passes;
        assert_eq!((ifd, reversed_ifd), cost, "{scores}");
    }
}

#[test]
fn a_known_score_that_refuses_saves_the_other() {
    // IFD decided about the answer and is 1.2: reversed IFD is not asked for.
    let keep = ReflectionParams::ablation(Ablation::IfdOnly);
    let params = ReflectionParams { rule: Rule::Published, ..keep };
    let fuse = Fuse::never();
    let teacher = Scripted::new(&fuse).says(Response, "a", better("i1.2 r0.1"));
    let found =
        run(params, &[record("a", "i0.5 r0.5")], &teacher, &mut Reader::new(&fuse)).unwrap();
    assert_eq!(found.outcomes[0].reason, Reason::IfdTooHigh);
    assert_eq!(found.work.passes, Passes { ifd: 2, ..Passes::default() });
}

/// A coin for each record and step: fair, and the same whatever the other records are.
#[test]
fn random_choice() {
    let fuse = Fuse::never();
    let ids: Vec<String> = (0..400).map(|n| format!("n{n}")).collect();
    let samples: Vec<Sample> = ids.iter().map(|id| record(id, "old")).collect();
    let mut teacher = Scripted::new(&fuse);
    for id in &ids {
        teacher = teacher.says(Instruction, id, pair(&format!("#{id} new"), "new")).says(
            Response,
            id,
            better("best"),
        );
    }
    let taken = |samples: &[Sample], seed| -> Vec<[bool; 2]> {
        let params = ReflectionParams { seed, ..ReflectionParams::ablation(Ablation::Random) };
        let found = run(params, samples, &teacher, &mut Reader::new(&fuse)).unwrap();
        assert_eq!(found.work.passes.total(), 0);
        verdicts(&found).into_iter().map(|(a, b)| [a == "taken", b == "taken"]).collect()
    };
    let all = taken(&samples, 1);
    for step in 0..2 {
        let count = all.iter().filter(|taken| taken[step]).count();
        assert!((150..250).contains(&count), "{count} of 400");
    }
    assert!(all.iter().any(|[a, b]| a != b), "the steps share their coin");
    assert_eq!(taken(&samples[100..200], 1), all[100..200]);
    assert_ne!(taken(&samples, 2), all);
}

/// Records: the answer of `a` is replaced, the instruction of `b`, nothing of `c`.
#[test]
fn rules() {
    let fuse = Fuse::never();
    let teacher = Scripted::new(&fuse).says(Response, "a", better("i0.4 r0.4")).says(
        Instruction,
        "b",
        pair("#b new", "i0.9 r0.9"),
    );
    let samples = ["a", "b", "c"].map(|id| record(id, "i0.5 r0.5"));
    let select = |rule| {
        let params = ReflectionParams { rule, ..ReflectionParams::default() };
        let found = run(params, &samples, &teacher, &mut Reader::new(&fuse)).unwrap();
        found.outcomes.iter().map(|one| one.reason).collect::<Vec<_>>()
    };
    let (yes, response) = (Reason::Selected, Reason::ResponseNotReplaced);
    assert_eq!(select(Rule::Published), [yes, response, response]);
    assert_eq!(select(Rule::EitherChange), [yes, yes, Reason::Unchanged]);
    assert_eq!(select(Rule::Everything), [yes, yes, yes]);
}

#[test]
fn a_budget_takes_the_highest_ifd_below_one() {
    let fuse = Fuse::never();
    let ifds = [("a", "0.2"), ("b", "0.8"), ("c", "1.3"), ("d", "0.8"), ("e", "!"), ("f", "0.9")];
    let mut teacher = Scripted::new(&fuse);
    for (id, ifd) in ifds {
        teacher = teacher.says(Response, id, better(&format!("i{ifd} r0.4 best")));
    }
    // In `g` nothing changes.
    let mut samples: Vec<Sample> = ifds.iter().map(|(id, _)| record(id, "i0.5 r0.5")).collect();
    samples.push(record("g", "i0.85 r0.5"));
    let select = |rule, budget| {
        let params = ReflectionParams { rule, budget, ..ReflectionParams::default() };
        let found = run(params, &samples, &teacher, &mut Reader::new(&fuse)).unwrap();
        let chosen: Vec<String> = found
            .outcomes
            .iter()
            .filter(|one| one.selected)
            .map(|one| one.history.id.to_string())
            .collect();
        (chosen.concat(), found)
    };
    assert_eq!(select(Rule::Published, None).0, "abdf");
    assert_eq!(select(Rule::Published, Some(9)).0, "abdf");
    // Of equal ones the first.
    let (chosen, found) = select(Rule::Published, Some(2));
    assert_eq!(chosen, "bf");
    assert_eq!(found.outcomes[3].reason, Reason::BeyondBudget);
    assert_eq!(select(Rule::Published, Some(0)).0, "");
    // With the other rules, too, nothing above the bound or without a score takes part.
    let (chosen, found) = select(Rule::Everything, Some(3));
    assert_eq!(chosen, "bfg");
    assert_eq!(found.outcomes[2].reason, Reason::IfdTooHigh);
    assert_eq!(found.outcomes[4].reason, Reason::Unscorable);
    assert_eq!(select(Rule::EitherChange, Some(9)).0, "abdf");
    assert_eq!(select(Rule::Everything, Some(99)).0, "abdfg");
    // Without a budget the same rules need no IFD.
    assert_eq!(select(Rule::Everything, None).1.work.passes.ifd, 0);
}

#[test]
fn names_and_settings() {
    for name in ["selective", "instruction-only", "reversed-ifd-only", "perplexity"] {
        assert_eq!(name.parse::<Ablation>().unwrap().to_string(), name);
    }
    for name in ["published", "either-change", "everything"] {
        assert_eq!(name.parse::<Rule>().unwrap().to_string(), name);
    }
    let error = "best".parse::<Rule>().unwrap_err().to_string();
    assert_eq!(error, "`rule` is best, expected published, either-change, everything");
    let params = ReflectionParams::default();
    assert_eq!((params.instruction, params.response), (Keep::HigherIfd, Keep::LowerReversedIfd));
    let text = serde_json::to_string(&params).unwrap();
    assert_eq!(serde_json::from_str::<ReflectionParams>(&text).unwrap(), params);
    assert_eq!(Verdict::default().name(), "not_asked");
}
