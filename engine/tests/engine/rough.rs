//! Workers by other authors: noise on stdout, deaths, pipes held open, paths outside their folder.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::event::Event;
use engine::options::Options;
use engine::run;
use engine::secrets::Secrets;
use engine::verify::{Comparison, Sample, verify};

use super::support::{Applied, Sandbox};

/// The beginning of every such worker: it passes other commands to the toy worker, and writes the stage's output.
const BEGINNING: &str = r#"#!/bin/sh
[ "$1" = run ] || exec TOY "$@"
read -r request
dir=$(printf '%s' "$request" | sed 's/.*"dir":"\([^"]*\)".*/\1/')
mkdir "$dir/output-samples"
echo fine > "$dir/output-samples/samples.jsonl"
echo '{"hello":{"protocol":4,"pid":1}}'
finish() { printf '{"done":{"outputs":{"samples":"%s/output-samples"},"summary":{"said":"%s"}}}\n' "$dir" "$1"; }
"#;

/// The result of one stage on a worker that does `what`.
struct Rough {
    sandbox: Sandbox,
    applied: Applied,
    events: Vec<Event>,
}

impl Rough {
    fn of(what: &str) -> Self {
        Self::with(what, |_, _| {})
    }

    fn with(what: &str, change: impl FnOnce(&Sandbox, &mut Options)) -> Self {
        Self::under("[write.w]\n", what, change)
    }

    fn under(workflow: &str, what: &str, change: impl FnOnce(&Sandbox, &mut Options)) -> Self {
        let sandbox = Sandbox::new();
        let script = sandbox.dir.path().join("rough");
        let beginning = BEGINNING.replace("TOY", &sandbox.worker.display().to_string());
        fs_err::write(&script, format!("{beginning}{what}\n")).unwrap();
        fs_err::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let workflow = sandbox.workflow(workflow, &[]);
        let mut events = Vec::new();
        let applied = sandbox.apply_with(
            &workflow,
            |options| {
                options.worker = script;
                change(&sandbox, options);
            },
            |event, _| events.push(event.clone()),
        );
        Self { sandbox, applied, events }
    }

    fn log(&self) -> PathBuf {
        run::stage_log(&self.sandbox.store.runs_dir().join(&self.applied.run), "w")
    }

    fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs_err::read(self.log()).unwrap()).into_owned()
    }

    fn assert_done(&self) {
        assert_eq!(self.applied.ran, ["w"], "{:?}", self.applied.failed);
    }

    fn failure(&self) -> (String, String) {
        let told = self.events.iter().find_map(|event| match event {
            Event::Failed { message, help, .. } => Some((message.clone(), help.clone().unwrap_or_default())),
            _ => None,
        });
        told.expect("the stage fails")
    }
}

#[test]
fn what_is_printed_to_stdout_goes_to_the_log_and_swallows_nothing() {
    for (printed, logged) in [
        (r"printf 'caf\351 \377\n'", "caf\u{fffd} \u{fffd}\n"),
        ("echo 'Loading weights: done'", "Loading weights: done\n"),
        (r"printf '\rbar 10%%\rbar 100%%'", "\rbar 10%\rbar 100%\n"),
        (r#"printf '{"event": 1}\n"alive"\n'"#, "{\"event\": 1}\n"),
        (r"printf '\n\n'", "\n\n"),
    ] {
        let rough = Rough::of(&format!("{printed}\nfinish"));
        rough.assert_done();
        assert_eq!(rough.log_text(), logged, "{printed}");
    }
}

#[test]
fn a_line_without_end_takes_neither_memory_nor_the_message_behind_it() {
    let rough = Rough::of("head -c 60000000 /dev/zero | tr '\\0' x\nfinish");
    rough.assert_done();
    let text = rough.log_text();
    assert!(text.starts_with("xxx") && text.ends_with("bytes of this line are left out]\n"), "{}", text.len());
    assert!(text.len() < 1 << 20);
}

#[test]
fn a_metric_that_is_no_number_costs_no_step() {
    let progress = |step: u32, value: &str| {
        let metrics = format!(r#"{{"loss": {value}, "reward": 0.5}}"#);
        format!(r#"echo '{{"progress": {{"step": {step}, "total": 5, "unit": "step", "metrics": {metrics}}}}}'"#)
    };
    let values = ["1.0", "NaN", "-Infinity", "null", "0.25"];
    let lines: Vec<String> = (1..).zip(values).map(|(step, value)| progress(step, value)).collect();
    let rough = Rough::of(&format!("{}\nfinish", lines.join("\n")));
    rough.assert_done();
    let record = &rough.applied.records["w"];
    assert_eq!(record.steps, 5);
    let curve = String::from_utf8(rough.sandbox.store.read(&record.metrics.unwrap()).unwrap()).unwrap();
    let losses: Vec<&str> = curve.lines().map(|line| line.split("\"loss\":").nth(1).unwrap()).collect();
    assert_eq!(losses.len(), 5);
    for (loss, expected) in losses.iter().zip(["1.0", "null", "null", "null", "0.25"]) {
        assert_eq!(*loss, format!("{expected},\"reward\":0.5}}}}"));
    }
    let seen = rough.events.iter().filter(|event| matches!(event, Event::Progress { .. })).count();
    assert_eq!(seen, 5);
}

#[test]
fn steps_that_go_backwards_or_to_the_end_of_numbers_hurt_nothing() {
    let steps = [(1, 0), (5, 3), (2, 3), (u64::MAX, 3), (0, u64::MAX)];
    let lines = steps.map(|(step, total)| {
        format!(r#"echo '{{"progress": {{"step": {step}, "total": {total}, "unit": "step", "metrics": {{}}}}}}'"#)
    });
    let checkpoint = format!(
        "mkdir -p $dir/checkpoints/x\necho '{{\"checkpoint\": {{\"step\": {}, \"dir\": \"'$dir'/checkpoints/x\"}}}}'",
        u64::MAX
    );
    Rough::of(&format!("{}\n{checkpoint}\nfinish", lines.join("\n"))).assert_done();
}

#[test]
fn deaths_are_told_apart_and_last_words_are_quoted_whatever_their_bytes() {
    for (end, how, help, names_memory) in [
        ("kill -9 $$", "signal: 9", "memory", true),
        ("kill -SEGV $$", "signal: 11", "a native library has crashed", false),
        ("kill -ABRT $$", "signal: 6", "a native library has crashed", false),
        ("exit 0", "without a final message", "`r1flow log`", false),
        ("exit 3", "exit status: 3", "`r1flow log`", false),
    ] {
        let rough = Rough::of(&format!("printf 'before\\nlast caf\\351\\n' >&2\n{end}"));
        let (message, advice) = rough.failure();
        assert!(message.contains(how) && message.ends_with("before\nlast caf\u{fffd}"), "{end}: {message}");
        assert!(advice.contains(help), "{end}: {advice}");
        assert_eq!(advice.contains("memory"), names_memory, "{end}: {advice}");
    }
}

#[test]
fn a_worker_that_closes_its_stdout_and_lives_on_is_ended() {
    let rough = Rough::with("exec >&-\nexec sleep 3600", |_, options| options.silence = Duration::from_millis(600));
    let (message, _) = rough.failure();
    assert!(message.starts_with("the worker closed its stdout without a final message, and lived on"), "{message}");
}

#[test]
fn what_leaves_the_group_and_holds_the_pipes_open_holds_nothing_up() {
    let rough = Rough::of("setsid sleep 3600 &\necho $! > $dir/../../../sleeper\nprintf 'said' >&2\nfinish");
    let sleeper: i32 =
        fs_err::read_to_string(rough.sandbox.store.root().join("sleeper")).unwrap().trim().parse().unwrap();
    // SAFETY: a signal to a process that this test has started.
    unsafe { libc::kill(sleeper, libc::SIGKILL) };
    rough.assert_done();
    assert_eq!(rough.log_text(), "said");
    let rough = Rough::of("setsid sleep 3600 &\necho $! > $dir/../../../sleeper\nprintf 'last words' >&2\nkill -9 $$");
    let sleeper: i32 =
        fs_err::read_to_string(rough.sandbox.store.root().join("sleeper")).unwrap().trim().parse().unwrap();
    // SAFETY: as above.
    unsafe { libc::kill(sleeper, libc::SIGKILL) };
    assert!(rough.failure().0.ends_with("\nlast words"));
}

#[test]
fn a_long_log_is_bounded_and_lies_on_the_disk_once() {
    let rough = Rough::of("{ echo first; yes 'a line of the log' | head -c 60000000; echo last; } >&2\nfinish");
    rough.assert_done();
    let metadata = fs_err::metadata(rough.log()).unwrap();
    assert!(metadata.len() < 17 << 20, "{}", metadata.len());
    let object = rough.sandbox.store.object_path(&rough.applied.records["w"].log.unwrap());
    assert_eq!(fs_err::metadata(object).unwrap().ino(), metadata.ino());
    let text = rough.log_text();
    assert!(text.starts_with("first\n") && text.ends_with("last\n"));
    assert!(text.contains("\n[r1flow: ") && text.contains("bytes are left out here"));
}

#[test]
fn a_workflow_says_how_much_a_log_keeps() {
    for (mib, least, most) in [(1, 2 << 20, 3 << 20), (30, 60_000_000, 61_000_000)] {
        let workflow = format!("[write.w]\nrun = {{ log-mib = {mib} }}\n");
        let rough = Rough::under(&workflow, "yes 'a line of the log' | head -c 60000000 >&2\nfinish", |_, _| {});
        rough.assert_done();
        let len = fs_err::metadata(rough.log()).unwrap().len();
        assert!((least..most).contains(&len), "{mib}: {len}");
    }
}

#[test]
fn secrets_reach_neither_log_nor_message_nor_record() {
    let change = |_: &Sandbox, options: &mut Options| {
        options.secrets = Arc::new(Secrets::of([("A_TOKEN".into(), "abcdefgh".into())]));
    };
    let said = "printf 'it is abcd' >&2\nprintf 'efgh.\\n' >&2\necho 'noise abcdefgh'\n\
                echo '{\"note\": {\"level\": \"info\", \"message\": \"note abcdefgh\"}}'";
    let rough = Rough::with(&format!("{said}\nfinish abcdefgh"), change);
    rough.assert_done();
    let log = rough.log_text();
    assert!(log.contains("it is [masked A_TOKEN].\n") && log.contains("noise [masked A_TOKEN]\n"), "{log}");
    assert_eq!(rough.applied.records["w"].summary["said"], "[masked A_TOKEN]");
    let all = format!("{:?} {log}", rough.events);
    assert!(all.contains("note [masked A_TOKEN]") && !all.contains("abcdefgh"), "{all}");

    let failed = r#"echo '{"failed": {"message": "no abcdefgh", "help": "use abcdefgh"}}'"#;
    let told = Rough::with(failed, change).failure();
    assert_eq!(told, ("no [masked A_TOKEN]".to_owned(), "use [masked A_TOKEN]".to_owned()));
    let (message, _) = Rough::with("echo abcdefgh >&2; kill -9 $$", change).failure();
    assert!(message.ends_with("\n[masked A_TOKEN]"), "{message}");
}

#[test]
fn a_folder_that_is_not_the_attempts_own_is_neither_taken_nor_removed() {
    for what in [
        "echo '{\"checkpoint\": {\"step\": 1, \"dir\": \"PRECIOUS\"}}'",
        "echo '{\"checkpoint\": {\"step\": 1, \"dir\": \"'$dir'/../../../../precious\"}}'",
        "echo '{\"checkpoint\": {\"step\": 1, \"dir\": \"'$dir'\"}}'",
        "ln -s PRECIOUS $dir/link; echo '{\"checkpoint\": {\"step\": 1, \"dir\": \"'$dir'/link\"}}'",
        "echo '{\"done\": {\"outputs\": {\"samples\": \"PRECIOUS\"}, \"summary\": {}}}'",
    ] {
        let precious = tempfile::tempdir().unwrap();
        fs_err::write(precious.path().join("work"), "of years").unwrap();
        let rough = Rough::with(&what.replace("PRECIOUS", &precious.path().display().to_string()), |sandbox, _| {
            fs_err::create_dir(sandbox.dir.path().join("precious")).unwrap();
            fs_err::write(sandbox.dir.path().join("precious/work"), "of years").unwrap();
        });
        let (message, _) = rough.failure();
        assert!(message.contains("which is not in the folder of its attempt"), "{what}: {message}");
        for file in [precious.path().join("work"), rough.sandbox.dir.path().join("precious/work")] {
            assert_eq!(fs_err::read_to_string(file).unwrap(), "of years", "{what}");
        }
    }
}

#[test]
fn what_a_link_in_an_output_leads_to_stays_where_it_is() {
    let precious = tempfile::tempdir().unwrap();
    let work = precious.path().join("work");
    fs_err::write(&work, "of years").unwrap();
    let to_folder = Rough::of(&format!("ln -s {} $dir/output-samples/link\nfinish", precious.path().display()));
    to_folder.assert_done();
    let copied = &to_folder.applied.records["w"].outputs["samples"].members;
    assert!(copied.iter().any(|member| member.path == "link/work"), "{copied:?}");
    assert_eq!(fs_err::read_to_string(&work).unwrap(), "of years");
    let to_itself = Rough::of("ln -s . $dir/output-samples/link\nfinish");
    assert!(to_itself.failure().0.contains("a folder that it lies in"), "{:?}", to_itself.failure());

    let to_file = Rough::of(&format!("ln -s {} $dir/output-samples/link\nfinish", work.display()));
    to_file.assert_done();
    let samples = &to_file.applied.records["w"].outputs["samples"];
    let link = samples.members.iter().find(|member| member.path == "link").unwrap();
    let object = to_file.sandbox.store.object_path(&link.digest);
    assert!(fs_err::symlink_metadata(object).unwrap().is_file(), "the store holds bytes, not a link");
    assert!(!fs_err::metadata(&work).unwrap().permissions().readonly(), "the file is as it was");
}

#[test]
fn a_verification_removes_no_folder_but_its_own() {
    let precious = tempfile::tempdir().unwrap();
    fs_err::write(precious.path().join("work"), "of years").unwrap();
    let evil =
        format!("echo '{{\"checkpoint\": {{\"step\": 1, \"dir\": \"{}\"}}}}'\nfinish", precious.path().display());
    let made = Rough::of("finish");
    made.assert_done();
    let script = made.sandbox.dir.path().join("evil");
    fs_err::write(&script, BEGINNING.replace("TOY", &made.sandbox.worker.display().to_string()) + &evil + "\n")
        .unwrap();
    fs_err::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (_sender, halt) = tokio::sync::watch::channel(engine::options::Halt::Run);
    let options = Options { worker: script, ..made.sandbox.options(halt) };
    let workflow = made.sandbox.workflow("[write.w]\n", &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let draw = Sample { segments: 1, seed: 0 };
    let verdicts = runtime.block_on(verify(&workflow, &made.sandbox.store, draw, &options, |_| {})).unwrap();
    let Comparison::Failed(message) = &verdicts[0].outcome else { panic!("{verdicts:?}") };
    assert!(message.contains("which is not in the folder of its attempt"), "{message}");
    assert_eq!(fs_err::read_to_string(precious.path().join("work")).unwrap(), "of years");
}
