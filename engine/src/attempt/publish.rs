//! What an attempt hands to the store: rows and checkpoints as they come, outputs at the end.
//!
//! Hashing and syncing gigabytes takes seconds, so it is done off the engine's thread: the other stages are listened to
//! meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use store::{Digest, Hold, OutputRecord, Record, RowsRecord, Store, Tree, TreeRef, Unsynced};

use super::{Attempt, Failure, Source};
use crate::run::now;

/// Checkpoints kept of a stage unless it says otherwise: enough to survive one that turns out bad.
const KEPT_CHECKPOINTS: usize = 2;

/// Does what takes long where nobody waits for the thread.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, store::Error> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?)
}

impl Attempt<'_> {
    pub(super) async fn keep_rows(&self, rows: u64, dir: PathBuf) -> Result<(), Failure> {
        let key = self.job.action.row_key().ok_or_else(|| Failure {
            message: format!("the kind `{}` keeps rows, but none of its keys has the role `rows`", self.job.stage.kind),
            help: Some("this is a bug in the stage's kind".to_owned()),
            may_retry: false,
        })?;
        let store = self.store.clone();
        off_thread(move || {
            let _hold = store.hold()?;
            let tree = store.adopt_dir(&dir)?;
            store.put_rows(&key, &RowsRecord { tree, rows })
        })
        .await
    }

    pub(super) async fn keep_checkpoint(&self, step: u64, dir: PathBuf, cpu_seconds: f64) -> Result<(), Failure> {
        let seconds = self.before.seconds + self.begun.elapsed().as_secs_f64();
        let cpu_seconds = self.before.cpu_seconds + cpu_seconds;
        let (store, curve) = (self.store.clone(), self.curve.bytes.clone());
        let (key, wanted) = (self.job.action.prefix_fingerprint(step), self.job.machine.checkpoint_at.clone());
        let kept = self.job.stage.run.keep_checkpoints.unwrap_or(KEPT_CHECKPOINTS);
        off_thread(move || {
            let hold = store.hold()?;
            let tree = store.adopt_dir(&dir)?;
            let metrics = store.put_bytes(&curve)?;
            let meta = json!({ "seconds": seconds, "cpu-seconds": cpu_seconds, "metrics": metrics });
            store.put_checkpoint(&key, step, &tree, meta)?;
            drop(hold);
            retire_old_checkpoints(&store, &key, step, kept, &wanted)
        })
        .await
    }

    /// Moves the outputs into the store, and says what they are. The store is held until something refers to them.
    pub(super) async fn publish(
        &self,
        outputs: &BTreeMap<String, PathBuf>,
        summary: Map<String, Value>,
        cpu_seconds: f64,
    ) -> Result<(Record, Unsynced, Hold), Failure> {
        self.check_inputs()?;
        let names: Vec<&String> = self.job.stage.outputs.keys().collect();
        let paths = names.iter().map(|name| written(outputs, name)).collect::<Result<Vec<_>, _>>()?;
        let store = self.store.clone();
        let (moved, hold) = off_thread(move || {
            let hold = store.hold()?;
            let moved = paths.iter().map(|path| store.move_in(path)).collect::<Result<Vec<(Tree, Unsynced)>, _>>()?;
            Ok((moved, hold))
        })
        .await?;
        let mut kept = BTreeMap::new();
        let mut unsynced = Unsynced::default();
        for (name, (tree, of_tree)) in names.into_iter().zip(moved) {
            unsynced.extend(of_tree);
            let TreeRef { digest, bytes } = tree.reference();
            let artifact = self.job.stage.outputs[name].name().to_owned();
            kept.insert(name.clone(), OutputRecord { artifact, digest, bytes, members: tree.members });
        }
        let mut keep = |bytes: &[u8]| -> Result<Option<Digest>, Failure> {
            if bytes.is_empty() {
                return Ok(None);
            }
            let (digest, of_file) = self.store.write_in(bytes)?;
            unsynced.extend(of_file);
            Ok(Some(digest))
        };
        let record = Record {
            fingerprint: self.job.fingerprint,
            workflow: self.job.workflow.clone(),
            source: self.job.source.clone(),
            stage: self.job.stage.name.to_string(),
            kind: self.job.stage.kind.clone(),
            outputs: kept,
            summary,
            metrics: keep(&self.curve.bytes)?,
            log: keep(&fs_err::read(&self.job.log)?)?,
            seconds: self.before.seconds + self.begun.elapsed().as_secs_f64(),
            cpu_seconds: self.before.cpu_seconds + cpu_seconds,
            steps: self.curve.last_step.saturating_sub(self.before.step),
            device: self.job.machine.device.clone(),
            threads: self.job.machine.threads,
            finished: now(),
            deterministic: true,
        };
        Ok((record, unsynced, hold))
    }

    /// Returns the digests of outputs that nobody keeps.
    pub(super) fn hash(&self, outputs: &BTreeMap<String, PathBuf>) -> Result<BTreeMap<String, Digest>, Failure> {
        let names = self.job.stage.outputs.keys();
        names.map(|name| Ok((name.clone(), self.store.hash_path(&written(outputs, name)?)?))).collect()
    }

    /// An input that changed while the stage read it makes the result worthless: it is nobody's.
    fn check_inputs(&self) -> Result<(), Failure> {
        for (_, artifact, source) in &self.job.inputs {
            if matches!(source, Source::Path) && self.store.hash_path(&artifact.path)?.to_string() != artifact.digest {
                return Err(Failure {
                    message: format!("input `{}` changed while the stage was reading it", artifact.name),
                    help: Some("run `apply` again; nothing was recorded".to_owned()),
                    may_retry: false,
                });
            }
        }
        Ok(())
    }
}

fn retire_old_checkpoints(
    store: &Store,
    key: &Digest,
    step: u64,
    kept: usize,
    wanted: &[u64],
) -> Result<(), store::Error> {
    let steps = store.checkpoint_steps(key)?;
    // Where others want to go on from stays for them.
    let older = steps.iter().filter(|old| **old < step && !wanted.contains(old));
    let superfluous = older.rev().skip(kept.saturating_sub(1));
    superfluous.copied().try_for_each(|old| store.retire_checkpoint(key, old))
}

fn written(outputs: &BTreeMap<String, PathBuf>, name: &str) -> Result<PathBuf, Failure> {
    let path = outputs.get(name).filter(|path| path.is_dir()).cloned();
    path.ok_or_else(|| Failure {
        message: format!("the worker is done but did not write output `{name}`"),
        help: Some("this is a bug in the stage's kind".to_owned()),
        may_retry: false,
    })
}
