//! What programs get and how they end, with namespaces and without.

#![cfg(target_os = "linux")]
#![expect(clippy::print_stderr, reason = "a test that cannot run here says so")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sandbox::{End, Error, File, Jail, Layer, Limits, Outcome, Policy, Program, Required};

/// Starts a jail with what works here, and one with the least.
fn jails() -> [Jail; 2] {
    [BTreeSet::new(), BTreeSet::from([Layer::Namespaces, Layer::Cgroup])].map(|leave_out| {
        let mut helper = Command::new(env!("CARGO_BIN_EXE_r1flow-jail"));
        helper.arg("serve");
        Jail::start(helper, Policy { leave_out, required: Required::Nothing, ..Policy::default() }, |_| false).unwrap()
    })
}

fn shell(script: &str) -> Program {
    Program { arguments: ["sh", "-c", script].map(String::from).to_vec(), ..Program::default() }
}

/// Checks how a script ends in both jails, and what it writes.
#[track_caller]
fn check(program: &Program, limits: &Limits, end: &End, output: &str) {
    for jail in jails() {
        let done = jail.run(program, limits).unwrap();
        let errors = String::from_utf8_lossy(&done.errors);
        assert_eq!(
            (&done.end, &*String::from_utf8_lossy(&done.output)),
            (end, output),
            "{:?}: {errors}",
            jail.layers()
        );
    }
}

fn python(code: &str) -> Option<Program> {
    if !Command::new("/usr/bin/python3").arg("--version").output().is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: there is no /usr/bin/python3");
        return None;
    }
    Some(Program { arguments: ["/usr/bin/python3", "-c", code].map(String::from).to_vec(), ..Program::default() })
}

#[test]
fn a_program_gets_its_input_its_files_and_its_arguments_and_ends_with_its_code() {
    let file = |name: &str, bytes: &str, executable| File { name: name.into(), bytes: bytes.into(), executable };
    let program = Program {
        arguments: ["./folder/run", "one", "two words"].map(String::from).to_vec(),
        files: vec![
            file("folder/run", "#!/bin/sh\ncat data\necho \"$1-$2\"\ncat\nexit 7\n", true),
            file("data", "contents\n", false),
        ],
        input: b"input\n".to_vec(),
    };
    check(&program, &Limits::default(), &End::Exited(7), "contents\none-two words\ninput\n");
}

#[test]
fn a_signal_a_missing_command_and_a_bad_name_are_told_apart() {
    check(&shell("kill -ABRT $$"), &Limits::default(), &End::Signalled(libc::SIGABRT), "");
    let missing = Program { arguments: vec!["no-such-command".to_owned()], ..Program::default() };
    check(&missing, &Limits::default(), &End::NotStarted("No such file or directory (os error 2)".to_owned()), "");
    for name in ["../outside", "/etc/x", "a/../../b", "", "."] {
        let file = File { name: name.to_owned(), bytes: Vec::new(), executable: false };
        let error = jails()[0].run(&Program { files: vec![file], ..shell("true") }, &Limits::default()).unwrap_err();
        assert!(matches!(error, Error::Name(ref bad) if bad == name), "{error}");
    }
    let none = jails()[0].run(&Program::default(), &Limits::default()).unwrap_err();
    assert_eq!(none.to_string(), "the jail could not run a program: a command without a program");
}

#[test]
fn each_limit_ends_a_program_in_its_own_way() {
    let short = Limits { cpu: Duration::from_millis(300), wall: Duration::from_secs(20), ..Limits::default() };
    check(&shell("while :; do :; done"), &short, &End::CpuTime, "");
    check(&shell("(while :; do :; done) & (while :; do :; done) & wait"), &short, &End::CpuTime, "");
    let waits = Limits { wall: Duration::from_millis(300), ..Limits::default() };
    check(&shell("echo before; sleep 100"), &waits, &End::WallTime, "before\n");
    check(&shell("exec >&- 2>&-; sleep 100"), &waits, &End::WallTime, "");
    let little = Limits { output: 5, ..Limits::default() };
    check(&shell("echo 12345678; sleep 100"), &little, &End::Output, "12345");
    check(&shell("printf 12345"), &little, &End::Exited(0), "12345");
    check(&shell("printf 123; printf 456 >&2"), &little, &End::Output, "123");
}

#[test]
fn one_process_means_no_other_and_files_are_bounded() {
    let alone = Limits { processes: 1, ..Limits::default() };
    for jail in jails() {
        let done = jail.run(&shell("true; (true) || echo none"), &alone).unwrap();
        assert_ne!(done.end, End::Exited(0), "{:?}", jail.layers());
        assert!(!done.errors.is_empty());
        let small = Limits { file_size: 4096, ..Limits::default() };
        let done = jail.run(&shell("head -c 10000 /dev/zero >file; wc -c <file"), &small).unwrap();
        assert_eq!(String::from_utf8_lossy(&done.output).trim(), "4096");
    }
}

#[test]
fn nothing_of_one_program_is_there_for_the_next() {
    for jail in jails() {
        let leaves = "echo x >left; mkdir -p deep/er; chmod 000 deep; (sleep 1000 &) ; ls";
        for _ in 0..2 {
            let done = jail.run(&shell(leaves), &Limits::default()).unwrap();
            assert_eq!(String::from_utf8_lossy(&done.output), "deep\nleft\n");
        }
    }
}

#[test]
fn the_environment_is_fixed() {
    let show = shell("env | grep -v -e ^HOME -e ^TMPDIR -e ^PWD -e ^_ -e ^OLDPWD | sort; umask; ulimit -c");
    let expected = "LANG=C.UTF-8\nLC_ALL=C.UTF-8\nLOGNAME=program\nMALLOC_ARENA_MAX=1\nMKL_NUM_THREADS=1\n\
        NUMEXPR_NUM_THREADS=1\nOMP_NUM_THREADS=1\nOPENBLAS_NUM_THREADS=1\nPATH=/usr/local/bin:/usr/bin:/bin\n\
        PYTHONDONTWRITEBYTECODE=1\nPYTHONHASHSEED=0\nPYTHONNOUSERSITE=1\nPYTHONUTF8=1\nSHELL=/bin/sh\nTZ=UTC\n\
        USER=program\n0022\n0\n";
    check(&show, &Limits::default(), &End::Exited(0), expected);
}

/// Output that depends on hashes and on addresses is the same in every run.
#[test]
fn hashes_and_addresses_are_the_same_in_every_run() {
    let code = "class A: pass\nprint(hash('text'), id(A()), sorted({object() for _ in range(9)}, key=hash)[0])\n";
    let Some(program) = python(code) else { return };
    for jail in jails() {
        let runs: BTreeSet<Vec<u8>> = (0..3).map(|_| whole(jail.run(&program, &Limits::default()).unwrap())).collect();
        assert_eq!(runs.len(), 1, "{:?}", jail.layers());
    }
}

fn whole(done: Outcome) -> Vec<u8> {
    assert_eq!(done.end, End::Exited(0), "{}", String::from_utf8_lossy(&done.errors));
    done.output
}

#[test]
fn too_much_memory_is_refused_to_one_process() {
    let Some(program) = python("try:\n  bytes(1 << 30)\nexcept MemoryError:\n  print('refused')\n") else { return };
    check(&program, &Limits { memory: 256 << 20, ..Limits::default() }, &End::Exited(0), "refused\n");
}

#[test]
fn programs_run_side_by_side() {
    for jail in jails() {
        std::thread::scope(|scope| {
            for number in 0..12 {
                let jail = &jail;
                scope.spawn(move || {
                    // Each waits for a file that only its own folder can have.
                    let script = format!("echo {number} >mine; cat mine; ls | wc -l");
                    let done = jail.run(&shell(&script), &Limits::default()).unwrap();
                    assert_eq!(String::from_utf8_lossy(&done.output), format!("{number}\n1\n"));
                });
            }
        });
    }
}

/// Waits until something is so, for as long as a busy machine may take.
#[track_caller]
fn wait_until(what_for: &str, what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what_for} did not come to be");
        std::thread::yield_now();
    }
}

/// Returns whether a process has this argument.
fn is_running(argument: &str) -> bool {
    fs_err::read_dir("/proc").unwrap().flatten().any(|entry| {
        let command = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
        command.split(|byte| *byte == 0).any(|each| each == argument.as_bytes())
    })
}

/// Returns the children of processes.
fn children(of: &[u32]) -> Vec<u32> {
    let entries = fs_err::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| field_of(*pid, 1).is_some_and(|parent| of.contains(&parent))).collect()
}

/// Returns a number from what the kernel tells of a process: 1 for its parent, 3 for its session.
fn field_of(pid: u32, index: usize) -> Option<u32> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(index)?.parse().ok()
}

/// Returns how many folders and control groups there are of a helper.
fn left(helper: u32) -> usize {
    let name = format!("r1flow-jail-{helper}");
    let (mut found, mut open) = (0, vec![Path::new("/sys/fs/cgroup").to_owned()]);
    let has_name = |entry: &fs_err::DirEntry| {
        let file = entry.file_name().to_string_lossy().into_owned();
        file == name || file.starts_with(&format!("{name}-"))
    };
    found += fs_err::read_dir("/tmp").unwrap().flatten().filter(has_name).count();
    while let Some(folder) = open.pop() {
        for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
            found += usize::from(has_name(&entry));
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    found
}

/// Kills the caller, the helper, the slots, or the guards: the program and its child end too, and nothing is left.
#[test]
fn whichever_process_is_killed_the_program_ends() {
    let like_docker = Path::new(env!("CARGO_BIN_EXE_r1flow-jail")).with_file_name("examples/like_docker");
    for (in_docker, depth) in
        [(false, 0), (false, 1), (false, 2), (false, 3), (true, 0), (true, 1), (true, 2), (true, 3)]
    {
        let time = format!("{}{}{depth}", 9 - u8::from(in_docker), std::process::id());
        let mut caller = Command::new(if in_docker { &*like_docker } else { Path::new("env") });
        caller.args([env!("CARGO_BIN_EXE_r1flow-jail"), "run", "sh", "-c", &format!("sleep {time} & sleep {time}")]);
        let mut caller = caller.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let case = format!("depth {depth}, in Docker: {in_docker}");
        wait_until(&case, || is_running(&time));
        let helper = children(&[caller.id()])[0];
        let mut killed = (0..depth).fold(vec![caller.id()], |above, _| children(&above));
        // The keeper, which has a session of its own, is what cleans up.
        killed.retain(|pid| depth != 2 || field_of(*pid, 3) != Some(*pid));
        assert!(!killed.is_empty(), "{in_docker} {depth}");
        for pid in killed {
            // SAFETY: a signal to a process that came from this one.
            unsafe { libc::kill(pid as i32, libc::SIGKILL) };
        }
        let ended = caller.wait().unwrap();
        assert!(!ended.success(), "{in_docker} {depth}: {ended}");
        wait_until(&case, || !is_running(&time));
        wait_until(&case, || left(helper) == 0);
    }
}
