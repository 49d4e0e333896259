//! Terminals of every sort, and streams that cannot be written: messages are shown, and no control sequences are sent.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

use super::support::{CHAIN, Sandbox};

/// Runs a command on a terminal of 200 columns, and returns its exit code and every byte that the terminal got.
fn on_terminal(command: Command) -> (Option<i32>, Vec<u8>) {
    on_terminal_of(200, command)
}

fn on_terminal_of(columns: u16, command: Command) -> (Option<i32>, Vec<u8>) {
    on_terminal_with(b"", columns, command)
}

/// Does the same on a terminal on which a user has typed something ahead.
fn on_terminal_with(typed: &[u8], columns: u16, command: Command) -> (Option<i32>, Vec<u8>) {
    on_terminal_sized(typed, (50, columns), command)
}

fn on_terminal_sized(typed: &[u8], (rows, columns): (u16, u16), mut command: Command) -> (Option<i32>, Vec<u8>) {
    let (mut master, mut slave) = (-1, -1);
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the locals outlive the call; name and settings may be null.
    let opened = unsafe {
        libc::openpty(&raw mut master, &raw mut slave, std::ptr::null_mut(), std::ptr::null(), &raw const size)
    };
    assert_eq!(opened, 0, "no terminal");
    // SAFETY: both have just been opened and have no other owner.
    let (mut master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    master.write_all(typed).unwrap();
    let copy = || Stdio::from(slave.try_clone().unwrap());
    let mut child = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
    drop((command, slave));
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    // Reading fails when the terminal's other side is closed.
    while let Ok(count @ 1..) = master.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..count]);
    }
    assert!(master.as_raw_fd() >= 0);
    (child.wait().unwrap().code(), seen)
}

#[test]
fn every_terminal_sees_what_failed() {
    for term in [Some("xterm"), Some("dumb"), None, Some(""), Some("linux")] {
        let sandbox = Sandbox::new(CHAIN);
        let mut command = sandbox.command(&["apply", "toy.toml", "--set", "a.fail=true"]);
        command.env_remove("NO_COLOR").env_remove("TERM");
        term.map(|term| command.env("TERM", term));
        let (code, seen) = on_terminal(command);
        let text = String::from_utf8_lossy(&seen);
        assert_eq!(code, Some(1), "{term:?}: {text}");
        for part in [
            "Failed",
            "a: `fail` is set",
            "help:",
            "set `fail = false`",
            "Blocked",
            "b, after a",
            "1 ran, 1 failed, 2 left",
        ] {
            assert!(text.contains(part), "TERM {term:?}: no `{part}` in {text:?}");
        }
        let is_plain = !matches!(term, Some("xterm" | "linux"));
        assert_eq!(!seen.contains(&0x1b), is_plain, "TERM {term:?}: {text:?}");
        assert_eq!(text.contains("Running a (write)"), is_plain, "TERM {term:?}: {text:?}");
    }
}

/// Control sequences with an effect: a title, a cleared screen (in 7 and in 8 bits), a reversed order of text.
const NASTY: &str = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}2J\u{202e}\u{7f}";

fn assert_harmless(seen: &[u8], what: &str) {
    let text = String::from_utf8_lossy(seen);
    let ours = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    let rest = ours.replace_all(&text, "").replace("\r\n", "\n");
    let is_sent = |c: char| c != '\n' && c != '\t' && (c.is_control() || c == '\u{202e}');
    assert!(!rest.contains(is_sent), "{what}: {rest:?}");
}

#[test]
fn nothing_reaches_a_terminal_that_it_would_obey() {
    let escaped = "\\u001b]0;title\\u0007\\u001b[2J\\u009b2J\\u202e\\u007f";
    let sandbox = Sandbox::new(&format!("name = \"w{escaped}\"\n[write.a]\ntext = \"{escaped}\\nsecond\"\n"));
    sandbox.ok(&["apply", "toy.toml"]);
    sandbox.write("bad.toml", &format!("[write.a]\ntext = 5 # {NASTY}\n[\"{NASTY}\".b]\n", NASTY = "\u{9b}2J\u{202e}"));
    let log = {
        let runs = fs_err::read_dir(sandbox.root().join(".r1flow/runs")).unwrap();
        runs.last().unwrap().unwrap().path().join("stages/a.log")
    };
    fs_err::write(&log, format!("{NASTY}\n 10%\r 50%\r100%\nend")).unwrap();
    let nasty_name = format!("x{NASTY}");
    let looks: [&[&str]; 11] = [
        &["plan", "toy.toml"],
        &["status"],
        &["status", "--json"],
        &["show", "a"],
        &["show", "a", "--json"],
        &["show", "a.samples"],
        &["explain", "a", "--json"],
        &["log", "a"],
        &["check", "bad.toml"],
        &["show", &nasty_name],
        &["plan", &nasty_name, &nasty_name],
    ];
    for arguments in looks {
        for term in ["xterm", "dumb"] {
            let mut command = sandbox.command(arguments);
            command.env_remove("NO_COLOR").env("TERM", term);
            let (_, seen) = on_terminal(command);
            assert!(!seen.is_empty(), "{arguments:?}");
            assert_harmless(&seen, &format!("{arguments:?} on {term}"));
        }
        // Messages and tables are harmless in a file, too, because a terminal may show the file later.
        if !["--json", "log", "a.samples"].iter().any(|word| arguments.contains(word)) {
            let output = sandbox.command(arguments).output().unwrap();
            assert_harmless(&output.stdout, &format!("{arguments:?} in a file"));
            assert_harmless(&output.stderr, &format!("{arguments:?} in a file"));
        }
    }
    let (_, seen) = on_terminal(sandbox.command(&["log", "a"]));
    let text = String::from_utf8(seen).unwrap();
    assert!(text.starts_with("\\x1b]0;title\\x07\\x1b[2J\\x9b2J\\u{202e}\\x7f\r\n100%\r\nend"), "{text:?}");
    // A file gets the bytes unchanged.
    let output = sandbox.command(&["log", "a"]).output().unwrap();
    assert_eq!(output.stdout, fs_err::read(&log).unwrap());
    let rows = sandbox.command(&["show", "a.samples"]).output().unwrap();
    assert!(String::from_utf8(rows.stdout).unwrap().contains(&format!("{NASTY}\nsecond\n")));
    assert_eq!(sandbox.json(&["status"])["run"]["workflow"], format!("w{NASTY}"));
}

#[test]
fn a_full_disk_is_told_of() {
    let sandbox = Sandbox::new(CHAIN);
    let full = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap().into_parts().0;
        let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let applied = full(&["apply", "toy.toml", "--json"]);
    let is_told = |(code, told): &(Option<i32>, String)| {
        *code == Some(2) && told.contains("standard output cannot be written: No space left on device")
    };
    assert!(is_told(&applied), "{applied:?}");
    assert!(sandbox.ok(&["plan", "toy.toml"]).contains("everything is fresh"), "the run went on");
    let looks: [&[&str]; 12] = [
        &["plan", "toy.toml", "--json"],
        &["plan", "toy.toml"],
        &["check", "toy.toml"],
        &["show", "c"],
        &["show", "c", "--json"],
        &["show", "c.model"],
        &["status"],
        &["explain", "a"],
        &["kinds"],
        &["schema"],
        &["--help"],
        &["--version"],
    ];
    for arguments in looks {
        let told = full(arguments);
        assert!(is_told(&told), "{arguments:?}: {told:?}");
    }
    let failed = full(&["apply", "toy.toml", "--json", "--set", "a.fail=true"]);
    assert_eq!(failed.0, Some(1), "a failed stage is one nevertheless: {failed:?}");
    assert!(failed.1.contains("No space left"), "{failed:?}");
}

#[test]
fn a_stdout_that_is_open_for_reading_alone_is_told_of() {
    let sandbox = Sandbox::new(CHAIN);
    let reading = File::open(sandbox.root().join("toy.toml")).unwrap();
    let output = sandbox.command(&["plan", "toy.toml"]).stdout(reading).stderr(Stdio::piped()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && told.contains("standard output cannot be written"), "{told}");
}

/// The screens of a finished run on terminals of three widths, without colours.
#[test]
fn every_screen_fits_its_terminal() {
    let name = "a-stage-with-a-name-that-is-rather-long";
    let sandbox = Sandbox::new(&format!(
        "[write.{name}]\n[write.other]\nfail = true\n[count.c]\nsteps = 40\ndata = [\"{name}.samples\"]\n"
    ));
    let fits = |columns: u16, arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env("NO_COLOR", "1").env("TERM", "xterm");
        let (_, seen) = on_terminal_of(columns, command);
        let text = String::from_utf8(seen).unwrap();
        for line in text.lines().map(|line| line.trim_end_matches('\r')) {
            let width = line.chars().count();
            assert!(width <= usize::from(columns), "{arguments:?}, {width} of {columns} columns: {line:?}");
        }
        text
    };
    sandbox.run(&["apply", "toy.toml"]);
    for columns in [60, 80, 120] {
        for arguments in [
            &["plan", "toy.toml"][..],
            &["status"],
            &["status", "--all"],
            &["status", "--disk"],
            &["status", "--watch"],
            &["show", "c"],
            &["show", "c.model"],
            &["kinds"],
            &["kinds", "count"],
        ] {
            fits(columns, arguments);
        }
    }
    let kinds = fits(80, &["kinds", "count"]);
    let expected = "Ends the process without a word after this step, unless a";
    assert!(kinds.contains(expected), "a text is broken between words: {kinds}");
}

/// Some programs that make terminals set only the columns, or neither.
#[test]
fn a_terminal_without_rows_has_its_columns_and_one_without_a_size_those_that_columns_says() {
    let sandbox = Sandbox::new(CHAIN);
    let widest = |size: (u16, u16), said: Option<&str>| {
        let mut command = sandbox.command(&["kinds", "count"]);
        command.env("NO_COLOR", "1").env("TERM", "xterm").env_remove("COLUMNS");
        command.envs(said.map(|said| ("COLUMNS", said)));
        let (_, seen) = on_terminal_sized(b"", size, command);
        String::from_utf8(seen).unwrap().lines().map(|line| line.trim_end().chars().count()).max().unwrap()
    };
    assert!(widest((0, 60), None) <= 60);
    assert!(widest((0, 60), Some("200")) <= 60, "the terminal knows better");
    assert!(widest((0, 0), Some("60")) <= 60);
    assert!(widest((0, 0), None) > 60, "nothing says");
}

#[test]
fn init_checks_an_answer_before_it_asks_the_next_question() {
    let sandbox = Sandbox::new(CHAIN);
    let rows = "{\"question\": \"1+1?\", \"choices\": [\"1\", \"2\"], \"answer\": 1}\n".repeat(5);
    sandbox.write("q.jsonl", &rows);
    fs_err::create_dir_all(sandbox.root().join("models/real")).unwrap();
    std::os::unix::fs::symlink(sandbox.root().join("models/real"), sandbox.root().join("models/mine")).unwrap();
    let init = |typed: &str| {
        let (code, seen) = on_terminal_with(typed.as_bytes(), 100, sandbox.command(&["init", "first.toml"]));
        (code, String::from_utf8_lossy(&seen).replace("\r\n", "\n"))
    };
    for (typed, expected) in [
        ("nothere\n", "`nothere` is neither here nor an id of the hub"),
        ("\n", "there is no model to begin with"),
        ("models/mine\n", "`models/mine` is no model: it has no config.json"),
    ] {
        let (code, seen) = init(typed);
        assert!(code == Some(2) && seen.contains(expected) && !seen.contains("Prompts"), "{typed:?}: {seen}");
    }
    sandbox.write("models/real/config.json", "{}");
    let (code, seen) = init("models/mine\nnothere.jsonl\n");
    let expected = "`nothere.jsonl` is neither here nor an id of the hub";
    assert!(code == Some(2) && seen.contains(expected) && !seen.contains("Samples"), "{seen}");
    // The toy worker has no kind `grpo`, so the file is written and then refused.
    init("models/mine\nq.jsonl\n\n");
    let written = fs_err::read_to_string(sandbox.root().join("first.toml")).unwrap();
    assert!(written.contains("base = { model = \"models/mine\" }"), "{written}");
    let options = "options = \"choices\", verify = \"choice\", limit = 1";
    assert!(written.contains(options), "{written}");
}

#[test]
fn lines_of_a_terminal_that_cannot_redraw_are_broken_between_words() {
    let sandbox = Sandbox::new(CHAIN);
    let seen = |mut command: Command, columns: u16| {
        command.env("TERM", "dumb");
        String::from_utf8_lossy(&on_terminal_of(columns, command).1).replace("\r\n", "\n")
    };
    let apply = || sandbox.command(&["apply", "toy.toml", "--set", "a.fail=true"]);
    // A path stays whole.
    let fits = |line: &str| line.chars().count() <= 40 || line.contains('/');
    let narrow = seen(apply(), 40);
    assert!(narrow.lines().all(fits), "{narrow}");
    let mut told = apply();
    told.env("COLUMNS", "40");
    let narrow = seen(told, 0);
    assert!(narrow.lines().all(fits), "{narrow}");
    let doctor = seen(sandbox.command(&["doctor"]), 50);
    assert!(doctor.lines().all(|line| line.chars().count() <= 50 || line.contains('/')), "{doctor}");
}
