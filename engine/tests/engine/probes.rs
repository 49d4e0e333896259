//! The probes by which workflow engines are compared (touch, reformat, revert, kill, …): after each, what ran.
//!
//! The table is published in `docs/guarantees.md`, and this test checks that the page has the rows that it sees.

use std::fmt::Write;
use std::fs::{FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use engine::event::Event;
use engine::options::Halt;

use super::support::{Applied, Sandbox, attempts_left, sorted};

/// A stage that reads an input, two after it, and one beside them.
const WORKFLOW: &str = "
[inputs]
words = { samples = \"words.jsonl\" }
[join.a]
data = [\"inputs.words\"]
[join.b]
data      = [\"a.samples\"]
separator = \" \"
[count.c]
data  = [\"b.samples\"]
steps = 4
[write.beside]
text = \"other\"
";

/// The name of a probe, what it does, and what the next apply is expected to run.
type Probe = (&'static str, fn(&Sandbox) -> Applied, &'static [&'static str]);

const PROBES: [Probe; 17] = [
    ("nothing changed", |sandbox| sandbox.apply(WORKFLOW, &[]), &[]),
    ("an input is touched", touched, &[]),
    ("an input changes, the first output comes out equal", equal_output, &["a"]),
    ("a comment is added", |sandbox| sandbox.apply(&format!("# new\n{WORKFLOW}"), &[]), &[]),
    ("the file is written anew: order, spaces, inline tables", reformatted, &[]),
    (
        "a number is spelt otherwise (`4` as `0x4`)",
        |sandbox| sandbox.apply(&WORKFLOW.replace("= 4", "= 0x4"), &[]),
        &[],
    ),
    ("a value changes, the output comes out equal", |sandbox| sandbox.apply(WORKFLOW, &["b.separator=-"]), &["b"]),
    ("a value changes, and so does the output", |sandbox| sandbox.apply(WORKFLOW, &["beside.text=new"]), &["beside"]),
    (
        "a stage is renamed",
        |sandbox| sandbox.apply(&WORKFLOW.replace("join.b", "join.z").replace("b.sam", "z.sam"), &[]),
        &[],
    ),
    ("an edit is taken back", reverted, &[]),
    ("an output is deleted", deleted, &["c: 0 of 4 steps"]),
    ("an output is altered by hand", altered, &["c: 0 of 4 steps"]),
    ("the project is moved", moved, &[]),
    ("`run` options and neutral keys change", |sandbox| sandbox.apply(WORKFLOW, &["c.wait=1", "c.run.retries=3"]), &[]),
    ("`steps` is raised from 4 to 6", |sandbox| sandbox.apply(WORKFLOW, &["c.steps=6"]), &["c: 2 of 6 steps"]),
    (
        "`steps` is lowered from 4 to 3, which has a checkpoint",
        |sandbox| sandbox.apply(WORKFLOW, &["c.steps=3"]),
        &["c: 0 of 3 steps"],
    ),
    ("everything is killed at step 3 of 6, then run again", killed, &["c: 3 of 6 steps"]),
];

fn touched(sandbox: &Sandbox) -> Applied {
    let file = std::fs::File::options().write(true).open(sandbox.dir.path().join("words.jsonl")).unwrap();
    file.set_times(FileTimes::new().set_modified(SystemTime::now() + Duration::from_mins(1))).unwrap();
    sandbox.apply(WORKFLOW, &[])
}

fn equal_output(sandbox: &Sandbox) -> Applied {
    // `a` joins texts in lower case.
    sandbox.apply(WORKFLOW, &["a.lower=true"]);
    words(sandbox, "ONE TWO");
    sandbox.apply(WORKFLOW, &["a.lower=true"])
}

fn reformatted(sandbox: &Sandbox) -> Applied {
    let text = "write.beside = { text = 'other' }\n[count]\nc = { steps = 4, data = ['b.samples'] }\n[join]\n\
                b = { separator = ' ', data = ['a.samples'] }\na = { data = ['inputs.words'] }\n\
                [inputs.words]\nsamples = './words.jsonl'\n";
    sandbox.apply(text, &[])
}

fn reverted(sandbox: &Sandbox) -> Applied {
    sandbox.apply(WORKFLOW, &["beside.text=new"]);
    sandbox.apply(WORKFLOW, &[])
}

/// The file of an output with one member.
fn object(sandbox: &Sandbox, stage: &str, output: &str) -> std::path::PathBuf {
    let records = sandbox.apply(WORKFLOW, &[]).records;
    let tree = sandbox.store.tree(&records[stage].outputs[output].digest).unwrap();
    sandbox.store.object_path(&tree.members[0].digest)
}

fn deleted(sandbox: &Sandbox) -> Applied {
    fs_err::remove_file(object(sandbox, "c", "model")).unwrap();
    sandbox.apply(WORKFLOW, &[])
}

fn altered(sandbox: &Sandbox) -> Applied {
    let path = object(sandbox, "c", "model");
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[0] ^= 1;
    fs_err::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    fs_err::write(&path, bytes).unwrap();
    sandbox.apply(WORKFLOW, &[])
}

fn moved(sandbox: &Sandbox) -> Applied {
    let elsewhere = sandbox.dir.path().join("elsewhere/deep");
    fs_err::create_dir_all(&elsewhere).unwrap();
    fs_err::rename(sandbox.dir.path().join("words.jsonl"), elsewhere.join("words.jsonl")).unwrap();
    sandbox.apply_in(&elsewhere, WORKFLOW, &[])
}

/// A crash of the worker represents the death of both, because the engine keeps nothing but checkpoints.
fn killed(sandbox: &Sandbox) -> Applied {
    let file = sandbox.dir.path().join("crashed");
    let crash = format!("c.crash-once={{ at = 3, file = {:?} }}", file.display().to_string());
    let sets = ["c.salt=7", "c.steps=6", &crash];
    let broken = sandbox.apply(WORKFLOW, &sets);
    assert_eq!(broken.failed.len(), 1);
    let again = sandbox.apply(WORKFLOW, &sets);
    let straight = fresh().apply(WORKFLOW, &sets[..2]).records["c"].outputs["model"].digest;
    assert_eq!(again.records["c"].outputs["model"].digest, straight);
    again
}

fn words(sandbox: &Sandbox, text: &str) {
    fs_err::write(sandbox.dir.path().join("words.jsonl"), text).unwrap();
}

fn fresh() -> Sandbox {
    let sandbox = Sandbox::new();
    words(&sandbox, "one two");
    sandbox
}

/// Returns what ran, with the number of steps if a `count` stage did only part of its work.
fn told(summary: &Applied) -> Vec<String> {
    let told = sorted(&summary.ran).into_iter().map(|stage| {
        let record = &summary.records[stage];
        match record.summary.get("steps").and_then(serde_json::Value::as_u64) {
            Some(all) if record.steps < all => format!("{stage}: {} of {all} steps", record.steps),
            _ => stage.to_owned(),
        }
    });
    told.collect()
}

#[test]
fn the_published_table_is_what_happens() {
    let mut table = "| after a first run … | the next `apply` runs |\n|---|---|\n".to_owned();
    for (probe, act, expected) in PROBES {
        let sandbox = fresh();
        sandbox.apply(WORKFLOW, &[]);
        let ran = told(&act(&sandbox));
        assert_eq!(ran, expected, "{probe}");
        let cell = if ran.is_empty() { "nothing".to_owned() } else { format!("`{}`", ran.join("`, `")) };
        let _ = writeln!(table, "| {probe} | {cell} |");
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guarantees.md");
    let text = fs_err::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once("<!-- probes -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let expected = format!("{before}<!-- probes -->\n{table}<!-- end -->{after}");
    if std::env::var_os("R1FLOW_BLESS").is_some() {
        fs_err::write(&page, &expected).unwrap();
    }
    assert!(
        fs_err::read_to_string(&page).unwrap() == expected,
        "`docs/guarantees.md` says otherwise; the table is\n{table}"
    );
}

#[test]
fn a_spoilt_input_of_a_stage_is_never_used() {
    let sandbox = fresh();
    let path = object(&sandbox, "b", "samples");
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[0] ^= 1;
    // Same size, same mode: only reading the bytes shows the difference.
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, bytes).unwrap();
    fs_err::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let sets = ["c.salt=9"];
    let refused = sandbox.apply(WORKFLOW, &sets);
    assert!(refused.failed[0].1.contains("was damaged"), "{:?}", refused.failed);
    let again = sandbox.apply(WORKFLOW, &sets);
    assert_eq!(sorted(&again.ran), ["a", "c"], "a and b have equal bytes, so a brings them back");
    let straight = fresh().apply(WORKFLOW, &sets).records["c"].outputs["model"].digest;
    assert_eq!(again.records["c"].outputs["model"].digest, straight);
}

#[test]
fn a_kill_leaves_no_folder_for_long() {
    let sandbox = fresh();
    let workflow = sandbox.workflow(WORKFLOW, &["c.steps=50", "c.wait=5"]);
    sandbox.apply_with(
        &workflow,
        |_| {},
        |event, halt| {
            if matches!(event, Event::Progress { step: 3, .. }) {
                halt.send(Halt::Kill).unwrap();
            }
        },
    );
    assert_eq!(attempts_left(&sandbox), 0);
}
