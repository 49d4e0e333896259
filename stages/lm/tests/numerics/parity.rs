//! Parity with Python's transformers, by the fixtures in `tests/fixtures/`.
//!
//! A fixture is a model's folder (`config.json`, `model.safetensors`) with a `reference.safetensors` beside them:
//! `ids` and `lengths` (integers: packed rows), `logits` ([n, v], in packed order), `greedy` ([rows, k]: the next k
//! likeliest tokens of each row), `loss` (the mean over all predictions) and `grad.NAME` of every parameter.
//!
//! All numbers were computed in double precision, and all except the loss are stored in single precision. A model in
//! double precision must agree up to that rounding, which shows any mathematical error. A model in single precision
//! must agree within [`SINGLE`], some ten times the worst difference under seven settings of libtorch, oneDNN and MKL.
//! Tokens must be exact in both: `make.py` takes only rows whose likeliest tokens differ by four times the bound on
//! logits and whose routers choose as clearly, so exact tokens follow from the bound, on any processor.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use lm::{Device, Kind, Model, Options, Request, Rows, Sampling, Tensor, generate};

use crate::{assert_close, double, gradient, sft_loss};

type Reference = BTreeMap<String, Tensor>;

/// Bounds on differences: logits absolutely, the loss relative to itself, each gradient relative to its norm.
struct Bounds {
    logits: f64,
    loss: f64,
    gradients: f64,
}

const DOUBLE: Bounds = Bounds { logits: 1e-6, loss: 1e-12, gradients: 1e-7 };
const SINGLE: Bounds = Bounds { logits: 5e-5, loss: 1e-6, gradients: 4e-5 };

#[test]
fn fixtures_from_transformers_are_met() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut met = 0;
    for entry in std::fs::read_dir(&root).expect("the folder of fixtures").flatten() {
        if entry.path().join("reference.safetensors").exists() {
            meet(&entry.path(), Kind::Double, &DOUBLE);
            meet(&entry.path(), Kind::Float, &SINGLE);
            met += 1;
        }
    }
    if met == 0 {
        let _ = writeln!(std::io::stderr(), "skipped: no fixture under {}", root.display());
    }
}

fn meet(dir: &Path, dtype: Kind, bounds: &Bounds) {
    let name = format!("{} in {dtype:?}", dir.display());
    let model = Model::load(dir, &Options { device: Device::Cpu, dtype }).expect("a model's folder");
    let file = dir.join("reference.safetensors");
    let reference: Reference = lm::checkpoint::load_tensors(&file).expect("a safetensors file").into_iter().collect();
    let (ids, lengths) = (integers(&reference["ids"]), integers(&reference["lengths"]));
    let mut rows = Rows::default();
    let mut start = 0;
    for length in lengths {
        rows.push(&ids[start..start + length as usize]);
        start += length as usize;
    }
    meet_gradients(&name, &model, &rows, &reference, bounds);
    let _guard = lm::no_grad_guard();
    assert_close(&model.logits(&model.hidden(&rows)), &reference["logits"], bounds.logits, &name);
    meet_greedy(&name, &model, &rows, &reference["greedy"]);
}

fn meet_gradients(name: &str, model: &Model, rows: &Rows, reference: &Reference, bounds: &Bounds) {
    // The product's head computes in single precision for every type of model.
    let loss = if model.dtype() == Kind::Double { double::backward(model, rows) } else { sft_loss(model, rows) };
    let expected = reference["loss"].double_value(&[]);
    assert!((loss - expected).abs() <= bounds.loss * expected, "{name}: loss {loss}, expected {expected}");
    for (parameter, tensor) in model.parameters() {
        let Some(expected) = reference.get(&format!("grad.{parameter}")) else {
            assert!(parameter.ends_with("e_score_correction_bias"), "{name}: no gradient of {parameter}");
            assert!(!tensor.grad().defined(), "{name}: a gradient of {parameter}");
            continue;
        };
        let (norm, difference) = (norm(expected), norm(&(gradient(tensor) - expected)));
        assert!(
            difference <= bounds.gradients * norm,
            "{name}: gradient of {parameter} is off by {difference} of {norm}"
        );
    }
}

fn meet_greedy(name: &str, model: &Model, rows: &Rows, greedy: &Tensor) {
    let requests: Vec<Request> =
        rows.ranges().map(|range| Request { prompt: rows.ids()[range].to_vec(), seed: 0 }).collect();
    let sampling = Sampling { temperature: 0.0, max_tokens: greedy.size()[1] as usize, ..Sampling::default() };
    let completions =
        generate::generate(model, &requests, &sampling, requests.len(), &mut |_, _| {}).expect("valid prompts");
    let sampled: Vec<i64> = completions.into_iter().flat_map(|completion| completion.ids).collect();
    assert_eq!(sampled, integers(greedy), "{name}");
}

fn integers(tensor: &Tensor) -> Vec<i64> {
    Vec::try_from(tensor.view(-1)).expect("integers")
}

fn norm(tensor: &Tensor) -> f64 {
    tensor.to_kind(Kind::Double).norm().double_value(&[])
}
