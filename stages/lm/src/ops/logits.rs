//! Log-probabilities from logits, in single precision. Shapes: c tokens, v vocabulary.

use tch::{Kind, Tensor};

use super::kernels::{cpu_takes, gpu_takes};
use crate::shim;

/// Returns ln p(target) of each token, [c], of logits divided by `temperature`, [c, v].
pub(crate) fn log_probs(logits_cv: &Tensor, targets_c: &Tensor, temperature: f64) -> Tensor {
    if cpu_takes(logits_cv) || gpu_takes(logits_cv, &[logits_cv.size()[1]]) {
        return shim::layers::log_probs(logits_cv, targets_c, 1.0 / temperature)
            .expect("targets are in the vocabulary");
    }
    log_softmax(logits_cv, temperature).gather(1, &targets_c.unsqueeze(1), false).squeeze_dim(1)
}

/// Returns ln p of every token, [c, v], of logits divided by `temperature`. It uses libtorch, not a kernel of ours,
/// because its result is kept as a whole.
pub(crate) fn log_softmax(logits_cv: &Tensor, temperature: f64) -> Tensor {
    let logits_cv = logits_cv.to_kind(Kind::Float);
    let logits_cv = if (temperature - 1.0).abs() > 0.0 { logits_cv / temperature } else { logits_cv };
    logits_cv.log_softmax(-1, Kind::Float)
}
