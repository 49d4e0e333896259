//! `r1flow apply`: brings a workflow up to date, or follows a saved plan.

use std::time::Duration;

use anyhow::{Context, Result};
use engine::event::Event;
use engine::exec::EXECUTORS;
use engine::plan;
use engine::schedule::{Error, Halt, Options, Summary, apply};
use engine::select::Selection;
use engine::workflow::Workflow;
use store::Store;
use tokio::sync::watch;

use super::plan::{SavedPlan, moved};
use super::{Global, SelectionArgs, Status, WorkflowArgs, cache_dir, load_fetched, named, no_such, scores, worker};
use crate::machine;
use crate::ui::{self, Progress};

/// Time without a sign of life after which a worker counts as hung; it gives one every ten seconds.
const SILENCE: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    machine: MachineArgs,
    /// Start what does not need a stage that has failed; this is so unless `--fail-fast` is given.
    #[arg(long, short, overrides_with = "fail_fast")]
    keep_going: bool,
    /// Start nothing new once a stage has failed; what runs goes on.
    #[arg(long)]
    fail_fast: bool,
}

/// What stages may take of this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct MachineArgs {
    /// Stages that run side by side; as many as there are cores unless given.
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// CPU threads of a stage that does not say what it needs; the cores divided by the jobs unless given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// What there is of a pool: `cores`, `memory-gib`, `gpus`, or one of your own (repeatable).
    #[arg(long, value_name = "NAME=N")]
    pool: Vec<String>,
    /// Where workers run.
    #[arg(long, default_value = "local")]
    executor: String,
}

impl MachineArgs {
    /// Returns options for a run of `selection`.
    pub(crate) fn options(
        &self,
        global: &Global,
        selection: Selection,
        halt: watch::Receiver<Halt>,
    ) -> Result<Options> {
        let cores = machine::cores();
        let slots = self.jobs.unwrap_or(cores).max(1);
        let threads = self.threads.unwrap_or(cores / slots).max(1);
        let executor = EXECUTORS.iter().find(|(name, _)| *name == self.executor);
        let names = EXECUTORS.iter().map(|(name, _)| *name);
        // Who asks for more threads than there are cores shall have them.
        let at_least = if self.jobs.is_some() || self.threads.is_some() { slots * threads } else { threads };
        let (pools, gpus) = machine::pools(&self.pool, at_least)?;
        Ok(Options {
            worker: worker(global)?,
            cache_dir: cache_dir(),
            executor: executor.ok_or_else(|| no_such("executor", &self.executor, names))?.1,
            slots,
            threads,
            pools,
            gpus,
            selection,
            fail_fast: false,
            silence: SILENCE,
            halt,
        })
    }
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let saved = SavedPlan::read(&args.workflow, &args.selection)?;
    let (source, selection) = match &saved {
        Some(saved) => (saved.workflow_args(), saved.selection.clone()),
        None => (args.workflow.clone(), args.selection.selection()),
    };
    let Some(workflow) = load_fetched(global, &source, &selection)? else { return Ok(Status::Refused) };
    let store = Store::open(&global.store)?;
    if let Some(saved) = &saved {
        let now = plan::plan(workflow, &store, &selection)?;
        let differences = moved(&saved.plan, &now);
        if !differences.is_empty() {
            let list = differences.join("\n  ");
            let help = "look at what has changed, and make a new plan: `r1flow plan … -o FILE`";
            ui::error(&format!("the world has moved since the plan was made:\n  {list}"), Some(help));
            return Ok(Status::Refused);
        }
    }
    let (sender, halt) = watch::channel(Halt::Run);
    let mut options = args.machine.options(global, selection, halt)?;
    options.fail_fast = args.fail_fast && !args.keep_going;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary = runtime.block_on(async {
        let interrupts = tokio::spawn(listen(sender));
        let mut progress = Progress::begin(global.json);
        let summary = apply(workflow, &store, &options, |event: &Event| progress.show(event)).await;
        interrupts.abort();
        summary
    });
    let summary = summary.map_err(explained)?;
    conclude(global, workflow, &store, &summary)
}

/// Says what the user can do about a run that cannot go on.
pub(crate) fn explained(error: Error) -> anyhow::Error {
    match error {
        Error::NoStage(error) => named(error),
        Error::TooMuch(error) => {
            let help = format!("lower `run.needs.{0}`, or say what there is: `--pool {0}=N`", error.pool);
            anyhow::Error::new(error).context(help)
        }
        other => anyhow::Error::new(other).context("the run cannot go on"),
    }
}

/// Turns Ctrl-C and SIGTERM into requests: the first for a checkpoint, the second for the end.
pub(crate) async fn listen(halt: watch::Sender<Halt>) -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => {}
        }
        let now = *halt.borrow();
        let next = if now == Halt::Run { Halt::Stop } else { Halt::Kill };
        ui::note(match next {
            Halt::Kill => "leaving at once",
            _ => "stopping after a checkpoint; again to leave at once",
        });
        halt.send(next)?;
    }
}

fn conclude(global: &Global, workflow: &Workflow, store: &Store, summary: &Summary) -> Result<Status> {
    // Stopped on request is not an error of ours, but not done either.
    let is_done = summary.failed.is_empty() && summary.left.is_empty();
    if !global.json {
        let table = scores::table(workflow, store, &summary.done).context("the final table cannot be made")?;
        if let Some(table) = table {
            ui::line("");
            ui::table(&table);
        }
    }
    Ok(if is_done { Status::Done } else { Status::StageFailed })
}
