//! The command line with the real worker, on a model of a few thousand weights: from a workflow to a table of scores,
//! and a training that is interrupted.

use std::path::PathBuf;

use super::support::{Sandbox, events, stages, tiny_shape};

const TINY: &str = concat!(
    r#"[tasks.sums]
task  = "sums"
count = 32
[tasks.sums-test]
task  = "sums"
split = "test"
count = 4
[pretrain.base]
data              = ["sums.samples"]
"#,
    tiny_shape!(),
    r#"steps             = 2
batch-size        = 4
[sft.taught]
model      = "base.model"
data       = ["sums.samples"]
steps      = 2
batch-size = 4
[eval.scores]
each        = ["base", "taught"]
model       = "each.model"
prompts     = { sums = "sums-test.prompts" }
completions = 1
max-tokens  = 8
"#
);

/// Students of every method, and one whose teacher has another alphabet.
const SCHOOL: &str = r#"extends = "tiny.toml"
[tasks.chat]
task  = "chat"
count = 8
[pretrain.stranger]
data        = ["chat.samples"]
hidden-size = 16
layers      = 1
heads       = 2
kv-heads    = 2
steps       = 1
batch-size  = 2
[teacher-logits.asked]
model              = "taught.model"
data               = ["sums.samples"]
top-k              = 4
micro-batch-tokens = 64
[distill.student]
model          = "base.model"
steps          = 2
batch-size     = 4
each.text      = { data = ["sums.samples"] }
each.logits    = { method = "logits", logits = ["asked.logits"], temperature = 2.0 }
each.on-policy = { method = "on-policy", teacher = "taught.model", prompts = ["sums.prompts"], completion-tokens = 8 }
each.lost      = { method = "on-policy", teacher = "stranger.model", prompts = ["sums.prompts"], completion-tokens = 8 }
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")));
    sandbox.write("tiny.toml", TINY);
    sandbox
}

#[test]
fn from_a_workflow_to_a_table_of_scores() {
    let sandbox = sandbox();
    let applied = sandbox.run(&["apply", "tiny.toml"]);
    assert_eq!(applied.code, Some(0), "{applied}");
    let scores = sandbox.ok(&["scores", "tiny.toml"]);
    assert_eq!(applied.stdout.trim_start(), scores, "an apply ends with the table");
    let firsts: Vec<_> = scores.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(firsts, ["stage", "base", "taught"]);
    let header: Vec<_> = scores.lines().next().unwrap().split_whitespace().collect();
    assert!(header.contains(&"accuracy") && header.last() == Some(&"seconds"), "{header:?}");
    let rows = sandbox.json(&["scores", "tiny.toml"]);
    assert_eq!((&rows[0]["stage"], &rows[1]["stage"]), (&"base".into(), &"taught".into()));
    assert_eq!(rows[1]["report"]["suites"]["sums"]["prompts"], 4);
    let model = sandbox.ok(&["show", "base.model"]);
    assert!(model.contains("model.safetensors: 3680 parameters\n"), "{model}");
    let processor = sandbox.json(&["show", "base"])["record"]["processor"].as_str().unwrap().to_owned();
    assert!(
        processor.contains(", libtorch ") && sandbox.ok(&["show", "base"]).contains(&format!("  on {processor}\n"))
    );
    let again = sandbox.run(&["apply", "tiny.toml"]);
    assert!(again.stderr.starts_with("nothing to do: 6 stages are fresh"), "{again}");
}

#[test]
fn keys_that_contradict_each_other_stop_everything_before_it_starts() {
    let sandbox = sandbox();
    // The second mistake is in a stage downstream of the first.
    let sets = ["--set", "base.schedule=cosine", "--set", "taught.schedule=cosine"];
    for command in ["check", "plan"] {
        let refused = sandbox.run(&[&[command, "tiny.toml"], &sets[..]].concat());
        assert_eq!(refused.code, Some(2), "{refused}");
        assert!(
            refused.stderr.contains("`schedule` ends somewhere, but `decay-steps` does not say where"),
            "{refused}"
        );
        for place in ["--set:1:15\n  |\n1 | base.", "--set:1:17\n  |\n1 | taught.", "set `decay-steps`", "2 mistakes"] {
            assert!(refused.stderr.contains(place), "{place}: {refused}");
        }
    }
    let applied = sandbox.run(&[&["apply", "tiny.toml", "--json"], &sets[..]].concat());
    assert_eq!(applied.code, Some(2), "{applied}");
    let told = events(&applied.stdout);
    assert_eq!((stages(&told, "started"), stages(&told, "failed")), (Vec::new(), vec!["base", "taught"]), "{applied}");
    let finished = told.iter().find(|event| event["event"] == "run-finished").unwrap();
    assert_eq!((&finished["failed"], &finished["left"]), (&2.into(), &4.into()), "{finished}");
    // A plan of other stages does not report these mistakes.
    sandbox.ok(&[&["plan", "tiny.toml", "--until", "sums"], &sets[..]].concat());
    // With `decay-steps` the schedule has an end.
    sandbox.ok(&["check", "tiny.toml", "--set", "base.schedule=cosine", "--set", "base.decay-steps=2"]);
}

#[test]
fn an_interrupted_training_ends_with_the_bytes_of_an_unbroken_one() {
    let training = ["apply", "tiny.toml", "--json", "--threads", "1", "--until", "base", "--set", "base.steps=400"];
    let unbroken = sandbox();
    unbroken.ok(&training);
    let sandbox = sandbox();
    let running = sandbox.start(&training);
    running.event("progress", "base");
    running.signal(libc::SIGINT);
    let ended = running.end();
    assert_eq!((ended.code, stages(&ended.events(), "stopped")), (Some(3), vec!["base"]), "{:?}", ended.stderr);
    let told = events(&sandbox.ok(&training));
    let started = told.iter().find(|event| event["event"] == "started").unwrap();
    let from = started["resumed_from"].as_u64().unwrap();
    assert!((1..400).contains(&from), "from {from}");
    let digest = |sandbox: &Sandbox| sandbox.digest_with("base", "model", &training[7..]);
    assert_eq!(digest(&sandbox), digest(&unbroken));
}

#[test]
fn students_learn_by_every_method() {
    let sandbox = sandbox();
    sandbox.write("school.toml", SCHOOL);
    let applied = sandbox.run(&["apply", "school.toml", "--keep-going"]);
    assert_eq!(applied.code, Some(1), "{applied}");
    assert!(applied.stderr.contains("its teacher `stranger.model`"), "{applied}");
    assert!(applied.stderr.contains("`method = \"text\"`"), "{applied}");
    let digests =
        ["base", "student/text", "student/logits", "student/on-policy"].map(|name| sandbox.digest(name, "model"));
    for (index, digest) in digests.iter().enumerate() {
        assert!(!digests[..index].contains(digest), "each learnt something of its own: {digests:?}");
    }
    let logits = sandbox.ok(&["show", "asked.logits"]);
    assert!(logits.contains("\"top-k\": 4,") && logits.contains("\"rows\": 32,"), "{logits}");
    assert_eq!(logits.matches("top_ids").count(), 1, "of all shards one is opened: {logits}");
    // More steps for a student do not run the teacher again.
    let longer = ["apply", "school.toml", "--json", "--until", "student/logits", "--set", "student/logits.steps=3"];
    let told = events(&sandbox.ok(&longer));
    assert_eq!(stages(&told, "started"), ["student/logits"]);
    let started = told.iter().find(|event| event["event"] == "started").unwrap();
    assert_eq!(started["resumed_from"], 2);
}

#[test]
fn doctor_finds_libtorch() {
    let output = sandbox().run(&["doctor", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&found["worker"]["ok"], &found["libtorch"]["ok"]), (&true.into(), &true.into()), "{output}");
    assert!(found["libtorch"]["found"].as_str().unwrap().ends_with("libtorch_cpu.so"), "{output}");
}
