//! A forward pass that a backward pass follows, and gradient checkpointing (Chen et al. 2016, section 4.1).
//!
//! Autograd keeps what every layer computed until the backward pass. A pass that recomputes keeps one vector a token
//! and layer, the layer's input. It computes the rest anew in the backward pass, layer by layer: a third more work, and
//! the activations of a single layer. Forward is the same computation both times, so the gradients are the same bits.
//!
//! Shapes: n tokens, d width of the residual stream.

use tch::Tensor;

use crate::attention::PackedRows;
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
    /// What went into each layer, and into the last norm.
    inputs: Vec<Tensor>,
}

impl<'a> Pass<'a> {
    pub(crate) fn whole(network: &'a dyn CausalLm, ids_n: &Tensor, mut attend: PackedRows) -> Self {
        Self { hidden_nd: network.hidden(ids_n, &mut attend), recompute: None }
    }

    pub(crate) fn recomputing(network: &'a dyn CausalLm, ids_n: Tensor, mut attend: PackedRows) -> Self {
        // With gradients on: without them a few tokens take a kernel of other last bits. What autograd kept is freed at
        // the end of each layer.
        let mut inputs = vec![network.embed(&ids_n).detach()];
        for layer in 0..network.num_layers() {
            let output_nd = network.layer(layer, &inputs[layer], &mut attend).detach();
            inputs.push(output_nd);
        }
        let last_nd = inputs[network.num_layers()].set_requires_grad(true);
        let hidden_nd = network.norm(&last_nd);
        Self { hidden_nd, recompute: Some(Recompute { network, ids_n, attend, inputs }) }
    }

    /// The hidden state after the final norm of every token, [n, d].
    pub fn hidden(&self) -> &Tensor {
        &self.hidden_nd
    }

    /// Takes the gradient on to the parameters, after `head::backward` has brought it to the hidden states. A pass that
    /// does not recompute has nothing left to do by then.
    pub fn backward(self) {
        let Some(Recompute { network, ids_n, mut attend, mut inputs }) = self.recompute else { return };
        drop(self.hidden_nd);
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
    }
}
