//! Preferences beside completions, options with letters, verifiers by a word, and the counts of rows.

use engine::artifact as mark;
use serde_json::{Value, json};

use super::*;
use crate::testing::{data_folder, input};
use crate::verifiers::Verify;

struct File(tempfile::TempDir);

impl File {
    fn new(rows: &[Value]) -> Self {
        Self(data_folder(rows))
    }

    fn preferences(&self, import: Value) -> Result<Value, String> {
        let input = input::<mark::Preferences>("inputs.data", &self.0.path().join("data.jsonl"), import);
        read_preferences(&input).map(|rows| json!(rows)).map_err(|error| error.to_string())
    }

    fn prompts(&self, import: Value) -> Result<Vec<PromptRow>, String> {
        let input = input::<mark::Prompts>("inputs.data", &self.0.path().join("data.jsonl"), import);
        read_prompts(&input).map_err(|error| error.to_string())
    }
}

fn pair(chosen: &str, rejected: &str) -> Value {
    json!({ "prompt": "q", "chosen": chosen, "rejected": rejected })
}

#[test]
fn the_sign_of_a_preference_says_which_of_two_is_better() {
    let rows = [-3.0, 0.0, 1.0].map(|by| json!({ "prompt": "q", "a": "A", "b": "B", "by": by }));
    let sign = json!({ "prefer": { "by": "sign", "of": "by", "between": ["a", "b"] } });
    assert_eq!(File::new(&rows).preferences(sign.clone()), Ok(json!([pair("A", "B"), pair("B", "A")])));
    let text = [json!({ "prompt": "q", "a": "A", "b": [{ "role": "assistant", "content": "B" }], "by": "-1" })];
    assert_eq!(File::new(&text).preferences(sign.clone()), Ok(json!([pair("A", "B")])));
    for (row, expected) in [
        (json!({ "prompt": "q", "a": "A", "b": "B", "by": "none" }), "`by` is no number"),
        (json!({ "prompt": "q", "a": "A", "b": "B", "by": "NaN" }), "`by` is no number"),
        (json!({ "prompt": "q", "a": "A", "b": "B", "by": null }), "`by` is empty"),
        (json!({ "prompt": "q", "a": " ", "b": "B", "by": 1 }), "`a` is empty"),
        (json!({ "prompt": "q", "a": "A", "by": 1 }), "no field `b`"),
    ] {
        let error = File::new(std::slice::from_ref(&row)).preferences(sign.clone()).unwrap_err();
        assert!(error.contains("line 1") && error.contains(expected), "{row}: {error}");
    }
}

#[test]
fn an_index_names_the_better_one() {
    let rows = [json!(0), json!("1")].map(|by| json!({ "prompt": "q", "a": "A", "b": "B", "by": by }));
    let index = json!({ "prefer": { "by": "index", "of": "by", "between": ["a", "b"] } });
    assert_eq!(File::new(&rows).preferences(index.clone()), Ok(json!([pair("A", "B"), pair("B", "A")])));
    let error = File::new(&[json!({ "prompt": "q", "a": "A", "b": "B", "by": 2 })]).preferences(index).unwrap_err();
    assert!(error.contains("`by` is 2, expected 0 or 1"), "{error}");
}

#[test]
fn ranks_and_scores_make_pairs_of_extremes_or_neighbours() {
    let list = |numbers: &[f64]| {
        let items = numbers.iter().enumerate().map(|(index, by)| json!({ "text": format!("t{index}"), "by": by }));
        json!({ "prompt": "q", "list": items.collect::<Vec<_>>() })
    };
    let by = |word: &str, pairs: Option<&str>| {
        let mut prefer = json!({ "by": word, "of": "by", "list": "list", "text": "text" });
        prefer.as_object_mut().unwrap().extend(pairs.map(|pairs| ("pairs".to_owned(), pairs.into())));
        json!({ "prefer": prefer })
    };
    let read = |numbers: &[f64], import: Value| File::new(&[list(numbers)]).preferences(import).unwrap();
    assert_eq!(read(&[2.0, 1.0, 3.0], by("rank", None)), json!([pair("t1", "t2")]));
    assert_eq!(read(&[2.0, 1.0, 3.0], by("score", None)), json!([pair("t2", "t1")]));
    let neighbours = json!([pair("t1", "t0"), pair("t0", "t2")]);
    assert_eq!(read(&[2.0, 1.0, 3.0], by("rank", Some("neighbours"))), neighbours);
    // Equally good ones keep their order, and make no pair.
    assert_eq!(read(&[1.0, 1.0, 2.0], by("rank", Some("neighbours"))), json!([pair("t1", "t2")]));
    assert_eq!(read(&[1.0, 1.0, 2.0], by("rank", None)), json!([pair("t0", "t2")]));
    assert_eq!(read(&[5.0, 5.0, 2.0], by("score", None)), json!([pair("t0", "t2")]));
    for equal in [&[1.0, 1.0][..], &[1.0], &[]] {
        assert_eq!(read(equal, by("rank", None)), json!([]), "{equal:?}");
    }
    for (row, expected) in [
        (json!({ "prompt": "q", "list": "x" }), "`list` is no list"),
        (json!({ "prompt": "q", "list": ["x"] }), "item 0 of `list`: it has no fields"),
        (json!({ "prompt": "q", "list": [{ "text": "x" }] }), "item 0 of `list`: no field `by`"),
        (json!({ "prompt": "q", "list": [{ "by": 1 }] }), "item 0 of `list`: no field `text`"),
    ] {
        let error = File::new(std::slice::from_ref(&row)).preferences(by("rank", None)).unwrap_err();
        assert!(error.contains("line 1") && error.contains(expected), "{row}: {error}");
    }
}

#[test]
fn chosen_and_rejected_transcripts_answer_the_same_turns() {
    let marks = json!({ "turn-marks": ["\n\nHuman:", "\n\nAssistant:"] });
    let row = |rejected: &str| json!({ "chosen": "\n\nHuman: q\n\nAssistant: A", "rejected": rejected });
    let same = File::new(&[row("\n\nHuman: q\n\nAssistant: B")]);
    assert_eq!(same.preferences(marks.clone()), Ok(json!([pair("A", "B")])));
    for (rejected, expected) in [
        ("\n\nHuman: r\n\nAssistant: B", "not answers to the same turns"),
        ("\n\nHuman: q\n\nAssistant:", "`rejected`: the last turn is the user's"),
    ] {
        let error = File::new(&[row(rejected)]).preferences(marks.clone()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    for wrong in [json!(["", "x"]), json!(["Human:", "Human:"])] {
        let error = same.preferences(json!({ "turn-marks": wrong })).unwrap_err();
        assert!(error.contains("neither of which contains the other"), "{error}");
    }
}

#[test]
fn the_order_of_options_depends_on_seed_and_row_alone() {
    let row =
        |n: usize| json!({ "q": format!("Which {n}?"), "right": "yes", "w1": "no", "w2": "maybe", "w3": "never" });
    let shuffled = |seed: u64| json!({ "fields": { "prompt": "q" }, "options": { "right": "right", "wrong": ["w1", "w2", "w3"], "seed": seed } });
    let texts = |rows: &[Value], seed: u64| -> Vec<(String, String)> {
        let rows = File::new(rows).prompts(shuffled(seed)).unwrap();
        rows.into_iter().map(|row| (row.prompt.key().into_owned(), row.answer.unwrap())).collect()
    };
    let all: Vec<Value> = (0..400).map(row).collect();
    let read = texts(&all, 0);
    assert_eq!(texts(&all[7..9], 0), read[7..9], "other rows have no influence");
    assert!(texts(&all, 1) != read, "the seed has");
    for letter in ["A", "B", "C", "D"] {
        let share = read.iter().filter(|(_, right)| right == letter).count();
        assert!((60..=140).contains(&share), "{letter}: {share} of 400");
    }
    let (prompt, answer) = &read[0];
    assert!(prompt.starts_with("Which 0?\n\nA) ") && prompt.contains(&format!("\n{answer}) yes")), "{prompt}");
    let rows = File::new(&all[..1]).prompts(shuffled(0)).unwrap();
    assert_eq!(rows[0].verify, Verify::CHOICE);

    let same = json!({ "q": "Which?", "right": "yes", "w1": "yes ", "w2": "maybe", "w3": "never" });
    let error = File::new(&[same]).prompts(shuffled(0)).unwrap_err();
    assert!(error.contains("two options are the same: `yes`"), "{error}");
    let mut import = shuffled(0);
    import["fields"]["answer"] = "right".into();
    let error = File::new(&all[..1]).prompts(import).unwrap_err();
    assert!(error.contains("`options` names the right option already"), "{error}");
}

#[test]
fn an_answer_is_an_index_a_letter_a_label_or_an_option() {
    let texts = json!(["10", "20", "30"]);
    let labels = |labels: Value| json!({ "text": ["10", "20", "30"], "label": labels });
    let table = [
        (texts.clone(), json!(0), Ok("A")),
        (texts.clone(), json!(2), Ok("C")),
        (texts.clone(), json!("B"), Ok("B")),
        (texts.clone(), json!("20"), Ok("B")),
        (texts.clone(), json!("1"), Ok("B")),
        (labels(json!(["A", "B", "C"])), json!("C"), Ok("C")),
        // A label, and not an index.
        (labels(json!(["1", "2", "3"])), json!("1"), Ok("A")),
        (labels(json!([1, 2, 3])), json!(3), Ok("C")),
        (json!(["1", "0"]), json!(1), Ok("B")),
        (json!(["1", "0"]), json!("1"), Err("may be an option's text, letter or index")),
        (json!(["B", "A"]), json!("A"), Err("may be an option's text, letter or index")),
        (texts.clone(), json!(3), Err("none of the 3 options")),
        (texts.clone(), json!(1.5), Err("none of the 3 options")),
        (texts.clone(), json!(-1), Err("none of the 3 options")),
        (texts.clone(), json!("D"), Err("none of the 3 options")),
        (texts.clone(), Value::Null, Err("no field `answer`")),
        (labels(json!(["A", "B"])), json!("A"), Err("not as many labels as options")),
        (json!("10, 20"), json!(0), Err("no list of options")),
        (json!({ "text": ["10"] }), json!(0), Err("no list of options")),
        (json!(["10"]), json!(0), Err("1 options, expected 2 to 10")),
    ];
    for (options, answer, expected) in table {
        let row = json!({ "prompt": "q", "choices": options, "answer": answer });
        let read = File::new(std::slice::from_ref(&row)).prompts(json!({ "options": "choices" }));
        match (read, expected) {
            (Ok(rows), Ok(letter)) => assert_eq!(rows[0].answer.as_deref(), Some(letter), "{row}"),
            (Err(error), Err(reason)) => assert!(error.contains(reason), "{row}: {error}"),
            (read, _) => panic!("{row}: {read:?}"),
        }
    }
    let chat = json!({ "prompt": [{ "role": "system", "content": "s" }, { "role": "user", "content": "q" }], "a": 1, "b": 2, "answer": "b", "x": "y" });
    let rows = File::new(&[chat]).prompts(json!({ "options": ["a", "b"], "fields": { "answer": "x" } })).unwrap_err();
    assert!(rows.contains("`answer` is `y`"), "{rows}");
    let chat = json!({ "prompt": [{ "role": "system", "content": "s" }, { "role": "user", "content": "q" }], "a": "c", "b": "d", "answer": "d" });
    let rows = File::new(&[chat]).prompts(json!({ "options": ["a", "b"] })).unwrap();
    let turns = rows[0].prompt.turns();
    assert_eq!((turns[1].text().unwrap().as_ref(), rows[0].answer.as_deref()), ("q\n\nA) c\nB) d", Some("B")));
}

#[test]
fn a_word_in_a_field_names_the_verifier() {
    let row = |word: &str, answer: Option<&str>| json!({ "prompt": "q", "set": word, "gold": answer });
    let rows = [row("gsm8k", Some("1")), row("choice", Some("A")), row("ifeval", Some("x"))];
    let import = json!({ "fields": { "verify": "set", "answer": "gold" },
        "verify": { "gsm8k": "number", "choice": "choice", "ifeval": "none" } });
    let verifiers: Vec<Verify> =
        File::new(&rows).prompts(import.clone()).unwrap().into_iter().map(|row| row.verify).collect();
    assert_eq!(verifiers, [Verify::NUMBER, Verify::CHOICE, Verify::NONE]);
    let error = File::new(&[row("math", Some("1"))]).prompts(import.clone()).unwrap_err();
    assert!(error.contains("`verify` is `math`, for which the input's `verify` names no verifier"), "{error}");
    assert!(error.contains("there are `choice`, `gsm8k`, `ifeval`"), "{error}");
    let error = File::new(&[json!({ "prompt": "q", "gold": "1" })]).prompts(import.clone()).unwrap_err();
    assert!(error.contains("no field `set`"), "{error}");
    let golds = json!({ "prompt": "q", "set": "gsm8k", "gold": ["1", "2"] });
    let error = File::new(&[golds]).prompts(import).unwrap_err();
    assert!(error.contains("`gold` is a list of 2, not a text; one item is `gold.0`"), "{error}");
}

#[test]
fn rows_are_counted_in_the_summary_of_the_stage() {
    use engine::stage::{Context, Input, Outcome, Stage, StageError};

    use crate::testing::{Attempt, artifact, well};

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Inputs {
        data: Vec<Input<mark::Preferences>>,
    }
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Params {}
    struct Reader;
    impl Stage for Reader {
        const KIND: &'static str = "reader";
        const HISTORY: &'static [&'static str] = &["the first"];
        const DOC: &'static str = "Reads.";
        const OUTPUTS: &'static [(&'static str, engine::artifact::ArtifactType)] = &[];
        type Inputs = Inputs;
        type Params = Params;

        fn run(_: &Context, inputs: Inputs, _: Params) -> Result<Outcome, StageError> {
            let rows = inputs.data.iter().map(|input| read_preferences(input).map(|rows| rows.len()));
            let rows = rows.sum::<Result<usize, Error>>()?;
            Ok(Outcome::Done(serde_json::Map::from_iter([("made".to_owned(), rows.into())])))
        }
    }
    let row =
        |id: usize, by: i32, kind: &str| json!({ "id": id, "prompt": "q", "a": "A", "b": "B", "by": by, "kind": kind });
    let rows = [
        row(0, 1, "x"),
        row(1, 1, "y"),
        row(1, 1, "x"),
        row(1, 1, "x"),
        row(2, 0, "x"),
        json!({ "kind": "x", "id": 4 }),
    ];
    let file = File::new(&rows);
    let path = file.0.path().join("data.jsonl");
    let prefer = json!({ "by": "sign", "of": "by", "between": ["a", "b"] });
    let import = json!({ "prefer": prefer, "where": { "kind": "x" }, "part": [0, 1], "unique": "id",
                         "on-bad-row": "leave-out" });
    let plain = File::new(&[json!({ "prompt": "q", "chosen": "A", "rejected": "B" })]);
    let data = [
        artifact::<mark::Preferences>("inputs.data", &path, import),
        artifact::<mark::Preferences>("inputs.plain", &plain.0.path().join("data.jsonl"), json!({})),
    ];
    let attempt = Attempt::new::<Reader>(&file.0.path().join("attempt"), &json!({ "data": data }), None);
    let Outcome::Done(summary) = well(attempt.run::<Reader>()) else { panic!("nobody asked for a stop") };
    let counts = json!({ "rows": 6, "left-out-by-where": 1, "left-out-by-part": 0, "left-out-by-unique": 1, "bad": 1,
                         "without-preference": 1 });
    assert_eq!(Value::Object(summary), json!({ "made": 3, "inputs": { "inputs.data": counts } }));
}

#[test]
fn chats_that_are_judged_have_the_same_turns_before_the_answer() {
    let turn = |role: &str, text: &str| json!({ "role": role, "content": text });
    let chat = |asked: &[&str], answer: &str| {
        let turns = asked.iter().map(|text| turn("user", text));
        turns.chain([turn("assistant", answer)]).collect::<Vec<_>>()
    };
    let read = |row: &Value| File::new(std::slice::from_ref(row)).preferences(json!({}));
    let whole = json!([turn("system", "s"), turn("user", "q")]);
    let both = |text: &str| {
        let mut turns = whole.as_array().unwrap().clone();
        turns.push(turn("assistant", text));
        json!(turns)
    };
    for prompt in [Value::Null, json!("q"), whole.clone()] {
        let row = json!({ "prompt": prompt, "chosen": both("A"), "rejected": both("B") });
        assert_eq!(read(&row), Ok(json!([{ "prompt": whole, "chosen": "A", "rejected": "B" }])), "{row}");
    }
    for (row, expected) in [
        (json!({ "chosen": chat(&["q"], "A"), "rejected": chat(&["p"], "B") }), "not answers to the same turns"),
        (json!({ "chosen": chat(&["q"], "A"), "rejected": chat(&["q", "r"], "B") }), "not answers to the same turns"),
        (
            json!({ "prompt": "p", "chosen": chat(&["q"], "A"), "rejected": chat(&["q"], "B") }),
            "none of the user's turns",
        ),
        (
            json!({ "prompt": [turn("user", "p")], "chosen": chat(&["q"], "A"), "rejected": chat(&["q"], "B") }),
            "not the conversation before the answer in `chosen`",
        ),
    ] {
        let error = read(&row).unwrap_err();
        assert!(error.contains("line 1") && error.contains(expected), "{row}: {error}");
    }
    let kwargs = json!({ "prompt": "q", "chosen": "A", "rejected": "B", "chat_template_kwargs": "{\"deep\": true}" });
    assert_eq!(read(&kwargs).unwrap()[0]["prompt"]["template-args"], json!({ "deep": true }));
}
