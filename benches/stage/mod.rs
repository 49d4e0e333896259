//! An attempt at a stage, as a worker runs it, without an engine.

use std::io::Write;
use std::path::Path;

use engine::artifact::ArtifactType;
use engine::placement::Placement;
use engine::stage::Context;
use engine::worker::protocol::{InputArtifact, Machine, PROTOCOL, RunRequest};
use serde_json::Value;

/// Returns an input whose files are in a folder.
pub(crate) fn input(name: &str, artifact: ArtifactType, path: &Path, import: &Value) -> InputArtifact {
    InputArtifact {
        name: name.to_owned(),
        artifact,
        digest: String::new(),
        path: path.to_owned(),
        import: import.as_object().cloned().unwrap_or_default(),
    }
}

/// Runs a stage of a kind in the folder `dir`; `lines` takes what it says to the engine.
pub(crate) fn run(
    kind: &str,
    dir: &Path,
    config: &Value,
    threads: usize,
    lines: Box<dyn Write + Send>,
) -> Result<(), String> {
    let kind = stages::KINDS.iter().find(|known| known.name == kind).ok_or_else(|| format!("no kind `{kind}`"))?;
    let machine = Machine {
        threads,
        placement: Placement::default(),
        checkpoint_seconds: 1e9,
        checkpoint_steps: None,
        checkpoint_at: Vec::new(),
        silence_seconds: 60.0,
    };
    let request = RunRequest {
        protocol: PROTOCOL,
        kind: kind.name.to_owned(),
        version: kind.version,
        stage: kind.name.to_owned(),
        dir: dir.to_owned(),
        config: config.as_object().cloned().unwrap_or_default(),
        machine,
        resume: None,
        rows: Vec::new(),
        growing: None,
    };
    (kind.run)(&Context::new(request, lines)).map(drop).map_err(|error| error.message)
}
