//! What is made of the command line itself: `docs/cli.md`.

use super::support::Sandbox;

/// Returns the names of all commands, as `--help` lists them.
fn commands(sandbox: &Sandbox) -> Vec<String> {
    let help = sandbox.ok(&["--help"]);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // Lines that go on with a description are indented further.
    let lines = list.lines().filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let names = lines.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 15 && names.iter().any(|name| name == "apply"), "{help}");
    names
}

#[test]
fn the_reference_has_every_command_and_is_kept_up_to_date() {
    let sandbox = Sandbox::new("");
    let write = ["schema", "--write", "schema.json", "--cli", "cli.md"];
    let check = [&write[..], &["--check"]].concat();
    sandbox.ok(&write);
    assert_eq!(sandbox.run(&check).code, Some(0));
    let text = fs_err::read_to_string(sandbox.root().join("cli.md")).unwrap();
    for name in commands(&sandbox) {
        assert!(text.contains(&format!("\n## r1flow {name}\n")), "{name}");
    }
    let scores = &text[text.find("## r1flow scores").unwrap()..text.find("## r1flow kinds").unwrap()];
    insta::assert_snapshot!(scores, @r"
    ## r1flow scores

    Print the final table of a workflow's evaluations.

        r1flow scores [OPTIONS] <FILE>

    | argument | default | |
    |---|---|---|
    | `<FILE>` |  | The workflow file. |
    | `--set <STAGE.KEY=VALUE>` |  | Replace a value: `zero.steps=100`, `inputs.base.model=/models/qwen`. |
    | `--device <DEVICE>` | `cpu` | Where tensors live: `cpu`, `cuda` (a GPU of its own for each stage), or `cuda:N` for all. |
    ");
    sandbox.write("cli.md", &text.replace("--set", "--sett"));
    insta::assert_snapshot!(sandbox.run(&check), @r"
    exit code 2
    ── stderr
    error: `cli.md` is out of date
    help: run `make generate`
    ");
}
