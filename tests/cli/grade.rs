//! `r1flow grade` with the real worker.

use std::path::PathBuf;

use serde_json::json;

use super::support::Sandbox;

/// Word problems with a gold answer behind `####`; what a person says is `human`.
const SUMS: &str = r#####"{"question": "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did Natalia sell altogether in April and May?", "answer": "48/2 = 24 clips in May.\n48+24 = 72 clips.\n#### 72", "output": "April: 48, May: 24. The answer is **72 clips**.", "human": "correct"}
{"question": "2 + 2?", "answer": "#### 4", "output": "<think>two and two</think><answer>\\boxed{5}</answer>", "human": "incorrect"}
{"question": "How much is 1,000 + 80?", "answer": "#### 1,080", "output": "I get \\boxed{1080.00}.", "human": "correct"}
{"question": "3 * 3?", "answer": "#### 9", "output": "It is either 9 or 6.", "human": "correct"}
{"question": "A third of a cake?", "answer": "#### \\frac{1}{3}", "output": "I do not know.", "human": "incorrect"}
{"question": "Cut off?", "answer": "#### 7", "output": "The answer is 7", "finished": false}
"#####;

const READ: [&str; 8] = [
    "grade",
    "sums.jsonl",
    "--with",
    "fields={prompt=\"question\", completion=\"output\"}",
    "--with",
    "answer-after=\"####\"",
    "--with",
    "verify=number",
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")));
    sandbox.write("sums.jsonl", SUMS);
    sandbox
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&READ, more].concat()
}

#[test]
fn a_file_is_graded_and_every_row_explained() {
    let sandbox = sandbox();
    insta::assert_snapshot!(sandbox.run(&READ), @r"
    exit code 0
    ── stdout
                                              rows  share
    all                                       6     100.0 %
    right                                     2     33.3 %
    right, but unfinished or not in the form  1     16.7 %
    wrong                                     2     33.3 %
    answer unparsed                           1     16.7 %
    gold unparsed                             0     0.0 %
    format ok                                 5     83.3 %

    reward    mean     least  most  rows
    accuracy  0.33333  0      1     6
    total     0.33333  0      1     6
    ");
    insta::assert_snapshot!(sandbox.run(&with(&["--explain"])), @r#"
    exit code 0
    ── stdout
    row 0: right
      prompt  Natalia sold clips to 48 of he…talia sell altogether in April and May?
      gold    72
      found   72 clips, after "the answer is" or its like
    row 1: wrong
      prompt  2 + 2?
      gold    4
      found   5, in a box
    row 2: right
      prompt  How much is 1,000 + 80?
      gold    1,080 (read as 1080 or 1, 80)
      found   1080.00 (read as 1080), in a box
    row 3: wrong
      prompt  3 * 3?
      gold    9
      found   9 or 6 (read as 9, 6), the last expression of the text
    row 4: answer unparsed
      prompt  A third of a cake?
      gold    \frac{1}{3} (read as 1/3)
      found   I do not know., the whole text
    row 5: right, but unfinished or not in the form
      prompt  Cut off?
      gold    7
      found   7, after "the answer is" or its like

                                              rows  share
    all                                       6     100.0 %
    right                                     2     33.3 %
    right, but unfinished or not in the form  1     16.7 %
    wrong                                     2     33.3 %
    answer unparsed                           1     16.7 %
    gold unparsed                             0     0.0 %
    format ok                                 5     83.3 %

    reward    mean     least  most  rows
    accuracy  0.33333  0      1     6
    total     0.33333  0      1     6
    "#);
    insta::assert_snapshot!(sandbox.run(&with(&["--label", "human", "--explain"])), @r"
    exit code 0
    ── stdout
    row 3: wrong, labelled right
      prompt  3 * 3?
      gold    9
      found   9 or 6 (read as 9, 6), the last expression of the text

                                              rows  share
    all                                       6     100.0 %
    right                                     2     33.3 %
    right, but unfinished or not in the form  1     16.7 %
    wrong                                     2     33.3 %
    answer unparsed                           1     16.7 %
    gold unparsed                             0     0.0 %
    format ok                                 5     83.3 %

    reward    mean     least  most  rows
    accuracy  0.33333  0      1     6
    total     0.33333  0      1     6

    human  judged right  judged wrong
    right  2             1
    wrong  0             2
    judged as labelled: 4 of 5 rows (80.0 %)
    ── stderr
    without a label or a gold answer: 1 row
    ");
    let json = sandbox.json(&with(&["--label", "human", "--limit", "2"]));
    assert_eq!(json["rows"].as_array().unwrap().len(), 2);
    assert_eq!(
        json["rows"][1],
        json!({
            "index": 1, "gold": "4", "answer": "\\boxed{5}", "verdict": "wrong", "correct": false, "format": true,
            "total": 0.0, "parts": { "accuracy": 0.0 }, "label": false,
        })
    );
    assert_eq!((&json["summary"]["rows"], &json["summary"]["right"]), (&json!(2), &json!(1)), "{json}");
    assert_eq!(json["confusion"]["agreement"], json!(1.0), "{json}");
    let explained = sandbox.json(&with(&["--explain", "--where", "question=2 + 2?"]));
    assert_eq!(explained["rows"][0]["explanation"]["place"], "in a box", "{explained}");
    assert_eq!(explained["left-out"], json!({ "left-out-by-where": 5 }));
}

#[test]
fn tables_and_choices_are_graded_with_other_rewards() {
    let sandbox = sandbox();
    sandbox.write("units.csv", "task,gold,model output,ok,tokens\nhow far?,5 km,It is 5000 m.,1,9\nhow hot?,20,,0,0\n");
    let csv = ["grade", "units.csv", "--with", "fields.completion=model output", "--with", "fields.answer=gold"];
    let csv = [&csv[..], &["--with", "fields.prompt=task"]].concat();
    let rewards = ["--reward", "accuracy=2", "--reward", "length={max-tokens=10}", "--label", "ok"];
    insta::assert_snapshot!(sandbox.run(&[&csv[..], &rewards].concat()), @r"
    exit code 0
    ── stdout
                     rows  share
    all              2     100.0 %
    right            1     50.0 %
    wrong            0     0.0 %
    answer unparsed  1     50.0 %
    gold unparsed    0     0.0 %
    format ok        2     100.0 %

    reward    mean   least  most  rows
    accuracy  0.5    0      1     2
    length    -0.25  -0.5   0     2
    total     0.75   0      1.5   2

    ok     judged right  judged wrong
    right  1             0
    wrong  0             1
    judged as labelled: 2 of 2 rows (100.0 %)
    ");
    sandbox.write(
        "choices.jsonl",
        concat!(
            r#"{"prompt": "Which is a planet?", "choices": ["Mars", "Moon", "Sun"], "answer": 0, "completion": "The answer is (A)."}"#,
            "\n",
            r#"{"prompt": "Which is a moon?", "choices": ["Mars", "Titan", "Sun"], "answer": 1, "completion": "The answer is Mars."}"#,
            "\n",
            r#"{"prompt": "Which is a star?", "choices": ["Mars", "Titan", "Sun"], "answer": 2, "completion": "A or C"}"#,
            "\n",
        ),
    );
    let choices = ["grade", "choices.jsonl", "--with", "options=choices", "--reward", "format", "--explain"];
    insta::assert_snapshot!(sandbox.run(&choices), @r"
    exit code 0
    ── stdout
    row 0: right
      prompt  Which is a planet? A) Mars B) Moon C) Sun
      gold    A
      found   A, chosen
    row 1: wrong
      prompt  Which is a moon? A) Mars B) Titan C) Sun
      gold    B
      found   A, chosen
    row 2: wrong
      prompt  Which is a star? A) Mars B) Titan C) Sun
      gold    C
      found   A or C, chosen

                     rows  share
    all              3     100.0 %
    right            1     33.3 %
    wrong            2     66.7 %
    answer unparsed  0     0.0 %
    gold unparsed    0     0.0 %
    format ok        3     100.0 %

    reward  mean  least  most  rows
    format  1     1      1     3
    total   1     1      1     3
    ");
}

#[test]
fn mistakes_have_a_place_and_a_cure() {
    let sandbox = sandbox();
    insta::assert_snapshot!(sandbox.run(&with(&["--reward", "exactness"])), @r"
    exit code 2
    ── stderr
    error: no reward `exactness`; there are `accuracy`, `format`, `tests`, `language`, `reflection`, `overconfidence`, `length`, `repetition`, `structure`, `conciseness`, `helpful`, `harmless`, and your own, `own.exactness = { program = … }`, and those of judges, `judge.exactness = { model = … }`
    ");
    insta::assert_snapshot!(sandbox.run(&with(&["--reward", "length={most=5}"])), @r"
    exit code 2
    ── stderr
    error: reward `length`: unknown field `most`, expected `max-tokens` or `buffer`
    ");
    insta::assert_snapshot!(sandbox.run(&with(&["--reward", "length={max-tokens=5}"])), @r"
    exit code 2
    ── stderr
    error: row 0: reward `length` reads the length of a completion in tokens, and there is no number in the field `tokens`
    help: leave the reward out, or add the field `tokens` to every row
    ");
    insta::assert_snapshot!(sandbox.run(&with(&["--reward", "helpful"])), @r"
    exit code 2
    ── stderr
    error: reward `helpful` reads a reward model, which a workflow names
    help: leave it out here; an `eval` stage measures it
    ");
    insta::assert_snapshot!(sandbox.run(&["grade", "sums.jsonl", "--with", "verify2=number"]), @r"
    exit code 2
    ── stderr
    error: there is no key `verify2` for `--with`: did you mean `verify`?
    ");
    insta::assert_snapshot!(sandbox.run(&["grade", "sums.jsonl", "--with", "fields.prompts=question"]), @r"
    exit code 2
    ── stderr
    error: the import keys of `sums.jsonl` are not understood: unknown field `prompts`, expected one of `prompt`, `completion`, `thought`, `answer`, `verify`, `system`, `language`, `chosen`, `rejected`, `label`, `tests`, `id`, `task`, `source`
    ");
    insta::assert_snapshot!(sandbox.run(&["grade", "sums.jsonl"]), @r"
    exit code 2
    ── stderr
    error: `[DIR]/sums.jsonl` line 1: no field `completion`; there are `question`, `answer`, `output`, `human`: map yours onto ours with `fields` (6 of 6 rows cannot be read)
    ");
    insta::assert_snapshot!(sandbox.run(&["grade", "nowhere.jsonl"]), @r"
    exit code 2
    ── stderr
    error: there is no file or folder `nowhere.jsonl`
    ");
    insta::assert_snapshot!(sandbox.run(&with(&["--label", "question"])), @r#"
    exit code 2
    ── stderr
    error: `[DIR]/sums.jsonl` line 1: `question` is `"Natalia sold clips to 48 of her friends`, expected true or false, 1 or 0, yes or no, correct or incorrect (6 of 6 rows cannot be read)
    "#);
    insta::assert_snapshot!(sandbox.run(&with(&["--where", "human=maybe"])), @r"
    exit code 2
    ── stderr
    error: `[DIR]/sums.jsonl` line 6: no field `human`; there are `question`, `answer`, `output`, `finished`: map yours onto ours with `fields` (1 of 1 rows cannot be read)
    ");
}
