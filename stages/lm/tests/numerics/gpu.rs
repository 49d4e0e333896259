//! The GPU path compared with the CPU path, on the simulated GPU (`simulated-gpu`) or a real one: models, gradients,
//! tokens, steps.
//!
//! libtorch looks for GPUs once in the life of a process, so each test here runs itself again in a process of its own.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

use lm::device::TORCH_LIB_VARIABLE;
use lm::{AdamW, AdamWOptions, Device, Dropout, Kind, Model, Options, Request, Rows, Sampling, Shape, Tensor};
use lm::{clip_grad_norm, generate, memory, optim, reward::RewardModel};
use serde_json::{Value, json};

use crate::architectures::all;
use crate::half::relative;
use crate::pass::adapt_with_dropout;
use crate::{TINY, add_sft_gradients, assert_close, gradient, rows, sft_loss, shaken, tiny, tiny_with};

/// Runs the test `name` again in a process with a GPU, whose counters are written to `report`. Returns `None` in that
/// process itself.
fn elsewhere(name: &str, report: &Path) -> Option<Output> {
    let folder = simulated_gpu::folder();
    if std::env::var_os(TORCH_LIB_VARIABLE).is_some_and(|value| folder == Path::new(&value)) {
        assert_eq!(lm::setup(1, lm::Device::Cuda(0)).expect("a GPU"), Device::Cuda(0));
        return None;
    }
    let mut command = Command::new(std::env::current_exe().expect("a test is a program"));
    command.args(["--exact", &format!("gpu::{name}"), "--nocapture"]);
    command.env(TORCH_LIB_VARIABLE, &folder).env(simulated_gpu::REPORT_VARIABLE, report);
    // Kernels compiled for a test are kept apart from the user's.
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    Some(command.output().expect("a test is a program"))
}

/// Runs `body` in a process that has a GPU, and returns the counters of a simulated one. Returns `None` in that process
/// itself.
fn on_gpu(name: &str, body: impl FnOnce()) -> Option<Value> {
    let report = tempfile::NamedTempFile::new().expect("a temporary file");
    let Some(output) = elsewhere(name, report.path()) else {
        body();
        return None;
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{:?}\n{out}\n{err}", output.status);
    if !simulated_gpu::is_simulated() {
        return None;
    }
    let report = std::fs::read_to_string(report.path()).expect("a report");
    Some(serde_json::from_str(&report).expect("one line of JSON"))
}

fn moved(model: &Model, dtype: Kind) -> Model {
    let dir = tempfile::tempdir().expect("a temporary folder");
    model.save(dir.path()).expect("a writable folder");
    Model::load(dir.path(), &Options { device: Device::Cuda(0), dtype }).expect("what was just written")
}

fn sampled(model: &Model, sampling: &Sampling) -> Vec<Vec<i64>> {
    let prompt = |i: usize| (0..2 + (i / 3) % 5).map(|t| ((i / 3) * 5 + t * 3) as i64 % 19).collect();
    let requests: Vec<Request> = (0..20).map(|i| Request { prompt: prompt(i), seed: 1000 + i as u64 }).collect();
    let completions = generate::generate(model, &requests, sampling, 7, &mut |_, _| {}).expect("valid requests");
    completions.into_iter().map(|completion| completion.ids).collect()
}

#[test]
fn models_and_gradients_are_those_of_the_cpu() {
    let _ = on_gpu("models_and_gradients_are_those_of_the_cpu", || {
        for (name, here) in all() {
            let there = moved(&here, Kind::Float);
            let packed = rows(&[3, 21, 8, 21], 19);
            let (one, two) = (sft_loss(&here, &packed), sft_loss(&there, &packed));
            assert!((one - two).abs() < 1e-5 * one, "{name}: {two}, the CPU has {one}");
            let gradients: Vec<Tensor> = there.parameters().iter().map(|(_, there)| gradient(there)).collect();
            for (((parameter, here), (_, there)), there_grad) in
                here.parameters().iter().zip(there.parameters()).zip(&gradients)
            {
                assert_eq!(there.device(), Device::Cuda(0), "{name}: {parameter}");
                assert_close(there_grad, &gradient(here), 2e-6, &format!("{name}: gradient of {parameter}"));
            }
            there.zero_grad().expect("parameters take gradients");
            add_sft_gradients(&there, &packed, 1.0, true);
            for ((parameter, there), whole) in there.parameters().iter().zip(&gradients) {
                assert_close(&gradient(there), whole, 0.0, &format!("{name}: {parameter}, recomputed"));
            }
        }
    });
}

/// Every shape bucket is captured, replayed, and left for another as rows end; only a mixture of experts is never
/// captured.
#[test]
fn tokens_are_those_of_the_cpu() {
    let report = on_gpu("tokens_are_those_of_the_cpu", || {
        let plain = Sampling { max_tokens: 24, stop: vec![0], ..Sampling::default() };
        let truncated = Sampling { top_p: 0.9, top_k: 12, temperature: 0.8, ..plain.clone() };
        let greedy = Sampling { temperature: 0.0, ..plain.clone() };
        for (name, here) in all() {
            let there = moved(&here, Kind::Float);
            for sampling in [&plain, &truncated, &greedy] {
                let expected = sampled(&here, sampling);
                assert_eq!(sampled(&shaken(&here, 1), sampling), expected, "{name}: noise tips a token over");
                assert_eq!(sampled(&there, sampling), expected, "{name}: {sampling:?}");
            }
        }
    });
    let Some(report) = report else { return };
    let (captures, replays) = (report["captures"].as_i64().expect("a count"), report["replays"].as_i64());
    // Eight dense models, three ways to sample, at least two shape buckets each.
    assert!(captures >= 8 * 3 * 2 && replays > Some(5 * captures), "{report}");
}

/// Four steps of AdamW; returns the losses.
fn train(model: &Model, packed: &Rows) -> Vec<f64> {
    let mut optimiser = AdamW::new(model.parameters(), AdamWOptions { weight_decay: 0.1, ..AdamWOptions::default() });
    let step = |_| {
        let loss = sft_loss(model, packed);
        clip_grad_norm(model.parameters(), 0.5).expect("gradients");
        optimiser.step(1e-2).expect("matching shapes");
        loss
    };
    (0..4).map(step).collect()
}

#[test]
fn training_follows_the_cpu() {
    let _ = on_gpu("training_follows_the_cpu", || {
        let packed = rows(&[12, 7, 20, 3, 9], 19);
        for (dtype, bound) in [(Kind::Float, 1e-5), (Kind::BFloat16, 0.03)] {
            for model_type in ["qwen2", "llama", "qwen3", "mistral"] {
                let here = tiny(model_type, &TINY);
                let there = moved(&here, dtype);
                let (here, there) = (train(&here, &packed), train(&there, &packed));
                assert!(there[3] < 0.9 * there[0], "{there:?}");
                for (here, there) in here.iter().zip(&there) {
                    assert!(
                        (here - there).abs() < bound * here,
                        "{model_type}, {dtype:?}: {there}, the CPU has {here}"
                    );
                }
            }
        }
    });
}

/// In 16 bits, the flash kernels take packed rows without padding; in single precision, rows are padded.
#[test]
fn packed_rows_need_no_padding_in_bf16() {
    let report = on_gpu("packed_rows_need_no_padding_in_bf16", || {
        let shape = Shape { head_dim: Some(16), ..TINY };
        let windows = json!({ "use_sliding_window": true, "sliding_window": 7, "max_window_layers": 1 });
        let window = json!({ "sliding_window": 7 });
        let plain = ["qwen2", "llama", "qwen3"].map(|name| (name, json!({})));
        for (name, keys) in plain.into_iter().chain([("qwen2", windows), ("mistral", window)]) {
            let half = tiny_with(name, &shape, &keys).in_dtype(Kind::BFloat16);
            let single = half.deep_copy().in_dtype(Kind::Float);
            let there = moved(&half, Kind::BFloat16);
            let packed = rows(&[9, 30, 17, 2], 19);
            let losses = [&half, &single, &there].map(|model| sft_loss(model, &packed));
            assert!((losses[2] - losses[1]).abs() < 0.02 * losses[1], "{name}, {keys}: {losses:?}");
            for ((parameter, there), (_, single)) in there.parameters().iter().zip(single.parameters()) {
                let differs = relative(&gradient(there).to_device(Device::Cpu), &gradient(single));
                assert!(differs < 0.05, "{name}, {keys}: gradient of {parameter} differs by {differs}");
            }
        }
    });
    // Forward and backward passes through the two layers of five models; the backward pass has two parts, of three
    // heads and of one.
    assert!(report.is_none_or(|report| report["flash"] == (1 + 2) * 2 * 5));
}

/// Shapes that our own kernels take: widths that are multiples of sixteen bytes; one to eight query heads for each key
/// head, wide and narrow heads.
fn suited() -> Vec<(&'static str, Shape, Value)> {
    let shape = Shape { vocab_size: 304, hidden_size: 64, intermediate_size: 80, head_dim: Some(16), ..TINY };
    let heads = |query, key_value, dim| Shape {
        num_attention_heads: query,
        num_key_value_heads: key_value,
        head_dim: Some(dim),
        ..shape.clone()
    };
    let windows = json!({ "use_sliding_window": true, "sliding_window": 150, "max_window_layers": 1 });
    vec![
        ("qwen2", shape.clone(), windows),
        ("llama", heads(4, 4, 64), json!({})),
        ("qwen2", heads(8, 2, 32), json!({})),
        ("qwen3", heads(7, 1, 32), json!({})),
        ("llama", heads(24, 2, 128), json!({})),
    ]
}

#[test]
fn our_kernels_do_what_the_cpu_s_do() {
    let report = on_gpu("our_kernels_do_what_the_cpu_s_do", || {
        for (name, shape, keys) in suited() {
            let here = tiny_with(name, &shape, &keys);
            let there = moved(&here, Kind::Float);
            let packed = rows(&[3, 21, 8, 21], shape.vocab_size);
            let (one, two) = (sft_loss(&here, &packed), sft_loss(&there, &packed));
            assert!((one - two).abs() < 1e-5 * one, "{name}: {two}, the CPU has {one}");
            for ((parameter, here), (_, there)) in here.parameters().iter().zip(there.parameters()) {
                assert_close(&gradient(there), &gradient(here), 2e-6, &format!("{name}: gradient of {parameter}"));
            }
            // Some prompts need one piece of the cache, some three.
            let prompt =
                |i: i64| (0..[5, 140, 260][i as usize % 3]).map(|t| (i * 5 + t * 3) % shape.vocab_size).collect();
            let requests: Vec<Request> = (0..5).map(|i| Request { prompt: prompt(i), seed: 1000 + i as u64 }).collect();
            for temperature in [0.0, 1.3] {
                let sampling = Sampling { max_tokens: 6, temperature, ..Sampling::default() };
                let [one, two] = [&here, &there].map(|model| {
                    generate::generate(model, &requests, &sampling, 5, &mut |_, _| {}).expect("valid requests")
                });
                for (one, two) in one.iter().zip(&two) {
                    assert_eq!(one.ids, two.ids, "{name} at temperature {temperature}");
                    let worst = one.logprobs.iter().zip(&two.logprobs).map(|(one, two)| (one - two).abs());
                    assert!(worst.fold(0.0, f32::max) < 2e-5, "{name}: {:?} {:?}", one.logprobs, two.logprobs);
                }
            }
        }
    });
    let Some(report) = report else { return };
    let training = ["rms_norm_backward", "swiglu_backward", "rotate", "log_probs_backward"];
    for kernel in training.into_iter().chain(["sample", "decode_1", "decode_2", "decode_4", "decode_8", "decode_join"])
    {
        let launches = report["operations"][format!("cuda::{kernel}_float")].as_i64();
        assert!(launches > Some(4), "{kernel}: {launches:?}");
    }
}

/// In bf16, compared with the same weights in single precision.
#[test]
fn our_kernels_round_no_worse_than_bf16_must() {
    let report = on_gpu("our_kernels_round_no_worse_than_bf16_must", || {
        for (name, shape, keys) in suited() {
            let half = tiny_with(name, &shape, &keys).in_dtype(Kind::BFloat16);
            let single = half.deep_copy().in_dtype(Kind::Float);
            let there = moved(&half, Kind::BFloat16);
            let packed = rows(&[9, 30, 17, 2], shape.vocab_size);
            let losses = [&single, &there].map(|model| sft_loss(model, &packed));
            assert!((losses[1] - losses[0]).abs() < 0.01 * losses[0], "{name}: {losses:?}");
            for ((parameter, there), (_, single)) in there.parameters().iter().zip(single.parameters()) {
                let differs = relative(&gradient(there).to_device(Device::Cpu), &gradient(single));
                assert!(differs < 0.05, "{name}: gradient of {parameter} differs by {differs}");
            }
            let prompt: Vec<i64> = (0..200).map(|t| (t * 3) % shape.vocab_size).collect();
            let sampling = Sampling { max_tokens: 6, ..Sampling::default() };
            let drawn = generate::generate(
                &there,
                &[Request { prompt: prompt.clone(), seed: 3 }],
                &sampling,
                1,
                &mut |_, _| {},
            )
            .expect("a valid request");
            let whole = Rows::pack([[prompt, drawn[0].ids.clone()].concat()]);
            let _guard = lm::no_grad_guard();
            let predictions = whole.predictions();
            let at = |numbers: &[i64]| Tensor::from_slice(numbers);
            let hidden = single.hidden(&whole).index_select(0, &at(&predictions.positions));
            let wanted = lm::head::logprobs(&single, &hidden, &at(&predictions.targets), 1.0, 64);
            let wanted = Vec::<f32>::try_from(wanted.narrow(0, 199, 6)).expect("six numbers");
            for (drawn, wanted) in drawn[0].logprobs.iter().zip(&wanted) {
                assert!((drawn - wanted).abs() < 0.1, "{name}: {drawn:?} {wanted:?}");
            }
        }
    });
    assert!(report.is_none_or(|report| report["operations"]["cuda::decode_8_bf16"].as_i64() > Some(4)));
}

#[test]
fn adapters_and_rewards_work_there() {
    let _ = on_gpu("adapters_and_rewards_work_there", || {
        let there = moved(&tiny("qwen3", &TINY), Kind::Float);
        let name = "model.layers.0.mlp.up_proj.weight";
        let weight = &there.parameters().iter().find(|(own, _)| own == name).expect("a parameter").1;
        let leaf = |shape: [i64; 2]| {
            Tensor::ones(shape, (Kind::Float, Device::Cuda(0))).multiply_scalar(0.1).set_requires_grad(true)
        };
        let (a, b) = (leaf([2, TINY.hidden_size]), leaf([TINY.intermediate_size, 2]));
        let packed = rows(&[9, 5], 19);
        sft_loss(&there, &packed);
        let whole = gradient(weight);
        optim::adapt(weight, &a, &b, 2.0, &Dropout::default()).expect("leaves");
        sft_loss(&there, &packed);
        assert!(!weight.grad().defined(), "nothing arrives at the weight itself");
        assert_close(&a.grad(), &(b.detach().tr().matmul(&whole) * 2.0), 1e-6, "a");
        assert_close(&b.grad(), &(whole.matmul(&a.detach().tr()) * 2.0), 1e-6, "b");

        let here = tiny("qwen3", &TINY);
        let whole = sft_loss(&here, &packed);
        let losses = [&here, &moved(&here, Kind::Float)].map(|model| {
            adapt_with_dropout(model);
            model.passes().set(9);
            sft_loss(model, &packed)
        });
        assert!((losses[0] - losses[1]).abs() < 1e-5 && (losses[0] - whole).abs() > 1e-3, "{whole} and {losses:?}");
        let here = tiny("qwen3", &TINY);
        let scores = [&here, &there].map(|model| {
            let _guard = lm::no_grad_guard();
            let judge = RewardModel::init_from(model);
            let (_, head) = judge.parameters().iter().find(|(name, _)| name == "score.weight").expect("a head");
            let _ = head.shallow_clone().fill_(0.3);
            judge.scores(&packed)
        });
        assert!(scores[0].abs().min().double_value(&[]) > 0.0);
        assert_close(&scores[0], &scores[1], 1e-5, "scores");
    });
}

#[test]
fn memory_of_the_gpu_is_counted() {
    let _ = on_gpu("memory_of_the_gpu_is_counted", || {
        let gpu = Device::Cuda(0);
        let (before, free) = (memory::used(gpu).expect("a GPU"), memory::free(gpu).expect("a GPU"));
        let block = Tensor::zeros([1 << 20], (Kind::Float, gpu));
        assert_eq!(memory::used(gpu).expect("a GPU").now, before.now + (4 << 20));
        assert!(memory::free(gpu).expect("a GPU") <= free - (4 << 20));
        drop(block);
        let after = memory::used(gpu).expect("a GPU");
        assert_eq!((after.now, after.peak), (before.now, before.peak.max(before.now + (4 << 20))));
        memory::reset_peak(gpu).expect("a GPU");
        assert_eq!(memory::used(gpu).expect("a GPU").peak, before.now);
    });
}

/// The simulated GPU enforces CUDA's rules; without them, the other tests would prove little.
#[test]
fn what_cuda_refuses_is_refused() {
    let _ = on_gpu("what_cuda_refuses_is_refused", || {
        let (here, there) = (Tensor::ones([3], (Kind::Float, Device::Cpu)), (Kind::Float, Device::Cuda(0)));
        let mixed = here.f_add(&Tensor::ones([3], there)).expect_err("tensors of two devices");
        assert!(mixed.to_string().contains("same device"), "{mixed}");
        let racing = Tensor::ones([3], there).f_histc(2);
        assert!(racing.expect_err("a race").to_string().contains("deterministic"), "deterministic mode is on");
        if !simulated_gpu::is_simulated() {
            return;
        }
        let unwritten = Tensor::empty([5], there).isnan().all().to_device(Device::Cpu);
        assert!(bool::try_from(unwritten).expect("one truth value"), "unwritten memory holds NaN");
    });
}

#[test]
fn the_host_cannot_touch_the_gpu_s_memory() {
    let nowhere = Path::new("/dev/null");
    let Some(output) = elsewhere("the_host_cannot_touch_the_gpu_s_memory", nowhere) else {
        let there = Tensor::ones([3], (Kind::Float, Device::Cuda(0)));
        // SAFETY: none; the test is that this ends the process.
        let value = unsafe { *there.data_ptr().cast::<f32>() };
        panic!("the host has read {value}");
    };
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{}", String::from_utf8_lossy(&output.stderr));
}
