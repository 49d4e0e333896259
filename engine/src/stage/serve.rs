//! The worker's end: `Worker::new(KINDS).serve()` is a worker's whole `main`.
//!
//! `kinds` prints the worker's kinds, `check` prints what is found about stages before they run, `tokens` prints a row
//! as the model sees it, `grade` the grades of completions in a file, and `run` reads one request from stdin, runs it,
//! and answers on stdout. First of all stdout is redirected ([`claim_stdout`]): what a library prints there goes to
//! stderr, which is the log.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::counts::Counts;
use super::{Context, Kind, Look, Outcome, StageError, aside, schema};
use crate::artifact::ArtifactType;
use crate::kind::KindList;
use crate::worker::check::{CheckRequest, Checked};
use crate::worker::engine::{die_with_engine, leave_signals_to_engine};
use crate::worker::grade::{GradeLine, GradeRequest, GradedRow};
use crate::worker::protocol::{FromWorker, PROTOCOL, Refusal, RunRequest, ToWorker};
use crate::worker::tokens::{TokensAnswer, TokensRequest};

/// Number of `alive` messages within the time that the engine waits for one.
const BEATS: f64 = 6.0;

/// Grades the completions of a file, and calls the second argument with each row until it breaks.
pub type Grader = fn(&GradeRequest, &mut dyn FnMut(GradedRow) -> ControlFlow<()>) -> Result<(), StageError>;

/// A worker: what it can run, and what the engine has to know of it.
pub struct Worker {
    kinds: &'static [Kind],
    imports: fn() -> Value,
    grader: Option<Grader>,
    processor: fn() -> Option<String>,
}

impl Worker {
    /// Makes a worker of `kinds`, whose inputs have no import keys.
    pub const fn new(kinds: &'static [Kind]) -> Self {
        Self { kinds, imports: || json!({}), grader: None, processor: || None }
    }

    /// Takes the keys of `I` as those by which inputs say how they are read.
    #[must_use]
    pub const fn with_imports<I: JsonSchema>(mut self) -> Self {
        self.imports = schema::<I>;
        self
    }

    /// Grades completions in files by `grader`.
    #[must_use]
    pub const fn with_grader(mut self, grader: Grader) -> Self {
        self.grader = Some(grader);
        self
    }

    /// Tells the engine what `processor` returns: the instruction sets, and what chooses among them, where another
    /// processor may give other bits. It is called once, before a stage runs.
    #[must_use]
    pub const fn with_processor(mut self, processor: fn() -> Option<String>) -> Self {
        self.processor = processor;
        self
    }

    /// Does what the process's arguments ask for, and returns the exit code.
    pub fn serve(&self) -> ExitCode {
        let stdout = match claim_stdout() {
            Ok(stdout) => stdout,
            Err(error) => {
                complain(&format!("there is no stdout: {error}"));
                return ExitCode::from(2);
            }
        };
        match std::env::args().nth(1).as_deref() {
            Some("kinds") => answer(&self.list(), stdout),
            Some("check") => check_all(self.kinds, stdout),
            Some("tokens") => show_row(self.kinds, stdout),
            Some("grade") => grade_file(self.grader, stdout),
            Some("run") => run_one(self.kinds, stdout, self.processor),
            _ => {
                complain(
                    "usage: r1flow-worker kinds | check | tokens | grade | run    (for the engine: all but the first read requests from stdin)",
                );
                ExitCode::from(2)
            }
        }
    }

    fn list(&self) -> KindList {
        let kinds = self.kinds.iter().map(|kind| (kind.spec)()).collect();
        KindList { protocol: PROTOCOL, kinds, imports: (self.imports)() }
    }
}

/// Returns a copy of stdout for the protocol alone, out of reach of libraries and of other programs that the stage may
/// start. Redirects descriptor 1 to stderr.
fn claim_stdout() -> std::io::Result<File> {
    // SAFETY: plain system calls; the copy has no other owner.
    let copy = unsafe { libc::fcntl(1, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: as above. Without a stderr, descriptor 1 is closed, too.
    unsafe {
        if libc::dup2(2, 1) < 0 {
            libc::close(1);
        }
        Ok(File::from_raw_fd(copy))
    }
}

fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// Prints what is asked for as one line.
fn answer(value: &impl serde::Serialize, mut stdout: File) -> ExitCode {
    let mut text = serde_json::to_vec(value).expect("answers are plain data");
    text.push(b'\n');
    match stdout.write_all(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn check_all(kinds: &[Kind], stdout: File) -> ExitCode {
    die_with_engine();
    let checked: Result<Vec<Checked>, std::io::Error> =
        std::io::stdin().lines().map(|line| Ok(check_one(kinds, &serde_json::from_str(&line?)?))).collect();
    match checked {
        Ok(checked) => answer(&checked, stdout),
        Err(error) => {
            complain(&format!("a request is not understood: {error}"));
            ExitCode::from(2)
        }
    }
}

fn check_one(kinds: &[Kind], request: &CheckRequest) -> Checked {
    let refused = |error| {
        let mut look = Look::default();
        look.refuse(error);
        look
    };
    let check = |kind: &Kind| {
        catch_unwind(AssertUnwindSafe(|| (kind.check)(&request.config, Look::on(request.device))))
            .map_err(|panic| panicked(&*panic))
    };
    find(kinds, &request.kind, request.version).and_then(check).unwrap_or_else(refused).into_checked()
}

/// Shows a row of a stage.
fn show_row(kinds: &[Kind], stdout: File) -> ExitCode {
    die_with_engine();
    let request: TokensRequest = match serde_json::from_reader(std::io::stdin()) {
        Ok(request) => request,
        Err(error) => {
            complain(&format!("the request is not understood: {error}"));
            return ExitCode::from(2);
        }
    };
    let show = |kind: &Kind| {
        catch_unwind(AssertUnwindSafe(|| (kind.tokens)(&request.config, request.row)))
            .unwrap_or_else(|panic| Err(panicked(&*panic)))
    };
    let shown = find(kinds, &request.kind, request.version).and_then(show);
    let refused = |error: StageError| TokensAnswer::Refused(Refusal { message: error.message, help: error.help });
    answer(&shown.map_or_else(refused, TokensAnswer::Shown), stdout)
}

/// Grades a file; each row is a line of its own.
fn grade_file(grader: Option<Grader>, stdout: File) -> ExitCode {
    die_with_engine();
    let request: GradeRequest = match serde_json::from_reader(std::io::stdin()) {
        Ok(request) => request,
        Err(error) => {
            complain(&format!("the request is not understood: {error}"));
            return ExitCode::from(2);
        }
    };
    let mut out = BufWriter::new(stdout);
    let mut send = |line: &GradeLine| -> std::io::Result<()> {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")
    };
    let counts = Counts::default();
    let graded = grader.ok_or_else(|| StageError::new("this worker grades no files")).and_then(|grade| {
        counts.shared_by(|| {
            grade(&request, &mut |row| match send(&GradeLine::Row(Box::new(row))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        })
    });
    let end = match graded {
        Ok(()) => GradeLine::Done(counts.of_input(&request.name)),
        Err(error) => GradeLine::Refused(Refusal { message: error.message, help: error.help }),
    };
    match send(&end).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn find<'a>(kinds: &'a [Kind], name: &str, version: u32) -> Result<&'a Kind, StageError> {
    kinds.iter().find(|kind| kind.name == name && kind.version == version).ok_or_else(|| {
        StageError::new(format!("this worker has no kind `{name}` of version {version}"))
            .with_help("run the command again: the engine asks the worker anew what it can do")
    })
}

fn run_one(kinds: &[Kind], stdout: File, processor: fn() -> Option<String>) -> ExitCode {
    die_with_engine();
    leave_signals_to_engine();
    // Not `std::io::Stdin`: `poll` cannot see bytes in its internal buffer.
    let stdin = match std::io::stdin().as_fd().try_clone_to_owned() {
        Ok(stdin) => stdin,
        Err(error) => {
            complain(&format!("there is no stdin: {error}"));
            return ExitCode::from(2);
        }
    };
    let mut stdin = BufReader::new(File::from(stdin));
    let request = match read_request(&mut stdin) {
        Ok(request) => request,
        Err(message) => {
            complain(&message);
            return ExitCode::from(2);
        }
    };
    let name = request.kind.clone();
    let version = request.version;
    let ctx = Arc::new(Context::new(request, Box::new(stdout)));
    aside::run(&ctx);
    ctx.send(&FromWorker::Hello { protocol: PROTOCOL, pid: std::process::id(), processor: processor() });
    attend(stdin, Arc::clone(&ctx));

    let run = |kind: &Kind| {
        catch_unwind(AssertUnwindSafe(|| (kind.run)(&ctx))).unwrap_or_else(|panic| Err(panicked(&*panic)))
    };
    let (result, outputs) = match find(kinds, &name, version) {
        Ok(kind) => (run(kind), kind.outputs),
        Err(error) => (Err(error), [].as_slice()),
    };
    finish(&ctx, result, outputs)
}

fn read_request(stdin: &mut impl BufRead) -> Result<RunRequest, String> {
    let mut line = String::new();
    stdin.read_line(&mut line).map_err(|error| format!("cannot read the request: {error}"))?;
    match serde_json::from_str(&line) {
        Ok(ToWorker::Run(request)) if request.protocol == PROTOCOL => Ok(*request),
        Ok(ToWorker::Run(request)) => {
            Err(format!("the engine speaks protocol {}, this worker speaks {PROTOCOL}", request.protocol))
        }
        Ok(ToWorker::Stop) => Err("stopped before it began".to_owned()),
        Err(error) => Err(format!("the request is not understood: {error}")),
    }
}

/// Starts a thread beside the stage that reads stdin: a stop request, or the end, which means that the engine is gone.
/// It also sends `alive` now and then, whatever the stage does.
fn attend(mut stdin: BufReader<File>, ctx: Arc<Context>) {
    let pause = Duration::from_secs_f64(ctx.machine().silence_seconds / BEATS);
    std::thread::spawn(move || {
        let mut beat_at = Instant::now() + pause;
        loop {
            let left = beat_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                ctx.send(&FromWorker::Alive);
                // Counted from now, so that a process that was stopped for an hour does not send a burst.
                beat_at = Instant::now() + pause;
            } else if !stdin.buffer().is_empty() || is_readable(stdin.get_ref(), left) {
                let mut line = String::new();
                match stdin.read_line(&mut line) {
                    Ok(0) | Err(_) => std::process::exit(1),
                    Ok(_) if matches!(serde_json::from_str(&line), Ok(ToWorker::Stop)) => ctx.request_stop(),
                    Ok(_) => {}
                }
            }
        }
    });
}

/// Waits until there is something to read, end of file included, or the time is up. Returns whether there is.
fn is_readable(file: &File, time: Duration) -> bool {
    let mut poll = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // Rounded up, so that less than a millisecond does not become a busy loop.
    let milliseconds = i32::try_from(time.as_millis() + 1).unwrap_or(i32::MAX);
    // SAFETY: one `pollfd`, which outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) > 0 }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> StageError {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    StageError::new(format!("the stage panicked: {text}"))
        .with_help("this is a bug in the stage; `r1flow log` shows where it happened")
}

fn finish(ctx: &Context, result: Result<Outcome, StageError>, outputs: &[(&str, ArtifactType)]) -> ExitCode {
    match result {
        Ok(Outcome::Done(summary)) => {
            let outputs = outputs.iter().map(|(name, _)| ((*name).to_owned(), ctx.output(name)));
            ctx.send(&FromWorker::Done { outputs: outputs.collect(), summary });
            ExitCode::SUCCESS
        }
        Ok(Outcome::Stopped(step)) => {
            ctx.send(&FromWorker::Stopped { step });
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error.message);
            ctx.send(&FromWorker::Failed { message: error.message, help: error.help });
            ExitCode::FAILURE
        }
    }
}
