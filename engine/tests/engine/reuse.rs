//! Reuse of parts of stages: steps that two variants share, steps before a key begins, rows.

use std::collections::BTreeMap;

use engine::event::Event;

use super::support::{Sandbox, sorted};

/// Returns the steps that each stage ran, from its record; stages that were fresh or shared are left out.
fn steps(sandbox: &Sandbox, workflow: &str, sets: &[&str]) -> BTreeMap<String, u64> {
    let summary = sandbox.apply(workflow, sets);
    assert!(summary.failed.is_empty(), "{:?}", summary.failed);
    summary.ran.iter().map(|stage| (stage.clone(), summary.records[stage].steps)).collect()
}

fn digest(sandbox: &Sandbox, workflow: &str, sets: &[&str], stage: &str) -> String {
    sandbox.apply(workflow, sets).records[stage].outputs["model"].digest.to_string()
}

/// No checkpoints except those that another stage needs.
const SPARSE: &str = "checkpoint-steps = 1_000_000\n";

#[test]
fn more_steps_run_the_difference_and_fewer_none() {
    let text = format!("[count.c]\ndata = []\n{SPARSE}");
    let sandbox = Sandbox::new();
    assert_eq!(steps(&sandbox, &text, &["c.steps=400"])["c"], 400);
    assert_eq!(steps(&sandbox, &text, &["c.steps=600"])["c"], 200);
    assert!(steps(&sandbox, &text, &["c.steps=400"]).is_empty());
    let straight = digest(&Sandbox::new(), &text, &["c.steps=600"], "c");
    assert_eq!(digest(&sandbox, &text, &["c.steps=600"], "c"), straight);
}

#[test]
fn a_key_that_begins_later_runs_from_there() {
    let text = format!("[count.c]\ndata = []\nsteps = 400\n{SPARSE}later = {{ salt = 1, from-step = 300 }}\n");
    let sandbox = Sandbox::new();
    assert_eq!(steps(&sandbox, &text, &[])["c"], 400);
    assert_eq!(steps(&sandbox, &text, &["c.later.salt=2"])["c"], 100);
    assert_eq!(steps(&sandbox, &text, &["c.later.from-step=350"])["c"], 100);
    let straight = digest(&Sandbox::new(), &text, &["c.later.salt=2"], "c");
    assert_eq!(digest(&sandbox, &text, &["c.later.salt=2"], "c"), straight);
}

#[test]
fn variants_do_what_they_share_once() {
    let text = format!(
        "[count.c]\ndata = []\nsteps = 40\nwait = 1\n{SPARSE}each.one = {{ later = {{ salt = 1, from-step = 30 }} }}\n\
         each.two = {{ later = {{ salt = 2, from-step = 30 }} }}\neach.longer = {{ steps = 60 }}\n\
         each.same = {{ later = {{ salt = 1, from-step = 30 }} }}\n"
    );
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow(&text, &[]);
    let mut notes = Vec::new();
    let summary = sandbox.apply_with(
        &workflow,
        |options| options.slots = 4,
        |event, _| {
            if let Event::Note { stage, message, .. } = event {
                notes.push(format!("{stage} {message}"));
            }
        },
    );
    let steps: u64 = summary.ran.iter().map(|stage| summary.records[stage].steps).sum();
    // Thirty steps in common, ten more for each of two variants, thirty more for the one without a later salt.
    assert_eq!(steps, 30 + 10 + 10 + 30, "{:?}", summary.ran);
    assert_eq!(sorted(&summary.fresh), ["c/same"]);
    assert!(notes.iter().any(|note| note.starts_with("c/two waits for `c/one`")), "{notes:?}");
    for variant in ["one", "two", "longer"] {
        let stage = format!("c/{variant}");
        let alone = Sandbox::new();
        let only = alone.apply_with(
            &alone.workflow(&text, &[]),
            |options| options.selection.only = vec![stage.clone()],
            |_, _| {},
        );
        let digests = [&only, &summary].map(|summary| summary.records[&stage].outputs["model"].digest);
        assert_eq!(digests[0], digests[1], "{stage}");
    }
}

#[test]
fn rows_are_drawn_once() {
    let sandbox = Sandbox::new();
    let words = |text: &str| fs_err::write(sandbox.dir.path().join("words"), text).unwrap();
    let text = "[inputs]\nwords = { samples = \"words\" }\n[draw.d]\ndata = [\"inputs.words\"]\n";
    let drawn = |sets: &[&str]| {
        let summary = sandbox.apply(text, sets);
        let anew = Sandbox::new();
        fs_err::copy(sandbox.dir.path().join("words"), anew.dir.path().join("words")).unwrap();
        let digests = [&summary, &anew.apply(text, sets)].map(|summary| summary.records["d"].outputs["samples"].digest);
        assert_eq!(digests[0], digests[1], "{sets:?}");
        summary.ran.first().map(|_| summary.records["d"].summary["drawn"].as_u64().unwrap())
    };
    words("one\ntwo\nthree\n");
    assert_eq!(drawn(&[]), Some(3));
    assert_eq!(drawn(&[]), None);
    words("four\nthree\ntwo\nfive\n");
    assert_eq!(drawn(&[]), Some(2), "added, removed, in another order");
    assert_eq!(drawn(&["d.even=true"]), Some(0), "another filter");
    assert_eq!(drawn(&["d.salt=1"]), Some(4), "another model");
    let forced = sandbox.apply_with(
        &sandbox.workflow(text, &[]),
        |options| options.selection.force = vec!["d".to_owned()],
        |_, _| {},
    );
    assert_eq!(forced.records["d"].summary["drawn"], 4, "forced is anew");
}

#[test]
fn a_file_beside_an_input_counts_by_its_content() {
    let sandbox = Sandbox::new();
    let path = |name: &str| sandbox.dir.path().join(name);
    fs_err::write(path("words"), "one").unwrap();
    fs_err::write(path("ending"), "!").unwrap();
    let text = "[inputs]\nwords = { samples = \"words\", ending = \"ending\" }\n[join.j]\ndata = [\"inputs.words\"]\n";
    let digest = |text: &str| {
        let summary = sandbox.apply(text, &[]);
        (summary.ran.len(), summary.records["j"].outputs["samples"].digest)
    };
    let (_, first) = digest(text);
    fs_err::write(path("copy"), "!").unwrap();
    assert_eq!(digest(&text.replace("\"ending\"", "\"copy\"")), (0, first), "another file with the same content");
    fs_err::write(path("ending"), "?").unwrap();
    let (ran, second) = digest(text);
    assert!(ran == 1 && second != first);
    let plain = digest(&text.replace(", ending = \"ending\"", ""));
    assert!(plain.0 == 1 && plain.1 != second);
    fs_err::write(path("words"), "one?").unwrap();
    let written = digest(&text.replace(", ending = \"ending\"", ""));
    assert_eq!(written.1, second, "the worker has read it");
}
