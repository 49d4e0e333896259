//! Properties of every architecture: a row has the same values packed or alone, with or without a cache, before and
//! after it is saved and loaded.

use lm::{Config, Device, Kind, Model, Options, Request, Rows, Sampling, Shape, Tensor, generate, head};
use serde_json::json;

use crate::{TINY, UNGROUPED, assert_close, gradient, in_double, rows, sft_loss, shaken, tiny, tiny_with};

pub(crate) const LLAMA3: &str = r#"{
    "model_type": "llama", "vocab_size": 19, "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "attention_bias": true,
    "max_position_embeddings": 256, "tie_word_embeddings": false, "unknown_key": [1, 2],
    "rope_parameters": { "rope_theta": 50.0, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 64 }
}"#;

/// Models without experts or latents, which the second implementation covers.
pub(crate) fn dense() -> Vec<(&'static str, Model)> {
    let untied =
        Shape { tie_word_embeddings: false, num_key_value_heads: 4, head_dim: Some(16), hidden_size: 32, ..TINY };
    let llama3 = Model::init(Config::from_json(LLAMA3).expect("a valid configuration"), 3, Device::Cpu);
    let first = json!({ "attention_bias": true, "use_sliding_window": true, "sliding_window": 7,
                        "layer_types": ["sliding_attention", "full_attention"] });
    let second = json!({ "use_sliding_window": true, "sliding_window": 21, "max_window_layers": 1 });
    vec![
        ("qwen2", tiny("qwen2", &TINY)),
        ("llama", tiny("llama", &TINY)),
        ("llama, untied, one key head a query head", tiny("llama", &untied)),
        ("llama 3 with biases and scaled positions", llama3),
        ("qwen3", tiny("qwen3", &TINY)),
        ("qwen3 with biases and windows in the first layer", tiny_with("qwen3", &TINY, &first)),
        ("qwen2 with windows over more than a vector", tiny_with("qwen2", &untied, &second)),
        ("mistral with a window", tiny_with("mistral", &TINY, &json!({ "sliding_window": 7 }))),
    ]
}

/// Every architecture.
pub(crate) fn all() -> Vec<(&'static str, Model)> {
    let low_rank_shape = Shape { tie_word_embeddings: false, ..UNGROUPED };
    let low_rank = json!({ "q_lora_rank": 10, "v_head_dim": 16, "n_shared_experts": 2, "routed_scaling_factor": 2.5,
                           "rope_scaling": { "type": "yarn", "factor": 8.0, "original_max_position_embeddings": 16,
                                             "mscale": 1.0, "mscale_all_dim": 0.8 } });
    let mut models = dense();
    models.push(("deepseek-v3", tiny("deepseek_v3", &UNGROUPED)));
    models.push(("deepseek-v3 with low-rank queries and yarn", tiny_with("deepseek_v3", &low_rank_shape, &low_rank)));
    let step = json!({ "norm_topk_prob": false, "num_experts_per_tok": 3, "decoder_sparse_step": 2,
                       "attention_bias": true, "use_sliding_window": true, "sliding_window": 7 });
    models.push(("qwen3-moe", tiny("qwen3_moe", &TINY)));
    models.push(("qwen3-moe with one dense layer, biases and a window", tiny_with("qwen3_moe", &TINY, &step)));
    models
}

/// Other tests compare two ways of computing a mixture of experts on these rows. If noise far above rounding error
/// leaves every token with the same experts, so does the rounding of any processor.
#[test]
fn no_router_s_choice_is_narrow() {
    let all_lengths: [&[usize]; 6] =
        [&[3, 21, 8, 21], &[9, 30, 17, 2], &[9, 1, 30, 17], &[16, 16], &[5], &[300, 5, 33]];
    for (name, model) in all().into_iter().filter(|(_, model)| model.config.experts.is_some()) {
        let _guard = lm::no_grad_guard();
        for packed in all_lengths.map(|lengths| rows(lengths, 19)) {
            let expected = model.hidden(&packed);
            for noise in 1..4 {
                let noisy = shaken(&model, noise).hidden(&packed);
                assert_close(&noisy, &expected, 2e-4, &format!("{name}, rows {:?}", packed.lengths()));
            }
        }
    }
}

/// Exact in double precision; in single precision, up to the order of sums (1.4e-6 was the worst).
#[test]
fn a_packed_row_has_the_values_it_has_alone() {
    for (name, single) in all() {
        let (double, packed) = (in_double(&single), rows(&[3, 21, 8, 21], 19));
        for (model, bound) in [(&double, 1e-13), (&single, 1e-5)] {
            let _guard = lm::no_grad_guard();
            let together = model.hidden(&packed);
            for range in packed.ranges() {
                let alone = model.hidden(&Rows::pack([&packed.ids()[range.clone()]]));
                let part = together.narrow(0, range.start as i64, range.len() as i64);
                assert_close(&part, &alone, bound, &format!("{name}: row at {range:?}"));
            }
        }
    }
}

#[test]
fn a_packed_batch_has_the_loss_and_gradients_of_its_rows() {
    for (name, model) in all() {
        let packed = rows(&[9, 30, 17, 2], 19);
        let loss = sft_loss(&model, &packed);
        let together: Vec<Tensor> =
            model.parameters().iter().map(|(_, parameter)| gradient(parameter).copy()).collect();
        let (mut sum, mut sums) = (0.0, together.iter().map(Tensor::zeros_like).collect::<Vec<_>>());
        let total = packed.predictions().targets.len() as f64;
        for range in packed.ranges() {
            let row = Rows::pack([&packed.ids()[range]]);
            let share = row.predictions().targets.len() as f64 / total;
            sum += share * sft_loss(&model, &row);
            for (sum, (_, parameter)) in sums.iter_mut().zip(model.parameters()) {
                *sum += share * gradient(parameter);
            }
        }
        assert!((loss - sum).abs() < 1e-5, "{name}: {loss} together, {sum} alone");
        for ((together, sum), (parameter, _)) in together.iter().zip(&sums).zip(model.parameters()) {
            assert_close(together, sum, 2e-6, &format!("{name}: gradient of {parameter}"));
        }
    }
}

#[test]
fn cached_decoding_is_the_uncached_forward_pass() {
    let requests: Vec<Request> = rows(&[1, 6, 25, 3], 19)
        .ranges()
        .map(|range| Request { prompt: range.map(|t| t as i64 % 19).collect(), seed: 9 })
        .collect();
    let sampling = Sampling { max_tokens: 40, ..Sampling::default() };
    for (name, model) in all() {
        for (model, tolerance) in [(&model, 2e-5), (&in_double(&model), 1e-6)] {
            let completions =
                generate::generate(model, &requests, &sampling, 3, &mut |_, _| {}).expect("valid requests");
            for (request, completion) in requests.iter().zip(completions) {
                let whole = Rows::pack([[&request.prompt[..], &completion.ids].concat()]);
                let predictions = whole.predictions_from(&[request.prompt.len() as i64]);
                let _guard = lm::no_grad_guard();
                let hidden = model.hidden(&whole).index_select(0, &Tensor::from_slice(&predictions.positions));
                let expected = head::logprobs(model, &hidden, &Tensor::from_slice(&predictions.targets), 1.0, 64);
                assert_close(
                    &Tensor::from_slice(&completion.logprobs),
                    &expected.to_kind(Kind::Float),
                    tolerance,
                    name,
                );
            }
        }
    }
}

#[test]
fn layers_of_multi_token_prediction_are_ignored_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    tiny("deepseek_v3", &UNGROUPED).save(dir.path()).expect("a writable folder");
    let file = dir.path().join("model.safetensors");
    let mut tensors = lm::checkpoint::load_tensors(&file).expect("just written");
    let extra = ["model.layers.2.eh_proj.weight", "model.layers.2.mlp.experts.0.up_proj.weight"];
    tensors.extend(extra.map(|name| (name.to_owned(), Tensor::from_slice(&[1f32]))));
    lm::checkpoint::save_tensors(&file, &tensors).expect("a writable folder");
    let model = Model::load(dir.path(), &Options::default()).expect("the rest is whole");
    assert_eq!(model.ignored(), extra);
    assert!(model.parameters().iter().all(|(name, _)| !name.starts_with("model.layers.2.")));
    tensors.retain(|(name, _)| name != "model.layers.1.mlp.experts.7.down_proj.weight");
    tensors.push(("model.layers.1.mlp.experts.8.down_proj.weight".to_owned(), Tensor::from_slice(&[1f32])));
    lm::checkpoint::save_tensors(&file, &tensors).expect("a writable folder");
    let message = Model::load(dir.path(), &Options::default()).err().expect("two faults").to_string();
    assert!(message.contains("`model.layers.1.mlp.experts.7.down_proj.weight` is missing"), "{message}");
    assert!(message.contains("`model.layers.1.mlp.experts.8.down_proj.weight` is unknown"), "{message}");
}

#[test]
fn a_router_keeps_its_bias_in_single_precision() {
    let dir = tempfile::tempdir().expect("a folder");
    tiny("deepseek_v3", &UNGROUPED).save(dir.path()).expect("a writable folder");
    let half = Options { device: Device::Cpu, dtype: Kind::BFloat16 };
    let model = Model::load(dir.path(), &half).expect("what was just written");
    for (name, parameter) in model.parameters() {
        let expected = if name.ends_with("e_score_correction_bias") { Kind::Float } else { Kind::BFloat16 };
        assert_eq!(parameter.kind(), expected, "{name}");
    }
    let loss = sft_loss(&model, &rows(&[9, 30], 19));
    assert!(loss.is_finite());
    let sampling = Sampling { max_tokens: 8, ..Sampling::default() };
    let requests = [Request { prompt: vec![1, 2, 3], seed: 1 }];
    generate::generate(&model, &requests, &sampling, 1, &mut |_, _| {}).expect("a valid request");
}
