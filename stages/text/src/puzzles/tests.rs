//! Tests of all puzzles.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::*;

/// A stream for tests: SplitMix64.
pub(super) struct Stream(pub(super) u64);

impl Draw for Stream {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        ((u128::from(word) * bound as u128) >> 64) as usize
    }
}

/// How many problems of each puzzle and difficulty are tried.
const PROBLEMS: u64 = 200;

fn every_problem() -> impl Iterator<Item = (&'static str, u8, Problem)> {
    let difficulties = names().flat_map(|name| (1..=MAX_DIFFICULTY).map(move |difficulty| (name, difficulty)));
    difficulties.flat_map(|(name, difficulty)| {
        let mut stream = Stream(u64::from(difficulty) << 32);
        (0..PROBLEMS).map(move |index| {
            let problem = draw(name, difficulty, &mut stream);
            (name, difficulty, problem.unwrap_or_else(|| panic!("no {name} at {difficulty}, {index}")))
        })
    })
}

/// Returns a few problems of each puzzle.
fn one_of_each() -> impl Iterator<Item = Problem> {
    names().flat_map(|name| (0..2).filter_map(move |seed| draw(name, 5, &mut Stream(seed))))
}

/// The length of long answers, above what is read of them.
const MAX_LENGTH: usize = 20_000;

/// Returns the ways to write an answer.
fn written(answer: &str) -> [String; 8] {
    let line = answer.replace('\n', "; ");
    [
        format!("\n  {answer}\n\n"),
        format!("So the answer is {answer}"),
        format!("I thought about it.\n\nAnswer: {answer}"),
        format!("**Answer:**\n\n{answer}"),
        format!("The final answer is \\boxed{{{line}}}."),
        format!("$\\boxed{{\\text{{{line}}}}}$"),
        format!("It comes out.\n\n#### {answer}"),
        format!("The answer is:\n```\n{answer}\n```"),
    ]
}

/// Returns answers that are wrong because something in the right one is changed.
fn mutated(name: &str, answer: &str, stream: &mut Stream) -> Vec<String> {
    let swap = |from: &str, to: &str| answer.replace(from, "\u{1}").replace(to, from).replace('\u{1}', to);
    let parts = |separator: &str| answer.split(separator).map(str::to_owned).collect::<Vec<_>>();
    let shift = |stream: &mut Stream| {
        // One digit is another one.
        let digits: Vec<usize> = answer.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(at, _)| at).collect();
        let at = digits[stream.below(digits.len())];
        let digit = (answer.as_bytes()[at] - b'0' + 1 + stream.below(9) as u8) % 10;
        format!("{}{digit}{}", &answer[..at], &answer[at + 1..])
    };
    match name {
        "countdown" => vec![format!("{answer} + 1"), format!("({answer}) * 2"), shift(stream), format!("{answer} + 0")],
        "knights" => {
            let mut people = parts(", ");
            let at = stream.below(people.len());
            let words: Vec<String> = people[at].split(' ').map(str::to_owned).collect();
            let kinds = ["knight", "knave", "saint", "sinner", "hero", "villain", "sage", "fool"];
            let kind = kinds.iter().position(|kind| *kind == words[3]).unwrap();
            people[at] = format!("{} is a {}", words[0], kinds[kind ^ 1]);
            vec![people.join(", "), people[1..].join(", "), format!("{answer}, or {}", people[at])]
        }
        "zebra" if answer.contains('\n') => {
            let mut rows = parts("\n");
            let row = rows.remove(0);
            vec![
                swap("House 1", "House 2"),
                rows.join("\n"),
                format!("{}\n{}", row.replace("House 1", "House 2"), rows.join("\n").replace("House 2", "House 1")),
            ]
        }
        "sorting" => {
            let mut items = parts(", ");
            let last = items.len() - 1;
            let shorter = items[1..].join(", ");
            let twice = format!("{answer}, {}", items[0]);
            if items[0] == items[last] {
                vec![shorter, twice]
            } else {
                items.swap(0, last);
                vec![items.join(", "), shorter, twice]
            }
        }
        "sudoku" => {
            let mut rows = parts("\n");
            let fewer = rows[1..].join("\n");
            rows.swap(0, 3);
            vec![rows.join("\n"), fewer, swap("1", "2"), shift(stream)]
        }
        "bases" => {
            vec![format!("{answer}1"), format!("1{answer}"), format!("{answer} or {answer}1"), format!("-{answer}")]
        }
        "calendar" if answer.bytes().any(|byte| byte.is_ascii_digit()) => {
            let changed = shift(stream);
            vec![changed.clone(), format!("{answer} or {changed}")]
        }
        "calendar" if !matches!(answer, "yes" | "no") => {
            let other = if answer == "Monday" { "Friday" } else { "Monday" };
            vec![other.to_owned(), format!("{answer} or {other}"), format!("not {answer}"), format!("maybe {answer}")]
        }
        "calendar" | "entailment" => {
            let other = if answer == "yes" { "no" } else { "yes" };
            vec![other.to_owned(), "yes or no".to_owned(), format!("probably {answer}"), format!("{other}. {answer}")]
        }
        _ => vec![format!("{answer} or Tom"), format!("not {answer}"), format!("perhaps {answer}")],
    }
}

#[test]
fn drawn_answers_are_correct_and_mutated_ones_are_not() {
    let mut stream = Stream(1);
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut questions: BTreeMap<(&str, u8), BTreeSet<String>> = BTreeMap::new();
    for (index, (name, difficulty, problem)) in every_problem().enumerate() {
        let place = format!("{name} {difficulty}\n{}\n{}", problem.question, problem.instance);
        let ways = written(&problem.answer);
        for right in [&problem.answer, &ways[index % 8], &ways[(index / 8 + 3) % 8]] {
            assert_eq!(verify(&problem.instance, right), Verdict::Correct, "{place}\n{right}");
        }
        for wrong in mutated(name, &problem.answer, &mut stream) {
            let verdict = verify(&problem.instance, &wrong);
            assert!(matches!(verdict, Verdict::Wrong | Verdict::AnswerUnparsed), "{place}\n{wrong}");
            counts.entry(name).or_default()[usize::from(verdict == Verdict::Wrong)] += 1;
        }
        questions.entry((name, difficulty)).or_default().insert(problem.question);
    }
    for (name, [unparsed, wrong]) in counts {
        assert!(wrong > 20 * unparsed, "{name}: {unparsed} unparsed, {wrong} wrong");
    }
    for ((name, difficulty), questions) in questions {
        assert!(questions.len() as u64 > PROBLEMS / 2, "{name} {difficulty}: {} questions", questions.len());
    }
}

#[test]
fn questions_have_several_phrasings() {
    for name in names() {
        let mut stream = Stream(8);
        let letters = |question: &str| question.chars().filter(char::is_ascii_lowercase).rev().take(40).collect();
        let endings: BTreeSet<String> =
            (0..50).filter_map(|_| draw(name, 3, &mut stream)).map(|problem| letters(&problem.question)).collect();
        assert!(endings.len() >= 3, "{name}: {endings:?}");
    }
}

#[test]
fn half_of_the_answers_are_yes() {
    for difficulty in 1..=MAX_DIFFICULTY {
        let mut stream = Stream(99);
        let yes = (0..400).filter(|_| draw("entailment", difficulty, &mut stream).unwrap().answer == "yes").count();
        assert!((160..=240).contains(&yes), "{difficulty}: {yes} of 400");
    }
}

#[test]
fn problems_grow() {
    let length = |problem: &Problem, key: &str| problem.instance[key].as_array().map_or(0, Vec::len);
    let size = |name: &str, problem: &Problem| match name {
        "countdown" => length(problem, "numbers"),
        "knights" => length(problem, "people"),
        "sorting" => length(problem, "items"),
        "bases" => problem.instance["digits"].as_str().map_or(0, str::len) + problem.answer.len(),
        "calendar" if problem.instance["asks"] == "days" => problem.answer.parse().unwrap(),
        "calendar" => 0,
        "sudoku" => problem.instance["rows"].to_string().matches('_').count(),
        _ => problem.instance["premises"].to_string().len() + problem.question.len(),
    };
    for name in names() {
        let means: Vec<usize> = (1..=MAX_DIFFICULTY)
            .map(|difficulty| {
                let mut stream = Stream(5);
                (0..40).map(|_| size(name, &draw(name, difficulty, &mut stream).unwrap())).sum::<usize>()
            })
            .collect();
        assert!(means.windows(4).all(|four| four[0] < four[3]), "{name}: {means:?}");
    }
}

#[test]
fn the_stream_alone_decides() {
    for name in names() {
        let [one, two] = [0, 1].map(|_| draw(name, 5, &mut Stream(3)));
        assert_eq!(one, two);
        assert!(one.is_some() && doc(name).is_some());
    }
    assert!(draw("countdown", 0, &mut Stream(3)).is_none() && draw("countdown", 11, &mut Stream(3)).is_none());
    assert!(draw("chess", 1, &mut Stream(3)).is_none() && doc("chess").is_none());
}

#[test]
fn malformed_instances_are_a_mistake_in_the_data() {
    for problem in one_of_each() {
        let fields = problem.instance.as_object().unwrap();
        for key in fields.keys() {
            for value in [
                json!(null),
                json!(-1),
                json!(""),
                json!([]),
                json!({}),
                json!([[]]),
                json!(["", 3]),
                json!(u64::MAX),
                json!(i64::MIN),
            ] {
                let mut broken = problem.instance.clone();
                broken[key] = value;
                let verdict = verify(&broken, &problem.answer);
                let is_allowed = key == "premises" && broken[key] == json!([])
                    || matches!(key.as_str(), "days" | "target") && broken[key] == json!(-1);
                assert!(is_allowed || verdict == Verdict::GoldUnparsed, "{broken}: {verdict:?}");
            }
        }
    }
    for instance in [json!(null), json!([]), json!("countdown"), json!({ "puzzle": "chess" }), json!({ "puzzle": 1 })] {
        assert_eq!(verify(&instance, "1"), Verdict::GoldUnparsed);
    }
}

#[test]
fn long_and_strange_answers_do_no_harm() {
    let units = [
        "(",
        "((1+",
        "1+",
        "\\frac{",
        "{",
        "\\boxed{",
        "\\boxed{1}",
        "Answer: ",
        "Answer: 1\n",
        "**",
        "**a**",
        "é",
        "\u{0}",
        "１",
        "\n\n",
        "yes no ",
        "Monday ",
        "2024-01-01 ",
        "House 1 ",
        "1 2 3 4\n",
        "¬",
        "knight ",
        "Ada is a knight. ",
        "\u{200b}",
        "₁",
        "-",
        "1e9",
        "𝟙",
        "ß",
        "İ",
        "ŉ",
        "|---|",
        "#### ",
        "or ",
        "not ",
        "_",
        "base ",
        "9_",
        "£",
        "\u{301}",
    ];
    for problem in one_of_each() {
        for unit in units {
            let long = unit.repeat(MAX_LENGTH / unit.len());
            for text in
                [format!("{}{long}", problem.answer), unit.repeat(3), format!("{long}\n\nAnswer: {}", problem.answer)]
            {
                let verdict = verify(&problem.instance, &text);
                assert_ne!(verdict, Verdict::GoldUnparsed, "{unit:?} {}", problem.instance);
            }
        }
    }
}
