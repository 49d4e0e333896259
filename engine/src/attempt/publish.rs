//! Moves what an attempt makes into the store: rows and checkpoints as they come, outputs at the end.
//!
//! Hashing and syncing gigabytes takes seconds, so all of it is done off the engine's thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use store::{Digest, OutputRecord, Record, RowsRecord, Store, Unsynced};

use super::follow::{Left, own};
use super::{Attempt, Failure, Job, Source};
use crate::blocking::off_thread;
use crate::run::now;

/// Default of `run.keep-checkpoints`: enough to survive one bad checkpoint.
const KEPT_CHECKPOINTS: usize = 2;

impl Attempt<'_> {
    pub(super) async fn keep_rows(&self, rows: u64, dir: PathBuf) -> Result<(), Failure> {
        let key = self.job.action.row_key().ok_or_else(|| Failure {
            help: Some("this is a bug in the stage's kind".to_owned()),
            ..Failure::new(format!(
                "the kind `{}` keeps rows, but none of its keys has the role `rows`",
                self.job.stage.kind
            ))
        })?;
        let store = self.store.clone();
        off_thread(move || {
            let _hold = store.hold()?;
            let tree = store.adopt_dir(&dir)?;
            Ok(store.put_rows(&key, &RowsRecord { tree, rows })?)
        })
        .await
    }

    pub(super) async fn keep_checkpoint(&mut self, step: u64, dir: PathBuf, cpu_seconds: f64) -> Result<(), Failure> {
        self.curve.write().await?;
        let (curve, len) = self.curve.file();
        let (curve, store) = (curve.to_owned(), self.store.clone());
        let mut meta = json!({
            "seconds": self.before.seconds + self.begun.elapsed().as_secs_f64(),
            "cpu-seconds": self.before.cpu_seconds + cpu_seconds,
            "processor": self.processors(),
        });
        let (key, wanted) = (self.job.action.prefix_fingerprint(step), self.job.machine.checkpoint_at.clone());
        let kept = self.job.stage.run.keep_checkpoints.unwrap_or(KEPT_CHECKPOINTS);
        off_thread(move || {
            let hold = store.hold()?;
            let tree = store.adopt_dir(&dir)?;
            if len > 0 {
                let (digest, unsynced) = store.copy_in(&curve, len)?;
                unsynced.sync()?;
                meta["metrics"] = json!(digest);
            }
            store.put_checkpoint(&key, step, &tree, meta)?;
            drop(hold);
            Ok(retire_old_checkpoints(&store, &key, step, kept, &wanted)?)
        })
        .await
    }

    /// Moves the outputs into the store, and records them: from then on the stage is fresh.
    pub(super) async fn publish(
        &mut self,
        outputs: BTreeMap<String, PathBuf>,
        summary: Map<String, Value>,
        cpu_seconds: f64,
    ) -> Result<Left, Failure> {
        self.curve.write().await?;
        let (metrics, len) = self.curve.file();
        let metrics = Some(metrics.to_owned()).filter(|_| len > 0);
        let record = Record {
            fingerprint: self.job.fingerprint,
            workflow: self.job.workflow.clone(),
            source: self.job.source.clone(),
            stage: self.job.stage.name.to_string(),
            kind: self.job.stage.kind.clone(),
            outputs: BTreeMap::new(),
            summary,
            metrics: None,
            log: None,
            seconds: self.before.seconds + self.begun.elapsed().as_secs_f64(),
            cpu_seconds: self.before.cpu_seconds + cpu_seconds,
            steps: self.curve.last_step.saturating_sub(self.before.step),
            device: self.job.machine.placement.to_string(),
            threads: self.job.machine.threads,
            processor: self.processors(),
            finished: String::new(),
            deterministic: true,
        };
        let (store, job, root) = (self.store.clone(), Arc::clone(self.job), self.root.clone());
        off_thread(move || {
            check_inputs(&job, &store)?;
            let _hold = store.hold()?;
            let (record, unsynced) = move_in(&job, &store, &root, &outputs, metrics.as_deref(), record)?;
            Ok(Left::Done(Box::new(record), unsynced))
        })
        .await
    }

    /// Returns the digests of outputs without moving them into the store.
    pub(super) async fn hash(&self, outputs: &BTreeMap<String, PathBuf>) -> Result<BTreeMap<String, Digest>, Failure> {
        let names = self.job.stage.outputs.keys();
        let paths = names.map(|name| Ok((name.clone(), written(&self.root, outputs, name)?)));
        let paths = paths.collect::<Result<Vec<_>, Failure>>()?;
        let store = self.store.clone();
        off_thread(move || paths.into_iter().map(|(name, path)| Ok((name, store.hash_output(&path)?))).collect()).await
    }

    /// Returns the processors that the whole stage ran on: more than one if it was resumed on another.
    fn processors(&self) -> Option<String> {
        match (&self.before.processor, &self.processor) {
            (Some(before), Some(now)) if !before.ends_with(now) => Some(format!("{before}, then {now}")),
            (Some(before), _) => Some(before.clone()),
            (None, now) => now.clone(),
        }
    }
}

fn move_in(
    job: &Job,
    store: &Store,
    root: &Path,
    outputs: &BTreeMap<String, PathBuf>,
    metrics: Option<&Path>,
    mut record: Record,
) -> Result<(Record, Unsynced), Failure> {
    let names = job.stage.outputs.iter();
    let paths = names.map(|(name, artifact)| Ok((name, artifact, written(root, outputs, name)?)));
    let mut unsynced = Unsynced::default();
    for (name, artifact, path) in paths.collect::<Result<Vec<_>, Failure>>()? {
        let (tree, of_tree) = store.move_in(&path)?;
        unsynced.extend(of_tree);
        let (reference, artifact) = (tree.reference(), artifact.name().to_owned());
        let made = OutputRecord { artifact, digest: reference.digest, bytes: reference.bytes, members: tree.members };
        record.outputs.insert(name.clone(), made);
    }
    let mut keep = |file: &Path| -> Result<Option<Digest>, Failure> {
        if fs_err::metadata(file)?.len() == 0 {
            return Ok(None);
        }
        let (digest, of_file) = store.link_in(file)?;
        unsynced.extend(of_file);
        Ok(Some(digest))
    };
    record.metrics = metrics.map(&mut keep).transpose()?.flatten();
    record.log = keep(&job.log)?;
    record.finished = now();
    unsynced.extend(store.write_record(&record, &job.action.document)?);
    Ok((record, unsynced))
}

/// Fails if an input changed while the stage was reading it, because that makes the result worthless.
fn check_inputs(job: &Job, store: &Store) -> Result<(), Failure> {
    for (_, artifact, source) in &job.inputs {
        let Source::Path { reads, beside } = source else { continue };
        let mut is_same = store.hash_path(&artifact.path, reads)?.to_string() == artifact.digest;
        for (path, digest) in beside {
            is_same = is_same && store.hash_path(path, &[])? == *digest;
        }
        if !is_same {
            return Err(Failure {
                help: Some("run `apply` again; nothing was recorded".to_owned()),
                ..Failure::new(format!("input `{}` changed while the stage was reading it", artifact.name))
            });
        }
    }
    Ok(())
}

fn retire_old_checkpoints(
    store: &Store,
    key: &Digest,
    step: u64,
    kept: usize,
    wanted: &[u64],
) -> Result<(), store::Error> {
    let steps = store.checkpoint_steps(key)?;
    let wished = store.wished_checkpoints(key)?;
    // Checkpoints that other stages or processes want to resume from are kept.
    let older = steps.iter().filter(|old| **old < step && !wanted.contains(old) && !wished.contains(old));
    let superfluous = older.rev().skip(kept.saturating_sub(1));
    superfluous.copied().try_for_each(|old| store.retire_checkpoint(key, old))
}

fn written(root: &Path, outputs: &BTreeMap<String, PathBuf>, name: &str) -> Result<PathBuf, Failure> {
    let path = outputs.get(name).filter(|path| root.join(path).is_dir()).ok_or_else(|| Failure {
        help: Some("this is a bug in the stage's kind".to_owned()),
        ..Failure::new(format!("the worker is done but did not write output `{name}`"))
    })?;
    own(root, path)
}
