//! `part`: the rows of a file whose prompts have their place in it.

use std::collections::BTreeSet;

use engine::artifact as mark;
use serde_json::{Value, json};

use super::*;
use crate::testing::{data_folder, input};

struct File(tempfile::TempDir);

impl File {
    fn new(rows: &[Value]) -> Self {
        Self(data_folder(rows))
    }

    fn input<A: engine::artifact::Artifact>(&self, import: Value) -> engine::stage::Input<A> {
        input("inputs.data", &self.0.path().join("data.jsonl"), import)
    }

    /// Returns the numbers of the rows that are read as prompts, which the rows' ids are.
    fn prompts(&self, import: Value) -> Vec<usize> {
        let rows = read_prompts(&self.input::<mark::Prompts>(import)).unwrap_or_else(|error| panic!("{error}"));
        rows.iter().map(|row| row.id.parse().unwrap()).collect()
    }

    fn samples(&self, import: Value) -> Vec<SampleRow> {
        read_samples(&self.input::<mark::Samples>(import)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn preferences(&self, import: Value) -> usize {
        read_preferences(&self.input::<mark::Preferences>(import)).unwrap_or_else(|error| panic!("{error}")).len()
    }
}

fn turn(role: &str, text: &str) -> Value {
    json!({ "role": role, "content": text })
}

#[test]
fn parts_share_no_prompt_and_together_have_every_row() {
    // Each question is there twice.
    let rows: Vec<_> = (0..800).map(|n| json!({ "prompt": format!("{}+1=?", n / 2), "n": n % 4 })).collect();
    let file = File::new(&rows);
    let part = |from: f64, to: f64| file.prompts(json!({ "part": [from, to] }));
    for ends in [vec![0.0, 0.75, 1.0], vec![0.0, 0.1, 0.5, 0.5001, 1.0]] {
        let parts: Vec<_> = ends.windows(2).map(|ends| part(ends[0], ends[1])).collect();
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..800).collect::<Vec<_>>());
        for (rows, ends) in parts.iter().zip(ends.windows(2)) {
            let questions: BTreeSet<_> = rows.iter().map(|row| row / 2).collect();
            assert_eq!(rows.len(), 2 * questions.len(), "both rows of a question are in one part");
            let share = rows.len() as f64 / 800.0;
            assert!((share - (ends[1] - ends[0])).abs() < 0.06, "{ends:?}: {share}");
        }
    }
    assert_eq!(part(0.0, 1.0).len(), 800);
    // It is after `where` and before `unique`; `skip` and `limit` count rows of the file.
    let kept = file.prompts(json!({ "part": [0, 0.5], "skip": 100, "limit": 200, "where": { "n": [0, 1] } }));
    let expected = |rows: Vec<usize>| rows.into_iter().filter(|row| (100..300).contains(row)).collect::<Vec<_>>();
    assert_eq!(kept, expected(part(0.0, 0.5)).into_iter().filter(|row| row % 4 < 2).collect::<Vec<_>>());
    let unique = file.prompts(json!({ "part": [0.5, 1], "unique": "n" }));
    let upper = part(0.5, 1.0);
    let firsts: BTreeSet<_> = (0..4).map(|n| *upper.iter().find(|row| *row % 4 == n).unwrap()).collect();
    assert_eq!(unique, firsts.into_iter().collect::<Vec<_>>(), "the first of those in the part");
}

#[test]
fn places_never_change() {
    let rows: Vec<_> = (0..12).map(|n| json!({ "prompt": format!("question {n}") })).collect();
    assert_eq!(File::new(&rows).prompts(json!({ "part": [0, 0.5] })), [0, 3, 8, 9, 11]);
}

#[test]
fn one_file_is_split_alike_however_its_rows_are_mapped() {
    let rows: Vec<_> = (0..60)
        .map(|n| {
            let (asked, answer) = (format!("{n}+1=?"), turn("assistant", &format!("{}", n + 1)));
            let chosen = [turn("user", &asked), turn("assistant", "a"), turn("user", "sure?"), answer.clone()];
            let mut rejected = chosen.clone();
            rejected[3] = turn("assistant", "no");
            json!({
                "question": asked, "working": "w", "answer": n + 1, "wrong": "0", "chosen": chosen,
                "rejected": rejected, "messages": [turn("user", &format!(" {asked}\n")), answer], "about": "Be brief.",
            })
        })
        .collect();
    let file = File::new(&rows);
    let with = |more: Value| {
        let mut import = json!({ "part": [0.25, 0.75] });
        import.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        import
    };
    let expected = file.prompts(with(json!({ "fields": { "prompt": "question" } })));
    assert!(expected.len() > 15 && expected.len() < 45, "{expected:?}");
    for import in [
        json!({}),
        json!({ "fields": { "prompt": "chosen" } }),
        json!({ "fields": { "prompt": "question", "system": "about" }, "template-args": { "deep": true } }),
        json!({ "fields": { "prompt": "question" }, "options": { "right": "answer", "wrong": ["wrong"], "seed": 0 } }),
    ] {
        assert_eq!(file.prompts(with(import.clone())), expected, "{import}");
    }
    for import in [json!({}), json!({ "fields": { "prompt": "question", "completion": "working" } })] {
        let samples = file.samples(with(import.clone()));
        let asked: Vec<usize> =
            samples.iter().map(|row| row.prompt.last_text().trim().trim_end_matches("+1=?").parse().unwrap()).collect();
        assert_eq!(asked, expected, "{import}");
    }
    assert_eq!(file.preferences(with(json!({ "fields": { "prompt": "question" } }))), expected.len());
    let judged: Vec<_> =
        rows.iter().map(|row| json!({ "chosen": row["chosen"], "rejected": row["rejected"] })).collect();
    assert_eq!(File::new(&judged).preferences(with(json!({}))), expected.len());
    // Conversations that begin alike are in one place.
    let longer: Vec<_> = (0..20)
        .map(|n| json!({ "messages": [turn("user", "hello"), turn("assistant", "hi"), turn("user", &n.to_string())] }))
        .collect();
    assert!([0, 20].contains(&File::new(&longer).prompts(json!({ "part": [0, 0.5] })).len()));
}

#[test]
fn a_part_that_is_none_is_refused() {
    let file = File::new(&[json!({ "prompt": "q" })]);
    for part in [json!([0.75, 0.0]), json!([0.5, 0.5]), json!([-0.1, 1]), json!([0, 1.5]), json!([0.5])] {
        let error = read_prompts(&file.input::<mark::Prompts>(json!({ "part": part }))).unwrap_err().to_string();
        assert!(error.starts_with("the import keys of `inputs.data` are not understood"), "{error}");
        assert!(part == json!([0.5]) || error.contains("name two numbers from 0 to 1"), "{error}");
    }
    let unasked = File::new(&[json!({ "text": "q" })]);
    let error = read_prompts(&unasked.input::<mark::Prompts>(json!({ "part": [0, 0.5] }))).unwrap_err().to_string();
    assert!(error.contains("line 1: no field `prompt`"), "{error}");
}
