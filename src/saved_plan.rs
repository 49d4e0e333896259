//! Saved plans: `plan -o` writes one, and `apply` follows it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use engine::placement::Device;
use engine::plan::Plan;
use engine::select::Selection;
use engine::workflow::Workflow;
use serde::{Deserialize, Serialize};

use crate::arguments::{SelectionArgs, WorkflowArgs};

/// The format version of saved plans.
const FORMAT: u32 = 1;
/// Size limit in bytes; a saved plan of a hundred thousand stages is smaller.
const PLAN_BYTES: u64 = 256 << 20;

/// A plan with the arguments that it was made with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SavedPlan {
    r1flow_plan: u32,
    /// The workflow file, absolute.
    file: PathBuf,
    sets: Vec<String>,
    device: Device,
    pub(crate) selection: Selection,
    pub(crate) plan: Plan,
}

impl SavedPlan {
    /// Reads a saved plan; returns `None` if the user named a workflow instead.
    pub(crate) fn read(args: &WorkflowArgs, selection: &SelectionArgs) -> Result<Option<Self>> {
        // No workflow begins with a brace. A missing file is reported later, when the workflow is loaded.
        let text = outside::read_text(&args.file, PLAN_BYTES, "").unwrap_or_default();
        if !text.trim_start().starts_with('{') {
            return Ok(None);
        }
        let name = args.file.display();
        let saved: Self = serde_json::from_str(&text).with_context(|| format!("`{name}` is no saved plan"))?;
        if saved.r1flow_plan != FORMAT {
            bail!(
                "`{name}` is a plan of format {}, this program reads format {FORMAT}: make it again",
                saved.r1flow_plan
            );
        }
        if !args.sets.is_empty() || args.device != Device::Cpu || selection.selection() != Selection::default() {
            bail!("`{name}` says what to run and how: leave out `--set`, `--device` and names of stages");
        }
        Ok(Some(saved))
    }

    pub(crate) fn workflow_args(&self) -> WorkflowArgs {
        WorkflowArgs { file: self.file.clone(), sets: self.sets.clone(), device: self.device }
    }
}

/// Saves a plan of a workflow that was loaded with `args`.
pub(crate) fn save(
    file: &Path,
    workflow: &Workflow,
    args: &WorkflowArgs,
    selection: Selection,
    plan: &Plan,
) -> Result<()> {
    let saved = SavedPlan {
        r1flow_plan: FORMAT,
        file: workflow.file.clone(),
        sets: args.sets.clone(),
        device: args.device,
        selection,
        plan: plan.clone(),
    };
    Ok(fs_err::write(file, serde_json::to_string_pretty(&saved)?)?)
}
