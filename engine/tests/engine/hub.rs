//! Inputs from a hub, as the engine sees them: content that may not be here yet.

use engine::dirty::DirtyReason;
use engine::plan::{RowStatus, check_fetched, plan};
use engine::select::Selection;
use engine::workflow::hub::Fetched;

use super::support::{Sandbox, sorted};

const WORKFLOW: &str = "[inputs]
rows = { samples = \"hf:org/rows\" }
[join.copy]
data = [\"inputs.rows\"]
[join.after]
data = [\"copy.samples\"]
";

#[test]
fn content_that_is_not_here_may_come_out_the_same() {
    let sandbox = Sandbox::new();
    let path = sandbox.dir.path().join("rows.jsonl");
    fs_err::write(&path, "one").unwrap();
    let mut workflow = sandbox.workflow(WORKFLOW, &[]);
    let rows = plan(&workflow, &sandbox.store, &Selection::default()).unwrap().rows;
    let unfetched = DirtyReason::NotFetched { input: "hf:org/rows@main".to_owned() };
    assert_eq!((rows[0].status, &rows[0].reasons), (RowStatus::Dirty, &vec![DirtyReason::New, unfetched]));
    let refused = check_fetched(&workflow, &Selection::default()).unwrap_err();
    assert_eq!(refused.to_string(), "input `rows`, `hf:org/rows@main`, is not fetched yet");

    let commit = "0a".repeat(20);
    workflow.fetched_inputs(|_, _| Some(Fetched { commit: commit.clone(), path: path.clone() }));
    check_fetched(&workflow, &Selection::default()).unwrap();
    assert_eq!(sorted(&sandbox.apply_with(&workflow, |_| {}, |_, _| {}).ran), ["after", "copy"]);

    let other = WORKFLOW.replace("org/rows", "other/rows@v1");
    let maybe = |stage: &str| (stage.to_owned(), RowStatus::Maybe);
    assert_eq!(sandbox.statuses(&other, &[]), [maybe("copy"), maybe("after")]);
    let own = WORKFLOW.replace("hf:org/rows", "rows.jsonl");
    assert_eq!(sandbox.apply(&own, &[]).ran.len(), 0, "where content comes from is no part of a fingerprint");
}
