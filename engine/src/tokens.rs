//! Shows a row of a stage as the model sees it, token by token, without running the stage.
//!
//! Inputs are read where they are, and outputs of other stages through links to the store's objects. Neither is hashed:
//! a look at one row of a large data set should take no longer than reading up to it.

use std::path::{Path, PathBuf};

use serde_json::Map;
use store::Store;

use crate::kind::KindInfo;
use crate::past::standing;
use crate::plan;
use crate::worker::ask;
use crate::worker::protocol::InputArtifact;
use crate::worker::tokens::{TokensAnswer, TokensRequest};
use crate::workflow::hub::HubId;
use crate::workflow::{Reference, StageDecl, StageName, Target, Workflow, all_imports};

/// Why a row cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An output that it is made of does not exist yet, or not as the workflow is now.
    #[error("`{reference}` is not in the store as the workflow is now")]
    NotFresh {
        /// The reference.
        reference: String,
        /// The stage that makes it.
        stage: StageName,
    },
    /// An input that it is made of has to be fetched.
    #[error("`inputs.{name}` has not been fetched: {id}")]
    NotFetched {
        /// The input.
        name: String,
        /// What it is on the hub.
        id: HubId,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The upstream stages cannot be planned.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// The worker does not answer.
    #[error(transparent)]
    Ask(#[from] ask::Error),
}

/// Asks a worker to show row `row` (from 0) of what a stage reads.
pub fn tokens(
    worker: &Path,
    (workflow, store): (&Workflow, Option<&Store>),
    (stage, kind): (&StageDecl, &KindInfo),
    row: usize,
) -> Result<TokensAnswer, Error> {
    // Until the worker has answered, the store keeps the objects that it reads.
    let is_read = |reference: &Reference| {
        kind.spec.tokens.iter().any(|read| reference.pointer.split('/').nth(1) == Some(read.as_str()))
    };
    let is_stored = |reference: &Reference| matches!(reference.target, Target::Output { .. });
    let store = store.filter(|_| stage.references.iter().any(|reference| is_read(reference) && is_stored(reference)));
    let _hold = store.map(Store::hold).transpose()?;
    let scratch = store.map(|store| store.new_attempt_dir("tokens")).transpose()?;
    let mut artifacts = Vec::with_capacity(stage.references.len());
    for reference in &stage.references {
        let is_read = is_read(reference);
        let path = match (is_read, &reference.target) {
            (false, _) => PathBuf::new(),
            (true, Target::Input(name)) => input(workflow, name)?,
            (true, Target::Output { stage, output }) => {
                let folder = scratch.as_ref().map(|scratch| scratch.path().join(artifacts.len().to_string()));
                let place = store.zip(folder);
                place
                    .map(|(store, folder)| laid_out(workflow, store, (stage, output), folder))
                    .transpose()?
                    .flatten()
                    .ok_or_else(|| not_fresh(reference, stage))?
            }
        };
        let artifact = InputArtifact {
            name: reference.target.to_string(),
            artifact: reference.artifact,
            digest: String::new(),
            path,
            import: if is_read { all_imports(workflow, reference) } else { Map::new() },
        };
        artifacts.push((reference.pointer.as_str(), artifact.to_value()));
    }
    let (kind, version) = (stage.kind.clone(), stage.version);
    Ok(ask::tokens(worker, &TokensRequest { kind, version, config: stage.config_with(artifacts), row })?)
}

fn input(workflow: &Workflow, name: &str) -> Result<PathBuf, Error> {
    let input = &workflow.inputs[name];
    let not_fetched = || input.unfetched().map(|id| Error::NotFetched { name: name.to_owned(), id: id.clone() });
    input.path().map(Path::to_owned).ok_or_else(|| not_fetched().expect("what has no path is not fetched"))
}

/// Lays out an output of a stage, if the stage is fresh, as links to the store's objects.
fn laid_out(
    workflow: &Workflow,
    store: &Store,
    (stage, output): (&StageName, &str),
    folder: PathBuf,
) -> Result<Option<PathBuf>, Error> {
    let record = standing(workflow, store, &stage.0)?.and_then(|standing| standing.record);
    let Some(made) = record.as_ref().and_then(|record| record.outputs.get(output)) else { return Ok(None) };
    store.link_out(&made.digest, &folder)?;
    Ok(Some(folder))
}

fn not_fresh(reference: &Reference, stage: &StageName) -> Error {
    Error::NotFresh { reference: reference.target.to_string(), stage: stage.clone() }
}
