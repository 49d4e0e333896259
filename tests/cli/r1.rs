//! The shipped workflows with the real worker. The cut-down one is killed again and again and resumed, with the digests
//! of an unbroken run. The whole one learns what `docs/results.md` says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::{Running, Sandbox, events, stages};

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")))
}

/// Returns the digest of every output that `select` names in the store, by `stage.output`.
pub(crate) fn digests(sandbox: &Sandbox, workflow: &str, select: &[&str]) -> BTreeMap<String, String> {
    let rows = sandbox.json(&[&["plan", workflow], select].concat());
    let rows = rows["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["status"] == "fresh"), "{rows:#?}");
    let mut digests = BTreeMap::new();
    for row in rows {
        let stage = row["stage"].as_str().unwrap();
        let shown = sandbox.json(&["show", stage]);
        for (output, found) in shown["record"]["outputs"].as_object().unwrap() {
            digests.insert(format!("{stage}.{output}"), found["digest"].as_str().unwrap().to_owned());
        }
    }
    digests
}

/// Starts `apply` of the stages that `select` names and kills it as soon as `stage` has a checkpoint.
pub(crate) fn kill_at_checkpoint(sandbox: &Sandbox, workflow: &str, stage: &str, select: &[&str]) {
    let running: Running = sandbox.start(&[&["apply", workflow, "--json"], select].concat());
    running.event("checkpoint", stage);
    running.signal(libc::SIGKILL);
    assert_eq!(running.end().code, None);
}

/// Kills every kind and method that trains or samples after its first checkpoint. Two stages run in parallel, so each
/// kill costs more work.
#[test]
fn killed_and_resumed_it_ends_as_if_nothing_had_happened() {
    let workflow = repository().join("tests/workflows/r1/every-kind.toml").display().to_string();
    let (unbroken, broken) = (sandbox(), sandbox());
    unbroken.ok(&["apply", &workflow]);
    // `true`: applied alone, because otherwise it might be done before its turn comes.
    let victims = [
        ("base", false),
        ("adapted", true),
        ("bf16", true),
        ("zero", false),
        ("zero-outputs", false),
        ("cold-start", false),
        ("helpful", false),
        ("alignment-rl", false),
        ("teacher", true),
        ("by-logits", true),
        ("on-policy", true),
        ("student-distilled/llama", false),
        ("scores/student-distilled/llama", false),
    ];
    for (stage, alone) in victims {
        let until = ["--until", stage];
        kill_at_checkpoint(&broken, &workflow, stage, if alone { &until } else { &[] });
    }
    let rows = broken.json(&["plan", &workflow])["rows"].clone();
    let last = rows.as_array().unwrap().iter().find(|row| row["stage"] == victims[victims.len() - 1].0).unwrap();
    assert!(
        last["known_rows"].as_u64().is_some_and(|rows| rows > 0),
        "the last victim has kept what it sampled: {last:#?}"
    );
    broken.ok(&["apply", &workflow]);
    assert_eq!(digests(&broken, &workflow, &[]), digests(&unbroken, &workflow, &[]));
    let again = events(&broken.ok(&["apply", &workflow, "--json"]));
    assert_eq!(stages(&again, "started"), Vec::<&str>::new(), "everything is fresh");

    // Stages that train reproduce their states, too, not only their outputs.
    let trainers = [
        "base",
        "zero",
        "cold-start",
        "helpful",
        "alignment-rl",
        "student-distilled/llama",
        "by-logits",
        "on-policy",
        "adapted",
        "bf16",
    ];
    let verdicts = broken.json(&[&["verify", &workflow, "--segments", "9", "--rerun"], &trainers[..]].concat());
    let verdicts = verdicts.as_array().unwrap();
    assert!(verdicts.iter().all(|verdict| verdict["outcome"] == "same"), "{verdicts:#?}");
    for stage in trainers {
        let within = verdicts.iter().filter(|verdict| verdict["stage"] == stage && !verdict["to"].is_null());
        assert!(within.count() > 0, "no segment of `{stage}` ends before the stage: {verdicts:#?}");
    }
}

/// Returns a figure from a stage's row in the final table.
fn figure(scores: &Value, stage: &str, column: &str) -> f64 {
    let report = scores.as_array().unwrap().iter().find(|row| row["stage"] == stage);
    let row = report.unwrap_or_else(|| panic!("no row `{stage}`"))["report"]["row"].as_array().unwrap();
    let cell = row.iter().find(|cell| cell["column"] == column);
    cell.unwrap_or_else(|| panic!("`{stage}` has no `{column}`"))["value"].as_f64().unwrap()
}

/// The thresholds are well below the worst of the seeds in `docs/results.md`.
#[test]
#[ignore = "takes minutes: `make learn` runs it"]
fn the_default_workflow_learns() {
    let workflow = repository().join("workflows/r1.toml").display().to_string();
    let sandbox = sandbox();
    sandbox.ok(&["apply", &workflow]);
    let scores = sandbox.json(&["scores", &workflow]);
    let of = |stage: &str, column: &str| figure(&scores, stage, column);
    let claims = [
        ("R1-Zero is far above its base", of("zero", "accuracy") > of("base", "accuracy") + 0.4),
        ("its thoughts are several times longer", of("zero", "thinking") > 2.5 * of("base", "thinking")),
        ("reasoning RL is above cold start", of("reasoning-rl", "accuracy") > of("cold-start", "accuracy") + 0.03),
        (
            "rejection samples are as good as their source",
            of("generalist", "accuracy") > of("reasoning-rl", "accuracy") - 0.02,
        ),
        ("they repair the general skill", of("generalist", "general") > of("reasoning-rl", "general") + 0.2),
        ("alignment keeps accuracy", of("alignment-rl", "accuracy") > of("generalist", "accuracy") - 0.03),
        ("alignment makes answers more helpful", of("alignment-rl", "helpful") > of("generalist", "helpful") + 0.06),
        ("alignment makes answers less harmful", of("alignment-rl", "harmless") > of("generalist", "harmless") + 0.08),
        (
            "a distilled Qwen beats one trained by RL",
            of("student-distilled/qwen", "accuracy") > of("student-rl/qwen", "accuracy") + 0.3,
        ),
        (
            "a distilled Llama beats one trained by RL",
            of("student-distilled/llama", "accuracy") > of("student-rl/llama", "accuracy") + 0.3,
        ),
    ];
    let broken: Vec<&str> = claims.iter().filter(|(_, holds)| !holds).map(|(claim, _)| *claim).collect();
    assert!(broken.is_empty(), "{broken:?}\n{}", sandbox.ok(&["scores", &workflow]));
}
