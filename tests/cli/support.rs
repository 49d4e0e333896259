//! The sandbox of a test: a folder with a workflow, a store and a cache of its own, in which the program is run.
//!
//! What differs from machine to machine or from run to run is replaced before a test sees it: `[DIR]`, `[RUN]`,
//! `[WHEN]`, `[TIME]` and `b3:[DIGEST]`.

use std::fmt::{self, Write};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::Value;

/// The longest that anything may take on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// The shape of a model that is trained in no time, as keys of `pretrain`.
macro_rules! tiny_shape {
    () => {
        "hidden-size       = 16\nlayers            = 1\nheads             = 2\nkv-heads          = 2\nintermediate-size = 32\n"
    };
}
pub(crate) use tiny_shape;

/// A chain of three stages, and one beside it.
pub(crate) const CHAIN: &str = r#"[write.a]
[join.b]
data = ["a.samples"]
[count.c]
data = ["b.samples"]
[write.other]
text = "other"
"#;

pub(crate) struct Sandbox {
    // Removed when dropped.
    _dir: tempfile::TempDir,
    root: PathBuf,
    worker: PathBuf,
    settings: Vec<(&'static str, PathBuf)>,
}

impl Sandbox {
    /// Makes a sandbox with a workflow `toy.toml` for the toy worker.
    pub(crate) fn new(workflow: &str) -> Self {
        // Cargo builds a package's examples with its tests, beside the folder of this program.
        let worker = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/toy_worker");
        let help =
            "`cargo build --release -p r1flow-engine --example toy_worker` builds it, so does `cargo test --workspace`";
        assert!(worker.exists(), "there is no `{}`: {help}", worker.display());
        let sandbox = Self::with_worker(worker);
        sandbox.write("toy.toml", workflow);
        sandbox
    }

    /// Makes an empty sandbox.
    pub(crate) fn with_worker(worker: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap();
        Self { _dir: dir, root, worker, settings: Vec::new() }
    }

    /// Sets a variable for every program that runs here.
    pub(crate) fn set(&mut self, variable: &'static str, value: PathBuf) {
        self.settings.push((variable, value));
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn worker(&self) -> &Path {
        &self.worker
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs_err::write(self.root.join(file), text).unwrap();
    }

    /// Returns the program with arguments, ready to run in the sandbox. Of the user's environment it only gets PATH.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_r1flow"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .args(arguments)
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", path)
            .env("HOME", &self.root)
            .env("XDG_CACHE_HOME", self.root.join("cache"))
            .env("R1FLOW_WORKER", &self.worker)
            .env("NO_COLOR", "1")
            .envs(self.settings.iter().map(|(variable, value)| (variable, value)))
            .stdin(Stdio::null());
        // SAFETY: one system call between fork and exec.
        unsafe {
            command.pre_exec(|| {
                // If the tests were started with `nohup`, the program would inherit an ignored SIGHUP.
                libc::signal(libc::SIGHUP, libc::SIG_DFL);
                Ok(())
            });
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.finish(&mut self.command(arguments))
    }

    /// Runs a command of this sandbox to its end.
    pub(crate) fn finish(&self, command: &mut Command) -> Output {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| self.redacted(&String::from_utf8(bytes).unwrap());
        Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs a command that must succeed, and returns its stdout.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, Some(0), "{arguments:?}: {output}");
        output.stdout
    }

    /// Runs a command that must succeed with `--json`, and returns its output with nothing replaced.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).arg("--json").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Returns the digest of an output, as `show` prints it.
    pub(crate) fn digest(&self, stage: &str, output: &str) -> String {
        self.digest_with(stage, output, &[])
    }

    /// Does the same for a workflow that was applied with `--set`, with the same arguments in `words`.
    pub(crate) fn digest_with(&self, stage: &str, output: &str, words: &[&str]) -> String {
        let digest = &self.json(&[&["show", stage], words].concat())["record"]["outputs"][output]["digest"];
        digest.as_str().unwrap_or_else(|| panic!("`{stage}` has no output `{output}`")).to_owned()
    }

    /// Starts the program and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (follow(child.stdout.take().unwrap()), follow(child.stderr.take().unwrap()));
        Running { child, stdout, stderr }
    }

    fn redacted(&self, text: &str) -> String {
        static PATTERNS: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
            [
                (r"(?m)b3:([0-9a-f]{64}|[0-9a-f]{12}$)", "b3:[DIGEST]"),
                (r"\b\d{6}-\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{4}\b", "[RUN]"),
                (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "[WHEN]"),
                (r"\b(\d+ min )?\d+(\.\d)? s\b", "[TIME]"),
            ]
            .map(|(pattern, name)| (Regex::new(pattern).unwrap(), name))
        });
        let text = text.replace(self.root.to_str().unwrap(), "[DIR]");
        PATTERNS.iter().fold(text, |text, (pattern, name)| pattern.replace_all(&text, *name).into_owned())
    }
}

/// The output of a command, and how it ended; `Display` shows all of it.
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => f.write_fmt(format_args!("exit code {code}"))?,
            None => f.write_str("ended by a signal")?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "\n── {name}\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// A program that runs in the background; it is killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

/// How a program in the background ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// Lines of stdout that have not been read yet.
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for an event about a stage in what `apply --json` prints.
    pub(crate) fn event(&self, name: &str, stage: &str) -> Value {
        let mut seen = String::new();
        loop {
            let line = self.stdout.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|error| panic!("no `{name}` of `{stage}` ({error}) after\n{seen}"));
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name && event["stage"] == stage {
                return event;
            }
            let _ = writeln!(seen, "{line}");
        }
    }

    /// Waits for a line with `part` in it on stderr.
    pub(crate) fn complaint(&self, part: &str) -> String {
        loop {
            let line = self.stderr.recv_timeout(DEADLINE).unwrap_or_else(|error| panic!("no `{part}`: {error}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, number: i32) {
        signal(self.pid(), number);
    }

    /// Reads what is left to read, and waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        let rest = |lines: &Receiver<String>| -> Vec<String> {
            std::iter::from_fn(|| match lines.recv_timeout(DEADLINE) {
                Ok(line) => Some(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
                Err(error) => panic!("the program does not end: {error}"),
            })
            .collect()
        };
        let (stdout, stderr) = (rest(&self.stdout), rest(&self.stderr));
        let status = poll("the program's end", || self.child.try_wait().unwrap());
        Ended { code: status.code(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Returns the unread events that `apply --json` printed.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Sends the lines of a pipe to a channel, so that reading them has a deadline.
fn follow(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Sends a signal to a process that has not been waited for, so that its id cannot have been reused.
pub(crate) fn signal(pid: u32, number: i32) {
    // SAFETY: `kill` has no preconditions.
    let sent = unsafe { libc::kill(pid.cast_signed(), number) };
    assert_eq!(sent, 0, "process {pid} is gone");
}

/// Calls `look` again and again until it returns something.
pub(crate) fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the events that a finished `apply --json` printed.
pub(crate) fn events(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the stages of all events with this name.
pub(crate) fn stages<'a>(events: &'a [Value], name: &str) -> Vec<&'a str> {
    events.iter().filter(|event| event["event"] == name).filter_map(|event| event["stage"].as_str()).collect()
}
