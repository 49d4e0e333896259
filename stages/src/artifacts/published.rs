//! Rows as data sets publish them: chats, nested fields, lists in parallel, filters.

use engine::artifact as mark;
use serde_json::{Value, json};

use super::*;
use crate::testing::input;

/// Reads `text` as samples, and returns each row's turns of the prompt as JSON, or its text, and the completion.
fn samples(text: &str, import: Value) -> Result<Vec<(Value, String)>, String> {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("data.jsonl"), text).unwrap();
    let input = input::<mark::Samples>("inputs.data", &folder.path().join("data.jsonl"), import);
    let rows = read_samples(&input).map_err(|error| error.to_string())?;
    Ok(rows.into_iter().map(|row| (serde_json::to_value(row.prompt).unwrap(), row.completion)).collect())
}

/// Reads `text` as prompts, and returns each row's text and gold answer.
fn prompts(text: &str, import: Value) -> Result<Vec<(String, Option<String>)>, String> {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("data.jsonl"), text).unwrap();
    let input = input::<mark::Prompts>("inputs.data", &folder.path().join("data.jsonl"), import);
    let rows = read_prompts(&input).map_err(|error| error.to_string())?;
    Ok(rows.into_iter().map(|row| (row.prompt.key().into_owned(), row.answer)).collect())
}

fn turn(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content })
}

#[test]
fn a_sample_is_read_in_every_published_form() {
    let chat = [turn("system", "Be brief."), turn("user", "2+2"), turn("assistant", "4")];
    let rounds = [turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("assistant", "d")];
    let fields = |fields: Value| json!({ "fields": fields });
    let table = [
        (json!({ "prompt": "2+2", "completion": "4" }), json!({}), json!("2+2"), "4"),
        (json!({ "messages": [chat[1], chat[2]] }), json!({}), json!("2+2"), "4"),
        (json!({ "messages": chat }), json!({}), json!(chat[..2]), "4"),
        (json!({ "messages": rounds }), json!({}), json!(rounds[..3]), "d"),
        (json!({ "messages": serde_json::to_string(&rounds).unwrap() }), json!({}), json!(rounds[..3]), "d"),
        (json!({ "prompt": chat[..2], "completion": [chat[2]] }), json!({}), json!(chat[..2]), "4"),
        (json!({ "prompt": chat[..2], "completion": "4" }), json!({}), json!(chat[..2]), "4"),
        (json!({ "talk": rounds }), fields(json!({ "prompt": "talk" })), json!(rounds[..3]), "d"),
        (
            json!({ "conversations": [{ "from": "human", "value": "2+2" }, { "from": "gpt", "value": "4" }] }),
            json!({}),
            json!("2+2"),
            "4",
        ),
        (
            json!({ "system": "Be brief.", "conversations": [{ "from": "human", "value": "2+2" }, { "from": "gpt", "value": "4" }] }),
            json!({}),
            json!(chat[..2]),
            "4",
        ),
        (
            json!({ "instruction": "Say hi", "input": "", "output": "hi" }),
            fields(json!({ "prompt": ["instruction", "input"], "completion": "output" })),
            json!("Say hi"),
            "hi",
        ),
        (
            json!({ "instruction": "Add", "input": "1 and 2", "output": 12_345_678_901_234_567_890_u64 }),
            fields(json!({ "prompt": ["instruction", "input"], "completion": "output" })),
            json!("Add 1 and 2"),
            "12345678901234567890",
        ),
        (json!({ "prompt": "2+2", "prompt_id": "x", "messages": chat }), json!({}), json!(chat[..2]), "4"),
        (
            json!({ "prompt": chat[..2], "thought": "two and two", "completion": "4" }),
            json!({}),
            json!(chat[..2]),
            "<think>\ntwo and two\n</think>\n\n4",
        ),
        (
            json!({ "instructions": "Be brief.", "question": "2+2", "response": "4" }),
            fields(json!({ "system": "instructions", "prompt": "question", "completion": "response" })),
            json!(chat[..2]),
            "4",
        ),
        (json!({ "system": "Be brief.", "prompt": "2+2", "completion": "4" }), json!({}), json!(chat[..2]), "4"),
        (
            json!({ "prompt": chat[..2], "completion": "4", "chat_template_kwargs": { "thinks": true, "tools": null } }),
            json!({}),
            json!({ "messages": chat[..2], "template-args": { "thinks": true } }),
            "4",
        ),
        (
            json!({ "prompt": { "messages": chat[..2], "template-args": { "thinks": true } }, "completion": "4" }),
            json!({ "template-args": { "thinks": false, "budget": 3 } }),
            json!({ "messages": chat[..2], "template-args": { "budget": 3, "thinks": true } }),
            "4",
        ),
        (
            json!({ "q": "2+2", "why": "two and two", "a": "4" }),
            fields(json!({ "prompt": "q", "thought": "why", "completion": "a" })),
            json!("2+2"),
            "<think>\ntwo and two\n</think>\n\n4",
        ),
    ];
    for (row, import, prompt, completion) in table {
        let text = row.to_string();
        assert_eq!(samples(&text, import), Ok(vec![(prompt, completion.to_owned())]), "{text}");
    }
    let long = r#"{"prompt": "a", "completion": 123456789012345678901234567890}"#;
    assert_eq!(samples(long, json!({})).unwrap()[0].1, "123456789012345678901234567890");
}

#[test]
fn preferences_are_texts_or_conversations() {
    let read = |row: Value| {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("data.jsonl"), row.to_string()).unwrap();
        let input = input::<mark::Preferences>("inputs.data", &folder.path().join("data.jsonl"), json!({}));
        let rows = read_preferences(&input).map_err(|error| error.to_string())?;
        Ok::<Value, String>(serde_json::to_value(&rows[0]).unwrap())
    };
    let (user, good, bad) = (turn("user", "2+2"), turn("assistant", "4"), turn("assistant", "5"));
    let expected = json!({ "prompt": "2+2", "chosen": "4", "rejected": "5" });
    for row in [
        expected.clone(),
        json!({ "prompt": "2+2", "chosen": [user, good], "rejected": [user, bad] }),
        json!({ "prompt": [user], "chosen": [good], "rejected": [bad] }),
        json!({ "chosen": [user, good], "rejected": [user, bad] }),
    ] {
        assert_eq!(read(row.clone()), Ok(expected.clone()), "{row}");
    }
    let error = read(json!({ "prompt": "2+2", "chosen": [user], "rejected": [user, bad] })).unwrap_err();
    assert!(error.contains("`chosen`: the last turn is the user's"), "{error}");
}

#[test]
fn a_row_that_no_turn_can_be_learnt_of_is_refused_with_its_line() {
    for (row, expected) in [
        (
            json!({ "messages": [turn("user", "a"), turn("assistant", "b"), turn("user", "c")] }),
            "the last turn is the user's",
        ),
        (json!({ "messages": [turn("assistant", "b")] }), "only an assistant's turn"),
        (json!({ "messages": "x" }), "`messages` is text"),
        (json!({ "messages": [{ "role": "user" }, { "content": "b" }] }), "turn 2"),
        (json!({ "instruction": "", "input": "" }), "`prompt`"),
    ] {
        let error = samples(&row.to_string(), json!({})).unwrap_err();
        assert!(error.contains("line 1") && error.contains(expected), "{row}: {error}");
    }
}

#[test]
fn a_prompt_is_what_comes_before_the_assistants_last_turn() {
    let calls = json!({ "role": "assistant", "content": null, "tool_calls": [{}] });
    for last in [turn("assistant", "4"), calls] {
        let row = json!({ "messages": [turn("user", "2+2"), last] }).to_string();
        assert_eq!(prompts(&row, json!({})), Ok(vec![("2+2".to_owned(), None)]));
    }
    let error = prompts(&json!({ "messages": [turn("system", "x")] }).to_string(), json!({})).unwrap_err();
    assert!(error.contains("no user's turn"), "{error}");
}

#[test]
fn a_field_may_be_a_path_into_objects_lists_and_json() {
    let row = json!({
        "q": "2+2", "reward_model": { "ground_truth": "4" }, "golds": ["4", "four"], "one": ["4"],
        "info": "{\"a\": {\"b\": [7]}}", "a.b": "dot", "extra": { "Qwen-1.5B": 3, "x.y": { "z.w": 5 } },
    })
    .to_string();
    for (path, expected) in [
        ("reward_model.ground_truth", "4"),
        ("golds.1", "four"),
        ("one", "4"),
        ("info@json.a.b.0", "7"),
        ("info@json.a.b", "7"),
        ("a.b", "dot"),
        ("extra.Qwen-1.5B", "3"),
        ("extra.x.y.z.w", "5"),
    ] {
        let import = json!({ "fields": { "prompt": "q", "answer": path } });
        assert_eq!(prompts(&row, import), Ok(vec![("2+2".to_owned(), Some(expected.to_owned()))]), "{path}");
    }
    for (path, expected) in [
        ("reward_model.truth", "no field `reward_model.truth`; there are"),
        ("golds.7", "no field `golds.7`"),
        ("golds", "`golds` is a list of 2, not a text"),
        ("q@json.a", "`q@json` is no JSON"),
    ] {
        let error = prompts(&row, json!({ "fields": { "prompt": "q", "answer": path } })).unwrap_err();
        assert!(error.contains(expected), "{path}: {error}");
    }
}

#[test]
fn rows_are_expanded_then_filtered_then_made_unique() {
    let text = [
        json!({ "prompt": "a", "kind": "math", "rate": 0.5, "tries": ["1", "2"], "right": [true, false] }),
        json!({ "prompt": "b", "kind": "code", "rate": 0.1, "tries": ["3"], "right": [true] }),
        json!({ "prompt": "a", "kind": "logic", "rate": 0.95, "tries": ["4"], "right": [true] }),
    ]
    .map(|row| row.to_string())
    .join("\n");
    let read = |mut import: Value| {
        import["fields"] = json!({ "completion": "tries" });
        import["expand"] = json!(["tries", "right"]);
        let rows = samples(&text, import).unwrap();
        rows.into_iter().map(|(_, completion)| completion).collect::<String>()
    };
    assert_eq!(read(json!({})), "1234");
    assert_eq!(read(json!({ "where": { "right": true } })), "134");
    assert_eq!(read(json!({ "where": { "right": true, "kind": ["math", "code"] } })), "13");
    assert_eq!(read(json!({ "where": { "rate": [0.1, 0.5] } })), "123");
    assert_eq!(read(json!({ "where": { "right": true }, "unique": "prompt" })), "13");
    assert_eq!(read(json!({ "where": { "kind": "none" } })), "");
    for (import, expected) in [
        (json!({ "expand": ["kind"] }), "`kind` is no list"),
        (json!({ "expand": ["tries", "rights"] }), "no field `rights`; there are"),
        (json!({ "where": { "kinds": "x" } }), "no field `kinds`"),
        (json!({ "unique": "text" }), "no field `text`"),
    ] {
        let error = samples(&text, import.clone()).unwrap_err();
        assert!(error.contains(expected), "{import}: {error}");
    }
    let uneven = json!({ "prompt": "a", "tries": ["1", "2"], "right": [true] }).to_string();
    let error = samples(&uneven, json!({ "expand": ["tries", "right"] })).unwrap_err();
    assert!(error.contains("`tries` has 2 items and `right` has 1"), "{error}");
}

#[test]
fn bad_rows_fail_the_input_or_are_left_out() {
    let text = "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"c\"}\nnot json\n{\"prompt\": \"d\", \"completion\": \"e\"}";
    let error = samples(text, json!({})).unwrap_err();
    assert!(error.contains("line 2") && error.contains("(2 of 4 rows cannot be read)"), "{error}");
    let rows = samples(text, json!({ "on-bad-row": "leave-out" })).unwrap();
    assert_eq!(rows.iter().map(|(_, completion)| completion.as_str()).collect::<String>(), "be");
}

#[test]
fn what_a_row_has_twice_or_beside_its_chat_is_used_or_refused() {
    let chat = [turn("user", "q"), turn("assistant", "a")];
    let read = |row: Value, import: Value| samples(&row.to_string(), import).map(|mut rows| rows.remove(0));
    let thought = json!({ "fields": { "thought": "why" } });
    let with_thought = read(json!({ "messages": chat, "why": "t" }), thought.clone()).unwrap();
    assert_eq!(with_thought.1, "<think>\nt\n</think>\n\na");
    assert_eq!(read(json!({ "messages": chat, "why": null }), thought).unwrap().1, "a");
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    for written in [tools.clone(), json!(tools.to_string())] {
        let (prompt, _) = read(json!({ "messages": chat, "tools": written }), json!({})).unwrap();
        assert_eq!(prompt["template-args"]["tools"], tools);
    }
    assert_eq!(read(json!({ "messages": chat, "tools": [] }), json!({})).unwrap().0, json!("q"));
    for (row, expected) in [
        (json!({ "prompt": "other", "messages": chat }), "none of the user's turns"),
        (json!({ "prompt": chat, "completion": " more" }), "ends with the assistant's turn"),
        (
            json!({ "system": "s", "messages": [turn("system", "t"), chat[0], chat[1]] }),
            "`system` differs from the conversation's",
        ),
        (json!({ "messages": chat, "tools": 3 }), "`tools` is no list"),
    ] {
        let error = read(row.clone(), json!({})).unwrap_err();
        assert!(error.contains("line 1") && error.contains(expected), "{row}: {error}");
    }
}

#[test]
fn numbers_in_json_in_a_text_keep_their_digits_and_lists_are_found_by_path() {
    let big = "12345678901234567890123";
    let row = json!({ "prompt": "q", "g": format!("[{big}]") }).to_string();
    assert_eq!(prompts(&row, json!({ "fields": { "answer": "g@json.0" } })).unwrap()[0].1.as_deref(), Some(big));
    let row = json!({ "prompt": "q", "g": { "l": "[\"x\", \"\", \"y\"]" } }).to_string();
    let import =
        |on_bad: &str| json!({ "expand": ["g.l@json"], "fields": { "completion": "g.l@json" }, "on-bad-row": on_bad });
    let rows = samples(&row, import("leave-out")).unwrap();
    assert_eq!(rows.iter().map(|row| row.1.as_str()).collect::<String>(), "xy", "only the bad item is left out");
    assert!(samples(&row, import("fail")).is_err());
    let of_a_table = json!({ "prompt": "q", "completion": "a", "rate": "0.5" }).to_string();
    assert_eq!(samples(&of_a_table, json!({ "where": { "rate": [0, 1] } })).unwrap().len(), 1);
}
