//! Judges, with the real worker: a tiny model learns to tell polite answers from others, and then filters, rewards,
//! verifies, and makes preference data.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::support::Sandbox;

fn sandbox() -> Sandbox {
    Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")))
}

/// A polite answer and another one, equally long.
fn answers(number: usize) -> [String; 2] {
    [format!("please {}", number % 10), format!("do now {}", number % 10)]
}

fn question(number: usize) -> String {
    format!("{} {}", number / 10, number % 10)
}

fn rows(rows: impl Iterator<Item = Value>) -> String {
    rows.fold(String::new(), |mut text, row| {
        writeln!(text, "{row}").unwrap();
        text
    })
}

/// What the judge learns: each answer alone, asked in two ways, and two answers beside each other.
fn lessons() -> String {
    let lesson = |text: String, verdict: &str| json!({ "prompt": text, "completion": format!("Verdict: {verdict}") });
    rows((0..100).flat_map(|number| {
        let (question, [polite, other]) = (question(number), answers(number));
        [
            lesson(format!("{question}|{polite}?"), "yes"),
            lesson(format!("{question}|{other}?"), "no"),
            lesson(format!("{question}|{polite}#"), "9"),
            lesson(format!("{question}|{other}#"), "2"),
            lesson(format!("{question}|{polite}|{other}!"), "A>>B"),
            lesson(format!("{question}|{other}|{polite}!"), "B>>A"),
        ]
    }))
}

const WORKFLOW: &str = r#"
name = "judges"
[inputs]
lessons = { samples = "lessons.jsonl" }
mixed   = { samples = "mixed.jsonl" }
asked   = { prompts = "asked.jsonl" }
checked = { prompts = "asked.jsonl", verify = "judge" }

[defaults]
pretrain = { architecture = "qwen2", hidden-size = 32, layers = 2, heads = 2, kv-heads = 2, intermediate-size = 64, batch-size = 32, lr = 3e-3 }
generate = { model = "base.model", prompts = ["inputs.asked"], completions = 6, max-tokens = 12 }

[pretrain.judge-model]
data  = ["inputs.lessons"]
steps = 400
[pretrain.base]
data  = ["inputs.mixed"]
steps = 200

[generate.polite]
keep  = ["unique", "judged"]
judge = { model = "judge-model.model", template = "{{ question }}|{{ answer }}?", max-tokens = 16 }
[generate.answers]

[judge.pairs]
samples = ["answers.samples"]
judge   = { model = "judge-model.model", asks = "comparison", template = "{{ question }}|{{ answer }}|{{ other }}!", votes = 4, max-tokens = 16 }
[judge.scored]
samples = ["answers.samples"]
judge   = { model = "judge-model.model", asks = "score", template = "{{ question }}|{{ answer }}#", max-tokens = 16 }
[judge.labels]
samples = ["answers.samples"]
judge   = { model = "judge-model.model", template = "{{ question }}|{{ answer }}?", max-tokens = 16 }

[grpo.rl]
model = "base.model"
prompts = ["inputs.asked"]
prompts-per-step = 8
group-size = 8
max-tokens = 12
steps = 25
lr = 1e-3
form = "any"
eval-prompts = ["inputs.checked"]
eval-every = 5
judge-offload = true
judge = { model = "judge-model.model", template = "{{ question }}|{{ answer }}?", max-tokens = 16 }
[grpo.rl.rewards.judge.polite]
model      = "judge-model.model"
template   = "{{ question }}|{{ answer }}?"
max-tokens = 16

[eval.scores]
each.base = { model = "base.model" }
each.rl   = { model = "rl.model" }
each.best = { model = "rl.best" }
prompts = { polite = "inputs.checked" }
judge = { model = "judge-model.model", template = "{{ question }}|{{ answer }}?", max-tokens = 16 }
form = "any"
completions = 4
max-tokens = 12
temperature = 1.0
top-p = 1.0
"#;

fn written(sandbox: &Sandbox) {
    sandbox.write("lessons.jsonl", &lessons());
    let mixed = (0..100)
        .flat_map(|number| answers(number).map(|answer| json!({ "prompt": question(number), "completion": answer })));
    sandbox.write("mixed.jsonl", &rows(mixed));
    let asked = (0..30).map(|number| json!({ "prompt": question(number * 3), "answer": answers(number * 3)[0] }));
    sandbox.write("asked.jsonl", &rows(asked));
    sandbox.write("judges.toml", WORKFLOW);
}

/// Returns the rows of an output.
fn shown(sandbox: &Sandbox, output: &str) -> Vec<Value> {
    let text = sandbox.ok(&["show", output, "--json", "--rows", "10000"]);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn is_polite(row: &Value, field: &str) -> bool {
    row[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {row}")).contains("please")
}

#[test]
fn a_judge_filters_verifies_rewards_and_makes_preferences() {
    let sandbox = sandbox();
    written(&sandbox);
    sandbox.ok(&["apply", "judges.toml"]);

    let kept = shown(&sandbox, "polite.samples");
    assert!(kept.len() > 20 && kept.iter().all(|row| is_polite(row, "completion")), "{kept:?}");
    assert!(kept.iter().all(|row| row["grade"]["judged"] == 1.0), "{kept:?}");
    let dropped = shown(&sandbox, "polite.dropped");
    let refused: Vec<&Value> = dropped.iter().filter(|row| row["filter"] == "judged").collect();
    assert!(refused.iter().any(|row| row["why"] == "Verdict: no" && row["judged"] == 0.0), "{dropped:?}");

    for pairs in ["pairs", "scored"] {
        let made = shown(&sandbox, &format!("{pairs}.preferences"));
        assert!(made.len() > 5, "{pairs}: {made:?}");
        let right = made.iter().filter(|row| is_polite(row, "chosen") && !is_polite(row, "rejected")).count();
        assert!(right * 10 >= made.len() * 9, "{pairs}: {made:?}");
    }
    let labels = shown(&sandbox, "labels.preferences");
    let right = labels.iter().filter(|row| is_polite(row, "completion") == (row["label"] == 1)).count();
    assert!(labels.len() > 20 && right * 10 >= labels.len() * 9, "{labels:?}");

    let accuracy = |stage: &str| sandbox.json(&["show", stage])["record"]["summary"]["accuracy"].as_f64().unwrap();
    let (base, rl) = (accuracy("scores/base"), accuracy("scores/rl"));
    assert!(rl > base + 0.2, "{base} {rl}");
    let found = &sandbox.json(&["show", "rl"])["record"]["summary"];
    let greedy = sandbox.json(&["show", "scores/best"])["record"]["summary"]["greedy"].clone();
    assert_eq!(found["best-eval-accuracy"], greedy, "the best model is the one that was measured: {found}");
    let failed = sandbox.ok(&["show", "scores/base", "--failed", "--rows", "100"]);
    assert!(failed.contains("the judge: Verdict: no"), "{failed}");

    // Another filter samples nothing, and a judge is asked nothing twice.
    let edited = WORKFLOW.replace("\"unique\", \"judged\"", "\"judged\"");
    sandbox.write("judges.toml", &edited);
    let cache = sandbox.root().join("cache/r1flow/verdicts/judges");
    let votes = || -> usize {
        let shards =
            fs_err::read_dir(&cache).unwrap().map(|entry| fs_err::read_to_string(entry.unwrap().path()).unwrap());
        shards.map(|text| text.lines().count()).sum()
    };
    let before = votes();
    sandbox.ok(&["apply", "judges.toml", "--only", "polite"]);
    assert_eq!(votes(), before);
}

/// A policy that rarely is polite, and is right where it is not.
const HACKED: &str = r#"
name = "hacked"
[inputs]
lessons = { samples = "lessons.jsonl" }
mixed   = { samples = "blunt.jsonl" }
asked   = { prompts = "asked.jsonl" }
held    = { prompts = "held.jsonl" }

[defaults]
pretrain = { architecture = "qwen2", hidden-size = 32, layers = 2, heads = 2, kv-heads = 2, intermediate-size = 64, batch-size = 32, lr = 3e-3 }

[pretrain.judge-model]
data  = ["inputs.lessons"]
steps = 400
[pretrain.base]
data  = ["inputs.mixed"]
steps = 200

[grpo.rl]
model = "base.model"
prompts = ["inputs.asked"]
prompts-per-step = 8
group-size = 8
max-tokens = 12
steps = 25
lr = 1e-3
eval-prompts = ["inputs.held"]
eval-every = 2
[grpo.rl.rewards.judge.polite]
model      = "judge-model.model"
template   = "{{ question }}|{{ answer }}?"
max-tokens = 16
"#;

#[test]
fn a_judge_that_is_pleased_at_the_price_of_accuracy_is_told_of() {
    let sandbox = sandbox();
    written(&sandbox);
    let blunt = (0..100).flat_map(|number| {
        let [polite, other] = answers(number);
        let answers = [&polite, &other, &other, &other, &other];
        answers.map(|answer| json!({ "prompt": question(number), "completion": answer }))
    });
    sandbox.write("blunt.jsonl", &rows(blunt));
    let held = (0..30)
        .map(|number| json!({ "prompt": question(number * 3), "answer": answers(number * 3)[1], "verify": "exact" }));
    sandbox.write("held.jsonl", &rows(held));
    sandbox.write("hacked.toml", HACKED);
    let output = sandbox.run(&["apply", "hacked.toml"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stderr.contains("the judged score has risen from"), "{output}");
    let summary = &sandbox.json(&["show", "rl"])["record"]["summary"];
    assert_eq!(summary["eval_accuracy"], 0.0, "it says what it is paid for: {summary}");
    assert!(summary["best-eval-accuracy"].as_f64() > Some(0.9), "the output `best` does not: {summary}");
}

#[test]
fn what_a_judge_lacks_is_told_before_anything_runs() {
    let sandbox = sandbox();
    written(&sandbox);
    let judge =
        "judge = { model = \"judge-model.model\", template = \"{{ question }}|{{ answer }}?\", max-tokens = 16 }\n";
    for (from, to, told) in [
        (judge, "", "the filter `judged` needs a judge"),
        ("votes = 4", "votes = 3", "`votes` is 3, and a comparison is asked in two orders"),
        ("{{ other }}!", "{{ others }}!", "`others`"),
        ("asks = \"score\"", "asks = \"score\", scale = [3, 3]", "`scale` is empty"),
        ("[judge.labels]", "[judge.labels]\nmargin = 1.0", "`margin` is for pairs"),
        ("[judge.labels]", "[judge.labels]\npairs-per-prompt = 2", "`pairs-per-prompt` is for pairs"),
        ("votes = 4", "votes = 4, scale = [1, 5]", "`scale` is for a score"),
    ] {
        let edited = WORKFLOW.replacen(from, to, 1);
        assert_ne!(edited, WORKFLOW, "{from}");
        sandbox.write("judges.toml", &edited);
        let output = sandbox.run(&["check", "judges.toml"]);
        assert!(output.code == Some(2) && output.stderr.contains(told), "{told}: {output}");
    }
    let edited = WORKFLOW.replacen(&format!("{judge}form"), "form", 1);
    assert_ne!(edited, WORKFLOW);
    sandbox.write("judges.toml", &edited);
    let output = sandbox.run(&["apply", "judges.toml", "--until", "scores/base"]);
    sandbox.write("idle.toml", &WORKFLOW.replace("verify = \"judge\" }", "verify = \"exact\" }"));
    let warned = sandbox.run(&["apply", "idle.toml", "--until", "scores/base"]);
    assert!(warned.stderr.contains("scores/base: `judge` is asked nothing"), "{warned}");
    let told = "there are prompts with `verify = \"judge\"`, and no judge";
    assert!(output.code == Some(1) && output.stderr.contains(told), "{output}");
}
