//! Rows of programming problems with the columns of published sets.

use engine::artifact as mark;
use serde_json::{Value, json};

use crate::artifacts::read_prompts;
use crate::checks::Tests;
use crate::testing::input;
use crate::verifiers::Verify;

/// Reads one row, and returns its tests as JSON.
fn tests(row: &Value, import: Value) -> Result<Value, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.jsonl");
    fs_err::write(&file, row.to_string()).unwrap();
    let rows =
        read_prompts(&input::<mark::Prompts>("inputs.data", &file, import)).map_err(|error| error.to_string())?;
    let has_rules = matches!(rows[0].tests, Some(Tests::Rules { .. }));
    let verify = match rows[0].tests {
        None => Verify::NONE,
        Some(_) if has_rules => Verify::INSTRUCTIONS,
        Some(_) => Verify::CODE,
    };
    assert_eq!((rows[0].verify, rows[0].answer.as_ref()), (verify, None));
    Ok(serde_json::to_value(&rows[0].tests).unwrap())
}

fn with(mut row: Value, key: &str, value: impl Into<Value>) -> Value {
    row[key] = value.into();
    row
}

fn livecodebench() -> Value {
    json!({
        "prompt": "Add.", "question_id": "1", "starter_code": "", "metadata": "{}",
        "public_test_cases": "[{\"input\": \"1 2\\n\", \"output\": \"3\\n\", \"testtype\": \"stdin\"}]",
        // base64.b64encode(zlib.compress(pickle.dumps(json.dumps([{"input": "4 5\n", "output": "9\n", "testtype":
        // "stdin"}]))))
        "private_test_cases": PRIVATE,
    })
}

const PRIVATE: &str = "eJxrYJlqxwABPVbR1UqZeQWlJUpWCkomCqYxeUo6Ckr5pSVQIUuIQElqcUlJZUEqSKi4JCUzT6k2dooeALLyFKk=";

#[test]
fn livecodebenchs_public_and_private_tests_are_read() {
    let form = || json!({ "tests": "livecodebench" });
    let (public, private) =
        (json!({ "input": "1 2\n", "output": "3\n" }), json!({ "input": "4 5\n", "output": "9\n" }));
    let both = json!({ "form": "streams", "cases": [public, private] });
    assert_eq!(tests(&livecodebench(), form()), Ok(both.clone()));
    let plain = "[{\"input\": \"4 5\\n\", \"output\": \"9\\n\", \"testtype\": \"stdin\"}]";
    assert_eq!(tests(&with(livecodebench(), "private_test_cases", plain), form()), Ok(both));

    let call = |name: &str| {
        json!({
            "prompt": "Add.", "metadata": name, "private_test_cases": "[]",
            "public_test_cases": "[{\"input\": \"[1, 2]\\n\\\"x\\\"\", \"output\": \"3\", \"testtype\": \"functional\"}]",
        })
    };
    let expected = json!({ "form": "calls", "function": "add",
        "cases": [{ "arguments": [[1, 2], "x"], "expected": [3] }] });
    assert_eq!(tests(&call("{\"func_name\": \"add\"}"), form()), Ok(expected));
    let mixed = with(call("{\"func_name\": \"add\"}"), "private_test_cases", plain);
    for (row, expected) in [
        (call("{}"), "`metadata` has no `func_name`"),
        (mixed, "some of its test cases call a function"),
        (with(livecodebench(), "private_test_cases", "eJxrYJnKwQABsVN6GCumJOoBACMNBDs="), "a pickle"),
        (with(livecodebench(), "public_test_cases", "[3]"), "`test case` is no text"),
        (with(with(livecodebench(), "public_test_cases", "[]"), "private_test_cases", "[]"), "it has no tests"),
        (json!({ "prompt": "Add." }), "no field `public_test_cases`"),
    ] {
        let error = tests(&row, form()).unwrap_err();
        assert!(error.contains("line 1") && error.contains(expected), "{row}: {error}");
    }
}

#[test]
fn apps_and_taco_have_streams_or_calls() {
    let row = |tests: Value| json!({ "question": "Add.", "difficulty": "EASY", "input_output": tests.to_string() });
    let form = || json!({ "tests": "taco", "fields": { "prompt": "question" } });
    let streams = json!({ "inputs": ["1 2\n", ["4", "5"]], "outputs": ["3\n", ["9"]] });
    let cases = json!([{ "input": "1 2\n", "output": "3\n" }, { "input": "4\n5", "output": "9" }]);
    assert_eq!(tests(&row(streams.clone()), form()), Ok(json!({ "form": "streams", "cases": cases })));
    let limited = with(row(streams.clone()), "time_limit", "2.0 seconds");
    let expected = json!({ "form": "streams", "cases": cases, "time-limit": 2.0 });
    assert_eq!(tests(&limited, form()), Ok(expected));
    let calls = json!({ "fn_name": "add", "inputs": [[1, 2], [4, 5]], "outputs": [[3], 9] });
    let cases = json!([{ "arguments": [1, 2], "expected": [[3], 3] }, { "arguments": [4, 5], "expected": [9] }]);
    let expected = json!({ "form": "calls", "function": "add", "cases": cases });
    assert_eq!(tests(&row(calls), form()), Ok(expected));
    // Eurus-2-RL has the same text in a field of verl's.
    let verl = json!({ "prompt": "Add.", "reward_model": { "ground_truth": streams.to_string() } });
    let mapped = json!({ "tests": "taco", "fields": { "tests": "reward_model.ground_truth" } });
    assert_eq!(tests(&verl, mapped).unwrap()["form"], "streams");
    for (row, expected) in [
        (row(json!({ "inputs": ["1"], "outputs": [] })), "1 inputs and 0 outputs"),
        (row(json!({ "fn_name": "add", "inputs": [1], "outputs": [1] })), "`the arguments of a call` is no list"),
        (with(row(streams.clone()), "time_limit", "256 megabytes"), "expected seconds"),
        (json!({ "question": "Add.", "input_output": "" }), "`input_output` is no JSON"),
    ] {
        let error = tests(&row, form()).unwrap_err();
        assert!(error.contains(expected), "{row}: {error}");
    }
}

#[test]
fn codecontests_has_three_lists_of_cases() {
    let some = |input: &str, output: &str| json!({ "input": [input], "output": [output] });
    let row = json!({ "description": "Add.", "name": "1_A", "public_tests": some("1", "2"), "private_tests": some("3", "4"),
        "generated_tests": json!({ "input": [], "output": [] }), "time_limit": { "seconds": 1, "nanos": 500_000_000 },
        "input_file": "", "output_file": "" });
    let form = || json!({ "tests": "code-contests", "fields": { "prompt": "description" } });
    let cases = json!([{ "input": "1", "output": "2" }, { "input": "3", "output": "4" }]);
    let expected = json!({ "form": "streams", "cases": cases, "time-limit": 1.5 });
    assert_eq!(tests(&row, form()), Ok(expected));
    let error = tests(&with(row, "input_file", "a.in"), form()).unwrap_err();
    assert!(error.contains("the file `a.in`"), "{error}");
}

#[test]
fn a_list_of_cases_has_streams_or_calls_of_one_function() {
    let row =
        |cases: Value| json!({ "prompt": "Add.", "verification_info": { "language": "python", "test_cases": cases } });
    let form = || json!({ "tests": "cases", "fields": { "tests": "verification_info.test_cases" } });
    let stream = json!({ "fn_name": null, "input": "1\n", "output": "2\n", "type": "stdin_stdout" });
    let expected = json!({ "form": "streams", "cases": [{ "input": "1\n", "output": "2\n" }] });
    assert_eq!(tests(&row(json!([stream])), form()), Ok(expected));
    let call = json!({ "fn_name": "add", "input": "[1, 2]", "output": 3, "type": "function_call" });
    let expected = json!({ "form": "calls", "function": "add", "cases": [{ "arguments": [1, 2], "expected": [3] }] });
    assert_eq!(tests(&row(json!([call])), form()), Ok(expected));
    for cases in [json!([stream, call]), json!([call, stream]), json!([call, with(call.clone(), "fn_name", "sub")])] {
        let error = tests(&row(cases.clone()), form()).unwrap_err();
        assert!(error.contains("function"), "{cases}: {error}");
    }
}

#[test]
fn programs_that_test_are_kept_with_how_they_are_run() {
    let kodcode =
        json!({ "question": "Add.", "test": "from solution import add\n", "test_info": [{ "function_name": "add" }] });
    let humaneval = json!({ "prompt": "def add(a, b):\n", "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
        "entry_point": "add", "task_id": "HumanEval/0" });
    let mbpp = json!({ "text": "Add.", "test_list": ["assert add(1, 2) == 3", "assert add(4, 5) == 9"],
        "test_setup_code": "import math", "challenge_test_list": [] });
    let table = [
        (&kodcode, "kodcode", "question", "from solution import add\n", "pytest", json!("add")),
        (
            &humaneval,
            "humaneval",
            "prompt",
            "def check(candidate):\n    assert candidate(1, 2) == 3\n\ncheck(add)\n",
            "python",
            json!("add"),
        ),
        (&mbpp, "mbpp", "text", "import math\nassert add(1, 2) == 3\nassert add(4, 5) == 9", "python", Value::Null),
    ];
    for (row, form, prompt, code, runner, function) in table {
        let read = tests(row, json!({ "tests": form, "fields": { "prompt": prompt } })).unwrap();
        assert_eq!((&read["code"], &read["runner"], &read["function"]), (&code.into(), &runner.into(), &function));
    }
    let error = tests(&with(kodcode, "test", " "), json!({ "tests": "kodcode", "fields": { "prompt": "question" } }));
    assert!(error.unwrap_err().contains("it has no tests"));
}

#[test]
fn the_rules_of_ifeval_are_kept() {
    let row = json!({ "prompt": "Write.", "key": 1000, "instruction_id_list": ["punctuation:no_comma", "length:words"],
        "kwargs": [{ "num_words": null }, { "num_words": 3, "relation": "at least" }] });
    let expected = json!({ "form": "rules", "rules": [{ "id": "punctuation:no_comma", "arguments": {} },
        { "id": "length:words", "arguments": { "num_words": 3, "relation": "at least" } }] });
    assert_eq!(tests(&row, json!({ "tests": "ifeval" })), Ok(expected));
}

#[test]
fn tests_in_our_own_form_are_read_back() {
    let own = json!({ "form": "streams", "cases": [{ "input": "1", "output": "2" }], "time-limit": 2.0 });
    let row = |tests: Value| json!({ "prompt": "a", "tests": tests });
    assert_eq!(tests(&row(own.clone()), json!({})), Ok(own.clone()));
    // A column of another data set that happens to have the name.
    assert_eq!(tests(&row(json!(["assert f()"])), json!({})), Ok(Value::Null));
    let mapped = json!({ "fields": { "tests": "tests" } });
    for (bad, import) in [(json!(["assert f()"]), mapped), (json!({ "form": "stream", "cases": [] }), json!({}))] {
        let error = tests(&row(bad), import).unwrap_err();
        assert!(error.contains("`tests`: ") && error.contains("the input's `tests`"), "{error}");
    }
    let error = tests(&row(with(own, "cases", json!([]))), json!({})).unwrap_err();
    assert!(error.contains("it has no tests"), "{error}");
}
