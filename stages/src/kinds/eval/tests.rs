//! The kind on an untrained model, and the figures on marks whose figures are known.

use engine::artifact as mark;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::figures::{figures, row};
use super::*;
use crate::artifacts::{PromptRow, write_prompts};
use crate::testing::{Attempt, message, reference, tiny_model, tiny_reward_model, well};
use crate::verifiers::Verify;

fn prompt(index: usize, verify: Verify, task: Option<&str>) -> PromptRow {
    PromptRow {
        id: index.to_string(),
        prompt: format!("{index}+1=?").into(),
        answer: (verify != Verify::NONE).then(|| (index + 1).to_string()),
        verify,
        tests: None,
        tolerance: None,
        task: task.map(str::to_owned),
        language: None,
        source: String::new(),
    }
}

struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        tiny_model(&place.path().join("model"));
        tiny_reward_model(&place.path().join("reward-model"));
        let write = |name: &str, rows: Vec<PromptRow>| write_prompts(&place.path().join(name), &rows).unwrap();
        write("sums", (0..10).map(|index| prompt(index, Verify::NUMBER, None)).collect());
        write("general", (0..5).map(|index| prompt(index, Verify::EXACT, None)).collect());
        let task = |index: usize| Some(if index.is_multiple_of(2) { "helpful" } else { "harmless" });
        write("chat", (0..6).map(|index| prompt(index, Verify::NONE, task(index))).collect());
        Self(place)
    }

    fn config(&self, more: Value) -> Value {
        let at = |name: &str| self.0.path().join(name);
        let suite = |name: &str| reference::<mark::Prompts>(&format!("{name}.prompts"), &at(name));
        let judge = reference::<mark::RewardModel>("x.reward-model", &at("reward-model"));
        let mut config = json!({
            "model": reference::<mark::Model>("base.model", &at("model")),
            "prompts": { "sums": suite("sums"), "general": suite("general"), "chat": suite("chat") },
            "helpful": judge, "harmless": judge,
            "completions": 2, "max-tokens": 24, "batch-size": 4, "seed": 3, "temperature": 1.0,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    }

    fn attempt(&self, name: &str, more: Value) -> Attempt {
        Attempt::new::<Eval>(&self.0.path().join(name), &self.config(more), None)
    }
}

#[test]
fn a_report_has_every_suite_and_the_row() {
    let place = Scratch::new();
    let attempt = place.attempt("a", json!({ "limit": 5 }));
    assert!(matches!(well(attempt.run::<Eval>()), Outcome::Done(_)));
    let report: Report = serde_json::from_str(&attempt.output("report/report.json")).unwrap();
    let columns: Vec<_> = report.row.iter().map(|column| column.column.as_str()).collect();
    assert_eq!(
        columns,
        ["accuracy", "greedy", "any form", "format", "thinking", "cut off", "general", "helpful", "harmless"]
    );
    for (suite, prompts) in [("sums", 5), ("general", 5), ("chat", 5)] {
        assert_eq!(report.suites[suite]["prompts"], json!(prompts), "{suite}");
        assert_eq!(report.suites[suite]["completions"], json!(2 * prompts), "{suite}");
    }
    assert_eq!(report.suites["chat"]["helpful"], json!(0.5), "an untrained reward model gives a half");
    assert_eq!(report.suites["chat"].get("pass-at-1"), None, "without gold nothing is right or wrong");
    assert!(report.suites["sums"]["truncated"].as_f64().unwrap() > 0.0);
    let answers = attempt.output("answers/answers.jsonl");
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 3 * 5 * 3, "two sampled ones and a greedy one for each prompt");
    let share = answers.iter().filter(|answer| answer["suite"] == "sums" && answer["greedy"] == false);
    let cut_off = share.filter(|answer| answer["why"] == "cut off at `max-tokens`").count() as f64 / 10.0;
    assert_eq!(report.suites["sums"]["truncated"], json!(cut_off));
    assert!(answers.iter().all(|answer| answer["suite"] != "chat" || answer["why"] == "there is no gold answer"));
    assert!(answers.iter().all(|answer| answer["correct"].is_null() == (answer["suite"] == "chat")));
    assert_eq!(report.settings["temperature"], json!(1.0));
    assert!(report.settings["template"].as_str().is_some_and(|digest| digest.starts_with("b3:")));

    assert_eq!(report.settings.get("dtype"), None);
    let narrow = place.attempt("narrow", json!({ "limit": 5, "dtype": "bfloat16" }));
    assert!(matches!(well(narrow.run::<Eval>()), Outcome::Done(_)));
    let report: Report = serde_json::from_str(&narrow.output("report/report.json")).unwrap();
    assert_eq!(report.settings["dtype"], json!("bfloat16"), "two reports in other types are not alike");
}

#[test]
fn a_stopped_attempt_continues_to_the_same_bytes() {
    let place = Scratch::new();
    let whole = place.attempt("whole", json!({}));
    well(whole.run::<Eval>());
    let first = place.attempt("first", json!({}));
    assert_eq!(first.run_stopped::<Eval>().step, 2, "what has begun is sampled to its end: one batch of four");
    let (folders, known) = first.rows();
    let again = |name: &str, more: Value, folders| {
        let second = Attempt::with_rows::<Eval>(&place.0.path().join(name), &place.config(more), None, folders);
        well(second.run::<Eval>());
        second
    };
    let second = again("second", json!({}), folders.clone());
    assert_eq!(second.output("report/report.json"), whole.output("report/report.json"));
    // Fewer: a prompt of both suites, sampled twice in one chunk, is known to the second attempt.
    assert!(known + second.rows().1 <= whole.rows().1, "nothing is sampled twice");
    let all = folders.into_iter().chain(second.rows().0).collect();
    assert_eq!(
        again("suite", json!({ "helpful": null, "completions": 1 }), all).rows().1,
        0,
        "a judge less samples nothing"
    );
}

#[test]
fn mistakes_and_bad_measurements_are_said() {
    let place = Scratch::new();
    assert_eq!(message(place.attempt("a", json!({ "prompts": {} })).run::<Eval>()), "`prompts` is empty");
    let short = place.attempt("b", json!({ "max-tokens": 1, "limit": 1, "completions": 1, "greedy": false }));
    well(short.run::<Eval>());
    assert_eq!(short.warnings(), ["no completion ended within `max-tokens`: raise it, or train on data that end"]);
}

fn mark(vote: &str, correct: bool) -> Mark {
    Mark {
        vote: vote.to_owned(),
        correct,
        format: true,
        finished: true,
        tokens: 10,
        thinking_tokens: 4,
        ..Mark::default()
    }
}

#[test]
fn figures_are_what_they_are_called() {
    let cut = Mark { finished: false, format: false, ..mark("1", false) };
    let hedged = Mark { hedged: true, ..mark("maybe 2", false) };
    let sure = Mark { confident_and_wrong: true, ..mark("3", false) };
    // The first is right twice and wins the vote; the second is right once, and outvoted.
    let first =
        Marks { sampled: vec![mark("1", true), mark("1", true), cut, sure.clone()], greedy: Some(mark("1", true)) };
    let second = Marks { sampled: vec![sure.clone(), sure, hedged, mark("2", true)], greedy: Some(mark("3", false)) };
    let prompts = [prompt(0, Verify::NUMBER, None), prompt(1, Verify::NUMBER, None)];
    let sums = figures(&[(&prompts[0], &first), (&prompts[1], &second)]);
    let map = sums.to_map();
    for (figure, expected) in [
        ("prompts", 2.0),
        ("completions", 8.0),
        ("pass-at-1", 0.375),
        // Prompt means 0.5 and 0.25: their standard deviation 0.1768 over the root of 2.
        ("pass-at-1-error", 0.125),
        ("cons-at-k", 0.5),
        ("greedy", 0.5),
        ("format", 0.875),
        ("thinking-tokens", 4.0),
        ("truncated", 0.125),
        ("hedged", 0.125),
        ("confident-and-wrong", 0.375),
    ] {
        let got = map[figure].as_f64().unwrap();
        assert!((got - expected).abs() < 1e-9, "{figure}: {got}");
    }
    assert!(!map.contains_key("helpful"));

    let chat = Marks {
        sampled: [(0.9, 0.6), (0.5, 0.4)]
            .map(|(helpful, harmless)| Mark { helpful: Some(helpful), harmless: Some(harmless), ..mark("", false) })
            .to_vec(),
        greedy: None,
    };
    let asked = prompt(0, Verify::NONE, None);
    let chat = figures(&[(&asked, &chat)]);
    let columns = row(&BTreeMap::from([("chat".to_owned(), chat), ("sums".to_owned(), sums)]));
    let columns: Vec<_> = columns.iter().map(|column| (column.column.as_str(), column.value)).collect();
    assert_eq!(
        columns,
        [
            ("accuracy", 0.375),
            ("greedy", 0.5),
            ("any form", 0.0),
            ("format", 0.875),
            ("thinking", 4.0),
            ("cut off", 0.125),
            ("helpful", 0.7),
            ("harmless", 0.5)
        ]
    );
}
