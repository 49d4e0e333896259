//! Makes the job of an attempt for a stage that may start: what it reads, where it writes, which resources it gets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use store::Digest;

use super::Options;
use crate::attempt::{Job, Purpose, Source};
use crate::pools::Lent;
use crate::run::{stage_doing, stage_log, stage_metrics, stage_rows};
use crate::worker::protocol::{InputArtifact, Machine};
use crate::workflow::{Reference, StageDecl, Target, Workflow, all_imports};

/// Default of `run.checkpoint-every`, in seconds.
const CHECKPOINT_SECONDS: f64 = 600.0;

/// Returns what a stage reads: for each reference its JSON pointer, its artifact, and where its bytes are. `digests`
/// has those of all inputs, and of what is beside them.
pub(crate) fn inputs(
    workflow: &Workflow,
    stage: &StageDecl,
    digests: &BTreeMap<String, Digest>,
    digest: impl Fn(&Reference) -> Digest,
) -> Vec<(String, InputArtifact, Source)> {
    let inputs = stage.references.iter().map(|reference| {
        let digest = digest(reference);
        let (path, source) = match &reference.target {
            Target::Input(name) => {
                let input = &workflow.inputs[name];
                let path = input.path().expect("what has a digest is there");
                let beside = input.beside(name).map(|(_, name, path)| (path.to_owned(), digests[&name]));
                let source = Source::Path { reads: input.reads.clone(), beside: beside.collect() };
                (path.to_owned(), source)
            }
            Target::Output { .. } => (PathBuf::new(), Source::Tree(digest)),
        };
        let artifact = InputArtifact {
            name: reference.target.to_string(),
            artifact: reference.artifact,
            digest: digest.to_string(),
            path,
            import: all_imports(workflow, reference),
        };
        (reference.pointer.clone(), artifact, source)
    });
    inputs.collect()
}

/// Returns what a stage is lent.
pub(crate) fn machine(stage: &StageDecl, lent: &Lent, checkpoint_at: Vec<u64>, options: &Options) -> Machine {
    let seconds = stage.run.checkpoint_every.map_or(CHECKPOINT_SECONDS, |every| every.as_secs_f64());
    Machine {
        threads: lent.threads(),
        placement: lent.placement(stage.device),
        checkpoint_seconds: seconds,
        checkpoint_steps: stage.run.checkpoint_steps,
        checkpoint_at,
        silence_seconds: options.silence.as_secs_f64(),
    }
}

/// Makes the job of one stage.
pub(crate) fn job(
    (workflow, source): (&Workflow, store::Source),
    run_dir: &Path,
    stage: &StageDecl,
    (action, fingerprint): (std::sync::Arc<crate::action::Action>, Digest),
    (lent, machine): (&Lent, Machine),
    inputs: Vec<(String, InputArtifact, Source)>,
    purpose: Purpose,
) -> std::sync::Arc<Job> {
    std::sync::Arc::new(Job {
        workflow: workflow.name.clone(),
        source,
        stage: stage.clone(),
        action,
        fingerprint,
        inputs,
        machine,
        gpus: lent.gpus.iter().map(|(_, gpu)| gpu.clone()).collect(),
        log: stage_log(run_dir, &stage.name.0),
        metrics: stage_metrics(run_dir, &stage.name.0),
        doing: stage_doing(run_dir, &stage.name.0),
        growing: stage_rows(run_dir, &stage.name.0),
        purpose,
    })
}
