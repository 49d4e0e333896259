//! Training passes: recomputing in the backward pass gives the same values.

use lm::{Dropout, Kind, Model, Rows, Tensor, head};

use crate::architectures::all;
use crate::{TINY, add_sft_gradients, assert_close, gradient, in_double, rows, sft_loss, tiny};

#[test]
fn a_pass_that_recomputes_leaves_the_same_bits() {
    for (name, model) in all() {
        for model in [model.deep_copy(), model.in_dtype(Kind::BFloat16)] {
            let packed = rows(&[9, 30, 17, 2], 19);
            let loss = sft_loss(&model, &packed);
            let whole: Vec<Tensor> =
                model.parameters().iter().map(|(_, parameter)| gradient(parameter).copy()).collect();
            model.zero_grad().expect("leaves");
            let again = add_sft_gradients(&model, &packed, 1.0, true);
            assert_eq!(loss.to_bits(), again.to_bits(), "{name}");
            for ((parameter, tensor), whole) in model.parameters().iter().zip(&whole) {
                assert_eq!(gradient(tensor), *whole, "{name}: gradient of {parameter}");
            }
        }
    }
}

/// Gives every matrix in the layers adapters of rank 2 that drop a third of their inputs. Their gradients are not kept.
pub(crate) fn adapt_with_dropout(model: &Model) -> Vec<Tensor> {
    let mut leaves = Vec::new();
    for (stream, (name, weight)) in model.parameters().iter().enumerate() {
        if weight.dim() != 2 || !name.contains("_proj") {
            continue;
        }
        let leaf = |rows: i64, columns: i64| {
            let wave = (Tensor::arange(rows * columns, (Kind::Float, weight.device())) * 0.7 + stream as i64).sin();
            (wave.view([rows, columns]) * 0.2).set_requires_grad(true)
        };
        let (a, b) = (leaf(2, weight.size()[1]), leaf(weight.size()[0], 2));
        let dropout = Dropout { share: 0.3, stream: stream as u64, passes: model.passes().share() };
        lm::adapt(weight, &a, &b, 2.0, &dropout).expect("leaves");
        leaves.extend([a, b]);
    }
    leaves
}

#[test]
fn a_pass_that_recomputes_drops_the_same() {
    for (name, model) in all() {
        let leaves = adapt_with_dropout(&model);
        let packed = rows(&[9, 30, 17, 2], 19);
        let run = |recompute| {
            for leaf in &leaves {
                leaf.shallow_clone().zero_grad();
            }
            model.passes().set(5);
            // Another pass begins before the backward pass of the first.
            let pass = model.pass(&packed, recompute);
            let other = model.pass(&packed, false).hidden().copy();
            assert_ne!(*pass.hidden(), other, "{name}: another pass drops others");
            let states = pass.hidden().copy();
            let wave = (Tensor::arange(states.numel() as i64, (Kind::Float, model.device())) * 0.37).sin();
            (pass.hidden() * wave.view_as(&states)).sum(Kind::Float).backward();
            pass.backward();
            (states, leaves.iter().map(|leaf| gradient(leaf).copy()).collect::<Vec<_>>())
        };
        let (whole, again) = (run(false), run(true));
        assert_eq!(whole.0, again.0, "{name}");
        for (index, (whole, again)) in whole.1.iter().zip(&again.1).enumerate() {
            assert_eq!(whole, again, "{name}: leaf {index}");
        }
    }
}

/// Sampling uses a special kernel for so few tokens; training must have the right gradients for them, too.
#[test]
fn a_batch_of_three_tokens_has_the_gradients_of_double_precision() {
    let model = tiny("qwen2", &TINY);
    let double = in_double(&model);
    let packed = Rows::pack([[3, 1, 4]]);
    let (single, exact) = (sft_loss(&model, &packed), sft_loss(&double, &packed));
    assert!((single - exact).abs() < 1e-5, "{single}, exactly {exact}");
    for ((name, single), (_, exact)) in model.parameters().iter().zip(double.parameters()) {
        assert_close(&gradient(single), &gradient(exact), 1e-5, name);
    }
}

/// A group of completions of one prompt, and a row of its own.
const GROUP: (&[i64], [&[i64]; 3], &[i64]) = (&[3, 1, 4, 1, 5], [&[9, 2, 6], &[5], &[3, 5, 8, 9]], &[7, 7, 2]);

/// Returns whole rows, rows that share the prompt, and where the completions begin.
fn group() -> (Rows, Rows, Vec<i64>) {
    let (prompt, completions, alone) = GROUP;
    let whole = completions.iter().map(|completion| [prompt, completion].concat());
    let whole = Rows::pack(whole.chain([alone.to_vec()]));
    let mut shared = Rows::pack([[prompt, completions[0]].concat()]);
    shared.push_sharing(prompt.len(), completions[1]);
    shared.push_sharing(prompt.len(), completions[2]);
    shared.push(alone);
    let starts = vec![prompt.len() as i64, prompt.len() as i64, prompt.len() as i64, 1];
    (whole, shared, starts)
}

#[test]
fn rows_that_share_their_beginning_have_the_loss_and_gradients_of_whole_rows() {
    let (whole, shared, starts) = group();
    assert_eq!((whole.num_tokens(), shared.num_tokens()), (26, 16));
    for (name, model) in all() {
        let run = |rows: &Rows, recompute: bool| {
            model.zero_grad().expect("leaves");
            let predictions = rows.predictions_from(&starts);
            let (positions, targets) = predictions.to_device(model.device());
            let weights = (Tensor::arange(targets.size()[0], (Kind::Float, model.device())) * 0.9).cos();
            let pass = model.pass(rows, recompute);
            let hidden = pass.hidden().index_select(0, &positions);
            let loss =
                head::backward(&model, &hidden, &targets, 1.0, 64, |logps, _| (logps * &weights).sum(Kind::Float));
            pass.backward();
            let gradients = model.parameters().iter().map(|(_, parameter)| gradient(parameter).copy());
            (loss, gradients.collect::<Vec<_>>())
        };
        let expected = run(&whole, false);
        for recompute in [false, true] {
            let found = run(&shared, recompute);
            assert!((found.0 - expected.0).abs() < 1e-4, "{name}: {} {}", found.0, expected.0);
            for ((parameter, _), (one, two)) in model.parameters().iter().zip(found.1.iter().zip(&expected.1)) {
                assert_close(one, two, 2e-5, &format!("{name}: gradient of {parameter}"));
            }
        }
    }
}
