//! What the judge said, in a few lines and as a page.

use std::fmt::Write;

use tamis::reflection::judge::Verdict;
use tamis::reflection::{Contest, Judged, Judgement, Reading, Tally};
use tamis::report::{Bars, Histogram, Report, RunRecord, Tile, clip, run_section};

/// Examples of each verdict.
const EXAMPLES: usize = 3;
/// Characters of a text in an example.
const SHOWN: usize = 500;

/// The tally in a few lines.
pub fn summary(tally: &Tally) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} judged: {} wins, {} ties, {} losses; {} failed ({} replies without grades, {} without a reply)",
        tally.judged,
        tally.wins,
        tally.ties,
        tally.losses,
        tally.failed,
        tally.replies_without_grades,
        tally.no_replies
    );
    if tally.unanswered > 0 {
        let _ = writeln!(
            text,
            "{} of them without a reply for the moment: the same command asks about them again, and about no \
             others",
            tally.unanswered
        );
    }
    if let Some(score) = tally.winning_score {
        let interval = tally.winning_score_estimate.map_or(String::new(), |estimate| {
            format!(" ({:.3} … {:.3})", estimate.interval.low, estimate.interval.high)
        });
        let p = tally.sign_test_p;
        let _ = writeln!(text, "winning score {score:.3}{interval}, sign test p = {p:.4}");
    }
    if let Some(score) = tally.relative_score {
        let _ = writeln!(text, "relative score {score:.1} %");
    }
    if let Some(grades) = &tally.grades {
        let interval =
            grades.interval.map_or(String::new(), |i| format!(" ({:+.3} … {:+.3})", i.low, i.high));
        let _ = writeln!(
            text,
            "mean grade {:.3} against {:.3}: {:+.3}{interval}, p = {:.4}",
            grades.first, grades.second, grades.difference, grades.p
        );
    }
    let place = &tally.position;
    let _ = writeln!(
        text,
        "place: the first answer preferred {} times, the second {}, neither {}; {} contests contradict themselves",
        place.first, place.second, place.equal, place.contradictions
    );
    if let Some(correlation) = tally.length_correlation {
        let _ = writeln!(text, "correlation of length and grade (Spearman): {correlation:+.3}");
    }
    text
}

/// The page.
pub fn page(contests: &[Contest], judgement: &Judgement, record: &RunRecord) -> Report {
    let tally = &judgement.tally;
    let mut page = Report::new("Pairwise judgement");
    page.lead(format!("{} questions, each judged with either answer first.", contests.len()));
    let section = page.section("Result");
    section.tiles([
        Tile::new("Wins", tally.wins.to_string()),
        Tile::new("Ties", tally.ties.to_string()),
        Tile::new("Losses", tally.losses.to_string()),
        Tile::new("Failed", tally.failed.to_string()),
    ]);
    section.preformatted(summary(tally));
    let counts = [tally.wins, tally.ties, tally.losses, tally.failed].map(|count| count as f64);
    let names = ["win", "tie", "lose", "failed"];
    section.plot(Bars::new("Verdicts", "verdict", "questions", names).series("questions", counts));
    let grades: Vec<(f64, f64)> = judgement
        .contests
        .iter()
        .flat_map(|one| [&one.model_first, &one.reference_first])
        .filter_map(Reading::grades)
        .collect();
    if !grades.is_empty() {
        section.plot(
            Histogram::new("Grades", "grade, 0 to 10")
                .series("model", grades.iter().map(|grades| grades.0))
                .series("reference", grades.iter().map(|grades| grades.1)),
        );
    }
    let section = page.section("Examples");
    for verdict in [Verdict::Win, Verdict::Lose, Verdict::Tie, Verdict::Failed] {
        let of_verdict = |(_, one): &(&Contest, &Judged)| one.verdict == verdict;
        for (contest, judged) in
            contests.iter().zip(&judgement.contests).filter(of_verdict).take(EXAMPLES)
        {
            section.paragraph(format!("{:?}: {}", judged.verdict, contest.id));
            section.preformatted(shown(contest, judged));
        }
    }
    run_section(&mut page, record);
    page
}

fn shown(contest: &Contest, judged: &Judged) -> String {
    let grades = |reading: &Reading| {
        reading.grades().map_or("no grades".to_owned(), |(a, b)| format!("{a} : {b}"))
    };
    let input = if contest.input.is_empty() {
        String::new()
    } else {
        format!("\n  input: {}", clip(&contest.input, SHOWN))
    };
    format!(
        "  question: {}{input}\n  model: {}\n  reference: {}\n  grades, model first: {}; reference first: {}",
        clip(&contest.instruction, SHOWN),
        clip(&contest.model, SHOWN),
        clip(&contest.reference, SHOWN),
        grades(&judged.model_first),
        grades(&judged.reference_first)
    )
}
