//! `r1flow chaos`: kills engine, worker or both at random moments, resumes, and compares with an unbroken run.
//!
//! A user can run this test on their own workflow and machine before trusting them with weeks of work. It uses two
//! stores of its own, in a new folder beside the usual one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use engine::event::Event;
use engine::exec::KEEPER;
use engine::history;
use serde_json::json;
use store::{Digest, Made, Store};

use crate::arguments::{Global, WorkflowArgs};
use crate::exit::Status;
use crate::loading::{load_from, load_workflow, worker};
use crate::results::fresh_records;
use crate::ui::{self, Style, count};

/// How long a process may take to die.
const DYING: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
    /// Number of kills.
    #[arg(long, default_value_t = 10, value_name = "N")]
    kills: u64,
    /// Seed of the random moments and victims.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Which processes to kill; random for each kill unless given.
    #[arg(long, value_enum)]
    victim: Option<Victim>,
}

/// Which processes are killed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Victim {
    /// The engine alone: its workers must end, too.
    Engine,
    /// Workers alone: the engine keeps running.
    Worker,
    /// Workers, then the engine.
    Both,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    if load_workflow(global, &args.workflow)?.is_none() {
        return Ok(Status::Refused);
    }
    let root = beside(&global.store)?;
    let unbroken = root.path().join("unbroken");
    let mut broken = Made::folder(root.path().join("broken"))?;
    let begun = Instant::now();
    if !start(global, args, &unbroken)?.wait()?.success() {
        bail!(
            "the workflow fails without any kill: run `r1flow apply {}` and mend that first",
            args.workflow.file.display()
        );
    }
    let whole = begun.elapsed();
    ui::note(&format!("an unbroken run takes {}", ui::duration(whole.as_secs_f64())));
    let mut struck: BTreeMap<String, u64> = BTreeMap::new();
    for kill in 0..args.kills {
        let draw = KillRng::new(args.seed, kill);
        let victim = args.victim.unwrap_or(draw.victim());
        let kinds = strike(global, args, &mut broken, whole.mul_f64(draw.share()), victim)?;
        let at = if kinds.is_empty() { "between stages".to_owned() } else { kinds.join(", ") };
        ui::note(&format!("kill {} of {}: {victim:?} at {:.0} %, {at}", kill + 1, args.kills, 100.0 * draw.share()));
        for kind in kinds {
            *struck.entry(kind).or_default() += 1;
        }
    }
    if !start(global, args, broken.path())?.wait()?.success() {
        let store = broken.path().display().to_string();
        broken.keep();
        root.keep();
        bail!("the last run fails: look at it with `r1flow --store {store} status`");
    }
    let (expected, found) = (digests(global, args, &unbroken)?, digests(global, args, broken.path())?);
    if expected.is_empty() {
        bail!("there is nothing to compare: the workflow has no stages, or its file changed meanwhile");
    }
    let differing: Vec<&String> =
        expected.iter().filter(|(name, digest)| found.get(*name) != Some(digest)).map(|(name, _)| name).collect();
    report(global, args, &expected, &differing, &struck)?;
    if differing.is_empty() {
        return Ok(Status::Done);
    }
    ui::note(&format!("both stores are kept in `{}`", root.path().display()));
    broken.keep();
    root.keep();
    Ok(Status::StageFailed)
}

fn report(
    global: &Global,
    args: &Args,
    expected: &BTreeMap<String, Digest>,
    differing: &[&String],
    struck: &BTreeMap<String, u64>,
) -> Result<()> {
    if global.json {
        let told = json!({ "kills": args.kills, "running": struck, "outputs": expected.len(), "differing": differing });
        ui::print_json(&told)?;
    } else if differing.is_empty() {
        let outputs = count(expected.len(), "output");
        ui::line(&format!(
            "{}, {outputs} equal to those of an unbroken run, no process left",
            count(args.kills as usize, "kill")
        ));
        let kinds: Vec<String> = struck.iter().map(|(kind, kills)| format!("{kind} {kills}")).collect();
        if !kinds.is_empty() {
            ui::line(&format!("kinds that were running: {}", kinds.join(", ")));
        }
    } else {
        for name in differing {
            ui::line(&format!("{} {name}", ui::styled("differs", Style::Bad)));
        }
    }
    Ok(())
}

fn start(global: &Global, args: &Args, store: &Path) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("apply")
        .arg(&args.workflow.file)
        .arg("--json")
        .arg("--store")
        .arg(store)
        .arg("--worker")
        .arg(worker(global)?)
        .arg("--device")
        .arg(args.workflow.device.to_string());
    for set in &args.workflow.sets {
        command.arg("--set").arg(set);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("`r1flow apply` cannot be started")
}

/// Makes a new folder for two stores, beside the user's store.
fn beside(store: &Path) -> Result<Made> {
    let name = store.file_name().context("the store must have a name: stores for chaos are made beside it")?;
    let name = format!("{}.chaos-{}", name.display(), std::process::id());
    Ok(Made::folder(store.with_file_name(name))?)
}

/// Runs `apply` for `delay`, kills the victim, and waits until no process is left. Returns the kinds that were running.
/// A run that ends before `delay` starts again with an empty store.
fn strike(global: &Global, args: &Args, store: &mut Made, delay: Duration, victim: Victim) -> Result<Vec<String>> {
    let mut engine = start(global, args, store.path())?;
    let deadline = Instant::now() + delay;
    while Instant::now() < deadline {
        if engine.try_wait()?.is_some() {
            store.empty()?;
            engine = start(global, args, store.path())?;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let started = children(engine.id());
    // Processes that workers have started must end, too.
    let all: Vec<u32> = started.iter().copied().chain(started.iter().flat_map(|worker| children(*worker))).collect();
    let workers = started.into_iter().filter(|pid| !is_keeper(*pid));
    let kinds = running_kinds(store.path())?;
    if matches!(victim, Victim::Worker | Victim::Both) {
        workers.for_each(kill);
    }
    match victim {
        // The engine continues: it retries, or runs stages that do not depend on this one.
        Victim::Worker => drop(engine.wait()?),
        Victim::Engine | Victim::Both => {
            engine.kill()?;
            engine.wait()?;
        }
    }
    let begun = Instant::now();
    while let Some(orphan) = all.iter().find(|pid| is_running(**pid)) {
        if begun.elapsed() > DYING {
            return Err(anyhow!("process {orphan} of a worker outlives its engine"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(kinds)
}

/// Returns the kinds of the stages that the newest run has started and not ended.
fn running_kinds(store: &Path) -> Result<Vec<String>> {
    let Some(store) = Store::find(store)? else { return Ok(Vec::new()) };
    let Some(newest) = history::newest_first(&store)?.next() else { return Ok(Vec::new()) };
    let mut running = BTreeMap::new();
    for entry in newest.entries {
        match entry.event {
            Event::Started { stage, kind, .. } => drop(running.insert(stage, kind)),
            Event::Done { stage, .. } | Event::Failed { stage, .. } => drop(running.remove(&stage)),
            _ => {}
        }
    }
    Ok(running.into_values().collect())
}

fn kill(pid: u32) {
    // SAFETY: `kill` has no preconditions; its error for a process that has just ended is ignored.
    unsafe {
        libc::kill(pid.cast_signed(), libc::SIGKILL);
    }
}

fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent)).collect()
}

fn is_keeper(pid: u32) -> bool {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).any(|argument| argument == KEEPER.as_bytes())
}

/// Returns whether a process is running; a zombie is not.
fn is_running(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

/// Returns state and parent of a process.
fn stat(pid: u32) -> Option<(String, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// Returns the digest of every output, by `stage.output`.
fn digests(global: &Global, args: &Args, store: &Path) -> Result<BTreeMap<String, Digest>> {
    let loaded = load_from(global, &args.workflow, store)?;
    let workflow = loaded.workflow.ok_or_else(|| anyhow!("the workflow changed meanwhile"))?.on(args.workflow.device);
    let store = Store::find(store)?.ok_or_else(|| anyhow!("there is no store at `{}`", store.display()))?;
    let records = fresh_records(&workflow, &store)?;
    let outputs = records.iter().flat_map(|(stage, record)| {
        record.outputs.iter().map(move |(output, made)| (format!("{stage}.{output}"), made.digest))
    });
    Ok(outputs.collect())
}

/// The random choices for one kill.
struct KillRng([u8; 32]);

impl KillRng {
    fn new(seed: u64, kill: u64) -> Self {
        Self(*Digest::of(format!("chaos {seed} {kill}").as_bytes()).as_bytes())
    }

    /// Returns the moment of the kill, as a share of the duration of an unbroken run.
    fn share(&self) -> f64 {
        f64::from(u16::from_le_bytes([self.0[0], self.0[1]])) / f64::from(u16::MAX)
    }

    fn victim(&self) -> Victim {
        match self.0[2] % 3 {
            0 => Victim::Engine,
            1 => Victim::Worker,
            _ => Victim::Both,
        }
    }
}
