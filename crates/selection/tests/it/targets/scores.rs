//! What the constructor refuses and sorts.

use tamis_selection::targets::{Target, TargetError, TargetScores, TaskRule, Unscored};

use super::{candidate, targets};

fn unscored(index: usize) -> Unscored {
    Unscored { id: format!("c{index}").into(), index, reason: "the target is empty".into() }
}

#[test]
fn what_cannot_be_compared_is_refused_by_name() {
    let refused = |sizes: &[usize], candidates, others| {
        TargetScores::new(targets(sizes), candidates, others).unwrap_err().to_string()
    };
    assert_eq!(
        TargetScores::new(vec![], vec![candidate(0, &[])], vec![]),
        Err(TargetError::NoTargets)
    );
    let twice = vec![Target::new("law", "a"), Target::new("chat", "a"), Target::new("law", "a")];
    let message = TargetScores::new(twice, vec![], vec![]).unwrap_err().to_string();
    assert!(message.contains("task `law` has the target `a` twice"), "{message}");

    let message = refused(&[1, 1], vec![candidate(4, &[0.0])], vec![]);
    assert!(message.contains("candidate c4 has 1 scores for 2 targets"), "{message}");
    let message = refused(&[1, 1], vec![candidate(0, &[0.0, f32::NAN])], vec![]);
    assert!(message.contains("candidate c0 has the score NaN for target `a0` of task `t1`"));

    let mut same_id = candidate(1, &[0.0]);
    same_id.id = "c0".into();
    let message = refused(&[1], vec![candidate(0, &[0.0]), same_id], vec![]);
    assert!(message.contains("two candidates have the id c0"), "{message}");
    let mut same_row = unscored(7);
    same_row.index = 3;
    let message = refused(&[1], vec![candidate(3, &[0.0])], vec![same_row]);
    assert!(message.contains("two candidates have the index 3"), "{message}");
}

#[test]
fn targets_of_a_task_are_brought_together_with_their_scores() {
    let mixed = vec![Target::new("b", "1"), Target::new("a", "1"), Target::new("b", "2")];
    let candidates = vec![candidate(9, &[1.0, 2.0, 3.0]), candidate(2, &[4.0, 5.0, 6.0])];
    let scores = TargetScores::new(mixed, candidates, vec![unscored(5), unscored(1)]).unwrap();
    let names: Vec<String> =
        scores.targets().iter().map(|t| format!("{}{}", t.task, t.name)).collect();
    assert_eq!(names, ["b1", "b2", "a1"]);
    assert_eq!(scores.tasks().collect::<Vec<_>>(), [("b", 0..2), ("a", 2..3)]);
    assert_eq!(scores.candidates()[0].index, 2);
    assert_eq!(scores.candidates()[1].scores, [1.0, 3.0, 2.0]);
    assert_eq!(scores.task_scores(&scores.candidates()[1]), [2.0, 2.0]);
    assert_eq!(scores.unscored().iter().map(|u| u.index).collect::<Vec<_>>(), [1, 5]);
}

#[test]
fn rules_are_written_as_on_the_command_line() {
    for (rule, word) in
        [(TaskRule::Max, "max"), (TaskRule::Mean, "mean"), (TaskRule::RoundRobin, "round-robin")]
    {
        assert_eq!(rule.to_string(), word);
        assert_eq!(word.parse::<TaskRule>().unwrap(), rule);
        assert_eq!(serde_json::to_string(&rule).unwrap(), format!("\"{word}\""));
    }
    let message = "best".parse::<TaskRule>().unwrap_err().to_string();
    assert!(message.contains("`best`") && message.contains("round-robin"), "{message}");
}
