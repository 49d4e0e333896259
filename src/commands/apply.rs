//! `r1flow apply`: brings a workflow up to date, or follows a saved plan.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use engine::event::Event;
use engine::exec::EXECUTORS;
use engine::options::{Halt, Options};
use engine::plan;
use engine::schedule::{Error, Summary, apply};
use engine::secrets::Secrets;
use engine::select::Selection;
use engine::workflow::Workflow;
use store::Store;
use tokio::sync::watch;

use super::audience::{Audience, Speaker};
use super::listen::listen;
use super::plan::{SavedPlan, moved};
use super::{EXIT_CODES, SelectionArgs, Status, WorkflowArgs, cache_dir, load_fetched, named, no_such, scores, worker};
use crate::machine;
use crate::options::Global;
use crate::ui;

/// Time without a sign of life after which a worker counts as hung; it gives one every ten seconds.
const SILENCE: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
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
        let most = machine::attempts_by_open_files();
        if most < slots {
            ui::note(&format!(
                "this process may open too few files for {slots} stages side by side (`ulimit -n`): {most} run"
            ));
        }
        Ok(Options {
            worker: worker(global)?,
            cache_dir: cache_dir(),
            executor: executor.ok_or_else(|| no_such("executor", &self.executor, names))?.1,
            slots: slots.min(most),
            threads,
            pools,
            gpus,
            selection,
            fail_fast: false,
            silence: SILENCE,
            secrets: Arc::new(Secrets::of(std::env::vars_os())),
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
    let summary = listening(sender, Audience::begin(global.json), async |speaker| {
        apply(workflow, &store, &options, |event: &Event| speaker.event(event)).await
    });
    conclude(global, workflow, &store, &summary?.map_err(explained)?)
}

/// Runs something to its end while signals are heard and what happens is shown.
pub(crate) fn listening<T>(
    halt: watch::Sender<Halt>,
    audience: Audience,
    run: impl AsyncFnOnce(Speaker) -> T,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let speaker = audience.speaker();
    let done = runtime.block_on(async {
        let for_notes = speaker.clone();
        let interrupts = tokio::spawn(listen(halt, move |text| for_notes.note(text)));
        let done = run(speaker).await;
        interrupts.abort();
        done
    });
    // A large file that is still read is not waited for: the user did not want that.
    runtime.shutdown_background();
    audience.end();
    Ok(done)
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

fn conclude(global: &Global, workflow: &Workflow, store: &Store, summary: &Summary) -> Result<Status> {
    if !global.json {
        let table = scores::table(workflow, store, &summary.done).context("the final table cannot be made")?;
        if let Some(table) = table {
            ui::line("");
            ui::table(&table);
        }
    }
    // Where a stage has failed that is what must be seen to, whatever was interrupted besides.
    Ok(match (summary.failed.is_empty(), summary.left.is_empty()) {
        (false, _) => Status::StageFailed,
        (true, false) => Status::Interrupted,
        (true, true) => Status::Done,
    })
}
