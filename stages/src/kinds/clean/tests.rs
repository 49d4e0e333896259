use std::path::Path;

use engine::artifact as mark;
use engine::stage::{Outcome, Stage};
use serde_json::{Map, Value, json};

use super::*;
use crate::testing::{Attempt, message, reference, well};

const TEN: &str = "one two three four five six seven eight nine ten";

/// Writes prompts with these texts, and returns their reference.
fn prompts(dir: &Path, name: &str, texts: &[&str]) -> Value {
    let rows = texts.iter().enumerate().map(|(id, text)| json!({ "id": id.to_string(), "prompt": text }).to_string());
    write(dir, name, rows.collect());
    reference::<mark::Prompts>(&format!("inputs.{name}"), &dir.join(name))
}

fn samples(dir: &Path, name: &str, pairs: &[(&str, &str)]) -> Value {
    let rows =
        pairs.iter().map(|(prompt, completion)| json!({ "prompt": prompt, "completion": completion }).to_string());
    write(dir, name, rows.collect());
    reference::<mark::Samples>(&format!("inputs.{name}"), &dir.join(name))
}

fn write(dir: &Path, name: &str, rows: Vec<String>) {
    fs_err::write(dir.join(name), rows.join("\n")).unwrap();
}

fn run(attempt: &Attempt) -> Map<String, Value> {
    match well(attempt.run::<Clean>()) {
        Outcome::Done(summary) => summary,
        Outcome::Stopped(_) => panic!("nobody asked for a stop"),
    }
}

fn texts(attempt: &Attempt) -> Vec<String> {
    let rows = attempt.output("prompts/prompts.jsonl");
    let prompt = |row: &str| serde_json::from_str::<Value>(row).unwrap()["prompt"].as_str().unwrap().to_owned();
    rows.lines().map(prompt).collect()
}

#[test]
fn rows_with_an_ngram_of_an_evaluation_are_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let longer = format!("Solve: {TEN}, eleven?");
    let train = prompts(dir.path(), "train", &["What is 7+8?", &longer, "what is 2 + 2", "What is 2+2, please?"]);
    let math = prompts(dir.path(), "math", &["What is 2+2?", "unrelated"]);
    let other = prompts(dir.path(), "other", &[&format!("Now {}", TEN.to_uppercase())]);
    let config = json!({ "prompts": [train], "against": [math, other], "ngram": 10 });
    let attempt = Attempt::new::<Clean>(&dir.path().join("a"), &config, None);
    let summary = run(&attempt);
    assert_eq!(texts(&attempt), ["What is 7+8?", "What is 2+2, please?"]);
    assert_eq!(attempt.output("samples/samples.jsonl"), "");
    let expected = json!({
        "against": { "inputs.math": 2, "inputs.other": 1 },
        "prompts": {
            "rows": 4, "kept": 2, "overlapping": { "inputs.math": 1, "inputs.other": 1 }, "near-duplicates": 0,
            "examples": [
                "prompt `1` of `inputs.train` overlaps with prompt `0` of `inputs.other`",
                "prompt `2` of `inputs.train` overlaps with prompt `0` of `inputs.math`",
            ],
        },
    });
    assert_eq!(Value::Object(summary), expected);
    let eleven = json!({ "prompts": config["prompts"], "against": config["against"], "ngram": 11 });
    let attempt = Attempt::new::<Clean>(&dir.path().join("b"), &eleven, None);
    run(&attempt);
    assert_eq!(texts(&attempt).len(), 3, "{:?}", texts(&attempt));
}

#[test]
fn of_near_duplicates_the_first_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let long =
        |last: &str| (0..60).map(|word| format!("w{word} ")).chain([last.to_owned()]).collect::<Vec<_>>().concat();
    // 57 shingles each, 56 in common: 56 / 58 of all.
    let data = prompts(dir.path(), "data", &[&long("a"), "short one", &long("b"), "Short one!", "short two"]);
    let of = |threshold: f64, name: &str| {
        let config = json!({ "prompts": [data], "near-duplicates": threshold });
        let attempt = Attempt::new::<Clean>(&dir.path().join(name), &config, None);
        (run(&attempt)["prompts"]["near-duplicates"].clone(), texts(&attempt))
    };
    let (count, kept) = of(0.95, "a");
    assert_eq!((count, kept), (json!(2), vec![long("a"), "short one".to_owned(), "short two".to_owned()]));
    assert_eq!(of(0.97, "b").0, json!(1));
}

#[test]
fn completions_of_one_prompt_are_no_duplicates_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let pairs = [("2+2?", "It is four."), ("2+2?", "Adding gives 4."), ("2+2?", "it is four")];
    let data = samples(dir.path(), "data", &pairs);
    let config = json!({ "samples": [data], "near-duplicates": 0.8 });
    let attempt = Attempt::new::<Clean>(&dir.path().join("a"), &config, None);
    let summary = run(&attempt);
    assert_eq!(attempt.output("samples/samples.jsonl").lines().count(), 2);
    assert_eq!(
        summary["samples"]["examples"],
        json!(["row 2 of `inputs.data` is a near-duplicate of row 0 of `inputs.data`"])
    );
}

#[test]
fn threads_have_no_influence() {
    let dir = tempfile::tempdir().unwrap();
    // Words from a small alphabet, so that many rows are near to several others.
    let text = |row: usize| {
        (0..12).map(|at| format!("w{} ", (row / 7 * 31 + at * row.isqrt()) % 9)).collect::<Vec<_>>().concat()
    };
    let prompts: Vec<Prompt> = (0..3_000).map(|row| Prompt::from(text(row))).collect();
    let rows: Vec<Row<'_>> = prompts
        .iter()
        .enumerate()
        .map(|(index, prompt)| Row { name: index.to_string(), prompt, completion: None })
        .collect();
    fs_err::write(dir.path().join("test"), json!({ "prompt": text(100) }).to_string()).unwrap();
    let against = crate::testing::input::<mark::Prompts>("inputs.test", &dir.path().join("test"), json!({}));
    let evaluation = Evaluation::read(&[against], 10).unwrap();
    let params = Params { near_duplicates: Some(0.5), ..Params::default() };
    let of = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| findings(&rows, &evaluation, &params));
        (found.kept.clone(), found.summary())
    };
    let (kept, summary) = of(1);
    assert!(kept.iter().any(|kept| *kept) && summary["near-duplicates"].as_u64() > Some(10), "{summary}");
    assert_eq!(of(3), (kept, summary));
}

#[test]
fn a_set_that_overlaps_with_most_rows_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let asked = |what: &str| format!("{TEN} {what}");
    let (a, b, c) = (asked("a"), asked("b"), asked("c"));
    let config = json!({ "prompts": [prompts(dir.path(), "train", &[&a, &b])], "against": [prompts(dir.path(), "test", &[&c])] });
    let attempt = Attempt::new::<Clean>(&dir.path().join("a"), &config, None);
    run(&attempt);
    assert!(attempt.warnings()[0].starts_with("2 of 2 prompts overlap with `inputs.test`"), "{:?}", attempt.warnings());
}

#[test]
fn a_stage_without_effect_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = prompts(dir.path(), "data", &["a"]);
    for (config, expected) in [
        (json!({ "against": [data], "near-duplicates": 0.8 }), "nothing to clean"),
        (json!({ "prompts": [data] }), "nothing would be left out"),
    ] {
        let attempt = Attempt::new::<Clean>(dir.path(), &config, None);
        assert!(message(attempt.run::<Clean>()).contains(expected));
    }
    assert_eq!(Clean::KIND, "clean");
}
