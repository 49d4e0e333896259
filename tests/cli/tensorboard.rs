//! TensorBoard's event files: written as a stage runs, and by `export` from the store; read back here, and by
//! TensorBoard itself where `scripts/tools readers` has installed it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::tensorboard::message::{Datum, Event, What};
use engine::tensorboard::record;
use serde_json::Value;

use super::resume::{assert_stopped, go_on, start_counting};
use super::support::{CHAIN, Sandbox};

const LOGS: &str = "run = { tensorboard = \"logs\" }\n";

/// Returns the event files below a folder of the sandbox, in the order of their names.
fn files(sandbox: &Sandbox, folder: &str) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(sandbox.root().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Reads a file; a checksum that is wrong is an error.
fn read(file: &Path) -> Vec<Event> {
    record::read(&fs_err::read(file).unwrap()).unwrap()
}

/// Returns the steps and values of a scalar.
fn scalars(events: &[Event], tag: &str) -> Vec<(i64, f32)> {
    let of_event = |event: &Event| match &event.what {
        Some(What::Summary(summary)) => summary.value.iter().find_map(|value| match value.datum {
            Some(Datum::Scalar(number)) if value.tag == tag => Some((event.step, number)),
            _ => None,
        }),
        _ => None,
    };
    events.iter().filter_map(of_event).collect()
}

fn started_at(events: &[Event]) -> Vec<i64> {
    let starts = events.iter().filter(|event| matches!(event.what, Some(What::SessionLog(_))));
    starts.map(|event| event.step).collect()
}

fn loss(steps: std::ops::RangeInclusive<i64>) -> Vec<(i64, f32)> {
    steps.map(|step| (step, (1.0 / step as f64) as f32)).collect()
}

#[test]
fn a_curve_is_written_beside_the_workflow_and_changes_nothing() {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["apply", "toy.toml"]);
    fs_err::create_dir(sandbox.root().join("sub")).unwrap();
    sandbox.write("sub/toy.toml", &format!("{LOGS}{CHAIN}"));
    let fresh = sandbox.run(&["apply", "sub/toy.toml"]);
    assert!(fresh.stderr.starts_with("nothing to do: 4 stages are fresh"), "{fresh}");
    assert!(!sandbox.root().join("sub/logs").exists(), "nothing ran");
    sandbox.ok(&["apply", "sub/toy.toml", "--force", "c", "--force", "a"]);
    let found = files(&sandbox, "sub/logs");
    assert_eq!(found, [sandbox.root().join("sub/logs/c")], "the other stages have no curve");
    let found = files(&sandbox, "sub/logs/c");
    let events = read(&found[0]);
    assert_eq!((found.len(), started_at(&events)), (1, vec![0]));
    assert_eq!(scalars(&events, "train/loss"), loss(1..=4));
}

#[test]
fn a_stage_that_resumes_goes_on_in_a_new_file() {
    let sandbox = Sandbox::new(&format!("{LOGS}{CHAIN}"));
    let running = start_counting(&sandbox, &[]);
    running.signal(libc::SIGINT);
    let step = assert_stopped(&running.end()).cast_signed();
    assert_eq!(go_on(&sandbox), Some(step.cast_unsigned()));
    let found = files(&sandbox, "logs/c");
    let [before, after] = [read(&found[0]), read(&found[1])];
    assert_eq!((started_at(&before), started_at(&after)), (vec![0], vec![step + 1]));
    assert_eq!(scalars(&before, "train/loss"), loss(1..=step));
    assert_eq!(scalars(&after, "train/loss"), loss(step + 1..=2000));
}

#[test]
fn a_folder_that_cannot_be_written_to_is_a_warning() {
    let sandbox = Sandbox::new(&format!("run = {{ tensorboard = \"toy.toml/logs\" }}\n{CHAIN}"));
    let applied = sandbox.run(&["apply", "toy.toml"]);
    assert_eq!(applied.code, Some(0), "{applied}");
    let told = applied.stderr.matches("TensorBoard's events").count();
    let told_of_c = applied.stderr.replace(['\n', ' '], "").contains("`[DIR]/toy.toml/logs/c`arenotwritten");
    assert!(told == 1 && told_of_c && applied.stderr.contains("os error 20"), "{applied}");
    assert_eq!(sandbox.json(&["status"])["stages"]["c"]["state"], "done");
}

#[test]
fn export_writes_a_stage_or_a_workflow() {
    let sandbox = Sandbox::new(&format!("{CHAIN}[count.d]\ndata = [\"b.samples\"]\neach.x = {{ steps = 2 }}\n"));
    sandbox.ok(&["apply", "toy.toml"]);
    let told = sandbox.run(&["export", "c", "board", "--tensorboard"]);
    let file = files(&sandbox, "board/c").remove(0);
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let expected = format!("board/c/{name}: 4 steps, 0 rollouts\n");
    assert_eq!((told.stdout.as_str(), told.code), (expected.as_str(), Some(0)), "{told}");
    assert_eq!(told.stderr, "`tensorboard --logdir board` shows them\n");
    let events = read(&file);
    assert_eq!(scalars(&events, "train/loss"), loss(1..=4));
    let times: Vec<f64> = events[2..].iter().map(|event| event.wall_time).collect();
    assert!(times.is_sorted() && times[0] > 1.6e9, "{times:?}");

    let all = sandbox.json(&["export", "toy.toml", "board", "--tensorboard"]);
    let all: Vec<_> = all.as_array().unwrap().iter().map(|one| (one["stage"].clone(), one["steps"].clone())).collect();
    assert_eq!(all, [("c".into(), 4.into()), ("d/x".into(), 2.into())]);
    let again = files(&sandbox, "board/c");
    assert_eq!((again.len(), &again[0]), (2, &file), "the newer one is read later, and takes the place of the older");
    assert_eq!(started_at(&read(&again[1])), [0]);
    assert_eq!(scalars(&read(&files(&sandbox, "board/d/x")[0]), "train/loss"), loss(1..=2));
}

#[test]
fn export_says_what_is_missing() {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["apply", "toy.toml", "--until", "a"]);
    let export = |more: &[&str]| sandbox.run(&[&["export"], more, &["board", "--tensorboard"]].concat());
    insta::assert_snapshot!(export(&["a"]), @r"
    exit code 2
    ── stderr
    error: `a` has neither a curve nor rollouts, so there is nothing to write
    help: stages that train have a curve: `r1flow show STAGE` draws it
    ");
    insta::assert_snapshot!(export(&["c"]), @r"
    exit code 2
    ── stderr
    error: `c` of `toy.toml` is not fresh: a stage before it is not fresh
    help: `r1flow apply toy.toml` makes it
    ");
    insta::assert_snapshot!(export(&["a.samples"]), @r"
    exit code 2
    ── stderr
    error: there is no stage `a.samples` in the store: known: `a`
    ");
    insta::assert_snapshot!(export(&["toy.toml", "--workflow", "toy.toml"]), @r"
    exit code 2
    ── stderr
    error: `toy.toml` is a workflow itself: leave out `--workflow`, or name a stage
    ");
    assert!(!sandbox.root().join("board").exists());
}

/// Prints what TensorBoard reads in each folder: for a scalar its values by step, for a histogram the count by step, for
/// a text the text by step.
const READER: &str = r#"
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
told = {}
for folder in sys.argv[1:]:
    events = EventAccumulator(folder, size_guidance={"scalars": 0, "histograms": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    told[folder] = {
        **{tag: {e.step: e.value for e in events.Scalars(tag)} for tag in tags["scalars"]},
        **{tag: {e.step: e.histogram_value.num for e in events.Histograms(tag)} for tag in tags["histograms"]},
        **{tag: {e.step: e.tensor_proto.string_val[0].decode() for e in events.Tensors(tag)} for tag in tags["tensors"]},
    }
    for tag in tags["tensors"]:
        assert events.SummaryMetadata(tag).plugin_data.plugin_name == "text", tag
json.dump(told, sys.stdout)
"#;

type Tags = BTreeMap<String, BTreeMap<u64, Value>>;

/// Returns what TensorBoard reads in these folders; `None` where it is not installed.
fn as_tensorboard_reads(sandbox: &Sandbox, folders: &[&str]) -> Option<BTreeMap<String, Tags>> {
    let python = |code: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new("python3");
        command.arg("-c").arg(code).args(arguments).current_dir(sandbox.root());
        command.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("target/readers")).output()
    };
    if !python("import tensorboard", &[]).is_ok_and(|output| output.status.success()) {
        use std::io::Write;
        let reason = "there is no TensorBoard: `sh scripts/tools readers` installs it";
        let _ = writeln!(std::io::stderr(), "skipped: {reason}");
        return None;
    }
    let output = python(READER, folders).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn tensorboard_reads_a_resumed_stage_as_one_curve() {
    let sandbox = Sandbox::new(&format!("{LOGS}{CHAIN}"));
    // A crash after a step without a checkpoint: the steps after the checkpoint of step 4 are repeated.
    let crash = format!("c.crash-once={{ at = 6, file = {:?} }}", sandbox.root().join("crashed").display().to_string());
    let sets = ["--set", "c.steps=9", "--set", "c.checkpoint-steps=4", "--set", &crash];
    let crashed = sandbox.run(&[&["apply", "toy.toml"], &sets[..]].concat());
    assert_eq!(crashed.code, Some(1), "{crashed}");
    sandbox.ok(&[&["apply", "toy.toml"], &sets[..]].concat());
    sandbox.ok(&[&["export", "c", "board", "--tensorboard"], &sets[..]].concat());
    let found = files(&sandbox, "logs/c");
    assert_eq!((found.len(), started_at(&read(&found[1]))), (2, vec![5]));
    assert_eq!(scalars(&read(&found[0]), "train/loss"), loss(1..=6), "two of them are repeated");
    let Some(read) = as_tensorboard_reads(&sandbox, &["logs/c", "board/c"]) else { return };
    let steps: Vec<u64> = read["logs/c"]["train/loss"].keys().copied().collect();
    assert_eq!(steps, (1..=9).collect::<Vec<_>>());
    assert_eq!(read["logs/c"], read["board/c"]);
}

#[cfg(feature = "worker")]
#[test]
fn tensorboard_reads_rollouts() {
    use super::support::tiny_shape;
    const POLICY: &str = concat!(
        r#"run = { tensorboard = "logs" }
[tasks.sums]
task  = "sums"
count = 8
[pretrain.base]
data       = ["sums.samples"]
"#,
        tiny_shape!(),
        r#"steps      = 1
batch-size = 4
[grpo.policy]
model            = "base.model"
prompts          = ["sums.prompts"]
rewards          = { accuracy = 1.0 }
steps            = 3
prompts-per-step = 2
group-size       = 2
keep-groups      = 2
max-tokens       = 8
"#
    );
    let sandbox = Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")));
    sandbox.write("policy.toml", POLICY);
    sandbox.ok(&["apply", "policy.toml"]);
    sandbox.ok(&["export", "policy.toml", "board", "--tensorboard"]);
    let rows = sandbox.ok(&["show", "policy.rollouts", "--rows", "99", "--json"]);
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 12, "three steps of two groups of two");
    let Some(read) = as_tensorboard_reads(&sandbox, &["logs/policy", "board/policy", "logs/base"]) else { return };
    let policy = &read["logs/policy"];
    assert_eq!(policy["rollouts/tokens"], BTreeMap::from([1, 2, 3].map(|step| (step, 4.0.into()))));
    assert_eq!(policy["rollouts/reward"].len(), 3);
    for tag in ["train/reward", "train/completions/mean_length", "train/rewards/accuracy/mean", "rollouts/advantage"] {
        assert_eq!(policy[tag].len(), 3, "{tag}");
    }
    let text = policy["rollouts/completion"][&2].as_str().unwrap();
    let of_step = rows.iter().find(|row| row["step"] == 1).unwrap();
    let prompt = of_step["prompt"].as_str().unwrap();
    assert!(text.starts_with("The first 4 of 4 completions.") && text.contains(prompt), "{text}");
    assert_eq!(policy, &read["board/policy"]);
    assert_eq!(read["logs/base"].keys().filter(|tag| *tag == "train/loss").count(), 1);
}
