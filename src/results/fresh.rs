//! The results of a workflow's stages that are fresh.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use engine::plan::{RowStatus, plan};
use engine::select::Selection;
use engine::workflow::Workflow;
use store::{Digest, Record, Store};

/// Returns the records of the stages that are fresh.
pub(crate) fn fresh_records(workflow: &Workflow, store: &Store) -> Result<BTreeMap<String, Record>> {
    let records = fresh(workflow, store)?.into_iter();
    let records = records.map(|(stage, fingerprint)| Ok(store.record(&fingerprint)?.map(|record| (stage, record))));
    records.filter_map(Result::transpose).collect()
}

/// Returns the fingerprints of the stages that are fresh.
pub(crate) fn fresh(workflow: &Workflow, store: &Store) -> Result<HashMap<String, Digest>> {
    let rows = plan(workflow, store, &Selection::default())?.rows.into_iter();
    let fresh = rows.filter(|row| row.status == RowStatus::Fresh);
    Ok(fresh.filter_map(|row| Some((row.stage, row.fingerprint?))).collect())
}
