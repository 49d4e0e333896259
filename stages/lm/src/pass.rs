//! A forward pass for training, and gradient checkpointing (Chen et al. 2016, section 4.1).
//!
//! Autograd keeps the activations of every layer until the backward pass. A pass with recomputation keeps one vector
//! for each token and layer, the layer's input. It recomputes the rest in the backward pass, layer by layer: a third
//! more compute, and the activations of only one layer at a time. The forward computation is the same both times, so
//! the gradients are equal bit for bit.
//!
//! Shapes: n tokens, d width of the residual stream.

use tch::Tensor;

use crate::attention::PackedRows;
use crate::dropout::Passes;
use crate::models::CausalLm;
use crate::shim;

/// A forward pass over packed rows.
pub struct Pass<'a> {
    hidden_nd: Tensor,
    recompute: Option<Recompute<'a>>,
}

struct Recompute<'a> {
    network: &'a dyn CausalLm,
    ids_n: Tensor,
    attend: PackedRows,
    /// The input of each layer, and of the last norm.
    inputs: Vec<Tensor>,
    /// The number of this pass; by the time of the backward pass, the model may have begun another.
    number: i64,
    passes: Passes,
}

impl<'a> Pass<'a> {
    pub(crate) fn whole(network: &'a dyn CausalLm, ids_n: &Tensor, mut attend: PackedRows) -> Self {
        Self { hidden_nd: network.hidden(ids_n, &mut attend), recompute: None }
    }

    pub(crate) fn recomputing(
        network: &'a dyn CausalLm,
        ids_n: Tensor,
        mut attend: PackedRows,
        passes: Passes,
    ) -> Self {
        // Gradients are on, because without them passes of few tokens use a kernel with other last bits. Autograd's
        // activations are freed at the end of each layer.
        let mut inputs = vec![network.embed(&ids_n).detach()];
        for layer in 0..network.num_layers() {
            let output_nd = network.layer(layer, &inputs[layer], &mut attend).detach();
            inputs.push(output_nd);
        }
        let last_nd = inputs[network.num_layers()].set_requires_grad(true);
        let hidden_nd = network.norm(&last_nd);
        let number = passes.number();
        Self { hidden_nd, recompute: Some(Recompute { network, ids_n, attend, inputs, number, passes }) }
    }

    /// The hidden state after the final norm of every token, [n, d].
    pub fn hidden(&self) -> &Tensor {
        &self.hidden_nd
    }

    /// Runs the backward pass from the hidden states to the parameters, after `head::backward`. Without recomputation,
    /// `head::backward` has already done all of it.
    pub fn backward(self) {
        let Some(Recompute { network, ids_n, mut attend, mut inputs, number, passes }) = self.recompute else { return };
        drop(self.hidden_nd);
        let current = passes.number();
        passes.set(number);
        let through = |output: &Tensor, grad: &Tensor| {
            shim::torch::backward_from(output, grad).expect("the layer's output has the shape of the next one's input");
        };
        let mut grad_nd = inputs.pop().map_or_else(Tensor::new, |last_nd| last_nd.grad());
        while grad_nd.defined()
            && let Some(input_nd) = inputs.pop()
        {
            let input_nd = input_nd.set_requires_grad(true);
            through(&network.layer(inputs.len(), &input_nd, &mut attend), &grad_nd);
            grad_nd = input_nd.grad();
        }
        let embedded_nd = network.embed(&ids_n);
        if grad_nd.defined() && embedded_nd.requires_grad() {
            through(&embedded_nd, &grad_nd);
        }
        passes.set(current);
    }
}
