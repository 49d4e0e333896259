//! LoRA: gradients against adapters beside the base, keys, and names.
#![expect(clippy::float_cmp, reason = "these numbers are exact")]

use std::collections::BTreeMap;

use lm::{Kind, Passes, no_grad_guard};
use serde_json::Value;

use super::*;

fn wave(rows: i64, columns: i64, pitch: f64) -> Tensor {
    (Tensor::arange(rows * columns, (Kind::Float, lm::Device::Cpu)) * pitch).sin().view([rows, columns])
}

fn adapters(weight: &Tensor, lora: &Lora) -> Result<Adapters, StageError> {
    let name = "model.layers.0.mlp.up_proj.weight".to_owned();
    let norm = ("model.norm.weight".to_owned(), Tensor::from_slice(&[1f32]).set_requires_grad(true));
    let drawn = Adapters::draw(
        &[(name, weight.shallow_clone()), (norm.0, norm.1.shallow_clone())],
        &Passes::default(),
        lora,
        3,
    );
    assert!(drawn.is_err() || !norm.1.requires_grad(), "what is not adapted takes no gradient");
    drawn
}

#[test]
fn merged_weights_and_gradients_are_those_of_adapters_beside_the_base() {
    let weight = wave(5, 7, 0.9).set_requires_grad(true);
    let base = weight.detach().copy();
    let adapters = adapters(&weight, &Lora { rank: 2, alpha: 6.0, ..Lora::default() }).unwrap();
    adapters.merge();
    assert_eq!(weight.detach(), base, "B is 0");
    let [(_, our_a), (_, our_b)] = adapters.parameters() else { panic!("one matrix has two") };
    {
        let _guard = no_grad_guard();
        our_b.shallow_clone().copy_(&wave(5, 2, 1.7));
    }
    adapters.merge();
    let (x, y) = (wave(4, 7, 0.3), wave(4, 5, 0.6));
    let merged = x.matmul(&weight.tr());
    // Two backward passes, as for two micro-batches.
    (&merged - &y).square().sum(Kind::Float).backward();
    assert!(!weight.grad().defined(), "it has been passed on");
    (x.matmul(&weight.tr()) - &y).square().sum(Kind::Float).backward();

    let leaf = |tensor: &Tensor| tensor.detach().copy().set_requires_grad(true);
    let (a, b) = (leaf(our_a), leaf(our_b));
    let beside = x.matmul(&base.tr()) + x.matmul(&a.tr()).matmul(&b.tr()) * 3.0;
    ((&beside - y).square().sum(Kind::Float) * 2.0).backward();
    let differs = |one: &Tensor, two: &Tensor| (one - two).abs().max().double_value(&[]);
    assert!(differs(&merged, &beside) < 2e-6, "{}", differs(&merged, &beside));
    let scale = a.grad().abs().max().double_value(&[]).max(b.grad().abs().max().double_value(&[]));
    assert!(differs(&our_a.grad(), &a.grad()) < 1e-6 * scale.max(1.0));
    assert!(differs(&our_b.grad(), &b.grad()) < 1e-6 * scale.max(1.0));
}

#[test]
fn a_target_that_is_not_there_is_named() {
    let lora = Lora { targets: Some(vec!["query".to_owned()]), ..Lora::default() };
    let error = adapters(&wave(2, 2, 1.0), &lora).err().unwrap();
    assert_eq!(error.message, "`lora.targets` names `query`, which the model does not have");
    assert_eq!(error.help.as_deref(), Some("it has `up_proj`"));
    let refusal = |keys: &Optimisation, lora| check_keys(keys, Some(lora)).remove(0).message;
    let none = Lora { targets: Some(Vec::new()), ..Lora::default() };
    assert!(refusal(&Optimisation::default(), &none).contains("nothing to train"));
    let frozen = Optimisation { freeze: vec!["lm_head".to_owned()], ..Optimisation::default() };
    assert!(refusal(&frozen, &Lora::default()).contains("`freeze` beside `lora`"));
}

/// The parameters of a model with an embedding of 6 rows and 4 columns, with a head or tied.
fn model(tied: bool) -> Vec<(String, Tensor)> {
    let mut names = vec![("model.embed_tokens", [6, 4]), ("model.layers.0.self_attn.q_proj", [4, 4])];
    if !tied {
        names.push(("lm_head", [6, 4]));
    }
    let weight = |(name, [rows, columns]): (&str, [i64; 2])| {
        (format!("{name}.weight"), wave(rows, columns, 0.9).set_requires_grad(true))
    };
    let norm = ("model.norm.weight".to_owned(), Tensor::from_slice(&[1f32; 4]).set_requires_grad(true));
    names.into_iter().map(weight).chain([norm]).collect()
}

fn saved(adapters: &Adapters) -> (BTreeMap<String, Tensor>, Value) {
    let dir = tempfile::tempdir().unwrap();
    adapters.save(dir.path()).unwrap();
    let tensors = lm::checkpoint::load_tensors(&dir.path().join("adapter_model.safetensors")).unwrap();
    let config = fs_err::read_to_string(dir.path().join("adapter_config.json")).unwrap();
    (tensors.into_iter().collect(), serde_json::from_str(&config).unwrap())
}

#[test]
fn an_embedding_s_adapters_are_split_where_its_gradient_arrives_and_saved_as_peft_has_them() {
    let parameters = model(true);
    let embedding = &parameters[0].1;
    let base = embedding.detach().copy();
    let targets = Some(vec!["embed_tokens".to_owned()]);
    let lora = Lora { rank: 4, alpha: 6.0, rslora: true, targets, ..Lora::default() };
    let adapters = Adapters::draw(&parameters, &Passes::default(), &lora, 3).unwrap();
    let get = |name: &str| {
        let name = format!("base_model.model.model.embed_tokens.lora_embedding_{name}");
        adapters.parameters().iter().find(|(own, _)| *own == name).unwrap().1.shallow_clone()
    };
    let (their_a, their_b) = (get("A"), get("B"));
    {
        let _guard = no_grad_guard();
        assert!(their_a.abs().max().double_value(&[]) < 1e-9 && their_b.std(true).double_value(&[]) > 0.3);
        their_a.shallow_clone().copy_(&wave(6, 4, 1.7));
    }
    adapters.merge();
    let ids = Tensor::from_slice(&[5i64, 0, 5]);
    let rows = Tensor::embedding(embedding, &ids, -1, false, false);
    rows.square().sum(Kind::Float).backward();

    let leaf = |tensor: &Tensor| tensor.detach().copy().set_requires_grad(true);
    let (a, b) = (leaf(&their_a), leaf(&their_b));
    // alpha / √rank = 3.
    let beside = base.index_select(0, &ids) + a.index_select(0, &ids).matmul(&b) * 3.0;
    beside.square().sum(Kind::Float).backward();
    let differs = |one: &Tensor, two: &Tensor| (one - two).abs().max().double_value(&[]);
    assert!(differs(&rows, &beside) < 1e-5);
    assert!(!embedding.grad().defined());
    assert!(differs(&their_a.grad(), &a.grad()) < 1e-4 && differs(&their_b.grad(), &b.grad()) < 1e-4);

    let (tensors, config) = saved(&adapters);
    let [a_rv, b_dr] = ["A", "B"]
        .map(|letter| tensors[&format!("base_model.model.model.embed_tokens.lora_embedding_{letter}")].shallow_clone());
    assert_eq!((a_rv.size(), b_dr.size()), (vec![4, 6], vec![4, 4]), "[rank, tokens] and [width, rank]");
    assert_eq!(differs(&a_rv.tr(), &their_a), 0.0);
    let of_head = |letter: &str| tensors[&format!("base_model.model.lm_head.lora_{letter}.weight")].shallow_clone();
    assert_eq!(differs(&of_head("A"), &b_dr.tr()), 0.0);
    assert_eq!(differs(&of_head("B"), &a_rv.tr()), 0.0);
    assert_eq!(config["ensure_weight_tying"], true);
    assert_eq!(config["use_rslora"], true);
}

#[test]
fn modules_are_trained_whole_beside_adapters() {
    let parameters = model(false);
    let modules_to_save = vec!["lm_head".to_owned(), "norm".to_owned()];
    let lora = Lora { modules_to_save, dropout: 0.1, ..Lora::default() };
    let adapters = Adapters::draw(&parameters, &Passes::default(), &lora, 3).unwrap();
    let names: Vec<&str> = adapters.parameters().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "base_model.model.lm_head.weight",
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
            "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
            "base_model.model.model.norm.weight",
        ]
    );
    let trains: Vec<bool> = parameters.iter().map(|(_, parameter)| parameter.requires_grad()).collect();
    assert_eq!(trains, [false, true, true, true], "not the embedding");
    let (_, config) = saved(&adapters);
    assert_eq!(config["modules_to_save"], serde_json::json!(["lm_head", "model.norm"]));
    assert_eq!(config["target_modules"], serde_json::json!(["q_proj"]));
    assert!(config["ensure_weight_tying"].is_null() && config["lora_dropout"] == 0.1 && config["use_rslora"] == false);
}

#[test]
fn a_tied_head_is_named_as_the_embedding() {
    let refusal = |lora: &Lora| Adapters::draw(&model(true), &Passes::default(), lora, 3).err().unwrap();
    let head = || vec!["lm_head".to_owned()];
    for lora in [Lora { targets: Some(head()), ..Lora::default() }, Lora { modules_to_save: head(), ..Lora::default() }]
    {
        let error = refusal(&lora);
        assert!(error.message.contains("names `lm_head`, which is the embedding itself"), "{}", error.message);
        assert_eq!(error.help.as_deref(), Some("name `embed_tokens`, which changes both"));
    }
    let unknown = Lora { modules_to_save: vec!["score".to_owned()], ..Lora::default() };
    assert_eq!(refusal(&unknown).message, "`lora.modules-to-save` names `score`, which the model does not have");
    let both = Lora { targets: Some(head()), modules_to_save: head(), ..Lora::default() };
    let message = check_keys(&Optimisation::default(), Some(&both)).remove(0).message;
    assert_eq!(message, "`lora.targets` and `lora.modules-to-save` both name `lm_head`");
}
