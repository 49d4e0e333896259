//! What is generated from the command line itself: completions, man pages and `docs/cli.md`.

use std::process::Command;

use super::support::Sandbox;

/// Returns the names of all commands, as `--help` lists them.
fn commands(sandbox: &Sandbox) -> Vec<String> {
    let help = sandbox.ok(&["--help"]);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // Lines that continue a description are indented further.
    let lines = list.lines().filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let names = lines.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 15 && names.iter().any(|name| name == "apply"), "{help}");
    names
}

#[test]
fn completions_know_every_command() {
    let sandbox = Sandbox::new("");
    for (shell, begins) in [("bash", "_r1flow()"), ("zsh", "#compdef r1flow"), ("fish", "#")] {
        let script = sandbox.ok(&["completions", shell]);
        assert!(script.starts_with(begins), "{shell}: {script}");
        for name in commands(&sandbox) {
            assert!(script.contains(&name), "{shell}: `{name}`");
        }
    }
    assert_eq!(sandbox.run(&["completions", "tcsh"]).code, Some(2));
}

#[test]
fn bash_takes_its_completions() {
    let sandbox = Sandbox::new("");
    sandbox.write("r1flow.bash", &sandbox.ok(&["completions", "bash"]));
    let bash = |arguments: &[&str]| {
        let output = Command::new("bash").args(arguments).current_dir(sandbox.root()).output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && complaints.is_empty(), "{arguments:?}: {complaints}");
        String::from_utf8(output.stdout).unwrap()
    };
    bash(&["-n", "r1flow.bash"]);
    let completed = |words: &str, last: &str| {
        let count = words.split(' ').count() - 1;
        let ask = format!(
            "source r1flow.bash; COMP_WORDS=({words}); COMP_CWORD={count}; _r1flow r1flow '{last}' ''; echo \"${{COMPREPLY[@]}}\""
        );
        bash(&["--norc", "-c", &ask])
    };
    assert_eq!(completed("r1flow app", "app"), "apply\n");
    assert_eq!(completed("r1flow apply --keep", "--keep"), "--keep-going\n");
}

#[test]
fn a_man_page_for_every_command() {
    let sandbox = Sandbox::new("");
    let output = sandbox.run(&["man", "share/man1"]);
    let names = commands(&sandbox);
    let expected = format!("wrote {} pages to share/man1\n", names.len() + 1);
    assert_eq!((output.code, output.stderr.as_str(), output.stdout.as_str()), (Some(0), expected.as_str(), ""));
    let page = |name: &str| fs_err::read_to_string(sandbox.root().join("share/man1").join(name)).unwrap();
    for name in &names {
        let text = page(&format!("r1flow-{name}.1"));
        assert!(text.contains(&format!(".TH r1flow-{name} 1")), "{text}");
        assert!(text.contains(".SH SYNOPSIS") && text.contains(".SH OPTIONS"), "{text}");
    }
    assert!(page("r1flow.1").contains("r1flow\\-apply(1)"));
    assert!(page("r1flow-apply.1").contains("Exit codes: 0 done"));
    let count = fs_err::read_dir(sandbox.root().join("share/man1")).unwrap().count();
    assert_eq!(count, names.len() + 1);
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
    | `--device <DEVICE>` | `cpu` | Where stages compute: `cpu`, `cuda` (each stage gets its own GPU), or `cuda:N` (all use GPU N). |
    ");
    sandbox.write("cli.md", &text.replace("--set", "--sett"));
    insta::assert_snapshot!(sandbox.run(&check), @r"
    exit code 2
    ── stderr
    error: `cli.md` is out of date
    help: run `make generate`
    ");
}
