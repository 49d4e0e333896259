//! All evaluation reports of a workflow, and the same reports side by side.
//!
//! Each report has a row of figures. A view adds a value that reports do not have, the time of the evaluated stage.

use std::collections::HashMap;

use anyhow::Result;
use engine::artifact::ArtifactType;
use engine::workflow::{StageDecl, Target, Workflow};
use serde::Serialize;
use serde_json::Value;
use store::{Digest, OutputRecord, Store};

/// The reports of a workflow. In JSON it is the list of them.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Scores {
    /// In the file's order.
    pub(crate) evaluated: Vec<Evaluated>,
    /// Reports that are left out.
    #[serde(skip)]
    pub(crate) unreadable: Vec<Unreadable>,
}

/// A report and what it is about.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Evaluated {
    /// The stage or input that the evaluated model comes from; the evaluation itself if it has no model, or if another
    /// one measures the same model.
    pub(crate) stage: String,
    /// Wall time of that stage.
    pub(crate) seconds: Option<f64>,
    /// The report.
    pub(crate) report: Value,
}

/// A report that cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// The evaluation.
    pub(crate) stage: String,
    /// Why.
    pub(crate) error: anyhow::Error,
}

/// Reports side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Comparison {
    /// The figures' names, in the order in which they first occur.
    pub(crate) columns: Vec<String>,
    /// A row for each report.
    pub(crate) rows: Vec<ComparisonRow>,
}

/// A report in a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ComparisonRow {
    /// The stage or input that the model comes from.
    pub(crate) stage: String,
    /// A figure for each column.
    pub(crate) figures: Vec<Figure>,
    /// Wall time of that stage.
    pub(crate) seconds: Option<f64>,
}

/// A figure of a report; without a value where the report has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// Its value.
    pub(crate) value: Option<f64>,
    /// Its standard error.
    pub(crate) error: Option<f64>,
}

/// Returns the reports of the stages that are `done`.
pub(crate) fn scores(workflow: &Workflow, store: &Store, done: &HashMap<String, Digest>) -> Result<Scores> {
    let record_of = |stage: &str| done.get(stage).map_or(Ok(None), |fingerprint| store.record(fingerprint));
    let mut scores = Scores { evaluated: Vec::new(), unreadable: Vec::new() };
    let mut evaluations = Vec::new();
    for stage in workflow.graph.node_weights().filter(|stage| makes_report(stage)) {
        let Some(record) = record_of(&stage.name.0)? else { continue };
        for output in record.outputs.values() {
            let report = match report(store, output) {
                Ok(Some(report)) => report,
                Ok(None) => continue,
                Err(error) => {
                    scores.unreadable.push(Unreadable { stage: stage.name.to_string(), error });
                    continue;
                }
            };
            let subject = subject(stage);
            let seconds = match &subject {
                Some(subject) => record_of(subject)?.map(|record| record.seconds),
                None => None,
            };
            evaluations.push(stage.name.to_string());
            let stage = subject.unwrap_or_else(|| stage.name.to_string());
            scores.evaluated.push(Evaluated { stage, seconds, report });
        }
    }
    name_apart(&mut scores.evaluated, &evaluations);
    Ok(scores)
}

/// Names those by their evaluations that are about the same model.
fn name_apart(evaluated: &mut [Evaluated], evaluations: &[String]) {
    let subjects: Vec<String> = evaluated.iter().map(|evaluated| evaluated.stage.clone()).collect();
    for (evaluated, evaluation) in evaluated.iter_mut().zip(evaluations) {
        if subjects.iter().filter(|subject| **subject == evaluated.stage).count() > 1 {
            evaluation.clone_into(&mut evaluated.stage);
        }
    }
}

/// Returns whether a stage measures a model.
pub(crate) fn makes_report(stage: &StageDecl) -> bool {
    stage.outputs.values().any(|artifact| *artifact == ArtifactType::Report)
}

/// Returns the report in an output, if there is one in it.
fn report(store: &Store, output: &OutputRecord) -> Result<Option<Value>> {
    let member = output.members.iter().find(|member| member.path == "report.json");
    member.map(|member| Ok(serde_json::from_slice(&store.read(&member.digest)?)?)).transpose()
}

/// Returns the stage whose model a report is about.
fn subject(stage: &StageDecl) -> Option<String> {
    let model = stage.references.iter().find(|reference| reference.artifact == ArtifactType::Model)?;
    match &model.target {
        Target::Output { stage, .. } => Some(stage.to_string()),
        Target::Input(name) => Some(format!("inputs.{name}")),
    }
}

impl Scores {
    /// Returns the reports side by side, if there are any.
    pub(crate) fn comparison(&self) -> Option<Comparison> {
        if self.evaluated.is_empty() {
            return None;
        }
        let mut columns: Vec<String> = Vec::new();
        for name in self.evaluated.iter().flat_map(cells).map(column) {
            if !columns.iter().any(|column| column == name) {
                columns.push(name.to_owned());
            }
        }
        let figures = |evaluated: &Evaluated| {
            let of = |name: &String| cells(evaluated).find(|cell| cell["column"] == **name).map(figure);
            columns.iter().map(|name| of(name).unwrap_or_default()).collect()
        };
        let row = |evaluated: &Evaluated| ComparisonRow {
            stage: evaluated.stage.clone(),
            figures: figures(evaluated),
            seconds: evaluated.seconds,
        };
        let rows = self.evaluated.iter().map(row).collect();
        Some(Comparison { columns, rows })
    }
}

fn cells(evaluated: &Evaluated) -> impl Iterator<Item = &Value> {
    evaluated.report["row"].as_array().into_iter().flatten()
}

fn column(cell: &Value) -> &str {
    cell["column"].as_str().unwrap_or("")
}

fn figure(cell: &Value) -> Figure {
    Figure { value: cell["value"].as_f64(), error: cell["error"].as_f64() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variants_of_one_model_are_told_apart() {
        let of = |stage: &str| Evaluated { stage: stage.to_owned(), seconds: None, report: Value::Null };
        let mut evaluated = [of("base"), of("rl"), of("base")];
        name_apart(&mut evaluated, &["scores/bare", "scores/rl", "scores/asked"].map(str::to_owned));
        assert_eq!(evaluated.map(|evaluated| evaluated.stage), ["scores/bare", "rl", "scores/asked"]);
    }

    #[test]
    fn a_comparison_has_the_columns_of_all_reports() {
        let evaluated = |stage: &str, seconds: Option<f64>, row: Value| Evaluated {
            stage: stage.to_owned(),
            seconds,
            report: json!({ "row": row }),
        };
        let first = evaluated("a", Some(1.5), json!([{ "column": "accuracy", "value": 0.5, "error": 0.1 }]));
        let second =
            evaluated("b", None, json!([{ "column": "format", "value": null }, { "column": "accuracy", "value": 1 }]));
        let scores = |evaluated: Vec<Evaluated>| Scores { evaluated, unreadable: Vec::new() };
        assert_eq!(scores(Vec::new()).comparison(), None, "there is no evaluation");
        assert_eq!(scores(vec![first.clone()]).comparison().unwrap().rows.len(), 1, "one has a table, too");
        let compared = serde_json::to_value(scores(vec![first, second]).comparison()).unwrap();
        let none = json!({ "value": null, "error": null });
        let expected = json!({ "columns": ["accuracy", "format"], "rows": [
            { "stage": "a", "figures": [{ "value": 0.5, "error": 0.1 }, none], "seconds": 1.5 },
            { "stage": "b", "figures": [{ "value": 1.0, "error": null }, none], "seconds": null },
        ] });
        assert_eq!(compared, expected);
    }
}
