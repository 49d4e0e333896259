//! `r1flow check`: mistakes with their place, and what every command does with invalid arguments.

use serde_json::json;

use super::support::{CHAIN, Sandbox};

const WRONG: &str = r#"[write.a]
tex = "hi"
[count.c]
data = ["b.samples"]
steps = "many"
"#;

#[test]
fn every_mistake_is_told_at_once_with_line_caret_and_cure() {
    let sandbox = Sandbox::new(WRONG);
    insta::assert_snapshot!(sandbox.run(&["check", "toy.toml"]), @r#"
    exit code 2
    ── stderr
    error: unknown key `tex` in write stage `a`
     --> toy.toml:2:1
      |
    2 | tex = "hi"
      | ^^^ not a key of write stages
      |
      = help: did you mean `text`?

    error: there is no stage `b`
     --> toy.toml:4:9
      |
    4 | data = ["b.samples"]
      |         ^^^^^^^^^^^ no such stage
      |
      = help: did you mean `a`?

    error: `steps` takes a whole number
     --> toy.toml:5:9
      |
    5 | steps = "many"
      |         ^^^^^^ this is text

    3 mistakes
    "#);
    for command in ["plan", "apply", "scores"] {
        let output = sandbox.run(&[command, "toy.toml"]);
        assert!(output.code == Some(2) && output.stderr.ends_with("3 mistakes\n"), "{command}: {output}");
    }
    assert!(!sandbox.root().join(".r1flow").exists(), "a wrong file makes no store");
}

#[test]
fn mistakes_as_json() {
    let sandbox = Sandbox::new(WRONG);
    let output = sandbox.run(&["check", "toy.toml", "--json"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(2), ""));
    let told: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let mistakes = told["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), 3);
    let expected = json!({
        "file": "[DIR]/toy.toml", "line": 2, "column": 1, "message": "unknown key `tex` in write stage `a`",
        "label": "not a key of write stages", "help": "did you mean `text`?",
    });
    assert_eq!(mistakes[0], expected);
}

#[test]
fn a_mistake_in_set_points_into_the_argument() {
    let sandbox = Sandbox::new(CHAIN);
    insta::assert_snapshot!(sandbox.run(&["check", "toy.toml", "--set", "c.stesp=8"]), @r"
    exit code 2
    ── stderr
    error: unknown key `stesp` in count stage `c`
     --> --set:1:3
      |
    1 | c.stesp=8
      |   ^^^^^ not a key of count stages
      |
      = help: did you mean `steps`?

    1 mistake
    ");
}

#[test]
fn a_right_file_passes() {
    let sandbox = Sandbox::new(CHAIN);
    insta::assert_snapshot!(sandbox.run(&["check", "toy.toml"]), @r"
    exit code 0
    ── stdout
    toy: 4 stages, 2 edges, no mistakes
    ");
    let expected = json!({ "workflow": "toy", "stages": 4, "edges": 2, "mistakes": [], "warnings": [], "notes": [] });
    assert_eq!(sandbox.json(&["check", "toy.toml"]), expected);
}

#[test]
fn colours_only_where_they_are_wanted() {
    let sandbox = Sandbox::new(WRONG);
    let has_colors = |arguments: &[&str]| sandbox.run(arguments).stderr.contains('\u{1b}');
    assert!(has_colors(&["check", "toy.toml", "--color", "always"]));
    assert!(!has_colors(&["check", "toy.toml"]), "a pipe is no terminal");
    assert!(!has_colors(&["check", "toy.toml", "--color", "never"]));
}

#[test]
fn a_file_or_worker_that_is_not_there() {
    let sandbox = Sandbox::new(CHAIN);
    insta::assert_snapshot!(sandbox.run(&["check", "missing.toml"]), @r"
    exit code 2
    ── stderr
    error: there is no workflow file `missing.toml`
    ");
    insta::assert_snapshot!(sandbox.run(&["check", "toy.toml", "--worker", "nowhere"]), @r"
    exit code 2
    ── stderr
    error: the worker `nowhere`, of `--worker` or R1FLOW_WORKER: No such file or directory (os error 2)
    ");
    sandbox.write("no-worker", "#!/bin/sh\n");
    insta::assert_snapshot!(sandbox.run(&["check", "toy.toml", "--worker", "no-worker"]), @r"
    exit code 2
    ── stderr
    error: the worker `[DIR]/no-worker` is no program: it may not be executed
    help: `chmod +x [DIR]/no-worker`
    ");
}

#[test]
fn a_worker_that_prints_is_quoted() {
    let sandbox = Sandbox::new(CHAIN);
    for (script, expected) in [
        (
            "echo loading",
            "is not understood: expected value at line 1 column 1, in `loading`\nhelp: a worker writes one line",
        ),
        ("true", "is not understood: it is empty\nhelp: a worker writes one line"),
    ] {
        sandbox.write("worker", &format!("#!/bin/sh\n{script}\n"));
        let file = sandbox.root().join("worker");
        fs_err::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let output = sandbox.run(&["check", "toy.toml", "--worker", "worker"]);
        assert!(output.code == Some(2) && output.stderr.contains(expected), "{output}");
    }
}

#[test]
fn a_folder_is_no_workflow_and_a_file_no_store() {
    let sandbox = Sandbox::new(CHAIN);
    insta::assert_snapshot!(sandbox.run(&["check", "."]), @r"
    exit code 2
    ── stderr
    error: `.` is a folder, and a workflow is a file
    help: name the file in it: `toy.toml`
    ");
    let output = sandbox.run(&["plan", "toy.toml", "--store", "toy.toml"]);
    assert!(output.code == Some(2) && output.stderr.contains("a store is a folder, and this is a file"), "{output}");
}

#[test]
fn what_is_written_stays_on_this_machine() {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["apply", "toy.toml"]);
    for (address, beginning) in [("s3://b/x", "`s3:` is not supported"), ("hf://me/x", "`hf:`"), ("hf:me/x", "`hf:`")] {
        for arguments in [&["export", "a.samples", address][..], &["plan", "toy.toml", "--store", address]] {
            let output = sandbox.run(arguments);
            assert!(output.code == Some(2) && output.stderr.contains(beginning), "{output}");
            assert!(output.stderr.contains("this machine"), "{output}");
        }
    }
    for made in ["s3:", "hf:", "hf:me"] {
        assert!(!sandbox.root().join(made).exists(), "{made} was made");
    }
}

/// A path in `--set` begins in the current folder, one in a file beside the file.
#[test]
fn a_missing_path_says_where_it_begins() {
    let sandbox = Sandbox::new("[inputs]\nrows = { samples = \"rows.jsonl\" }\n[join.a]\ndata = [\"inputs.rows\"]\n");
    let of_file = sandbox.run(&["check", "toy.toml"]);
    assert!(of_file.stderr.contains("paths are relative to the workflow file"), "{of_file}");
    let of_set = sandbox.run(&["check", "toy.toml", "--set", "inputs.rows.samples=../others.jsonl"]);
    let expected = "looked for `../others.jsonl`; a path of `--set` is relative to the current folder";
    assert!(of_set.stderr.contains(expected), "{of_set}");
}

#[test]
fn a_set_without_its_stage_is_told_it() {
    let sandbox = Sandbox::new(CHAIN);
    let output = sandbox.run(&["check", "toy.toml", "--set", "steps=3"]);
    assert!(output.stderr.contains("a key has its stage before it: `--set c.steps=…`"), "{output}");
}

#[test]
fn a_misspelt_command_gets_the_nearest() {
    let output = Sandbox::new(CHAIN).run(&["chek", "toy.toml"]);
    assert!(output.code == Some(2) && output.stderr.contains("'check'"), "{output}");
}

#[test]
fn a_name_that_no_file_can_have_is_refused_before_anything_runs() {
    let sandbox = Sandbox::new(&format!("[write.{}]\n", "n".repeat(247)));
    for arguments in [["check", "toy.toml"], ["apply", "toy.toml"]] {
        let refused = sandbox.run(&arguments);
        assert_eq!(refused.code, Some(2), "{refused}");
        for part in ["has 247 bytes", "at most 241", "toy.toml:1:8", "^^^"] {
            assert!(refused.stderr.contains(part), "no `{part}` in {refused}");
        }
    }
    // Stages with the longest valid names run, with a log and a curve.
    let (a, c) = ("a".repeat(241), "c".repeat(241));
    sandbox.write("toy.toml", &format!("[write.{a}]\n[count.{c}]\ndata = [\"{a}.samples\"]\n"));
    sandbox.ok(&["apply", "toy.toml"]);
    assert!(sandbox.ok(&["show", &c]).contains("loss"));
}

/// Reading a pipe without a writer would wait for ever, and a device never ends.
#[test]
fn a_workflow_or_what_it_extends_that_is_no_file_is_refused_at_once() {
    let sandbox = Sandbox::new("[write.a]\n");
    let made = std::process::Command::new("mkfifo").arg(sandbox.root().join("pipe")).status().unwrap();
    assert!(made.success());
    for (name, what) in [("pipe", "a named pipe"), ("/dev/zero", "a device")] {
        sandbox.write("w.toml", &format!("extends = \"{name}\"\n[write.a]\n"));
        for command in ["check", "plan", "apply"] {
            let refused = sandbox.run(&[command, "w.toml"]);
            assert!(refused.code == Some(2) && refused.stderr.contains(what), "{name}: {refused}");
            let direct = sandbox.run(&[command, name]);
            assert_eq!(direct.code, Some(2), "{name}: {direct}");
        }
    }
}
