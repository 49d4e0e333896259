//! The worker in Python of `docs/own-worker.md`: another program than ours can run stages.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use super::support::Sandbox;

const SHORT: &str = r#"[inputs]
worked = { samples = "worked.jsonl" }

[keep-short.short]
data  = ["inputs.worked"]
words = 5
"#;

const ROWS: &str = r#"{"prompt": "2+2=?", "completion": "4"}
{"prompt": "3+3=?", "completion": "three and three make six, which is 6"}
{"prompt": "1+1=?", "completion": "that is 2"}
"#;

/// Returns a sandbox with the worker, `None` where there is no Python.
fn sandbox() -> Option<Sandbox> {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        let _ = writeln!(std::io::stderr(), "skipped: there is no python3");
        return None;
    }
    let sandbox = Sandbox::with_worker(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/worker.py"));
    sandbox.write("short.toml", SHORT);
    sandbox.write("worked.jsonl", ROWS);
    Some(sandbox)
}

#[test]
fn a_worker_in_python_runs_a_stage() {
    let Some(sandbox) = sandbox() else { return };
    assert!(sandbox.ok(&["kinds"]).contains("keep-short  samples"));
    sandbox.ok(&["check", "short.toml"]);
    sandbox.ok(&["apply", "short.toml"]);
    let shown = sandbox.json(&["show", "short"]);
    let summary = &shown["record"]["summary"];
    assert_eq!((&summary["rows"], &summary["kept"]), (&3.into(), &2.into()), "{shown}");
    assert_eq!(shown["curve"].as_array().map(Vec::len), Some(3), "{shown}");
    let rows = sandbox.ok(&["show", "short.samples"]);
    assert!(rows.contains("that is 2") && !rows.contains("3+3=?"), "{rows}");
    let again = sandbox.run(&["apply", "short.toml"]);
    assert!(again.stderr.starts_with("nothing to do: 1 stage is fresh"), "{again}");
}

#[test]
fn it_stops_at_a_checkpoint_and_continues_from_there() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("worked.jsonl", &ROWS.repeat(30));
    let running = sandbox.start(&["apply", "short.toml", "--json", "--set", "short.pause-ms=100"]);
    running.event("progress", "short");
    running.signal(libc::SIGINT);
    assert_eq!(running.end().code, Some(3));
    let plan = sandbox.ok(&["plan", "short.toml"]);
    assert!(plan.contains("continues from step"), "{plan}");
    sandbox.ok(&["apply", "short.toml"]);
    assert_eq!(sandbox.json(&["show", "short"])["record"]["summary"]["kept"], 60);
}

#[test]
fn it_refuses_keys_and_reports_bad_rows() {
    let Some(sandbox) = sandbox() else { return };
    let refused = sandbox.run(&["check", "short.toml", "--set", "short.without=[\"a b\"]"]);
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("`without` has a text of several words"), "{refused}");
    sandbox.write("worked.jsonl", "{\"prompt\": \"1\"}\n");
    let failed = sandbox.run(&["apply", "short.toml"]);
    assert_eq!(failed.code, Some(1), "{failed}");
    assert!(failed.stderr.contains("has no text `completion`"), "{failed}");
}
