//! `refine`: rows of samples to a file for a person, and back as an input. What may be in the texts, and every mistake
//! that a person can make, is tested in `src/refinement/tests.rs`.

use super::support::{Sandbox, tiny_shape};

/// A stage that writes three samples.
const WORKFLOW: &str = r#"[write.a]
text = '''
{"prompt":"2+2","completion":"<think>two\nand two</think>4  ","answer":"4","grade":{"format":true,"tokens":9}}
{"prompt":[{"role":"system","content":"Be brief."},{"role":"user","content":"Who?"}],"completion":"\n\r\n@@@ end of row 2\n🦀\n\n"}
{"prompt":"3+3","completion":"7","answer":"6","source":"set"}
'''
[count.c]
data = ["a.samples"]
"#;

fn applied() -> Sandbox {
    let sandbox = Sandbox::new(WORKFLOW);
    sandbox.ok(&["apply", "toy.toml"]);
    sandbox
}

fn read(sandbox: &Sandbox, file: &str) -> String {
    fs_err::read_to_string(sandbox.root().join(file)).unwrap()
}

/// Replaces texts in the file of rows, each of which must be there.
fn edit(sandbox: &Sandbox, changes: &[(&str, &str)]) {
    let text = changes.iter().fold(read(sandbox, "rows.md"), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    sandbox.write("rows.md", &text);
}

#[test]
fn rows_go_to_a_person_and_come_back() {
    let sandbox = applied();
    insta::assert_snapshot!(sandbox.run(&["refine", "a.samples", "--to", "rows.md"]), @r"
    exit code 0
    ── stdout
    rows.md: 3 rows of 3
    ── stderr
    edit it, then `r1flow refine --back rows.md --to refined.jsonl` makes an input of it
    ");
    edit(&sandbox, &[("row 1: todo", "row 1: accept"), ("row 3: todo", "row 3: accept"), ("\n7\n", "\n6\n")]);
    insta::assert_snapshot!(sandbox.run(&["refine", "--back", "rows.md", "--to", "new/refined.jsonl"]), @r"
    exit code 0
    ── stdout
    new/refined.jsonl: 2 rows
    1 accepted, 1 edited, 0 dropped, 1 left at `todo`
    ");
    let digest = sandbox.digest("a", "samples");
    let rows = [
        format!(
            r#"{{"prompt":"2+2","completion":"<think>two\nand two</think>4  ","answer":"4","grade":{{"format":true,"tokens":9}},"refined":{{"samples":"{digest}","row":1,"verdict":"accepted"}}}}"#
        ),
        format!(
            r#"{{"prompt":"3+3","completion":"6","answer":"6","source":"set","refined":{{"samples":"{digest}","row":3,"verdict":"edited"}}}}"#
        ),
    ];
    assert_eq!(read(&sandbox, "new/refined.jsonl"), format!("{}\n{}\n", rows[0], rows[1]));
    edit(&sandbox, &[("row 2: todo", "row 2: drop")]);
    let told = sandbox.json(&["refine", "--back", "rows.md", "--to", "second.jsonl"]);
    let expected = serde_json::json!({ "samples": digest, "file": "second.jsonl", "rows": 2, "accepted": 1, "edited": 1,
        "dropped": 1, "todo": 0 });
    assert_eq!(told, expected);
    assert_eq!(read(&sandbox, "second.jsonl"), read(&sandbox, "new/refined.jsonl"), "the same rows are the same bytes");
}

#[test]
fn what_is_not_edited_comes_back_byte_for_byte() {
    let sandbox = applied();
    let told = sandbox.json(&["refine", "a.samples", "--to", "rows.md"]);
    let digest = sandbox.digest("a", "samples");
    assert_eq!(told, serde_json::json!({ "samples": digest, "file": "rows.md", "rows": 3, "of": 3 }));
    edit(&sandbox, &[(": todo\n", ": accept\n")]);
    sandbox.ok(&["refine", "--back", "rows.md", "--to", "refined.jsonl"]);
    let lines = |text: &str| -> Vec<serde_json::Value> {
        text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let mut rows = lines(&read(&sandbox, "refined.jsonl"));
    for row in &mut rows {
        assert_eq!(row.as_object_mut().unwrap().remove("refined").unwrap()["verdict"], "accepted");
    }
    assert_eq!(rows, lines(WORKFLOW));
}

#[test]
fn a_draw_of_rows_grows_with_its_limit() {
    let rows = (0..40).map(|row| format!("{{\"prompt\":\"p{row}\",\"completion\":\"c{row}\"}}"));
    let rows: Vec<String> = rows.collect();
    let sandbox = Sandbox::new(&format!("[write.a]\ntext = '''\n{}\n'''\n", rows.join("\n")));
    sandbox.ok(&["apply", "toy.toml"]);
    let drawn = |file: &str, more: &[&str]| -> Vec<usize> {
        sandbox.ok(&[&["refine", "a.samples", "--to", file][..], more].concat());
        let numbers = read(&sandbox, file);
        let numbers =
            numbers.lines().filter_map(|line| line.split_once(", row ")?.1.strip_suffix(": todo")?.parse().ok());
        numbers.collect()
    };
    let (five, ten) = (drawn("5.md", &["--limit", "5"]), drawn("10.md", &["--limit", "10"]));
    assert!(five.len() == 5 && five.is_sorted() && five.iter().all(|row| ten.contains(row)), "{five:?} {ten:?}");
    assert_eq!(drawn("again.md", &["--limit", "5", "--seed", "0"]), five);
    assert_ne!(drawn("other.md", &["--limit", "5", "--seed", "1"]), five);
    assert_eq!(drawn("all.md", &["--limit", "50"]), (1..=40).collect::<Vec<_>>());
}

#[test]
fn a_damaged_file_is_refused_with_every_mistake() {
    let sandbox = applied();
    sandbox.ok(&["refine", "a.samples", "--to", "rows.md"]);
    edit(&sandbox, &[("row 1: todo", "row 1: akcept"), ("Be brief.", "Be short."), ("@@@1 end of row 3\n", "")]);
    let refused = sandbox.run(&["refine", "--back", "rows.md", "--to", "refined.jsonl"]);
    insta::assert_snapshot!(refused, @r"
    exit code 2
    ── stderr
    error: row 1 has no verdict: `akcept` is none
     --> rows.md:8:21
      |
    8 | @@@1 1 of 3, row 1: akcept
      |                     ^^^^^^ expected `todo`, `accept` or `drop`
      |
      = help: did you mean `accept`?

    error: `prompt, system` of row 2 was changed
      --> rows.md:22:1
       |
    22 | Be short.
       | ^^^^^^^^^ was `Be brief.`
       |
       = help: undo the change: only verdicts and completions are edited

    error: the line `@@@1 end of row 3` is missing
      --> rows.md:34:1
       |
    34 | @@@1 3 of 3, row 3: todo
       | ^^^^^^^^^^^^^^^^^^^^^^^^ this row
       |
       = help: put `@@@1 end of row 3` back after the completion

    3 mistakes
    ");
    let refused = sandbox.run(&["refine", "--back", "rows.md", "--to", "refined.jsonl", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&refused.stdout).unwrap();
    let lines: Vec<_> = told["mistakes"].as_array().unwrap().iter().map(|mistake| &mistake["line"]).collect();
    assert_eq!((refused.code, lines), (Some(2), vec![&8.into(), &22.into(), &34.into()]), "{refused}");
    sandbox.write("rows.md", "words\n");
    insta::assert_snapshot!(sandbox.run(&["refine", "--back", "rows.md", "--to", "refined.jsonl"]), @r"
    exit code 2
    ── stderr
    error: there is no line `@@@ samples b3:…, N rows`
     --> rows.md:1:1
      |
    1 | words
      | ^^^^^ expected a file of rows
      |
      = help: name a file that `r1flow refine … --to` wrote, and leave its first lines as they are

    1 mistake
    ");
    assert!(!sandbox.root().join("refined.jsonl").exists());
}

#[test]
fn what_cannot_be_refined_says_why() {
    let sandbox = applied();
    sandbox.ok(&["refine", "a.samples", "--to", "rows.md"]);
    let before = read(&sandbox, "rows.md");
    let back = ["refine", "--back", "rows.md", "--to", "refined.jsonl"];
    insta::assert_snapshot!(sandbox.run(&["refine", "a.samples", "--to", "rows.md"]), @r"
    exit code 2
    ── stderr
    error: `rows.md` already exists
    help: it may have edited rows: name another file with `--to`, or move it away
    ");
    insta::assert_snapshot!(sandbox.run(&["refine", "a", "--to", "new.md"]), @r"
    exit code 2
    ── stderr
    error: `a` is a stage: name one of its outputs, `a.samples`
    ");
    insta::assert_snapshot!(sandbox.run(&["refine", "c.model", "--to", "new.md"]), @r"
    exit code 2
    ── stderr
    error: `c.model` is no output of samples
    help: name an output of type samples; `r1flow show STAGE` lists a stage's outputs
    ");
    insta::assert_snapshot!(sandbox.run(&back), @r"
    exit code 2
    ── stdout
    0 accepted, 0 edited, 0 dropped, 3 left at `todo`
    ── stderr
    error: no row is accepted, so nothing is written
    help: write `accept` in the first line of each row to keep
    ");
    insta::assert_snapshot!(sandbox.run(&[&back[..], &["--limit", "2"]].concat()), @r"
    exit code 2
    ── stderr
    error: the argument '--back <ROWS>' cannot be used with '--limit <N>'

    Usage: r1flow refine [OPTIONS] <WHAT> --to <FILE>
           r1flow refine --back <ROWS> --to <FILE>

    For more information, try '--help'.
    ");
    let elsewhere = sandbox.run(&["refine", "a.samples", "--to", ".r1flow/rows.md"]);
    assert!(elsewhere.code == Some(2) && elsewhere.stderr.contains("inside the store"), "{elsewhere}");
    assert!(!sandbox.root().join("new.md").exists() && !sandbox.root().join("refined.jsonl").exists());
    assert_eq!(read(&sandbox, "rows.md"), before);
}

#[test]
fn samples_that_are_stale_gone_or_of_another_form_are_refused() {
    let sandbox = applied();
    sandbox.ok(&["refine", "a.samples", "--to", "rows.md"]);
    let before = read(&sandbox, "rows.md");
    sandbox.write("toy.toml", &WORKFLOW.replace("3+3", "4+4"));
    let stale = sandbox.run(&["refine", "a.samples", "--to", "new.md", "--limit", "2"]);
    assert!(stale.code == Some(2) && stale.stderr.contains("`a` of `toy.toml` is not fresh"), "{stale}");
    assert!(stale.stderr.contains(".samples --to new.md --limit 2 --seed 0`"), "{stale}");
    let digest = &before[before.find("b3:").unwrap()..][..67];
    sandbox.write("rows.md", &before.replace(digest, &format!("b3:{}", "0".repeat(64))));
    insta::assert_snapshot!(sandbox.run(&["refine", "--back", "rows.md", "--to", "refined.jsonl"]), @r"
    exit code 2
    ── stderr
    error: the samples of `rows.md`, b3:[DIGEST], are not in the store at `.r1flow`
    help: name the store that they came from with `--store`; if they were removed, `r1flow apply` makes them again
    ");
    let lines = Sandbox::new("[write.a]\ntext = \"one\"\n");
    lines.ok(&["apply", "toy.toml"]);
    insta::assert_snapshot!(lines.run(&["refine", "a.samples", "--to", "new.md"]), @r"
    exit code 2
    ── stderr
    error: row 1 of the samples: not a JSON object: expected value at line 1 column 1
    ");
    for (sandbox, file) in [(&sandbox, "new.md"), (&sandbox, "refined.jsonl"), (&lines, "new.md")] {
        assert!(!sandbox.root().join(file).exists(), "{file}");
    }
}

#[cfg(feature = "worker")]
#[test]
fn refined_rows_are_read_as_samples() {
    let sandbox = Sandbox::with_worker(env!("CARGO_BIN_EXE_r1flow-worker").into());
    let workflow = concat!(
        r#"[tasks.sums]
task  = "sums"
count = 12
[pretrain.base]
data              = ["sums.samples"]
"#,
        tiny_shape!(),
        r#"steps             = 1
batch-size        = 4
"#
    );
    sandbox.write("tiny.toml", workflow);
    sandbox.ok(&["apply", "tiny.toml"]);
    sandbox.ok(&["refine", "sums.samples", "--to", "rows.md"]);
    edit(&sandbox, &[(": todo\n", ": accept\n")]);
    sandbox.ok(&["refine", "--back", "rows.md", "--to", "all.jsonl"]);
    edit(&sandbox, &[("row 3: accept", "row 3: drop"), ("@@@ completion\n", "@@@ completion\n1+")]);
    let told = sandbox.json(&["refine", "--back", "rows.md", "--to", "some.jsonl"]);
    assert_eq!((&told["edited"], &told["dropped"]), (&11.into(), &1.into()), "{told}");
    let inputs = "[inputs]\nall = { samples = \"all.jsonl\" }\nsome = { samples = \"some.jsonl\" }\n";
    let taught = "[sft.taught]\nmodel = \"base.model\"\nsteps = 2\nbatch-size = 4\n\
        each.samples = { data = [\"sums.samples\"] }\neach.all = { data = [\"inputs.all\"] }\n\
        each.some = { data = [\"inputs.some\"] }\n";
    sandbox.write("tiny.toml", &format!("{inputs}{workflow}{taught}"));
    sandbox.ok(&["apply", "tiny.toml"]);
    let [samples, all, some] =
        ["samples", "all", "some"].map(|name| sandbox.digest(&format!("taught/{name}"), "model"));
    assert_eq!(samples, all, "rows that were accepted unchanged teach the same");
    assert_ne!(samples, some);
    assert_eq!(sandbox.json(&["show", "taught/some"])["record"]["summary"]["rows"], 11);
}
