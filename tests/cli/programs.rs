//! Programs in answers are run against their tests, with the real worker. Tests that need a jail skip, and say so, where
//! it does not hold or there is no `python3`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::support::{Output, Sandbox};

fn sandbox() -> Sandbox {
    Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")))
}

#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn say_skipped(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// Whether programs cannot be run here; says so.
pub(crate) fn must_skip(output: &Output) -> bool {
    let reasons = ["cannot be run here", "there is no `python3` here"];
    let reason = output.stderr.lines().find(|line| reasons.iter().any(|reason| line.contains(reason)));
    if let Some(reason) = reason {
        say_skipped(reason);
    }
    reason.is_some()
}

fn row(answer: &str, tests: &Value) -> Value {
    json!({ "prompt": "def add(a, b):\n", "completion": answer, "tests": tests })
}

fn python(source: &str) -> String {
    format!("So:\n```python\n{source}\n```\n")
}

/// Answers with their tests, and what `--explain` says of each.
fn cases() -> Vec<(Value, &'static str)> {
    let sums = json!({ "form": "streams", "time-limit": 1.0, "cases": [
        { "input": "1 2\n", "output": "3\n" }, { "input": "30 4\n", "output": "34\n" },
    ] });
    let near = json!({ "form": "streams", "checker": { "float": 0.01 }, "cases": [{ "input": "", "output": "1\n" }] });
    let even = "import sys\nraise SystemExit(int(open(sys.argv[3]).read()) % 2)";
    let checked = json!({ "form": "streams", "checker": { "program": even }, "cases": [
        { "input": "", "output": "2" }, { "input": "", "output": "4" },
    ] });
    let calls = json!({ "form": "calls", "function": "add", "cases": [
        { "arguments": [1, 2], "expected": [3] }, { "arguments": [[1], [2]], "expected": [[1, 2]] },
    ] });
    let asserts = json!({ "form": "program", "code": "assert add(1, 2) == 3", "runner": "python", "function": "add" });
    let add = "def add(a, b):\n    return a + b";
    vec![
        (row(&python("a, b = map(int, input().split())\nprint(a + b)"), &sums), "all tests are passed"),
        (
            row(&python("a, b = input().split()\nprint(int(a + b) % 9)"), &sums),
            "wrong, case 2 of 2: `7` in place of `34` (1 of 2 cases passed)",
        ),
        (
            row(&python("print(1 // 0)"), &sums),
            "runtime, case 1 of 2: ZeroDivisionError: integer division or modulo by zero (0 of 2 cases passed)",
        ),
        (row(&python("while True: pass"), &sums), "time, case 1 of 2: too slow (0 of 2 cases passed)"),
        (row(&python("x = [0] * (1 << 40)"), &sums), "memory, case 1 of 2: out of memory (0 of 2 cases passed)"),
        (
            row(&python("while True: print(1)"), &sums),
            "wrong, case 1 of 2: it writes more than any right output has (0 of 2 cases passed)",
        ),
        (row("I would add them.", &sums), "no program, there is no program in the answer (0 of 2 cases passed)"),
        (row(&python("print(1.005)"), &near), "all tests are passed"),
        (row(&python("print(6)"), &checked), "all tests are passed"),
        (row(&python("print(3)"), &checked), "wrong, case 1 of 2: the checker refuses `3` (0 of 2 cases passed)"),
        (row(&python(add), &calls), "all tests are passed"),
        (
            row(&python("class Solution:\n    def add(self, a, b):\n        return b + a"), &calls),
            "wrong, case 2 of 2: `[2, 1]` in place of `[1,2]` (1 of 2 cases passed)",
        ),
        (row(&python(add), &asserts), "all tests are passed"),
        (row("    return a + b\n", &asserts), "all tests are passed"),
        (row(&python("def add(a, b):\n    return a"), &asserts), "runtime, AssertionError"),
        (row(&python("import os\nos._exit(0)"), &asserts), "runtime, it ended before the tests did"),
        (row(&python("def add(a, b) return a"), &asserts), "compile, SyntaxError: expected ':' (solution.py, line 1)"),
    ]
}

/// Grades rows, and returns what is said of each; `None` if programs cannot be run here.
fn graded(sandbox: &Sandbox, rows: &[&Value]) -> Option<Vec<String>> {
    let lines = rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    sandbox.write("answers.jsonl", &lines);
    let output =
        sandbox.run(&["grade", "answers.jsonl", "--explain", "--json", "--reward", "accuracy", "--reward", "tests"]);
    if must_skip(&output) {
        return None;
    }
    assert_eq!(output.code, Some(0), "{output}");
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    let places =
        told["rows"].as_array().unwrap().iter().map(|row| row["explanation"]["place"].as_str().unwrap().to_owned());
    Some(places.collect())
}

#[test]
fn programs_are_judged_by_their_tests() {
    let sandbox = sandbox();
    let cases = cases();
    let rows: Vec<&Value> = cases.iter().map(|(row, _)| row).collect();
    let Some(told) = graded(&sandbox, &rows) else { return };
    for ((row, expected), told) in cases.iter().zip(&told) {
        assert_eq!(told, expected, "{row}");
    }
    assert_eq!(told.len(), cases.len());
    let kept = sandbox.root().join("cache/r1flow/verdicts");
    let lines = |name: &str| fs_err::read_to_string(kept.join(name)).map_or(0, |text| text.lines().count());
    let shards: Vec<String> =
        fs_err::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let all = || shards.iter().filter(|name| !name.starts_with("holds-")).map(|name| lines(name)).sum::<usize>();
    let before = all();
    assert!(before >= cases.len() - 2, "each program that ran is kept: {before}");
    assert_eq!(graded(&sandbox, &rows).unwrap(), told, "grading again says the same");
    assert_eq!(all(), before, "and runs nothing");
}

#[test]
fn programs_in_cpp_are_compiled_and_run() {
    let sums = json!({ "form": "streams", "cases": [{ "input": "1 2\n", "output": "3\n" }] });
    let cpp = |body: &str| row(&format!("```cpp\n#include <iostream>\nint main() {{ {body} }}\n```"), &sums);
    let rows = [cpp("int a, b; std::cin >> a >> b; std::cout << a + b;"), cpp("std::cout << 4;"), cpp("return x;")];
    let Some(told) = graded(&sandbox(), &rows.iter().collect::<Vec<_>>()) else { return };
    if told[0].contains("no compiler") {
        return say_skipped("there is no `g++` here");
    }
    assert_eq!(told[..2], ["all tests are passed", "wrong, `4` in place of `3`"]);
    assert!(told[2].starts_with("compile, "), "{}", told[2]);
}

/// Programs that a tiny model learns to write: sums with the right sign, a wrong one, or a broken line.
fn programs(is_test: bool) -> String {
    let mut rows = String::new();
    for number in 0..100 {
        let (a, b) = (number / 10, number % 10);
        if (number % 8 == 0) != is_test {
            continue;
        }
        let cases = json!([{ "input": "", "output": (a + b).to_string() }]);
        let tests = json!({ "form": "streams", "cases": cases });
        let wrong = [format!("print({a}-{b})"), format!("print({a}+{b}"), format!("print({a}+{b})")];
        for program in &wrong[..if is_test { 1 } else { 3 }] {
            let completion = format!("<think>+</think><answer>{program}</answer>");
            let row = json!({ "prompt": format!("{a} {b}"), "completion": completion, "tests": tests });
            writeln!(rows, "{row}").unwrap();
        }
    }
    rows
}

const WORKFLOW: &str = r#"
name = "programs"
[inputs]
mixed = { samples = "train.jsonl" }
train = { prompts = "train.jsonl" }
test  = { prompts = "test.jsonl" }

[pretrain.base]
data = ["inputs.mixed"]
architecture = "qwen2"
hidden-size = 32
layers = 2
heads = 2
kv-heads = 2
intermediate-size = 64
steps = 300
batch-size = 16
lr = 3e-3

[grpo.rl]
model = "base.model"
prompts = ["inputs.train"]
rewards = { accuracy = 1.0, tests = 0.1 }
prompts-per-step = 8
group-size = 8
max-tokens = 40
steps = 40
lr = 1e-3

[eval.scores]
each.base = { model = "base.model" }
each.rl   = { model = "rl.model" }
prompts = { sums = "inputs.test" }
completions = 4
max-tokens = 40
temperature = 1.0
top-p = 1.0
"#;

#[test]
fn a_tiny_model_learns_to_write_programs_that_pass() {
    let sandbox = sandbox();
    sandbox.write("train.jsonl", &programs(false));
    sandbox.write("test.jsonl", &programs(true));
    sandbox.write("programs.toml", WORKFLOW);
    let output = sandbox.run(&["apply", "programs.toml"]);
    if must_skip(&output) {
        return;
    }
    assert_eq!(output.code, Some(0), "{output}");
    let accuracy = |stage: &str| sandbox.json(&["show", stage])["record"]["summary"]["accuracy"].as_f64().unwrap();
    let (base, rl) = (accuracy("scores/base"), accuracy("scores/rl"));
    assert!(rl > base + 0.2, "{base} {rl}");
    let wrong = sandbox.ok(&["show", "scores/base", "--failed", "--rows", "100"]);
    for why in ["wrong, `", "compile, SyntaxError: '(' was never closed"] {
        assert!(wrong.contains(why), "no `{why}` in {wrong}");
    }
}

const OWN: &str = r#"
[inputs]
base = { model = "model" }
sums = { prompts = "sums.jsonl" }
mine = { text = "mine.py" }

[grpo.rl]
model      = "inputs.base"
prompts    = ["inputs.sums"]
group-size = 4
max-tokens = 8
steps      = 1
[grpo.rl.rewards]
own.mine = { program = "inputs.mine", weight = 2.0, seconds = 20 }
"#;

/// Runs a step with a reward of one's own, and returns how it ended.
fn own(sandbox: &Sandbox, program: &str) -> Output {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workflows/golden/model");
    let _ = std::os::unix::fs::symlink(model, sandbox.root().join("model"));
    sandbox.write("own.toml", OWN);
    sandbox.write("sums.jsonl", "{\"prompt\": \"1+1=\", \"answer\": \"2\"}\n");
    sandbox.write("mine.py", program);
    sandbox.run(&["apply", "own.toml"])
}

#[test]
fn a_program_of_ones_own_rewards() {
    let sandbox = sandbox();
    let lengths = "import json, sys\nfor line in sys.stdin:\n    print(len(json.loads(line)['completion']))\n";
    let output = own(&sandbox, lengths);
    if must_skip(&output) {
        return;
    }
    assert_eq!(output.code, Some(0), "{output}");
    let shown = sandbox.ok(&["show", "rl.rollouts", "--json", "--rows", "4"]);
    let rows: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 4, "{shown}");
    for row in rows {
        let length = row["completion"].as_str().unwrap().chars().count() as f64;
        assert_eq!(
            (row["parts"]["own.mine"].as_f64(), row["reward"].as_f64()),
            (Some(length), Some(2.0 * length)),
            "{row}"
        );
    }
    assert!(sandbox.ok(&["plan", "own.toml"]).contains("fresh"), "nothing has changed");
    sandbox.write("mine.py", &format!("# edited\n{lengths}"));
    let plan = sandbox.ok(&["plan", "own.toml"]);
    assert!(plan.contains("dirty  rl"), "an edit of the program reruns what it rewards: {plan}");
}

#[test]
fn an_interpreter_that_is_not_in_the_jail_is_told_before_anything_runs() {
    let sandbox = sandbox();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workflows/golden/model");
    std::os::unix::fs::symlink(model, sandbox.root().join("model")).unwrap();
    sandbox.write("sums.jsonl", "{\"prompt\": \"1+1=\", \"answer\": \"2\"}\n");
    sandbox.write("mine.py", "");
    for (keys, expected) in [
        ("python = \"nopython\"", "error: reward `own.mine`: `python` is `nopython`, which is not in /usr/local/bin"),
        ("reads = [\"/nothere\"]", "error: reward `own.mine`: `/nothere` in `reads` cannot be read: it is not there"),
    ] {
        sandbox.write("own.toml", &OWN.replace("seconds = 20", keys));
        let output = sandbox.run(&["check", "own.toml"]);
        assert!(output.code == Some(2) && output.stderr.contains(expected), "{output}");
    }
}

const VERIFIER: &str = r#"
[inputs]
base  = { model = "model" }
sums  = { prompts = "sums.jsonl", verify = "own" }
check = { text = "check.py" }

[eval.scores]
model       = "inputs.base"
prompts     = { sums = "inputs.sums" }
verifier    = { program = "inputs.check", seconds = 20 }
form        = "any"
completions = 8
max-tokens  = 8
temperature = 1.0
"#;

#[test]
fn a_program_of_ones_own_verifies() {
    let sandbox = sandbox();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workflows/golden/model");
    std::os::unix::fs::symlink(model, sandbox.root().join("model")).unwrap();
    sandbox.write("own.toml", VERIFIER);
    // There is no gold answer: the program knows what is right.
    sandbox.write("sums.jsonl", "{\"prompt\": \"1+1=\"}\n{\"prompt\": \"1+2=\"}\n");
    let even =
        "import json, sys\nfor line in sys.stdin:\n    print(json.dumps(len(json.loads(line)['answer']) % 2 == 0))\n";
    sandbox.write("check.py", even);
    let output = sandbox.run(&["apply", "own.toml"]);
    if must_skip(&output) {
        return;
    }
    assert_eq!(output.code, Some(0), "{output}");
    let shown = sandbox.ok(&["show", "scores.answers", "--json", "--rows", "100"]);
    let rows: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2 * 9, "{shown}");
    for row in &rows {
        let is_even = row["answer"].as_str().unwrap().chars().count() % 2 == 0;
        assert_eq!(row["correct"], row["finished"] == true && is_even, "{row}");
    }
    for (program, told) in [
        ("print(1)", "`verifier`: line 1 is `1`, about `1+1=`"),
        ("import sys\nsys.exit(3)", "`verifier`: it ended with 3"),
    ] {
        sandbox.write("check.py", program);
        let output = sandbox.run(&["apply", "own.toml"]);
        assert!(output.code == Some(1) && output.stderr.contains(told), "{told}: {output}");
    }
    sandbox.write("own.toml", &VERIFIER.replace("verifier    = { program = \"inputs.check\", seconds = 20 }\n", ""));
    let output = sandbox.run(&["apply", "own.toml"]);
    assert!(output.code == Some(1) && output.stderr.contains("`verify = \"own\"`, and no verifier"), "{output}");
}

#[test]
fn what_a_program_of_ones_own_does_wrong_is_told() {
    for (program, expected) in [
        ("import sys\nsys.exit(3)", "reward `own.mine`: it ended with 3: "),
        ("import nothing_of_this_name", "`python` names an interpreter that has the package"),
        ("open('/data/x')", "it sees only the system's files and those of `reads`"),
        ("print({}['gold'])", "reward `own.mine`: it ended with 1: KeyError: 'gold'"),
        ("print(1)", "reward `own.mine`: it wrote 1 line for 128 completions"),
        ("import sys\nfor line in sys.stdin: print('nan')", "reward `own.mine`: line 1 is `nan`, about `1+1=`"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 1))", "reward `own.mine`: it ended with 1: "),
        ("open('/etc/shadow')", "reward `own.mine`: it ended with 1: "),
    ] {
        let output = own(&sandbox(), program);
        if must_skip(&output) {
            return;
        }
        assert!(output.code == Some(1) && output.stderr.contains(expected), "{program}: {output}");
    }
}
