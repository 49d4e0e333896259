//! Training passes: recomputing in the backward pass gives the same values.

use lm::{Kind, Rows, Tensor};

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
