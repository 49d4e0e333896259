//! A plan with its inputs, its total cost, and its differences from an earlier plan.

use std::collections::{BTreeMap, HashMap, HashSet};

use engine::plan::{Plan, PlanRow, RowStatus};
use engine::workflow::Workflow;
use serde::Serialize;

/// A plan, and the origin of its workflow's inputs, which is in no fingerprint.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlanView<'a> {
    /// The workflow's name.
    pub(crate) workflow: &'a str,
    /// Stages in topological order.
    pub(crate) rows: &'a [PlanRow],
    /// Inputs from a hub by name; absent where there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) inputs: BTreeMap<&'a str, Input>,
    /// Stages at which a run is working with these values; absent where there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) at_work: BTreeMap<String, AtWork>,
}

/// How far a run is with a stage.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AtWork {
    /// The run's id.
    pub(crate) run: String,
    /// Its step or phase, if it has told one.
    pub(crate) progress: Option<String>,
}

/// An input from a hub.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Input {
    /// Its id.
    pub(crate) id: String,
    /// The commit that has been fetched, if one has.
    pub(crate) commit: Option<String>,
}

/// Returns a plan of a workflow with the workflow's inputs.
pub(crate) fn view<'a>(plan: &'a Plan, workflow: &'a Workflow, at_work: BTreeMap<String, AtWork>) -> PlanView<'a> {
    let inputs = workflow.hub_inputs().map(|(name, input)| {
        let commit = input.fetched.as_ref().map(|fetched| fetched.commit.clone());
        (name, Input { id: input.id.to_string(), commit })
    });
    PlanView { workflow: &plan.workflow, rows: &plan.rows, inputs: inputs.collect(), at_work }
}

/// What a plan costs in all, as far as that is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Cost {
    /// Stages that must run.
    pub(crate) must: usize,
    /// Stages that run only if what they need changes.
    pub(crate) may: usize,
    /// Seconds of work of the stages whose length is known.
    pub(crate) seconds: f64,
    /// Stages of unknown length.
    pub(crate) unknown: usize,
    /// Hours of GPUs.
    pub(crate) gpu_hours: f64,
    /// Bytes to write.
    pub(crate) bytes: u64,
}

/// Returns what a plan costs in all.
pub(crate) fn cost(plan: &Plan) -> Cost {
    let number = |wanted: fn(&RowStatus) -> bool| plan.rows.iter().filter(|row| wanted(&row.status)).count();
    let forecasts = || plan.rows.iter().filter_map(|row| row.forecast.as_deref());
    Cost {
        must: number(|status| matches!(status, RowStatus::Dirty | RowStatus::Extend { .. })),
        may: number(|status| *status == RowStatus::Maybe),
        seconds: forecasts().filter_map(|forecast| forecast.seconds).sum(),
        unknown: forecasts().filter(|forecast| forecast.seconds.is_none()).count(),
        gpu_hours: forecasts().filter_map(|forecast| forecast.gpu_hours).sum(),
        bytes: forecasts().filter_map(|forecast| forecast.bytes).sum(),
    }
}

/// A stage on which two plans differ.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Moved<'a> {
    /// The stage.
    pub(crate) stage: &'a str,
    /// Its row in the earlier plan, if any.
    pub(crate) was: Option<&'a PlanRow>,
    /// Its row in the current plan, if any.
    pub(crate) is: Option<&'a PlanRow>,
}

/// Returns the stages on which a plan differs from an earlier one.
pub(crate) fn moved<'a>(before: &'a Plan, now: &'a Plan) -> Vec<Moved<'a>> {
    let by_stage =
        |plan: &'a Plan| -> HashMap<&str, &PlanRow> { plan.rows.iter().map(|row| (row.stage.as_str(), row)).collect() };
    let [was, is] = [by_stage(before), by_stage(now)];
    let mut seen = HashSet::new();
    let stages = before.rows.iter().chain(&now.rows).map(|row| row.stage.as_str()).filter(|stage| seen.insert(*stage));
    let pairs = stages.map(|stage| Moved { stage, was: was.get(stage).copied(), is: is.get(stage).copied() });
    let differs = |moved: &Moved| match (moved.was, moved.is) {
        (Some(was), Some(is)) => !was.agrees_with(is),
        _ => true,
    };
    pairs.filter(differs).collect()
}
