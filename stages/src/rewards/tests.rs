//! A table of cases for every reward, and tests of the `rewards` table itself.

use engine::artifact as mark;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::*;
use crate::testing::{artifact, loading, message, reference, well};
use crate::verifiers::Verify;

fn prompt(verify: Verify, answer: &str) -> PromptRow {
    PromptRow {
        id: "0".to_owned(),
        prompt: "8-8+1+2+4=?".into(),
        answer: (verify != Verify::NONE).then(|| answer.to_owned()),
        verify,
        tests: None,
        tolerance: None,
        task: None,
        language: Some("en".to_owned()),
        source: "sums.prompts".to_owned(),
    }
}

fn rewards(table: Value) -> Rewards {
    serde_json::from_value(table).unwrap()
}

/// Scores one completion of `prompt` with the rewards of `table`, after `step` updates.
fn breakdown(table: &Value, step: u64, prompt: &PromptRow, completion: &str, finished: bool) -> RewardBreakdown {
    let loading = loading(std::path::Path::new("."));
    let grader = well(Grader::load([prompt], crate::grading::Form::Tags, &loading));
    let scorer = well(rewards(table.clone()).load(grader, &loading));
    let row = Scored { prompt, completion, finished, num_tokens: completion.chars().count() };
    well(scorer.score(step, &[row])).remove(0)
}

/// Checks one reward on completions of a number prompt with gold answer 7.
fn check(reward: &'static str, keys: Value, cases: &[(&str, bool, f64)]) {
    for (completion, finished, expected) in cases {
        let got = breakdown(&json!({ reward: keys }), 0, &prompt(Verify::NUMBER, "7"), completion, *finished);
        assert_eq!(got.parts.get(reward), Some(expected), "{reward} of {completion:?}, finished: {finished}");
    }
}

const GOOD: &str = "<think>8-8=0,+1=1,+2=3,+4=7</think><answer>7</answer>";

#[test]
fn accuracy_wants_the_right_answer_in_well_formed_tags() {
    check(
        "accuracy",
        json!(1.0),
        &[
            (GOOD, true, 1.0),
            (GOOD, false, 0.0),
            ("<think>8-8=0</think><answer>8</answer>", true, 0.0),
            ("<think></think><answer>7</answer>", true, 1.0),
            ("<think></think><answer>maybe 7</answer>", true, 1.0),
            ("7", true, 0.0),
            ("<think>7<answer>7</answer>", true, 0.0),
            ("<think>7</think>7</answer>", true, 0.0),
            ("<think>7</think><answer></answer>", true, 0.0),
            ("<answer>7</answer><think>7</think>", true, 0.0),
            ("<think>7</think><answer>7</answer><answer>7</answer>", true, 0.0),
            ("", true, 0.0),
        ],
    );
}

#[test]
fn accuracy_of_other_prompts() {
    let accuracy = json!({ "accuracy": 1.0 });
    for (verify, gold, completion, expected) in [
        (Verify::EXACT, "cba", "cba", Some(1.0)),
        (Verify::EXACT, "cba", " cba\n", Some(1.0)),
        (Verify::EXACT, "cba", "cbb", Some(0.0)),
        (Verify::EXACT, "cba", "<think></think><answer>cba</answer>", Some(0.0)),
        (Verify::CHOICE, "B", "<think>x</think><answer>B</answer>", Some(1.0)),
        (Verify::CHOICE, "B", "<think>x</think><answer>C</answer>", Some(0.0)),
        (Verify::CHOICE, "B", "B", Some(0.0)),
        (Verify::NONE, "", "anything", None),
    ] {
        let got = breakdown(&accuracy, 0, &prompt(verify, gold), completion, true);
        assert_eq!(got.parts.get("accuracy").copied(), expected, "{verify:?} {completion}");
    }
}

#[test]
fn gold_that_does_not_parse_fails_closed_and_shows() {
    for completion in ["<think></think><answer>paris</answer>", "<think></think><answer>7</answer>"] {
        let got = breakdown(
            &json!({ "accuracy": 1.0, "overconfidence": 1.0 }),
            0,
            &prompt(Verify::NUMBER, "?"),
            completion,
            true,
        );
        assert_eq!(got.parts.get("accuracy"), Some(&0.0));
        assert_eq!(got.parts.get("overconfidence"), None, "without an answer nothing is wrong");
        assert!(got.grade.gold_unparsed());
    }
}

#[test]
fn format_wants_one_thought_and_one_answer() {
    check(
        "format",
        json!(1.0),
        &[
            (GOOD, true, 1.0),
            (GOOD, false, 0.0),
            ("<think></think><answer>0</answer>", true, 1.0),
            ("<think>7</think>", true, 0.0),
            ("7</think><answer>7</answer>", true, 0.0),
            ("7", true, 0.0),
        ],
    );
    let bare = breakdown(&json!({ "format": 1.0 }), 0, &prompt(Verify::EXACT, "cba"), "cba", true);
    assert!(bare.parts.is_empty(), "a bare answer has no format");
}

#[test]
fn language_is_the_share_of_words_of_the_thought() {
    check(
        "language",
        json!(1.0),
        &[
            (GOOD, true, 1.0),
            ("<think>8-8得0,+1得1</think><answer>7</answer>", true, 0.0),
            ("<think>so we add four and get seven</think><answer>7</answer>", true, 1.0),
            ("8-8得0,+1得1.7", true, 0.0),
            ("7", true, 1.0),
        ],
    );
    let bare = breakdown(&json!({ "language": 1.0 }), 0, &prompt(Verify::EXACT, "chien"), "chien", true);
    assert!(bare.parts.is_empty(), "a translation may be in another language");
}

/// A thought that confirms what it found.
const CHECKED: &str =
    "<think>1+2=3, and 3+4=7, so it is 7. Let me check: 7-4=3, so it is indeed 7.</think><answer>7</answer>";

#[test]
fn reflection_is_a_check_that_comes_to_something() {
    check(
        "reflection",
        json!(1.0),
        &[
            (GOOD, true, 0.0),
            (CHECKED, true, 0.5),
            ("<think>wait wait wait wait wait wait</think><answer>12</answer>", true, 0.0),
            ("<think>3 * 4 = 12. Let me check. Let me check.</think><answer>12</answer>", true, 0.0),
            (&CHECKED.replace("</answer>", ""), true, 0.0),
            (CHECKED, false, 0.0),
        ],
    );
    check("reflection", json!({ "cap": 1 }), &[(CHECKED, true, 0.5)]);
}

#[test]
fn overconfidence_charges_for_being_wrong_without_a_doubt() {
    let cases: &[(&str, bool, f64)] = &[
        (GOOD, true, 0.0),
        ("<think></think><answer>8</answer>", true, -1.0),
        ("<think></think><answer>maybe 8</answer>", true, 0.0),
        ("<think></think><answer>maybe 7</answer>", true, -0.5),
        ("8", true, -1.0),
        ("<think></think><answer>8</answer>", false, 0.0),
        ("<think></think><answer></answer>", true, 0.0),
        ("<think></think><answer>The answer is 8. I am 80% sure.</answer>", true, -0.8),
        ("<think></think><answer>7 (I am 50% sure)</answer>", true, -0.25),
    ];
    check("overconfidence", json!(1.0), cases);
    check("overconfidence", json!({ "hedge-cost": 0.1 }), &[("<think></think><answer>maybe 7</answer>", true, -0.1)]);
}

#[test]
fn length_falls_over_the_last_part() {
    let text = |length: usize| "x".repeat(length);
    for (length, expected) in [(1, 0.0), (80, 0.0), (90, -0.5), (100, -1.0), (120, -1.0)] {
        check("length", json!({ "max-tokens": 100 }), &[(&text(length), true, expected)]);
    }
    check("length", json!({ "max-tokens": 100, "buffer": 0.0 }), &[(&text(99), true, 0.0), (&text(100), true, -1.0)]);
}

#[test]
fn repetition_charges_for_going_round_in_circles() {
    check("repetition", json!(1.0), &[(GOOD, true, 0.0), (&"so we add one. ".repeat(40), true, -1.0)]);
}

#[test]
fn the_total_is_the_weighted_sum_of_what_applies() {
    let set = serde_json::to_value(artifact::<mark::Prompts>("sums.prompts", "x".as_ref(), json!({}))).unwrap();
    let other = serde_json::to_value(artifact::<mark::Prompts>("chat.prompts", "x".as_ref(), json!({}))).unwrap();
    let table = json!({
        "format": { "weight": 0.25, "on": [set] },
        "accuracy": { "from-step": 10 },
        "repetition": { "on": [other] },
        "language": null,
    });
    let prompt = prompt(Verify::NUMBER, "7");
    let early = breakdown(&table, 9, &prompt, GOOD, true);
    assert_eq!((early.total, early.parts), (0.25, BTreeMap::from([("format", 1.0)])));
    let late = breakdown(&table, 10, &prompt, GOOD, true);
    assert_eq!((late.total, late.parts), (1.25, BTreeMap::from([("accuracy", 1.0), ("format", 1.0)])));
}

#[test]
fn mistakes_in_the_table_are_named() {
    let refusal = |table: Value| serde_json::from_value::<Rewards>(table).unwrap_err().to_string();
    for (table, expected) in [
        (json!({ "acuracy": 1.0 }), "no reward `acuracy`; there are `accuracy`, `format`"),
        (json!({ "accuracy": "much" }), "reward `accuracy` is \"much\", expected a weight or a table"),
        (json!({ "accuracy": { "wait": 1 } }), "reward `accuracy`: unknown field `wait`"),
        (json!({ "reflection": { "cup": 1 } }), "reward `reflection`: unknown field `cup`"),
        (json!({ "length": 1.0 }), "reward `length`: missing field `max-tokens`"),
        (json!({ "helpful": 1.0 }), "reward `helpful`: missing field `model`"),
    ] {
        let refusal = refusal(table);
        assert!(refusal.starts_with(expected), "{refusal}");
    }
    let chat = reference::<mark::Prompts>("chat.prompts", "x".as_ref());
    let sums = crate::testing::input("sums.prompts", "x".as_ref(), json!({}));
    let stranger = rewards(json!({ "format": { "on": [chat] } })).check_sources(&[sums]);
    assert_eq!(message(stranger), "reward `format` is on `chat.prompts`, which is none of the stage's prompts");
}

#[test]
fn the_schema_says_which_keys_there_are() {
    let schema = Rewards::json_schema(&mut SchemaGenerator::default()).to_value();
    assert_eq!(schema["additionalProperties"], json!(false));
    let accuracy = &schema["properties"]["accuracy"]["anyOf"];
    assert_eq!(accuracy[0], json!({ "type": "number" }));
    assert_eq!(accuracy[1]["additionalProperties"], json!(false));
    assert_eq!(accuracy[1]["properties"]["on"]["items"]["x-artifact"], json!("prompts"));
    let helpful = &schema["properties"]["helpful"]["anyOf"][0];
    assert_eq!(helpful["properties"]["model"]["x-artifact"], json!("reward-model"));
    assert_eq!(helpful["required"], json!(["model"]));
    assert_eq!(helpful["properties"]["reads"]["default"], json!("answer"));
    assert_eq!(helpful["properties"]["from-step"]["default"], json!(0));
}

#[test]
fn helpful_answers_are_paid_for_saying_something_in_pieces_that_can_be_read() {
    let rewards = json!({ "structure": 1.0, "conciseness": { "words": 20 } });
    let score = |answer: &str| breakdown(&rewards, 0, &prompt(Verify::NONE, ""), answer, true).parts;
    let plain = score("Boil the water first. Add the leaves and wait four minutes before you pour.");
    assert_eq!((plain["structure"], plain["conciseness"]), (1.0, 1.0));
    let padded = score("Sure! Great question! Boil the water first. I hope this helps!");
    assert!(padded["conciseness"] < 0.6, "{padded:?}");
    let headed = score("# Tea\n## Water\nBoil it.\n## Leaves\nAdd them.");
    assert!(headed["structure"] < 0.5, "{headed:?}");
    let long = score(&(0..60).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" "));
    assert!(long["conciseness"].abs() < 1e-9, "{long:?}");
    let verified = breakdown(&rewards, 0, &prompt(Verify::NUMBER, "7"), "7", true);
    assert!(verified.parts.is_empty());
}
