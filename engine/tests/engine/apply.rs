//! Apply on the toy worker: what runs, what is skipped, what a kill costs.

use std::time::Duration;

use engine::event::Event;
use engine::options::Halt;
use engine::plan::RowStatus;

use super::support::{CHAIN, Sandbox, attempts_left, sorted};

#[test]
fn what_is_fresh_does_not_run() {
    let sandbox = Sandbox::new();
    let first = sandbox.apply(CHAIN, &[]);
    assert_eq!(sorted(&first.ran), ["a", "b", "c", "other"]);
    let second = sandbox.apply(&format!("# a comment\n{CHAIN}"), &["a.loudness=9"]);
    assert_eq!((second.ran.len(), second.fresh.len()), (0, 4));
    let renamed = CHAIN.replace("join.b", "join.renamed").replace("b.samples", "renamed.samples");
    assert_eq!(sandbox.apply(&renamed, &[]).ran.len(), 0, "a rename changes no byte");
}

#[test]
fn an_edit_runs_what_depends_on_it_and_reverting_it_nothing() {
    let sandbox = Sandbox::new();
    sandbox.apply(CHAIN, &[]);
    assert_eq!(
        sorted(&sandbox.apply(CHAIN, &["b.separator=-"]).ran),
        ["b"],
        "one text has no separator: the bytes are equal"
    );
    assert_eq!(sorted(&sandbox.apply(CHAIN, &["a.text=bye"]).ran), ["a", "b", "c"]);
    assert_eq!(sandbox.apply(CHAIN, &[]).ran.len(), 0);
}

#[test]
fn equal_bytes_stop_the_wave() {
    let sandbox = Sandbox::new();
    sandbox.apply(CHAIN, &["a.text=HELLO", "a.lower=true"]);
    let sets = ["a.text=Hello", "a.lower=true"];
    let maybe = |stage: &str| (stage.to_owned(), RowStatus::Maybe);
    let fresh = |stage: &str| (stage.to_owned(), RowStatus::Fresh);
    let expected = [("a".to_owned(), RowStatus::Dirty), maybe("b"), maybe("c"), fresh("other")];
    assert_eq!(sandbox.statuses(CHAIN, &sets), expected);
    assert_eq!(sorted(&sandbox.apply(CHAIN, &sets).ran), ["a"]);
}

#[test]
fn more_steps_continue_and_fewer_train_nothing() {
    let straight = Sandbox::new().apply(CHAIN, &["c.steps=6"]).records["c"].outputs["model"].digest;
    let sandbox = Sandbox::new();
    sandbox.apply(CHAIN, &["c.steps=4"]);
    let extend = RowStatus::Extend { from: 4, to: Some(6) };
    assert_eq!(sandbox.statuses(CHAIN, &["c.steps=6"])[2], ("c".to_owned(), extend));
    let longer = sandbox.apply(CHAIN, &["c.steps=6"]);
    assert_eq!((longer.records["c"].steps, longer.records["c"].outputs["model"].digest), (2, straight));
    let shorter = sandbox.apply(CHAIN, &["c.steps=5"]);
    assert_eq!((sorted(&shorter.ran), shorter.records["c"].steps), (vec!["c"], 0));
}

#[test]
fn what_takes_effect_later_keeps_what_was_before() {
    let later = |salt: u64| format!("c.later={{ salt = {salt}, from-step = 3 }}");
    let straight = Sandbox::new().apply(CHAIN, &["c.steps=6", &later(2)]).records["c"].outputs["model"].digest;
    let sandbox = Sandbox::new();
    // Every checkpoint up to step 3 is kept: the second run needs the one at 3.
    sandbox.apply(CHAIN, &["c.steps=3", &later(1)]);
    sandbox.apply(CHAIN, &["c.steps=6", &later(1)]);
    let changed = sandbox.apply(CHAIN, &["c.steps=6", &later(2)]);
    assert_eq!((changed.records["c"].steps, changed.records["c"].outputs["model"].digest), (3, straight));
}

#[test]
fn a_failure_leaves_siblings_alone_and_blocks_what_follows() {
    let sandbox = Sandbox::new();
    let mut told = Vec::new();
    let workflow = sandbox.workflow(CHAIN, &["a.fail=true"]);
    let summary = sandbox.apply_with(
        &workflow,
        |_| {},
        |event, _| {
            if let Event::Failed { stage, message, help, .. } = event {
                told.push((stage.clone(), message.clone(), help.clone()));
            }
        },
    );
    assert_eq!(sorted(&summary.ran), ["other"]);
    assert_eq!(sorted(&summary.left), ["b", "c"]);
    assert_eq!(told, [("a".to_owned(), "`fail` is set".to_owned(), Some("set `fail = false`".to_owned()))]);
}

#[test]
fn a_crash_is_retried_from_the_last_checkpoint() {
    let straight = Sandbox::new().apply(CHAIN, &["c.steps=6"]).records["c"].outputs["model"].digest;
    let sandbox = Sandbox::new();
    let file = sandbox.dir.path().join("crashed");
    let crash = format!("c.crash-once={{ at = 3, file = {:?} }}", file.display().to_string());
    let sets = ["c.steps=6", &crash, "c.run.retries=1"];
    let workflow = sandbox.workflow(CHAIN, &sets);
    let mut starts = Vec::new();
    let summary = sandbox.apply_with(
        &workflow,
        |_| {},
        |event, _| {
            if let Event::Started { stage, attempt, resumed_from, .. } = event
                && stage == "c"
            {
                starts.push((*attempt, *resumed_from));
            }
        },
    );
    assert_eq!(starts, [(1, None), (2, Some(3))]);
    assert_eq!(summary.records["c"].outputs["model"].digest, straight);
    assert_eq!(summary.records["c"].steps, 3);
}

#[test]
fn without_retries_a_crash_fails_with_the_last_words() {
    let sandbox = Sandbox::new();
    let file = sandbox.dir.path().join("crashed");
    let crash = format!("c.crash-once={{ at = 2, file = {:?} }}", file.display().to_string());
    let summary = sandbox.apply(CHAIN, &[&crash]);
    let (stage, message) = &summary.failed[0];
    assert_eq!(stage, "c");
    assert!(message.contains("signal") && message.contains("crashing on purpose"), "{message}");
    assert_eq!(sandbox.apply(CHAIN, &[&crash]).records["c"].steps, 2, "the next apply goes on from the checkpoint");
}

#[test]
fn a_stop_saves_a_checkpoint_and_the_next_apply_goes_on() {
    let straight = Sandbox::new().apply(CHAIN, &["c.steps=50"]).records["c"].outputs["model"].digest;
    let sandbox = Sandbox::new();
    let sets = ["c.steps=50", "c.wait=5", "c.checkpoint-steps=1000"];
    let workflow = sandbox.workflow(CHAIN, &sets);
    let stopped = sandbox.apply_with(
        &workflow,
        |_| {},
        |event, halt| {
            if matches!(event, Event::Progress { stage, step: 3, .. } if stage == "c") {
                halt.send(Halt::Stop).unwrap();
            }
        },
    );
    assert_eq!(sorted(&stopped.left), ["c"]);
    let resumed = sandbox.apply(CHAIN, &sets);
    assert!(resumed.records["c"].steps < 48, "{}", resumed.records["c"].steps);
    assert_eq!(resumed.records["c"].outputs["model"].digest, straight);
    let curve = sandbox.store.read(&resumed.records["c"].metrics.unwrap()).unwrap();
    assert_eq!(String::from_utf8(curve).unwrap().lines().count(), 50, "the curve is whole");
}

#[test]
fn a_second_apply_waits_and_shares() {
    let sandbox = Sandbox::new();
    let sets = ["c.steps=20", "c.wait=10"];
    let workflow = sandbox.workflow(CHAIN, &sets);
    let (ran, waited) = std::thread::scope(|scope| {
        let both: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut waited = 0;
                    let summary = sandbox.apply_with(
                        &workflow,
                        |_| {},
                        |event, _| {
                            waited += usize::from(matches!(event, Event::Waiting { .. }));
                        },
                    );
                    (summary.records["c"].outputs["model"].digest, waited)
                })
            })
            .collect();
        let both: Vec<_> = both.into_iter().map(|apply| apply.join().unwrap()).collect();
        (both[0].0 == both[1].0, both[0].1 + both[1].1)
    });
    assert!(ran, "both end with the same");
    assert!(waited > 0, "one of them waited");
    assert_eq!(sandbox.store.all_records().unwrap().len(), 4, "nothing was computed twice");
}

#[test]
fn until_and_force() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow(CHAIN, &[]);
    let until = sandbox.apply_with(&workflow, |options| options.selection.until = vec!["b".to_owned()], |_, _| {});
    assert_eq!(sorted(&until.ran), ["a", "b"]);
    let forced = sandbox.apply_with(&workflow, |options| options.selection.force = vec!["a".to_owned()], |_, _| {});
    assert_eq!(sorted(&forced.ran), ["a", "c", "other"], "b is fresh: a gave the same bytes");
}

#[test]
fn outputs_that_are_gone_are_made_again() {
    let sandbox = Sandbox::new();
    let digest = sandbox.apply(CHAIN, &[]).records["b"].outputs["samples"].digest;
    fs_err::remove_file(sandbox.store.object_path(&digest)).unwrap();
    assert_eq!(sorted(&sandbox.apply(CHAIN, &[]).ran), ["a"], "a and b have the same bytes: one run brings both back");
}

#[test]
fn attempts_leave_nothing_behind() {
    let sandbox = Sandbox::new();
    sandbox.apply(CHAIN, &["a.fail=true"]);
    sandbox.apply(CHAIN, &[]);
    assert_eq!(attempts_left(&sandbox), 0);
}

#[test]
fn the_example_embeds_the_engine() {
    let sandbox = Sandbox::new();
    let file = sandbox.dir.path().join("workflow.toml");
    fs_err::write(&file, CHAIN).unwrap();
    let store = sandbox.dir.path().join("embedded");
    let embed = sandbox.worker.with_file_name("embed");
    let output = std::process::Command::new(embed).args([&file, &sandbox.worker, &store]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.starts_with("plan: a is Dirty\n"), "{text}");
    let digest = sandbox.apply(CHAIN, &[]).records["c"].outputs["model"].digest;
    assert!(text.contains(&format!("c.model: {digest}\n")), "{text}");
}

#[test]
fn a_stage_that_hangs_is_ended_and_tried_again() {
    let sandbox = Sandbox::new();
    let sets = ["c.steps=6", "c.hang-at=3", "c.run.progress-timeout=1s"];
    let summary = sandbox.apply(CHAIN, &sets);
    assert!(summary.failed[0].1.contains("`progress-timeout`, 1 s"), "{:?}", summary.failed);
    // It has a checkpoint of three steps, and does not hang at a later step.
    let again = sandbox.apply(CHAIN, &sets);
    assert_eq!(again.records["c"].steps, 3, "{:?}", again.failed);
}

#[test]
fn a_worker_that_is_not_heard_of_is_ended_and_tried_again() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow(CHAIN, &["c.steps=6", "c.run.retries=1", "c.wait=50", "c.checkpoint-steps=100"]);
    let mut retried = Vec::new();
    let mut is_stopped = false;
    let summary = sandbox.apply_with(
        &workflow,
        |options| options.silence = Duration::from_millis(600),
        |event, _| match event {
            Event::Progress { stage, step: 3, .. } if stage == "c" && !is_stopped => {
                is_stopped = true;
                stop_workers(&sandbox);
            }
            Event::Retrying { message, .. } => retried.push(message.clone()),
            _ => {}
        },
    );
    assert!(summary.failed.is_empty(), "{:?}", summary.failed);
    assert_eq!(retried, ["the worker sent no message, 0.6 s"]);
    assert_eq!(summary.records["c"].summary["steps"], 6);
}

/// Stops the sandbox's workers of the stage `c`: they are alive, but send nothing.
fn stop_workers(sandbox: &Sandbox) {
    let me = std::process::id().to_string();
    for entry in fs_err::read_dir("/proc").unwrap() {
        let Some(pid) = entry.unwrap().file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let (mut fields, dir) = (rest.split_whitespace(), std::fs::read_link(format!("/proc/{pid}/cwd")));
        let is_mine = fields.nth(1) == Some(me.as_str());
        if is_mine
            && dir.is_ok_and(|dir| {
                dir.starts_with(sandbox.store.root())
                    && dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("c-"))
            })
        {
            // SAFETY: a signal to a child that has not been waited for.
            unsafe {
                libc::kill(pid, libc::SIGSTOP);
            }
        }
    }
}
