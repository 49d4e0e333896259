//! What a person gets, and what comes back.

use std::collections::BTreeMap;

use engine::diagnostic::Sources;
use proptest::prelude::*;
use serde_json::{Value, json};
use store::Digest;

use super::samples::Row;
use super::{Counts, Refined, compare, parse, render};

/// Pieces of texts that could be taken for something else, or that an editor changes.
const PIECES: [&str; 20] = [
    "@@@",
    "@@@1",
    "@@@ completion",
    "@@@ end of row 1",
    "@@@ 1 of 1, row 1: drop",
    "\n",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    " ",
    "  \n",
    "\t\n",
    "# ",
    "🦀é",
    "\u{2028}",
    "\u{feff}",
    "\0\u{1b}[31m",
    "words",
    "<think>\n",
];

fn rows(all: &[Value]) -> Vec<Row> {
    let parsed = all.iter().enumerate().map(|(index, row)| Row::parse(index + 1, row.to_string().as_bytes()));
    parsed.collect::<Result<_, _>>().unwrap()
}

fn written(rows: &[Row]) -> String {
    render(&Digest::of(b"samples"), "a.samples", rows)
}

/// Returns what comes back, or each mistake with the line that it points to.
fn back(rows: Vec<Row>, text: &str) -> Result<Refined, Vec<String>> {
    let (mut sources, mut mistakes) = (Sources::default(), Vec::new());
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = sources.add("rows.md".as_ref(), text.to_owned());
    let rows: BTreeMap<usize, Row> = rows.into_iter().map(|row| (row.number, row)).collect();
    let refined = parse(text, source, &mut mistakes).map(|file| compare(&file, source, &rows, &mut mistakes));
    let place = |start: usize| text[..start].matches('\n').count() + 1;
    let told = |mistake: &engine::diagnostic::Diagnostic| {
        format!("{}: {} <- {}", place(mistake.span.range().start), mistake.message, mistake.label)
    };
    match refined {
        Some(refined) if mistakes.is_empty() => Ok(refined),
        _ => Err(mistakes.iter().map(told).collect()),
    }
}

fn accept_all(text: &str) -> String {
    text.replace(": todo\n", ": accept\n").replace(": todo\r\n", ": accept\r\n")
}

fn completions(refined: &Refined) -> Vec<String> {
    let rows = refined.lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| row["completion"].as_str().unwrap().to_owned()).collect()
}

/// What editors do to a file when they save it.
fn saved(text: &str, trims: bool, has_carriage_returns: bool) -> String {
    let lines = text.split('\n').map(|line| if trims { line.trim_end_matches([' ', '\t']) } else { line });
    let text = lines.collect::<Vec<_>>().join("\n");
    if has_carriage_returns { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text }
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_a_text_has_comes_back(
        all in prop::collection::vec((text(), text(), text(), text()), 1..4), trims: bool, has_carriage_returns: bool,
    ) {
        let all: Vec<Value> = all.iter().map(|(prompt, system, before, after)| {
            let turns = json!([{ "role": "system", "content": system }, { "role": "user", "content": prompt, system: after }]);
            let prompt = if system.is_empty() { json!(prompt) } else { turns };
            json!({ "prompt": prompt, "completion": format!("{before}x{after}"), "answer": before })
        }).collect();
        let expected: Vec<&str> = all.iter().map(|row| row["completion"].as_str().unwrap()).collect();
        let text = accept_all(&written(&rows(&all)));
        let untouched = back(rows(&all), &text).unwrap();
        prop_assert_eq!(completions(&untouched), &expected[..]);
        prop_assert_eq!((untouched.counts.accepted, untouched.restored), (all.len(), 0));
        let refined = back(rows(&all), &format!("\u{feff}{}", saved(&text, trims, has_carriage_returns))).unwrap();
        prop_assert_eq!(completions(&refined), &expected[..]);
        prop_assert_eq!(refined.counts.accepted, all.len());
    }
}

fn three() -> Vec<Row> {
    rows(&[
        json!({ "prompt": "2+2", "completion": "4  \nor so", "answer": "4", "grade": { "format": true, "tokens": 3 } }),
        json!({ "prompt": [{ "role": "system", "content": "Be\nbrief." }, { "role": "user", "content": "a" },
            { "role": "assistant", "content": null, "tool_calls": [{ "name": "f" }] }], "completion": "b" }),
        json!({ "prompt": "3+3", "completion": "6", "source": "s" }),
    ])
}

#[test]
fn a_file_for_a_person() {
    let text = written(&three());
    assert_eq!(text.matches("  \n").count(), 2, "blanks at line ends: in the head and in a completion");
    insta::assert_snapshot!(text.replace("  \n", "··\n"), @r#"
    # 3 rows of `a.samples` for a person to refine.
    # In the first line of each row write `accept` or `drop` in the place of `todo`; what stays `todo` is left for later.
    # Edit the text below `@@@ completion` as you like. The other parts are for reading, and must stay as they are.
    # Lines that begin with `@@@` separate the parts: keep them, and begin no line of your own so.
    # When you are done: r1flow refine --back THIS-FILE --to refined.jsonl
    @@@ samples b3:5f21e8a045666d350bf53517da2ada8c5bfb5e280c7e5f3f7c3c86e4d9a0b9cc, 3 rows··

    @@@ 1 of 3, row 1: todo
    @@@ prompt
    2+2
    @@@ gold answer
    4
    @@@ grade
    {"format":true,"tokens":3}
    @@@ completion
    4··
    or so
    @@@ end of row 1

    @@@ 2 of 3, row 2: todo
    @@@ prompt, system
    Be
    brief.
    @@@ prompt, user
    a
    @@@ prompt, assistant

    @@@ prompt, assistant, tool_calls
    [
      {
        "name": "f"
      }
    ]
    @@@ completion
    b
    @@@ end of row 2

    @@@ 3 of 3, row 3: todo
    @@@ prompt
    3+3
    @@@ completion
    6
    @@@ end of row 3

    @@@ end of 3 rows
    "#);
}

#[test]
fn each_verdict() {
    let text = written(&three());
    let text = text.replacen("row 1: todo", "row 1: accept", 1).replacen("row 3: todo", "row 3: ACCEPT ", 1);
    let refined = back(three(), &text.replace("4  \nor so\n", "\n4\n\n")).unwrap();
    assert_eq!(refined.counts, Counts { accepted: 1, edited: 1, dropped: 0, todo: 1 });
    let from = |row: usize, verdict: &str| json!({ "samples": Digest::of(b"samples"), "row": row, "verdict": verdict });
    let expected = [
        json!({ "prompt": "2+2", "completion": "\n4\n", "answer": "4", "refined": from(1, "edited") }),
        json!({ "prompt": "3+3", "completion": "6", "source": "s", "refined": from(3, "accepted") }),
    ];
    assert_eq!(refined.lines, format!("{}\n{}\n", expected[0], expected[1]));
    assert!(refined.edited_todo.is_empty());
    let refined = back(three(), &text.replace("\nb\n", "\nbb\n").replace("row 3: ACCEPT", "row 3: drop")).unwrap();
    assert_eq!((refined.counts.dropped, refined.edited_todo), (1, vec![2]));
    assert!(refined.lines.contains("\"grade\""), "a row that was not edited keeps its grade: {}", refined.lines);
}

#[test]
fn blanks_at_line_ends_are_an_edit_unless_the_editor_removes_them_everywhere() {
    let text = accept_all(&written(&three()));
    let by_hand = back(three(), &text.replace("4  \nor", "4\nor")).unwrap();
    assert_eq!((by_hand.counts.edited, completions(&by_hand)[0].as_str()), (1, "4\nor so"));
    let by_editor = back(three(), &saved(&text, true, false)).unwrap();
    assert_eq!(
        (by_editor.counts.edited, by_editor.restored, completions(&by_editor)[0].as_str()),
        (0, 1, "4  \nor so")
    );
    let in_windows = back(three(), &saved(&text.replace("or so", "or\nso"), false, true)).unwrap();
    assert_eq!((in_windows.counts.edited, completions(&in_windows)[0].as_str()), (1, "4  \nor\nso"));
}

#[test]
fn a_single_row() {
    let one = || rows(&[json!({ "prompt": "2+2", "completion": "4" })]);
    let text = accept_all(&written(&one()));
    assert!(text.starts_with("# 1 row of") && text.ends_with("\n@@@ end of 1 row\n"), "{text}");
    assert_eq!(back(one(), &text).unwrap().counts.accepted, 1);
}

#[test]
fn rows_in_another_order_are_written_in_that_of_the_samples() {
    let text = accept_all(&written(&three()));
    let (first, rest) = text.split_at(text.find("\n@@@ 2 of 3").unwrap());
    let (head, first) = first.split_at(first.find("\n@@@ 1 of 3").unwrap());
    let moved = format!("{head}{}", rest.replace("\n@@@ end of 3 rows", &format!("{first}\n@@@ end of 3 rows")));
    assert_ne!(moved, text);
    assert_eq!(back(three(), &moved).unwrap().lines, back(three(), &text).unwrap().lines);
}

#[test]
fn every_mistake_has_its_line() {
    let text = written(&three());
    let mistakes = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        back(three(), &text.replacen(from, to, 1)).unwrap_err().join("\n")
    };
    let cases = [
        ("row 1: todo", "row 1: akcept"),
        ("row 1: todo", "row 1:"),
        ("1 of 3, row 1: todo", "1 of 3, row 1 accept"),
        ("1 of 3, row 1", "3 of 3, row 1"),
        ("1 of 3, row 1", "4 of 3, row 1"),
        ("1 of 3, row 1", "1 of 3, row 9"),
        ("1 of 3, row 1", "1 of 3, row 3"),
        ("@@@ prompt\n2+2", "@@@ prompt\n2+3"),
        ("Be\nbrief.", "Be"),
        ("Be\nbrief.", "Be\nbrief.\nNow."),
        ("@@@ gold answer\n4\n", ""),
        ("@@@ completion\n4", "4"),
        ("@@@ completion\n4", "@@@ completion\n@@@ mine\n4"),
        ("@@@ end of row 1\n", ""),
        ("@@@ end of row 1\n", "@@@ end of row 2\n"),
        ("@@@ end of row 1\n", "@@@ end of row 1\nsome more\n"),
        ("@@@ end of 3 rows\n", ""),
        ("@@@ end of 3 rows\n", "@@@ end of 3 rows\n\n@@@ 4 of 3, row 4: accept\n"),
        ("row 3: todo\n@@@ prompt\n3+3\n@@@ completion\n6", "row 3: accept\n@@@ prompt\n3+3\n@@@ completion\n \n"),
        ("@@@ samples b3:", "@@@ samples b4:"),
    ];
    let told: Vec<String> =
        cases.iter().map(|(from, to)| format!("{from:?} -> {to:?}\n{}", mistakes(from, to))).collect();
    insta::assert_snapshot!(told.join("\n\n"), @r#"
    "row 1: todo" -> "row 1: akcept"
    8: row 1 has no verdict: `akcept` is none <- expected `todo`, `accept` or `drop`

    "row 1: todo" -> "row 1:"
    8: row 1 has no verdict: `` is none <- expected `todo`, `accept` or `drop`

    "1 of 3, row 1: todo" -> "1 of 3, row 1 accept"
    8: this line belongs to no row <- outside of the rows
    45: rows are missing: `1 of 3` <- all rows come before this line

    "1 of 3, row 1" -> "3 of 3, row 1"
    38: row 3 of 3 is there twice <- the second time
    45: rows are missing: `1 of 3` <- all rows come before this line

    "1 of 3, row 1" -> "4 of 3, row 1"
    8: there is no row 4 of 3: the file was written with 3 rows <- other numbers
    45: rows are missing: `1 of 3` <- all rows come before this line

    "1 of 3, row 1" -> "1 of 3, row 9"
    18: row 9 ends as row 1 <- another number
    8: the samples have no row 9 <- this row

    "1 of 3, row 1" -> "1 of 3, row 3"
    18: row 3 ends as row 1 <- another number
    38: two rows claim to be row 3 of the samples <- the second
    8: the parts of row 3 are not those that were written <- this row

    "@@@ prompt\n2+2" -> "@@@ prompt\n2+3"
    10: `prompt` of row 1 was changed <- was `2+2`

    "Be\nbrief." -> "Be"
    21: `prompt, system` of row 2 was changed <- below it, `brief.` is missing

    "Be\nbrief." -> "Be\nbrief.\nNow."
    24: `prompt, system` of row 2 was changed <- this line is new

    "@@@ gold answer\n4\n" -> ""
    8: the parts of row 1 are not those that were written <- this row

    "@@@ completion\n4" -> "4"
    8: row 1 has no line `@@@ completion` <- this row
    15: `grade` of row 1 was changed <- this line is new

    "@@@ completion\n4" -> "@@@ completion\n@@@ mine\n4"
    16: this line does not belong to the completion of row 1 <- a delimiter line

    "@@@ end of row 1\n" -> ""
    8: the line `@@@ end of row 1` is missing <- this row

    "@@@ end of row 1\n" -> "@@@ end of row 2\n"
    18: row 1 ends as row 2 <- another number

    "@@@ end of row 1\n" -> "@@@ end of row 1\nsome more\n"
    19: this text belongs to no completion <- would be lost

    "@@@ end of 3 rows\n" -> ""
    43: the file is cut: it has 3 of 3 rows, and its last line is missing <- the last part that is there

    "@@@ end of 3 rows\n" -> "@@@ end of 3 rows\n\n@@@ 4 of 3, row 4: accept\n"
    47: there is more after the end of the rows <- after the end

    "row 3: todo\n@@@ prompt\n3+3\n@@@ completion\n6" -> "row 3: accept\n@@@ prompt\n3+3\n@@@ completion\n \n"
    41: row 3 is accepted, and its completion is empty <- nothing follows

    "@@@ samples b3:" -> "@@@ samples b4:"
    1: there is no line `@@@ samples b3:…, N rows` <- expected a file of rows
    "#);
    let all = text.replace("row 1: todo", "row 1: yes").replace("row 3: todo", "row 3: no").replace("\n2+2\n", "\n2\n");
    assert_eq!(back(three(), &all).unwrap_err().len(), 3, "all at once");
    let cut = &text[..text.find("\n@@@ 3 of 3").unwrap()];
    assert_eq!(
        back(three(), cut).unwrap_err(),
        ["36: the file is cut: it has 2 of 3 rows, and its last line is missing <- the last part that is there"]
    );
}
