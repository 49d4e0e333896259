//! A stage without a result, and an input from a hub. A stage with a result is its [`store::Record`].

use engine::history::{self, History};
use serde::Serialize;
use store::Store;

use super::runs::{self, StageState};

/// The last attempt at a stage that has no result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Unfinished {
    /// The run.
    pub(crate) run: String,
    /// The workflow's name, `?` if the history does not have it.
    pub(crate) workflow: String,
    /// Its state and progress.
    pub(crate) stage: StageState,
}

/// Returns the state of a stage that has no result, from a run.
pub(crate) fn unfinished(store: &Store, history: &History, stage: &str) -> Unfinished {
    let workflow = history.begun().map_or("?", |begun| begun.workflow).to_owned();
    let stage = runs::run(store, history).1.remove(stage).unwrap_or_default();
    Unfinished { run: history.id.clone(), workflow, stage }
}

/// The version of a hub input in a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct InputVersion {
    /// Its name.
    pub(crate) input: String,
    /// Its id and its commit.
    pub(crate) version: String,
    /// The run.
    pub(crate) run: String,
    /// The workflow's name.
    pub(crate) workflow: String,
    /// The workflow's file, as histories name it.
    #[serde(skip)]
    pub(crate) file: String,
}

/// Returns the version of an input in the newest run of each workflow that has read it, or only of the one in `file`.
pub(crate) fn inputs(store: &Store, name: &str, file: Option<&str>) -> std::io::Result<Vec<InputVersion>> {
    let mut found: Vec<InputVersion> = Vec::new();
    // No stage has the empty name, so no events of stages are read.
    for history in history::newest_first_about(store, "")? {
        let Some(begun) = history.begun() else { continue };
        let is_meant = file.is_none_or(|file| file == begun.file);
        let is_known = found.iter().any(|other| other.file == begun.file);
        if let Some(version) = begun.inputs.get(name).filter(|_| is_meant && !is_known) {
            found.push(InputVersion {
                input: name.to_owned(),
                version: version.clone(),
                run: history.id.clone(),
                workflow: begun.workflow.to_owned(),
                file: begun.file.to_owned(),
            });
        }
    }
    Ok(found)
}
