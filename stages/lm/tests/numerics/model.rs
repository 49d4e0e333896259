//! Models: values, gradients, packing, saving and loading.

use lm::{Config, Device, Kind, Model, Options, Rows, Shape, Tensor, head};

use crate::architectures::{self, LLAMA3};
use crate::reference::Reference;
use crate::{TINY, assert_close, gradient, in_double, rows, tiny};

#[test]
fn logits_are_those_of_a_second_implementation() {
    for (name, model) in architectures::dense() {
        let packed = rows(&[9, 1, 30, 17], 19);
        let _guard = lm::no_grad_guard();
        let logits = model.logits(&model.hidden(&packed));
        let reference = Reference::of(&model);
        let expected: Vec<f64> =
            packed.ranges().flat_map(|range| reference.logits(&packed.ids()[range])).flatten().collect();
        assert_close(&logits, &Tensor::from_slice(&expected).view([-1, 19]), 2e-5, name);
    }
}

#[test]
fn double_precision_takes_another_path_to_the_same_logits() {
    for (name, model) in architectures::all() {
        let packed = rows(&[300, 5, 33], 19);
        let _guard = lm::no_grad_guard();
        let double = in_double(&model);
        assert_close(&model.logits(&model.hidden(&packed)), &double.logits(&double.hidden(&packed)), 2e-5, name);
    }
}

#[test]
fn gradients_agree_between_kernels_and_libtorch() {
    for (name, model) in architectures::all() {
        for lengths in [&[9, 1, 30, 17][..], &[16, 16], &[5]] {
            let packed = rows(lengths, 19);
            let double = in_double(&model);
            for model in [&model, &double] {
                model.zero_grad().expect("parameters take gradients");
                let hidden = model.hidden(&packed);
                let wave = (Tensor::arange(hidden.numel() as i64, (Kind::Double, Device::Cpu)) * 0.37).sin();
                (&hidden * wave.view_as(&hidden).to_kind(hidden.kind())).sum(hidden.kind()).backward();
            }
            for ((parameter, single), (_, double)) in model.parameters().iter().zip(double.parameters()) {
                if parameter == "lm_head.weight" {
                    continue;
                }
                let (single, double) = (gradient(single), gradient(double));
                let scale = double.abs().max().double_value(&[]);
                let what = format!("{name}, rows {lengths:?}, gradient of {parameter}");
                assert_close(&single, &double, 5e-6 * scale.max(1.0), &what);
            }
        }
    }
}

#[test]
fn a_change_of_one_row_leaves_the_others_bit_for_bit() {
    let model = tiny("llama", &TINY);
    let _guard = lm::no_grad_guard();
    let one = Rows::pack([vec![1, 2, 3, 4], vec![5, 6, 7], vec![8, 9]]);
    let two = Rows::pack([vec![1, 2, 3, 4], vec![11, 6, 12], vec![8, 9]]);
    let (one, two) = (model.hidden(&one), model.hidden(&two));
    for (start, length) in [(0, 4), (7, 2)] {
        assert_eq!(one.narrow(0, start, length), two.narrow(0, start, length));
    }
    assert_ne!(one.narrow(0, 4, 3), two.narrow(0, 4, 3));
}

#[test]
fn chunked_backward_is_backward_through_all_logits() {
    for shape in [TINY, Shape { tie_word_embeddings: false, ..TINY }] {
        let (model, whole) = (tiny("qwen2", &shape), tiny("qwen2", &shape));
        let packed = rows(&[9, 4, 14], 19);
        let predictions = packed.predictions();
        let (positions, targets) = predictions.to_device(Device::Cpu);
        let weights = (Tensor::arange(targets.size()[0], (Kind::Float, Device::Cpu)) * 0.9).cos();
        let temperature = 0.7;

        let hidden = model.hidden(&packed).index_select(0, &positions);
        let mut seen = Vec::new();
        let loss = head::backward(&model, &hidden, &targets, temperature, 7, |logps, chunk| {
            seen.push(chunk.tokens.clone());
            -(logps * chunk.of(&weights)).sum(Kind::Float)
        });
        assert_eq!(seen, [0..7, 7..14, 14..21, 21..24]);

        let logits = whole.logits(&whole.hidden(&packed).index_select(0, &positions)) / temperature;
        let logps = logits.log_softmax(-1, Kind::Float).gather(1, &targets.unsqueeze(1), false).squeeze_dim(1);
        let expected = -(&logps * &weights).sum(Kind::Float);
        expected.backward();
        assert!((loss - expected.double_value(&[])).abs() < 1e-5);
        for ((name, one), (_, two)) in model.parameters().iter().zip(whole.parameters()) {
            assert_close(&one.grad(), &two.grad(), 2e-5, name);
        }
        assert_close(&head::logprobs(&model, &hidden, &targets, temperature, 5), &logps, 1e-5, "log-probabilities");
    }
}

#[test]
fn a_loss_without_gradient_still_counts() {
    let model = tiny("llama", &TINY);
    let packed = rows(&[6], 19);
    let predictions = packed.predictions();
    let hidden = model.hidden(&packed).index_select(0, &Tensor::from_slice(&predictions.positions));
    let targets = Tensor::from_slice(&predictions.targets);
    let loss = head::backward(&model, &hidden, &targets, 1.0, 2, |logps, chunk| {
        if chunk.tokens.start == 0 { logps.sum(Kind::Float) } else { Tensor::from(2.5f32) }
    });
    let first = head::logprobs(&model, &hidden, &targets, 1.0, 8).narrow(0, 0, 2).sum(Kind::Double).double_value(&[]);
    assert!((loss - first - 5.0).abs() < 1e-5);
}

#[test]
fn a_saved_model_comes_back_byte_for_byte() {
    let (one, two) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mut config = Config::from_json(LLAMA3).expect("a valid configuration");
    config.set_special_tokens(&[3, 4], Some(0));
    let model = Model::init(config, 11, Device::Cpu);
    model.save(one.path()).expect("a writable folder");
    let back = Model::load(one.path(), &Options::default()).expect("what was just written");
    assert_eq!(back.config.eos_token_ids, [3, 4]);
    back.save(two.path()).expect("a writable folder");
    for file in ["config.json", "generation_config.json", "model.safetensors"] {
        let read = |dir: &tempfile::TempDir| std::fs::read(dir.path().join(file)).expect("written");
        assert_eq!(read(&one), read(&two), "{file}");
    }
    let text = std::fs::read_to_string(two.path().join("config.json")).expect("written");
    assert!(text.contains("unknown_key"), "{text}");
    assert!(text.contains("low_freq_factor"), "{text}");
}

#[test]
fn equal_seeds_give_equal_models_and_others_do_not() {
    let make = |seed| Model::init(Config::new("llama", &TINY).expect("a valid shape"), seed, Device::Cpu);
    let (one, two, other) = (make(5), make(5), make(6));
    assert_eq!(one.num_parameters(), 19 * 24 + 24 + 2 * (2 * 24 + 24 * (48 + 24 + 24) + 48 * 24 + 3 * 24 * 20));
    for ((name, one), (_, two)) in one.parameters().iter().zip(two.parameters()) {
        assert_eq!(one, two, "{name}");
    }
    let embed = |model: &Model| model.parameters()[0].1.shallow_clone();
    assert_eq!(one.parameters()[0].0, "model.embed_tokens.weight");
    assert_ne!(embed(&one), embed(&other));
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    tiny("llama", &TINY).save(dir.path()).expect("a writable folder");
    let file = dir.path().join("model.safetensors");
    let mut tensors = lm::checkpoint::load_tensors(&file).expect("just written");
    tensors.retain(|(name, _)| name != "model.norm.weight");
    tensors.push(("model.layers.9.mlp.up_proj.weight".to_owned(), Tensor::from_slice(&[1f32])));
    tensors.push(("model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(), Tensor::from_slice(&[1f32])));
    tensors[0].1 = Tensor::zeros([2, 2], (Kind::Float, Device::Cpu));
    lm::checkpoint::save_tensors(&file, &tensors).expect("a writable folder");
    let message = Model::load(dir.path(), &Options::default()).err().expect("three faults").to_string();
    assert_eq!(
        message,
        "the weights do not fit `config.json`: `model.embed_tokens.weight` has shape [2, 2], expected [19, 24], \
         `model.norm.weight` is missing, `model.layers.9.mlp.up_proj.weight` is unknown"
    );
}
