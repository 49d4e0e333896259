//! Readers are tested on files that users have, writers against readers.

use engine::artifact as mark;
use serde_json::{Value, json};

use super::*;
use crate::testing::input;
use crate::verifiers::Verify;

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(file: &str, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join(file), text).unwrap();
        Self(folder)
    }

    fn prompts(&self, file: &str, import: Value) -> Result<Vec<PromptRow>, String> {
        read_prompts(&input("inputs.math", &self.0.path().join(file), import)).map_err(|error| error.to_string())
    }
}

/// Reads `text` as prompts and returns (prompt, answer, verify) of each row, or the message without the path.
fn prompts(text: &str, import: Value) -> Result<Vec<(String, Option<String>, Verify)>, String> {
    let folder = Folder::with("data.jsonl", text);
    let rows = folder.prompts("data.jsonl", import);
    let rows = rows.map_err(|message| message.replace(&format!("{}/", folder.0.path().display()), ""))?;
    Ok(rows.into_iter().map(|row| (row.prompt.key().into_owned(), row.answer, row.verify)).collect())
}

fn row(prompt: &str, answer: Option<&str>, verify: Verify) -> (String, Option<String>, Verify) {
    (prompt.to_owned(), answer.map(str::to_owned), verify)
}

#[test]
fn prompts_are_read_through_the_import_map() {
    let table = [
        (r#"{"prompt": "1+1"}"#, json!({}), row("1+1", None, Verify::NONE)),
        (r#"{"prompt": "1+1", "answer": 2}"#, json!({}), row("1+1", Some("2"), Verify::NUMBER)),
        (r#"{"prompt": "a?", "answer": "b", "verify": "exact"}"#, json!({}), row("a?", Some("b"), Verify::EXACT)),
        (r#"{"prompt": "a?", "answer": "B"}"#, json!({ "verify": "choice" }), row("a?", Some("B"), Verify::CHOICE)),
        (
            r#"{"question": "How many?", "answer": "4 and 5 are nine.\n#### 9"}"#,
            json!({ "fields": { "prompt": "question" }, "answer-after": "####" }),
            row("How many?", Some("9"), Verify::NUMBER),
        ),
        (
            r#"{"Body": "Ann has 2.", "Question": "How many?", "Answer": 2.0}"#,
            json!({ "fields": { "prompt": ["Body", "Question"], "answer": "Answer" } }),
            row("Ann has 2. How many?", Some("2.0"), Verify::NUMBER),
        ),
        (
            r#"{"chat": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}"#,
            json!({ "fields": { "prompt": "chat" } }),
            row("x", None, Verify::NONE),
        ),
    ];
    for (text, import, expected) in table {
        assert_eq!(prompts(text, import), Ok(vec![expected]), "{text}");
    }
}

#[test]
fn skip_and_limit_count_rows_and_ids_count_all_of_them() {
    let text = "\u{feff}{\"prompt\": \"a\"}\n\n{\"prompt\": \"b\"}\n{\"prompt\": \"c\"}\n{\"prompt\": \"d\"}\n";
    let folder = Folder::with("data.jsonl", text);
    let rows = folder.prompts("data.jsonl", json!({ "skip": 1, "limit": 2, "language": "fr" })).unwrap();
    let rows: Vec<_> =
        rows.iter().map(|row| (row.id.as_str(), row.prompt.key().into_owned(), row.language())).collect();
    assert_eq!(rows, [("1", "b".to_owned(), "fr"), ("2", "c".to_owned(), "fr")]);
}

#[test]
fn a_bad_row_is_named_with_file_and_line() {
    let advice = "map yours onto ours with `fields`";
    let table = [
        (
            "{\"prompt\": \"a\"}\n\n{\"question\": \"b\", \"n\": 1}\n{}",
            json!({}),
            format!("`data.jsonl` line 3: no field `prompt`; there are `question`, `n`: {advice} (2 of 3 rows cannot be read)"),
        ),
        (
            "{\"prompt\": \"a\"}",
            json!({ "fields": { "answer": "Answer" } }),
            format!("`data.jsonl` line 1: no field `Answer`; there are `prompt`: {advice} (1 of 1 rows cannot be read)"),
        ),
        (
            "{\"prompt\": \"a\"}",
            json!({ "verify": "number" }),
            "`data.jsonl` line 1: no field `answer`, which `verify` needs: map yours with `fields`, or say `verify = \"none\"` \
             (1 of 1 rows cannot be read)"
                .to_owned(),
        ),
        (
            "{\"prompt\": \"a\", \"answer\": \"is 3\"}",
            json!({ "answer-after": "####" }),
            "`data.jsonl` line 1: no `####` in `answer`, as `answer-after` says (1 of 1 rows cannot be read)".to_owned(),
        ),
        (
            "{\"prompt\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 0}",
            json!({ "options": "choice", "verify": "choice" }),
            "`data.jsonl` line 1: no field `choice`; there are `prompt`, `choices`, `answer`: `options` names `choice` \
             (1 of 1 rows cannot be read)"
                .to_owned(),
        ),
        (
            "{\"prompt\": \"a\", \"test\": \"def check(candidate): pass\"}",
            json!({ "fields": { "tests": "test" } }),
            "`data.jsonl` line 1: `tests` is a text, where `fields` names tests in the form that a stage writes: a published \
             form is named by the input's `tests`, such as `tests = \"humaneval\"` (1 of 1 rows cannot be read)"
                .to_owned(),
        ),
        (
            "{\"prompt\": \" \"}",
            json!({}),
            "`data.jsonl` line 1: `prompt` is empty (1 of 1 rows cannot be read)".to_owned(),
        ),
        (
            "[1]",
            json!({}),
            "`data.jsonl` row 1: not a JSON object (1 of 1 rows cannot be read)".to_owned(),
        ),
        (
            "{\"prompt\": [\"a\"]}",
            json!({}),
            "`data.jsonl` line 1: `prompt`: turn 1 is no object, expected `role` and `content` \
             (1 of 1 rows cannot be read)"
                .to_owned(),
        ),
    ];
    for (text, import, expected) in table {
        assert_eq!(prompts(text, import), Err(expected), "{text}");
    }
    let message = prompts("{", json!({})).unwrap_err();
    assert!(message.starts_with("`data.jsonl` line 1: not JSON: "), "{message}");
    let message = prompts("{}", json!({ "filds": {} })).unwrap_err();
    assert!(
        message.starts_with("the import keys of `inputs.math` are not understood: unknown field `filds`"),
        "{message}"
    );
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = read_samples(&input::<mark::Samples>("x.samples", folder.path(), json!({}))).unwrap_err();
    assert!(error.to_string().contains("samples.jsonl"), "{error}");
}

#[test]
fn samples_and_preferences_are_read_from_chats() {
    let text =
        r#"{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "answer": 3}"#;
    let folder = Folder::with("data.jsonl", text);
    let rows = read_samples(&input::<mark::Samples>("x", &folder.0.path().join("data.jsonl"), json!({}))).unwrap();
    assert_eq!(rows, [SampleRow { answer: Some("3".to_owned()), ..SampleRow::new("x", "y") }]);

    let text = r#"{"prompt": "x", "chosen": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "rejected": "z"}
        {"prompt": "x", "completion": "y", "label": true}
        {"prompt": "x", "completion": "y", "label": 0.0}"#;
    let folder = Folder::with("data.jsonl", text);
    let rows =
        read_preferences(&input::<mark::Preferences>("x", &folder.0.path().join("data.jsonl"), json!({}))).unwrap();
    let pointwise = |label| PreferenceRow::Pointwise { prompt: "x".into(), completion: "y".to_owned(), label };
    let pairwise = PreferenceRow::Pairwise { prompt: "x".into(), chosen: "y".to_owned(), rejected: "z".to_owned() };
    assert_eq!(rows, [pairwise, pointwise(1), pointwise(0)]);

    let folder = Folder::with("data.jsonl", r#"{"prompt": "x", "completion": "y", "label": 2}"#);
    let error = read_preferences(&input::<mark::Preferences>("x", &folder.0.path().join("data.jsonl"), json!({})));
    assert!(error.unwrap_err().to_string().contains("line 1: `label` is `2`, expected 0 or 1"));
}

#[test]
fn a_worked_solution_becomes_a_thought_and_an_answer() {
    let text = r#"{"question": "How many?", "answer": "4 and 5 are nine.\n#### 9"}"#;
    let folder = Folder::with("data.jsonl", text);
    let read = |import: Value| {
        let input = input::<mark::Samples>("x", &folder.0.path().join("data.jsonl"), import);
        read_samples(&input).map_err(|error| error.to_string())
    };
    let fields = json!({ "prompt": "question", "completion": "answer" });
    let plain = SampleRow::new("How many?", "4 and 5 are nine.\n#### 9");
    let as_it_stands = read(json!({ "fields": fields })).unwrap();
    assert_eq!(as_it_stands, [SampleRow { answer: Some(plain.completion.clone()), ..plain }]);
    let tagged = SampleRow::new("How many?", "<think>4 and 5 are nine.</think><answer>9</answer>");
    let rows = read(json!({ "fields": fields, "answer-after": "####" })).unwrap();
    assert_eq!(rows, [SampleRow { answer: Some("9".to_owned()), ..tagged }]);
    let message = read(json!({ "fields": fields, "answer-after": "=>" })).unwrap_err();
    assert!(message.contains("line 1: no `=>` in `completion`, as `answer-after` says"), "{message}");
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let prompts = vec![PromptRow {
        id: "a-1".to_owned(),
        prompt: "1+1=?\n\"x\"".into(),
        answer: Some("2".to_owned()),
        verify: Verify::NUMBER,
        tests: None,
        tolerance: None,
        task: Some("sums".to_owned()),
        language: Some("en".to_owned()),
        source: "a.prompts".to_owned(),
    }];
    write_prompts(folder.path(), &prompts).unwrap();
    assert_eq!(read_prompts(&input("a.prompts", folder.path(), json!({}))).unwrap(), prompts);
    let text = fs_err::read_to_string(folder.path().join("prompts.jsonl")).unwrap();
    let line = r#"{"id":"a-1","prompt":"1+1=?\n\"x\"","answer":"2","verify":"number","task":"sums","language":"en"}"#;
    assert_eq!(text, format!("{line}\n"), "one object a line, keys in order, no source");

    let grade = SampleGrade { correct: Some(true), format: true, language: Some(0.5), judged: None, tokens: 7 };
    let samples = vec![
        SampleRow {
            answer: Some("2".to_owned()),
            source: Some("b3:0".to_owned()),
            grade: Some(grade),
            ..SampleRow::new("p", "c")
        },
        SampleRow::new("p", "c"),
    ];
    write_samples(folder.path(), &samples).unwrap();
    assert_eq!(read_samples(&input("a.samples", folder.path(), json!({}))).unwrap(), samples);
    assert_eq!(read_own_lines::<SampleRow>(&folder.path().join("samples.jsonl")).unwrap(), samples);

    let preferences = vec![
        PreferenceRow::Pairwise { prompt: "p".into(), chosen: "c".to_owned(), rejected: "r".to_owned() },
        PreferenceRow::Pointwise { prompt: "p".into(), completion: "c".to_owned(), label: 0 },
    ];
    write_preferences(folder.path(), &preferences).unwrap();
    assert_eq!(read_preferences(&input("a.preferences", folder.path(), json!({}))).unwrap(), preferences);

    let column = Column { column: "accuracy".to_owned(), value: 0.5, error: Some(0.01) };
    let report = Report { row: vec![column], ..Report::default() };
    write_report(folder.path(), &report).unwrap();
    assert_eq!(read_report(&input("a.report", folder.path(), json!({}))).unwrap(), report);
}
