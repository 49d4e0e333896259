//! Parity with Python's transformers, from folders under `tests/fixtures/`.
//!
//! A fixture is a model's folder (`config.json`, `model.safetensors`) with a `reference.safetensors` beside them:
//! `ids` and `lengths` (integers: packed rows), `logits` ([n, v], in packed order), and optionally `greedy` ([rows, k]:
//! the next k likeliest tokens of each row). Each must be met within 2e-5, which is what transformers keeps between its
//! own attention implementations.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use lm::{Model, Options, Request, Rows, Sampling, Tensor, generate};

use crate::assert_close;

#[test]
fn fixtures_from_transformers_are_met() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut met = 0;
    for entry in std::fs::read_dir(&root).expect("the folder of fixtures").flatten() {
        if entry.path().join("reference.safetensors").exists() {
            meet(&entry.path());
            met += 1;
        }
    }
    if met == 0 {
        let _ = writeln!(std::io::stderr(), "skipped: no fixture under {}", root.display());
    }
}

fn meet(dir: &Path) {
    let name = dir.display().to_string();
    let model = Model::load(dir, &Options::default()).expect("a model's folder");
    let file = dir.join("reference.safetensors");
    let reference: BTreeMap<String, Tensor> =
        lm::checkpoint::load_tensors(&file).expect("a safetensors file").into_iter().collect();
    let integers = |key: &str| -> Vec<i64> { Vec::try_from(reference[key].view(-1)).expect("integers") };
    let (ids, lengths) = (integers("ids"), integers("lengths"));
    let mut rows = Rows::default();
    let mut start = 0;
    for length in lengths {
        rows.push(&ids[start..start + length as usize]);
        start += length as usize;
    }
    let _guard = lm::no_grad_guard();
    assert_close(&model.logits(&model.hidden(&rows)), &reference["logits"], 2e-5, &name);
    let Some(greedy) = reference.get("greedy") else { return };
    let requests: Vec<Request> =
        rows.ranges().map(|range| Request { prompt: rows.ids()[range].to_vec(), seed: 0 }).collect();
    let sampling = Sampling { temperature: 0.0, max_tokens: greedy.size()[1] as usize, ..Sampling::default() };
    let completions =
        generate::generate(&model, &requests, &sampling, requests.len(), &mut |_, _| {}).expect("valid prompts");
    let sampled: Vec<i64> = completions.into_iter().flat_map(|completion| completion.ids).collect();
    assert_eq!(sampled, integers("greedy"), "{name}");
}
