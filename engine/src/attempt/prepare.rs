//! Prepares an attempt: lays out inputs, the newest checkpoint, and known rows in its folder.
//!
//! Bytes are verified as they are laid out, which may read gigabytes, so all of this runs off the engine's thread.

use std::path::{Path, PathBuf};

use store::{AttemptDir, CheckpointRecord, Store};

use super::{Failure, Job, Purpose, Source};
use crate::curve::Curve;
use crate::prefix::find_checkpoint;
use crate::worker::death::Witness;
use crate::worker::protocol::{PROTOCOL, Resume, RunRequest};

/// A prepared attempt: its folder, and the request to the worker.
pub(super) struct Prepared {
    pub(super) dir: AttemptDir,
    pub(super) request: RunRequest,
    pub(super) before: Spent,
    pub(super) curve: Curve,
    pub(super) witness: Witness,
}

/// Time and steps that earlier attempts spent on a stage, read from the checkpoint's metadata.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent {
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) step: u64,
    /// The processors that they ran on.
    pub(super) processor: Option<String>,
}

/// Lays out inputs, the newest checkpoint and known rows, and returns the request to the worker. Blocks the thread.
pub(super) fn prepare(job: &Job, store: &Store) -> Result<Prepared, Failure> {
    let dir = store.new_attempt_dir(&job.stage.name.0)?;
    let mut artifacts = Vec::with_capacity(job.inputs.len());
    for (pointer, artifact, source) in &job.inputs {
        let mut artifact = artifact.clone();
        if let Source::Tree(digest) = source {
            let path = dir.path().join(format!("input-{}", digest.hex()));
            if !path.exists() {
                store.materialise(digest, &path)?;
            }
            artifact.path = path;
        }
        artifacts.push((pointer.as_str(), artifact.to_value()));
    }
    let found = resume(job, store, dir.path())?;
    let (before, curve, resume) = match found {
        Some((before, curve, resume)) => (before, curve, Some(resume)),
        None => (Spent::default(), Curve::begin(job.metrics.clone()), None),
    };
    let request = RunRequest {
        protocol: PROTOCOL,
        kind: job.stage.kind.clone(),
        version: job.stage.version,
        stage: job.stage.name.to_string(),
        dir: dir.path().to_owned(),
        config: job.stage.config_with(artifacts),
        machine: job.machine.clone(),
        resume,
        rows: known_rows(job, store, dir.path())?,
        growing: (!matches!(job.purpose, Purpose::Verify(_))).then(|| job.growing.clone()),
    };
    Ok(Prepared { dir, request, before, curve, witness: Witness::begin() })
}

/// Lays out rows that were sampled before, if the stage keeps rows, and returns their folders.
fn known_rows(job: &Job, store: &Store, dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let Some(key) = job.action.row_key().filter(|_| job.purpose == Purpose::Make) else {
        return Ok(Vec::new());
    };
    let mut folders = Vec::new();
    for part in store.rows(&key)? {
        let folder = dir.join(format!("rows-{}", part.tree.digest.hex()));
        match store.materialise(&part.tree.digest, &folder) {
            Err(error) if is_aside(&error) => {
                tracing::warn!(%error, stage = %job.stage.name, "{} rows are made again", part.rows);
            }
            laid_out => {
                laid_out?;
                folders.push(folder);
            }
        }
    }
    Ok(folders)
}

fn resume(job: &Job, store: &Store, dir: &Path) -> Result<Option<(Spent, Curve, Resume)>, Failure> {
    let most = match job.purpose {
        Purpose::Make => u64::MAX,
        Purpose::Forced => 0,
        Purpose::Verify(segment) => segment.from,
    };
    // Without this hold, another process that is further along could remove the checkpoint before it is laid out.
    let _hold = store.hold()?;
    let (checkpoint, dir) = loop {
        let Some(checkpoint) = find_checkpoint(store, &job.action, most)? else { return Ok(None) };
        let dir = dir.join(format!("resume-{}", checkpoint.step));
        match store.materialise(&checkpoint.tree.digest, &dir) {
            // The damaged checkpoint counts as absent now: try an older one. A verified segment has no other beginning.
            Err(error) if is_aside(&error) && job.purpose == Purpose::Make => {
                tracing::warn!(%error, stage = %job.stage.name, "the checkpoint of step {} is lost", checkpoint.step);
            }
            laid_out => {
                laid_out?;
                break (checkpoint, dir);
            }
        }
    };
    let number = |key: &str| checkpoint.meta[key].as_f64().unwrap_or(0.0);
    let before = Spent {
        seconds: number("seconds"),
        cpu_seconds: number("cpu-seconds"),
        step: checkpoint.step,
        processor: checkpoint.meta["processor"].as_str().map(str::to_owned),
    };
    Ok(Some((before, curve_so_far(job, store, &checkpoint), Resume { step: checkpoint.step, dir })))
}

/// Returns whether an object was found damaged and has been moved aside.
fn is_aside(error: &store::Error) -> bool {
    matches!(error, store::Error::Corrupt { quarantine: Some(_), .. })
}

/// Returns the stage's curve up to the checkpoint, whichever process wrote it. If it is damaged, the curve begins at
/// the checkpoint, and training is not affected.
fn curve_so_far(job: &Job, store: &Store, checkpoint: &CheckpointRecord) -> Curve {
    let digest = checkpoint.meta["metrics"].as_str().and_then(|digest| digest.parse().ok());
    let begin = || Curve::begin(job.metrics.clone());
    let Some(digest) = digest.filter(|_| job.purpose == Purpose::Make) else { return begin() };
    match store.copy_out(&digest, &job.metrics) {
        Ok(len) => Curve::go_on(job.metrics.clone(), len),
        Err(error) => {
            tracing::warn!(%error, stage = %job.stage.name, "the curve begins at step {}", checkpoint.step);
            begin()
        }
    }
}
