//! The sandbox of the engine's tests: the toy worker, a store and a workflow file in a folder of their own.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::event::Event;
use engine::exec::EXECUTORS;
use engine::kind::Kinds;
use engine::options::{Halt, Options};
use engine::plan::{RowStatus, plan};
use engine::schedule::{Summary, apply};
use engine::select::Selection;
use engine::worker::ask;
use engine::worker::cache::CacheDir;
use engine::workflow::{Workflow, load};
use store::{Record, Store};
use tokio::sync::watch;

/// A store, a worker, and a file to change.
pub(crate) struct Sandbox {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
    kinds: Kinds,
    pub(crate) worker: PathBuf,
}

/// The result of an apply, with the records of completed and fresh stages.
pub(crate) struct Applied {
    summary: Summary,
    pub(crate) records: BTreeMap<String, Record>,
}

impl Deref for Applied {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.summary
    }
}

/// A chain of three stages, and one beside it.
pub(crate) const CHAIN: &str = "
[write.a]
[join.b]
data = [\"a.samples\"]
[count.c]
data = [\"b.samples\"]
[write.other]
text = \"other\"
";

impl Sandbox {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        // Cargo builds a package's examples with its tests, beside the folder of this program.
        let worker = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/toy_worker");
        let list = ask::kinds(&worker, &CacheDir::at(dir.path().join("cache"))).unwrap();
        Self { store, kinds: Kinds::parse(list).unwrap(), worker, dir }
    }

    pub(crate) fn workflow(&self, text: &str, sets: &[&str]) -> Workflow {
        self.workflow_in(self.dir.path(), text, sets)
    }

    fn workflow_in(&self, dir: &Path, text: &str, sets: &[&str]) -> Workflow {
        let file = dir.join("workflow.toml");
        fs_err::write(&file, text).unwrap();
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let loaded = load(&file, &sets, &self.kinds).unwrap();
        loaded.workflow.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
    }

    /// Returns options for two stages side by side.
    pub(crate) fn options(&self, halt: watch::Receiver<Halt>) -> Options {
        Options {
            worker: self.worker.clone(),
            cache_dir: CacheDir::at(self.dir.path().join("cache")),
            executor: EXECUTORS[0].1,
            slots: 2,
            threads: 1,
            pools: [("cores".to_owned(), 2)].into(),
            gpus: Vec::new(),
            selection: Selection::default(),
            fail_fast: false,
            silence: Duration::from_mins(1),
            secrets: Arc::default(),
            halt,
        }
    }

    pub(crate) fn apply_with(
        &self,
        workflow: &Workflow,
        change: impl FnOnce(&mut Options),
        mut on_event: impl FnMut(&Event, &watch::Sender<Halt>),
    ) -> Applied {
        let (sender, halt) = watch::channel(Halt::Run);
        let mut options = self.options(halt);
        change(&mut options);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let applied = apply(workflow, &self.store, &options, |event| on_event(event, &sender));
        let summary = runtime.block_on(applied).unwrap();
        let record = |fingerprint| self.store.record(fingerprint).unwrap().unwrap();
        let records = summary.done.iter().map(|(stage, fingerprint)| (stage.clone(), record(fingerprint))).collect();
        Applied { summary, records }
    }

    /// Applies a workflow that is in another folder.
    pub(crate) fn apply_in(&self, dir: &Path, text: &str, sets: &[&str]) -> Applied {
        self.apply_with(&self.workflow_in(dir, text, sets), |_| {}, |_, _| {})
    }

    pub(crate) fn apply(&self, text: &str, sets: &[&str]) -> Applied {
        self.apply_with(&self.workflow(text, sets), |_| {}, |_, _| {})
    }

    pub(crate) fn statuses(&self, text: &str, sets: &[&str]) -> Vec<(String, RowStatus)> {
        let plan = plan(&self.workflow(text, sets), &self.store, &Selection::default()).unwrap();
        plan.rows.into_iter().map(|row| (row.stage, row.status)).collect()
    }
}

/// Returns how many attempts have left a folder.
pub(crate) fn attempts_left(sandbox: &Sandbox) -> usize {
    let owners = fs_err::read_dir(sandbox.store.root().join("attempts")).unwrap().map(|entry| entry.unwrap().path());
    owners.filter(|owner| owner.is_dir()).map(|owner| fs_err::read_dir(owner).unwrap().count()).sum()
}

pub(crate) fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}
