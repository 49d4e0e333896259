//! The optimiser against its definition, its state, clipping, schedules.

use lm::{AdamW, AdamWOptions, Decay, Device, Kind, Schedule, Tensor, clip_grad_norm, zero_grad};

use crate::assert_close;

const OPTIONS: AdamWOptions = AdamWOptions { beta1: 0.8, beta2: 0.95, eps: 1e-6, weight_decay: 0.1 };

fn params() -> Vec<(String, Tensor)> {
    let leaf = |values: &[f32], shape: &[i64]| Tensor::from_slice(values).view(shape).set_requires_grad(true);
    vec![
        ("matrix".to_owned(), leaf(&[0.5, -1.0, 2.0, 0.1, 0.3, -0.7], &[2, 3])),
        ("norm".to_owned(), leaf(&[1.0, 0.9, -0.2], &[3])),
        ("unused".to_owned(), leaf(&[4.0, 5.0], &[2])),
    ]
}

/// A loss whose gradients change from step to step.
fn backward(params: &[(String, Tensor)], step: usize) {
    let product = (&params[0].1 * &params[1].1 + step as f64 * 0.3).sin();
    (product.square().sum(Kind::Float) * 2.0).backward();
}

#[test]
fn adamw_follows_its_definition() {
    let params = params();
    let mut optimiser = AdamW::new(&params, OPTIONS);
    let values = |tensor: &Tensor| -> Vec<f64> {
        Vec::try_from(tensor.detach().view(-1).to_kind(Kind::Double)).expect("a vector of doubles")
    };
    let mut expected: Vec<Vec<f64>> = params.iter().map(|(_, tensor)| values(tensor)).collect();
    let mut moments = vec![[vec![0.0; 6], vec![0.0; 6]]; 2];
    for step in 1..=5usize {
        let lr = 0.01 * step as f64;
        zero_grad(&params).expect("leaves");
        backward(&params, step);
        for (index, decay) in [(0, OPTIONS.weight_decay), (1, 0.0)] {
            for (i, grad) in values(&params[index].1.grad()).into_iter().enumerate() {
                let x = &mut expected[index][i];
                *x -= lr * decay * *x;
                let [mean, square] = &mut moments[index];
                mean[i] = OPTIONS.beta1 * mean[i] + (1.0 - OPTIONS.beta1) * grad;
                square[i] = OPTIONS.beta2 * square[i] + (1.0 - OPTIONS.beta2) * grad * grad;
                let mean = mean[i] / (1.0 - OPTIONS.beta1.powi(step as i32));
                let square = square[i] / (1.0 - OPTIONS.beta2.powi(step as i32));
                *x -= lr * mean / (square.sqrt() + OPTIONS.eps);
            }
        }
        optimiser.step(lr).expect("matching shapes");
        for (index, (name, tensor)) in params.iter().enumerate() {
            assert_close(
                &tensor.view(-1),
                &Tensor::from_slice(&expected[index]),
                1e-6,
                &format!("{name}, step {step}"),
            );
        }
    }
    assert_eq!(optimiser.num_steps(), 5);
}

#[test]
fn a_restored_state_goes_on_bit_for_bit() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("optimiser.safetensors");
    let (whole, halved) = (params(), params());
    let run = |params: &[(String, Tensor)], optimiser: &mut AdamW, steps: std::ops::Range<usize>| {
        for step in steps {
            zero_grad(params).expect("leaves");
            backward(params, step);
            optimiser.step(0.02).expect("matching shapes");
        }
    };
    let mut optimiser = AdamW::new(&whole, OPTIONS);
    run(&whole, &mut optimiser, 0..7);
    let mut first = AdamW::new(&halved, OPTIONS);
    run(&halved, &mut first, 0..3);
    lm::checkpoint::save_tensors(&file, &first.state()).expect("a writable folder");
    let mut second = AdamW::new(&halved, OPTIONS);
    second.restore(&lm::checkpoint::load_tensors(&file).expect("just written")).expect("the same parameters");
    assert_eq!(second.num_steps(), 3);
    run(&halved, &mut second, 3..7);
    for ((name, one), (_, two)) in whole.iter().zip(&halved) {
        assert_eq!(one, two, "{name}");
    }
    for ((name, one), (_, two)) in optimiser.state().iter().zip(&second.state()) {
        assert_eq!(one, two, "{name}");
    }
}

#[test]
fn a_state_of_other_parameters_is_refused() {
    let params = params();
    let mut optimiser = AdamW::new(&params, OPTIONS);
    let message =
        |optimiser: &mut AdamW, state: &[(String, Tensor)]| optimiser.restore(state).expect_err("wrong").to_string();
    assert!(message(&mut optimiser, &[]).contains("`step` is missing"));
    let other = AdamW::new(&params[..1], OPTIONS).state();
    assert!(message(&mut optimiser, &other).contains("`exp_avg.norm` is missing"));
    let mut extra = optimiser.state();
    extra.push(("exp_avg.more".to_owned(), Tensor::from(1f32)));
    assert!(message(&mut optimiser, &extra).contains("`exp_avg.more` is unknown"));
}

#[test]
fn half_precision_is_updated_through_a_single_precision_copy() {
    let param = Tensor::ones([4, 4], (Kind::BFloat16, Device::Cpu)).set_requires_grad(true);
    let params = [("weight".to_owned(), param)];
    let mut optimiser = AdamW::new(&params, AdamWOptions::default());
    // A thousandth is below bf16's resolution at 1: only the master copy can accumulate it.
    for _ in 0..16 {
        zero_grad(&params).expect("leaves");
        params[0].1.sum(Kind::Float).backward();
        optimiser.step(1e-3).expect("matching shapes");
    }
    let value = params[0].1.double_value(&[0, 0]);
    assert!((value - 0.984).abs() < 0.003, "{value}");
}

#[test]
fn clipping_scales_all_gradients_together() {
    let params = params();
    backward(&params, 1);
    let norm =
        || params[..2].iter().map(|(_, p)| p.grad().square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt();
    let before = norm();
    let ratio = params[0].1.grad().double_value(&[0, 1]) / params[1].1.grad().double_value(&[2]);
    assert!((clip_grad_norm(&params, 1e9).expect("gradients") - before).abs() < 1e-5);
    assert!((norm() - before).abs() < 1e-12);
    assert!((clip_grad_norm(&params, 0.5).expect("gradients") - before).abs() < 1e-5);
    assert!((norm() - 0.5).abs() < 1e-5);
    let after = params[0].1.grad().double_value(&[0, 1]) / params[1].1.grad().double_value(&[2]);
    assert!((ratio - after).abs() < 1e-5);
    zero_grad(&params).expect("leaves");
    assert!(!params[0].1.grad().defined());
    assert!(clip_grad_norm(&params, 1.0).expect("no gradients").abs() < f64::MIN_POSITIVE);
}

#[test]
fn a_norm_has_the_same_bits_on_any_number_of_threads() {
    let leaf = |size: i64| {
        let wave = (Tensor::arange(size, (Kind::Float, Device::Cpu)) * 0.37).sin();
        let leaf = Tensor::zeros([size], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        (&leaf * &wave).sum(Kind::Float).backward();
        (format!("of-{size}"), leaf)
    };
    // Sizes: whole pieces, whole pieces with a rest, less than a vector.
    let params = [1 << 16, 100_003, 7].map(leaf);
    let exact = |p: &Tensor| p.grad().to_kind(Kind::Double).square().sum(Kind::Double).double_value(&[]);
    let exact = params.iter().map(|(_, p)| exact(p)).sum::<f64>().sqrt();
    let threads = tch::get_num_threads();
    let norms = [1, 2, 3].map(|count| {
        tch::set_num_threads(count);
        clip_grad_norm(&params, 1e9).expect("gradients")
    });
    tch::set_num_threads(threads);
    assert!((norms[0] / exact - 1.0).abs() < 1e-7, "{} is not {exact}", norms[0]);
    assert_eq!(norms.map(f64::to_bits), [norms[0].to_bits(); 3]);
}

#[test]
fn schedules_rise_and_fall() {
    let schedule =
        |decay| Schedule { peak: 2.0, decay, warmup_steps: 4, stable_steps: 0, decay_steps: 14, min_ratio: 0.1 };
    for (decay, step, expected) in [
        (Decay::Constant, 0, 0.5),
        (Decay::Constant, 3, 2.0),
        (Decay::Constant, 99, 2.0),
        (Decay::Linear, 4, 2.0),
        (Decay::Linear, 9, 1.1),
        (Decay::Linear, 14, 0.2),
        (Decay::Linear, 99, 0.2),
        (Decay::Cosine, 4, 2.0),
        (Decay::Cosine, 9, 1.1),
        (Decay::Cosine, 14, 0.2),
        (Decay::Cosine, 99, 0.2),
    ] {
        let lr = schedule(decay).lr(step);
        assert!((lr - expected).abs() < 1e-12, "{decay:?} at {step}: {lr}, expected {expected}");
    }
    let flat = Schedule { warmup_steps: 0, decay_steps: 0, min_ratio: 0.3, ..schedule(Decay::Cosine) };
    assert!((flat.lr(0) - 0.6).abs() < 1e-12);
}

#[test]
fn warm_up_stable_decay_is_its_closed_form() {
    let (peak, warm_up, stable, end, min) = (3e-4, 5, 20, 40, 0.1);
    let schedule = Schedule {
        peak,
        decay: Decay::Linear,
        warmup_steps: warm_up,
        stable_steps: stable,
        decay_steps: end,
        min_ratio: min,
    };
    for step in 0..=60u64 {
        let expected = match step {
            _ if step < warm_up => peak * (step + 1) as f64 / warm_up as f64,
            _ if step < warm_up + stable => peak,
            _ if step < end => peak * (min + (1.0 - min) * (end - step) as f64 / (end - warm_up - stable) as f64),
            _ => peak * min,
        };
        assert!((schedule.lr(step) - expected).abs() < 1e-16, "step {step}: {} is not {expected}", schedule.lr(step));
    }
    let sudden = Schedule { stable_steps: end - warm_up, ..schedule };
    assert!((sudden.lr(end - 1) - peak).abs() < 1e-16 && (sudden.lr(end) - peak * min).abs() < 1e-16);
}
